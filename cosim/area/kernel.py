"""Frequency of the area: the swing equation of one machine, its governor and secondary control, load shedding.

    M df/dt = p_governor + p_secondary + p_shed - (p_source - p_start) - B df,  M = 2 H S / f0,  B = D S / f0
    T_g dp_governor/dt = limited(-K dead(df)) - p_governor,  K = S / (R f0)
    T_s dp_secondary/dt = -(K + B) df

with df the deviation from nominal [Hz], powers in MW; Kundur, Power System Stability and Control, chapter 11.1.
"""

from __future__ import annotations

import math

import numpy as np

from cosim.bundle import Bundle
from cosim.events import AREA_LOAD_SHED
from cosim.jit import inner
from cosim.ring import emit

AREA = np.dtype(
    [
        # parameters
        ("present", "i8"), ("start_us", "i8"), ("f0_hz", "f8"), ("m", "f8"), ("b", "f8"), ("k", "f8"),
        ("k_secondary", "f8"), ("dead_hz", "f8"), ("governor_s", "f8"), ("max_up_mw", "f8"), ("max_down_mw", "f8"),
        # state
        ("p_start_mw", "f8"), ("df_hz", "f8"), ("slope_hz_s", "f8"), ("p_governor_mw", "f8"),
        ("p_secondary_mw", "f8"), ("p_shed_mw", "f8"),
        # over the run
        ("lowest_hz", "f8"), ("highest_hz", "f8"), ("lowest_us", "i8"), ("highest_us", "i8"), ("max_slope_hz_s", "f8"),
    ]
)  # fmt: skip
"""The area: m [MWs/Hz], b and k [MW/Hz], k_secondary [MW/(Hz s)], deviations from nominal [Hz]."""

STEP = np.dtype([("below_hz", "f8"), ("delay_us", "i8"), ("p_mw", "f8"), ("since_us", "i8"), ("done", "i8")])
"""A step of load shedding; since_us: since when the frequency has been below it, -1 while it is not."""

SUBSTEP_US = 10_000
"""Longest step of the Runge-Kutta method: a fiftieth of the usual governor's lag. [us]"""
NOBODY = -1
"""Element of the area's events, which belong to no data center."""


class AreaArrays(Bundle):
    """The area behind the source, and its load shedding."""

    area: np.ndarray  # AREA (1,)
    steps: np.ndarray  # STEP


@inner
def dead(df_hz, band_hz):
    """A deviation less the dead band around nominal. [Hz]"""
    return math.copysign(max(0.0, abs(df_hz) - band_hz), df_hz)


@inner
def _slopes(a, df_hz, governor_mw, secondary_mw, rest_mw):
    """Time derivatives of frequency [Hz/s], governor and secondary power [MW/s]; rest_mw is the held imbalance."""
    wanted_mw = max(-a.max_down_mw, min(a.max_up_mw, -a.k * dead(df_hz, a.dead_hz)))
    return (
        (governor_mw + secondary_mw + rest_mw - a.b * df_hz) / a.m,
        (wanted_mw - governor_mw) / a.governor_s,
        -a.k_secondary * df_hz,
    )


@inner
def _runge_kutta(a, rest_mw, h):
    """One step of the classical method of fourth order. [s]"""
    f, g, p = a.df_hz, a.p_governor_mw, a.p_secondary_mw
    f1, g1, p1 = _slopes(a, f, g, p, rest_mw)
    f2, g2, p2 = _slopes(a, f + 0.5 * h * f1, g + 0.5 * h * g1, p + 0.5 * h * p1, rest_mw)
    f3, g3, p3 = _slopes(a, f + 0.5 * h * f2, g + 0.5 * h * g2, p + 0.5 * h * p2, rest_mw)
    f4, g4, p4 = _slopes(a, f + h * f3, g + h * g3, p + h * p3, rest_mw)
    a.df_hz = f + h / 6.0 * (f1 + 2.0 * f2 + 2.0 * f3 + f4)
    a.p_governor_mw = g + h / 6.0 * (g1 + 2.0 * g2 + 2.0 * g3 + g4)
    a.p_secondary_mw = p + h / 6.0 * (p1 + 2.0 * p2 + 2.0 * p3 + p4)


@inner
def note_area(area, p_source_mw, events, n_event, t_us):
    """At an instant: how fast the frequency changes with what the source gives now, extremes, load shedding."""
    a = area.area[0]
    if t_us <= a.start_us:
        a.p_start_mw = p_source_mw
    for k in range(area.steps.size):
        step = area.steps[k]
        if step.done == 1 or a.f0_hz + a.df_hz >= step.below_hz:
            step.since_us = -1
            continue
        if step.since_us < 0:
            step.since_us = t_us
        if t_us - step.since_us >= step.delay_us:
            step.done = 1
            a.p_shed_mw += step.p_mw
            emit(events, n_event, t_us, AREA_LOAD_SHED, NOBODY, step.p_mw)
    rest_mw = a.p_shed_mw - (p_source_mw - a.p_start_mw)
    a.slope_hz_s = _slopes(a, a.df_hz, a.p_governor_mw, a.p_secondary_mw, rest_mw)[0]
    a.max_slope_hz_s = max(a.max_slope_hz_s, abs(a.slope_hz_s))
    if a.df_hz < a.lowest_hz:
        a.lowest_hz, a.lowest_us = a.df_hz, t_us
    if a.df_hz > a.highest_hz:
        a.highest_hz, a.highest_us = a.df_hz, t_us


@inner
def hold_area(area, p_source_mw, t_us, dt_us):
    """Let the frequency follow while the source gives p_source_mw from t_us on for dt_us. [MW, us]"""
    a = area.area[0]
    if t_us < a.start_us:
        return
    n = -(-dt_us // SUBSTEP_US)
    rest_mw = a.p_shed_mw - (p_source_mw - a.p_start_mw)
    for _ in range(n):
        _runge_kutta(a, rest_mw, dt_us * 1e-6 / n)


RESPONSE = [
    ("fr_on", "i8"), ("fr_droop", "f8"), ("fr_inertia", "f8"), ("fr_dead_hz", "f8"), ("fr_max_mw", "f8"),
    ("fr_lag_us", "f8"), ("fr_df_hz", "f8"), ("fr_slope", "f8"),
]  # fmt: skip
"""What who answers the frequency has of it: its parameters, and the deviation [Hz] and slope [Hz/s] it measures."""


@inner
def hear(who, area, dt_us):
    """Let somebody's measurement follow the frequency for dt_us."""
    if who.fr_on == 1:
        a = area.area[0]
        part = -math.expm1(-dt_us / who.fr_lag_us)
        who.fr_df_hz += part * (a.df_hz - who.fr_df_hz)
        who.fr_slope += part * (a.slope_hz_s - who.fr_slope)


@inner
def response(who):
    """Power that somebody should draw more (> 0) or less for the frequency it measures. [MW]"""
    p_mw = who.fr_droop * dead(who.fr_df_hz, who.fr_dead_hz) + who.fr_inertia * who.fr_slope
    return max(-who.fr_max_mw, min(who.fr_max_mw, p_mw))
