"""The advance loop: load -> data center -> UPS -> feeder -> log, compiled, between two scheduled events.

An instant is evaluated at every tick, at every scheduled event, and where a timer of a data center's voltage is over;
what it finds holds until the next one. Rows and integrals follow that rule, so nothing depends on how the run is cut
into blocks.
"""

from __future__ import annotations

from cosim.area.kernel import NOBODY, hold_area, note_area
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
    has_flows,
    hold_sags,
    read_solved,
    watch_swells,
    watch_voltages,
    write_queues,
    write_row,
    write_sample,
)
from cosim.engine.kernel_site import ask, hear_frequency, hold_sites, settle_site
from cosim.engine.kernel_supply import supply_due_us, watch_supply
from cosim.engine.kernel_watch import is_full, keep_instant
from cosim.events import SURFACE_GIVEN_UP
from cosim.feeder.arrays import (
    COLLAPSED,
    DIRTY,
    EMF_FACTOR,
    LAST_P,
    N_CONTROL_SENSOR,
    N_READ,
    P_GEN,
    P_LOAD,
    P_LOSS,
    P_SHUNT,
    P_SOURCE,
    SOURCE_ON,
)
from cosim.feeder.controls.kernel import has_news, next_due_us, watch
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_fault import DEEP_DIP
from cosim.feeder.kernel_flows import balance, change_bound
from cosim.feeder.kernel_surface import (
    MISSED_BY,
    ON_SURFACE,
    WANTED,
    evaluate_surface,
    voltages,
    watched,
)
from cosim.feeder.kernel_surface_check import bring_along, learn, make_due
from cosim.jit import frame, inner
from cosim.load.kernel import step_load
from cosim.ring import emit

EVENT_DUE, BLOCK_FULL, DONE, NO_SOLUTION, SURFACE_WANTED, CONTROL_DUE = range(6)


@inner
def _solve_feeder(clock, f, surf, watch_row, log, must_solve):
    """Bring the feeder up to date with what is asked: by a surface, not at all, or by a full solve.

    Returns
    -------
    tuple
        Status; whether converters ceased for want of an operating point.
    """
    was_surface = surf.info[ON_SURFACE] == 1
    f.flags[N_READ] = f.sizes[N_CONTROL_SENSOR]
    if not must_solve and evaluate_surface(surf, f):
        clock.time[N_SURFACE] += 1
        watched(surf, log.vm)
        _watch_balance(clock.totals, f.totals, f.port_p_solved_mw)
        watch_voltages(log)
        return 0, False
    must_solve |= was_surface or f.sequence_row.size > 0
    surf.info[ON_SURFACE] = 0
    for s in range(f.port_p_mw.size):
        must_solve |= abs(f.port_p_mw[s] - f.site_last[s, LAST_P]) > clock.limits[1] and f.flags[SOURCE_ON] == 1
    bound = change_bound(f)
    if not must_solve and bound <= clock.limits[0]:
        clock.totals[MAX_BOUND] = max(clock.totals[MAX_BOUND], bound)
        return 0, False
    ceased = False
    if was_surface:
        bring_along(surf, f)
    if f.flags[DIRTY] != 0:
        make_due(surf)
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
    if f.sequence_row.size > 0 and f.flags[SOURCE_ON] == 1:
        watch_swells(watch_row, f.vm2_high, log)
    return 0, ceased


@inner
def _evaluate(clock, load, dc, ups, f, surf, watch_row, log, t_us):
    """Everything at one instant. Returns the feeder's status."""
    step_us = clock.time[STEP]
    n_site = dc.sites.size
    slot = -(-t_us // step_us)  # off a tick, the next one: its place still holds what was one window before it
    for s in range(n_site):
        watch_supply(load, dc, ups, s, t_us)
    step_load(load, t_us)
    must_solve = False
    for s in range(n_site):
        ask(load, dc, ups, f.port_p_mw, f.port_q_mvar, s, t_us, slot, step_us)
        must_solve |= dc.sites[s].in_window == 0 and dc.sites[s].vm_pu > 0.0
    clock.time[N_INSTANT] += 1
    status, ceased = _solve_feeder(clock, f, surf, watch_row, log, must_solve)
    if surf.error[MISSED_BY] > 0.0:
        emit(load.events, load.n_event, t_us, SURFACE_GIVEN_UP, NOBODY, surf.error[MISSED_BY])
        surf.error[MISSED_BY] = 0.0
    if status == COLLAPSED:
        return status
    step_s = step_us * 1e-6
    for s in range(n_site):
        asked = (f.port_p_mw[s], f.port_q_mvar[s])
        solved = (f.port_p_solved_mw[s], f.port_q_solved_mvar[s])
        settle_site(load, dc, ups, s, f.port_vm_pu[s], asked, solved, ceased, t_us, step_s)
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
def _log_instant(clock, load, dc, ups, f, surf, area, watch_row, log, t_us):
    """A full-rate sample and the points' voltages where they are asked for; a row where one is due."""
    if log.ring_us.size > 0:
        write_sample(dc, ups, log, t_us)
    if log.wave_us.size > 0:
        keep_instant(log, t_us)
    if t_us >= clock.time[NEXT_ROW]:
        v = f.v
        if surf.info[ON_SURFACE] == 1 and has_flows(log):
            voltages(surf)
            v = surf.v
        write_queues(clock, load.queues, log, t_us)
        write_row(clock, dc, ups, f, area, watch_row, v, log, t_us)


@inner
def _watch_controls(ctl, f, t_us, next_us):
    """Whether a control acts before the next instant is evaluated; that instant, at a timer's end at latest. [us]"""
    if not has_news(ctl, f.flags[N_READ]) or f.flags[SOURCE_ON] == 0:
        return False, next_us
    sensors = f.sensor[: f.flags[N_READ]]
    is_due = watch(ctl, sensors, t_us)
    due_us = next_due_us(ctl, t_us)
    if due_us <= next_us:
        next_us = due_us
        is_due |= watch(ctl, sensors, next_us)
    return is_due, next_us


@frame
def advance(clock, load, dc, ups, f, surf, ctl, area, watch_row, log):
    """Step from clock T until T_STOP, a full block, the end, or something that needs Python.

    Parameters
    ----------
    clock : ClockArrays
    load : LoadArrays
    dc, ups : SiteArrays, UpsArrays
    f : FeederArrays
        Data center s is the site s.
    surf : SurfaceArrays
        Of the feeder's present state.
    ctl : array of CONTROL
        Regulators, capacitors and inverters.
    area : AreaArrays
        Behind the source, with or without a frequency of its own.
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
        if area.area[0].present == 1:
            note_area(area, f.totals[P_SOURCE], load.events, load.n_event, t_us)
        _log_instant(clock, load, dc, ups, f, surf, area, watch_row, log, t_us)
        if t_us >= time[T_END]:
            return DONE
        tick_us = t_us // time[STEP] * time[STEP]
        next_us = min(tick_us + time[STEP], time[T_STOP])
        for s in range(dc.sites.size):
            next_us = min(next_us, supply_due_us(dc, ups, s, t_us))
        is_due, next_us = _watch_controls(ctl, f, t_us, next_us)
        dt_us = next_us - t_us
        _hold_feeder(clock.totals, f.totals, f.port_p_solved_mw, dt_us * 1e-6)
        if area.area[0].present == 1:
            hold_area(area, f.totals[P_SOURCE], t_us, dt_us)
            hear_frequency(dc.sites, ups.units, area, dt_us)
        hold_sites(dc.sites, ups, f.port_p_mw, f.port_p_solved_mw, t_us, dt_us, t_us == tick_us)
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
