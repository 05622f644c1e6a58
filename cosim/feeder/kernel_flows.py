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
    N_DC,
    N_ELEMENT,
    N_FREE,
    N_PASSIVE,
    N_READ,
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
    SOURCE_ON,
    STATUS,
)
from cosim.feeder.kernel_legs import leg_factors, voltage_across
from cosim.feeder.kernel_lu import set_all, solve_dense
from cosim.feeder.kernel_ports import port_equations
from cosim.jit import inner, njit


@inner
def conductor_current(f, v, e, a):
    """Current into element e at its conductor a, in differences as `subtract_product`. [pu]"""
    first, k = f.el_ptr[e], f.el_ptr[e + 1] - f.el_ptr[e]
    at, own = f.el_y_ptr[e] + a * k, f.el_row[first + a]
    x, y = v[2 * own], v[2 * own + 1]
    g, s = f.el_sum[first + a, 0], f.el_sum[first + a, 1]
    cx, cy = g * x - s * y, g * y + s * x
    for b in range(k):
        j = f.el_row[first + b]
        if b != a:
            dx, dy = (v[2 * j] - x, v[2 * j + 1] - y) if j >= 0 else (-x, -y)
            g, s = f.el_y[at + b, 0], f.el_y[at + b, 1]
            cx += g * dx - s * dy
            cy += g * dy + s * dx
    return cx, cy


@njit
def add_elements(f, t):
    """Losses, and what leaves the sources: at ideal ones' rows, and into the outer end of their impedances."""
    n_free = f.sizes[N_FREE]
    for e in range(f.sizes[N_ELEMENT]):
        first, passive = f.el_ptr[e], e < f.sizes[N_PASSIVE]
        for a in range(f.el_ptr[e + 1] - first):
            i = f.el_row[first + a]
            if i < 0:
                continue
            cx, cy = conductor_current(f, f.v, e, a)
            p, q = f.v[2 * i] * cx + f.v[2 * i + 1] * cy, f.v[2 * i + 1] * cx - f.v[2 * i] * cy
            if passive:
                t[P_LOSS] += p
                t[Q_LOSS] += q
                if i >= n_free:
                    t[P_SOURCE] += p
                    t[Q_SOURCE] += q
            elif a < f.el_first[e]:
                t[P_SOURCE] -= p
                t[Q_SOURCE] -= q


@inner
def leg_power(law, row, v, k):
    """What leg k draws. [MW, Mvar]"""
    x, y = voltage_across(row, v, k)
    m = x * x + y * y
    p, q = leg_factors(law, k, m)
    return p * m, q * m


@njit
def add_legs(f, t):
    """Loads and generation as they draw now, shunts, and the ideal sources' share of them."""
    n_free = f.sizes[N_FREE]
    for k in range(f.leg_row.shape[0]):
        p, q = leg_power(f.leg_law, f.leg_row, f.v, k)
        t[P_LOAD] += p
        t[Q_LOAD] += q
        if f.leg_row[k, 0] >= n_free:
            t[P_SOURCE] += p
            t[Q_SOURCE] += q
    for k in range(f.gen_row.shape[0]):
        p, q = leg_power(f.gen_law, f.gen_row, f.v, k)
        t[P_LOAD] -= p
        t[Q_LOAD] -= q
        t[P_GEN] -= p
        t[Q_GEN] -= q
    for i in range(f.row_shunt.shape[0]):
        if f.row_shunt[i, 0] == 0.0 and f.row_shunt[i, 1] == 0.0:
            continue
        m = f.v[2 * i] ** 2 + f.v[2 * i + 1] ** 2
        p, q = f.row_shunt[i, 0] * m, f.row_shunt[i, 1] * m
        t[P_SHUNT] += p
        t[P_LOAD] += p
        t[Q_LOAD] += q
        if i >= n_free:
            t[P_SOURCE] += p
            t[Q_SOURCE] += q


@njit
def add_ports(f, t):
    """Voltage-controlled generation, and the data centers at ideal sources."""
    n_dc_port = f.site_ptr[f.sizes[N_DC]]
    for k in range(f.port_row.shape[0]):
        i = f.port_row[k, 0]
        if i < 0:
            continue
        x, y = voltage_across(f.port_row, f.v, k)
        cx, cy = f.current[2 * k], f.current[2 * k + 1]
        p, q = x * cx + y * cy, y * cx - x * cy
        if k >= n_dc_port:
            t[P_GEN] -= p
            t[Q_GEN] -= q
        if i >= f.sizes[N_FREE]:
            t[P_SOURCE] += p
            t[Q_SOURCE] += q


@inner
def read_sensors(f):
    """Values of the sensors: sums over the voltages of rows, zero without a source."""
    for s in range(f.sensor.shape[0]):
        x, y = 0.0, 0.0
        for k in range(f.sensor_ptr[s], f.sensor_ptr[s + 1]):
            i, a, b = 2 * f.sensor_row[k], f.sensor_coef[k, 0], f.sensor_coef[k, 1]
            x += a * f.v[i] - b * f.v[i + 1]
            y += a * f.v[i + 1] + b * f.v[i]
        on = f.flags[SOURCE_ON]
        f.sensor[s, 0], f.sensor[s, 1] = on * x, on * y
    f.flags[N_READ] = f.sensor.shape[0]


@njit
def balance(f):
    """Totals of the solved feeder into `totals`, values of the sensors into `sensor`.

    Losses are the sum of the power into all conductors of all elements, source power is what leaves its
    terminals; neither is a difference, so source + generation = load + losses + data centers is a check.
    `p_load` holds loads, motors, storage, wards and shunts; `p_shunt` is the part of wards and shunts.
    A source behind an impedance is metered at its terminals: the loss inside is not the feeder's.
    """
    set_all(f.totals, 0.0)
    read_sensors(f)
    if f.flags[SOURCE_ON] == 0:
        return
    add_elements(f, f.totals)
    add_legs(f, f.totals)
    add_ports(f, f.totals)


@inner
def element_flow(f, v, e):
    """Power into element e at its first terminal, loading of its hottest conductor. [MW, percent]"""
    first, flow, hottest2 = f.el_ptr[e], 0.0, 0.0
    for a in range(f.el_ptr[e + 1] - first):
        i = f.el_row[first + a]
        if i < 0 or (a >= f.el_first[e] and f.el_loading[first + a] == 0.0):
            continue
        cx, cy = conductor_current(f, v, e, a)
        if a < f.el_first[e]:
            flow += v[2 * i] * cx + v[2 * i + 1] * cy
        hottest2 = max(hottest2, (cx * cx + cy * cy) * f.el_loading[first + a] ** 2)
    return flow, math.sqrt(hottest2)


@njit
def observe(f, v, watch_row, node_va, line_p, line_loading, trafo_loading):
    """Angles, flows and loadings at the voltages v, into arrays of the caller; zero where de-energized.

    What is not wanted has an array of no width.

    Parameters
    ----------
    v : array [2 N]
        Voltages of all rows. [pu]
    watch_row : array [w]
        Rows of the nodes whose angle is wanted, -1 where de-energized.
    node_va : array [w]
        [degree]
    line_p, line_loading : array [n_line]
        Power into the line at its first terminal, loading of its hottest conductor. [MW, percent]
    trafo_loading : array [n_trafo]
        Hottest winding, by current. [percent]
    """
    for a in (node_va, line_p, line_loading, trafo_loading):
        set_all(a, 0.0)
    if f.flags[SOURCE_ON] == 0:
        return
    for k in range(node_va.size):
        i = watch_row[k]
        if i >= 0:
            node_va[k] = math.degrees(math.atan2(v[2 * i + 1], v[2 * i]))
    for k in range(max(line_p.size, line_loading.size)):
        p_mw, loading_percent = element_flow(f, v, k)
        if k < line_p.size:
            line_p[k] = p_mw
        if k < line_loading.size:
            line_loading[k] = loading_percent
    if trafo_loading.size == 0:
        return
    for k in range(f.trafo_el.shape[0]):
        row = f.trafo_el[k, 0]
        trafo_loading[row] = max(trafo_loading[row], element_flow(f, v, f.trafo_el[k, 1])[1])


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
    """Voltage per change of each data center's power at the last solution, over all rows."""
    m2, d, n_free, jac = 2 * f.port_row.shape[0], f.sizes[N_DC], f.sizes[N_FREE], f.jac
    slack = 1.0 - 3.0 * base_drift(n_free, f.v, f.v_base)
    for k in range(d):
        f.site_last[k, SENSITIVITY] = f.site_last[k, CURVATURE] = 0.0
        first, end = f.site_ptr[k], f.site_ptr[k + 1]
        for r in range(first, end):
            f.port_law[r, PORT_P] = f.site_last[k, LAST_P] / (end - first)
            f.port_law[r, PORT_Q] = f.site_last[k, LAST_Q] / (end - first)
    for k in range(d):
        first, end = f.site_ptr[k], f.site_ptr[k + 1]
        for r in range(first, end):
            i = f.port_row[r, 0]
            if i < 0 or i >= n_free:
                continue
            port_equations(f.port_row, f.port_law, f.u, f.port_z, f.current, jac, f.site_ptr[d], 1.0)
            for a in range(m2):
                jac[a, m2] = jac[a, m2 + 1] = 0.0
            jac[2 * r, m2] = jac[2 * r + 1, m2 + 1] = 1.0
            if solve_dense(jac, m2, 2) == 0.0 or slack <= 0.0:
                f.site_last[k, SENSITIVITY] = math.inf
                continue
            reach = farthest_reach(f.response, jac, n_free) / slack / (end - first)
            own = jac[2 * r, m2] ** 2 + jac[2 * r, m2 + 1] ** 2
            own += jac[2 * r + 1, m2] ** 2 + jac[2 * r + 1, m2 + 1] ** 2
            x, y = voltage_across(f.port_row, f.v, r)
            vm = math.sqrt(x * x + y * y)
            f.site_last[k, SENSITIVITY] += reach / vm
            f.site_last[k, CURVATURE] += 2.0 * math.sqrt(max(own, 1.0)) * reach / (vm * vm)
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
        dp, dq = f.port_p_mw[k] - f.site_last[k, LAST_P], f.port_q_mvar[k] - f.site_last[k, LAST_Q]
        if dp == 0.0 and dq == 0.0:
            continue
        if f.flags[BOUND_READY] == 0:
            refresh_sensitivities(f)
        ds = math.sqrt(dp * dp + dq * dq)
        bound += f.site_last[k, SENSITIVITY] * ds
        bend += f.site_last[k, CURVATURE] * ds
    if bound == 0.0:
        return 0.0
    if not 2.0 * bend < 1.0:
        return math.inf
    return bound * 2.0 / (1.0 + math.sqrt(1.0 - 2.0 * bend))
