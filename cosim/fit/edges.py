"""Fast traces: the levels of a switched load, and the lag of its edges, upward and downward (Eq. 9)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from cosim.fit import structure as st
from cosim.fit.edge_shapes import (
    FASTEST,
    creeping_edge,
    crossings,
    further,
    middle_of,
    plateaus_of,
    undershoot,
    unit_step,
)
from cosim.fit.machine import Edge, Level, Machine
from cosim.fit.reading import Trace
from cosim.fit.refine import misfit, simulated
from cosim.fit.ripple import fluctuating
from cosim.fit.statistics import Row

Floats = NDArray[np.float64]

MAX_INTERVAL_S = 0.02
"""Longest interval at which a trace shows edges rather than their averages. [s]"""
LASTING_S = 0.1
"""What lasts longer is a level; what is shorter belongs to an edge, unless it is flat. [s]"""
FLAT_SAMPLES, FLAT_SHARE = 25, 0.2
"""A shorter level has as many samples, and moves within itself by less than this share of the steps about it. [1]"""
MAX_LEVELS = 60
"""Most levels of one trace."""
SMOOTH = 5
"""Samples of the median filter behind which edges are timed. [1]"""
FLOOR_SHARE = 0.2
"""U = 0 over the low level, which is not idle where accelerators pulse. [1]"""
HIGHEST_FLOOR, UNDERSHOOT_ROOM = 0.8, 1.1
"""U = 0 over the low level at most, where a fall undershoots; over what that undershoot needs. [1]"""
NO_WORSE = 1.3
"""Mean square of what plateaus leave over that of levels, up to which they may be taken. [1]"""
LIMIT_PERCENT, LIMIT_POINTS = 15.0, 3.0
"""Targets: rise and fall within 15 % or one interval, overshoot within 3 points."""


@dataclass(frozen=True)
class Timing:
    """How one whole transition between the lowest and the highest lasting level goes."""

    rise_s: float
    """10 to 90 %. [s]"""
    overshoot: float
    """Beyond the level reached, over the step. [1]"""


def switched(trace: Trace) -> Machine | None:
    """A trace of steps: lasting levels in order, and one lag for each direction; None where two levels do not show.

    Where edges so described miss their targets, those of two plateaus with a slow part in the edge itself (what
    overshoots, or creeps behind it) are taken if they miss less and leave no more of the trace unexplained.
    """
    lasting = _lasting(trace.p_mw, trace.dt_s)
    if len(lasting) < 2:
        return None
    found = _of_levels(trace, lasting)
    best = found, misfit(_missed(found, trace)), _left(found, trace)
    for sides in ((True,), (False,), (True, False)) if any(not row.holds for row in _missed(found, trace)) else ():
        plateaus = plateaus_of(trace.p_mw, lasting, sides)
        if len(plateaus) < 2:
            continue
        other = _as_far(_of_levels(trace, plateaus, creeping=sides), trace)
        off, left = misfit(_missed(other, trace)), _left(other, trace)
        if off < best[1] and left < NO_WORSE * _left(found, trace):
            best = other, off, left
    return best[0]


def _missed(machine: Machine, trace: Trace) -> list[Row]:
    return compare_edges(trace.p_mw, _drawn(machine, trace), trace.dt_s)


def _left(machine: Machine, trace: Trace) -> float:
    """Mean square of what the machine leaves of the trace. [MW2]"""
    return float(np.mean((_drawn(machine, trace) - trace.p_mw) ** 2))


def _as_far(machine: Machine, trace: Trace) -> Machine:
    """Zeros of its edges moved until they overshoot as the trace's do."""
    wanted = timings(trace.p_mw, trace.dt_s)
    for _ in range(2):
        found = timings(_drawn(machine, trace), trace.dt_s)
        for name, field in (("rise", "up"), ("fall", "down")):
            if name in wanted and name in found and wanted[name].overshoot > 0:
                points = wanted[name].overshoot - found[name].overshoot
                machine = _above_zero(machine.changed(**{field: further(getattr(machine, field), points)}))
    return machine


def _drawn(machine: Machine, trace: Trace) -> Floats:
    return simulated(machine, 0, len(trace.p_mw), (0,))[0]


def _of_levels(trace: Trace, lasting: list[st.Segment], *, creeping: tuple[bool, ...] = ()) -> Machine:
    """The machine of these levels; its edges are the largest ones upward (creeping: True) and downward (False)."""
    p_mw, dt_s = trace.p_mw, trace.dt_s
    largest = max(abs(b.p_mw - a.p_mw) for a, b in itertools.pairwise(lasting))
    cuts, edges = [], {}
    sizes = {True: 0.0, False: 0.0}
    for a, b in itertools.pairwise(lasting):
        step = b.p_mw - a.p_mw
        if abs(step) < 0.2 * largest:
            cuts.append(0.5 * (a.last + b.first) * dt_s)
            continue
        edge, at_s = (creeping_edge if (step > 0) in creeping else _fit_edge)(p_mw, dt_s, a, b)
        cuts.append(at_s)
        if abs(step) > sizes[step > 0]:
            sizes[step > 0] = abs(step)
            edges[step > 0] = edge
    begins = [0.0, *cuts]
    ends = [*cuts, trace.duration_s + dt_s]
    levels = [Level(end - begin, s.p_mw) for begin, end, s in zip(begins, ends, lasting, strict=True)]
    fast = Edge(FASTEST / dt_s)
    machine = Machine(
        kind="training",
        dt_s=dt_s,
        duration_s=trace.duration_s,
        floor_mw=FLOOR_SHARE * float(np.percentile(p_mw, 1)),
        start=tuple(levels[:-1]),
        main=(levels[-1],),
        up=edges.get(True, fast),
        down=edges.get(False, fast),
        supply_tau_s=0.0,
    )
    machine = _above_zero(machine)
    return fluctuating(machine if creeping else _timed(machine, p_mw), p_mw, lasting)


def _above_zero(machine: Machine) -> Machine:
    """A floor from which a full drop that undershoots stays above zero, or a fall that does not undershoot."""
    assert machine.down is not None
    below = undershoot(machine.down)
    low_mw = min(level.p_mw for level in (*machine.start, *machine.main))
    need_mw = UNDERSHOOT_ROOM * below / (1 + below) * machine.top_mw
    if need_mw <= machine.floor_mw:
        return machine
    if need_mw < HIGHEST_FLOOR * low_mw:
        return machine.changed(floor_mw=need_mw)
    return machine.changed(down=Edge(machine.down.omega_n_rad_per_s, max(machine.down.zeta, 1.0)))


def _timed(machine: Machine, p_mw: Floats) -> Machine:
    """Natural frequencies corrected until whole transitions, further levels in them included, take their time."""
    wanted = timings(p_mw, machine.dt_s)
    for _ in range(3):
        found = timings(simulated(machine, 0, len(p_mw), (0,))[0], machine.dt_s)
        for name, field in (("rise", "up"), ("fall", "down")):
            if name not in wanted or name not in found or wanted[name].rise_s < 2 * machine.dt_s:
                continue
            ratio = found[name].rise_s / wanted[name].rise_s
            edge = getattr(machine, field)
            if 0.5 < ratio < 2:
                faster = replace(edge, omega_n_rad_per_s=edge.omega_n_rad_per_s * ratio, c_s=edge.c_s / ratio)
                machine = machine.changed(**{field: faster})
    return machine


def _lasting(p_mw: Floats, dt_s: float) -> list[st.Segment]:
    """Levels that last, neighbours of nearly the same level merged."""
    step = 0.05 * float(np.percentile(p_mw, 99) - np.percentile(p_mw, 1))
    pieces = st.segments(p_mw, MAX_LEVELS, step)
    around = zip([pieces[0], *pieces[:-1]], pieces, [*pieces[1:], pieces[-1]], strict=True)
    found = [s for a, s, b in around if s.n * dt_s >= LASTING_S or _is_flat(p_mw, a, s, b)]
    merged: list[st.Segment] = []
    for s in found:
        before = merged[-1] if merged else None
        if before and abs(before.p_mw - s.p_mw) < step / 4 and s.first - before.last < LASTING_S / dt_s:
            mean = (before.p_mw * before.n + s.p_mw * s.n) / (before.n + s.n)
            merged[-1] = st.Segment(before.first, s.last, mean)
        else:
            merged.append(s)
    return merged


def _is_flat(p_mw: Floats, a: st.Segment, s: st.Segment, b: st.Segment) -> bool:
    """Whether a short piece is a stop on the way between its neighbours, and not a part of a slow edge."""
    if s.n < FLAT_SAMPLES:
        return False
    cut = s.n // 8  # segments are found in bins of samples
    begin, end = np.split(p_mw[s.first + cut : s.last - cut], [(s.n - 2 * cut) // 2])
    least = min(abs(s.p_mw - a.p_mw), abs(b.p_mw - s.p_mw))
    return bool(abs(np.median(end) - np.median(begin)) < FLAT_SHARE * least)


def _fit_edge(p_mw: Floats, dt_s: float, a: st.Segment, b: st.Segment) -> tuple[Edge, float]:
    """Lag of the edge between two lasting levels, and the time at which it is commanded. [s]

    omega_n, zeta and C by least squares on the samples around the edge, then time is scaled (`_to_measure`). C is kept
    only where it explains more; D, which passes an edge straight through, is 0.
    """
    n_around = round(0.02 / dt_s)
    first, last = max(a.last - n_around, 0), min(b.first + max(n_around, 2 * (b.first - a.last)), len(p_mw))
    share = ndimage.median_filter((p_mw[first:last] - a.p_mw) / (b.p_mw - a.p_mw), SMOOTH, mode="nearest")
    t_s: Floats = np.arange(last - first, dtype=np.float64) * dt_s
    begin, end = crossings(share)
    rise_s = max((end - begin) * dt_s, 0.4 * dt_s)
    guess = np.array([math.log(3.36 / rise_s), 0.0, max(begin * dt_s - 0.16 * rise_s, 0.0)])

    def response(x: Floats) -> Floats:
        return unit_step(t_s - x[2], math.exp(x[0]), math.exp(x[1]), x[3] / math.exp(x[0]) if len(x) > 3 else 0.0)

    low, high = [guess[0] - 2.5, math.log(0.3), 0.0], [guess[0] + 2.5, math.log(4.0), float(t_s[-1])]
    plain = optimize.least_squares(lambda x: response(x) - share, guess, bounds=(low, high))
    with_c = optimize.least_squares(
        lambda x: response(x) - share, np.append(np.clip(plain.x, np.array(low) + 1e-6, np.array(high) - 1e-6), 0.1),
        bounds=([*low, 0.0], [*high, 1.5]),
    )  # fmt: skip
    x = with_c.x if with_c.cost < 0.9 * plain.cost else plain.x
    edge, at_s = _to_measure(Edge(math.exp(x[0]), math.exp(x[1]), x[3] / math.exp(x[0]) if len(x) > 3 else 0.0), x[2],
                             t_s, rise_s, middle_of(share) * dt_s)  # fmt: skip
    return edge, first * dt_s + at_s


def _to_measure(edge: Edge, at_s: float, t_s: Floats, rise_s: float, middle_s: float) -> tuple[Edge, float]:
    """The edge in a time scaled so that, sampled as the trace is, it takes the measured time and is half way then.

    An edge within about one interval shows no shape; it is made steeper than the trace can tell and put just behind
    the sample before it.
    """
    dt_s = float(t_s[1])
    if rise_s < 1.2 * dt_s:
        return Edge(FASTEST / dt_s, 1.0), math.floor(middle_s / dt_s) * dt_s + 0.02 * dt_s
    for _ in range(12):
        sampled = unit_step(t_s - at_s, edge.omega_n_rad_per_s, edge.zeta, edge.c_s)
        begin, end = crossings(sampled)
        ratio = float(np.clip((end - begin) * dt_s / rise_s, 0.7, 1.4))
        faster = edge.omega_n_rad_per_s * ratio
        edge = Edge(min(faster, FASTEST / dt_s), edge.zeta, edge.c_s / ratio)
        sampled = unit_step(t_s - at_s, edge.omega_n_rad_per_s, edge.zeta, edge.c_s)
        at_s += middle_s - middle_of(sampled) * dt_s
    return edge, at_s


def timings(p_mw: Floats, dt_s: float) -> dict[str, Timing]:
    """Largest rise and fall between the lasting lowest and highest level of a switched trace."""
    smooth = ndimage.median_filter(p_mw, SMOOTH, mode="nearest")
    low, high = _two_levels(p_mw)
    width = round(0.5 / dt_s)
    found = {}
    for name, sign in (("rise", 1.0), ("fall", -1.0)):
        share = (smooth - low) / (high - low) if sign > 0 else (high - smooth) / (high - low)
        middle = np.flatnonzero((share[:-1] < 0.5) & (share[1:] >= 0.5)).tolist()
        over = [k for k in middle if _stays(share, k, width)]
        if not over:
            continue
        k = over[0]
        first = max(k - width, 0)
        begin, end = crossings(share[first : k + width])
        stop = first + int(end) + 1
        settled = float(np.median(share[stop + width // 2 : stop + width])) if stop + width < len(share) else 1.0
        beyond = float(np.percentile(share[stop : stop + width // 4], 98)) - settled
        noise = float(np.percentile(share[stop + width // 2 : stop + width], 98)) - settled
        found[name] = Timing((end - begin) * dt_s, max(beyond - noise, 0.0))
    return found


def _stays(share: Floats, k: int, width: int) -> bool:
    before, behind = share[max(k - width // 2, 0) : k], share[k + 1 : k + 1 + width // 2]
    return bool(len(behind) > 10 and len(before) > 10 and np.mean(before < 0.8) > 0.5 and np.median(behind) > 0.5)


def _two_levels(p_mw: Floats) -> tuple[float, float]:
    middle = 0.5 * (np.percentile(p_mw, 2) + np.percentile(p_mw, 98))
    return float(np.median(p_mw[p_mw < middle])), float(np.median(p_mw[p_mw >= middle]))


def compare_edges(trace_mw: Floats, model_mw: Floats, dt_s: float) -> list[Row]:
    """Rise, fall and overshoot, trace against simulation."""
    a, b = timings(trace_mw, dt_s), timings(model_mw, dt_s)
    rows = []
    for name in a:
        if name not in b:
            rows.append(Row(f"{name} 10-90 % [s]", a[name].rise_s, math.nan, math.inf, LIMIT_PERCENT, "%"))
            continue
        difference = 100 * (b[name].rise_s / a[name].rise_s - 1)
        limit = max(LIMIT_PERCENT, 100 * dt_s / a[name].rise_s)
        rows.append(Row(f"{name} 10-90 % [s]", a[name].rise_s, b[name].rise_s, difference, limit, "%"))
        over = 100 * (b[name].overshoot - a[name].overshoot)
        title = f"overshoot of the {name} [1]"
        rows.append(Row(title, a[name].overshoot, b[name].overshoot, over, LIMIT_POINTS, "points"))
    return rows
