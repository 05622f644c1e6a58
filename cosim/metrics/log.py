"""What the metrics need of a log, and how they walk through it in blocks of rows.

A log is anything with the face of `Log`; `cosim.record.result.Result` is one. No metric reads a
whole time-by-element channel at once, so memory does not grow with the length of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating[Any]]

BLOCK_VALUES = 500_000
"""Values of a channel in memory at a time: 2 MB of float32, so that a block stays in the cache."""
CHUNK_ROWS = 1024
"""Blocks are multiples of it, so that no chunk of a log (a power of two up to it) is inflated twice."""


class Log(Protocol):
    """A log of a run, read by channel path (`bus/vm_pu`) and rows."""

    @property
    def status(self) -> str:
        """running, complete, collapsed, interrupted or failed."""

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes of the root: scenario_name, seed, cosim_version, ..."""

    @property
    def scenario(self) -> Mapping[str, Any]:
        """The resolved scenario."""

    @property
    def scenario_yaml(self) -> str:
        """The same as YAML text."""

    @property
    def n_rows(self) -> int:
        """Rows that every channel has."""

    @property
    def events(self) -> Any:
        """DataFrame of events: t_s, kind, element, value, detail."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Totals that the engine accumulated at every step."""

    def paths(self) -> Sequence[str]:
        """Paths of all channels."""

    def read(self, path: str, start: int | None = None, stop: int | None = None) -> AnyFloats:
        """Rows start to stop of a channel, or of `t_s`, the time of each row. [s]"""

    def names(self, group: str) -> Sequence[str]:
        """Names of the elements that are the columns of a group's channels."""


def has(log: Log, path: str) -> bool:
    """Whether the log holds this channel."""
    return path in {p.lstrip("/") for p in log.paths()}


def members(log: Log, group: str) -> list[str]:
    """Names below a group that holds one sub-group per element, e.g. `datacenter`, in log order."""
    heads = (p.lstrip("/").split("/") for p in log.paths())
    return list(dict.fromkeys(parts[1] for parts in heads if len(parts) > 2 and parts[0] == group))


def log_step_s(log: Log) -> float:
    """Usual distance of two rows: the median of the first thousand, to the microsecond. [s]

    Zero where there are fewer than two rows.
    """
    t_s = log.read("t_s", 0, 1001)
    return round(float(np.median(np.diff(t_s))), 6) if len(t_s) > 1 else 0.0


def time_span_s(log: Log) -> tuple[float, float]:
    """Time of the first and of the last row. [s]"""
    return float(log.read("t_s", 0, 1)[0]), float(log.read("t_s", log.n_rows - 1, log.n_rows)[0])


def blocks(log: Log, path: str, n_column: int = 1) -> Iterator[tuple[Floats, AnyFloats]]:
    """Walk through a channel in blocks of whole rows.

    Parameters
    ----------
    log : Log
        The log.
    path : str
        Channel, e.g. `line/p_mw`.
    n_column : int
        Columns of the channel; 1 for a channel without elements.

    Yields
    ------
    t_s : ndarray, shape (n,)
        Times of the rows. [s]
    values : ndarray, shape (n,) or (n, n_column)
        Their values, in the unit of the channel.
    """
    n_row = max(1, round(BLOCK_VALUES / max(n_column, 1) / CHUNK_ROWS)) * CHUNK_ROWS
    spans = [(start, min(start + n_row, log.n_rows)) for start in range(0, log.n_rows, n_row)]
    if len(spans) < 2:
        for start, stop in spans:
            yield np.asarray(log.read("t_s", start, stop), dtype=np.float64), log.read(path, start, stop)
        return
    # Inflating needs no interpreter: the next block is read while this one is looked at.
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(log.read, path, *spans[0])
        for (start, stop), after in zip(spans, [*spans[1:], None], strict=True):
            values = coming.result()
            if after is not None:
                coming = ahead.submit(log.read, path, *after)
            yield np.asarray(log.read("t_s", start, stop), dtype=np.float64), values


def total(log: Log, path: str) -> float | None:
    """A total that the engine accumulated at every step, e.g. `energy/e_loss_mwh`.

    None where the log has none: the run goes on, was killed, or lacks that part.
    """
    here: Any = log.metrics
    for key in path.split("/"):
        if not isinstance(here, Mapping) or key not in here:
            return None
        here = here[key]
    return None if isinstance(here, Mapping) else float(here)


def column(log: Log, path: str, kind: Any = np.float32) -> Any:
    """A channel of one column as a whole."""
    parts = [np.asarray(values, dtype=kind).ravel() for _, values in blocks(log, path)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
