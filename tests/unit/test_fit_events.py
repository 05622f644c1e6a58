"""An event log beside a trace: read, aligned with it, and used in place of guesses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cosim import cli
from cosim.errors import InputError
from cosim.fit.events import align, load_events
from cosim.fit.logged import logged
from cosim.fit.reading import Trace

PERIOD_S, N_STEP, EVAL_S = 8.5, 10, 21.0


def machine(n_block=14, start_s=37.0, seed=3):
    """A trace of 1 s samples, and its log: blocks of ten iterations that dip, evaluations between, idle around."""
    t_s = np.arange(start_s + n_block * (N_STEP * PERIOD_S + EVAL_S) + 60)
    p_mw = np.full(len(t_s), 0.2)
    rows, at_s = [(start_s, "run_start", "")], start_s
    for _ in range(n_block):
        rows.append((at_s, "block_start", ""))
        for _ in range(N_STEP):
            p_mw[(t_s >= at_s) & (t_s < at_s + PERIOD_S)] = 1.0
            p_mw[(t_s >= at_s) & (t_s < at_s + 2.5)] = 0.7
            at_s += PERIOD_S
            rows.append((at_s, "tracked_stats", '{"train_step_timing in s": 8.4}'))
        rows += [(at_s, "block_stop", ""), (at_s, "eval_start", "")]
        p_mw[(t_s >= at_s) & (t_s < at_s + EVAL_S)] = 0.9
        at_s += EVAL_S
        rows.append((at_s, "eval_stop", ""))
    rows.append((at_s, "run_stop", ""))
    p_mw = p_mw + 0.004 * np.random.default_rng(seed).standard_normal(len(t_s))
    return Trace("synthetic.csv", 1.0, p_mw), pd.DataFrame(rows, columns=["t_s", "key", "value"])


def write(folder: Path, log: pd.DataFrame, *, unix: bool) -> Path:
    if unix:
        log = log.assign(time_ms=(1.7e12 + 1000 * log.t_s).astype(int)).drop(columns="t_s")
    path = folder / "events.csv"
    log.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("unix", [False, True])
def test_log_is_found_on_the_clock_of_its_trace(tmp_path, unix):
    trace, log = machine()
    found = align(load_events(write(tmp_path, log, unix=unix)), trace.p_mw, trace.dt_s)
    assert found.run[0] == pytest.approx(37, abs=1.01)
    assert found.explained > 0.5


def test_iteration_evaluation_start_and_stop_are_the_logs(tmp_path):
    trace, log = machine()
    found = logged(trace, align(load_events(write(tmp_path, log, unix=True)), trace.p_mw, trace.dt_s))
    assert found.kind == "training"
    assert sum(level.duration_s for level in found.main) == pytest.approx(PERIOD_S, rel=1e-6)
    assert min(level.p_mw for level in found.main) == pytest.approx(0.7, abs=0.03)
    assert max(level.p_mw for level in found.main) == pytest.approx(1.0, abs=0.03)
    assert found.evaluation is not None
    assert found.evaluation.every_n == N_STEP
    assert found.evaluation.duration_s == pytest.approx(EVAL_S, rel=1e-6)
    assert found.evaluation.p_mw == pytest.approx(0.9, abs=0.01)
    assert found.stop_s == pytest.approx(37 + 14 * (N_STEP * PERIOD_S + EVAL_S), abs=1.01)
    assert found.floor_mw == pytest.approx(0.2, abs=0.01)
    assert sum(level.duration_s for level in found.start) == pytest.approx(37, abs=1.01)


def test_log_of_another_run_is_refused(tmp_path):
    _, log = machine()
    other = 1 + 0.1 * np.random.default_rng(5).standard_normal(4000)
    with pytest.raises(InputError, match="it is the log of another run"):
        align(load_events(write(tmp_path, log, unix=True)), other, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log: log.rename(columns={"t_s": "when"}), r"looks for columns key and one of t_s, time_ms .*when"),
        (lambda log: log.rename(columns={"key": "what"}), r"looks for columns key"),
        (lambda log: log.assign(t_s=log.t_s.mask(log.index == 5)), r"events\.csv:7: t_s is not a finite number"),
        (lambda log: log[log.key == "tracked_stats"], r"has no run_start and run_stop"),
        (lambda log: log.drop(log.index[log.key == "eval_stop"][0]), r"eval_start has no eval_stop before the next"),
    ],
)
def test_wrong_logs_are_refused_with_place(tmp_path, change, message):
    _, log = machine(n_block=3)
    with pytest.raises(InputError, match=message):
        load_events(write(tmp_path, change(log), unix=False))


def test_command_refuses_a_log_that_is_not_there(tmp_path, monkeypatch, capsys):
    trace, _ = machine()
    path = tmp_path / "trace.csv"
    pd.DataFrame({"t_s": np.arange(len(trace.p_mw)), "p_mw": trace.p_mw}).to_csv(path, index=False)
    monkeypatch.setattr(sys, "argv", ["cosim", "fit", str(path), "--events", str(tmp_path / "none.csv")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert "cannot read this event log" in capsys.readouterr().err


SMC = [  # trace, start of the run behind the first sample of its power log [s], by both logs' Unix times
    ("smc_gpt3_175b_64n_run1", -0.208),
    ("smc_llama2_70b_lora_8n", -0.936),
    ("smc_llama2_70b_lora_1n", 55.559),
]


@pytest.mark.validation
@pytest.mark.parametrize(("stem", "start_s"), SMC)
def test_measured_runs_are_aligned_to_their_unix_times(shared, stem, start_s):
    folder = shared / "data" / "power_traces"
    p_mw = pd.read_csv(folder / f"{stem}_aggregate_1s.csv").ac_kw.to_numpy() / 1000
    log = align(load_events(folder / f"{stem}_events.csv"), p_mw, 1.0)
    assert log.run[0] == pytest.approx(start_s, abs=2.0)  # nodes are read once in 2 s


@pytest.mark.validation
def test_gpt3_takes_its_iteration_and_evaluation_from_the_log(shared):
    """12 steps in 129.2 s between evaluations of 13.1 s (MLPerf Training v4.0, SMC)."""
    folder = shared / "data" / "power_traces"
    p_mw = pd.read_csv(folder / "smc_gpt3_175b_64n_run1_aggregate_1s.csv").ac_kw.to_numpy() / 1000
    log = align(load_events(folder / "smc_gpt3_175b_64n_run1_events.csv"), p_mw, 1.0)
    found = logged(Trace("gpt3.csv", 1.0, p_mw), log)
    assert sum(level.duration_s for level in found.main) == pytest.approx(129.2 / 12, rel=0.003)
    assert found.evaluation is not None
    assert found.evaluation.every_n == 12
    assert found.evaluation.duration_s == pytest.approx(13.1, rel=0.02)
    assert found.evaluation.p_mw == pytest.approx(0.409, rel=0.01)
