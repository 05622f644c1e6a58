"""Response surfaces by themselves: their terms, and blocks of requests held to full solves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from without_jit import needs_jit

from cosim.feeder import OK, load_feeder, solve
from cosim.feeder.kernel_surface import evaluate, evaluate_surface
from cosim.feeder.kernel_surface_block import tile_terms
from cosim.feeder.kernel_surface_check import learn
from cosim.feeder.surface_basis import ordered_terms
from cosim.feeder.surfaces import HANDED_ON

pytestmark = pytest.mark.twin


def moving(n, low_mw, high_mw, n_dc, seed=0, held=40):
    """Requests [n, d] that jump every `held` instants and wander in between, reactive power following within 4 %."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(low_mw, high_mw, (n // held + 1, n_dc)), held, axis=0)[:n]
    p = np.clip(level + rng.normal(0, 0.02 * (high_mw - low_mw), (n, n_dc)), low_mw, high_mw)
    return p, 0.2 * p + 0.04 * high_mw * rng.random((n, n_dc))


def solved(compiled, p, q):
    """Magnitudes of all nodes by full solves."""
    f, vm = compiled.arrays, []
    for f.port_p_mw[:], f.port_q_mvar[:] in zip(p, q, strict=True):
        assert solve(f) == OK
        vm.append(np.sqrt(f.vm2[compiled.watch_row]))
    return np.array(vm)


def taught(model, buses, low_mw, high_mw, source_pu=1.0):
    """A feeder whose surfaces have seen requests between two powers."""
    compiled = load_feeder(model).compile(buses)
    compiled.set_source(source_pu)
    return teach(compiled, low_mw, high_mw)


def teach(compiled, low_mw, high_mw):
    """Show requests between two powers to a compiled feeder's surfaces."""
    f = compiled.arrays
    f.port_v_min_pu[:] = 0.0
    p, q = moving(3000, low_mw, high_mw, f.port_p_mw.size, seed=1, held=1)
    for f.port_p_mw[:], f.port_q_mvar[:] in zip(p, q, strict=True):
        assert solve(f) == OK
        learn(compiled.surfaces.arrays, f, compiled.watch_row)
        if compiled.surfaces.is_wanted:
            compiled.build_surface()
    return compiled


@pytest.mark.parametrize(
    ("model", "buses", "low_mw", "high_mw", "source_pu", "n_regime"),
    [
        ("case33bw", ["5"], 0.5, 3.0, 1.0, 1),
        ("case33bw", ["5", "21", "24"], 0.2, 1.0, 1.0, 1),
        pytest.param("ieee13", ["671", "675"], 0.1, 0.7, 0.885, 5, marks=needs_jit("five surfaces of three phases")),
    ],
    ids=["one", "three", "loads leave their windows"],
)
def test_block_on_surfaces_equals_full_solves(model, buses, low_mw, high_mw, source_pu, n_regime):
    """Jumps between cells and regimes included; a request outside all cells is left alone."""
    compiled = taught(model, buses, low_mw, high_mw, source_pu)
    p, q = moving(400, low_mw, high_mw, len(buses))
    p[::97] = 3 * high_mw
    found = np.full((400, compiled.watch_row.size), np.nan)
    n_answered = compiled.surfaces.follow(np.ascontiguousarray(p.T), np.ascontiguousarray(q.T), found)
    answered = ~np.isnan(found[:, 0])
    assert n_answered == answered.sum() > 0.95 * 400
    assert not answered[::97].any()
    assert np.abs(found[answered] - solved(compiled, p[answered], q[answered])).max() < 1e-9
    assert len([fit for fit in compiled.surfaces.fits if fit is not None]) >= n_regime
    assert (HANDED_ON + "parent" in compiled.surfaces.state()) == (n_regime == 1)  # terms of one regime do for no other


def test_reactive_power_that_follows_takes_few_terms():
    """Powers within a narrow band need a fraction of the terms of powers that move freely."""
    narrow = taught("case33bw", ["5"], 0.5, 3.0).surfaces
    compiled = load_feeder("case33bw").compile(["5"])
    f, rng = compiled.arrays, np.random.default_rng(3)
    while not any(compiled.surfaces.fits):
        f.port_p_mw[:], f.port_q_mvar[:] = rng.uniform(0.5, 3.0), rng.uniform(-1.5, 1.5)
        assert solve(f) == OK
        learn(compiled.surfaces.arrays, f, compiled.watch_row)
        if compiled.surfaces.is_wanted:
            compiled.build_surface()
    assert 1.5 * narrow.fits[-1].weight.shape[0] < compiled.surfaces.fits[-1].weight.shape[0]
    assert narrow.arrays.slope[0, 0] == pytest.approx(0.2, abs=0.01)


@given(st.lists(st.floats(0.3, 5.0), min_size=1, max_size=6), st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_ordered_terms_are_those_of_least_weight(weight, n_term):
    parent, factor = ordered_terms(np.array(weight), n_term)
    terms = [()]
    for k in range(1, n_term):
        assert parent[k] < k
        terms.append(tuple(sorted((*terms[parent[k]], int(factor[k])))))
    assert len(set(terms)) == n_term
    score = [sum(weight[j] for j in term) for term in terms]
    assert score == pytest.approx(sorted(score))
    limit = score[-1] - 1e-9  # every term below the last one's weight is there
    most = int(limit / min(weight)) + 1 if limit > 0 else 0
    if len(weight) ** most < 20_000:
        below = {
            term
            for size in range(most + 1)
            for term in itertools.combinations_with_replacement(range(len(weight)), size)
            if sum(weight[j] for j in term) < limit
        }
        assert below <= set(terms)


@given(st.floats(-2, 4), st.floats(-1, 2), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_terms_are_products_of_the_current_behind_the_impedance(p_mw, q_mvar, load_p, load_q):
    """U = e - z I with I = conj(S / U), the load beside the data center included; then sheared and scaled."""
    emf, z = np.array([[1.02, 0.03, load_p, load_q]]), np.array([[0.01, 0.02]])
    shear, middle, scale = np.array([[-0.2]]), np.array([0.5, -0.1]), np.array([0.4, 3.0])
    parent, factor = ordered_terms(np.array([1.0, 2.0]), 12)
    x, terms = np.zeros((2, 3)), np.zeros((12, 3))
    p, q = np.full((1, 5), p_mw), np.full((1, 5), q_mvar)
    assert tile_terms(p, q, 2, 3, emf, z, shear, middle, scale, parent, factor, x, terms)
    own = terms[[int(np.flatnonzero((parent == 0) & (factor == j))[-1]) for j in (0, 1)], 1]
    first = own[0] / scale[0] + middle[0]
    current = complex(first, own[1] / scale[1] + middle[1] + shear[0, 0] * first)
    u = complex(1.02, 0.03) - complex(0.01, 0.02) * current
    assert u * np.conj(current) == pytest.approx(complex(p_mw + load_p, q_mvar + load_q), abs=1e-12)
    for k in range(1, 12):
        assert terms[k, 2] == pytest.approx(terms[parent[k], 2] * x[factor[k], 2], rel=1e-14)


@pytest.mark.parametrize("n_term", range(1, 10))
def test_any_number_of_terms_is_summed(n_term):
    rng = np.random.default_rng(n_term)
    coef, terms, out = rng.normal(size=(9, 5)), rng.normal(size=9), np.full(5, np.nan)
    coef[n_term:] = terms[n_term:] = np.nan  # of a surface with more of them
    getattr(evaluate, "py_func", evaluate)(coef, terms, n_term, out)
    np.testing.assert_allclose(out, terms[:n_term] @ coef[:n_term], rtol=1e-13, atol=1e-14)


@needs_jit("three thousand solves of three phases")
def test_a_data_center_behind_a_delta_senses_the_lowest_voltage_between_phases_on_surfaces():
    """Beside one at the same bus that senses the lowest phase, each by the voltages of full solves."""
    compiled = load_feeder("ieee13").compile(["671", "671"])
    compiled.arrays.port_across[1] = 1
    teach(compiled, 0.1, 0.5)
    f, s = compiled.arrays, compiled.surfaces.arrays
    rows = f.node_row[compiled.network.nodes_of_bus(compiled.bus_names.index("671"))]
    n_answered = 0
    for f.port_p_mw[:], f.port_q_mvar[:] in zip(*moving(60, 0.1, 0.5, 2, held=1), strict=True):
        answered = evaluate_surface(s, f)
        found = f.port_vm_pu.copy()
        assert solve(f) == OK
        v = (f.v[0::2] + 1j * f.v[1::2])[rows]
        expected = np.abs(v).min(), np.abs(v - np.roll(v, 1)).min() / np.sqrt(3)
        np.testing.assert_allclose(f.port_vm_pu, expected, atol=1e-12)
        assert expected[1] - expected[0] > 0.01
        if answered:
            n_answered += 1
            np.testing.assert_allclose(found, expected, atol=1e-9)
    assert n_answered > 40
