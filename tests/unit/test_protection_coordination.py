"""Curves of devices in series, and pick-ups under load: what is named before the run, held to hand calculations."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from engine_cases import campus, scenario, simulate

from cosim.errors import InputError
from cosim.feeder import from_pandapower, load_feeder
from cosim.feeder.linear_network import LinearNetwork
from cosim.feeder.network import LINE
from cosim.feeder.protection.coordination import overlap
from cosim.wiring import prepare


def definite(time_s, pickup_a=200):
    return {"curve": "definite_time", "pickup_a": pickup_a, "time_dial": time_s}


def fuse(melt_as2, clear_as2, **more):
    """A link with t = constant / I^2 from 100 A to 10 kA, for both of its curves. [A^2 s]"""
    curves = {
        key: [{"i_a": i_a, "t_s": constant / i_a**2} for i_a in (100, 10_000)]
        for key, constant in (("melt", melt_as2), ("clear", clear_as2))
    }
    return {"kind": "fuse", "name": "f1", "line": "5", **curves, **more}


def recloser(fast_s=0.2, slow_s=1.0, **more):
    plain = {
        "kind": "recloser", "name": "c1", "line": "2", "fast": definite(fast_s), "slow": definite(slow_s),
        "n_fast": 1, "n_slow": 2, "open_s": [0.5, 2], "opening_s": 0.05,
    }  # fmt: skip
    return plain | more


def relay(name, line, time_s, **more):
    return {"kind": "relay", "name": name, "line": line, "phase": definite(time_s, 300), "breaker_s": 0.05, **more}


def told(*devices, **feeder):
    """What is said of devices on case33bw behind 200 MVA, a small data center at its end."""
    plain = scenario(
        10, feeder={"model": "case33bw", "protection": list(devices), **feeder},
        source={"s_sc_mva": 200, "x_over_r": 8},
    )  # fmt: skip
    plain["datacenters"]["campus"]["load"]["accelerators"]["count"] = 100
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepare(plain)
    return [str(one.message) for one in caught]


def test_curves_cross_where_their_equations_meet():
    inverse_square, flat = (lambda i_a: 1e6 / i_a**2), (lambda i_a: 0.25)
    late = overlap(inverse_square, flat, (500.0, 5000.0))
    assert (late.from_a, late.covers_all) == (500.0, False)
    assert late.to_a == pytest.approx(2000.0, rel=1e-12)  # 1e6 / I^2 = 0.25
    early = overlap(flat, inverse_square, (500.0, 5000.0))
    assert early.from_a == pytest.approx(2000.0, rel=1e-12)
    assert early.at_a == early.to_a == pytest.approx(5000.0)
    with_interval = overlap(inverse_square, flat, (500.0, 5000.0), interval_s=0.21)
    assert with_interval.to_a == pytest.approx(5000.0)  # 1e6 / I^2 + 0.21 = 0.25 only there
    assert overlap(inverse_square, flat, (2000.1, 5000.0)) is None
    assert overlap(flat, inverse_square, (500.0, 1999.9)) is None


def test_fuse_that_melts_before_the_fast_shot_has_opened_is_warned_of():
    # melt 4e5 / I^2 = 0.2 + 0.05 s at 1265 A, above it the link is gone first; clear 8e5 / I^2 is below 1 s from 895 A
    words = [message for message in told(recloser(), fuse(4e5, 4.1e5)) if "no fuse saving" in message]
    assert len(words) == 1
    assert words[0].startswith("feeder.protection.1: no fuse saving: f1 melts before a fast shot of c1 has opened")
    assert f"where their curves cross, from {math.sqrt(4e5 / 0.25):.4g} to" in words[0]
    assert not any("no fuse saving" in m for m in told(recloser(n_fast=0, open_s=[2]), fuse(4e5, 4.1e5)))


def test_fuse_that_clears_after_the_slow_shot_is_warned_of_up_to_where_they_cross():
    words = [message for message in told(recloser(), fuse(1e6, 2e6)) if "not selective" in message]
    assert len(words) == 1
    assert words[0].startswith("feeder.protection.1: not selective: c1 acts before f1 has interrupted")
    assert f"to {math.sqrt(2e6 / 1.0):.4g} A" in words[0]  # 2e6 / I^2 = 1 s
    longer = [m for m in told(recloser(), fuse(1e6, 2e6), coordination_interval_s=0.5) if "not selective" in m]
    assert f"to {math.sqrt(2e6 / 0.5):.4g} A" in longer[0]  # 2e6 / I^2 + 0.5 s = 1 s


def test_fuse_that_no_sequence_of_shots_blows_is_refused():
    # largest fault there some 3 kA: 1e9 / I^2 is 100 s, all three shots together last 0.25 + 2 * 1.05 s
    with pytest.raises(InputError) as caught:
        told(recloser(), fuse(1e9, 1.1e9))
    assert "feeder.protection.1.melt" in str(caught.value)
    assert "f1 could never blow: recloser c1 on its source side has locked out before" in str(caught.value)


def test_relays_in_series_need_the_breakers_time_between_them():
    assert told(relay("r1", "2", 0.4), relay("r2", "5", 0.3)) == []
    words = told(relay("r1", "2", 0.34), relay("r2", "5", 0.3))  # 0.3 + 0.05 > 0.34
    assert len(words) == 1
    assert "feeder.protection.1: not selective: r1 acts before r2 has interrupted" in words[0]
    assert "at every current" in words[0]
    assert "coordination_interval_s=0.2" in told(
        relay("r1", "2", 0.4), relay("r2", "5", 0.3), coordination_interval_s=0.2
    )[0]  # fmt: skip


def test_devices_that_are_not_in_series_are_not_compared():
    # line 18 leaves bus 2 for bus 19, line 5 is on the trunk
    assert told(relay("r1", "18", 0.1, phase=definite(0.1, 60)), relay("r2", "5", 0.3)) == []


def test_instantaneous_stage_that_reaches_past_the_next_relay_is_warned_of():
    reaching = relay("r1", "2", 0.6, phase=definite(0.6, 300) | {"instantaneous_a": 1500})
    words = told(reaching, relay("r2", "5", 0.3))
    assert "where their curves cross, from 1500 to" in words[0]


def test_device_that_no_fault_there_reaches_is_warned_of():
    words = told(relay("r1", "16", 0.3, phase=definite(0.3, 5000)))
    assert "feeder.protection.0: r1 picks up at 5000 A, not below the" in words[0]
    assert "it never acts" in words[0]


def net_with(p_mw, q_mvar):
    """case33bw with its ties closed, loads of constant current, and one of constant power at bus 20 instead."""
    net = pn.case33bw()
    net.load["const_i_p_percent"] = net.load["const_i_q_percent"] = 100.0
    net.load.loc[net.load.bus == 20, "in_service"] = False  # pandapower mixes the kinds of one bus
    if p_mw:
        pp.create_load(net, 20, p_mw, q_mvar)
    net.line["in_service"] = True
    pp.runpp(net, tolerance_mva=1e-9, numba=False)
    return net


def test_currents_with_more_load_in_a_mesh_are_those_of_pandapower():
    bare, loaded = net_with(0, 0), net_with(2.5, 0.8)
    feeder = from_pandapower(bare)
    linear, bus = LinearNetwork(feeder.network), feeder.bus_names.index("20")
    v = linear.loaded({"20": 2.5 + 0.8j})
    assert abs(v[bus]) == pytest.approx(loaded.res_bus.vm_pu[20], abs=2e-4)
    assert bare.res_bus.vm_pu[20] - abs(v[bus]) > 0.03
    first = feeder.network.el_ptr[np.flatnonzero(feeder.network.el_kind == LINE)]
    for line in loaded.line.index:
        found_a = abs(linear.currents_a(first[[line]], v)[0])
        assert found_a == pytest.approx(1e3 * loaded.res_line.i_from_ka[line], rel=2e-3, abs=0.2), line


def test_power_that_has_no_solution_is_told():
    assert np.isnan(LinearNetwork(load_feeder("case33bw").network).loaded({"20": 100.0})).all()


def test_pick_up_below_the_current_with_the_data_center_at_its_peak_is_warned_of():
    plain = scenario(2, feeder={"model": "case33bw", "protection": [relay("r1", "2", 60.0, phase=definite(60.0))]})
    site = plain["datacenters"]["campus"] = campus(ups=False, facility={"cooling": {"time_constant_s": 0.01}})
    site["load"]["accelerators"]["count"] = 3000
    first, stage = ([{"duration_s": t_s, "utilization": 1}] for t_s in (0.5, 100))
    site["load"]["jobs"] = {"all": {"kind": "training", "cold_start": first, "iteration": stage, "start_s": 0}}
    with pytest.warns(UserWarning, match=r"protection.0: r1 picks up at 200 A, below the .* data centers") as one:
        rows, _, _ = simulate(plain | {"log": {"lines": ["2"]}})
    told_a = float(str(one[0].message).split("below the ")[1].split(" A")[0])
    per_percent_a = 10.0 * pn.case33bw().line.max_i_ka[2]
    assert told_a == pytest.approx(rows["line/loading_percent"].max() * per_percent_a, rel=0.03)


def test_device_on_one_phase_is_warned_for_a_fault_to_ground_alone():
    """Line 108_109 of IEEE 123 has phase a only: nothing there can fault between phases."""
    fast = {"curve": "ieee_extremely_inverse", "pickup_a": 400, "time_dial": 0.05}
    devices = [
        {"name": "b1", "kind": "relay", "line": "sw5", "phase": fast},
        {"name": "f1", "kind": "fuse", "line": "108_109", "speed": "t", "rated_a": 120},
    ]
    with pytest.warns(
        UserWarning, match="not selective: b1 acts before f1 has interrupted, a fault to ground:"
    ) as caught:
        prepare(scenario(1, feeder={"model": "ieee123", "protection": devices}, datacenters={}))
    assert not [one for one in caught if "between phases" in str(one.message)]
