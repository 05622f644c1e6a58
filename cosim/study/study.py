"""A study from its file to its summary: what is done already stays, what is missing runs."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosim.errors import InputError
from cosim.scenario import load_scenario
from cosim.scenario.schema import dss_root
from cosim.study.engine import Pool, warm_up
from cosim.study.execute import Order, done_row, execute, execute_all
from cosim.study.expand import Base, check_points, n_task, tasks
from cosim.study.folder import open_folder
from cosim.study.identity import Identities, file_hash
from cosim.study.loader import load_study
from cosim.study.packs import read_packs
from cosim.study.places import Place, check_place
from cosim.study.progress import Progress
from cosim.study.results import StudyResult, open_study
from cosim.study.state import State
from cosim.study.stopping import is_enough

N_UNASKED = 5_000
"""Rows a study may have without `--yes`."""


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
        self._absolute = str(self.runs.absolute())

    @property
    def runs(self) -> Path:
        """Folder of the runs."""
        return self.folder / "runs"

    def orders(self, start: int = 0, stop: int | None = None) -> Iterator[Order]:
        """Orders of tasks by their number; one whose values contradict each other has an order that fails."""
        made_of, n_pack = file_hash(self.study.scenario), self.config.pack
        for task in itertools.islice(tasks(self.base), start, stop):
            try:
                scenario = load_scenario(self.base.document, task.overrides, task.seed)
            except InputError:
                scenario = self.base.scenario
                task_search = {"refused": repr(sorted(task.overrides.items())), "seed": task.seed}
                run = self._ids.of(scenario, task_search)
            else:
                run = self._ids.of(scenario, task.search | task.measure)
            yield Order(
                run, task, str(self.study.scenario), self._absolute, self.config.keep_logs, n_pack > 1, made_of,
                self._ids.version,
            )  # fmt: skip

    def batches(self) -> Iterator[tuple[int, int]]:
        """First and last but one task of each batch after which it is decided whether the study goes on."""
        stop = getattr(self.config, "stop", None)
        size = self.n_task if stop is None else stop.batch
        for start in range(0, self.n_task, size):
            yield start, min(start + size, self.n_task)

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
    check_place(place)
    if plan.n_task > N_UNASKED and not yes:
        raise InputError(_estimate(plan, place))
    open_folder(plan.folder, plan.study)
    state = State(plan.runs, plan.config, retry_failed)
    with Pool(place, plan.config.pack) as pool, Progress(plan.n_task, quiet) as bar:
        try:
            for start, stop in plan.batches():
                _run_batch(plan, state, pool, bar, (start, stop))
                if is_enough(plan.config, state.listed, state.rows):
                    break
        finally:
            state.write_last()
    return finish(plan)


def finish(plan: Planned) -> StudyResult:
    """Write what is worked out of all rows, and the page."""
    from cosim.study.analysis import write_analysis
    from cosim.study.page import write_page

    result = open_study(plan.folder)
    write_analysis(result, plan.config)
    write_page(result, plan.config, plan.folder / "study.html", plan.base.feeder)
    return result


def _run_batch(plan: Planned, state: State, pool: Pool, bar: Progress, batch: tuple[int, int]) -> None:
    """Run what is missing of some tasks; orders are made while those before them run."""
    missing = state.missing(plan.orders(*batch), bar)
    first = next(missing, None)
    if first is None:
        return
    if not pool.is_open:
        pool.get_ready()
        warm_up(plan.feeders())

    def done(order: Order, row: dict[str, Any]) -> None:
        state.take(row)
        bar.tell(row)
        state.write_now_and_then()

    pool.run(itertools.chain([first], missing), done)


def _estimate(plan: Planned, place: Place) -> str:
    """What so many runs would take, from the one that runs first; its folder stays and counts."""
    open_folder(plan.folder, plan.study)
    warm_up(plan.feeders())
    order = next(plan.orders())
    execute(order)  # the first one loads what later ones find loaded
    started = time.perf_counter()
    row = execute(order)
    took_s = time.perf_counter() - started
    if order.is_packed:
        size = len(json.dumps(row))
    else:
        size = sum(file.stat().st_size for file in (plan.runs / order.run).iterdir())
    n_worker = max(place.n_worker, 1)
    return (
        f"{plan.study.config.name} has {plan.n_task:,} runs, more than {N_UNASKED:,}: by one run about "
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
    row = done_row(order, packed=read_packs(plan.runs))
    return row if row is not None else execute_all([order])[0]
