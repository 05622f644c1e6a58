"""One site at one instant: what it asks of the feeder, what it makes of the answer, and what it does on its own.

The rooms do not know one another; here the data center, its UPS, its ride-through and its AI load meet.
"""

from __future__ import annotations

import math

from cosim.area.kernel import hear, response
from cosim.converter.kernel import converter_output
from cosim.datacenter.kernel import (
    GEN_ON,
    SHORT_MW,
    account,
    close_instant,
    conceal,
    curtail,
    cut,
    dc_side,
    demand,
    generator_power,
    grid_side,
    receive,
    request,
)
from cosim.engine.kernel_supply import trip
from cosim.events import LIMIT_EXCEEDED, WINDOW_ENTERED, WINDOW_LEFT
from cosim.jit import inner
from cosim.ring import emit
from cosim.ups.kernel import (
    advance_storage,
    carry,
    carry_support,
    limit,
    recharge_power,
    settle,
    support_most,
    taken_from_cells,
)
from cosim.ups.kernel_ride import note_voltage
from cosim.ups.kernel_smoothing import capped, delayed, grid_reference, watch_saturation
from cosim.ups.state import AC_DC

WINDOW_HYSTERESIS = 0.01
"""By so much the voltage must be above the window's floor before that counts as entering it again. [pu]"""


@inner
def ask(load, dc, ups, port_p_mw, port_q_mvar, s, t_us, slot, step_us):
    """What site s asks of the feeder at t_us, its UPS smoothing included."""
    site, unit = dc.sites[s], ups.units[s]
    alive = ups.rides[s].low == 0
    carried = unit.topology == AC_DC and unit.in_service == 1 and unit.empty == 0
    standby_mw = unit.p_standby_mw if unit.in_service == 1 else 0.0
    unit.p_fr_mw = 0.0
    if alive and site.in_window == 1 and site.gen != GEN_ON:
        unit.ac_gap_us = -1
    demand(dc, s, load.p_ai_mw[s], standby_mw, site.gen == GEN_ON or alive or carried, t_us)
    site.p_aid_mw = 0.0
    if carried and (site.connected == 0 or not alive):
        site.p_aid_mw = support_most(unit, -site.p_dc_mw, step_us * 1e-6)
    if site.gen == GEN_ON:
        load.allowed[s] = 1.0
        unit.late_on = 0
        _ask_generator(site, unit, step_us * 1e-6, t_us)
        port_p_mw[s] = port_q_mvar[s] = 0.0
        watch_saturation(ups, s, 0.0, t_us)
        return
    if not alive and carried:
        given_mw = carry_support(unit, site.p_sup_ac_mw, -site.p_dc_mw, step_us * 1e-6, t_us)
        site.p_ups_ac_mw = -given_mw
        site.p_sup_ac_mw = given_mw
        site.p_sup_mw = converter_output(given_mw, site.sup_a0, site.sup_a1, site.sup_a2)
    smoothing = site.rect_on == 1 and unit.in_service == 1
    p_ups_mw = 0.0
    if smoothing:
        p_ups_mw = _smooth(site, ups, s, t_us, slot, step_us)
    else:
        unit.late_on = 0
    if not (math.isinf(unit.cap_mw) and math.isinf(unit.cap_goal_mw)) and site.rect_on == 1:
        _hold_cap(load, site, ups, s, p_ups_mw, smoothing, t_us)
    if site.fr_on == 1 and site.rect_on == 1:
        _give_way(load, site, unit, s, p_ups_mw)
    swing_mw = site.p_ai_mw + site.p_cut_mw - load.p_const_mw[s]
    load.allowed[s] = 1.0 - site.p_cut_mw / swing_mw if site.p_cut_mw > 0.0 else 1.0
    unit.p_mw = p_ups_mw
    p_dc_in_mw = min(site.p_dc_mw + p_ups_mw, site.rect_max_mw) if site.rect_on == 1 else 0.0
    p_mw, q_mvar = request(dc, s, p_dc_in_mw)
    watch_saturation(ups, s, abs(p_mw - unit.p_ref_mw) if smoothing else 0.0, t_us)
    _watch_rating(ups, site, s, site.p_dc_mw + p_ups_mw - site.rect_max_mw, t_us)
    port_p_mw[s] = p_mw
    port_q_mvar[s] = q_mvar


@inner
def _give_way(load, site, unit, s, p_ups_mw):
    """Servers draw less while the frequency is low, down to their idle power."""
    before_mw = grid_side(site, site.p_dc_mw + p_ups_mw)
    cut(site, min(max(0.0, -response(site)), max(0.0, site.p_ai_mw - load.p_const_mw[s])))
    given_mw = grid_side(site, site.p_dc_mw + p_ups_mw) - before_mw
    unit.p_fr_mw += given_mw
    unit.p_ref_mw += given_mw


@inner
def _answer(site, unit, room_mw, plain_mw):
    """plain_mw at the DC bus with what the frequency asks on top of it; notes what of that is held. [MW]

    A cap stands above it: servers are not throttled for a storage that charges.
    """
    if unit.fr_on == 0:
        return plain_mw
    unit.p_ref_mw = min(unit.p_ref_mw + response(unit), unit.cap_mw)
    wish_mw = dc_side(site, unit.p_ref_mw) - site.p_dc_mw
    with_mw = grid_side(site, site.p_dc_mw + limit(unit, wish_mw, room_mw, site.p_dc_mw, 0.0))
    unit.p_fr_mw = with_mw - grid_side(site, site.p_dc_mw + limit(unit, plain_mw, room_mw, site.p_dc_mw, 0.0))
    return wish_mw


@inner
def _answer_ac(unit, need_mw, beside_mw):
    """The same on the AC bus. [MW]"""
    plain_mw = unit.p_ref_mw - need_mw
    if unit.fr_on == 0:
        return plain_mw
    unit.p_ref_mw = min(unit.p_ref_mw + response(unit), unit.cap_mw)
    wish_mw = unit.p_ref_mw - need_mw
    with_mw = limit(unit, wish_mw, math.inf, math.inf, beside_mw)
    unit.p_fr_mw = with_mw - limit(unit, plain_mw, math.inf, math.inf, beside_mw)
    return wish_mw


@inner
def hear_frequency(sites, units, area, dt_us):
    """Let all that answer the frequency measure it."""
    for s in range(sites.size):
        hear(sites[s], area, dt_us)
        hear(units[s], area, dt_us)


@inner
def _smooth(site, ups, s, t_us, slot, step_us):
    """Power of the UPS at the DC bus for smoothing; with `ac_dc` it is on the AC bus instead. [MW]"""
    unit = ups.units[s]
    recharge_mw = recharge_power(unit)
    if unit.topology == AC_DC:
        need_mw = site.p_need_mw
        unit.p_ref_mw = capped(ups, unit, grid_reference(ups, s, need_mw, need_mw + recharge_mw, t_us, slot), t_us)
        beside_mw = taken_from_cells(unit, site.p_dc_mw - site.rect_max_mw)  # IT goes first
        wish_mw = _answer_ac(unit, need_mw, beside_mw)
        unit.p_prompt_mw = need_mw + limit(unit, wish_mw, math.inf, math.inf, beside_mw)
        site.p_ups_ac_mw = limit(unit, delayed(ups, unit, wish_mw, t_us, step_us), math.inf, math.inf, beside_mw)
        return 0.0
    room_mw = site.rect_max_mw - site.p_dc_mw
    plain_mw = min(recharge_mw, max(0.0, room_mw))
    wish_mw = grid_side(site, site.p_dc_mw + plain_mw)
    unit.p_ref_mw = capped(ups, unit, grid_reference(ups, s, site.p_need_mw, wish_mw, t_us, slot), t_us)
    if unit.p_ref_mw != wish_mw:  # else there and back would leave its rounding
        plain_mw = dc_side(site, unit.p_ref_mw) - site.p_dc_mw
    wish_mw = _answer(site, unit, room_mw, plain_mw)
    if unit.delay_n == 0:
        return limit(unit, wish_mw, room_mw, site.p_dc_mw, 0.0)
    unit.p_prompt_mw = grid_side(site, site.p_dc_mw + limit(unit, wish_mw, room_mw, site.p_dc_mw, 0.0))
    return limit(unit, delayed(ups, unit, wish_mw, t_us, step_us), room_mw, site.p_dc_mw, 0.0)


@inner
def _hold_cap(load, site, ups, s, p_ups_mw, smoothing, t_us):
    """What storage leaves above the cap is throttled at the servers, down to their idle power.

    They are not throttled for a storage that still charges, late as it may be: that passes the cap, and is told.
    """
    unit = ups.units[s]
    if not smoothing:
        capped(ups, unit, site.p_need_mw, t_us)
    charge_ac_mw, site.p_ups_ac_mw = site.p_ups_ac_mw, min(0.0, site.p_ups_ac_mw)
    given_mw = min(0.0, p_ups_mw)
    if grid_side(site, site.p_dc_mw + given_mw) > unit.cap_mw + SHORT_MW:
        over_mw = site.p_dc_mw + given_mw - dc_side(site, unit.cap_mw)
        cut(site, min(over_mw, max(0.0, site.p_ai_mw - load.p_const_mw[s])))
    site.p_ups_ac_mw = charge_ac_mw


@inner
def _ask_generator(site, unit, step_s, t_us):
    """The generator feeds the site: support, the DC bus, and what it has left into the storage.

    Where it cannot yet give all that support asks, the inverter of `ac_dc` gives the rest.
    """
    most_mw = generator_power(site, t_us)
    if site.p_aid_mw > 0.0 and site.p_sup_ac_mw > most_mw:
        site.p_ups_ac_mw = -carry_support(unit, site.p_sup_ac_mw - most_mw, -site.p_dc_mw, step_s, t_us)
    else:
        unit.ac_gap_us = -1
    room_mw = max(0.0, site.rect_max_mw - site.p_dc_mw)
    unit.p_mw = max(0.0, min(recharge_power(unit), room_mw)) if unit.in_service == 1 else 0.0
    site.p_gen_mw = min(most_mw, grid_side(site, min(site.p_dc_mw + unit.p_mw, site.rect_max_mw)))
    site.p_ext_mw = site.p_gen_mw


@inner
def _watch_rating(ups, site, s, over_mw, t_us):
    """Note when more is asked of the rectifier than its rating."""
    if over_mw > SHORT_MW and site.overloaded == 0 and site.rect_on == 1:
        site.overloaded = 1
        emit(ups.events, ups.n_event, t_us, LIMIT_EXCEEDED, s, over_mw)
    elif over_mw < -0.01 * site.rect_max_mw:
        site.overloaded = 0


@inner
def _take(site, unit, asked, solved, inside, step_s, t_us):
    """Power that arrives from the feeder, or the generator, and what of it reaches the DC bus. [MW, Mvar]"""
    if site.gen == GEN_ON:
        site.p_grid_mw = site.q_mvar = 0.0
        receive(site, 0.0)
    elif inside:
        site.p_grid_mw, site.q_mvar = asked
    else:
        site.p_grid_mw, site.q_mvar = solved
        if site.vm_pu < site.v_trip_pu:
            site.p_ext_mw = 0.0
        lacks_mw = site.p_sup_ac_mw - (site.p_grid_mw + site.p_ext_mw)
        site.p_ups_ac_mw = -carry_support(unit, lacks_mw, -site.p_dc_mw, step_s, t_us)
        # what flows into the feeder in the instant of the dip comes from external sources, if from nowhere else
        site.p_ext_mw += max(0.0, site.p_ups_ac_mw - site.p_grid_mw - site.p_ext_mw)
        receive(site, site.p_grid_mw)


@inner
def settle_site(load, dc, ups, s, vm_pu, asked, solved, ceased, t_us, step_s):
    """Settle what the feeder gave site s: storage fills the gap, or the load goes short and may trip."""
    site, unit = dc.sites[s], ups.units[s]
    site.vm_pu = vm_pu
    note_voltage(ups, s, vm_pu, site.v_trip_pu, t_us)
    if vm_pu >= site.cool_drop_pu:
        site.cool_low_us = -1
    elif site.cool_low_us < 0:
        site.cool_low_us = t_us
    inside = vm_pu >= site.v_min_pu and not ceased
    sup_ac_mw = site.p_sup_ac_mw
    if site.in_window == 1 and not inside:
        site.in_window = 0
        emit(ups.events, ups.n_event, t_us, WINDOW_LEFT, s, vm_pu)
    elif site.in_window == 0 and inside and vm_pu >= min(site.v_min_pu + WINDOW_HYSTERESIS, 1.0):
        site.in_window = 1
        emit(ups.events, ups.n_event, t_us, WINDOW_ENTERED, s, vm_pu)
    _take(site, unit, asked, solved, inside, step_s, t_us)
    if site.comp_on == 1 and not inside:
        conceal(site, sup_ac_mw)
    p_ups_mw = unit.p_mw
    site.p_unserved_mw = 0.0
    carrying = not inside or site.rect_on == 0 or site.gen == GEN_ON
    if carrying or site.p_dc_in_mw < site.p_dc_mw + p_ups_mw:
        p_ups_mw = carry(ups, s, site.p_dc_in_mw - site.p_dc_mw, site.p_ups_ac_mw, step_s, t_us)
        if site.p_dc_in_mw > site.p_dc_mw + p_ups_mw:
            curtail(site, site.p_dc_mw + p_ups_mw)
        short_mw = site.p_dc_mw + p_ups_mw - site.p_dc_in_mw
        site.p_unserved_mw = short_mw if short_mw > SHORT_MW else 0.0
    else:
        unit.gap_us = -1
    settle(unit, p_ups_mw, site.p_ups_ac_mw, carrying and p_ups_mw + site.p_ups_ac_mw < 0.0, step_s)
    close_instant(site, unit.p_cell_mw)
    site.v_dc_pu = _bus_voltage(site)  # what the gap has left of it; it is full again at the next instant it is served
    if site.p_unserved_mw == 0.0 or site.up == 0:
        site.e_bus_used = 0.0
    elif site.e_bus_used >= site.e_bus_full * (1.0 - 1e-9) and site.e_bus_used > 0.0:
        site.e_bus_used = 0.0
        trip(load, site, ups, s, t_us)


@inner
def _bus_voltage(site):
    """Voltage of the DC bus: its energy goes with the square. [pu]"""
    if site.e_bus_used <= 0.0:
        return 1.0
    used = min(1.0, site.e_bus_used / site.e_bus_full) if site.e_bus_full > 0.0 else 1.0
    return math.sqrt(1.0 - (1.0 - site.v_dc_min_pu * site.v_dc_min_pu) * used)


@inner
def hold_sites(sites, ups, port_p_mw, port_p_solved_mw, t_us, dt_us, on_tick):
    """Energies, storage and cooling of every site while this instant holds for dt_us.

    The UPS remembers what was asked of the feeder: below the voltage window less comes, and a reference that started
    from that would spiral down. While a rectifier has stopped for a dip that is borne, the past stands still. Where its
    response is late it remembers what a prompt one would have asked, not its own lateness.
    """
    for s in range(sites.size):
        site, unit = sites[s], ups.units[s]
        standby_mw = unit.p_standby_mw if unit.in_service == 1 else 0.0
        account(site, unit.p_mw, standby_mw, port_p_solved_mw[s], dt_us)
        if site.connected == 0:
            ups.rides[s].off_us += dt_us
        if unit.present == 1:
            p_mw = port_p_mw[s]
            if site.connected == 1 and site.rect_on == 0:
                p_mw = unit.p_prev_mw
            elif unit.delay_n > 0 and site.connected == 1 and unit.in_service == 1:
                p_mw = unit.p_prompt_mw
            advance_storage(ups, s, p_mw - unit.p_fr_mw, t_us, dt_us, on_tick)
