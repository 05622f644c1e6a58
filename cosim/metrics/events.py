"""Voltage events of every node by IEEE 1159: category, magnitude, duration, area; SARFI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.voltage import INTERRUPTION_PU, SAG_PU, SWELL_PU, SagTotals

if TYPE_CHECKING:
    from cosim.metrics.points import Point

MOMENTARY_S = 0.5
"""From 30 cycles of 60 Hz on an event is momentary, below instantaneous: IEEE 1159-2019, table 2. [s]"""
TEMPORARY_S = 3.0
"""From here on it is temporary. [s]"""
LONG_S = 60.0
"""Beyond it is an under- or overvoltage, or a sustained interruption. [s]"""
SARFI_PU = (0.9, 0.8, 0.7, 0.5, 0.4, 0.1)
SARFI_SWELL_PU = (1.1, 1.2, 1.4)
MAX_EVENT = 5_000
"""Events kept one by one, those furthest from 1 pu; all are counted."""


class Beyond(NamedTuple):
    """What an event spends beyond a voltage."""

    time_s: float
    """In all; too long by less than two log steps a stretch. [s]"""
    n_stretch: int
    """Stretches that make it up."""


class VoltageEvent(NamedTuple):
    """One sag, interruption or swell of one node."""

    node: int
    """Place in the list of nodes."""
    start_s: float
    """Start of the first log interval that it touches. [s]"""
    duration_s: float
    """Time of the log intervals that it touches, too long by less than two log steps; of a sag no longer than the
    longest of its node at every step; of a node followed at every step that of the one-cycle rms. [s]"""
    vm_pu: float
    """Lowest voltage of a sag, highest of a swell. [pu]"""
    area_pu_s: float
    """Integral of |1 - v| over it, from the extremes of the intervals. [pu s]"""
    beyond: tuple[Beyond, ...] = ()
    """Below each of SARFI_PU, of a swell above each of SARFI_SWELL_PU; none where that is not known."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Voltages that `beyond` is of. [pu]"""
        return SARFI_PU if self.vm_pu < 1.0 else SARFI_SWELL_PU

    def beyond_level(self, level_pu: float) -> Beyond:
        """Time that it spends beyond a voltage; beyond the nearest level that includes it where it is none of them."""
        is_sag = self.vm_pu < 1.0
        if not (self.vm_pu < level_pu if is_sag else self.vm_pu > level_pu):
            return Beyond(0.0, 0)
        known = [
            b for v, b in zip(self.levels, self.beyond, strict=False) if (v >= level_pu if is_sag else v <= level_pu)
        ]
        return min(known, key=lambda b: b.time_s, default=Beyond(self.duration_s, 1))

    @property
    def category(self) -> str:
        """Its name in IEEE 1159-2019, table 2."""
        if self.vm_pu < INTERRUPTION_PU:
            if self.duration_s > LONG_S:
                return "sustained interruption"
            return f"{_length(max(self.duration_s, MOMENTARY_S))} interruption"  # there is no instantaneous one
        if self.duration_s > LONG_S:
            return "undervoltage" if self.vm_pu < 1.0 else "overvoltage"
        return f"{_length(self.duration_s)} {'sag' if self.vm_pu < 1.0 else 'swell'}"


def _length(duration_s: float) -> str:
    if duration_s < MOMENTARY_S:
        return "instantaneous"
    return "momentary" if duration_s < TEMPORARY_S else "temporary"


@dataclass(frozen=True)
class VoltageEvents:
    """Events of all nodes of a run."""

    n_node: int
    """Nodes that ever had voltage."""
    event: list[VoltageEvent]
    """The events kept, in order of time."""
    n_event: int
    """All of them."""
    category: dict[str, int]
    """How many of each category."""
    dip: list[VoltageEvent]
    """Those kept of what lies below 0.9 pu or above 1.1 pu at a stretch, interruptions not cut out: held to curves."""
    sarfi: dict[str, float]
    """System average rms frequency index: events per node whose voltage passes so many percent, in the run."""


class SpellMeter:
    """Spells below (or above) a voltage with their extreme and area, of many nodes, block by block.

    Parameters
    ----------
    threshold_pu : float
        Limit; below 1 spells lie under it, above 1 over it. [pu]
    floor_pu : float
        Below it is no such spell. [pu]
    """

    def __init__(self, threshold_pu: float, floor_pu: float = 0.0) -> None:
        self._threshold, self._floor = threshold_pu, floor_pu
        self._sign = 1.0 if threshold_pu < 1.0 else -1.0
        self._open: dict[int, VoltageEvent] = {}
        self._last_s: float | None = None
        self._events: list[VoltageEvent] = []
        self._counts: dict[tuple[int, str], int] = {}
        self._passed = np.zeros(len(self._levels()))
        self._by_node: dict[int, tuple[int, npt.NDArray[np.float64]]] = {}

    def _levels(self) -> tuple[float, ...]:
        return SARFI_PU if self._sign > 0 else SARFI_SWELL_PU

    def update(self, t_s: Floats, vm_pu: AnyFloats, furthest: AnyFloats | None = None) -> None:
        """Take in the extremes of the intervals that end at `t_s`, shape (n, n_node); `furthest` of each node. [pu]"""
        if len(t_s) == 0:
            return
        edges_s = np.concatenate(([t_s[0] if self._last_s is None else self._last_s], t_s))
        self._last_s = float(t_s[-1])
        if furthest is None:
            furthest = vm_pu.min(axis=0) if self._sign > 0 else vm_pu.max(axis=0)
        touched = set(np.flatnonzero(self._sign * (furthest - self._threshold) < 0.0).tolist()) | set(self._open)
        for node in sorted(touched):
            column = vm_pu[:, node]
            self._column(node, edges_s, self._passed_by(column), column)

    def _passed_by(self, vm_pu: AnyFloats) -> npt.NDArray[np.bool_]:
        passed: npt.NDArray[np.bool_] = (self._sign * (vm_pu - self._threshold) < 0.0) & (vm_pu >= self._floor)
        return passed

    def _column(self, node: int, edges_s: Floats, holds: npt.NDArray[np.bool_], vm_pu: AnyFloats) -> None:
        before = self._open.pop(node, None)
        change = np.diff(np.concatenate(([0], holds.astype(np.int8), [0])))
        first, after = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
        if before is not None and (len(first) == 0 or first[0] != 0):
            self._close(before)
            before = None
        for a, b in zip(first.tolist(), after.tolist(), strict=True):
            inside = vm_pu[a:b]
            extreme = float(inside.min() if self._sign > 0 else inside.max())
            area = float(np.dot(np.abs(1.0 - inside.astype(np.float64)), np.diff(edges_s[a : b + 1])))
            beyond = tuple(self._beyond(level, inside, edges_s[a : b + 1]) for level in self._levels())
            spell = VoltageEvent(node, float(edges_s[a]), float(edges_s[b] - edges_s[a]), extreme, area, beyond)
            if before is not None:
                spell, before = self._joined(before, spell), None
            if b == len(holds):
                self._open[node] = spell
            else:
                self._close(spell)

    def _joined(self, first: VoltageEvent, second: VoltageEvent) -> VoltageEvent:
        extreme = (min if self._sign > 0 else max)(first.vm_pu, second.vm_pu)
        lasted_s = second.start_s + second.duration_s - first.start_s
        beyond = tuple(
            Beyond(a.time_s + b.time_s, a.n_stretch + b.n_stretch)
            for a, b in zip(first.beyond, second.beyond, strict=True)
        )
        return VoltageEvent(first.node, first.start_s, lasted_s, extreme, first.area_pu_s + second.area_pu_s, beyond)

    def _beyond(self, level_pu: float, vm_pu: AnyFloats, edges_s: Floats) -> Beyond:
        """Time that the intervals of a spell spend beyond a voltage."""
        holds = self._sign * (vm_pu - level_pu) < 0.0
        begins = np.diff(np.concatenate(([0], holds.astype(np.int8)))) == 1
        return Beyond(float(np.diff(edges_s)[holds].sum()), int(np.count_nonzero(begins)))

    def _close(self, event: VoltageEvent) -> None:
        self._events.append(event)
        key = (event.node, event.category)
        self._counts[key] = self._counts.get(key, 0) + 1
        passed = np.array([self._sign * (event.vm_pu - level) < 0.0 for level in self._levels()], dtype=np.float64)
        n, total = self._by_node.get(event.node, (0, np.zeros(len(passed))))
        self._by_node[event.node] = (n + 1, total + passed)
        if len(self._events) > 2 * MAX_EVENT:
            self._events = _furthest(self._events)

    def finish(self) -> None:
        """Close the spells that the end of the record cuts."""
        for event in self._open.values():
            self._close(event)
        self._open = {}

    def result(self, energized: npt.NDArray[np.bool_]) -> VoltageEvents:
        """Events of the nodes that ever had voltage."""
        self.finish()
        n_node = int(energized.sum())
        mine = {node: found for node, found in self._by_node.items() if energized[node]}
        passed = sum((total for _, total in mine.values()), np.zeros(len(self._levels())))
        category: dict[str, int] = {}
        for (node, name), n in self._counts.items():
            if energized[node]:
                category[name] = category.get(name, 0) + n
        levels = [f"{100 * level:g}" for level in self._levels()]
        kept = sorted(_furthest([e for e in self._events if energized[e.node]]), key=lambda e: e.start_s)
        return VoltageEvents(
            n_node=n_node,
            event=kept,
            dip=kept,
            n_event=sum(n for n, _ in mine.values()),
            category=category,
            sarfi={name: float(n) / max(n_node, 1) for name, n in zip(levels, passed, strict=True)},
        )


def _furthest(events: list[VoltageEvent]) -> list[VoltageEvent]:
    return sorted(events, key=lambda e: -abs(1.0 - e.vm_pu))[:MAX_EVENT]


@dataclass(frozen=True)
class Known:
    """What is known of voltage events beyond the rows."""

    point: Mapping[int, Point] = field(default_factory=dict)
    """Nodes followed at every step, by place in the list of nodes: their events by one-cycle rms are all there are."""
    longest_sag_s: Floats | None = None
    """Longest sag of each node at every step, infinite where that is not known; None: of none. [s]"""

    def of(self, node: int) -> list[VoltageEvent]:
        """Events of a followed node."""
        return [_of_point(node, *one) for one in self.point[node].event]

    def dips(self, node: int) -> list[VoltageEvent]:
        """Those held to curves: interruptions not cut out."""
        return [_of_point(node, *one) for one in self.point[node].dip]

    def bounded(self, event: VoltageEvent) -> VoltageEvent:
        """A sag told by rows, no longer than the longest of its node."""
        if self.longest_sag_s is None or not INTERRUPTION_PU <= event.vm_pu < SAG_PU:
            return event
        return event._replace(duration_s=min(event.duration_s, float(self.longest_sag_s[event.node])))


def known_of(
    points: Mapping[str, Point], names: Sequence[str], sags: SagTotals | None, judged: npt.NDArray[np.int64]
) -> Known:
    """What a log tells of events beyond its rows.

    Parameters
    ----------
    points : mapping
        Nodes followed at every step, by name; those whose events are not all kept are left to the rows.
    names : sequence of str
        Nodes of the log.
    sags : SagTotals or None
        Sags of all of them at every step.
    judged : ndarray
        Nodes whose rows hold another voltage than that.
    """
    point = {k: points[name] for k, name in enumerate(names) if name in points and points[name].is_whole}
    if sags is None:
        return Known(point)
    longest_s = sags.longest_s.copy()
    longest_s[judged] = np.inf
    return Known(point, longest_s)


def _of_point(node: int, start_s: float, lasted_s: float, vm_pu: float, *beyond_s: float) -> VoltageEvent:
    """An event by one-cycle rms; its area as if it had its depth all the time."""
    area = abs(1.0 - vm_pu) * lasted_s
    return VoltageEvent(node, start_s, lasted_s, vm_pu, area, tuple(Beyond(s, 1) for s in beyond_s))


class VoltageEventMeter:
    """Sags and interruptions from the lowest voltage of each interval, swells from the highest.

    A voltage that goes on falling below 0.1 pu ends a sag (or undervoltage) and starts an interruption, and one that
    comes back by halves the other way round: each with its own duration. SARFI counts what lies below 0.9 pu at a
    stretch once.
    """

    def __init__(self) -> None:
        self._below, self._sags = SpellMeter(SAG_PU), SpellMeter(SAG_PU, INTERRUPTION_PU)
        self._interruptions, self._swells = SpellMeter(INTERRUPTION_PU), SpellMeter(SWELL_PU)

    def update_low(self, t_s: Floats, vm_pu: AnyFloats) -> None:
        """Take in the lowest voltages of the intervals that end at `t_s`, shape (n, n_node). [pu]"""
        if len(t_s):
            lowest = vm_pu.min(axis=0)
            for meter in (self._below, self._sags, self._interruptions):
                meter.update(t_s, vm_pu, lowest)

    def update_high(self, t_s: Floats, vm_pu: AnyFloats) -> None:
        """Take in the highest voltages likewise. [pu]"""
        self._swells.update(t_s, vm_pu)

    def result(self, energized: npt.NDArray[np.bool_], known: Known | None = None) -> VoltageEvents:
        """All events of a run: those of the rows, and of followed nodes those by one-cycle rms in their place."""
        known = Known() if known is None else known
        nodes = [node for node in known.point if energized[node]]
        rest = energized.copy()
        rest[nodes] = False
        kinds = [meter.result(rest) for meter in (self._sags, self._interruptions, self._swells)]
        below = self._below.result(rest)
        category: dict[str, int] = {}
        for found in kinds:
            category |= found.category
        exact = [event for node in nodes for event in known.of(node)]
        for event in exact:
            category[event.category] = category.get(event.category, 0) + 1
        dip = [*below.dip, *kinds[2].dip, *(one for node in nodes for one in known.dips(node))]
        n_node, n_rest = int(energized.sum()), int(rest.sum())
        sarfi = {key: value * n_rest / max(n_node, 1) for key, value in (below.sarfi | kinds[2].sarfi).items()}
        for level in (*SARFI_PU, *SARFI_SWELL_PU):
            sign = 1.0 if level < 1.0 else -1.0
            n = sum(sign * (one.vm_pu - level) < 0.0 for node in nodes for one in known.dips(node))
            sarfi[f"{100 * level:g}"] += n / max(n_node, 1)
        return VoltageEvents(
            n_node=n_node,
            dip=sorted(dip, key=lambda e: e.start_s),
            event=sorted([*exact, *(known.bounded(e) for f in kinds for e in f.event)], key=lambda e: e.start_s),
            n_event=sum(found.n_event for found in kinds) + len(exact),
            category=category,
            sarfi=sarfi,
        )
