"""A trace that idles and bursts: levels with hysteresis, how long each is kept, what follows it (semi-Markov)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError
from cosim.fit.as_load import load_dict
from cosim.fit.as_yaml import as_yaml
from cosim.fit.kernel import hold_levels
from cosim.fit.machine import Edge, Machine, Noise, State
from cosim.fit.reading import Trace
from cosim.fit.refine import SEEDS, misfit, signature_of
from cosim.fit.statistics import compare, signature
from cosim.load.config_visits import PROBABILITIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS = (2, 3, 4, 6, 8, 10, 12)
"""Numbers of levels that are tried; with two states each, one entered from below and one from above."""
LAGS = (0.7, 1.0, 1.5, 2.0, 3.0)
"""Natural frequency times interval of the slow edges that are tried: levels that smear into one another. [rad]"""
MIDDLE_LAG = 1.5
"""Of those that are tried with every number of levels. [rad]"""
HYSTERESIS = 0.15
"""Part of the step between neighbouring levels by which another must be nearer. [1]"""
N_DRAW, N_SLOWER, N_FINAL = 5, 4, 8
"""Draws by which a model is judged; best models that are tried with slow edges too, and that are judged again. [1]"""
FINAL_SEEDS = tuple(range(201, 217))
"""Draws of the second judgement: the best of sixty on five draws is often good on those only."""
COARSE, MANY_STATES = (0.0, 0.125, 0.5, 0.875, 1.0), 14
"""Probabilities of the quantiles of a model of more states than that."""
LEAST_CHANCE = 0.01
"""Rarer states behind another are left out. [1]"""
LEAST_CHANGES = 5
"""Changes between the lower and the upper half of a trace, three visits to each. [1]"""
LEAST_VISITS = 12
"""Visits to levels from which their lengths say anything. [1]"""
BETTER = 0.5
"""Misfit over that of the structured model below which visits are taken. [1]"""
MAX_TEXT = 6000
"""Longest YAML of the load: indented, in a scenario, it stays below 8 kB. [characters]"""
MAX_NOISE = 0.3
"""Bound of `noise.std`."""


def or_visits(machine: Machine, trace: Trace) -> Machine:
    """The machine, or a semi-Markov one where that meets the trace's statistics by far better.

    Every number of levels is tried, with and without regard to whether a level was reached from below or above, and
    the best ones with edges that take some intervals; the statistics of simulations decide.

    Parameters
    ----------
    machine : Machine
        The structured model of the trace.
    trace : Trace
    """
    wanted = signature(trace.p_mw, trace.dt_s)
    n = len(trace.p_mw)

    def off(one: Machine, seeds: tuple[int, ...] = SEEDS[:N_DRAW]) -> float:
        try:
            got = signature_of(one, 0, n, seeds, with_period=True)
        except (InputError, ValueError):
            return math.inf
        return misfit(compare(wanted, got, trace.dt_s, n))

    present = compare(wanted, signature_of(machine, 0, n, SEEDS[:N_DRAW], with_period=True), trace.dt_s, n)
    if all(row.holds for row in present) or not _recurs(trace.p_mw):
        return machine
    final = _best(trace, off)
    again = [off(one, FINAL_SEEDS) for one in final]
    return final[int(np.argmin(again))] if final and min(again) < BETTER * misfit(present) else machine


def _recurs(p_mw: Floats) -> bool:
    """Whether the trace comes back to its lower and to its upper half: a start, or a stop, is no state to visit."""
    centers = _centers(p_mw, 2)
    if len(centers) < 2:
        return False
    level = np.zeros(len(p_mw), np.int64)
    hold_levels(p_mw, centers, HYSTERESIS, level)
    return int(np.count_nonzero(np.diff(level))) >= LEAST_CHANGES


def _best(trace: Trace, off: Callable[[Machine], float]) -> list[Machine]:
    """The model of least misfit, over several speeds of edges, of each of the best numbers of levels."""
    judged: list[tuple[float, int, Machine]] = []
    slow: dict[int, Machine] = {}
    for i, (levels, directed) in enumerate(itertools.product(LEVELS, (False, True))):
        sharp = visiting(trace, levels, directed=directed)
        smooth = visiting(trace, levels, directed=directed, has_slow_edges=True)
        if sharp is None or smooth is None:
            continue
        slow[i] = smooth
        judged += [(off(one), i, one) for one in (sharp, _slower(smooth, MIDDLE_LAG))]
    judged.sort(key=lambda x: x[:2])
    for i in list(dict.fromkeys(i for _, i, _ in judged))[:N_SLOWER]:
        for lag in LAGS:
            both = _slower(slow[i], lag)
            judged += [(off(one), i, one) for one in (both, both.changed(up=slow[i].up))]
    best = {i: one for _, i, one in sorted(judged, key=lambda x: x[:2], reverse=True)}
    order = dict.fromkeys(i for _, i, _ in sorted(judged, key=lambda x: x[:2]))
    return [best[i] for i in list(order)[:N_FINAL]]


def _slower(machine: Machine, lag: float) -> Machine:
    """The machine with edges of a natural frequency of so much over its interval."""
    edge = Edge(lag / machine.dt_s)
    return machine.changed(up=edge, down=edge)


@dataclass(frozen=True)
class _Visits:
    """Stretches of a trace at one level."""

    first: Ints
    n: Ints
    state: Ints
    mean_mw: Floats
    left_mw: Floats
    """What each sample differs from the mean of its visit."""


def visiting(trace: Trace, n_level: int, *, directed: bool, has_slow_edges: bool = False) -> Machine | None:
    """Semi-Markov machine of so many levels; None where the trace has too few visits or the model is too long.

    With slow edges, what a visit drifts is theirs: only what neighbours differ by is noise.
    """
    p_mw, dt_s = trace.p_mw, trace.dt_s
    centers = _centers(p_mw, n_level)
    if len(centers) < 2:
        return None
    level = np.zeros(len(p_mw), np.int64)
    hold_levels(p_mw, centers, HYSTERESIS, level)
    visits = _visits(p_mw, level, directed=directed)
    if len(visits.n) < LEAST_VISITS:
        return None
    n_state = int(visits.state.max()) + 1
    at = tuple(PROBABILITIES) if n_state <= MANY_STATES else COARSE
    states = [_state(visits, k, dt_s, at) for k in range(n_state)]
    if has_slow_edges:
        states = [replace(s, noise_mw=min(s.noise_mw, _roughness(visits, k))) for k, s in enumerate(states)]
    states = [replace(s, next=_next(visits.state, k, n_state)) for k, s in enumerate(states)]
    lowest = min(states, key=lambda s: s.p_mw[0])
    floor_mw = max(min(0.98 * lowest.p_mw[0], lowest.p_mw[0] - 5 * lowest.noise_mw), 0.0)
    relative = max(s.noise_mw / max(_mean(s.p_mw, at) - floor_mw, 1e-15) for s in states)
    machine = Machine(
        kind="semi_markov", dt_s=dt_s, duration_s=trace.duration_s, floor_mw=floor_mw, states=tuple(states),
        probabilities=at,
        noise=Noise(slow_std=min(relative, MAX_NOISE), slow_s=_correlation_s(visits, dt_s)),
        **_at_once(dt_s),
    )  # fmt: skip
    return machine if len(as_yaml(load_dict(machine))) <= MAX_TEXT else None


def _at_once(dt_s: float) -> dict[str, Any]:
    """Edges that are over within an interval: what is slower the levels have."""
    edge = Edge(15 / dt_s)
    return {"up": edge, "down": edge, "supply_tau_s": 0.0}


def _centers(p_mw: Floats, n_level: int) -> Floats:
    """Levels by k-means in one dimension, from even distances on; those that nothing is near to are left out."""
    low, high = np.quantile(p_mw, [0.005, 0.995]).tolist()
    if low == high:
        low, high = float(p_mw.min()), float(p_mw.max())
    found: Floats = np.linspace(low, high, n_level)
    for _ in range(50):
        near = np.searchsorted(0.5 * (found[1:] + found[:-1]), p_mw)
        count = np.bincount(near, minlength=len(found))
        moved: Floats = (np.bincount(near, p_mw, minlength=len(found)) / np.maximum(count, 1))[count > 0]
        if len(moved) == len(found) and np.allclose(moved, found, rtol=1e-9, atol=0):
            break
        found = moved
    return found


def _visits(p_mw: Floats, level: Ints, *, directed: bool) -> _Visits:
    """Stretches of one level each; states are numbered from that of the first visit on."""
    first = np.concatenate([[0], np.flatnonzero(np.diff(level)) + 1])
    n = np.diff(np.append(first, len(p_mw)))
    state = level[first]
    if directed:
        state = 2 * state + np.concatenate([[0], np.diff(state) > 0])
    kept = list(dict.fromkeys(state.tolist()))
    number = np.zeros(int(state.max()) + 1, np.int64)
    number[kept] = np.arange(len(kept))
    mean = np.add.reduceat(p_mw, first) / n
    return _Visits(first, n, number[state], mean, p_mw - np.repeat(mean, n))


def _state(visits: _Visits, k: int, dt_s: float, at: tuple[float, ...]) -> State:
    """Quantiles of the visits to one state, means kept, and the noise within them."""
    own = visits.state == k
    n, mean_mw = visits.n[own], visits.mean_mw[own]
    dwell, levels = np.quantile(n * dt_s, at), np.quantile(mean_mw, at)
    stretch = _ratio(float(np.mean(n)) * dt_s - dwell[0], _mean(dwell, at) - dwell[0])
    longest = dwell[0] + (dwell - dwell[0]) * stretch
    weighed = float(np.average(mean_mw, weights=n))
    levels = np.clip(levels + weighed - _mean(levels, at), levels[0], levels[-1])
    free = int(np.sum(n - 1))
    squares = float(np.sum(visits.left_mw[np.repeat(own, visits.n)] ** 2))
    noise_mw = math.sqrt(squares / free) if free else 0.0
    return State(tuple(levels.tolist()), tuple(np.maximum(longest, dt_s).tolist()), noise_mw, ())


def _roughness(visits: _Visits, k: int) -> float:
    """Standard deviation of white noise with the second differences within visits to state k. [MW]"""
    number = np.repeat(np.where(visits.state == k, np.arange(len(visits.n)), -1), visits.n)
    inside = (number[2:] == number[:-2]) & (number[2:] >= 0)
    bent = np.diff(visits.left_mw, 2)[inside]
    return float(np.sqrt(np.mean(bent**2) / 6)) if bent.size else math.inf


def _mean(quantiles: Any, at: tuple[float, ...]) -> float:
    """Mean of a quantile function that is linear between its probabilities."""
    return float(np.trapezoid(quantiles, at))


def _ratio(wanted: float, got: float) -> float:
    return wanted / got if got > 0 else 1.0


def _next(state: Ints, k: int, n_state: int) -> tuple[tuple[int, float], ...]:
    """Chances of the states behind state k."""
    count = np.bincount(state[1:][state[:-1] == k], minlength=n_state)
    count = np.where(count < LEAST_CHANCE * count.sum(), 0, count)
    return tuple((i, float(count[i] / count.sum())) for i in np.flatnonzero(count).tolist())


def _correlation_s(visits: _Visits, dt_s: float) -> float:
    """Correlation time of the noise, by neighbours within a visit."""
    number = np.repeat(np.arange(len(visits.n)), visits.n)
    same = number[1:] == number[:-1]
    a, b = visits.left_mw[:-1][same], visits.left_mw[1:][same]
    power = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    like = float(np.sum(a * b)) / power if power > 0 else 0.0
    return dt_s / -math.log(min(max(like, 0.01), 0.99))
