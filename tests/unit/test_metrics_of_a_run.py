"""Metrics taken from the rows of a log, held to the totals that the engine accumulated at every step."""

from __future__ import annotations

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
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "metered.yaml").write_text(SCENARIO, encoding="utf-8")
    with cosim.run(folder / "metered.yaml", out=folder / "metered.h5") as result:
        return summarize(result)


def test_energies_of_logged_means_are_the_engines(summary):
    engine = summary["engine"]["datacenter"]["campus"]
    power = summary["datacenter"]["campus"]["power"]
    for kind in ("ai", "total", "grid"):
        assert power[kind]["e_mwh"] == pytest.approx(engine[f"e_{kind}_mwh"], rel=1e-6)
    assert summary["source"]["e_mwh"] == pytest.approx(summary["engine"]["energy"]["e_source_mwh"], rel=1e-6)


def test_energies_of_readings_come_within_a_percent(summary):
    assert summary["feeder"]["e_loss_mwh"] == pytest.approx(summary["engine"]["energy"]["e_loss_mwh"], rel=0.01)
    ups, engine = summary["ups"]["campus"], summary["engine"]["ups"]["campus"]
    for key in ("e_charged_mwh", "e_discharged_mwh"):
        assert ups[key] == pytest.approx(engine[key], rel=0.02)
    for key in ("soc_min", "soc_max", "soc_end"):
        assert ups[key] == pytest.approx(engine[key], abs=1e-4)


def test_pue_is_the_engines(summary):
    pue = summary["datacenter"]["campus"]["pue"]
    assert pue == pytest.approx(summary["engine"]["datacenter"]["campus"]["pue"], rel=0.005)


def test_time_below_a_limit_exceeds_the_full_steps_by_less_than_two_rows_a_spell(summary):
    for name, full in summary["engine"]["bus"].items():
        bus = summary["voltage"]["bus"][name]
        excess_s = bus["sag_s"] - full["sag_s"]
        assert -1e-6 <= excess_s <= 0.2 * (full["n_sag"] + 1) + 1e-6


def test_every_bus_is_interrupted_once_for_as_long_as_the_source_is_lost(summary):
    for bus in summary["voltage"]["bus"].values():
        assert bus["n_interruption"] == 1
        assert bus["interruption_s"] == pytest.approx(3.04, abs=0.2)


def test_ups_holds_its_limit_outside_the_outage(summary):
    effect = summary["datacenter"]["campus"]["ups_effect"]["1s"]
    assert effect["ramp_without_mw_per_s"] > 0.5
    assert effect["ramp_with_mw_per_s"] <= 0.05 * 1.01
    assert effect["decline_with_mw_per_s"] <= 0.05 * 1.01
