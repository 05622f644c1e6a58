"""A measured trace goes through load, facility, feeder and log and comes out as it went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cosim

pytestmark = pytest.mark.validation
HERE = Path(__file__).parent
TRACE = "data/power_traces/smc_gpt3_175b_64n_run1_aggregate_1s.csv"


@pytest.fixture(scope="module")
def trace(shared):
    return np.loadtxt(shared / TRACE, delimiter=",", skiprows=1, usecols=(0, 1))


@pytest.fixture(scope="module")
def result(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("gpt3") / "gpt3.h5"
    override = {"datacenters.campus.load.jobs.measured.file": str((shared / TRACE).resolve())}
    with cosim.run(HERE / "scenario.yaml", set=override, out=out) as found:
        yield found


def test_log_holds_the_trace_second_by_second(result, trace):
    p_mw = result.read("datacenter/campus/p_ai_mw")[::10]
    held = trace[: p_mw.size, 1]
    scale = p_mw[0] / held[0]
    assert p_mw == pytest.approx(held * scale, rel=1e-9)
    ramps, wanted = np.diff(p_mw), np.diff(held) * scale
    assert ramps.max() == pytest.approx(wanted.max(), rel=1e-9)
    assert ramps.min() == pytest.approx(wanted.min(), rel=1e-9)
    assert np.diff(held).max() == pytest.approx(82, abs=1)
    assert np.diff(held).min() == pytest.approx(-65, abs=1)


def test_energy_in_the_log_is_the_files_own(result, trace):
    n = round(result.t_s[-1])
    held_kwh = trace[:n, 1].sum() / 3600
    scale = result.read("datacenter/campus/p_ai_mw")[0] / trace[0, 1]
    logged_mwh = result.metrics["datacenter"]["campus"]["e_ai_mwh"]
    assert logged_mwh == pytest.approx(held_kwh * scale, rel=1e-9)
    whole_kwh = np.sum(trace[:-1, 1] * np.diff(trace[:, 0])) / 3600
    assert whole_kwh == pytest.approx(415.14, rel=1e-3)
    mean_mw = whole_kwh * scale * 3600 / (trace[-1, 0] - trace[0, 0])
    assert mean_mw == pytest.approx(3.0, rel=1e-9)


def test_far_end_stands_where_the_published_base_case_says(result):
    """case33bw's far end (bus 17) is at 0.9131 pu without a data center; near the head one costs little."""
    lowest = result.read("bus/vm_min_pu").min()
    assert 0.905 < lowest < 0.9131
