"""Eq. 7-9 in exact zero-order-hold form: commanded power -> second-order lag -> Eq. 9 -> supply lag.

With the command u held, e = x - u and v = dx/dt of the lag obey the linear system dz/dt = A z, z = (e, v),
A = [[0, 1], [-w^2, -2 zeta w]]. Eq. 9 reads P_dyn = u + K z with K = (1 - D w^2, C - 2 zeta w D), and a first-order
supply lag tau behind it has the exact solution y = u + L z + (y0 - u - L z0) exp(-t/tau), L = K (I + tau A)^-1.
"""

from __future__ import annotations

import math

import numpy as np

from cosim.jit import njit

EDGE = np.dtype(
    [
        ("omega", "f8"), ("zeta", "f8"), ("k0", "f8"), ("k1", "f8"), ("l0", "f8"), ("l1", "f8"), ("tau_s", "f8"),
        ("f00", "f8"), ("f01", "f8"), ("f10", "f8"), ("f11", "f8"), ("decay", "f8"),
    ]
)  # fmt: skip
"""One direction of a job's dynamics: omega [rad/s], zeta, K, L, tau [s]; transition over one full step."""


@njit
def transition(omega, zeta, dt_s):
    """exp(A dt) of the second-order lag, for any damping.

    Parameters
    ----------
    omega : float
        Natural frequency. [rad/s]
    zeta : float
        Damping ratio. [1]
    dt_s : float
        Time. [s]

    Returns
    -------
    tuple of float
        Row by row: e<-e, e<-v [s], v<-e [1/s], v<-v.
    """
    a = zeta * omega
    if zeta < 1.0:
        wd = omega * math.sqrt(1.0 - zeta * zeta)
        decay = math.exp(-a * dt_s)
        c = decay * math.cos(wd * dt_s)
        s = decay * math.sin(wd * dt_s) / wd
    elif zeta == 1.0:
        c = math.exp(-a * dt_s)
        s = c * dt_s
    else:
        wd = omega * math.sqrt(zeta * zeta - 1.0)
        slow = math.exp((-a + wd) * dt_s)
        fast = math.exp((-a - wd) * dt_s)
        c = 0.5 * (slow + fast)
        s = 0.5 * (slow - fast) / wd
    return c + a * s, s, -omega * omega * s, c - a * s


@njit
def set_edge(edge, omega, zeta, c_s, d_s2, tau_s, step_s):
    """Fill one `EDGE` record. A tau that meets a pole of the lag is moved by up to 2 % to keep L finite."""
    edge.omega = omega
    edge.zeta = zeta
    edge.k0 = 1.0 - d_s2 * omega * omega
    edge.k1 = c_s - 2.0 * zeta * omega * d_s2
    for _ in range(64):
        det = 1.0 - 2.0 * zeta * omega * tau_s + tau_s * tau_s * omega * omega
        if abs(det) > 1e-4:
            break
        tau_s *= 1.0005
    edge.tau_s = tau_s
    edge.l0 = (edge.k0 * (1.0 - 2.0 * zeta * omega * tau_s) + edge.k1 * tau_s * omega * omega) / det
    edge.l1 = (edge.k1 - edge.k0 * tau_s) / det
    edge.f00, edge.f01, edge.f10, edge.f11 = transition(omega, zeta, step_s)
    edge.decay = math.exp(-step_s / tau_s) if tau_s > 0.0 else 0.0


@njit
def advance_lag(edge, x, v, y, u, dt_us, step_us):
    """States (x [MW], v [MW/s], y [MW]) after dt_us under the held command u [MW]."""
    e = x - u
    gap = y - u - edge.l0 * e - edge.l1 * v
    if dt_us == step_us:
        e1 = edge.f00 * e + edge.f01 * v
        v1 = edge.f10 * e + edge.f11 * v
        decay = edge.decay
    else:
        dt_s = dt_us * 1e-6
        f00, f01, f10, f11 = transition(edge.omega, edge.zeta, dt_s)
        e1 = f00 * e + f01 * v
        v1 = f10 * e + f11 * v
        decay = math.exp(-dt_s / edge.tau_s) if edge.tau_s > 0.0 else 0.0
    if edge.tau_s > 0.0:
        y1 = u + edge.l0 * e1 + edge.l1 * v1 + gap * decay
    else:
        y1 = u + edge.k0 * e1 + edge.k1 * v1
    return u + e1, v1, y1


@njit
def read_power(edge, x, v, y, u):
    """Power behind the supply lag now [MW]; without a supply lag Eq. 9 at the present command."""
    if edge.tau_s > 0.0:
        return y
    return u + edge.k0 * (x - u) + edge.k1 * v
