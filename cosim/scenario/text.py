"""A scenario as text: block style, one key a line, the same bytes for equal values."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from cosim.scenario.schema import Scenario, as_dict
from cosim.scenario.yaml_source import resolve_scalar

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+(][A-Za-z0-9_./+();,-]*)*")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def resolve(scenario: Scenario) -> str:
    """The complete explicit YAML of a scenario: every default written out, keys in the order of the schema.

    Loads again to an equal scenario; what every result stores.
    """
    return "\n".join(_mapping(as_dict(scenario), "")) + "\n"


def scenario_hash(resolved_text: str) -> str:
    """SHA-256 of a resolved scenario, in hex."""
    return hashlib.sha256(resolved_text.encode()).hexdigest()


def _mapping(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        yield from _entry(f"{indent}{_text(key)}:", value, indent + "  ")


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield head
        yield from _mapping(value, indent)
    elif isinstance(value, list) and value:
        yield head
        for item in value:
            yield from _item(item, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    """One item of a list; its first line carries the dash."""
    if isinstance(value, dict) and value:
        lines = _mapping(value, indent + "  ")
        yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
        yield from lines
    elif isinstance(value, list) and value:
        yield f"{indent}-"
        for item in value:
            yield from _item(item, indent + "  ")
    else:
        yield f"{indent}- {_scalar(value)}"


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _text(str(value))


def _text(text: str) -> str:
    """Text as it is where YAML reads it back as the same text, else in double quotes."""
    if _PLAIN.fullmatch(text) and isinstance(resolve_scalar(text), str):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
