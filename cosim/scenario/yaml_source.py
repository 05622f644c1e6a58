"""Strict YAML 1.2 to a tree of nodes with lines: no tags, few aliases, no duplicate keys, one document.

Built on the events of ruamel.yaml's parser, so that nesting, aliases and sizes are capped while the text is
read and a hostile file costs no more than a long one. Plain scalars follow the core schema of YAML 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from cosim.errors import InputError, Problem, unreadable
from cosim.scenario.tree import MAX_DEPTH, Node, Path, dotted, scalar_fault

MAX_BYTES = 500_000
"""Largest file that is read. [byte]"""
MAX_NODES = 20_000
"""Most values in one document, aliases expanded. Longer series belong into CSV files."""
MAX_ALIASES = 1_000
"""Most aliases in one document."""
MAX_OPEN = 200
"""Most brackets open at once, counted without regard to quotes; ruamel's look-ahead takes quadratic time."""
MAX_DIGITS = 400
"""Longest number that is read; Python takes quadratic time for long ones."""

_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_yaml(path: FilePath, label: str | None = None) -> tuple[Node, list[Problem]]:
    """Read one YAML file.

    Parameters
    ----------
    path : Path
    label : str, optional
        What messages call the file; default the path.

    Returns
    -------
    root, problems
        The document, a mapping, and what in it cannot be taken but does not hinder reading on.

    Raises
    ------
    InputError
        A file that cannot be read at all; one message with file and line.
    """
    label = label or str(path)
    try:
        if path.is_dir():
            raise InputError(Problem("is a folder, not a YAML file", file=label))
        if not path.is_file():
            raise InputError(Problem("no such file", file=label))
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(error, label) from None
    if len(raw) > MAX_BYTES:
        raise InputError(Problem(f"is larger than {MAX_BYTES / 1e3:g} kB; keep long series in CSV files", file=label))
    return parse_yaml(_decode(raw, label), label)


def parse_yaml(text: str, label: str) -> tuple[Node, list[Problem]]:
    """Parse a document whose top level is a mapping; as `read_yaml`, of text."""
    root, problems = parse_value(text, label)
    if root.value is None and not problems:
        raise InputError(Problem("is empty; a scenario needs at least schema, name, time and feeder", file=label))
    if not root.is_mapping:
        raise InputError(Problem("must be a mapping (key: value) at the top level", file=label, line=root.line))
    return root, problems


def parse_value(text: str, label: str) -> tuple[Node, list[Problem]]:
    """Parse any one YAML value, block or flow."""
    return _Builder(text, label).build()


def _decode(raw: bytes, label: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(Problem("is not UTF-8 text", file=label, line=line)) from None


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """A plain scalar by the core schema of YAML 1.2: `1e-3` is a number, `on` and `12:30` are text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _BASED_INT.fullmatch(text):
            return int(text, 0)
    if _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text


class _Builder:
    """Builds nodes from parser events, counting what it builds."""

    def __init__(self, text: str, label: str) -> None:
        self._text, self._label = text, label
        self._events = self._parser_events()
        self._anchors: dict[str, Node] = {}
        self._n_node = self._n_alias = 0
        self._problems: list[Problem] = []
        self._line = 1

    def build(self) -> tuple[Node, list[Problem]]:
        """The one document of the text."""
        self._refuse_brackets()
        root = Node(None, self._label, 1)
        n_document = 0
        for event in self._events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                n_document += 1
                if n_document > 1:
                    self._fail("has a second document (---); one file holds one scenario", event)
                root = self._node(next(self._events), ())
        return root, self._problems

    def _refuse_brackets(self) -> None:
        n_open = 0
        for match in re.finditer(r"[][{}]", self._text):
            n_open += 1 if match[0] in "[{" else -1
            if n_open > MAX_OPEN:
                line = self._text.count("\n", 0, match.start()) + 1
                raise self._error(f"is nested deeper than {MAX_DEPTH} levels", line)

    def _parser_events(self) -> Iterator[Any]:
        try:
            for event in YAML(typ="safe", pure=True).parse(self._text):
                if event.start_mark is not None:
                    self._line = event.start_mark.line + 1
                yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(str(error.problem or error.context or "cannot be parsed").split())
            if mark and error.context_mark and error.context_mark.line < mark.line:
                what += f"; look at what begins in line {error.context_mark.line + 1}"
            raise self._error(f"not valid YAML: {what}", mark.line + 1 if mark else self._line) from None
        except ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            raise self._error("not valid YAML: holds a character that text cannot have", line) from None
        except YAMLError as error:
            raise self._error(f"not valid YAML: {' '.join(str(error).split())}", self._line) from None
        except InputError:
            raise
        except Exception:  # ruamel answers some broken escapes and directives with bare Python errors
            raise self._error("not valid YAML", self._line) from None

    def _node(self, event: Any, path: Path) -> Node:
        name = type(event).__name__
        if name == "AliasEvent":
            return self._alias(event)
        self._count(1, event)
        if event.tag is not None:
            self._note(f"tags are refused; remove {event.tag}", event, path)
        if name == "ScalarEvent":
            node = self._scalar(event, path)
        else:
            if len(path) >= MAX_DEPTH:
                self._fail(f"is nested deeper than {MAX_DEPTH} levels", event)
            node = self._mapping(event, path) if name == "MappingStartEvent" else self._list(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        self._n_alias += 1
        target = self._anchors.get(event.anchor)
        if target is None:
            self._fail(f"alias *{event.anchor} has no anchor above it", event)
            raise AssertionError
        if self._n_alias > MAX_ALIASES:
            self._fail(f"has more than {MAX_ALIASES} aliases", event)
        self._count(target.size, event)
        return Node(target.value, self._label, event.start_mark.line + 1, target.size)

    def _scalar(self, event: Any, path: Path) -> Node:
        value = resolve_scalar(event.value) if event.implicit[0] else event.value
        if fault := scalar_fault(value):
            self._note(fault, event, path, value)
        return Node(value, self._label, event.start_mark.line + 1)

    def _mapping(self, start: Any, path: Path) -> Node:
        children: dict[str, Node] = {}
        lines: dict[str, int] = {}
        size = 1
        for event in self._events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self._key(event, path)
            line = event.start_mark.line + 1
            node = self._node(next(self._events), (*path, key))
            size += node.size
            if key in children:
                self._note(f"stands twice; first in line {lines[key]}", event, (*path, key))
                continue
            lines[key] = line
            children[key] = Node(node.value, self._label, line, node.size)
        return Node(children, self._label, start.start_mark.line + 1, size)

    def _key(self, event: Any, path: Path) -> str:
        if type(event).__name__ != "ScalarEvent":
            self._fail("a key must be plain text, not an alias, a list or a mapping", event)
        if event.tag is not None:
            self._note(f"tags are refused; remove {event.tag}", event, path)
        if event.value == "<<" and event.implicit[0]:
            self._fail("merge keys (<<) are not YAML 1.2; write the keys out", event)
        if fault := scalar_fault(event.value):
            self._note(f"key {fault}", event, path)
        return str(event.value)

    def _list(self, start: Any, path: Path) -> Node:
        items: list[Node] = []
        size = 1
        for event in self._events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            node = self._node(event, (*path, len(items)))
            size += node.size
            items.append(node)
        return Node(items, self._label, start.start_mark.line + 1, size)

    def _count(self, n: int, event: Any) -> None:
        self._n_node += n
        if self._n_node > MAX_NODES:
            self._fail(f"holds more than {MAX_NODES} values, aliases expanded; keep long series in CSV files", event)

    def _note(self, message: str, event: Any, path: Path, value: object = None) -> None:
        self._problems.append(Problem(message, dotted(path), value, self._label, event.start_mark.line + 1))

    def _error(self, message: str, line: int) -> InputError:
        return InputError(Problem(message, file=self._label, line=line))

    def _fail(self, message: str, event: Any) -> None:
        raise self._error(message, event.start_mark.line + 1)
