"""What each dip of the voltage took from a load: what was missing because of it, and until when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d

from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import fits, rows_in

DIP_PU = 0.9
"""Voltage below which a dip lies. [pu]"""
BEFORE_S = 10.0
"""The load before it is the mean over this time. [s]"""
CAUSED_S = 1.0
"""What falls, or answers, within this time after a dip's end was caused by it. [s]"""
AFTER_S = {"1s": 1.0, "1min": 60.0, "1h": 3600.0}
"""After a dip has ended, how much has stayed away all that time is asked for. [s]"""
BACK_SHARE = 0.9
"""The load counts as back with this part of what it was before. [1]"""
FELT_SHARE = 0.01
"""A dip that takes less than this part of the load is not felt. [1]"""
DEAD_SHARE = 1.0 - BACK_SHARE
"""With less than this part of the load left, the next dip finds nothing that could feel it. [1]"""
_ROUNDING = 1e-6
"""Powers are looked at in float32. [1]"""


class SiteLoad(NamedTuple):
    """Load of one data center, row by row, and what is known of why it moves."""

    p_mw: AnyFloats
    """Power from the feeder, shape (n,). [MW]"""
    it_mw: AnyFloats | None = None
    """Power that its IT asks for by itself, shape (n,): where it falls, no dip took it; None: not known. [MW]"""
    cap_mw: Floats | None = None
    """Power that it is called down to, shape (n,), infinite without a call; None: no call. [MW]"""
    answered_s: Floats | None = None
    """Shape (m, 2): when it transferred, was locked out, dropped load or cooling, and until when that took more. None:
    not known, so that all it does may be an answer. [s]"""
    left_s: Floats | None = None
    """When its voltage left the window: how many dips lie between two rows. [s]"""


@dataclass
class Away:
    """A load that one or several dips took, until it was back; of a dip that took nothing, the dip."""

    dips: list[tuple[int, int]]
    """First row that tells of a dip, and the first from there on at which the voltage is back. The next dip is here
    where it finds the load away."""
    before_mw: float
    """Mean power before the first. [MW]"""
    back: int | None = None
    """First row at which the load was back; None: not before the log's end."""
    lost_mw: float = 0.0
    """Most that was missing. [MW]"""
    missing_mws: float = 0.0
    """Energy that was missing, of the first hour after each dip at most. [MWs]"""
    stayed_mw: dict[str, float] = field(default_factory=dict)
    """What stayed away for so long after the end of any of the dips. [MW]"""
    unknown_mw: dict[str, float] = field(default_factory=dict)
    """What may yet stay away for so long, since the log ends before. [MW]"""
    n_dip: int = 1
    """Dips, those that lie between the same two rows by themselves."""
    is_felt: bool = False
    n_counted: int = 0
    """Rows up to which `missing_mws` is counted."""
    is_seen: bool = True
    """Whether rows lie in its dips, or so close that what they took is in one."""


def dips(vm_pu: AnyFloats, lowest_pu: AnyFloats, vm_min_pu: float) -> list[tuple[int, int]]:
    """Dips of a voltage that begin within the record.

    Parameters
    ----------
    vm_pu, lowest_pu : ndarray, shape (n,)
        Voltage of the rows, and the lowest since the row before. [pu]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]

    Returns
    -------
    list of (int, int)
        First row that tells of it, and the first from there on at which the voltage is back: the same one where the
        whole dip lies between two rows, n where it lasts to the end.
    """
    low = np.minimum(vm_pu, lowest_pu) < vm_min_pu
    change = np.diff(np.concatenate(([0], low.astype(np.int8), [0])))
    found = []
    for a, b in zip(np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True):
        back = b - 1 if vm_pu[b - 1] >= vm_min_pu else b
        if a > 0:
            found.append((a, back))
    return found


class _Reference:
    """What each site drew before a dip, and which of them have answered it."""

    def __init__(self, sites: Sequence[SiteLoad], rows: slice) -> None:
        self._sites, self.rows = sites, rows
        self.before_mw = [float(np.mean(one.p_mw[rows], dtype=np.float64)) for one in sites]
        asked = [one.it_mw for one in sites]
        self._it_mw = [None if it_mw is None else float(np.mean(it_mw[rows], dtype=np.float64)) for it_mw in asked]
        self.answered = [one.answered_s is None for one in sites]
        self.total_mw = sum(self.before_mw)

    def missing(self, rows: slice, during: bool, n_calm: int = 0) -> Floats:
        """What is missing at some rows. [MW]

        Of each site its power before times the part that it lacks of what it would draw now, so that a load which is
        away is away whatever its jobs do meanwhile. During a dip all sites count, afterwards those that answered it:
        the power of the others is their own doing. What IT would draw now is its highest over the last `n_calm` rows:
        behind a UPS that smooths, a pause of IT is not yet one of the feeder.
        """
        gap_mw = np.zeros(len(self._sites[0].p_mw[rows]))
        for k, one in enumerate(self._sites):
            before_mw, it_mw = self.before_mw[k], self._it_mw[k]
            if not (during or self.answered[k]):
                continue
            wanted_mw: Any = before_mw
            if it_mw is not None and it_mw > 0.0 and one.it_mw is not None:
                wanted_mw = before_mw * np.minimum(1.0, _highest(one.it_mw, rows, n_calm) / it_mw)
            if one.cap_mw is not None:
                wanted_mw = np.minimum(wanted_mw, one.cap_mw[rows])
            p_mw = one.p_mw[rows].astype(np.float64)
            part = np.maximum(p_mw, 0.0) / np.maximum(wanted_mw, FELT_SHARE * abs(before_mw) or 1.0)
            lacks_mw = before_mw * (1.0 - part) - np.minimum(p_mw, 0.0)
            is_short = (p_mw < wanted_mw) & (before_mw > 0.0)
            gap_mw += np.where(is_short, lacks_mw, np.minimum(0.0, before_mw - p_mw))
        return np.where(gap_mw > _ROUNDING * abs(self.total_mw), gap_mw, 0.0)


class _Load:
    """The load of all sites against the dips of their voltage."""

    def __init__(self, t_s: Floats, sites: Sequence[SiteLoad], step_s: float, share: float, series_s: float) -> None:
        self.t_s, self.sites, self.step_s, self.n = t_s, sites, step_s, len(t_s)
        self.n_before, self.n_caused = rows_in(BEFORE_S, step_s), rows_in(CAUSED_S, step_s)
        self.n_series = rows_in(series_s, step_s) if series_s > 0.0 else 0
        self._away_share = 1.0 - share
        self._next = self.n
        self._may_feel = any(one.answered_s is None for one in sites)

    def away(self, found: Sequence[tuple[int, int]]) -> list[Away]:
        """What each of the dips took, in order of time."""
        told: list[Away] = []
        reference: _Reference | None = None
        last: Away | None = None  # the load that is still away, or was last
        for k, (a, b) in enumerate(found):
            self._next = found[k + 1][0] if k + 1 < len(found) else self.n
            if last is not None and reference is not None and self._finds_away(last, a):
                was_felt = self._is_felt(reference, a, b)
                if was_felt or self._may_feel or self._left_mw(a) <= DEAD_SHARE * last.before_mw:
                    last.dips.append((a, b))
                    last.n_dip += self._n_dip(a, b)
                    self._count(last, reference, a, b)
                else:
                    told.append(self._borne(a, b))
                continue
            reference = self._reference(a, last, reference)
            one = Away([(a, b)], reference.total_mw, back=b if b < self.n else None, n_dip=self._n_dip(a, b))
            told.append(one)
            one.is_felt = reference.total_mw > 0.0 and self._is_felt(reference, a, b)
            one.is_seen = not self._is_between(a, b)
            if one.is_felt or b == self.n:
                self._count(one, reference, a, b)
                last = one
        return told

    def _finds_away(self, last: Away, a: int) -> bool:
        """Whether a dip of the same series finds the load away."""
        in_series = self.n_series == 0 or a - last.dips[-1][1] <= self.n_series
        return in_series and (last.back is None or a <= last.back)

    def _reference(self, a: int, last: Away | None, before: _Reference | None) -> _Reference:
        """What was drawn before a dip; in a series what was before its first, unless it is more by now."""
        since = 0 if last is None or last.back is None else min(last.back, a - 1)
        own = _Reference(self.sites, slice(max(since, a - self.n_before), a))
        if last is None or before is None or a - last.dips[-1][1] > self.n_series or own.total_mw > before.total_mw:
            return own
        return _Reference(self.sites, before.rows)

    def _borne(self, a: int, b: int) -> Away:
        """A dip that nobody felt while the load was coming back from another."""
        return Away([(a, b)], self._left_mw(a), back=b if b < self.n else None, n_dip=self._n_dip(a, b))

    def _left_mw(self, a: int) -> float:
        """Power right before a dip. [MW]"""
        return sum(float(one.p_mw[a - 1]) for one in self.sites)

    def _is_between(self, a: int, b: int) -> bool:
        """Whether no more than one row lies in a dip, and the next too late to show what it took."""
        return b - a < 2 and self.step_s > CAUSED_S

    def _n_dip(self, a: int, b: int) -> int:
        """One, or where they lie between rows as often as any site left its window."""
        if not self._is_between(a, b):
            return 1
        from_s, to_s = self.t_s[a - 1], self.t_s[min(b, self.n - 1)]
        left = [one.left_s for one in self.sites if one.left_s is not None]
        return max([1, *(int(((t > from_s) & (t <= to_s)).sum()) for t in left)])

    def _is_felt(self, reference: _Reference, a: int, b: int) -> bool:
        """Whether a site answers a dip, or the load falls while it lasts; notes who answered."""
        until_s = (self.t_s[b] if b < self.n else np.inf) + CAUSED_S
        answers = False
        for k, one in enumerate(self.sites):
            if one.answered_s is not None and _within(one.answered_s[:, 0], self.t_s[a] - self.step_s, until_s).any():
                reference.answered[k] = answers = True
        if answers:
            return True
        rows = slice(a, min(self.n, b + self.n_caused + 1 if any(reference.answered) else max(b, a + 1)))
        missing_mw = reference.missing(slice(a - 1, rows.stop), during=True)
        return float(missing_mw[1:].max() - missing_mw[0]) > FELT_SHARE * reference.total_mw

    def _count(self, one: Away, reference: _Reference, a: int, b: int) -> None:
        """Go on counting what is away with another of its dips."""
        self._miss(one, a, reference.missing(slice(a, max(b, a + 1)), during=True))
        if b >= self.n:
            one.back = None
            return
        shown = self._shown(a, b)
        least_mw = self._away_share * one.before_mw
        if one.back is not None or len(one.dips) == 1:  # what never comes back does not after another dip either
            one.back = self._first(shown, lambda rows: reference.missing(rows, False, self.n_before) <= least_mw)
        hour = b + rows_in(AFTER_S["1h"], self.step_s)
        until = hour if one.back is None else max(one.back + 1, min(b + self.n_caused + 1, hour))
        until = max(b + 1, min(until, self._next))  # what the next dip takes is its own, or counted with it
        self._miss(one, b, reference.missing(slice(b, until), during=False))
        self._stay(one, reference, b, shown)

    def _miss(self, one: Away, start: int, missing_mw: Floats) -> None:
        """Add what is missing at rows from a start on, those left out that an earlier dip has counted."""
        one.lost_mw = max(one.lost_mw, float(missing_mw.max(initial=0.0)))
        one.missing_mws += float(missing_mw[max(0, one.n_counted - start) :].sum()) * self.step_s
        one.n_counted = max(one.n_counted, start + len(missing_mw))

    def _shown(self, a: int, b: int) -> int:
        """First row that shows all answers to a dip; those before it may still have the load on."""
        shown = b
        for site in self.sites:
            if site.answered_s is not None:
                mine = _within(site.answered_s[:, 0], self.t_s[a] - self.step_s, self.t_s[b] + CAUSED_S)
                if mine.any():
                    shown = max(shown, int(np.searchsorted(self.t_s, site.answered_s[mine, 1].max())))
        return min(shown, self.n - 1)

    def _stay(self, one: Away, reference: _Reference, b: int, shown: int) -> None:
        """What stayed away all the time for so long after a dip: the least that was missing at any row. [MW]"""
        least_mw, seen = np.inf, shown
        for name, after_s in AFTER_S.items():
            if not fits(after_s, self.step_s):
                continue
            end = b + rows_in(after_s, self.step_s)
            if least_mw > 0.0:
                rows = slice(min(seen, end, self.n - 1), min(end + 1, self.n))
                least_mw, seen = min(least_mw, float(reference.missing(rows, during=False).min())), end
            known = one.stayed_mw if end < self.n else one.unknown_mw
            known[name] = max(known.get(name, 0.0), least_mw)

    def _first(self, start: int, holds: Callable[[slice], npt.NDArray[np.bool_]]) -> int | None:
        """First row from a start on at which something holds, looked for in ever longer stretches."""
        size = 4096
        while start < self.n:
            rows = np.flatnonzero(holds(slice(start, start + size)))
            if rows.size:
                return start + int(rows[0])
            start, size = start + size, 2 * size
        return None


def _highest(values: AnyFloats, rows: slice, n: int) -> Floats:
    """Highest of some rows and the n before each of them."""
    lead = min(n, rows.start)
    reached = values[rows.start - lead : rows.stop].astype(np.float64)
    return np.asarray(maximum_filter1d(reached, 2 * (n // 2) + 1, origin=n // 2, mode="nearest")[lead:])


def _within(times_s: Floats, from_s: float, to_s: float) -> npt.NDArray[np.bool_]:
    """Which of some times lie in a span, bounds included to the microsecond."""
    inside: npt.NDArray[np.bool_] = (times_s >= from_s - 1e-6) & (times_s <= to_s + 1e-6)
    return inside


def loads_away(
    t_s: Floats,
    vm_pu: AnyFloats,
    sites: Sequence[SiteLoad],
    step_s: float,
    vm_min_pu: float = DIP_PU,
    lowest_pu: AnyFloats | None = None,
    share: float = BACK_SHARE,
    series_s: float = 0.0,
) -> list[Away]:
    """What every dip of a voltage took from the sites behind it, and when that was back.

    Of what is missing against the mean of the 10 s before, a dip has taken

    - while it lasts: all, but for what IT itself asks less for and what a call for demand response asks;
    - afterwards: the same, of those sites only that answered it (transferred, were locked out, dropped load or
      cooling) between its start and 1 s after its end, until 90 % are back.

    A dip that finds the load away belongs to the one that took it where it takes more of it, or finds next to nothing
    left; one that does neither took nothing.

    Parameters
    ----------
    t_s, vm_pu : ndarray, shape (n,)
        Times [s]; the lowest voltage of all sites [pu].
    sites : sequence of SiteLoad
        Their loads.
    step_s : float
        Distance of the rows. [s]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]
    lowest_pu : ndarray, shape (n,), optional
        Lowest voltage since the row before; not given: that of the rows. [pu]
    share : float
        The load is back with this part of what it was. [1]
    series_s : float
        A dip that follows another felt one within this time is held against the load before that. [s]
    """
    found = dips(vm_pu, vm_pu if lowest_pu is None else lowest_pu, vm_min_pu)
    return _Load(t_s, sites, step_s, share, series_s).away(found)
