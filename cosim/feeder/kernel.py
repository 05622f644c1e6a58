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
    LS_FRACTION,
    LS_P_MW,
    N_DC,
    N_FACTORED,
    N_FREE,
    N_LOAD_FREE,
    N_NODE,
    N_PORT,
    N_SOLVED,
    OK,
    SIGN,
    SOURCE_ON,
    STATUS,
)
from cosim.feeder.kernel_lu import factorize, fill_matrix, solve_factored
from cosim.feeder.kernel_ports import solve_ports
from cosim.jit import njit

RESIDUAL = 1e-10
"""Sum of current residuals that counts as solved, against the power in the feeder. [1]"""
SLOW = 0.3
"""Contraction of the residual above which the loads are linearized anew. [1]"""
STEEP = 0.3
"""Determinant of the port equations (1 at no load, 0 at the nose) below which likewise. [1]"""
MAX_ITERATIONS = 40
SHORTEST_STEP = 1e-6
"""Continuation gives up on steps shorter than this fraction of the way. [1]"""


@njit
def load_factors(f, k, m):
    """Factors of constant power and constant current on load k at |U|^2 = m, per |U|^2."""
    vmin = f.params[0]
    power = 1.0 / max(m, vmin * vmin)
    current = 0.0
    if f.load_s[k, 2] != 0.0 or f.load_s[k, 3] != 0.0:
        current = 1.0 / math.sqrt(m)
    return power, current


@njit
def linearize(f, lam):
    """Linearize the loads (times lam) at the present voltage, factorize, and get the responses.

    Returns
    -------
    bool
        Whether the matrix is regular.
    """
    n, vmin = f.sizes[N_FREE], f.params[0]
    fill_matrix(f)
    for k in range(f.sizes[N_LOAD_FREE]):
        i = f.load_node[k]
        x, y = f.v[2 * i], f.v[2 * i + 1]
        m = x * x + y * y
        cp, ci = load_factors(f, k, m)
        p = lam * (f.load_s[k, 0] * cp + f.load_s[k, 2] * ci)
        q = lam * (f.load_s[k, 1] * cp + f.load_s[k, 3] * ci)
        dp = -2.0 * cp / m if m > vmin * vmin else 0.0
        di = -ci / m
        sp = lam * (f.load_s[k, 0] * dp + f.load_s[k, 2] * di)
        sq = lam * (f.load_s[k, 1] * dp + f.load_s[k, 3] * di)
        ax, ay = sp * x + sq * y, sp * y - sq * x
        f.d_load[k, 0], f.d_load[k, 1] = p + ax * x, q + ax * y
        f.d_load[k, 2], f.d_load[k, 3] = -q + ay * x, p + ay * y
        for e in range(4):
            f.lu_diag[i, e] += f.d_load[k, e]
    f.flags[SIGN] = factorize(f)
    f.flags[N_FACTORED] += 1
    f.v_base[:] = f.v
    if f.flags[SIGN] == 0:
        return False
    for a in range(f.sizes[N_PORT]):
        for e in range(2):
            row = f.response[2 * a + e]
            row[:] = 0.0
            if 0 <= f.port_node[a] < n:
                row[2 * f.port_node[a] + e] = 1.0
                solve_factored(f, row[: 2 * n])
    load_residual(f, lam)
    set_u(f)
    return True


@njit
def set_u(f):
    """Take f.rhs as the new load remainder h and solve for the voltages without port currents."""
    n = 2 * f.sizes[N_FREE]
    for i in range(n):
        f.h[i] = f.rhs[i]
        f.rhs[i] = -f.rhs[i]
    for t in range(f.tie_node.shape[0]):
        i, s = 2 * f.tie_node[t, 0], 2 * f.tie_node[t, 1]
        x, y = f.u[s], f.u[s + 1]
        f.rhs[i] -= f.tie_y[t, 0] * x - f.tie_y[t, 1] * y
        f.rhs[i + 1] -= f.tie_y[t, 0] * y + f.tie_y[t, 1] * x
    solve_factored(f, f.rhs)
    f.u[:n] = f.rhs


@njit
def set_emf(f):
    """Voltages of the source nodes under the present dip."""
    n = f.sizes[N_FREE]
    c = f.source[0] * math.cos(f.source[1])
    s = f.source[0] * math.sin(f.source[1])
    for k in range(f.sizes[N_NODE] - n):
        x, y = f.emf[2 * k], f.emf[2 * k + 1]
        i = 2 * (n + k)
        f.u[i], f.u[i + 1] = c * x - s * y, c * y + s * x
        f.v[i], f.v[i + 1] = f.u[i], f.u[i + 1]


@njit
def set_v(f):
    """Node voltages from u and the port currents."""
    n = 2 * f.sizes[N_FREE]
    if f.sizes[N_PORT] == 1:
        g, h, cx, cy = f.response[0], f.response[1], f.current[0], f.current[1]
        for i in range(n):
            f.v[i] = f.u[i] - g[i] * cx - h[i] * cy
        return
    f.v[:n] = f.u[:n]
    for a in range(2 * f.sizes[N_PORT]):
        c, g = f.current[a], f.response[a]
        if c != 0.0:
            for i in range(n):
                f.v[i] -= g[i] * c


@njit
def load_residual(f, lam):
    """Put the load remainder at the present voltage into f.rhs; return the 1-norm of KCL's residual."""
    f.rhs[:] = 0.0
    residual = 0.0
    for k in range(f.sizes[N_LOAD_FREE]):
        i = f.load_node[k]
        x, y = f.v[2 * i], f.v[2 * i + 1]
        cp, ci = load_factors(f, k, x * x + y * y)
        p = lam * (f.load_s[k, 0] * cp + f.load_s[k, 2] * ci)
        q = lam * (f.load_s[k, 1] * cp + f.load_s[k, 3] * ci)
        hx = p * x + q * y - f.d_load[k, 0] * x - f.d_load[k, 1] * y
        hy = p * y - q * x - f.d_load[k, 2] * x - f.d_load[k, 3] * y
        f.rhs[2 * i], f.rhs[2 * i + 1] = hx, hy
        residual += abs(hx - f.h[2 * i]) + abs(hy - f.h[2 * i + 1])
    return residual


@njit
def newton(f, lam, tol):
    """Solve for the powers in f.p_try, f.q_try, with the feeder's own powers times lam.

    Returns
    -------
    bool
        Whether a solution on the upper branch was found; f.v then holds it.
    """
    residual, before, fresh = 0.0, math.inf, False
    for _ in range(MAX_ITERATIONS):
        det = solve_ports(f, lam, tol)
        if det == 0.0 or det != det:
            if fresh or not linearize(f, lam):
                return False
            fresh = True
            continue
        set_v(f)
        residual = load_residual(f, lam)
        if not residual < 1e30:
            return False
        if residual <= tol:
            upper = det * f.flags[SIGN] > 0.0
            if upper and (fresh or det > STEEP):
                return True
            if fresh:
                return False
            fresh = True
            if not linearize(f, lam):
                return False
            before = math.inf
        elif residual > SLOW * before:
            fresh = True
            if not linearize(f, lam):
                return False
            before = residual
        else:
            before = residual
            set_u(f)
    return False


@njit
def walk(f, lam_from, tol):
    """Continue from the saved solution (at p_last, q_last, lam_from) to the request, in short steps.

    Returns
    -------
    float
        Fraction of the way that is solvable; 1 where the request was reached.
    """
    d = f.sizes[N_DC]
    done, step = 0.0, 0.5
    while done < 1.0:
        to = min(1.0, done + step)
        for k in range(d):
            f.p_try[k] = f.p_last[k] + to * (f.port_p_mw[k] - f.p_last[k])
            f.q_try[k] = f.q_last[k] + to * (f.port_q_mvar[k] - f.q_last[k])
        lam = lam_from + to * (1.0 - lam_from)
        f.v[:] = f.v_save
        f.current[:] = f.current_save
        if linearize(f, lam_from + done * (1.0 - lam_from)) and newton(f, lam, tol):
            done = to
            step *= 2.0
            f.v_save[:] = f.v
            f.current_save[:] = f.current
        else:
            step *= 0.5
            if step < SHORTEST_STEP:
                break
    return done


@njit
def start_unloaded(f):
    """Move to the solution without loads, data centers and generation: a linear one."""
    f.v[:] = 1.0
    f.current[:] = 0.0
    set_emf(f)
    if not linearize(f, 0.0):
        return False
    set_v(f)
    return True


@njit
def solve_changed(f, tol):
    """Solve after an event: from the last voltage, else from no load, else by continuation from there.

    Returns
    -------
    float
        Fraction of the way from no load that is solvable; 1 where solved.
    """
    if f.flags[COLD] == 0 and linearize(f, 1.0) and newton(f, 1.0, tol):
        return 1.0
    if start_unloaded(f) and linearize(f, 1.0) and newton(f, 1.0, tol):
        return 1.0
    start_unloaded(f)
    f.p_last[:] = 0.0
    f.q_last[:] = 0.0
    f.v_save[:] = f.v
    f.current_save[:] = 0.0
    return walk(f, 0.0, tol)


@njit
def finish(f, status):
    """Write what the solve found into the result arrays."""
    n_dead = 0
    f.flags[BOUND_READY] = 0
    f.flags[N_SOLVED] += 1
    for i in range(f.sizes[N_NODE]):
        x, y = f.v[2 * i], f.v[2 * i + 1]
        f.vm2[i] = x * x + y * y
    for k in range(f.sizes[N_DC]):
        f.p_last[k], f.q_last[k] = f.port_p_mw[k], f.port_q_mvar[k]
        i = f.port_node[k]
        if i < 0:
            n_dead += 1
            f.port_vm_pu[k] = f.port_p_solved_mw[k] = f.port_q_solved_mvar[k] = 0.0
            continue
        x, y, cx, cy = f.v[2 * i], f.v[2 * i + 1], f.current[2 * k], f.current[2 * k + 1]
        f.port_vm_pu[k] = math.sqrt(f.vm2[i])
        f.port_p_solved_mw[k] = x * cx + y * cy
        f.port_q_solved_mvar[k] = y * cx - x * cy
    if status == OK and n_dead > 0 and n_dead == f.sizes[N_DC]:
        status = DEAD
    f.flags[DIRTY] = 1 if status == COLLAPSED else 0
    f.flags[COLD] = 1 if status == COLLAPSED else 0
    f.flags[STATUS] = status
    return status


@njit
def go_dark(f):
    """No source: nothing is energized. Voltages stay in f.v as the start for the source's return."""
    f.vm2[:] = 0.0
    f.port_vm_pu[:] = 0.0
    f.port_p_solved_mw[:] = 0.0
    f.port_q_solved_mvar[:] = 0.0
    f.totals[:] = 0.0
    f.flags[STATUS] = DEAD
    return DEAD


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
        return go_dark(f)
    scale = f.params[1]
    for k in range(f.sizes[N_DC]):
        f.p_try[k], f.q_try[k] = f.port_p_mw[k], f.port_q_mvar[k]
        scale += abs(f.p_try[k]) + abs(f.q_try[k])
    tol = RESIDUAL * scale
    if f.flags[DIRTY] != 0:
        set_emf(f)
        done = solve_changed(f, tol)
    else:
        f.v_save[:] = f.v
        f.current_save[:] = f.current
        done = 1.0 if newton(f, 1.0, tol) else walk(f, 1.0, tol)
    if done < 1.0:
        return collapse(f, done)
    return finish(f, OK)


@njit
def collapse(f, done):
    """Go back to the last solvable point and say how far it is."""
    f.v[:] = f.v_save
    f.current[:] = f.current_save
    f.last_solvable[LS_FRACTION] = done
    status = finish(f, COLLAPSED)
    f.last_solvable[LS_P_MW] = f.port_p_solved_mw.sum()
    return status
