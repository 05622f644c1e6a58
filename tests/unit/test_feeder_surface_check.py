"""Full solves that surfaces are held to: they start where the surface says, and say what they would say anyway."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from random_networks import drawn_network
from test_feeder_surfaces import moving, taught, teach

from cosim.feeder import COLLAPSED, OK, load_feeder, solve, surface_fit
from cosim.feeder.arrays import (
    LS_FRACTION,
    LS_P_MW,
    N_FACTORED,
    N_MOVES,
    N_SOLVED,
    N_SPENT,
    P_LOAD,
    P_LOSS,
    P_SOURCE,
    Q_LOAD,
    Q_LOSS,
    Q_SOURCE,
)
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.kernel_flows import balance
from cosim.feeder.kernel_surface import (
    ALLOWED,
    DISTANCE,
    GIVEN_UP,
    IN_CELL,
    IN_SLOT,
    LATEST_CHECK,
    N_CHECKED,
    N_REFUSED,
    SINCE_CHECK,
    SLOT,
    SOONEST_CHECK,
    WORST_CHECK,
    evaluate_surface,
)
from cosim.feeder.kernel_surface_check import bring_along, learn

CASES = {
    "one, balanced": ("case33bw", ["5"], 0.5, 3.0, 1.0),
    "three, balanced": ("case33bw", ["5", "21", "24"], 0.2, 1.0, 1.0),
    "three phases": ("ieee13", ["671"], 0.2, 1.2, 1.0),
    "loads leave their windows": ("ieee13", ["671", "675"], 0.1, 0.7, 0.885),
}


def ask(f, p, q):
    f.port_p_mw[:], f.port_q_mvar[:] = p, q


def solved_from(f, start, request):
    """Solution of a request behind a full solve of another one, nothing said in between. [pu]"""
    ask(f, *start)
    assert solve(f) == OK
    ask(f, *request)
    assert solve(f) == OK
    return np.array(f.v)


@pytest.mark.parametrize("case", CASES)
def test_a_solve_brought_along_finds_the_same_with_less_work(case):
    _, buses, low_mw, high_mw, _ = CASES[case]
    compiled, other = taught(*CASES[case]), taught(*CASES[case]).arrays
    s, f = compiled.surfaces.arrays, compiled.arrays
    p, q = moving(81, low_mw, high_mw, len(buses), seed=5, held=1)
    for arrays in (f, other):
        ask(arrays, p[0], q[0])
        assert solve(arrays) == OK
        arrays.flags[[N_SPENT, N_FACTORED]] = 0
    moves, brought = np.zeros((2, 80), int), np.zeros(80, bool)
    for k in range(80):
        ask(f, p[k + 1], q[k + 1])
        before = f.h.copy()
        bring_along(s, f)
        brought[k] = (f.h != before).any()  # not where a cell has no surface yet
        ask(other, p[k + 1], q[k + 1])
        assert solve(f) == solve(other) == OK
        assert np.abs(f.v - other.v).max() < 3e-10
        moves[:, k] = f.flags[N_MOVES], other.flags[N_MOVES]
    assert brought.sum() > 30
    assert np.median(moves[1, brought]) >= 2
    assert np.mean(moves[0, brought] == 0) > 0.85
    assert f.flags[N_FACTORED] < other.flags[N_FACTORED]


def shifted(s, slot):
    """Every voltage off by a constant."""
    s.out[slot, 0] += 1e-7
    s.watch[slot, 0] += 1e-7
    s.rows[slot, 0] += 1e-7


def scaled(s, slot):
    """Every voltage off in proportion, the legs' as well."""
    for a in (s.out, s.watch, s.rows, s.leg_modes):
        a[slot] *= 1 + 3e-8


def noisy(s, slot):
    """Nonsense at the legs: the solve starts nowhere near."""
    s.leg_modes[slot] += np.random.default_rng(0).normal(0, 0.3, s.leg_modes[slot].shape)
    s.watch[slot] *= 1 + 3e-8


def stuck(s, slot):
    """The third mode left out everywhere."""
    n_mode = int(s.shape[slot, 1])
    at = int(np.argsort(np.abs(s.weight[slot, :, :n_mode]).max(axis=0))[-3])
    for a in (s.out, s.watch, s.rows, s.leg_modes):
        a[slot, at] = 0.0


@pytest.mark.parametrize("spoil", [shifted, scaled, noisy, stuck], ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", ["one, balanced", "three phases"])
def test_a_spoilt_surface_is_not_confirmed_by_its_own_start(case, spoil):
    """What the check finds is the solution of an untouched feeder, and the surface is given up."""
    compiled, truth = taught(*CASES[case]), taught(*CASES[case]).arrays
    s, f = compiled.surfaces.arrays, compiled.arrays
    _, _, low_mw, high_mw, _ = CASES[case]
    requests = [(np.array([power]), np.array([0.2 * power])) for power in (0.7 * high_mw, low_mw + 0.1)]
    ask(f, *requests[0])
    assert solve(f) == OK
    expected = solved_from(truth, *requests)
    c = int(s.info[IN_CELL])
    spoil(s, int(s.cell[c, SLOT]))
    s.trust[:, SINCE_CHECK] = s.trust[:, DISTANCE]
    ask(f, *requests[1])
    bring_along(s, f)
    assert solve(f) == OK
    learn(s, f, compiled.watch_row)
    assert np.abs(f.v - expected).max() < 3e-10
    assert s.info[N_CHECKED] == s.info[N_REFUSED] == 1
    assert s.cell[c, SLOT] == GIVEN_UP
    assert s.error[WORST_CHECK] > 1e-9


def answered_until_check(compiled, requests):
    """Requests that a surface answers until one is solved in full and it is held to that, as the run's loop does."""
    s, f = compiled.surfaces.arrays, compiled.arrays
    for n, (p, q) in enumerate(requests):
        ask(f, p, q)
        if not evaluate_surface(s, f):
            bring_along(s, f)
            assert solve(f) == OK
            learn(s, f, compiled.watch_row)
            return n
    raise AssertionError("no check")


def test_a_surface_earns_trust_and_loses_it():
    """Checks with room double the distance to the next one, one without halves it, one that fails ends it."""
    compiled = taught(*CASES["one, balanced"])
    s = compiled.surfaces.arrays
    requests = list(zip(*moving(500, 0.5, 3.0, 1, seed=9, held=1), strict=True))
    answered_until_check(compiled, itertools.repeat(requests[0]))
    slot = int(s.info[IN_SLOT])
    s.trust[slot] = 0, SOONEST_CHECK
    found = [answered_until_check(compiled, itertools.cycle(requests)) for _ in range(4)]
    assert found == [SOONEST_CHECK * k for k in (1, 2, 4, 8)]
    scaled(s, slot)
    s.error[:2] = 1.0, 0.0
    s.trust[slot] = LATEST_CHECK, LATEST_CHECK
    assert answered_until_check(compiled, itertools.repeat(requests[0])) == 0
    assert s.trust[slot].tolist() == [0, LATEST_CHECK]
    off = s.error[WORST_CHECK]
    assert off == pytest.approx(3e-8, rel=0.1)
    for allowed, part in ((1.5, 2), (1.1, 4), (2.5, 2), (1.9, 4), (2.1, 2), (9.0, 1), (9.0, 1)):
        s.error[ALLOWED], s.trust[slot, SINCE_CHECK] = allowed * off, LATEST_CHECK
        assert answered_until_check(compiled, itertools.repeat(requests[0])) == 0
        assert s.trust[slot].tolist() == [0, LATEST_CHECK // part]
    assert s.cell[s.info[IN_CELL], SLOT] == slot
    s.error[ALLOWED], s.trust[slot, SINCE_CHECK] = 0.9 * off, LATEST_CHECK
    assert answered_until_check(compiled, itertools.repeat(requests[0])) == 0
    assert s.cell[s.info[IN_CELL], SLOT] == GIVEN_UP


def test_distrust_never_brings_checks_closer_than_a_new_surface_has_them():
    compiled = taught(*CASES["one, balanced"])
    s = compiled.surfaces.arrays
    p, q = moving(1, 0.5, 3.0, 1)
    scaled(s, int(s.info[IN_SLOT]))
    s.error[ALLOWED] = 4e-8
    s.trust[:] = SOONEST_CHECK
    answered_until_check(compiled, [(p[0], q[0])])
    assert s.error[WORST_CHECK] > 2e-8
    assert s.trust[s.info[IN_SLOT]].tolist() == [0, SOONEST_CHECK]


def test_a_phase_below_its_window_is_no_check():
    """Data centers draw constant current there, which is not what the surface tells."""
    compiled = taught(*CASES["one, balanced"])
    s, f = compiled.surfaces.arrays, compiled.arrays
    s.trust[:] = SOONEST_CHECK
    f.port_v_min_pu[:] = 1.2
    p, q = moving(2, 0.5, 3.0, 1)
    for k in range(2):
        assert answered_until_check(compiled, [(p[k], q[k])]) == 0
    assert s.info[N_CHECKED] == s.info[N_REFUSED] == 0
    f.port_v_min_pu[:] = 0.0
    assert answered_until_check(compiled, [(p[0], q[0])]) == 0
    assert (s.info[N_CHECKED], s.info[N_REFUSED]) == (1, 0)


def test_blocks_leave_the_request_that_a_check_is_due_with():
    """Counted as one by one, however the requests are cut; what is not checked stays due."""
    p, q = moving(700, 0.5, 3.0, 1, held=1)
    left = []
    for cuts in ([0, 700], [0, 100, 300, 301, 700]):
        compiled = taught(*CASES["one, balanced"])
        compiled.surfaces.arrays.trust[:] = 0, SOONEST_CHECK
        vm = np.full((700, compiled.watch_row.size), np.nan)
        for first, end in itertools.pairwise(cuts):
            part = vm[first:end]
            compiled.surfaces.follow(p[first:end].T.copy(), q[first:end].T.copy(), part)
        left.append(np.flatnonzero(np.isnan(vm[:, 0])).tolist())
    assert left == [[SOONEST_CHECK], [SOONEST_CHECK, 300, 301]]


@pytest.mark.parametrize("case", ["one, balanced", "three phases"])
def test_collapse_inside_a_cell_is_told_as_without_a_surface(case):
    """A cell blown up beyond the nose: its surface promises voltages where there is no solution."""
    compiled, truth = taught(*CASES[case]), taught(*CASES[case]).arrays
    s, f = compiled.surfaces.arrays, compiled.arrays
    s.box[int(s.info[IN_CELL])] *= 1000.0
    start, beyond = (np.array([0.5]), np.array([0.1])), (np.array([200.0]), np.array([40.0]))
    found = []
    for arrays in (f, truth):
        ask(arrays, *start)
        assert solve(arrays) == OK
        ask(arrays, *beyond)
        if arrays is f:
            bring_along(s, f)
        assert solve(arrays) == COLLAPSED
        found.append(np.append(arrays.last_solvable[[LS_FRACTION, LS_P_MW]], arrays.port_vm_pu))
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_a_source_so_stiff_that_its_power_is_round_off_has_its_surface():
    """Totals come from what the feeder draws: metered at 1e11 MVA, the source's power is uncertain by kilowatts."""
    network = drawn_network(np.random.default_rng(4), n_bus=6, load_mw=1.0, source_y=(1 - 10j) * 1e10)
    compiled = teach(CompiledFeeder(network, ["b1", "b2"]), 0.05, 0.3)
    s, f = compiled.surfaces.arrays, compiled.arrays
    p, q = moving(60, 0.05, 0.3, 2)
    off = []
    for k in range(60):
        f.port_p_mw[:], f.port_q_mvar[:] = p[k], q[k]
        s.trust[:, SINCE_CHECK] = 0
        assert evaluate_surface(s, f)
        found = f.totals.copy()
        assert solve(f) == OK
        balance(f)
        off.append(np.abs(found - f.totals))
        assert found[P_SOURCE] == pytest.approx(found[P_LOAD] + found[P_LOSS] + p[k].sum(), abs=2e-9)
    metered = np.max(off, axis=0)
    assert metered[[P_SOURCE, Q_SOURCE]].max() > 1e-7
    assert metered[[P_LOAD, P_LOSS, Q_LOAD, Q_LOSS]].max() < 2e-9


def test_a_cell_without_hope_is_told_by_its_first_samples(monkeypatch):
    """With under half the solves, and rightly: all samples and all terms do not fit it either."""
    compiled = load_feeder("case33bw").compile(["5", "21", "24"])
    compiled.arrays.port_v_min_pu[:] = 0.0
    box, n_solved = np.array([[0.0, 1.5], [-0.5, 0.5]] * 3), []
    for hopeless in (surface_fit.HOPELESS, np.inf):
        monkeypatch.setattr(surface_fit, "HOPELESS", hopeless)
        lab = compiled.lab()
        lab.flags[N_SOLVED] = 0
        assert surface_fit.fit_cell(lab, box, np.full(3, 0.2), compiled.watch_row) == []
        n_solved.append(int(lab.flags[N_SOLVED]))
    assert 2 * n_solved[0] < n_solved[1]
