"""Pydantic's errors as problems: the path as the file has it, its line, its value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cosim.errors import Problem
from cosim.scenario import fields
from cosim.scenario.tree import Node, Path, dotted


def problem_at(root: Node, path: Path, message: str, value: object = None) -> Problem:
    """A problem with the value at a path, with the line of its nearest node."""
    node = root.nearest(path)
    return Problem(message, dotted(path), value, node.file, node.line)


def explain(errors: Iterable[ErrorDetails], annotation: Any, root: Node, base: Path = ()) -> list[Problem]:
    """Every error of one validation as a problem.

    Parameters
    ----------
    errors : iterable
        What `ValidationError.errors()` gives.
    annotation
        What was validated against.
    root : Node
        The whole document.
    base : Path
        Where in the document the validated value stands.
    """
    return [_explain(error, annotation, root, base) for error in errors]


def _explain(error: ErrorDetails, annotation: Any, root: Node, base: Path) -> Problem:
    kind, context = error["type"], error.get("ctx", {})
    path, model, info, here = _follow(error["loc"], annotation, root, base)
    value = _shown(error.get("input"))
    if kind == "missing":
        return problem_at(root, path, f"is missing{_meaning(info)}")
    if kind == "extra_forbidden":
        return problem_at(root, path, _unknown_key(str(path[-1]), model))
    if kind == "union_tag_invalid":
        known = fields.nearest(str(context["tag"]), fields.kinds(here))
        return problem_at(root, (*path, fields.DISCRIMINATOR), f"no such kind; {known}", context["tag"])
    if kind == "union_tag_not_found":
        return problem_at(root, (*path, fields.DISCRIMINATOR), f"is missing; one of {', '.join(fields.kinds(here))}")
    if error["loc"] and error["loc"][-1] == "[key]":
        return problem_at(root, path, "a name starts with a letter and has letters, digits, _ and - only", path[-1])
    if kind == "value_error":
        return _own_message(str(context["error"]), root, path, here)
    message = _TYPE_MESSAGES.get(kind)
    text = message(context, info) if message else _plain_words(error["msg"])
    if error.get("input", 0) is None:
        text = f"is null; {text}"
    return problem_at(root, path, text, value)


def _follow(
    loc: Sequence[str | int], annotation: Any, root: Node, base: Path
) -> tuple[Path, type[BaseModel] | None, FieldInfo | None, Any]:
    """Path in the document, the last model passed, the field and the annotation at a location of pydantic's.

    Pydantic puts the kind of a union's member and its own labels among the keys; the document has neither.
    """
    path, model, info = base, None, None
    for part in loc:
        if part == "[key]":
            break
        inner = fields.entry(annotation)
        if inner is not None:
            path, annotation, info = (*path, part), inner, None
            continue
        if len(fields.models(annotation)) > 1:
            annotation = fields.member(annotation, part)
            continue
        here = fields.member(annotation, None)
        if here is None:
            break
        model = here
        info = fields.keys(here).get(str(part))
        path, annotation = (*path, part), info.annotation if info is not None else None
    return path, model, info, annotation


def _shown(value: object) -> object:
    return None if isinstance(value, dict | list) and len(value) > 3 else value


def _meaning(info: FieldInfo | None) -> str:
    return f"; {info.description[0].lower()}{info.description[1:]}" if info is not None and info.description else ""


def _unknown_key(key: str, model: type[BaseModel] | None) -> str:
    return f"no such key; {fields.nearest(key, fields.keys(model) if model is not None else ())}"


def _own_message(message: str, root: Node, path: Path, annotation: Any) -> Problem:
    """A message of our own validators; one that starts with a field's name is put in that field's line."""
    match = re.match(r"(\w+)(=|: | (?=(?:needs|is|must|has) ))", message)
    model_keys = {key for model in fields.models(annotation) for key in fields.keys(model)}
    if match and match[1] in model_keys:
        return problem_at(root, (*path, match[1]), message.removeprefix(match[0]))
    return problem_at(root, path, message)


def _plain_words(text: str) -> str:
    text = re.sub(r"^Input should be", "must be", text)
    return text[0].lower() + text[1:].rstrip(".")


def _number(what: str) -> Callable[[Mapping[str, Any], FieldInfo | None], str]:
    def message(_: Mapping[str, Any], info: FieldInfo | None) -> str:
        bounds = fields.allowed_range(info) if info is not None else ""
        return f"must be {what}" + (f", {bounds}" if bounds else "")

    return message


def _fixed(text: str) -> Callable[[Mapping[str, Any], FieldInfo | None], str]:
    return lambda *_: text


_RANGE = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_WORDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def _range(kind: str) -> Callable[[Mapping[str, Any], FieldInfo | None], str]:
    bound = _RANGE[kind]

    def message(context: Mapping[str, Any], info: FieldInfo | None) -> str:
        bounds = fields.allowed_range(info) if info is not None else ""
        return f"must be {bounds or f'{_WORDS[bound]} {context[bound]:.12g}'}"

    return message


_TYPE_MESSAGES: dict[str, Callable[[Mapping[str, Any], FieldInfo | None], str]] = {
    **{kind: _range(kind) for kind in _RANGE},
    "float_type": _number("a number"),
    "int_type": _number("a whole number"),
    "int_from_float": _number("a whole number"),
    "finite_number": _fixed("must be a finite number"),
    "string_type": _fixed("must be text; put it in quotes if it looks like something else"),
    "string_too_short": _fixed("must not be empty"),
    "string_too_long": lambda context, _: f"must be at most {context['max_length']} characters long",
    "bool_type": _fixed("must be true or false"),
    "list_type": _fixed("must be a list"),
    "dict_type": _fixed("must be a mapping"),
    "model_type": _fixed("must be a mapping"),
    "model_attributes_type": _fixed("must be a mapping"),
    "too_short": lambda context, _: (
        f"needs at least {context['min_length']} entr" + ("y" if context["min_length"] == 1 else "ies")
    ),
    "literal_error": lambda context, _: f"must be {context['expected'].replace(chr(39), '')}",
}
