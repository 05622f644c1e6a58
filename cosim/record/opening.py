"""Opening a log for reading, whatever state it was left in; a damaged one is told from one that still grows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from cosim.errors import CosimError, EnvironmentFailure, InputError, unreadable
from cosim.record import superblock
from cosim.record.heap import heap_fault

_RETRY_S = 1.0
"""How long to try again to open a log that is being written: a flush takes far less. [s]"""


def open_log(path: Path) -> h5py.File:
    """Open a log: plainly where the run has ended, as a SWMR reader where it goes on or was killed.

    HDF5 refuses to open a file in both ways in one process, so a finished log is opened as everyone does.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    h5py.File
        Open for reading.

    Raises
    ------
    InputError
        There is no such file, it is not HDF5, or its end is missing.
    EnvironmentFailure
        Permission is missing, or the disk fails.
    """
    try:
        _check_before(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `cosim run SCENARIO -o {path.name}` makes one") from None
    except OSError as error:
        raise unreadable(error, str(path)) from None
    deadline = time.monotonic() + _RETRY_S
    while True:
        try:
            file = _opened(path)
            with reading(path):
                _check_end(path, file)
            return file
        except PermissionError as error:
            raise unreadable(error, str(path)) from None
        except OSError as error:
            if not h5py.is_hdf5(path):
                raise InputError(f"{path}: not a log of cosim (not an HDF5 file)") from None
            if time.monotonic() > deadline:
                raise InputError(f"{path}: cannot be opened ({error})") from None
            time.sleep(0.02)


def _check_before(path: Path) -> None:
    """Refuse a file on which HDF5 would hang: most of it is gone, or its texts are."""
    end, size = _ends(path)
    if end is not None and size < end // 2:
        raise damaged(path, f"{size:,} bytes are there of {end:,}")
    if end is not None and (fault := heap_fault(path)):
        raise damaged(path, fault)


def _check_end(path: Path, file: h5py.File) -> None:
    """Refuse a finished log shorter than it says. One that met a full disk may lack its last chunk and says so."""
    end, size = _ends(path)
    if end is not None and size < end and file.attrs.get("status") == "complete":
        raise damaged(path, f"{size:,} bytes are there of {end:,}")


def _ends(path: Path) -> tuple[int | None, int]:
    """Size that a log says it has, None where it is none, and the size that it has. [byte]"""
    with path.open("rb") as stream:
        block = stream.read(superblock.SIZE)
        size = os.fstat(stream.fileno()).st_size
    if block[: len(superblock.SIGNATURE)] == superblock.SIGNATURE and size < superblock.SIZE:
        raise damaged(path, f"{size} bytes are there")
    return superblock.stored_end(block), size


def damaged(path: Path, reason: str) -> InputError:
    """A log that something else than cosim has spoilt."""
    return InputError(f"{path}: is damaged ({reason}); something cut or changed it; run it again without --resume")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell what HDF5 raises within as a damaged log, or as the failure of the machine.

    Raises
    ------
    InputError
        The log is damaged.
    EnvironmentFailure
        Permission is missing, or the disk fails.
    """
    try:
        yield
    except CosimError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
        failure = unreadable(error, str(path))
        if isinstance(failure, EnvironmentFailure):
            raise failure from error
        raise damaged(path, " ".join(str(error).split())) from error


def _opened(path: Path) -> h5py.File:
    plain: h5py.File | None = None
    try:
        plain = h5py.File(path, "r")
        if plain.attrs.get("status") != "running":
            return plain
        plain.close()
    except PermissionError:
        raise
    except (OSError, RuntimeError):  # caught in the middle of a flush
        if plain is not None:
            plain.close()
    try:
        return h5py.File(path, "r", swmr=True)
    except OSError as error:
        if "SWMR read access flag" not in str(error):
            raise
        return h5py.File(path, "r")  # open plainly elsewhere in this process
