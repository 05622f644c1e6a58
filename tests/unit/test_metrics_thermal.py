"""Limits of the loading of lines and transformers and of their hottest spot, against sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_log import campus_log

from cosim.metrics import analyse
from cosim.metrics.limits import HotSpotLimit, LoadingLimit, load_limits
from cosim.metrics.loading import LoadingMeter

ABOUT = {"name": "one", "title": "One", "source": "contract", "measured": "readings"}


def loaded_log(duration_s=3600.0):
    """Two lines and a transformer: a minute at twice the rating each quarter of an hour, steady, and rising."""
    log = campus_log(duration_s, 10.0, n_bus=3, with_ups=False, blackout=False)
    t_s = log.t_s
    pulsed = np.where((t_s % 900.0 > 0.0) & (t_s % 900.0 <= 60.0), 200.0, 60.0)
    log.elements["line"], log.elements["trafo"] = ["L1", "L2"], ["main"]
    log.channels["line/loading_percent"] = np.column_stack([pulsed, np.full(len(t_s), 70.0)]).astype(np.float32)
    log.channels["trafo/loading_percent"] = np.linspace(0.0, 110.0, len(t_s), dtype=np.float32)[:, None]
    return log


def loading(**keys):
    return LoadingLimit(**ABOUT, kind="loading", **keys)


def verdict(log, limit):
    (found,) = analyse(log, [limit]).verdicts
    return found


def test_short_overloads_count_as_their_heat_does():
    """60 s at 200 % and 840 s at 60 %: the mean is 69 %, the rms 77.6 %."""
    rms = math.sqrt((60.0 * 200.0**2 + 840.0 * 60.0**2) / 900.0)
    found = verdict(loaded_log(), loading(of="lines", max_percent=75.0))
    assert (found.status, found.where, found.t_s) == ("failed", "L1", 0.0)
    assert found.value == pytest.approx(rms, rel=1e-6)
    assert found.margin == pytest.approx(75.0 - rms, rel=1e-6)
    assert found.note == "1 of 2 elements above; above for 3600 s in all"
    found = verdict(loaded_log(), loading(of="lines", window_s=60.0, max_percent=150.0))
    assert (found.status, found.value, found.note) == (
        "failed",
        pytest.approx(200.0),
        "1 of 2 elements above; above for 240 s in all",
    )


def test_a_limit_is_of_the_elements_it_names():
    assert verdict(loaded_log(), loading(only=["L2"])).value == pytest.approx(70.0)
    last = np.linspace(0.0, 110.0, 361)[-90:]
    found = verdict(loaded_log(), loading(of="transformers"))
    assert found.where == "main"
    assert found.value == pytest.approx(math.sqrt(float((last**2).mean())), rel=1e-5)
    assert found.t_s == 2700.0
    found = verdict(loaded_log(), loading(only=["L9"]))
    assert (found.status, found.note) == ("not_seen", "the log holds none of L9")
    bare = campus_log(3600.0, 10.0, n_bus=3, blackout=False)
    bare.channels = {path: rows for path, rows in bare.channels.items() if "loading" not in path}
    assert "no loadings" in verdict(bare, loading()).note
    assert "needed are 900 s" in verdict(loaded_log(600.0), loading()).note


def test_hottest_spot_is_held_against_its_limit():
    """At a steady load the hottest spot stands at its ultimate value: 55 + 25 degrees over 30 at the rating."""
    log = loaded_log()
    log.channels["trafo/loading_percent"][:] = 100.0
    found = verdict(log, HotSpotLimit(**ABOUT, kind="hot_spot", max_degree=105.0))
    assert (found.status, found.value, found.margin) == ("failed", pytest.approx(110.0), pytest.approx(-5.0))
    assert found.note == "ageing 1 times the normal"
    found = verdict(log, HotSpotLimit(**ABOUT, kind="hot_spot", max_degree=120.0, only=["T2"]))
    assert found.status == "not_seen"


def test_limits_that_ship_hold_equipment_to_its_rating():
    shipped = {one.name: one for one in load_limits(["interconnection", "ieee_c57_91"])}
    assert shipped["thermal_loading"].max_percent == 100.0
    assert shipped["hot_spot"].max_degree == 120.0


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(0.0, 300.0, width=32), min_size=2, max_size=2), min_size=2, max_size=60),
    cuts=st.lists(st.integers(1, 59), max_size=4),
    n_row=st.integers(1, 20),
)
def test_windows_do_not_depend_on_blocks(rows, cuts, n_row):
    """Against every window taken as a whole."""
    values, t_s = np.array(rows, np.float32), np.arange(len(rows), dtype=float)
    meter = LoadingMeter(2, float(n_row), 1.0, [100.0])
    for part in np.split(np.arange(len(rows)), sorted({c for c in cuts if c < len(rows)})):
        meter.update(t_s[part], values[part])
    found, n_window = meter.result(), (len(rows) - 1) // n_row
    assert found.n_window == n_window
    windows = values[1 : 1 + n_window * n_row].astype(float).reshape(n_window, n_row, 2)
    rms = np.sqrt((windows**2).mean(axis=1))
    assert found.percent == pytest.approx(rms.max(axis=0, initial=0.0), rel=1e-12)
    assert found.n_above[100.0] == pytest.approx((rms > 100.0).sum(axis=0), abs=0)
