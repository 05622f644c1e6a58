"""Nodes followed at every step: flicker, one-cycle rms and its events, whatever the log's step and the blocks."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import cosim
from cosim.errors import InputError
from cosim.metrics.envelope import EnvelopeMeter
from cosim.metrics.flicker import flickermeter
from cosim.metrics.half_cycle import HalfCycleMeter
from cosim.metrics.points import PointMeters, points_of

STEP_US = 10_000


def severities(vm_pu, step_s, lamp="120V60Hz", block=7_777):
    meter = EnvelopeMeter(step_s, lamp, vm_pu.shape[1])
    for start in range(0, len(vm_pu), block):
        meter.update(vm_pu[start : start + block])
    return meter.finish()


# Sizes near the threshold of sensation; the reference is the full instrument, which is held to the standard elsewhere.
@pytest.mark.parametrize(("f_hz", "d_percent"), [(0.5, 2.453), (1.0, 1.463), (4.0, 0.518), (8.8, 0.321), (20.0, 0.9)])
@pytest.mark.parametrize(("step_s", "within"), [(0.001, 0.005), (0.01, 0.005)])
def test_envelope_meter_shows_what_the_whole_instrument_shows(f_hz, d_percent, step_s, within):
    t_s = np.arange(round(601.0 / step_s)) * step_s
    vm_pu = 1.0 + d_percent / 200.0 * np.sin(2.0 * np.pi * f_hz * t_s)
    assert severities(vm_pu[:, None], step_s)[0, 0] == pytest.approx(flickermeter(vm_pu, step_s).pst, rel=within)


def rectangular_points(shared, most_per_min):
    """Changes a minute and size in percent for Pst = 1 (IEC 61000-4-15 ed. 2, table 5, 120 V 60 Hz)."""
    with (shared / "data/standards/iec61000_4_15_flicker_vectors.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["edition"] == "ed.2:2010" and r["table"] == "Table 5"]
    found = [
        (float(r["changes_per_minute"]), float(r["dV_over_V_percent"]))
        for r in rows
        if r["v_rms"] == "120" and r["modulation"] == "rectangular" and r["target"] == "Pst=1"
    ]
    return [point for point in found if point[0] <= most_per_min]


def test_envelope_meter_gives_one_at_the_standards_rectangular_points(shared):
    points = rectangular_points(shared, most_per_min=120)  # faster ones need a finer step than 10 ms
    assert len(points) >= 5
    t_s = np.arange(72_001) * 0.01
    for per_min, d_percent in points:
        vm_pu = 1.0 + d_percent / 200.0 * np.where(np.mod(per_min / 120.0 * t_s + 1e-9, 1.0) < 0.5, 1.0, -1.0)
        assert severities(vm_pu[:, None], 0.01)[0, 0] == pytest.approx(1.0, rel=0.05), per_min


def test_envelope_meter_is_blind_to_how_the_record_is_cut():
    vm_pu = 1.0 + 0.003 * np.random.default_rng(1).standard_normal((125_000, 2))
    assert np.array_equal(severities(vm_pu, 0.01, block=1_000), severities(vm_pu, 0.01, block=50_001))


def test_a_dip_flags_its_ten_minutes_and_the_next_where_it_is_late():
    vm_pu = np.ones((190_000, 2))
    vm_pu[30_000:30_020, 0] = 0.8
    vm_pu[59_500:59_520, 1] = 0.8
    assert np.isnan(severities(vm_pu, 0.01)).T.tolist() == [[True, False, False], [True, True, False]]


def test_envelope_meter_names_the_step_it_needs():
    with pytest.raises(InputError, match=r"needed is at most 0\.05 s"):
        EnvelopeMeter(0.1, "120V60Hz", 1)


def rms_events(edges, until_s=10.0, f_hz=60.0):
    """Events of a voltage that is given by (time, level), each level until the next time."""
    t_us = np.array([round(1e6 * t_s) for t_s, _ in edges])
    meter = HalfCycleMeter(f_hz, 1)
    meter.update(t_us, np.array([[level] for _, level in edges]), round(1e6 * until_s))
    return meter.finish(until_s), meter


def test_one_cycle_rms_of_a_dip_worked_by_hand():
    # 0.7 pu from 1.000 to 1.050 s at 60 Hz: half a cycle in, the rms is sqrt((1 + 0.49) / 2) = 0.863: below 0.9 at
    # 1 + 1/120 s. Half a cycle out, the same 0.863; a whole cycle out it is 1: at 1.05 + 2/120 s.
    (event,), meter = rms_events([(0.0, 1.0), (1.0, 0.7), (1.05, 1.0)])
    assert event[1] == pytest.approx(1.0 + 1 / 120)
    assert event[2] == pytest.approx(0.05 + 1 / 120)
    assert event[3] == pytest.approx(0.7)
    assert meter.n_event.ravel().tolist() == [1, 0, 0]


def test_a_dip_shorter_than_half_a_cycle_is_as_deep_as_its_share_of_the_cycle():
    # 4 ms at 0.5 pu in the 16.7 ms of a cycle: rms = sqrt(1 - 0.75 * 4 / 16.667) = 0.906, no sag; 6 ms: 0.854, one
    assert rms_events([(0.0, 1.0), (1.0, 0.5), (1.004, 1.0)])[0] == []
    (event,), _ = rms_events([(0.0, 1.0), (1.0, 0.5), (1.006, 1.0)])
    assert event[3] == pytest.approx(np.sqrt(1.0 - 0.75 * 0.006 * 60.0), abs=1e-6)


def test_an_event_ends_only_above_its_hysteresis_and_swells_count_on_their_own():
    events, meter = rms_events([(0.0, 1.0), (1.0, 0.85), (2.0, 0.91), (3.0, 0.85), (4.0, 1.0), (5.0, 1.2), (6.0, 1.0)])
    assert [round(event[2], 1) for event in events] == [3.0, 1.0]
    assert meter.n_event.ravel().tolist() == [1, 1, 0]
    assert (meter.lowest_pu[0], meter.highest_pu[0]) == pytest.approx((0.85, 1.2))


def test_an_outage_behind_a_long_sag_has_a_duration_of_its_own_and_edges_are_no_sags():
    events, meter = rms_events([(0.0, 1.0), (1.0, 0.85), (3.0, 0.0), (4.0, 1.0), (6.0, 0.0), (6.5, 1.0)])
    told = sorted((round(start_s, 1), round(lasted_s, 1), round(vm_pu, 2)) for _, start_s, lasted_s, vm_pu in events)
    assert told == [(1.0, 2.0, 0.85), (3.0, 1.0, 0.0), (6.0, 0.5, 0.0)]
    assert meter.n_event.ravel().tolist() == [1, 0, 2]


@pytest.mark.parametrize("span_s", [2.0, 1.99, 0.7])
def test_a_dip_behind_calm_spans_is_that_of_the_whole_record(span_s):
    """Of a calm span only its last half cycles are worked out; a dip of 9 ms that follows shows what they left."""
    t_us = np.arange(0, 8_000_000, 10_000)
    vm_pu = np.random.default_rng(1).uniform(0.94, 1.07, (t_us.size, 2))
    edge = int(np.searchsorted(t_us, 3e6 * span_s))
    vm_pu[edge, 0] = 0.5
    whole, cut = HalfCycleMeter(60.0, 2), HalfCycleMeter(60.0, 2)
    whole.update(t_us, vm_pu, 8_000_000)
    ends_us = [*(round(1e6 * span_s * k) for k in range(1, int(8.0 / span_s) + 1)), 8_000_000]
    for first_us, end_us in zip([0, *ends_us[:-1]], ends_us, strict=True):
        rows = slice(*np.searchsorted(t_us, (first_us, end_us)))
        if end_us > first_us:
            cut.update(t_us[rows], vm_pu[rows], end_us)
    (event,) = whole.finish(8.0)
    assert event == pytest.approx(cut.finish(8.0)[0], abs=1e-9)
    assert event[1] == pytest.approx(t_us[edge] / 1e6, abs=2 / 120)


def test_points_resume_to_the_same_bits():
    rng = np.random.default_rng(2)
    t_us = np.arange(130_000, dtype=np.int64) * STEP_US
    vm_pu = 1.0 + 0.002 * rng.standard_normal((130_000, 2))
    vm_pu[40_000:40_007, 1] = 0.6
    whole, first = (PointMeters(["a", "b.1"], "120V60Hz", STEP_US) for _ in range(2))
    whole.update(t_us, vm_pu)
    for rows in (slice(0, 33_333), slice(33_333, 70_001)):
        first.update(t_us[rows], vm_pu[rows])
    second = PointMeters(["a", "b.1"], "120V60Hz", STEP_US)
    second.restore({key: value.copy() for key, value in first.state().items()})
    second.update(t_us[70_001:], vm_pu[70_001:])
    end_us = int(t_us[-1])
    told, again = whole.finish(end_us), second.finish(end_us)
    assert told.keys() == again.keys()
    assert all(np.array_equal(told[key], again[key], equal_nan=True) for key in told)


SCENARIO = {
    "schema": 1,
    "name": "points",
    "time": {"duration_s": 610, "step_s": 0.01},
    "feeder": {"model": "case33bw"},
    "datacenters": {
        "a": {
            "bus": "18",
            "load": {
                "accelerators": {"count": 500, "p_peak_w": 700, "p_idle_w": 100},
                "jobs": {
                    "a": {
                        "kind": "training",
                        "iteration": [{"duration_s": 0.06, "utilization": 1}, {"duration_s": 0.06, "utilization": 0.2}],
                    }
                },
            },
        }
    },
}


def test_a_coarse_log_has_the_flicker_of_a_fine_one(tmp_path):
    fine = cosim.run(SCENARIO, set={"log": {"step_s": 0.01, "nodes": ["18"]}}, out=tmp_path / "fine.h5")
    coarse = cosim.run(SCENARIO, set={"log": {"step_s": 1.0}}, out=tmp_path / "coarse.h5")
    vm_pu = fine.read("bus/vm_pu")[:, 0].astype(float)
    expected = flickermeter(vm_pu[:60_200], 0.01).pst
    assert expected > 0.1
    assert points_of(coarse).point["18"].pst[0] == pytest.approx(expected, rel=0.01)
    verdicts = {v["name"]: v for v in coarse.metrics and cosim.metrics.summarize(coarse)["verdicts"]}
    assert verdicts["flicker_pst"]["value"] == pytest.approx(points_of(coarse).point["18"].pst[0])
    fine.close()
    coarse.close()


def test_points_must_be_logged_and_may_be_none(tmp_path):
    wanted = {"time": {"duration_s": 1, "step_s": 0.01}, "log": {"nodes": ["18"], "points": {"nodes": ["5"]}}}
    with pytest.raises(InputError, match=r"must be among log\.nodes"):
        cosim.run(SCENARIO, set=wanted, out=tmp_path / "a.h5")
    wanted["log"]["points"]["nodes"] = "none"
    result = cosim.run(SCENARIO, set=wanted, out=tmp_path / "b.h5")
    assert points_of(result).point == {}
    result.close()


def test_flicker_falls_towards_the_source():
    fine = PointMeters(["load", "source"], "120V60Hz", STEP_US)
    t_us = np.arange(61_000, dtype=np.int64) * STEP_US
    wave = np.sin(2.0 * np.pi * 4.0 * t_us / 1e6)
    fine.update(t_us, np.column_stack((1.0 + 0.01 * wave, 1.0 + 0.004 * wave)))
    told = fine.finish(int(t_us[-1]))
    assert told["points/source/pst"][0] / told["points/load/pst"][0] == pytest.approx(0.4, rel=1e-3)
