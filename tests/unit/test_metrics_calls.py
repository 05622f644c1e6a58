"""Calls for demand response: made-up logs with the answer known, and a run whose throttling is the engine's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_log import EVENT_COLUMNS, SyntheticLog

from cosim.metrics.calls import calls_of

T_S = np.arange(0, 400, 0.5)


def log_of(p_mw, ramp=1.0, cut_mw=None):
    called = {"kind": "demand_response_started", "datacenter": "a", "at_s": 100.0, "p_mw": 6.0, "ramp_mw_per_s": ramp}
    channels = {"datacenter/a/p_grid_mw": p_mw}
    if cut_mw is not None:
        channels["datacenter/a/p_throttled_mw"] = cut_mw
    events = [(100.0, "demand_response_started", "a", 6.0, ""), (300.0, "demand_response_ended", "a", 6.0, "")]
    told = pd.DataFrame(events, columns=EVENT_COLUMNS)
    return SyntheticLog(T_S, channels, events=told, scenario={"events": [called | {"duration_s": 200.0}]})


def ramped(start_s, slope=1.0):
    return np.where(start_s > T_S, 10.0, np.maximum(6.0, 10.0 - slope * (T_S - start_s)))


def test_call_that_is_met_in_time_delivers_what_it_asked():
    (call,) = calls_of(log_of(ramped(100.0)), "a")
    assert (call.start_s, call.cap_mw, call.before_mw, call.late_s) == (100.0, 6.0, 10.0, 0.0)
    assert call.delivered_mw == pytest.approx(4.0)
    assert call.over_mw == 0.0


def test_call_that_is_met_late_says_by_how_much():
    (call,) = calls_of(log_of(ramped(110.0)), "a")
    assert call.late_s == pytest.approx(10.0, abs=0.5)  # due at 104 s, there at 114 s
    assert call.over_mw == pytest.approx(4.0, abs=0.51)


@pytest.mark.parametrize("now_mw", [16.0, 7.0])
def test_site_that_follows_the_ramp_from_where_it_is_called_is_in_time(now_mw):
    """Mean 10 MW before, but 16 (or 7) MW at the call: at 1 MW/s the cap is down after 10 (or 1) s, not after 4."""
    before_mw = np.where(T_S % 20 < 10, now_mw, 20.0 - now_mw)  # the call at 100 s begins with now_mw
    p_mw = np.where(T_S < 100.0, before_mw, np.maximum(6.0, now_mw - (T_S - 100.0)))
    (call,) = calls_of(log_of(p_mw), "a")
    assert call.before_mw == pytest.approx(10.0)
    assert (call.late_s, call.over_mw) == (0.0, 0.0)
    late_mw = np.where(T_S < 103.0, now_mw, np.maximum(6.0, now_mw - (T_S - 103.0)))  # the same ramp 3 s later
    (call,) = calls_of(log_of(np.where(T_S < 100.0, before_mw, late_mw)), "a")
    assert call.late_s == pytest.approx(3.0, abs=0.51)


def test_call_that_is_never_met_has_no_time():
    (call,) = calls_of(log_of(np.full(T_S.shape, 8.0)), "a")
    assert call.late_s is None
    assert call.delivered_mw == 0.0


def test_throttled_energy_is_that_of_the_call_alone():
    cut_mw = np.where((T_S >= 150) & (T_S < 250), 1.8, 0.0) + np.where(T_S > 350, 5.0, 0.0)
    (call,) = calls_of(log_of(ramped(100.0), cut_mw=cut_mw), "a")
    assert call.e_throttled_mwh == pytest.approx(1.8 * 100 / 3600, rel=0.01)


def test_site_without_a_call_has_none():
    assert calls_of(log_of(ramped(100.0)), "b") == []
