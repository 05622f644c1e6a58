"""Contradictions: with the feeder, between events, with files that are not there."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cosim.errors import InputError, Problem
from cosim.scenario import FeederNames, check_against_feeder, load_scenario

EXAMPLE = Path(__file__).parents[1] / "examples" / "every_kind.yaml"
NUMBERS = tuple(str(i) for i in range(33))
NAMES = FeederNames(buses=NUMBERS, loads=NUMBERS, switches=("tie1", "tie2"), lines=NUMBERS)


def plain() -> dict[str, Any]:
    data = YAML(typ="safe", pure=True).load(EXAMPLE)
    for job in (
        data["datacenters"]["edge"]["load"]["jobs"]["measured"],
        data["datacenters"]["campus"]["load"]["jobs"]["replay"]["arrivals"],
    ):
        job["file"] = str(EXAMPLE.parent / "every_kind_trace.csv")
    return copy.deepcopy(data)


def problems(data: dict[str, Any]) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        load_scenario(data)
    return caught.value.problems


def with_events(*events: dict[str, Any]) -> dict[str, Any]:
    return plain() | {"events": list(events)}


def lost(at_s: float, **more: Any) -> dict[str, Any]:
    return {"at_s": at_s, "kind": "source_lost", **more}


def returned(at_s: float) -> dict[str, Any]:
    return {"at_s": at_s, "kind": "source_returned"}


def dip(at_s: float, duration_s: float) -> dict[str, Any]:
    return {"at_s": at_s, "kind": "dip_started", "vm_pu": 0.5, "duration_s": duration_s}


@pytest.mark.parametrize(
    ("overrides", "path", "words"),
    [
        ({"datacenters.campus.bus": "33"}, "datacenters.campus.bus", "no such bus; nearest: 3"),
        ({"datacenters.edge.bus": "bus x"}, "datacenters.edge.bus", "no such bus; known: 0, 1"),
        ({"events.2.load": "44"}, "events.2.load", "no such load"),
        ({"events.7.switch": "tie3"}, "events.7.switch", "no such switch; nearest: tie"),
        ({"events.7.switch": "line:99"}, "events.7.switch", "nearest: line:9"),
        ({"log.nodes": ["1", "99"]}, "log.nodes.1", "no such bus; nearest: 9"),
        ({"log.lines": ["x"]}, "log.lines.0", "no such line"),
    ],
)
def test_scenario_id_that_the_feeder_lacks_names_the_nearest(overrides, path, words):
    found = check_against_feeder(
        load_scenario(EXAMPLE, overrides), NAMES.buses, NAMES.loads, NAMES.switches, NAMES.lines
    )
    assert [p.path for p in found] == [path]
    assert words in found[0].message
    assert found[0].file == "--set"


def test_scenario_ids_that_the_feeder_has_pass():
    scenario = load_scenario(EXAMPLE, names_of=lambda *_: NAMES)
    assert check_against_feeder(scenario, NAMES.buses, NAMES.loads, NAMES.switches, NAMES.lines) == []


def test_scenario_feeder_and_schema_are_answered_together():
    overrides = {"datacenters.campus.bus": "99", "datacenters.campus.ups.soc_init": 2, "seed": -1}
    with pytest.raises(InputError) as caught:
        load_scenario(EXAMPLE, overrides, names_of=lambda *_: NAMES)
    assert {p.path for p in caught.value.problems} == set(overrides)


def test_scenario_unknown_feeder_is_placed_at_its_line():
    def names_of(model: str, dss_root: str | None) -> FeederNames:
        raise InputError(Problem("no such feeder; nearest: case33bw", value=model))

    with pytest.raises(InputError) as caught:
        load_scenario(EXAMPLE, names_of=names_of)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("feeder.model", 10)
    assert problem.value == "case33bw"


def test_scenario_relative_files_start_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario(EXAMPLE)
    jobs = [("campus", "replay", "arrivals"), ("edge", "measured")]
    wanted = [("datacenters", site, "load", "jobs", *job, "file") for site, *job in jobs]
    assert [path for path, _ in scenario.trace_files()] == wanted
    assert {file for _, file in scenario.trace_files()} == {EXAMPLE.parent / "every_kind_trace.csv"}
    asked: list[str] = []
    (tmp_path / "net.json").write_text("{}")
    (tmp_path / "x.yaml").write_text("schema: 1\nname: x\ntime:\n  duration_s: 1\nfeeder:\n  model: net.json\n")
    monkeypatch.chdir("/")
    load_scenario(tmp_path / "x.yaml", names_of=lambda model, _: asked.append(model) or NAMES)
    assert asked == [str(tmp_path / "net.json")]


@pytest.mark.parametrize("name", ["none.csv", "x" * 5000, "."])
def test_scenario_trace_that_is_missing_is_named(name):
    data = plain()
    data["datacenters"]["edge"]["load"]["jobs"]["measured"]["file"] = name
    (problem,) = problems(data)
    assert problem.path == "datacenters.edge.load.jobs.measured.file"
    assert "no such file" in problem.message


def test_scenario_feeder_file_that_is_missing_is_named():
    (problem,) = problems(plain() | {"feeder": {"model": "nets/none.json"}})
    assert problem.path == "feeder.model"


@pytest.mark.parametrize(
    ("events", "path", "words"),
    [
        ([lost(600.5)], "events.0.at_s", "after the end of the run, time.duration_s = 600"),
        ([lost(590, duration_s=20)], "events.0.duration_s", "ends at 610 s, after the end"),
        ([dip(599.99, 0.1)], "events.0.duration_s", "after the end"),
        ([returned(5)], "events.0.at_s", "source is not out"),
        ([lost(5), lost(6)], "events.1.at_s", "source is out already"),
        ([lost(5, duration_s=5), lost(9)], "events.1.at_s", "until 10 s"),
        ([lost(5, duration_s=5), returned(7)], "events.1.at_s", "returns by itself at 10 s"),
        ([lost(5, duration_s=5), returned(12)], "events.1.at_s", "not out"),
        ([returned(9), lost(5), returned(7)], "events.0.at_s", "not out"),
        ([dip(5, 2), dip(6, 2)], "events.1.at_s", "dip of events.0 lasts, until 7 s"),
        ([dip(6, 2), dip(5, 9)], "events.0.at_s", "dip of events.1"),
        ([{"at_s": 1, "kind": "ups_in_service", "datacenter": "campus"}], "events.0.at_s", "UPS of campus is not out"),
        ([{"at_s": 1, "kind": "ups_out_of_service", "datacenter": "edge"}], "events.0.datacenter", "edge has no UPS"),
        (
            [{"at_s": 1, "kind": "job_failed", "datacenter": "camp", "job": "x"}],
            "events.0.datacenter",
            "no such data center; nearest: campus",
        ),
        (
            [{"at_s": 1, "kind": "job_failed", "datacenter": "campus", "job": "chatt"}],
            "events.0.job",
            "campus has no such job; nearest: chat",
        ),
    ],
)
def test_scenario_events_that_contradict_are_named(events, path, words):
    (problem,) = problems(with_events(*events))
    assert problem.path == path
    assert words in problem.message


@pytest.mark.parametrize(
    "events",
    [
        [lost(5, duration_s=5), lost(10, duration_s=5)],
        [lost(5), returned(6), lost(7), returned(7.5), lost(8)],
        [dip(5, 2), dip(7, 2)],
        [lost(600)],
        [dip(590, 10)],
    ],
)
def test_scenario_events_that_follow_each_other_pass(events):
    assert len(load_scenario(with_events(*events)).events) == len(events)


def test_scenario_that_sheds_a_job_of_nobody_is_named_with_the_nearest():
    shed = {"datacenters.campus.ups.shedding": [{"soc": 0.5, "jobs": ["chat", "chatt"]}]}
    with pytest.raises(InputError) as caught:
        load_scenario(EXAMPLE, shed)
    (problem,) = caught.value.problems
    assert problem.path == "datacenters.campus.ups.shedding.0.jobs.1"
    assert "campus has no such job; nearest: chat" in problem.message


def test_scenario_event_on_a_data_center_that_is_itself_wrong_is_not_blamed():
    data = plain()
    data["datacenters"]["campus"]["ups"]["soc_init"] = 2
    assert [p.path for p in problems(data)] == ["datacenters.campus.ups.soc_init"]


@pytest.mark.parametrize(("step_s", "log_step_s"), [(0.01, 0.1), (0.001, 0.1), (1.0, 1.0), (0.03, 0.12), (0.25, 0.25)])
def test_scenario_log_step_defaults_to_a_multiple_of_the_step(step_s, log_step_s):
    data = {"schema": 1, "name": "x", "time": {"duration_s": 600, "step_s": step_s}, "feeder": {"model": "case33bw"}}
    assert load_scenario(data).log.step_s == pytest.approx(log_step_s, abs=1e-12)


@pytest.mark.parametrize("path", ["datacenters.campus.facility.restart_s", "datacenters.campus.load.jobs.tune.start_s"])
def test_scenario_time_that_no_clock_holds_is_refused(path):
    with pytest.raises(InputError, match="at most 1e"):
        load_scenario(EXAMPLE, {path: 1e12})


def test_what_happens_at_one_time_is_checked_in_the_order_of_the_queue():
    """A return comes before a loss of the same time: written together, the source would stay lost."""
    found = problems(with_events(lost(20), returned(20)))
    assert [p.path for p in found] == ["events.1.at_s"]
    assert "a return comes before a loss" in found[0].message
    load_scenario(with_events(lost(10), returned(20), lost(20), returned(30)))
    load_scenario(with_events(lost(20), returned(30), lost(10), returned(20)))


def test_ends_are_compared_in_whole_microseconds():
    """0.1 + 0.2 is above 0.3 in floating point."""
    load_scenario(with_events(dip(0.1, 0.2), dip(0.3, 0.1)))


def test_a_log_step_longer_than_the_run_is_refused():
    data = plain()
    data["log"] = {"step_s": 2 * data["time"]["duration_s"]}
    (found,) = problems(data)
    assert (found.path, "is longer than the run" in found.message) == ("log.step_s", True)


def test_a_data_center_without_supply_is_refused_unless_a_switch_may_give_it():
    scenario = load_scenario(plain() | {"events": []})
    ids = (NAMES.buses, NAMES.loads, NAMES.switches, NAMES.lines)
    bus = scenario.datacenters["campus"].bus
    (found,) = check_against_feeder(scenario, *ids, dead_buses={bus})
    assert (found.path, "has no voltage" in found.message) == ("datacenters.campus.bus", True)
    closed = {"at_s": 1, "kind": "switch_closed", "switch": "tie1"}
    assert check_against_feeder(load_scenario(with_events(closed)), *ids, dead_buses={bus}) == []


def test_rules_across_fields_speak_beside_a_wrong_field_of_the_same_block():
    data = plain()
    ups = data["datacenters"]["campus"]["ups"] | {"soc_min": 0.6, "soc_target": 0.5, "eta_charge": 7}
    data["datacenters"]["campus"]["ups"] = ups
    alone = copy.deepcopy(data)
    alone["datacenters"]["campus"]["ups"]["eta_charge"] = 0.9
    (rule,) = problems(alone)
    both = {(p.path, p.message) for p in problems(data)}
    assert (rule.path, rule.message) in both
    assert "datacenters.campus.ups.eta_charge" in {path for path, _ in both}


def test_a_rule_that_needs_the_wrong_field_is_not_believed():
    data = with_events({"at_s": 1, "kind": "load_changed", "load": "5", "scale": "much"})
    (found,) = problems(data)
    assert found.path == "events.0.scale"
