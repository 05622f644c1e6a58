"""How long lines and transformers carried more than their rating."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cosim.metrics.log import AnyFloats, Floats

RATED_PERCENT = 100.0
"""Loading above which an element is overloaded. [%]"""


class Overload(NamedTuple):
    """By element, in the order of the log."""

    total_s: Floats
    """Time above its rating. [s]"""
    longest_s: Floats
    """Longest such stretch. [s]"""


class OverloadMeter:
    """Counts rows above the rating; each stands for the log step that it ends, so the first of a run for none.

    Parameters
    ----------
    n_column : int
        Elements.
    step_s : float
        Log step. [s]
    """

    def __init__(self, n_column: int, step_s: float) -> None:
        self._step_s = step_s
        self._n = np.zeros(n_column, np.int64)
        self._open = np.zeros(n_column, np.int64)
        """Rows of the stretch that each element is in."""
        self._longest = np.zeros(n_column, np.int64)
        self._has_begun = False

    def update(self, _: Floats, loading_percent: AnyFloats) -> None:
        """Take in rows, shape (n, n_column). [%]"""
        if not self._has_begun:
            self._has_begun, loading_percent = True, loading_percent[1:]
        if len(loading_percent) == 0:
            return
        touched = np.flatnonzero((loading_percent.max(axis=0) > RATED_PERCENT) | (self._open > 0))
        for i in touched.tolist():
            column = loading_percent[:, i] > RATED_PERCENT
            self._n[i] += int(column.sum())
            ends = np.flatnonzero(np.diff(np.concatenate(([0], column.astype(np.int8), [0]))))
            lengths = (ends[1::2] - ends[::2]).tolist()
            if lengths and column[0]:
                lengths[0] += int(self._open[i])
            self._longest[i] = max(self._longest[i], *lengths, 0)
            if not column[-1]:
                self._open[i] = 0
            else:
                self._open[i] = lengths[-1]

    def result(self) -> Overload:
        """What was seen."""
        return Overload(*((rows * self._step_s).astype(np.float64) for rows in (self._n, self._longest)))
