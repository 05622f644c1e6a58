"""Storage of a Bi-way UPS: what it can take and give, what it holds, and what that loses (paper, section V-B.3).

Consumption is positive: p > 0 charges. On the DC bus it works through a DC/DC converter; with the topology `ac_dc` it
has an inverter on the AC bus as well. The engine gives it powers at the buses.
"""

from __future__ import annotations

from cosim.converter.kernel import converter_input, converter_output
from cosim.events import UPS_EMPTY
from cosim.jit import inner
from cosim.ring import emit
from cosim.ups.kernel_second import advance_second, second_cell, second_least, second_most, share_second
from cosim.ups.state import AC_DC, CARRYING, EMPTY, IDLE, OUT_OF_SERVICE, SMOOTHING

__all__ = [
    *("advance_storage", "carry", "carry_support", "limit", "mode", "recharge_power", "settle", "support_most"),
    "taken_from_cells",
]
AT_RATING = 1.0 - 1e-9
"""Power over the rating from which on a storage does not cool down. [1]"""


@inner
def _cell(unit, p_mw, a0, a1, a2):
    """Power that enters the cells (leaves them, < 0) while p_mw is taken from the bus. [MW]"""
    if p_mw > 0.0:
        return converter_output(p_mw, a0, a1, a2) * unit.eta_charge
    if p_mw < 0.0:
        return -converter_input(-p_mw, a0, a1, a2) / unit.eta_discharge
    return 0.0


@inner
def _bus(unit, p_cell_mw, a0, a1, a2):
    """Inverse of `_cell`. [MW]"""
    if p_cell_mw > 0.0:
        return converter_input(p_cell_mw / unit.eta_charge, a0, a1, a2)
    return -converter_output(-p_cell_mw * unit.eta_discharge, a0, a1, a2)


@inner
def _held_by_cells(unit, floor, over_s):
    """Power that the cells give for over_s until they are down to floor, at their C-rate at most. [MWs, MW]"""
    return min(max(0.0, unit.e - floor) / over_s, unit.max_cell_mw)


@inner
def taken_from_cells(unit, p_mw):
    """Power that leaves the cells while the DC bus is given p_mw, up to the rating there. [MW]"""
    if p_mw <= 0.0:
        return 0.0
    return -_cell(unit, -min(p_mw, _rating(unit)), unit.dc_a0, unit.dc_a1, unit.dc_a2)


@inner
def _rating(unit):
    """Most it gives to the DC bus while it carries: above its rating until its overload is used up. [MW]"""
    if unit.over_used_us < unit.over_us:
        return unit.max_discharge_mw * unit.over_factor
    return unit.max_discharge_mw


@inner
def recharge_power(unit):
    """Power that makes up for self-discharge and brings it back to its target, by exponential approach. [MW]"""
    if unit.in_service == 0 or (unit.e == unit.e_target and unit.p_self_mw == 0.0 and unit.s2_self_mw == 0.0):
        return 0.0
    p_cell_mw = (unit.e_target - unit.e) / unit.return_s + unit.p_self_mw
    if unit.topology == AC_DC:
        p_mw = _bus(unit, p_cell_mw, unit.ac_a0, unit.ac_a1, unit.ac_a2)
    else:
        p_mw = _bus(unit, p_cell_mw, unit.dc_a0, unit.dc_a1, unit.dc_a2) + unit.s2_self_mw / unit.s2_eta_charge
    return min(p_mw, unit.max_recharge_mw) if p_mw > 0.0 else max(p_mw, -unit.max_discharge_mw)


@inner
def limit(unit, p_wish_mw, room_up_mw, room_down_mw, beside_mw):
    """Power it takes (> 0) or gives while p_wish_mw is asked of it for smoothing, at the bus it smooths on. [MW]

    Within its ratings, the bus's room, what its cells bear beside what they give to its other bus (beside_mw), and
    the energy between reserve and full, which it approaches in a taper instead of a step. The walk-in after a
    ride-through is part of it and may use the reserve.
    """
    if p_wish_mw == 0.0:
        return 0.0
    if p_wish_mw >= 0.0:
        p_cell_mw = min(max(0.0, unit.e_max - unit.e) / unit.taper_s, unit.max_cell_mw)
    else:
        floor = unit.e_min if unit.walking == 1 else unit.e_reserve
        p_cell_mw = -max(0.0, _held_by_cells(unit, floor, unit.taper_s) - beside_mw)
    if unit.topology == AC_DC:
        p_mw = _bus(unit, p_cell_mw, unit.ac_a0, unit.ac_a1, unit.ac_a2)
        p_mw = max(-unit.max_ac_mw, min(unit.max_ac_mw, p_mw))
    else:
        p_mw = _bus(unit, p_cell_mw, unit.dc_a0, unit.dc_a1, unit.dc_a2)
    if p_wish_mw >= 0.0:
        most = min(unit.max_charge_mw, p_mw) + second_most(unit, unit.taper_s)
        return min(p_wish_mw, most, max(0.0, room_up_mw))
    least = min(unit.max_discharge_mw, -p_mw) + second_least(unit, unit.taper_s)
    return max(p_wish_mw, -least, -max(0.0, room_down_mw))


@inner
def carry(ups, s, p_wish_mw, p_ac_mw, step_s, t_us):
    """Power at the DC bus in ride-through, beside p_ac_mw on the AC bus: all it has down to its end of charge. [MW]

    For its response delay since the gap opened it gives what it gave before; for a while it may give more than its
    rating.
    """
    unit = ups.units[s]
    if unit.in_service == 0:
        return 0.0
    a0, a1, a2 = unit.dc_a0, unit.dc_a1, unit.dc_a2
    if p_wish_mw >= 0.0:
        unit.gap_us = -1
        room_mw = _bus(unit, min(max(0.0, unit.e_max - unit.e) / step_s, unit.max_cell_mw), a0, a1, a2)
        return min(p_wish_mw, min(unit.max_charge_mw, room_mw) + second_most(unit, step_s))
    if unit.gap_us < 0:
        unit.gap_us = t_us
        unit.p_gap_mw = min(0.0, unit.p_mw)
    if t_us - unit.gap_us < unit.delay_us:
        p_wish_mw = max(p_wish_mw, unit.p_gap_mw)
    beside_mw = -min(0.0, _cell(unit, p_ac_mw, unit.ac_a0, unit.ac_a1, unit.ac_a2))
    cells_mw = max(0.0, unit.max_cell_mw - beside_mw)
    left_cell_mw = max(0.0, max(0.0, unit.e - unit.e_min) / step_s - beside_mw)
    left_mw = -_bus(unit, -left_cell_mw, a0, a1, a2)
    most_mw = min(_rating(unit), left_mw if left_cell_mw <= cells_mw else -_bus(unit, -cells_mw, a0, a1, a2))
    second_mw = second_least(unit, step_s)
    p_mw = max(p_wish_mw, -most_mw - second_mw)
    if left_mw + second_mw < -p_wish_mw and unit.empty == 0:
        unit.empty = 1
        emit(ups.events, ups.n_event, t_us, UPS_EMPTY, s, unit.e / unit.e_full)
    return p_mw


@inner
def support_most(unit, p_dc_mw, step_s):
    """Most that it gives to the AC bus in ride-through beside p_dc_mw < 0 on the DC bus, which goes first. [MW]"""
    if unit.in_service == 0 or unit.topology != AC_DC or unit.empty == 1:
        return 0.0
    left_mw = max(0.0, _held_by_cells(unit, unit.e_min, step_s) - taken_from_cells(unit, -p_dc_mw))
    return min(unit.max_ac_mw, -_bus(unit, -left_mw, unit.ac_a0, unit.ac_a1, unit.ac_a2))


@inner
def carry_support(unit, p_wish_mw, p_dc_mw, step_s, t_us):
    """Power it gives to the AC bus in ride-through beside p_dc_mw < 0 on the DC bus, which goes first. [MW]

    For its response delay since that bus lost its supply it gives what it gave before; never more than the cells bear
    beside the DC bus.
    """
    most_mw = support_most(unit, p_dc_mw, step_s)
    if most_mw <= 0.0 or p_wish_mw <= 0.0:
        return 0.0
    if unit.ac_gap_us < 0:
        unit.ac_gap_us = t_us
        unit.p_ac_gap_mw = max(0.0, -unit.p_ac_mw)
    if t_us - unit.ac_gap_us < unit.delay_us:
        p_wish_mw = min(p_wish_mw, unit.p_ac_gap_mw)
    return min(p_wish_mw, most_mw)


@inner
def settle(unit, p_mw, p_ac_mw, carrying, step_s):
    """Fix this instant's powers at the DC and AC buses, and what enters the cells of one storage or both. [MW]"""
    unit.p_mw = p_mw
    unit.p_ac_mw = p_ac_mw
    unit.s2_p_mw = 0.0
    if unit.s2_on == 1 and unit.in_service == 1:
        a0, a1, a2 = unit.dc_a0, unit.dc_a1, unit.dc_a2
        room_mw = min(max(0.0, unit.e_max - unit.e) / step_s, unit.max_cell_mw)
        most_mw = min(unit.max_charge_mw, _bus(unit, room_mw, a0, a1, a2))
        floor = unit.e_min if carrying or unit.walking == 1 else unit.e_reserve
        least_mw = min(_rating(unit), -_bus(unit, -_held_by_cells(unit, floor, step_s), a0, a1, a2))
        unit.s2_p_mw = share_second(unit, p_mw, most_mw, least_mw, step_s)
    unit.p_cell_mw = _cell(unit, p_mw - unit.s2_p_mw, unit.dc_a0, unit.dc_a1, unit.dc_a2) + second_cell(unit)
    if p_ac_mw != 0.0:
        unit.p_cell_mw += _cell(unit, p_ac_mw, unit.ac_a0, unit.ac_a1, unit.ac_a2)
    if carrying and unit.carrying == 0:
        unit.n_carried += 1
    unit.carrying = 1 if carrying else 0


@inner
def advance_storage(ups, s, p_grid_mw, t_us, dt_us, on_tick):
    """Hold this instant's power for dt_us; a tick remembers the grid side over what was a window ago. [MW, us]"""
    unit = ups.units[s]
    unit.p_prev_mw = p_grid_mw
    unit.t_prev_us = t_us
    if on_tick:
        ups.history_mw[unit.hist_first + unit.hist_at] = p_grid_mw
        unit.hist_at = unit.hist_at + 1 if unit.hist_at + 1 < unit.hist_n else 0
    if unit.excess_mw > 0.0:
        unit.saturated_us += dt_us
    if unit.engaged == 1:
        unit.engaged_us += dt_us
    if unit.carrying == 1:
        unit.carrying_us += dt_us
    if not _is_at_rest(unit):
        _hold_power(unit, dt_us)


@inner
def _is_at_rest(unit):
    """Whether holding this instant changes nothing in the storage."""
    moves = unit.p_mw != 0.0 or unit.p_ac_mw != 0.0 or unit.s2_on == 1 or unit.p_self_mw > 0.0
    return not moves and unit.over_used_us == 0 and unit.empty == 0


@inner
def _hold_power(unit, dt_us):
    """Energies of one storage or both while this instant's powers flow for dt_us. [us]"""
    dt_s = dt_us * 1e-6
    bus_mw = unit.p_mw + unit.p_ac_mw
    unit.e += (unit.p_cell_mw - second_cell(unit)) * dt_s
    unit.e_loss += (bus_mw - unit.p_cell_mw) * dt_s
    if unit.p_self_mw > 0.0:
        faded = min(unit.p_self_mw * dt_s, max(0.0, unit.e))
        unit.e -= faded
        unit.e_loss += faded
    if unit.s2_on == 1:
        advance_second(unit, bus_mw, dt_us)
    if bus_mw > 0.0:
        unit.e_charged += bus_mw * dt_s
    else:
        unit.e_discharged -= bus_mw * dt_s
    if unit.over_us > 0:
        _use_overload(unit, unit.s2_p_mw - unit.p_mw, dt_us)
    if unit.e > unit.e_min + 0.01 * unit.e_full:
        unit.empty = 0
    unit.e_lowest = min(unit.e_lowest, unit.e)
    unit.e_highest = max(unit.e_highest, unit.e)


@inner
def _use_overload(unit, p_mw, dt_us):
    """Time above the rating while it gives p_mw; all of it comes back after as long below it without a break."""
    if p_mw > unit.max_discharge_mw:
        unit.over_used_us += dt_us
        unit.over_calm_us = 0
    elif p_mw >= unit.max_discharge_mw * AT_RATING:  # held there by its limit, as like as not
        unit.over_calm_us = 0
    elif unit.over_used_us > 0:
        unit.over_calm_us += dt_us
        if unit.over_calm_us >= unit.over_us:
            unit.over_used_us = unit.over_calm_us = 0


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
