"""What the models allow: walks their annotations, for messages, overrides and the reference page."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cosim.scenario.tree import Node

DISCRIMINATOR = "kind"
"""The key that tells the members of a union apart."""


def bare(annotation: Any) -> Any:
    """An annotation without `Annotated` and without `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
            continue
        members = _members(annotation)
        if len(members) == 1 and members[0] is not annotation:
            annotation = members[0]
            continue
        return annotation


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for member in get_args(annotation) if member is not type(None)]
    return [annotation]


def models(annotation: Any) -> list[type[BaseModel]]:
    """Models a value of this annotation may be: none, one, or the members of a union."""
    members = [bare(member) for member in _members(bare(annotation))]
    return [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields of a model under their YAML keys; a union's discriminator first."""
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    if DISCRIMINATOR in fields:
        fields = {DISCRIMINATOR: fields[DISCRIMINATOR], **fields}
    return fields


def kind_of(model: type[BaseModel]) -> str | None:
    """The value of a model's discriminator, None where it has none."""
    info = model.model_fields.get(DISCRIMINATOR)
    if info is None or get_origin(info.annotation) is not Literal:
        return None
    return str(get_args(info.annotation)[0])


def kinds(annotation: Any) -> list[str]:
    """Discriminators of a union's members; empty where it is no such union."""
    members = models(annotation)
    return [k for m in members if (k := kind_of(m)) is not None] if len(members) > 1 else []


def member(annotation: Any, kind: object) -> type[BaseModel] | None:
    """The model meant: the only one, or the union's member of that kind."""
    members = models(annotation)
    if len(members) == 1:
        return members[0]
    return next((m for m in members if kind_of(m) == kind), None)


def entry(annotation: Any) -> Any:
    """Annotation of the values of a dict or the items of a list; None where it is neither."""
    kind = get_origin(bare(annotation))
    if kind is dict:
        return get_args(bare(annotation))[1]
    if kind in (list, tuple):
        return get_args(bare(annotation))[0]
    return None


def below(annotation: Any, node: Node | None, key: str | int) -> Any:
    """Annotation of what stands under a key; None where the models know of no such key."""
    inner = entry(annotation)
    if inner is not None:
        return inner
    kind = node.child(DISCRIMINATOR) if node is not None else None
    model = member(annotation, kind.value if kind is not None else None)
    info = keys(model).get(str(key)) if model is not None else None
    return info.annotation if info is not None else None


def nearest(wanted: str, known: Iterable[str]) -> str:
    """Known names to offer in place of one: `nearest: a, b`, or all of them where none is near."""
    known = list(known)
    if not known:
        return "there are none"
    near = difflib.get_close_matches(wanted, known, 3, 0.6)
    if not near:
        folded = {name.lower(): name for name in known}
        near = [folded[m] for m in difflib.get_close_matches(wanted.lower(), folded, 3, 0.6)]
    if near:
        return f"nearest: {', '.join(near)}"
    shown = ", ".join(known[:12])
    return f"known: {shown}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def allowed_range(info: FieldInfo) -> str:
    """Bounds of a number in words: `above 0, at most 1`; empty where it has none."""
    bounds = list(_bounds(info.metadata)) + list(_bounds(_annotated_metadata(info.annotation)))
    words = []
    for kind, name, word in _BOUNDS:
        words += [f"{word} {getattr(b, name):.12g}" for b in bounds if isinstance(b, kind)]
    return ", ".join(words)


_BOUNDS = ((at.Gt, "gt", "above"), (at.Ge, "ge", "at least"), (at.Lt, "lt", "below"), (at.Le, "le", "at most"))


def _annotated_metadata(annotation: Any) -> Iterable[Any]:
    for part in _members(annotation):
        if get_origin(part) is Annotated:
            yield from get_args(part)[1:]


def _bounds(metadata: Iterable[Any]) -> Iterable[Any]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        else:
            yield item
