"""Sliding windows over sampled signals: largest swing, rate of change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.metrics.disturbance import touches
from cosim.metrics.log import AnyFloats, Floats

_TILE_ROWS = 32
"""Rows of a tile of `swing_bound`, at least."""


def rows_in(window_s: float, step_s: float) -> int:
    """Log steps that come closest to a window, at least one."""
    return max(1, round(window_s / step_s)) if step_s > 0.0 else 1


def fits(window_s: float, step_s: float) -> bool:
    """Whether a window holds at least one log step; a shorter one would be told of what it cannot see."""
    return window_s >= step_s * (1.0 - 1e-9)


def sliding_swing(values: AnyFloats, n_step: int) -> AnyFloats:
    """Maximum minus minimum inside every window of `n_step` log steps (`n_step` + 1 rows).

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, k)
        Samples, time along the first axis.
    n_step : int
        Width of the window in steps, at least 1.

    Returns
    -------
    ndarray, shape (n - n_step,) or (n - n_step, k)
        Swing of the window that starts at each row; empty if the record is shorter than a window.
        In the unit of the values.
    """
    if len(values) <= n_step:
        return values[:0]
    return _sliding(values, n_step + 1, np.maximum) - _sliding(values, n_step + 1, np.minimum)


def _sliding(values: AnyFloats, size: int, extreme: Callable[[AnyFloats, AnyFloats], AnyFloats]) -> AnyFloats:
    """Extreme of every window of `size` rows: of two windows half as long, and so on; whole rows at a time."""
    width, found = 1, values
    while 2 * width <= size:
        found = extreme(found[:-width], found[width:])
        width *= 2
    n_window = len(values) - size + 1
    return extreme(found[:n_window], found[size - width : size - width + n_window])


def swing_bound(values: AnyFloats, n_step: int) -> AnyFloats:
    """No window of `n_step` log steps swings by more: the widest range of two neighbouring tiles, shape (k,).

    A window lies within two tiles that are no shorter than it. Signals whose bound is below what was seen before need
    no windows at all, which are most of a long record's.
    """
    size = max(n_step, _TILE_ROWS)
    n = len(values) // size
    tiles = values[: n * size].reshape(n, size, *values.shape[1:])  # ten times as fast as reduceat
    high, low = tiles.max(axis=1), tiles.min(axis=1)
    if n * size < len(values):
        rest = values[n * size :]
        high, low = (np.concatenate(pair) for pair in ((high, [rest.max(axis=0)]), (low, [rest.min(axis=0)])))
    if len(high) > 1:
        high, low = np.maximum(high[:-1], high[1:]), np.minimum(low[:-1], low[1:])
    bound: AnyFloats = (high - low).max(axis=0)
    return bound


def rates(t_s: AnyFloats, values: AnyFloats, n_step: int) -> Floats:
    """Rate of change over windows of `n_step` log steps: (x(t + w) - x(t)) / w.

    The paper's dP/dt (section III-A 6); positive values are its ramping rate, negative ones its
    decline rate.

    Parameters
    ----------
    t_s : ndarray, shape (n,)
        Times. [s]
    values : ndarray, shape (n,)
        Samples.
    n_step : int
        Width of the window in steps, at least 1.

    Returns
    -------
    ndarray, shape (max(n - n_step, 0),)
        Rates, in the unit of the values per second.
    """
    x = values.astype(np.float64)
    rate: Floats = (x[n_step:] - x[:-n_step]) / (t_s[n_step:] - t_s[:-n_step])
    return rate


class Tail:
    """Joins blocks of rows so that no window is lost between them."""

    def __init__(self, n_step: int) -> None:
        self.n_step = n_step
        self.n_row = 0
        self._t_s: Floats | None = None
        self._values: AnyFloats | None = None

    def extend(self, t_s: Floats, values: AnyFloats) -> tuple[Floats, AnyFloats]:
        """The block with the last `n_step` rows of those before it in front."""
        self.n_row += len(t_s)
        if self._t_s is not None and self._values is not None:
            t_s = np.concatenate((self._t_s, t_s))
            values = np.concatenate((self._values, values))
        keep = max(0, len(t_s) - self.n_step)
        self._t_s, self._values = t_s[keep:], values[keep:]
        return t_s, values

    def kept(self) -> tuple[Floats, AnyFloats]:
        """The last `n_step` rows, fewer where there were fewer."""
        assert self._t_s is not None
        assert self._values is not None
        return self._t_s, self._values


@dataclass(frozen=True)
class Swing:
    """Swing of each of k signals. All arrays have shape (k,), in the unit of the signals."""

    low: Floats
    """Smallest value of the run."""
    high: Floats
    """Largest value of the run."""
    within: dict[float, Floats]
    """Largest maximum minus minimum inside any window of the keyed width. [s]"""
    at_s: dict[float, Floats]
    """Start of the window in which it fell. [s]"""
    undisturbed: dict[float, Floats]
    """The same over the windows that touch no disturbance of the supply; 0 if there is none."""
    has_undisturbed: dict[float, bool]
    """Whether there is such a window; a run shorter than the window counts as one."""

    @property
    def peak_to_peak(self) -> Floats:
        """Largest minus smallest value of the run."""
        return self.high - self.low


class _Most:
    """Largest swing so far of k signals, and when its window began."""

    def __init__(self, n_signal: int) -> None:
        self.value = np.zeros(n_signal)
        self.at_s = np.zeros(n_signal)

    def update(self, start_s: Floats, swing: AnyFloats, columns: npt.NDArray[np.intp]) -> None:
        """Take in windows of some of the signals: starts of shape (n,) [s], swings of shape (n, len(columns))."""
        if len(swing) == 0:
            return
        row = swing.argmax(axis=0)
        most = np.take_along_axis(swing, row[None, :], axis=0)[0]
        better = most > self.value[columns]
        self.value[columns[better]] = most[better]
        self.at_s[columns[better]] = start_s[row[better]]


class SwingMeter:
    """Peak to peak and largest swing within sliding windows of k signals, block by block.

    Parameters
    ----------
    n_signal : int
        Number of signals k.
    step_s : float
        Log step. [s]
    disturbed : ndarray, shape (m, 2), optional
        Disjoint spans of time in which the supply was disturbed. [s]
    windows_s : tuple of float
        Widths of the windows; those shorter than a log step are left out. [s]
    """

    def __init__(
        self,
        n_signal: int,
        step_s: float,
        disturbed: Floats | None = None,
        windows_s: tuple[float, ...] = (1.0, 60.0),
    ) -> None:
        self._disturbed = np.zeros((0, 2)) if disturbed is None else disturbed
        self._low = np.full(n_signal, np.inf)
        self._high = np.full(n_signal, -np.inf)
        widths_s = [w for w in windows_s if fits(w, step_s)]
        self._tails = {w: Tail(rows_in(w, step_s)) for w in widths_s}
        self._all = {w: _Most(n_signal) for w in widths_s}
        self._undisturbed = {w: _Most(n_signal) for w in widths_s}
        self._has_calm = dict.fromkeys(widths_s, False)

    def update(self, t_s: Floats, values: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], values of shape (n, k)."""
        if len(t_s) == 0:
            return
        self._low = np.minimum(self._low, values.min(axis=0))
        self._high = np.maximum(self._high, values.max(axis=0))
        for window_s, tail in self._tails.items():
            t_joined, joined = tail.extend(t_s, values)
            if not self._has_calm[window_s]:
                first, last = t_joined[: max(len(t_joined) - tail.n_step, 0)], t_joined[tail.n_step :]
                self._has_calm[window_s] = not touches(first, last, self._disturbed).all()
            columns = np.flatnonzero(swing_bound(joined, tail.n_step) > self._undisturbed[window_s].value)
            if columns.size:
                some = joined if columns.size == joined.shape[1] else np.ascontiguousarray(joined[:, columns])
                self._note(window_s, t_joined, sliding_swing(some, tail.n_step), tail.n_step, columns)

    def _note(self, window_s: float, t_s: Floats, swing: AnyFloats, n_step: int, columns: npt.NDArray[np.intp]) -> None:
        start_s = t_s[: len(swing)]
        self._all[window_s].update(start_s, swing, columns)
        calm = ~touches(start_s, t_s[n_step : n_step + len(swing)], self._disturbed)
        self._undisturbed[window_s].update(start_s[calm], swing[calm], columns)

    def result(self) -> Swing:
        """The swings so far; a run shorter than a window counts as one window."""
        for window_s, tail in self._tails.items():
            if tail.n_row <= tail.n_step and tail.n_row > 0:
                t_s, values = tail.kept()
                self._has_calm[window_s] = not touches(t_s[:1], t_s[-1:], self._disturbed).any()
                whole = values.max(axis=0, keepdims=True) - values.min(axis=0, keepdims=True)
                self._note(window_s, t_s, whole, len(t_s) - 1, np.arange(values.shape[1]))
        return Swing(
            self._low,
            self._high,
            within={w: most.value for w, most in self._all.items()},
            at_s={w: most.at_s for w, most in self._all.items()},
            undisturbed={w: most.value for w, most in self._undisturbed.items()},
            has_undisturbed=dict(self._has_calm),
        )
