"""What `cosim study` prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cosim.errors import InputError
from cosim.study.engine import Place, refuse_both
from cosim.study.execute import done_row
from cosim.study.loader import load_study
from cosim.study.study import Planned, run_one, run_study


def place(study: str, workers: int | None, scheduler: str | None, slurm: bool) -> Place:
    """Where a study runs, by its options; raises InputError where they contradict one another."""
    refuse_both(scheduler, slurm)
    if workers is not None and (scheduler is not None or slurm):
        raise InputError("--workers is of this machine; leave it out with --scheduler and --slurm")
    config = load_study(study).config.slurm if slurm else None
    if slurm and config is None:
        raise InputError(f"--slurm: {study} has no slurm block; it needs one with a partition at least")
    n_worker = workers if workers is not None else len(os.sched_getaffinity(0))
    return Place(scheduler, config, n_worker)


def run_and_say(study: str, out: Path | None, where: Place, *, yes: bool, retry_failed: bool, quiet: bool) -> None:
    """Run a study and say in three lines what came of it."""
    result = run_study(study, out, place=where, yes=yes, retry_failed=retry_failed, quiet=quiet)
    if quiet:
        return
    table = result.table
    n_failed = len(result.failed)
    print(f"{result.folder}: {len(table)} runs, {n_failed} failed")
    for run, error in zip(result.failed["run"].head(10), result.failed["error"].head(10), strict=True):
        print(f"  {run}: {error}", file=sys.stderr)
    print(f"next: {result.folder / 'study.html'}    {result.folder / 'summary.csv'}")


def list_runs(study: str, out: Path | None) -> None:
    """Print number, identity, status and inputs of every run, without running any."""
    for order in Planned(study, out).orders():
        row = done_row(order)
        inputs = " ".join(f"{k}={v}" for k, v in order.task.inputs.items())
        print(f"{order.task.index}\t{order.run}\t{row['status'] if row else 'missing'}\t{inputs}")


def run_one_and_say(study: str, index: int, out: Path | None) -> int:
    """Run one run and print its identity and status; the exit code, 3 where it failed."""
    row = run_one(study, index, out)
    print(f"{row['run']}\t{row['status']}\t{row['error']}")
    return 3 if row["status"] == "failed" else 0
