"""Whatever the blocks, and wherever a run stops, the log is the same; what is encoded decodes."""

import itertools
import tempfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.record import codec
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder
from cosim.record.superblock import checksum, without_marks

CHANNELS = (Channel("bus/vm_pu", "pu", ("a", "b", "c")), Channel("source/p_mw", "MW", dtype="f8"))
FACTS = {"scenario_yaml": "name: x\n", "scenario_name": "x", "seed": 1, "cosim_version": "0.1.0"}
N = 5000
NOISE = np.random.default_rng(3).standard_normal((N, 4))
EVENT_ROWS = (3, 500, 501, 2047, 2048, 2500, *range(3000, 3400), 4999)


def feed(recorder, start, stop):
    block = NOISE[start:stop]
    recorder.append(np.arange(start, stop) * 100_000, {"bus/vm_pu": block[:, :3], "source/p_mw": block[:, 3]})
    for row in EVENT_ROWS:
        if start <= row < stop:
            recorder.add_event(row * 100_000, "tap_changed", f"t{row}", float(row), "x" * (row % 50))


def contents(path):
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype != object:
            found[name] = (item.shape, zlib.crc32(item[()].tobytes()))

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "a.h5"
    recorder = Recorder.create(out, CHANNELS, **FACTS)
    for start in range(0, N, 1000):
        feed(recorder, start, start + 1000)
    recorder.finish("complete", {"a_mw": 1.0})
    return contents(out)


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, N - 1), max_size=12, unique=True).map(sorted),
    checkpoint_after=st.integers(0, 12),
    lost_after=st.integers(0, 4),
    ended=st.booleans(),
)
def test_log_does_not_depend_on_blocks_checkpoint_or_stop(whole, cuts, checkpoint_after, lost_after, ended):
    edges = [0, *cuts, N]
    pieces = list(itertools.pairwise(edges))
    k = min(checkpoint_after, len(pieces))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a.h5"
        recorder = Recorder.create(out, CHANNELS, **FACTS)
        for piece in pieces[:k]:
            feed(recorder, *piece)
        recorder.checkpoint({"k": np.array(k)})
        for piece in pieces[k : k + lost_after]:
            feed(recorder, *piece)
        if ended:
            recorder.finish("interrupted", {"b_mw": 2.0})
        else:
            recorder._stream.abandon()  # as a kill leaves it: nothing pending is written
        recorder, state = Recorder.resume(out, CHANNELS, **FACTS)
        for piece in pieces[int(state["k"]) :]:
            feed(recorder, *piece)
        recorder.finish("complete", {"a_mw": 1.0})
        assert contents(out) == whole


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    shape=st.tuples(st.sampled_from([64, 1024]), st.integers(1, 40)),
    dtype=st.sampled_from(["f4", "f8", "i8"]),
    kind=st.sampled_from(["noise", "steps", "constant", "mixed"]),
)
def test_encoded_chunk_is_plain_shuffle_and_deflate(seed, shape, dtype, kind):
    noise = np.random.default_rng(seed).standard_normal(shape) * 1000
    blocks = {"noise": noise, "steps": noise.round(-3), "constant": noise * 0 + seed}
    block = blocks.get(kind, np.where(np.arange(shape[0])[:, None] % 100 < 50, noise, 1.0)).astype(dtype)
    planes = np.frombuffer(zlib.decompress(codec.encode(block, "gzip")), np.uint8)
    decoded = np.ascontiguousarray(planes.reshape(block.itemsize, -1).T).view(block.dtype).reshape(block.shape)
    assert decoded.tobytes() == block.tobytes()


@settings(max_examples=20, deadline=None)
@given(size=st.integers(0, 5000))
def test_checksum_is_the_one_hdf5_writes(size):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            file["x"] = np.zeros(size)
            file.flush()
            marked = path.read_bytes()[:48]
        block = path.read_bytes()[:48]
    assert checksum(block[:44]) == int.from_bytes(block[44:], "little")
    assert marked[11] != 0
    cleared = without_marks(marked)
    assert cleared[11] == 0
    assert checksum(cleared[:44]) == int.from_bytes(cleared[44:], "little")
