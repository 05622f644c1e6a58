"""Every key a scenario may have, as a page: `python -m cosim.scenario.reference > docs/scenario.md`."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cosim.scenario import fields
from cosim.scenario.schema import NAME_PATTERN, Scenario
from cosim.scenario.tree import MAX_DEPTH, MAX_MAGNITUDE
from cosim.scenario.yaml_source import MAX_ALIASES, MAX_BYTES, MAX_NODES

_HEAD = f"""\
# Scenario

One YAML file describes one run. This page lists every key it may have; it is made from the models that check
it (`python -m cosim.scenario.reference > docs/scenario.md`), and a test holds it to them.

- Short files are complete: what is not given has the default below. `cosim check FILE --resolve` prints the
  scenario with every default written out; each log stores that text, and it loads again to an equal scenario.
- Unknown keys are refused and the nearest known ones named. All problems of a file come in one answer, each with
  file, line, path, what is allowed and what was found.
- `--set path.to.key=value` replaces a value before anything is checked. The path is dotted, list entries go by
  their number from 0 (`events.0.at_s=3`), the value is YAML (`--set datacenters.campus.ups=null` takes a UPS away).
- File names (traces, feeders that end in `.json` or `.dss`, `dss_root`) start in the folder of the scenario.
- Keys carry their unit as a suffix; the unit column repeats it. Consumption is positive for loads, data centers
  and storage, generation for sources.
- Names of data centers and jobs match `{NAME_PATTERN}`. Ids of buses, lines, switches and loads are those of the
  feeder: a unique name, else the index; a whole number is taken as text; those of an OpenDSS feeder in either
  case. Of an unbalanced feeder `bus.1.3` means phases 1 and 3 of a bus and
  `bus` all of them; put `"671.1"` in quotes, for it looks like a number.
- The dialect is YAML 1.2: `1e-3` is a number, `on` is text. Refused are tags, merge keys, keys that stand twice,
  second documents, numbers that are not finite or beyond {MAX_MAGNITUDE:g}, nesting beyond {MAX_DEPTH} levels,
  files beyond {MAX_BYTES // 10**3} kB, more than {MAX_ALIASES} aliases or {MAX_NODES} values with aliases expanded.
- Numbers are not taken from text (`"5"`) nor from `true`; a whole number may be written as `1e6`.

Across parts these must agree, or the file is refused: `time.duration_s` and `log.step_s` are whole multiples of
`time.step_s`, and the latter is no longer than the run; every event lies within the run, its end included; events name
data centers, jobs and UPS that exist; losses and returns of the source (and of a UPS) take turns, dips do not overlap,
nor do faults at one place, where at one time what ends comes before what starts; buses, loads, switches and lines exist
in the feeder, and so do the phases of faults and the places of protection; a data center's bus has voltage, unless a
switch_closed event or a controller may give it; files exist; weights of jobs that run together sum to at most one.
"""


def page() -> str:
    """The reference page, in Markdown."""
    places = _places()
    parts = [_HEAD]
    for model, paths in places.items():
        parts.append("\n".join(_section(model, paths)))
    return "\n".join(parts)


def _places() -> dict[type[BaseModel], list[str]]:
    """Every model with the paths at which it stands, in the order of the schema."""
    found: dict[type[BaseModel], list[str]] = {}

    def visit(model: type[BaseModel], path: str) -> None:
        paths = found.setdefault(model, [])
        if path in paths:
            return
        paths.append(path)
        for key, info in fields.keys(model).items():
            for inner, suffix in _inner_models(info.annotation):
                visit(inner, f"{path}.{key}{suffix}".lstrip("."))

    visit(Scenario, "")
    return found


def _inner_models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """Models below a field, with what its path adds: `.<name>` in a mapping, `.<i>` in a list."""
    inner = fields.entry(annotation)
    if inner is not None:
        own = ".<name>" if get_origin(fields.bare(annotation)) is dict else ".<i>"
        for model, suffix in _inner_models(inner):
            yield model, own + suffix
        return
    for model in fields.models(annotation):
        yield model, ""


def _title(model: type[BaseModel]) -> str:
    kind = fields.kind_of(model)
    if kind is not None:
        return f"kind: {kind}"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__.removesuffix("Config"))
    return "UPS" if words == "Ups" else words[0] + words[1:].lower()


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")


def _section(model: type[BaseModel], paths: list[str]) -> Iterator[str]:
    shown = [f"`{path}`" for path in paths if path]
    yield f"## {_title(model)}"
    yield ""
    if shown:
        yield f"At {', '.join(shown)}."
        yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| Key | Type | Unit | Default | Allowed | Meaning |"
    yield "|---|---|---|---|---|---|"
    for key, info in fields.keys(model).items():
        yield _row(key, info)
    yield ""


def _row(key: str, info: FieldInfo) -> str:
    text = info.description or ("Which of the kinds this is" if key == fields.DISCRIMINATOR else "")
    meaning, unit = text, ""
    if match := re.fullmatch(r"(.*?) ?\[([^\]]+)\]", text):
        meaning, unit = match[1], match[2]
    cells = [f"`{key}`", _type(info.annotation), unit, _default(info), _allowed(info), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    models = fields.models(annotation)
    if len(models) > 1:
        return "one of " + ", ".join(f"[{fields.kind_of(m)}](#{_anchor(_title(m))})" for m in models)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(member) for member in get_args(annotation))
    if origin is Literal:
        return " or ".join(f"`{_scalar(value)}`" for value in get_args(annotation))
    if origin is dict:
        return f"mapping of names, each {_type(get_args(annotation)[1])}"
    if origin is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if models:
        return f"[{_title(models[0])}](#{_anchor(_title(models[0]))})"
    return _WORDS[annotation]


_WORDS: dict[Any, str] = {
    float: "number",
    int: "whole number",
    str: "text",
    bool: "`true` or `false`",
    type(None): "`null`",
    tuple[tuple[float, float], ...]: "list of pairs of numbers",
}


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    assert value is not PydanticUndefined
    short = _flow(value)
    if isinstance(value, BaseModel) and short == "{}":
        return "its defaults"
    return f"`{short}`" if len(short) <= 90 else f"{len(value)} entries; `cosim check --resolve` shows them"


def _flow(value: Any) -> str:
    """A default in flow style, short: of models only what differs from their own defaults."""
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in given.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return _scalar(value)


def _scalar(value: object) -> str:
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def _allowed(info: FieldInfo) -> str:
    words = [fields.allowed_range(info)]
    for bound in info.metadata:
        length = getattr(bound, "min_length", None)
        if length:
            words.append("not empty" if length == 1 else f"at least {length}")
    return ", ".join(word for word in words if word)


if __name__ == "__main__":
    print(page(), end="")
