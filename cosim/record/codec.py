"""Chunk encoding: shuffle and deflate done here and handed over ready, or a filter from hdf5plugin.

HDF5's own pipeline spends about as long around a filter as in it; encoding whole chunks here and writing
them as they are takes a third less time, and tells the exact size before the file is touched. What is
stored is plain HDF5 shuffle and deflate either way.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from cosim.errors import EnvironmentFailure, InputError

GZIP_LEVEL = 1
"""Deflate level. On a simulated log level 4 takes 16 % longer and saves 2 % (docs/log_format.md)."""

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
    return zlib.compress(planes, GZIP_LEVEL)
