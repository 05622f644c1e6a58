"""Shapes of one edge: steps behind a lag, when they cross, and edges with a slow part of their own."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from cosim.fit import structure as st
from cosim.fit.machine import Edge
from cosim.load.kernel_lag import transition

Floats = NDArray[np.float64]

FASTEST = 15.0
"""Natural frequency times interval of an edge that is over within one interval. [rad]"""
SETTLED = 0.3
"""Last part of a plateau, whose median is its level. [1]"""
N_POINT = 400
"""Points of an edge that are fitted, at ever longer distances."""
MOST_BEYOND = 2.0
"""Most that an edge goes beyond its level, over the step. [1]"""


def plateaus_of(p_mw: Floats, lasting: list[st.Segment], sides: tuple[bool, ...]) -> list[st.Segment]:
    """Neighbouring levels above the middle (True), below it (False) or both as one, at the level that it settles at.

    What follows the longest of them stays as it is: it is a stop on the way to the other side.
    """
    powers = [s.p_mw for s in lasting]
    middle = 0.5 * (min(powers) + max(powers))
    found = []
    for side, group in itertools.groupby(lasting, key=lambda s: s.p_mw > middle):
        parts = list(group)
        if side not in sides:
            found += parts
            continue
        longest = max(range(len(parts)), key=lambda i: parts[i].n)
        first, last = parts[0].first, parts[longest].last
        settled = p_mw[last - max(int(SETTLED * (last - first)), 1) : last]
        found += [st.Segment(first, last, float(np.median(settled))), *parts[longest + 1 :]]
    return found


def creeping_edge(p_mw: Floats, dt_s: float, a: st.Segment, b: st.Segment) -> tuple[Edge, float]:
    """Edge of two real poles and a zero between two plateaus, and the time at which it is commanded. [s]

    (1 + C s) / ((1 + T1 s) (1 + T2 s)), T1 < T2: a slow part of (T2 - C) / (T2 - T1), the rest is fast.
    With C above T2 it overshoots and comes back with T2, with C below it creeps up to its level. Eq. 9 has it with
    omega_n^2 = 1 / (T1 T2) and zeta = (T1 + T2) omega_n / 2.
    """
    share = ndimage.median_filter((p_mw[a.first : b.last] - a.p_mw) / (b.p_mw - a.p_mw), 3, mode="nearest")
    begin = a.last - a.first
    begin = max(begin - round(0.05 / dt_s), 0) + int(np.argmax(share[max(begin - round(0.05 / dt_s), 0) :] >= 0.5))
    n_before = min(begin, max(3, round(0.01 / dt_s)))
    begin -= n_before
    ahead = np.unique(np.geomspace(1, len(share) - begin, N_POINT).astype(int)) - 1
    at = begin + np.unique(np.concatenate([np.arange(2 * n_before), ahead]))
    at = at[at < len(share)]
    t_s, wanted = (at - begin) * dt_s, share[at]

    def step(x: Floats) -> Floats:
        fast_s, slow_s = math.exp(x[0]), math.exp(x[0]) + math.exp(x[1])
        t = np.maximum(t_s - x[3], 0.0)
        found: Floats = np.where(t_s > x[3], 1 + (x[2] - 1) * np.exp(-t / fast_s) - x[2] * np.exp(-t / slow_s), 0.0)
        return found

    start_s = n_before * dt_s
    low = np.array([math.log(dt_s / FASTEST), math.log(dt_s), -MOST_BEYOND, 0.0])
    high = np.array([math.log(0.5), math.log(10.0), 0.95, 2 * start_s])
    starts = [[math.log(0.5 * dt_s), math.log(slow_s), part, start_s - 0.7 * dt_s]
              for slow_s in (0.02, 0.1, 0.6) for part in (-0.2, 0.2)]  # fmt: skip
    best = min(
        (optimize.least_squares(lambda x: step(x) - wanted, np.clip(x, low + 1e-9, high - 1e-9), bounds=(low, high))
         for x in starts),
        key=lambda found: float(found.cost),
    )  # fmt: skip
    fast_s, slow_s = math.exp(best.x[0]), math.exp(best.x[0]) + math.exp(best.x[1])
    omega = 1 / math.sqrt(fast_s * slow_s)
    c_s = slow_s - float(best.x[2]) * (slow_s - fast_s)
    return Edge(omega, 0.5 * (fast_s + slow_s) * omega, c_s), (a.first + begin) * dt_s + float(best.x[3])


def unit_step(t_s: Floats, omega: float, zeta: float, c_s: float) -> Floats:
    """P_dyn of Eq. 9 behind a unit step at t = 0, without a supply lag."""
    found = np.zeros(len(t_s))
    for i, t in enumerate(t_s.tolist()):
        if t > 0:
            f00, _, f10, _ = transition(omega, zeta, t)
            found[i] = 1.0 - f00 - c_s * f10
    return found


def undershoot(edge: Edge) -> float:
    """How far a unit drop goes below its end. [1]"""
    slowest_s = 2 * edge.zeta / edge.omega_n_rad_per_s if edge.zeta > 1 else 1 / (edge.zeta * edge.omega_n_rad_per_s)
    t_s: Floats = np.geomspace(1e-3 / edge.omega_n_rad_per_s, 12 * slowest_s, 2000)
    return max(float(unit_step(t_s, edge.omega_n_rad_per_s, edge.zeta, edge.c_s).max()) - 1.0, 0.0)


def crossings(share: Floats) -> tuple[float, float]:
    """Where a transition from 0 to 1 first reaches 0.1, seen from its rest below 0.05, and 0.9. [samples]"""
    end = int(np.argmax(share >= 0.9)) if np.any(share >= 0.9) else len(share) - 1
    rest = np.flatnonzero(share[: end + 1] <= 0.05)
    begin = int(rest[-1]) if rest.size else 0
    begin += int(np.argmax(share[begin : end + 1] >= 0.1))
    return _between(share, begin - 1, 0.1), _between(share, end - 1, 0.9)


def middle_of(share: Floats) -> float:
    """Where it first reaches 0.5. [samples]"""
    above = int(np.argmax(share >= 0.5))
    return _between(share, above - 1, 0.5)


def _between(share: Floats, k: int, level: float) -> float:
    k = min(max(k, 0), len(share) - 2)
    slope = share[k + 1] - share[k]
    return k + (float(np.clip((level - share[k]) / slope, 0, 1)) if slope > 0 else 0.0)


def further(edge: Edge, points: float) -> Edge:
    """An edge of two real poles that goes further beyond its level by so much of its step."""
    root = math.sqrt(max(edge.zeta**2 - 1, 0.0))
    between_s = 2 * root / edge.omega_n_rad_per_s
    return Edge(edge.omega_n_rad_per_s, edge.zeta, max(edge.c_s + points * between_s, 0.0))
