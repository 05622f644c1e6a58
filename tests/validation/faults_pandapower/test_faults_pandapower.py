"""Short-circuit currents of three, two and one phase against pandapower's calc_sc, within the assumptions of both.

Without loads and charging, IEC 60909's equivalent source at the fault and a power flow with the fault in it are one
linear problem. calc_sc has a source of c Un behind c Un^2 / S, c = 1.1 at medium voltage: so has cosim at S / c, its
currents then times c.
"""

from __future__ import annotations

import numpy as np
import pandapower
import pandapower.shortcircuit as sc
import pytest

from cosim.feeder import CompiledFeeder, FeederConfig, SourceConfig, from_pandapower
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.linear_network import LinearNetwork

pytestmark = [pytest.mark.validation]

S_SC_MVA, X_OVER_R = 500.0, 10.0
C_MAX_MV = 1.1
"""IEC 60909-0, Table 1: voltage factor of the greatest current, 1 kV and above. [1]"""


def bare_net():
    """Lines of a 20 kV feeder with a branch, behind a 110 kV source of its own impedance; no loads, no charging."""
    net = pandapower.create_empty_network()
    buses = [pandapower.create_bus(net, 20.0, name=f"b{k}") for k in range(6)]
    rx = 1 / X_OVER_R
    pandapower.create_ext_grid(net, buses[0], vm_pu=1.0, s_sc_max_mva=S_SC_MVA, rx_max=rx)
    for k, (a, b, km) in enumerate([(0, 1, 2.0), (1, 2, 5.0), (2, 3, 1.5), (1, 4, 8.0), (4, 5, 3.0)]):
        pandapower.create_line_from_parameters(
            net, buses[a], buses[b], km, 0.25, 0.35, c_nf_per_km=0.0, max_i_ka=0.3, name=f"l{k}"
        )
    return net


def test_three_phase_currents_are_those_of_calc_sc():
    net = bare_net()
    sc.calc_sc(net, fault="3ph", case="max", ip=False, ith=False)
    expected_ka = net.res_bus_sc["ikss_ka"].to_numpy()
    pandapower.runpp(net)
    # calc_sc: U = c Un behind Z = c Un^2 / S of the source; the same emf and impedance here, at 1 pu.
    feeder = from_pandapower(net)
    source = SourceConfig(s_sc_mva=S_SC_MVA / C_MAX_MV, x_over_r=X_OVER_R)
    compiled = CompiledFeeder(feeder.network, [], FeederConfig(model="bare"), source)
    linear = LinearNetwork(feeder.network, source)
    for bus in range(len(expected_ka)):
        compiled.apply_fault("f", FaultConfig(bus=feeder.bus_names[bus], type="three_phase", r_ohm=1e-5))
        solve_totals(compiled)
        found_ka = C_MAX_MV * abs(compiled.fault_current_a("f")[0]) / 1e3
        compiled.clear_fault("f")
        assert found_ka == pytest.approx(expected_ka[bus], rel=1e-5), bus
        assert C_MAX_MV * linear.fault_a(np.array([bus])) / 1e3 == pytest.approx(expected_ka[bus], rel=1e-5), bus


def earthed_net(k_t: float = 1.0):
    """The same with zero-sequence data, and a transformer of that correction factor to 400 V."""
    net = bare_net()
    net.ext_grid["x0x_max"], net.ext_grid["r0x0_max"] = 1.4, 0.3
    net.line["r0_ohm_per_km"], net.line["x0_ohm_per_km"], net.line["c0_nf_per_km"] = 0.9, 1.5, 0.0
    low = pandapower.create_bus(net, 0.4, name="low")
    pandapower.create_transformer_from_parameters(
        net, 3, low, 0.63, 20.0, 0.4, 1.1 * k_t, 4.0 * k_t, 0.0, 0.0, shift_degree=150, vector_group="Dyn",
        vk0_percent=3.8 * k_t, vkr0_percent=1.05 * k_t, mag0_percent=1e15, mag0_rx=0.0, si0_hv_partial=0.5,
    )  # fmt: skip
    net.trafo["power_station_unit"] = False  # of another type it makes pandapower's own code warn
    return net


R_OHM = 1e-5
"""Resistance of each phase's path, on both sides: 3e-4 of the current at 400 V. [ohm]"""
K_T = 0.95 * C_MAX_MV / (1 + 0.6 * np.sqrt(0.04**2 - 0.011**2))
"""IEC 60909-0, 6.3.3: correction of a transformer's impedance, which calc_sc applies and a power flow does not. [1]"""


@pytest.mark.parametrize(
    ("fault", "kind", "r_ohm"),
    [("1ph", "line_to_ground", R_OHM), ("2ph", "line_to_line", 2 * R_OHM)],
    ids=["1ph", "2ph"],
)
def test_currents_of_one_and_two_phases_are_those_of_calc_sc(fault, kind, r_ohm):
    net = earthed_net()
    sc.calc_sc(net, fault=fault, case="max", ip=False, ith=False, lv_tol_percent=10, r_fault_ohm=R_OHM)
    expected_ka = net.res_bus_sc["ikss_ka"].to_numpy()
    net = earthed_net(K_T)
    pandapower.runpp(net)
    feeder = from_pandapower(net)
    source = SourceConfig(s_sc_mva=S_SC_MVA / C_MAX_MV, x_over_r=X_OVER_R)
    compiled = CompiledFeeder(feeder.network, [], FeederConfig(model="bare"), source)
    for bus, name in enumerate(feeder.bus_names):
        compiled.apply_fault("f", FaultConfig(bus=name, type=kind, r_ohm=r_ohm))
        solve_totals(compiled)
        found_ka = C_MAX_MV * abs(compiled.fault_current_a("f")).max() / 1e3
        compiled.clear_fault("f")
        assert found_ka == pytest.approx(expected_ka[bus], rel=1e-5), name


@pytest.mark.parametrize("position", [0.25, 0.5, 0.9])
def test_fault_along_a_line_carries_the_current_of_the_series_impedance(position):
    net = bare_net()
    pandapower.runpp(net)
    feeder = from_pandapower(net)
    compiled = CompiledFeeder(
        feeder.network, [], FeederConfig(model="bare"), SourceConfig(s_sc_mva=S_SC_MVA, x_over_r=X_OVER_R)
    )
    fault = FaultConfig(line="l3", position=position, type="three_phase", r_ohm=1.5, x_ohm=0.5)
    compiled.apply_fault("f", fault)
    solve_totals(compiled)
    z_source = 20.0**2 / S_SC_MVA * (1 + 1j * X_OVER_R) / abs(1 + 1j * X_OVER_R)
    z = z_source + (2.0 + 8.0 * position) * (0.25 + 0.35j) + 1.5 + 0.5j
    expected_a = 20e3 / np.sqrt(3) / abs(z)
    assert abs(compiled.fault_current_a("f")[0]) == pytest.approx(expected_a, rel=1e-9)


def three_winding_net(group, k_t=(1.0, 1.0, 1.0)):
    """110, 20 and 10 kV behind one transformer of three ratings, each pair of windings with that correction factor."""
    net = pandapower.create_empty_network()
    hv, mv, lv, far = (
        pandapower.create_bus(net, kv, name=b) for b, kv in (("hv", 110), ("mv", 20), ("lv", 10), ("far", 20))
    )
    pandapower.create_ext_grid(net, hv, s_sc_max_mva=S_SC_MVA, rx_max=1 / X_OVER_R)
    net.ext_grid["x0x_max"], net.ext_grid["r0x0_max"] = 1.2, 0.2
    pandapower.create_line_from_parameters(
        net, mv, far, 3.0, 0.25, 0.35, 0.0, 0.4, name="l", r0_ohm_per_km=0.9, x0_ohm_per_km=1.5, c0_nf_per_km=0.0
    )
    data = {}
    for pair, k, (vk, vkr), (vk0, vkr0) in zip(("hv", "mv", "lv"), k_t, VK_3W, VK0_3W, strict=True):
        data |= {f"vk_{pair}_percent": k * vk, f"vkr_{pair}_percent": k * vkr}
        data |= {f"vk0_{pair}_percent": k * vk0, f"vkr0_{pair}_percent": k * vkr0}
    pandapower.create_transformer3w_from_parameters(
        net, hv, mv, lv, 110.0, 20.0, 10.0, 40.0, 30.0, 15.0, pfe_kw=0.0, i0_percent=0.0, vector_group=group, **data
    )
    return net


VK_3W = ((11.0, 0.4), (6.0, 0.35), (9.0, 0.5))
"""vk and vkr between hv-mv, mv-lv, hv-lv. [percent]"""
VK0_3W = ((10.0, 0.4), (5.5, 0.3), (8.5, 0.45))


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix")  # pandapower's: an open winding is 1e20 there
@pytest.mark.parametrize("group", ["YNyd", "YYNd", "YNynd", "YNdyn", "YNdd", "YNyy", "Dynyn", "Ddd"])
def test_earth_fault_currents_around_three_windings_are_those_of_calc_sc(group):
    net = three_winding_net(group)
    sc.calc_sc(net, fault="1ph", case="max", ip=False, ith=False, r_fault_ohm=R_OHM)
    expected_ka = net.res_bus_sc["ikss_ka"].to_numpy()
    x = [np.sqrt(vk**2 - vkr**2) / 100 for vk, vkr in VK_3W]
    net = three_winding_net(group, [0.95 * C_MAX_MV / (1 + 0.6 * each) for each in x])
    pandapower.runpp(net)
    feeder = from_pandapower(net)
    source = SourceConfig(s_sc_mva=S_SC_MVA / C_MAX_MV, x_over_r=X_OVER_R)
    compiled = CompiledFeeder(feeder.network, [], FeederConfig(model="bare"), source)
    for bus, name in enumerate(feeder.bus_names):
        compiled.apply_fault("f", FaultConfig(bus=name, type="line_to_ground", r_ohm=R_OHM))
        solve_totals(compiled)
        found_ka = C_MAX_MV * abs(compiled.fault_current_a("f")).max() / 1e3
        compiled.clear_fault("f")
        assert found_ka == pytest.approx(expected_ka[bus], rel=1e-5, abs=1e-8), name
