"""The summary of a whole run: what it says, what it leaves out, what it costs."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from synthetic_log import EVENT_COLUMNS, SyntheticLog, campus_log

from cosim.metrics import analyse, summarize
from cosim.metrics.disturbance import disturbed_spans
from cosim.metrics.log import BLOCK_VALUES
from cosim.metrics.storage import event_spells


@pytest.fixture(scope="module")
def summary():
    return summarize(campus_log())


def _numbers(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    else:
        yield value


def test_summary_is_plain_json_without_nan(summary):
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert {type(value) for value in _numbers(summary)} <= {float, int, str}


def test_ratings_give_tdp_and_utilization(summary):
    campus = summary["datacenter"]["campus"]
    log = campus_log()
    ai = log.channels["datacenter/campus/p_ai_mw"].astype(float)
    assert campus["tdp_mw"] == 4000 * 750.0 / 1e6
    expected = np.trapezoid(np.maximum(ai - 0.2 - 0.4, 0.0) / (3.0 - 0.4), log.t_s) / 600.0
    assert campus["gpu_utilization"] == pytest.approx(expected, rel=1e-5)


def test_pue_is_the_ratio_of_energies_without_what_went_into_storage(summary):
    campus, ups = summary["datacenter"]["campus"], summary["ups"]["campus"]
    stored_mwh = (ups["soc_end"] - ups["soc_start"]) * 0.5
    expected = (campus["power"]["total"]["e_mwh"] - stored_mwh) / campus["power"]["it"]["e_mwh"]
    assert campus["pue"] == pytest.approx(expected)
    assert campus["pue"] > 1.0


def test_ups_effect_does_not_count_the_step_of_the_outage(summary):
    effect = summary["datacenter"]["campus"]["ups_effect"]["1s"]
    assert effect["ramp_with_mw_per_s"] == pytest.approx(0.05, rel=1e-3)
    assert effect["ramp_ratio"] < 0.05
    grid = summary["datacenter"]["campus"]["ramp"]["grid"]["1s"]
    assert grid["max_decline_mw_per_s"] > 1.0


def test_source_swing_is_told_with_and_without_the_outage(summary):
    swing = summary["source"]["swing"]
    assert swing["swing_1s_mw"] > 4.0
    assert swing["undisturbed_swing_1s_mw"] < 0.2


def test_lines_come_with_the_most_affected_first(summary):
    peaks = [line["peak_to_peak_mw"] for line in summary["lines"]]
    assert peaks == sorted(peaks, reverse=True)
    assert summary["lines"][0]["name"] == "line 0"


def test_storage_state_follows_the_log_and_its_events(summary):
    ups, log = summary["ups"]["campus"], campus_log()
    p = log.channels["ups/campus/p_mw"].astype(float)
    net_mwh = np.trapezoid(p, log.t_s) / 3600.0
    assert ups["e_charged_mwh"] - ups["e_discharged_mwh"] == pytest.approx(net_mwh, rel=1e-6)
    # 3.5 s from event to event, of which the last second only waited for the limit to hold
    assert (ups["n_saturated"], ups["saturated_s"], ups["saturated_excess_max_mw"]) == (1.0, 2.5, 0.8)
    assert ups["n_engaged"] == 55
    assert ups["equivalent_cycles"] == pytest.approx(ups["e_discharged_mwh"] / 0.5)
    assert sum(value for key, value in ups.items() if key.startswith("mode_")) == pytest.approx(600.0)


def test_means_over_the_interval_give_the_energy_where_the_log_has_them():
    log = campus_log()
    log.channels["datacenter/campus/p_total_mean_mw"] = np.full(len(log.t_s), 2.0, np.float32)
    total = summarize(log)["datacenter"]["campus"]["power"]["total"]
    assert total["e_mwh"] == pytest.approx(2.0 * 600.0 / 3600.0)


def test_campus_without_ups_has_no_storage_and_no_effect():
    found = summarize(campus_log(with_ups=False))
    assert "ups" not in found
    assert "ups_effect" not in found["datacenter"]["campus"]


def test_log_without_rows_or_with_one_still_has_a_summary():
    empty = SyntheticLog(t_s=np.zeros(0), status="failed")
    assert summarize(empty)["run"]["status"] == "failed"
    one = campus_log()
    one.t_s = one.t_s[:1]
    one.channels = {path: values[:1] for path, values in one.channels.items()}
    found = summarize(one)
    assert found["run"]["n_row"] == 1
    json.dumps(found, allow_nan=False)


def test_what_the_log_lacks_is_left_out():
    log = campus_log()
    log.channels = {"source/p_mw": log.channels["source/p_mw"]}
    log.scenario = {}
    assert set(summarize(log)) == {"run", "source"}


def test_memory_does_not_grow_with_the_length_of_the_run():
    def peak_bytes(duration_s):
        log = campus_log(duration_s, with_ups=False)
        log.rows_read.clear()
        tracemalloc.start()
        analyse(log)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert max(log.rows_read) * 33 <= 33 * BLOCK_VALUES
        return peak

    short, long = peak_bytes(12_000.0), peak_bytes(48_000.0)
    per_row_and_bus = (long - short) / (360_000 * 33)
    assert per_row_and_bus < 2.0


def test_spells_pair_up_and_an_open_one_lasts_to_the_end():
    rows = [
        (1.0, "ups_saturated", "a", 0.5, ""),
        (2.0, "ups_saturated", "b", 9.0, ""),
        (4.0, "ups_recovered", "a", 0.0, ""),
        (8.0, "ups_saturated", "a", -0.7, ""),
    ]
    events = pd.DataFrame(rows, columns=EVENT_COLUMNS)
    spells = event_spells(events, "a", "ups_saturated", "ups_recovered", 10.0)
    assert (spells.n, spells.total_s, spells.longest_s, spells.max_value) == (2, 5.0, 3.0, 0.7)


def test_disturbances_that_overlap_are_one_span():
    rows = [
        (10.0, "source_lost", "grid", 0.0, ""),
        (10.1, "ups_transferred", "campus", 0.0, ""),
        (15.0, "source_returned", "grid", 0.0, ""),
        (18.0, "ups_returned", "campus", 0.0, ""),
        (50.0, "dip_started", "grid", 0.8, ""),
    ]
    rows.insert(4, (30.0, "ups_released", "campus", 0.0, ""))
    spans = disturbed_spans(pd.DataFrame(rows, columns=EVENT_COLUMNS), 60.0, margin_s=0.1)
    assert spans == pytest.approx(np.array([[10.0, 30.1], [50.0, 60.1]]))


def test_walk_in_of_a_ups_that_never_releases_counts_two_minutes():
    rows = [(10.0, "ups_transferred", "campus", 0.0, ""), (15.0, "ups_returned", "campus", 0.0, "")]
    spans = disturbed_spans(pd.DataFrame(rows, columns=EVENT_COLUMNS), 600.0)
    assert spans == pytest.approx(np.array([[10.0, 135.0]]))
