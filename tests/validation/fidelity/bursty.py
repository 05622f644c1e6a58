"""Power of nodes that idle and burst, by models other than cosim's own: queues, renewal and branching processes, maps.

Each takes a generator and gives watts at even instants. None of them is a semi-Markov process between levels with
independent visits, nor a Gaussian process, except where its name says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from bursty_requests import self_exciting
from numpy.typing import NDArray
from scipy import signal

from cosim.fit.reading import Trace

Floats = NDArray[np.float64]
Rng = np.random.Generator
N = 3600
"""Samples of each trace."""


def _in_service(begin_s: Floats, last_s: Floats, dt_s: float) -> Floats:
    """Mean number of requests in service over each interval: the integral of the count is exact."""
    edges = np.arange(N + 1) * dt_s
    total = np.zeros(N + 1)
    for times, sign in ((begin_s, 1.0), (begin_s + last_s, -1.0)):
        order = np.sort(times)
        sums = np.concatenate([[0.0], np.cumsum(order)])
        k = np.searchsorted(order, edges)
        total += sign * (edges * k - sums[k])
    return np.diff(total) / dt_s


def _saturated(busy: Floats, idle_w: float, swing_w: float, half: float) -> Floats:
    """Power of a batch: each further request adds less."""
    return idle_w + swing_w * (1 - np.exp(-busy / half))


def pareto_requests(rng: Rng) -> Floats:
    """Requests at Pareto distances (CV of a code service), lognormal answers, a batch that saturates."""
    begin = np.cumsum(0.6 * (rng.pareto(1.45, 4000)))
    return _saturated(_in_service(begin, rng.lognormal(0.6, 0.9, 4000), 1.0), 1800, 4200, 4.0) + rng.normal(0, 8, N)


def hawkes_requests(rng: Rng) -> Floats:
    """Self-exciting requests: 70 % of them are called by one before, 5 s later on average."""
    times = self_exciting(rng, 0.06, N, 0.7, 5.0)
    return _saturated(_in_service(times, rng.gamma(2, 2.5, len(times)), 1.0), 2300, 3400, 3.0) + rng.normal(0, 15, N)


def modulated_queue(rng: Rng) -> Floats:
    """Markov-modulated arrivals before four servers with deterministic service: queueing makes plateaus."""
    t_s, times = 0.0, []
    while t_s < N:
        for rate, mean_s in ((0.02, 70.0), (2.5, 12.0)):
            stay = rng.exponential(mean_s)
            times += list(t_s + np.sort(rng.uniform(0, stay, rng.poisson(rate * stay))))
            t_s += stay
    free = np.zeros(4)
    begin = np.zeros(len(times))
    for i, t in enumerate(times):
        k = int(np.argmin(free))
        begin[i] = max(t, free[k])
        free[k] = begin[i] + 2.2
    return 1500 + 900 * _in_service(begin, np.full(len(times), 2.2), 1.0) + rng.normal(0, 12, N)


def pareto_gaps(rng: Rng) -> Floats:
    """Bursts of lognormal length and uniform height, gaps with a heavy tail."""
    p_w, t = np.full(N, 620.0), 0.0
    while t < N:
        t += 4.0 * (1 + rng.pareto(1.6))
        last = rng.lognormal(1.8, 0.8)
        p_w[round(t) : round(t + last)] = rng.uniform(2200, 5200)
        t += last
    return p_w + rng.normal(0, 6, N)


def half_bursting(rng: Rng) -> Floats:
    """Four of eight accelerators idle, each of the others on and off by itself with Weibull stays."""
    p_w = np.full(N, 8 * 75.0 + 900)
    for _ in range(4):
        t = 0.0
        while t < N:
            t += 30 * rng.weibull(0.7)
            last = 20 * rng.weibull(0.9)
            p_w[round(t) : round(t + last)] += 520.0
            t += last
    return p_w + rng.normal(0, 10, N)


def shot_noise(rng: Rng) -> Floats:
    """Calls that start at once and fade over 9 s, as boost clocks and fans do."""
    p_w = np.zeros(N)
    np.add.at(p_w, rng.integers(0, N, 500), rng.exponential(800, 500))
    return 1400 + signal.lfilter([1.0], [1.0, -math.exp(-1 / 9)], p_w) + rng.normal(0, 5, N)


def stray_spikes(rng: Rng) -> Floats:
    """An idle node with a health check of one or two samples now and then."""
    p_w = 700 + signal.lfilter([1.0], [1.0, -0.9], rng.normal(0, 1.5, N))
    for at in np.flatnonzero(rng.random(N) < 0.025):
        p_w[at : at + rng.integers(1, 3)] += rng.gamma(4, 160)
    return p_w


def lognormal_process(rng: Rng) -> Floats:
    """A skewed process without states: the exponential of an autoregression of second order."""
    x = signal.lfilter([1.0], np.convolve([1, -0.93], [1, -0.6]), rng.normal(0, 1, N + 200))[200:]
    return 900 + 700 * np.exp(0.85 * x / x.std())


def prefill_decode(rng: Rng) -> Floats:
    """One request at a time: a second or two of prefill at full power, then decoding at half, then idle."""
    p_w, t = np.full(N, 950.0), 0.0
    while t < N:
        t += rng.gamma(0.5, 40)
        prefill, decode = rng.gamma(2, 0.9), rng.gamma(1.5, 9)
        p_w[round(t) : round(t + prefill)] = 5600
        p_w[round(t + prefill) : round(t + prefill + decode)] = 3100 + rng.normal(0, 120)
        t += prefill + decode
    return p_w + rng.normal(0, 10, N)


def intermittent_map(rng: Rng) -> Floats:
    """Long laminar stretches and chaotic bursts of a Pomeau-Manneville map."""
    x, out = rng.random(), np.zeros(N)
    for i in range(N):
        x = (x + 2**0.6 * x**1.6) if x < 0.5 else 2 * x - 1
        x = min(max(x, 2e-3), 1 - 1e-9)
        out[i] = x
    return 1200 + 3000 * out + rng.normal(0, 10, N)


def volatile(rng: Rng) -> Floats:
    """A level with noise whose own size wanders (stochastic volatility)."""
    h = signal.lfilter([1.0], [1.0, -0.98], rng.normal(0, 0.1, N))
    return np.maximum(4200 + 60 * np.exp(h) * signal.lfilter([1.0], [1.0, -0.5], rng.normal(0, 1, N)), 100)


def deep_idle(rng: Rng) -> Floats:
    """Three levels: busy, warm for 25 s behind each burst, then powered down; one queue of tasks."""
    p_w, t = np.full(N, 420.0), 0.0
    while t < N:
        gap, last = rng.exponential(22), rng.lognormal(1.5, 0.7)
        p_w[round(t) : round(t + min(gap, 25))] = 1100
        t += gap
        p_w[round(t) : round(t + last)] = 3900
        t += last
    return p_w + rng.normal(0, 5, N)


def tool_calls(rng: Rng) -> Floats:
    """An agent at 0.1 s: thinks for Erlang stays with saw-toothed power, waits for tools."""
    p_w, k = np.full(N, 260.0), 0
    while k < N:
        think, wait = round(rng.gamma(3, 8)) + 1, round(rng.lognormal(2.3, 1.0)) + 1
        ramp = 460 + 180 * np.linspace(0, 1, think)
        p_w[k : k + think] = ramp[: max(min(think, N - k), 0)]
        k += think + wait
    return p_w + rng.normal(0, 6, N)


def coarse_telegraph(rng: Rng) -> Floats:
    """Random telegraph signal read by a meter of 100 W."""
    state = np.cumsum(rng.random(N) < 0.06) % 2
    return np.round((1730 + 2470 * state + rng.normal(0, 40, N)) / 100) * 100


def random_ramps(rng: Rng) -> Floats:
    """Linear ramps between random levels: load that moves without edges."""
    at = np.cumsum(rng.gamma(2, 14, 400))
    return np.interp(np.arange(N), at, 1300 + 3800 * rng.beta(0.5, 0.9, 400)) + rng.normal(0, 10, N)


def day_and_night(rng: Rng) -> Floats:
    """Poisson requests whose rate follows a slow sine of eight minutes (nothing that repeats sharply)."""
    rate = 0.5 * (1 + np.sin(2 * np.pi * np.arange(N) / 480 + np.cumsum(rng.normal(0, 0.05, N)))) ** 3
    begin = np.repeat(np.arange(N), rng.poisson(rate)) * 1.0
    begin += rng.random(len(begin))
    return _saturated(_in_service(begin, rng.exponential(4.0, len(begin)), 1.0), 1600, 4300, 6.0) + rng.normal(0, 15, N)


KINDS: dict[str, tuple[Callable[[Rng], Floats], float]] = {
    one.__name__: (one, 0.1 if one is tool_calls else 1.0)
    for one in (
        pareto_requests, hawkes_requests, modulated_queue, pareto_gaps, half_bursting, shot_noise, stray_spikes,
        lognormal_process, prefill_decode, intermittent_map, volatile, deep_idle, tool_calls, coarse_telegraph,
        random_ramps, day_and_night,
    )
}  # fmt: skip
"""Name: what makes its watts, and the distance of its samples [s]."""


def bursty(name: str, seed: int = 1) -> Trace:
    """One of the traces."""
    make, dt_s = KINDS[name]
    rng = np.random.default_rng([seed, list(KINDS).index(name)])
    return Trace(f"{name}.csv", dt_s, np.maximum(np.round(make(rng), 1), 0.0) * 1e-6)
