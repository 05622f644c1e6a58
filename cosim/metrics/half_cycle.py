"""Sags, swells and interruptions from one-cycle rms refreshed each half cycle: IEC 61000-4-30, 5.4, on magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cosim.metrics.events import SARFI_PU, SARFI_SWELL_PU
from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.voltage import INTERRUPTION_PU, SAG_PU, SWELL_PU
from cosim.units import US_PER_S

HYSTERESIS_PU: Final = 0.02
"""An event is over once the voltage is so far inside its threshold again: IEC 61000-4-30, 5.4.2.1. [pu]"""
MAX_EVENT: Final = 1000
"""Events kept of a node, the first ones; all are counted."""

SAG, SWELL, INTERRUPTION, DIP = range(4)
"""A dip is a sag from which no interruption is cut out."""
N_LEVEL: Final = len(SARFI_PU)
Times = npt.NDArray[np.int64]


class HalfCycleMeter:
    """One-cycle rms of k voltages, each of which holds from one instant to the next.

    Parameters
    ----------
    f_line_hz : float
        Line frequency. [Hz]
    n_signal : int
        Number of voltages k.

    Notes
    -----
    Records are given in spans whose ends are the same however a run is cut into blocks; then so are all bits.
    """

    def __init__(self, f_line_hz: float, n_signal: int) -> None:
        self._half_s = 0.5 / f_line_hz
        self._n_half = 0
        self._rest = np.zeros(n_signal)
        self._before = np.full(n_signal, np.nan)
        self.lowest_pu = np.full(n_signal, np.inf)
        self.highest_pu = np.zeros(n_signal)
        self.n_event = np.zeros((3, n_signal), dtype=np.int64)
        """Sags, swells and interruptions."""
        self._open = np.full((4, n_signal, 2 + N_LEVEL), np.nan)
        self._events: list[tuple[float, float, float, float]] = []
        self.dips: list[tuple[float, ...]] = []
        """Dips and swells as `finish` has its events, and behind that the time beyond each level. [s]"""

    def update(self, t_us: Times, vm_pu: Floats, until_us: int) -> None:
        """Take in a span: instants of shape (n,) [us], voltages from each on, shape (n, k) [pu], end of the last."""
        low, high = vm_pu.min(axis=0), vm_pu.max(axis=0)
        calm = bool((low >= SAG_PU + HYSTERESIS_PU).all() and (high <= SWELL_PU - HYSTERESIS_PU).all())
        first, last = self._n_half + 1, int(until_us / US_PER_S / self._half_s + 1e-9)
        from_half = max(first, last - 1) if calm and self._n_half > 1 and np.isnan(self._open).all() else first
        if from_half > first:  # what is before it is not asked for
            since = max(0, int(np.searchsorted(t_us, from_half * self._half_s * US_PER_S)) - 2)
            t_us, vm_pu = t_us[since:], vm_pu[since:]
        halves = np.arange(from_half, last + 1)
        width_s = np.diff(np.append(t_us, until_us)) / US_PER_S
        knots_s = np.append(t_us, until_us) / US_PER_S
        fed = np.vstack((np.zeros(vm_pu.shape[1]), np.cumsum(vm_pu**2 * width_s[:, None], axis=0)))
        if calm:  # the rms lies between the values it is taken of
            self.lowest_pu, self.highest_pu = np.minimum(self.lowest_pu, low), np.maximum(self.highest_pu, high)
        if not len(halves):
            self._rest = self._rest + fed[-1]
            return
        at = np.array([np.interp(halves * self._half_s, knots_s, column) for column in fed.T]).T
        e = np.diff(at, axis=0)
        if from_half == first:
            e = np.vstack((self._rest + at[0], e))
        ends = halves[len(halves) - len(e) :]
        if from_half == first:
            squared = (np.vstack((self._before, e[:-1])) + e) / (2.0 * self._half_s)
            rms = np.sqrt(squared[1:] if np.isnan(self._before).any() else squared)
            self._note(ends[len(ends) - len(rms) :] * self._half_s, rms)
        self._before, self._rest, self._n_half = e[-1], fed[-1] - at[-1], last

    def _note(self, t_s: AnyFloats, rms: AnyFloats) -> None:
        if not len(rms):
            return
        self.lowest_pu = np.minimum(self.lowest_pu, rms.min(axis=0))
        self.highest_pu = np.maximum(self.highest_pu, rms.max(axis=0))
        alive = np.where(_with_edges(rms < INTERRUPTION_PU), 1.0, rms)
        for k in range(rms.shape[1]):
            self._spells(INTERRUPTION, k, t_s, rms[:, k], INTERRUPTION_PU, INTERRUPTION_PU + HYSTERESIS_PU)
            self._spells(SAG, k, t_s, alive[:, k], SAG_PU, SAG_PU + HYSTERESIS_PU)
            self._spells(DIP, k, t_s, rms[:, k], SAG_PU, SAG_PU + HYSTERESIS_PU)
            self._spells(SWELL, k, t_s, -rms[:, k], -SWELL_PU, -SWELL_PU + HYSTERESIS_PU)

    def _spells(self, side: int, k: int, t_s: AnyFloats, level: AnyFloats, begins: float, ends: float) -> None:
        """Spells of one voltage (turned over for swells) from below one level until above the other."""
        starts, stops = np.flatnonzero(level < begins), np.flatnonzero(level >= ends)
        held = np.array([-v for v in SARFI_SWELL_PU] if side == SWELL else SARFI_PU)
        at = 0
        while at < len(level):
            if np.isnan(self._open[side, k, 0]):
                j = int(np.searchsorted(starts, at))
                if j == len(starts):
                    return
                at = int(starts[j])
                self._open[side, k] = 0.0
                self._open[side, k, :2] = t_s[at], level[at]
                if side != DIP:
                    self.n_event[side, k] += 1
            j = int(np.searchsorted(stops, at))
            stop = int(stops[j]) if j < len(stops) else len(level)
            if stop > at:
                self._open[side, k, 1] = min(self._open[side, k, 1], level[at:stop].min())
                beyond = np.count_nonzero(level[at:stop, None] < held, axis=0)
                self._open[side, k, 2 : 2 + len(held)] += beyond * self._half_s
            if stop < len(level):
                self._close(side, k, float(t_s[stop]))
            at = stop

    def _close(self, side: int, k: int, end_s: float) -> None:
        start_s, extreme, *beyond_s = self._open[side, k].tolist()
        self._open[side, k] = np.nan
        if side in (DIP, SWELL) and sum(dip[0] == k for dip in self.dips) < MAX_EVENT:
            self.dips.append((float(k), start_s, end_s - start_s, abs(extreme), *beyond_s))
        if side == DIP:
            return
        if side == SAG and self._is_edge(k, start_s, end_s):
            self.n_event[SAG, k] -= 1
            return
        if sum(event[0] == k for event in self._events) < MAX_EVENT:
            self._events.append((float(k), start_s, end_s - start_s, abs(extreme)))

    def _is_edge(self, k: int, start_s: float, end_s: float) -> bool:
        """Whether a sag is no more than the cycle over which an interruption begins or ends."""
        near_s = 1.5 * self._half_s
        if end_s - start_s > 2.5 * self._half_s:
            return False
        gone = [(e[1], e[1] + e[2]) for e in self._events if e[0] == k and e[3] < INTERRUPTION_PU]
        gone.append((float(self._open[INTERRUPTION, k, 0]), np.inf))
        return any(abs(first_s - end_s) < near_s or abs(last_s - start_s) < near_s for first_s, last_s in gone)

    def finish(self, end_s: float) -> list[tuple[float, float, float, float]]:
        """Events in order of their ends: voltage, start [s], duration [s], lowest or highest rms [pu]."""
        for side, k in np.argwhere(~np.isnan(self._open[:, :, 0])).tolist():
            self._close(side, k, end_s)
        return self._events

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a checkpoint keeps."""
        return {
            "n_half": np.array([self._n_half]),
            "rest": self._rest,
            "before": self._before,
            "extremes": np.array([self.lowest_pu, self.highest_pu]),
            "n_event": self.n_event,
            "open": self._open,
            "events": np.array(self._events).reshape(-1, 4),
            "dips": np.array(self.dips).reshape(-1, 4 + N_LEVEL),
        }

    def restore(self, stored: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` gave."""
        self._n_half = int(stored["n_half"][0])
        self._rest, self._before, self.n_event, self._open = (
            stored[key].copy() for key in ("rest", "before", "n_event", "open")
        )
        self.lowest_pu, self.highest_pu = stored["extremes"].copy()
        self._events = [tuple(row) for row in stored["events"].tolist()]
        self.dips = [tuple(row) for row in stored["dips"].tolist()]


def _with_edges(is_gone: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Half cycles of an interruption and the two on either side in which the rms goes and comes, shape (n, k).

    An interruption ends a sag; what its own edges show in passing is neither part of that sag nor one of their own.
    """
    wide = is_gone.copy()
    for lag in (1, 2):
        wide[lag:] |= is_gone[:-lag]
        wide[:-lag] |= is_gone[lag:]
    return wide
