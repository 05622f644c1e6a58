"""A first model of a trace whose event log is known: nothing that the log says is guessed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem
from cosim.fit import structure as st
from cosim.fit.events import EventLog, Spans, labels
from cosim.fit.kinds import MAX_BINS, MAX_START, first_noise, floor_of, staged
from cosim.fit.machine import Interrupt, Level, Machine
from cosim.fit.reading import Trace

Floats = NDArray[np.float64]

RESOLVED = 4
"""Samples in an iteration from which its waveform can be seen. [1]"""


def logged(trace: Trace, log: EventLog) -> Machine:
    """Training by its log: iteration, evaluations and checkpoints, start and stop.

    Iterations shorter than `RESOLVED` samples are not in the trace; then only the evaluations are the log's.

    Parameters
    ----------
    trace : Trace
    log : EventLog
        Aligned with the trace.

    Raises
    ------
    InputError
        No training of the log lies in the trace.
    """
    p_mw, dt_s = trace.p_mw, trace.dt_s
    kind = labels(log, len(p_mw), dt_s)
    inside = np.flatnonzero(kind == 1)
    if inside.size < RESOLVED:
        raise InputError(Problem("no training of it lies in the trace", file=log.file))
    if not log.iteration_s >= RESOLVED * dt_s:
        return _unresolved(trace, log)
    usual = float(np.median(p_mw[inside]))
    stops = log.run[1] < (len(p_mw) - 2) * dt_s
    last = math.ceil(log.run[1] / dt_s) if stops else len(p_mw)
    floor = float(np.median(p_mw[last:])) if stops else floor_of(p_mw, usual)
    iteration_s = log.iteration_s
    jitter, main = _iteration(trace, log, iteration_s)
    evaluation = _interrupt(log.evaluations, p_mw, dt_s, log, iteration_s)
    first = max(round(log.blocks[0][0] / dt_s), 0)
    start = st.levels_of(st.segments(p_mw[:first], MAX_START, 0.05 * usual), dt_s, name="start") if first > 2 else ()
    return Machine(
        kind="training",
        dt_s=dt_s,
        duration_s=trace.duration_s,
        floor_mw=min(floor, 0.995 * float(p_mw[inside].min())),
        start=start + _warm_up(trace, log, usual),
        main=main,
        stop_s=log.run[1] if stops else None,
        jitter=jitter,
        evaluation=evaluation,
        checkpoint=_interrupt(log.checkpoints, p_mw, dt_s, log, iteration_s),
        noise=first_noise(p_mw[inside], dt_s, floor, 0.02),
    )


def _unresolved(trace: Trace, log: EventLog) -> Machine:
    """Where iterations are too short to be seen: levels of the trace, evaluations when the log has them."""
    found = staged(trace)
    of_log = _interrupt(log.evaluations, trace.p_mw, trace.dt_s, log, math.nan)
    if of_log is None:
        return found
    seen = found.evaluation or of_log
    return found.changed(evaluation=replace(seen, every_s=of_log.every_s, every_n=None))


def _iteration(trace: Trace, log: EventLog, iteration_s: float) -> tuple[float, tuple[Level, ...]]:
    """Jitter and stages of one iteration."""
    first, last = (min(max(round(t / trace.dt_s), 0), len(trace.p_mw)) for t in (log.blocks[0][0], log.blocks[-1][1]))
    regular = trace.p_mw[first:last]
    found = replace(st.cycles(regular, trace.dt_s, iteration_s), period_s=iteration_s)
    n_bin = int(min(MAX_BINS, max(4, round(2 * iteration_s / trace.dt_s))))
    shape = st.waveform(regular, trace.dt_s, found, n_bin)
    each = [(b - a) / n for (a, b), n in zip(log.blocks, log.n_steps, strict=True) if n > 0]
    spread = float(np.std(each[1:]) / iteration_s) if len(each) > 2 else 0.0
    jitter = max(spread * math.sqrt(float(np.median(log.n_steps))), 0.5 * found.jitter)
    return min(jitter, 0.1), tuple(Level(iteration_s / n_bin, float(p)) for p in shape)


def _warm_up(trace: Trace, log: EventLog, usual: float) -> tuple[Level, ...]:
    """What the first block lasts longer than the others, or needs to reach the usual level."""
    if len(log.blocks) < 3:
        return ()
    lengths = [b - a for a, b in log.blocks]
    longer_s = lengths[0] - float(np.median(lengths[1:]))
    if longer_s < 0.2 * float(np.median(lengths[1:])):
        return ()
    first = max(round(log.blocks[0][0] / trace.dt_s), 0)
    last = first + round(longer_s / trace.dt_s)
    return st.levels_of(
        st.segments(trace.p_mw[first:last], MAX_START, 0.05 * usual), trace.dt_s, name="warm_up"
    )  # fmt: skip


def _interrupt(spans: Spans, p_mw: Floats, dt_s: float, log: EventLog, iteration_s: float) -> Interrupt | None:
    """Evaluations or checkpoints: usual length and level, iterations between two."""
    inside = [span for span in spans if span[0] >= 0 and span[1] <= len(p_mw) * dt_s]
    if not inside:
        return None
    levels = []
    for begin, end in inside:
        first, last = math.ceil(begin / dt_s), max(math.ceil(end / dt_s), math.ceil(begin / dt_s) + 1)
        cut = min(max((last - first) // 4, 0), 2)  # the edges lie in it
        levels.append(float(np.median(p_mw[first + cut : max(last - cut, first + cut + 1)])))
    duration_s = float(np.median([end - begin for begin, end in inside]))
    known = [n for n in log.n_steps[1:] or log.n_steps if n > 0]
    every_s = float(np.median(np.diff([a for a, _ in inside]))) if len(inside) > 1 else log.run[1] - log.run[0]
    every_n = None
    if known and len(inside) > 1 and math.isfinite(iteration_s):
        every_n = max(1, round((every_s - duration_s) / iteration_s))
    return Interrupt(every_s, duration_s, float(np.median(levels)), every_n)
