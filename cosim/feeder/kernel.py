"""Power flow of one instant: Norton-split Newton; numbers and arrays only.

The loads of the feeder are linearized at a base point inside a factorized matrix; data centers and
voltage-controlled generators (the ports) are solved exactly on top of it, through the response of all
nodes to port currents; what the linearization leaves of the loads is iterated. Where that contracts
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
    EMF_SHIFT_RAD,
    LAST_P,
    LAST_Q,
    LOAD_IP,
    LOAD_IQ,
    LOAD_P,
    LOAD_Q,
    LOAD_SLOPE,
    LS_FRACTION,
    LS_P_MW,
    N_DC,
    N_FACTORED,
    N_FREE,
    N_LOAD_FREE,
    N_NODE,
    N_PORT,
    N_SOLVED,
    N_SPENT,
    OK,
    PORT_P,
    PORT_Q,
    PORT_V_MIN,
    SCALE_MW,
    SIGN,
    SOURCE_ON,
    STATUS,
    VMIN_PU,
)
from cosim.feeder.kernel_lu import copy_to, factorize, fill_matrix, set_all, solve_factored
from cosim.feeder.kernel_ports import solve_ports
from cosim.jit import inlined, inner, njit

RESIDUAL = 1e-10
"""Sum of current residuals that counts as solved, against the power in the feeder. [1]"""
SLOW = 0.3
"""Contraction of the residual above which the loads are linearized anew. [1]"""
STEEP = 0.3
"""Determinant of the port equations (1 at no load, 0 at the nose) below which likewise. [1]"""
WORTH = 16
"""Iterations beyond the second that may add up before the loads are linearized anew: what that costs."""
MAX_ITERATIONS = 40
SHORTEST_STEP = 1e-6
"""Continuation gives up on steps shorter than this fraction of the way. [1]"""


@inner
def load_factors(law, k, vmin, m):
    """Factors of constant power and of constant current of load k at |U|^2 = m, each per |U|^2."""
    current = 0.0
    if law[k, LOAD_IP] != 0.0 or law[k, LOAD_IQ] != 0.0:
        current = 1.0 / math.sqrt(max(m, 1e-30))
    return 1.0 / max(m, vmin * vmin, 1e-30), current


@inner
def add_slopes(law, load_node, n_load, vmin, lam, v, block):
    """Slope of each load's current (times lam) at voltage v, kept and added to the matrix."""
    for k in range(n_load):
        i = load_node[k]
        x, y = v[2 * i], v[2 * i + 1]
        m = max(x * x + y * y, 1e-30)
        cp, ci = load_factors(law, k, vmin, m)
        dp = -2.0 * cp / m if m > vmin * vmin else 0.0
        di = -ci / m
        p = lam * (law[k, LOAD_P] * cp + law[k, LOAD_IP] * ci)
        q = lam * (law[k, LOAD_Q] * cp + law[k, LOAD_IQ] * ci)
        sp = lam * (law[k, LOAD_P] * dp + law[k, LOAD_IP] * di)
        sq = lam * (law[k, LOAD_Q] * dp + law[k, LOAD_IQ] * di)
        ax, ay = sp * x + sq * y, sp * y - sq * x
        d0, d1, d2, d3 = p + ax * x, q + ax * y, -q + ay * x, p + ay * y
        s = LOAD_SLOPE
        law[k, s], law[k, s + 1], law[k, s + 2], law[k, s + 3] = d0, d1, d2, d3
        block[i, 0] += d0
        block[i, 1] += d1
        block[i, 2] += d2
        block[i, 3] += d3


@inner
def load_residual(law, load_node, n_load, vmin, lam, v, h, rhs):
    """Put the load remainder at voltage v into rhs; return the 1-norm of its change from h.

    That change is the residual of KCL: the voltages hold exactly for the remainder in h.
    """
    set_all(rhs, 0.0)
    residual = 0.0
    s = LOAD_SLOPE
    for k in range(n_load):
        i = load_node[k]
        x, y = v[2 * i], v[2 * i + 1]
        cp, ci = load_factors(law, k, vmin, x * x + y * y)
        p = lam * (law[k, LOAD_P] * cp + law[k, LOAD_IP] * ci)
        q = lam * (law[k, LOAD_Q] * cp + law[k, LOAD_IQ] * ci)
        hx = (p - law[k, s]) * x + (q - law[k, s + 1]) * y
        hy = (p - law[k, s + 3]) * y - (q + law[k, s + 2]) * x
        rhs[2 * i], rhs[2 * i + 1] = hx, hy
        residual += abs(hx - h[2 * i]) + abs(hy - h[2 * i + 1])
    return residual


@inner
def set_u(f):
    """Take f.rhs as the new load remainder h and solve for the voltages without port currents."""
    for i in range(f.h.size):
        f.h[i] = f.rhs[i]
        f.rhs[i] = -f.rhs[i]
    for t in range(f.tie_node.shape[0]):
        i, s = 2 * f.tie_node[t, 0], 2 * f.tie_node[t, 1]
        x, y = f.u[s], f.u[s + 1]
        f.rhs[i] -= f.tie_y[t, 0] * x - f.tie_y[t, 1] * y
        f.rhs[i + 1] -= f.tie_y[t, 0] * y + f.tie_y[t, 1] * x
    solve_factored(f.block, f.lu_ptr, f.lu_row, f.rhs)
    for i in range(f.h.size):
        f.u[i] = f.rhs[i]


@inner
def linearize(f, lam):
    """Linearize the loads (times lam) at the present voltage, factorize, and get the responses.

    Returns
    -------
    bool
        Whether the matrix is regular.
    """
    n_load, vmin = f.sizes[N_LOAD_FREE], f.params[VMIN_PU]
    fill_matrix(f.y, f.block)
    add_slopes(f.load_law, f.load_node, n_load, vmin, lam, f.v, f.block)
    f.flags[SIGN] = factorize(f.block, f.lu_ptr, f.lu_row, f.lu_target)
    f.flags[N_FACTORED] += 1
    f.flags[N_SPENT] = 0
    copy_to(f.v_base, f.v)
    if f.flags[SIGN] == 0:
        return False
    for a in range(f.sizes[N_PORT]):
        for e in range(2):
            row = f.response[2 * a + e]
            set_all(row, 0.0)
            if 0 <= f.port_node[a] < f.sizes[N_FREE]:
                row[2 * f.port_node[a] + e] = 1.0
                solve_factored(f.block, f.lu_ptr, f.lu_row, row)
    load_residual(f.load_law, f.load_node, n_load, vmin, lam, f.v, f.h, f.rhs)
    set_u(f)
    return True


@inner
def set_emf(emf, params, n_free, u, v):
    """Voltages of the source nodes under the present dip."""
    c = params[EMF_FACTOR] * math.cos(params[EMF_SHIFT_RAD])
    s = params[EMF_FACTOR] * math.sin(params[EMF_SHIFT_RAD])
    for k in range(emf.shape[0]):
        x, y = emf[k, 0], emf[k, 1]
        i = 2 * (n_free + k)
        u[i], u[i + 1] = c * x - s * y, c * y + s * x
        v[i], v[i + 1] = u[i], u[i + 1]


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
    for a in range(current.size):
        c, g = current[a], response[a]
        if c != 0.0:
            for i in range(n):
                v[i] -= g[i] * c


@inner
def newton(f, lam, tol):
    """Solve for the powers in f.port_law, with the feeder's own powers times lam.

    Returns
    -------
    bool
        Whether a solution on the upper branch was found; f.v then holds it.
    """
    n_free, n_dc, n_load, vmin = f.sizes[N_FREE], f.sizes[N_DC], f.sizes[N_LOAD_FREE], f.params[VMIN_PU]
    before, fresh = math.inf, False
    for iteration in range(MAX_ITERATIONS):
        det = solve_ports(f.port_node, f.port_law, f.u, f.response, f.current, f.jac, n_free, n_dc, lam, tol)
        anew = det == 0.0
        if not anew:
            set_v(2 * n_free, f.u, f.response, f.current, f.v)
            residual = load_residual(f.load_law, f.load_node, n_load, vmin, lam, f.v, f.h, f.rhs)
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
            set_u(f)
        elif not linearize(f, lam):
            return False
        fresh = fresh or anew
    return False


@inner
def set_request(f, to, p_from, q_from):
    """Put the request into port_law: a fraction `to` of the way from p_from, q_from times the last one."""
    for k in range(f.sizes[N_DC]):
        p0, q0 = p_from * f.port_last[k, LAST_P], q_from * f.port_last[k, LAST_Q]
        f.port_law[k, PORT_P] = p0 + to * (f.port_p_mw[k] - p0)
        f.port_law[k, PORT_Q] = q0 + to * (f.port_q_mvar[k] - q0)
        f.port_law[k, PORT_V_MIN] = f.port_v_min_pu[k]


@inner
def walk(f, lam_from, tol):
    """Continue from the saved solution to the request in short steps.

    The saved solution is the last one (lam_from 1) or that without any load (lam_from 0).

    Returns
    -------
    float
        Fraction of the way that is solvable; 1 where the request was reached.
    """
    done, step = 0.0, 0.5
    while done < 1.0:
        to = min(1.0, done + step)
        set_request(f, to, lam_from, lam_from)
        copy_to(f.v, f.v_save)
        copy_to(f.current, f.current_save)
        ready = linearize(f, lam_from + done * (1.0 - lam_from))
        if ready and newton(f, lam_from + to * (1.0 - lam_from), tol):
            done = to
            step *= 2.0
            copy_to(f.v_save, f.v)
            copy_to(f.current_save, f.current)
        else:
            step *= 0.5
            if step < SHORTEST_STEP:
                break
    return done


@inlined
def solve_changed(f, tol):
    """Solve after an event: from the last voltage, else from no load, else by continuation from there.

    Returns
    -------
    float
        Fraction of the way from no load that is solvable; 1 where solved.
    """
    set_emf(f.emf, f.params, f.sizes[N_FREE], f.u, f.v)
    for attempt in range(3):
        if attempt == 0 and f.flags[COLD] != 0:
            continue
        if attempt > 0:
            set_all(f.v, 1.0)
            set_all(f.current, 0.0)
            set_emf(f.emf, f.params, f.sizes[N_FREE], f.u, f.v)
            if not linearize(f, 0.0):
                return 0.0
            set_v(2 * f.sizes[N_FREE], f.u, f.response, f.current, f.v)
        if attempt < 2 and linearize(f, 1.0) and newton(f, 1.0, tol):
            return 1.0
    copy_to(f.v_save, f.v)
    copy_to(f.current_save, f.current)
    return walk(f, 0.0, tol)


@inner
def finish(f, done):
    """Write what the solve found into the result arrays; return its status."""
    n_dead = 0
    for i in range(f.sizes[N_NODE]):
        x, y = f.v[2 * i], f.v[2 * i + 1]
        f.vm2[i] = x * x + y * y
    for k in range(f.sizes[N_DC]):
        f.port_last[k, LAST_P], f.port_last[k, LAST_Q] = f.port_p_mw[k], f.port_q_mvar[k]
        i = f.port_node[k]
        if i < 0:
            n_dead += 1
            f.port_vm_pu[k] = f.port_p_solved_mw[k] = f.port_q_solved_mvar[k] = 0.0
            continue
        x, y, cx, cy = f.v[2 * i], f.v[2 * i + 1], f.current[2 * k], f.current[2 * k + 1]
        f.port_vm_pu[k] = math.sqrt(f.vm2[i])
        f.port_p_solved_mw[k] = x * cx + y * cy
        f.port_q_solved_mvar[k] = y * cx - x * cy
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
    set_request(f, 1.0, 0.0, 0.0)
    if f.flags[DIRTY] != 0:
        done = solve_changed(f, tol)
    else:
        copy_to(f.v_save, f.v)
        copy_to(f.current_save, f.current)
        if f.flags[N_SPENT] > WORTH:
            linearize(f, 1.0)
        done = 1.0 if newton(f, 1.0, tol) else walk(f, 1.0, tol)
    if done < 1.0:
        copy_to(f.v, f.v_save)
        copy_to(f.current, f.current_save)
    return finish(f, done)
