"""Whether a log can be gone on with, and whether it is the same run that asks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import h5py

from cosim.errors import InputError, Problem
from cosim.record import checkpoint as sidecar
from cosim.record.capture_file import ROOT
from cosim.record.channels import NAME, TIME_S, TIME_US, Channel
from cosim.record.opening import open_log, reading
from cosim.record.superblock import SIGNATURE

ResumeState = Literal["absent", "complete", "resumable", "no checkpoint"]


def resume_state(out: Path) -> ResumeState:
    """Say what `--resume` finds at `out`.

    Parameters
    ----------
    out : Path
        The log.

    Returns
    -------
    {"absent", "complete", "resumable", "no checkpoint"}
        `absent` and `no checkpoint`: start afresh; `complete`: nothing to do; `resumable`: `Recorder.resume`.

    Raises
    ------
    InputError
        What stands there is no cosim log, or a damaged one.
    """
    out = Path(out)
    if not out.exists():
        return "absent"
    check_place(out)
    with open_log(out) as file, reading(out):
        if "schema" not in file.attrs:
            raise InputError(f"{out}: not a log of cosim; choose another output with -o")
        if file.attrs["status"] == "complete":
            return "complete"
        point = sidecar.read(sidecar.path_for(out))
        if point is None or file["provenance"].attrs["run_id"] != point.run_id:
            return "no checkpoint"
        shortest = min(d.shape[0] for d in datasets(file).values())
        n_events = file["events/t_us"].shape[0]
        n_captures = len(file[ROOT]) if ROOT in file else 0
    has_all = shortest >= point.n_rows and n_events >= point.n_events and n_captures >= point.n_captures
    return "resumable" if has_all else "no checkpoint"


def check_place(out: Path) -> None:
    """Raise InputError where a log cannot stand, or something else stands already."""
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file, e.g. {out / 'run.h5'}")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    if out.is_file():
        with out.open("rb") as stream:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                raise InputError(f"{out}: exists and is no log of cosim; choose another output with -o")


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets with one row per log step, by path: the times first, then the channels."""
    found: dict[str, h5py.Dataset] = {TIME_S: file[TIME_S], TIME_US: file[TIME_US]}

    def visit(group: h5py.Group, prefix: str) -> None:
        for key in group:
            if key in (NAME, TIME_S) or (not prefix and key in ("events", "metrics", "provenance", ROOT)):
                continue
            item = group[key]
            if isinstance(item, h5py.Group):
                visit(item, f"{prefix}{key}/")
            elif prefix:
                found[prefix + key] = item

    visit(file, "")
    return found


def check_same(
    out: Path,
    earlier: h5py.File,
    channels: Sequence[Channel],
    scenario_yaml: str,
    seed: int,
    cosim_version: str,
) -> None:
    """Raise InputError where the run that resumes is another than the one that stopped."""
    problems: list[Problem] = []
    stored = earlier["scenario"][()].decode()
    if stored != scenario_yaml:
        problems.append(_first_difference(out, stored, scenario_yaml))
    facts: dict[str, tuple[Any, Any]] = {
        "seed": (int(earlier.attrs["seed"]), seed),
        "cosim_version": (str(earlier.attrs["cosim_version"]), cosim_version),
        "channels": (_shape_of_log(earlier), _shape_of(channels)),
    }
    for what, (then, now) in facts.items():
        if then != now:
            differs = f": {then} then, {now} now" if what != "channels" else ""
            problems.append(Problem(f"{out}: {what} differ from the log's{differs}; run again without --resume"))
    if problems:
        raise InputError(problems)


def _first_difference(out: Path, stored: str, given: str) -> Problem:
    lines = zip_longest(stored.splitlines(), given.splitlines(), fillvalue="(nothing)")
    for number, (then, now) in enumerate(lines, 1):
        if then != now:
            where = f"first in line {number} of the resolved scenario: {then.strip()!r} then, {now.strip()!r} now"
            break
    else:
        where = "in line ends only"
    return Problem(f"{out}: the scenario differs from the one of the log, {where}; run again without --resume")


def _shape_of_log(file: h5py.File) -> dict[str, tuple[str, tuple[str, ...] | None]]:
    shape: dict[str, tuple[str, tuple[str, ...] | None]] = {}
    for path, data in datasets(file).items():
        if path not in (TIME_S, TIME_US):
            names = None if data.ndim == 1 else tuple(data.parent[NAME].asstr()[()])
            shape[path] = (data.dtype.str[1:], names)
    return shape


def _shape_of(channels: Sequence[Channel]) -> dict[str, tuple[str, tuple[str, ...] | None]]:
    return {c.path: (c.dtype, c.group_names) for c in channels}
