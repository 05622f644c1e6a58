"""Several jobs in one trace: one after another (regimes), or at once (several periods)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cosim.fit import structure as st
from cosim.fit.machine import Level, Machine
from cosim.fit.phase import amplitude, tracked
from cosim.fit.reading import Trace

Floats = NDArray[np.float64]

MAX_REGIMES = 4
LEAST_SHARE = 0.15
"""Shortest regime over the stretch that is split. [1]"""
LEAST_SAMPLES = 400
"""Shorter traces are one regime. [1]"""
LEAST_ITERATIONS = 8.0
"""A regime with a period, and a second job, have as many. [1]"""
GAIN = 0.12
"""Part of the variance that a split must explain beyond what one period does. [1]"""
SECOND_SHARE = 0.1
"""Part of the variance that one period more must carry to be a job of its own. [1]"""
BETWEEN = 0.04
"""Periods whose ratio is nearer to a whole number are one job and its interrupts or harmonics. [1]"""
IDLE = 0.5
"""A side without a period and with less of the other's mean is start, stop or idle, and no job of its own. [1]"""
ROUNDS = 4
"""Turns in which each of several jobs is measured without the others."""
MAX_AT_ONCE = 3
MOST_INTERRUPTED = 0.2
"""Part of a trace that evaluations and an iteration about them take at most. [1]"""
MAX_BINS = 24


def regimes(p_mw: Floats, dt_s: float) -> list[tuple[int, int]]:
    """Stretches of a periodic trace in which one period and one level hold: first sample, last sample + 1.

    A cut is made where two periods (or levels) explain `GAIN` more of the variance than one; at least one of both sides
    has a period. One stretch, the whole, where nothing is to be cut or nothing is periodic.
    """
    found = [(0, len(p_mw))]
    while len(p_mw) >= LEAST_SAMPLES and len(found) < MAX_REGIMES:
        cuts = [(first, _best_cut(p_mw[first:last], dt_s), last) for first, last in found]
        cut = next(((first, first + at, last) for first, at, last in cuts if at), None)
        if cut is None:
            break
        first, middle, last = cut
        at = found.index((first, last))
        found[at : at + 1] = [(first, middle), (middle, last)]
    return found


def _best_cut(p_mw: Floats, dt_s: float) -> int:
    """Where a stretch is best cut in two; 0: nowhere."""
    n = len(p_mw)
    total = float(np.var(p_mw)) * n
    if total == 0:
        return 0
    least = int(LEAST_SHARE * n)

    def explained(at: int) -> float:
        return sum(_explained(x, dt_s, float(p_mw.mean())) for x in (p_mw[:at], p_mw[at:])) / total

    coarse = range(least, n - least + 1, max(n // 20, 1))
    best = max(coarse, key=explained)
    fine = range(max(best - n // 20, least), min(best + n // 20, n - least) + 1, max(n // 200, 1))
    best = max(fine, key=explained)
    one = _explained(p_mw, dt_s, float(p_mw.mean())) / total
    if explained(best) <= one + GAIN or not _are_jobs(p_mw[:best], p_mw[best:], dt_s):
        return 0
    return min(max(_sharp_cut(p_mw, dt_s, best), least), n - least)


def _sharp_cut(p_mw: Floats, dt_s: float, cut: int) -> int:
    """Where the first side's level and period give way to the second's, sample by sample.

    Each sample speaks for the side whose level it is nearer to, and whose period is there the stronger one.
    """
    sides = (p_mw[:cut], p_mw[cut:])
    periods = [st.period_and_share(x, dt_s, LEAST_ITERATIONS)[0] for x in sides]
    width = round(0.5 * max(p for p in periods if math.isfinite(p)) / dt_s)
    smooth = ndimage.uniform_filter1d(p_mw, 2 * width + 1, mode="nearest")
    swings = [np.zeros(len(p_mw)), np.zeros(len(p_mw))]
    for k, (period_s, where) in enumerate(zip(periods, (slice(cut), slice(cut, None)), strict=True)):
        if math.isfinite(period_s):
            swings[k] += amplitude(p_mw - smooth, dt_s, period_s) ** 2
            if not math.isfinite(periods[1 - k]):  # beside half of what a period has, one without can be told
                swings[1 - k] += 0.5 * float(np.median(swings[k][where]))
    off = [(smooth - float(np.mean(x))) ** 2 for x in sides]
    first = np.concatenate([[0.0], np.cumsum(swings[0] - swings[1] + off[1] - off[0])])
    return int(np.argmax(first))


def _explained(p_mw: Floats, dt_s: float, mean_mw: float) -> float:
    """Squares that its own mean and its own period explain, about a common mean. [MW2]"""
    _, share = st.period_and_share(p_mw, dt_s, LEAST_ITERATIONS)
    return len(p_mw) * ((float(p_mw.mean()) - mean_mw) ** 2 + share * float(np.var(p_mw)))


def _are_jobs(a: Floats, b: Floats, dt_s: float) -> bool:
    """Whether both sides are jobs: one has a period, and one without is not idle."""
    periods = [st.period_and_share(x, dt_s, LEAST_ITERATIONS)[0] for x in (a, b)]
    if not any(map(math.isfinite, periods)):
        return False
    means = [float(x.mean()) for x in (a, b)]
    return all(math.isfinite(period) or mean > IDLE * max(means) for period, mean in zip(periods, means, strict=True))


def in_sequence(machines: list[Machine], first: list[int], trace: Trace, floor_mw: float) -> Machine:
    """Machines of the regimes as jobs one after another, over one floor.

    Parameters
    ----------
    machines : list of Machine
        Each fitted to its own stretch, from its own zero on.
    first : list of int
        First sample of each stretch.
    trace : Trace
    floor_mw : float
        Power at U = 0 of the site.
    """
    dt_s = trace.dt_s
    begins = [max(k - 0.5, 0.0) * dt_s for k in first]
    parts = []
    for i, machine in enumerate(machines):
        stop_s = begins[i + 1] if i + 1 < len(machines) else None
        if machine.stop_s is not None:
            stop_s = begins[i] + machine.stop_s
        one = over_floor(machine, floor_mw).changed(
            begin_s=begins[i], stop_s=stop_s, duration_s=trace.duration_s,
            end_s=None if machine.end_s is None else begins[i] + machine.end_s,
        )  # fmt: skip
        parts.append(one if i == 0 else lowered(one, floor_mw))
    return parts[0].changed(beside=tuple(parts[1:]))


def over_floor(machine: Machine, floor_mw: float) -> Machine:
    """The same machine over another floor: noise is relative to what lies above it."""
    usual = float(np.average([s.p_mw for s in machine.main], weights=[s.duration_s for s in machine.main]))
    factor = max(usual - machine.floor_mw, 1e-12) / max(usual - floor_mw, 1e-12)
    noise = machine.noise
    return machine.changed(
        floor_mw=floor_mw,
        noise=replace(noise, slow_std=noise.slow_std * factor, fast_std=noise.fast_std * factor),
    )


def lowered(machine: Machine, by_mw: float) -> Machine:
    """All its powers less a constant that another job's floor has."""

    def lower(levels: tuple[Level, ...]) -> tuple[Level, ...]:
        return tuple(replace(s, p_mw=s.p_mw - by_mw) for s in levels)

    interrupts = {
        name: None if what is None else replace(what, p_mw=max(what.p_mw - by_mw, 0.0))
        for name, what in (("evaluation", machine.evaluation), ("checkpoint", machine.checkpoint))
    }
    return machine.changed(
        floor_mw=machine.floor_mw - by_mw, start=lower(machine.start), main=lower(machine.main),
        end=lower(machine.end), **interrupts,
    )  # fmt: skip


def next_period(p_mw: Floats, dt_s: float, periods_s: list[float]) -> float:
    """Period of one job more in what the waveforms of those found leave, nan where none carries `SECOND_SHARE`. [s]"""
    left = p_mw.copy()
    for other in apart(p_mw, dt_s, periods_s)[1:]:
        left -= other
    cycles = tracked(left, dt_s, periods_s[0])
    if len(cycles.onsets) < 4:
        return math.nan
    by_falls = st.cycles(left, dt_s, periods_s[0])
    lows = st.long_lows(left, dt_s, by_falls)
    left = left - _replay(left, dt_s, periods_s[0])
    left -= left.mean()
    width = round(0.5 * periods_s[0] / dt_s)
    if sum(low.n + 2 * width for low in lows) < MOST_INTERRUPTED * len(left):  # else they are another job's
        for low in lows:  # the first job's own evaluations
            left[max(low.first - width, 0) : low.last + width] = 0.0
    other_s, share = st.period_and_share(left, dt_s, LEAST_ITERATIONS)
    if not math.isfinite(other_s) or share * float(np.var(left)) < SECOND_SHARE * float(np.var(p_mw)):
        return math.nan
    ratios = [max(t, other_s) / min(t, other_s) for t in periods_s]
    return other_s if all(abs(ratio - round(ratio)) > BETWEEN * ratio for ratio in ratios) else math.nan


def apart(p_mw: Floats, dt_s: float, periods_s: list[float]) -> list[Floats]:
    """What jobs of these periods draw: the first with the mean and the noise, the others from zero up.

    In turns, the mean waveform of each is laid along its own phase and taken off before the next is measured.
    """
    laid = [np.zeros(len(p_mw)) for _ in periods_s]
    for _ in range(ROUNDS if len(periods_s) > 1 else 0):
        for k, period_s in enumerate(periods_s):
            others = sum((x for i, x in enumerate(laid) if i != k), np.zeros(len(p_mw)))
            laid[k] = _replay(p_mw - others, dt_s, period_s)
    further = [x - float(x.min()) for x in laid[1:]]
    return [p_mw - sum(further, np.zeros(len(p_mw))), *further]


def _replay(p_mw: Floats, dt_s: float, period_s: float) -> Floats:
    """Mean waveform of one period laid along its phase, without its mean. [MW]"""
    cycles = tracked(p_mw, dt_s, period_s)
    n_bin = int(min(MAX_BINS, max(4, round(2 * cycles.period_s / dt_s))))
    shape = st.waveform(p_mw, dt_s, cycles, n_bin)
    phase = np.interp(np.arange(len(p_mw)) * dt_s, cycles.onsets, np.arange(len(cycles.onsets)))
    centre = np.arange(n_bin + 1) + 0.5
    laid: Floats = np.interp(phase % 1.0 * n_bin, centre, np.append(shape, shape[0]), period=n_bin)
    return laid - float(shape.mean())
