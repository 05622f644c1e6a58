"""Load lost in a series of dips, of one site and of all together, worked by hand; what a page makes of it."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from synthetic_log import EVENT_COLUMNS, SyntheticLog

from cosim.metrics import analyse, summarize
from cosim.metrics.away import SiteLoad
from cosim.metrics.limits import load_limits
from cosim.metrics.load_loss import load_losses
from cosim.metrics.terminal import recoveries
from cosim.report.findings import comparison
from cosim.report.payload import Run, focus_s, is_opened_on
from cosim.report.show import render_show


def record(dips_s, until_s=200.0, step_s=0.1):
    t_s = np.arange(round(until_s / step_s) + 1) * step_s
    vm_pu = np.ones_like(t_s)
    for at_s in dips_s:
        vm_pu[round(at_s / step_s)] = 0.3
    return t_s, vm_pu


def test_what_is_lost_and_what_is_back_by_hand():
    t_s, vm_pu = record([50.0, 60.0])
    p_mw = np.full_like(t_s, 100.0)
    p_mw[500:] = 10.0  # lost at the first dip; 40 MW are back 31 s after the second, all of it after 101 s
    p_mw[910:], p_mw[1610:] = 40.0, 100.0
    (loss,) = load_losses(t_s, vm_pu, p_mw, 0.1)
    assert (loss.start_s, loss.n_dip) == (pytest.approx(50.0), 2)
    assert (loss.before_mw, loss.lost_mw) == (pytest.approx(100), pytest.approx(90))
    assert loss.not_returned_mw == {"1s": pytest.approx(90), "1min": pytest.approx(60)}  # an hour after: not in the log


def test_dips_far_apart_are_two_disturbances_and_swells_are_none():
    t_s, vm_pu = record([50.0, 400.0], 500.0)
    vm_pu[100] = 1.3
    assert [loss.n_dip for loss in load_losses(t_s, vm_pu, np.ones_like(t_s), 0.1)] == [1, 1]
    assert load_losses(t_s, np.ones_like(t_s), np.ones_like(t_s), 0.1) == []


def test_load_that_the_next_dip_finds_away_has_not_come_back():
    """Three dips in a row, the load away from the first on; it returns 25 s after the third, before a fourth."""
    t_s, vm_pu = record([50.0, 60.0, 75.0, 150.0])
    p_mw = np.full_like(t_s, 100.0)
    p_mw[500:1001] = 0.0
    p_mw[1500:1511] = 40.0
    first, second, third, last = recoveries(t_s, vm_pu, SiteLoad(p_mw), 0.1)
    assert [one.is_back for one in (first, second, third, last)] == [True] * 4
    took_s = [one.took_s for one in (first, second, third, last)]
    assert took_s == [pytest.approx(t) for t in (50.0, 40.0, 25.0, 1.0)]
    assert [one.lost_mw for one in (first, second, third, last)] == [pytest.approx(p) for p in (100, 100, 100, 60)]


def test_load_that_stays_away_is_not_back_from_any_of_its_dips():
    t_s, vm_pu = record([50.0, 60.0])
    p_mw = np.where(t_s < 50.0, 100.0, 0.0)
    assert [(r.is_back, round(r.took_s, 1)) for r in recoveries(t_s, vm_pu, SiteLoad(p_mw), 0.1)] == [
        (False, 149.9),
        (False, 139.9),
    ]


def test_dip_between_two_rows_counts_and_ends_with_the_row_behind_it():
    """50 ms within the interval that ends at 50.0 s: rows show 1 pu, their minimum 0.3 pu."""
    t_s, lowest = record([50.0])
    p_mw = np.where((t_s >= 50.0) & (t_s < 52.0), 10.0, 100.0)
    vm_pu = np.ones_like(t_s)
    assert recoveries(t_s, vm_pu, SiteLoad(p_mw), 0.1) == []
    (one,) = recoveries(t_s, vm_pu, SiteLoad(p_mw), 0.1, lowest_pu=lowest)
    assert (one.back_s, one.took_s) == (pytest.approx(50.0), pytest.approx(2.0))
    (loss,) = load_losses(t_s, vm_pu, p_mw, 0.1, lowest_pu=lowest)
    assert (loss.lost_mw, loss.returned_after_s) == (pytest.approx(90.0), pytest.approx(2.0))


def test_outage_that_lasts_to_the_end_took_its_load_and_tells_of_no_return():
    t_s, vm_pu = record([])
    vm_pu[1500:] = 0.0
    p_mw = np.where(t_s < 150.0, 100.0, 0.0)
    (loss,) = load_losses(t_s, vm_pu, p_mw, 0.1)
    assert (loss.lost_mw, loss.end_s) == (pytest.approx(100.0), pytest.approx(200.0))
    assert (loss.not_returned_mw, loss.returned_after_s) == ({}, None)
    assert recoveries(t_s, vm_pu, SiteLoad(p_mw), 0.1) == []


def two_sites(until_s=5000.0):
    """100 MW and 50 MW; dips at 1000 s and 1020 s, the second one at `b` only and between two rows.

    `a` is away from 1000 to 1010 s and, locked out at 1020 s, until 2000 s. `b` is away from 1020 to 1050 s. So 100 MW
    is the most that is missing of `a`, 50 MW of `b`, and of both 150 MW, from 1020 s to 1050 s.
    """
    t_s = np.arange(round(until_s * 2.0) + 1) * 0.5
    a = np.where((t_s >= 1000.0) & (t_s < 1010.0) | (t_s >= 1020.0) & (t_s < 2000.0), 0.0, 100.0)
    b = np.where((t_s >= 1020.0) & (t_s < 1050.0), 0.0, 50.0)
    dip = np.where((t_s == 1000.0) | (t_s == 1020.0), 0.4, 1.0)
    channels = {"datacenter/a/p_grid_mw": a, "datacenter/a/vm_pu": dip, "datacenter/b/p_grid_mw": b}
    channels |= {"datacenter/b/vm_pu": np.ones_like(t_s)}
    events = [
        (999.9, "window_left", "a", 0.4, ""),
        (999.91, "ups_transferred", "a", 0.4, ""),
        (1019.8, "window_left", "b", 0.35, ""),
        (1019.81, "ups_transferred", "b", 0.35, ""),
        (1020.01, "ups_locked_out", "a", 0.0, ""),
        (2000.0, "ups_unlocked", "a", 979.0, ""),
    ]
    sites = {"a": {"bus": "1"}, "b": {"bus": "2"}}
    return SyntheticLog(
        t_s, channels, events=pd.DataFrame(events, columns=EVENT_COLUMNS), scenario={"datacenters": sites}
    )


def test_sites_together_lose_what_is_missing_at_one_time():
    log = two_sites()
    told = summarize(log)["system"]
    assert told == {
        "n_site": 2,
        "disturbance_t_s": 1000.0,
        "disturbance_end_s": 1020.5,
        "disturbance_n_dip": 2,
        "before_mw": 150.0,
        "lost_mw": 150.0,
        "not_returned_1s_mw": 150.0,
        "not_returned_1min_mw": 100.0,
        "not_returned_1h_mw": 0.0,
        "returned_after_s": 979.5,  # 90 % of 150 MW need both
        "n_locked_out": 1,
        "locked_out_t_s": 1020.01,
        "n_unlocked": 1,
        "unlocked_t_s": 2000.0,
    }
    of_b = summarize(log)["standards"]["terminal"]["b"]
    assert (of_b["disturbance_n_dip"], of_b["lost_mw"]) == (1, 50.0)  # its dip lies between two rows


def test_losses_at_different_times_do_not_add_up():
    """`b` is back before `a` leaves: of 100 and 50 MW never more than 100 MW are missing at once."""
    log = two_sites()
    log.channels["datacenter/b/p_grid_mw"] = np.where((log.t_s >= 1000.0) & (log.t_s < 1005.0), 0.0, 50.0)
    log.channels["datacenter/a/p_grid_mw"] = np.where((log.t_s >= 1010.0) & (log.t_s < 2000.0), 0.0, 100.0)
    log.events.loc[2:3, "t_s"] = 999.9
    found = summarize(log)
    assert [found["standards"]["terminal"][site]["lost_mw"] for site in "ab"] == [100.0, 50.0]
    assert found["system"]["lost_mw"] == 100.0


def test_limit_of_recovery_tells_the_longest():
    limits = [limit for limit in load_limits() if limit.kind == "recovery"]
    (verdict,) = analyse(two_sites(), [limits[0].model_copy(update={"max_s": 60.0})]).verdicts
    assert (verdict.status, verdict.where, verdict.value) == ("failed", "a", pytest.approx(979.5))


def test_show_says_first_what_left_the_feeder_and_the_page_opens_on_it():
    log, console = two_sites(), Console(file=StringIO(), width=500, no_color=True)
    render_show(log, console)
    said = console.file.getvalue().splitlines()[1]
    assert said.startswith(
        "2 dips from t = 1000 to 1020.5 s took 150 of 150 MW of 2 data centers off the feeder; not returned: "
        "150 MW after 1 s, 100 MW after 1 min, 0 MW after 1 h. 1 of 2 sites locked out, from t = 1020.01 s on"
    )
    found = analyse(log)
    assert focus_s([Run(log, found, {}, "", "")]) == [990.0, 1030.5]
    assert is_opened_on([Run(log, found, {}, "", "")])
    lost = found.standards.system_loss
    alone = replace(found.standards, system_loss=replace(lost, loss=lost.loss._replace(n_dip=1)))
    assert not is_opened_on([Run(log, replace(found, standards=alone), {}, "", "")])  # an event of the whole run
    log.events = log.events[:0]  # a load that swings by itself while the voltage dips has lost nothing
    console = Console(file=StringIO(), width=500, no_color=True)
    render_show(log, console)
    assert "off the feeder" not in console.file.getvalue()
    assert focus_s([Run(log, found, {}, "", "")]) is None


def test_comparison_tells_what_differs_and_nothing_else():
    first, other = two_sites(), two_sites()
    assert comparison(analyse(first), analyse(other), ("x", "y")) == ""
    other.channels["datacenter/a/p_grid_mw"] = np.where(other.t_s == 1020.0, 20.0, 100.0)
    told = comparison(analyse(first), analyse(other), ("x", "y"))
    assert told.startswith("From x to y: load lost 150 to 130 MW; not returned after 1 s 150 to 50 MW; ")
    assert "after 1 min 100 to 0 MW" in told
    assert "after 1 h" not in told
