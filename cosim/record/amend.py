"""Additions to a closed log, held in memory and then written in an order that a kill cannot tear.

HDF5 offers its crash-safe mode for growing datasets only; metrics and the final status are new objects.
So the file is opened through a layer that keeps every write to itself. When HDF5 is done, what lies beyond
the old end is written first, where nothing points yet; then the few changed pages, the first one last.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cosim.record.channels import unit_of
from cosim.record.layout import LIBVER
from cosim.record.superblock import without_marks

_PAGE = 4096


class _Held(io.RawIOBase):
    """File object for HDF5 that reads through to `fd` and keeps writes as pages in memory."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._old_size = os.fstat(fd).st_size
        self._size = self._old_size
        self._at = 0
        self._pages: dict[int, bytearray] = {}

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        return self._size

    def _page(self, number: int) -> bytearray:
        if number not in self._pages:
            data = os.pread(self._fd, _PAGE, number * _PAGE)
            self._pages[number] = bytearray(data.ljust(_PAGE, b"\0"))
        return self._pages[number]

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._at))
        done = 0
        while done < wanted:
            number, start = divmod(self._at + done, _PAGE)
            n = min(_PAGE - start, wanted - done)
            held = self._pages.get(number)
            if held is None:
                part = os.pread(self._fd, n, self._at + done).ljust(n, b"\0")
            else:
                part = bytes(held[start : start + n])
            view[done : done + n] = part
            done += n
        self._at += done
        return done

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            number, start = divmod(self._at + done, _PAGE)
            n = min(_PAGE - start, len(view) - done)
            self._page(number)[start : start + n] = view[done : done + n]
            done += n
        self._at += done
        self._size = max(self._size, self._at)
        return done

    def commit(self) -> None:
        """Write the pages; on failure beyond the old end the file is as it was."""
        old_end = self._old_size
        changed = sorted(self._pages, reverse=True)
        try:
            for number in changed:
                start, end = number * _PAGE, min((number + 1) * _PAGE, self._size)
                if end > old_end:
                    skip = max(0, old_end - start)
                    _write_all(self._fd, bytes(self._pages[number][skip : end - start]), start + skip)
        except OSError:
            os.ftruncate(self._fd, old_end)
            raise
        for number in changed:
            start, end = number * _PAGE, min((number + 1) * _PAGE, old_end)
            if end > start:
                page = bytes(self._pages[number][: end - start])
                _write_all(self._fd, without_marks(page) if number == 0 else page, start)
        os.ftruncate(self._fd, self._size)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    while data:
        n = os.pwrite(fd, data, offset)
        data, offset = data[n:], offset + n


@contextmanager
def amended(path: Path, sync: bool = False) -> Iterator[h5py.File]:
    """Open a closed log for additions that reach the disk together, when the block ends without error.

    Parameters
    ----------
    path : Path
        The log.
    sync : bool
        Wait until the disk has it all.

    Yields
    ------
    h5py.File
        To add attributes and small datasets to.

    Raises
    ------
    OSError
        The disk is full or not ours to write; the file is as it was.
    """
    fd = os.open(path, os.O_RDWR)
    try:
        held = _Held(fd)
        with h5py.File(held, "r+", libver=LIBVER) as file:
            yield file
        held.commit()
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | np.ndarray[Any, Any]]:
    """Nested metrics as one level of `/`-joined names; arrays as they are."""
    numbers: dict[str, float | np.ndarray[Any, Any]] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            numbers.update(flat(value, f"{prefix}{key}/"))
        else:
            numbers[f"{prefix}{key}"] = value if isinstance(value, np.ndarray) else float(value)
    return numbers


def write_metrics(file: h5py.File, metrics: Mapping[str, Any]) -> None:
    """Store numbers under `/metrics` as float64, each with its unit; one array where there is one a node.

    Parameters
    ----------
    file : h5py.File
        Open for writing.
    metrics : mapping
        Names to numbers, nested or joined by "/"; the unit is read off the name. Arrays stand in the order of the
        group's names in the log (`bus/n_sag` in that of `/bus/name`).
    """
    for name, value in flat(metrics).items():
        data = file.create_dataset(f"metrics/{name}", data=np.asarray(value, np.float64))
        data.attrs["unit"] = unit_of(name)


def plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as Python's own str, int and float; bytes decoded."""
    values: dict[str, Any] = {}
    for key, value in attributes.items():
        number = value.item() if isinstance(value, np.generic) else value
        values[key] = number.decode() if isinstance(number, bytes) else number
    return values
