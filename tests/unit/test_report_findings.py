"""Sentences about several sites: said once where they are alike; durations as exact as they are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_log import EVENT_COLUMNS, SyntheticLog

from cosim.metrics.analysis import analyse
from cosim.metrics.disturbance import dark_spans, disturbed_spans, site_spans, supply_spans
from cosim.metrics.events import VoltageEventMeter, known_of
from cosim.metrics.points import Point
from cosim.metrics.voltage import SagTotals, VoltageMeter, with_points
from cosim.report.site_findings import Sentence, Value, gathered

NEEDS = "{who} needs {0} MW"
NO_NODES = np.zeros(0, np.int64)


def needing(*p_mw):
    return {f"s{i}": [Sentence(NEEDS, (Value.of(p),))] for i, p in enumerate(p_mw, 1)}


@pytest.mark.parametrize(
    ("sentences", "told"),
    [
        (needing(3.0), ["s1 needs 3 MW"]),
        (needing(3.0, 4.0), ["s1 needs 3 MW", "s2 needs 4 MW"]),
        (needing(3.0, 3.0001), ["Each of the 2 sites needs 3 MW"]),
        (needing(3.0, 4.0, 3.0), ["Each of s1, s3 needs 3 MW", "s2 needs 4 MW"]),
        (needing(3.0, 4.0, 3.5, 5.0), ["Each of the 4 sites needs 3 to 5 MW"]),
        (needing(3.0, 3.0) | {"s3": [Sentence("{who} is off")]}, ["Each of s1, s2 needs 3 MW", "s3 is off"]),
    ],
)
def test_sentences_that_are_alike_are_said_once(sentences, told):
    assert [finding.text for finding in gathered(sentences, "sites")] == told


def test_bands_tell_the_voltage_from_sites_that_stay_away():
    events = pd.DataFrame(
        [
            (10.0, "dip_started", "source"),
            (10.1, "window_left", "a"),
            (10.1, "ups_transferred", "a"),
            (10.2, "dip_ended", "source"),
            (10.3, "window_entered", "a"),
            (20.0, "ups_returned", "a"),
            (25.0, "ups_released", "a"),
            (30.0, "load_shed", "b"),
        ],
        columns=["t_s", "kind", "element"],
    )
    assert supply_spans(events, 100.0).tolist() == [[10.0, 10.3]]
    assert site_spans(events, 100.0).tolist() == [[10.1, 25.0], [30.0, 100.0]]
    assert disturbed_spans(events, 100.0, 0.5).tolist() == [[10.0, 25.5], [30.0, 100.5]]


def test_servers_that_are_dark_disturb_until_they_draw_power_whatever_an_event_says():
    """Shed by priority at 10 s, dark from 20 to 60.5 s; `load_restored` at 30 s is of the job that was shed."""
    t_s = np.arange(0.0, 100.5, 0.5)
    p_it_mw = np.select([t_s < 10.0, t_s <= 20.0, t_s < 60.5], [8.0, 5.0, 0.0], 7.0)
    events = [(10.0, "load_shed"), (20.0, "load_shed"), (30.0, "load_restored"), (60.5, "load_restored")]
    log = SyntheticLog(t_s, {"datacenter/a/p_it_mw": p_it_mw, "datacenter/a/p_grid_mw": p_it_mw})
    log.events = pd.DataFrame([(t, kind, "a", 0.0, "") for t, kind in events], columns=EVENT_COLUMNS)
    assert dark_spans(log) == [(20.0, 60.5)]
    assert analyse(log).disturbed.tolist() == [[10.0, 61.0]]
    assert site_spans(log.events, 100.0, dark_spans(log)).tolist() == [[10.0, 60.5]]


def dipping(n_node):
    """Rows of 0.1 s; every node below 0.1 pu in the two intervals that end at 1.0 and 1.1 s."""
    t_s, low = np.arange(30) * 0.1, np.ones((30, n_node))
    low[10:12] = 0.0986
    return t_s, low


def point(*event):
    return Point(np.zeros(0), [tuple(e[:3]) for e in event], [tuple(e) for e in event], len(event), 0, 0.2, 1.0)


def test_followed_node_has_the_events_of_its_one_cycle_rms_and_not_of_its_rows():
    """10 ms at 0.0986 pu within 66 ms at 0.25 pu: the rms of a cycle never falls below 0.1 pu, so nothing is
    interrupted; by the rows it would be for 0.2 s."""
    t_s, low = dipping(2)
    meter, events = VoltageMeter(["a", "b"]), VoltageEventMeter()
    meter.update_low(t_s, low)
    events.update_low(t_s, low)
    meter.update_high(t_s, np.ones_like(low))
    known = known_of({"a": point((1.0, 0.075, 0.21, *[0.07] * 6))}, ["a", "b"], None, NO_NODES)
    voltage = with_points(meter.result(), {0: known.point[0].event})
    assert voltage.interruption_s.tolist() == [0.0, pytest.approx(0.2)]
    assert (voltage.n_interruption.tolist(), voltage.is_followed.tolist()) == ([0, 1], [True, False])
    found = events.result(np.array([True, True]), known)
    of_a, of_b = ([e for e in found.event if e.node == node] for node in (0, 1))
    assert [(e.vm_pu, e.duration_s, e.category) for e in of_a] == [(0.21, 0.075, "instantaneous sag")]
    assert [e.category for e in of_b] == ["momentary interruption"]
    assert (found.n_event, found.sarfi["90"], found.sarfi["10"]) == (2, 1.0, 0.5)
    assert found.category == {"instantaneous sag": 1, "momentary interruption": 1}
    cut = Point(np.zeros(0), [], [], 1, 0, 0.2, 1.0)  # more events than are kept: the rows have them all
    assert known_of({"a": cut}, ["a", "b"], None, NO_NODES).point == {}


def test_sag_told_by_rows_is_no_longer_than_the_longest_at_full_step():
    t_s, low = dipping(2)
    low[low < 0.5] = 0.3
    events = VoltageEventMeter()
    events.update_low(t_s, low)
    events.update_high(t_s, np.ones_like(low))
    sags = SagTotals(np.array([1, 1]), np.array([0.066, 0.066]), np.array([0.066, 0.066]))
    known = known_of({}, ["a", "b"], sags, np.array([1]))  # the rows of b hold another voltage
    found = events.result(np.array([True, True]), known)
    assert [e.duration_s for e in found.event] == [0.066, pytest.approx(0.2)]
