"""One task on one worker: run or search on local disk, then its folder appears whole in the study's."""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cosim
from cosim.errors import CosimError, EnvironmentFailure, Interrupted, PhysicsError
from cosim.scenario import Document, Scenario, load_scenario, read_document, resolve
from cosim.study.bisection import Verdict, search
from cosim.study.coincidence import coincidence_row
from cosim.study.expand import Task
from cosim.study.identity import file_hash
from cosim.study.limits import hold_to_limits, metrics_row
from cosim.study.packs import write_pack
from cosim.study.schema import SteadySize
from cosim.study.steady import hosting_capacity, report

if TYPE_CHECKING:
    from cosim.feeder.feeder import Feeder

ROW = "row.json"
LOG = "result.h5"
SCENARIO = "scenario.yaml"
MACHINE = "the machine failed: "
"""How the error of a task begins that is no fault of its own."""


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
    is_packed: bool = False
    """Whether its row goes into a file with others instead of a folder of its own."""
    made_of: str = ""
    """Hash of the scenario's file when the study was planned."""
    version: str = ""
    """cosim's version there."""


def machine_row(order: Order, error: str) -> dict[str, Any]:
    """Row of a task that the machine stopped: listed as failed, and tried again when the study goes on."""
    return {"run": order.run, "status": "failed", "error": f"{MACHINE}{error}", "metrics": {}}


def execute_all(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Carry out some tasks, one after the other; their rows.

    What the machine does to one (disk full, no permission, no memory) makes a row that failed and is kept nowhere
    but in the summary, so that the task is tried again when the study goes on.
    """
    rows = [_attempted(order) for order in orders]
    packed = [row for order, row in zip(orders, rows, strict=True) if order.is_packed and not is_machine_row(row)]
    if not packed:
        return rows
    try:
        write_pack(Path(orders[0].runs), packed)
    except OSError as error:
        return [machine_row(order, str(error)) for order in orders]
    return rows


def is_machine_row(row: Mapping[str, Any]) -> bool:
    """Whether the machine, not the task, is why a row failed."""
    return str(row["error"]).startswith(MACHINE)


def _attempted(order: Order) -> dict[str, Any]:
    if not order.is_packed and (row := done_row(order, retry_failed=True)) is not None:
        return row  # by a worker that died before it could tell
    try:
        return execute(order)
    except (EnvironmentFailure, OSError, MemoryError) as error:
        return machine_row(order, str(error) or type(error).__name__)


def execute(order: Order) -> dict[str, Any]:
    """Carry out a task and put its folder in place, unless its row is to be packed; returns its row.

    A run that fails has a row with its error.

    Raises
    ------
    EnvironmentFailure, OSError, MemoryError
        The machine failed.
    """
    from cosim.jit import without_blas

    without_blas()
    if order.version and order.version != (here := cosim.__version__):
        raise EnvironmentFailure(f"this worker has cosim {here}, the study {order.version}")
    with tempfile.TemporaryDirectory(prefix="cosim-study-") as scratch:
        row = _row(order, Path(scratch))
        if not order.is_packed:
            (Path(scratch) / ROW).write_text(json.dumps(row, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            _put_in_place(Path(scratch), Path(order.runs), order.run)
    return row


@functools.lru_cache(maxsize=4)
def _document(file: str, made_of: str) -> Document:
    """The scenario's file, read once a worker.

    Raises
    ------
    EnvironmentFailure
        It is not what it was when the study was planned.
    """
    if made_of and file_hash(Path(file)) != made_of:
        raise EnvironmentFailure(f"{file}: was changed while the study ran; start the study again")
    return read_document(file)


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
    document = _document(order.scenario, order.made_of)
    scenario = load_scenario(document, task.overrides, task.seed)
    if not order.is_packed:
        (scratch / SCENARIO).write_text(resolve(scenario), encoding="utf-8")
    if not task.search:
        status, metrics = _run(document, task.overrides, task.seed, scratch / LOG, order.keep_log)
        if (asked := task.measure.get("coincidence")) is not None:
            metrics |= coincidence_row(scratch / LOG, **asked)
        if not order.keep_log:
            (scratch / LOG).unlink(missing_ok=True)
        return status, metrics
    if task.search["way"] == "steady":
        from cosim.wiring import prepare

        known = {key: task.search[key] for key in SteadySize.model_fields}
        scenario, feeder = prepare(document, set=task.overrides, seed=task.seed)
        return "complete", hosting_capacity(feeder, scenario, task.search["bus"], SteadySize(**known))
    return "complete", _searched(document, task, scratch)


def _run(
    document: Document, overrides: dict[str, Any], seed: int | None, log: Path, keep_log: bool = False
) -> tuple[str, dict[str, Any]]:
    from cosim.wiring import prepare

    return measured(*prepare(document, set=overrides, seed=seed), log, keep_log)


def measured(scenario: Scenario, feeder: Feeder, log: Path, keep_log: bool) -> tuple[str, dict[str, Any]]:
    """Status and metrics of one run; where the voltage collapses, of the time up to there."""
    from cosim.metrics import summarize
    from cosim.record.result import open_result
    from cosim.wiring import run_prepared

    try:
        result = run_prepared(scenario, feeder, log, compression=None if keep_log else "none")
    except PhysicsError:
        if not log.exists():
            raise PhysicsError("the feeder has no power flow solution at the start") from None
        result = open_result(log)
    with result:
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
    try:
        shutil.copytree(scratch, part)
        for file in part.iterdir():
            with file.open("rb") as held:
                os.fsync(held.fileno())
        try:
            part.rename(runs / name)
        except OSError:
            if not (runs / name).exists():
                raise
            _replace(part, runs / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _replace(part: Path, final: Path) -> None:
    """A folder that lacks what this one has (a log asked for since, a failure tried again) makes way."""
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


def done_row(
    order: Order, retry_failed: bool = False, packed: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, Any] | None:
    """The row of a task that is done as asked; None where it has to run.

    A run that failed is done, since it would fail again, unless failures are to be tried again.

    Parameters
    ----------
    order : Order
    retry_failed : bool
    packed : mapping, optional
        Rows that packs hold, by run.
    """
    folder = Path(order.runs) / order.run
    row = (packed or {}).get(order.run) or read_row(folder)
    if row is None or (retry_failed and row["status"] == "failed"):
        return None
    if order.keep_log and not order.task.search and not _has_log(folder, row):
        return None
    return row


def _has_log(folder: Path, row: dict[str, Any]) -> bool:
    return row["status"] == "failed" or (folder / LOG).is_file()
