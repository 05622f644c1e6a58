"""A log whose writes fail or are cut off: a full disk, a folder that is not ours, a kill between two writes."""

import os
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from log_program import CHANNELS, FACTS, PROGRAM

from cosim.errors import EnvironmentFailure
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder, resume_state
from cosim.record.result import open_result

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


CUT = PROGRAM + textwrap.dedent(
    """
    import os, signal
    from cosim.record.stream import Stream
    facts = eval(sys.argv[2])
    recorder = Recorder.create(Path(sys.argv[1]), CHANNELS, **facts)
    n_flush = 0

    def cut(stream):
        # HDF5 says last that the file has grown: a kill just before that leaves these bytes as they were.
        global n_flush
        n_flush += 1
        before = os.pread(stream._fd, 48, 0)
        stream._file.flush()
        if n_flush == 3:
            os.pwrite(stream._fd, before, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        flush(stream)

    flush, Stream._flush = Stream._flush, cut
    rows = np.random.default_rng(0).standard_normal((500, 22))
    columns = {"bus/vm_pu": rows[:, :20], "source/p_mw": rows[:, 20], "ups/campus/soc": rows[:, 21]}
    for start in range(0, 200_000, 500):
        recorder.append(np.arange(start, start + 500) * 100_000, columns)
    """
)


def test_log_killed_within_a_flush_reads_plainly_up_to_its_last_row(tmp_path):
    out = tmp_path / "a.h5"
    done = subprocess.run([sys.executable, "-c", CUT, str(out), repr(FACTS)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with h5py.File(out, "r") as file:
        rows = {name: file[name][:] for name in ("t_s", "bus/vm_pu", "source/p_mw", "ups/campus/soc")}
    assert len(rows["t_s"]) > 0
    assert all(np.isfinite(values).all() for values in rows.values())
    with open_result(out) as result:
        assert result.n_rows > 0
