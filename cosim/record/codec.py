"""Chunk encoding: shuffle and deflate done here and handed over ready, or a filter from hdf5plugin.

Encoding whole chunks here tells their exact size before the file is touched, and is faster than HDF5's own pipeline.
The shuffle puts the first bytes of all values together, then the second ones, ...; each such byte plane is deflated on
its own, and the parts make one stream. ISA-L deflates at hundreds of megabytes a second; where it does badly, as it
does on rows that repeat many times over, its slow level takes the plane, and a plane of noise is stored as it is. What
is stored is plain HDF5 shuffle and deflate, which zlib reads.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from isal import isal_zlib

from cosim.errors import EnvironmentFailure, InputError

GZIP_LEVEL = 4
"""What datasets declare; readers do not use it."""
FAST_LEVEL, SLOW_LEVEL = 2, 3
"""Levels of ISA-L: the fast ones cost a tenth of zlib's level 4, the slow one a quarter."""
SMALL_PLANE = 4096
"""Chunks with byte planes below this size are deflated in one go. [byte]"""
NOISE_RATIO = 0.95
"""A plane that shrinks to no less than this fraction of itself is stored as it is."""
TRIED_RATIO = 0.4
"""A plane that shrinks to no less is tried for repetitions that the fast level misses."""
GLANCES, GLANCE_BYTES = 4, 2048
"""Pieces of a plane, its ends among them, by which it is told for noise without deflating all of it."""
TRIAL_BYTES = 16384
TRIAL_GAIN = 0.9
"""The slow level takes a plane if a trial piece shrinks to less than this fraction of the fast level's ratio."""

Damaged: Any = isal_zlib.error
"""What `decode` raises of bytes that are no deflate stream, beside ValueError."""
_ZLIB_HEADER = b"\x78\x01"
DIRECT = ("gzip", "none")
"""Encodings that this module makes itself, and that every HDF5 reads."""
PLUGINS = ("lz4", "zstd", "blosc", "bitshuffle")
"""Encodings that need hdf5plugin, to write and to read."""


def check(compression: str) -> None:
    """Raise where the named compression is unknown or its plugin is not installed.

    Parameters
    ----------
    compression : str
        One of `DIRECT` and `PLUGINS`.

    Raises
    ------
    InputError
        No such compression.
    EnvironmentFailure
        The compression needs hdf5plugin, which is not installed.
    """
    if compression in DIRECT:
        return
    if compression not in PLUGINS:
        raise InputError(f"compression {compression!r} is unknown; allowed: {', '.join(DIRECT + PLUGINS)}")
    load_plugin(compression)


def load_plugin(compression: str) -> Any:
    """Import hdf5plugin, which registers its filters; say what to do where it is missing."""
    try:
        import hdf5plugin
    except ImportError:
        raise EnvironmentFailure(
            f"compression {compression!r} needs the package hdf5plugin: "
            "pip install 'cosim-feeder[filters]', or use gzip"
        ) from None
    return hdf5plugin


def dataset_options(compression: str) -> dict[str, Any]:
    """Keyword arguments of `create_dataset` for a channel's dataset."""
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": GZIP_LEVEL, "shuffle": True}
    plugin = load_plugin(compression)
    if compression == "lz4":
        return {"shuffle": True, **plugin.LZ4()}
    if compression == "zstd":
        return {"shuffle": True, **plugin.Zstd()}
    if compression == "blosc":
        return dict(plugin.Blosc(cname="lz4", shuffle=plugin.Blosc.SHUFFLE))
    return dict(plugin.Bitshuffle(cname="lz4"))


def encode(block: np.ndarray[Any, Any], compression: str) -> bytes:
    """Bytes of one whole chunk as they stand in the file.

    Parameters
    ----------
    block : ndarray
        The chunk, C-contiguous, of its full shape.
    compression : str
        One of `DIRECT`.

    Returns
    -------
    bytes
        Shuffled (all first bytes, then all second bytes, ...) and deflated, or as they are.
    """
    if compression == "none":
        return block.tobytes()
    planes = np.ascontiguousarray(block.reshape(-1).view(np.uint8).reshape(-1, block.itemsize).T)
    if planes.shape[1] < SMALL_PLANE:
        small: bytes = isal_zlib.compress(planes.data, FAST_LEVEL)
        return small
    parts, is_noise = [_ZLIB_HEADER], True
    for number, plane in enumerate(planes, 1):
        is_noise = is_noise and _is_noise(plane, block[0].size)  # it stands in the lowest bytes
        last = number == len(planes)
        parts.append(_part(zlib, plane, 0, last) if is_noise else _deflated(plane, block[0].size, last))
    parts.append(struct.pack(">I", isal_zlib.adler32(planes.data)))
    return b"".join(parts)


def decode(raw: bytes, out: np.ndarray[Any, Any]) -> None:
    """One whole chunk of 4-byte values from its bytes in the file: four times as fast as HDF5's own pipeline.

    Parameters
    ----------
    raw : bytes
        Shuffled and deflated.
    out : ndarray
        Contiguous, of the chunk's shape.

    Raises
    ------
    ValueError, Damaged
        The bytes are no such chunk.
    """
    from cosim.record.kernel import unshuffle

    planes = np.frombuffer(isal_zlib.decompress(raw, bufsize=out.nbytes), np.uint8).reshape(4, -1)
    words = out.reshape(-1).view(np.uint32)
    if planes.shape[1] != words.size:
        raise ValueError(f"a chunk of {words.size} values holds {planes.shape[1]}")
    unshuffle(planes, words)


def _deflated(plane: np.ndarray[Any, Any], row_size: int, last: bool) -> bytes:
    """One byte plane as a piece of a deflate stream that ends at a whole byte."""
    data = _part(isal_zlib, plane, FAST_LEVEL, last)
    ratio = len(data) / plane.size
    if ratio > TRIED_RATIO and _repeats(plane, row_size, ratio):
        return _part(isal_zlib, plane, SLOW_LEVEL, last)
    return data if ratio < NOISE_RATIO else _part(zlib, plane, 0, last)


def _is_noise(plane: np.ndarray[Any, Any], row_size: int) -> bool:
    """Whether pieces spread over a plane neither shrink nor repeat; the plane is stored then."""
    if plane.size < 2 * GLANCES * GLANCE_BYTES:
        return False
    starts = np.linspace(0, plane.size - GLANCE_BYTES, GLANCES).astype(np.int64).tolist()
    glanced = b"".join(plane[start : start + GLANCE_BYTES].tobytes() for start in starts)
    shrunk = isal_zlib.compress(glanced, FAST_LEVEL)
    return len(shrunk) >= NOISE_RATIO * len(glanced) and not _repeats(plane, row_size, 1.0)


def _repeats(plane: np.ndarray[Any, Any], row_size: int, ratio: float) -> bool:
    """Whether a piece from the middle shrinks well at the one level of ISA-L that works without blocks."""
    size = max(TRIAL_BYTES, 2 * row_size)  # two rows at least, so that rows that repeat are seen to
    start = max(0, (plane.size - size) // 2)
    piece = plane[start : start + size]
    return len(_part(isal_zlib, piece, 0, True)) < TRIAL_GAIN * ratio * piece.size


def _part(library: Any, plane: np.ndarray[Any, Any], level: int, last: bool) -> bytes:
    deflate = library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    head: bytes = deflate.compress(plane.data)
    tail: bytes = deflate.flush(library.Z_FINISH if last else library.Z_FULL_FLUSH)
    return head + tail
