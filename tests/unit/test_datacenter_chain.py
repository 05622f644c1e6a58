"""Electrical and thermal chain: Eq. 1-5, converters, cooling lag, voltage window."""

from __future__ import annotations

import math

import numpy as np
import pytest
from engine_cases import campus, kinds, scenario, simulate
from hypothesis import given
from hypothesis import strategies as st

from cosim.datacenter import kernel
from cosim.converter.curve import EfficiencyPoint, loss_coefficients

P = "datacenter/campus/"
STEADY = {
    "accelerators": {"count": 1000, "p_peak_w": 1000, "p_idle_w": 100},
    "jobs": {"job": {"kind": "training", "cold_start": [], "iteration": [{"duration_s": 1, "utilization": 1.0}]}},
}


def site(**facility):
    return {"campus": {"bus": "5", "load": STEADY, "facility": facility}}


@pytest.mark.twin
@given(st.floats(0, 10), st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0, 0.02))
def test_converter_output_inverts_its_input(p_mw, a0, a1, a2):
    assert kernel.converter_output(kernel.converter_input(p_mw, a0, a1, a2), a0, a1, a2) == pytest.approx(
        p_mw, abs=1e-9
    )


@pytest.mark.twin
def test_efficiency_points_are_met():
    points = [(0.1, 0.9), (0.5, 0.965), (1.0, 0.96)]
    a0, a1, a2 = loss_coefficients([EfficiencyPoint(load=load, eta=eta) for load, eta in points])
    for load, eta in points:
        assert load / kernel.converter_input(load, a0, a1, a2) == pytest.approx(eta, rel=1e-9)


def test_points_of_no_converter_are_refused():
    with pytest.raises(ValueError, match="not one of a converter"):
        loss_coefficients([EfficiencyPoint(load=x, eta=e) for x, e in [(0.1, 0.7), (0.5, 0.8), (1.0, 0.99)]])


def test_eq_2_to_5_add_up_by_hand():
    """A site at full load from t = 0 on, idle before: every term of Eq. 1-5 written out."""
    facility = {
        "p_other_compute_mw": 0.05, "p_network_gear_mw": 0.04, "p_storage_mw": 0.03,
        "rectifier": {"max_p_mw": 2.0, "efficiency": [{"load": 1.0, "eta": 0.95}]},
        "support": {"max_p_mw": 1.0, "efficiency": [{"load": 1.0, "eta": 0.98}], "p_ahu_mw": 0.02,
                    "p_lighting_mw": 0.01},
        "cooling": {"chiller_cop": 5.0, "tower_per_heat": 0.02, "pumps_per_heat": 0.03, "crac_per_heat": 0.04},
    }  # fmt: skip
    rows, _, totals = simulate(scenario(5, datacenters=site(**facility)))
    equip = 1.0 + 0.05 + 0.04 + 0.03
    heat = equip + (0.22 - equip) * math.exp(-5 / 240)
    it = (equip + 0.04 * heat) / 0.95
    support = (0.02 + 0.01 + (0.2 + 0.02 + 0.03) * heat) / 0.98
    assert rows[P + "p_it_mw"][-1] == pytest.approx(equip, rel=1e-6)
    assert rows[P + "p_total_mw"][-1] == pytest.approx(it + support, rel=2e-3)
    assert rows[P + "pue"][-1] == pytest.approx((it + support) / equip, rel=2e-3)
    consumed = totals[P + "e_grid_mwh"] + totals[P + "e_external_mwh"]
    assert totals[P + "pue"] == pytest.approx(consumed / totals[P + "e_it_mwh"], rel=1e-12)


def test_cooling_follows_heat_with_its_lag():
    stop = [{"at_s": 10.0, "kind": "job_stopped", "datacenter": "campus", "job": "job"}]
    facility = {"cooling": {"time_constant_s": 20.0}, "support": {"efficiency": [{"load": 1.0, "eta": 1.0}]}}
    rows, _, _ = simulate(scenario(60, datacenters=site(**facility), events=stop))
    t_s = rows["t_us"] / 1e6
    per_heat = 1 / 6 + 0.04
    warm = 1.0 - 0.9 * math.exp(-10 / 20)  # heated from idle for 10 s
    wanted = per_heat * (0.1 + (warm - 0.1) * np.exp(-(t_s - 10) / 20))
    late = t_s > 10.5
    assert np.abs(rows[P + "p_support_mw"] - wanted)[late].max() < 5e-4


def test_reactive_power_follows_the_displacement_factor():
    facility = {
        "rectifier": {"max_p_mw": 2.0, "displacement_factor": [{"load": 0.0, "cos_phi": -0.95}]},
        "support": {"displacement_factor": [{"load": 0.0, "cos_phi": 0.9}]},
    }
    rows, _, _ = simulate(scenario(5, datacenters=site(**facility)))
    support = rows[P + "p_support_mw"]
    rectifier = rows[P + "p_grid_mw"] - support
    wanted = support * math.tan(math.acos(0.9)) - rectifier * math.tan(math.acos(0.95))
    assert np.abs(rows[P + "q_mvar"] - wanted).max() < 1e-9


def test_external_power_relieves_the_grid():
    """Eq. 1."""
    external = {"profile": [{"t_s": 0, "p_mw": 0.0}, {"t_s": 10, "p_mw": 1.0}]}
    rows, _, totals = simulate(scenario(20, datacenters=site(external=external)))
    assert rows[P + "p_external_mw"][50] == pytest.approx(0.5)
    assert np.abs(rows[P + "p_total_mw"] - rows[P + "p_grid_mw"] - rows[P + "p_external_mw"]).max() < 1e-12
    assert totals[P + "e_external_mwh"] == pytest.approx(15 / 3600, rel=1e-3)


def test_below_its_window_the_facility_draws_constant_current():
    dip = [{"at_s": 5.0, "kind": "dip_started", "vm_pu": 0.7, "duration_s": 2.0}]
    plain = scenario(10, events=dip, datacenters={"campus": campus("1")})
    rows, events, _ = simulate(plain)
    during = (rows["t_us"] > 5_100_000) & (rows["t_us"] < 6_900_000)
    vm = rows[P + "vm_pu"][during]
    assert (vm < 0.85).all()
    wish = rows[P + "p_grid_mw"][during] / vm * 0.85  # constant current: what it would take at 0.85 pu
    assert {"window_left", "window_entered"} <= set(kinds(events))
    assert (rows[P + "p_unserved_mw"] == 0).all()  # storage gives the rest
    assert rows["ups/campus/p_mw"][during].min() < -0.5
    before = rows[P + "p_grid_mw"][rows["t_us"] == 4_900_000]
    t_s = rows["t_us"][during] / 1e6 - 4.9
    assert (wish >= before - 0.2 * t_s - 1e-6).all()  # the UPS moves its reference within its limits meanwhile
    assert (wish <= before + 0.2 * t_s + 1e-6).all()


def test_without_storage_a_dip_below_the_window_trips():
    dip = [{"at_s": 5.0, "kind": "dip_started", "vm_pu": 0.7, "duration_s": 2.0}]
    _, events, _ = simulate(scenario(10, events=dip, datacenters={"campus": campus("1", ups=False)}))
    assert "load_shed" in kinds(events)


def test_collapse_ends_the_run_with_the_last_solvable_load():
    big = {"count": 40_000, "p_peak_w": 700, "p_idle_w": 90}
    load = {"accelerators": big, "jobs": {"job": {"kind": "training", "start_s": 2, "cold_start": [],
            "iteration": [{"duration_s": 1, "utilization": 1.0}]}}}  # fmt: skip
    facility = {"v_min_pu": 0.01, "v_trip_pu": 0.01, "v_return_pu": 0.01}
    rows, events, _ = simulate(scenario(5, datacenters={"campus": {"bus": "5", "load": load, "facility": facility}}))
    assert kinds(events)[-1] == "collapsed"
    assert rows["t_us"][-1] <= 2_100_000
    assert np.isfinite(rows["bus/vm_pu"]).all()
