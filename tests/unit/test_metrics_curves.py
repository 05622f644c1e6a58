"""Sags of several depths against ITIC and SEMI F47: each voltage with the time spent below it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.metrics.events import VoltageEventMeter
from cosim.metrics.half_cycle import HalfCycleMeter
from cosim.metrics.limits import load_limits
from cosim.metrics.verdict import passes_curve

LIMITS = {limit.name: limit for limit in load_limits(["itic_semi_f47"])}
STEP_S = 0.001
ITIC = ((0.7, 0.02), (0.8, 0.5), (0.9, 10.0))
SEMI_F47 = ((0.5, 0.0), (0.7, 0.2), (0.8, 0.5), (0.9, 1.0))
"""Voltage below which a time is allowed at most: ITI (CBEMA) curve, 2000; SEMI F47-0706. [pu, s]"""


def dips_of(stairs, block=997):
    """Dips of a voltage that takes these values [pu] for these times [s], 1 pu around them, block by block."""
    vm = np.concatenate([np.full(round(s / STEP_S), v) for v, s in [(1.0, 0.05), *stairs, (1.0, 0.05)]])
    meter = VoltageEventMeter()
    for first in range(0, vm.size, block):
        part = vm[first : first + block, None]
        meter.update_low((first + 1 + np.arange(len(part))) * STEP_S, part)
        meter.update_high((first + 1 + np.arange(len(part))) * STEP_S, part)
    return meter.result(np.array([True])).dip


@pytest.mark.parametrize(
    ("stairs", "outside_itic", "outside_semi"),
    [
        ([(0.85, 5.0), (0.6, 0.015), (0.85, 4.0)], False, True),  # 15 ms at the bottom, the rest borne for 10 s
        ([(0.85, 0.5), (0.6, 0.015), (0.85, 0.4)], False, False),
        ([(0.75, 0.4), (0.6, 0.018), (0.75, 0.2)], True, True),  # no depth is too long, all below 0.8 pu together are
        ([(0.6, 0.012), (0.75, 0.01), (0.6, 0.012)], True, False),  # twice 12 ms below 0.7 pu
        ([(0.75, 0.3), (0.0, 0.01), (0.75, 0.3)], True, True),  # an interruption in between ends no sag here
        ([(0.0, 0.019)], False, True),
        ([(0.89, 9.9)], False, True),
    ],
)
def test_each_depth_counts_with_its_own_time(stairs, outside_itic, outside_semi):
    (dip,) = dips_of(stairs)
    assert passes_curve(LIMITS["itic"], dip, 0.0) == outside_itic
    assert passes_curve(LIMITS["semi_f47"], dip, 0.0) == outside_semi


LEVELS = st.sampled_from([0.0, 0.3, 0.55, 0.65, 0.75, 0.85])
STAIRS = st.lists(st.tuples(LEVELS, st.sampled_from([0.004, 0.011, 0.15, 0.3, 0.7, 4.0])), min_size=1, max_size=5)


@given(STAIRS, st.sampled_from([50, 997]))
def test_random_stairs_are_judged_as_by_hand(stairs, block):
    (dip,) = dips_of(stairs, block)
    for name, curve in (("itic", ITIC), ("semi_f47", SEMI_F47)):
        below = [(sum(s for v, s in stairs if v < level), most) for level, most in curve]
        expected = any(s > most + 1e-9 or (s > 0 and most == 0.0) for s, most in below)
        if all(abs(s - most) > 1e-6 for s, most in below):  # at the very edge rounding decides
            assert passes_curve(LIMITS[name], dip, 0.0) == expected


def test_one_cycle_rms_counts_the_time_beyond_each_level():
    """60 Hz, 0.85 pu for 1 s with 0.6 pu for 12 half cycles in it: one dip, to a cycle's smear at either edge."""
    half_s = 1 / 120
    t_s = np.array([0.0, 0.5, 0.9, 0.9 + 12 * half_s, 1.5])
    meter = HalfCycleMeter(60.0, 1)
    meter.update(np.round(t_s * 1e6).astype(np.int64), np.array([1.0, 0.85, 0.6, 0.85, 1.0])[:, None], 2_000_000)
    meter.finish(2.0)
    ((_, start_s, lasted_s, vm_pu, *beyond_s),) = meter.dips
    assert (start_s, lasted_s) == (pytest.approx(0.5, abs=2 * half_s), pytest.approx(1.0, abs=2 * half_s))
    assert vm_pu == pytest.approx(0.6, abs=1e-4)  # instants are whole microseconds
    below_09, below_08, below_07 = beyond_s[:3]
    assert below_09 == pytest.approx(1.0, abs=2 * half_s)
    assert below_07 <= below_08 <= below_07 + 2.5 * half_s
    assert below_07 == pytest.approx(12 * half_s, abs=1.5 * half_s)
