"""Bi-way UPS on the DC bus: smoothing toward the grid, and carrying the IT load (paper, section V-B.3).

Consumption is positive: p > 0 charges. The engine gives it the grid-side power that the facility would like and the
rectifier's algebra; here stand its trigger, its limits and its energy.
"""

from __future__ import annotations

import numpy as np

from cosim.bundle import Bundle
from cosim.events import UPS_EMPTY, UPS_ENGAGED, UPS_RECOVERED, UPS_RELEASED, UPS_SATURATED, emit
from cosim.jit import inner

IDLE, SMOOTHING, CARRYING, OUT_OF_SERVICE, EMPTY = range(5)
MWS_PER_MWH = 3600.0
RECOVERY_US = 1_000_000
"""A limit must have been held for this long before the next breach is a new event. [us]"""
EXCESS_MW = 1e-6
"""Breach of the wanted power that counts as saturation. [MW]"""

UPS = np.dtype(
    [
        # parameters: powers at the DC bus [MW], energies [MWs], times [us]
        ("present", "i8"), ("max_charge_mw", "f8"), ("max_discharge_mw", "f8"), ("e_full", "f8"),
        ("eta_charge", "f8"), ("eta_discharge", "f8"), ("p_standby_mw", "f8"),
        ("e_min", "f8"), ("e_reserve", "f8"), ("e_target", "f8"), ("e_max", "f8"),
        ("ramp", "f8"), ("decline", "f8"), ("window_s", "f8"), ("release_mw", "f8"), ("release_hold_us", "i8"),
        ("return_s", "f8"), ("taper_s", "f8"), ("hist_first", "i8"), ("hist_n", "i8"),
        # state
        ("in_service", "i8"), ("e", "f8"), ("engaged", "i8"), ("restoring", "i8"),
        ("carrying", "i8"), ("empty", "i8"), ("calm_us", "i8"),
        ("p_prev_mw", "f8"), ("t_prev_us", "i8"), ("primed", "i8"),
        ("saturated", "i8"), ("held_us", "i8"), ("excess_mw", "f8"),
        # this instant
        ("p_ref_mw", "f8"), ("p_mw", "f8"), ("p_cell_mw", "f8"),
        # over the run [MWs, us]
        ("e_charged", "f8"), ("e_discharged", "f8"), ("e_loss", "f8"), ("e_init", "f8"), ("e_lowest", "f8"),
        ("e_highest", "f8"), ("saturated_us", "i8"), ("engaged_us", "i8"), ("carrying_us", "i8"), ("n_engaged", "i8"),
        ("max_excess_mw", "f8"), ("n_carried", "i8"),
    ]
)  # fmt: skip
"""One UPS: parameters, state, what it does this instant, and its totals."""


class UpsArrays(Bundle):
    """Everything the UPS kernel reads and writes; one record a site, `present` = 0 where it has none."""

    units: np.ndarray  # UPS
    history_mw: np.ndarray  # f8: grid-side power of the last window, unit by unit
    events: np.ndarray  # EVENT
    n_event: np.ndarray  # i8 (1,)


@inner
def recharge_power(unit):
    """Power that brings it back to its target state of charge, by exponential approach. [MW]"""
    if unit.in_service == 0:
        return 0.0
    p_mw = (unit.e_target - unit.e) / unit.return_s
    if p_mw > 0.0:
        return min(p_mw / unit.eta_charge, unit.max_charge_mw)
    return max(p_mw * unit.eta_discharge, -unit.max_discharge_mw)


@inner
def grid_reference(ups, s, p_wish_mw, t_us, slot):
    """Grid-side power it holds at t_us while the facility would like p_wish_mw. [MW]

    Not engaged it lets the wish pass as long as the change over the window stays within limit x window. Engaged it
    moves at most at the limits from where the grid side was, and never leaves that window.
    """
    unit = ups.units[s]
    if unit.primed == 0:
        unit.primed = 1
        unit.p_prev_mw = p_wish_mw
        unit.t_prev_us = t_us
        for i in range(unit.hist_n):
            ups.history_mw[unit.hist_first + i] = p_wish_mw
    before_mw = ups.history_mw[unit.hist_first + slot % unit.hist_n]
    high_mw = before_mw + unit.ramp * unit.window_s
    low_mw = before_mw - unit.decline * unit.window_s
    if unit.engaged == 0:
        if low_mw <= p_wish_mw <= high_mw:
            unit.restoring = 0
            return p_wish_mw
        unit.engaged = 1
        unit.n_engaged += 1
        unit.calm_us = -1
        emit(ups.events, ups.n_event, t_us, UPS_ENGAGED, s, (p_wish_mw - before_mw) / unit.window_s)
    dt_s = (t_us - unit.t_prev_us) * 1e-6
    p_mw = max(unit.p_prev_mw - unit.decline * dt_s, min(unit.p_prev_mw + unit.ramp * dt_s, p_wish_mw))
    p_mw = max(low_mw, min(high_mw, p_mw))
    if abs(p_wish_mw - p_mw) > unit.release_mw:
        unit.calm_us = -1
    elif unit.calm_us < 0:
        unit.calm_us = t_us
    elif t_us - unit.calm_us >= unit.release_hold_us and low_mw <= p_wish_mw <= high_mw:
        unit.engaged = 0
        unit.restoring = 0
        emit(ups.events, ups.n_event, t_us, UPS_RELEASED, s, unit.e / unit.e_full)
        return p_wish_mw
    return p_mw


@inner
def smooth(unit, p_wish_mw, room_up_mw, room_down_mw):
    """Power it takes (> 0) or gives while p_wish_mw is asked of it for smoothing. [MW]

    Within its ratings, the rectifier's room, and the energy between reserve and full, which it approaches in a taper
    instead of a step. The walk-in after a ride-through is part of it and may use the reserve. What it cannot do is
    left to `watch_saturation`.
    """
    most = min(unit.max_charge_mw, max(0.0, unit.e_max - unit.e) / unit.eta_charge / unit.taper_s)
    floor = unit.e_min if unit.restoring == 1 else unit.e_reserve
    least = min(unit.max_discharge_mw, max(0.0, unit.e - floor) * unit.eta_discharge / unit.taper_s)
    most = min(most, max(0.0, room_up_mw))
    least = min(least, max(0.0, room_down_mw))
    return max(-least, min(most, p_wish_mw))


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


@inner
def carry(ups, s, p_wish_mw, step_s, t_us):
    """Power in ride-through: all it has down to its end of charge. [MW]"""
    unit = ups.units[s]
    if unit.in_service == 0:
        return 0.0
    if p_wish_mw >= 0.0:
        return min(p_wish_mw, min(unit.max_charge_mw, max(0.0, unit.e_max - unit.e) / unit.eta_charge / step_s))
    left_mw = max(0.0, unit.e - unit.e_min) * unit.eta_discharge / step_s
    p_mw = max(p_wish_mw, -min(unit.max_discharge_mw, left_mw))
    if left_mw < -p_wish_mw and unit.empty == 0:
        unit.empty = 1
        emit(ups.events, ups.n_event, t_us, UPS_EMPTY, s, unit.e / unit.e_full)
    return p_mw


@inner
def settle(ups, s, p_mw, carrying):
    """Fix this instant's power at the DC bus, and what enters the cells. [MW]"""
    unit = ups.units[s]
    unit.p_mw = p_mw
    unit.p_cell_mw = p_mw * unit.eta_charge if p_mw > 0.0 else p_mw / unit.eta_discharge
    if carrying and unit.carrying == 0:
        unit.n_carried += 1
    unit.carrying = 1 if carrying else 0


@inner
def advance_storage(ups, s, p_grid_mw, t_us, dt_us, k_tick, on_tick):
    """Hold this instant's power for dt_us; remember the grid side for the window. [MW, us]"""
    unit = ups.units[s]
    unit.p_prev_mw = p_grid_mw
    unit.t_prev_us = t_us
    if on_tick:
        ups.history_mw[unit.hist_first + k_tick % unit.hist_n] = p_grid_mw
    dt_s = dt_us * 1e-6
    unit.e += unit.p_cell_mw * dt_s
    unit.e_loss += (unit.p_mw - unit.p_cell_mw) * dt_s
    if unit.p_mw > 0.0:
        unit.e_charged += unit.p_mw * dt_s
    else:
        unit.e_discharged -= unit.p_mw * dt_s
    if unit.e > unit.e_min + 0.01 * unit.e_full:
        unit.empty = 0
    unit.e_lowest = min(unit.e_lowest, unit.e)
    unit.e_highest = max(unit.e_highest, unit.e)
    unit.saturated_us += dt_us if unit.excess_mw > EXCESS_MW else 0
    unit.engaged_us += dt_us if unit.engaged == 1 else 0
    unit.carrying_us += dt_us if unit.carrying == 1 else 0


@inner
def mode(unit):
    """What the log calls it: 0 idle, 1 smoothing, 2 carrying, 3 out of service, 4 empty."""
    if unit.in_service == 0:
        return OUT_OF_SERVICE
    if unit.empty == 1:
        return EMPTY
    if unit.carrying == 1:
        return CARRYING
    return SMOOTHING if unit.engaged == 1 else IDLE
