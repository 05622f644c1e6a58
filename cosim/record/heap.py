"""Global heaps, where HDF5 keeps texts: looked through before HDF5 is, which spins for ever on one cut or zeroed.

Layout: HDF5 file format specification 3.0, section III.E: a collection is `GCOL`, version 1, three zeros, its size (8
bytes), then objects of index (2), references (2), four zeros, size (8) and data padded to 8. Index 0 is the free space
at the end, whose size counts its head. HDF5 steps from object to object by these sizes, so a free space of size zero,
as a hole in the file reads, never ends. No checksum covers a collection.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_MAGIC = b"GCOL\x01\0\0\0"
_HEAD, _OBJECT_HEAD = 16, 16
MIN_SIZE = 4096
"""Size of the smallest collection. [byte]"""
SEARCHED = 1 << 24
"""Collections are made with the layout of a log, before its first row; so far from the start they are looked for."""


def heap_fault(path: Path) -> str:
    """What is wrong with the first global heap that is; empty where all are whole.

    Parameters
    ----------
    path : Path
        An HDF5 file, also one that is being written: the heaps of a log do not change.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = min(len(data), SEARCHED)
        start = data.find(_MAGIC, 0, end)
        while start >= 0:
            if fault := _fault(data, start):
                return f"{fault} at byte {start:,}"
            start = data.find(_MAGIC, start + 1, end)
    return ""


def _fault(data: mmap.mmap, start: int) -> str:
    if start + _HEAD > len(data):
        return "texts end"
    (size,) = struct.unpack_from("<Q", data, start + 8)
    if size < MIN_SIZE:
        return ""  # looks like a collection and is none
    end = start + size
    if end > len(data):
        return "texts end"
    at = start + _HEAD
    while at + _OBJECT_HEAD <= end:
        index, _, _, size = struct.unpack_from("<HHIQ", data, at)
        step = size if index == 0 else _OBJECT_HEAD + -(-size // 8) * 8
        if step < _OBJECT_HEAD or at + step > end:
            return "texts are overwritten"
        at += step
    return ""
