"""Sags, swells, interruptions and time outside ANSI range A, per bus."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats, Log, total
from cosim.metrics.window import chosen

SAG_PU = 0.9
"""Below it, down to `INTERRUPTION_PU`, lies a sag: IEEE 1159-2019, table 2. [pu]"""
INTERRUPTION_PU = 0.1
"""Below it lies an interruption: IEEE 1159-2019, table 2. [pu]"""
SWELL_PU = 1.1
"""Above it lies a swell: IEEE 1159-2019, table 2. [pu]"""
RANGE_A_MIN_PU = 0.95
"""Lower limit of service voltage, range A, at 120 V to 600 V (114 V of 120 V): ANSI C84.1-2020. [pu]"""
RANGE_A_MAX_PU = 1.05
"""Upper limit of service voltage, range A (126 V of 120 V): ANSI C84.1-2020. [pu]"""
_NODE: Final = re.compile(r".+\.[0-9]")


class Excursions:
    """Spells in which a condition holds, per bus, across blocks of rows.

    A spell lasts from the start of the first interval in which the condition holds to the end of
    the last one.
    """

    def __init__(self, n_bus: int) -> None:
        self._open_s = np.full(n_bus, np.nan)
        self.count = np.zeros(n_bus, dtype=np.int64)
        self.total_s = np.zeros(n_bus)
        self.longest_s = np.zeros(n_bus)

    def watched(self, may_hold: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
        """Buses to look at: those in which the condition may hold, and those in which a spell is open."""
        return np.flatnonzero(may_hold | ~np.isnan(self._open_s))

    def update(self, edges_s: Floats, columns: npt.NDArray[np.intp], holds: npt.NDArray[np.bool_]) -> None:
        """Take in n intervals: their n + 1 edges [s], the buses watched and their condition, one column a bus."""
        if len(columns) == 0:
            return
        is_open = ~np.isnan(self._open_s)
        n = len(holds)
        held = np.zeros((n + 2, len(columns)), dtype=np.int8)
        held[1:-1] = holds
        change = np.diff(held, axis=0).T
        place, first = np.nonzero(change == 1)
        after = np.nonzero(change == -1)[1]
        bus = columns[place]
        self._close_those_that_ended(columns[is_open[columns] & ~holds[0]], float(edges_s[0]))
        start_s, goes_on = edges_s[first], (first == 0) & is_open[bus]
        start_s = np.where(goes_on, self._open_s[bus], start_s)
        unfinished = after == n
        done = ~unfinished
        self._open_s[bus[goes_on]] = np.nan
        self._count(bus[done], edges_s[after[done]] - start_s[done])
        self._open_s[bus[unfinished]] = start_s[unfinished]

    def finish(self, end_s: float) -> None:
        """Close the spells that the end of the record cuts. [s]"""
        self._close_those_that_ended(np.flatnonzero(~np.isnan(self._open_s)), end_s)

    def _close_those_that_ended(self, bus: npt.NDArray[np.intp], end_s: float) -> None:
        self._count(bus, end_s - self._open_s[bus])
        self._open_s[bus] = np.nan

    def _count(self, bus: npt.NDArray[np.intp], lasted_s: Floats) -> None:
        np.add.at(self.count, bus, 1)
        np.add.at(self.total_s, bus, lasted_s)
        np.maximum.at(self.longest_s, bus, lasted_s)


@dataclass(frozen=True)
class SagTotals:
    """Sags of all buses as the engine counted them at every step; arrays have shape (n_bus,)."""

    n_sag: npt.NDArray[np.int64]
    sag_s: Floats
    longest_s: Floats

    def with_nodes(self, nodes: npt.NDArray[np.int64], other: SagTotals) -> SagTotals:
        """The same, those of some nodes from another."""
        taken = np.isin(np.arange(len(self.n_sag)), nodes)
        mine, others = (self.n_sag, self.sag_s, self.longest_s), (other.n_sag, other.sag_s, other.longest_s)
        return SagTotals(*(np.where(taken, b, a) for a, b in zip(mine, others, strict=True)))


def sag_totals(log: Log, names: Sequence[str]) -> SagTotals | None:
    """Sags of every bus at full step; None where the log has not all of them."""
    keys = [f"bus/{name.replace('/', '_')}" for name in names]
    columns = {key: [total(log, f"{bus}/{key}") for bus in keys] for key in ("n_sag", "sag_s", "longest_sag_s")}
    if any(value is None for column in columns.values() for value in column):
        return None
    n_sag, sag_s, longest_s = (np.array(column, dtype=np.float64) for column in columns.values())
    return SagTotals(n_sag.astype(np.int64), sag_s, longest_s)


@dataclass(frozen=True)
class Voltage:
    """Voltage record of all buses; arrays have shape (n_bus,)."""

    name: list[str]
    """Bus names."""
    vm_min_pu: Floats
    """Lowest reading at or above 0.1 pu, i.e. while energized; NaN if never energized. [pu]"""
    t_min_s: Floats
    """Time of the row in whose interval it fell. [s]"""
    vm_max_pu: Floats
    """Highest voltage; NaN if never energized. [pu]"""
    t_max_s: Floats
    """Time of the row in whose interval it fell. [s]"""
    n_sag: npt.NDArray[np.int64]
    """Spells from 0.1 pu to below 0.9 pu."""
    sag_s: Floats
    """Their total duration. [s]"""
    sag_longest_s: Floats
    """Duration of the longest. [s]"""
    n_interruption: npt.NDArray[np.int64]
    """Spells below 0.1 pu."""
    interruption_s: Floats
    """Their total duration. [s]"""
    interruption_longest_s: Floats
    """Duration of the longest. [s]"""
    n_below_range_a: npt.NDArray[np.int64]
    """Spells from 0.1 pu to below 0.95 pu."""
    below_range_a_s: Floats
    """Their total duration. [s]"""
    below_range_a_longest_s: Floats
    """Duration of the longest. [s]"""
    above_range_a_s: Floats
    """Total duration above 1.05 pu. [s]"""
    n_swell: npt.NDArray[np.int64]
    """Spells above 1.1 pu."""
    swell_s: Floats
    """Their total duration. [s]"""
    is_followed: npt.NDArray[np.bool_]
    """Nodes followed at every step: interruptions by one-cycle rms. Of the others they are those of the rows, too long
    by less than two log steps each."""

    @property
    def energized(self) -> npt.NDArray[np.bool_]:
        """Buses that had voltage at any time."""
        return ~np.isnan(self.vm_min_pu)

    @property
    def interrupted(self) -> npt.NDArray[np.bool_]:
        """Those of them that lost it at times."""
        return self.energized & (self.n_interruption > 0)

    def worst(self) -> int | None:
        """Index of the bus with the lowest voltage while energized; None if there is none."""
        return int(np.nanargmin(self.vm_min_pu)) if self.energized.any() else None


def with_points(voltage: Voltage, point: Mapping[int, Sequence[tuple[float, float, float]]]) -> Voltage:
    """The same with the interruptions of nodes followed at every step, by their place.

    Parameters
    ----------
    voltage : Voltage
    point : mapping
        Start [s], duration [s] and lowest one-cycle rms [pu] of every event of such a node.
    """
    count, total_s = voltage.n_interruption.copy(), voltage.interruption_s.copy()
    longest_s, is_followed = voltage.interruption_longest_s.copy(), voltage.is_followed.copy()
    for k, events in point.items():
        lasted = [lasted_s for _, lasted_s, vm_pu in events if vm_pu < INTERRUPTION_PU]
        count[k], total_s[k], longest_s[k] = len(lasted), sum(lasted), max(lasted, default=0.0)
        is_followed[k] = True
    return replace(
        voltage,
        n_interruption=count,
        interruption_s=total_s,
        interruption_longest_s=longest_s,
        is_followed=is_followed,
    )


NO_NODES: npt.NDArray[np.int64] = np.zeros(0, np.int64)


class VoltageMeter:
    """Counts sags, swells and interruptions of all buses, block by block.

    Parameters
    ----------
    name : list of str
        Bus names.
    """

    def __init__(self, name: list[str]) -> None:
        n = len(name)
        self.name = name
        self._last_s: dict[str, float] = {}
        self._low, self._t_low = np.full(n, np.inf), np.zeros(n)
        self._high, self._t_high = np.full(n, -np.inf), np.zeros(n)
        self._sag, self._interruption, self._below = Excursions(n), Excursions(n), Excursions(n)
        self._above, self._swell = Excursions(n), Excursions(n)

    def update_low(self, t_s: Floats, vm_min_pu: AnyFloats) -> None:
        """Take in the lowest voltage of each interval that ends at `t_s`, shape (n, n_bus). [pu]"""
        edges_s, low = self._edges("low", t_s), vm_min_pu.min(axis=0)
        better = np.flatnonzero((low < self._low) | (low < INTERRUPTION_PU))
        if better.size:
            some = chosen(vm_min_pu, better)
            self._lower(better, t_s, np.where(some < INTERRUPTION_PU, np.inf, some))
        for spells, limit_pu in ((self._sag, SAG_PU), (self._below, RANGE_A_MIN_PU)):
            columns = spells.watched(low < limit_pu)
            some = chosen(vm_min_pu, columns)
            spells.update(edges_s, columns, (some < limit_pu) & ~(some < INTERRUPTION_PU))
        columns = self._interruption.watched(low < INTERRUPTION_PU)
        self._interruption.update(edges_s, columns, chosen(vm_min_pu, columns) < INTERRUPTION_PU)

    def _lower(self, columns: npt.NDArray[np.intp], t_s: Floats, alive_pu: AnyFloats) -> None:
        """Lowest voltages of some buses, where they are lower than before."""
        row = alive_pu.argmin(axis=0)
        low = np.take_along_axis(alive_pu, row[None, :], axis=0)[0]
        better = low < self._low[columns]
        self._low[columns[better]], self._t_low[columns[better]] = low[better], t_s[row[better]]

    def update_high(self, t_s: Floats, vm_max_pu: AnyFloats) -> None:
        """Take in the highest voltage of each interval that ends at `t_s`, shape (n, n_bus). [pu]"""
        edges_s, high = self._edges("high", t_s), vm_max_pu.max(axis=0)
        better = np.flatnonzero(high > self._high)
        if better.size:
            row = chosen(vm_max_pu, better).argmax(axis=0)
            self._high[better], self._t_high[better] = high[better], t_s[row]
        for spells, limit_pu in ((self._above, RANGE_A_MAX_PU), (self._swell, SWELL_PU)):
            columns = spells.watched(high > limit_pu)
            spells.update(edges_s, columns, chosen(vm_max_pu, columns) > limit_pu)

    def result(self, sags: SagTotals | None = None, judged: npt.NDArray[np.int64] = NO_NODES) -> Voltage:
        """The record so far; spells still open end with the last row.

        Parameters
        ----------
        sags : SagTotals, optional
            Known better than from the rows.
        judged : array
            Nodes of which it is not, since their rows hold another voltage.
        """
        for side, spells in (
            ("low", (self._sag, self._interruption, self._below)),
            ("high", (self._above, self._swell)),
        ):
            for spell in spells:
                spell.finish(self._last_s.get(side, 0.0))
        own = SagTotals(self._sag.count, self._sag.total_s, self._sag.longest_s)
        sags = own if sags is None else sags.with_nodes(judged, own)
        never = np.isinf(self._low)
        return Voltage(
            name=self.name,
            vm_min_pu=np.where(never, np.nan, self._low),
            t_min_s=self._t_low,
            vm_max_pu=np.where(never | (self._high < INTERRUPTION_PU), np.nan, self._high),
            t_max_s=self._t_high,
            n_sag=sags.n_sag,
            sag_s=sags.sag_s,
            sag_longest_s=sags.longest_s,
            n_interruption=self._interruption.count,
            interruption_s=self._interruption.total_s,
            interruption_longest_s=self._interruption.longest_s,
            n_below_range_a=self._below.count,
            below_range_a_s=self._below.total_s,
            below_range_a_longest_s=self._below.longest_s,
            above_range_a_s=self._above.total_s,
            n_swell=self._swell.count,
            swell_s=self._swell.total_s,
            is_followed=np.zeros(len(self.name), dtype=np.bool_),
        )

    def _edges(self, side: str, t_s: Floats) -> Floats:
        """Edges of the intervals that end at `t_s`; the first row of a run covers no time. [s]"""
        first_s = self._last_s.get(side, float(t_s[0]))
        self._last_s[side] = float(t_s[-1])
        return np.concatenate(([first_s], t_s))


@dataclass(frozen=True)
class VoltageExtremes:
    """Lowest and highest voltage of a log that holds extremes in place of all nodes."""

    n_bus: int
    """Nodes that they are the extremes of."""
    worst_bus: str | None
    """Node of the lowest voltage at or above 0.1 pu; None if none had voltage."""
    vm_min_pu: float
    t_min_s: float
    """Time of the row in whose interval it fell. [s]"""
    highest_bus: str | None
    vm_max_pu: float
    t_max_s: float
    below_range_a_s: float
    """Time of the rows in which any node lies from 0.1 to below 0.95 pu. [s]"""


def extremes_of(
    names: list[str], t_s: Floats, low: tuple[AnyFloats, AnyFloats], high: tuple[AnyFloats, AnyFloats]
) -> VoltageExtremes:
    """The extremes of a run.

    Parameters
    ----------
    names : list of str
        Nodes.
    t_s : ndarray, shape (n,)
        Times of the rows. [s]
    low, high : tuple of ndarray
        Lowest and highest voltage of each row [pu], and the place in `names` of its node, -1 for none.
    """
    alive = np.where(low[0] >= INTERRUPTION_PU, low[0], np.inf)
    at_low, at_high = int(alive.argmin()), int(high[0].argmax())
    some = bool(np.isfinite(alive[at_low]))
    width_s = np.diff(t_s, prepend=t_s[0])
    return VoltageExtremes(
        n_bus=len(names),
        worst_bus=names[int(low[1][at_low])] if some else None,
        vm_min_pu=float(alive[at_low]),
        t_min_s=float(t_s[at_low]),
        highest_bus=names[int(high[1][at_high])] if some else None,
        vm_max_pu=float(high[0][at_high]),
        t_max_s=float(t_s[at_high]),
        below_range_a_s=float(width_s[alive < RANGE_A_MIN_PU].sum()),
    )


def noun(names: Collection[str]) -> str:
    """What the columns of voltages are: nodes where all are `bus.phase`, else buses."""
    return "nodes" if names and all(_NODE.fullmatch(name) for name in names) else "buses"
