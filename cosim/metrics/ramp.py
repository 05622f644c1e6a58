"""Ramping and decline rates over windows, with their distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cosim.metrics.disturbance import touches
from cosim.metrics.histogram import Histogram
from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import Tail, fits, rates, rows_in

WINDOWS_S = (0.1, 1.0, 60.0, 600.0)
"""Widths over which rates are taken: edge, second, minute, ten minutes. [s]"""
PERCENTILES = (50.0, 95.0, 99.0, 99.9)
_FLOAT32_QUANTUM = 2.0**-23


@dataclass(frozen=True)
class Ramp:
    """Rates of change of one power over one window width."""

    window_s: float
    """Width: the multiple of the log step nearest to the one asked for. [s]"""
    max_ramp_mw_per_s: float
    """Fastest rise, the largest ramping rate; 0 if the power never rises. [MW/s]"""
    max_ramp_t_s: float
    """Start of the window of the fastest rise. [s]"""
    max_decline_mw_per_s: float
    """Fastest fall as a positive number, the largest decline rate. [MW/s]"""
    max_decline_t_s: float
    """Start of the window of the fastest fall. [s]"""
    undisturbed_max_ramp_mw_per_s: float
    """Fastest rise over the windows that touch no disturbance of the supply; nan where none does. [MW/s]"""
    undisturbed_max_decline_mw_per_s: float
    """Fastest fall over those windows, as a positive number. [MW/s]"""
    histogram: Histogram
    """Distribution of all rates, rises positive. [MW/s]"""

    def summary(self) -> dict[str, float]:
        """Plain numbers; percentiles are over the windows that rise (or fall) only."""
        numbers = {
            "window_s": self.window_s,
            "max_ramp_mw_per_s": self.max_ramp_mw_per_s,
            "max_ramp_t_s": self.max_ramp_t_s,
            "max_decline_mw_per_s": self.max_decline_mw_per_s,
            "max_decline_t_s": self.max_decline_t_s,
            "undisturbed_max_ramp_mw_per_s": self.undisturbed_max_ramp_mw_per_s,
            "undisturbed_max_decline_mw_per_s": self.undisturbed_max_decline_mw_per_s,
            "share_rising": self.histogram.share_rising(),
            "share_falling": self.histogram.share_falling(),
        }
        for percent in PERCENTILES:
            name = f"{percent:g}".replace(".", "_")
            numbers[f"ramp_p{name}_mw_per_s"] = self.histogram.quantile_rising(percent / 100.0)
            numbers[f"decline_p{name}_mw_per_s"] = self.histogram.quantile_falling(percent / 100.0)
        return numbers


class RampMeter:
    """Rates of change of one power over windows of one width, block by block.

    Parameters
    ----------
    window_s : float
        Width of the window; less than a log step counts as one step. [s]
    step_s : float
        Log step. [s]
    disturbed : ndarray, shape (m, 2), optional
        Disjoint spans of time in which the supply was disturbed. [s]
    """

    def __init__(self, window_s: float, step_s: float, disturbed: Floats | None = None) -> None:
        self._disturbed = np.zeros((0, 2)) if disturbed is None else disturbed
        self._tail = Tail(rows_in(window_s, step_s))
        self.window_s = round(self._tail.n_step * step_s, 6)
        self._histogram = Histogram()
        self._most = (0.0, 0.0)
        self._least = (0.0, 0.0)
        self._calm = (math.nan, math.nan)
        self._largest_mw = 0.0

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power [MW], both of shape (n,)."""
        if len(t_s) == 0:
            return
        self._largest_mw = max(self._largest_mw, float(np.abs(p_mw).max()))
        t_joined, joined = self._tail.extend(t_s, p_mw)
        rate = rates(t_joined, joined, self._tail.n_step)
        if len(rate) == 0:
            return
        self._histogram.update(rate)
        up, down = int(rate.argmax()), int(rate.argmin())
        if rate[up] > self._most[0]:
            self._most = (float(rate[up]), float(t_joined[up]))
        if rate[down] < self._least[0]:
            self._least = (float(rate[down]), float(t_joined[down]))
        n_step = self._tail.n_step
        calm = rate[~touches(t_joined[:-n_step], t_joined[n_step:], self._disturbed)]
        if calm.size:
            self._calm = (
                float(np.fmax(self._calm[0], max(0.0, calm.max()))),
                float(np.fmin(self._calm[1], min(0.0, calm.min()))),
            )

    def result(self) -> Ramp:
        """Rates so far; differences below two quanta of the log's float32 count as standing still."""
        if self.window_s > 0.0:
            self._histogram.flatten(2.0 * _FLOAT32_QUANTUM * self._largest_mw / self.window_s)
        return Ramp(
            window_s=self.window_s,
            max_ramp_mw_per_s=self._most[0],
            max_ramp_t_s=self._most[1],
            max_decline_mw_per_s=abs(self._least[0]),
            max_decline_t_s=self._least[1],
            undisturbed_max_ramp_mw_per_s=self._calm[0],
            undisturbed_max_decline_mw_per_s=abs(self._calm[1]),
            histogram=self._histogram,
        )


class LargestRamp:
    """Fastest change over windows that touch no disturbance, up or down, and when; block by block.

    Parameters
    ----------
    window_s, step_s : float
        Width of the window, log step. [s]
    disturbed : ndarray, shape (m, 2)
        Disjoint spans of time in which the supply was disturbed. [s]
    bound_mw_per_s : float
        Rate above which windows are counted. [MW/s]
    """

    def __init__(self, window_s: float, step_s: float, disturbed: Floats, bound_mw_per_s: float = float("inf")) -> None:
        self._tail = Tail(rows_in(window_s, step_s))
        self._disturbed = disturbed
        self._bound = bound_mw_per_s
        self.n_window, self.n_above = 0, 0
        self.mw_per_s, self.t_s = 0.0, 0.0

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power [MW], both of shape (n,)."""
        n = self._tail.n_step
        t_joined, joined = self._tail.extend(t_s, p_mw)
        rate = rates(t_joined, joined, n)
        calm = np.flatnonzero(~touches(t_joined[: len(rate)], t_joined[n : n + len(rate)], self._disturbed))
        if len(calm) == 0:
            return
        self.n_window += len(calm)
        self.n_above += int((np.abs(rate[calm]) > self._bound).sum())
        most = int(calm[np.abs(rate[calm]).argmax()])
        if abs(rate[most]) > abs(self.mw_per_s):
            self.mw_per_s, self.t_s = float(rate[most]), float(t_joined[most])


def windows_for(step_s: float, duration_s: float) -> tuple[float, ...]:
    """The usual widths that hold a log step and fit into the run; the log step itself where none does. [s]"""
    if step_s <= 0.0:
        return ()
    wanted = {rows_in(w, step_s): w for w in WINDOWS_S if fits(w, step_s)} or {1: step_s}
    return tuple(sorted(w for n, w in wanted.items() if n * step_s <= duration_s * (1.0 + 1e-9)))
