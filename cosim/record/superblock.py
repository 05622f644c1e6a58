"""The first 48 bytes of the file: its write marks, cleared so that any reader may open a running log.

A SWMR writer marks the file as open for writing, and a plain reader then refuses it, during the run and,
after a kill, for ever. SWMR itself guarantees that what is on disk is whole, so after each flush the mark
is taken off again. A second writer is kept out by locks that vanish with the process that holds them.

Layout: HDF5 file format specification 3.0, section II.A, superblock version 3: signature (8 bytes),
version, size of offsets, size of lengths, file consistency flags, four addresses, checksum.
"""

from __future__ import annotations

import contextlib
import os
import struct

try:
    import fcntl
except ImportError:  # not POSIX: no locks, one writer per file is the user's care
    fcntl = None  # type: ignore[assignment]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIZE = 48
_VERSION_AT, _FLAGS_AT, _END_AT, _CHECKSUM_AT = 8, 11, 28, 44
_MASK = 0xFFFFFFFF
_MIXING = ((4, 0, 2, 1), (6, 1, 0, 2), (8, 2, 1, 0), (16, 0, 2, 1), (19, 1, 0, 2), (4, 2, 1, 0))
"""Rounds of lookup3's mix: x[i] -= x[j]; x[i] ^= rotated x[j]; x[j] += x[k], as (shift, i, j, k)."""
_FINAL = ((14, 2, 1), (11, 0, 2), (25, 1, 0), (16, 2, 1), (4, 0, 2), (14, 1, 0), (24, 2, 1))
"""Rounds of lookup3's final: x[i] ^= x[j]; x[i] -= rotated x[j], as (shift, i, j)."""
_WRITER_LOCK_AT = 1 << 62
"""Byte range, far beyond any data, that a writer locks against a second one."""


def _rotated(word: int, shift: int) -> int:
    return ((word << shift) | (word >> (32 - shift))) & _MASK


def checksum(data: bytes) -> int:
    """Jenkins' lookup3 hash, as HDF5 checks its metadata with.

    Parameters
    ----------
    data : bytes
        Length a multiple of four.

    Returns
    -------
    int
        32 bits.
    """
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    x = [(0xDEADBEEF + len(data)) & _MASK] * 3
    while len(words) > 3:
        x = [(a + b) & _MASK for a, b in zip(x, words[:3], strict=True)]
        for shift, i, j, k in _MIXING:
            x[i] = ((x[i] - x[j]) & _MASK) ^ _rotated(x[j], shift)
            x[j] = (x[j] + x[k]) & _MASK
        words = words[3:]
    for i, word in enumerate(words):
        x[i] = (x[i] + word) & _MASK
    for shift, i, j in _FINAL:
        x[i] = ((x[i] ^ x[j]) - _rotated(x[j], shift)) & _MASK
    return x[2]


def without_marks(block: bytes) -> bytes:
    """Return the superblock with its consistency flags cleared; unchanged where it is not version 3."""
    if len(block) < SIZE or block[:8] != SIGNATURE or block[_VERSION_AT] != 3 or block[_FLAGS_AT] == 0:
        return block
    clean = bytearray(block[:SIZE])
    clean[_FLAGS_AT] = 0
    clean[_CHECKSUM_AT:] = struct.pack("<I", checksum(bytes(clean[:_CHECKSUM_AT])))
    return bytes(clean) + block[SIZE:]


def stored_end(block: bytes) -> int | None:
    """Size that the file says it has; it may be longer, never shorter. None where it is not version 3. [byte]"""
    if len(block) < SIZE or block[:8] != SIGNATURE or block[_VERSION_AT] != 3:
        return None
    return int(struct.unpack_from("<Q", block, _END_AT)[0])


def clear_marks(fd: int) -> None:
    """Clear the write marks of the open file `fd`, in one write."""
    block = os.pread(fd, SIZE, 0)
    clean = without_marks(block)
    if clean != block:
        os.pwrite(fd, clean, 0)


def raise_end(fd: int, end: int) -> None:
    """Let the open file `fd` say that it reaches to `end`, which it does: space was claimed up to there. [byte]

    HDF5 writes chunks and their index before it says that the file has grown; a process killed in between would leave
    a file whose last chunks lie beyond its end.
    """
    block = os.pread(fd, SIZE, 0)
    told = stored_end(block)
    if told is None or told >= end:
        return
    grown = bytearray(without_marks(block))
    struct.pack_into("<Q", grown, _END_AT, end)
    grown[_CHECKSUM_AT:SIZE] = struct.pack("<I", checksum(bytes(grown[:_CHECKSUM_AT])))
    os.pwrite(fd, bytes(grown), 0)


def lock_writer(fd: int) -> bool:
    """Claim the file for one writer, until `fd` is closed or the process ends.

    Two locks: one against a second cosim, and a shared one that makes HDF5 refuse to open the file for
    writing while readers may come and go.

    Returns
    -------
    bool
        False where another writer holds the file.
    """
    if fcntl is None:
        return True
    if hasattr(fcntl, "F_OFD_SETLK"):
        request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _WRITER_LOCK_AT, 1, 0)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without such locks
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True


def unlock_for_hdf5(fd: int) -> None:
    """Let HDF5 open the file for writing in this process; `lock_writer` afterwards. A second cosim stays out."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
