"""Elements, switches and sources one by one, against `pandapower.runpp` on the same small network."""

from __future__ import annotations

import copy
import warnings
from itertools import pairwise

import numpy as np
import pytest
from feeder_peer import check, deviations, run_pandapower

from cosim.errors import InputError, PhysicsError
from cosim.feeder import FeederConfig, SourceConfig, from_pandapower, solve
from cosim.feeder.arrays import DEAD, OK

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandapower as pp
    import pandapower.networks as pn

pytestmark = [pytest.mark.validation, pytest.mark.filterwarnings("ignore")]
CONFIG = FeederConfig(model="small", vmin_pu=0.0)


@pytest.fixture
def net():
    """A 110/20 kV transformer with taps, a ring of four lines with switches, and loads."""
    net = pp.create_empty_network(sn_mva=7.0)
    hv = pp.create_bus(net, 110.0, name="hv")
    mv = [pp.create_bus(net, 20.0, name=f"mv{k}") for k in range(5)]
    pp.create_ext_grid(net, hv, vm_pu=1.02, va_degree=10.0)
    pp.create_transformer(net, hv, mv[0], "25 MVA 110/20 kV", name="main")
    ring = [0, 1, 2, 3, 4, 0]
    for k, (a, b) in enumerate(pairwise(ring)):
        pp.create_line(net, mv[a], mv[b], 2.0 + k, "NA2XS2Y 1x240 RM/25 12/20 kV", name=f"line{k}")
    pp.create_switch(net, mv[3], 3, "l", closed=False, name="tie")
    for k, bus in enumerate(mv[1:]):
        pp.create_load(net, bus, 1.0 + 0.3 * k, 0.4, name=f"load{k}")
    return net


def assert_same(net, feeder=None):
    compiled = (feeder or from_pandapower(net)).compile([], CONFIG)
    check(deviations(compiled, run_pandapower(net)))
    return compiled


def test_feeder_open_line_end_still_charges(net):
    assert_same(net)


def test_feeder_tap_positions_are_pandapowers(net):
    for tap in (-9, 3, 9):
        net.trafo.tap_pos = tap
        assert_same(net)


def test_feeder_three_winding_transformer_is_pandapowers(net):
    mv, lv = pp.create_bus(net, 20.0), pp.create_bus(net, 10.0)
    pp.create_transformer3w(net, 0, mv, lv, "63/25/38 MVA 110/20/10 kV", tap_pos=2)
    pp.create_load(net, mv, 8.0, 2.0)
    pp.create_load(net, lv, 5.0, 1.0)
    assert_same(net)
    pp.create_switch(net, lv, 0, "t3", closed=False)
    assert_same(net)


def test_feeder_voltage_dependent_loads_follow_their_shares(net):
    net.load.const_i_p_percent, net.load.const_z_p_percent = 30.0, 20.0
    net.load.const_i_q_percent, net.load.const_z_q_percent = 10.0, 60.0
    assert_same(net)


def test_feeder_generators_hold_their_voltage(net):
    pp.create_gen(net, 3, p_mw=2.0, vm_pu=1.01)
    compiled = assert_same(net)
    compiled.set_load("load1", 6.0, 2.0)
    net.load.loc[1, ["p_mw", "q_mvar"]] = 6.0, 2.0
    check(deviations(compiled, run_pandapower(net)))


def test_feeder_slack_generator_is_a_source(net):
    net.ext_grid.in_service = False
    pp.create_gen(net, 0, p_mw=0.0, vm_pu=1.03, slack=True)
    compiled = from_pandapower(net).compile([], CONFIG)
    assert solve(compiled.arrays) == OK


def test_feeder_two_ideal_sources_share_the_flow(net):
    pp.create_ext_grid(net, 4, vm_pu=1.0, va_degree=-140.0)
    assert_same(net)


def test_feeder_shunts_wards_storage_and_motors_draw_as_in_pandapower(net):
    pp.create_shunt(net, 2, q_mvar=-0.8, p_mw=0.02, step=2)
    pp.create_ward(net, 3, 0.3, 0.1, 0.2, 0.05)
    pp.create_storage(net, 5, p_mw=0.5, max_e_mwh=1.0, q_mvar=0.1)
    pp.create_motor(net, 5, pn_mech_mw=0.4, cos_phi=0.9, loading_percent=80)
    pp.create_sgen(net, 2, p_mw=0.7, q_mvar=-0.1, scaling=0.9)
    pp.create_impedance(net, 2, 4, 0.01, 0.05, 10.0)
    assert_same(net)


def test_feeder_extended_ward_holds_its_inner_voltage(net):
    """pandapower counts the loss inside the ward as drawn by it, so losses differ by definition."""
    pp.create_xward(net, 4, 0.2, 0.1, 0.1, 0.05, r_ohm=2.0, x_ohm=8.0, vm_pu=1.0)
    deviation = deviations(from_pandapower(net).compile([], CONFIG), run_pandapower(net))
    deviation.pop("loss")
    check(deviation)


def test_feeder_bus_switches_fuse_or_carry_impedance(net):
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_switch(net, 5, a, "b", closed=True)
    pp.create_switch(net, a, b, "b", closed=True, z_ohm=1.5)
    pp.create_load(net, b, 0.9, 0.2)
    assert_same(net)


def test_feeder_bus_out_of_service_opens_its_lines(net):
    net.bus.loc[5, "in_service"] = False
    assert_same(net)


@pytest.mark.parametrize("name", ["line0", "line1", "line2"])
def test_feeder_switch_operated_at_run_time_equals_one_in_the_file(net, name):
    pp.create_switch(net, 1, 0, "l", closed=True, name="first")
    compiled = from_pandapower(net).compile([], CONFIG)
    check(deviations(compiled, run_pandapower(net)))
    compiled.set_switch("tie", True)
    compiled.set_switch(f"line:{name}", False)
    changed = copy.deepcopy(net)
    changed.switch.loc[0, "closed"] = True
    changed.line.loc[int(name[-1]), "in_service"] = False
    check(deviations(compiled, run_pandapower(changed)))
    compiled.set_switch(f"line:{name}", True)
    compiled.set_switch("first", False)
    changed = copy.deepcopy(net)
    changed.switch.closed = [True, False]
    check(deviations(compiled, run_pandapower(changed)))


def test_feeder_switched_off_bus_is_dead_and_returns(net):
    feeder = from_pandapower(net)
    compiled = feeder.compile(["mv1"], CONFIG)
    f = compiled.arrays
    f.port_p_mw[0] = 1.0
    assert solve(f) == OK
    before = f.port_vm_pu[0]
    for name in ("line:line0", "line:line1"):
        compiled.set_switch(name, False)
    f = compiled.arrays
    assert solve(f) == DEAD
    assert f.port_vm_pu[0] == f.port_p_solved_mw[0] == 0.0
    for name in ("line:line0", "line:line1"):
        compiled.set_switch(name, True)
    assert solve(compiled.arrays) == OK
    assert compiled.arrays.port_vm_pu[0] == pytest.approx(before, abs=1e-9)


def test_case33bw_with_ties_closed_is_meshed_as_in_pandapower():
    net = pn.case33bw()
    net.line["in_service"] = True
    assert_same(net)
    compiled = from_pandapower(pn.case33bw()).compile([], CONFIG)
    for k in range(32, 37):
        compiled.set_switch(f"line:{k}", True)
    check(deviations(compiled, run_pandapower(net)))


def test_source_behind_impedance_equals_a_line_in_front(net):
    """A source of 200 MVA, x/r 8: emf placed so that the base case stays; then with a data center."""
    s_sc_mva, x_over_r = 200.0, 8.0
    feeder = from_pandapower(net)
    compiled = feeder.compile(["mv3"], CONFIG, SourceConfig(s_sc_mva=s_sc_mva, x_over_r=x_over_r))
    check(deviations(compiled, run_pandapower(net)))

    base = run_pandapower(net)
    behind = copy.deepcopy(net)
    z = complex(1, x_over_r) / abs(complex(1, x_over_r)) * 110.0**2 / s_sc_mva
    v = base.res_bus.vm_pu[0] * np.exp(1j * np.radians(base.res_bus.va_degree[0])) * 110.0
    s = complex(base.res_ext_grid.p_mw[0], base.res_ext_grid.q_mvar[0])
    emf = (v + z * np.conj(s / v)) / 110.0
    far = pp.create_bus(behind, 110.0)
    pp.create_line_from_parameters(behind, far, 0, 1.0, z.real, z.imag, 0.0, 1.0)
    behind.ext_grid.loc[0, ["bus", "vm_pu", "va_degree"]] = far, abs(emf), np.degrees(np.angle(emf))
    behind.ext_grid["bus"] = behind.ext_grid["bus"].astype(int)
    solved = run_pandapower(behind, bus=4, p_mw=3.0, q_mvar=0.6)
    compiled.arrays.port_p_mw[0], compiled.arrays.port_q_mvar[0] = 3.0, 0.6
    assert solve(compiled.arrays) == OK
    assert compiled.arrays.port_vm_pu[0] == pytest.approx(solved.res_bus.vm_pu[4], abs=1e-8)


def test_source_set_point_replaces_the_networks(net):
    compiled = from_pandapower(net).compile([], CONFIG, SourceConfig(vm_pu=0.97))
    net.ext_grid.vm_pu = 0.97
    check(deviations(compiled, run_pandapower(net)))


def test_source_dip_equals_pandapower_at_that_voltage(net):
    compiled = from_pandapower(net).compile([], CONFIG)
    compiled.set_source(0.85, -12.0)
    net.ext_grid.vm_pu *= 0.85
    net.ext_grid.va_degree -= 12.0
    check(deviations(compiled, run_pandapower(net)))


@pytest.mark.parametrize("table", ["asymmetric_load", "svc", "dcline"])
def test_feeder_refuses_unsupported_element_by_name(net, table):
    if table == "asymmetric_load":
        pp.create_asymmetric_load(net, 2, p_a_mw=0.1, name="lopsided")
    elif table == "svc":
        pp.create_svc(net, 2, 1.0, -10.0, 1.0, 90.0, name="lopsided")
    else:
        pp.create_dcline(net, 1, 3, 0.1, 1.0, 0.01, 1.0, 1.0, name="lopsided")
    with pytest.raises(InputError, match=f"{table} lopsided"):
        from_pandapower(net)
    net[table]["in_service"] = False
    assert_same(net)


def test_feeder_without_a_source_is_refused(net):
    net.ext_grid.in_service = False
    with pytest.raises(InputError, match="no source"):
        from_pandapower(net)


def test_feeder_without_a_solution_is_refused(net):
    net.load.p_mw *= 100
    with pytest.raises(PhysicsError, match="no power flow solution"):
        from_pandapower(net)


def test_mixed_voltage_shares_at_one_bus_follow_each_load(net):
    """pandapower averages the shares of all loads at a bus; here each load keeps its own."""
    pp.create_load(net, 2, 1.0, 0.2, const_z_p_percent=100.0, const_z_q_percent=100.0)
    compiled = from_pandapower(net).compile([], CONFIG)
    assert solve(compiled.arrays) == OK
    row = compiled.arrays.node_row[compiled.bus_names.index("mv1")]
    m = compiled.arrays.vm2[row]
    net.load.loc[4, ["p_mw", "q_mvar"]] = 1.0 * m, 0.2 * m
    net.load.loc[4, ["const_z_p_percent", "const_z_q_percent"]] = 0.0
    check(deviations(compiled, run_pandapower(net)))
