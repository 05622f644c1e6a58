"""Starts announced to the grid and held by it: by hand, and against the power that the engine settles at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from engine_cases import UPS, campus, scenario, simulate
from synthetic_log import EVENT_COLUMNS, SyntheticLog

from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.metrics import analyse, summarize
from cosim.metrics.limits import load_limits
from cosim.report.findings import findings
from cosim.wiring import prepare

LEVEL = {
    "kind": "training",
    "start_s": None,
    "accelerators": 1024,
    "cold_start": [{"duration_s": 2, "utilization": 0.2}],
    "iteration": [{"duration_s": 1, "utilization": 0.8}],
}
START = {"kind": "job_started", "at_s": 20, "datacenter": "campus", "job": "level"}
HOLD = {"kind": "start_hold_started", "at_s": 15, "datacenter": "campus", "duration_s": 8}


def case(*events, job=None, duration_s=40.0, **facility):
    load = {"accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90}, "p_base_mw": 0.3}
    site = campus(load=load | {"jobs": {"level": LEVEL | (job or {})}}, facility=facility)
    site["ups"] = UPS | {"smoothing": {"controller": "none"}}
    return scenario(duration_s, datacenters={"campus": site}, events=list(events), time={
        "duration_s": duration_s, "step_s": 0.1})  # fmt: skip


@pytest.mark.parametrize("cap_w", [None, 400.0])
def test_announced_power_is_what_the_engine_settles_at(cap_w):
    """Of the site: the job at its highest stage, conversion and the settled cooling; and when it is told."""
    capped = {"mitigation": {"p_cap_w": cap_w}} if cap_w else {}
    plain = case(START | {"notice_s": 12.5}, job=capped, cooling={"time_constant_s": 0.5})
    rows, events, _ = simulate(plain)
    (told,) = (event for event in events if event[1] == "start_announced")
    t_us, _, element, p_mw, detail = told
    p_grid = rows["datacenter/campus/p_grid_mw"]
    before = p_grid[rows["t_us"] < 20_000_000][-1]
    assert (t_us, element) == (7_500_000, "campus/level")
    assert detail == "due at t = 20 s, 12.5 s ahead"
    assert p_mw == pytest.approx(p_grid[-1] - before, rel=1e-6)
    assert p_mw > 1024 * min(0.8 * 610, (cap_w or 1e9) - 90) / 1e6  # more than its accelerators alone


def test_held_start_comes_when_the_hold_ends_and_not_before():
    free, _, _ = simulate(case(START))
    rows, events, _ = simulate(case(HOLD, START | {"notice_s": 6, "p_mw": 0.4}))
    told = [(t_us / 1e6, kind, value) for t_us, kind, _, value, _ in events if "start" in kind]
    assert told == [
        (14.0, "start_announced", 0.4),
        (15.0, "start_hold_started", 8.0),
        (20.0, "start_held", 0.4),
        (23.0, "start_hold_ended", 8.0),
        (23.0, "job_started", pytest.approx(1024 * 610 / 1e6)),
    ]
    p_free, p_held = (run["datacenter/campus/p_ai_mw"] for run in (free, rows))
    assert p_held[30:] == pytest.approx(p_free[:-30], abs=1e-12)  # the same start, 3 s later


def test_start_that_waits_survives_a_checkpoint():
    plain = case(HOLD, START | {"notice_s": 6})
    _, whole, _ = simulate(plain)
    config, feeder = prepare(plain)
    stopped, again = (Simulation(config, feeder, config.folder) for _ in range(2))
    events = []
    for block in stopped.blocks(1.0):
        events += block.events
        if block.now_us >= 21_000_000:  # held at 20 s, until 23 s
            break
    again.restore(stopped.state())
    for block in again.blocks(1.0):
        events += block.events
    assert events == whole


class Operator:
    """Holds starts of the site for 8 s as soon as it looks."""

    period_s = 15.0

    def on_tick(self, view, t_s):
        hold = {key: value for key, value in HOLD.items() if key != "at_s"}
        return [hold] if t_s == 15.0 else []


def test_controller_holds_starts_as_an_event_does():
    config, feeder = prepare(case(START))
    simulation = Simulation(config, feeder, config.folder, [Operator()])
    told = [(e[0], e[1]) for block in simulation.blocks() for e in block.events if "start" in e[1]]
    assert told[-2:] == [(23_000_000, "start_hold_ended"), (23_000_000, "job_started")]


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (case(START | {"notice_s": 21}), "events.0.notice_s: 21 reaches back before the run, at_s=20"),
        (case(START | {"p_mw": 1.0}), "events.0.p_mw: is what a notice announces; give notice_s"),
        (case(HOLD, HOLD | {"at_s": 20}), "events.1.at_s: begins while another hold on starts of campus lasts"),
        (case(HOLD | {"duration_s": 80}), "events.0.duration_s: ends at 95 s, after the end of the run"),
        (case(HOLD | {"datacenter": "campsu"}), "events.0.datacenter: no such data center; nearest: campus"),
    ],
)
def test_wrong_notices_and_holds_are_named(plain, words):
    with pytest.raises(InputError) as caught:
        prepare(plain)
    assert words in str(caught.value)


def test_notice_of_a_trace_needs_its_power(tmp_path):
    (tmp_path / "t.csv").write_text("t_s,p_mw\n0,1\n1,2\n")
    plain = case(START | {"notice_s": 5})
    trace = {"kind": "trace", "file": str(tmp_path / "t.csv"), "start_s": None}
    plain["datacenters"]["campus"]["load"]["jobs"]["level"] = trace
    with pytest.raises(InputError, match=r"events\.0\.p_mw: is missing: job level is a trace"):
        prepare(plain)


def announced_log():
    """30 MW at 100 s without notice, 50 MW held from 300 to 340 s, announced 200 s before; a failure, a restart."""
    t_s = np.arange(0, 900, 0.5)
    p_mw = 10.0 + 30.0 * (t_s >= 100) + 0.5 * np.clip(t_s - 340.0, 0.0, 100.0) - 30.0 * ((t_s >= 600) & (t_s < 660))
    events = [
        (0.0, "job_started", "a/base", 5.0, ""),
        (100.0, "job_started", "a/one", 29.0, ""),
        (100.0, "start_announced", "a/two", 45.0, "due at t = 300 s, 200 s ahead"),
        (290.0, "start_hold_started", "a", 50.0, ""),
        (300.0, "start_held", "a/two", 45.0, "until t = 340 s"),
        (340.0, "start_hold_ended", "a", 50.0, ""),
        (340.0, "job_started", "a/two", 44.0, ""),
        (600.0, "job_failed", "a/one", 29.0, ""),
        (660.0, "job_started", "a/one", 29.0, ""),
    ]
    told = pd.DataFrame(events, columns=EVENT_COLUMNS)
    return SyntheticLog(t_s, {"datacenter/a/p_grid_mw": p_mw}, events=told, scenario={"datacenters": {"a": {}}})


def test_starts_are_told_with_what_was_announced_and_what_came():
    one, two = summarize(announced_log())["datacenter"]["a"]["starts"]
    assert one == {"job": "one", "t_s": 100.0, "rise_mw": 30.0, "ramp_mw_per_min": 30.0, "notice_s": 0.0, "late_s": 0.0}
    assert two == {
        "job": "two",
        "t_s": 340.0,
        "rise_mw": pytest.approx(50.0),
        "ramp_mw_per_min": pytest.approx(30.0),
        "announced_mw": 45.0,
        "notice_s": 200.0,
        "late_s": 40.0,
    }


@pytest.mark.parametrize(
    ("larger_mw", "notice_s", "status", "value", "said"),
    [
        (20.0, 150.0, "failed", 0.0, "30 MW came, without notice, 150 s short"),
        (20.0, 300.0, "failed", 0.0, "30 MW came, without notice, 300 s short; 2 of 2 such starts"),
        (40.0, 150.0, "passed", 200.0, "50 MW came, announced with 45 MW 200 s ahead"),
        (40.0, 300.0, "failed", 200.0, "50 MW came, announced with 45 MW 200 s ahead, 100 s short"),
        (60.0, 300.0, "not_seen", None, "no start above 60 MW in the run"),
    ],
)
def test_limit_judges_starts_above_its_size(larger_mw, notice_s, status, value, said):
    (limit,) = load_limits(["start_notice"])
    limit = limit.model_copy(update={"larger_than_mw": larger_mw, "notice_s": notice_s})
    (verdict,) = analyse(announced_log(), [limit]).verdicts
    assert (verdict.status, verdict.value, verdict.note) == (status, value, said)


def test_findings_say_what_became_of_an_announced_start():
    log = announced_log()
    said = [finding.text for finding in findings(log, analyse(log)) if "Start" in finding.text]
    assert said == [
        "Start of a/two, announced 200 s ahead with 45 MW, came at t = 340 s with 50 MW, up to 30 MW within a minute; "
        "the utility held it for 40 s."
    ]


def with_events(*rows):
    """The same powers with other events."""
    log = announced_log()
    log.events = pd.DataFrame(list(rows), columns=EVENT_COLUMNS)
    return log


def test_outage_makes_no_start_a_restart_but_of_the_jobs_it_took():
    """`base` is lost in an outage and comes again; `two` starts for the first time afterwards, unannounced."""
    log = with_events(
        (0.0, "job_started", "a/base", 5.0, ""),
        (20.0, "load_shed", "a", 6.0, ""),
        (20.0, "job_failed", "a/base", 5.0, ""),
        (60.0, "job_started", "a/base", 5.0, ""),
        (60.0, "load_restored", "a", 1.0, ""),
        (340.0, "job_started", "a/two", 44.0, ""),
    )
    assert [one["job"] for one in summarize(log)["datacenter"]["a"]["starts"]] == ["two"]
    limits = [limit for limit in load_limits(["start_notice"]) if limit.kind == "start_notice"]
    (verdict,) = analyse(log, limits).verdicts
    assert (verdict.status, verdict.value, verdict.where) == ("failed", 0.0, "a/two")


def test_job_that_was_shed_to_spare_the_storage_starts_again_and_one_that_was_stopped_anew():
    log = with_events(
        (0.0, "job_started", "a/base", 5.0, ""),
        (0.0, "job_started", "a/one", 29.0, ""),
        (20.0, "load_shed", "a", 29.0, ""),
        (20.0, "job_stopped", "a/one", 29.0, ""),
        (50.0, "job_stopped", "a/base", 5.0, ""),
        (100.0, "job_started", "a/one", 29.0, ""),
        (100.0, "load_restored", "a", 1.0, ""),
        (200.0, "job_started", "a/base", 5.0, ""),
    )
    assert [one["job"] for one in summarize(log)["datacenter"]["a"]["starts"]] == ["base"]


def test_announced_start_that_an_outage_delays_is_late_by_that():
    """Due at 300 s, told 200 s ahead; the site is dark from 290 to 340 s, which loses `one` and keeps `two` waiting."""
    log = announced_log()
    rows = [row for row in log.events.itertuples(index=False, name=None) if not row[1].startswith("start_hold_")]
    rows += [(290.0, "load_shed", "a", 40.0, ""), (290.0, "job_failed", "a/one", 29.0, "")]
    rows += [(340.0, "job_started", "a/one", 29.0, "")]
    log = with_events(*sorted(rows))
    _, two = summarize(log)["datacenter"]["a"]["starts"]
    assert (two["job"], two["announced_mw"], two["notice_s"], two["late_s"]) == ("two", 45.0, 200.0, 40.0)
    assert any(
        finding.text.endswith("; 40 s late, since the site had no power.") for finding in findings(log, analyse(log))
    )
