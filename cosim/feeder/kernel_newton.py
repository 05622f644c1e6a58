"""Newton's method of the power flow, on a factorized linearization; numbers and arrays only.

docs/feeder.md has the equations.
"""

from __future__ import annotations

import math

from cosim.feeder.arrays import (
    LAST_P,
    LAST_Q,
    N_ANEW,
    N_DC,
    N_FACTORED,
    N_FREE,
    N_FURTHER,
    N_GROUND_LEG,
    N_LEG,
    N_MOVES,
    N_PORT,
    N_SPENT,
    PORT_P,
    PORT_Q,
    PORT_V_MIN,
    SIGN,
    STALE,
)
from cosim.feeder.kernel_legs import add_slopes, leg_remainders, set_slopes, subtract_slopes, voltage_across
from cosim.feeder.kernel_lu import copy_to, factorize, fill_matrix, multiply, set_all, settle_zones, solve_factored
from cosim.feeder.kernel_ports import solve_ports
from cosim.jit import inner, njit

SLOW = 0.3
"""Contraction of the residual above which the loads are linearized anew. [1]"""
STEEP = 0.3
"""Determinant of the port equations (1 at no load, 0 at the nose) below which likewise. [1]"""
REFRESH = 64
"""Updates of u by differences before it is held to the whole of Kirchhoff's law again."""
MAX_ITERATIONS = 40
MAX_JUMP_PU = 0.02
"""Change of a port's voltage from the last solution up to which a solution counts as its neighbour, where nothing else
says that it lies on the same branch. [pu]"""


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
    leg_remainders(f.leg_fast, f.leg_law, f.leg_row, f.leg_block, f.sizes[N_GROUND_LEG], f.sizes[N_LEG], lam, f.v, f.h)
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
        sum_x, sum_y = 0.0, 0.0
        for a in range(2 * f.sizes[N_PORT]):
            zx, zy = 0.0, 0.0
            if f.port_row[k, 0] >= 0:
                zx, zy = voltage_across(f.port_row, f.response[a], k)
            f.port_z[2 * k, a], f.port_z[2 * k + 1, a] = zx, zy
            sum_x += abs(zx)
            sum_y += abs(zy)
        f.port_z[2 * k, 2 * f.sizes[N_PORT]] = f.port_z[2 * k + 1, 2 * f.sizes[N_PORT]] = max(sum_x, sum_y)


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
    f.flags[N_ANEW] += 1
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
    if current.size == 0:
        for i in range(n):
            v[i] = u[i]
        return
    cx, cy, g, h = current[0], current[1], response[0], response[1]
    for i in range(n):
        v[i] = u[i] - g[i] * cx - h[i] * cy
    for a in range(2, current.size, 2):
        cx, cy, g, h = current[a], current[a + 1], response[a], response[a + 1]
        if cx != 0.0 or cy != 0.0:
            for i in range(n):
                v[i] -= g[i] * cx + h[i] * cy


@inner
def newton(f, lam, tol):
    """Solve for the powers in f.port_law, with the feeder's own powers times lam.

    Where digits below `tol` are wanted, N_FURTHER says how often u is held to the whole of Kirchhoff's law beyond it.

    Returns
    -------
    bool
        Whether a solution on the upper branch was found; f.v then holds it.
    """
    n_free, n_dc_port = f.sizes[N_FREE], f.site_ptr[f.sizes[N_DC]]
    n_ground, n_leg = f.sizes[N_GROUND_LEG], f.sizes[N_LEG]
    before, fresh, further = math.inf, False, f.flags[N_FURTHER]
    if f.flags[STALE] > REFRESH:
        improve_u(f)
        f.flags[STALE] = 0
    for iteration in range(MAX_ITERATIONS):
        is_rough = iteration == 0 and f.sizes[N_PORT] > 1 and f.flags[N_MOVES] > 0  # as the last time
        det = solve_ports(f.port_row, f.port_law, f.u, f.port_z, f.current, f.jac, n_dc_port, lam, tol, is_rough)
        anew = det == 0.0
        if not anew:
            set_v(2 * n_free, f.u, f.response, f.current, f.v)
            leg_remainders(f.leg_fast, f.leg_law, f.leg_row, f.leg_block, n_ground, n_leg, lam, f.v, f.rhs)
            residual = 0.0
            for i in range(2 * n_free):
                residual += abs(f.rhs[i] - f.h[i])
            if not residual < 1e30:
                return False
            if residual <= tol and is_rough:
                continue
            if residual <= tol:
                det *= f.flags[SIGN]  # where generators hold up heavy loads both are negative
                upper = det > 0.0
                if upper and further > 0:
                    further -= 1
                    copy_to(f.h, f.rhs)
                    improve_u(f)
                    f.flags[STALE] = 0
                    continue
                if upper and (fresh or det > STEEP):
                    f.flags[N_SPENT] += max(iteration - 1, 0)
                    f.flags[N_MOVES] = iteration
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
