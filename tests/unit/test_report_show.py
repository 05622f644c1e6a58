"""`cosim show` and the picture for a README."""

from __future__ import annotations

import json
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from synthetic_log import EVENT_COLUMNS, SyntheticLog, campus_log

from cosim.errors import EnvironmentFailure
from cosim.report.figure import svg, write_svg
from cosim.report.show import render_show, show_json
from cosim.report.words import count, energy, measure, number, split_unit, times


def shown(log, width=140):
    console = Console(file=StringIO(), width=width, no_color=True)
    render_show(log, console)
    return console.file.getvalue()


def test_show_says_the_findings_and_the_tables():
    text = shown(campus_log())
    for said in ("Lowest voltage 0.7614 pu at bus 33", "TDP 3 MW", "Flow in MW", "UPS campus", "PUE"):
        assert said in text


def test_show_says_the_voltage_of_a_data_center_and_that_it_was_out():
    log = campus_log()
    name, low = log.names("bus"), log.read("bus/vm_min_pu")[:, log.names("bus").index("bus 18")]
    said = f"at campus (bus 18) {low[low >= 0.1].min():.4f} pu, and interrupted for at most 4.9 s"
    assert said in shown(log, 400)
    assert (low < 0.1).any()
    # Of an unbalanced feeder nodes are logged: any phase of the bus counts, or those at which it stands.
    log.elements["bus"][:] = [f"{n}.1" if n == "bus 18" else n for n in name]
    assert said in shown(log, 400)
    log.scenario["datacenters"]["campus"]["bus"] = "bus 18.1"
    assert said.replace("bus 18", "bus 18.1") in shown(log, 400)
    log.scenario["datacenters"]["campus"]["bus"] = "bus 18.2"
    assert "at campus (" not in shown(log, 400)


@pytest.mark.parametrize("status", ["running", "collapsed", "interrupted", "failed"])
def test_show_says_first_that_a_run_is_not_whole(status):
    log = campus_log(60.0)
    log.status = status
    first, second = shown(log).splitlines()[:2]
    assert status in first
    assert "This run" in second


def test_show_of_a_complete_run_warns_of_nothing():
    assert "This run" not in shown(campus_log(60.0))


def test_show_of_a_log_without_rows_says_so_and_does_not_fail():
    text = shown(SyntheticLog(np.zeros(0), status="failed"))
    assert "0 rows" in text
    assert "This run failed" in text


def test_markup_in_names_is_printed_and_not_obeyed():
    log = campus_log(60.0)
    log.elements["bus"][-1] = "[red]x[/red]"
    assert "[red]x[/red]" in shown(log)


def test_json_holds_the_summary_without_nan():
    found = json.loads(show_json(campus_log(60.0)), parse_constant=pytest.fail)
    assert found["run"]["status"] == "complete"
    assert found["datacenter"]["campus"]["power"]["ai"]["e_mwh"] > 0.0


def test_picture_is_well_formed_small_and_white():
    text = svg([campus_log(), campus_log(with_ups=False)])
    root = ElementTree.fromstring(text)
    assert len(text) < 150_000
    assert root.find("{http://www.w3.org/2000/svg}rect").get("fill") == "#fff"
    assert "State of charge" in text


def test_picture_of_a_log_without_rows_is_still_a_picture():
    ElementTree.fromstring(svg([SyntheticLog(np.zeros(0))]))


def test_picture_that_cannot_be_written_says_where(tmp_path):
    with pytest.raises(EnvironmentFailure, match="cannot write the picture"):
        write_svg([campus_log(10.0)], tmp_path / "missing" / "a.svg")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("max_ramp_mw_per_s", ("max ramp", "MW/s")),
        ("e_mwh", ("e", "MWh")),
        ("vm_min_pu", ("vm min", "pu")),
        ("n_sag", ("n sag", "")),
    ],
)
def test_unit_is_read_off_the_key(key, expected):
    assert split_unit(key) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.94567, "0.9457"),
        (123456.7, "123457"),
        (1e-7, "1.000e-07"),
        (3.0, "3"),
        (-2.71828, "-2.718"),
        (99999.6, "100000"),
        (0.0001, "0.0001"),
    ],
)
def test_number_is_short_and_has_no_needless_exponent(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (measure(0.95, "pu"), "0.9500"),
        (measure(4e-6, "%"), "<0.001"),
        (measure(2.635, "MW/min"), "2.635"),
        (energy(12.5), "12.5 MWh"),
        (energy(0.008934), "8.934 kWh"),
        (energy(5.754e-16), "0"),
        (count(876_411), "876411"),
        (count(2.078e9), "2,078 million"),
        (times(0, 0.0), "never"),
        (times(1, 5.49), "once, 5.49 s"),
        (times(54, 274.1), "54 times, 274.1 s"),
    ],
)
def test_quantities_are_said_to_the_digits_that_mean_something(said, text):
    assert said == text


def test_show_names_the_transformer_that_is_loaded_more_than_any_line():
    log = campus_log(60.0, blackout=False)
    log.elements["trafo"] = ["T1", "T2"]
    log.channels["trafo/loading_percent"] = np.column_stack((np.full(601, 70.0), np.full(601, 130.0))).astype("f4")
    log.channels["trafo/loading_percent"][:100, 1] = 99.0
    text = shown(log)
    assert "1 of 34 lines and transformers is above its rating; highest loading 130 % on transformer T2" in text
    assert "overloaded for 50.1 s" in text


def test_show_of_a_supply_disturbed_all_along_tells_no_swing_of_zero():
    """Its ramp within a minute is not seen for that, and not because a run of ten minutes is too short."""
    log = campus_log(600.0)
    rows = [[0.0, "dip_started", "source", 0.5, ""], [599.9, "dip_ended", "source", 0.5, ""]]
    log.events = pd.DataFrame(rows, columns=EVENT_COLUMNS)
    text = shown(log)
    assert "no minute is free of disturbances of its supply" in text
    assert "within a minute, disturbances of the supply included" in text
    assert "no 60 s without a disturbance of the supply" in text
    found = json.loads(show_json(log))
    assert "undisturbed_swing_60s_mw" not in found["source"]["swing"]
    assert found["source"]["swing"]["swing_60s_mw"] > 0.0


def test_show_of_a_log_with_rows_two_minutes_apart_tells_no_window_it_cannot_see():
    text = shown(campus_log(7200.0, step_s=120.0, blackout=False))
    assert "in 60 s" not in text
    assert "within a minute" not in text
    assert "in the whole run" in text


def test_show_tells_the_peak_of_what_goes_back():
    log = campus_log(60.0, blackout=False)
    assert "export" not in shown(log)
    log.channels["datacenter/campus/p_grid_mw"][100] = -1.234
    log.channels["source/p_mw"][100] = -0.777
    text = shown(log)
    assert "it gives up to 1.23 MW to the feeder" in text
    assert "it takes up to 0.777 MW back" in text
    assert "export peak MW" in text


def test_hold_of_a_saturation_is_the_engines():
    from cosim.metrics.storage import SATURATION_HOLD_S
    from cosim.ups.kernel_smoothing import RECOVERY_US

    assert SATURATION_HOLD_S * 1e6 == RECOVERY_US
