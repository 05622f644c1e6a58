"""Bi-way UPS: its limits are never passed, its energy adds up, and it carries the load."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from engine_cases import UPS, campus, kinds, scenario, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

GRID = "datacenter/campus/p_grid_mw"
FINE = {"log": {"step_s": 0.01}}


def with_ups(**more):
    return {"campus": campus() | {"ups": {**UPS, **more}}}


@given(st.floats(0.05, 1.5), st.floats(0.05, 1.5), st.sampled_from([0.1, 0.5, 1.0, 3.0]), st.integers(0, 99))
@settings(max_examples=12)
def test_grid_side_never_passes_its_limits_over_the_window(ramp, decline, window_s, seed):
    big = {"max_p_charge_mw": 5, "max_p_discharge_mw": 5, "max_e_mwh": 5}
    limits = {"max_ramp_mw_per_s": ramp, "max_decline_mw_per_s": decline, "window_s": window_s}
    event = {"at_s": 15.0, "kind": "job_failed", "datacenter": "campus", "job": "pretrain"}
    plain = scenario(30, datacenters=with_ups(**big, **limits), events=[event], **FINE)
    rows, _, _ = simulate(plain, seed=seed)
    n = round(window_s / 0.01)
    missed = np.cumsum(np.concatenate([[0], rows["ups/campus/p_excess_mw"] > 0]))
    followed = missed[n + 1 :] == missed[: -n - 1]  # it told of no excess anywhere in the window, ends included
    assert followed.mean() > 0.5
    change = (rows[GRID][n:] - rows[GRID][:-n])[followed]
    assert change.max() <= ramp * window_s + 1e-6
    assert change.min() >= -decline * window_s - 1e-6


def test_without_a_ups_the_same_run_passes_those_limits():
    rows, _, _ = simulate(scenario(30, datacenters={"campus": campus(ups=False)}, **FINE))
    assert np.abs(rows[GRID][100:] - rows[GRID][:-100]).max() > 0.5


def test_at_its_target_and_within_the_limits_it_does_exactly_nothing():
    limits = {"max_ramp_mw_per_s": 1e3, "max_decline_mw_per_s": 1e3}
    rows, events, totals = simulate(scenario(20, datacenters=with_ups(**limits), **FINE))
    assert np.ptp(rows[GRID]) > 0.3
    assert not rows["ups/campus/p_mw"].any()
    assert np.ptp(rows["ups/campus/soc"]) == 0.0
    assert kinds(events) == ["job_started"]
    assert totals["ups/campus/e_loss_mwh"] == 0.0


def test_state_of_charge_follows_the_power_through_its_efficiencies():
    rows, _, _ = simulate(scenario(30, datacenters=with_ups(eta_charge=0.9, eta_discharge=0.8), **FINE))
    p = rows["ups/campus/p_mw"][:-1]
    cell = np.where(p > 0, 0.9 * p, p / 0.8)
    stored = np.concatenate([[0.0], np.cumsum(cell) * 0.01 / 3600]) / UPS["max_e_mwh"]
    assert np.abs(rows["ups/campus/soc"] - 0.7 - stored).max() < 1e-12


def test_engages_and_releases_with_hysteresis():
    _, events, totals = simulate(scenario(40))
    found = [kind for kind in kinds(events) if kind in ("ups_engaged", "ups_released")]
    assert found[0] == "ups_engaged"
    assert all(a != b for a, b in itertools.pairwise(found))
    assert totals["ups/campus/n_engaged"] == found.count("ups_engaged")


def test_saturation_is_an_event_with_its_size():
    _, events, totals = simulate(scenario(40, datacenters=with_ups(max_p_charge_mw=0.1, max_p_discharge_mw=0.1)))
    sizes = [value for _, kind, _, value, _ in events if kind == "ups_saturated"]
    assert sizes
    assert totals["ups/campus/max_excess_mw"] >= max(sizes) > 0.1


def test_smoothing_leaves_the_reserve():
    rows, _, _ = simulate(scenario(60, datacenters=with_ups(soc_init=0.42, max_e_mwh=0.004)))
    assert rows["ups/campus/soc"].min() >= 0.4 - 1e-9


def test_returns_to_its_target_within_the_ramp_limits():
    steady = campus() | {"ups": {**UPS, "soc_init": 0.5, "return_s": 20, "max_e_mwh": 0.02, "max_ramp_mw_per_s": 0.02}}
    steady["load"] = {
        "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
        "jobs": {"serve": {"kind": "training", "iteration": [{"duration_s": 1, "utilization": 0.5}],
                           "cold_start": [], "dynamics": {"supply_tau_s": 0}}},
    }  # fmt: skip
    rows, _, _ = simulate(scenario(300, datacenters={"campus": steady}, **FINE))
    assert rows["ups/campus/soc"][-1] == pytest.approx(0.7, abs=0.01)
    assert np.diff(rows[GRID][::100]).max() <= 0.02 + 1e-9


BLACKOUT = [{"at_s": 20.0, "kind": "source_lost", "duration_s": 5.0}]


def test_blackout_is_carried_for_it():
    rows, events, totals = simulate(scenario(60, events=BLACKOUT))
    during = (rows["t_us"] > 20_050_000) & (rows["t_us"] < 24_950_000)
    assert rows[GRID][during].max() == 0.0
    assert rows["bus/vm_pu"][during].max() == 0.0
    assert rows["datacenter/campus/p_ai_mw"][during].min() > 0.4
    assert rows["datacenter/campus/p_unserved_mw"].max() == 0.0
    assert (rows["ups/campus/mode"][during] == 2).all()
    assert totals["datacenter/campus/down_s"] == 0.0
    assert {"ups_transferred", "ups_returned", "window_left", "window_entered"} <= set(kinds(events))
    discharged = -rows["ups/campus/p_mw"][during].mean()
    served = (rows["datacenter/campus/p_it_mw"] * 1.02 + 0.005)[during].mean()  # plus CRAC and standby
    assert discharged == pytest.approx(served, rel=0.02)


def test_return_from_a_blackout_walks_in_at_the_ramp_limit():
    rows, events, _ = simulate(scenario(60, events=BLACKOUT, datacenters=with_ups(max_e_mwh=0.5), **FINE))
    assert "ups_saturated" not in [kind for t_us, kind, *_ in events if t_us > 20_000_000]
    back = (rows["t_us"] >= 25_600_000) & (rows["t_us"] <= 30_000_000)
    slope = np.diff(rows[GRID][back][::100])
    assert slope.max() <= 0.2 + 1e-9
    assert slope.max() > 0.19


def test_without_a_ups_a_blackout_trips_after_the_hold_up():
    plain = scenario(60, events=BLACKOUT, datacenters={"campus": campus(ups=False, facility={"restart_s": 10})})
    rows, events, totals = simulate(plain)
    at = {kind: t for t, kind, *_ in reversed(events)}
    served = rows["datacenter/campus/p_it_mw"][rows["t_us"] <= 20_000_000][-1] * 1.02
    full = (0.3 + 2048 * 700e-6) * 1.02  # the bus carries this for hold_up_s, less load for longer, whole steps
    assert at["load_shed"] == pytest.approx(20e6 + math.ceil(2 * full / served) * 10_000, abs=1)
    assert at["load_restored"] == pytest.approx(35_000_000, abs=20_000)
    assert totals["datacenter/campus/down_s"] == pytest.approx(15, abs=0.05)
    dark = (rows["t_us"] > 20_050_000) & (rows["t_us"] < 34_900_000)
    assert rows["datacenter/campus/p_ai_mw"][dark].max() == 0.0


def test_a_short_storage_runs_empty_and_the_load_is_lost():
    plain = scenario(60, events=BLACKOUT, datacenters=with_ups(max_e_mwh=0.002))
    rows, events, _ = simulate(plain)
    assert {"ups_empty", "load_shed", "job_failed"} <= set(kinds(events))
    assert rows["ups/campus/soc"].min() == pytest.approx(0.05, abs=1e-9)


def test_out_of_service_ups_does_nothing():
    out = [{"at_s": 5.0, "kind": "ups_out_of_service", "datacenter": "campus", "duration_s": 20.0}]
    rows, events, _ = simulate(scenario(40, events=out))
    during = (rows["t_us"] > 5_000_000) & (rows["t_us"] < 25_000_000)
    assert np.abs(rows["ups/campus/p_mw"][during]).max() == 0.0
    assert (rows["ups/campus/mode"][during] == 3).all()
    assert "ups_in_service" in kinds(events)


def test_a_taper_shorter_than_the_step_keeps_the_levels():
    ups = {"taper_s": 0.01, "max_e_mwh": 0.002, "soc_init": 0.5, "soc_target": 0.5, "max_ramp_mw_per_s": 0.02}
    plain = scenario(60, time={"duration_s": 60, "step_s": 1.0}, log={"step_s": 1.0}, datacenters=with_ups(**ups))
    rows, _, _ = simulate(plain)
    assert rows["ups/campus/soc"].min() >= 0.4 - 1e-9
    assert rows["ups/campus/soc"].max() <= 0.95 + 1e-9


def test_what_the_rectifier_cannot_lower_is_reported_as_excess():
    """External power falls away faster than the limit while the DC bus is too small to make up for it."""
    external = {"profile": [{"t_s": 5, "p_mw": 1.2}, {"t_s": 5.5, "p_mw": 0.0}]}
    site = with_ups(max_ramp_mw_per_s=0.2)["campus"]
    site["facility"] = {"external": external, "support": {"p_ahu_mw": 1.5}}
    site["load"] = site["load"] | {"accelerators": {"count": 64, "p_peak_w": 700, "p_idle_w": 90}, "p_base_mw": 0.0}
    rows, events, totals = simulate(scenario(12, datacenters={"campus": site}, **FINE))
    assert np.abs(rows[GRID][100:] - rows[GRID][:-100]).max() > 0.5
    assert "ups_saturated" in kinds(events)
    assert totals["ups/campus/max_excess_mw"] > 0.5


def test_excess_ends_with_service():
    out = [{"at_s": 10.0, "kind": "ups_out_of_service", "datacenter": "campus"}]
    rows, _, _ = simulate(scenario(20, events=out, datacenters=with_ups(max_p_charge_mw=0.01, max_p_discharge_mw=0.01)))
    assert rows["ups/campus/p_excess_mw"][rows["t_us"] >= 10_000_000].max() == 0.0


def test_steps_off_the_tick_keep_the_window():
    """A source event between two ticks makes an instant there; the limit over the window holds at it too."""
    dip = {"kind": "dip_started", "vm_pu": 0.99, "duration_s": 0.1}
    dips = [dip | {"at_s": 5.0 + 0.5 * k + 0.0043} for k in range(40)]
    rows, _, totals = simulate(scenario(30, events=dips, **FINE))
    change = rows[GRID][100:] - rows[GRID][:-100]
    assert np.abs(change).max() <= 0.2 + 1e-9
    assert totals["ups/campus/max_excess_mw"] < 1e-6


STEADY_JOB = {
    "kind": "training",
    "iteration": [{"duration_s": 1, "utilization": 0.5}],
    "cold_start": [],
    "already_running": True,
}


@pytest.mark.parametrize("controller", ["trigger", "ramp_limiter", "filter", "predictive", "none"])
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
def test_what_fades_is_made_up_for(controller, topology):
    """A flywheel at its target stays there, by 2.4 E_full an hour over its efficiency from the feeder."""
    ups = {
        "storage": "flywheel", "max_e_mwh": 0.013, "smoothing": {"controller": controller}, "topology": topology,
        "p_standby_mw": 0.0,
    }  # fmt: skip
    if topology == "ac_dc":
        ups["max_p_ac_mw"] = 3.0
    site = campus() | {"ups": {**UPS, **ups}}
    site["load"] = {
        "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
        "jobs": {"serve": STEADY_JOB},
    }  # fmt: skip
    plain = scenario(600, time={"duration_s": 600, "step_s": 0.1}, datacenters={"campus": site})
    rows, _, totals = simulate(plain)
    assert rows["ups/campus/soc"][-1] == pytest.approx(0.7, abs=0.002)
    taken = rows["ups/campus/p_ac_mw" if topology == "ac_dc" else "ups/campus/p_mw"][-1]
    assert taken == pytest.approx(2.4 * 0.013 / 0.97, rel=0.02)
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9


def test_what_fades_in_the_second_storage_is_made_up_for_too():
    second = {"storage": "flywheel", "max_p_mw": 1.0, "max_e_mwh": 0.01, "soc_target": 0.5}
    site = campus() | {"ups": {**UPS, "second": second}}
    site["load"] = site["load"] | {"jobs": {"serve": STEADY_JOB}}
    plain = scenario(600, time={"duration_s": 600, "step_s": 0.1}, datacenters={"campus": site})
    rows, _, _ = simulate(plain)
    assert rows["ups/campus/soc"][-1] == pytest.approx(0.7, abs=1e-4)
    assert rows["ups/campus/second_soc"][-1] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.filterwarnings("ignore:datacenters.campus:UserWarning")
@pytest.mark.parametrize("step_s", [0.01, 0.5])
def test_both_buses_together_leave_the_end_of_charge(step_s):
    """A rectifier below the load and a reserve at the end of charge: the last energy is spent once."""
    ups = {
        "topology": "ac_dc", "max_p_ac_mw": 3.0, "max_e_mwh": 0.01, "soc_min": 0.1, "soc_reserve": 0.1, "soc_init": 0.5,
        "soc_target": 0.5, "taper_s": 0.5, "smoothing": {"controller": "ramp_limiter"}, "max_ramp_mw_per_s": 0.002,
    }  # fmt: skip
    site = with_ups(**ups)["campus"] | {"facility": {"rectifier": {"max_p_mw": 1.0}}}
    plain = scenario(60, time={"duration_s": 60, "step_s": step_s}, datacenters={"campus": site})
    rows, events, _ = simulate(plain)
    assert 0.1 - 1e-9 <= rows["ups/campus/soc"].min() < 0.101
    assert "ups_empty" in kinds(events)
