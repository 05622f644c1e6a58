"""What feeds one site: transfer and return, generator, cooling, shedding and restart, by the voltage last found."""

from __future__ import annotations

import math

from cosim.converter.kernel import converter_input
from cosim.datacenter.kernel import GEN_OFF, GEN_ON, GEN_STARTING, watch_composite, watch_cooling
from cosim.events import (
    COOLING_LOST,
    COOLING_RETURNED,
    GENERATOR_STARTED,
    GENERATOR_STOPPED,
    LOAD_RESTORED,
    LOAD_SHED,
    UPS_RETURNED,
    UPS_TRANSFERRED,
)
from cosim.jit import inner
from cosim.load.kernel_power import lose_power, regain_power, restore_job, shed_job
from cosim.ring import emit
from cosim.ups.kernel_ride import detect, is_borne, may_return, next_due_us
from cosim.ups.state import AC_DC


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
        _watch_generator(site, ups, s, t_us)
    alive = ride.low == 0
    site.rect_on = 1 if site.gen == GEN_ON or (site.connected == 1 and alive) else 0
    is_fed = site.gen == GEN_ON or site.cool_low_us < 0 or t_us - site.cool_low_us < site.cool_drop_us
    found = watch_cooling(site, is_fed or _carries_cooling(site, unit), t_us)
    if found == 1:
        emit(ups.events, ups.n_event, t_us, COOLING_LOST, s, site.heat_mw)
    elif found == 2:
        emit(ups.events, ups.n_event, t_us, COOLING_RETURNED, s, (t_us - site.cool_off_us) * 1e-6)
    elif found == 3:
        trip(load, site, ups, s, t_us)
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
def _carries_cooling(site, unit):
    """Whether the inverter of `ac_dc` holds the AC bus up with all the cooling plant on it, or its motors drop out."""
    if unit.topology != AC_DC or unit.in_service == 0 or unit.empty == 1:
        return False
    sup_mw = site.p_fixed_mw + site.cooling_per_heat * site.heat_mw
    return converter_input(sup_mw, site.sup_a0, site.sup_a1, site.sup_a2) <= unit.max_ac_mw * (1.0 + 1e-9)


@inner
def supply_due_us(dc, ups, s, t_us):
    """When the next timer of the voltage of site s is over, later than t_us; NEVER_US without one. [us]"""
    due_us, site = next_due_us(ups, s, t_us), dc.sites[s]
    if site.cool_low_us >= 0 and site.cool_low_us + site.cool_drop_us > t_us:
        due_us = min(due_us, site.cool_low_us + site.cool_drop_us)
    return due_us


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
def _watch_generator(site, ups, s, t_us):
    """Start the generator once the feeder has not fed the site for a while; it takes the site when it is ready."""
    if site.gen == GEN_ON:
        return
    if site.connected == 1 and ups.rides[s].low == 0:
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
    """On storage, also beside a generator, jobs go as its charge falls; they start again when the servers are back."""
    unit = ups.units[s]
    if unit.carrying == 1:
        while unit.n_shed < unit.shed_n and unit.e <= ups.sheds[unit.shed_first + unit.n_shed].e:
            shed = ups.sheds[unit.shed_first + unit.n_shed]
            unit.n_shed += 1
            shed.p_mw = shed_job(load, shed.job, t_us)
            if shed.p_mw >= 0.0:
                emit(ups.events, ups.n_event, t_us, LOAD_SHED, s, shed.p_mw)
    elif unit.n_shed > 0 and site.connected == 1 and site.rect_on == 1 and site.up == 1 and unit.walking == 0:
        p_mw = -1.0
        for shed in ups.sheds[unit.shed_first : unit.shed_first + unit.n_shed]:
            if shed.p_mw >= 0.0:
                p_mw = max(p_mw, 0.0) + shed.p_mw
            restore_job(load, shed.job, t_us)
        unit.n_shed = 0
        if p_mw >= 0.0:
            emit(ups.events, ups.n_event, t_us, LOAD_RESTORED, s, p_mw)


@inner
def trip(load, site, ups, s, t_us):
    """The servers go dark."""
    emit(ups.events, ups.n_event, t_us, LOAD_SHED, s, site.p_equip_mw)
    site.up = 0
    site.trip_us = t_us
    lose_power(load, s, t_us)
