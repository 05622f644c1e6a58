"""Electrical and thermal chain of a data center, instant by instant (Eq. 1-5).

Demand comes first (what IT and cooling ask), then the feeder answers what it can give, then `receive` settles what
arrived. Input power is output divided by efficiency: as printed, Eq. 3 and 4 multiply by it.
"""

from __future__ import annotations

import math

import numpy as np

from cosim.area.kernel import RESPONSE
from cosim.bundle import Bundle
from cosim.converter.kernel import converter_input, converter_output
from cosim.jit import inner, njit

SITE = np.dtype(
    [
        # parameters: powers [MW], times [us], voltages [pu]; losses a0 + a1 p + a2 p^2 [MW, 1, 1/MW]
        ("rect_max_mw", "f8"), ("rect_a0", "f8"), ("rect_a1", "f8"), ("rect_a2", "f8"),
        ("sup_max_mw", "f8"), ("sup_a0", "f8"), ("sup_a1", "f8"), ("sup_a2", "f8"),
        ("rect_pf_first", "i8"), ("rect_pf_n", "i8"), ("sup_pf_first", "i8"), ("sup_pf_n", "i8"),
        ("p_fixed_mw", "f8"), ("cooling_per_heat", "f8"), ("crac_per_heat", "f8"), ("cooling_tau_us", "f8"),
        ("p_other_mw", "f8"), ("p_network_mw", "f8"), ("p_storage_mw", "f8"),
        ("v_min_pu", "f8"), ("v_trip_pu", "f8"), ("restart_us", "i8"), ("e_bus_full", "f8"), ("v_dc_min_pu", "f8"),
        ("ext_first", "i8"), ("ext_n", "i8"), ("ext_period_us", "i8"), ("ext_e_s", "f8"),
        ("cool_drop_pu", "f8"), ("cool_drop_us", "i8"), ("cool_restart_us", "i8"), ("cool_start_factor", "f8"),
        ("cool_start_us", "i8"), ("cool_limit_us", "i8"),
        ("gen_max_mw", "f8"), ("gen_after_us", "i8"), ("gen_start_us", "i8"), ("gen_block_mw", "f8"),
        ("gen_ramp", "f8"), ("gen_retransfer_us", "i8"),
        ("comp_on", "i8"), ("comp_start_pu", "f8"), ("comp_all_pu", "f8"), ("comp_part", "f8"), ("comp_us", "i8"),
        ("comp_back_pu", "f8"), ("comp_back_us", "i8"), ("comp_back_part", "f8"), ("comp_ramp", "f8"),
        *RESPONSE,
        # state
        ("comp_low_us", "i8"), ("comp_ok_us", "i8"), ("comp_last_us", "i8"), ("comp_off", "f8"), ("comp_keep", "f8"),
        ("heat_mw", "f8"), ("up", "i8"), ("connected", "i8"), ("rect_on", "i8"), ("in_window", "i8"),
        ("e_bus_used", "f8"), ("overloaded", "i8"), ("vm_pu", "f8"), ("trip_us", "i8"),
        ("cool_on", "i8"), ("cool_low_us", "i8"), ("cool_ok_us", "i8"), ("cool_off_us", "i8"), ("cool_began_us", "i8"),
        ("gen", "i8"), ("gen_since_us", "i8"),
        # this instant
        ("p_ai_mw", "f8"), ("p_equip_mw", "f8"), ("p_crac_mw", "f8"), ("p_dc_mw", "f8"), ("p_sup_mw", "f8"),
        ("p_sup_ac_mw", "f8"), ("p_ext_mw", "f8"), ("p_need_mw", "f8"), ("p_rect_ac_mw", "f8"), ("p_dc_in_mw", "f8"),
        ("p_total_mw", "f8"), ("p_grid_mw", "f8"), ("q_mvar", "f8"), ("p_unserved_mw", "f8"), ("pue", "f8"),
        ("p_ups_ac_mw", "f8"), ("p_aid_mw", "f8"), ("p_gen_mw", "f8"), ("p_cut_mw", "f8"), ("v_dc_pu", "f8"),
        # integrals over the run [MWs]
        ("e_ai", "f8"), ("e_equip", "f8"), ("e_crac", "f8"), ("e_standby", "f8"), ("e_sup_ac", "f8"), ("e_sup", "f8"),
        ("e_rect_loss", "f8"), ("e_ext", "f8"), ("e_grid", "f8"), ("e_solved", "f8"), ("e_unserved", "f8"),
        ("e_ups_bus", "f8"), ("p_max_mw", "f8"), ("down_us", "i8"),
        ("e_gen", "f8"), ("e_cut", "f8"), ("warm_us", "i8"),
        # since the last row of the log [MWs]
        ("row_total", "f8"), ("row_grid", "f8"), ("row_ai", "f8"),
    ]
)  # fmt: skip
"""One data center: parameters, state, what it does this instant, and its energies."""

SHORT_MW = 1e-9
"""Power short of what is asked that is rounding. [MW]"""
GEN_OFF, GEN_STARTING, GEN_ON = range(3)
"""States of the standby generator."""

POINT = np.dtype([("x", "f8"), ("y", "f8")])
"""A point of a piecewise linear table."""


class SiteArrays(Bundle):
    """Everything the data center kernel reads and writes."""

    sites: np.ndarray  # SITE
    points: np.ndarray  # POINT: displacement factors over load, then external profiles over time [us, MW]


@njit
def interpolate(points, first, n, x):
    """Piecewise linear table of n points from `first`, held beyond its ends; and its slope there."""
    last = first + n - 1
    if x <= points[first].x or n == 1:
        return points[first].y, 0.0
    if x >= points[last].x:
        return points[last].y, 0.0
    i = first
    while points[i + 1].x <= x:
        i += 1
    slope = (points[i + 1].y - points[i].y) / (points[i + 1].x - points[i].x)
    return points[i].y + slope * (x - points[i].x), slope


@njit
def reactive(points, first, n, p_mw, max_p_mw):
    """Reactive power of a converter at input p_mw by its displacement factor; lagging is positive. [Mvar]"""
    cos_phi, _ = interpolate(points, first, n, abs(p_mw) / max_p_mw)
    tan_phi = math.sqrt(max(0.0, 1.0 - cos_phi * cos_phi)) / abs(cos_phi)
    return abs(p_mw) * (tan_phi if cos_phi > 0.0 else -tan_phi)


@inner
def watch_cooling(site, is_supplied, t_us):
    """Motors of the cooling plant drop out and start again.

    On the generator they run only while it gives all that they and the rest of the support ask, with what an inverter
    on the AC bus adds to it: a bus that is asked for more than it is given does not keep its voltage.

    Returns
    -------
    int
        1 where they have just dropped out, 2 where they have just started again, 3 where IT is too hot, else 0.
    """
    if site.gen == GEN_ON:
        given_mw = generator_power(site, t_us) + site.p_aid_mw
        is_supplied = _support_with_cooling(site, t_us) <= given_mw + SHORT_MW
    if not is_supplied:
        site.cool_ok_us = -1
        if site.cool_on == 1:
            site.cool_on = 0
            site.cool_off_us = t_us
            return 1
    elif site.cool_on == 0:
        if site.cool_ok_us < 0:
            site.cool_ok_us = t_us
        if t_us - site.cool_ok_us >= site.cool_restart_us:
            site.cool_on = 1
            site.cool_began_us = t_us
            return 2
    too_hot = site.cool_on == 0 and site.up == 1 and 0 <= site.cool_limit_us <= t_us - site.cool_off_us
    return 3 if too_hot else 0


@inner
def watch_composite(site, t_us):
    """Part of a composite load that has ceased: more while the voltage is low for long enough, less behind it.

    Returns
    -------
    int
        1 where a part has just ceased, 2 where all that comes back by itself is back, else 0.
    """
    dt_s = (t_us - site.comp_last_us) * 1e-6
    site.comp_last_us = t_us
    if site.vm_pu < site.comp_start_pu:
        site.comp_ok_us = -1
        if site.comp_low_us < 0:
            site.comp_low_us = t_us
        if t_us - site.comp_low_us < site.comp_us:
            return 0
        depth = 1.0
        if site.vm_pu > site.comp_all_pu:
            depth = (site.comp_start_pu - site.vm_pu) / (site.comp_start_pu - site.comp_all_pu)
        off = site.comp_part * depth
        if off <= site.comp_off:
            return 0
        site.comp_off = off
        site.comp_keep = max(site.comp_keep, off * (1.0 - site.comp_back_part))
        return 1
    site.comp_low_us = -1
    if site.vm_pu < site.comp_back_pu:
        site.comp_ok_us = -1
        return 0
    if site.comp_ok_us < 0:
        site.comp_ok_us = t_us
    if site.comp_off <= site.comp_keep or t_us - site.comp_ok_us < site.comp_back_us:
        return 0
    site.comp_off = max(site.comp_keep, site.comp_off - site.comp_ramp * dt_s)
    return 2 if site.comp_off == site.comp_keep else 0


@inner
def conceal(site, p_sup_ac_mw):
    """A composite load's own storage gives what the feeder does not, without end. [MW]"""
    site.p_sup_ac_mw = p_sup_ac_mw
    site.p_sup_mw = converter_output(p_sup_ac_mw, site.sup_a0, site.sup_a1, site.sup_a2)
    site.p_dc_in_mw = site.p_dc_mw
    site.p_rect_ac_mw = converter_input(site.p_dc_mw, site.rect_a0, site.rect_a1, site.rect_a2)
    site.p_ext_mw = site.p_sup_ac_mw + site.p_rect_ac_mw - site.p_grid_mw


@inner
def generator_power(site, t_us):
    """Most that the generator gives since it took the site: its first block, then more at its ramp. [MW]"""
    return min(site.gen_max_mw, site.gen_block_mw + site.gen_ramp * (t_us - site.gen_since_us) * 1e-6)


@inner
def _support_with_cooling(site, t_us):
    """What support draws with its cooling running, or starting where it stands. [MW]"""
    p_mw = site.cooling_per_heat * max(0.0, site.heat_mw)
    if site.cool_on == 1:
        p_mw = _cooling(site, t_us)
    elif site.cool_start_us > 0:
        p_mw *= site.cool_start_factor
    return converter_input(site.p_fixed_mw + p_mw, site.sup_a0, site.sup_a1, site.sup_a2)


@inner
def _cooling(site, t_us):
    """Power of the cooling plant on the AC side: it follows the heat, more while its motors start. [MW]"""
    if site.cool_on == 0:
        return 0.0
    p_mw = site.cooling_per_heat * site.heat_mw
    since_us = t_us - site.cool_began_us
    if since_us < site.cool_start_us and site.cool_start_factor > 1.0:
        p_mw *= 1.0 + (site.cool_start_factor - 1.0) * (1.0 - since_us / site.cool_start_us)
    return p_mw


@inner
def demand(arrays, s, p_ai_mw, p_standby_mw, is_supplied, t_us):
    """What site s asks for at t_us, without its UPS moving anything (Eq. 1-5).

    Sets p_equip (servers, network gear, storage), p_crac, p_dc (the DC bus), p_sup_ac (support with its AC/AC loss,
    where its bus is supplied), p_ext and p_need (the grid side without a UPS). [MW]
    """
    site = arrays.sites[s]
    site.p_ext_mw = 0.0
    site.p_gen_mw = 0.0
    site.p_ups_ac_mw = 0.0
    site.p_cut_mw = 0.0
    slope = 0.0
    if site.ext_n > 0 and site.vm_pu >= site.v_trip_pu and site.gen < GEN_ON:
        t = t_us % site.ext_period_us if site.ext_period_us > 0 else t_us
        site.p_ext_mw, slope = interpolate(arrays.points, site.ext_first, site.ext_n, float(t))
    site.p_ai_mw = 0.0
    site.p_equip_mw = 0.0
    if site.up == 1:
        site.p_ai_mw = max(0.0, p_ai_mw + site.ext_e_s * slope * 1e6)  # E of Eq. 7; the table runs in us
        site.p_equip_mw = site.p_ai_mw + site.p_other_mw + site.p_network_mw + site.p_storage_mw
    if site.heat_mw < 0.0:
        site.heat_mw = site.p_equip_mw  # the site was running like this before the start
    site.p_crac_mw = site.crac_per_heat * site.heat_mw if site.up == 1 else 0.0
    site.p_dc_mw = site.p_equip_mw + site.p_crac_mw + p_standby_mw
    site.p_sup_mw = 0.0
    site.p_sup_ac_mw = 0.0
    if is_supplied:
        site.p_sup_mw = site.p_fixed_mw + _cooling(site, t_us)
        site.p_sup_ac_mw = converter_input(site.p_sup_mw, site.sup_a0, site.sup_a1, site.sup_a2)
    site.p_need_mw = grid_side(site, site.p_dc_mw)
    site.p_ext_mw += site.comp_off * max(0.0, site.p_need_mw)


@inner
def cut(site, p_mw):
    """Throttle the servers by p_mw; what they cannot go below stays. [MW]"""
    site.p_cut_mw += p_mw
    site.p_ai_mw -= p_mw
    site.p_equip_mw -= p_mw
    site.p_dc_mw -= p_mw


@inner
def grid_side(site, p_dc_mw):
    """Power from the feeder while the rectifier gives p_dc_mw to the DC bus. [MW]"""
    rect_mw = converter_input(p_dc_mw, site.rect_a0, site.rect_a1, site.rect_a2) if site.rect_on == 1 else 0.0
    return site.p_sup_ac_mw + site.p_ups_ac_mw + rect_mw - site.p_ext_mw


@inner
def dc_side(site, p_grid_mw):
    """Power the rectifier gives to the DC bus while p_grid_mw comes from the feeder; inverse of `grid_side`. [MW]"""
    if site.rect_on == 0:
        return 0.0
    rect_mw = p_grid_mw + site.p_ext_mw - site.p_sup_ac_mw - site.p_ups_ac_mw
    return converter_output(rect_mw, site.rect_a0, site.rect_a1, site.rect_a2)


@inner
def request(arrays, s, p_dc_in_mw):
    """Active and reactive power asked of the feeder while the rectifier gives p_dc_in_mw. [MW, Mvar]"""
    site = arrays.sites[s]
    site.p_dc_in_mw = p_dc_in_mw
    p_mw = grid_side(site, p_dc_in_mw)
    site.p_rect_ac_mw = p_mw + site.p_ext_mw - site.p_sup_ac_mw - site.p_ups_ac_mw
    q_mvar = reactive(
        arrays.points, site.rect_pf_first, site.rect_pf_n, site.p_rect_ac_mw, site.rect_max_mw
    ) + reactive(arrays.points, site.sup_pf_first, site.sup_pf_n, site.p_sup_ac_mw, site.sup_max_mw)
    return p_mw, q_mvar * (1.0 - site.comp_off)


@inner
def receive(site, p_grid_mw):
    """Power on the DC bus when only p_grid_mw arrives: support first, the rectifier takes the rest. [MW]"""
    available = p_grid_mw + site.p_ext_mw - site.p_ups_ac_mw
    site.p_sup_ac_mw = min(site.p_sup_ac_mw, max(0.0, available))
    site.p_sup_mw = converter_output(site.p_sup_ac_mw, site.sup_a0, site.sup_a1, site.sup_a2)
    site.p_rect_ac_mw = max(0.0, available - site.p_sup_ac_mw)
    site.p_dc_in_mw = converter_output(site.p_rect_ac_mw, site.rect_a0, site.rect_a1, site.rect_a2)


@inner
def curtail(site, p_dc_in_mw):
    """External sources give less where the DC bus and its storage take no more than p_dc_in_mw. [MW]"""
    site.p_dc_in_mw = p_dc_in_mw
    site.p_rect_ac_mw = converter_input(p_dc_in_mw, site.rect_a0, site.rect_a1, site.rect_a2)
    site.p_ext_mw = site.p_sup_ac_mw + site.p_ups_ac_mw + site.p_rect_ac_mw - site.p_grid_mw
    site.p_gen_mw = min(site.p_gen_mw, site.p_ext_mw)


@inner
def close_instant(site, p_cell_mw):
    """Totals and PUE of this instant: what is consumed without what is stored, over the equipment served. [MW, 1]"""
    site.p_total_mw = site.p_grid_mw + site.p_ext_mw
    equip_mw = site.p_equip_mw * served_part(site)
    site.pue = (site.p_total_mw - p_cell_mw) / equip_mw if equip_mw > 0.0 else 0.0


@inner
def served_part(site):
    """Part of the DC bus demand that is served. [1]"""
    return 1.0 - site.p_unserved_mw / site.p_dc_mw if site.p_dc_mw > 0.0 else 1.0


@inner
def account(site, p_ups_mw, p_standby_mw, p_solved_mw, dt_us):
    """Hold this instant for dt_us: energies [MWs], and the heat that cooling sees. [MW, us]"""
    dt_s = dt_us * 1e-6
    served = served_part(site)
    site.e_ai += site.p_ai_mw * served * dt_s
    site.e_equip += site.p_equip_mw * served * dt_s
    site.e_crac += site.p_crac_mw * served * dt_s
    site.e_standby += p_standby_mw * served * dt_s
    site.e_sup_ac += site.p_sup_ac_mw * dt_s
    site.e_sup += site.p_sup_mw * dt_s
    site.e_rect_loss += (site.p_rect_ac_mw - site.p_dc_in_mw) * dt_s
    site.e_ext += site.p_ext_mw * dt_s
    site.e_grid += site.p_grid_mw * dt_s
    site.e_solved += p_solved_mw * dt_s
    site.e_unserved += site.p_unserved_mw * dt_s
    site.e_ups_bus += (p_ups_mw + site.p_ups_ac_mw) * dt_s
    site.e_gen += site.p_gen_mw * dt_s
    site.e_cut += site.p_cut_mw * dt_s
    site.e_bus_used += site.p_unserved_mw * dt_s
    site.warm_us += dt_us if site.cool_on == 0 else 0
    site.p_max_mw = max(site.p_max_mw, site.p_grid_mw)
    site.row_total += site.p_total_mw * dt_s
    site.row_grid += site.p_grid_mw * dt_s
    site.row_ai += site.p_ai_mw * dt_s
    if site.up == 0:
        site.down_us += dt_us
    heat_mw = site.p_equip_mw if site.up == 1 else 0.0
    site.heat_mw = heat_mw + (site.heat_mw - heat_mw) * math.exp(-dt_us / site.cooling_tau_us)
