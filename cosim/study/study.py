"""A study from its file to its summary: what is done already stays, what is missing runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosim.errors import InputError
from cosim.scenario import load_scenario
from cosim.scenario.schema import dss_root
from cosim.study.engine import Place, run_all, warm_up
from cosim.study.execute import Order, done_row, execute
from cosim.study.expand import Base, check_points, n_task, tasks
from cosim.study.folder import open_folder
from cosim.study.identity import Identities
from cosim.study.loader import load_study
from cosim.study.progress import Progress
from cosim.study.results import StudyResult, open_study
from cosim.study.table import frame, write_summary

N_UNASKED = 5_000
"""Rows a study may have without `--yes`."""
SUMMARY_EVERY_S = 2.0
"""Time between two summaries while runs end; longer where writing one takes over a twentieth of it. [s]"""


class Planned:
    """A study, checked, with the orders of its tasks.

    Raises
    ------
    InputError
        Whatever is wrong with the study, its scenario, or a value it sets.
    """

    def __init__(self, source: str | Path, out: Path | None = None) -> None:
        self.study = load_study(source)
        self.base = Base.of(self.study)
        self.config = self.study.config
        check_points(self.base)
        self.n_task = n_task(self.base)
        if self.n_task == 0:
            raise InputError(f"{source}: has no runs: no bus or outage is left")
        self.folder = out if out is not None else Path(self.config.name)
        self._ids = Identities()

    @property
    def runs(self) -> Path:
        """Folder of the runs."""
        return self.folder / "runs"

    def orders(self, start: int = 0, stop: int | None = None) -> Iterator[Order]:
        """Orders of tasks by their number; one whose values contradict each other has an order that fails."""
        for task in itertools.islice(tasks(self.base), start, stop):
            try:
                scenario = load_scenario(self.base.document, task.overrides, task.seed)
            except InputError:
                scenario = self.base.scenario
                task_search = {"refused": repr(sorted(task.overrides.items())), "seed": task.seed}
                run = self._ids.of(scenario, task_search)
            else:
                run = self._ids.of(scenario, task.search)
            yield Order(run, task, str(self.study.scenario), str(self.runs.absolute()), self.config.keep_logs)

    def feeders(self) -> list[tuple[str, str | None]]:
        """Feeders that runs of this study read, those that a path of the study sets among them."""
        found = [(self.base.scenario.feeder_source, dss_root(self.base.scenario.feeder, self.base.scenario.folder))]
        for model in _set_models(self.config):
            scenario = load_scenario(self.base.document, {**self.config.set, "feeder.model": model})
            found.append((scenario.feeder_source, dss_root(scenario.feeder, scenario.folder)))
        return found


def _set_models(config: Any) -> list[str]:
    grid = getattr(config, "grid", {}).get("feeder.model", [])
    points = [point["feeder.model"] for point in getattr(config, "points", []) if "feeder.model" in point]
    return [str(model) for model in (*grid, *points)]


def run_study(
    source: str | Path,
    out: str | Path | None = None,
    *,
    place: Place | None = None,
    yes: bool = False,
    retry_failed: bool = False,
    quiet: bool = True,
) -> StudyResult:
    """Run what a study lacks; going on in its folder runs nothing twice.

    Parameters
    ----------
    source : str or Path
        The study's file, or the name of a shipped one.
    out : str or Path, optional
        Its folder; default the study's name, in the current folder.
    place : Place, optional
        Where it runs; default one worker on this machine.
    yes : bool
        Run more than `N_UNASKED` rows without asking.
    retry_failed : bool
        Run what failed again.
    quiet : bool
        No progress.

    Returns
    -------
    StudyResult

    Raises
    ------
    InputError
        Anything wrong with the study, before anything runs.
    EnvironmentFailure
        No cluster, no disk; what was done stays.
    """
    plan = Planned(source, None if out is None else Path(out))
    place = place or Place()
    if plan.n_task > N_UNASKED and not yes:
        raise InputError(_estimate(plan, place))
    open_folder(plan.folder, plan.study)
    orders = list(plan.orders())
    rows = {order.run: row for order in orders if (row := done_row(order, retry_failed)) is not None}
    missing = list({order.run: order for order in orders if order.run not in rows}.values())
    if missing:
        warm_up(plan.feeders())
    writer = _Writer(plan, orders, rows)
    writer.write()
    try:
        with Progress(len(missing) + len(rows), len(rows), quiet) as bar:

            def done(order: Order, row: dict[str, Any]) -> None:
                rows[order.run] = row
                bar.tell(row)
                writer.write_now_and_then()

            run_all(missing, place, done)
    finally:
        writer.write()
    from cosim.study.page import write_page

    result = open_study(plan.folder)
    write_page(result, plan.study.config, plan.folder / "study.html")
    return result


class _Writer:
    """Writes the summary, seldom enough that this takes no time from the runs."""

    def __init__(self, plan: Planned, orders: list[Order], rows: dict[str, dict[str, Any]]) -> None:
        self._plan, self._orders, self._rows = plan, orders, rows
        self._next = 0.0

    def write(self) -> None:
        """Write it."""
        if not self._rows:
            return
        started = time.monotonic()
        write_summary(self._plan.folder, frame(self._orders, self._rows, self._plan.config))
        took = time.monotonic() - started
        self._next = started + max(SUMMARY_EVERY_S, 20 * took)

    def write_now_and_then(self) -> None:
        """Write it where the last one is old enough."""
        if time.monotonic() >= self._next:
            self.write()


def _estimate(plan: Planned, place: Place) -> str:
    """What so many runs would take, from the one that runs first; its folder stays and counts."""
    open_folder(plan.folder, plan.study)
    warm_up(plan.feeders())
    order = next(plan.orders())
    started = time.perf_counter()
    execute(order)
    took_s = time.perf_counter() - started
    size = sum(file.stat().st_size for file in (plan.runs / order.run).iterdir())
    n_worker = max(place.n_worker, 1)
    return (
        f"{plan.study.config.name} has {plan.n_task:,} runs, more than {N_UNASKED:,}: by its first run about "
        f"{took_s * plan.n_task / n_worker / 3600:.1f} h on {n_worker} workers and {size * plan.n_task / 1e9:.1f} GB; "
        "--yes runs them"
    )


def run_one(source: str | Path, index: int, out: Path | None = None) -> dict[str, Any]:
    """Run one task by its number, for plain job arrays; its row, at once where it was done before.

    Raises
    ------
    InputError
        There is no such task.
    """
    plan = Planned(source, out)
    if not 0 <= index < plan.n_task:
        raise InputError(f"--run-one {index}: this study has runs 0 to {plan.n_task - 1}")
    open_folder(plan.folder, plan.study)
    order = next(plan.orders(index, index + 1))
    row = done_row(order)
    return row if row is not None else execute(order)
