"""Limits as data, and what is said of a log that meets, passes or cannot see them."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_log import campus_log

from cosim.errors import InputError
from cosim.metrics import analyse, summarize
from cosim.metrics.limits import load_limits, shipped_limits

HEAD = "schema: 1\nname: mine\ndescription: mine\nlimits:\n"
RAMP = """\
  - name: ramp
    kind: ramp
    title: Ramp
    source: contract
    measured: readings
    window_s: 60
    max_mw_per_min: {max}
"""


def verdicts(log, *names):
    return {verdict.name: verdict for verdict in analyse(log, load_limits(names) if names else None).verdicts}


@pytest.mark.parametrize("name", list(shipped_limits()))
def test_shipped_limits_load_and_say_their_source(name):
    for limit in load_limits([name]):
        assert limit.source
        assert limit.measured


def test_limits_name_every_wrong_field_at_once(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD + RAMP.format(max=-1) + "    per: minute\n  - name: other\n    kind: ramps\n")
    with pytest.raises(InputError) as wrong:
        load_limits([str(file)])
    text = str(wrong.value)
    assert "max_mw_per_min" in text
    assert "per" in text
    assert "ramps" in text


def test_limits_of_one_name_are_refused():
    with pytest.raises(InputError, match="c84_1_range_a"):
        load_limits(["ansi_c84_1", "ansi_c84_1"])


def test_unknown_limits_name_the_nearest():
    with pytest.raises(InputError, match="ieee_1453"):
        load_limits(["ieee_1435"])


def test_a_limit_of_ones_own_is_judged_with_its_margin(tmp_path):
    log = campus_log(600.0, with_ups=False, blackout=False)
    p_mw = log.channels["datacenter/campus/p_grid_mw"].astype(np.float64)
    steepest = np.abs(p_mw[600:] - p_mw[:-600])
    for bound, status in ((10.0, "passed"), (1.0, "failed")):
        file = tmp_path / "mine.yaml"
        file.write_text(HEAD + RAMP.format(max=bound))
        found = verdicts(log, str(file))["ramp"]
        assert found.status == status
        assert found.value == pytest.approx(steepest.max(), rel=1e-6)
        assert found.margin == pytest.approx(bound - steepest.max(), rel=1e-6)
        assert found.t_s == pytest.approx(0.1 * steepest.argmax(), abs=1e-6)
        assert found.where == "campus"


@pytest.mark.parametrize(
    ("window_s", "said"), [(250, "no 250 s without a disturbance"), (400, "the run lasts 300 s, needed are 400 s")]
)
def test_a_ramp_that_disturbances_hide_is_not_said_to_lack_length(tmp_path, window_s, said):
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD + RAMP.format(max=1).replace("window_s: 60", f"window_s: {window_s}"))
    found = verdicts(campus_log(300.0), str(file))["ramp"]  # a blackout at 200 s
    assert found.status == "not_seen"
    assert said in found.note


def test_a_log_too_coarse_says_which_step_a_limit_needs():
    found = verdicts(campus_log(1200.0, 0.1))
    assert found["flicker_pst"].status == "not_seen"
    assert "at most 0.05 s" in found["flicker_pst"].note
    assert "at most 0.02 s" in found["band_0_1_to_20_hz"].note or found["band_0_1_to_20_hz"].status == "failed"
    assert found["flicker_pst"].value is None
    coarse = verdicts(campus_log(7200.0, 2.0))
    assert "at most 0.25 s" in coarse["rvc_any"].note
    assert "at most 0.1 s" in coarse["instantaneous_change"].note
    assert "at most 0.5 s" in coarse["recovery"].note


def test_a_run_too_short_for_a_window_is_not_passed():
    found = verdicts(campus_log(300.0))
    assert found["c84_1_range_a"].status == "not_seen"
    assert "600 s" in found["c84_1_range_a"].note
    assert found["rvc_per_day"].status == "not_seen"


def test_range_a_names_the_worst_node_and_its_minutes():
    log = campus_log(1201.0, with_ups=False, blackout=False)
    vm = log.channels["bus/vm_pu"]
    vm[6001:, 2] -= 0.09
    found = verdicts(log)["c84_1_range_a"]
    assert found.status == "failed"
    assert found.where == "bus 3"
    assert found.value == pytest.approx(vm[6001:12001, 2].mean(dtype=np.float64), abs=1e-6)
    assert found.margin == pytest.approx(found.value - 0.95)
    minutes = summarize(log)["standards"]["mean_voltage"]["600s"]["outside_0.95_to_1.05_min"]
    assert minutes["bus 3"] == 10.0


def test_a_short_dip_in_a_coarse_log_is_neither_inside_nor_outside_itic():
    log = campus_log(600.0, 0.1, with_ups=False, blackout=False)
    log.channels["bus/vm_min_pu"] = log.channels["bus/vm_pu"].copy()
    log.channels["bus/vm_min_pu"][3000, 4] = 0.5  # somewhere within 0.1 s; 20 ms are allowed
    found = verdicts(log)["itic"]
    assert found.status == "not_seen"
    assert found.where == "bus 5"
    log.channels["bus/vm_min_pu"][3000:3010, 4] = 0.5
    assert verdicts(log)["itic"].status == "failed"


def test_a_flicker_limit_is_judged_where_the_step_carries_it():
    log = campus_log(700.0, 0.02, n_bus=2, with_ups=False, blackout=False)
    t_s = log.t_s
    d = 3.0 * 0.5 * (np.mod(t_s / 2.0, 1.0) < 0.5)
    log.channels["datacenter/campus/vm_pu"] = (1.0 - 0.01 * d).astype(np.float32)
    found = verdicts(log)["flicker_pst"]
    assert found.status == "failed"
    assert "22 Hz" in found.note
    assert found.value > 0.9


def test_verdicts_are_in_the_summary_as_plain_values():
    summary = summarize(campus_log(900.0))
    assert sum(summary["verdict"].values()) == len(summary["verdicts"]) == 16
    first = summary["verdicts"][0]
    assert {"name", "status", "value", "limit", "margin", "where", "source", "measured"} <= set(first)
    assert summary["standards"]["voltage_events"]["n_event"] > 0


def test_flicker_of_ten_minutes_with_a_dip_does_not_count():
    log = campus_log(1900.0, 0.05, n_bus=2, with_ups=False, blackout=False)
    vm = np.ones(len(log.t_s), dtype=np.float32)
    vm[-12_000:][100:105] = 0.5  # the last ten minutes
    log.channels["datacenter/campus/vm_pu"] = vm
    found = verdicts(log)["flicker_pst"]
    assert found.status == "passed"
    assert found.value < 0.1
    assert "1 of 3 windows of 10 minutes left out" in found.note
    vm[::6000] = 0.5
    assert verdicts(log)["flicker_pst"].note == "no 600 s free of dips and swells"
