"""Studies that lose workers, their scheduler, their disk or themselves: nothing is lost and nothing is done twice."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cosim.study.execute
from cosim.errors import EnvironmentFailure
from cosim.study import Place, command, open_study, run_study
from cosim.study.engine import Pool
from cosim.study.study import Planned

COMMAND = [sys.executable, "-m", "cosim.cli", "study", "s.yaml", "--quiet", "-o"]
STUDY = """\
schema: 1
name: s
scenario: quickstart_no_ups
kind: sweep
set:
  time.duration_s: %d
  events: []
grid:
  seed: {start: 1, stop: %d, n: %d}
"""


def written(folder, n, duration_s=60):
    (folder / "s.yaml").write_text(STUDY % (duration_s, n, n))


def runs_of(folder):
    return {p.name: p.stat().st_ino for p in (folder / "runs").glob("[0-9a-f]*")}


def children_of(pid):
    """Processes below one, which are none of anybody else's."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def workers_of(pid):
    """Worker processes of a study: forks of the process that it started to load what they need."""
    found = []
    for child in children_of(pid):
        try:
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                found += children_of(child)
        except OSError:
            continue
    return found


def kill_at_random(folder, n_kill, seed, longest_s):
    """Start the study again and again, and kill it or one of its workers at random moments."""
    draw = random.Random(seed)
    n_killed = {"study": 0, "worker": 0}
    process = None
    while sum(n_killed.values()) < n_kill:
        if process is None or process.poll() is not None:
            assert process is None or process.returncode in (0, -signal.SIGKILL)
            process = subprocess.Popen([*COMMAND, "cut", "--workers", "2"], cwd=folder, stderr=subprocess.DEVNULL)
        victim = draw.choice(["study", "worker"])
        while victim == "worker" and process.poll() is None and not workers_of(process.pid):
            time.sleep(0.05)
        time.sleep(draw.uniform(0.1, longest_s))
        if process.poll() is not None:
            break  # it ended before it could be killed often enough
        if victim == "study":
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        elif workers := workers_of(process.pid):
            os.kill(draw.choice(workers), signal.SIGKILL)
        else:
            continue
        n_killed[victim] += 1
    if process is not None and process.poll() is None:
        process.wait(1200)
    return n_killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_kill", "n_run"),
    [
        (3, 60),
        pytest.param(
            20, 1000, marks=pytest.mark.skipif("COSIM_LONG_TESTS" not in os.environ, reason="ten minutes: on demand")
        ),
    ],
)
def test_study_killed_at_random_moments_ends_with_the_same_summary(tmp_path, n_kill, n_run):
    written(tmp_path, n_run)
    subprocess.run([*COMMAND, "whole", "--workers", "2"], cwd=tmp_path, check=True, timeout=3000)
    killed = kill_at_random(tmp_path, n_kill, seed=7, longest_s=5.0)
    print(f"killed: {killed}")
    assert sum(killed.values()) == n_kill
    assert n_kill < 20 or min(killed.values()) > 2  # both kinds
    kept = runs_of(tmp_path / "cut")
    subprocess.run([*COMMAND, "cut", "--workers", "2"], cwd=tmp_path, check=True, timeout=3000)
    now = runs_of(tmp_path / "cut")
    assert {name: now[name] for name in kept} == kept  # what was done is not done again
    assert len(now) == n_run
    for name in ("summary.csv", "summary.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("a small file system needs root and mount")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_full_disk_lists_the_runs_it_stopped_and_the_same_command_goes_on(tmp_path, small_disk):
    written(tmp_path, 4, duration_s=60)
    with (tmp_path / "s.yaml").open("a") as file:
        file.write("keep_logs: true\nmetrics: [voltage.vm_min_pu]\n")
    whole = run_study(tmp_path / "s.yaml", tmp_path / "whole", place=Place(n_worker=0))
    run = max(sum(file.stat().st_size for file in one.iterdir()) for one in (whole.folder / "runs").iterdir())
    assert run > 200_000  # half a run is ample for the summary, however the disk counts; no page is that small
    disk = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(disk.f_bavail * disk.f_frsize - int(2.5 * run)))
    with pytest.raises(EnvironmentFailure, match=r"study\.html"):  # the page has no room either
        run_study(tmp_path / "s.yaml", small_disk / "d", place=Place(n_worker=0))
    stopped = open_study(small_disk / "d").failed
    assert 1 <= len(stopped) < 4
    assert stopped["error"].str.contains("the machine failed.*No space left").all()
    assert len(runs_of(small_disk / "d")) == 4 - len(stopped)
    assert not list((small_disk / "d" / "runs").glob(".*.part"))
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    again = run_study(tmp_path / "s.yaml", small_disk / "d", place=Place(n_worker=0))
    assert (again.folder / "summary.csv").read_bytes() == (whole.folder / "summary.csv").read_bytes()


def test_run_that_the_machine_stops_is_told_with_exit_code_4_and_the_others_are_done(tmp_path, monkeypatch, capsys):
    written(tmp_path, 3, duration_s=20)
    run = cosim.study.execute._run

    def full_once(document, overrides, seed, log, keep_log):
        if overrides["seed"] == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return run(document, overrides, seed, log, keep_log)

    monkeypatch.setattr(cosim.study.execute, "_run", full_once)
    with pytest.raises(EnvironmentFailure, match=r"1 runs were not done, .*No space left") as told:
        command.run_and_say(
            str(tmp_path / "s.yaml"), tmp_path / "d", Place(n_worker=0), yes=False, retry_failed=False, quiet=True
        )
    assert told.value.exit_code == 4
    assert open_study(tmp_path / "d").table["status"].tolist() == ["complete", "failed", "complete"]


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and a worker, as a user starts them."""
    address = tmp_path / "scheduler.json"
    base = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    told = ["--scheduler-file", str(address)]
    scheduler = subprocess.Popen([*base, "scheduler", *told, "--port", "0", "--no-dashboard"], **quiet)
    worker = subprocess.Popen([*base, "worker", *told, "--nthreads", "1", "--no-dashboard"], **quiet)
    until = time.monotonic() + 60
    while not address.exists() and time.monotonic() < until:
        time.sleep(0.1)
    yield scheduler, json.loads(address.read_text())["address"]
    for process in (worker, scheduler):
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_lost_scheduler_ends_the_study_with_its_name_and_another_place_goes_on(tmp_path, cluster):
    scheduler, address = cluster
    written(tmp_path, 8)
    until = time.monotonic() + 60
    while True:  # the worker may take a moment to join
        told = [*COMMAND, "d", "--scheduler", address]
        study = subprocess.Popen(told, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        while study.poll() is None and len(runs_of(tmp_path / "d")) < 2:
            time.sleep(0.05)
        if study.poll() is None or time.monotonic() > until:
            break
    scheduler.kill()
    _, said = study.communicate(timeout=120)
    assert study.returncode == 4, said
    assert "scheduler was lost" in said
    kept = runs_of(tmp_path / "d")
    assert 2 <= len(kept) < 8
    result = run_study(tmp_path / "s.yaml", tmp_path / "d", place=Place(n_worker=0))
    assert len(result.table) == 8
    assert {name: runs_of(tmp_path / "d")[name] for name in kept} == kept


def test_task_that_kills_its_worker_is_listed_and_its_neighbours_are_done(tmp_path, monkeypatch):
    written(tmp_path, 6, duration_s=10)
    rows = {}
    with Pool(Place(n_worker=2), work=die_at_3) as pool:
        pool.run(Planned(tmp_path / "s.yaml", tmp_path / "d").orders(), lambda o, row: rows.update({o.task.index: row}))
    assert [rows[k]["status"] for k in range(6)] == ["complete"] * 3 + ["failed"] + ["complete"] * 2
    assert "KilledWorker" in rows[3]["error"]


def die_at_3(orders):
    """Work that takes its worker with it at one task."""
    if any(order.task.index == 3 for order in orders):
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"run": order.run, "status": "complete", "error": "", "metrics": {}} for order in orders]


def test_worker_that_dies_while_dask_starts_it_does_not_end_the_study(tmp_path):
    written(tmp_path, 12, duration_s=20)
    process = subprocess.Popen([*COMMAND, "d", "--workers", "2"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (workers := workers_of(process.pid)) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(workers[0], signal.SIGKILL)
    assert process.wait(120) == 0
    assert len(open_study(tmp_path / "d").table) == 12
