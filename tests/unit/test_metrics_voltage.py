"""Sags, swells and interruptions, held to spells counted by hand and one by one."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.metrics.voltage import VoltageMeter, noun

levels = st.sampled_from([0.0, 0.05, 0.5, 0.85, 0.92, 0.97, 1.0, 1.07, 1.2])
records = st.tuples(st.integers(1, 40), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=levels)
)


def measure(vm_pu, step_s=0.1, block=1000):
    """Voltage record of an array (time, bus)."""
    t_s = np.arange(len(vm_pu)) * step_s
    meter = VoltageMeter([f"bus {i}" for i in range(vm_pu.shape[1])])
    for start in range(0, len(t_s), block):
        meter.update_low(t_s[start : start + block], vm_pu[start : start + block])
        meter.update_high(t_s[start : start + block], vm_pu[start : start + block])
    return meter.result()


def spells_one_by_one(values, holds, step_s):
    """Duration of each spell of a single bus; the first row covers no time. [s]"""
    spells, row = [], 0
    for held, group in groupby(values, key=holds):
        inside = list(group)
        intervals = len(inside) - (1 if row == 0 else 0)
        if held:
            spells.append(intervals * step_s)
        row += len(inside)
    return spells


@given(records, st.integers(1, 13))
def test_spells_are_those_counted_one_by_one_however_the_log_is_read(vm_pu, block):
    found = measure(vm_pu, 0.1, block)
    for bus in range(vm_pu.shape[1]):
        column = list(vm_pu[:, bus])
        sags = spells_one_by_one(column, lambda v: 0.1 <= v < 0.9, 0.1)
        assert found.n_sag[bus] == len(sags)
        assert found.sag_s[bus] == pytest.approx(sum(sags), abs=1e-9)
        assert found.sag_longest_s[bus] == pytest.approx(max(sags, default=0.0), abs=1e-9)
        gone = spells_one_by_one(column, lambda v: v < 0.1, 0.1)
        assert found.n_interruption[bus] == len(gone)
        assert found.interruption_s[bus] == pytest.approx(sum(gone), abs=1e-9)
        below = spells_one_by_one(column, lambda v: 0.1 <= v < 0.95, 0.1)
        assert found.n_below_range_a[bus] == len(below)
        assert found.below_range_a_longest_s[bus] == pytest.approx(max(below, default=0.0), abs=1e-9)
        swells = spells_one_by_one(column, lambda v: v > 1.1, 0.1)
        assert (found.n_swell[bus], found.swell_s[bus]) == (len(swells), pytest.approx(sum(swells), abs=1e-9))


def test_sag_has_its_depth_time_and_duration():
    vm_pu = np.ones((1001, 2))
    vm_pu[301:332, 1] = 0.8
    vm_pu[310, 1] = 0.72
    found = measure(vm_pu)
    assert found.worst() == 1
    assert found.vm_min_pu[1] == 0.72
    assert found.t_min_s[1] == pytest.approx(31.0)
    assert found.sag_s[1] == pytest.approx(3.1)
    assert found.n_sag.tolist() == [0, 1]


def test_blackout_is_an_interruption_and_not_a_sag_to_zero():
    vm_pu = np.full((1001, 1), 0.98)
    vm_pu[500:550] = 0.0
    found = measure(vm_pu)
    assert found.vm_min_pu[0] == 0.98
    assert found.n_sag[0] == 0
    assert found.n_interruption[0] == 1
    assert found.interruption_s[0] == pytest.approx(5.0)
    assert found.below_range_a_s[0] == 0.0


def test_blackout_in_a_long_sag_splits_it_and_does_not_swallow_it():
    vm_pu = np.full((1001, 1), 0.85)
    vm_pu[500:550] = 0.0
    found = measure(vm_pu)
    assert found.n_sag[0] == 2
    assert found.sag_s[0] == pytest.approx(95.0)
    assert found.interruption_s[0] == pytest.approx(5.0)


def test_bus_that_never_had_voltage_has_no_extremes():
    vm_pu = np.column_stack((np.ones(100), np.zeros(100)))
    found = measure(vm_pu)
    assert np.isnan(found.vm_min_pu[1])
    assert np.isnan(found.vm_max_pu[1])
    assert found.worst() == 0
    assert found.interruption_s[1] == pytest.approx(9.9)


def test_spell_that_the_end_of_the_log_cuts_lasts_to_the_last_row():
    vm_pu = np.ones((101, 1))
    vm_pu[91:] = 0.8
    assert measure(vm_pu, block=7).sag_s[0] == pytest.approx(1.0)


def test_columns_of_an_unbalanced_feeder_are_called_nodes():
    assert noun(["650.1", "650.2", "671.4"]) == "nodes"
    assert noun(["1", "Bus 2", "3.1"]) == noun([]) == "buses"
