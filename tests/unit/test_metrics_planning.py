"""What a plan asks beyond the log: against the parts on their own, and why where it is not told."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_log import campus_log

import cosim
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.metrics import analyse, planning, summarize
from cosim.metrics.interconnection import interconnection
from cosim.report.planning import planning_pairs
from cosim.ups.optimum import least_storage

LIMIT_MW_PER_S = 0.02


def on_a_feeder(**kwargs):
    log = campus_log(blackout=False, **kwargs)
    log.scenario |= {"feeder": {"model": "case33bw", "load_scaling": 0.5}, "source": {"s_sc_mva": 80, "x_over_r": 6}}
    site = log.scenario["datacenters"]["campus"]
    site["bus"] = "5"
    if site["ups"]:
        site["ups"] |= {"max_ramp_mw_per_s": LIMIT_MW_PER_S, "max_decline_mw_per_s": LIMIT_MW_PER_S}
    return log


def planned(log):
    found = analyse(log)
    return planning.with_optimum(planning.plan(log, found), log, found)


def test_point_of_interconnection_is_that_of_the_feeder_with_the_scenarios_source_and_loads():
    log = on_a_feeder()
    found = planned(log).interconnection["campus"]
    peak_mw = float(log.channels["datacenter/campus/p_grid_mw"].max())
    expected = interconnection(
        cosim.load_feeder("case33bw"),
        "5",
        peak_mw,
        0.0,
        SourceConfig(s_sc_mva=80, x_over_r=6),
        FeederConfig(model="case33bw", load_scaling=0.5),
    )
    assert found.p_mw == pytest.approx(peak_mw)
    assert found.s_sc_mva == pytest.approx(expected.s_sc_mva)
    assert found.rejection_vm_pu == pytest.approx(expected.rejection_vm_pu)
    unscaled = interconnection(cosim.load_feeder("case33bw"), "5", peak_mw, 0.0, SourceConfig(s_sc_mva=80, x_over_r=6))
    assert found.rejection_vm_pu > unscaled.rejection_vm_pu + 0.005


def test_a_load_that_the_feeder_cannot_carry_is_told_so():
    log = on_a_feeder()
    log.channels["datacenter/campus/p_grid_mw"] = 50.0 * log.channels["datacenter/campus/p_grid_mw"]
    found = planned(log)
    assert "has no solution" in found.why_not["interconnection.campus"]
    assert found.interconnection == {}


def test_a_feeder_that_is_not_here_is_told_so(tmp_path):
    log = on_a_feeder()
    log.scenario["feeder"]["model"] = str(tmp_path / "gone.dss")
    found = planned(log)
    assert "cannot be read from here" in found.why_not["interconnection"]
    assert found.trafo_loss is None


def test_distance_to_the_optimum_is_the_storage_used_over_the_least():
    log = on_a_feeder()
    found = planned(log).optimum["campus"]
    least = least_storage(
        log.channels["datacenter/campus/p_need_mw"],
        0.1,
        max_ramp_mw_per_s=LIMIT_MW_PER_S,
        max_decline_mw_per_s=LIMIT_MW_PER_S,
    )
    soc = log.channels["ups/campus/soc"].astype(float)
    assert found.least_e_mwh == pytest.approx(least.e_mwh, rel=1e-6)
    assert found.e_mwh == pytest.approx(0.5 * (soc.max() - soc.min()))
    assert found.summary()["e_over_least"] == pytest.approx(found.e_mwh / least.e_mwh, rel=1e-6)
    assert found.p_mw == pytest.approx(np.abs(log.channels["ups/campus/p_mw"]).max())


def test_a_coarser_optimum_never_asks_for_more(monkeypatch):
    log = on_a_feeder()
    fine = planned(log).optimum["campus"]
    monkeypatch.setattr(planning, "MAX_ROW", 1000)
    coarse = planned(log).optimum["campus"]
    assert coarse.step_s == pytest.approx(0.7)
    assert coarse.least_e_mwh <= fine.least_e_mwh * (1 + 1e-6)
    monkeypatch.setattr(planning, "MAX_ROW", 100)
    assert "too long" in planned(log).why_not["optimum.campus"]
    monkeypatch.setattr(planning, "MAX_ROW", 20_000)
    monkeypatch.setattr(planning, "MAX_SOLVE_S", 1e-9)
    assert planned(log).why_not["optimum.campus"] == "the optimum was not solved in 1e-09 s"


def test_a_disturbed_run_has_no_optimum():
    log = campus_log()
    log.scenario["datacenters"]["campus"]["ups"] |= {"max_ramp_mw_per_s": 0.02, "max_decline_mw_per_s": 0.02}
    assert "disturbed" in planned(log).why_not["optimum.campus"]


def test_a_run_without_ups_asks_for_no_optimum():
    found = planned(on_a_feeder(with_ups=False))
    assert found.optimum == {}
    assert found.why_not == {}


def test_planning_is_in_the_summary_and_in_words():
    log = on_a_feeder()
    summary = summarize(log, analyse(log), planned(log))
    titles = dict(planning_pairs(summary))
    assert "MVA" in titles["Point of interconnection of campus: bus 5"]["short-circuit power"]
    assert "times" in titles["Storage of campus against the offline optimum"]["energy used, least"]
    assert summary["planning"]["optimum"]["campus"]["controller"] == "trigger"
