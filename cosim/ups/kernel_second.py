"""A second storage beside the first on the DC bus: it takes what is fast, and what the first cannot.

What is asked of the UPS is split at the bus: the second is asked what a first-order low-pass leaves over, and returns
slowly to its target by what it passes on to the first. Where one of them is at a limit the other takes the rest.
"""

from __future__ import annotations

import math

from cosim.jit import inner


@inner
def second_most(unit, over_s):
    """Most power the second can take for over_s. [MW]"""
    if unit.s2_on == 0 or unit.in_service == 0:
        return 0.0
    return min(unit.s2_max_mw, max(0.0, unit.s2_e_max - unit.s2_e) / (over_s * unit.s2_eta_charge))


@inner
def second_least(unit, over_s):
    """Most power the second can give for over_s, positive. [MW]"""
    if unit.s2_on == 0 or unit.in_service == 0:
        return 0.0
    return min(unit.s2_max_mw, max(0.0, unit.s2_e - unit.s2_e_min) * unit.s2_eta_discharge / over_s)


@inner
def share_second(unit, p_mw, first_most_mw, first_least_mw, step_s):
    """Power of the second while p_mw is asked of both; the first has these limits, both positive. [MW]"""
    return_mw = (unit.s2_e_target - unit.s2_e) / unit.s2_return_s + unit.s2_self_mw / unit.s2_eta_charge
    wish_mw = p_mw - unit.s2_low_mw + return_mw
    most_mw, least_mw = second_most(unit, step_s), second_least(unit, step_s)
    wish_mw = max(-least_mw, min(most_mw, wish_mw))
    first_mw = max(-first_least_mw, min(first_most_mw, p_mw - wish_mw))
    return max(-least_mw, min(most_mw, p_mw - first_mw))


@inner
def second_cell(unit):
    """Power that enters the second's cells. [MW]"""
    if unit.s2_on == 0:
        return 0.0
    return unit.s2_p_mw * unit.s2_eta_charge if unit.s2_p_mw > 0.0 else unit.s2_p_mw / unit.s2_eta_discharge


@inner
def advance_second(unit, bus_mw, dt_us):
    """Hold the second's power for dt_us, and let the low-pass follow what is asked of both. [MW, us]"""
    dt_s = dt_us * 1e-6
    unit.s2_e += second_cell(unit) * dt_s
    if unit.s2_self_mw > 0.0:
        faded = min(unit.s2_self_mw * dt_s, max(0.0, unit.s2_e))
        unit.s2_e -= faded
        unit.e_loss += faded
    if unit.s2_p_mw > 0.0:
        unit.s2_charged += unit.s2_p_mw * dt_s
    else:
        unit.s2_discharged -= unit.s2_p_mw * dt_s
    unit.s2_lowest = min(unit.s2_lowest, unit.s2_e)
    unit.s2_highest = max(unit.s2_highest, unit.s2_e)
    unit.s2_low_mw -= math.expm1(-dt_s / unit.s2_split_s) * (bus_mw - unit.s2_low_mw)
