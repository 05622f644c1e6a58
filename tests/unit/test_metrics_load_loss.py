"""What is a dip's doing and what is not, counted by hand: later dips, jobs that stop, pauses, rows too far apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_log import EVENT_COLUMNS, SyntheticLog

from cosim.metrics import analyse, summarize
from cosim.report.findings import headline

STEP_S = 0.1
OUTAGE = [(100.0, "window_left"), (100.01, "ups_transferred"), (110.0, "window_entered"), (110.5, "ups_returned")]


def site_log(p_mw, dips, events, *, it_mw=None, step_s=STEP_S, until_s=600.0):
    """A log of data center `a`: its power over time, dips (from, to, pu), events (s, kind[, value])."""
    t_s = np.arange(round(until_s / step_s) + 1) * step_s
    vm_pu = np.ones_like(t_s)
    for from_s, to_s, dip_pu in dips:
        vm_pu[(t_s >= from_s - 1e-6) & (t_s < to_s - 1e-6)] = dip_pu
    told = [(one[0], one[1], "a", one[2] if len(one) > 2 else 0.3, "") for one in events]
    channels = {"datacenter/a/p_grid_mw": p_mw(t_s), "datacenter/a/vm_pu": vm_pu}
    if it_mw is not None:
        channels["datacenter/a/p_it_mw"] = it_mw(t_s)
    table = pd.DataFrame(sorted(told), columns=EVENT_COLUMNS)
    return SyntheticLog(t_s, channels, events=table, scenario={"datacenters": {"a": {"bus": "1"}}})


def walking_in(t_s):
    """100 MW; nothing from 100 to 110.5 s, then 1 MW/s: 90 MW flow at 200.5 s."""
    return np.where(t_s < 100.0, 100.0, np.clip(t_s - 110.5, 0.0, 100.0))


def told(log):
    return summarize(log)["system"]


LATER = {
    "none": ([], []),
    "borne": ([(300.0, 300.1, 0.89)], [(300.0, "window_left")]),
    "borne while it walks in": ([(150.0, 150.1, 0.89)], [(150.0, "window_left")]),
    "own undervoltage": ([(160.0, 260.0, 0.895)], []),
    "felt": ([(300.0, 300.1, 0.3)], [(300.0, "window_left"), (300.01, "ups_transferred"), (301.0, "ups_returned")]),
    "far": ([(550.0, 550.1, 0.3)], [(550.0, "window_left"), (550.01, "ups_transferred"), (551.0, "ups_returned")]),
}


@pytest.mark.parametrize("later", LATER)
def test_later_dip_takes_nothing_from_what_an_outage_took(later):
    """Of 100 MW 100 are missing 1 s after the outage, 40.5 MW 1 min after; 90 are back 90.5 s after."""
    dips, events = LATER[later]
    is_felt = any(kind == "ups_transferred" for _, kind in events)

    def p_mw(t_s):
        away = [(t_s >= from_s) & (t_s < from_s + 1.0) for from_s, _, _ in dips if is_felt]
        return np.where(np.any(away, axis=0), 0.0, walking_in(t_s)) if away else walking_in(t_s)

    found = told(site_log(p_mw, [(100.0, 110.0, 0.0), *dips], OUTAGE + events))
    assert (found["before_mw"], found["lost_mw"]) == (pytest.approx(100.0), pytest.approx(100.0))
    assert found["not_returned_1s_mw"] == pytest.approx(99.5, abs=0.2)
    assert found["not_returned_1min_mw"] == pytest.approx(40.5, abs=0.2)
    assert found["returned_after_s"] == pytest.approx(90.5, abs=0.2)
    assert found["disturbance_t_s"] == pytest.approx(100.0)
    assert found["disturbance_n_dip"] == (2 if later == "felt" else 1)


def test_dip_that_is_borne_takes_nothing_of_what_stops_later():
    """A dip of 0.2 s that nobody feels; 40 min later the job stops: 80 of 100 MW are its own."""

    def p_mw(t_s):
        return np.where(t_s < 2500.0, 100.0, 20.0)

    log = site_log(p_mw, [(100.0, 100.2, 0.84)], [(100.0, "window_left")], until_s=4000.0, it_mw=p_mw)
    found = told(log)
    assert found["lost_mw"] == 0.0
    assert (
        headline(log, analyse(log)).text
        == "1 dip at t = 100 s took nothing of 100 MW of the data center off the feeder."
    )


@pytest.mark.parametrize("answer", [[], [(100.01, "ups_transferred"), (100.3, "ups_returned")]])
def test_pause_of_a_job_is_its_own_whether_the_dip_is_borne_or_not(answer):
    """9 s at 100 MW and 3 s at 40 MW, the next pause 0.1 s after the dip; a transfer takes it all for 0.3 s."""

    def it_mw(t_s):
        return np.where((t_s - 100.3 + 1e-6) % 12.0 < 3.0, 40.0, 100.0)

    def p_mw(t_s):
        return np.where((t_s >= 100.0) & (t_s < 100.3 - 1e-6), 0.0, it_mw(t_s)) if answer else it_mw(t_s)

    log = site_log(p_mw, [(100.0, 100.2, 0.84)], [(100.0, "window_left"), *answer], it_mw=it_mw)
    found = told(log)
    if answer:
        before = found["before_mw"]
        assert (found["lost_mw"], found["not_returned_1min_mw"]) == (pytest.approx(before), 0.0)
        assert found["not_returned_1s_mw"] == 0.0  # what is drawn in the pause is all that is asked for
    else:
        assert found["lost_mw"] == 0.0


def test_load_that_is_away_is_away_whatever_its_jobs_do():
    """Locked out for good at 100 s while its jobs swing between 100 and 40 MW: 100 of 100 MW, an hour long."""

    def it_mw(t_s):
        return np.where((t_s > 130.0) & (t_s % 12.0 < 3.0), 40.0, 100.0)

    def p_mw(t_s):
        return np.where(t_s < 100.0, it_mw(t_s), 0.0)

    events = [(100.0, "window_left"), (100.01, "ups_transferred"), (100.01, "ups_locked_out")]
    found = told(site_log(p_mw, [(100.0, 100.2, 0.3)], events, it_mw=it_mw, until_s=3800.0))
    assert [found[f"not_returned_{after}_mw"] for after in ("1s", "1min", "1h")] == [100.0, 100.0, 100.0]
    assert "returned_after_s" not in found


def test_site_that_exports_beside_one_that_is_lost_changes_nothing_of_it():
    """`a` loses its 100 MW for 1 s; that `b` gives 30 MW in place of 20 MW to the feeder meanwhile is not lost."""
    events = [(100.0, "window_left"), (100.01, "ups_transferred"), (101.0, "ups_returned")]

    def p_mw(t_s):
        return np.where((t_s >= 100.0) & (t_s < 101.0), 0.0, 100.0)

    log = site_log(p_mw, [(100.0, 100.5, 0.3)], events)
    log.channels |= {"datacenter/b/p_grid_mw": np.where(log.t_s < 100.2, -20.0, -30.0)}
    log.channels["datacenter/b/vm_pu"] = np.ones_like(log.t_s)
    log.scenario["datacenters"]["b"] = {"bus": "1"}
    found = told(log)
    assert (found["before_mw"], found["lost_mw"]) == (pytest.approx(80.0), pytest.approx(100.0))


def test_dips_of_a_load_that_never_comes_back_whole_are_disturbances_of_their_own():
    """Of 100 MW 20 stay away from the first dip on; 1000 s later another takes the other 80 for 50 s."""

    def p_mw(t_s):
        return np.select([t_s < 100.0, (t_s >= 1100.0) & (t_s < 1150.0)], [100.0, 0.0], 80.0)

    events = [(100.0, "window_left"), (100.01, "load_shed"), (1100.0, "window_left"), (1100.01, "ups_transferred")]
    log = site_log(p_mw, [(100.0, 100.2, 0.3), (1100.0, 1100.2, 0.3)], events, until_s=5000.0)
    first, second = analyse(log).standards.terminal["a"].losses
    assert (first.before_mw, first.lost_mw) == (pytest.approx(100.0), pytest.approx(20.0))
    assert [first.not_returned_mw[after] for after in ("1s", "1min", "1h")] == [pytest.approx(20.0)] * 3
    assert first.returned_after_s is None
    assert (second.before_mw, second.lost_mw) == (pytest.approx(80.0), pytest.approx(80.0))
    assert second.returned_after_s == pytest.approx(49.8)


def test_call_within_an_undervoltage_takes_what_it_asks_for_and_the_dip_the_rest():
    """0.85 pu from 100 to 200 s costs 10 of 100 MW; a call to 60 MW from 120 s on is not the dip's doing."""

    def p_mw(t_s):
        called = np.where((t_s >= 120.0) & (t_s < 180.0), 60.0, 100.0)
        return np.where((t_s >= 100.0) & (t_s < 200.0), np.minimum(called, 90.0), called)

    events = [(100.0, "window_left"), (120.0, "demand_response_started", 60.0), (180.0, "demand_response_ended", 60.0)]
    assert told(site_log(p_mw, [(100.0, 200.0, 0.85)], events))["lost_mw"] == pytest.approx(10.0)


def test_servers_that_stop_for_want_of_cooling_are_the_dips_loss():
    """Cooling, 5 of 100 MW, drops out in a dip; IT stops 200 s later; all is on again at 500 s."""

    def p_mw(t_s):
        return np.select([t_s < 100.0, t_s < 300.0, t_s < 500.0], [100.0, 95.0, 10.0], 100.0)

    def it_mw(t_s):
        return np.where((t_s >= 300.0) & (t_s < 500.0), 0.0, 85.0)

    events = [(100.0, "window_left"), (100.01, "cooling_lost"), (300.0, "load_shed"), (480.0, "cooling_returned")]
    found = told(site_log(p_mw, [(100.0, 100.1, 0.5)], events, it_mw=it_mw, until_s=900.0))
    assert (found["lost_mw"], found["returned_after_s"]) == (pytest.approx(90.0), pytest.approx(399.9))


def test_dips_between_rows_far_apart_are_counted_and_what_they_took_is_not_seen():
    """Rows every 60 s, two dips of 50 ms between two of them with a transfer of 5 s each; every row has 100 MW."""
    events = [(at_s, kind) for at_s in (130.0, 150.0) for kind in ("window_left", "ups_transferred")]
    log = site_log(lambda t_s: np.full_like(t_s, 100.0), [], events, step_s=60.0, until_s=1200.0)
    found = told(log)
    assert (found["disturbance_n_dip"], found["lost_at_least_mw"]) == (2, 0.0)
    assert "lost_mw" not in found
    assert "not_returned_1s_mw" not in found
    of_a = summarize(log)["standards"]["terminal"]["a"]
    assert not {"lost_mw", "lost_max_mw", "recovery_max_s"} & of_a.keys()
    assert headline(log, analyse(log)).text == (
        "2 dips by t = 180 s took an unknown part of 100 MW of the data center off the feeder: not seen, rows are 60 s "
        "apart; not returned: 0 MW after 1 min. 90 % of the load back less than 60 s after the voltage."
    )
