"""Fault currents beside voltage-controlled generators: pandapower's calc_sc, OpenDSS, and what a fault costs.

calc_sc has c Un behind every machine and corrects a generator's impedance by K_G (IEC 60909-0, 6.6.1); here the same
emf stands behind K_G times the file's reactance. OpenDSS has the emf that follows from pandapower's own power flow.
"""

from __future__ import annotations

import numpy as np
import opendssdirect as dss
import pandapower
import pandapower.networks as pn
import pandapower.shortcircuit as sc
import pytest

from cosim.feeder import CompiledFeeder, FeederConfig, SourceConfig, from_pandapower
from cosim.feeder import arrays as ix
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.linear_network import LinearNetwork

pytestmark = [pytest.mark.validation]
C_MAX, COS_PHI, KV = 1.1, 0.85, 110.0
"""IEC 60909-0, Table 1; rated power factor; voltage. [1, 1, kV]"""
S_SC_MVA, X_OVER_R = 3000.0, 10.0
MACHINES = {2: (120.0, 0.18, 0.4), 4: (60.0, 0.25, 0.0)}
"""Bus: rating [MVA], subtransient reactance [1], resistance [ohm]."""
LINES = [(0, 1, 12.0), (1, 2, 25.0), (1, 3, 18.0), (3, 4, 9.0), (2, 4, 30.0)]
R_KM, X_KM = 0.06, 0.4


def meshed_net(times=1.0, p_mw=0.0):
    net = pandapower.create_empty_network()
    for k in range(5):
        pandapower.create_bus(net, KV, name=f"b{k}")
    pandapower.create_ext_grid(net, 0, vm_pu=1.0, s_sc_max_mva=S_SC_MVA, rx_max=1 / X_OVER_R)
    for k, (a, b, km) in enumerate(LINES):
        pandapower.create_line_from_parameters(net, a, b, km, R_KM, X_KM, c_nf_per_km=0.0, max_i_ka=1.0, name=f"l{k}")
    for bus, (sn_mva, xdss, r_ohm) in MACHINES.items():
        k = times if isinstance(times, float) else times[bus]
        pandapower.create_gen(
            net,
            bus,
            p_mw=p_mw,
            vm_pu=1.0,
            sn_mva=sn_mva,
            vn_kv=KV,
            xdss_pu=k * xdss,
            rdss_ohm=k * r_ohm,
            cos_phi=COS_PHI,
        )
    net.gen["power_station_trafo"] = np.nan
    net.gen["pg_percent"] = 0.0
    return net


def compiled_of(net, s_sc_mva):
    feeder = from_pandapower(net)
    source = SourceConfig(s_sc_mva=s_sc_mva, x_over_r=X_OVER_R)
    compiled = CompiledFeeder(feeder.network, [], FeederConfig(model="meshed"), source)
    solve_totals(compiled)
    return feeder, compiled


@pytest.mark.parametrize(
    ("fault", "kind", "r_ohm"), [("3ph", "three_phase", 1e-5), ("2ph", "line_to_line", 2e-5)], ids=["3ph", "2ph"]
)
def test_currents_beside_generators_are_those_of_calc_sc(fault, kind, r_ohm):
    k_g = {bus: C_MAX / (1 + xdss * np.sin(np.arccos(COS_PHI))) for bus, (_, xdss, _) in MACHINES.items()}
    net = meshed_net()
    sc.calc_sc(net, fault=fault, case="max", ip=False, ith=False)
    expected_ka = net.res_bus_sc["ikss_ka"].to_numpy()
    pandapower.runpp(net)
    feeder, compiled = compiled_of(meshed_net(k_g), S_SC_MVA / C_MAX)
    linear = LinearNetwork(feeder.network, SourceConfig(s_sc_mva=S_SC_MVA / C_MAX, x_over_r=X_OVER_R))
    for bus in range(len(expected_ka)):
        compiled.apply_fault("f", FaultConfig(bus=feeder.bus_names[bus], type=kind, r_ohm=r_ohm))
        solve_totals(compiled)
        found_ka = C_MAX * np.abs(compiled.fault_current_a("f")).max() / 1e3
        compiled.clear_fault("f")
        assert found_ka == pytest.approx(expected_ka[bus], rel=1e-5), bus
        if fault == "3ph":
            assert C_MAX * linear.fault_a(np.array([bus])) / 1e3 == pytest.approx(expected_ka[bus], rel=1e-5), bus


def dss_voltages(emf, fault_bus, r_ohm):
    """Positive-sequence voltages [pu] of OpenDSS's circuit of the same impedances behind the given emfs [pu]."""
    z_ohm = {0: KV**2 / S_SC_MVA * (1 + 1j * X_OVER_R) / np.hypot(1, X_OVER_R)}
    z_ohm |= {bus: r + 1j * x * KV**2 / sn for bus, (sn, x, r) in MACHINES.items()}
    text = ["clear"]
    for k, (bus, e) in enumerate(emf.items()):
        z = z_ohm[bus]
        name = "new circuit.c" if k == 0 else f"new vsource.g{bus}"
        text.append(
            f"{name} bus1=b{bus} basekv={KV} pu={abs(e):.12f} angle={np.degrees(np.angle(e)):.12f} r1={z.real:.12g} "
            f"x1={z.imag:.12g} r0={z.real:.12g} x0={z.imag:.12g}"
        )
    text += [
        f"new line.l{k} bus1=b{a} bus2=b{b} length={km} units=km r1={R_KM} x1={X_KM} c1=0 r0={R_KM} x0={X_KM} c0=0"
        for k, (a, b, km) in enumerate(LINES)
    ]
    text += [f"new fault.f bus1=b{fault_bus} phases=3 r={r_ohm}", f"set voltagebases=[{KV}]", "calcv"]
    for line in [*text, "set tolerance=1e-10", "solve"]:
        dss.Text.Command(line)
    found = []
    for k in range(5):
        dss.Circuit.SetActiveBus(f"b{k}")
        found.append(complex(*dss.Bus.SeqVoltages()[1:2], 0.0) / (KV * 1e3 / np.sqrt(3)))
    return np.abs(found)


@pytest.mark.parametrize("fault_bus", range(5))
def test_voltages_beside_loaded_generators_are_those_of_opendss(fault_bus):
    net = meshed_net(p_mw=40.0)
    pandapower.runpp(net)
    v = net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.radians(net.res_bus.va_degree.to_numpy()))
    emf = {}
    for k, (bus, (sn, x, r)) in enumerate(MACHINES.items()):
        out = np.conj((net.res_gen.p_mw[k] + 1j * net.res_gen.q_mvar[k]) / v[bus])
        emf[bus] = v[bus] + (r / KV**2 + 1j * x / sn) * out
    feeder, compiled = compiled_of(net, S_SC_MVA)
    emf = {0: complex(*compiled.arrays.emf[0])} | emf
    compiled.apply_fault("f", FaultConfig(bus=feeder.bus_names[fault_bus], type="three_phase", r_ohm=0.5))
    solve_totals(compiled)
    found = np.sqrt(compiled.arrays.vm2[compiled.arrays.node_row[:5]])
    np.testing.assert_allclose(found, dss_voltages(emf, fault_bus, 0.5), atol=1e-7)


@pytest.mark.parametrize("name", ["case39", "case118"])
@pytest.mark.filterwarnings("ignore:.*xdss_pu")
def test_fault_anywhere_has_a_solution_and_costs_two_factorizations_at_most(name):
    feeder = from_pandapower(getattr(pn, name)())
    source = SourceConfig(s_sc_mva=20e3, x_over_r=10.0)
    compiled = CompiledFeeder(feeder.network, [feeder.bus_names[3]], FeederConfig(model=name), source)
    compiled.arrays.port_p_mw[:] = 1.0
    solve_totals(compiled)
    before = compiled.arrays.vm2.copy()
    for bus in feeder.bus_names[:: 1 if name == "case39" else 4]:
        if bus == feeder.bus_names[3]:  # at its terminals converters cease, which is the engine's part
            continue
        compiled.apply_fault("f", FaultConfig(bus=bus, type="three_phase"))
        for p_mw in (1.0, 2.0):
            compiled.arrays.port_p_mw[:] = p_mw
            status, totals = solve_totals(compiled)
            assert status == ix.OK, bus
        left = totals[ix.P_SOURCE] + totals[ix.P_GEN] - totals[ix.P_LOAD] - totals[ix.P_LOSS] - p_mw
        assert abs(left) < 1e-6 * abs(totals[ix.P_LOSS]), bus
        n_factored = int(compiled.arrays.flags[ix.N_FACTORED])
        compiled.clear_fault("f")
        compiled.arrays.port_p_mw[:] = 1.0
        assert solve_totals(compiled)[0] == ix.OK
        assert n_factored + int(compiled.arrays.flags[ix.N_FACTORED]) <= 2, bus
        np.testing.assert_allclose(compiled.arrays.vm2, before, atol=1e-8)
