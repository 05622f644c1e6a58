"""One site at one instant: what it asks of the feeder, what it makes of the answer, and what it does on its own.

The rooms do not know one another; here the data center, its UPS, its ride-through and its AI load meet.
"""

from __future__ import annotations

import math

from cosim.area.kernel import hear, response
from cosim.converter.kernel import converter_output
from cosim.datacenter.kernel import (
    GEN_OFF,
    GEN_ON,
    GEN_STARTING,
    account,
    close_instant,
    conceal,
    curtail,
    cut,
    dc_side,
    demand,
    grid_side,
    receive,
    request,
    watch_composite,
    watch_cooling,
)
from cosim.events import (
    COOLING_LOST,
    COOLING_RETURNED,
    GENERATOR_STARTED,
    GENERATOR_STOPPED,
    LIMIT_EXCEEDED,
    LOAD_RESTORED,
    LOAD_SHED,
    UPS_RETURNED,
    UPS_TRANSFERRED,
    WINDOW_ENTERED,
    WINDOW_LEFT,
)
from cosim.jit import inner
from cosim.load.kernel import lose_power, regain_power, start, stop
from cosim.load.state import STOPPED, WAITING
from cosim.ring import emit
from cosim.ups.kernel import advance_storage, carry, carry_support, limit, recharge_power, settle
from cosim.ups.kernel_ride import detect, is_borne, may_return, note_voltage
from cosim.ups.kernel_smoothing import capped, delayed, grid_reference, watch_saturation
from cosim.ups.state import AC_DC

SHORT_MW = 1e-9
"""Unserved power below this is rounding. [MW]"""
WINDOW_HYSTERESIS = 0.01
"""By so much the voltage must be above the window's floor before that counts as entering it again. [pu]"""


@inner
def watch_supply(load, dc, ups, s, t_us):
    """Transfer, generator, return, cooling and restart of site s, by the voltage of the last solution."""
    site, unit, ride = dc.sites[s], ups.units[s], ups.rides[s]
    detect(ups, s, t_us)
    if site.comp_on == 1:
        found = watch_composite(site, t_us)
        if found > 0:
            kind, value = (UPS_TRANSFERRED, site.vm_pu) if found == 1 else (UPS_RETURNED, site.comp_off)
            emit(ups.events, ups.n_event, t_us, kind, s, value)
        return
    borne = is_borne(ups, s, t_us)
    if site.connected == 1 and not borne:
        site.connected = 0
        ride.n_transfer += 1
        ride.transferred_us = t_us
        if unit.in_service == 1:
            emit(ups.events, ups.n_event, t_us, UPS_TRANSFERRED, s, site.vm_pu)
    elif site.connected == 0 and borne:
        delay_us = ride.return_delay_us
        if site.gen == GEN_ON:
            delay_us = max(delay_us, site.gen_retransfer_us)
        if may_return(ups, s, delay_us, t_us):
            _return(site, unit, ups, s, t_us)
    if site.gen_max_mw > 0.0:
        _watch_generator(site, ride.v_ok_us, ups, s, t_us)
    alive = ride.low == 0
    site.rect_on = 1 if site.gen == GEN_ON or (site.connected == 1 and alive) else 0
    carried = unit.topology == AC_DC and unit.in_service == 1 and unit.empty == 0
    found = watch_cooling(site, site.gen == GEN_ON or carried or site.vm_pu >= site.cool_drop_pu, t_us)
    if found == 1:
        emit(ups.events, ups.n_event, t_us, COOLING_LOST, s, site.heat_mw)
    elif found == 2:
        emit(ups.events, ups.n_event, t_us, COOLING_RETURNED, s, (t_us - site.cool_off_us) * 1e-6)
    elif found == 3:
        _trip(load, site, ups, s, t_us)
    if unit.shed_n > 0:
        _shed_by_priority(load, site, ups, s, t_us)
    if site.up == 0:
        since_us = site.gen_since_us if site.gen == GEN_ON else ride.v_ok_us
        cool = site.cool_limit_us < 0 or site.cool_on == 1
        waited = since_us >= 0 and t_us - max(since_us, site.trip_us) >= site.restart_us
        if site.rect_on == 1 and cool and waited:
            site.up = 1
            regain_power(load, s, t_us)
            emit(ups.events, ups.n_event, t_us, LOAD_RESTORED, s, load.p_const_mw[s])


@inner
def _return(site, unit, ups, s, t_us):
    """Back to the feeder, walking in where there is a ramp for it."""
    site.connected = 1
    if site.gen == GEN_ON:
        emit(ups.events, ups.n_event, t_us, GENERATOR_STOPPED, s, (t_us - site.gen_since_us) * 1e-6)
    site.gen = GEN_OFF
    site.gen_since_us = -1
    if unit.in_service == 1:
        if math.isinf(unit.walk_in):
            unit.primed = 0
        else:
            unit.walking = 1
            unit.engaged = 0
            if unit.topology != AC_DC:  # support and the idle rectifier are on in one step
                unit.p_prev_mw = site.p_sup_ac_mw + site.rect_a0
        emit(ups.events, ups.n_event, t_us, UPS_RETURNED, s, unit.e / unit.e_full)


@inner
def _watch_generator(site, v_ok_us, ups, s, t_us):
    """Start the generator once the supply has been gone for a while; it takes the site when it is ready."""
    if site.gen == GEN_ON:
        return
    if site.connected == 1 and v_ok_us >= 0:
        site.gen = GEN_OFF
        site.gen_since_us = -1
        return
    if site.gen_since_us < 0:
        site.gen_since_us = t_us
    if site.gen == GEN_OFF and t_us - site.gen_since_us >= site.gen_after_us:
        site.gen = GEN_STARTING
        site.gen_since_us = t_us
    if site.gen == GEN_STARTING and t_us - site.gen_since_us >= site.gen_start_us:
        site.gen = GEN_ON
        site.gen_since_us = t_us
        site.connected = 0
        emit(ups.events, ups.n_event, t_us, GENERATOR_STARTED, s, site.gen_max_mw)


@inner
def _shed_by_priority(load, site, ups, s, t_us):
    """On storage, jobs go one after the other as its charge falls; they start again when the site is back."""
    unit = ups.units[s]
    if unit.carrying == 1 and site.gen != GEN_ON:
        while unit.n_shed < unit.shed_n and unit.e <= ups.sheds[unit.shed_first + unit.n_shed].e:
            shed = ups.sheds[unit.shed_first + unit.n_shed]
            unit.n_shed += 1
            job = load.jobs[shed.job]
            shed.ran = 1 if job.mode not in (STOPPED, WAITING) else 0
            if shed.ran == 1:
                emit(ups.events, ups.n_event, t_us, LOAD_SHED, s, job.p_mw)
                stop(load, shed.job, t_us)
    elif unit.n_shed > 0 and site.rect_on == 1 and unit.walking == 0 and unit.carrying == 0:
        for i in range(unit.shed_first, unit.shed_first + unit.n_shed):
            if ups.sheds[i].ran == 1:
                start(load, ups.sheds[i].job, t_us)
        unit.n_shed = 0
        emit(ups.events, ups.n_event, t_us, LOAD_RESTORED, s, load.p_const_mw[s])


@inner
def _trip(load, site, ups, s, t_us):
    """The servers go dark."""
    emit(ups.events, ups.n_event, t_us, LOAD_SHED, s, site.p_equip_mw)
    site.up = 0
    site.trip_us = t_us
    lose_power(load, s, t_us)


@inner
def ask(load, dc, ups, port_p_mw, port_q_mvar, s, t_us, slot, step_us):
    """What site s asks of the feeder at t_us, its UPS smoothing included."""
    site, unit = dc.sites[s], ups.units[s]
    alive = ups.rides[s].low == 0
    carried = unit.topology == AC_DC and unit.in_service == 1 and unit.empty == 0
    standby_mw = unit.p_standby_mw if unit.in_service == 1 else 0.0
    unit.p_fr_mw = 0.0
    demand(dc, s, load.p_ai_mw[s], standby_mw, site.gen == GEN_ON or alive or carried, t_us)
    if site.gen == GEN_ON:
        load.allowed[s] = 1.0
        _ask_generator(site, unit, t_us)
        port_p_mw[s] = port_q_mvar[s] = 0.0
        watch_saturation(ups, s, 0.0, t_us)
        return
    if not alive and carried:
        given_mw = carry_support(unit, site.p_sup_ac_mw, -site.p_dc_mw, step_us * 1e-6)
        site.p_ups_ac_mw = -given_mw
        site.p_sup_ac_mw = given_mw
        site.p_sup_mw = converter_output(given_mw, site.sup_a0, site.sup_a1, site.sup_a2)
    smoothing = site.rect_on == 1 and unit.in_service == 1
    p_ups_mw = 0.0
    if smoothing:
        p_ups_mw = _smooth(site, ups, s, t_us, slot, step_us)
    if not (math.isinf(unit.cap_mw) and math.isinf(unit.cap_goal_mw)) and site.rect_on == 1:
        _hold_cap(load, site, unit, s, p_ups_mw, smoothing, t_us)
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
    """plain_mw at the DC bus with what the frequency asks on top of it; notes what of that is held. [MW]"""
    if unit.fr_on == 0:
        return plain_mw
    unit.p_ref_mw += response(unit)
    wish_mw = dc_side(site, unit.p_ref_mw) - site.p_dc_mw
    with_mw = grid_side(site, site.p_dc_mw + limit(unit, wish_mw, room_mw, site.p_dc_mw))
    unit.p_fr_mw = with_mw - grid_side(site, site.p_dc_mw + limit(unit, plain_mw, room_mw, site.p_dc_mw))
    return wish_mw


@inner
def _answer_ac(unit, need_mw):
    """The same on the AC bus. [MW]"""
    plain_mw = unit.p_ref_mw - need_mw
    if unit.fr_on == 0:
        return plain_mw
    unit.p_ref_mw += response(unit)
    wish_mw = unit.p_ref_mw - need_mw
    unit.p_fr_mw = limit(unit, wish_mw, math.inf, math.inf) - limit(unit, plain_mw, math.inf, math.inf)
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
        unit.p_ref_mw = capped(unit, grid_reference(ups, s, need_mw, need_mw + recharge_mw, t_us, slot), t_us)
        wish_mw = _answer_ac(unit, need_mw)
        unit.p_prompt_mw = need_mw + limit(unit, wish_mw, math.inf, math.inf)
        site.p_ups_ac_mw = limit(unit, delayed(ups, unit, wish_mw, t_us, step_us), math.inf, math.inf)
        return 0.0
    room_mw = site.rect_max_mw - site.p_dc_mw
    plain_mw = min(recharge_mw, max(0.0, room_mw))
    wish_mw = grid_side(site, site.p_dc_mw + plain_mw)
    unit.p_ref_mw = capped(unit, grid_reference(ups, s, site.p_need_mw, wish_mw, t_us, slot), t_us)
    if unit.p_ref_mw != wish_mw:  # else there and back would leave its rounding
        plain_mw = dc_side(site, unit.p_ref_mw) - site.p_dc_mw
    wish_mw = _answer(site, unit, room_mw, plain_mw)
    if unit.delay_n == 0:
        return limit(unit, wish_mw, room_mw, site.p_dc_mw)
    unit.p_prompt_mw = grid_side(site, site.p_dc_mw + limit(unit, wish_mw, room_mw, site.p_dc_mw))
    return limit(unit, delayed(ups, unit, wish_mw, t_us, step_us), room_mw, site.p_dc_mw)


@inner
def _hold_cap(load, site, unit, s, p_ups_mw, smoothing, t_us):
    """What storage leaves above the cap is throttled at the servers, down to their idle power."""
    if not smoothing:
        capped(unit, site.p_need_mw, t_us)
    if grid_side(site, site.p_dc_mw + p_ups_mw) > unit.cap_mw + SHORT_MW:
        over_mw = site.p_dc_mw + p_ups_mw - dc_side(site, unit.cap_mw)
        cut(site, min(over_mw, max(0.0, site.p_ai_mw - load.p_const_mw[s])))


@inner
def _ask_generator(site, unit, t_us):
    """The generator feeds the site: support, the DC bus, and what it has left into the storage."""
    most_mw = min(site.gen_max_mw, site.gen_block_mw + site.gen_ramp * (t_us - site.gen_since_us) * 1e-6)
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
def _take(site, unit, asked, solved, inside, step_s):
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
        site.p_ups_ac_mw = -carry_support(unit, lacks_mw, -site.p_dc_mw, step_s)
        # what flows into the feeder in the instant of the dip comes from external sources, if from nowhere else
        site.p_ext_mw += max(0.0, site.p_ups_ac_mw - site.p_grid_mw - site.p_ext_mw)
        receive(site, site.p_grid_mw)


@inner
def settle_site(load, dc, ups, s, vm_pu, asked, solved, ceased, t_us, step_s):
    """Settle what the feeder gave site s: storage fills the gap, or the load goes short and may trip."""
    site, unit = dc.sites[s], ups.units[s]
    site.vm_pu = vm_pu
    note_voltage(ups, s, vm_pu, site.v_trip_pu, t_us)
    inside = vm_pu >= site.v_min_pu and not ceased
    sup_ac_mw = site.p_sup_ac_mw
    if site.in_window == 1 and not inside:
        site.in_window = 0
        emit(ups.events, ups.n_event, t_us, WINDOW_LEFT, s, vm_pu)
    elif site.in_window == 0 and inside and vm_pu >= min(site.v_min_pu + WINDOW_HYSTERESIS, 1.0):
        site.in_window = 1
        emit(ups.events, ups.n_event, t_us, WINDOW_ENTERED, s, vm_pu)
    _take(site, unit, asked, solved, inside, step_s)
    if site.comp_on == 1 and not inside:
        conceal(site, sup_ac_mw)
    p_ups_mw = unit.p_mw
    site.p_unserved_mw = 0.0
    carrying = not inside or site.rect_on == 0 or site.gen == GEN_ON
    if carrying or site.p_dc_in_mw < site.p_dc_mw + p_ups_mw:
        p_ups_mw = carry(ups, s, site.p_dc_in_mw - site.p_dc_mw, step_s, t_us)
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
        _trip(load, site, ups, s, t_us)


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
