"""The compiled power flow on unbalanced networks drawn at random, against `network_twin` and dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_twin import solve_network, with_data_center, with_device, with_loads, with_switch
from random_networks import TURN, Draft, constant_power, drawn_network, line_admittance, network_of

from cosim.feeder import COLLAPSED, OK, CompiledFeeder, FeederConfig, balance, solve
from cosim.feeder.arrays import (
    LS_FRACTION,
    N_FACTORED,
    P_GEN,
    P_LOAD,
    P_LOSS,
    P_SOURCE,
    Q_GEN,
    Q_LOAD,
    Q_LOSS,
    Q_SOURCE,
)
from cosim.feeder.network import CAPACITOR, LINE, STEP, TAP, TRAFO
from cosim.feeder.ordering import components, make_pattern
from cosim.feeder.topology import without

pytestmark = pytest.mark.twin
CONFIG = FeederConfig(model="drawn", vmin_pu=0.7)
MANY = settings(max_examples=40)
networks = st.builds(
    lambda seed, n_bus, meshed, source_y: drawn_network(
        np.random.default_rng(seed), n_bus=n_bus, meshed=meshed, source_y=source_y
    ),
    st.integers(0, 2**32),
    st.integers(2, 9),
    st.booleans(),
    st.sampled_from([None, 1 / (0.002 + 0.01j)]),
)


def node_v(compiled):
    f = compiled.arrays
    v = f.v[0::2] + 1j * f.v[1::2]
    return np.where(f.node_row >= 0, v[f.node_row], 0)


def unbalance(f):
    """What source, generation, loads, losses and data centers leave over, P and Q, against the power in the feeder."""
    balance(f)
    t = f.totals
    p = t[P_SOURCE] + t[P_GEN] - t[P_LOAD] - t[P_LOSS] - f.port_p_solved_mw.sum()
    q = t[Q_SOURCE] + t[Q_GEN] - t[Q_LOAD] - t[Q_LOSS] - f.port_q_solved_mvar.sum()
    return max(abs(p), abs(q)) / (np.abs(t).sum() + np.abs(f.port_p_solved_mw).sum())


def assert_twin(compiled, twin):
    """Solved, and within 1e-9 pu of the twin."""
    assert solve(compiled.arrays) == OK
    expected = solve_network(
        twin, v_start=np.append(node_v(compiled), compiled.network.node_v[len(node_v(compiled)) :])
    )
    assert expected.residual < 1e-10
    assert np.abs(node_v(compiled) - expected.v[: node_v(compiled).size]).max() < 1e-9


@MANY
@given(networks, st.floats(0.0, 1.2))
def test_unbalanced_feeder_equals_its_twin(net, scaling):
    compiled = CompiledFeeder(net, [], CONFIG.model_copy(update={"load_scaling": scaling}))
    assert_twin(compiled, with_loads(net, scaling))
    assert unbalance(compiled.arrays) < 1e-10


@MANY
@given(networks, st.integers(0, 2**32), st.integers(1, 3))
def test_data_centers_on_some_phases_equal_their_twin(net, seed, n_center):
    rng = np.random.default_rng(seed)
    places, twin, powers = [], net, []
    for _ in range(n_center):
        bus = str(rng.choice(net.bus_name[1:]))
        nodes = net.nodes_of_bus(list(net.bus_name).index(bus))
        picked = np.sort(rng.choice(nodes, int(rng.integers(1, nodes.size + 1)), replace=False))
        places.append(".".join([bus, *net.node_phase[picked].astype(str)]))
        powers.append(complex(rng.uniform(-0.3, 0.8), rng.uniform(-0.2, 0.3)) * picked.size / 3)
        twin = with_data_center(twin, picked, powers[-1], v_min_pu=0.5)
    compiled = CompiledFeeder(net, places, CONFIG)
    f = compiled.arrays
    f.port_v_min_pu[:] = 0.5
    f.port_p_mw[:], f.port_q_mvar[:] = np.real(powers), np.imag(powers)
    assert_twin(compiled, twin)
    assert f.port_p_solved_mw == pytest.approx(np.real(powers), abs=1e-9)
    assert f.port_q_solved_mvar == pytest.approx(np.imag(powers), abs=1e-9)
    lowest = [np.abs(node_v(compiled)[[list(net.node_name).index(f"{p.split('.')[0]}.{k}") for k in p.split(".")[1:]]])
              for p in places]  # fmt: skip
    assert f.port_vm_pu == pytest.approx([v.min() for v in lowest], rel=1e-12)
    assert unbalance(f) < 1e-10


def two_bus(device=None, load_mva=0.3 + 0.1j):
    """Source, line or device, three-phase load and data center place."""
    draft = Draft()
    head, end = draft.add_bus("head", (1, 2, 3)), draft.add_bus("end", (1, 2, 3))
    ends = [list(head.values()), list(end.values())]
    y = line_admittance(np.random.default_rng(1), 3, 0.05)
    draft.add(LINE, ends, y)
    draft.inject(load_mva, [(node, -1) for node in end.values()], constant_power(V_MIN=0.0))
    return network_of(draft, list(head.values()), TURN)


@pytest.mark.parametrize("phases", ["1.2.3", "1", "2.3"])
def test_unbalanced_feeder_tells_collapse_within_a_thousandth_of_the_nose(phases):
    """The nose by bisection with the twin, from the last solution upwards."""
    net = two_bus()
    picked = [3 + int(k) - 1 for k in phases.split(".")]

    def twin_solves(p_mw, v_start):
        found = solve_network(with_data_center(net, picked, p_mw * (1 + 0.2j)), v_start)
        return found if found.residual < 1e-9 and np.abs(found.v[3:6]).min() > 0.3 else None

    low, high, v = 0.0, 40.0, net.node_v
    while high - low > 1e-4 * high:
        middle = 0.5 * (low + high)
        if (found := twin_solves(middle, v)) is not None:
            low, v = middle, found.v
        else:
            high = middle
    f = CompiledFeeder(net, [f"end.{phases}"], CONFIG).arrays

    def ask(p_mw):
        f.port_p_mw[0], f.port_q_mvar[0] = p_mw, 0.2 * p_mw
        return solve(f)

    assert ask(0.999 * low) == OK
    assert unbalance(f) < 1e-9
    assert ask(1.001 * high) == COLLAPSED
    assert f.port_p_solved_mw[0] == pytest.approx(low, rel=1e-3)
    assert 0 < f.last_solvable[LS_FRACTION] < 1
    assert ask(0.5 * low) == OK


def device_network(state=2):
    """A regulating transformer and a capacitor bank in front of a drawn tail."""
    rng = np.random.default_rng(7)
    draft = Draft()
    a, b, c = (list(draft.add_bus(name, (1, 2, 3)).values()) for name in ("a", "b", "c"))
    y0 = 1 / (0.002 + 0.02j)

    def trafo(ratio):
        eye = np.eye(3)
        return np.block([[y0 * eye, -y0 / ratio * eye], [-y0 / ratio * eye, y0 / ratio**2 * eye]])

    taps = [trafo(1 + 0.0125 * k) for k in range(-2, 3)]
    banks = [1j * 0.3 * k * np.eye(3) for k in range(3)]
    t = draft.add(TRAFO, [a, b], taps[state])
    draft.add(LINE, [b, c], line_admittance(rng, 3, 0.02))
    cap = draft.add(CAPACITOR, [c], banks[1])
    draft.inject(1.2 + 0.4j, [(c[0], c[1]), (c[1], c[2])], constant_power(V_MIN=0.0))
    draft.inject(0.6 + 0.1j, [(b[1], -1)], constant_power(V_MIN=0.0))
    devices = [("tap", TAP, t, taps, state), ("bank", STEP, cap, banks, 1)]
    switches = [("breaker", 1, 1, True)]
    return network_of(draft, a, TURN * 1.02, devices=devices, switches=switches)


def test_device_in_each_state_equals_the_twin():
    net = device_network()
    compiled = CompiledFeeder(net, ["c"], CONFIG)
    compiled.arrays.port_p_mw[0] = 0.7
    for tap, bank in [(0, 0), (4, 2), (1, 0), (2, 1)]:
        compiled.set_device("tap", tap)
        compiled.set_device("bank", bank)
        twin = with_device(with_device(net, 0, tap), 1, bank)
        assert_twin(compiled, with_data_center(twin, [6, 7, 8], 0.7 + 0j))
        assert unbalance(compiled.arrays) < 1e-10


def test_device_there_and_back_costs_no_factorization_and_leaves_no_trace():
    compiled, still = CompiledFeeder(device_network(), ["c"], CONFIG), CompiledFeeder(device_network(), ["c"], CONFIG)
    f, g = compiled.arrays, still.arrays
    for arrays in (f, g):
        arrays.port_p_mw[0] = 0.7
        assert solve(arrays) == OK
    for tap in (3, 4, 3, 2):
        compiled.set_device("tap", tap)
        assert solve(f) == OK
    made = f.flags[N_FACTORED]
    for tap in (3, 4, 3, 2) * 5:
        compiled.set_device("tap", tap)
        assert solve(f) == OK
    assert f.flags[N_FACTORED] == made
    assert np.abs(f.v - g.v).max() < 1e-12
    for name in ("y", "el_y", "block", "response", "port_z", "leg_fast", "v_base", "row_sum", "el_sum"):
        assert np.array_equal(getattr(f, name), getattr(g, name)), name
    compiled.set_device("tap", 3)
    compiled.set_device("tap", 2)  # moved and back with no solution in between
    still.set_load("load0", 1.2)  # an event that changes nothing
    f.v[:], f.u[:], f.current[:] = g.v, g.u, g.current
    assert solve(f) == solve(g) == OK
    assert np.array_equal(f.v, g.v)


def test_switch_there_and_back_meets_the_twin_with_its_open_terminal():
    net = device_network()
    compiled = CompiledFeeder(net, ["b"], CONFIG)
    compiled.arrays.port_p_mw[0] = 0.4
    center = [3, 4, 5]
    assert_twin(compiled, with_data_center(net, center, 0.4 + 0j))
    compiled.set_switch("breaker", False)
    opened = with_data_center(with_switch(net, "breaker", False), center, 0.4 + 0j)
    assert_twin(compiled, opened)
    assert not node_v(compiled)[6:9].any()
    compiled.set_switch("breaker", True)
    assert_twin(compiled, with_data_center(net, center, 0.4 + 0j))


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(1, 5))
def test_open_conductors_are_what_a_dense_solve_leaves(seed, n, n_open):
    """Currents at the closed conductors with no current into the open ones, their voltages found by solving."""
    rng = np.random.default_rng(seed)
    n_open = min(n_open, n - 1)
    y = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n)) + 3 * n * np.eye(n)
    is_open = np.isin(np.arange(n), rng.choice(n, n_open, replace=False))
    v = rng.normal(size=n) + 1j * rng.normal(size=n)
    v[is_open] = np.linalg.solve(y[np.ix_(is_open, is_open)], -y[np.ix_(is_open, ~is_open)] @ v[~is_open])
    reduced = without(y, is_open)
    assert np.abs((y @ v)[is_open]).max() < 1e-12 * n
    assert np.abs(reduced @ v - np.where(is_open, 0, y @ v)).max() < 1e-11 * n


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 30))
def test_pattern_assembles_the_matrix_that_its_entries_sum_to(seed, n, n_edge):
    rng = np.random.default_rng(seed)
    n_fixed = 2
    edges = rng.integers(0, n, (n_edge, 2))
    pattern = make_pattern(edges, n)
    i, j = np.concatenate([edges, edges[:, ::-1], rng.integers(0, n, (n, 1)).repeat(2, axis=1)]).T
    i, j = np.append(i, rng.integers(0, n, 4)), np.append(j, n + rng.integers(0, n_fixed, 4))
    order = np.append(pattern.position, [n, n + 1])
    y = rng.normal(size=i.size) + 1j * rng.normal(size=i.size)
    diagonal = rng.normal(size=n).astype(complex)
    entries, ties = pattern.assemble(order[i], order[j], y, diagonal, n_fixed)
    dense = np.zeros((n, n + n_fixed), complex)
    np.add.at(dense, (order[i], order[j]), y)
    dense[:, :n] += np.diag(diagonal)
    found = np.diag(entries[:n])
    column = np.repeat(np.arange(n), np.diff(pattern.ptr))
    k = pattern.row.size
    found[pattern.row, column], found[column, pattern.row] = entries[n : n + k], entries[n + k :]
    assert np.abs(found - dense[:, :n]).max() < 1e-13 * (1 + n_edge)
    assert np.abs(ties - dense[:, n:]).max() < 1e-14


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60))
def test_components_are_those_of_a_search(n, edges):
    edges = [(a, b) for a, b in edges if a < n and b < n]
    near = {k: {k} for k in range(n)}
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    least = []
    for k in range(n):
        seen, todo = {k}, [k]
        while todo:
            for other in near[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        least.append(min(seen))
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    assert components(a, b, n).tolist() == least


@given(networks, st.integers(0, 2**32))
@settings(max_examples=10)
def test_unbalanced_feeder_restored_gives_the_same_bits(net, seed):
    rng = np.random.default_rng(seed)
    place = str(net.bus_name[-1])

    def run(compiled, powers):
        out = []
        for p_mw in powers:
            compiled.arrays.port_p_mw[0] = p_mw
            assert solve(compiled.arrays) == OK
            out.append(compiled.arrays.v.copy())
        return np.array(out)

    powers = rng.uniform(0, 0.3, 40)
    compiled = CompiledFeeder(net, [place], CONFIG)
    run(compiled, powers[:10])
    compiled.set_load("load0", 0.11, 0.02)
    compiled.set_source(0.95, 3.0)
    run(compiled, powers[10:20])
    state = compiled.state()
    whole = run(compiled, powers[20:])
    other = CompiledFeeder(net, [place], CONFIG)
    other.restore(state)
    assert np.array_equal(run(other, powers[20:]), whole)
