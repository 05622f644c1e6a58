"""Logs that are not whole, too coarse, or another version's; limits that nobody knows: told, never a number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import pytest
from synthetic_log import campus_log, write_log

import cosim
from cosim.errors import InputError
from cosim.metrics import analyse, summarize
from cosim.metrics.limits import load_limits

COSIM = [sys.executable, "-m", "cosim.cli"]
HEAD = "schema: 1\nname: mine\ndescription: mine\nlimits:\n"
ABOUT = "    title: One\n    source: contract\n    measured: readings\n"
KINDS = {
    "mean_voltage": ("window_s: 5, min_pu: 0.95, max_pu: 1.05", "at most 5 s"),
    "rapid_change": ("larger_than_percent: 3, max_n: 0", "at most 0.25 s"),
    "step_change": ("max_percent: 3", "at most 0.1 s"),
    "flicker": ("term: short, max: 0.9", "at most 0.05 s"),
    "ramp": ("window_s: 5, max_mw_per_min: 20", "at most 5 s"),
    "oscillation": ("from_hz: 0.1, to_hz: 1, max_percent: 5", "at most 0.4 s"),
    "mode": ("f_hz: 0.4, width_hz: 0.1", "at most 0.888889 s"),
    "recovery": ("max_s: 1", "at most 0.5 s"),
    "demand": ("window_s: 5, max_mw: 5", "at most 5 s"),
    "power_factor": ("window_s: 5, min: 0.95", "at most 5 s"),
    "unbalance": ("window_s: 5, max_percent: 3", "at most 5 s"),
    "loading": ("window_s: 5, max_percent: 100", "at most 5 s"),
}
"""Keys of a limit, and what is said of it of a log with a row every 10 s."""


def limits_file(tmp_path, kind, keys):
    file = tmp_path / "mine.yaml"
    body = "".join(f"    {key}\n" for key in keys.split(", "))
    file.write_text(f"{HEAD}  - name: one\n    kind: {kind}\n{ABOUT}{body}")
    return str(file)


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_too_coarse_for_a_limit_says_the_step_it_needs_and_no_number(tmp_path, kind):
    keys, words = KINDS[kind]
    log = campus_log(7200.0, 10.0, n_bus=3, blackout=False)
    log.channels["datacenter/campus/q_mvar"] = log.channels["datacenter/campus/p_grid_mw"]
    log.channels["datacenter/campus/vm_pu"] = log.channels["bus/vm_pu"][:, 0]
    (found,) = analyse(log, load_limits([limits_file(tmp_path, kind, keys)])).verdicts
    assert found.status == "not_seen"
    assert found.value is None
    assert words in found.note


def test_a_log_too_coarse_has_no_metric_of_what_it_cannot_see():
    found = summarize(campus_log(7200.0, 10.0, n_bus=3, blackout=False))
    assert set(found["datacenter"]["campus"]["ramp"]["grid"]) == {"60s", "600s"}
    assert "swing_1s_mw" not in found["source"]["swing"]
    assert "spectrum" not in found["standards"]
    assert "n_rvc" not in found["standards"].get("terminal", {}).get("campus", {})


@pytest.mark.parametrize("status", ["running", "collapsed", "interrupted", "failed"])
def test_a_log_that_is_not_whole_says_so_first(tmp_path, status):
    log = campus_log(120.0)
    log.status = "failed" if status == "running" else status
    write_log(log, tmp_path / "a.h5")
    if status == "running":
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file.attrs["status"] = "running"
    done = subprocess.run([*COSIM, "show", tmp_path / "a.h5"], capture_output=True, text=True, check=True)
    note = {"running": "still being written, or was killed", "collapsed": "no power flow solution exists"}
    assert note.get(status, f"was {status}" if status == "interrupted" else "This run failed") in done.stdout
    assert done.stdout.index(status) < done.stdout.index("Limits:")
    with cosim.open_result(tmp_path / "a.h5") as result:
        assert summarize(result)["run"]["status"] == status


def test_a_run_killed_midway_has_the_metrics_of_what_was_written(tmp_path):
    run = [*COSIM, "run", "quickstart", "-o", "a.h5", "--quiet", "--set", "time.duration_s=86400", "--set", "events=[]"]
    started = subprocess.Popen(run, cwd=tmp_path)
    try:
        for _ in range(3000):
            time.sleep(0.1)
            if (tmp_path / "a.h5").is_file() and (tmp_path / "a.h5").stat().st_size > 2e6:
                break
    finally:
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
    done = subprocess.run([*COSIM, "show", "a.h5", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = json.loads(done.stdout)
    assert shown["run"]["status"] == "running"
    assert 0.0 < shown["run"]["end_s"] < 86400.0
    assert "work" not in shown["datacenter"]["campus"]  # jobs are counted at the end


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_log_of_another_version_is_refused_with_exit_2(tmp_path, command):
    write_log(campus_log(20.0), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["schema"] = 99
    done = subprocess.run([*COSIM, command, tmp_path / "a.h5"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not a log of cosim that this version reads (schema" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "keys", "words"),
    [
        ("ramp", "max_kw_per_min: 20", "max_mw_per_min"),
        ("ramp", "max_mw_per_min: 20 MW", "max_mw_per_min"),
        ("ramp", "max_mw_per_min: 20, window_min: 1", "window_s"),
        ("mean_voltage", "min_v: 114, max_pu: 1.05", "min_pu"),
        ("mean_voltage", "min_pu: 1.05, max_pu: 0.95", "is not below"),
        ("oscillation", "from_hz: 5, to_hz: 1, max_percent: 3", "is not below"),
        ("flicker", "term: medium, max: 1", "term"),
        ("voltage", "min_pu: 0.9", "mean_voltage"),
    ],
)
def test_limits_with_unknown_names_or_units_are_refused_with_those_known(tmp_path, kind, keys, words):
    with pytest.raises(InputError, match=words) as wrong:
        load_limits([limits_file(tmp_path, kind, keys)])
    assert "mine.yaml" in str(wrong.value)


def test_unknown_limits_end_a_command_with_exit_2_before_the_log_is_read(tmp_path):
    done = subprocess.run(
        [*COSIM, "show", tmp_path / "none.h5", "--limits", "ansi"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such file of limits; nearest: ansi_c84_1" in done.stderr
