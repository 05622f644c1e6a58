"""Loading of lines and transformers as their heat counts it: root mean square over consecutive windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from cosim.metrics.ageing import Ageing
from cosim.metrics.limits import Limit, LoadingLimit
from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import fits, rows_in


@dataclass(frozen=True)
class WindowLoading:
    """Loading of k elements over consecutive windows; arrays have shape (k,)."""

    n_window: int
    """Whole windows in the run."""
    percent: Floats
    """Largest rms of any window. [%]"""
    t_s: Floats
    """Start of that window. [s]"""
    n_above: dict[float, Floats]
    """Windows above each bound that limits set [%]."""


class LoadingMeter:
    """Rms of readings over consecutive windows, block by block; the last, incomplete window is left out.

    Parameters
    ----------
    n_column : int
        Elements k.
    window_s : float
        Width of the windows. [s]
    step_s : float
        Log step. [s]
    bounds : list of float
        Loadings whose excesses are counted. [%]
    """

    def __init__(self, n_column: int, window_s: float, step_s: float, bounds: Iterable[float] = ()) -> None:
        self._n_row, self._step_s = rows_in(window_s, step_s), step_s
        self._sum, self._held, self._n_window = np.zeros(n_column), 0, 0
        self._most, self._t_most = np.zeros(n_column), np.zeros(n_column)
        self._above = {bound: np.zeros(n_column) for bound in bounds}
        self._has_begun = False

    def update(self, t_s: Floats, loading_percent: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], loadings of shape (n, k) [%]. The first row covers no time."""
        if not self._has_begun and len(t_s):
            self._has_begun, t_s, loading_percent = True, t_s[1:], loading_percent[1:]
        row = 0
        while row < len(t_s):
            stop = min(len(t_s), row + self._n_row - self._held)
            self._sum += np.einsum("ij,ij->j", *2 * (loading_percent[row:stop].astype(np.float64),))
            self._held += stop - row
            row = stop
            if self._held == self._n_row:
                self._close(float(t_s[stop - 1]) - self._n_row * self._step_s)

    def _close(self, start_s: float) -> None:
        rms = np.sqrt(self._sum / self._n_row)
        more = rms > self._most
        self._most, self._t_most = np.where(more, rms, self._most), np.where(more, start_s, self._t_most)
        for bound, count in self._above.items():
            count += rms > bound
        self._sum, self._held = np.zeros_like(self._sum), 0
        self._n_window += 1

    def result(self) -> WindowLoading:
        """The loadings so far."""
        return WindowLoading(self._n_window, self._most, self._t_most, self._above)


def loading_meters(limits: Iterable[Limit], n_column: int, step_s: float) -> dict[float, LoadingMeter]:
    """A meter for each window that limits ask for and the log step can tell, with their bounds."""
    bounds: dict[float, list[float]] = {}
    for limit in limits:
        if isinstance(limit, LoadingLimit) and fits(limit.window_s, step_s):
            bounds.setdefault(limit.window_s, []).append(limit.max_percent)
    return {window_s: LoadingMeter(n_column, window_s, step_s, mine) for window_s, mine in bounds.items()}


@dataclass(frozen=True)
class Equipment:
    """What limits ask of lines and transformers; empty where the log holds no loadings."""

    name: dict[str, list[str]] = field(default_factory=dict)
    """By group: line, trafo."""
    loading: dict[str, dict[float, WindowLoading]] = field(default_factory=dict)
    """By group, then by window. [s]"""
    ageing: Ageing | None = None
    """Of the transformers."""
