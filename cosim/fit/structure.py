"""Levels, iterations and interrupts of a trace: what repeats, how often, how long, at which power."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cosim.fit.machine import Interrupt, Level
from cosim.fit.statistics import strongest_period

Floats = NDArray[np.float64]

MAX_POINTS = 4000
"""Longest signal that is segmented sample by sample; longer ones are averaged to this many bins first."""


ALIKE = 0.5
"""Autocorrelation at its period from which a trace of few iterations is periodic. [1]"""


@dataclass(frozen=True)
class Segment:
    """Samples first to last - 1 at about one level."""

    first: int
    last: int
    p_mw: float

    @property
    def n(self) -> int:
        """Samples."""
        return self.last - self.first


def segments(p_mw: Floats, max_n: int, min_step: float) -> list[Segment]:
    """Best piecewise constant description with at most max_n pieces.

    Exact minimum of squared error plus a penalty per piece (optimal partitioning by dynamic programming); the
    penalty starts at what a step of `min_step` for three samples is worth and doubles until few enough remain.
    """
    pool = math.ceil(len(p_mw) / MAX_POINTS)
    n = len(p_mw) // pool
    x = p_mw[: n * pool].reshape(n, pool).mean(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(x - x.mean())])
    squares = np.concatenate([[0.0], np.cumsum((x - x.mean()) ** 2)])
    noise = 1.4826 * float(np.median(np.abs(np.diff(x) - np.median(np.diff(x))))) / math.sqrt(2)
    penalty = max(3 * min_step**2, 4 * noise**2 * math.log(n), 1e-18)
    while True:
        cuts = _partition(sums, squares, penalty)
        if len(cuts) - 1 <= max_n:
            break
        penalty *= 1.5
    edges = [cut * pool for cut in cuts]
    edges[-1] = len(p_mw)
    return [Segment(a, b, float(p_mw[a:b].mean())) for a, b in itertools.pairwise(edges)]


def _partition(sums: Floats, squares: Floats, penalty: float) -> list[int]:
    n = len(sums) - 1
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    before = np.zeros(n + 1, np.int64)
    starts = np.arange(n)
    for end in range(1, n + 1):
        length = end - starts[:end]
        cost = squares[end] - squares[:end] - (sums[end] - sums[:end]) ** 2 / length
        total = best[:end] + cost + penalty
        k = int(np.argmin(total))
        best[end], before[end] = total[k], k
    cuts = [n]
    while cuts[-1] > 0:
        cuts.append(int(before[cuts[-1]]))
    return cuts[::-1]


def regular_part(p_mw: Floats, dt_s: float, window_s: float) -> tuple[int, int]:
    """First and last sample between start and stop: where the average over a window is near its usual level."""
    width = max(3, round(window_s / dt_s))
    smooth = ndimage.median_filter(p_mw, size=width, mode="nearest")
    usual = float(np.median(smooth))
    near = np.flatnonzero(np.abs(smooth - usual) < 0.08 * usual)
    if near.size == 0:  # the median lies between two levels
        return 0, len(p_mw)
    first, last = int(near[0]), int(near[-1]) + 1
    inside = np.flatnonzero(np.abs(p_mw[first:last] - usual) < 0.12 * usual)
    if inside.size == 0:
        return first, last
    return first + int(inside[0]), first + int(inside[-1]) + 1


def before_stop(p_mw: Floats) -> int:
    """Samples before the run stops: its number where the end falls by a tenth of what the last twentieth usually is.

    A stop is what lies below that level by a hundredth (or eight times what neighbours differ by) up to the end.
    """
    last = p_mw[-max(20, len(p_mw) // 20) :]
    usual = float(np.median(last))
    if p_mw[-1] > 0.9 * usual:
        return len(p_mw)
    differ = 1.4826 * float(np.median(np.abs(np.diff(last)))) / math.sqrt(2)
    above = np.flatnonzero(last >= usual - max(0.01 * usual, 8 * differ))
    return len(p_mw) - len(last) + int(above[-1]) + 1


@dataclass(frozen=True)
class Cycles:
    """Iterations of a periodic trace."""

    period_s: float
    jitter: float
    """Relative standard deviation of an iteration's duration."""
    onsets: Floats
    """Times at which iterations begin, with the fall to the low level. [s]"""
    low_mw: float
    high_mw: float


def periodicity(p_mw: Floats, dt_s: float) -> float:
    """Period where one explains at least a quarter of the variance within its harmonics, else nan. [s]

    Of 10 iterations or more it is the strongest line of the spectrum; of 3 to 10, the lag at which the trace is most
    like itself.
    """
    period_s, share = period_and_share(p_mw, dt_s)
    return period_s if share > 0.25 else math.nan


def period_and_share(p_mw: Floats, dt_s: float, n_least: float = 3.0) -> tuple[float, float]:
    """The likeliest period [s], and the part of the variance in its first harmonics [1]; (nan, 0): none of n_least.

    Parameters
    ----------
    p_mw : ndarray
        [MW]
    dt_s : float
        [s]
    n_least : float
        Iterations that the trace must hold. [1]
    """
    for period_s in (strongest_period(p_mw, dt_s), _longest_period(p_mw, dt_s)):
        if not math.isfinite(period_s) or not 4 * dt_s <= period_s <= len(p_mw) * dt_s / n_least:
            continue
        power = np.abs(np.fft.rfft((p_mw - p_mw.mean()) * np.hanning(len(p_mw)))) ** 2
        phase = np.fft.rfftfreq(len(p_mw), dt_s) * period_s
        width = max(0.12, 1.5 * period_s / (len(p_mw) * dt_s))
        harmonic = (np.abs(phase - np.round(phase)) < width) & (np.round(phase) >= 1) & (np.round(phase) <= 4)
        share = float(power[harmonic].sum() / power[1:].sum())
        if share > 0.25:
            return period_s, share
    return math.nan, 0.0


def _longest_period(p_mw: Floats, dt_s: float) -> float:
    """A period of which the trace holds 3 to 10, by its autocorrelation; nan where it is not like itself. [s]"""
    n = len(p_mw)
    x = p_mw - p_mw.mean()
    whole = np.fft.irfft(np.abs(np.fft.rfft(x, 2 * n)) ** 2)[:n]
    if whole[0] <= 0:
        return math.nan
    like = whole / whole[0] * n / (n - np.arange(n))
    first = max(int(np.argmax(like < 0.1)), n // 10) if np.any(like < 0.1) else n
    lags = np.arange(first, n // 3 + 1)
    if lags.size < 3:
        return math.nan
    k = int(lags[np.argmax(like[lags])])
    again = like[max(2 * k - k // 8, 0) : min(2 * k + k // 8 + 1, 2 * n // 3 + 1)]
    if like[k] < ALIKE or k in (lags[0], lags[-1]) or again.max(initial=-1.0) < 0.8 * ALIKE:
        return math.nan
    return k * dt_s


def cycles(p_mw: Floats, dt_s: float, period_s: float) -> Cycles:
    """Iterations by the falls through the middle between low and high level, at interpolated times."""
    low, high = np.percentile(p_mw, [8, 75])
    middle = 0.5 * (low + high)
    below = p_mw < middle
    falls = np.flatnonzero(~below[:-1] & below[1:])
    part = (p_mw[falls] - middle) / (p_mw[falls] - p_mw[falls + 1])
    times = (falls + part) * dt_s
    kept = [times[0]] if len(times) else []
    for t_s in times[1:]:
        if t_s - kept[-1] > 0.55 * period_s:
            kept.append(t_s)
    onsets = np.array(kept)
    gaps = np.diff(onsets)
    usual = gaps[np.abs(gaps - period_s) < 0.25 * period_s]
    mean_s = float(usual.mean()) if usual.size else period_s
    spread = float(1.4826 * np.median(np.abs(usual - np.median(usual)))) if usual.size else 0.0
    spread = math.sqrt(max(spread**2 - dt_s**2 / 12, 0.0))
    return Cycles(mean_s, min(spread / mean_s / math.sqrt(2), 0.1), onsets, float(low), float(high))


def dip_spread(p_mw: Floats, dt_s: float, found: Cycles) -> float:
    """Relative spread of the depth of dips: of the lowest sample of each iteration, beyond that of high ones. [1]"""
    lows, highs = [], []
    for begin, end in zip(found.onsets[:-1], found.onsets[1:], strict=True):
        inside = p_mw[round(begin / dt_s) : round(end / dt_s)]
        if abs(end - begin - found.period_s) < 0.15 * found.period_s and inside.size:
            lows.append(float(inside.min()))
            highs.append(float(np.percentile(inside, 75)))
    if len(lows) < 5:
        return 0.0
    depth = float(np.median(highs) - np.median(lows))
    spreads = [1.4826 * float(np.median(np.abs(x - np.median(x)))) for x in (np.array(lows), np.array(highs))]
    return min(math.sqrt(max(spreads[0] ** 2 - spreads[1] ** 2, 0.0)) / max(depth, 1e-15), 0.5)


def waveform(p_mw: Floats, dt_s: float, found: Cycles, n_bin: int) -> Floats:
    """Mean power over one iteration, in bins of equal length from the fall on. [MW]"""
    total, count = np.zeros(n_bin), np.zeros(n_bin)
    t_s = np.arange(len(p_mw)) * dt_s
    for begin, end in zip(found.onsets[:-1], found.onsets[1:], strict=True):
        if abs(end - begin - found.period_s) > 0.15 * found.period_s:
            continue
        inside = slice(int(np.searchsorted(t_s, begin)), int(np.searchsorted(t_s, end)))
        bins = np.minimum(((t_s[inside] - begin) / (end - begin) * n_bin).astype(int), n_bin - 1)
        np.add.at(total, bins, p_mw[inside])
        np.add.at(count, bins, 1)
    if not count.any():  # too few whole iterations: laid by the period alone
        bins = np.minimum((t_s / found.period_s % 1.0 * n_bin).astype(int), n_bin - 1)
        np.add.at(total, bins, p_mw)
        np.add.at(count, bins, 1)
    shape = np.divide(total, count, out=np.full(n_bin, np.nan), where=count > 0)
    known = np.flatnonzero(np.isfinite(shape))
    filled: Floats = np.interp(np.arange(n_bin), known, shape[known], period=n_bin)
    return filled


def samples_in_bins(n: int, dt_s: float, found: Cycles, n_bin: int) -> NDArray[np.int64]:
    """How many of n samples lie in each bin of an iteration."""
    t_s = np.arange(n) * dt_s
    phase = t_s / found.period_s
    if len(found.onsets) > 1:
        inside = (t_s >= found.onsets[0]) & (t_s < found.onsets[-1])
        phase = np.interp(t_s[inside], found.onsets, np.arange(len(found.onsets)))
    counts: NDArray[np.int64] = np.bincount((phase % 1.0 * n_bin).astype(np.int64), minlength=n_bin)
    return counts


def long_lows(p_mw: Floats, dt_s: float, found: Cycles) -> list[Segment]:
    """Stretches without iterations: below the middle for much longer than an iteration's own low part."""
    middle = 0.5 * (found.low_mw + found.high_mw)
    runs = _runs(p_mw < middle)
    usual = float(np.median([b - a for a, b in runs])) if runs else 0.0
    need = max(2.0 * usual, 0.55 * found.period_s / dt_s)
    return [Segment(a, b, float(np.median(p_mw[a:b]))) for a, b in runs if b - a >= need]


def _runs(flag: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flag.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def recurrent(found: list[Segment], dt_s: float, period_s: float) -> Interrupt | None:
    """An interrupt at the usual distance of its occurrences; None for fewer than three."""
    if len(found) < 3:
        return None
    begins = np.array([s.first for s in found]) * dt_s
    spacing_s = float(np.median(np.diff(begins)))
    duration_s = float(np.median([s.n for s in found])) * dt_s
    every_n = max(1, round((spacing_s - duration_s) / period_s))
    exact_s = spacing_s - every_n * period_s
    if 0.6 * duration_s < exact_s < 1.5 * duration_s:
        duration_s = exact_s
    return Interrupt(spacing_s, duration_s, float(np.median([s.p_mw for s in found])), every_n)


def dips(p_mw: Floats, usual_mw: float, depth_mw: float) -> list[Segment]:
    """Stretches that lie depth_mw below the usual level, with the level they reach."""
    return [Segment(a, b, float(np.mean(p_mw[a:b]))) for a, b in _runs(p_mw < usual_mw - depth_mw)]


def levels_of(found: list[Segment], dt_s: float, **what: Any) -> tuple[Level, ...]:
    """Segments as levels."""
    return tuple(Level(s.n * dt_s, s.p_mw, **what) for s in found)
