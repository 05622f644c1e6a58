"""Time series small enough for a page: min-max buckets, 16 bit, base64."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats, Log, blocks

Mode = Literal["both", "low", "high"]
Pick = Callable[[AnyFloats], AnyFloats]
"""Takes rows of a channel and gives one value per row; NaN is a gap."""

GAP = -32768
_LEVELS = 65534


class Bucketer:
    """Reduces a signal to the extremes of buckets of rows, block by block.

    Parameters
    ----------
    n_row : int
        Rows per bucket; 1 keeps every value.
    mode : {"both", "low", "high"}
        What is kept of a bucket: its smallest and largest value in the order in which they come,
        or only the smallest, or only the largest.
    """

    def __init__(self, n_row: int, mode: Mode) -> None:
        self._n_row, self._mode = n_row, mode
        self._rest: AnyFloats = np.zeros(0, np.float32)
        self._kept: list[AnyFloats] = []

    def update(self, values: AnyFloats) -> None:
        """Take in values of shape (n,)."""
        if self._n_row == 1:
            self._kept.append(np.asarray(values, dtype=np.float32))
            return
        joined = np.concatenate((self._rest, np.asarray(values, dtype=np.float32)))
        whole = len(joined) // self._n_row * self._n_row
        self._rest = joined[whole:]
        if whole:
            self._kept.append(_extremes(joined[:whole].reshape(-1, self._n_row), self._mode))

    def result(self) -> AnyFloats:
        """The reduced signal; the rows left over make a last, shorter bucket."""
        if len(self._rest):
            self._kept.append(_extremes(self._rest[None, :], self._mode))
            self._rest = self._rest[:0]
        return np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)


def _extremes(buckets: AnyFloats, mode: Mode) -> AnyFloats:
    """Extremes of each row of an array (bucket, row), NaN where a bucket holds nothing else."""
    low_at = np.where(np.isnan(buckets), np.inf, buckets).argmin(axis=1)
    high_at = np.where(np.isnan(buckets), -np.inf, buckets).argmax(axis=1)
    every = np.arange(len(buckets))
    if mode == "low":
        low: AnyFloats = buckets[every, low_at]
        return low
    if mode == "high":
        high: AnyFloats = buckets[every, high_at]
        return high
    first, second = np.minimum(low_at, high_at), np.maximum(low_at, high_at)
    pair: AnyFloats = np.column_stack((buckets[every, first], buckets[every, second])).ravel()
    return pair


def reduce_channel(log: Log, path: str, picks: list[tuple[Pick, Mode]], n_column: int, n_row: int) -> list[AnyFloats]:
    """Walk once through a channel and reduce several signals that are picked from its rows.

    Parameters
    ----------
    log : Log
        The log.
    path : str
        Channel.
    picks : list of (callable, mode)
        From rows of shape (n,) or (n, n_column) to values of shape (n,), and what to keep of them.
    n_column : int
        Columns of the channel; 1 for a channel without elements.
    n_row : int
        Rows per bucket.
    """
    bucketers = [Bucketer(n_row, mode) for _, mode in picks]
    for _, values in blocks(log, path, n_column):
        for (pick, _), bucketer in zip(picks, bucketers, strict=True):
            bucketer.update(pick(values))
    return [bucketer.result() for bucketer in bucketers]


def quantized(values: AnyFloats) -> dict[str, Any]:
    """A signal as 16 bit numbers in base64; one step is 1/65534 of the signal's own range.

    Returns
    -------
    dict
        `lo` and `step`: value = lo + step * (q + 32767); `q`: base64 of little-endian int16, in
        which -32768 is a gap.
    """
    finite = np.isfinite(values)
    low = float(values[finite].min()) if finite.any() else 0.0
    high = float(values[finite].max()) if finite.any() else 0.0
    step = (high - low) / _LEVELS
    scaled = np.zeros(len(values)) if step == 0.0 else (values.astype(np.float64) - low) / step
    q = np.where(finite, np.round(np.where(finite, scaled, 0.0)) - 32767, GAP).astype("<i2")
    return {"lo": low, "step": step, "q": encoded(q)}


def encoded(values: npt.NDArray[Any]) -> str:
    """Base64 of an array's bytes."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def bucket_times(log: Log, n_row: int) -> Floats:
    """Time of the first row of each bucket of `n_row` rows. [s]"""
    kept: list[Floats] = []
    start = 0
    for t_s, _ in blocks(log, "t_s"):
        kept.append(t_s[-start % n_row :: n_row])
        start += len(t_s)
    return np.concatenate(kept) if kept else np.zeros(0)


@dataclass(frozen=True)
class TimeGrid:
    """Times of the buckets of one log."""

    t_s: Floats
    """Time of the first row of each bucket. [s]"""
    step_s: float
    """Log step. [s]"""
    n_row: int
    """Rows per bucket."""

    def encoded(self) -> dict[str, Any]:
        """Start and distance where the rows are even, else all times as float64 in base64."""
        width_s = self.step_s * self.n_row
        even = self.t_s[0] + width_s * np.arange(len(self.t_s)) if len(self.t_s) else self.t_s
        about = {"n": len(self.t_s), "width_s": width_s, "rows": self.n_row}
        if len(self.t_s) == 0 or np.abs(even - self.t_s).max() < 1e-3 * max(self.step_s, 1e-6):
            return about | {"t0_s": float(self.t_s[0]) if len(self.t_s) else 0.0}
        return about | {"t0_s": float(self.t_s[0]), "t_s": encoded(self.t_s.astype("<f8"))}


def rows_per_bucket(n_value: int, budget: int) -> int:
    """Rows per bucket so that `n_value` values fit into a budget, at two values per bucket."""
    return 1 if n_value <= budget else -(-2 * n_value // budget)
