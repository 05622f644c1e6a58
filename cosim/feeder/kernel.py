"""Power flow of one instant: Norton-split Newton; numbers and arrays only.

The loads of the feeder are linearized at a base point inside a factorized matrix; data centers and
voltage-controlled generators (the ports) are solved exactly on top of it, through the response of all
rows to port currents; what the linearization leaves of the loads is iterated. Where that contracts
too slowly the base point moves to the present voltage, which is a full Newton near the nose.
docs/feeder.md has the equations.
"""

from __future__ import annotations

import math

from cosim.feeder.arrays import (
    BOUND_READY,
    COLD,
    COLLAPSED,
    DEAD,
    DIRTY,
    EMF_FACTOR,
    LAST_P,
    LAST_Q,
    LS_FRACTION,
    LS_OWN,
    LS_P_MW,
    N_DC,
    N_FREE,
    N_LEG,
    N_PORT,
    N_ROW,
    N_SOLVED,
    N_SPENT,
    OK,
    SCALE_MW,
    SIGN,
    SOURCE_ON,
    STATUS,
)
from cosim.feeder.kernel_fault import DEEP_DIP, solve_in_fault
from cosim.feeder.kernel_legs import set_slopes, voltage_across
from cosim.feeder.kernel_lu import copy_to, set_all
from cosim.feeder.kernel_newton import (
    MAX_JUMP_PU,
    factorize_slopes,
    linearize,
    newton,
    restart_u,
    set_given,
    set_request,
    set_v,
)
from cosim.feeder.kernel_phases import spread_phases
from cosim.feeder.kernel_ports import port_bound, port_norm
from cosim.jit import inner, njit

RESIDUAL = 1e-10
"""Sum of current residuals that counts as solved, against the power in the feeder. [1]"""
WORTH = 16
"""Iterations beyond the second that may add up before the loads are linearized anew: what that costs."""
SHORTEST_STEP = 1e-6
"""Continuation gives up on steps shorter than this fraction of the way. [1]"""
SHORTEST_IN_FAULT = 1 / 16
"""The same beside a fault or in a deep dip, where converters cease instead. [1]"""


@inner
def is_neighbour(f):
    """Whether the solution found lies on the branch of the saved one.

    The sign of the determinant cannot see two phases turning at once. So of a data center on several phases it is
    asked that its currents contract (the Jacobian I + M of the ports with a norm of M below 1 has no eigenvalue that
    passed zero), or that no port's voltage jumped.
    """
    n_dc_port = f.site_ptr[f.sizes[N_DC]]
    if n_dc_port <= 1 or n_dc_port < f.sizes[N_PORT]:
        return True
    if port_bound(f.port_row, f.port_law, f.v, f.port_z) < 1.0:
        return True
    if port_norm(f.port_row, f.port_law, f.v, f.port_z) < 1.0:
        return True
    for k in range(n_dc_port):
        if f.port_row[k, 0] < 0:
            continue
        x, y = voltage_across(f.port_row, f.v, k)
        x0, y0 = voltage_across(f.port_row, f.v_save, k)
        if (x - x0) ** 2 + (y - y0) ** 2 > (MAX_JUMP_PU * f.port_base[k]) ** 2:
            return False
    return True


@inner
def walk(f, lam_from, start, aim, tol):
    """Continue from the saved solution in short steps.

    Parameters
    ----------
    lam_from : float
        Part of the legs' powers that the saved solution has; all of them at the end.
    start : float
        Part of the last request that it has.
    aim : float
        1 to end at the request; 0 to stay at `start`.

    Returns
    -------
    float
        Fraction of the way that is solvable.
    """
    done, step = 0.0, 0.5
    shortest = SHORTEST_IN_FAULT if f.params[EMF_FACTOR] < DEEP_DIP else SHORTEST_STEP
    while done < 1.0:
        to = min(1.0, done + step)
        set_request(f, aim * to, start)
        copy_to(f.v, f.v_save)
        copy_to(f.current, f.current_save)
        ready = linearize(f, lam_from + done * (1.0 - lam_from))
        if ready and newton(f, lam_from + to * (1.0 - lam_from), tol) and is_neighbour(f):
            done = to
            step *= 2.0
            copy_to(f.v_save, f.v)
            copy_to(f.current_save, f.current)
        else:
            step *= 0.5
            if step < shortest:
                break
    return done


@inner
def start_from_no_load(f):
    """Voltages that only the sources give, legs and ports drawing nothing; whether the matrix is regular.

    A flat start would diverge across transformers that turn the phase.
    """
    set_all(f.v, 1.0)
    set_all(f.current, 0.0)
    set_given(f)
    set_slopes(f.leg_fast, f.leg_law, f.leg_row, f.sizes[N_LEG], 0.0, f.v)
    copy_to(f.v_base, f.v)
    if not factorize_slopes(f):
        return False
    copy_to(f.u, f.v)
    restart_u(f, 0.0)
    set_v(2 * f.sizes[N_FREE], f.u, f.response, f.current, f.v)
    return True


@inner
def solve_changed(f, tol):
    """Solve after an event: from the last voltage, else from no load, else by continuation from there.

    Continuation raises the feeder's own legs first and the data centers then, so that what is found solvable of these
    is with the feeder as it stands.

    Returns
    -------
    float
        Fraction of the requests that is solvable, 1 where solved. Where not even the feeder alone is, 0, and
        `last_solvable` has the fraction of its legs' powers.
    """
    set_given(f)
    for attempt in range(2 * f.flags[COLD], 4):
        ready = True
        if attempt == 0:  # on the factors that are there
            ready = f.flags[SIGN] != 0
            copy_to(f.v_save, f.v)
            if ready:
                restart_u(f, 1.0)
        else:
            if attempt == 1:
                copy_to(f.v, f.v_save)
            elif not start_from_no_load(f):
                f.last_solvable[LS_OWN] = 0.0
                return 0.0
            if attempt < 3:
                ready = linearize(f, 1.0)
        if attempt < 3 and ready and newton(f, 1.0, tol) and is_neighbour(f):
            return 1.0
    copy_to(f.v_save, f.v)
    copy_to(f.current_save, f.current)
    f.last_solvable[LS_OWN] = walk(f, 0.0, 0.0, 0.0, tol)  # first the feeder alone, then its data centers
    if f.last_solvable[LS_OWN] < 1.0:
        return 0.0
    copy_to(f.v_save, f.v)
    copy_to(f.current_save, f.current)
    return walk(f, 1.0, 0.0, 1.0, tol)


@inner
def read_site(f, k):
    """What data center k draws, and the voltage that it senses, into the result arrays; whether any is there."""
    p, q, least, live = 0.0, 0.0, math.inf, False
    for r in range(f.site_ptr[k], f.site_ptr[k + 1]):
        if f.port_row[r, 0] < 0:
            least = 0.0
            continue
        live = True
        x, y = voltage_across(f.port_row, f.v, r)
        cx, cy = f.current[2 * r], f.current[2 * r + 1]
        p += x * cx + y * cy
        q += y * cx - x * cy
        least = min(least, (x * x + y * y) / f.port_base[r] ** 2)
    if f.port_across[k] == 1 and f.site_ptr[k + 1] - f.site_ptr[k] == 3:
        least = between_ports(f, f.site_ptr[k])
    f.port_p_solved_mw[k], f.port_q_solved_mvar[k] = p, q
    f.port_vm_pu[k] = math.sqrt(least)
    return live


@inner
def between_ports(f, first):
    """Least squared voltage between any two of three phases, of a third of the square of the nominal. [pu^2]"""
    least = math.inf
    for r in range(first, first + 3):
        i, j = f.port_row[r, 0], f.port_row[first + (r - first + 1) % 3, 0]
        if i < 0 or j < 0:
            return 0.0
        x, y = f.v[2 * i] - f.v[2 * j], f.v[2 * i + 1] - f.v[2 * j + 1]
        least = min(least, (x * x + y * y) / 3.0)
    return least


@inner
def finish(f, done):
    """Write what the solve found into the result arrays; return its status."""
    n_dead = 0
    for i in range(f.sizes[N_ROW]):
        x, y = f.v[2 * i], f.v[2 * i + 1]
        f.vm2[i] = x * x + y * y
    for k in range(f.sizes[N_DC]):
        f.site_last[k, LAST_P], f.site_last[k, LAST_Q] = f.port_p_mw[k], f.port_q_mvar[k]
        if not read_site(f, k):
            n_dead += 1
    if f.sequence_row.size > 0:
        spread_phases(f)
    status = OK
    f.flags[BOUND_READY] = 0
    f.flags[N_SOLVED] += 1
    f.flags[DIRTY] = f.flags[COLD] = 0
    if done < 1.0:
        status = COLLAPSED
        f.flags[DIRTY] = 1
        f.flags[COLD] = int(f.params[EMF_FACTOR] >= DEEP_DIP)  # below it the way there costs no factorization
        f.last_solvable[LS_FRACTION], f.last_solvable[LS_P_MW] = done, 0.0
        for k in range(f.sizes[N_DC]):
            f.last_solvable[LS_P_MW] += f.port_p_solved_mw[k]
    elif n_dead > 0 and n_dead == f.sizes[N_DC]:
        status = DEAD
    f.flags[STATUS] = status
    return status


@inner
def solve_beside_fault(f, tol):
    """Solve beside a fault or in a deep dip on the factors that are there; negative where that fails, all as before."""
    is_near = f.flags[DIRTY] == 0
    copy_to(f.v_save, f.v)
    if f.flags[COLD] != 0:
        copy_to(f.v, f.v_base)
    if not is_near:
        set_given(f)
    done = solve_in_fault(f, tol, is_near)
    if done < 0.0:
        copy_to(f.v, f.v_save)
        f.flags[DIRTY] = 1
    return done


@inner
def solve_anew(f, tol):
    """Solve from the last solution, or after a change; what of the request is solvable, the solution of that in f.v."""
    set_request(f, 1.0, 0.0)
    if f.flags[DIRTY] != 0:
        done = solve_changed(f, tol)
    else:
        copy_to(f.v_save, f.v)
        copy_to(f.current_save, f.current)
        if f.flags[N_SPENT] > WORTH:
            linearize(f, 1.0)
        done = 1.0 if newton(f, 1.0, tol) and is_neighbour(f) else walk(f, 1.0, 1.0, 1.0, tol)
    if done < 1.0:
        copy_to(f.v, f.v_save)
        copy_to(f.current, f.current_save)
    return done


@njit
def solve(f):
    """Solve the feeder for the requested port powers.

    Reads `port_p_mw`, `port_q_mvar`, `port_v_min_pu`; writes `port_p_solved_mw`, `port_q_solved_mvar`,
    `port_vm_pu`, `vm2`. After COLLAPSED these hold the last point that is solvable on the way from
    the last solution (after an event: from no load), and `last_solvable` says how far that is.

    Returns
    -------
    int
        OK; COLLAPSED where no solution exists on the upper branch; DEAD where the source is lost or
        no port is energized (the rest of the feeder is solved then).
    """
    if f.flags[SOURCE_ON] == 0:
        for a in (f.vm2, f.port_vm_pu, f.port_p_solved_mw, f.port_q_solved_mvar, f.totals):
            set_all(a, 0.0)
        f.flags[STATUS] = DEAD
        return DEAD
    scale = f.params[SCALE_MW]
    for k in range(f.sizes[N_DC]):
        scale += abs(f.port_p_mw[k]) + abs(f.port_q_mvar[k])
    tol = RESIDUAL * scale
    f.last_solvable[LS_OWN] = 1.0
    done = -1.0
    if f.params[EMF_FACTOR] < DEEP_DIP:
        done = solve_beside_fault(f, tol)
    if done < 0.0:
        done = solve_anew(f, tol)
    return finish(f, done)
