"""Fit a trace: choose the kind, build the model, tune it, judge it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cosim.fit import structure as st
from cosim.fit.edge_shapes import FASTEST
from cosim.fit.edges import MAX_INTERVAL_S, compare_edges, switched
from cosim.fit.events import EventLog, align
from cosim.fit.kinds import floor_of, inference, knobs_of, staged, training
from cosim.fit.logged import logged
from cosim.fit.machine import Edge, Machine, Noise
from cosim.fit.reading import Trace
from cosim.fit.refine import signature_of, simulated, tune
from cosim.fit.regimes import MAX_AT_ONCE, apart, in_sequence, next_period, regimes
from cosim.fit.ripple import RIPPLE
from cosim.fit.shape import sharpened
from cosim.fit.statistics import Row, compare, signature
from cosim.fit.visits import or_visits

Floats = NDArray[np.float64]

JUDGE_SEEDS = (1, 2, 3, 4, 5)
"""Draws whose median statistics the table shows; none is tuned on."""
HELD_OUT_SHARE = 0.5
"""Part of a periodic or steady trace that a second model, fitted to the rest, is judged on. [1]"""

REPEATS = 8
"""Iterations in the first part from which a model of it is judged on the second. [1]"""
SLOW_INTERVAL_S = 0.5
"""From this interval on, edges of the default dynamics are over within one. [s]"""
SECOND_OVER = 0.02
"""Least power of a further job over its most: what a lag may undershoot. [1]"""


@dataclass(frozen=True)
class Fit:
    """A fitted machine and how well it does."""

    trace: Trace
    machine: Machine
    rows: list[Row]
    """Whole trace against the model fitted to the whole trace."""
    held_out: list[Row]
    """Last part of the trace against a model fitted to the part before it; empty where the trace does not repeat."""
    held_out_s: tuple[float, float]
    """That last part, up to where the run stops: no model of what came before knows when. [s]"""
    events: EventLog | None = None
    """The log beside the trace, aligned with it."""


def fit_trace(trace: Trace, events: EventLog | None = None) -> Fit:
    """A model of the machine that drew a trace.

    Parameters
    ----------
    trace : Trace
        From `load_trace`.
    events : EventLog, optional
        From `load_events`: iteration, evaluations, checkpoints, start and stop are then taken from it.

    Returns
    -------
    Fit
        The model of the whole trace; its statistics; and those of a model of the first part on the second.

    Raises
    ------
    InputError
        The log is that of another run.
    """
    if events is not None:
        events = align(events, trace.p_mw, trace.dt_s)
    machine = fit_machine(trace, events)
    n = len(trace.p_mw)
    rows = _rows(machine, trace.p_mw, 0)
    middle, last = round(n * (1 - HELD_OUT_SHARE)), st.before_stop(trace.p_mw)
    held_out: list[Row] = []
    if _repeats(machine, middle):
        half = fit_machine(trace.part(0, middle), None if events is None else events.until(middle * trace.dt_s))
        held_out = _rows(half, trace.p_mw[:last], middle)
    return Fit(trace, machine, rows, held_out, (middle * trace.dt_s, last * trace.dt_s), events)


def fit_machine(trace: Trace, events: EventLog | None = None) -> Machine:
    """Structure, by the log where there is one, then tuning; regimes each on their own."""
    if events is not None:
        return _tuned(logged(trace, events), trace)
    found = regimes(trace.p_mw, trace.dt_s) if trace.dt_s > MAX_INTERVAL_S else [(0, len(trace.p_mw))]
    if len(found) == 1:
        machine = structured(trace)
        return or_visits(machine, trace) if trace.dt_s > MAX_INTERVAL_S else machine
    parts = [trace.part(first, last) for first, last in found]
    floor = min(floor_of(trace.p_mw, float(np.median(trace.p_mw))), *(0.98 * float(p.p_mw.min()) for p in parts))
    return in_sequence([_tuned(first_model(part), part) for part in parts], [a for a, _ in found], trace, floor)


def structured(trace: Trace) -> Machine:
    """Iterations, stages or levels with noise, tuned."""
    return _tuned(first_model(trace), trace)


def _tuned(first: Machine, trace: Trace) -> Machine:
    if first.kind == "training" and len(first.main) > 1 and not first.beside:
        first = sharpened(first, trace.p_mw)
    knobs = knobs_of(first)
    return tune(first, knobs, trace.p_mw) if knobs else first


def first_model(trace: Trace) -> Machine:
    """The kind of load, and its structure, before tuning; several jobs where several periods run at once."""
    dt_s = trace.dt_s
    steps = switched(trace) if dt_s <= MAX_INTERVAL_S else None
    if steps is not None:
        return steps
    return _at_once(_by_period(trace))


def _at_once(machine: Machine) -> Machine:
    """Between samples of less than `SLOW_INTERVAL_S` the default edges would lag; the waveform has them as they are."""
    if machine.dt_s >= SLOW_INTERVAL_S:
        return machine
    fast = Edge(FASTEST / machine.dt_s)
    beside = tuple(job.changed(up=fast, down=fast, supply_tau_s=0.0) for job in machine.beside)
    return machine.changed(up=fast, down=fast, supply_tau_s=0.0, beside=beside)


def _by_period(trace: Trace) -> Machine:
    """Training where there is a period, several jobs where there are several, else fine-tuning or inference."""
    p_mw, dt_s = trace.p_mw, trace.dt_s
    first, last = st.regular_part(p_mw, dt_s, max(30.0, 30 * dt_s))
    period_s = st.periodicity(p_mw[first:last], dt_s)
    if not math.isfinite(period_s):
        found = staged(trace)
        return found if found.evaluation or found.checkpoint else inference(trace)
    periods_s = [period_s]
    while len(periods_s) < MAX_AT_ONCE:
        other_s = next_period(p_mw[first:last], dt_s, periods_s)
        if not math.isfinite(other_s):
            break
        periods_s.append(other_s)
    if len(periods_s) == 1:
        return training(trace, period_s)
    one, *others = apart(p_mw, dt_s, periods_s)
    beside = []
    for other, other_s in zip(others, periods_s[1:], strict=True):
        over = SECOND_OVER * float(other.max())
        second = training(replace(trace, p_mw=other + over), other_s)
        beside.append(second.changed(floor_mw=0.0, noise=Noise(), start=(), stop_s=None, evaluation=None))
        one = one - over
    return training(replace(trace, p_mw=np.maximum(one, 0.0)), period_s).changed(beside=tuple(beside))


def _repeats(machine: Machine, n: int) -> bool:
    """Whether the second half may be expected of a model that has seen n samples."""
    if any(job.begin_s > 0 or job.name == RIPPLE for job in machine.jobs):
        return False
    if machine.kind == "training":
        return machine.stop_s is None and n * machine.dt_s > REPEATS * max(job.period_s for job in machine.jobs)
    return machine.kind in ("inference", "semi_markov")


def _rows(machine: Machine, p_mw: Floats, first: int) -> list[Row]:
    n = len(p_mw)
    wanted = signature(p_mw[first:], machine.dt_s)
    found = signature_of(machine, first, n, JUDGE_SEEDS, with_period=True)
    rows = compare(wanted, found, machine.dt_s, n - first)
    if any(job.name == RIPPLE for job in machine.beside):
        rows += compare_edges(p_mw, simulated(machine, 0, n, JUDGE_SEEDS[:1])[0], machine.dt_s)
    return rows
