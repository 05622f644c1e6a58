"""Whatever is done to a valid scenario, the answer is a scenario or an InputError with places."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cosim.errors import InputError
from cosim.scenario import load_scenario, load_text, parse_overrides, resolve

EXAMPLE = Path(__file__).parents[1] / "examples" / "every_kind.yaml"
TEXT = EXAMPLE.read_text()
PLAIN: dict[str, Any] = YAML(typ="safe", pure=True).load(EXAMPLE)
PLAIN["datacenters"]["edge"]["load"]["jobs"]["measured"]["file"] = str(EXAMPLE.parent / "every_kind_trace.csv")


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a nested value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, inner in pairs for p in paths(inner, (*path, key)))]


PATHS = [p for p in paths(PLAIN) if p]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([[], {}, "training", "all", "1e-3", 1e300, -0.0, 10**400, b"x", [[]], {"kind": "trace"}]),
    st.sampled_from(PATHS).map(lambda path: at(PLAIN, path)),
)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return copy.deepcopy(value)


def mutate(data: Any, path: tuple[Any, ...], action: str, value: Any) -> None:
    """Replace, delete, rename or add at a path; nothing where an earlier mutation took it away."""
    try:
        parent = data
        for key in path[:-1]:
            parent = parent[key]
        if action == "replace":
            parent[path[-1]] = value
        elif action == "delete":
            del parent[path[-1]]
        elif action == "rename":
            parent[f"{path[-1]}x"] = parent.pop(path[-1])
        elif isinstance(parent, list):
            parent.append(value)
        else:
            parent[str(value)] = value
    except (KeyError, IndexError, TypeError, AttributeError):
        return


def check(load: Any) -> None:
    """A load gives a scenario that comes back equal, or problems that can be shown."""
    scenario, problems = None, []
    try:
        scenario = load()
    except InputError as error:
        problems = error.problems
    if scenario is None:
        assert problems
        assert all(p.message and "\n" not in str(p) for p in problems)
        return
    text = resolve(scenario)
    again = load_text(text, EXAMPLE.parent)
    assert again == scenario
    assert resolve(again) == text


MUTATIONS = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(["replace", "delete", "rename", "add"]), ODD), max_size=4
)


@given(MUTATIONS)
def test_scenario_mutated_gives_a_scenario_or_problems(mutations):
    data = copy.deepcopy(PLAIN)
    for path, action, value in mutations:
        mutate(data, path, action, value)
    check(lambda: load_scenario(data))


@given(st.dictionaries(st.sampled_from(PATHS).map(lambda p: ".".join(map(str, p))), ODD, max_size=4))
def test_scenario_overridden_anywhere_gives_a_scenario_or_problems(overrides):
    check(lambda: load_scenario(PLAIN, overrides))


@given(st.text("=.[]{}:,&*!|>'\"%#@`?-\\ \n\t01e~ab", max_size=20))
def test_scenario_override_text_gives_a_value_or_problems(text):
    try:
        values = parse_overrides([text])
    except InputError:
        return
    assert len(values) == 1


@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 40),
    st.text("=.[]{}:,&*!|>'\"%#@`?-\\ \n\t01e~ab\x00\x85\ufeff\U0001f600", max_size=12),
)
def test_scenario_text_with_a_piece_replaced_gives_a_scenario_or_problems(start, length, piece):
    check(lambda: load_text(TEXT[:start] + piece + TEXT[start + length :], EXAMPLE.parent, label="x.yaml"))
