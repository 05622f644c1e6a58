"""Studies: what their files may say, the tasks they make, what a run's identity depends on, searches."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import InputError
from cosim.scenario import load_scenario
from cosim.scenario.loader import shipped_studies
from cosim.study.bisection import Verdict, search
from cosim.study.distributions import Choice, Normal, Triangular
from cosim.study.expand import Base, check_points, n_task, tasks
from cosim.study.identity import Identities
from cosim.study.loader import load_study
from cosim.study.sampling import quantile

HEAD = "schema: 1\nname: s\nscenario: quickstart_no_ups\n"


def written(tmp_path, body, name="s.yaml"):
    path = tmp_path / name
    path.write_text(HEAD + body)
    return path


def test_grid_has_every_combination_once_and_counts_them_before(tmp_path):
    body = "kind: sweep\ngrid:\n  time.duration_s: [10, 20]\n  seed:\n    start: 1\n    stop: 3\n    n: 3\n"
    base = Base.of(load_study(written(tmp_path, body)))
    found = [tuple(task.inputs.values()) for task in tasks(base)]
    assert found == [(10, 1), (10, 2), (10, 3), (20, 1), (20, 2), (20, 3)]
    assert n_task(base) == 6


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("kind: sweep\ngird:\n  seed: [1]\n", 5, "nearest: grid"),
        ("kind: sweeps\n", 4, "no such kind; nearest: sweep"),
        ("kind: sweep\ngrid:\n  seed: []\n", 6, "not empty"),
        ("kind: monte_carlo\nn: 0\n", 5, "at least 1"),
        ("kind: sensitivities\n", 4, "no such kind; nearest: sensitivity"),
    ],
)
def test_wrong_study_is_refused_with_its_line(tmp_path, body, line, words):
    with pytest.raises(InputError) as refused:
        load_study(written(tmp_path, body))
    assert any(p.line == line and words in p.message for p in refused.value.problems), refused.value


def test_unknown_path_is_refused_in_its_line_before_anything_runs(tmp_path):
    body = "kind: sweep\ngrid:\n  time.step_s: [0.01]\n  time.duratoin_s: [10, 20]\n"
    base = Base.of(load_study(written(tmp_path, body)))
    with pytest.raises(InputError) as refused:
        check_points(base)
    [problem] = refused.value.problems
    assert (problem.path, problem.line) == ("time.duratoin_s", 7)
    assert "duration_s" in problem.message


def test_identity_changes_with_what_a_run_depends_on_and_nothing_else(tmp_path):
    ids = Identities()
    first = ids.of(load_scenario("quickstart"), {})
    assert ids.of(load_scenario("quickstart"), {}) == first
    assert ids.of(load_scenario("quickstart", {"time.step_s": 0.01}), {}) == first  # its own value, said aloud
    assert ids.of(load_scenario("quickstart", seed=2), {}) != first
    assert ids.of(load_scenario("quickstart", {"time.duration_s": 730}), {}) != first


def test_bisection_finds_the_edge_and_a_hole_beyond_it():
    def judge(size):
        return Verdict(size <= 3.3 or 6.9 < size < 7.1)

    found = search(judge, 0, 10, 0.01, n_probe=11)
    assert found.size == pytest.approx(3.3, abs=0.01)
    assert found.size <= 3.3
    assert not found.is_monotone
    assert found.again_at == 7
    assert search(lambda s: Verdict(s >= 4.2), 10, 0, 0.01, n_probe=3).size == pytest.approx(4.2, abs=0.01)
    assert search(lambda s: Verdict(s <= 41), 0, 100, 1, n_probe=3, whole=True).size == 41


def test_quantiles_are_those_of_scipy():
    from scipy import stats

    u = np.linspace(0.01, 0.99, 33)
    cut = Normal(kind="normal", mean=2, std=3, min=0, max=4)
    assert quantile(cut, u) == pytest.approx(stats.truncnorm(-2 / 3, 2 / 3, 2, 3).ppf(u), abs=1e-9)
    assert quantile(Triangular(kind="triangular", min=1, mode=2, max=5), u) == pytest.approx(
        stats.triang(0.25, 1, 4).ppf(u)
    )
    drawn = quantile(
        Choice(kind="choice", values=["a", "b"], weights=[3, 1]),
        np.array([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.76, 0.85, 0.95]),
    )
    assert drawn == ["a"] * 7 + ["b"] * 3


@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_shipped_study_passes_its_checks(name):
    base = Base.of(load_study(name))
    check_points(base)
    assert n_task(base) > 1


def test_outages_are_checked_and_stand_beside_the_run_without_any(tmp_path):
    base = Base.of(load_study(written(tmp_path, "kind: contingency\nat_s: 10\nlines: [line 10]\nsource: false\n")))
    check_points(base)
    assert [task.inputs["outage"] for task in tasks(base)] == ["none", "line Line 10"]
