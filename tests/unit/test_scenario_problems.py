"""Wrong fields: each named with line, value and what is allowed, all in one answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim.errors import InputError, Problem
from cosim.scenario import load_scenario

EXAMPLE = Path(__file__).parents[1] / "examples" / "every_kind.yaml"
TEXT = EXAMPLE.read_text()


def problems(tmp_path: Path, *edits: tuple[str, str]) -> list[Problem]:
    """Problems of the example with pieces of its text replaced."""
    text = TEXT
    for old, new in edits:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    path = tmp_path / "edited.yaml"
    path.write_text(text)
    (tmp_path / "every_kind_trace.csv").write_bytes((EXAMPLE.parent / "every_kind_trace.csv").read_bytes())
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert caught.value.exit_code == 2
    for problem in caught.value.problems:
        assert "\n" not in str(problem)
        assert "pydantic" not in str(problem).lower()
        assert "input should" not in str(problem).lower()
        assert not problem.message.endswith(".")
    return caught.value.problems


def line_of(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


def test_scenario_example_is_valid():
    scenario = load_scenario(EXAMPLE)
    assert scenario.datacenters["campus"].bus == "5"
    assert scenario.log.nodes == ["1", "17"]
    assert scenario.seed == 7


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("schema: 1", "schema: 2", "schema", "must be 1"),
        ("name: every kind", "name: ''", "name", "empty"),
        ("name: every kind", "name: 12", "name", "must be text"),
        ("seed: 7", "seed: -1", "seed", "at least 0"),
        ("seed: 7", "seed: 1.5", "seed", "whole number"),
        ("seed: 7", "seed: true", "seed", "whole number"),
        ("duration_s: 600", "duration_s: 0", "time.duration_s", "above 0"),
        ("duration_s: 600", "duration_s: ten", "time.duration_s", "must be a number"),
        ("duration_s: 600", "duration_s: '600'", "time.duration_s", "must be a number"),
        ("duration_s: 600", "duration_s: 600.005", "time.duration_s", "whole number of steps"),
        ("duration_s: 600", "duration_s: .inf", "time.duration_s", "finite"),
        ("duration_s: 600", "duration_s: null", "time.duration_s", "null"),
        ("step_s: 0.01", "step_s: 1.5e-7", "time.step_s", "microseconds"),
        ("load_scaling: 0.8", "load_scalling: 0.8", "feeder.load_scalling", "nearest: load_scaling"),
        ("load_scaling: 0.8", "load_scaling: -1", "feeder.load_scaling", "at least 0"),
        ("x_over_r: 10", "vm_pu: 1", "source", "give both or none"),
        ("bus: 5", "bus: 5.10", "datacenters.campus.bus", "quotes"),
        ("bus: 5", "buss: 5", "datacenters.campus.buss", "nearest: bus"),
        ("count: 4096", "count: 4096.5", "datacenters.campus.load.accelerators.count", "whole number, above 0"),
        ("p_idle_w: 70", "p_idle_w: 900", "datacenters.campus.load.accelerators.p_idle_w", "above p_peak_w=700"),
        ("p_base_mw: 0.4", "p_base_mw: -.4", "datacenters.campus.load.p_base_mw", "at least 0"),
        ("kind: training", "kind: trainign", "datacenters.campus.load.jobs.pretrain.kind", "nearest: training"),
        ("    - name: forward\n", "", "", ""),
        (
            "every_s: 142",
            "every_s: 142\n            every_iterations: 3",
            "datacenters.campus.load.jobs.pretrain.evaluation",
            "exactly one of every_s and every_iterations",
        ),
        (
            "rate_per_s: 20",
            "rate_per_s: nan",
            "datacenters.campus.load.jobs.chat.classes.short.rate.0.rate_per_s",
            "must be a number",
        ),
        ("- t_s: 300", "- t_s: 0", "datacenters.campus.load.jobs.chat.classes.short.rate", "rising t_s"),
        ("max_p_charge_mw: 2", "max_p_charge_mw: -2", "datacenters.campus.ups.max_p_charge_mw", "above 0"),
        (
            "max_e_mwh: 0.5",
            "soc_init: 0.99\n      max_e_mwh: 1",
            "datacenters.campus.ups.soc_init",
            "above soc_max=0.95",
        ),
        ("max_e_mwh: 0.5", "soc_init: 1.2\n      max_e_mwh: 1", "datacenters.campus.ups.soc_init", "at most 1"),
        ("      max_e_mwh: 0.5\n", "", "datacenters.campus.ups.max_e_mwh", "is missing; energy"),
        ("  edge:", "  2nd edge:", "datacenters.2nd edge", "letter"),
        ("        measured:", "        a/b:", "datacenters.edge.load.jobs.a/b", "letter"),
        ("kind: job_started", "kind: job_start", "events.0.kind", "nearest: job_started"),
        ("    kind: job_started\n", "", "events.0.kind", "one of job_started"),
        ("at_s: 30\n", "at_s: -1\n", "events.0.at_s", "at least 0"),
        ("vm_pu: 0.7", "vm_pu: 7", "events.3.vm_pu", "at most 1.5"),
        ("scale: 1.5", "scale: 1.5\n    p_mw: 3", "events.2", "exactly one of p_mw and scale"),
        ('nodes:\n    - 1\n    - "17"', "nodes: some", "log.nodes", "all, extremes, or a list"),
        ('nodes:\n    - 1\n    - "17"', "nodes: [1, 1]", "log.nodes", "twice"),
        ('nodes:\n    - 1\n    - "17"', "compression: zip", "log.compression", "'gzip'"),
        ('nodes:\n    - 1\n    - "17"', "lines: []", "log.lines", "all, or a list"),
        ("log:\n  step_s: 0.1\n", "log:\n  step_s: 0.015\n", "log.step_s", "multiple of time.step_s"),
        ("log:\n", "logg:\n", "logg", "nearest: log"),
        ("log:\n", "controllers: {}\nlog:\n", "controllers", "must be a list"),
        ("log:\n", "controllers: [{name: nobody}]\nlog:\n", "controllers.0.name", "no installed package"),
    ],
)
def test_scenario_wrong_field_is_named_in_its_line(tmp_path, old, new, path, words):
    if not path:
        old, new = "- name: forward\n              duration_s", "- duration_ms"
        path, words = "datacenters.campus.load.jobs.pretrain.iteration.0.duration_ms", "nearest: duration_s"
    found = problems(tmp_path, (old, new))
    problem = next((p for p in found if p.path == path), None)
    assert problem is not None, found
    assert words.replace("'", "") in problem.message
    edited = TEXT.replace(old, new, 1)
    key = path.rsplit(".", 1)[-1]
    line = edited.splitlines()[problem.line - 1]
    if "missing" in problem.message or "one of" in problem.message or key.isdigit():
        assert problem.line <= line_of(TEXT, old) + 1
    else:
        assert key in line
    assert problem.file.endswith("edited.yaml")


def test_scenario_wrong_fields_of_every_part_come_in_one_answer_in_order(tmp_path):
    found = problems(
        tmp_path,
        ("seed: 7", "seed: -7"),
        ("colour", "colour") if "colour" in TEXT else ("name: every kind", "name: every kind\ncolour: red"),
        ("count: 4096", "count: none"),
        ("max_e_mwh: 0.5", "max_e_mhw: 0.5"),
        ("at_s: 100\n", "at_s: 1000\n"),
        ("job: tune", "job: tuna"),
        ("step_s: 0.1\n", "step_s: 0.125\n"),
    )
    paths = [p.path for p in found]
    assert set(paths) == {
        "seed",
        "colour",
        "datacenters.campus.load.accelerators.count",
        "datacenters.campus.ups.max_e_mhw",
        "datacenters.campus.ups.max_e_mwh",
        "events.1.at_s",
        "log.step_s",
    }
    assert [p.line for p in found] == sorted(p.line for p in found)


@pytest.mark.parametrize("whole", ["4.096e3", "4096.0"])
def test_scenario_whole_number_may_be_written_as_a_float(tmp_path, whole):
    path = tmp_path / "edited.yaml"
    path.write_text(
        TEXT.replace("count: 4096", f"count: {whole}").replace(
            "every_kind_trace", str(EXAMPLE.parent / "every_kind_trace")
        )
    )
    scenario = load_scenario(path)
    count = scenario.datacenters["campus"].load.accelerators.count
    assert count == 4096
    assert type(count) is int


def test_scenario_missing_file_names_what_is_shipped(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_scenario(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="no shipped scenario"):
        load_scenario("no_such_name")
    with pytest.raises(InputError, match="folder"):
        load_scenario(tmp_path)
    with pytest.raises(InputError):
        load_scenario("x" * 5000)
    with pytest.raises(InputError):
        load_scenario("a\0b")


def test_scenario_of_a_mapping_has_paths_without_lines():
    with pytest.raises(InputError) as caught:
        load_scenario({"schema": 1, "name": "x", "time": {"duration_s": -1}, "feeder": {"model": object()}})
    found = {p.path: p for p in caught.value.problems}
    assert set(found) == {"time.duration_s", "feeder.model"}
    assert all(p.line is None for p in found.values())


def test_scenario_of_a_mapping_without_end_is_refused():
    loop: dict[str, object] = {"schema": 1}
    loop["name"] = loop
    with pytest.raises(InputError, match="nested deeper"):
        load_scenario(loop)


def test_scenario_that_is_empty_names_every_missing_key():
    with pytest.raises(InputError) as caught:
        load_scenario({})
    assert {p.path for p in caught.value.problems} == {"schema", "name", "time", "feeder"}
