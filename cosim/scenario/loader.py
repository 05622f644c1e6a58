"""From a file, a shipped name or a mapping to one valid Scenario, or to every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from cosim.errors import InputError, Problem, unreadable
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.names import is_dss
from cosim.scenario.accounts import CarbonConfig, PriceConfig
from cosim.scenario.checks import check_internal
from cosim.scenario.events import ElementId, Event
from cosim.scenario.feeder_checks import check_against_feeder
from cosim.scenario.ids import in_case_of_feeder
from cosim.scenario.names import NamesOf
from cosim.scenario.overrides import apply_overrides
from cosim.scenario.parts import Parts
from cosim.scenario.problems import explain, problem_at
from cosim.scenario.schema import (
    ControllerConfig,
    DatacenterSite,
    LogConfig,
    Origin,
    Scenario,
    TimeConfig,
    as_dict,
    dss_root,
    feeder_source,
)
from cosim.scenario.supply_checks import peaks_mva
from cosim.scenario.tree import Node, from_python
from cosim.scenario.validation import errors_behind, validated
from cosim.scenario.yaml_source import parse_yaml, read_yaml
from cosim.units import US_PER_S

_SUFFIXES = (".yaml", ".yml")
_STUDIES = "studies/"
"""Folder of the shipped studies, which are no scenarios."""


@dataclass(frozen=True)
class Document:
    """A scenario's file, read once for many scenarios that differ in some values."""

    root: Node
    folder: FilePath
    problems: tuple[Problem, ...] = ()


def read_document(source: str | FilePath) -> Document:
    """Read a YAML file or a shipped scenario, to be given to `load_scenario` as often as wanted.

    Raises
    ------
    InputError
        There is no such file, or it is no YAML.
    """
    root, problems, folder = _read(source)
    return Document(root, folder, tuple(problems))


def load_scenario(
    source: str | FilePath | Mapping[str, Any] | Scenario | Document,
    overrides: Mapping[str, object] | None = None,
    seed: int | None = None,
    *,
    names_of: NamesOf | None = None,
) -> Scenario:
    """One valid, fully explicit scenario.

    Parameters
    ----------
    source : str, Path, mapping, Scenario or Document
        A YAML file, the name of a shipped scenario, what was read of it, or the same content as plain values.
        File names in it
        start in the file's folder, those of a mapping in the current one.
    overrides : mapping, optional
        From dotted path (`datacenters.campus.ups.max_e_mwh`, `events.0.at_s`) to value.
    seed : int, optional
        In place of the scenario's.
    names_of : callable, optional
        Gives the ids of a feeder (`cosim.scenario.feeder_names`); with it buses, loads, switches and lines
        are checked as well.

    Returns
    -------
    Scenario

    Raises
    ------
    InputError
        With every problem there is, each with file and line.
    """
    root, problems, folder = _read(source)
    root, refused = apply_overrides(root, overrides or {})
    problems += refused
    if seed is not None:
        root, refused = apply_overrides(root, {"seed": seed}, "--seed")
        problems += refused
    return _validate(root, folder, problems, names_of)


def load_text(text: str, folder: FilePath = FilePath(), *, label: str = "scenario") -> Scenario:
    """A scenario from YAML text, e.g. the resolved one of a result.

    Parameters
    ----------
    text : str
    folder : Path
        Where relative file names start.
    label : str
        What messages call the text.
    """
    root, problems = parse_yaml(text, label)
    return _validate(root, folder, problems, None)


def shipped_scenarios() -> dict[str, FilePath]:
    """Scenarios that come with cosim, by the name that commands take: `quickstart`, `paper/...`."""
    return {name: path for name, path in _shipped().items() if not name.startswith(_STUDIES)}


def shipped_studies() -> dict[str, FilePath]:
    """Studies that come with cosim, by the name that `cosim study` takes."""
    return {name.removeprefix(_STUDIES): path for name, path in _shipped().items() if name.startswith(_STUDIES)}


def _shipped() -> dict[str, FilePath]:
    folder = _shipped_folder()
    if folder is None:
        return {}
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in _SUFFIXES)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def _shipped_folder() -> FilePath | None:
    """Scenarios in the installed package, else in the checkout around it."""
    package = FilePath(str(resources.files("cosim")))
    inside, beside = package / "_shipped" / "scenarios", package.parent / "scenarios"
    if inside.is_dir():
        return inside
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def find_scenario(name: str | FilePath) -> tuple[FilePath, str]:
    """File of a scenario by path or shipped name, and what messages call it.

    Raises
    ------
    InputError
        Neither a file nor a shipped name; names the nearest.
    """
    path = FilePath(name).expanduser()
    try:
        if path.is_file() or (path.exists() and not path.is_dir()):
            return path, str(name)
        shipped = shipped_scenarios()
        if str(name) in shipped:
            return shipped[str(name)], str(shipped[str(name)])
        if path.is_dir():
            raise InputError(Problem("is a folder, not a YAML file", file=str(name)))
    except (OSError, ValueError) as error:
        raise unreadable(error, repr(str(name))[1:81]) from None
    what = "no such file" if path.suffix in _SUFFIXES else "no such file, and no shipped scenario of this name"
    raise InputError(Problem(f"{what}; shipped are: {', '.join(shipped) or 'none'}", file=str(name)))


def _read(
    source: str | FilePath | Mapping[str, Any] | Scenario | Document,
) -> tuple[Node, list[Problem], FilePath]:
    if isinstance(source, Document):
        return source.root, list(source.problems), source.folder
    if isinstance(source, Scenario):
        root, problems = from_python(as_dict(source))
        return root, problems, source.folder
    if isinstance(source, Mapping):
        root, problems = from_python(source)
        return root, problems, FilePath.cwd()
    path, label = find_scenario(source)
    root, problems = read_yaml(path, label)
    return root, problems, path.absolute().parent


def _validate(root: Node, folder: FilePath, problems: list[Problem], names_of: NamesOf | None) -> Scenario:
    root = in_case_of_feeder(_with_default_log_step(root))
    plain = root.plain()
    scenario: Scenario | None = None
    try:
        scenario = validated(Scenario, plain)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems += explain([*errors, *errors_behind(Scenario, root.plain(), errors)], Scenario, root)
    parts = _valid_parts(root, plain, folder)
    problems += check_internal(parts)
    if names_of is not None and parts.feeder is not None:
        problems += _check_feeder(parts, names_of)
    if problems or scenario is None:
        raise InputError(_once(problems))
    scenario._origin = Origin(root, folder)
    return scenario


def _with_default_log_step(root: Node) -> Node:
    """The document with `log.step_s` where it has none: the first multiple of the base step from 0.1 s on.

    In a run shorter than that, the run: rows at its start and its end.
    """
    usual = Node(TimeConfig.model_fields["step_s"].default, root.file, root.line)
    step, lasts = root.at(("time", "step_s")) or usual, root.at(("time", "duration_s"))
    log = root.child("log") or Node({}, root.file, root.line)
    usable = isinstance(step.value, int | float) and 0 < step.value <= 3600
    if not usable or not log.is_mapping or "step_s" in log.value:
        return root
    step_us = max(round(step.value * US_PER_S), 1)
    log_step_us = -(-US_PER_S // 10 // step_us) * step_us
    if lasts is not None and isinstance(lasts.value, int | float) and 0 < lasts.value * US_PER_S < log_step_us:
        log_step_us = max(round(lasts.value * US_PER_S), step_us)
    return root.replaced(("log",), log).replaced(("log", "step_s"), Node(log_step_us / US_PER_S, step.file, step.line))


def _valid_parts(root: Node, plain: Any, folder: FilePath) -> Parts:
    """Whatever of a document is valid on its own."""
    parts = Parts(root=root, folder=folder)
    simple = {
        "time": TimeConfig,
        "feeder": FeederConfig,
        "source": SourceConfig,
        "log": LogConfig,
        "carbon": CarbonConfig,
        "price": PriceConfig,
    }
    values = {key: _valid(annotation, plain.get(key, {})) for key, annotation in simple.items()}
    sites, happenings = plain.get("datacenters"), plain.get("events")
    acting = plain.get("controllers")
    centers = {name: _valid(DatacenterSite, value) for name, value in sites.items()} if isinstance(sites, dict) else {}
    buses = {name: _valid(ElementId, value.get("bus")) for name, value in _mappings(sites)}
    return replace(
        parts,
        **values,
        datacenters={name: site for name, site in centers.items() if site is not None},
        buses={name: bus for name, bus in buses.items() if bus is not None},
        events=_valid_items(Event, happenings),
        controllers=_valid_items(ControllerConfig, acting),
        has_area=(area := root.at(("source", "area"))) is not None and area.value is not None,
    )


def _mappings(plain: Any) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a mapping that are mappings themselves."""
    return [(k, v) for k, v in plain.items() if isinstance(v, dict)] if isinstance(plain, dict) else []


def _valid(annotation: Any, plain: Any) -> Any:
    try:
        return validated(annotation, plain)
    except ValidationError:
        return None


def _valid_items(annotation: Any, plain: Any) -> list[tuple[int, Any]]:
    items = plain if isinstance(plain, list) else []
    return [(i, value) for i, item in enumerate(items) if (value := _valid(annotation, item)) is not None]


def _check_feeder(parts: Parts, names_of: NamesOf) -> list[Problem]:
    assert parts.feeder is not None
    try:
        names = names_of(feeder_source(parts.feeder.model, parts.folder), dss_root(parts.feeder, parts.folder))
    except InputError as error:
        return [_placed(problem, parts.root) for problem in error.problems]
    names.warn(parts.feeder, parts.source)
    found = check_against_feeder(
        parts,
        names.buses,
        names.loads,
        names.switches,
        names.lines,
        names.nodes,
        names.dead_buses,
        names.fault_problems,
        names.f_hz,
        names.return_problem,
    )
    wrong = names.problems(parts.feeder, parts.source, peaks_mva(parts))
    return found + [_placed(problem, parts.root) for problem in wrong]


def _placed(problem: Problem, root: Node) -> Problem:
    """A problem of the feeder: it keeps its line in the feeder's own file, else it stands where that is named."""
    path = tuple(problem.path.split(".")) if problem.path.startswith("feeder.") else ("feeder", "model")
    return problem if problem.file else problem_at(root, path, problem.message, problem.value)


def _once(problems: list[Problem]) -> list[Problem]:
    """Problems in the order of the file, one for each path: the first said is nearest to the cause.

    Those in the feeder's scripts come last, in the order in which they were read.
    """
    first: dict[str, Problem] = {}
    for n, problem in enumerate(problems):
        first.setdefault(problem.path or f"#{n}", problem)
    in_scripts = [problem for problem in first.values() if is_dss(problem.file)]
    others = [problem for problem in first.values() if not is_dss(problem.file)]
    return [*sorted(others, key=lambda p: (p.line is None, p.line or 0)), *in_scripts]
