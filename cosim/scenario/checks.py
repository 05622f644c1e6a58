"""Values that contradict each other or the feeder, found before anything runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from cosim.errors import InputError, Problem
from cosim.events import KINDS
from cosim.feeder.names import in_other_case, is_path
from cosim.load.weights import weights_problem
from cosim.scenario import events as ev
from cosim.scenario.fields import nearest
from cosim.scenario.names import FaultProblems
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
from cosim.scenario.timeline import check_timeline
from cosim.scenario.tree import Node, Path
from cosim.units import US_PER_S

MAX_TIME_S = 1e10
"""Largest value of any key in seconds; microseconds of it stay inside int64. [s]"""
SAME_HZ = 1e-6
"""Nominal frequencies that differ by less are one. [Hz]"""


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
    """Nobody can answer a frequency that nothing moves."""
    for name, site in parts.datacenters.items():
        for owner, part in (("facility", site.facility), ("ups", site.ups)):
            if part is not None and part.frequency is not None and not parts.has_area:
                path: Path = ("datacenters", name, owner, "frequency")
                yield parts.problem(path, "answers a frequency that nothing moves: give source.area")


def _check_shedding(parts: Parts) -> Iterator[Problem]:
    """A UPS sheds jobs of its own data center."""
    for name, site in parts.datacenters.items():
        for i, step in enumerate(site.ups.shedding if site.ups is not None else ()):
            for k, job in enumerate(step.jobs):
                if job not in site.load.jobs:
                    path: Path = ("datacenters", name, "ups", "shedding", i, "jobs", k)
                    yield parts.problem(path, f"{name} has no such job; {nearest(job, site.load.jobs)}", job)


def check_against_feeder(
    scenario: Scenario | Parts,
    bus_names: Iterable[str],
    load_names: Iterable[str],
    switch_names: Iterable[str],
    line_names: Iterable[str],
    node_names: Iterable[str] = (),
    dead_buses: Collection[str] = (),
    fault_problems: FaultProblems = lambda *_: [],
    f_hz: float | None = None,
) -> list[Problem]:
    """Every id in the scenario that the feeder lacks, with the nearest that it has; data centers without supply.

    Parameters
    ----------
    scenario : Scenario
    bus_names, load_names, switch_names, line_names : iterable of str
        Ids of the feeder; a whole line is switched as `line:ID`.
    node_names : iterable of str
        Nodes of an unbalanced feeder (`bus.phase`): some phases of a bus may be named then (`bus.1.3`).
    dead_buses : collection of str
        Buses without voltage in the feeder as its file has it.
    fault_problems : callable
        Why a fault cannot be where it should on a feeder of this config; paths are its fields.
    f_hz : float, optional
        Frequency of the feeder. [Hz]
    """
    parts = parts_of(scenario) if isinstance(scenario, Scenario) else scenario
    buses, loads, lines = list(bus_names), list(load_names), list(line_names)
    switches = [*switch_names, *(f"line:{name}" for name in lines)]
    phases = _phases_of_buses(buses, node_names)
    places: list[tuple[Path, str]] = [(("datacenters", name, "bus"), bus) for name, bus in parts.buses.items()]
    wanted: list[tuple[Path, str, str, list[str]]] = []
    for i, event in parts.events:
        if isinstance(event, ev.LoadChanged):
            wanted.append((("events", i, "load"), event.load, "load", loads))
        elif isinstance(event, ev.SwitchOpened | ev.SwitchClosed):
            wanted.append((("events", i, "switch"), event.switch, "switch", switches))
    if parts.log is not None:
        places += _listed(("log", "nodes"), parts.log.nodes)
        wanted += [(path, name, "line", lines) for path, name in _listed(("log", "lines"), parts.log.lines)]
        places += _listed(("log", "points", "nodes"), parts.log.points.nodes)
        if parts.log.capture is not None:
            places += _listed(("log", "capture", "nodes"), parts.log.capture.nodes)
    sets = {noun: set(known) for _, _, noun, known in wanted}
    found = [(path, _why_no_place(place, phases), place) for path, place in places]
    return [
        *_check_supply(parts, dead_buses),
        *_check_sensed(parts, phases),
        *_check_nominal(parts, f_hz),
        *_check_faults(parts, fault_problems),
        *(parts.problem(path, why, place) for path, why, place in found if why),
        *(
            parts.problem(path, f"the feeder has no such {noun}; {nearest(name, known)}", name)
            for path, name, noun, known in wanted
            if name not in sets[noun]
        ),
    ]


def _check_faults(parts: Parts, fault_problems: FaultProblems) -> Iterator[Problem]:
    """Faults that cannot be where they should."""
    for i, event in parts.events:
        if isinstance(event, ev.FaultApplied):
            for p in fault_problems(event, parts.feeder):
                if event.line is None or p.path != "line" or not _is_closed_later(parts, event.line):
                    yield parts.problem(("events", i, p.path), p.message, p.value)


def _is_closed_later(parts: Parts, line: str) -> bool:
    """Whether some event closes a line, which may then carry a fault that it could not carry now."""
    return any(isinstance(event, ev.SwitchClosed) and event.switch == f"line:{line}" for _, event in parts.events)


def _listed(path: Path, names: str | Sequence[str]) -> list[tuple[Path, str]]:
    """Every name of a selection with its place; none where it is a word for all."""
    return [] if isinstance(names, str) else [((*path, i), name) for i, name in enumerate(names)]


def _check_supply(parts: Parts, dead_buses: Collection[str]) -> Iterable[Problem]:
    """Data centers at buses without voltage that no event of the scenario could give it."""
    if any(isinstance(event, ev.SwitchClosed) for _, event in parts.events) or parts.controllers:
        return
    for name, bus in parts.buses.items():
        if bus in dead_buses:
            message = "has no voltage: it is cut off from the source, and no switch_closed event connects it"
            yield parts.problem(("datacenters", name, "bus"), message, bus)


def _check_nominal(parts: Parts, f_hz: float | None) -> Iterable[Problem]:
    """The area behind the source has the feeder's frequency, and sheds load below it."""
    area = None if parts.source is None else parts.source.area
    if area is None or f_hz is None:
        return
    given_hz = area.f_nominal_hz
    if given_hz is not None and abs(given_hz - f_hz) > SAME_HZ:
        path: Path = ("source", "area", "f_nominal_hz")
        yield parts.problem(path, f"the feeder is one of {f_hz:g} Hz: leave it out", given_hz)
    if area.shedding and area.shedding[0].below_hz >= f_hz:
        path = ("source", "area", "shedding", 0, "below_hz")
        yield parts.problem(path, f"must be below the feeder's {f_hz:g} Hz", area.shedding[0].below_hz)


def _check_sensed(parts: Parts, phases: Mapping[str, list[str]]) -> Iterable[Problem]:
    """Voltages between phases where there are not three of them."""
    for name, site in parts.datacenters.items():
        bus = parts.buses.get(name, "")
        known = phases.get(bus, phases.get(bus.lower(), []))
        named = bus.split(".")[1:] if bus not in phases and "." in bus else []
        asked = named or known
        n_phase = sum(phase in ("1", "2", "3") for phase in asked)
        if site.facility.v_sensed != "phase_to_phase" or not asked:
            continue
        path: Path = ("datacenters", name, "facility", "v_sensed")
        if n_phase < 3:
            yield parts.problem(path, f"it stands at {n_phase} of three phases: bus {bus}", site.facility.v_sensed)
        elif len(named) > n_phase:
            yield parts.problem(path, f"is between phases, and bus {bus} names a neutral", site.facility.v_sensed)


def _phases_of_buses(buses: Sequence[str], node_names: Iterable[str]) -> dict[str, list[str]]:
    """Phases of every bus; none where buses are whole."""
    phases: dict[str, list[str]] = {bus: [] for bus in buses}
    for node in node_names:
        bus, dot, phase = node.rpartition(".")
        if dot and bus in phases:
            phases[bus].append(phase)
    return phases


def _why_no_place(place: str, phases: Mapping[str, list[str]]) -> str:
    """What is wrong with a bus or `bus.1.3`; empty where the feeder has it."""
    if place in phases:
        return ""
    bus, _, rest = place.partition(".")
    known = phases.get(bus, phases.get(bus.lower()))
    if not rest or not known:
        return f"the feeder has no such bus; {nearest(place if not known else bus, phases)}"
    asked = rest.split(".")
    lacking = [phase for phase in asked if phase not in known]
    if lacking:
        return f"bus {bus} has no phase {lacking[0]}; it has {', '.join(known)}"
    return "" if len(set(asked)) == len(asked) else f"names a phase of bus {bus} twice"


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
    for name, site in parts.datacenters.items():
        switched = [
            (event.at_s, event.job, isinstance(event, ev.JobStarted))
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
