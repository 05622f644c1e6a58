"""Demand over sliding windows and displacement power factor over consecutive ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import Tail, rows_in

DEMAND_S = 900.0
"""Window of the demand that utilities bill. [s]"""


class DemandMeter:
    """Largest mean power over any window of one width, block by block.

    Parameters
    ----------
    window_s : float
        Width of the window. [s]
    step_s : float
        Log step. [s]
    """

    def __init__(self, window_s: float, step_s: float) -> None:
        self._n = rows_in(window_s, step_s)
        self._tail = Tail(self._n - 1)
        self.max_mw: float | None = None
        self.t_s = 0.0

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and (mean) power [MW] of the intervals that end there, shape (n,)."""
        t_joined, joined = self._tail.extend(t_s, p_mw) if self._n > 1 else (t_s, p_mw)
        if len(joined) < self._n:
            return
        total = np.concatenate(([0.0], np.cumsum(joined, dtype=np.float64)))
        mean = (total[self._n :] - total[: -self._n]) / self._n
        most = int(mean.argmax())
        if self.max_mw is None or mean[most] > self.max_mw:
            self.max_mw, self.t_s = float(mean[most]), float(t_joined[most])


@dataclass(frozen=True)
class PowerFactor:
    """Displacement power factor of one terminal: active over apparent energy of consecutive windows."""

    window_s: float
    n_window: int
    lowest: float
    """Lowest of the windows with power, 0 to 1; 1 where there is none."""
    lowest_t_s: float
    """Start of its window. [s]"""
    mean: float
    """Over the whole run."""


class PowerFactorMeter:
    """Active and reactive energy over consecutive windows, block by block.

    Parameters
    ----------
    window_s : float
        Width of the window. [s]
    step_s : float
        Log step. [s]
    """

    def __init__(self, window_s: float, step_s: float) -> None:
        self._n = rows_in(window_s, step_s)
        self._window_s = self._n * step_s
        self._held, self._p, self._q = 0, 0.0, 0.0
        self._all = [0.0, 0.0]
        self._n_window = 0
        self._worst = (1.0, 0.0)
        self._start_s = 0.0

    def update(self, t_s: Floats, p_mw: AnyFloats, q_mvar: AnyFloats) -> None:
        """Take in rows: times [s], active [MW] and reactive power [Mvar], shape (n,)."""
        self._all[0] += float(p_mw.sum(dtype=np.float64))
        self._all[1] += float(q_mvar.sum(dtype=np.float64))
        row = 0
        while row < len(t_s):
            stop = min(len(t_s), row + self._n - self._held)
            if self._held == 0:
                self._start_s = float(t_s[row])
            self._p += float(p_mw[row:stop].sum(dtype=np.float64))
            self._q += float(q_mvar[row:stop].sum(dtype=np.float64))
            self._held += stop - row
            row = stop
            if self._held == self._n:
                self._close()

    def _close(self) -> None:
        factor = _factor(self._p, self._q)
        if factor < self._worst[0]:
            self._worst = (factor, self._start_s)
        self._n_window += 1
        self._held, self._p, self._q = 0, 0.0, 0.0

    def result(self) -> PowerFactor:
        """The power factor so far; a run shorter than a window counts as one."""
        lowest = self._worst if self._n_window else (_factor(*self._all), self._start_s)
        return PowerFactor(self._window_s, self._n_window, lowest[0], lowest[1], _factor(*self._all))


def _factor(p: float, q: float) -> float:
    apparent = math.hypot(p, q)
    return abs(p) / apparent if apparent > 0.0 else 1.0
