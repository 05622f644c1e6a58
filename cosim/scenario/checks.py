"""Values that contradict each other or the feeder, found before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from cosim.errors import InputError, Problem
from cosim.events import KINDS
from cosim.feeder.names import in_other_case, is_path
from cosim.load.weights import weights_problem
from cosim.scenario import events as ev
from cosim.scenario.fields import nearest
from cosim.scenario.parts import Parts, parts_of
from cosim.scenario.problems import problem_at
from cosim.scenario.schema import (
    CAPTURED_KINDS,
    NAME_PATTERN,
    DatacenterSite,
    Scenario,
    dss_root,
    feeder_source,
    is_whole_us,
)
from cosim.scenario.supply_checks import check_ratings
from cosim.scenario.timeline import allowed_s, check_timeline
from cosim.scenario.tree import Node, Path
from cosim.units import US_PER_S

MAX_TIME_S = 1e10
"""Largest value of any key in seconds; microseconds of it stay inside int64. [s]"""


def check_internal(scenario: Scenario | Parts) -> list[Problem]:
    """Contradictions that need no feeder: times, names, events in order, files that are not there."""
    parts = parts_of(scenario) if isinstance(scenario, Scenario) else scenario
    problems = [*_check_magnitudes(parts.root), *_check_log(parts), *_check_capture(parts)]
    problems += [*_check_names(parts), *_check_files(parts), *check_targets(parts), *_check_controllers(parts)]
    problems += [*_check_weights(parts), *_check_accounts(parts), *_check_frequency(parts)]
    problems += [*_check_shedding(parts), *check_ratings(parts)]
    if parts.time is not None:
        problems += [parts.problem(*found) for found in check_timeline(parts.time, parts.events)]
    return problems


def _check_frequency(parts: Parts) -> Iterator[Problem]:
    """Nobody can answer a frequency that nothing moves; an area that is held to the end moves none."""
    for name, site in parts.datacenters.items():
        for owner, part in (("facility", site.facility), ("ups", site.ups)):
            if part is not None and part.frequency is not None and not parts.has_area:
                path: Path = ("datacenters", name, owner, "frequency")
                yield parts.problem(path, "answers a frequency that nothing moves: give source.area")
    area = parts.source.area if parts.source is not None else None
    if area is not None and parts.time is not None and area.start_s >= parts.time.duration_s:
        told = f"is not before the end of the run, {parts.time.duration_s:g} s: its frequency would never move"
        yield parts.problem(("source", "area", "start_s"), told, area.start_s)


def _check_shedding(parts: Parts) -> Iterator[Problem]:
    """A UPS sheds jobs of its own data center."""
    for name, site in parts.datacenters.items():
        for i, step in enumerate(site.ups.shedding if site.ups is not None else ()):
            for k, job in enumerate(step.jobs):
                if job not in site.load.jobs:
                    path: Path = ("datacenters", name, "ups", "shedding", i, "jobs", k)
                    yield parts.problem(path, f"{name} has no such job; {nearest(job, site.load.jobs)}", job)


def _check_magnitudes(root: Node) -> list[Problem]:
    """Times so long that they no longer fit the clock."""
    found: list[Problem] = []

    def walk(node: Node, path: Path) -> None:
        if node.is_mapping:
            for key, child in node.value.items():
                walk(child, (*path, key))
        elif node.is_list:
            for i, child in enumerate(node.value):
                walk(child, (*path, i))
        elif isinstance(node.value, int | float) and str(path[-1]).endswith("_s") and abs(node.value) > MAX_TIME_S:
            found.append(problem_at(root, path, f"must be at most {MAX_TIME_S:g} s", node.value))

    if root.value:
        walk(root, ())
    return found


def _check_capture(parts: Parts) -> Iterator[Problem]:
    """Kinds of event that start a capture must be such as the log knows."""
    if parts.log is None or parts.log.capture is None:
        return
    kinds = {*KINDS, *CAPTURED_KINDS}
    for i, kind in enumerate(parts.log.capture.kinds):
        if kind not in kinds:
            message = f"no such kind of event; {nearest(kind, sorted(kinds))}"
            yield parts.problem(("log", "capture", "kinds", i), message, kind)


def _check_log(parts: Parts) -> list[Problem]:
    if parts.time is None or parts.log is None:
        return []
    step_s, log_step_s = parts.time.step_s, parts.log.step_s
    if log_step_s > parts.time.duration_s:
        message = f"is longer than the run, time.duration_s = {parts.time.duration_s:.12g}: it would have one row"
        return [parts.problem(("log", "step_s"), message, log_step_s)]
    if not is_whole_us(log_step_s) or round(log_step_s * US_PER_S) % round(step_s * US_PER_S):
        return [parts.problem(("log", "step_s"), f"must be a multiple of time.step_s = {step_s:.12g}", log_step_s)]
    return []


def _check_names(parts: Parts) -> list[Problem]:
    """Job names become parts of dotted paths and of element names in the log."""
    return [
        parts.problem(
            ("datacenters", site, "load", "jobs", job),
            "a name starts with a letter and has letters, digits, _ and - only",
            job,
        )
        for site, config in parts.datacenters.items()
        for job in config.load.jobs
        if not re.fullmatch(NAME_PATTERN, job)
    ]


def _check_weights(parts: Parts) -> list[Problem]:
    """Jobs that events start may not ask for more than the fleet together with those that run."""
    found = []
    every = [event for _, event in parts.events]
    for name, site in parts.datacenters.items():
        switched = [
            (allowed_s(event, every), event.job, True)
            if isinstance(event, ev.JobStarted)
            else (event.at_s, event.job, False)
            for _, event in parts.events
            if isinstance(event, ev.JobStarted | ev.JobStopped) and event.datacenter == name
        ]
        if site.load.accelerators is not None and (problem := weights_problem(site.load, switched)):
            found.append(parts.problem(("datacenters", name, "load", "jobs"), problem.removeprefix("jobs: ")))
    return found


def _check_files(parts: Parts) -> list[Problem]:
    found = []
    if parts.feeder is not None and is_path(parts.feeder.model):
        file = FilePath(feeder_source(parts.feeder.model, parts.folder))
        if not _is_file(file):
            found.append(parts.problem(("feeder", "model"), f"no such file: {file}{in_other_case(str(file))}"))
    if parts.feeder is not None and parts.feeder.profile is not None:
        file = parts.folder / parts.feeder.profile
        if not _is_file(file):
            found.append(parts.problem(("feeder", "profile"), f"no such file: {file}"))
    root = dss_root(parts.feeder, parts.folder) if parts.feeder is not None else None
    if root is not None and not _is_folder(FilePath(root)):
        found.append(parts.problem(("feeder", "dss_root"), f"no such folder: {root}"))
    for name, site in parts.datacenters.items():
        for job, config in site.load.jobs.items():
            path: Path = ("datacenters", name, "load", "jobs", job, "file")
            recorded: Any = config
            if config.kind == "serving" and config.arrivals.kind == "trace":
                path, recorded = (*path[:-1], "arrivals", "file"), config.arrivals
            if recorded.kind == "trace" and not _is_file(parts.folder / recorded.file):
                found.append(parts.problem(path, f"no such file: {parts.folder / recorded.file}"))
    return found


def _check_accounts(parts: Parts) -> list[Problem]:
    """Series of carbon intensity and price that cannot be read."""
    found: list[Problem] = []
    until_s = parts.time.duration_s if parts.time is not None else 0.0
    for key, account in (("carbon", parts.carbon), ("price", parts.price)):
        if account is None:
            continue
        try:
            account.series(parts.folder, until_s)
        except InputError as error:
            found += [p if p.line else parts.problem((key, "file"), p.message, account.file) for p in error.problems]
    return found


def _is_file(path: FilePath) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # in a folder that may not be looked into: reading it will say so
        return True
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_folder(path: FilePath) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def check_targets(parts: Parts) -> list[Problem]:
    """Data centers, jobs and UPS that events name; those of a data center that is itself wrong are left out."""
    block = parts.root.child("datacenters")
    sites = list(block.value) if block is not None and block.is_mapping else list(parts.datacenters)
    found = []
    for i, event in parts.events:
        wanted = getattr(event, "datacenter", None)
        if wanted is None:
            continue
        if wanted not in sites:
            path: Path = ("events", i, "datacenter")
            found.append(parts.problem(path, f"no such data center; {nearest(wanted, sites)}", wanted))
            continue
        site = parts.datacenters.get(wanted)
        if site is not None:
            found += _check_target(parts, i, event, site)
    return found


def _check_target(parts: Parts, i: int, event: Any, site: DatacenterSite) -> list[Problem]:
    job = getattr(event, "job", None)
    if job is not None and job not in site.load.jobs:
        message = f"{event.datacenter} has no such job; {nearest(job, site.load.jobs)}"
        return [parts.problem(("events", i, "job"), message, job)]
    is_open = isinstance(event, ev.JobStarted) and event.notice_s is not None and event.p_mw is None
    if is_open and site.load.jobs[event.job].kind == "trace":
        message = f"is missing: job {event.job} is a trace, which does not tell how far its power will rise"
        return [parts.problem(("events", i, "p_mw"), message)]
    path: Path = ("events", i, "datacenter")
    if isinstance(event, ev.UpsUnlocked) and site.facility.composite is not None:
        return []
    if isinstance(event, ev.UpsOutOfService | ev.UpsInService | ev.UpsUnlocked | ev.UpsReference) and site.ups is None:
        return [parts.problem(path, f"{event.datacenter} has no UPS", event.datacenter)]
    if isinstance(event, ev.UpsUnlocked) and site.ups is not None and site.ups.ride_through.counter is None:
        message = f"the UPS of {event.datacenter} has no ride_through.counter that could lock it out"
        return [parts.problem(path, message, event.datacenter)]
    if isinstance(event, ev.UpsReference) and site.ups is not None and site.ups.smoothing.controller != "external":
        message = f"the UPS of {event.datacenter} smooths by {site.ups.smoothing.controller}, not by external"
        return [parts.problem(path, message, event.datacenter)]
    return []


def _check_controllers(parts: Parts) -> list[Problem]:
    if not parts.controllers:
        return []
    from importlib.metadata import entry_points

    known = sorted(entry_points(group="cosim.controllers").names)
    return [
        parts.problem(
            ("controllers", i, "name"),
            f"no installed package offers this controller (entry point group cosim.controllers); "
            f"{nearest(controller.name, known)}",
            controller.name,
        )
        for i, controller in parts.controllers
        if controller.name not in known
    ]
