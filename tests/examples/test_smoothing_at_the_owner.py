"""The shipped comparison of smoothing at the accelerators and by a UPS shows what it says."""

from __future__ import annotations

import numpy as np
import pytest

import cosim

LIMIT_MW_PER_S = 20 / 60
ROWS_PER_S = 10


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with cosim.run("planning/smoothing_at_the_owner", out=tmp_path_factory.mktemp("smoothing") / "run.h5") as found:
        yield found


def steepest(result, site):
    """Largest change over 1 s of what a site takes from the feeder. [MW/s]"""
    p_mw = np.array(result.to_xarray(f"datacenter/{site}")["p_grid_mw"], dtype=float)
    return float(np.abs(p_mw[ROWS_PER_S:] - p_mw[:-ROWS_PER_S]).max())


def test_swings_pass_as_they_are_and_are_held_by_the_owner_and_by_the_ups(result):
    assert steepest(result, "as_it_is") > 50
    assert steepest(result, "at_the_accelerators") < 1.05 * LIMIT_MW_PER_S
    assert steepest(result, "by_ups") < 1.05 * LIMIT_MW_PER_S


def test_owner_pays_in_iterations_and_energy_and_the_ups_in_neither(result):
    jobs = {site: job["train"] for site, job in result.metrics["job"].items()}
    owner, plain = jobs["at_the_accelerators"], jobs["as_it_is"]
    assert owner["n_iteration"] + owner["n_iteration_lost"] == pytest.approx(plain["n_iteration"], abs=2)
    assert 3 < owner["n_iteration_lost"] < 12
    assert jobs["by_ups"]["n_iteration"] == plain["n_iteration"]
    assert "delayed_s" not in plain
    more_mwh = result.metrics["datacenter"]["at_the_accelerators"]["e_ai_mwh"]
    more_mwh -= result.metrics["datacenter"]["as_it_is"]["e_ai_mwh"]
    assert more_mwh > 1  # of 27: filler and slow declines cost more than slow rises save
    assert owner["e_without_work_mwh"] > owner["e_held_back_mwh"] > 0
