"""The compiled power flow: twin, nose, laws of the ports, balance, bound, state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_twin import solve_network, with_data_center, with_lines, with_loads, with_open_laws, with_sources

from cosim.errors import InputError
from cosim.feeder import (
    COLLAPSED,
    DEAD,
    OK,
    FeederConfig,
    SourceConfig,
    balance,
    change_bound,
    load_feeder,
    observe,
    solve,
)
from cosim.feeder.arrays import LS_P_MW, P_GEN, P_LOAD, P_LOSS, P_SOURCE

pytestmark = pytest.mark.twin

TIES = ["line:32", "line:33", "line:34", "line:35", "line:36"]
NOSE_MW = 12.914
"""case33bw, data center at bus 5 with Q = 0.2 P, all loads constant power at any voltage."""
IDEAL = FeederConfig(model="case33bw", vmin_pu=0.0)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def case33bw():
    return load_feeder("case33bw")


def ask(f, p_mw, q_mvar, k=0):
    f.port_p_mw[k], f.port_q_mvar[k] = p_mw, q_mvar
    return solve(f)


def node_vm(compiled):
    return np.sqrt(compiled.arrays.vm2[compiled.arrays.node_row])


def unbalance(f):
    """Source + generation - loads - losses - data centers, against the power in the feeder."""
    balance(f)
    t, drawn = f.totals, f.port_p_solved_mw.sum()
    rest = t[P_SOURCE] + t[P_GEN] - t[P_LOAD] - t[P_LOSS] - drawn
    return abs(rest) / (abs(t[P_LOAD]) + abs(drawn) + 1e-6)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("scaling", "p_mw"), [(1.0, 0.0), (1.0, 1.2), (0.05, 2.0)])
def test_feeder_kernel_equals_its_twin(case33bw, ties, scaling, p_mw):
    config = FeederConfig(model="case33bw", load_scaling=scaling)
    compiled = case33bw.compile(["17"], config)
    twin = with_loads(with_open_laws(case33bw.network, 0.7), scaling)
    if ties:
        twin = with_lines(twin, np.ones(37, bool))
        for name in TIES:
            compiled.set_switch(name, True)
    assert ask(compiled.arrays, p_mw, 0.2 * p_mw) == OK
    expected = solve_network(with_data_center(twin, [17], complex(p_mw, 0.2 * p_mw))).v
    assert np.abs(node_vm(compiled) - np.abs(expected)).max() < 1e-9


def test_feeder_laws_below_the_window_equal_the_twin(case33bw):
    """A source dip to 0.65 pu: loads become constant impedance, the data center constant current."""
    compiled = case33bw.compile(["17"], FeederConfig(model="case33bw", vmin_pu=0.7))
    compiled.set_source(0.65)
    f = compiled.arrays
    f.port_v_min_pu[0] = 0.85
    assert ask(f, 0.4, 0.1) == OK
    dipped = with_sources(with_open_laws(case33bw.network, 0.7), 0.65)
    expected = solve_network(with_data_center(dipped, [17], 0.4 + 0.1j, v_min_pu=0.85)).v
    assert np.abs(node_vm(compiled) - np.abs(expected)).max() < 1e-9
    assert f.port_p_solved_mw[0] == pytest.approx(0.4 * f.port_vm_pu[0] / 0.85, rel=1e-9)


@pytest.mark.parametrize("p_mw", [8.0, 12.0, 12.9, 12.91])
def test_feeder_below_the_nose_is_on_the_upper_branch(case33bw, p_mw):
    f = case33bw.compile(["5"], IDEAL).arrays
    assert ask(f, p_mw, 0.2 * p_mw) == OK
    assert f.port_vm_pu[0] > 0.5135
    assert unbalance(f) < 1e-9


@pytest.mark.parametrize("p_mw", [12.92, 13.5, 20.0, 200.0])
@pytest.mark.parametrize("from_mw", [0.0, 12.9])
def test_feeder_beyond_the_nose_says_collapsed_and_how_far(case33bw, p_mw, from_mw):
    f = case33bw.compile(["5"], IDEAL).arrays
    assert ask(f, from_mw, 0.2 * from_mw) == OK
    assert ask(f, p_mw, 0.2 * p_mw) == COLLAPSED
    assert f.last_solvable[LS_P_MW] == pytest.approx(NOSE_MW, abs=2e-3)
    assert ask(f, 5.0, 1.0) == OK


def test_feeder_walks_to_the_nose_and_back_on_the_same_branch(case33bw):
    f = case33bw.compile(["5"], IDEAL).arrays
    up, down = [], []
    powers = np.linspace(0, 12.91, 60)
    for p_mw in powers:
        assert ask(f, p_mw, 0.2 * p_mw) == OK
        up.append(f.port_vm_pu[0])
    for p_mw in powers[::-1]:
        assert ask(f, p_mw, 0.2 * p_mw) == OK
        down.append(f.port_vm_pu[0])
    assert np.all(np.diff(up) < 0)
    assert np.abs(np.array(up) - down[::-1]).max() < 1e-7


def test_feeder_sits_out_a_jump_of_the_whole_nose(case33bw):
    f = case33bw.compile(["5"], IDEAL).arrays
    assert ask(f, 12.9, 2.58) == OK
    at_once = f.port_vm_pu[0]
    g = case33bw.compile(["5"], IDEAL).arrays
    for p_mw in np.linspace(0, 12.9, 300):
        assert ask(g, p_mw, 0.2 * p_mw) == OK
    assert at_once == pytest.approx(g.port_vm_pu[0], abs=1e-7)


@MANY
@given(
    p_mw=st.lists(st.floats(-1.0, 2.0), min_size=2, max_size=2),
    q_mvar=st.floats(-0.5, 0.8),
    scaling=st.sampled_from([0.05, 0.5, 1.0]),
    ties=st.booleans(),
    s_sc_mva=st.sampled_from([None, 100.0]),
)
def test_feeder_energy_closes(case33bw, p_mw, q_mvar, scaling, ties, s_sc_mva):
    x_over_r = None if s_sc_mva is None else 5.0
    source = SourceConfig(s_sc_mva=s_sc_mva, x_over_r=x_over_r)
    compiled = case33bw.compile(["5", "24"], FeederConfig(model="m", load_scaling=scaling), source)
    if ties:
        compiled.set_switch("line:33", True)
    f = compiled.arrays
    f.port_p_mw[:] = p_mw
    f.port_q_mvar[:] = q_mvar
    assert solve(f) == OK
    assert f.port_p_solved_mw == pytest.approx(p_mw, abs=1e-9)
    assert f.port_q_solved_mvar == pytest.approx([q_mvar] * 2, abs=1e-9)
    assert unbalance(f) < 1e-9


@MANY
@given(
    p_mw=st.floats(0.0, 4.0),
    dp=st.floats(-0.3, 0.3),
    dq=st.floats(-0.3, 0.3),
    drift_mw=st.floats(-1.0, 1.0),
    name=st.sampled_from(["case33bw", "cigre_mv"]),
)
def test_feeder_change_bound_holds(p_mw, dp, dq, drift_mw, name):
    feeder = load_feeder(name)
    f = feeder.compile([feeder.bus_names[5], feeder.bus_names[3]]).arrays
    f.port_p_mw[1] = 0.5
    assert ask(f, p_mw + drift_mw, 0.3) == OK  # the base point of the loads stays behind here
    assert ask(f, p_mw, 0.3) == OK
    before = f.v.copy()
    f.port_p_mw[:] += dp, -dp
    f.port_q_mvar[0] += dq
    bound = change_bound(f)
    assert solve(f) == OK
    moved = np.hypot(*(f.v - before).reshape(-1, 2).T).max()
    assert moved <= bound * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("name", ["case33bw", "cigre_mv", "mv_oberrhein"])
def test_feeder_change_bound_is_tight(name):
    """Within a factor of two of what happens, whichever way the power moves."""
    feeder = load_feeder(name)
    f = feeder.compile([feeder.bus_names[5]]).arrays
    assert ask(f, 2.0, 0.4) == OK
    before, moved = f.v.copy(), []
    f.port_p_mw[0] += 0.001
    bound = change_bound(f)
    for angle in np.linspace(0, 2 * np.pi, 12):
        assert ask(f, 2.0 + 0.001 * np.cos(angle), 0.4 + 0.001 * np.sin(angle)) == OK
        moved.append(np.hypot(*(f.v - before).reshape(-1, 2).T).max())
    assert max(moved) <= bound <= 2 * max(moved)


def test_feeder_change_bound_is_infinite_after_an_event_and_zero_without_change(case33bw):
    compiled = case33bw.compile(["5"])
    assert ask(compiled.arrays, 1.0, 0.2) == OK
    assert change_bound(compiled.arrays) == 0.0
    compiled.set_load("3", 0.2, 0.1)
    assert change_bound(compiled.arrays) == np.inf


def test_data_center_at_the_source_bus_moves_no_voltage(case33bw):
    compiled = case33bw.compile(["0", "17"])
    f = compiled.arrays
    assert ask(f, 0.0, 0.0) == OK
    before = node_vm(compiled)
    assert ask(f, 50.0, 10.0) == OK
    assert change_bound(f) == 0.0
    assert np.array_equal(before, node_vm(compiled))
    assert f.port_p_solved_mw[0] == pytest.approx(50.0, rel=1e-12)
    assert unbalance(f) < 1e-9


def test_two_data_centers_at_one_bus_equal_their_sum(case33bw):
    two, one = case33bw.compile(["12", "12"]).arrays, case33bw.compile(["12"]).arrays
    two.port_p_mw[:], two.port_q_mvar[:] = [0.2, 0.3], [0.05, 0.02]
    assert solve(two) == OK
    assert ask(one, 0.5, 0.07) == OK
    assert two.port_vm_pu == pytest.approx([one.port_vm_pu[0]] * 2, abs=1e-10)
    assert two.port_p_solved_mw == pytest.approx([0.2, 0.3], abs=1e-10)


def test_feeder_is_dark_without_its_source_and_returns_as_it_was(case33bw):
    compiled = case33bw.compile(["5"])
    f = compiled.arrays
    assert ask(f, 1.0, 0.2) == OK
    before = node_vm(compiled)
    compiled.lose_source()
    assert change_bound(f) == np.inf
    assert solve(f) == DEAD
    rows = [np.ones(n, np.float32) for n in (33, 37, 37, 0)]
    observe(f, f.v, f.node_row, *rows)
    assert not any(r.any() for r in rows)
    assert f.port_p_solved_mw[0] == f.port_vm_pu[0] == 0.0
    assert not f.vm2.any()
    compiled.return_source()
    assert solve(f) == OK
    assert np.abs(node_vm(compiled) - before).max() < 1e-10


def test_feeder_load_step_equals_the_load_in_the_file(case33bw):
    compiled = case33bw.compile(["5"])
    assert ask(compiled.arrays, 1.0, 0.2) == OK
    compiled.set_load("0", 1.1, 0.56)
    assert ask(compiled.arrays, 0.0, 0.0) == OK
    both = case33bw.solve({"1": (1.0, 0.5)})
    assert np.abs(node_vm(compiled) - both.node_vm_pu).max() < 1e-9


def test_feeder_restored_gives_the_same_bits(case33bw):
    def run(compiled, powers):
        out = []
        for p_mw in powers:
            assert ask(compiled.arrays, p_mw, 0.2 * p_mw) == OK
            out.append(compiled.arrays.v.copy())
        return np.array(out)

    rng = np.random.default_rng(1)
    powers = rng.uniform(0, 9, 60)
    compiled = case33bw.compile(["5"])
    run(compiled, powers[:20])
    compiled.set_switch("line:34", True)
    compiled.set_load("7", 0.3, 0.1)
    compiled.set_source(0.93, -4.0)
    run(compiled, powers[20:40])
    state = compiled.state()
    whole = run(compiled, powers[40:])
    other = case33bw.compile(["5"])
    other.restore(state)
    assert np.array_equal(run(other, powers[40:]), whole)
    with pytest.raises(InputError, match="another feeder"):
        case33bw.compile(["5", "6"]).restore(state)


def test_feeder_names_the_nearest_bus(case33bw):
    with pytest.raises(InputError, match="nearest"):
        case33bw.compile(["33b"])
    with pytest.raises(InputError, match="no such switch"):
        case33bw.compile(["5"]).set_switch("breaker", True)
