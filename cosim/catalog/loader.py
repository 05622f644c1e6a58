"""Reads the data files, once, and finds entries by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from cosim.catalog.entries import (
    Accelerator,
    AcceleratorFile,
    Component,
    Entry,
    Model,
    ModelFile,
    Server,
    ServerFile,
    key,
)
from cosim.errors import InputError, Problem, unreadable

_FOLDER = Path(__file__).parent
_EntryT = TypeVar("_EntryT", bound=Entry)
_FileT = TypeVar("_FileT", bound=BaseModel)


def list_accelerators() -> tuple[Accelerator, ...]:
    """Every accelerator, in the order of `accelerators.yaml`."""
    return _accelerators().accelerators


def list_models() -> tuple[Model, ...]:
    """Every language model, in the order of `models.yaml`."""
    return _models().models


def list_servers() -> tuple[Server, ...]:
    """Every server, in the order of `servers.yaml`."""
    return _servers().servers


def list_components() -> tuple[Component, ...]:
    """Typical parts of a server and their power (the paper's Table I)."""
    return _servers().components


def find_accelerator(name: str) -> Accelerator:
    """Find one accelerator by name, without regard to case, spaces, - and _.

    Raises
    ------
    InputError
        If there is none; names the nearest ones.
    """
    return _find(name, list_accelerators(), "accelerator")


def find_model(name: str) -> Model:
    """Find one language model by name; as `find_accelerator`."""
    return _find(name, list_models(), "model")


def find_server(name: str) -> Server:
    """Find one server by name; as `find_accelerator`."""
    return _find(name, list_servers(), "server")


def find_component(name: str) -> Component:
    """Find one typical part of a server by name; as `find_accelerator`."""
    return _find(name, list_components(), "component")


def p_rest_w(server: Server) -> float:
    """Largest power of a server less that of its accelerators: CPUs, fabric, fans, losses. [W]."""
    return server.p_max_w - server.n_accelerator * find_accelerator(server.accelerator).p_max_w


def read_file(path: Path, kind: type[_FileT]) -> _FileT:
    """Read one data file.

    Parameters
    ----------
    path : Path
    kind : type
        Which file it is: `AcceleratorFile`, `ModelFile` or `ServerFile`.

    Raises
    ------
    InputError
        Every wrong field of the file at once.
    EnvironmentFailure
        Permission is missing, or the disk fails.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        with path.open(encoding="utf-8") as stream:
            content = YAML(typ="safe", pure=True).load(stream)
    except OSError as error:
        raise unreadable(error, str(path)) from error
    except (UnicodeDecodeError, YAMLError) as error:
        raise InputError(Problem(f"cannot be read: {error}", file=str(path))) from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError([_problem(path, content, e["loc"], e["msg"]) for e in error.errors()]) from error


def _problem(path: Path, content: object, loc: Sequence[int | str], message: str) -> Problem:
    """A problem whose path has the entry's name where pydantic has its number."""
    parts: list[str] = []
    here = content
    for step in loc:
        try:
            here = here[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            here = None
        name = here.get("name") if isinstance(step, int) and isinstance(here, dict) else None
        parts.append(str(step if name is None else name))
    shown = None if isinstance(here, dict | list) else here
    return Problem(message.removeprefix("Value error, "), ".".join(parts), shown, str(path))


@cache
def _accelerators() -> AcceleratorFile:
    return read_file(_FOLDER / "accelerators.yaml", AcceleratorFile)


@cache
def _models() -> ModelFile:
    return read_file(_FOLDER / "models.yaml", ModelFile)


@cache
def _servers() -> ServerFile:
    return read_file(_FOLDER / "servers.yaml", ServerFile)


def _find(name: str, entries: Sequence[_EntryT], noun: str) -> _EntryT:
    by_key = {key(entry.name): entry for entry in entries}
    found = by_key.get(key(name))
    if found is not None:
        return found
    near = [by_key[k].name for k in difflib.get_close_matches(key(name), by_key, 3, 0.4)]
    known = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(entry.name for entry in entries)}"
    raise InputError(Problem(f"no such {noun} in the catalog; {known}", value=name))
