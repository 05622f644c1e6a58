"""Columns that a page draws, kept while the metrics walk through their channels: no wide channel is inflated twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Log
from cosim.report.series import Pick


class Gleaner:
    """A log that picks columns from the rows that pass through it.

    It has the face of the log behind it. What was foreseen wrongly costs the page another walk, nothing else.

    Parameters
    ----------
    log : Log
        The log.
    wanted : iterable of (str, callable)
        Channel, and what gives one value per row from its rows. Kept in float32, as pages draw them.
    """

    def __init__(self, log: Log, wanted: Iterable[tuple[str, Pick]]) -> None:
        self._log = log
        self._columns: dict[str, dict[Pick, npt.NDArray[np.float32]]] = {}
        for path, pick in wanted:
            self._columns.setdefault(path, {})[pick] = np.empty(log.n_rows, np.float32)
        self._seen = {path: np.zeros(log.n_rows, np.bool_) for path in self._columns}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def read(self, path: str, start: int | None = None, stop: int | None = None) -> AnyFloats:
        """Rows of a channel, as of the log."""
        values = self._log.read(path, start, stop)
        key = path.strip("/")
        if key in self._columns:
            first, _, _ = slice(start, stop).indices(len(self._seen[key]))
            rows = slice(first, first + len(values))
            if not self._seen[key][rows].all():
                for pick, column in self._columns[key].items():
                    column[rows] = pick(values)
                self._seen[key][rows] = True
        return values

    def gleaned(self, path: str, pick: Pick) -> AnyFloats | None:
        """A column as a whole, shape (n_rows,); None where it was not wanted, or not all rows were read."""
        column = self._columns.get(path, {}).get(pick)
        return column if column is not None and self._seen[path].all() else None
