"""Carbon, cost and work: hours worked by hand, one run through command and report, wrong series refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from synthetic_log import campus_log

import cosim
from cosim.errors import InputError
from cosim.metrics import analyse, summarize
from cosim.metrics.accounts import WeighMeter
from cosim.metrics.work import Work, work_of
from cosim.report.show import show_json
from cosim.scenario import load_scenario
from cosim.scenario.accounts import Series

HOUR = {"t_s": 0.0, "g_per_kwh": 300.0}, {"t_s": 3600.0, "g_per_kwh": 500.0}


def scenario(**more):
    job = {"kind": "training", "cold_start": [], "iteration": [{"duration_s": 2.0, "utilization": 1.0}]}
    load = {"accelerators": {"count": 1000, "p_peak_w": 700, "p_idle_w": 100}, "jobs": {"a": job}}
    return {
        "schema": 1,
        "name": "accounts",
        "time": {"duration_s": 60, "step_s": 0.1},
        "feeder": {"model": "case33bw"},
        "datacenters": {"dc": {"bus": "5", "load": load}},
    } | more


@pytest.mark.parametrize("of_means", [True, False])
def test_power_is_weighed_by_the_intensity_of_its_hour(of_means):
    """1 MW for an hour at 300 g/kWh, 3 MW for an hour at 500: 300 + 1500 kg."""
    t_s = np.arange(0.0, 7201.0, 1.0)
    meter = WeighMeter(Series([0.0, 3600.0], [300.0, 500.0]), of_means)
    p_mw = np.where(t_s <= 3600.0, 1.0, 3.0)
    for rows in (slice(0, 1000), slice(1000, None)):
        meter.update(t_s[rows], p_mw[rows])
    assert meter.result().total == pytest.approx(1800.0, rel=2e-4)
    assert meter.result(e_mwh=8.0).total == pytest.approx(8.0 * 450.0, rel=2e-4)


def test_a_series_repeats_with_its_period_and_holds_before_its_first_point():
    t_s = np.linspace(0.0, 4 * 86400.0, 4 * 24 + 1)
    meter = WeighMeter(Series([7200.0, 43200.0], [100.0, 300.0], 86400.0), of_means=True)
    meter.update(t_s, np.ones(len(t_s)))
    assert meter.result().mean == pytest.approx(200.0)


def test_run_tells_carbon_and_cost_from_a_file_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "g.csv").write_text("t_s,g_per_kwh\n0,200\n30,600\n")
    monkeypatch.chdir(tmp_path)
    told = scenario(carbon={"file": "g.csv"}, price={"currency": "EUR", "per_mwh": 80.0})
    with cosim.run(told, out=tmp_path / "a.h5") as result:
        (tmp_path / "g.csv").unlink()
        shown = json.loads(show_json(result))
        e_mwh = result.metrics["datacenter"]["dc"]["e_grid_mwh"]
        loss_mwh = result.metrics["energy"]["e_loss_mwh"]
    carbon = shown["accounts"]["carbon"]["dc"]
    assert carbon["carbon_kg"] == pytest.approx(400.0 * e_mwh, rel=0.02)  # steady but for its cooling's lag
    assert shown["accounts"]["cost"]["dc"]["cost"] == pytest.approx(80.0 * e_mwh, rel=1e-12)
    assert shown["accounts"]["loss"]["cost"] == pytest.approx(80.0 * loss_mwh, rel=1e-12)
    assert shown["accounts"]["currency"] == "EUR"
    assert shown["datacenter"]["dc"]["work"]["a"]["n_iteration"] == 30
    assert shown["planning"]["interconnection"]["dc"]["bus"] == "5"


def test_energy_per_piece_is_the_facilitys_shared_by_the_jobs_energy_above_idle():
    """Two jobs, 1 and 3 MWh above idle, of a facility of 8 MWh: 2 and 6."""
    log = campus_log(20.0)
    log.metrics = {
        "job": {
            "campus": {
                "train": {"e_mwh": 1.0, "n_iteration": 100.0, "n_token": 4e8, "run_s": 1.0},
                "chat": {"e_mwh": 3.0, "n_query": 1e4, "n_token_in": 7e6, "n_token_out": 3e6, "e_prefill_mwh": 0.6,
                         "e_decode_mwh": 2.4},
                "measured": {"e_mwh": 0.0},
            }
        }
    }  # fmt: skip
    found = work_of(log, "campus", 8.0)
    assert found["train"].per_piece() == pytest.approx(
        {"e_kwh_per_iteration": 20.0, "e_j_per_token": 2.0 * 3.6e9 / 4e8}
    )
    chat = found["chat"].per_piece()
    assert chat["e_wh_per_query"] == pytest.approx(600.0)
    assert chat["e_j_per_token_in"] == pytest.approx(1.2 * 3.6e9 / 7e6)
    assert chat["e_j_per_token_out"] == pytest.approx(4.8 * 3.6e9 / 3e6)
    assert chat["e_j_per_token"] == pytest.approx(6.0 * 3.6e9 / 1e7)
    assert "measured" not in found


def test_energy_per_piece_of_nothing_done_is_left_out():
    assert Work({"iteration": 0.0}, 0.1, 0.2, {}).per_piece() == {}


def test_log_without_intensity_or_price_tells_no_accounts():
    assert "accounts" not in summarize(campus_log(20.0))
    assert analyse(campus_log(20.0)).accounts.summary() == {}


def test_intensity_in_a_logs_scenario_is_taken_from_there():
    log = campus_log(60.0)
    log.scenario["carbon"] = {"g_per_kwh": 500.0}
    found = summarize(log)["accounts"]["carbon"]["campus"]
    assert found["carbon_kg"] == pytest.approx(500.0 * found["e_grid_mwh"])


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"carbon": {}}, "give exactly one of g_per_kwh, profile and file"),
        ({"carbon": {"g_per_kwh": 1.0, "file": "x.csv"}}, "give exactly one of"),
        ({"carbon": {"g_per_kwh": -1.0}}, "carbon.g_per_kwh"),
        ({"carbon": {"kg_per_mwh": 1.0}}, "no such key; nearest: g_per_kwh"),
        ({"carbon": {"profile": [HOUR[1], HOUR[0]]}}, "rising t_s"),
        ({"carbon": {"profile": list(HOUR), "period_s": 3600.0}}, "not before period_s"),
        ({"price": {"per_mwh": "dear"}}, "price.per_mwh"),
        ({"price": {"file": "none.csv"}}, "none.csv"),
    ],
)
def test_wrong_intensity_or_price_is_refused_before_anything_runs(block, words):
    with pytest.raises(InputError, match=words):
        load_scenario(scenario(**block))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t_s,g\n0,1\n", "needs columns t_s and g_per_kwh"),
        ("t_s,g_per_kwh\n", "holds no point"),
        ("t_s,g_per_kwh\n0,1\n0,2\n", "times must rise"),
        ("t_s,g_per_kwh\n0,much\n", "not a finite number"),
        ("t_s,g_per_kwh\n0,-3\n", "must not be negative"),
        ("t_s,g_per_kwh\n0,1\n9,\n", "not a finite number"),
    ],
)
def test_wrong_file_of_intensity_is_refused_with_its_line(tmp_path, monkeypatch, text, words):
    (tmp_path / "g.csv").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        load_scenario(scenario(carbon={"file": "g.csv"}))


def test_a_series_with_too_many_points_in_the_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("cosim.scenario.accounts.MAX_POINTS", 3)
    (tmp_path / "g.csv").write_text("t_s,g_per_kwh\n" + "".join(f"{t},300\n" for t in range(0, 1000, 10)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"carbon.file: has 6 points within the run; 3 are allowed"):
        load_scenario(scenario(carbon={"file": "g.csv"}))
