"""Calls for demand response: what a cap asks of storage, of servers and of the grid side's ramps."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import UPS, campus, kinds, scenario, simulate

SITE, STORAGE = "datacenter/campus/", "ups/campus/"
GRID = SITE + "p_grid_mw"
STEP_S, DECLINE = 0.01, 0.1
FINE = {"log": {"step_s": STEP_S}}
LOAD = {
    "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
    "jobs": {
        "train": {
            "kind": "training",
            "cold_start": [],
            "already_running": True,
            "iteration": [{"duration_s": 1, "utilization": 1}],
        }
    },
}


def site(**ups):
    big = {"max_e_mwh": 0.5, "soc_init": 0.9, "soc_target": 0.9, "max_decline_mw_per_s": DECLINE}
    return {"campus": campus(load=LOAD) | {"ups": {**UPS, **big, **ups}}}


def call(at_s, p_mw, duration_s, **more):
    named = {"kind": "demand_response_started", "datacenter": "campus", "duration_s": duration_s}
    return named | {"at_s": at_s, "p_mw": p_mw} | more


def during(rows, start_s, end_s):
    return (rows["t_us"] > start_s * 1e6) & (rows["t_us"] < end_s * 1e6)


def test_a_call_caps_the_site_by_storage_and_then_by_throttling():
    quick = site(max_e_mwh=0.01, max_decline_mw_per_s=100.0)
    rows, events, totals = simulate(scenario(45, events=[call(15.0, 0.7, 20.0)], datacenters=quick))
    called = during(rows, 15.1, 35.0)
    assert rows[GRID][called].max() <= 0.7 + 1e-9
    assert rows[SITE + "p_throttled_mw"].max() > 0.1
    assert totals["datacenter/campus/e_throttled_mwh"] > 0
    assert "demand_response_ended" in kinds(events)
    assert abs(totals["energy/balance_relative"]) < 1e-9


@pytest.mark.parametrize("controller", ["trigger", "ramp_limiter", "predictive", "filter"])
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
def test_a_cap_comes_down_no_faster_than_the_decline_limit(controller, topology):
    """The ramp of a call is 1e6 MW/s where it names none; what that asks for arrives by D later: (P - cap) / D."""
    own = site(smoothing={"controller": controller}, topology=topology)
    if topology == "ac_dc":
        own["campus"]["ups"]["max_p_ac_mw"] = 3.0
    rows, _, totals = simulate(scenario(24, events=[call(5.0, 1.2, 19.0)], datacenters=own, **FINE))
    grid = rows[GRID]
    before = grid[499]
    fall = np.diff(grid[400:]).min() / STEP_S
    assert fall == pytest.approx(-DECLINE, abs=1e-6)
    arrives_s = 5.0 + (before - 1.2) / DECLINE
    assert grid[during(rows, 5.0, arrives_s - 0.1)].min() > 1.2
    np.testing.assert_allclose(grid[during(rows, arrives_s + 0.1, 24.0)], 1.2, atol=1e-9)
    assert totals["ups/campus/max_excess_mw"] == 0.0


def test_a_cap_right_behind_a_fall_holds_the_decline_over_the_window():
    """The trigger lets D T pass in one step; a call then starts from where that leaves D T over the window."""
    window_s = 2.0
    fails = {"at_s": 5.0, "kind": "job_stopped", "datacenter": "campus", "job": "small"}
    own = site(window_s=window_s)
    job = LOAD["jobs"]["train"]
    own["campus"]["load"] = LOAD | {
        "jobs": {"train": job | {"accelerators": 1848}, "small": job | {"accelerators": 200}}
    }
    rows, _, totals = simulate(scenario(20, events=[fails, call(5.5, 1.0, 14.5)], datacenters=own, **FINE))
    grid, n = rows[GRID], round(window_s / STEP_S)
    assert np.diff(grid[490:520]).min() < -2 * DECLINE * STEP_S  # the fall itself, faster than D
    assert (grid[n:] - grid[:-n]).min() >= -DECLINE * window_s - 1e-6
    assert grid[during(rows, 19.0, 20.0)].max() == pytest.approx(1.0, abs=1e-9)
    assert totals["ups/campus/max_excess_mw"] == 0.0


def test_without_smoothing_a_call_comes_down_at_its_own_ramp():
    events = [call(5.0, 1.0, 7.0, ramp_mw_per_s=0.4)]
    rows, _, _ = simulate(scenario(12, events=events, datacenters=site(smoothing={"controller": "none"}), **FINE))
    assert np.diff(rows[GRID][400:]).min() / STEP_S == pytest.approx(-0.4, abs=1e-6)


@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
def test_servers_are_not_throttled_for_a_storage_that_charges(topology):
    """Over-frequency asks it to charge by 2 MW/Hz; under a cap it gives as before, and no server is throttled."""
    own = site(topology=topology, smoothing={"controller": "none"}, frequency={"droop_mw_per_hz": 2.0})
    if topology == "ac_dc":
        own["campus"]["ups"]["max_p_ac_mw"] = 3.0
    lost = [{"at_s": 15.0, "kind": "load_changed", "load": str(k), "scale": 0.0} for k in range(20, 31)]
    area = {"s_base_mva": 10, "inertia_s": 3, "governor_s": 0.8, "start_s": 2}
    plain = scenario(25, events=[call(5.0, 1.2, 20.0), *lost], datacenters=own, source={"area": area}, **FINE)
    rows, _, _ = simulate(plain)
    late = during(rows, 16.0, 25.0)
    assert rows["source/f_hz"][late].min() > 60.3  # the answer would be 0.5 MW and more
    np.testing.assert_allclose(rows[GRID][late], 1.2, atol=1e-9)
    assert rows[SITE + "p_throttled_mw"].max() == 0.0
    power = rows[STORAGE + ("p_ac_mw" if topology == "ac_dc" else "p_mw")]
    assert power[late].max() < -0.3
    assert rows[STORAGE + "p_excess_mw"][late].max() == 0.0


@pytest.mark.filterwarnings("ignore:.*response_delay_s.* are longer than:UserWarning")
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
def test_a_late_storage_passes_the_cap_by_its_charging_and_says_so(topology):
    """It recharges by 0.5 MW when a cap comes that the load alone keeps, and stops a delay of 0.5 s later."""
    own = site(
        topology=topology, smoothing={"controller": "none"}, response_delay_s=0.5, soc_init=0.5, return_s=60.0,
        max_p_recharge_mw=0.5,
    )  # fmt: skip
    if topology == "ac_dc":
        own["campus"]["ups"]["max_p_ac_mw"] = 3.0
    rows, _, _ = simulate(scenario(10, events=[call(5.0, 2.0, 5.0)], datacenters=own, **FINE))
    assert rows[SITE + "p_need_mw"].max() < 2.0
    late = during(rows, 5.02, 5.49)
    assert rows[GRID][late].min() > 2.2
    np.testing.assert_allclose(rows[STORAGE + "p_excess_mw"][late], rows[GRID][late] - 2.0, atol=1e-9)
    assert rows[GRID][during(rows, 5.52, 9.99)].max() <= 2.0 + 1e-9
    assert rows[SITE + "p_throttled_mw"].max() == 0.0
