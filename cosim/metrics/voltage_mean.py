"""Mean voltage over consecutive windows, and how long each node lies outside a range: ANSI C84.1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.voltage import INTERRUPTION_PU
from cosim.metrics.window import rows_in


@dataclass(frozen=True)
class MeanVoltage:
    """Mean voltage of n nodes over consecutive windows; arrays have shape (n,)."""

    window_s: float
    """Width of the windows. [s]"""
    n_window: int
    """Whole windows in the run."""
    low_pu: Floats
    """Lowest mean; infinite where a node never had voltage. [pu]"""
    low_t_s: Floats
    """Start of its window. [s]"""
    high_pu: Floats
    """Highest mean; minus infinite where a node never had voltage. [pu]"""
    high_t_s: Floats
    """Start of its window. [s]"""
    outside_min: dict[tuple[float, float], Floats]
    """Time with means outside each range (lowest, highest) [pu]. [min]"""


class MeanVoltageMeter:
    """Means of readings over consecutive windows, block by block.

    Readings below 0.1 pu are an interruption and no part of the mean; a window without others counts
    for nothing. The last, incomplete window is left out.

    Parameters
    ----------
    n_node : int
        Number of nodes.
    window_s : float
        Width of the window. [s]
    step_s : float
        Log step. [s]
    ranges : list of (float, float)
        Lowest and highest voltage that is inside. [pu]
    """

    def __init__(self, n_node: int, window_s: float, step_s: float, ranges: list[tuple[float, float]]) -> None:
        self._n_row = rows_in(window_s, step_s)
        self._step_s = step_s
        self._sum, self._alive = np.zeros(n_node), np.zeros(n_node, dtype=np.int64)
        self._held = 0
        self._start_s: float | None = None
        self._n_window = 0
        self._low, self._t_low = np.full(n_node, np.inf), np.zeros(n_node)
        self._high, self._t_high = np.full(n_node, -np.inf), np.zeros(n_node)
        self._outside: dict[tuple[float, float], npt.NDArray[np.int64]] = {
            span: np.zeros(n_node, dtype=np.int64) for span in ranges
        }

    def update(self, t_s: Floats, vm_pu: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], voltages of shape (n, n_node) [pu]. The first row covers no time."""
        if self._start_s is None and len(t_s):
            self._start_s = float(t_s[0])
            t_s, vm_pu = t_s[1:], vm_pu[1:]
        row = 0
        while row < len(t_s):
            stop = min(len(t_s), row + self._n_row - self._held)
            part = vm_pu[row:stop]
            if part.min() >= INTERRUPTION_PU:
                self._sum += part.sum(axis=0, dtype=np.float64)
                self._alive += len(part)
            else:
                alive = part >= INTERRUPTION_PU
                self._sum += np.where(alive, part, 0.0).sum(axis=0, dtype=np.float64)
                self._alive += alive.sum(axis=0)
            self._held += stop - row
            row = stop
            if self._held == self._n_row:
                self._close(float(t_s[stop - 1]) - self._n_row * self._step_s)

    def _close(self, start_s: float) -> None:
        some = self._alive > 0
        mean = np.divide(self._sum, self._alive, out=np.ones_like(self._sum), where=some)
        lower, higher = some & (mean < self._low), some & (mean > self._high)
        self._low, self._t_low = np.where(lower, mean, self._low), np.where(lower, start_s, self._t_low)
        self._high, self._t_high = np.where(higher, mean, self._high), np.where(higher, start_s, self._t_high)
        for (low, high), count in self._outside.items():
            count += some & ((mean < low) | (mean > high))
        self._n_window += 1
        self._held = 0
        self._sum, self._alive = np.zeros_like(self._sum), np.zeros_like(self._alive)

    def result(self) -> MeanVoltage:
        """The means so far."""
        window_s = round(self._n_row * self._step_s, 6)
        minutes = window_s / 60.0
        outside = {span: np.asarray(n * minutes, dtype=np.float64) for span, n in self._outside.items()}
        return MeanVoltage(window_s, self._n_window, self._low, self._t_low, self._high, self._t_high, outside)
