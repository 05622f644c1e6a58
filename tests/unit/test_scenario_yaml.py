"""Strict YAML: what the reader takes, what it refuses, where it says so, and that it does so at once."""

from __future__ import annotations

import math
import os
import time

import pytest

from cosim.errors import InputError, Problem
from cosim.scenario.yaml_source import parse_value, parse_yaml, read_yaml, resolve_scalar

LIMIT_S = 1.0
"""Longest a refusal may take. [s]"""


def refusal(text: str) -> Problem:
    """The one problem a text is refused with, found in time."""
    started = time.process_time()
    try:
        _, problems = parse_yaml(text, "x.yaml")
    except InputError as error:
        problems = error.problems
    assert time.process_time() - started < LIMIT_S
    assert len(problems) == 1, problems
    assert "\n" not in str(problems[0])
    return problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-2.5E+3", -2500.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("0b11", "0b11"),
    ],
)
def test_scenario_yaml_scalar_follows_the_core_schema_of_1_2(text, value):
    got = resolve_scalar(text)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", "+.inf", ".nan", ".NaN"])
def test_scenario_yaml_number_that_is_not_finite_is_refused_in_its_line(text):
    assert not math.isfinite(resolve_scalar(text))
    problem = refusal(f"a: 1\nb:\n  - 2\n  - {text}\n")
    assert (problem.path, problem.line) == ("b.1", 4)
    assert "finite" in problem.message


def test_scenario_yaml_every_value_knows_its_line():
    root, _ = parse_yaml("a: 1\n\nb:\n  c:\n    - x\n    - y: {z: 3}\n", "x.yaml")
    assert root.at(("a",)).line == 1
    assert root.at(("b", "c")).line == 4
    assert root.at(("b", "c", 1, "y", "z")).line == 6
    assert root.plain() == {"a": 1, "b": {"c": ["x", {"y": {"z": 3}}]}}


def test_scenario_yaml_alias_is_expanded_in_the_line_that_uses_it():
    root, _ = parse_yaml("a: &one\n  p: 1\nb: *one\n", "x.yaml")
    assert root.plain()["b"] == {"p": 1}
    assert root.at(("b",)).line == 3
    assert root.at(("b", "p")).line == 2


@pytest.mark.parametrize("value", ["!!python/object/apply:os.system [ls]", "!secret x", "!!str 5", "!!binary aGk="])
def test_scenario_yaml_tag_is_refused(value):
    problem = refusal(f"a: 1\nb: {value}\n")
    assert problem.line == 2
    assert "tags are refused" in problem.message


def test_scenario_yaml_key_that_stands_twice_names_both_lines():
    problem = refusal("a: 1\nb: 2\na: 3\n")
    assert (problem.path, problem.line) == ("a", 3)
    assert "line 1" in problem.message


def bomb(levels: int, width: int) -> str:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * width)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(("levels", "width"), [(9, 9), (25, 9), (300, 2)])
def test_scenario_yaml_alias_bomb_is_refused_at_once(levels, width):
    assert "aliases" in refusal(bomb(levels, width)).message


def test_scenario_yaml_alias_to_itself_is_refused():
    assert "anchor" in refusal("a: &x\n  b: *x\n").message


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 100_000, "a: " + "{b: " * 50_000, "\n".join(" " * i + "a:" for i in range(2000))]
)
def test_scenario_yaml_huge_nesting_is_refused_at_once(text):
    assert "nested deeper" in refusal(text).message


def test_scenario_yaml_very_many_values_are_refused():
    with pytest.raises(InputError, match="CSV"):
        parse_yaml("a: [" + "1," * 25_000 + "]", "x.yaml")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "empty"),
        ("# only a comment\n", None, "empty"),
        ("---\n", None, "empty"),
        ("- 1\n- 2\n", 1, "mapping"),
        ("just text\n", 1, "mapping"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("a: 'open\n\n\n", 4, "begins in line 1"),
        ("a: *nowhere\n", 1, "no anchor"),
        ("a: \x01\n", 1, "character"),
        ('a: "\\ud800"\n', 1, "character"),
        ('a: "x\\0y"\n', 1, "character"),
        ("a: 1\n<<: {b: 1}\n", 2, "merge"),
        ("? [a, b]\n: 1\n", 1, "key"),
        ("a: 1.0e300\n", 1, "largest"),
        ("%YAML 3.7\n---\na: 1\n", None, "not valid YAML"),
    ],
)
def test_scenario_yaml_malformed_text_is_one_message_with_its_line(text, line, words):
    problem = refusal(text)
    assert words in problem.message
    assert problem.file == "x.yaml"
    if line is not None:
        assert problem.line == line


def test_scenario_yaml_long_number_is_text_and_costs_nothing():
    digits = "9" * 100_000
    started = time.process_time()
    assert resolve_scalar(digits) == digits
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"a: 1\nb: \xe4\n", bytes(range(128, 256)) * 40])
def test_scenario_yaml_file_that_is_not_utf8_is_refused_with_its_line(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="UTF-8") as caught:
        read_yaml(path)
    assert caught.value.problems[0].line == content.count(b"\n") - content.endswith(b"\n") + 1


def test_scenario_yaml_byte_order_mark_and_crlf_are_taken(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    assert read_yaml(path)[0].plain() == {"a": 1, "b": "x"}


def test_scenario_yaml_folder_missing_and_unreadable_files_say_what_they_are(tmp_path):
    with pytest.raises(InputError, match="folder"):
        read_yaml(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    locked = tmp_path / "locked.yaml"
    locked.write_text("a: 1")
    locked.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(InputError, match="Permission"):
            read_yaml(locked)


def test_scenario_yaml_file_of_many_megabytes_is_refused_at_once(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\n" * 2_000_000)
    started = time.process_time()
    with pytest.raises(InputError, match="kB"):
        read_yaml(path)
    assert time.process_time() - started < LIMIT_S


def test_scenario_yaml_flow_value_parses_on_its_own():
    assert parse_value("[1, {a: 2e0}, null, x]", "--set")[0].plain() == [1, {"a": 2.0}, None, "x"]
