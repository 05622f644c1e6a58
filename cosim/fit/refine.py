"""Tune what structure alone leaves open (noise, jitter, depth) until simulated statistics meet the trace's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from cosim.errors import InputError
from cosim.fit.as_load import load_config
from cosim.fit.machine import Machine
from cosim.fit.simulate import draw_powers
from cosim.fit.statistics import Row, Signature, compare, median_signature, signature

Floats = NDArray[np.float64]
SEEDS = tuple(range(101, 113))
"""Draws that are tuned on, three of a long trace and all of a short one; the table is made with others."""
MIN_DRAWS, SAMPLES_OF_DRAWS = 3, 2500
"""Draws of a short trace are so many that together they have this many samples: its extremes are few. [1]"""
SAMPLES_PER_SEARCH = 900_000
"""Samples of the trace that a search may simulate, over all its tries and for each seed. [1]"""
WORST = 6.0
"""A statistic further off than this many targets weighs no more. [1]"""
ENOUGH = 0.1
"""A search ends where statistics are off by this part of their targets, in the mean of squares. [1]"""


@dataclass(frozen=True)
class Knob:
    """One tuned quantity: its start, its bounds, and how it enters the machine."""

    start: float
    low: float
    high: float
    turn: Callable[[Machine, float], Machine]
    log: bool = True

    def inside(self, x: float) -> float:
        """From the optimizer's free variable to the bounded value."""
        value = math.exp(x) if self.log else x
        return min(max(value, self.low), self.high)

    @property
    def free(self) -> float:
        """Start of the free variable."""
        value = min(max(self.start, self.low), self.high)
        return math.log(value) if self.log else value


def simulated(machine: Machine, first: int, last: int, seeds: tuple[int, ...]) -> list[Floats]:
    """Samples first to last - 1 of the machine's power, one array for each seed. [MW]"""
    return [p_mw[first:] for p_mw in draw_powers(load_config(machine), last, machine.dt_s, seeds)]


def signature_of(machine: Machine, first: int, last: int, seeds: tuple[int, ...], *, with_period: bool) -> Signature:
    """Median statistics over several draws."""
    draws = simulated(machine, first, last, seeds)
    return median_signature([signature(p, machine.dt_s, with_period=with_period) for p in draws])


def misfit(rows: list[Row]) -> float:
    """Sum of squared differences in units of their targets."""
    total = 0.0
    for row in rows:
        share = abs(row.difference) / row.target if math.isfinite(row.difference) else WORST
        total += min(share, WORST) ** 2 + (2.0 * max(share - 0.7, 0.0) if share < WORST else 12.0)
    return total


def tune(machine: Machine, knobs: list[Knob], p_mw: Floats, *, max_n: int | None = None) -> Machine:
    """Turn knobs until the statistics of samples 0 to len(p_mw) - 1 are met.

    Parameters
    ----------
    machine : Machine
        Start.
    knobs : list of Knob
        What may change.
    p_mw : ndarray
        The trace. [MW]
    max_n : int
        Most simulations in each of the two searches; default: more for shorter traces.

    Returns
    -------
    Machine
        The best one met.
    """
    wanted = signature(p_mw, machine.dt_s, with_period=False)
    n = len(p_mw)
    seeds = SEEDS[: max(MIN_DRAWS, round(SAMPLES_OF_DRAWS / n))]
    most = max_n if max_n is not None else min(max(SAMPLES_PER_SEARCH // n, 60), 300)

    def turned(x: Floats) -> Machine:
        found = machine
        for knob, free in zip(knobs, x, strict=True):
            found = knob.turn(found, knob.inside(float(free)))
        return found

    def cost(x: Floats) -> float:
        try:
            got = signature_of(turned(x), 0, n, seeds, with_period=False)
        except (InputError, ValueError):
            return 1e6
        return misfit(compare(wanted, got, machine.dt_s, n))

    enough = ENOUGH**2 * len(compare(wanted, wanted, machine.dt_s, n))

    def stop(*, intermediate_result: optimize.OptimizeResult) -> None:
        if intermediate_result.fun < enough:
            raise StopIteration

    start = np.array([knob.free for knob in knobs])
    steps = np.array([0.7 if knob.log else 0.08 * max(abs(knob.start), 0.5) for knob in knobs])
    simplex = np.vstack([start, start + np.diag(steps)])
    found = optimize.minimize(
        cost, start, method="Nelder-Mead", callback=stop,
        options={"maxfev": most, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-2, "adaptive": True},
    )  # fmt: skip
    if found.fun < enough:
        return turned(found.x)
    simplex = np.vstack([found.x, found.x - 0.4 * np.diag(steps)])
    again = optimize.minimize(
        cost, found.x, method="Nelder-Mead", callback=stop,
        options={"maxfev": most, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-2, "adaptive": True},
    )  # fmt: skip
    return turned(again.x if again.fun < found.fun else found.x)
