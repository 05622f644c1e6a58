"""The resolved scenario: complete, the same bytes each time, and equal when it is read again."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cosim.scenario import load_scenario, load_text, resolve, scenario_hash
from cosim.scenario.loader import shipped_scenarios
from cosim.scenario.schema import as_dict
from cosim.scenario.text import _mapping
from cosim.scenario.yaml_source import MAX_DEPTH, parse_value

EXAMPLE = Path(__file__).parents[1] / "examples" / "every_kind.yaml"


def test_scenario_resolved_loads_to_an_equal_scenario():
    scenario = load_scenario(EXAMPLE)
    text = resolve(scenario)
    again = load_text(text, EXAMPLE.parent)
    assert again == scenario
    assert resolve(again) == text


def test_scenario_resolved_says_every_default():
    text = resolve(load_scenario(EXAMPLE))
    for key in ("eta_charge: 0.975", "hold_up_s: 0.02", "compression: gzip", "vmin_pu: 0.7", "max_gap_s: null"):
        assert f"{key}\n" in text
    assert "{" not in text.replace("{}", "")


def test_scenario_resolved_is_what_another_reader_of_yaml_reads():
    text = resolve(load_scenario(EXAMPLE))
    assert YAML(typ="safe", pure=True).load(text) == parse_value(text, "x")[0].plain()


def test_scenario_given_as_a_scenario_stays_what_it_is():
    scenario = load_scenario(EXAMPLE)
    assert load_scenario(scenario) == scenario
    assert load_scenario(scenario, {"seed": 8}).seed == 8
    assert load_scenario(scenario).folder == scenario.folder


def test_scenario_hash_tells_values_and_not_layout(tmp_path):
    data = EXAMPLE.read_text().replace("every_kind_trace.csv", str(EXAMPLE.parent / "every_kind_trace.csv"))
    (tmp_path / "a.yaml").write_text(data)
    (tmp_path / "b.yaml").write_text("# a comment\n" + data.replace("seed: 7", "seed:    7.0"))
    (tmp_path / "c.yaml").write_text(data.replace("seed: 7", "seed: 8"))
    a, b, c = (scenario_hash(resolve(load_scenario(tmp_path / f"{n}.yaml"))) for n in "abc")
    assert a == b != c
    assert len(a) == 64


def test_scenario_order_of_keys_in_the_file_does_not_count():
    head = {"name": "x", "schema": 1, "feeder": {"model": "case33bw"}, "time": {"step_s": 0.1, "duration_s": 1}}
    turned = {key: head[key] for key in reversed(head)}
    assert resolve(load_scenario(head)) == resolve(load_scenario(turned))


def test_scenario_is_frozen():
    scenario = load_scenario(EXAMPLE)
    with pytest.raises(ValueError, match="frozen"):
        scenario.seed = 3


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, max_value=1e15, min_value=-1e15) | st.integers(
    -(10**15), 10**15
)
SCALARS = (
    TEXTS | NUMBERS | st.booleans() | st.none() | st.sampled_from(["null", "1e-3", "on", "0x10", "-", "a: b", "#x"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_scenario_text_of_any_values_reads_back_equal(values):
    text = "\n".join(_mapping(values, ""))
    got, problems = parse_value(text, "x") if values else (None, [])
    assert problems == []
    if got is not None:
        assert same(got.plain(), values)


def same(a: object, b: object) -> bool:
    """Equal in value and in type, all the way down."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return type(a) is type(b) and a == b


def test_scenario_depth_allows_what_the_schema_needs():
    text = resolve(load_scenario(EXAMPLE))
    deepest = max((len(line) - len(line.lstrip())) // 2 for line in text.splitlines())
    assert deepest < MAX_DEPTH / 2


@pytest.mark.parametrize("name", sorted(shipped_scenarios()))
def test_resolved_text_reads_back_as_the_values_it_was_written_from(name):
    # A result of a run is given these values instead of reading its own text again.
    scenario = load_scenario(name)
    assert YAML(typ="safe", pure=True).load(resolve(scenario)) == as_dict(scenario)
