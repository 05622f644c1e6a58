"""Jobs that a site sheds as its charge falls: what starts again when it is fed, by the order of events alone."""

from __future__ import annotations

import pytest
from engine_cases import UPS, campus, scenario, simulate

SHED = {"soc": 0.5, "jobs": ["batch"]}


def job(**more):
    return {
        "kind": "training",
        "accelerators": 1000,
        "cold_start": [],
        "iteration": [{"duration_s": 1, "utilization": 1}],
    } | more


def run(batch, *events, storage_mwh=0.03):
    """Events of a site that keeps one job and sheds the other: the source is away from 20 to 80 s."""
    jobs = {"keep": job(already_running=True), "batch": job(**batch)}
    load = {"accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90}, "jobs": jobs}
    ups = {**UPS, "max_e_mwh": storage_mwh, "soc_init": 0.9, "soc_target": 0.9, "soc_reserve": 0.3, "shedding": [SHED]}
    away = {"at_s": 20, "kind": "source_lost", "duration_s": 60}
    own = {"campus": campus(load=load, facility={"restart_s": 30}) | {"ups": ups}}
    _, found, _ = simulate(scenario(180, events=[away, *events], datacenters=own))
    return [(t / 1e6, kind, name, value) for t, kind, name, value, *_ in found]


def of(events, name, *wanted):
    return [(kind, t) for t, kind, element, _ in events if element == name and kind in wanted]


def on_job(at_s, kind):
    return {"at_s": at_s, "kind": kind, "datacenter": "campus", "job": "batch"}


def test_a_shed_job_starts_again_when_the_site_is_fed():
    events = run({"already_running": True})
    (shed,) = (t for kind, t in of(events, "campus", "load_shed"))
    (restored,) = (t for kind, t in of(events, "campus", "load_restored"))
    (returned,) = (t for kind, t in of(events, "campus", "ups_returned"))
    assert 20 < shed < 80 < returned <= restored
    was, now = (value for _, kind, _, value in events if kind in ("load_shed", "load_restored"))
    assert was == now == pytest.approx(1000 * (700 - 90) * 1e-6, rel=1e-6)
    found = of(events, "campus/batch", "job_started", "job_stopped")
    assert found == [("job_started", 0.0), ("job_stopped", shed), ("job_started", restored)]


@pytest.mark.parametrize("by", ["event", "stop_s"])
def test_a_job_that_is_stopped_while_shed_stays_stopped(by):
    batch = {"already_running": True} | ({"stop_s": 75} if by == "stop_s" else {})
    events = run(batch, *([on_job(75, "job_stopped")] if by == "event" else []))
    (shed,) = (t for kind, t in of(events, "campus", "load_shed"))
    assert shed < 75
    found = of(events, "campus/batch", "job_started", "job_stopped")
    assert found == [("job_started", 0.0), ("job_stopped", shed), ("job_stopped", 75.0)]


@pytest.mark.parametrize("by", ["event", "start_s"])
def test_a_job_that_is_to_start_below_its_level_waits_for_the_feeder(by):
    batch = {"start_s": 75 if by == "start_s" else None}
    events = run(batch, *([on_job(75, "job_started")] if by == "event" else []), storage_mwh=0.023)
    assert not of(events, "campus", "load_shed", "load_restored")  # nothing ran that could have been shed
    (_, held), (_, started) = of(events, "campus/batch", "start_held", "job_started")
    (returned,) = (t for kind, t in of(events, "campus", "ups_returned"))
    assert held == 75.0
    assert started >= returned > 80


def test_a_shed_job_of_servers_that_went_dark_waits_for_them():
    events = run({"already_running": True}, storage_mwh=0.015)
    dark, first, then = (t for kind, t in of(events, "campus", "load_shed", "load_restored") if t > 40)
    assert dark < 80
    assert first >= 80 + 30  # restart_s, behind the return of the source
    assert of(events, "campus/keep", "job_failed", "job_started")[1:] == [("job_failed", dark), ("job_started", first)]
    assert of(events, "campus/batch", "job_started")[1:] == [("job_started", then)]
    assert then >= first
