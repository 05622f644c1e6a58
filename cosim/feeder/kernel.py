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
    LAST_P,
    LAST_Q,
    LS_FRACTION,
    LS_P_MW,
    N_DC,
    N_FACTORED,
    N_FREE,
    N_GROUND_LEG,
    N_LEG,
    N_PORT,
    N_ROW,
    N_SOLVED,
    N_SPENT,
    OK,
    PORT_P,
    PORT_Q,
    PORT_V_MIN,
    SCALE_MW,
    SIGN,
    SOURCE_ON,
    STALE,
    STATUS,
)
from cosim.feeder.kernel_legs import add_slopes, leg_remainders, set_slopes, subtract_slopes, voltage_across
from cosim.feeder.kernel_lu import copy_to, factorize, fill_matrix, multiply, set_all, settle_zones, solve_factored
from cosim.feeder.kernel_ports import port_norm, solve_ports
from cosim.jit import inner, njit

RESIDUAL = 1e-10
"""Sum of current residuals that counts as solved, against the power in the feeder. [1]"""
SLOW = 0.3
"""Contraction of the residual above which the loads are linearized anew. [1]"""
STEEP = 0.3
"""Determinant of the port equations (1 at no load, 0 at the nose) below which likewise. [1]"""
WORTH = 16
"""Iterations beyond the second that may add up before the loads are linearized anew: what that costs."""
REFRESH = 64
"""Updates of u by differences before it is held to the whole of Kirchhoff's law again."""
MAX_ITERATIONS = 40
MAX_JUMP_PU = 0.02
"""Change of a port's voltage from the last solution up to which a solution counts as its neighbour, where nothing else
says that it lies on the same branch. [pu]"""
SHORTEST_STEP = 1e-6
"""Continuation gives up on steps shorter than this fraction of the way. [1]"""


@inner
def subtract_linear(f, x, out):
    """out -= (Y + slopes of the legs) x over the free rows."""
    multiply(f.y, f.row_sum, f.lu_ptr, f.lu_row, x, f.product)
    settle_zones(f.zone_ptr, f.zone_row, f.zone_sum_ptr, f.zone_sum_row, f.zone_sum_y, x, f.product)
    for i in range(f.product.size):
        out[i] -= f.product[i]
    subtract_slopes(f.leg_fast, f.leg_row, f.leg_block, f.sizes[N_LEG], x, out)


@inner
def improve_u(f):
    """One step of iterative refinement on u: hold it to Kirchhoff's law for the remainder in h.

    A factorization alone loses digits where short switches meet floating windings.
    """
    for i in range(f.h.size):
        f.rhs[i] = f.tie[i] - f.h[i]
    subtract_linear(f, f.u, f.rhs)
    solve_factored(f.block, f.lu_ptr, f.lu_row, f.rhs)
    for i in range(f.h.size):
        f.u[i] += f.rhs[i]


@inner
def restart_u(f, lam):
    """Remainder of the legs at the present voltage, and u for it."""
    leg_remainders(
        f.leg_fast, f.leg_law, f.leg_row, f.leg_block, f.sizes[N_GROUND_LEG], f.sizes[N_LEG], lam, f.v, f.h
    )
    improve_u(f)
    improve_u(f)
    f.flags[STALE] = 0


@inner
def move_u(f):
    """Take f.rhs as the new remainder h, and move u by the difference."""
    for i in range(f.h.size):
        step = f.rhs[i] - f.h[i]
        f.h[i] = f.rhs[i]
        f.rhs[i] = -step
    solve_factored(f.block, f.lu_ptr, f.lu_row, f.rhs)
    for i in range(f.h.size):
        f.u[i] += f.rhs[i]
    f.flags[STALE] += 1


@inner
def respond(f):
    """Response of all rows to a current into each port, refined once, and the part that ports see."""
    n_free, n2 = f.sizes[N_FREE], 2 * f.sizes[N_FREE]
    for a in range(2 * f.sizes[N_PORT]):
        row = f.response[a]
        set_all(row, 0.0)
        set_all(f.work, 0.0)
        if f.port_row[a // 2, 0] < 0:
            continue
        for side in range(2):
            at = f.port_row[a // 2, side]
            if 0 <= at < n_free:
                row[2 * at + a % 2] = f.work[2 * at + a % 2] = 1.0 - 2.0 * side
        solve_factored(f.block, f.lu_ptr, f.lu_row, row)
        subtract_linear(f, row, f.work)
        solve_factored(f.block, f.lu_ptr, f.lu_row, f.work)
        for i in range(n2):
            row[i] += f.work[i]
    for k in range(f.sizes[N_PORT]):
        for a in range(2 * f.sizes[N_PORT]):
            zx, zy = 0.0, 0.0
            if f.port_row[k, 0] >= 0:
                zx, zy = voltage_across(f.port_row, f.response[a], k)
            f.port_z[2 * k, a], f.port_z[2 * k + 1, a] = zx, zy


@inner
def factorize_slopes(f):
    """Factorize the matrix with the kept slopes, and get the responses; whether it is regular."""
    fill_matrix(f.y, f.block)
    add_slopes(f.leg_fast, f.leg_block, f.sizes[N_LEG], f.block)
    f.flags[SIGN] = factorize(f.block, f.lu_ptr, f.lu_row, f.lu_target)
    f.flags[N_FACTORED] += 1
    f.flags[N_SPENT] = 0
    if f.flags[SIGN] == 0:
        return False
    respond(f)
    return True


@njit
def linearize_at(f, v):
    """Linearize the legs at the voltages v and factorize, for `solve` to start from; whether it is regular."""
    set_slopes(f.leg_fast, f.leg_law, f.leg_row, f.sizes[N_LEG], 1.0, v)
    copy_to(f.v_base, v)
    return factorize_slopes(f)


@inner
def linearize(f, lam):
    """Linearize the legs (times lam) at the present voltage; whether the matrix is regular."""
    set_slopes(f.leg_fast, f.leg_law, f.leg_row, f.sizes[N_LEG], lam, f.v)
    copy_to(f.v_base, f.v)
    if not factorize_slopes(f):
        return False
    restart_u(f, lam)
    return True


@inner
def set_given(f):
    """Voltages of the rows that have them given."""
    at = 2 * f.sizes[N_FREE]
    for k in range(f.emf.shape[0]):
        for e in range(2):
            f.u[at + 2 * k + e] = f.emf[k, e]
            f.v[at + 2 * k + e] = f.emf[k, e]


@inner
def set_v(n, u, response, current, v):
    """The first n entries of v from u and the port currents."""
    if current.size == 2:
        g, h, cx, cy = response[0], response[1], current[0], current[1]
        for i in range(n):
            v[i] = u[i] - g[i] * cx - h[i] * cy
        return
    for i in range(n):
        v[i] = u[i]
    for a in range(0, current.size, 2):
        cx, cy, g, h = current[a], current[a + 1], response[a], response[a + 1]
        if cx != 0.0 or cy != 0.0:
            for i in range(n):
                v[i] -= g[i] * cx + h[i] * cy


@inner
def newton(f, lam, tol):
    """Solve for the powers in f.port_law, with the feeder's own powers times lam.

    Returns
    -------
    bool
        Whether a solution on the upper branch was found; f.v then holds it.
    """
    n_free, n_dc_port = f.sizes[N_FREE], f.site_ptr[f.sizes[N_DC]]
    n_ground, n_leg = f.sizes[N_GROUND_LEG], f.sizes[N_LEG]
    before, fresh = math.inf, False
    if f.flags[STALE] > REFRESH:
        improve_u(f)
        f.flags[STALE] = 0
    for iteration in range(MAX_ITERATIONS):
        det = solve_ports(f.port_row, f.port_law, f.u, f.port_z, f.current, f.jac, n_dc_port, lam, tol)
        anew = det == 0.0
        if not anew:
            set_v(2 * n_free, f.u, f.response, f.current, f.v)
            leg_remainders(f.leg_fast, f.leg_law, f.leg_row, f.leg_block, n_ground, n_leg, lam, f.v, f.rhs)
            residual = 0.0
            for i in range(2 * n_free):
                residual += abs(f.rhs[i] - f.h[i])
            if not residual < 1e30:
                return False
            if residual <= tol:
                upper = det * f.flags[SIGN] > 0.0
                if upper and (fresh or det > STEEP):
                    f.flags[N_SPENT] += max(iteration - 1, 0)
                    return True
                if fresh:
                    return False
                anew, before = True, math.inf
            else:
                anew = residual > SLOW * before
                before = residual
        elif fresh:
            return False
        if not anew:
            move_u(f)
        elif not linearize(f, lam):
            return False
        fresh = fresh or anew
    return False


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
def set_request(f, to, start):
    """Put the request into port_law: a fraction `to` of the way from `start` times the last one."""
    for k in range(f.sizes[N_DC]):
        p0, q0 = start * f.site_last[k, LAST_P], start * f.site_last[k, LAST_Q]
        first, end = f.site_ptr[k], f.site_ptr[k + 1]
        share = 1.0 / max(end - first, 1)
        for r in range(first, end):
            f.port_law[r, PORT_P] = share * (p0 + to * (f.port_p_mw[k] - p0))
            f.port_law[r, PORT_Q] = share * (q0 + to * (f.port_q_mvar[k] - q0))
            f.port_law[r, PORT_V_MIN] = f.port_v_min_pu[k] * f.port_base[r]


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
            if step < SHORTEST_STEP:
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
        Fraction of the requests that is solvable, or where not even the feeder alone is, of its legs' powers; 1
        where solved.
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
                return 0.0
            if attempt < 3:
                ready = linearize(f, 1.0)
        if attempt < 3 and ready and newton(f, 1.0, tol) and is_neighbour(f):
            return 1.0
    done = 0.0
    for aim in range(2):  # first the feeder alone, then its data centers
        copy_to(f.v_save, f.v)
        copy_to(f.current_save, f.current)
        done = walk(f, float(aim), 0.0, float(aim), tol)
        if done < 1.0:
            break
    return done


@inner
def read_site(f, k):
    """What data center k draws, and the voltage of its lowest phase, into the result arrays; whether any is there."""
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
    f.port_p_solved_mw[k], f.port_q_solved_mvar[k] = p, q
    f.port_vm_pu[k] = math.sqrt(least)
    return live


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
    status = OK
    f.flags[BOUND_READY] = 0
    f.flags[N_SOLVED] += 1
    f.flags[DIRTY] = f.flags[COLD] = 0
    if done < 1.0:
        status = COLLAPSED
        f.flags[DIRTY] = f.flags[COLD] = 1
        f.last_solvable[LS_FRACTION], f.last_solvable[LS_P_MW] = done, 0.0
        for k in range(f.sizes[N_DC]):
            f.last_solvable[LS_P_MW] += f.port_p_solved_mw[k]
    elif n_dead > 0 and n_dead == f.sizes[N_DC]:
        status = DEAD
    f.flags[STATUS] = status
    return status


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
    return finish(f, done)
