"""A document as a tree whose every node knows where it stands, so that each message can say so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cosim.errors import InputError, Problem

Path = tuple[str | int, ...]
"""Keys and indices from the top level to a value."""

MAX_DEPTH = 32
"""Deepest nesting of mappings and lists that is read."""
MAX_MAGNITUDE = 1e15
"""Largest number that is read; nothing here is as large, and arithmetic on it stays finite."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document: a scalar, a mapping or a list of nodes, with its place."""

    value: Any
    file: str = ""
    line: int | None = None
    size: int = 1
    """Number of nodes from here down, aliases expanded."""

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.value, list)

    def child(self, key: str | int) -> Node | None:
        """The node under a key or an index; None where there is none."""
        if self.is_mapping:
            return self.value.get(str(key))  # type: ignore[no-any-return]
        if self.is_list and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]  # type: ignore[no-any-return]
        return None

    def at(self, path: Path) -> Node | None:
        """The node at a path; None where there is none."""
        node: Node | None = self
        for key in path:
            node = node.child(key) if node is not None else None
        return node

    def nearest(self, path: Path) -> Node:
        """The deepest node on the way to a path."""
        node = self
        for key in path:
            below = node.child(key)
            if below is None:
                break
            node = below
        return node

    def plain(self) -> Any:
        """The same as plain dicts, lists and scalars."""
        if self.is_mapping:
            return {key: node.plain() for key, node in self.value.items()}
        if self.is_list:
            return [node.plain() for node in self.value]
        return self.value

    def replaced(self, path: Path, new: Node) -> Node:
        """A copy with the node at a path replaced or added; its parent must be there."""
        if not path:
            return new
        head, rest = path[0], path[1:]
        below = self.child(head)
        value: Any
        if self.is_mapping:
            value = dict(self.value)
            value[str(head)] = below.replaced(rest, new) if below is not None else new
        else:
            assert isinstance(head, int)
            value = list(self.value)
            value[head] = value[head].replaced(rest, new)
        return Node(value, self.file, self.line, self.size)


def dotted(path: Path) -> str:
    """A path as messages and `--set` write it: `events.0.at_s`."""
    return ".".join(_shown(str(key)) for key in path)


def _shown(key: str) -> str:
    """A key on one line, whatever is in it."""
    return (key if key.isprintable() else repr(key)[1:-1])[:80]


def scalar_fault(value: object) -> str:
    """Why a scalar cannot be taken; empty where it can."""
    if isinstance(value, str):
        if "\0" in value or not _encodes(value):
            return "has a character that no text file can carry"
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int | float) and abs(value) > MAX_MAGNITUDE and not isinstance(value, bool):
        return f"is beyond {MAX_MAGNITUDE:g}, the largest number taken"
    return ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_python(value: object, file: str = "", path: Path = ()) -> tuple[Node, list[Problem]]:
    """A tree from plain Python values, as `cosim.run` takes them in place of a file.

    Parameters
    ----------
    value : object
        Mappings with text keys, sequences, numbers, text, bools, None; numpy scalars as well.
    file : str
        What messages call the place, e.g. `--set`.
    path : Path
        Where the value stands in the scenario.

    Returns
    -------
    node, problems
        The tree, and a problem for each value that cannot be taken.
    """
    problems: list[Problem] = []
    return _convert(value, file, path, problems), problems


def _convert(value: object, file: str, path: Path, problems: list[Problem]) -> Node:
    if len(path) > MAX_DEPTH:
        raise InputError(Problem(f"is nested deeper than {MAX_DEPTH} levels", dotted(path[:4]) + "...", file=file))
    if isinstance(value, Mapping):
        children = {str(k): _convert(v, file, (*path, str(k)), problems) for k, v in value.items()}
        return Node(children, file)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Node([_convert(v, file, (*path, i), problems) for i, v in enumerate(value)], file)
    if not isinstance(value, str | int | float | bool | None) and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        value = float(value)  # numpy's float64 is a float whose repr is not YAML
    if not isinstance(value, str | int | float | bool | None):
        problems.append(Problem("is no plain value (number, text, true, false, null)", dotted(path), value, file))
        value = None
    elif fault := scalar_fault(value):
        problems.append(Problem(fault, dotted(path), value, file))
    return Node(value, file)
