"""`--set`: what replaces what, and what is said of paths and values that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim.errors import InputError
from cosim.scenario import load_scenario, parse_overrides, resolve
from cosim.scenario.tree import from_python

EXAMPLE = Path(__file__).parents[1] / "examples" / "every_kind.yaml"


def test_scenario_overrides_parse_as_yaml_values():
    parsed = parse_overrides(
        ["a.b=2", "c=1e-3", "d=null", "e=true", "f=text with = sign", "g=[1, {h: 2}]", "i=", "j='5'", "a.b=3"]
    )
    assert parsed == {
        "a.b": 3,
        "c": 0.001,
        "d": None,
        "e": True,
        "f": "text with = sign",
        "g": [1, {"h": 2}],
        "i": None,
        "j": "5",
    }


def test_scenario_overrides_that_are_malformed_come_in_one_answer():
    with pytest.raises(InputError) as caught:
        parse_overrides(["a.b", "=3", "c=[1, 2", "d=!!str x", "e=.nan", "f=1\n---\n2"])
    assert len(caught.value.problems) == 6
    assert all(p.file == "--set" for p in caught.value.problems)


def test_scenario_override_replaces_adds_and_removes():
    scenario = load_scenario(
        EXAMPLE,
        {
            "datacenters.campus.ups.max_e_mwh": 3,
            "datacenters.campus.facility.rectifier.max_p_mw": 9.5,
            "events.0.at_s": 31.0,
            "source": None,
            "datacenters.campus.facility.frequency": None,
            "datacenters.campus.ups.frequency": None,
            "datacenters.edge.bus": 7,
        },
        seed=99,
    )
    assert scenario.datacenters["campus"].ups.max_e_mwh == 3
    assert scenario.datacenters["campus"].facility.rectifier.max_p_mw == 9.5
    assert scenario.events[0].at_s == 31
    assert scenario.source is None
    assert scenario.datacenters["edge"].bus == "7"
    assert scenario.seed == 99


def test_scenario_override_takes_a_ups_away():
    overrides = {"datacenters.campus.ups": None, "events": []}
    assert load_scenario(EXAMPLE, overrides).datacenters["campus"].ups is None


def test_scenario_override_leaves_the_rest_alone():
    assert load_scenario(EXAMPLE, {"seed": 7}) == load_scenario(EXAMPLE)
    assert resolve(load_scenario(EXAMPLE, {"seed": 8})) == resolve(load_scenario(EXAMPLE)).replace("seed: 7", "seed: 8")


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        ("datacenters.campsu.bus", 3, "datacenters.campsu", "nearest: campus"),
        ("datacenters.campus.upss.soc_init", 1, "datacenters.campus.upss", "nearest: ups"),
        ("datacenters.campus.ups.soc_initt", 1, "datacenters.campus.ups.soc_initt", "nearest: soc_init"),
        ("datacenters.campus.load.jobs.pretrian.start_s", 1, "datacenters.campus.load.jobs.pretrian", "pretrain"),
        ("events.40.at_s", 3, "events.40", "has 19 entries, 0 to 18"),
        ("events.x.at_s", 3, "events.x", "no such entry"),
        ("events.-1.at_s", 3, "events.-1", "no such entry"),
        ("name.x", 3, "name.x", "single value"),
        ("tiem.step_s", 3, "tiem", "nearest: time"),
        ("", 3, "", "no such key"),
        ("time..step_s", 3, "time.", "no such path"),
        ("time.duration_s", -5, "time.duration_s", "above 0"),
        ("time.duration_s", float("nan"), "time.duration_s", "finite"),
        ("time.duration_s", "long", "time.duration_s", "must be a number"),
        ("datacenters.campus.ups", 5, "datacenters.campus.ups", "must be a mapping"),
        ("datacenters.campus.ups.soc_init", 0.99, "datacenters.campus.ups.soc_init", "above soc_max"),
    ],
)
def test_scenario_override_that_is_wrong_is_placed_at_set(path, value, where, words):
    with pytest.raises(InputError) as caught:
        load_scenario(EXAMPLE, {path: value})
    problem = next(p for p in caught.value.problems if p.path == where)
    assert problem.file == "--set"
    assert problem.line is None
    assert words in problem.message


def test_scenario_override_through_a_missing_block_makes_it():
    scenario = load_scenario(EXAMPLE, {"datacenters.edge.facility.cooling.chiller_cop": 4})
    assert scenario.datacenters["edge"].facility.cooling.chiller_cop == 4
    with pytest.raises(InputError) as caught:
        load_scenario(EXAMPLE, {"datacenters.edge.ups.max_e_mwh": 4})
    assert {p.path.rsplit(".", 1)[1] for p in caught.value.problems} == {
        "max_p_charge_mw",
        "max_p_discharge_mw",
        "max_ramp_mw_per_s",
        "max_decline_mw_per_s",
    }


def test_scenario_override_of_a_null_entry_fills_it():
    event = {"kind": "job_failed", "datacenter": "campus", "job": "tune", "at_s": 5}
    overrides = {"events.2": None, **{f"events.2.{key}": value for key, value in event.items()}}
    assert load_scenario(EXAMPLE, overrides).events[2].model_dump() == event


def test_scenario_override_of_a_seed_that_is_wrong_is_placed_at_seed():
    with pytest.raises(InputError, match="--seed: seed: must be at least 0"):
        load_scenario(EXAMPLE, seed=-3)


def test_scenario_tree_copy_does_not_change_what_it_was_made_from():
    root, _ = from_python({"a": {"b": [1, 2]}})
    changed = root.replaced(("a", "b", 1), from_python(5)[0])
    assert root.plain() == {"a": {"b": [1, 2]}}
    assert changed.plain() == {"a": {"b": [1, 5]}}
