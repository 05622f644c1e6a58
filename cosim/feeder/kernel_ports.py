# mypy: ignore-errors
"""Exact solution of the ports on a linear network: data centers (P, Q) and generators (P, |U|)."""

from __future__ import annotations

import math

from cosim.feeder.arrays import N_DC, N_FREE, N_PORT
from cosim.feeder.kernel_lu import solve_dense
from cosim.jit import njit

PORT_ITERATIONS = 25


@njit
def port_current(p, q, v_min, x, y):
    """Current of a data center and its slope at voltage (x, y).

    Constant power from v_min up, constant current below: S = (p + jq) min(1, |U| / v_min).

    Returns
    -------
    tuple of float
        Current (ix, iy) and d(ix, iy)/d(x, y) row by row. [pu]
    """
    m = x * x + y * y
    if m < v_min * v_min:
        u = math.sqrt(m)
        c = 1.0 / (u * v_min)
        slope = -c / m
    else:
        c = 1.0 / m
        slope = -2.0 * c / m
    ix, iy = p * x + q * y, p * y - q * x
    sx, sy = slope * ix, slope * iy
    return c * ix, c * iy, c * p + sx * x, c * q + sx * y, -c * q + sy * x, c * p + sy * y


@njit
def solve_one_port(f, tol):
    """Newton on the current of a single data center; returns the determinant, 0 where none was found."""
    i = f.port_node[0]
    if i < 0:
        f.current[:] = 0.0
        return 1.0
    p, q, v_min = f.p_try[0], f.q_try[0], f.port_v_min_pu[0]
    b00, b01 = f.response[0, 2 * i], f.response[1, 2 * i]
    b10, b11 = f.response[0, 2 * i + 1], f.response[1, 2 * i + 1]
    ux, uy = f.u[2 * i], f.u[2 * i + 1]
    cx, cy = f.current[0], f.current[1]
    last = False
    for _ in range(PORT_ITERATIONS):
        x, y = ux - b00 * cx - b01 * cy, uy - b10 * cx - b11 * cy
        ix, iy, d00, d01, d10, d11 = port_current(p, q, v_min, x, y)
        rx, ry = cx - ix, cy - iy
        j00, j01 = 1.0 + d00 * b00 + d01 * b10, d00 * b01 + d01 * b11
        j10, j11 = d10 * b00 + d11 * b10, 1.0 + d10 * b01 + d11 * b11
        det = j00 * j11 - j01 * j10
        if det == 0.0 or det != det:
            return 0.0
        cx -= (j11 * rx - j01 * ry) / det
        cy -= (j00 * ry - j10 * rx) / det
        if last:
            f.current[0], f.current[1] = cx, cy
            return det
        r = abs(rx) + abs(ry)
        last = r * r < 1e-3 * tol * (abs(cx) + abs(cy) + tol)
    return 0.0


@njit
def port_voltage(f, k):
    """Voltage at port k under the present port currents. [pu]"""
    i = f.port_node[k]
    x, y = f.u[2 * i], f.u[2 * i + 1]
    if i < f.sizes[N_FREE]:
        for a in range(2 * f.sizes[N_PORT]):
            x -= f.response[a, 2 * i] * f.current[a]
            y -= f.response[a, 2 * i + 1] * f.current[a]
    return x, y


@njit
def port_equations(f, lam):
    """Fill f.jac with the Jacobian of the port equations and their residual; return its 1-norm.

    A data center: current - S*/U* = 0. A generator: Re(U I*) + p = 0 and |U|^2 - vm^2 = 0. The
    determinant is positive at no load (a generator's is twice the reactance seen from it).
    """
    m, d = f.sizes[N_PORT], f.sizes[N_DC]
    f.jac[:] = 0.0
    total = 0.0
    for k in range(m):
        r, i = 2 * k, 2 * f.port_node[k]
        if i < 0:
            f.jac[r, r] = f.jac[r + 1, r + 1] = 1.0
            f.jac[r, 2 * m], f.jac[r + 1, 2 * m] = f.current[r], f.current[r + 1]
            continue
        x, y = port_voltage(f, k)
        cx, cy = f.current[r], f.current[r + 1]
        if k < d:
            ix, iy, d00, d01, d10, d11 = port_current(f.p_try[k], f.q_try[k], f.port_v_min_pu[k], x, y)
            e0, e1 = cx - ix, cy - iy
            f.jac[r, r] = f.jac[r + 1, r + 1] = 1.0
        else:
            d00, d01, d10, d11 = -cx, -cy, -2.0 * x, -2.0 * y
            e0, e1 = x * cx + y * cy + lam * f.gen_p_mw[k], x * x + y * y - f.gen_vm_pu[k] ** 2
            f.jac[r, r], f.jac[r, r + 1] = x, y
        if i < 2 * f.sizes[N_FREE]:
            for a in range(2 * m):
                gx, gy = f.response[a, i], f.response[a, i + 1]
                f.jac[r, a] += d00 * gx + d01 * gy
                f.jac[r + 1, a] += d10 * gx + d11 * gy
        f.jac[r, 2 * m], f.jac[r + 1, 2 * m] = e0, e1
        total += abs(e0) + abs(e1)
    return total


@njit
def solve_ports(f, lam, tol):
    """Port currents for f.p_try, f.q_try on the linear network seen from the ports.

    Returns
    -------
    float
        Determinant of the port equations for a single data center, else its sign; 0 where no
        solution was found.
    """
    m = f.sizes[N_PORT]
    if m == 0:
        return 1.0
    if m == 1 and f.sizes[N_DC] == 1:
        return solve_one_port(f, tol)
    last = False
    for _ in range(PORT_ITERATIONS):
        r = port_equations(f, lam)
        if not r < 1e30:
            return 0.0
        sign = solve_dense(f.jac, 2 * m)
        if sign == 0.0:
            return 0.0
        size = 0.0
        for a in range(2 * m):
            f.current[a] -= f.jac[a, 2 * m]
            size += abs(f.current[a])
        if last:
            return sign
        last = r * r < 1e-3 * tol * (size + tol)
    return 0.0
