# mypy: ignore-errors
"""Exact solution of the ports on a linear network: data centers (P, Q) and generators (P, |U|).

Arguments are named as the fields of `FeederArrays` they stand for.
"""

from __future__ import annotations

import math

from cosim.feeder.arrays import (
    PORT_GEN_EX,
    PORT_GEN_EY,
    PORT_GEN_HELD,
    PORT_GEN_P,
    PORT_GEN_R,
    PORT_GEN_VM,
    PORT_GEN_X,
    PORT_P,
    PORT_Q,
    PORT_V_MIN,
)
from cosim.feeder.kernel_legs import TINY, voltage_across
from cosim.feeder.kernel_lu import solve_dense
from cosim.jit import inner

PORT_ITERATIONS = 25
GENTLE = 0.5
"""Contraction of sweeps over the ports below which Newton's method is not needed. [1]"""
MAX_SWEEPS = 16
ROUGHLY = 1e-3
"""Part of the first change of the currents that may be left where u is to move anyway. [1]"""


@inner
def port_current(p, q, v_min, x, y):
    """Current of a data center and its slope at voltage (x, y).

    Constant power from v_min up, constant current below: S = (p + jq) min(1, |U| / v_min).

    Returns
    -------
    tuple of float
        Current (ix, iy) and d(ix, iy)/d(x, y) row by row. [pu]
    """
    m = max(x * x + y * y, TINY)
    if m < v_min * v_min:
        c = 1.0 / (math.sqrt(m) * v_min)
        slope = -c / m
    else:
        c = 1.0 / m
        slope = -2.0 * c / m
    ix, iy = p * x + q * y, p * y - q * x
    sx, sy = slope * ix, slope * iy
    return c * ix, c * iy, c * p + sx * x, c * q + sx * y, -c * q + sy * x, c * p + sy * y


@inner
def solve_one_port(i, law, u, z, current, tol):
    """Newton on the current of a single data center at row i of a balanced feeder.

    Returns
    -------
    float
        Determinant of its equations: 1 at no load, 0 at the nose, negative behind it; 0 also where
        no solution was found.
    """
    p, q, v_min = law[0, PORT_P], law[0, PORT_Q], law[0, PORT_V_MIN]
    b00, b01, b10, b11 = z[0, 0], z[0, 1], z[1, 0], z[1, 1]
    ux, uy = u[2 * i], u[2 * i + 1]
    cx, cy = current[0], current[1]
    last = False
    for _ in range(PORT_ITERATIONS):
        x, y = ux - b00 * cx - b01 * cy, uy - b10 * cx - b11 * cy
        ix, iy, d00, d01, d10, d11 = port_current(p, q, v_min, x, y)
        rx, ry = cx - ix, cy - iy
        j00, j01 = 1.0 + d00 * b00 + d01 * b10, d00 * b01 + d01 * b11
        j10, j11 = d10 * b00 + d11 * b10, 1.0 + d10 * b01 + d11 * b11
        det = j00 * j11 - j01 * j10
        if not (det != 0.0 and abs(det) < 1e300):
            return 0.0
        cx -= (j11 * rx - j01 * ry) / det
        cy -= (j00 * ry - j10 * rx) / det
        if last:
            current[0], current[1] = cx, cy
            return det
        r = abs(rx) + abs(ry)
        last = r * r < 1e-3 * tol * (abs(cx) + abs(cy) + tol)
    return 0.0


@inner
def sweep_ports(port_row, law, u, z, current, tol, is_rough):
    """Currents of data centers by sweeps that set one after the other from the voltage which the others leave it.

    A sweep contracts by the greatest row of M at least, the port equations being I + M there; row k is at most
    sqrt(2) |S| / |U|^2 times the sums over rows of z. Below 1 that also says that their determinant is positive. What
    the port before has just been set to is added last: all else of a port's voltage need not wait for it.

    Returns
    -------
    bool
        False where that is not well below 1, or sweeps were many: then Newton's method is wanted.
    """
    m2 = 2 * port_row.shape[0]
    enough = 0.2 * tol
    for sweep in range(MAX_SWEEPS):
        moved, steepest = 0.0, 0.0
        for k in range(port_row.shape[0]):
            r, i, j = 2 * k, port_row[k, 0], port_row[k, 1]
            if i < 0:
                current[r] = current[r + 1] = 0.0
                continue
            x, y = u[2 * i], u[2 * i + 1]
            if j >= 0:
                x -= u[2 * j]
                y -= u[2 * j + 1]
            for a in range(r, m2, 2):
                x = x - z[r, a] * current[a] - z[r, a + 1] * current[a + 1]
                y = y - z[r + 1, a] * current[a] - z[r + 1, a + 1] * current[a + 1]
            for a in range(0, r, 2):
                x = x - z[r, a] * current[a] - z[r, a + 1] * current[a + 1]
                y = y - z[r + 1, a] * current[a] - z[r + 1, a + 1] * current[a + 1]
            p, q, v_min = law[k, PORT_P], law[k, PORT_Q], law[k, PORT_V_MIN]
            m = x * x + y * y
            if m >= max(v_min * v_min, TINY):
                c = 1.0 / m
            else:
                m = max(m, TINY)
                c = 1.0 / m if m >= v_min * v_min else 1.0 / (math.sqrt(m) * v_min)
            ix, iy = c * (p * x + q * y), c * (p * y - q * x)
            moved += abs(ix - current[r]) + abs(iy - current[r + 1])
            current[r], current[r + 1] = ix, iy
            steepest = max(steepest, 1.5 * (abs(p) + abs(q)) * c * z[r, m2])
        if not steepest < GENTLE:
            return False
        if is_rough and sweep == 0:
            enough = max(enough, ROUGHLY * moved)
        if 2.0 * steepest * moved <= enough:
            return True
    return False


@inner
def port_bound(port_row, law, v, z):
    """Bound of `port_norm` by the sizes of powers and rows of z: what `sweep_ports` contracts by at least."""
    steepest = 0.0
    for k in range(port_row.shape[0]):
        if port_row[k, 0] < 0:
            continue
        x, y = voltage_across(port_row, v, k)
        m = max(x * x + y * y, TINY)
        m = max(m, math.sqrt(m) * law[k, PORT_V_MIN])
        steepest = max(steepest, 1.5 * (abs(law[k, PORT_P]) + abs(law[k, PORT_Q])) * z[2 * k, z.shape[1] - 1] / m)
    return steepest


@inner
def port_norm(port_row, law, v, z):
    """Lesser of the row and column norms of M, the Jacobian of data centers' port equations being I + M."""
    n = port_row.shape[0]
    by_row = 0.0
    by_column = 0.0
    for a in range(2 * n):
        column = 0.0
        for k in range(n):
            if port_row[k, 0] >= 0:
                x, y = voltage_across(port_row, v, k)
                _, _, d00, d01, d10, d11 = port_current(law[k, PORT_P], law[k, PORT_Q], law[k, PORT_V_MIN], x, y)
                gx, gy = z[2 * k, a], z[2 * k + 1, a]
                column += abs(d00 * gx + d01 * gy) + abs(d10 * gx + d11 * gy)
        by_column = max(by_column, column)
    for k in range(n):
        if port_row[k, 0] < 0:
            continue
        x, y = voltage_across(port_row, v, k)
        _, _, d00, d01, d10, d11 = port_current(law[k, PORT_P], law[k, PORT_Q], law[k, PORT_V_MIN], x, y)
        row0, row1 = 0.0, 0.0
        for a in range(2 * n):
            gx, gy = z[2 * k, a], z[2 * k + 1, a]
            row0 += abs(d00 * gx + d01 * gy)
            row1 += abs(d10 * gx + d11 * gy)
        by_row = max(by_row, row0, row1)
    return min(by_row, by_column)


@inner
def port_equations(port_row, law, u, z, current, jac, n_dc_port, lam):
    """Fill jac with the Jacobian of the port equations and their residual; return its 1-norm.

    A phase of a data center: current - S*/U* = 0. A generator: Re(U I*) + lam p = 0 and |U|^2 - vm^2 = 0; beside a
    fault U - z I - E = 0.
    The determinant is positive at no load (a generator's is twice the reactance seen from it).
    """
    m2 = 2 * port_row.shape[0]
    total = 0.0
    for k in range(port_row.shape[0]):
        r, i, j = 2 * k, port_row[k, 0], port_row[k, 1]
        if i < 0:
            for a in range(m2):
                jac[r, a] = jac[r + 1, a] = 0.0
            jac[r, r] = jac[r + 1, r + 1] = 1.0
            jac[r, m2], jac[r + 1, m2] = current[r], current[r + 1]
            continue
        cx, cy = current[r], current[r + 1]
        x, y = u[2 * i], u[2 * i + 1]
        if j >= 0:
            x -= u[2 * j]
            y -= u[2 * j + 1]
        for a in range(m2):
            x -= z[r, a] * current[a]
            y -= z[r + 1, a] * current[a]
        if k < n_dc_port:
            ix, iy, d00, d01, d10, d11 = port_current(law[k, PORT_P], law[k, PORT_Q], law[k, PORT_V_MIN], x, y)
            e0, e1 = cx - ix, cy - iy
            own00, own01, own10, own11 = 1.0, 0.0, 0.0, 1.0
        elif law[k, PORT_GEN_HELD] == 1.0:
            zr, zx = law[k, PORT_GEN_R], law[k, PORT_GEN_X]
            d00, d01, d10, d11 = -1.0, 0.0, 0.0, -1.0
            e0 = x - zr * cx + zx * cy - law[k, PORT_GEN_EX]
            e1 = y - zr * cy - zx * cx - law[k, PORT_GEN_EY]
            own00, own01, own10, own11 = -zr, zx, -zx, -zr
        else:
            d00, d01, d10, d11 = -cx, -cy, -2.0 * x, -2.0 * y
            e0 = x * cx + y * cy + lam * law[k, PORT_GEN_P]
            e1 = x * x + y * y - law[k, PORT_GEN_VM] ** 2
            own00, own01, own10, own11 = x, y, 0.0, 0.0
        for a in range(m2):
            jac[r, a] = d00 * z[r, a] + d01 * z[r + 1, a]
            jac[r + 1, a] = d10 * z[r, a] + d11 * z[r + 1, a]
        jac[r, r] += own00
        jac[r, r + 1] += own01
        jac[r + 1, r] += own10
        jac[r + 1, r + 1] += own11
        jac[r, m2], jac[r + 1, m2] = e0, e1
        total += abs(e0) + abs(e1)
    return total


@inner
def solve_ports(port_row, law, u, z, current, jac, n_dc_port, lam, tol, is_rough):
    """Port currents for the powers in `law` on the linear network seen from the ports; roughly, where u is to move.

    Returns
    -------
    float
        Determinant of the port equations for a single balanced data center, else its sign; 0 where no
        solution was found.
    """
    m = port_row.shape[0]
    if m == 0:
        return 1.0
    if m == 1 and n_dc_port == 1 and port_row[0, 0] >= 0 and port_row[0, 1] < 0:
        return solve_one_port(port_row[0, 0], law, u, z, current, tol)
    if m == n_dc_port and sweep_ports(port_row, law, u, z, current, tol, is_rough):
        return 1.0
    last = False
    for _ in range(PORT_ITERATIONS):
        r = port_equations(port_row, law, u, z, current, jac, n_dc_port, lam)
        if not r < 1e30:
            return 0.0
        sign = solve_dense(jac, 2 * m, 1)
        if sign == 0.0:
            return 0.0
        size = 0.0
        for a in range(2 * m):
            current[a] -= jac[a, 2 * m]
            size += abs(current[a])
        if last:
            return sign
        last = r * r < 1e-3 * tol * (size + tol)
    return 0.0
