"""`--set path.to.key=value`: values that replace those of the file before anything is checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cosim.errors import InputError, Problem
from cosim.scenario import fields
from cosim.scenario.schema import Scenario
from cosim.scenario.tree import Node, Path, dotted, from_python
from cosim.scenario.yaml_source import parse_value

PLACE = "--set"
"""What messages call the place of an overridden value."""


def parse_overrides(arguments: Iterable[str]) -> dict[str, Any]:
    """Dotted paths and values from `path.to.key=value` arguments.

    Parameters
    ----------
    arguments : iterable of str
        Each value is YAML: a scalar, or a list or mapping in flow style. A path given twice counts as given last.

    Raises
    ------
    InputError
        Names every argument without a path or with a value that is not YAML.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for argument in arguments:
        path, equals, text = argument.partition("=")
        path = path.strip()
        if not equals or not path:
            problems.append(Problem("must be path.to.key=value", value=argument, file=PLACE))
            continue
        try:
            node, found = parse_value(text, PLACE)
        except InputError as error:
            node, found = Node(None), error.problems
        problems += [Problem(p.message, path, p.value or text, PLACE) for p in found]
        values[path] = node.plain()
    if problems:
        raise InputError(problems)
    return values


def apply_overrides(root: Node, overrides: Mapping[str, object], place: str = PLACE) -> tuple[Node, list[Problem]]:
    """The document with values replaced or added; paths that cannot exist are problems.

    Parameters
    ----------
    root : Node
        Not changed.
    overrides : mapping
        From dotted path to plain value.
    place : str
        What messages call the place of the new values.
    """
    problems: list[Problem] = []
    for path_text, value in overrides.items():
        parts = path_text.split(".")
        try:
            new, found = from_python(value, place, tuple(parts))
            root = _set(root, root, Scenario, (), parts, new)
        except InputError as error:
            found = error.problems
        problems += found
    return root, problems


def _set(root: Node, node: Node, annotation: Any, done: Path, parts: list[str], new: Node) -> Node:
    """The whole document with one value set; walks from `node`, which stands at `done`."""
    part, rest = parts[0], parts[1:]
    key = _key(node, part, done, new.file)
    inside = fields.below(annotation, node, key)
    child = node.child(key)
    if not rest:
        return root.replaced((*done, key), Node(new.value, new.file, None, new.size))
    if child is None:
        _refuse_unknown(node, annotation, inside, (*done, key), new.file)
    if child is None or child.value is None:
        child = Node({}, new.file)
        root = root.replaced((*done, key), child)
    return _set(root, child, inside, (*done, key), rest, new)


def _key(node: Node, part: str, done: Path, place: str) -> str | int:
    """A part of a path as the key or index it is there."""
    path = dotted((*done, part))
    if node.is_mapping:
        return part
    if not node.is_list:
        raise InputError(Problem(f"{dotted(done)} is a single value, there is nothing in it", path, file=place))
    if not part.isdecimal() or int(part) >= len(node.value):
        n = len(node.value)
        held = f"has {n} entries, 0 to {n - 1}" if n else "is empty"
        raise InputError(Problem(f"no such entry; {dotted(done)} {held}", path, file=place))
    return int(part)


def _refuse_unknown(node: Node, annotation: Any, inside: Any, path: Path, place: str) -> None:
    """Refuse to make a block on the way to a value where the models know of none, or where names are free."""
    known: Iterable[str] = ()
    if fields.entry(annotation) is not None:
        known = node.value
    elif inside is None:
        model = fields.member(annotation, getattr(node.child(fields.DISCRIMINATOR), "value", None))
        if model is not None and model.model_config.get("extra") == "allow":
            return
        known = fields.keys(model) if model is not None else ()
    else:
        return
    raise InputError(Problem(f"no such path; {fields.nearest(str(path[-1]), known)}", dotted(path), file=place))
