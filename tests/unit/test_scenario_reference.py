"""The reference page lists every key there is, as the models have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cosim.scenario import load_scenario, resolve
from cosim.scenario.reference import page

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "examples" / "every_kind.yaml"


def test_scenario_reference_page_is_up_to_date():
    written = (ROOT / "docs" / "scenario.md").read_text()
    assert written == page(), "run: python -m cosim.scenario.reference > docs/scenario.md"


def keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys(inner)}
    return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()


NAMES = {"campus", "edge", "pretrain", "tune", "chat", "measured", "short", "assist", "replay"}
NAMES |= {"agents", "idle", "burst"}


@pytest.mark.parametrize("key", sorted(keys(YAML(typ="safe", pure=True).load(resolve(load_scenario(EXAMPLE)))) - NAMES))
def test_scenario_reference_lists_every_key_with_a_meaning(key):
    rows = [line for line in page().splitlines() if line.startswith(f"| `{key}` |")]
    assert rows
    assert all(row.split("|")[-2].strip() for row in rows)
