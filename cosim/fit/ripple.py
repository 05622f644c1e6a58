"""Fast traces: what moves about their levels. Ripple and noise of each stretch, as jobs beside the switched one.

Noise of a job is relative to its power, so one job cannot be quiet at full load and noisy at idle, as accelerators are
(an A100 at idle pulses by 10 of 65 W, 78 times a second; at 200 W it moves by 2 W). Jobs that carry a small constant
power, each in its own stretch, hold such noise in watts.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, signal

from cosim.fit import structure as st
from cosim.fit.machine import Edge, Level, Machine, Noise
from cosim.fit.phase import tracked

Floats = NDArray[np.float64]

RIPPLE = "ripple"
"""Name of such a job."""
MAX_STRETCHES = 4
"""Most stretches of a trace with a ripple and a noise of their own; where there are more, all share one. [1]"""
MAX_BINS = 12
"""Most stages of one period of a ripple."""
LOUDER = 1.5
"""Ratio of spreads from which two levels do not share a noise. [1]"""
ROOM = 4.0
"""Mean power of such a job over the standard deviation of its noise. [1]"""
LEVEL_S, LEVEL_SAMPLES = 0.2, 50
"""What lasts longer than both belongs to the levels."""
MAX_SEGMENT, COVERED = 8192, 0.8
"""Most samples of a segment of Welch's method, by which noise is fitted, and part of the samples it must reach."""


@dataclass(frozen=True)
class Stretch:
    """Samples first to last - 1, all on one side of the middle: their ripple about the mean, and their noise."""

    first: int
    last: int
    ripple: tuple[Level, ...]
    """One period, about zero; empty where there is none."""
    jitter: float
    noise: Noise
    """Standard deviations in MW."""

    @property
    def need_mw(self) -> float:
        """Mean power that a job needs to carry it."""
        depth = -min((level.p_mw for level in self.ripple), default=0.0)
        return depth + ROOM * math.hypot(self.noise.slow_std, self.noise.fast_std)


def fluctuating(machine: Machine, p_mw: Floats, lasting: list[st.Segment]) -> Machine:
    """The machine with a job beside it for each stretch; its own levels make room for their mean power.

    Parameters
    ----------
    machine : Machine
        Levels and edges without noise.
    p_mw : ndarray
        The trace. [MW]
    lasting : list of Segment
        Its levels.
    """
    dt_s = machine.dt_s
    found = [_stretch(p_mw, dt_s, group) for group in _groups(p_mw, lasting)]
    room_mw = 0.6 * (min(level.p_mw for level in (*machine.start, *machine.main)) - machine.floor_mw)
    mean_mw = min(max(s.need_mw for s in found), room_mw)
    ends = [0.5 * (a.last + b.first) * dt_s for a, b in itertools.pairwise(found)]
    fast = Edge(10 / dt_s)
    beside = tuple(
        Machine(
            kind="training", name=RIPPLE, dt_s=dt_s, duration_s=machine.duration_s, floor_mw=0.0, begin_s=begin_s,
            stop_s=end_s, main=_carried(s, mean_mw), jitter=s.jitter, up=fast, down=fast, supply_tau_s=0.0,
            noise=replace(s.noise, slow_std=s.noise.slow_std / mean_mw, fast_std=s.noise.fast_std / mean_mw),
        )
        for s, begin_s, end_s in zip(found, [0.0, *ends], [*ends, None], strict=True)
    )  # fmt: skip

    def lower(levels: tuple[Level, ...]) -> tuple[Level, ...]:
        return tuple(replace(level, p_mw=level.p_mw - mean_mw) for level in levels)

    return machine.changed(start=lower(machine.start), main=lower(machine.main), noise=Noise(), beside=beside)


def _carried(stretch: Stretch, mean_mw: float) -> tuple[Level, ...]:
    """Its ripple about the mean power of its job, or that power alone."""
    if not stretch.ripple:
        return (Level(1.0, mean_mw),)
    return tuple(replace(level, p_mw=max(level.p_mw + mean_mw, 0.0)) for level in stretch.ripple)


def _groups(p_mw: Floats, lasting: list[st.Segment]) -> list[list[st.Segment]]:
    """Neighbouring levels on the same side of the middle and about as noisy; all in one where those are too many."""
    powers = [s.p_mw for s in lasting]
    middle = 0.5 * (min(powers) + max(powers))
    groups: list[list[st.Segment]] = []
    for s in lasting:
        spread = _spread(p_mw, s)
        if groups and (groups[-1][0].p_mw > middle) == (s.p_mw > middle):
            longest = max(groups[-1], key=lambda one: one.n)
            if s.n < 0.1 * longest.n or 1 / LOUDER < spread / max(_spread(p_mw, longest), 1e-15) < LOUDER:
                groups[-1].append(s)
                continue
        groups.append([s])
    return groups if len(groups) <= MAX_STRETCHES else [lasting]


def _spread(p_mw: Floats, s: st.Segment) -> float:
    """How samples of a level differ from its median, without its wild ones. [MW]"""
    low, high = np.percentile(p_mw[s.first : s.last], [16, 84])
    return float(high - low)


def _stretch(p_mw: Floats, dt_s: float, group: list[st.Segment]) -> Stretch:
    """Ripple by the mean waveform of its period, noise by the spectrum of what is left."""
    width = round(_level_s(dt_s) / dt_s) | 1
    parts = [_about_level(p_mw[s.first : s.last], width) for s in group]
    longest = max(parts, key=len)
    period_s = st.periodicity(longest, dt_s) if len(longest) >= 100 else math.nan
    first, last = group[0].first, group[-1].last
    if not math.isfinite(period_s):
        return Stretch(first, last, (), 0.0, noise_of(parts, dt_s, _level_s(dt_s)))
    cycles = tracked(longest, dt_s, period_s)
    n_bin = int(min(MAX_BINS, max(4, round(cycles.period_s / dt_s))))
    shape = st.waveform(longest, dt_s, cycles, n_bin)
    shape -= shape.mean()
    left = longest - _replayed(shape, cycles, len(longest), dt_s)
    ripple = tuple(Level(cycles.period_s / n_bin, float(p)) for p in shape)
    return Stretch(first, last, ripple, cycles.jitter, noise_of([left], dt_s, _level_s(dt_s)))


def _about_level(p_mw: Floats, width: int) -> Floats:
    """Without its level, which may creep, and with single wild samples brought to the usual extremes."""
    level = ndimage.uniform_filter1d(p_mw, min(width, len(p_mw)), mode="nearest")
    left = p_mw - level
    low, high = np.percentile(left, [0.01, 99.99])
    inside: Floats = np.clip(left, low, high)
    return inside


def _replayed(shape: Floats, cycles: st.Cycles, n: int, dt_s: float) -> Floats:
    """The waveform laid along the onsets that were found."""
    phase = np.interp(np.arange(n) * dt_s, cycles.onsets, np.arange(len(cycles.onsets)))
    laid: Floats = shape[np.minimum((phase % 1.0 * len(shape)).astype(int), len(shape) - 1)]
    return laid


def _level_s(dt_s: float) -> float:
    return max(LEVEL_S, LEVEL_SAMPLES * dt_s)


def noise_of(parts: list[Floats], dt_s: float, slowest_s: float) -> Noise:
    """Two Ornstein-Uhlenbeck processes whose power in octaves comes nearest to that of the parts; std in MW.

    Errors are those of the logarithm, so quiet octaves count as much as loud ones. What is slower than slowest_s is
    the levels' and does not count.
    """
    lengths = sorted(map(len, parts), reverse=True)
    most = int(np.searchsorted(np.cumsum(lengths), COVERED * sum(lengths)))
    n_segment = min(lengths[min(most, len(lengths) - 1)], MAX_SEGMENT)
    used = [x for x in parts if len(x) >= n_segment]
    f_hz: Floats = np.fft.rfftfreq(n_segment, dt_s).astype(np.float64)
    psd = np.average([signal.welch(x, 1 / dt_s, nperseg=n_segment)[1] for x in used], axis=0, weights=[*map(len, used)])
    slowest_s = min(slowest_s, n_segment * dt_s / 3)
    f_hz, psd = f_hz[f_hz * slowest_s >= 1], psd[f_hz * slowest_s >= 1]
    if len(f_hz) < MAX_BINS or not psd.max() > 0:
        return Noise(0.0, dt_s, float(np.std(np.concatenate(parts))), dt_s)
    octave = np.floor(np.log2(f_hz / f_hz[0]) + 1e-9).astype(int)
    wanted = np.maximum(np.bincount(octave, psd), 1e-12 * psd.sum())
    power = float(psd.sum()) * (f_hz[1] - f_hz[0])

    def off(x: Floats) -> Floats:
        got = sum(math.exp(x[k]) * _ou_spectrum(f_hz, math.exp(x[k + 1]), dt_s) for k in (0, 2))
        error: Floats = np.log(np.bincount(octave, got) / wanted)
        return error

    low, high = [math.log(1e-6 * power), math.log(0.2 * dt_s)], [math.log(4 * power), math.log(max(slowest_s, dt_s))]
    half = math.log(0.5 * power)
    starts = [[half, math.log(tau_s), half, math.log(0.5 * dt_s)] for tau_s in (3 * dt_s, 25 * dt_s, 0.2 * slowest_s)]
    best = min(
        (optimize.least_squares(off, np.clip(x, low * 2, high * 2), bounds=(low * 2, high * 2)) for x in starts),
        key=lambda found: float(found.cost),
    )
    (slow, slow_s), (fast, fast_s) = sorted((best.x[:2].tolist(), best.x[2:].tolist()), key=lambda x: -x[1])
    return Noise(math.exp(0.5 * slow), math.exp(slow_s), math.exp(0.5 * fast), math.exp(fast_s))


def _ou_spectrum(f_hz: Floats, tau_s: float, dt_s: float) -> Floats:
    """One-sided density of an Ornstein-Uhlenbeck process of variance 1, sampled every dt_s. [1/Hz]"""
    phi = math.exp(-dt_s / tau_s)
    density: Floats = 2 * dt_s * (1 - phi**2) / (1 - 2 * phi * np.cos(2 * math.pi * f_hz * dt_s) + phi**2)
    return density
