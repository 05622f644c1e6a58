"""From a study to its tasks: one run, or one search that runs many, each with what it changes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.feeder import Feeder
from cosim.feeder.network import FIRST_NEUTRAL
from cosim.feeder.places import in_case
from cosim.scenario import Document, Scenario, load_scenario, read_document
from cosim.scenario.fields import nearest
from cosim.scenario.schema import as_dict
from cosim.study.loader import LoadedStudy
from cosim.study.sampling import draw, saltelli, taken_through
from cosim.study.schema import (
    Coincidence,
    Contingency,
    HostingCapacity,
    MonteCarlo,
    Range,
    Sensitivity,
    Siting,
    Sweep,
    UpsSizing,
)

N_CHECKED = 200
"""Points of a study that are held to the scenario before anything runs; later ones fail as runs."""


@dataclass(frozen=True)
class Task:
    """One row of the summary: what it changes in the scenario, and how it is worked out."""

    index: int
    inputs: dict[str, Any]
    """What tells this row from others, by the name of its column."""
    overrides: dict[str, Any]
    """Values by dotted path, over the scenario and the study's own `set`."""
    seed: int | None = None
    search: dict[str, Any] = field(default_factory=dict)
    """Of a search: its way and what it needs; empty for one run."""
    measure: dict[str, Any] = field(default_factory=dict)
    """What is measured on its log beside the metrics; empty for nothing."""


@dataclass(frozen=True)
class Base:
    """The scenario of a study as it stands before a task changes it, and its feeder."""

    study: LoadedStudy
    document: Document
    scenario: Scenario
    feeder: Feeder

    @classmethod
    def of(cls, study: LoadedStudy) -> Base:
        """Load both.

        Raises
        ------
        InputError
            The scenario is wrong, or a path of the study's `set`.
        """
        from cosim.wiring import prepare

        document = read_document(study.scenario)
        return cls(study, document, *prepare(document, set=study.config.set))


def n_task(base: Base) -> int:
    """How many rows the summary will have, without making them."""
    config = base.study.config
    if isinstance(config, Sweep):
        n_point = math.prod(_n_value(axis) for axis in config.grid.values()) if config.grid else len(config.points)
        return n_point * config.n_seed
    if isinstance(config, MonteCarlo | Coincidence):
        return int(config.n)
    if isinstance(config, Sensitivity):
        return int(config.n) * (len(config.distributions) + 2)
    return sum(1 for _ in tasks(base))


def tasks(base: Base) -> Iterator[Task]:
    """Every task of a study, in the order of its summary."""
    measure = _measure(base)
    for index, (inputs, overrides, seed, search) in enumerate(_EXPAND[type(base.study.config)](base)):
        yield Task(index, inputs, {**base.study.config.set, **overrides}, seed, search, measure)


Draft = tuple[dict[str, Any], dict[str, Any], int | None, dict[str, Any]]


def _n_value(axis: Any) -> int:
    return int(axis.n) if isinstance(axis, Range) else len(axis)


def axis_values(axis: Any) -> list[Any]:
    """Values of one axis of a grid; those of a range that ought to be whole numbers are."""
    if not isinstance(axis, Range):
        return list(axis)
    values = [float(v) for v in np.linspace(axis.start, axis.stop, axis.n)]
    return [int(v) for v in values] if all(v.is_integer() for v in values) else values


def _sweep(base: Base) -> Iterator[Draft]:
    config: Sweep = base.study.config
    axes = {path: axis_values(axis) for path, axis in config.grid.items()}
    grid = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    for point in grid if config.grid else config.points:
        for k in range(config.n_seed):
            seeded = {"seed": base.scenario.seed + k} if config.n_seed > 1 else {}
            yield point | seeded, dict(point), seeded.get("seed"), {}


def _monte_carlo(base: Base) -> Iterator[Draft]:
    config: MonteCarlo | Coincidence = base.study.config
    for k, point in enumerate(draw(config)):
        seed = config.seed + k if config.vary_seed else None
        yield point | ({"seed": seed} if seed is not None else {}), point, seed, {}


def _sensitivity(base: Base) -> Iterator[Draft]:
    config: Sensitivity = base.study.config
    drawn = taken_through(config.distributions, saltelli(config.n, len(config.distributions), config.seed))
    parts = ["A", "B", *(f"A with {path} of B" for path in config.distributions)]
    for k, point in enumerate(drawn):
        yield {"matrix": parts[k // config.n], "base_point": k % config.n, **point}, point, None, {}


def _measure(base: Base) -> dict[str, Any]:
    """What a coincidence study measures on each log.

    Raises
    ------
    InputError
        The scenario lacks a data center, has a single one, or logs too seldom.
    """
    config = base.study.config
    if not isinstance(config, Coincidence):
        return {}
    names = config.datacenters or list(base.scenario.datacenters)
    for name in names:
        _datacenter(base, name)
    if len(names) < 2:
        raise InputError(_problem(base, ("scenario",), "has one data center; steps of several meet", config.scenario))
    log_s = base.scenario.log.step_s
    if config.window_s < log_s or abs(config.window_s / log_s - round(config.window_s / log_s)) > 1e-6:
        raise InputError(_problem(base, ("window_s",), f"must be a multiple of log.step_s={log_s:g}", config.window_s))
    return {"coincidence": {"names": names, "window_s": config.window_s, "min_step_mw": config.min_step_mw}}


def _siting(base: Base) -> Iterator[Draft]:
    config: Siting = base.study.config
    path = f"datacenters.{_datacenter(base, config.datacenter)}.bus"
    for bus in buses_of(base, config.buses):
        yield {"bus": bus}, {path: bus}, None, {}


def _hosting(base: Base) -> Iterator[Draft]:
    config: HostingCapacity = base.study.config
    for bus in buses_of(base, config.buses):
        if config.steady is not None:
            yield {"bus": bus}, {}, None, {"way": "steady", "bus": bus, **config.steady.model_dump()}
            continue
        assert config.runs is not None
        path = f"datacenters.{_datacenter(base, str(config.datacenter))}.bus"
        limits = {name: limit.model_dump() for name, limit in config.limits.items()}
        search = {"way": "runs", "largest": True, "paths": [config.runs.path], "limits": limits}
        yield {"bus": bus}, {path: bus}, None, search | config.runs.model_dump(exclude={"path"})


def _ups_sizing(base: Base) -> Iterator[Draft]:
    config: UpsSizing = base.study.config
    ups = f"datacenters.{_datacenter(base, config.datacenter)}.ups"
    if base.scenario.datacenters[config.datacenter].ups is None:
        raise InputError(_problem(base, ("datacenter",), "has no UPS in the scenario; give it one to size"))
    search = {
        "way": "runs",
        "largest": False,
        "paths": [f"{ups}.max_e_mwh"],
        "limits": {name: limit.model_dump() for name, limit in config.limits.items()},
        "min": config.min_e_mwh,
        "max": config.max_e_mwh,
        "tolerance": config.tolerance_mwh,
        "whole": False,
        "n_probe": config.n_probe,
    }
    for p_mw in config.p_mw:
        rated = {f"{ups}.max_p_charge_mw": p_mw, f"{ups}.max_p_discharge_mw": p_mw}
        yield {"p_mw": p_mw}, rated, None, search


def _contingency(base: Base) -> Iterator[Draft]:
    config: Contingency = base.study.config
    planned = as_dict(base.scenario)["events"]
    yield {"outage": "none"}, {}, None, {}
    for name, event in _outages(base, config):
        yield {"outage": name}, {"events": [*planned, {"at_s": config.at_s, **event}]}, None, {}


def _outages(base: Base, config: Contingency) -> Iterator[tuple[str, dict[str, Any]]]:
    known = base.feeder.line_names
    for line in known if config.lines == "all" else _in_feeder(base, "lines", config.lines or [], known):
        yield f"line {line}", {"kind": "switch_opened", "switch": f"line:{line}"}
    if config.source:
        lasts = {} if config.source_duration_s is None else {"duration_s": config.source_duration_s}
        yield "source", {"kind": "source_lost", **lasts}
    if config.ups:
        for name, site in base.scenario.datacenters.items():
            if site.ups is not None:
                yield f"ups {name}", {"kind": "ups_out_of_service", "datacenter": name}


_EXPAND: dict[type, Callable[[Base], Iterator[tuple[dict[str, Any], dict[str, Any], int | None, dict[str, Any]]]]] = {
    Sweep: _sweep,
    MonteCarlo: _monte_carlo,
    Coincidence: _monte_carlo,
    Sensitivity: _sensitivity,
    Siting: _siting,
    HostingCapacity: _hosting,
    UpsSizing: _ups_sizing,
    Contingency: _contingency,
}


def buses_of(base: Base, wanted: Any) -> list[str]:
    """Buses that a study names, in the feeder's order; `three_phase` and `all` leave out buses without voltage.

    Raises
    ------
    InputError
        The feeder lacks a bus of the list.
    """
    network, known = base.feeder.network, base.feeder.bus_names
    if isinstance(wanted, list):
        return _in_feeder(base, "buses", wanted, known)
    live = {name for name, vm in zip(base.feeder.node_names, base.feeder.solve().node_vm_pu, strict=True) if vm > 0}
    chosen = []
    for bus in known:
        nodes = [n for n in network.nodes_of_bus(known.index(bus)) if network.node_phase[n] < FIRST_NEUTRAL]
        energized = [n for n in nodes if base.feeder.node_names[n] in live]
        if energized and (network.is_balanced or wanted == "all" or len(energized) == 3):
            chosen.append(bus)
    return chosen


def _in_feeder(base: Base, field: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names of a study's list as the feeder writes them.

    Raises
    ------
    InputError
        Every one that the feeder lacks.
    """
    found = [in_case(known, name) for name in wanted]
    what = {"buses": "bus", "lines": "line"}[field]
    lacking = [
        _problem(base, (field, k), f"no such {what}; {nearest(name, known)}", name)
        for k, name in enumerate(wanted)
        if found[k] is None
    ]
    if lacking:
        raise InputError(lacking)
    return [name for name in found if name is not None]


def _datacenter(base: Base, name: str) -> str:
    if name not in base.scenario.datacenters:
        words = f"no such data center in the scenario; {nearest(name, base.scenario.datacenters)}"
        raise InputError(_problem(base, ("datacenter",), words, name))
    return name


def _problem(base: Base, path: tuple[str | int, ...], message: str, value: object = None) -> Problem:
    place = base.study.root.nearest(path)
    return Problem(message, ".".join(map(str, path)), value, place.file, place.line)


def check_points(base: Base) -> None:
    """Hold what a study sets to the scenario, before anything runs: each path with its first and extreme values.

    Raises
    ------
    InputError
        Every path or value that the scenario refuses, in its line of the study.
    """
    problems: dict[tuple[str, str], Problem] = {}
    for where, overrides in _points(base):
        try:
            load_scenario(base.document, {**base.study.config.set, **overrides})
        except InputError as error:
            for p in error.problems:
                found = _problem(base, (*where, *list(overrides)[:1]), p.message, p.value)
                shown = Problem(found.message, p.path, p.value, found.file, found.line)
                problems.setdefault((shown.path, shown.message), shown)
    if problems:
        raise InputError(list(problems.values()))


def _points(base: Base) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    config = base.study.config
    if isinstance(config, Sweep):
        for path, axis in config.grid.items():
            for value in axis_values(axis)[:N_CHECKED]:
                yield ("grid",), {path: value}
        for k, point in enumerate(config.points[:N_CHECKED]):
            yield ("points", k), point
    elif isinstance(config, MonteCarlo | Coincidence | Sensitivity):
        drawn = [task.inputs for task in tasks(base)]
        for path, law in config.distributions.items():
            values = [point[path] for point in drawn]
            extremes = law.values if law.kind == "choice" else [min(values), max(values)]
            for value in extremes:
                yield ("distributions",), {path: value}
    else:
        for task in itertools.islice(tasks(base), N_CHECKED):
            sized = dict.fromkeys(task.search.get("paths", ()), task.search.get("max"))
            if task.overrides or sized:
                yield ((), task.overrides | sized)
