# mypy: ignore-errors
"""What follows from a solved feeder: balance, rows for the log, bound on the effect of a change."""

from __future__ import annotations

import math

from cosim.feeder.arrays import (
    BOUND_READY,
    COLLAPSED,
    DIRTY,
    N_BRANCH,
    N_DC,
    N_FREE,
    N_LINE,
    N_LOAD,
    N_NODE,
    N_PORT,
    N_TRAFO,
    N_TRAFO3W,
    P_GEN,
    P_LOAD,
    P_LOSS,
    P_SHUNT,
    P_SOURCE,
    Q_GEN,
    Q_LOAD,
    Q_LOSS,
    Q_SOURCE,
    SOURCE_ON,
    STATUS,
)
from cosim.feeder.kernel import load_factors
from cosim.feeder.kernel_lu import solve_dense
from cosim.feeder.kernel_ports import port_equations
from cosim.jit import njit


@njit
def end_current(f, b, end):
    """Current into branch b at its from (0) or to (1) end. [pu]"""
    i, j = f.branch_node[b, end], f.branch_node[b, 1 - end]
    if i < 0:
        return 0.0, 0.0
    own, other = (0, 2) if end == 0 else (6, 4)
    y = f.branch_y[b]
    vx, vy = f.v[2 * i], f.v[2 * i + 1]
    cx = y[own] * vx - y[own + 1] * vy
    cy = y[own] * vy + y[own + 1] * vx
    if j >= 0:
        wx, wy = f.v[2 * j], f.v[2 * j + 1]
        cx += y[other] * wx - y[other + 1] * wy
        cy += y[other] * wy + y[other + 1] * wx
    return cx, cy


@njit
def end_power(f, b, end):
    """Power into branch b at one end. [MW, Mvar]"""
    i = f.branch_node[b, end]
    if i < 0:
        return 0.0, 0.0
    cx, cy = end_current(f, b, end)
    x, y = f.v[2 * i], f.v[2 * i + 1]
    return x * cx + y * cy, y * cx - x * cy


@njit
def add_to_source(f, i, p, q):
    """Power that leaves node i is the source's where node i is its ideal source's."""
    if i >= f.sizes[N_FREE]:
        f.totals[P_SOURCE] += p
        f.totals[Q_SOURCE] += q


@njit
def add_loads(f):
    """Loads, generation and shunts as they draw now."""
    t = f.totals
    for k in range(f.sizes[N_LOAD]):
        i = f.load_node[k]
        m = f.v[2 * i] ** 2 + f.v[2 * i + 1] ** 2
        cp, ci = load_factors(f, k, m)
        s = f.load_s[k]
        gp, gq = f.load_gen[k, 0] * cp * m, f.load_gen[k, 1] * cp * m
        p, q = (s[0] * cp + s[2] * ci) * m, (s[1] * cp + s[3] * ci) * m
        t[P_LOAD] += p + gp
        t[Q_LOAD] += q + gq
        t[P_GEN] += gp
        t[Q_GEN] += gq
        add_to_source(f, i, p, q)
    for i in range(f.sizes[N_NODE]):
        m = f.v[2 * i] ** 2 + f.v[2 * i + 1] ** 2
        p, q = f.shunt[i, 0] * m, f.shunt[i, 1] * m
        t[P_SHUNT] += p
        p, q = p + f.load_z[i, 0] * m, q + f.load_z[i, 1] * m
        t[P_LOAD] += p
        t[Q_LOAD] += q
        add_to_source(f, i, p, q)
    for k in range(f.sizes[N_PORT]):
        i = f.port_node[k]
        if i < 0:
            continue
        x, y, cx, cy = f.v[2 * i], f.v[2 * i + 1], f.current[2 * k], f.current[2 * k + 1]
        p, q = x * cx + y * cy, y * cx - x * cy
        if k >= f.sizes[N_DC]:
            t[P_GEN] -= p
            t[Q_GEN] -= q
        add_to_source(f, i, p, q)


@njit
def balance(f):
    """Totals of the solved feeder into `totals`.

    Losses are the sum of both ends' power over all branches, source power is what leaves its node;
    neither is a difference, so source + generation = load + losses + data centers is a check.
    `p_load` holds loads, motors, storage, wards and shunts; `p_shunt` is the part of wards and shunts.
    Behind an impedance the source is metered at its terminals, inside of which losses are not the
    feeder's.
    """
    t = f.totals
    t[:] = 0.0
    if f.flags[SOURCE_ON] == 0:
        return
    for b in range(f.sizes[N_BRANCH]):
        i, j = f.branch_node[b, 0], f.branch_node[b, 1]
        if i < 0 and j < 0:
            continue
        pf, qf = end_power(f, b, 0)
        pt, qt = end_power(f, b, 1)
        t[P_LOSS] += pf + pt
        t[Q_LOSS] += qf + qt
        add_to_source(f, i, pf, qf)
        add_to_source(f, j, pt, qt)
    add_loads(f)
    n = f.sizes[N_FREE]
    for s in range(f.source_node.size):
        i, e = f.source_node[s], 2 * (n + s)
        if i >= n:
            continue
        x, y = f.v[2 * i], f.v[2 * i + 1]
        dx, dy = f.v[e] - x, f.v[e + 1] - y
        g, b = f.source_y[s, 0], f.source_y[s, 1]
        cx, cy = g * dx - b * dy, g * dy + b * dx
        t[P_SOURCE] += x * cx + y * cy
        t[Q_SOURCE] += y * cx - x * cy


@njit
def end_loading(f, b, end):
    """Loading by the current at one end of branch b. [percent]"""
    if f.branch_node[b, end] < 0:
        return 0.0
    cx, cy = end_current(f, b, end)
    return math.sqrt(cx * cx + cy * cy) * f.branch_loading[b, end]


@njit
def observe(f, bus_vm, bus_va, line_p, line_loading, trafo_loading):
    """One row for the log, into arrays of the caller; zero where de-energized.

    Parameters
    ----------
    bus_vm, bus_va : array [n_bus]
        Voltage magnitude and angle. [pu, degree]
    line_p, line_loading : array [n_line]
        Power into the line at its from end, loading of its hotter end. [MW, percent]
    trafo_loading : array [n_trafo]
        Two-winding transformers, then three-winding ones, by current. [percent]
    """
    on = f.flags[SOURCE_ON] != 0
    for k in range(f.bus_node.size):
        i = f.bus_node[k]
        if i < 0 or not on:
            bus_vm[k] = bus_va[k] = 0.0
            continue
        x, y = f.v[2 * i], f.v[2 * i + 1]
        bus_vm[k] = math.sqrt(x * x + y * y)
        bus_va[k] = math.degrees(math.atan2(y, x))
    n_line, n_trafo, n_trafo3w = f.sizes[N_LINE], f.sizes[N_TRAFO], f.sizes[N_TRAFO3W]
    for k in range(n_line):
        line_p[k] = line_loading[k] = 0.0
        if on:
            line_p[k] = end_power(f, k, 0)[0]
            line_loading[k] = max(end_loading(f, k, 0), end_loading(f, k, 1))
    for k in range(n_trafo):
        b = n_line + k
        trafo_loading[k] = max(end_loading(f, b, 0), end_loading(f, b, 1)) if on else 0.0
    for k in range(n_trafo3w):
        b = n_line + n_trafo + k
        hv, mv, lv = end_loading(f, b, 0), end_loading(f, b + n_trafo3w, 1), 0.0
        lv = end_loading(f, b + 2 * n_trafo3w, 1)
        trafo_loading[n_trafo + k] = max(hv, max(mv, lv)) if on else 0.0


@njit
def farthest_response(f, a):
    """Largest fall of a node's voltage per current of port a. [pu]"""
    g, h, most = f.response[2 * a], f.response[2 * a + 1], 0.0
    for i in range(f.sizes[N_FREE]):
        x = g[2 * i] ** 2 + g[2 * i + 1] ** 2 + h[2 * i] ** 2 + h[2 * i + 1] ** 2
        most = max(most, x)
    return math.sqrt(most)


@njit
def base_drift(f):
    """Largest relative distance of a node's voltage from where the loads are linearized. [1]"""
    most = 0.0
    for i in range(f.sizes[N_FREE]):
        x, y = f.v[2 * i], f.v[2 * i + 1]
        dx, dy = x - f.v_base[2 * i], y - f.v_base[2 * i + 1]
        most = max(most, (dx * dx + dy * dy) / (x * x + y * y))
    return math.sqrt(most)


@njit
def refresh_sensitivities(f):
    """Voltage per change of each data center's power at the last solution, over all nodes."""
    m, d = f.sizes[N_PORT], f.sizes[N_DC]
    for k in range(d):
        f.p_try[k], f.q_try[k] = f.p_last[k], f.q_last[k]
    slack = 1.0 - 3.0 * base_drift(f)
    for k in range(d):
        f.sens[k, 0] = f.sens[k, 1] = 0.0
        i = f.port_node[k]
        if i < 0 or i >= f.sizes[N_FREE]:
            continue
        vm = math.sqrt(f.vm2[i])
        reach = 0.0
        f.port_x[:] = 0.0
        for e in range(2):
            port_equations(f, 1.0)
            f.jac[:, 2 * m] = 0.0
            f.jac[2 * k + e, 2 * m] = 1.0
            if solve_dense(f.jac, 2 * m) == 0.0:
                slack = 0.0
            for a in range(2 * m):
                f.port_x[a] += f.jac[a, 2 * m] ** 2
        for a in range(m):
            reach += farthest_response(f, a) * math.sqrt(f.port_x[2 * a] + f.port_x[2 * a + 1])
        if slack <= 0.0:
            f.sens[k, 0] = math.inf
            continue
        f.sens[k, 0] = reach / (vm * slack)
        own = math.sqrt(f.port_x[2 * k] + f.port_x[2 * k + 1])
        f.sens[k, 1] = 2.0 * max(own, 1.0) * f.sens[k, 0] / vm
    f.flags[BOUND_READY] = 1


@njit
def change_bound(f):
    """Bound on the voltage change that the change of requested port powers since the last solve causes.

    First order in the change, from the sensitivities at the last solution, enlarged for the
    second order as in the Newton-Kantorovich theorem.

    Returns
    -------
    float
        Largest |dV| over all nodes; inf where an event came in between or the change is too large
        to say. [pu]
    """
    if f.flags[DIRTY] != 0 or f.flags[STATUS] == COLLAPSED:
        return math.inf
    if f.flags[SOURCE_ON] == 0:
        return 0.0
    bound, bend = 0.0, 0.0
    for k in range(f.sizes[N_DC]):
        dp, dq = f.port_p_mw[k] - f.p_last[k], f.port_q_mvar[k] - f.q_last[k]
        if dp == 0.0 and dq == 0.0:
            continue
        if f.flags[BOUND_READY] == 0:
            refresh_sensitivities(f)
        ds = math.sqrt(dp * dp + dq * dq)
        bound += f.sens[k, 0] * ds
        bend += f.sens[k, 1] * ds
    if bound == 0.0:
        return 0.0
    if not 2.0 * bend < 1.0:
        return math.inf
    return bound * 2.0 / (1.0 + math.sqrt(1.0 - 2.0 * bend))
