"""Metrics of a run: the engine's totals where it has them, whatever the log's step; they and the rows agree."""

from __future__ import annotations

import numpy as np
import pytest

import cosim
from cosim.metrics import summarize

SCENARIO = """\
schema: 1
name: metered
seed: 3
time:
  duration_s: 120
  step_s: 0.01
feeder:
  model: case33bw
datacenters:
  campus:
    bus: "5"
    load:
      accelerators:
        count: 2048
        p_peak_w: 700
        p_idle_w: 100
      p_base_mw: 0.3
      jobs:
        gpt:
          kind: training
          cold_start:
            - {name: start, duration_s: 10, utilization: 0.1}
          iteration:
            - {name: compute, duration_s: 8.0, utilization: 1.0}
            - {name: all_reduce, duration_s: 2.9, utilization: 0.45}
    ups:
      max_p_charge_mw: 2.0
      max_p_discharge_mw: 2.5
      max_e_mwh: 0.5
      max_ramp_mw_per_s: 0.05
      max_decline_mw_per_s: 0.05
events:
  - at_s: 60.03
    kind: source_lost
  - at_s: 63.07
    kind: source_returned
log:
  step_s: 0.1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "metered.yaml").write_text(SCENARIO, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def summary(folder):
    with cosim.run(folder / "metered.yaml", out=folder / "metered.h5") as result:
        return summarize(result)


@pytest.fixture(scope="module")
def coarse(folder):
    """The same run, logged once a minute."""
    with cosim.run(folder / "metered.yaml", set={"log.step_s": 60.0}, out=folder / "coarse.h5") as result:
        return summarize(result)


def test_energies_do_not_depend_on_how_often_the_log_is_written(summary, coarse):
    for kind in ("ai", "it", "total", "grid"):
        power, seldom = (run["datacenter"]["campus"]["power"][kind] for run in (summary, coarse))
        assert seldom["e_mwh"] == pytest.approx(power["e_mwh"], rel=1e-9)
    for key in ("e_charged_mwh", "e_discharged_mwh", "soc_min", "soc_max", "soc_end", "engaged_s", "saturated_s"):
        assert coarse["ups"]["campus"][key] == pytest.approx(summary["ups"]["campus"][key], rel=1e-9, abs=1e-12)
    assert coarse["datacenter"]["campus"]["pue"] == pytest.approx(summary["datacenter"]["campus"]["pue"], rel=1e-9)
    assert coarse["feeder"]["e_loss_mwh"] == pytest.approx(summary["feeder"]["e_loss_mwh"], rel=1e-9)
    grid = coarse["datacenter"]["campus"]["power"]["grid"]
    assert grid["peak_mw"] >= summary["datacenter"]["campus"]["power"]["grid"]["peak_mw"] - 1e-9


def test_energies_are_the_engines(summary):
    """The engine's totals against the sum of the logged means, which the rows hold."""
    engine = summary["engine"]["datacenter"]["campus"]
    for kind in ("ai", "it", "total", "grid"):
        assert summary["datacenter"]["campus"]["power"][kind]["e_mwh"] == engine[f"e_{kind}_mwh"]
    for key in ("e_charged_mwh", "e_discharged_mwh", "soc_min", "soc_max", "soc_end"):
        assert summary["ups"]["campus"][key] == summary["engine"]["ups"]["campus"][key]
    assert summary["datacenter"]["campus"]["pue"] == pytest.approx(engine["pue"], rel=1e-12)


def test_engines_energies_are_those_of_the_logged_means(folder, summary):
    with cosim.open_result(folder / "metered.h5") as result:
        for path, e_mwh in (
            ("source/p_mean_mw", summary["engine"]["energy"]["e_source_mwh"]),
            ("datacenter/campus/p_grid_mean_mw", summary["engine"]["datacenter"]["campus"]["e_grid_mwh"]),
        ):
            width_h = np.diff(result.t_s, prepend=result.t_s[0]) / 3600
            assert float(np.dot(result.read(path), width_h)) == pytest.approx(e_mwh, rel=1e-6)


def test_sags_are_the_engines_at_full_step(summary, coarse):
    for run in (summary, coarse):
        for name, full in run["engine"]["bus"].items():
            bus = run["voltage"]["bus"][name]
            assert (bus["n_sag"], bus["sag_s"], bus["sag_longest_s"]) == (
                full["n_sag"], full["sag_s"], full["longest_sag_s"]
            )  # fmt: skip


def test_windows_shorter_than_a_row_are_not_told_of(coarse):
    campus = coarse["datacenter"]["campus"]
    assert set(campus["ramp"]["grid"]) == {"60s"}
    assert "swing_60s_mw" in campus["swing"]["grid"]
    assert "swing_1s_mw" not in campus["swing"]["grid"]


def test_every_bus_is_interrupted_once_for_as_long_as_the_source_is_lost(summary):
    for bus in summary["voltage"]["bus"].values():
        assert bus["n_interruption"] == 1
        assert bus["interruption_s"] == pytest.approx(3.04, abs=0.2)


def test_ups_holds_its_limit_outside_the_outage(summary):
    effect = summary["datacenter"]["campus"]["ups_effect"]["1s"]
    assert effect["ramp_without_mw_per_s"] > 0.5
    assert effect["ramp_with_mw_per_s"] <= 0.05 * 1.01
    assert effect["decline_with_mw_per_s"] <= 0.05 * 1.01
