"""The advance loop: load -> data center -> UPS -> feeder -> log, compiled, between two scheduled events.

An instant is evaluated at every tick and at every scheduled event; what it finds holds until the next one. Rows and
integrals follow that rule, so nothing depends on how the run is cut into blocks.
"""

from __future__ import annotations

from cosim.datacenter.kernel import (
    account,
    close_instant,
    curtail,
    dc_side,
    demand,
    grid_side,
    receive,
    request,
)
from cosim.engine.kernel_log import (
    E_GEN,
    E_LOAD,
    E_LOSS,
    E_PORTS,
    E_ROW_SOURCE,
    E_SHUNT,
    E_SOURCE,
    MAX_BOUND,
    MAX_IMBALANCE,
    N_INSTANT,
    N_SOLVE,
    N_SURFACE,
    NEXT_ROW,
    STEP,
    T_END,
    T_STOP,
    T,
    hold_sags,
    read_solved,
    watch_voltages,
    write_row,
    write_sample,
)
from cosim.engine.kernel_watch import is_full, keep_instant
from cosim.events import (
    LIMIT_EXCEEDED,
    LOAD_RESTORED,
    LOAD_SHED,
    UPS_RETURNED,
    UPS_TRANSFERRED,
    WINDOW_ENTERED,
    WINDOW_LEFT,
    emit,
)
from cosim.feeder.arrays import (
    COLLAPSED,
    EMF_FACTOR,
    LAST_P,
    P_GEN,
    P_LOAD,
    P_LOSS,
    P_SHUNT,
    P_SOURCE,
    SOURCE_ON,
)
from cosim.feeder.controls.kernel import watch
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance, change_bound
from cosim.feeder.kernel_surface import (
    ON_SURFACE,
    WANTED,
    evaluate_surface,
    learn,
    voltages,
    watched,
)
from cosim.jit import inner, njit
from cosim.load.kernel import lose_power, regain_power, step_load
from cosim.ups.kernel import (
    advance_storage,
    carry,
    grid_reference,
    recharge_power,
    settle,
    smooth,
    watch_saturation,
)

EVENT_DUE, BLOCK_FULL, DONE, NO_SOLUTION, SURFACE_WANTED, CONTROL_DUE = range(6)
SHORT_MW = 1e-9
"""Unserved power below this is rounding. [MW]"""
DEEP_DIP = 0.5
"""Source voltage below which converters cease for the instant in which they find no operating point. [pu]"""
WINDOW_HYSTERESIS = 0.01
"""By so much the voltage must be above the window's floor before that counts as entering it again. [pu]"""

@inner
def _watch_supply(load, dc, ups, s, t_us):
    """Transfer, return and restart of site s, by the voltage of the last solution."""
    site = dc.sites[s]
    unit = ups.units[s]
    if site.connected == 1 and site.vm_pu < site.v_trip_pu:
        site.connected = 0
        if unit.in_service == 1:
            emit(ups.events, ups.n_event, t_us, UPS_TRANSFERRED, s, site.vm_pu)
    elif site.connected == 0 and site.v_ok_us >= 0 and t_us - site.v_ok_us >= site.return_delay_us:
        site.connected = 1
        if unit.in_service == 1:
            unit.restoring = 1
            emit(ups.events, ups.n_event, t_us, UPS_RETURNED, s, unit.e / unit.e_full)
    if site.up == 0 and site.connected == 1 and site.v_ok_us >= 0 and t_us - site.v_ok_us >= site.restart_us:
        site.up = 1
        site.short_us = -1
        regain_power(load, s, t_us)
        emit(ups.events, ups.n_event, t_us, LOAD_RESTORED, s, load.p_const_mw[s])


@inner
def _ask(p_ai_mw, dc, ups, port_p_mw, port_q_mvar, s, t_us, slot):
    """What site s asks of the feeder at t_us, its UPS smoothing included."""
    site = dc.sites[s]
    unit = ups.units[s]
    standby_mw = unit.p_standby_mw if unit.in_service == 1 else 0.0
    demand(dc, s, p_ai_mw[s], standby_mw, t_us)
    smoothing = site.connected == 1 and unit.in_service == 1
    room_mw = site.rect_max_mw - site.p_dc_mw
    p_ups_mw = 0.0
    if smoothing:
        wish_mw = grid_side(site, site.p_dc_mw + min(recharge_power(unit), max(0.0, room_mw)))
        unit.p_ref_mw = grid_reference(ups, s, wish_mw, t_us, slot)
        p_ups_mw = smooth(unit, dc_side(site, unit.p_ref_mw) - site.p_dc_mw, room_mw, site.p_dc_mw)
    unit.p_mw = p_ups_mw
    p_dc_in_mw = min(site.p_dc_mw + p_ups_mw, site.rect_max_mw) if site.connected == 1 else 0.0
    p_mw, q_mvar = request(dc, s, p_dc_in_mw)
    watch_saturation(ups, s, abs(p_mw - unit.p_ref_mw) if smoothing else 0.0, t_us)
    _watch_rating(ups, site, s, site.p_dc_mw + p_ups_mw - site.rect_max_mw, t_us)
    port_p_mw[s] = p_mw
    port_q_mvar[s] = q_mvar


@inner
def _watch_rating(ups, site, s, over_mw, t_us):
    """Note when more is asked of the rectifier than its rating."""
    if over_mw > SHORT_MW and site.overloaded == 0 and site.connected == 1:
        site.overloaded = 1
        emit(ups.events, ups.n_event, t_us, LIMIT_EXCEEDED, s, over_mw)
    elif over_mw < -0.01 * site.rect_max_mw:
        site.overloaded = 0


@inner
def _receive(sites, ups, s, vm_pu, asked, solved, ceased, t_us, step_s):
    """Settle what the feeder gave site s: storage fills the gap, or the load goes short. Returns whether it trips."""
    site = sites[s]
    unit = ups.units[s]
    site.vm_pu = vm_pu
    if vm_pu < site.v_return_pu:
        site.v_ok_us = -1
    elif site.v_ok_us < 0:
        site.v_ok_us = t_us
    inside = site.vm_pu >= site.v_min_pu and not ceased
    if site.in_window == 1 and not inside:
        site.in_window = 0
        emit(ups.events, ups.n_event, t_us, WINDOW_LEFT, s, site.vm_pu)
    elif site.in_window == 0 and inside and site.vm_pu >= min(site.v_min_pu + WINDOW_HYSTERESIS, 1.0):
        site.in_window = 1
        emit(ups.events, ups.n_event, t_us, WINDOW_ENTERED, s, site.vm_pu)
    if inside:
        site.p_grid_mw, site.q_mvar = asked
    else:
        site.p_grid_mw, site.q_mvar = solved
        if site.vm_pu < site.v_trip_pu:
            site.p_ext_mw = 0.0
        receive(site, site.p_grid_mw)
    p_ups_mw = unit.p_mw
    site.p_unserved_mw = 0.0
    carrying = not inside or site.connected == 0
    if carrying or site.p_dc_in_mw < site.p_dc_mw + p_ups_mw:
        p_ups_mw = carry(ups, s, site.p_dc_in_mw - site.p_dc_mw, step_s, t_us)
        if site.p_dc_in_mw > site.p_dc_mw + p_ups_mw:
            curtail(site, site.p_dc_mw + p_ups_mw)
        short_mw = site.p_dc_mw + p_ups_mw - site.p_dc_in_mw
        site.p_unserved_mw = short_mw if short_mw > SHORT_MW else 0.0
    settle(ups, s, p_ups_mw, carrying and p_ups_mw < 0.0)
    close_instant(site, unit.p_cell_mw)
    if site.p_unserved_mw == 0.0 or site.up == 0:
        site.short_us = -1
    elif site.short_us < 0:
        site.short_us = t_us
    elif t_us - site.short_us >= site.hold_up_us:
        emit(ups.events, ups.n_event, t_us, LOAD_SHED, s, site.p_equip_mw)
        site.up = 0
        site.short_us = -1
        site.v_ok_us = -1
        return True
    return False


@inner
def _solve_feeder(clock, f, surf, watch_row, log, must_solve):
    """Bring the feeder up to date with what is asked: by a surface, not at all, or by a full solve.

    Returns
    -------
    tuple
        Status; whether converters ceased for want of an operating point.
    """
    was_surface = surf.info[ON_SURFACE] == 1
    if not must_solve and evaluate_surface(surf, f):
        clock.time[N_SURFACE] += 1
        watched(surf, log.vm)
        _watch_balance(clock.totals, f.totals, f.port_p_solved_mw)
        watch_voltages(log)
        return 0, False
    must_solve |= was_surface
    surf.info[ON_SURFACE] = 0
    for s in range(f.port_p_mw.size):
        must_solve |= abs(f.port_p_mw[s] - f.site_last[s, LAST_P]) > clock.limits[1] and f.flags[SOURCE_ON] == 1
    bound = change_bound(f)
    if not must_solve and bound <= clock.limits[0]:
        clock.totals[MAX_BOUND] = max(clock.totals[MAX_BOUND], bound)
        return 0, False
    ceased = False
    while solve(f) == COLLAPSED:  # once more without converters
        if ceased or f.params[EMF_FACTOR] >= DEEP_DIP:
            return COLLAPSED, ceased
        ceased = True
        f.port_p_mw[:] = 0.0
        f.port_q_mvar[:] = 0.0
    balance(f)
    clock.time[N_SOLVE] += 1
    if not ceased:
        learn(surf, f, watch_row)
    _watch_balance(clock.totals, f.totals, f.port_p_solved_mw)
    read_solved(watch_row, f.vm2, f.flags[SOURCE_ON] == 1, log.vm)
    watch_voltages(log)
    return 0, ceased


@inner
def _evaluate(clock, load, dc, ups, f, surf, watch_row, log, t_us):
    """Everything at one instant. Returns the feeder's status."""
    step_us = clock.time[STEP]
    n_site = dc.sites.size
    slot = -(-t_us // step_us)  # off a tick, the next one: its place still holds what was one window before it
    for s in range(n_site):
        _watch_supply(load, dc, ups, s, t_us)
    step_load(load, t_us)
    must_solve = False
    for s in range(n_site):
        _ask(load.p_ai_mw, dc, ups, f.port_p_mw, f.port_q_mvar, s, t_us, slot)
        must_solve |= dc.sites[s].in_window == 0 and dc.sites[s].vm_pu > 0.0
    clock.time[N_INSTANT] += 1
    status, ceased = _solve_feeder(clock, f, surf, watch_row, log, must_solve)
    if status == COLLAPSED:
        return status
    step_s = step_us * 1e-6
    for s in range(n_site):
        asked = (f.port_p_mw[s], f.port_q_mvar[s])
        solved = (f.port_p_solved_mw[s], f.port_q_solved_mvar[s])
        if _receive(dc.sites, ups, s, f.port_vm_pu[s], asked, solved, ceased, t_us, step_s):
            lose_power(load, s, t_us)
    return 0


@inner
def _watch_balance(run_totals, totals, port_p_solved_mw):
    """Largest power that the solved injections and the branch losses leave over."""
    gap_mw = totals[P_SOURCE] + totals[P_GEN] - totals[P_LOAD] - totals[P_LOSS]
    for p_mw in port_p_solved_mw:
        gap_mw -= p_mw
    run_totals[MAX_IMBALANCE] = max(run_totals[MAX_IMBALANCE], abs(gap_mw))


@inner
def _hold_feeder(run_totals, totals, port_p_solved_mw, dt_s):
    """Energies of the feeder while its last solution holds for dt_s."""
    run_totals[E_SOURCE] += totals[P_SOURCE] * dt_s
    run_totals[E_ROW_SOURCE] += totals[P_SOURCE] * dt_s
    run_totals[E_LOAD] += totals[P_LOAD] * dt_s
    run_totals[E_GEN] += totals[P_GEN] * dt_s
    run_totals[E_LOSS] += totals[P_LOSS] * dt_s
    run_totals[E_SHUNT] += totals[P_SHUNT] * dt_s
    for p_mw in port_p_solved_mw:
        run_totals[E_PORTS] += p_mw * dt_s


@inner
def _hold_sites(sites, ups, port_p_mw, port_p_solved_mw, t_us, dt_us, step_us):
    """Energies, storage and cooling of every site while this instant holds for dt_us.

    The UPS remembers what was asked of the feeder: below the voltage window less comes, and a reference that started
    from that would spiral down.
    """
    for s in range(sites.size):
        unit = ups.units[s]
        standby_mw = unit.p_standby_mw if unit.in_service == 1 else 0.0
        account(sites[s], unit.p_mw, standby_mw, port_p_solved_mw[s], dt_us)
        if unit.present == 1:
            on_tick = t_us % step_us == 0
            advance_storage(ups, s, port_p_mw[s], t_us, dt_us, t_us // step_us, on_tick)


@njit
def advance(clock, load, dc, ups, f, surf, ctl, watch_row, log):
    """Step from clock T until T_STOP, a full block, the end, or something that needs Python.

    Parameters
    ----------
    clock : ClockArrays
    load : LoadArrays
    dc : SiteArrays
    ups : UpsArrays
    f : FeederArrays
        Data center s is the site s.
    surf : SurfaceArrays
        Of the feeder's present state.
    ctl : array of CONTROL
        Regulators, capacitors and inverters.
    watch_row : array
        Rows of the watched nodes, -1 where de-energized.
    log : LogArrays

    Returns
    -------
    int
        EVENT_DUE, BLOCK_FULL, DONE, NO_SOLUTION, SURFACE_WANTED or CONTROL_DUE. T stands at an instant not yet
        evaluated, except after DONE.
    """
    time = clock.time
    while True:
        t_us = time[T]
        if _evaluate(clock, load, dc, ups, f, surf, watch_row, log, t_us) == COLLAPSED:
            return NO_SOLUTION
        if log.ring_us.size > 0:
            write_sample(dc, ups, log, t_us)
        if log.wave_us.size > 0:
            keep_instant(log, t_us)
        if t_us >= time[NEXT_ROW]:
            v = f.v
            if surf.info[ON_SURFACE] == 1:
                voltages(surf)
                v = surf.v
            write_row(clock, dc, ups, f, watch_row, v, log, t_us)
        if t_us >= time[T_END]:
            return DONE
        is_due = ctl.size > 0 and f.flags[SOURCE_ON] == 1 and watch(ctl, f.sensor, t_us)
        next_us = min((t_us // time[STEP] + 1) * time[STEP], time[T_STOP])
        dt_us = next_us - t_us
        _hold_feeder(clock.totals, f.totals, f.port_p_solved_mw, dt_us * 1e-6)
        _hold_sites(dc.sites, ups, f.port_p_mw, f.port_p_solved_mw, t_us, dt_us, time[STEP])
        if log.any_sag[0] == 1:
            hold_sags(log, dt_us)
        time[T] = next_us
        if is_due:
            return CONTROL_DUE
        if next_us >= time[T_STOP]:
            return EVENT_DUE
        if surf.info[WANTED] >= 0:
            return SURFACE_WANTED
        if log.n_ring[0] == log.ring_us.size and log.ring_us.size > 0:
            return BLOCK_FULL
        if log.n_row[0] == log.t_us.size or is_full(log) or load.n_event[0] > load.events.size // 2:
            return BLOCK_FULL
