"""Strict validation against the models, and what it finds behind its first errors."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def validated(annotation: Any, plain: Any) -> Any:
    """Validate strictly, but take 1e6 for a whole number: `plain` is mended in place.

    Strict, since text and truth values are no numbers here whatever Python makes of them.
    """
    adapter = _adapter(annotation)
    try:
        return adapter.validate_python(plain, strict=True)
    except ValidationError as error:
        whole = [
            e["loc"]
            for e in error.errors(include_url=False)
            if e["type"] == "int_type" and isinstance(e["input"], float) and e["input"].is_integer()
        ]
        if not whole:
            raise
    for loc in whole:
        _make_int(plain, loc)
    return adapter.validate_python(plain, strict=True)


def _make_int(plain: Any, loc: tuple[str | int, ...]) -> None:
    """Turn the float at a location of pydantic's into an int, in place; its labels of unions are passed over."""
    for part in loc[:-1]:
        if isinstance(plain, list):
            plain = plain[int(part)]
        elif part in plain:
            plain = plain[part]
    plain[loc[-1]] = int(plain[loc[-1]])


def errors_behind(annotation: Any, plain: Any, errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Errors that hide behind others: rules across the fields of a block speak once each field of it is valid.

    The wrong fields are taken out, so that their defaults stand in, and the rest is validated again. A rule that
    names one of the fields taken out is not believed.

    Parameters
    ----------
    annotation
        What `plain` was validated against.
    plain : mapping
        The document; not changed.
    errors : sequence
        What validating it gave.
    """
    rest = copy.deepcopy(plain)
    gone = {str(name) for error in errors if (name := _take_out(rest, error["loc"])) is not None}
    if not gone:
        return []
    try:
        validated(annotation, rest)
    except ValidationError as again:
        said = {(error["loc"], error["type"]) for error in errors}
        return [
            error
            for error in again.errors(include_url=False)
            if error["type"] == "value_error"
            and (error["loc"], error["type"]) not in said
            and not gone & set(re.findall(r"\w+", str(error["ctx"]["error"])))
        ]
    return []


def _take_out(plain: Any, loc: Iterable[str | int]) -> str | int | None:
    """Delete the value at a location of pydantic's, in place, and name it; list items stay, or others would move."""
    parts = list(loc)
    for part in parts[:-1]:
        in_list = isinstance(plain, list) and isinstance(part, int) and part < len(plain)
        if in_list or (isinstance(plain, dict) and part in plain):
            plain = plain[part]
    if parts and isinstance(plain, dict) and parts[-1] in plain:
        del plain[parts[-1]]
        return parts[-1]
    return None
