"""One task on one worker: run or search on local disk, then its folder appears whole in the study's."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.errors import CosimError, EnvironmentFailure, Interrupted, PhysicsError
from cosim.scenario import Document, load_scenario, read_document, resolve
from cosim.study.bisection import Verdict, search
from cosim.study.expand import Task
from cosim.study.limits import hold_to_limits, metrics_row
from cosim.study.schema import SteadySize
from cosim.study.steady import hosting_capacity, report

ROW = "row.json"
LOG = "result.h5"
SCENARIO = "scenario.yaml"


@dataclass(frozen=True)
class Order:
    """All that a worker needs, as plain values."""

    run: str
    """Identity, and name of its folder."""
    task: Task
    scenario: str
    """File of the study's scenario."""
    runs: str
    """Folder in which the run's own appears."""
    keep_log: bool


def execute(order: Order) -> dict[str, Any]:
    """Carry out a task and put its folder in place; returns its row.

    A run that fails has a row with its error. What the machine does to it (disk full, no permission) is raised, so
    that it is tried again when the study goes on.

    Raises
    ------
    EnvironmentFailure, OSError
        The machine failed.
    """
    from cosim.jit import without_blas

    without_blas()
    with tempfile.TemporaryDirectory(prefix="cosim-study-") as scratch:
        row = _row(order, Path(scratch))
        (Path(scratch) / ROW).write_text(json.dumps(row, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        _put_in_place(Path(scratch), Path(order.runs), order.run)
    return row


def _row(order: Order, scratch: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": order.run, "status": "complete", "error": "", "metrics": {}}
    try:
        row["status"], row["metrics"] = _worked_out(order, scratch)
    except (EnvironmentFailure, Interrupted, OSError, MemoryError):
        raise
    except CosimError as error:
        row |= {"status": "failed", "error": str(error)}
    except Exception as error:
        row |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return row


def _worked_out(order: Order, scratch: Path) -> tuple[str, dict[str, Any]]:
    task = order.task
    document = read_document(order.scenario)
    scenario = load_scenario(document, task.overrides, task.seed)
    (scratch / SCENARIO).write_text(resolve(scenario), encoding="utf-8")
    if not task.search:
        status, metrics = _run(document, task.overrides, task.seed, scratch / LOG)
        if not order.keep_log:
            (scratch / LOG).unlink(missing_ok=True)
        return status, metrics
    if task.search["way"] == "steady":
        from cosim.wiring import prepare

        known = {key: task.search[key] for key in SteadySize.model_fields}
        scenario, feeder = prepare(document, set=task.overrides, seed=task.seed)
        return "complete", hosting_capacity(feeder, scenario, task.search["bus"], SteadySize(**known))
    return "complete", _searched(document, task, scratch)


def _run(document: Document, overrides: dict[str, Any], seed: int | None, log: Path) -> tuple[str, dict[str, Any]]:
    """Status and metrics of one run; where the voltage collapses, of the time up to there."""
    from cosim.metrics import summarize
    from cosim.record.result import open_result
    from cosim.wiring import run

    with contextlib.suppress(PhysicsError):
        run(document, set=overrides, out=log, seed=seed).close()
    if not log.exists():
        raise PhysicsError("the feeder has no power flow solution at the start")
    with open_result(log) as result:
        return result.status, metrics_row(summarize(result))


def _searched(document: Document, task: Task, scratch: Path) -> dict[str, Any]:
    asked = task.search

    def judge(size: float) -> Verdict:
        value: float | int = int(size) if asked["whole"] else size
        sized = task.overrides | dict.fromkeys(asked["paths"], value)
        status, metrics = _run(document, sized, task.seed, scratch / LOG)
        (scratch / LOG).unlink(missing_ok=True)
        if status == "collapsed":
            return Verdict(False, "no solution")
        return hold_to_limits(metrics, asked["limits"])

    ends = (asked["min"], asked["max"]) if asked["largest"] else (asked["max"], asked["min"])
    found = search(judge, *ends, asked["tolerance"], asked["n_probe"], asked["whole"])
    return {"size": found.size, **report(found, "again_at"), "is_open": found.beyond is None}


def _put_in_place(scratch: Path, runs: Path, name: str) -> None:
    """Copy beside the final place, then rename; where another worker was first, its folder stands."""
    part = runs / f".{name}.{uuid.uuid4().hex[:8]}.part"
    shutil.copytree(scratch, part)
    for file in part.iterdir():
        with file.open("rb") as held:
            os.fsync(held.fileno())
    try:
        part.rename(runs / name)
    except OSError:
        try:
            _replace(part, runs / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _replace(part: Path, final: Path) -> None:
    """A folder that lacks what this one has (a log asked for since, a failure tried again) makes way."""
    if not (final / ROW).is_file() and not final.exists():
        raise EnvironmentFailure(f"{final}: cannot be made")
    had = {file.name for file in final.iterdir()}
    offers = {file.name for file in part.iterdir()}
    if offers <= had and not is_failed(final):
        return
    old = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.part")
    final.rename(old)
    part.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def is_failed(folder: Path) -> bool:
    """Whether the row of a run says that it failed."""
    found = read_row(folder)
    return found is None or found["status"] == "failed"


def read_row(folder: Path) -> dict[str, Any] | None:
    """Row of a run's folder; None where there is none or it is damaged."""
    try:
        row = json.loads((folder / ROW).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and {"run", "status", "error", "metrics"} <= row.keys() else None


def done_row(order: Order, retry_failed: bool = False) -> dict[str, Any] | None:
    """The row of a task that is done as asked; None where it has to run.

    A run that failed is done, since it would fail again, unless failures are to be tried again.
    """
    folder = Path(order.runs) / order.run
    row = read_row(folder)
    if row is None or (retry_failed and row["status"] == "failed"):
        return None
    if order.keep_log and not order.task.search and not _has_log(folder, row):
        return None
    return row


def _has_log(folder: Path, row: dict[str, Any]) -> bool:
    return row["status"] == "failed" or (folder / LOG).is_file()
