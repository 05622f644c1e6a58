"""No controller beats the offline optimum, and the optimum's own trajectory works in the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from controllers import CONTROLLERS, LIMIT, STEP_S, Replay, best, case, run

from cosim.ups.optimum import least_storage


@pytest.mark.parametrize("ramp", [0.1, 1 / 3, 2.0])
def test_a_step_needs_an_eighth_of_its_square_over_the_ramp(ramp):
    """By hand: half of the step is met before it, half after; the storage swings by dP^2 / (8 R)."""
    need = np.concatenate([np.zeros(800), np.full(800, 60.0)])
    found = least_storage(need, 1.0, max_ramp_mw_per_s=ramp, max_decline_mw_per_s=ramp)
    assert found.e_mwh * 3600 == pytest.approx(60.0**2 / (8 * ramp), rel=2 * ramp / 60 + 1e-6)
    assert found.p_mw == pytest.approx(30, abs=ramp)


def test_its_grid_side_keeps_the_limits_and_its_books_close():
    need = np.cumsum(np.random.default_rng(3).normal(size=400))
    found = least_storage(need, 0.5, max_ramp_mw_per_s=0.3, max_decline_mw_per_s=0.2)
    change = np.diff(found.p_grid_mw) / 0.5
    assert change.max() <= 0.3 + 1e-7
    assert change.min() >= -0.2 - 1e-7
    power = found.p_grid_mw - need
    stored = found.e_stored_mwh[0] + np.concatenate([[0], np.cumsum(power)[:-1]]) * 0.5 / 3600
    assert np.abs(stored - found.e_stored_mwh).max() < 1e-9
    assert np.abs(power).max() <= found.p_mw + 1e-7


@pytest.mark.validation
def test_no_controller_beats_the_optimum_and_the_optimum_can_be_run(shared, tmp_path):
    found = {name: run(case(shared, how), tmp_path / f"{name}.h5") for name, how in CONTROLLERS.items()}
    optimum = best(found["ramp_limiter"]["need"])
    for name, one in found.items():
        assert one["excess_mw"] == 0.0
        if name != "trigger":  # it holds the limit over its window
            assert max(one["ramp"], one["decline"]) <= LIMIT + 1e-9
        assert one["e_mwh"] >= optimum.e_mwh * (1 - 1e-6)
    replayed = run(
        case(shared, {"controller": "external"}), tmp_path / "replay.h5", controllers=[Replay(optimum.p_grid_mw)]
    )
    assert max(replayed["ramp"], replayed["decline"]) <= LIMIT + 1e-7
    late = slice(round(100 / STEP_S), None)  # it starts from the load, and ramps to where the optimum starts
    missed = np.abs(replayed["grid"] - optimum.p_grid_mw)[late]
    assert missed.max() <= LIMIT * STEP_S + 1e-6  # the controller speaks once a step, for the next one
    stored = np.cumsum(replayed["grid"] - replayed["need"])[late] * STEP_S / 3600
    assert stored.max() - stored.min() <= optimum.e_mwh * 1.02
