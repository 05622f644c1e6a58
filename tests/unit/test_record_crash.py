"""The log while it is written, after a kill, on a full disk, and gone on with."""

import contextlib
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest
import xarray as xr
from log_program import BLOCK, CHANNELS, CHECKPOINT_EVERY, FACTS, N_ROWS, PROGRAM, run

from cosim.errors import EnvironmentFailure, InputError
from cosim.record.recorder import Recorder, resume_state
from cosim.record.result import open_result

WRITER = PROGRAM + textwrap.dedent(
    """
    import time
    facts = eval(sys.argv[2])
    n_rows, pause_s = int(sys.argv[3]), float(sys.argv[4])
    def after(row):
        print(row, flush=True)
        time.sleep(pause_s)
    run(Path(sys.argv[1]), facts, n_rows, 450, 4500, after=after)
    print("done", flush=True)
    """
)


@contextlib.contextmanager
def writer(out, n_rows=N_ROWS, pause_s=0.0):
    """A process that writes the log `out`."""
    command = [sys.executable, "-c", WRITER, str(out), repr(FACTS), str(n_rows), str(pause_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_row(process, row):
    for line in process.stdout:
        if line.strip() == "done" or int(line) >= row:
            return
    raise AssertionError(process.stderr.read())


def contents(path):
    """Bytes of every dataset but provenance, by path."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            value = item[()]
            found[name] = value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else str(value)

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run, never stopped."""
    out = tmp_path_factory.mktemp("whole") / "a.h5"
    run(out, FACTS, N_ROWS, BLOCK, CHECKPOINT_EVERY)
    return out


@pytest.mark.parametrize("row", [450, 1350, 5000, 9000, 15_100, 24_000, 29_700, 30_000])
def test_killed_log_opens_with_every_whole_chunk_and_resumes_to_the_same_bits(tmp_path, whole, row):
    out = tmp_path / "a.h5"
    with writer(out) as process:
        wait_for_row(process, row)
        time.sleep(0.003 * (row % 7))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with open_result(out) as log:
        assert log.status in ("running", "complete")
        assert log.n_rows >= row // 1024 * 1024
        reference = h5py.File(whole, "r")
        for channel in CHANNELS:
            np.testing.assert_array_equal(log.read(channel.path), reference[channel.path][: log.n_rows])
        n_events = len(log.events)
        np.testing.assert_array_equal(log.events.value, reference["events/value"][:n_events])
        reference.close()
        assert log.to_xarray("bus").vm_pu.shape == (log.n_rows, 20)
        ended = log.status == "complete"
    run(out, FACTS, N_ROWS, BLOCK, CHECKPOINT_EVERY)
    assert resume_state(out) == "complete"
    assert contents(out) == contents(whole)
    assert ended or [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_killed_log_opens_plainly_in_xarray(tmp_path):
    out = tmp_path / "a.h5"
    with writer(out, pause_s=0.02) as process:
        wait_for_row(process, 6000)
        process.kill()
        process.wait()
    with xr.open_dataset(out, engine="h5netcdf", group="bus") as bus:
        assert bus.vm_pu.shape[0] >= 5 * 1024
        np.testing.assert_array_equal(bus.t_s, np.arange(bus.sizes["t_s"]) / 10)


def test_live_log_is_read_while_it_grows(tmp_path, whole):
    out = tmp_path / "a.h5"
    with writer(out, n_rows=10_000_000, pause_s=0.01) as process, h5py.File(whole, "r") as reference:
        wait_for_row(process, 2000)
        seen, deadline = [], time.monotonic() + 3
        with open_result(out) as log:
            assert log.status == "running"
            while time.monotonic() < deadline and log.n_rows < 12 * 1024:
                seen.append(log.n_rows)
                assert len(log.read("bus/vm_pu")) == len(log.t_s) == log.n_rows
                log.refresh()
            assert seen == sorted(seen)
            assert seen[-1] > seen[0]
            n = min(log.n_rows, N_ROWS)
            np.testing.assert_array_equal(log.read("bus/vm_pu", 0, n), reference["bus/vm_pu"][:n])
            assert log.to_xarray("bus").sizes == {"t_s": log.n_rows, "name": 20}
        with xr.open_dataset(out, engine="h5netcdf", group="bus", driver_kwds={"swmr": True}) as bus:
            assert bus.sizes["t_s"] >= seen[-1]
        assert process.poll() is None


def test_live_log_opens_plainly_between_flushes_and_lets_no_writer_in(tmp_path):
    out = tmp_path / "a.h5"
    with writer(out, n_rows=10_000_000, pause_s=0.2) as process:  # a flush every half second
        wait_for_row(process, 1500)
        opened = 0
        for _ in range(30):
            with contextlib.suppress(OSError), xr.open_dataset(out, engine="h5netcdf", group="bus") as bus:
                opened += bool((bus.vm_pu[-5:] > 0).all() and bus.t_s[-1] == (bus.sizes["t_s"] - 1) / 10)
        assert opened > 20
        with pytest.raises(OSError, match="lock"):
            h5py.File(out, "r+")
        with pytest.raises(EnvironmentFailure, match="another run is writing"):
            Recorder.create(out, CHANNELS, **FACTS)
        assert process.poll() is None


def test_reader_does_not_keep_a_run_from_finishing(tmp_path):
    out = tmp_path / "a.h5"
    readers = []
    with writer(out, pause_s=0.005) as process:
        wait_for_row(process, 3000)
        readers = [h5py.File(out, "r"), h5py.File(out, "r")]
        wait_for_row(process, N_ROWS + 1)
        assert process.wait(10) == 0
    for reader in readers:
        assert reader["bus/vm_pu"].shape[0] >= 2048
        reader.close()
    with open_result(out) as log:
        assert log.status == "complete"


@pytest.mark.parametrize("status", ["interrupted", "collapsed", "failed"])
def test_ended_log_is_whole_keeps_its_checkpoint_and_resumes_to_the_same_bits(tmp_path, whole, status):
    out = tmp_path / "a.h5"
    run(out, FACTS, N_ROWS, BLOCK, CHECKPOINT_EVERY, stop_at=18_450, status=status)
    with open_result(out) as log:
        assert (log.status, log.n_rows) == (status, 18_450)
        assert log.metrics["n_rows"] == 18_450
    run(out, FACTS, N_ROWS, 1000, CHECKPOINT_EVERY)
    assert contents(out) == contents(whole)


def test_resume_tells_absent_complete_and_no_checkpoint(tmp_path):
    out = tmp_path / "a.h5"
    assert resume_state(out) == "absent"
    run(out, FACTS, 3000, BLOCK, CHECKPOINT_EVERY, stop_at=1350, status="interrupted")
    assert resume_state(out) == "no checkpoint"
    with pytest.raises(InputError, match="without --resume"):
        Recorder.resume(out, CHANNELS, **FACTS)
    run(out, FACTS, 3000, BLOCK, CHECKPOINT_EVERY)
    assert resume_state(out) == "complete"


def test_checkpoint_of_another_run_or_a_torn_one_is_none(tmp_path):
    out, other = tmp_path / "a.h5", tmp_path / "b.h5"
    for place in (out, other):
        run(place, FACTS, N_ROWS, BLOCK, CHECKPOINT_EVERY, stop_at=4500, status="interrupted")
    side = tmp_path / "a.h5.checkpoint"
    data = side.read_bytes()
    side.write_bytes((tmp_path / "b.h5.checkpoint").read_bytes())
    assert resume_state(out) == "no checkpoint"
    side.write_bytes(data[: len(data) // 2])
    assert resume_state(out) == "no checkpoint"


def test_resume_with_another_scenario_names_the_first_line_that_differs(tmp_path):
    out = tmp_path / "a.h5"
    run(out, FACTS, N_ROWS, BLOCK, CHECKPOINT_EVERY, stop_at=9000, status="interrupted")
    with pytest.raises(InputError, match="line 2 of the resolved scenario: 'name: x' then, 'name: y' now"):
        Recorder.resume(out, CHANNELS, **{**FACTS, "scenario_yaml": "schema: 1\nname: y\n"})
    with pytest.raises(InputError, match="seed differ from the log's: 1 then, 2 now"):
        Recorder.resume(out, CHANNELS, **{**FACTS, "seed": 2})
    with pytest.raises(InputError, match="channels differ"):
        Recorder.resume(out, CHANNELS[1:], **FACTS)
    assert resume_state(out) == "resumable"


def test_checkpoint_returns_structured_state_as_it_was(tmp_path):
    out = tmp_path / "a.h5"
    room = np.zeros(2, np.dtype([("t_us", "i8"), ("on", "?"), ("p_mw", "f8", (3,))], align=True))
    room["p_mw"] = np.pi
    recorder = Recorder.create(out, CHANNELS, **FACTS)
    recorder.checkpoint({"load": room, "heap": b"\0\1", "datacenter/a b": np.float64(2.0), "none": b""})
    recorder.finish("interrupted")
    recorder, state = Recorder.resume(out, CHANNELS, **FACTS)
    recorder.finish("interrupted")
    assert state["load"].dtype == room.dtype
    assert (state["load"] == room).all()
    assert (state["heap"], state["none"]) == (b"\0\1", b"")
    assert state["datacenter/a b"] == 2.0
