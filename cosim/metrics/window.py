"""Sliding windows over sampled signals: largest swing, rate of change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.metrics.disturbance import touches
from cosim.metrics.log import AnyFloats, Floats

_TILE_ROWS = 32
"""Rows of a tile of `Ranges`."""


def rows_in(window_s: float, step_s: float) -> int:
    """Log steps that come closest to a window, at least one."""
    return max(1, round(window_s / step_s)) if step_s > 0.0 else 1


def fits(window_s: float, step_s: float) -> bool:
    """Whether a window holds at least one log step; a shorter one would be told of what it cannot see."""
    return window_s >= step_s * (1.0 - 1e-9)


def chosen(values: AnyFloats, columns: npt.NDArray[np.intp]) -> AnyFloats:
    """Some columns of values of shape (n, k), without a copy where they are all."""
    return values if len(columns) == values.shape[1] else np.ascontiguousarray(values[:, columns])


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


class Ranges:
    """Lowest and highest values of tiles of rows, which tell where no window can swing by more than was seen before.

    That is most of a long record; its rows are walked through once, whatever the number of windows.

    Parameters
    ----------
    n_back : int
        Rows before a block that its windows reach back to.
    """

    def __init__(self, n_back: int) -> None:
        self._n_back = n_back
        self._n_old = 0
        """Tiles of the rows before the last block."""
        self._rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._low: AnyFloats = np.zeros((0, 0), np.float32)
        self._high: AnyFloats = np.zeros((0, 0), np.float32)

    def update(self, values: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
        """Take in a block of rows, shape (n, k); lowest and highest value in it, shape (k,)."""
        whole = len(values) // _TILE_ROWS * _TILE_ROWS
        tiles = values[:whole].reshape(-1, _TILE_ROWS, values.shape[1])  # ten times as fast as reduceat
        low, high, rows = tiles.min(axis=1), tiles.max(axis=1), np.full(len(tiles), _TILE_ROWS)
        if whole < len(values):
            rest = values[whole:]
            low = np.concatenate((low, rest.min(axis=0, keepdims=True)))
            high = np.concatenate((high, rest.max(axis=0, keepdims=True)))
            rows = np.append(rows, len(rest))
        old = self._reach(self._n_back, len(self._rows))
        self._n_old = len(self._rows) - old
        self._rows = np.concatenate((self._rows[old:], rows))
        self._low = np.concatenate((self._low[old:], low)) if self._n_old else low
        self._high = np.concatenate((self._high[old:], high)) if self._n_old else high
        return low.min(axis=0), high.max(axis=0)

    def _reach(self, n_row: int, until: int) -> int:
        """First of the tiles before `until` that hold its last `n_row` rows."""
        held = np.cumsum(self._rows[:until][::-1])
        return max(0, until - 1 - int(np.searchsorted(held, n_row)))

    def bound(self, n_step: int) -> AnyFloats:
        """No window of `n_step` log steps that ends in the last block swings by more, shape (k,)."""
        first = self._reach(n_step, self._n_old) if n_step else self._n_old
        rows, low, high = self._rows[first:], self._low[first:], self._high[first:]
        # A window lies within the tiles that it holds as a whole, and one on each side.
        n_tile = 2 + (n_step - 1) // int(rows[1:-1].min(initial=_TILE_ROWS))
        if len(rows) > n_tile:
            low, high = _sliding(low, n_tile, np.minimum), _sliding(high, n_tile, np.maximum)
        else:
            low, high = low.min(axis=0, keepdims=True), high.max(axis=0, keepdims=True)
        bound: AnyFloats = (high - low).max(axis=0)
        return bound


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
    """The same over the windows that touch no disturbance of the supply; nan where each does."""

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
        self._n_step = {w: rows_in(w, step_s) for w in windows_s if fits(w, step_s)}
        self._n_back = max(self._n_step.values(), default=0)
        self._ranges = Ranges(self._n_back)
        self._n_row = 0
        self._t_s: Floats = np.zeros(0)
        self._values: AnyFloats = np.zeros((0, n_signal), np.float32)
        self._all = {w: _Most(n_signal) for w in self._n_step}
        self._undisturbed = {w: _Most(n_signal) for w in self._n_step}
        self._has_calm = dict.fromkeys(self._n_step, False)

    def update(self, t_s: Floats, values: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], values of shape (n, k)."""
        if len(t_s) == 0:
            return
        low, high = self._ranges.update(values)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        for window_s, n_step in self._n_step.items():
            if not self._has_calm[window_s]:
                self._look_for_calm(window_s, np.concatenate((self._t_s[-n_step:], t_s)), n_step)
            columns = np.flatnonzero(self._ranges.bound(n_step) > self._undisturbed[window_s].value)
            if columns.size:
                before = max(0, len(self._values) - n_step)
                parts = (chosen(self._values[before:], columns), chosen(values, columns))
                some = np.concatenate(parts) if len(parts[0]) else parts[1]
                t_joined = np.concatenate((self._t_s[before:], t_s))
                self._note(window_s, t_joined, sliding_swing(some, n_step), n_step, columns)
        self._keep(t_s, values)

    def _look_for_calm(self, window_s: float, t_s: Floats, n_step: int) -> None:
        """Whether any window among these rows touches no disturbance, whatever its swing."""
        if len(t_s) > n_step:
            self._has_calm[window_s] = not touches(t_s[:-n_step], t_s[n_step:], self._disturbed).all()

    def _keep(self, t_s: Floats, values: AnyFloats) -> None:
        """The last rows, as many as the widest window reaches back."""
        self._n_row += len(t_s)
        if len(t_s) < self._n_back:
            t_s, values = np.concatenate((self._t_s, t_s)), np.concatenate((self._values, values))
        first = max(0, len(t_s) - self._n_back)
        self._t_s, self._values = t_s[first:], values[first:]

    def _note(self, window_s: float, t_s: Floats, swing: AnyFloats, n_step: int, columns: npt.NDArray[np.intp]) -> None:
        start_s = t_s[: len(swing)]
        self._all[window_s].update(start_s, swing, columns)
        calm = ~touches(start_s, t_s[n_step : n_step + len(swing)], self._disturbed)
        self._undisturbed[window_s].update(start_s[calm], swing[calm], columns)

    def result(self) -> Swing:
        """The swings so far; a run shorter than a window counts as one window."""
        for window_s, n_step in self._n_step.items():
            if 0 < self._n_row <= n_step:
                whole = self._values.max(axis=0, keepdims=True) - self._values.min(axis=0, keepdims=True)
                self._note(window_s, self._t_s, whole, len(self._t_s) - 1, np.arange(whole.shape[1]))
                self._has_calm[window_s] = not touches(self._t_s[:1], self._t_s[-1:], self._disturbed).all()
        return Swing(
            self._low,
            self._high,
            within={w: most.value for w, most in self._all.items()},
            at_s={w: most.at_s for w, most in self._all.items()},
            undisturbed={
                w: most.value if self._has_calm[w] else np.full_like(most.value, np.nan)
                for w, most in self._undisturbed.items()
            },
        )
