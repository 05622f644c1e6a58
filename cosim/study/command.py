"""What `cosim study` prints."""

from __future__ import annotations

import sys
from pathlib import Path

from cosim.cores import n_core
from cosim.errors import EnvironmentFailure, InputError
from cosim.study.execute import MACHINE, done_row
from cosim.study.loader import load_study
from cosim.study.packs import read_packs
from cosim.study.places import Place, refuse_both
from cosim.study.study import Planned, run_one, run_study


def place(study: str, out: Path | None, workers: int | None, scheduler: str | None, slurm: bool) -> Place:
    """Where a study runs, by its options; raises InputError where they contradict one another."""
    refuse_both(scheduler, slurm)
    if workers is not None and (scheduler is not None or slurm):
        raise InputError("--workers is of this machine; leave it out with --scheduler and --slurm")
    config = load_study(study).config.slurm if slurm else None
    if slurm and config is None:
        raise InputError(f"--slurm: {study} has no slurm block; it needs one with a partition at least")
    logs = None if config is None else str((out or Path(load_study(study).config.name)).absolute() / "jobs")
    n_worker = workers if workers is not None else n_core()
    return Place(scheduler, config, n_worker, logs)


def run_and_say(study: str, out: Path | None, where: Place, *, yes: bool, retry_failed: bool, quiet: bool) -> None:
    """Run a study and say in three lines what came of it."""
    result = run_study(study, out, place=where, yes=yes, retry_failed=retry_failed, quiet=quiet)
    table, failed = result.table, result.failed
    if not quiet:
        print(f"{result.folder}: {len(table)} runs, {len(failed)} failed")
        for run, error in zip(failed["run"].head(10), failed["error"].head(10), strict=True):
            print(f"  {run}: {error}", file=sys.stderr)
        print(f"next: {result.folder / 'study.html'}    {result.folder / 'summary.csv'}")
    stopped = failed[failed["error"].str.startswith(MACHINE)]
    if len(stopped):
        raise EnvironmentFailure(
            f"{len(stopped)} runs were not done, the first since {stopped['error'].iloc[0]}; the same command tries "
            "them again"
        )


def list_runs(study: str, out: Path | None) -> None:
    """Print number, identity, status and inputs of every run, without running any."""
    plan = Planned(study, out)
    packed = read_packs(plan.runs)
    for order in plan.orders():
        row = done_row(order, packed=packed)
        inputs = " ".join(f"{k}={v}" for k, v in order.task.inputs.items())
        print(f"{order.task.index}\t{order.run}\t{row['status'] if row else 'missing'}\t{inputs}")


def run_one_and_say(study: str, index: int, out: Path | None) -> int:
    """Run one run and print its identity and status; the exit code, 3 where it failed."""
    row = run_one(study, index, out)
    print(f"{row['run']}\t{row['status']}\t{row['error']}")
    return 3 if row["status"] == "failed" else 0
