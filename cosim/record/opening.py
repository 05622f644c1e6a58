"""Opening a log for reading, whatever state it was left in."""

from __future__ import annotations

import time
from pathlib import Path

import h5py

from cosim.errors import InputError

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
        There is no such file, it cannot be read, or it is not HDF5.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; `cosim run SCENARIO -o {path.name}` makes one")
    deadline = time.monotonic() + _RETRY_S
    while True:
        try:
            return _opened(path)
        except PermissionError:
            raise InputError(f"{path}: permission denied; it cannot be read") from None
        except OSError as error:
            if not h5py.is_hdf5(path):
                raise InputError(f"{path}: not a log of cosim (not an HDF5 file)") from None
            if time.monotonic() > deadline:
                raise InputError(f"{path}: cannot be opened ({error})") from None
            time.sleep(0.02)


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
