"""Legs of loads and generators: their current at a voltage, and what linearizing it leaves; numbers and arrays only."""

from __future__ import annotations

import math

from cosim.feeder.arrays import F_MAX, F_MIN, F_P, F_Q, F_SLOPE
from cosim.feeder.network import (
    K_CUT,
    P_0,
    P_1,
    P_2,
    P_E,
    P_EXP,
    P_LINE,
    P_LOW,
    P_MAX,
    P_MIN,
    Q_0,
    Q_1,
    Q_2,
    Q_E,
    Q_EXP,
    Q_LINE,
    Q_LOW,
    Q_MAX,
    Q_MIN,
    V_CUT,
    V_LOW,
    V_MAX,
    V_MIN,
)
from cosim.jit import inner

TINY = 1e-30
"""Floor of |U|^2, against division by zero. [pu^2]"""


@inner
def leg_factors(law, k, m):
    """Power of leg k per |U|^2, at |U|^2 = m.

    Returns
    -------
    tuple of float
        Active and reactive. [MW, Mvar]
    """
    if m < law[k, V_MIN]:
        vm, low = math.sqrt(m), law[k, V_LOW]
        if vm <= low:
            return law[k, P_LOW], law[k, Q_LOW]
        high = math.sqrt(law[k, V_MIN])
        t = (vm - low) / (high - low)
        cp = (law[k, P_LINE] + t * (law[k, P_MIN] * high - law[k, P_LINE])) / vm
        cq = (law[k, Q_LINE] + t * (law[k, Q_MIN] * high - law[k, Q_LINE])) / vm
    elif m > law[k, V_MAX]:
        cp, cq = law[k, P_MAX], law[k, Q_MAX]
    else:
        m = max(m, TINY)
        inv = 1.0 / m
        r = math.sqrt(inv)
        cp = law[k, P_0] * inv + law[k, P_1] * r + law[k, P_2]
        cq = law[k, Q_0] * inv + law[k, Q_1] * r + law[k, Q_2]
        if law[k, P_E] != 0.0:
            cp += law[k, P_E] * m ** (0.5 * law[k, P_EXP] - 1.0)
        if law[k, Q_E] != 0.0:
            cq += law[k, Q_E] * m ** (0.5 * law[k, Q_EXP] - 1.0)
    if law[k, K_CUT] > 0.0:
        on = 1.0 / (1.0 + math.exp(-law[k, K_CUT] * (math.sqrt(m) - law[k, V_CUT])))
        cp, cq = cp * on, cq * on
    return cp, cq


@inner
def fast_factors(fast, law, k, m):
    """The same, from one cache line where the leg is a constant power inside its window."""
    if fast[k, F_MIN] <= m <= fast[k, F_MAX]:
        inv = 1.0 / m
        return fast[k, F_P] * inv, fast[k, F_Q] * inv
    return leg_factors(law, k, m)


@inner
def leg_factor_slopes(law, k, m):
    """Derivative of `leg_factors` by |U|^2."""
    m = max(m, TINY)
    vm = math.sqrt(m)
    if m < law[k, V_MIN]:
        low = law[k, V_LOW]
        if vm <= low:
            return 0.0, 0.0
        high = math.sqrt(law[k, V_MIN])
        bend = 0.5 / (m * vm * (high - low))
        dp = -bend * (law[k, P_LINE] * high - law[k, P_MIN] * high * low)
        dq = -bend * (law[k, Q_LINE] * high - law[k, Q_MIN] * high * low)
    elif m > law[k, V_MAX]:
        dp, dq = 0.0, 0.0
    else:
        inv = 1.0 / m
        r = 0.5 * inv / vm
        dp = -law[k, P_0] * inv * inv - law[k, P_1] * r
        dq = -law[k, Q_0] * inv * inv - law[k, Q_1] * r
        if law[k, P_E] != 0.0:
            e = 0.5 * law[k, P_EXP] - 1.0
            dp += law[k, P_E] * e * m ** (e - 1.0)
        if law[k, Q_E] != 0.0:
            e = 0.5 * law[k, Q_EXP] - 1.0
            dq += law[k, Q_E] * e * m ** (e - 1.0)
    if law[k, K_CUT] > 0.0:
        cp, cq = leg_factors(law, k, m)
        on = 1.0 / (1.0 + math.exp(-law[k, K_CUT] * (vm - law[k, V_CUT])))
        steep = law[k, K_CUT] * (1.0 - on) * 0.5 / vm
        dp, dq = dp * on + cp * steep, dq * on + cq * steep
    return dp, dq


@inner
def voltage_across(leg_row, v, k):
    """Voltage across leg k. [pu]"""
    a, b = 2 * leg_row[k, 0], 2 * leg_row[k, 1]
    x, y = v[a], v[a + 1]
    if b >= 0:
        x -= v[b]
        y -= v[b + 1]
    return x, y


@inner
def add_block(block, at, sign, d0, d1, d2, d3):
    """Add a 2x2 block where there is a place for it."""
    if at >= 0:
        block[at, 0] += sign * d0
        block[at, 1] += sign * d1
        block[at, 2] += sign * d2
        block[at, 3] += sign * d3


@inner
def set_slopes(fast, law, leg_row, n_leg, lam, v):
    """Slope of each leg's current (times lam) at voltage v, kept."""
    s = F_SLOPE
    for k in range(n_leg):
        x, y = voltage_across(leg_row, v, k)
        m = x * x + y * y
        p, q = leg_factors(law, k, m)
        sp, sq = leg_factor_slopes(law, k, m)
        p, q, sp, sq = lam * p, lam * q, 2.0 * lam * sp, 2.0 * lam * sq
        ax, ay = sp * x + sq * y, sp * y - sq * x
        fast[k, s], fast[k, s + 1] = p + ax * x, q + ax * y
        fast[k, s + 2], fast[k, s + 3] = -q + ay * x, p + ay * y


@inner
def add_slopes(fast, leg_block, n_leg, block):
    """Add the kept slopes to the matrix."""
    s = F_SLOPE
    for k in range(n_leg):
        d0, d1, d2, d3 = fast[k, s], fast[k, s + 1], fast[k, s + 2], fast[k, s + 3]
        add_block(block, leg_block[k, 0], 1.0, d0, d1, d2, d3)
        add_block(block, leg_block[k, 1], -1.0, d0, d1, d2, d3)
        add_block(block, leg_block[k, 2], -1.0, d0, d1, d2, d3)
        add_block(block, leg_block[k, 3], 1.0, d0, d1, d2, d3)


@inner
def subtract_slopes(fast, leg_row, leg_block, n_leg, x, out):
    """out -= (slopes of the legs) x, over the free rows."""
    s = F_SLOPE
    for k in range(n_leg):
        a, b = 2 * leg_row[k, 0], 2 * leg_row[k, 1]
        x0, x1 = x[a], x[a + 1]
        if leg_block[k, 1] >= 0:
            x0 -= x[b]
            x1 -= x[b + 1]
        i0, i1 = fast[k, s] * x0 + fast[k, s + 1] * x1, fast[k, s + 2] * x0 + fast[k, s + 3] * x1
        out[a] -= i0
        out[a + 1] -= i1
        if leg_block[k, 3] >= 0:
            out[b] += i0
            out[b + 1] += i1


@inner
def leg_remainders(fast, law, leg_row, leg_block, n_ground, n_leg, lam, v, out):
    """What the kept slopes leave of the legs' currents (times lam) at voltage v, summed over each row."""
    for i in range(out.size):
        out[i] = 0.0
    s = F_SLOPE
    for k in range(n_ground):
        a = 2 * leg_row[k, 0]
        x, y = v[a], v[a + 1]
        p, q = fast_factors(fast, law, k, x * x + y * y)
        out[a] += (lam * p - fast[k, s]) * x + (lam * q - fast[k, s + 1]) * y
        out[a + 1] += (lam * p - fast[k, s + 3]) * y - (lam * q + fast[k, s + 2]) * x
    for k in range(n_ground, n_leg):
        a, b = 2 * leg_row[k, 0], 2 * leg_row[k, 1]
        x, y = v[a] - v[b], v[a + 1] - v[b + 1]
        p, q = fast_factors(fast, law, k, x * x + y * y)
        ix, iy = lam * (p * x + q * y), lam * (p * y - q * x)
        if leg_block[k, 1] < 0:  # its other end is given: only its own part of the slope is in the matrix
            x, y = v[a], v[a + 1]
        ix -= fast[k, s] * x + fast[k, s + 1] * y
        iy -= fast[k, s + 2] * x + fast[k, s + 3] * y
        out[a] += ix
        out[a + 1] += iy
        if leg_block[k, 3] >= 0:
            out[b] -= ix
            out[b + 1] -= iy
