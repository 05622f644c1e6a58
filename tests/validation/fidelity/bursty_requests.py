"""Requests of bursty services, by models other than cosim's own: branching, renewal, sessions, batches, crowds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cosim.fit.arrivals import Record

Floats = NDArray[np.float64]
Rng = np.random.Generator
LAST_S = 7200.0


def _thinned(rng: Rng, t_s: Floats, rate: Callable[[Floats], Floats]) -> Floats:
    """Those that a rate between 0 and 1 leaves."""
    return t_s[rng.random(len(t_s)) < rate(t_s)]


def self_exciting(rng: Rng, per_s: float, last_s: float, n_called: float, later_s: float) -> Floats:
    """Hawkes process: requests at a rate, each of which calls others some time later, on average. [1/s], [1], [s]"""
    found = list(rng.uniform(0, last_s, rng.poisson(per_s * last_s)))
    at = 0
    while at < len(found):
        found += list(found[at] + rng.exponential(later_s, rng.poisson(n_called)))
        at += 1
    return np.sort(np.array(found))


def hawkes(rng: Rng) -> Floats:
    """Each request calls 0.75 others, 4 s later on average: completions while one types."""
    found = self_exciting(rng, 0.35, LAST_S, 0.75, 4.0)
    return found[found < LAST_S]


def two_speed_hawkes(rng: Rng) -> Floats:
    """Calls within half a second and within a minute."""
    found = list(rng.uniform(0, LAST_S, rng.poisson(0.25 * LAST_S)))
    at = 0
    while at < len(found):
        found += list(found[at] + rng.exponential(0.4, rng.poisson(0.35)))
        found += list(found[at] + rng.exponential(45.0, rng.poisson(0.4)))
        at += 1
    return np.sort([t for t in found if t < LAST_S])


def modulated(rng: Rng) -> Floats:
    """Three states in a ring, as an interrupted Poisson process with a middle."""
    t, state, found = 0.0, 0, []
    rates, stays = (0.2, 2.0, 12.0), (40.0, 15.0, 6.0)
    while t < LAST_S:
        stay = rng.exponential(stays[state])
        found.append(t + np.sort(rng.uniform(0, stay, rng.poisson(stay * rates[state]))))
        t, state = t + stay, (state + 1) % 3
    return np.concatenate(found)


def pareto_gaps(rng: Rng) -> Floats:
    """Renewal with a tail of 1.5: no second moment."""
    return np.cumsum(0.25 * rng.pareto(1.5, 40_000))


def gamma_gaps(rng: Rng) -> Floats:
    """Renewal of CV 4."""
    return np.cumsum(rng.gamma(1 / 16, 16 * 0.5, 30_000))


def diurnal_gamma(rng: Rng) -> Floats:
    """Renewal of CV 3 thinned by a slow sine with a morning."""
    t_s = np.cumsum(rng.gamma(1 / 9, 9 * 0.25, 60_000))
    return _thinned(rng, t_s, lambda t: 0.55 + 0.4 * np.sin(2 * np.pi * t / LAST_S * 2 - 1))


def sessions(rng: Rng) -> Floats:
    """Code completion: sessions of lognormal length, in each a request every 0.8 s or so while typing, with pauses."""
    found = []
    for begin in rng.uniform(0, LAST_S, rng.poisson(0.02 * LAST_S)):
        t, end = begin, begin + rng.lognormal(4.0, 1.0)
        while t < end:
            n = rng.geometric(0.12)
            found.append(t + np.cumsum(rng.lognormal(-0.5, 0.6, n)))
            t = found[-1][-1] + rng.lognormal(2.0, 1.0)
    return np.sort(np.concatenate(found))


def batches(rng: Rng) -> Floats:
    """An evaluation harness: batches of 20 to 200 at once, Poisson in between."""
    begin = np.cumsum(rng.exponential(35.0, 300))
    parts = [b + rng.exponential(0.15, rng.integers(20, 200)).cumsum() * 0.1 for b in begin]
    return np.sort(np.concatenate([*parts, rng.uniform(0, LAST_S, 4000)]))


def one_burst(rng: Rng) -> Floats:
    """Plain Poisson, and a few sharp crowds of tens of seconds."""
    crowd = [b + rng.exponential(15.0, 150) for b in rng.uniform(0, LAST_S, 12)]
    return np.sort(np.concatenate([*crowd, rng.uniform(0, LAST_S, 14_000)]))


KINDS: tuple[Callable[[Rng], Floats], ...] = (
    hawkes, two_speed_hawkes, modulated, pareto_gaps, gamma_gaps, diurnal_gamma, sessions, batches, one_burst,
)  # fmt: skip


def requests(kind: Callable[[Rng], Floats], seed: int = 1) -> Record:
    """One record, with tokens of a chat."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    t_s = kind(rng)
    t_s = np.round(t_s[t_s < LAST_S], 6)
    t_s -= t_s[0]
    tokens = [np.maximum(rng.lognormal(m, 1.0, len(t_s)), 1).astype(np.int64) for m in (6.0, 3.5)]
    return Record(f"{kind.__name__}.csv", t_s, tokens[0], tokens[1], 0.0)
