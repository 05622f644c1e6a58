"""Surfaces of a state of the feeder on the terms of the state before: held to full solves, the same when resumed."""

from __future__ import annotations

import numpy as np
import pytest
from test_feeder_surfaces import moving, solved, taught

from cosim.feeder import OK, load_feeder, solve, surfaces
from cosim.feeder.kernel_surface import N_USED
from cosim.feeder.kernel_surface_check import learn
from cosim.feeder.stacking import stacked, unstacked
from cosim.feeder.surface_fit import refit_cell
from cosim.feeder.surfaces import HANDED_ON, LASTING, SOON

LOW_MW, HIGH_MW = 0.5, 3.0


@pytest.fixture
def moved():
    """A feeder whose surfaces know one state, now in another: a load has grown by half."""
    compiled = taught("case33bw", ["5"], LOW_MW, HIGH_MW)
    compiled.scale_load("24", 1.5)
    return compiled


def ask(compiled, n):
    """Solve and learn n times; after how many a surface was wanted and built, None where none was."""
    f, built = compiled.arrays, None
    p, q = moving(n, LOW_MW, HIGH_MW, 1, seed=2, held=1)
    for k, (f.port_p_mw[:], f.port_q_mvar[:]) in enumerate(zip(p, q, strict=True), 1):
        assert solve(f) == OK
        learn(compiled.surfaces.arrays, f, compiled.watch_row)
        if compiled.surfaces.is_wanted:
            compiled.build_surface()
            built = built or k
    return built


def answers(compiled, n=300):
    """Requests, and what surfaces answer to them; NaN where none does."""
    p, q = moving(n, LOW_MW, HIGH_MW, 1, seed=4)
    found = np.full((n, compiled.watch_row.size), np.nan)
    compiled.surfaces.follow(np.ascontiguousarray(p.T), np.ascontiguousarray(q.T), found)
    return p, q, found


def held_to_full_solves(compiled):
    p, q, found = answers(compiled)
    answered = ~np.isnan(found[:, 0])
    assert answered.mean() > 0.9
    assert np.abs(found[answered] - solved(compiled, p[answered], q[answered])).max() < 1e-9
    return True


def test_a_surface_on_the_terms_of_the_state_before_equals_full_solves(moved, monkeypatch):
    """And nothing is searched anew: its terms and variables are those, its coefficients are not."""
    before = moved.surfaces.state()
    monkeypatch.setattr(surfaces, "fit_cell", lambda *_: pytest.fail("searched for terms"))
    assert ask(moved, 200) is not None
    fit = moved.surfaces.fits[0]
    for name in ("emf", "scale", "parent", "factor"):
        assert np.array_equal(getattr(fit.basis, name), before[f"{HANDED_ON}{name}"])
    p, q, found = answers(moved)
    assert held_to_full_solves(moved)
    moved.scale_load("24", 1.0)
    assert np.nanmax(np.abs(found - solved(moved, p, q))) > 1e-4


def test_terms_that_are_not_enough_are_searched_anew(moved, monkeypatch):
    """Of twelve terms the first four are handed on."""
    given = moved.surfaces._given
    few = given.only(np.arange(given.parent.size) < 4)
    box, slope = moved.surfaces.arrays.box[0], moved.surfaces.arrays.slope[0]
    assert refit_cell(moved.lab(), given, box, slope, moved.watch_row) is not None
    assert refit_cell(moved.lab(), few, box, slope, moved.watch_row) is None
    monkeypatch.setattr(moved.surfaces, "_given", few)
    assert ask(moved, 200) is not None
    assert moved.surfaces.fits[0].basis.parent.size > 4
    assert held_to_full_solves(moved)


@pytest.mark.parametrize(("n_used", "n_solves"), [(LASTING, SOON), (LASTING - 1, 90)])
def test_only_behind_a_state_that_lasted_is_a_surface_built_soon(n_used, n_solves):
    compiled = taught("case33bw", ["5"], LOW_MW, HIGH_MW)
    compiled.surfaces.arrays.info[N_USED] = n_used
    compiled.scale_load("24", 1.5)
    assert ask(compiled, 100) == n_solves


@pytest.mark.parametrize("enough", [True, False])
def test_surfaces_on_terms_of_another_state_resume_to_the_same_bits(moved, enough):
    """Also where those were not enough, and in the state after the next, which gets its terms from the resumed one."""
    if not enough:
        given = moved.surfaces._given
        moved.surfaces._given = given.only(np.arange(given.parent.size) < 4)
    ask(moved, 200)
    resumed = load_feeder("case33bw").compile(["5"])
    resumed.arrays.port_v_min_pu[:] = 0.0
    resumed.restore(moved.state())
    for factor in (1.5, 2.0):
        for compiled in (moved, resumed):
            compiled.scale_load("24", factor)
            ask(compiled, 200)
        np.testing.assert_array_equal(answers(moved)[2], answers(resumed)[2])
        assert np.isfinite(answers(moved)[2]).mean() > 0.9


def test_stacked_records_come_back_as_they_were():
    """Arrays of any size, none among them, and those that a record lacks."""
    records = [
        {"a": np.arange(6).reshape(2, 3), "key": np.frombuffer(b"xy", np.uint8)},
        {"a": np.zeros((0, 3), np.int64), "key": np.frombuffer(b"z", np.uint8), "b": np.array([0.5])},
        {"b": np.zeros(0), "key": np.frombuffer(b"", np.uint8)},
    ]
    found = unstacked(stacked(records))
    assert [sorted(record) for record in found] == [sorted(record) for record in records]
    for one, other in zip(found, records, strict=True):
        for name, array in other.items():
            assert one[name].dtype == array.dtype
            np.testing.assert_array_equal(one[name], array, strict=True)
    assert unstacked(stacked([])) == []
