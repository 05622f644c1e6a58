"""Slow, readable power flow: dense complex KCL at every node and Newton with differences for slopes."""

from __future__ import annotations

import numpy as np

from cosim.feeder.network import LINE, Network


def twin_voltages(net: Network, closed_lines, s_ports=None, load_scaling=1.0, vmin_pu=0.0, v_min_port=0.0):
    """Voltage of every bus of a network without switches, generators and impedance behind its source.

    Parameters
    ----------
    net : Network
    closed_lines : array of bool
    s_ports : dict of bus position to complex
        Data centers. [MVA]
    load_scaling, vmin_pu, v_min_port : float
        As in `FeederConfig` and `FeederArrays.port_v_min_pu`.

    Returns
    -------
    array of complex [n_bus]
        [pu]
    """
    n = net.n_bus
    y = np.zeros((n, n), complex)
    on = net.branch_in_service.copy()
    on[net.branch_kind == LINE] = closed_lines
    for k in np.flatnonzero(on):
        f, t = net.branch_from[k], net.branch_to[k]
        y[np.ix_([f, t], [f, t])] += net.branch_y[k].reshape(2, 2)
    y += np.diag(net.bus_y_shunt)
    free = np.setdiff1d(np.arange(n), net.source_bus)

    def drawn(v):
        u, s = np.abs(v), np.zeros(n, complex)
        i_p, z_p, i_q, z_q = net.inj_share.T
        low = np.where(u < vmin_pu, (u / max(vmin_pu, 1e-9)) ** 2, 1.0)[net.inj_bus]
        ub = u[net.inj_bus]
        power = net.inj_s_mva * load_scaling
        p = power.real * ((1 - i_p - z_p) * low + i_p * ub + z_p * ub**2)
        q = power.imag * ((1 - i_q - z_q) * low + i_q * ub + z_q * ub**2)
        np.add.at(s, net.inj_bus, p + 1j * q)
        for bus, wanted in (s_ports or {}).items():
            s[bus] += wanted * (min(1.0, u[bus] / v_min_port) if v_min_port else 1.0)
        return s

    def mismatch(x):
        v = np.zeros(n, complex)
        v[net.source_bus] = net.source_v
        v[free] = x[: free.size] + 1j * x[free.size :]
        kcl = (y @ v + np.conj(drawn(v) / v))[free]
        return np.concatenate([kcl.real, kcl.imag]), v

    x = np.concatenate([np.ones(free.size), np.zeros(free.size)])
    for _ in range(60):
        f, v = mismatch(x)
        if np.abs(f).max() < 1e-9:
            return v
        h = 1e-7
        slope = np.column_stack([(mismatch(x + h * e)[0] - mismatch(x - h * e)[0]) / (2 * h) for e in np.eye(x.size)])
        x = x - np.linalg.solve(slope, f)
    raise AssertionError("the twin finds no solution")
