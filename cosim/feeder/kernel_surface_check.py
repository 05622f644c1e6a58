"""Full solves that response surfaces learn from and are held to; numbers and arrays only."""

from __future__ import annotations

import math

from cosim.feeder.arrays import DIRTY, LAST_P, LAST_Q, N_DC, N_GROUND_LEG, N_LEG, N_MOVES, SOURCE_ON
from cosim.feeder.kernel_legs import leg_remainders
from cosim.feeder.kernel_lu import copy_to
from cosim.feeder.kernel_newton import move_u
from cosim.feeder.kernel_surface import (
    ALLOWED,
    DISTANCE,
    ENABLED,
    GIVEN_UP,
    IN_CELL,
    IN_SLOT,
    LATEST_CHECK,
    MISSED_BY,
    N_CELL,
    N_CHECKED,
    N_REFUSED,
    N_STRAY,
    SINCE_CHECK,
    SLOT,
    SOONEST_CHECK,
    UNBUILT,
    VISITS,
    WAIT,
    WANTED,
    WORST_CHECK,
    cell_of,
    evaluate,
    find_slot,
    is_due,
    lowest_phase,
    sensed_voltage,
)
from cosim.jit import inner, njit

ROOM = 0.5
"""Part of the deviation allowed below which a surface earns trust. [1]"""


@njit
def bring_along(s, f):
    """Let the next full solve start where the surface says that the last solution has gone since.

    Only what the surface says of the way is added to the last solution, and only to say at which voltages the legs are
    taken: a surface that lies elsewhere is not confirmed by itself, and the solve ends by its own residual and its own
    tests of the branch. A wrong start costs iterations.
    """
    if s.info[ENABLED] == 0 or f.flags[DIRTY] != 0 or f.flags[SOURCE_ON] == 0:
        return
    for k in range(f.sizes[N_DC]):
        s.last[0, k], s.last[1, k] = f.site_last[k, LAST_P], f.site_last[k, LAST_Q]
    in_cell, in_slot = s.info[IN_CELL], s.info[IN_SLOT]
    was = _slot_of(s, s.last[0], s.last[1])
    s.info[IN_CELL], s.info[IN_SLOT] = in_cell, in_slot
    if was < 0:
        return
    n_was = s.shape[was, 1]
    for k in range(n_was):
        s.last_mode[k] = s.mode[k]
    slot = _slot_of(s, f.port_p_mw, f.port_q_mvar)
    if slot < 0:
        return
    copy_to(s.v, f.v)
    if slot == was:
        for k in range(n_was):
            s.last_mode[k] = s.mode[k] - s.last_mode[k]
        _move_legs(s, slot, s.last_mode, 1.0)
    else:
        _move_legs(s, was, s.last_mode, -1.0)
        _move_legs(s, slot, s.mode, 1.0)
    n_ground, n_leg = f.sizes[N_GROUND_LEG], f.sizes[N_LEG]
    leg_remainders(f.leg_fast, f.leg_law, f.leg_row, f.leg_block, n_ground, n_leg, 1.0, s.v, f.rhs)
    move_u(f)
    f.flags[N_MOVES] = 0  # u needs no further move: ports are to be solved to the last digit at once


@inner
def _slot_of(s, p, q):
    """Surface that holds for a request, its modes set; -1 where there is none."""
    c = cell_of(s, p, q)
    return find_slot(s, c, p, q) if c >= 0 and s.cell[c, SLOT] >= 0 else -1


@inner
def _move_legs(s, slot, mode, times):
    """Add to s.v, at the rows with legs, what a surface has there for some modes."""
    evaluate(s.leg_modes[slot], mode, s.shape[slot, 1], s.leg_step)
    for k in range(s.leg_row.size):
        at = 2 * s.leg_row[k]
        s.v[at] += times * s.leg_step[2 * k]
        s.v[at + 1] += times * s.leg_step[2 * k + 1]


@inner
def make_due(s):
    """Behind an event: the next full solve that a surface holds for is a check.

    A surface is a function of the feeder's state, but an event may leave the feeder on another solution of that state.
    What has been shown of the surface stands where it has the right one.
    """
    for slot in range(s.trust.shape[0]):
        s.trust[slot, SINCE_CHECK] = s.trust[slot, DISTANCE]


@njit
def learn(s, f, watch_row):
    """Behind a full solve: hold a surface to it that is due for that, or count towards building one.

    Parameters
    ----------
    watch_row : array [w]
        Rows of the watched nodes, -1 where de-energized.
    """
    if s.info[ENABLED] == 0 or f.flags[SOURCE_ON] == 0 or f.flags[DIRTY] != 0:
        return
    c = cell_of(s, f.port_p_mw, f.port_q_mvar)
    if c < 0:
        note_stray(s, f.port_p_mw, f.port_q_mvar)
        return
    if s.cell[c, SLOT] == GIVEN_UP:
        return
    if s.cell[c, SLOT] == UNBUILT:
        s.cell[c, VISITS] += 1
        if s.cell[c, VISITS] >= s.info[WAIT]:
            s.info[WANTED] = c
        return
    slot = find_slot(s, c, f.port_p_mw, f.port_q_mvar)
    if slot >= 0 and is_due(s, slot):
        check_surface(s, f, watch_row, c, slot)


@inner
def check_surface(s, f, watch_row, c, slot):
    """Hold a surface, its modes set, to the present solution: it earns or loses trust, or its cell is given up.

    Not where it has a phase at or below its window: there it would not have answered.
    """
    evaluate(s.out[slot], s.mode, s.shape[slot, 1], s.output)
    for k in range(f.sizes[N_DC]):
        if lowest_phase(s, f, k) <= f.port_v_min_pu[k]:
            return
    most = deviation(s, f, watch_row, slot)
    s.info[N_CHECKED] += 1
    s.error[WORST_CHECK] = max(s.error[WORST_CHECK], most)
    s.trust[slot, SINCE_CHECK] = 0
    if most > s.error[ALLOWED]:
        s.cell[c, SLOT] = GIVEN_UP
        s.error[MISSED_BY] = most
        s.info[N_REFUSED] += 1
    elif most > ROOM * s.error[ALLOWED]:
        s.trust[slot, DISTANCE] = max(s.trust[slot, DISTANCE] // 2, SOONEST_CHECK)
    else:
        s.trust[slot, DISTANCE] = min(2 * s.trust[slot, DISTANCE], LATEST_CHECK)


@inner
def deviation(s, f, watch_row, slot):
    """Largest one of the present outputs and watched nodes of a surface from the present solution. [pu]"""
    most = 0.0
    for k in range(f.sizes[N_DC]):
        most = max(most, abs(sensed_voltage(s, k) - f.port_vm_pu[k]))
    for i in range(watch_row.size):
        if watch_row[i] >= 0:
            vm = 0.0
            for k in range(s.shape[slot, 1]):
                vm += s.watch[slot, k, i] * s.mode[k]
            most = max(most, abs(vm - math.sqrt(f.vm2[watch_row[i]])))
    return most


@inner
def note_stray(s, p, q):
    """Keep a request outside all cells; ask for a cell when there have been many."""
    n = min(s.info[N_STRAY], s.stray.shape[0] - 1)
    for k in range(p.size):
        s.stray[n, 2 * k], s.stray[n, 2 * k + 1] = p[k], q[k]
    s.info[N_STRAY] = n + 1
    if n + 1 >= s.info[WAIT]:
        s.info[WANTED] = s.info[N_CELL]
