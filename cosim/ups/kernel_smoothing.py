"""Smoothing controllers: from the power the facility would like to the one the grid side shall see.

All of them give a reference for the grid side and never pass the limits of ramp and decline by themselves. They
differ in when they act and in how far they look.
"""

from __future__ import annotations

import math

from cosim.events import UPS_ENGAGED, UPS_RECOVERED, UPS_RELEASED, UPS_SATURATED
from cosim.jit import inner
from cosim.ring import emit
from cosim.ups.state import BAND_FILTER, EXTERNAL, NO_CONTROLLER, PREDICTIVE, TRIGGER

RECOVERY_US = 1_000_000
"""A limit must have been held for this long before the next breach is a new event. [us]"""
EXCESS_MW = 1e-6
"""Breach of the wanted power that counts as saturation. [MW]"""


@inner
def _prime(ups, unit, p_need_mw, p_mw, t_us):
    """The past of a controller that has none: all of it as now, the grid side at p_mw."""
    unit.primed = 1
    unit.p_prev_mw = unit.p_wish_mw = p_mw
    unit.t_prev_us = t_us
    unit.low_1 = unit.low_2 = unit.high_1 = unit.high_2 = p_mw
    for i in range(unit.hist_n):
        ups.history_mw[unit.hist_first + i] = p_mw
    for i in range(unit.past_n):
        ups.past_mw[unit.past_first + i] = p_need_mw
    unit.past_sum = p_need_mw * unit.ahead_n
    unit.past_k = -1


@inner
def _triggered(ups, s, p_wish_mw, before_mw, t_us):
    """The paper's trigger: acts once a ramp or decline over the window passes its limit; releases with hysteresis.

    Not engaged it lets the wish pass as long as the change over the window stays within limit x window. Engaged it
    moves at most at the limits from where the grid side was, and never leaves that window.
    """
    unit = ups.units[s]
    high_mw = before_mw + unit.ramp * unit.window_s
    low_mw = before_mw - unit.decline * unit.window_s
    if unit.engaged == 0:
        if low_mw <= p_wish_mw <= high_mw:
            return p_wish_mw
        unit.engaged = 1
        unit.n_engaged += 1
        unit.calm_us = -1
        emit(ups.events, ups.n_event, t_us, UPS_ENGAGED, s, (p_wish_mw - before_mw) / unit.window_s)
    p_mw = max(low_mw, min(high_mw, _ramped(unit, p_wish_mw, t_us)))
    if abs(p_wish_mw - p_mw) > unit.release_mw:
        unit.calm_us = -1
    elif unit.calm_us < 0:
        unit.calm_us = t_us
    elif t_us - unit.calm_us >= unit.release_hold_us and low_mw <= p_wish_mw <= high_mw:
        unit.engaged = 0
        emit(ups.events, ups.n_event, t_us, UPS_RELEASED, s, unit.e / unit.e_full)
        return p_wish_mw
    return p_mw


@inner
def _ramped(unit, p_mw, t_us):
    """The nearest power to p_mw that the limits allow from where the grid side was. [MW]"""
    dt_s = (t_us - unit.t_prev_us) * 1e-6
    return max(unit.p_prev_mw - unit.decline * dt_s, min(unit.p_prev_mw + unit.ramp * dt_s, p_mw))


@inner
def _lag(one, two, u, omega, dt_s):
    """Two equal first-order lags in a row, exact while u is held for dt_s. Returns both states."""
    decay = math.exp(-omega * dt_s)
    return u + decay * (one - u), u + decay * (two - u + omega * dt_s * (one - u))


@inner
def _filtered(unit, t_us):
    """What the band leaves: all slower than its lower corner and, where it has one, faster than its upper."""
    dt_s = (t_us - unit.t_prev_us) * 1e-6
    u = unit.p_wish_mw
    unit.low_1, unit.low_2 = _lag(unit.low_1, unit.low_2, u, unit.omega_low, dt_s)
    if unit.omega_high <= 0.0:
        return unit.low_2
    unit.high_1, unit.high_2 = _lag(unit.high_1, unit.high_2, u, unit.omega_high, dt_s)
    return unit.low_2 + u - unit.high_2


@inner
def _predicted(ups, unit, p_need_mw, t_us, slot):
    """Receding horizon: the slope that brings the storage to its target at the horizon's end, if the need repeats.

    With the need of one period ago as forecast, moved by what it misses the present need by, and a grid side that
    moves in a straight line over the horizon H,
    e(t + H) = e + H (p + slope H / 2 - mean need - self-discharge); slope follows from e(t + H) = e_target. Far from
    its target it closes in no faster than the limits let it stop again: v^2 / (2 limit) must not pass what is missing.
    """
    if slot != unit.past_k:
        unit.past_k = slot
        first, n = unit.past_first, unit.past_n
        oldest = ups.past_mw[first + slot % n]
        unit.past_sum -= oldest
        ups.past_mw[first + slot % n] = p_need_mw
        unit.past_sum += ups.past_mw[first + (slot + unit.ahead_n) % n]
        unit.past_gap_mw = p_need_mw - oldest
    mean_mw = unit.past_sum / unit.ahead_n + unit.past_gap_mw
    short = unit.e_target - unit.e
    brake_mw = math.sqrt(abs(short) * (unit.ramp if short < 0.0 else unit.decline))
    short_mw = max(-brake_mw, min(brake_mw, short / unit.horizon_s))
    faded_mw = unit.p_self_mw / unit.eta_charge
    slope = 2.0 / unit.horizon_s * (mean_mw - unit.p_prev_mw + short_mw + faded_mw)
    return unit.p_prev_mw + slope * (t_us - unit.t_prev_us) * 1e-6


@inner
def grid_reference(ups, s, p_need_mw, p_wish_mw, t_us, slot):
    """Grid-side power it holds at t_us while the facility needs p_need_mw and with recharging likes p_wish_mw. [MW]"""
    unit = ups.units[s]
    if unit.primed == 0:
        _prime(ups, unit, p_need_mw, p_wish_mw, t_us)
    before_mw = ups.history_mw[unit.hist_first + unit.hist_at]
    if unit.walking == 1:
        dt_s = (t_us - unit.t_prev_us) * 1e-6
        p_mw = min(p_wish_mw, unit.p_prev_mw + unit.walk_in * dt_s)
        if unit.controller != NO_CONTROLLER:
            p_mw = max(p_mw, unit.p_prev_mw - unit.decline * dt_s)
        if p_mw >= p_wish_mw:
            unit.walking = 0
            unit.low_1 = unit.low_2 = unit.high_1 = unit.high_2 = p_mw  # a filter knows nothing of the walk
            if unit.walk_in > unit.ramp:
                _prime(ups, unit, p_need_mw, p_mw, t_us)
    elif unit.controller == TRIGGER:
        p_mw = _triggered(ups, s, p_wish_mw, before_mw, t_us)
    elif unit.controller == NO_CONTROLLER:
        p_mw = p_wish_mw
    else:
        p_mw = p_wish_mw
        if unit.controller == BAND_FILTER:
            p_mw = _filtered(unit, t_us)
        elif unit.controller == PREDICTIVE:
            p_mw = _predicted(ups, unit, p_need_mw, t_us, slot)
        elif unit.controller == EXTERNAL and not math.isnan(unit.p_set_mw):
            p_mw = unit.p_set_mw
        p_mw = _ramped(unit, p_mw, t_us)
        unit.engaged = 1 if abs(p_mw - p_wish_mw) > EXCESS_MW else 0
    unit.p_wish_mw = p_wish_mw
    return p_mw


@inner
def _first_cap(ups, unit, p_mw):
    """Cap that may fall at the decline limit from here on: over the window, where that is what is held. [MW]"""
    if unit.controller == TRIGGER and unit.in_service == 1:
        step_mw = unit.decline * unit.window_s / unit.hist_n
        for age in range(unit.hist_n):
            place = (unit.hist_at + unit.hist_n - 1 - age) % unit.hist_n
            p_mw = max(p_mw, ups.history_mw[unit.hist_first + place] - age * step_mw)
    return max(p_mw, unit.cap_goal_mw)


@inner
def capped(ups, unit, p_mw, t_us):
    """The grid side under a cap that moves toward its goal at its ramp; no cap far above what is asked. [MW]

    Where the grid side is held to a decline limit the cap comes down no faster.
    """
    if math.isinf(unit.cap_mw) and math.isinf(unit.cap_goal_mw):
        return p_mw
    if math.isinf(unit.cap_mw):
        unit.cap_mw = _first_cap(ups, unit, p_mw)
        unit.cap_us = t_us
    dt_s = (t_us - unit.cap_us) * 1e-6
    step_mw = unit.cap_ramp * dt_s
    unit.cap_us = t_us
    if unit.cap_goal_mw < unit.cap_mw:
        if unit.controller != NO_CONTROLLER and unit.in_service == 1:
            step_mw = min(step_mw, unit.decline * dt_s)
        unit.cap_mw = max(unit.cap_goal_mw, unit.cap_mw - step_mw)
    else:
        unit.cap_mw = min(unit.cap_goal_mw, unit.cap_mw + step_mw)
        if math.isinf(unit.cap_goal_mw) and unit.cap_mw >= p_mw:
            unit.cap_mw = math.inf
    return min(p_mw, unit.cap_mw)


@inner
def delayed(ups, unit, p_mw, t_us, step_us):
    """The command of one response delay ago; at a tick it takes in the present one. [MW]

    Where the rectifier starts, or the UPS begins its service, the instant is the UPS's own choice: it has sent its
    first command ahead, and no other is on its way.
    """
    if unit.delay_n == 0:
        return p_mw
    if unit.late_on == 0:
        unit.late_on = 1
        unit.p_late_mw = p_mw
        for i in range(unit.delay_n):
            ups.late_mw[unit.delay_first + i] = p_mw
    if t_us % step_us == 0:
        place = unit.delay_first + (t_us // step_us) % unit.delay_n
        unit.p_late_mw = ups.late_mw[place]
        ups.late_mw[place] = p_mw
    return unit.p_late_mw


@inner
def watch_saturation(ups, s, excess_mw, t_us):
    """What the grid side misses its reference by, whatever limit is the cause, is an event with its size. [MW]"""
    unit = ups.units[s]
    unit.excess_mw = excess_mw if excess_mw > EXCESS_MW else 0.0
    if excess_mw > EXCESS_MW:
        unit.max_excess_mw = max(unit.max_excess_mw, excess_mw)
        unit.held_us = t_us
        if unit.saturated == 0:
            unit.saturated = 1
            emit(ups.events, ups.n_event, t_us, UPS_SATURATED, s, excess_mw)
    elif unit.saturated == 1 and t_us - unit.held_us >= RECOVERY_US:
        unit.saturated = 0
        emit(ups.events, ups.n_event, t_us, UPS_RECOVERED, s, unit.e / unit.e_full)
