# mypy: ignore-errors
"""What follows from a solved feeder: balance, rows for the log, bound on the effect of a change."""

from __future__ import annotations

import math

from cosim.feeder.arrays import (
    BOUND_READY,
    COLLAPSED,
    CURVATURE,
    DIRTY,
    LAST_P,
    LAST_Q,
    LOAD_GEN_P,
    LOAD_GEN_Q,
    LOAD_IP,
    LOAD_IQ,
    LOAD_P,
    LOAD_Q,
    N_BRANCH,
    N_DC,
    N_FREE,
    N_LINE,
    N_LOAD,
    N_PORT,
    N_TRAFO,
    N_TRAFO3W,
    P_GEN,
    P_LOAD,
    P_LOSS,
    P_SHUNT,
    P_SOURCE,
    PORT_P,
    PORT_Q,
    Q_GEN,
    Q_LOAD,
    Q_LOSS,
    Q_SOURCE,
    SENSITIVITY,
    SHUNT_P,
    SHUNT_Q,
    SOURCE_ON,
    STATUS,
    VMIN_PU,
    Z_P,
    Z_Q,
)
from cosim.feeder.kernel import load_factors
from cosim.feeder.kernel_lu import set_all, solve_dense
from cosim.feeder.kernel_ports import port_equations
from cosim.jit import inner, njit


@inner
def end_current(node, y, v, b, end):
    """Current into branch b at its from (0) or to (1) end. [pu]"""
    i, j = node[b, end], node[b, 1 - end]
    if i < 0:
        return 0.0, 0.0
    own, other = 6 * end, 2 + 2 * end
    vx, vy = v[2 * i], v[2 * i + 1]
    cx = y[b, own] * vx - y[b, own + 1] * vy
    cy = y[b, own] * vy + y[b, own + 1] * vx
    if j >= 0:
        wx, wy = v[2 * j], v[2 * j + 1]
        cx += y[b, other] * wx - y[b, other + 1] * wy
        cy += y[b, other] * wy + y[b, other + 1] * wx
    return cx, cy


@inner
def end_power(node, y, v, b, end):
    """Power into branch b at one end. [MW, Mvar]"""
    i = max(node[b, end], 0)
    cx, cy = end_current(node, y, v, b, end)
    return v[2 * i] * cx + v[2 * i + 1] * cy, v[2 * i + 1] * cx - v[2 * i] * cy


@inner
def end_loading(node, y, v, b, end):
    """Loading by the current at one end of branch b. [percent]"""
    cx, cy = end_current(node, y, v, b, end)
    return math.sqrt(cx * cx + cy * cy) * y[b, 8 + end]


@njit
def add_branches(node, y, v, n_branch, n_free, t):
    """Losses, and what leaves the ideal sources' nodes through branches."""
    for b in range(n_branch):
        if node[b, 0] < 0 and node[b, 1] < 0:
            continue
        pf, qf = end_power(node, y, v, b, 0)
        pt, qt = end_power(node, y, v, b, 1)
        t[P_LOSS] += pf + pt
        t[Q_LOSS] += qf + qt
        if node[b, 0] >= n_free:
            t[P_SOURCE] += pf
            t[Q_SOURCE] += qf
        if node[b, 1] >= n_free:
            t[P_SOURCE] += pt
            t[Q_SOURCE] += qt


@inner
def add_loads(law, load_node, node_y, vmin, v, n_load, n_free, t):
    """Loads, generation and shunts as they draw now, and the ideal sources' share of them."""
    for k in range(n_load):
        i = load_node[k]
        m = v[2 * i] ** 2 + v[2 * i + 1] ** 2
        cp, ci = load_factors(law, k, vmin, m)
        gp, gq = law[k, LOAD_GEN_P] * cp * m, law[k, LOAD_GEN_Q] * cp * m
        p = (law[k, LOAD_P] * cp + law[k, LOAD_IP] * ci) * m
        q = (law[k, LOAD_Q] * cp + law[k, LOAD_IQ] * ci) * m
        t[P_LOAD] += p + gp
        t[Q_LOAD] += q + gq
        t[P_GEN] += gp
        t[Q_GEN] += gq
        if i >= n_free:
            t[P_SOURCE] += p
            t[Q_SOURCE] += q
    for i in range(node_y.shape[0]):
        m = v[2 * i] ** 2 + v[2 * i + 1] ** 2
        p, q = (node_y[i, Z_P] + node_y[i, SHUNT_P]) * m, (node_y[i, Z_Q] + node_y[i, SHUNT_Q]) * m
        t[P_SHUNT] += node_y[i, SHUNT_P] * m
        t[P_LOAD] += p
        t[Q_LOAD] += q
        if i >= n_free:
            t[P_SOURCE] += p
            t[Q_SOURCE] += q


@njit
def add_ports(port_node, current, v, n_dc, n_free, t):
    """Voltage-controlled generation, and the data centers at ideal sources."""
    for k in range(port_node.size):
        i = port_node[k]
        if i < 0:
            continue
        x, y, cx, cy = v[2 * i], v[2 * i + 1], current[2 * k], current[2 * k + 1]
        p, q = x * cx + y * cy, y * cx - x * cy
        if k >= n_dc:
            t[P_GEN] -= p
            t[Q_GEN] -= q
        if i >= n_free:
            t[P_SOURCE] += p
            t[Q_SOURCE] += q


@njit
def add_sources(source_node, source_y, v, n_free, t):
    """Sources behind an impedance, metered at its terminals."""
    for s in range(source_node.size):
        i, e = source_node[s], 2 * (n_free + s)
        if i < n_free:
            x, y = v[2 * i], v[2 * i + 1]
            dx, dy = v[e] - x, v[e + 1] - y
            cx = source_y[s, 0] * dx - source_y[s, 1] * dy
            cy = source_y[s, 0] * dy + source_y[s, 1] * dx
            t[P_SOURCE] += x * cx + y * cy
            t[Q_SOURCE] += y * cx - x * cy


@njit
def balance(f):
    """Totals of the solved feeder into `totals`.

    Losses are the sum of both ends' power over all branches, source power is what leaves its node;
    neither is a difference, so source + generation = load + losses + data centers is a check.
    `p_load` holds loads, motors, storage, wards and shunts; `p_shunt` is the part of wards and shunts.
    A source behind an impedance is metered at its terminals: the loss inside is not the feeder's.
    """
    set_all(f.totals, 0.0)
    if f.flags[SOURCE_ON] == 0:
        return
    n_free = f.sizes[N_FREE]
    add_branches(f.branch_node, f.branch_y, f.v, f.sizes[N_BRANCH], n_free, f.totals)
    add_loads(f.load_law, f.load_node, f.node_y, f.params[VMIN_PU], f.v, f.sizes[N_LOAD], n_free, f.totals)
    add_ports(f.port_node, f.current, f.v, f.sizes[N_DC], n_free, f.totals)
    add_sources(f.source_node, f.source_y, f.v, n_free, f.totals)


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
    if f.flags[SOURCE_ON] == 0:
        set_all(bus_vm, 0.0)
        set_all(bus_va, 0.0)
        set_all(line_p, 0.0)
        set_all(line_loading, 0.0)
        set_all(trafo_loading, 0.0)
        return
    node, y, v = f.branch_node, f.branch_y, f.v
    for k in range(f.bus_node.size):
        i = f.bus_node[k]
        bus_vm[k] = bus_va[k] = 0.0
        if i >= 0:
            bus_vm[k] = math.sqrt(v[2 * i] ** 2 + v[2 * i + 1] ** 2)
            bus_va[k] = math.degrees(math.atan2(v[2 * i + 1], v[2 * i]))
    n_line, n_trafo, n_trafo3w = f.sizes[N_LINE], f.sizes[N_TRAFO], f.sizes[N_TRAFO3W]
    for k in range(n_line):
        line_p[k] = end_power(node, y, v, k, 0)[0]
        line_loading[k] = max(end_loading(node, y, v, k, 0), end_loading(node, y, v, k, 1))
    for k in range(n_trafo):
        b = n_line + k
        trafo_loading[k] = max(end_loading(node, y, v, b, 0), end_loading(node, y, v, b, 1))
    for k in range(n_trafo3w):
        b = n_line + n_trafo + k
        mv, lv = end_loading(node, y, v, b + n_trafo3w, 1), end_loading(node, y, v, b + 2 * n_trafo3w, 1)
        trafo_loading[n_trafo + k] = max(end_loading(node, y, v, b, 0), mv, lv)


@njit
def base_drift(n_free, v, v_base):
    """Largest relative distance of a node's voltage from where the loads are linearized. [1]"""
    most = 0.0
    for i in range(n_free):
        x, y = v[2 * i], v[2 * i + 1]
        dx, dy = x - v_base[2 * i], y - v_base[2 * i + 1]
        most = max(most, (dx * dx + dy * dy) / (x * x + y * y))
    return math.sqrt(most)


@njit
def farthest_reach(response, jac, n_free):
    """Largest change of a node's voltage for the two columns of port currents behind the Jacobian."""
    m2, most = response.shape[0], 0.0
    for i in range(n_free):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for r in range(m2):
            gx, gy = response[r, 2 * i], response[r, 2 * i + 1]
            a += gx * jac[r, m2]
            b += gx * jac[r, m2 + 1]
            c += gy * jac[r, m2]
            d += gy * jac[r, m2 + 1]
        size, det = a * a + b * b + c * c + d * d, a * d - b * c
        most = max(most, size + math.sqrt(max(size * size - 4.0 * det * det, 0.0)))
    return math.sqrt(0.5 * most)


@njit
def refresh_sensitivities(f):
    """Voltage per change of each data center's power at the last solution, over all nodes."""
    m, d, n_free, jac = f.sizes[N_PORT], f.sizes[N_DC], f.sizes[N_FREE], f.jac
    for k in range(d):
        f.port_law[k, PORT_P], f.port_law[k, PORT_Q] = f.port_last[k, LAST_P], f.port_last[k, LAST_Q]
    slack = 1.0 - 3.0 * base_drift(n_free, f.v, f.v_base)
    for k in range(d):
        f.port_last[k, SENSITIVITY] = f.port_last[k, CURVATURE] = 0.0
        i = f.port_node[k]
        if i < 0 or i >= n_free:
            continue
        port_equations(f.port_node, f.port_law, f.u, f.response, f.current, jac, n_free, d, 1.0)
        for a in range(2 * m):
            jac[a, 2 * m] = jac[a, 2 * m + 1] = 0.0
        jac[2 * k, 2 * m] = jac[2 * k + 1, 2 * m + 1] = 1.0
        if solve_dense(jac, 2 * m, 2) == 0.0 or slack <= 0.0:
            f.port_last[k, SENSITIVITY] = math.inf
            continue
        reach = farthest_reach(f.response, jac, n_free) / slack
        own = jac[2 * k, 2 * m] ** 2 + jac[2 * k, 2 * m + 1] ** 2
        own += jac[2 * k + 1, 2 * m] ** 2 + jac[2 * k + 1, 2 * m + 1] ** 2
        vm = math.sqrt(f.vm2[i])
        f.port_last[k, SENSITIVITY] = reach / vm
        f.port_last[k, CURVATURE] = 2.0 * math.sqrt(max(own, 1.0)) * reach / (vm * vm)
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
        dp, dq = f.port_p_mw[k] - f.port_last[k, LAST_P], f.port_q_mvar[k] - f.port_last[k, LAST_Q]
        if dp == 0.0 and dq == 0.0:
            continue
        if f.flags[BOUND_READY] == 0:
            refresh_sensitivities(f)
        ds = math.sqrt(dp * dp + dq * dq)
        bound += f.port_last[k, SENSITIVITY] * ds
        bend += f.port_last[k, CURVATURE] * ds
    if bound == 0.0:
        return 0.0
    if not 2.0 * bend < 1.0:
        return math.inf
    return bound * 2.0 / (1.0 + math.sqrt(1.0 - 2.0 * bend))
