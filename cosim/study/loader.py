"""From a file or a shipped name to one valid study, or to every problem at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cosim.errors import InputError, Problem
from cosim.scenario.loader import shipped_scenarios, shipped_studies
from cosim.scenario.problems import explain
from cosim.scenario.tree import Node
from cosim.scenario.validation import errors_behind, validated
from cosim.scenario.yaml_source import read_yaml
from cosim.study.schema import Study


@dataclass(frozen=True)
class LoadedStudy:
    """A study and where it stands."""

    config: Any
    """One of the kinds of `cosim.study.schema`."""
    scenario: Path
    """File of its scenario."""
    root: Node = field(repr=False)
    """Its document, for the lines of messages."""


def load_study(source: str | Path) -> LoadedStudy:
    """One valid study.

    Parameters
    ----------
    source : str or Path
        A YAML file, or the name of a shipped study (`ieee123_hosting`).

    Raises
    ------
    InputError
        With every problem there is, each with file and line.
    """
    path = Path(source)
    shipped = shipped_studies()
    if not path.exists():
        if str(source) not in shipped:
            raise InputError(Problem(f"no such study; shipped are: {', '.join(shipped) or 'none'}", file=str(source)))
        path = shipped[str(source)]
    root, problems = read_yaml(path, str(path))
    try:
        config = validated(Study, root.plain())
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems += explain([*errors, *errors_behind(Study, root.plain(), errors)], Study, root)
        raise InputError(sorted(problems, key=lambda p: p.line or 0)) from None
    if problems:
        raise InputError(problems)
    return LoadedStudy(config, _scenario_file(config.scenario, path, root), root)


def _scenario_file(name: str, study: Path, root: Node) -> Path:
    """A path is taken from the study's folder, a shipped name as it is."""
    beside = study.absolute().parent / Path(name).expanduser()
    if beside.is_file():
        return beside
    if name in (shipped := shipped_scenarios()):
        return shipped[name]
    place = root.nearest(("scenario",))
    message = f"no such file beside the study, and no shipped scenario of this name; shipped are: {', '.join(shipped)}"
    raise InputError(Problem(message, "scenario", name, place.file, place.line))
