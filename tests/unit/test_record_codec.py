"""Encoded chunks: what plain zlib and HDF5 make of them, and how their size compares with zlib's."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest
from without_jit import needs_jit

from cosim.errors import InputError
from cosim.record import codec
from cosim.record.channels import Channel
from cosim.record.kernel import unshuffle
from cosim.record.recorder import Recorder
from cosim.record.result import open_result

RNG = np.random.default_rng(5)
ROWS, NODES = 256, 278


def walk():
    return np.cumsum(1e-5 * RNG.standard_normal((ROWS, NODES)), axis=0) + 1


def held():
    """Rows that repeat: the fast level of ISA-L alone takes eight times what zlib does."""
    moving = np.maximum.accumulate(np.where(RNG.random(ROWS) < 0.05, np.arange(ROWS), 0))
    return (RNG.random(NODES) * (3 + 0.02 * RNG.standard_normal((ROWS, 1))) - 30)[moving]


def stilled(rows):
    block = np.random.default_rng(6).standard_normal((ROWS, NODES))
    block[rows] = 1.02
    return block


BLOCKS = {
    "walk": walk,
    "held": held,
    "noise": lambda: RNG.standard_normal((ROWS, NODES)),
    "noise, then still": lambda: stilled(slice(ROWS // 2, None)),
    "still, then noise": lambda: stilled(slice(0, ROWS // 2)),
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


@pytest.mark.twin
def test_bytes_put_together_are_the_words_that_numpy_makes_of_them():
    planes = RNG.integers(0, 256, (4, 1000)).astype(np.uint8)
    planes.setflags(write=False)  # as those of bytes are
    words = np.empty(1000, np.uint32)
    unshuffle(planes, words)
    np.testing.assert_array_equal(words, np.ascontiguousarray(planes.T).view("<u4")[:, 0])


@needs_jit("millions of values")
@pytest.mark.parametrize("dtype", ["f4", "i4"])
@pytest.mark.parametrize("kind", BLOCKS)
def test_decoded_chunk_is_the_one_encoded(kind, dtype):
    block = np.ascontiguousarray((BLOCKS[kind]() * (1 if dtype[0] == "f" else 40)).clip(-100, 100).astype(dtype))
    found = np.empty_like(block)
    codec.decode(codec.encode(block, "gzip"), found)
    np.testing.assert_array_equal(found, block)


def test_decoding_a_chunk_of_another_size_is_refused():
    raw = codec.encode(np.ones((64, 8), "f4"), "gzip")
    with pytest.raises(ValueError, match="512"):
        codec.decode(raw, np.empty((32, 8), "f4"))


def test_reading_compiles_one_kernel_for_one_signature(tmp_path):
    if not hasattr(unshuffle, "signatures"):
        pytest.skip("the JIT is off")
    write(tmp_path / "a.h5", walk_of(1000))
    with open_result(tmp_path / "a.h5") as log:
        log.read("bus/vm_pu")
    assert len(unshuffle.signatures) == 1


@pytest.mark.parametrize(("first", "last"), [(0, 1000), (3, 900), (255, 513), (256, 512), (700, 701), (5, 5)])
def test_rows_read_by_whole_chunks_are_those_of_hdf5(tmp_path, first, last):
    rows = walk_of(1000)
    write(tmp_path / "a.h5", rows)
    with open_result(tmp_path / "a.h5") as log, h5py.File(tmp_path / "a.h5") as file:
        found = log.read("bus/vm_pu", first, last)
        np.testing.assert_array_equal(found, file["bus/vm_pu"][first:last])
        assert found.dtype == np.float32


def test_a_chunk_that_is_damaged_is_told_and_never_given(tmp_path):
    write(tmp_path / "a.h5", walk_of(1000))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        data = file["bus/vm_pu"]
        _, raw = data.id.read_direct_chunk((0, 0))
        data.id.write_direct_chunk((0, 0), raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2))
    with open_result(tmp_path / "a.h5") as log, pytest.raises(InputError, match="damaged"):
        log.read("bus/vm_pu", 0, 1000)


def walk_of(n_row):
    return 1 + np.cumsum(1e-5 * RNG.standard_normal((n_row, NODES)), axis=0)


def write(out, rows):
    names = tuple(f"n{i}" for i in range(NODES))
    facts = {"scenario_yaml": "schema: 1\n", "scenario_name": "x", "seed": 1, "cosim_version": "0.1.0"}
    recorder = Recorder.create(out, [Channel("bus/vm_pu", "pu", names)], **facts)
    recorder.append(np.arange(len(rows)) * 100_000, {"bus/vm_pu": rows.astype("f4")})
    recorder.finish("complete")
