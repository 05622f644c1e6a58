"""A first model of each kind from the structure of a trace, and the knobs that tune it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cosim.fit import structure as st
from cosim.fit.machine import Edge, Interrupt, Level, Machine, Noise
from cosim.fit.reading import Trace
from cosim.fit.refine import Knob
from cosim.fit.ripple import noise_of
from cosim.fit.structure import Segment

Floats = NDArray[np.float64]

FLOOR_SHARE = 0.4
"""Idle over usual power where the trace never shows the idle machine (LoRA on 64 H100: 21 of 50 kW). [1]"""
MAX_BINS = 24
"""Most stages of one iteration."""
FEW_SAMPLES = 0.2
"""Samples in a stage over their mean number, below which what it shows is chance. [1]"""
MAX_START = 8
"""Most stages before the regular part of a periodic trace."""
SLOWEST = 300.0
"""Slowest noise of inference in intervals; what is slower is its levels'. [1]"""
MAX_LEVELS = 24
"""Most levels of a trace without a period."""


def floor_of(p_mw: Floats, usual_mw: float) -> float:
    """Power at U = 0: the lowest of the trace where that shows the idle machine, else an assumed share of the usual."""
    lowest = float(p_mw.min())
    return 0.995 * lowest if lowest < 0.6 * usual_mw else min(FLOOR_SHARE * usual_mw, 0.995 * lowest)


def training(trace: Trace, period_s: float) -> Machine:
    """A periodic trace: iterations by their mean waveform, recurrent interrupts, what precedes and follows."""
    p_mw, dt_s = trace.p_mw, trace.dt_s
    first, last = st.regular_part(p_mw, dt_s, 3 * period_s)
    usual = float(np.median(p_mw[first:last]))
    stops = _stops(p_mw, first, last, period_s / dt_s)
    if not stops:
        last = len(p_mw)
    regular = p_mw[first:last]
    found = st.cycles(regular, dt_s, period_s)
    n_bin = _n_bin(found, len(regular), dt_s)
    shape = st.waveform(regular, dt_s, found, n_bin)
    width_s = found.period_s / n_bin
    start = st.levels_of(st.segments(p_mw[:first], MAX_START, 0.05 * usual), dt_s, name="start") if first > 2 else ()
    floor = float(np.median(p_mw[last:])) if stops else floor_of(p_mw, usual)
    return Machine(
        kind="training",
        dt_s=dt_s,
        duration_s=trace.duration_s,
        floor_mw=floor,
        start=start,
        main=tuple(Level(width_s, float(p)) for p in shape),
        stop_s=last * dt_s if stops else None,
        jitter=found.jitter,
        dip=st.dip_spread(regular, dt_s, found),
        evaluation=st.recurrent(st.long_lows(regular, dt_s, found), dt_s, found.period_s),
        noise=first_noise(regular, dt_s, floor, 0.02),
    )


def _stops(p_mw: Floats, first: int, last: int, n_period: float) -> bool:
    """Whether what follows the regular part is its stop: lower than usual, and longer or lower than a dip is."""
    tail, usual = p_mw[last:], float(np.median(p_mw[first:last]))
    if len(tail) < 3 or float(np.median(tail)) >= 0.7 * usual:
        return False
    if float(np.percentile(tail, 90)) > 0.8 * usual:
        return False
    lowest = float(np.percentile(p_mw[first:last], 1))
    return len(tail) > n_period or float(np.median(tail)) < lowest - 0.05 * usual


def _n_bin(found: st.Cycles, n: int, dt_s: float) -> int:
    """Stages of one iteration: two a sample, or one where samples always fall on the same places of an iteration."""
    n_bin = int(min(MAX_BINS, max(4, round(2 * found.period_s / dt_s))))
    counts = st.samples_in_bins(n, dt_s, found, n_bin)
    if counts.min() > FEW_SAMPLES * counts.mean():
        return n_bin
    return int(min(MAX_BINS, max(4, round(found.period_s / dt_s))))


def first_noise(p_mw: Floats, dt_s: float, floor_mw: float, std: float) -> Noise:
    """Noise to begin with: what neighbouring samples differ by."""
    if len(p_mw) < 2:
        return Noise()
    swing = max(float(np.median(p_mw)) - floor_mw, 1e-12)
    robust = 1.4826 * float(np.median(np.abs(np.diff(p_mw)))) / swing
    fast = min(max(robust, 1e-4), std)
    return Noise(slow_std=fast, slow_s=20 * dt_s, fast_std=fast, fast_s=dt_s)


def staged(trace: Trace) -> Machine:
    """Stages, then a steady part with recurrent dips, then what is left: fine-tuning."""
    p_mw, dt_s = trace.p_mw, trace.dt_s
    usual = float(np.median(p_mw))
    found = st.segments(p_mw, MAX_LEVELS, 0.02 * usual)
    lows = _lows(found, usual)
    end = len(p_mw)
    tail: list[Segment] = []
    if lows and lows[-1].last == end and min(s.p_mw for s in found if s.last > lows[-1].first) < 0.7 * usual:
        end = lows[-1].first
        tail = [s for s in found if s.first >= end]
        lows = lows[:-1]
    series = _even_suffix(lows)
    begin = _after_last_single(lows, series, found, usual)
    steady = p_mw[begin:end]
    evaluation = _interrupt(series, dt_s)
    return Machine(
        kind="fine_tuning",
        dt_s=dt_s,
        duration_s=trace.duration_s,
        floor_mw=floor_of(p_mw, usual),
        start=st.levels_of([s for s in found if s.last <= begin], dt_s, name="start"),
        main=(Level(dt_s, _level(steady, usual)),),
        end=st.levels_of(tail, dt_s, name="end"),
        end_s=end * dt_s if tail else None,
        evaluation=evaluation,
        checkpoint=_small_dips(steady, usual, series, begin, dt_s),
        noise=first_noise(steady, dt_s, floor_of(p_mw, usual), 0.01),
    )


def _level(steady: Floats, usual: float) -> float:
    high = steady[steady > 0.97 * usual]
    return float(np.mean(high)) if high.size else usual


def _lows(found: list[Segment], usual: float) -> list[Segment]:
    """Merged neighbours that lie well below the usual level."""
    merged: list[Segment] = []
    for s in found:
        if s.p_mw > 0.93 * usual:
            continue
        if merged and merged[-1].last == s.first:
            before = merged[-1]
            mean = (before.p_mw * before.n + s.p_mw * s.n) / (before.n + s.n)
            merged[-1] = Segment(before.first, s.last, mean)
        else:
            merged.append(s)
    return merged


def _even_suffix(lows: list[Segment]) -> list[Segment]:
    """The longest run of lows up to the last one that come at even distances and last about as long."""
    for k in range(len(lows) - 2):
        part = lows[k:]
        gaps = np.diff([s.first for s in part])
        usual = float(np.median(gaps))
        longest = float(np.median([s.n for s in part]))
        if np.all(np.abs(gaps - usual) <= 0.3 * usual) and all(s.n <= 2 * longest + 1 for s in part):
            return part
    return []


def _after_last_single(lows: list[Segment], series: list[Segment], found: list[Segment], usual: float) -> int:
    """Where the steady part begins: behind the last low that is not one of the series."""
    single = [s for s in lows if s not in series]
    if single:
        return single[-1].last
    first_high = next((s for s in found if s.p_mw > 0.93 * usual), found[0])
    return first_high.first


def _interrupt(series: list[Segment], dt_s: float) -> Interrupt | None:
    if not series:
        return None
    spacing = float(np.median(np.diff([s.first for s in series])))
    n = float(np.mean([s.n for s in series[:-1] or series]))
    return Interrupt(spacing * dt_s, n * dt_s, float(np.mean([s.p_mw for s in series])))


def _small_dips(steady: Floats, usual: float, series: list[Segment], begin: int, dt_s: float) -> Interrupt | None:
    """Shallow dips beside the series, at their mean distance: what a checkpoint or a data loader leaves."""
    if steady.size < 10:
        return None
    level = _level(steady, usual)
    spread = 1.4826 * float(np.median(np.abs(steady - np.median(steady))))
    clean = steady.copy()
    for s in series:
        clean[max(s.first - begin - 3, 0) : max(s.last - begin + 3, 0)] = level
    found = [s for s in st.dips(clean, level, max(8 * spread, 0.04 * level)) if s.n * dt_s < 0.2 * len(steady) * dt_s]
    if len(found) < 3:
        return None
    spacing = len(clean) / len(found)
    n = float(np.mean([s.n for s in found]))
    if spacing < 4 * n:
        return None
    return Interrupt(spacing * dt_s, n * dt_s, float(np.mean([s.p_mw for s in found])))


def inference(trace: Trace) -> Machine:
    """An aperiodic trace: levels as arrival rates, queries that make its fastest fluctuation, noise for the rest."""
    p_mw, dt_s = trace.p_mw, trace.dt_s
    usual = float(np.median(p_mw))
    spread = 1.4826 * float(np.median(np.abs(np.diff(p_mw)))) / math.sqrt(2)
    found = st.segments(p_mw, MAX_LEVELS // 2, max(4 * spread, 0.002 * usual))
    floor = floor_of(p_mw, usual)
    swing = max(usual - floor, 1e-12)
    noise = noise_of([p_mw[s.first : s.last] for s in found], dt_s, SLOWEST * dt_s)
    white = noise.fast_s < 0.5 * dt_s  # as what arrives and leaves within an interval is
    query_mw = max(noise.fast_std**2 if white else 0.0, (1e-5 * usual) ** 2) / swing
    slow, fast = noise.slow_std / swing, 0.0 if white else noise.fast_std / swing
    return Machine(
        kind="inference",
        dt_s=dt_s,
        duration_s=trace.duration_s,
        floor_mw=floor,
        main=st.levels_of(found, dt_s),
        query_mw=query_mw,
        query_s=dt_s,
        noise=Noise(max(slow, 1e-6), noise.slow_s, max(fast, 1e-6), noise.fast_s),
    )


def knobs_of(machine: Machine) -> list[Knob]:
    """What may be tuned in a machine; nothing of inference.

    Its noise is the spectrum about its levels; tuned, it made up for the start, which has power at every frequency.
    """
    if machine.kind == "inference":
        return []
    noise = machine.noise
    dt_s = machine.dt_s
    if machine.beside and not (noise.slow_std or noise.fast_std):
        return [Knob(1.0, 0.5, 2.0, _louder(machine, "slow_std")), Knob(1.0, 0.5, 2.0, _louder(machine, "fast_std"))]
    knobs = [
        Knob(noise.slow_std, 1e-6, 0.25, lambda m, v: m.changed(noise=replace(m.noise, slow_std=v))),
        Knob(noise.slow_s, 3 * dt_s, 300 * dt_s, lambda m, v: m.changed(noise=replace(m.noise, slow_s=v))),
        Knob(noise.fast_std, 1e-6, 0.25, lambda m, v: m.changed(noise=replace(m.noise, fast_std=v))),
        Knob(noise.fast_s, 0.2 * dt_s, 8 * dt_s, lambda m, v: m.changed(noise=replace(m.noise, fast_s=v))),
    ]
    if machine.kind == "training" and len(machine.main) > 1:
        jitter = max(machine.jitter, 1e-3)
        knobs.append(Knob(jitter, 0.3 * jitter, min(1.5 * jitter, 0.2), lambda m, v: m.changed(jitter=v)))
        knobs.append(Knob(1.0, 0.6, 1.6, _deepen(machine.main), log=False))
        knobs.append(Knob(machine.dip, 0.0, 0.6, lambda m, v: m.changed(dip=v), log=False))
    knobs.append(Knob(1.0, 0.97, 1.03, _shift(machine.main), log=False))
    if machine.kind == "fine_tuning":
        knobs.append(
            Knob(2.5 / dt_s, 0.8 / dt_s, 60 / dt_s, lambda m, v: m.changed(up=Edge(v), down=m.down or Edge(v)))
        )
        knobs.append(Knob(2.5 / dt_s, 0.8 / dt_s, 60 / dt_s, lambda m, v: m.changed(down=Edge(v), up=m.up or Edge(v))))
    knobs += [knob for i in range(len(machine.beside)) for knob in _knobs_beside(machine, i)]
    for name in ("evaluation", "checkpoint"):
        interrupt = getattr(machine, name)
        if interrupt is not None and machine.kind == "fine_tuning":
            knobs.append(Knob(1.0, 0.4, 1.6, _depth(name, interrupt, machine.main[0].p_mw), log=False))
    return knobs


def _knobs_beside(machine: Machine, i: int) -> list[Knob]:
    """Depth, jitter and spread of dips of another job that runs at the same time."""
    job = machine.beside[i]
    deepen = _deepen(job.main)

    def turn(change: Callable[[Machine, float], Machine]) -> Callable[[Machine, float], Machine]:
        def whole(m: Machine, v: float) -> Machine:
            return m.changed(beside=(*m.beside[:i], change(m.beside[i], v), *m.beside[i + 1 :]))

        return whole

    jitter = max(job.jitter, 1e-3)
    return [
        Knob(1.0, 0.6, 1.6, turn(deepen), log=False),
        Knob(jitter, 0.3 * jitter, min(1.5 * jitter, 0.2), turn(lambda m, v: m.changed(jitter=v))),
        Knob(job.dip, 0.0, 0.6, turn(lambda m, v: m.changed(dip=v)), log=False),
    ]


def _louder(first: Machine, name: str) -> Callable[[Machine, float], Machine]:
    """One part of the noise of every job beside, by one factor."""

    def turn(machine: Machine, factor: float) -> Machine:
        pairs = zip(machine.beside, first.beside, strict=True)
        noises = [(m, replace(m.noise, **{name: factor * getattr(was.noise, name)})) for m, was in pairs]
        return machine.changed(beside=tuple(m.changed(noise=noise) for m, noise in noises))

    return turn


def _deepen(main: tuple[Level, ...]) -> Callable[[Machine, float], Machine]:
    mean = float(np.average([s.p_mw for s in main], weights=[s.duration_s for s in main]))

    def turn(machine: Machine, factor: float) -> Machine:
        return machine.changed(main=tuple(replace(s, p_mw=mean + factor * (s.p_mw - mean)) for s in main))

    return turn


def _shift(main: tuple[Level, ...]) -> Callable[[Machine, float], Machine]:
    def turn(machine: Machine, factor: float) -> Machine:
        base = machine.main if machine.kind == "training" else main
        return machine.changed(main=tuple(replace(s, p_mw=s.p_mw * factor) for s in base))

    return turn


def _depth(name: str, interrupt: Interrupt, level_mw: float) -> Callable[[Machine, float], Machine]:
    def turn(machine: Machine, factor: float) -> Machine:
        p_mw = max(level_mw + factor * (interrupt.p_mw - level_mw), machine.floor_mw)
        return machine.changed(**{name: replace(interrupt, p_mw=p_mw)})

    return turn
