"""Power flow beside faults and in deep dips: few factorizations, the twin's solution, existence in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from network_twin import admittance_matrix, solve_network, with_data_center, with_open_laws

from cosim.feeder import COLLAPSED, OK, CompiledFeeder, FeederConfig, assembled, load_feeder, solve
from cosim.feeder import arrays as ix
from cosim.feeder.faults import FaultConfig
from cosim.feeder.topology import build_topology

V_MIN_PU = 0.85


def ask(compiled, s_mva):
    f = compiled.arrays
    f.port_p_mw[:], f.port_q_mvar[:], f.port_v_min_pu[:] = s_mva.real, s_mva.imag, V_MIN_PU
    return solve(f)


def node_v(compiled):
    f = compiled.arrays
    v = f.v[0::2] + 1j * f.v[1::2]
    return np.where(f.node_row >= 0, v[np.maximum(f.node_row, 0)], 0)


def with_shunt(net, nodes, z_ohm):
    """A fault of all the nodes to ground, each through its own impedance."""
    y = net.node_y_shunt.copy()
    y[nodes] += net.node_vn_kv[nodes] ** 2 / z_ohm
    return replace(net, node_y_shunt=y)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("model", "port", "s_mva", "bus", "type", "r_ohm"),
    [
        ("ieee34", "890", 0.2, "808", "line_to_ground", 0.05),
        ("ieee34", "890", 0.2, "842_844", "three_phase", 1e-4),
        ("ieee34", "890", 0.2 - 0.1j, "834", "double_line_to_ground", 2.0),
        ("ieee13", "680", 1.0 + 0.3j, "671", "line_to_ground", 0.1),
        ("ieee13", "680", 1.0 + 0.1j, "632", "three_phase", 0.1),
        ("case33bw", "17", 1.0 + 0.1j, "26", "three_phase", 1e-4),
        ("case33bw", "17", 2.0 - 0.5j, "8", "three_phase", 1.0),
    ],
)
def test_solution_deep_in_a_sag_is_the_twins_and_costs_two_factorizations_at_most(model, port, s_mva, bus, type, r_ohm):
    """Voltages of 0.005 to 0.6 pu at a data center in constant current; the twin factorizes at each of its steps."""
    feeder = load_feeder(model)
    compiled = CompiledFeeder(feeder.network, [port], FeederConfig(model=model))
    assert ask(compiled, s_mva) == OK
    net = with_open_laws(feeder.network, FeederConfig(model=model).vmin_pu)
    net = with_data_center(net, net.nodes_of_bus(list(net.bus_name).index(port)), s_mva, v_min_pu=V_MIN_PU)
    config = FaultConfig(bus=bus, type=type, r_ohm=r_ohm)
    compiled.apply_fault("f", config)
    assert ask(compiled, s_mva) == OK
    assert compiled.arrays.port_vm_pu[0] < 0.6
    assert compiled.arrays.flags[ix.N_FACTORED] <= 2
    nodes = net.nodes_of_bus(list(net.bus_name).index(bus))
    nodes = nodes if net.is_balanced else nodes[: {"line_to_ground": 1, "double_line_to_ground": 2}.get(type, 3)]
    found = node_v(compiled)
    expected = solve_network(with_shunt(net, nodes, r_ohm), np.append(found, net.node_v[found.size :])).v
    assert np.abs(found - expected[: found.size]).max() < 1e-9
    compiled.clear_fault("f")
    assert ask(compiled, s_mva) == OK
    assert compiled.arrays.flags[ix.N_FACTORED] == 0


def seen_from(net, node):
    """Open-circuit voltage and impedance at a node of a network without loads. [pu]"""
    y = admittance_matrix(net).toarray()
    free = np.setdiff1d(np.flatnonzero(net.node_in_service), net.source_node)
    inner = y[np.ix_(free, free)]
    emf = np.linalg.solve(inner, -y[np.ix_(free, net.source_node)] @ net.source_v)
    unit = (free == node).astype(complex)
    return emf[free == node][0], np.linalg.solve(inner, unit)[free == node][0]


@pytest.mark.parametrize("q_per_p", [0.0, 0.3, -0.4])
@pytest.mark.parametrize("dip", [1.0, 0.25])
def test_there_is_an_operating_point_where_the_closed_form_has_one(dip, q_per_p):
    """Constant current c U / |U| behind Z: |E| = | |U| + Z c |, which has a solution from |E| = |Z c| up."""
    feeder, node, s_mva = load_feeder("case33bw"), 17, 1.5 * (1 + 1j * q_per_p)
    compiled = CompiledFeeder(feeder.network, [str(node)], FeederConfig(model="case33bw"))
    compiled.set_injections(np.zeros_like(compiled.injections))
    assert ask(compiled, s_mva) == OK
    compiled.set_source(dip)
    seen = []
    for bus in (5, 9, 14, 16, 17):
        for r_ohm in (0.05, 0.2, 0.8, 3.0):
            net = replace(with_shunt(feeder.network, [bus], r_ohm), source_v=dip * feeder.network.source_v)
            e, z = seen_from(net, node)
            drop = z * np.conj(s_mva) / V_MIN_PU
            compiled.apply_fault("f", FaultConfig(bus=str(bus), type="three_phase", r_ohm=r_ohm))
            status, f = ask(compiled, s_mva), compiled.arrays
            assert f.flags[ix.N_FACTORED] <= 2
            assert (status == COLLAPSED) == (abs(e) < abs(drop))
            if status == COLLAPSED:
                assert f.last_solvable[ix.LS_FRACTION] == pytest.approx(abs(e) / abs(drop), abs=1e-3)
            elif f.port_vm_pu[0] < V_MIN_PU:
                vm_pu = np.sqrt(abs(e) ** 2 - drop.imag**2) - drop.real
                assert f.port_vm_pu[0] == pytest.approx(vm_pu, abs=1e-9)
            seen.append(int(status))
            compiled.clear_fault("f")
            ask(compiled, s_mva)
    assert {OK, COLLAPSED} <= set(seen)


def test_generators_keep_their_emf_through_a_checkpoint_inside_a_fault():
    feeder = load_feeder("case14")
    at = feeder.bus_names[int(feeder.network.node_bus[int(feeder.network.gen_node[0])])]
    one, other = feeder.compile(["5"]), feeder.compile(["5"])
    assert ask(one, np.array([3 + 1j])) == 0
    before = node_v(one)
    one.apply_fault("f", FaultConfig(bus=at, type="three_phase"))
    assert ask(one, np.array([2 + 1j])) == 0
    other.restore(one.state())
    for name, bus in (("g", "8"), ("h", "12")):
        for compiled in (one, other):
            compiled.apply_fault(name, FaultConfig(bus=bus, type="three_phase", r_ohm=1.0))
            assert ask(compiled, np.array([2 + 1j])) == 0
        np.testing.assert_array_equal(node_v(one), node_v(other))
    for name in ("f", "g", "h"):
        one.clear_fault(name)
        other.clear_fault(name)
    assert ask(one, np.array([3 + 1j])) == ask(other, np.array([3 + 1j])) == 0
    np.testing.assert_array_equal(node_v(one), node_v(other))
    np.testing.assert_allclose(node_v(one), before, atol=1e-9)


def test_kept_rows_and_pattern_give_what_building_anew_gives(monkeypatch):
    """Faults where all is coupled already, and one that feeds a dead phase."""
    feeder = load_feeder("ieee123")
    found = []
    for is_anew in (False, True):
        if is_anew:
            monkeypatch.setattr(assembled, "faulted_topology", lambda _, states: build_topology(*states))
        compiled = CompiledFeeder(feeder.network, ["67"], FeederConfig(model="ieee123"))
        ask(compiled, 0.5 + 0.1j)
        for fault in (
            {"bus": "60", "type": "three_phase", "r_ohm": 0.3},
            {"bus": "110", "type": "line_to_ground", "r_ohm": 2.0},
            {"bus": "47", "type": "line_to_line", "r_ohm": 1.0},
            {"line": "101_105", "position": 0.3, "type": "double_line_to_ground", "r_ohm": 1.0},
        ):
            compiled.apply_fault("f", FaultConfig(**fault))
            ask(compiled, 0.5 + 0.1j)
            found.append(node_v(compiled))
            compiled.clear_fault("f")
            ask(compiled, 0.5 + 0.1j)
        net = compiled.network
        at = np.flatnonzero(net.el_name == "sw5")[0]
        compiled.set_poles(np.array([net.el_ptr[at] + 1]), closed=False)
        ask(compiled, 0.5 + 0.1j)
        compiled.apply_fault("f", FaultConfig(bus="105", type="line_to_line", phases="ab", r_ohm=5.0))
        ask(compiled, 0.5 + 0.1j)
        found.append(node_v(compiled))
    half = len(found) // 2
    dead = feeder.node_names.index("105.2")
    assert found[half - 1][dead] != 0
    for kept, anew in zip(found[:half], found[half:], strict=True):
        assert np.abs(kept - anew).max() < 1e-9
        assert np.array_equal(kept == 0, anew == 0)
