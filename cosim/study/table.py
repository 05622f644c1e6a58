"""The summary: one row a run, as CSV and Parquet, each replaced whole."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.errors import EnvironmentFailure, InputError
from cosim.study.folder import write_whole
from cosim.study.limits import hold_to_limits

if TYPE_CHECKING:
    import pandas as pd

    from cosim.study.execute import Order

CSV, PARQUET = "summary.csv", "summary.parquet"


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as the summary names it."""

    run: str
    inputs: dict[str, Any]
    is_search: bool

    @classmethod
    def of(cls, order: Order) -> Listed:
        """What the summary needs of an order."""
        return cls(order.run, order.task.inputs, bool(order.task.search))


def kept_row(row: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """A row with the metrics that the study's columns, limits and stop need: a million rows have to fit in memory."""
    if config.metrics is None:
        return dict(row)
    needed = {*config.limits, *_analysed(config)}
    wanted = tuple(config.metrics)
    metrics = {k: v for k, v in row["metrics"].items() if k in needed or _wanted(k, wanted)}
    return {**row, "metrics": metrics}


def _analysed(config: Any) -> list[str]:
    """Metrics that a study's analysis works on: they are columns whatever `metrics` says."""
    stop = getattr(config, "stop", None)
    named = [stop.metric] if stop is not None and stop.metric is not None else []
    return [*named, *(getattr(config, "outputs", None) or ())]


def frame(listed: Iterable[Listed], rows: Mapping[str, Mapping[str, Any]], config: Any) -> pd.DataFrame:
    """Rows known so far in the order of the study: run, inputs, status, error, limits, metrics.

    Parameters
    ----------
    listed : iterable of Listed
        Tasks in the order of the study.
    rows : mapping
        Row by identity of the run.
    config
        The study: which metrics are columns, which limits count.
    """
    import pandas as pd

    limits = {name: limit.model_dump() for name, limit in config.limits.items()}
    records = [_record(one, rows[one.run], limits, config) for one in listed if one.run in rows]
    table = pd.DataFrame.from_records(records)
    first = [name for name in ("run", "status", "error") if name in table]
    return table[first + [name for name in table if name not in first]]


def _record(one: Listed, row: Mapping[str, Any], limits: Mapping[str, Any], config: Any) -> dict[str, Any]:
    record = {"run": row["run"], "status": row["status"], "error": row["error"], **_flat(one.inputs)}
    if limits and not one.is_search:
        record |= within(row, limits)
    analysed = _analysed(config)
    wanted = None if config.metrics is None else tuple(config.metrics)
    metrics = {k: v for k, v in row["metrics"].items() if _wanted(k, wanted) or k in analysed}
    if config.kind == "ups_sizing" and (size := metrics.get("size")) is not None:
        metrics["cost"] = config.cost_per_mw * record["p_mw"] + config.cost_per_mwh * size
    return record | {k: v for k, v in metrics.items() if k not in record}


def _flat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as one value a column: lists and mappings as text."""
    return {k: str(v) if isinstance(v, list | dict) else v for k, v in inputs.items()}


def within(row: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a run is within limits; one that ended early is not within limits, whatever it was up to there."""
    if row["status"] == "failed":
        return {"within_limits": None, "limited_by": ""}
    if row["status"] != "complete":
        return {"within_limits": False, "limited_by": row["status"]}
    try:
        verdict = hold_to_limits(row["metrics"], limits)
    except InputError as error:
        return {"within_limits": None, "limited_by": str(error)}
    return {"within_limits": verdict.is_within, "limited_by": "" if verdict.is_within else verdict.limited_by}


@functools.lru_cache(maxsize=100_000)
def _wanted(name: str, wanted: tuple[str, ...] | None) -> bool:
    """Asked for every metric of every row, and there are but a few names."""
    return wanted is None or any(name == one or name.startswith(f"{one}.") for one in wanted)


def write_summary(folder: Path, table: pd.DataFrame) -> None:
    """Replace `summary.csv` and `summary.parquet`.

    Raises
    ------
    EnvironmentFailure
        The disk is full or may not be written; the summary before it stands.
    """
    buffer = io.BytesIO()
    arrow = table.copy()
    for name in arrow.select_dtypes(object).columns:
        kinds = {type(v) for v in arrow[name].dropna()}
        if len(kinds) > 1:  # Parquet has one type a column
            arrow[name] = arrow[name].map(lambda v: v if v is None else str(v))
    arrow.to_parquet(buffer, index=False)
    try:
        write_whole(folder / CSV, table.to_csv(index=False, lineterminator="\n"))
        write_whole(folder / PARQUET, buffer.getvalue())
    except OSError as error:
        raise EnvironmentFailure(f"{folder}: cannot write the summary ({error.strerror or error})") from error
