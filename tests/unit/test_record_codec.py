"""Encoded chunks: what plain zlib and HDF5 make of them, and how their size compares with zlib's."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest

from cosim.record import codec

RNG = np.random.default_rng(5)
ROWS, NODES = 256, 278


def walk():
    return np.cumsum(1e-5 * RNG.standard_normal((ROWS, NODES)), axis=0) + 1


def held():
    """Rows that repeat: the fast level of ISA-L alone takes eight times what zlib does."""
    moving = np.maximum.accumulate(np.where(RNG.random(ROWS) < 0.05, np.arange(ROWS), 0))
    return (RNG.random(NODES) * (3 + 0.02 * RNG.standard_normal((ROWS, 1))) - 30)[moving]


BLOCKS = {
    "walk": walk,
    "held": held,
    "noise": lambda: RNG.standard_normal((ROWS, NODES)),
    "constant": lambda: np.full((ROWS, NODES), 1.02),
    "zeros": lambda: np.zeros((ROWS, NODES)),
    "narrow": lambda: RNG.standard_normal((ROWS, 3)),
    "single": lambda: RNG.standard_normal(ROWS),
    "one": lambda: RNG.standard_normal((1, NODES)),
    "wide": lambda: 1 + 1e-4 * RNG.standard_normal((64, 8531)),
}


def shuffled(block):
    return np.ascontiguousarray(block.reshape(-1).view(np.uint8).reshape(-1, block.itemsize).T).tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
@pytest.mark.parametrize("kind", BLOCKS)
def test_encoded_chunk_is_what_zlib_and_hdf5_read(tmp_path, kind, dtype):
    block = np.ascontiguousarray((BLOCKS[kind]() * (1000 if dtype == "i8" else 1)).astype(dtype))
    data = codec.encode(block, "gzip")
    assert zlib.decompress(data) == shuffled(block)
    assert codec.encode(block, "gzip") == data
    with h5py.File(tmp_path / "a.h5", "w") as file:
        target = file.create_dataset("x", block.shape, dtype, chunks=block.shape, compression="gzip", shuffle=True)
        target.id.write_direct_chunk((0,) * block.ndim, data)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"][...], block)


@pytest.mark.parametrize("kind", BLOCKS)
def test_encoded_chunk_is_hardly_larger_than_zlibs_and_never_than_raw(kind):
    block = BLOCKS[kind]().astype("f4")
    size = len(codec.encode(block, "gzip"))
    assert size <= 1.25 * len(zlib.compress(shuffled(block), 4)) + 64
    assert size <= block.nbytes + 64
