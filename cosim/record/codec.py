"""Chunk encoding: shuffle and deflate done here and handed over ready, or a filter from hdf5plugin.

Encoding whole chunks here tells their exact size before the file is touched, and is faster than HDF5's own
pipeline: the lowest bytes of a simulated float are often noise, on which deflate spends most of its time for
nothing; such a byte plane goes in as a stored block of the same deflate stream. What is stored is plain HDF5
shuffle and deflate either way.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from cosim.errors import EnvironmentFailure, InputError

GZIP_LEVEL = 4
SMALL_PLANE = 4096
"""Byte planes below this size are deflated without a trial. [byte]"""
TRIAL_BYTES = 2048
TRIAL_RATIO = 0.95
"""A plane whose trial piece shrinks to no less than this fraction of itself is noise, stored as it is."""

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
        return zlib.compress(planes.data, GZIP_LEVEL)
    row_size = block[0].size
    parts = [_ZLIB_HEADER]
    for number, plane in enumerate(planes, 1):
        deflate = zlib.compressobj(_level(plane, row_size), zlib.DEFLATED, -zlib.MAX_WBITS)
        last = number == len(planes)
        parts.append(deflate.compress(plane.data))
        parts.append(deflate.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH))
    parts.append(struct.pack(">I", zlib.adler32(planes.data)))
    return b"".join(parts)


def _level(plane: np.ndarray[Any, Any], row_size: int) -> int:
    """Deflate level of one byte plane: 0 where deflate would only copy it, slowly."""
    size = max(TRIAL_BYTES, 2 * row_size)  # two rows at least, so that rows that repeat are seen to
    start = max(0, (plane.size - size) // 2)
    piece = plane[start : start + size].data
    return 0 if len(zlib.compress(piece, 1)) > TRIAL_RATIO * len(piece) else GZIP_LEVEL
