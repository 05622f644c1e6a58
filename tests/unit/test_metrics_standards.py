"""What standards ask of a log, against examples worked by hand and scipy's Welch."""

from __future__ import annotations

import csv
import itertools
import math

import numpy as np
import pytest
from scipy import signal

from cosim.metrics.away import SiteLoad
from cosim.metrics.demand import DemandMeter, PowerFactorMeter
from cosim.metrics.events import SpellMeter, VoltageEvent, VoltageEventMeter
from cosim.metrics.limits import load_limits
from cosim.metrics.ramp import LargestRamp
from cosim.metrics.spectrum import SpectrumMeter
from cosim.metrics.terminal import largest_step, most_in_window, rapid_changes, recoveries
from cosim.metrics.unbalance import UnbalanceMeter, unbalance_percent
from cosim.metrics.verdict import passes_curve
from cosim.metrics.voltage_mean import MeanVoltageMeter

NO_SPAN = np.zeros((0, 2))


def rows(n: int, step_s: float) -> np.ndarray:
    return np.arange(n) * step_s


def in_blocks(n: int, *cuts: int) -> list[slice]:
    return [slice(a, b) for a, b in itertools.pairwise([0, *cuts, n])]


@pytest.mark.parametrize("cuts", [(), (1, 2, 77, 300, 301)])
def test_mean_voltage_is_that_of_each_window_while_energized(cuts):
    t_s = rows(601, 1.0)
    vm = np.ones((601, 2))
    vm[1:61, 0] = 0.94  # the first minute; rows end their intervals
    vm[61:91, 0], vm[91:121, 0] = 0.0, 0.96  # dead for half of the second: its mean is of the other half
    vm[301:361, 1] = 1.06
    meter = MeanVoltageMeter(2, 60.0, 1.0, [(0.95, 1.05), (0.9, 1.1)])
    for block in in_blocks(601, *cuts):
        meter.update(t_s[block], vm[block])
    mean = meter.result()
    assert mean.n_window == 10
    assert mean.low_pu == pytest.approx([0.94, 1.0])
    assert mean.low_t_s[0] == 0.0
    assert (mean.high_pu[1], mean.high_t_s[1]) == (pytest.approx(1.06), 300.0)
    assert mean.outside_min[0.95, 1.05].tolist() == [1.0, 1.0]
    assert mean.outside_min[0.9, 1.1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("cuts", [(), (3, 11, 12, 40)])
def test_voltage_events_have_depth_duration_and_area(cuts):
    t_s, low, high = rows(60, 0.1), np.ones((60, 2)), np.ones((60, 2))
    low[10:15, 0] = [0.85, 0.7, 0.7, 0.05, 0.8]
    low[59, 0] = 0.5
    high[20:24, 1] = 1.15
    meter = VoltageEventMeter()
    for block in in_blocks(60, *cuts):
        meter.update_low(t_s[block], low[block])
        meter.update_high(t_s[block], high[block])
    found = meter.result(np.array([True, True]))
    first, interruption, rise, swell, last = found.event
    assert (first.node, first.vm_pu) == (0, 0.7)
    assert (first.start_s, first.duration_s) == (pytest.approx(0.9), pytest.approx(0.3))
    assert first.area_pu_s == pytest.approx(0.1 * (0.15 + 0.3 + 0.3))
    assert (interruption.vm_pu, interruption.category) == (0.05, "momentary interruption")
    assert (interruption.start_s, interruption.duration_s) == (pytest.approx(1.2), pytest.approx(0.1))
    assert (rise.vm_pu, rise.start_s, rise.duration_s) == (0.8, pytest.approx(1.3), pytest.approx(0.1))
    assert (swell.node, swell.vm_pu, swell.category) == (1, 1.15, "instantaneous swell")
    assert last.duration_s == pytest.approx(0.1)
    assert found.n_event == 5
    assert found.sarfi["90"] == 1.0  # two stretches below 0.9 pu on two nodes, whatever their parts
    assert found.sarfi["70"] == 1.0
    assert found.sarfi["50"] == 0.5
    assert found.sarfi["110"] == 0.5


@pytest.mark.parametrize("cuts", [(), (900, 1001, 1100)])
def test_an_outage_behind_a_long_undervoltage_has_its_own_duration(cuts):
    """IEEE 1159-2019, table 2: 100 s at 0.85 pu are an undervoltage, 20 s without voltage a temporary interruption."""
    t_s, low = rows(1500, 0.1), np.ones((1500, 1))
    low[1:1001], low[1001:1201] = 0.85, 0.0
    meter = VoltageEventMeter()
    for block in in_blocks(1500, *cuts):
        meter.update_low(t_s[block], low[block])
    found = meter.result(np.array([True]))
    told = [(e.category, e.vm_pu, pytest.approx(e.duration_s)) for e in found.event]
    assert told == [("undervoltage", 0.85, 100.0), ("temporary interruption", 0.0, 20.0)]
    assert found.category == {"undervoltage": 1, "temporary interruption": 1}
    assert found.sarfi["90"] == found.sarfi["10"] == 1.0


def test_a_node_without_voltage_has_no_events():
    meter = VoltageEventMeter()
    meter.update_low(rows(5, 1.0), np.zeros((5, 1)))
    found = meter.result(np.array([False]))
    assert (found.n_event, found.event, found.category) == (0, [], {})


@pytest.mark.parametrize(
    ("vm_pu", "duration_s", "category"),
    # IEEE 1159-2019, table 2, 60 Hz
    [
        (0.7, 0.1, "instantaneous sag"),
        (0.7, 1.0, "momentary sag"),
        (0.7, 10.0, "temporary sag"),
        (0.85, 61.0, "undervoltage"),
        (0.05, 0.2, "momentary interruption"),
        (0.0, 20.0, "temporary interruption"),
        (0.0, 90.0, "sustained interruption"),
        (1.2, 0.2, "instantaneous swell"),
        (1.2, 2.0, "momentary swell"),
        (1.15, 70.0, "overvoltage"),
    ],
)
def test_voltage_events_have_the_categories_of_ieee_1159(vm_pu, duration_s, category):
    assert VoltageEvent(0, 0.0, duration_s, vm_pu, 0.0).category == category


def test_events_beyond_what_is_kept_are_counted():
    meter = SpellMeter(0.9)
    vm = np.ones((30_001, 1))
    vm[1::2] = 0.8
    meter.update(rows(30_001, 0.1), vm)
    found = meter.result(np.array([True]))
    assert found.n_event == 15_000
    assert len(found.event) == 5_000
    assert found.sarfi["90"] == 15_000


@pytest.mark.validation
def test_itic_and_semi_limits_are_those_of_their_curves(shared):
    limits = {limit.name: limit for limit in load_limits(["itic_semi_f47"])}
    with (shared / "data/standards/itic_2000_curve.csv").open() as file:
        points = [(r["curve"], float(r["duration_s"]), float(r["voltage_percent"]) / 100) for r in csv.DictReader(file)]
    for curve, duration_s, vm_pu in points:
        if duration_s < 0.0029 or vm_pu == 0.0:
            continue  # within a quarter cycle: not of rms voltages
        sign = 1.0 if curve.startswith("upper") else -1.0
        inside = VoltageEvent(0, 0.0, duration_s * 0.99, vm_pu - sign * 0.001, 0.0)
        assert not passes_curve(limits["itic"], inside, 0.0) or _is_corner(points, curve, duration_s, vm_pu)
        outside = VoltageEvent(0, 0.0, duration_s * 1.01, vm_pu + sign * 0.001, 0.0)
        assert passes_curve(limits["itic"], outside, 0.0), (curve, duration_s, vm_pu)
    with (shared / "data/standards/semi_f47_points.csv").open() as file:
        required = [row for row in csv.DictReader(file) if row["kind"] == "required"]
    for row in required:
        duration_s, vm_pu = float(row["max_duration_s"]), float(row["sag_remaining_percent"]) / 100.0
        assert not passes_curve(limits["semi_f47"], VoltageEvent(0, 0.0, duration_s, vm_pu, 0.0), 0.0)
        assert passes_curve(limits["semi_f47"], VoltageEvent(0, 0.0, 1.01 * duration_s, vm_pu, 0.0), 0.0)


def _is_corner(points, curve: str, duration_s: float, vm_pu: float) -> bool:
    """The outer corner of a stair: the curve demands more just before it."""
    levels = [v for c, d, v in points if c == curve and d == duration_s]
    outer = max(levels) if curve.startswith("upper") else min(levels)
    return len(levels) == 2 and vm_pu != outer


@pytest.mark.parametrize("cuts", [(), (7, 5000, 5001, 15_000)])
def test_spectrum_is_that_of_scipys_welch(cuts):
    step_s = 0.1
    t_s = rows(20_000, step_s)
    rng = np.random.default_rng(1)
    p_mw = 5.0 + 0.3 * np.sin(2 * np.pi * 0.7 * t_s) + 0.05 * rng.standard_normal(len(t_s))
    meter = SpectrumMeter(step_s)
    for block in in_blocks(len(t_s), *cuts):
        meter.update(t_s[block], p_mw[block])
    found = meter.result()
    f_hz, psd = signal.welch(p_mw, 1.0 / step_s, "hann", 1000, 500, detrend="constant")
    assert found.f_hz == pytest.approx(f_hz)
    assert found.psd_mw2_per_hz == pytest.approx(psd, rel=1e-9)
    assert found.n_segment == 39
    assert found.dominant_hz == pytest.approx(0.7)
    assert found.persistence == 1.0
    bands = {(band.from_hz, band.to_hz): band for band in found.band}
    assert bands[0.5, 1.0].rms_mw == pytest.approx(0.3 / math.sqrt(2.0), rel=0.01)
    assert bands[2.0, 5.0].is_whole is False
    assert (5.0, 20.0) not in bands


def test_spectrum_leaves_out_what_touches_a_disturbance():
    t_s = rows(6_000, 0.1)
    p_mw = np.where((t_s > 250.0) & (t_s < 255.0), 0.0, 5.0) + 0.01 * np.sin(2 * np.pi * 1.5 * t_s)
    meter = SpectrumMeter(0.1, np.array([[250.0, 255.1]]))
    meter.update(t_s, p_mw)
    found = meter.result()
    assert found.n_segment == 11 - 2
    assert found.band[1].worst_rms_mw < 1e-3
    assert found.band[3].rms_mw == pytest.approx(0.01 / math.sqrt(2.0), rel=0.01)


def test_rapid_changes_are_told_by_size_and_by_what_stays():
    step_s = 0.1
    t_s = rows(1000, step_s)
    vm = np.ones(1000)
    vm[200:] -= 0.03  # stays
    vm[500:503] -= 0.02  # comes back
    vm[700:] += np.minimum(0.02, 0.0001 * np.arange(300))  # 0.1 % a second: slow
    stays, returns = rapid_changes(t_s, vm, step_s)
    assert stays.start_s == pytest.approx(20.0)
    assert (stays.max_percent, stays.steady_percent) == (pytest.approx(3.0), pytest.approx(3.0))
    assert returns.start_s == pytest.approx(50.0)
    assert (returns.max_percent, returns.steady_percent) == (pytest.approx(2.0), pytest.approx(0.0, abs=1e-9))
    assert returns.duration_s == pytest.approx(0.3, abs=0.11)


def test_rapid_changes_do_not_depend_on_the_block(monkeypatch):
    vm = 1.0 + 0.01 * np.cumsum(np.random.default_rng(3).choice([-1, 0, 0, 0, 0, 0, 1], 5000)) / 10.0
    whole = rapid_changes(rows(5000, 0.1), vm, 0.1)
    monkeypatch.setattr("cosim.metrics.terminal._BLOCK", 37)
    assert rapid_changes(rows(5000, 0.1), vm, 0.1) == whole


def test_a_sag_and_its_return_are_no_rapid_change():
    vm = np.ones(1000)
    vm[300:400] = 0.5
    assert rapid_changes(rows(1000, 0.1), vm, 0.1) == []


def test_most_changes_in_any_hour_counts_across_its_edges():
    assert most_in_window([3500.0, 3590.0, 3700.0, 7099.0, 7100.5], 3600.0) == (4, 3500.0)
    assert most_in_window([], 3600.0) == (0, 0.0)


def test_recovery_is_timed_from_the_return_of_voltage():
    t_s, vm, p = rows(300, 0.1), np.ones(300), np.full(300, 4.0)
    vm[100:105] = 0.6
    p[100:117] = 1.0
    p[117:] = 3.7  # 92.5 %
    vm[200:203], p[200:] = 0.8, 2.0
    first, second = recoveries(t_s, vm, SiteLoad(p), 0.1)
    assert first.is_back
    assert first.back_s == pytest.approx(10.5)
    assert first.took_s == pytest.approx(1.2)
    assert first.lost_mw == pytest.approx(3.0)
    assert not second.is_back
    assert second.lost_mw == pytest.approx(1.7)


def test_largest_step_leaves_disturbances_out():
    t_s, vm = rows(100, 0.1), np.ones(100)
    vm[30:] = 0.98
    vm[60:65] = 0.3
    most, at_s = largest_step(t_s, vm, 0.1, 0.1, np.array([[5.9, 6.6]]))
    assert most == pytest.approx(0.02)
    assert at_s == pytest.approx(2.9)


@pytest.mark.parametrize("cuts", [(), (3, 4, 50)])
def test_demand_is_the_largest_mean_of_any_window(cuts):
    t_s, p = rows(100, 1.0), np.ones(100)
    p[40:50] = 3.0
    meter = DemandMeter(20.0, 1.0)
    for block in in_blocks(100, *cuts):
        meter.update(t_s[block], p[block])
    assert meter.max_mw == pytest.approx(2.0)
    assert 30.0 <= meter.t_s <= 40.0


def test_power_factor_is_active_over_apparent_energy():
    meter = PowerFactorMeter(10.0, 1.0)
    p, q = np.full(30, 4.0), np.zeros(30)
    q[10:20] = 3.0
    meter.update(rows(30, 1.0), p, q)
    found = meter.result()
    assert (found.lowest, found.lowest_t_s) == (pytest.approx(0.8), 10.0)
    assert found.mean == pytest.approx(120.0 / math.hypot(120.0, 30.0))


def test_largest_ramp_is_told_in_both_directions():
    t_s, p = rows(2000, 0.1), np.zeros(2000)
    p[500:], p[1200:] = 2.0, -3.0
    ramp = LargestRamp(60.0, 0.1, NO_SPAN, bound_mw_per_s=3.0 / 60.0)
    for block in in_blocks(2000, 100, 555, 1300):
        ramp.update(t_s[block], p[block])
    assert ramp.mw_per_s == pytest.approx(-5.0 / 60.0)
    assert (ramp.n_window, ramp.n_above) == (1400, 600)


def test_unbalance_is_negative_over_positive_sequence():
    a = np.exp(2j * np.pi / 3.0)
    phases = np.array([1.0 + 0.02, a**2 + 0.02 * a, a + 0.02 * a**2])  # V1 = 1, V2 = 0.02
    found = unbalance_percent(np.abs(phases), np.degrees(np.angle(phases)))
    assert found == pytest.approx(2.0)
    assert unbalance_percent(np.array([1.0, 1.0, 0.0]), np.zeros(3)) == 0.0
    logged = unbalance_percent(np.abs(phases).astype(np.float32), np.degrees(np.angle(phases)).astype(np.float32))
    assert logged == pytest.approx(2.0, abs=5e-5)


def test_unbalance_is_averaged_over_windows():
    a = np.exp(2j * np.pi / 3.0)
    names = ["b.1", "b.2", "b.3", "c.1"]
    t_s = rows(1200, 0.5)
    v2 = np.select([t_s < 300.0, t_s < 450.0], [0.01, 0.03], 0.02)[:, None]
    phases = np.array([[1.0, a**2, a]]) + v2 * np.array([[1.0, a, a**2]])
    vm, va = np.hstack([np.abs(phases), v2]), np.hstack([np.degrees(np.angle(phases)), v2])
    meter = UnbalanceMeter(names, 150.0, 0.5)
    for block in in_blocks(1200, 5, 6, 700):
        meter.update(t_s[block], vm[block], va[block])
    found = meter.result()
    assert found.name == ["b"]
    assert (found.n_window, found.mean_t_s[0]) == (4, 300.0)
    assert found.mean_percent[0] == pytest.approx(3.0)
