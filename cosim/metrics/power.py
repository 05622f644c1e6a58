"""Energy, peak, mean, idle and distribution of one power."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from cosim.metrics.histogram import Histogram
from cosim.metrics.log import AnyFloats, Floats, Log, blocks, has, total
from cosim.metrics.window import Tail, rows_in
from cosim.units import S_PER_H

IDLE_HOLD_S = 10.0
"""A level is idle, not a dip between two iterations, if the power stays at or below it this long. [s]"""
IDLE_MIN_FRACTION = 0.01
"""Below this fraction of the peak the supply is off, not the load idle."""


_TOTALS = {
    "source/p_mw": "energy/e_source_mwh",
    "feeder/p_loss_mw": "energy/e_loss_mwh",
}


@dataclass(frozen=True)
class Power:
    """Level and energy of one power over a run."""

    duration_s: float
    """Time between the first and the last row. [s]"""
    e_mwh: float
    """Energy: E_total of the paper's section III-A. [MWh]"""
    mean_mw: float
    """Energy over duration. [MW]"""
    peak_mw: float
    """Largest power at full step where that is known, else the largest reading. [MW]"""
    peak_t_s: float
    """Time of the largest reading. [s]"""
    min_mw: float
    """Smallest reading; below zero the power went the other way. [MW]"""
    idle_mw: float | None
    """Lowest level that the power stayed at or below for 10 s while it was on; None if never. [MW]"""
    histogram: Histogram
    """Distribution of all readings. [MW]"""

    @property
    def export_peak_mw(self) -> float:
        """Largest reading of power the other way: into the feeder, or from it into the source; 0 if none. [MW]"""
        return max(0.0, -self.min_mw)

    def summary(self) -> dict[str, float]:
        """Plain numbers; a ratio without a denominator is left out."""
        numbers = {
            "e_mwh": self.e_mwh,
            "mean_mw": self.mean_mw,
            "peak_mw": self.peak_mw,
            "peak_t_s": self.peak_t_s,
            "min_mw": self.min_mw,
        }
        if self.export_peak_mw > 0.0:
            numbers["export_peak_mw"] = self.export_peak_mw
        if self.mean_mw > 0.0:
            numbers["peak_per_mean"] = self.peak_mw / self.mean_mw
        if self.idle_mw is not None and self.idle_mw > 0.0:
            numbers["idle_mw"] = self.idle_mw
            numbers["peak_per_idle"] = self.peak_mw / self.idle_mw
        return numbers


class EnergyMeter:
    """Integral of a power over time, block by block.

    Parameters
    ----------
    of_means : bool
        True if each row holds the mean over the interval that ends with it: the integral is then
        exact. False if it holds the value at its time: the integral is the trapezoidal rule.
    """

    def __init__(self, of_means: bool) -> None:
        self._of_means = of_means
        self._last: tuple[float, float] | None = None
        self.e_mwh = 0.0

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power [MW], both of shape (n,)."""
        if len(t_s) == 0:
            return
        p = p_mw.astype(np.float64)
        last_t_s, last_p_mw = self._last if self._last is not None else (float(t_s[0]), float(p[0]))
        width_s = np.diff(t_s, prepend=last_t_s)
        before = np.concatenate(([last_p_mw], p[:-1]))
        level = p if self._of_means else 0.5 * (p + before)
        self.e_mwh += float(np.dot(level, width_s)) / S_PER_H
        self._last = (float(t_s[-1]), float(p[-1]))


def energy_of(log: Log, path: str) -> float | None:
    """Energy of the power channel `path`: the engine's total, else from the log's means, else from its rows. [MWh]"""
    exact = total(log, _TOTALS.get(path, re.sub(r"/p_(\w+)_mw$", r"/e_\1_mwh", path)))
    if exact is not None:
        return exact
    mean_path = path.replace("_mw", "_mean_mw")
    of_means = has(log, mean_path)
    if not of_means and not has(log, path):
        return None
    meter = EnergyMeter(of_means)
    for t_s, p_mw in blocks(log, mean_path if of_means else path):
        meter.update(t_s, p_mw.reshape(len(t_s)))
    return meter.e_mwh


class PowerMeter:
    """Level and energy of one power, block by block.

    Parameters
    ----------
    step_s : float
        Log step. [s]
    """

    def __init__(self, step_s: float) -> None:
        self._energy = EnergyMeter(of_means=False)
        self._tail = Tail(rows_in(IDLE_HOLD_S, step_s))
        self._held = Histogram()
        self._histogram = Histogram()
        self._peak = (-np.inf, 0.0)
        self._span_s: tuple[float, float] | None = None

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power [MW], both of shape (n,)."""
        if len(t_s) == 0:
            return
        self._energy.update(t_s, p_mw)
        self._histogram.update(p_mw)
        top = int(p_mw.argmax())
        if p_mw[top] > self._peak[0]:
            self._peak = (float(p_mw[top]), float(t_s[top]))
        self._held.update(held_level(self._tail.extend(t_s, p_mw)[1], self._tail.n_step))
        start_s = float(t_s[0]) if self._span_s is None else self._span_s[0]
        self._span_s = (start_s, float(t_s[-1]))

    def result(self, e_mwh: float | None = None, peak_mw: float | None = None) -> Power:
        """Level and energy so far; `e_mwh` [MWh] and `peak_mw` [MW] are known better than from the readings."""
        start_s, end_s = self._span_s or (0.0, 0.0)
        energy = self._energy.e_mwh if e_mwh is None else e_mwh
        read_mw = max(self._peak[0], self._histogram.min)
        peak_mw = read_mw if peak_mw is None else max(read_mw, peak_mw)
        lasted_h = (end_s - start_s) / S_PER_H
        return Power(
            duration_s=end_s - start_s,
            e_mwh=energy,
            mean_mw=energy / lasted_h if lasted_h > 0.0 else peak_mw,
            peak_mw=peak_mw,
            peak_t_s=self._peak[1],
            min_mw=self._histogram.min,
            idle_mw=self._idle_mw(peak_mw),
            histogram=self._histogram,
        )

    def _idle_mw(self, peak_mw: float) -> float | None:
        self._held.flatten(IDLE_MIN_FRACTION * peak_mw)
        level = self._held.quantile_rising(0.0)
        return min(level, peak_mw) if level > 0.0 else None


def held_level(p_mw: AnyFloats, n_step: int) -> AnyFloats:
    """Largest power inside every window of `n_step` log steps: the level it stayed at or below.

    Parameters
    ----------
    p_mw : ndarray, shape (n,)
        Power. [MW]
    n_step : int
        Width of the window in steps.

    Returns
    -------
    ndarray, shape (max(n - n_step, 0),)
        Level held from each row on. [MW]
    """
    n_window = len(p_mw) - n_step
    if n_window <= 0:
        return p_mw[:0]
    size = n_step + 1
    held: AnyFloats = maximum_filter1d(p_mw, size)[size // 2 : size // 2 + n_window]
    return held
