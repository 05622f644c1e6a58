"""Owner-side mitigation: limits are kept, work that waits takes longer, and the twin agrees edge by edge."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.engine.totals import _job_totals
from cosim.load import kernel
from cosim.load.build import LoadBuilder
from cosim.load.config import LoadConfig

pytestmark = pytest.mark.twin

N, PEAK_W, IDLE_W = 800, 700.0, 100.0
SWING_MW, IDLE_MW = N * (PEAK_W - IDLE_W) * 1e-6, N * IDLE_W * 1e-6
SHARP = {"up": {"omega_n_rad_per_s": 3400.0}, "down": {"omega_n_rad_per_s": 3400.0}, "supply_tau_s": 0.0}
ITERATION = [
    {"name": "compute", "duration_s": 1.6, "utilization": 1.0},
    {"name": "all_reduce", "duration_s": 0.9, "utilization": 0.2},
]


def load_of(mitigation, *, step_us=10_000, kind="training", **more):
    job = {"kind": kind, "dynamics": SHARP, "mitigation": mitigation}
    job |= {"iteration": ITERATION, "cold_start": []} if kind == "training" else {}
    fleet = {"count": N, "p_peak_w": PEAK_W, "p_idle_w": IDLE_W}
    config = LoadConfig.model_validate({"accelerators": fleet, "jobs": {"job": job | more}})
    return LoadBuilder({"site": config}, step_us=step_us, seed=1, folder=None).build()


def power(built, duration_s, step_us=10_000, fail_s=None):
    """Power above idle, of the swing, at each step. [1]"""
    load, book = built
    out = []
    for k in range(round(duration_s * 1e6 / step_us) + 1):
        book.turn_to(k * step_us)
        kernel.step_load(load, k * step_us)
        out.append((load.p_ai_mw[0] - IDLE_MW) / SWING_MW)
        load.n_event[0] = 0
        if fail_s is not None and k * step_us == round(fail_s * 1e6):
            kernel.fail(load, 0, k * step_us)
    return np.array(out)


def u_of(p_w):
    return (p_w - IDLE_W) / (PEAK_W - IDLE_W)


def twin(duration_s, up_w_per_s, down_w_per_s, floor_w, hold_s, tick_s=0.01):
    """Edges (t_us, u) of the same job, written as one would say it, and how long it was delayed. [s]"""
    up, down = (rate / (PEAK_W - IDLE_W) * 1e-6 for rate in (up_w_per_s, down_w_per_s))
    tick_us = round(tick_s * 1e6)
    t, u, stage, since, below, moving, delayed = 0, 0.0, 0, 0, None, False, 0
    work, edge = ITERATION[0]["utilization"], round(ITERATION[0]["duration_s"] * 1e6)
    edges = []
    due = tick_us
    moving, since = True, 0
    edges.append((0, 0.0))
    while t < duration_s * 1e6:
        t = min(edge, due)
        if u < work:
            slower = round((t - since) * (1 - (u / work) ** (1 / 3)))
            edge, delayed = edge + slower, delayed + slower
        if edge <= t:
            stage = 1 - stage
            work = ITERATION[stage]["utilization"]
            edge = t + round(ITERATION[stage]["duration_s"] * 1e6)
        goal, hold_end = work, None
        kept = min(u_of(floor_w), u)
        if goal < kept:
            below = t if below is None else below
            if t < below + hold_s * 1e6:
                goal, hold_end = kept, below + round(hold_s * 1e6)
        else:
            below = None
        room = (up if goal > u else down) * (t - since if moving else 0)
        u = goal if abs(goal - u) <= room else u + np.sign(goal - u) * room
        since, moving = t, u != goal
        edges.append((t, u))
        due = min((t // tick_us + 1) * tick_us if moving else 2**60, hold_end or 2**60)
    return edges, delayed * 1e-6


@pytest.mark.parametrize(("floor_w", "hold_s"), [(500.0, 0.5), (400.0, 2.0), (650.0, 0.11)])
def test_ramps_floor_and_hold_follow_the_twin(floor_w, hold_s):
    mitigation = {"max_ramp_w_per_s": 900, "max_decline_w_per_s": 700, "p_floor_w": floor_w, "hold_s": hold_s}
    built = load_of(mitigation)
    got = power(built, 20)
    edges, delayed_s = twin(20, 900, 700, floor_w, hold_s)
    times, levels = (np.array(column) for column in zip(*edges, strict=True))
    ticks = np.arange(got.size) * 10_000 - 1  # the command before an edge at this very instant
    wanted = levels[np.maximum(np.searchsorted(times, ticks, "right") - 1, 0)]
    before = np.searchsorted(times, ticks, "right") - 1
    settled = ticks - times[np.maximum(before, 0)] > 6_000  # the lag of 3,400 rad/s has arrived
    assert settled.sum() > 0.5 * got.size
    assert np.abs(got - wanted)[settled].max() < 1e-6
    assert built[0].jobs["delay_us"][0] * 1e-6 == pytest.approx(delayed_s, abs=0.02)
    assert delayed_s > 0.3


def test_power_rises_and_falls_no_faster_than_its_limits():
    got = power(load_of({"max_ramp_w_per_s": 300, "max_decline_w_per_s": 200}), 30) * (PEAK_W - IDLE_W)
    per_s = 2 * (got[50:] - got[:-50])
    assert per_s.max() == pytest.approx(300, rel=0.02)
    assert per_s.min() == pytest.approx(-200, rel=0.02)


def test_power_at_a_time_does_not_depend_on_the_step():
    mitigation = {"max_ramp_w_per_s": 900, "max_decline_w_per_s": 700, "p_floor_w": 500, "hold_s": 0.3}
    coarse = power(load_of(mitigation, step_us=500_000), 20, step_us=500_000)
    fine = power(load_of(mitigation, step_us=2_000), 20, step_us=2_000)
    assert np.abs(fine[::250] - coarse).max() < 1e-9


def test_a_failed_job_goes_down_by_hold_and_ramp():
    """NVML's hysteresis and ramp-down rate: the floor for 2 s, then 100 W/s down to idle."""
    mitigation = {"p_floor_w": 580, "hold_s": 2, "max_decline_w_per_s": 100}
    one = [{"duration_s": 1, "utilization": 1.0}]
    got = power(load_of(mitigation, iteration=one), 12, fail_s=2) * (PEAK_W - IDLE_W) + IDLE_W
    t_s = np.arange(got.size) * 0.01
    at = {t: float(np.interp(t, t_s, got)) for t in (1.9, 3.0, 3.9, 5.0, 7.0, 9.5)}
    assert at[1.9] == pytest.approx(700, abs=1)
    assert at[3.0] == pytest.approx(600, abs=2)  # still on its way down to the floor
    assert at[3.9] == pytest.approx(580, abs=1)
    assert at[5.0] == pytest.approx(480, abs=2)
    assert at[7.0] == pytest.approx(280, abs=2)
    assert at[9.5] == pytest.approx(100, abs=1)


@pytest.mark.parametrize("p_cap_w", [600.0, 400.0])
def test_cap_holds_and_stretches_the_stages_above_it(p_cap_w):
    built = load_of({"p_cap_w": p_cap_w})
    got = power(built, 60)
    assert got.max() == pytest.approx(u_of(p_cap_w), abs=1e-6)
    iteration_s = 1.6 * (1 / u_of(p_cap_w)) ** (1 / 3) + 0.9
    assert built[0].jobs["n_cycle"][0] == int(60 / iteration_s) + 1
    totals = _job_totals(built[0].jobs[0])
    done_without = 60 / 2.5
    assert totals["n_iteration_lost"] == pytest.approx(done_without - 60 / iteration_s, abs=1.1)


def test_filler_keeps_power_up_between_compute_stages_and_is_counted():
    built = load_of({"p_filler_w": 640}, stop_s=25)
    got = power(built, 30)
    assert got[5:2500].min() == pytest.approx(0.9, abs=1e-6)
    assert got[2600:].max() == pytest.approx(0, abs=1e-9)  # no filler without a job
    wanted_mwh = 10 * 0.9 * (0.9 - 0.2) * SWING_MW / 3600  # ten all-reduces of 0.9 s
    assert _job_totals(built[0].jobs[0])["e_without_work_mwh"] == pytest.approx(wanted_mwh, rel=1e-6)
    assert _job_totals(built[0].jobs[0])["delayed_s"] == 0


def test_energy_without_work_and_held_back_close_the_balance():
    built = load_of({"max_ramp_w_per_s": 900, "max_decline_w_per_s": 700}, step_us=1_000)
    load = built[0]
    drawn, work = 0.0, 0.0
    for k in range(20_000):
        kernel.step_load(load, k * 1_000)
        drawn += load.jobs["u_mw"][0] * 1e-3
        work += load.jobs["work_mw"][0] * 1e-3
    gap = load.jobs["e_extra"][0] - load.jobs["e_short"][0]
    assert gap == pytest.approx(drawn - work, abs=2e-3 * drawn)
    assert min(load.jobs["e_extra"][0], load.jobs["e_short"][0]) > 0.01 * drawn


def test_groups_start_one_after_another():
    cold = [{"duration_s": 5, "utilization": 0.5}]
    built = load_of({"stagger_s": 8, "stagger_groups": 4}, cold_start=cold)
    got = power(built, 16)
    assert got[[100, 300, 500, 700, 900]] == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5], abs=1e-6)
    assert got[1350] == pytest.approx(1.0, abs=1e-6)  # the first iteration, 8 s later than without
    assert _job_totals(built[0].jobs[0])["delayed_s"] == pytest.approx(8)


def test_a_job_without_mitigation_is_left_alone():
    plain, idle = load_of(None), load_of({"p_cap_w": PEAK_W})
    assert np.array_equal(power(plain, 20), power(idle, 20))
    assert "delayed_s" not in _job_totals(plain[0].jobs[0])


@pytest.mark.parametrize(
    ("mitigation", "message"),
    [
        ({"p_cap_w": 900}, r"p_cap_w=900 must be above p_idle_w=100 and at most p_peak_w=700"),
        ({"p_filler_w": 50}, r"p_filler_w=50 must be above p_idle_w=100"),
        ({"p_floor_w": 500}, r"p_floor_w=500 needs hold_s"),
        ({"hold_s": 2}, r"hold_s=2 needs p_floor_w"),
        ({"p_cap_w": 400, "p_filler_w": 500}, r"p_filler_w=500 is above p_cap_w=400"),
        ({"max_ramp_w_per_s": 0}, r"max_ramp_w_per_s"),
    ],
)
def test_settings_no_accelerator_can_have_are_refused(mitigation, message):
    with pytest.raises(ValidationError, match=message):
        load_of(mitigation)


def test_stagger_is_refused_where_there_is_no_cold_start():
    with pytest.raises(ValidationError, match="stagger_s=8 is for training"):
        load_of({"stagger_s": 8}, kind="fine_tuning")
