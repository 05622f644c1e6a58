"""The log while it is written, after a kill, on a full disk, and gone on with."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest
import xarray as xr

from cosim.errors import EnvironmentFailure, InputError
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder, resume_state
from cosim.record.result import open_result

FACTS = {"scenario_yaml": "schema: 1\nname: x\n", "scenario_name": "x", "seed": 1, "cosim_version": "0.1.0"}
N_ROWS, BLOCK, CHECKPOINT_EVERY = 30_000, 450, 4_500

# One program for writer processes and for the tests themselves: a run whose rows follow from a generator's
# state, as an engine's do, with a checkpoint now and then.
PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path

    import numpy as np

    from cosim.record.channels import Channel
    from cosim.record.recorder import Recorder, resume_state

    CHANNELS = (
        Channel("bus/vm_pu", "pu", tuple(f"bus {i}" for i in range(20))),
        Channel("source/p_mw", "MW"),
        Channel("ups/campus/soc", "1", dtype="f8"),
    )

    def run(out, facts, n_rows, block, every, stop_at=None, status="complete", after=lambda row: None):
        generator, row = np.random.Generator(np.random.PCG64(5)), 0
        state = resume_state(out)
        if state == "complete":
            return
        if state == "resumable":
            recorder, kept = Recorder.resume(out, CHANNELS, **facts)
            row = int(kept["row"])
            generator.bit_generator.state = {
                "bit_generator": "PCG64", "has_uint32": 0, "uinteger": 0,
                "state": {"state": int.from_bytes(kept["state"], "little"),
                          "inc": int.from_bytes(kept["inc"], "little")},
            }
        else:
            recorder = Recorder.create(out, CHANNELS, **facts)
        while row < n_rows and row != stop_at:
            n = min(block, n_rows - row, every - row % every)
            noise = generator.standard_normal((n, 22))
            columns = {
                "bus/vm_pu": 1 + 0.01 * noise[:, :20].round(2),
                "source/p_mw": noise[:, 20],
                "ups/campus/soc": noise[:, 21],
            }
            recorder.append(np.arange(row, row + n) * 100_000, columns)
            for i in range(row - row % -77, row + n, 77):
                recorder.add_event(i * 100_000, "tap_changed", f"trafo {i}", noise[i - row, 0], "up")
            row += n
            if row % every == 0:
                inner = generator.bit_generator.state["state"]
                recorder.checkpoint({
                    "row": np.array(row),
                    "state": inner["state"].to_bytes(16, "little"),
                    "inc": inner["inc"].to_bytes(16, "little"),
                })
            after(row)
        recorder.finish(status, {"n_rows": row} | {f"sag/depth_pu/bus {i}": i / 7 for i in range(40)})
    """
)
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
space: dict = {}
exec(PROGRAM, space)
run, CHANNELS = space["run"], space["CHANNELS"]


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


FULL = PROGRAM + textwrap.dedent(
    """
    import os, resource
    from cosim.errors import EnvironmentFailure
    facts = eval(sys.argv[2])
    if sys.argv[3] != "disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
    if sys.argv[3] == "unreserved":
        del os.posix_fallocate
    recorder = Recorder.create(Path(sys.argv[1]), CHANNELS, **facts)
    rows = np.random.default_rng(0).standard_normal((500, 22))
    columns = {"bus/vm_pu": rows[:, :20], "source/p_mw": rows[:, 20], "ups/campus/soc": rows[:, 21]}
    try:
        for start in range(0, 200_000, 500):
            recorder.append(np.arange(start, start + 500) * 100_000, columns)
            if start == 3000:
                recorder.checkpoint({"row": np.array(start)})
    except EnvironmentFailure as error:
        print(error)
    try:
        recorder.finish("failed", {"p_mw": 1.0})
    except EnvironmentFailure as error:
        print(error)
    """
)


def fill(out, how):
    command = [sys.executable, "-c", FULL, str(out), repr(FACTS), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def assert_kept(out, done, what):
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert what in lines[0]
    assert "kept" in lines[0]
    assert "--resume" in lines[0]
    assert all(line.startswith(str(out)) for line in lines)
    with open_result(out) as log:
        assert log.n_rows >= 4 * 1024
        assert np.isfinite(log.read("bus/vm_pu")).all()
        assert (log.read("bus/vm_pu")[-1] != 0).all()
    assert resume_state(out) == "resumable"
    recorder, state = Recorder.resume(out, CHANNELS, **FACTS)
    assert recorder.n_rows == 3500
    assert state["row"] == 3000
    recorder.finish("interrupted")


@pytest.mark.parametrize("how", ["reserved", "unreserved"])
def test_file_size_limit_keeps_what_was_written(tmp_path, how):
    done = fill(tmp_path / "a.h5", how)
    assert_kept(tmp_path / "a.h5", done, "the file size limit is reached")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("how", ["disk"])
def test_full_disk_keeps_what_was_written(tmp_path, how):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", disk], capture_output=True).returncode:
        pytest.skip("no mounting here")
    try:
        out = disk / "a.h5"
        done = fill(out, how)
        assert (done.returncode, done.stderr) == (0, "")
        assert "the disk is full" in done.stdout
        with open_result(out) as log:
            assert log.status == "failed"
            assert log.n_rows >= 4 * 1024
        side = disk / "a.h5.checkpoint"
        assert side.exists()
        (tmp_path / "a.h5").write_bytes(out.read_bytes())
        (tmp_path / "a.h5.checkpoint").write_bytes(side.read_bytes())
        assert resume_state(tmp_path / "a.h5") == "resumable"
    finally:
        subprocess.run(["umount", disk], check=True)


def test_write_into_a_folder_that_is_not_ours_is_refused(tmp_path, monkeypatch):
    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", denied)
    with pytest.raises(EnvironmentFailure, match="permission denied") as caught:
        Recorder.create(tmp_path / "a.h5", [Channel("source/p_mw", "MW")], **FACTS)
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


TORN = PROGRAM + textwrap.dedent(
    """
    import os
    facts, limit = eval(sys.argv[2]), int(sys.argv[3])
    recorder = Recorder.create(Path(sys.argv[1]), CHANNELS, **facts)
    rows = np.ones((1500, 22))
    columns = {"bus/vm_pu": rows[:, :20], "source/p_mw": rows[:, 20], "ups/campus/soc": rows[:, 21]}
    recorder.append(np.arange(1500) * 100_000, columns)
    recorder._write_rest()
    recorder._stream.close()
    whole, n_written = os.pwrite, 0
    def pwrite(*args):
        global n_written
        if n_written == limit:
            os._exit(9)
        n_written += 1
        return whole(*args)
    os.pwrite = pwrite
    recorder.finish("complete", {f"sag/depth_pu/bus {i}": i / 7 for i in range(40)})
    print(n_written)
    """
)


def test_log_killed_between_any_two_writes_of_its_end_opens(tmp_path):
    out, statuses = tmp_path / "a.h5", []
    for limit in range(200):
        command = [sys.executable, "-c", TORN, str(out), repr(FACTS), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        with open_result(out) as log:
            assert log.n_rows == 1500
            assert (log.read("bus/vm_pu") == 1).all()
            statuses.append(log.status)
            assert len(log.metrics.get("sag", {}).get("depth_pu", {})) in (0, 40)
        if done.returncode == 0:
            break
    assert statuses[-1] == "complete"
    assert 3 < len(statuses) < 100
