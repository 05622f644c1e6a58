"""What a study refuses before anything runs, each with words that say what to do."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

import cosim.study.study
from cosim.errors import EnvironmentFailure, InputError
from cosim.study import Place, load_study, run_study
from cosim.study.expand import Base, check_points
from cosim.study.folder import FACTS

HEAD = "schema: 1\nname: {}\nscenario: quickstart_no_ups\n"
SWEEP = "kind: sweep\nset:\n  time.duration_s: 5\n  events: []\ngrid:\n  seed: [1, 2]\n"
JOB = "datacenters.campus.load.jobs.pretrain"
COUNT = "datacenters.campus.load.accelerators.count"


def written(folder, body, name="s"):
    path = folder / f"{name}.yaml"
    path.write_text(HEAD.format(name) + body)
    return path


def refusal(study, folder, error=InputError, **options):
    with pytest.raises(error) as told:
        run_study(study, folder, **{"place": Place(n_worker=0)} | options)
    assert not (folder / "runs").is_dir() or not list((folder / "runs").glob("[0-9a-f]*"))
    return str(told.value)


def test_two_studies_in_one_folder_are_refused(tmp_path):
    run_study(written(tmp_path, SWEEP, "first"), tmp_path / "d", place=Place(n_worker=0))
    with pytest.raises(InputError, match="holds the study 'first'; choose another folder"):
        run_study(written(tmp_path, SWEEP, "second"), tmp_path / "d", place=Place(n_worker=0))


def test_folder_of_another_version_and_one_that_is_no_study_are_refused(tmp_path):
    study, folder = written(tmp_path, SWEEP), tmp_path / "d"
    folder.mkdir()
    (folder / FACTS).write_text('{"schema": 1, "name": "s", "cosim_version": "0.0.1"}')
    assert "made by cosim 0.0.1" in refusal(study, folder)
    other = tmp_path / "e"
    other.mkdir()
    (other / "thesis.tex").write_text("")
    assert "is no study" in refusal(study, other)


def test_million_run_grid_is_refused_with_its_time_and_its_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(cosim.study.study, "warm_up", lambda feeders: 0.0)
    body = (
        f"kind: sweep\nset:\n  time.duration_s: 5\n  events: []\ngrid:\n  {COUNT}: {{start: 1, stop: 1000, n: 1000}}\n"
    )
    study = written(tmp_path, body + "  seed: {start: 1, stop: 1000, n: 1000}\n")
    with pytest.raises(
        InputError, match=r"1,000,000 runs, more than 5,000: .* about [\d.]+ h on 1 workers and [\d.]+ GB; --yes"
    ):
        run_study(study, tmp_path / "d", place=Place(n_worker=0))


def test_scheduler_that_does_not_answer_is_refused(tmp_path, monkeypatch):
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr("cosim.study.places.CONNECT_S", 1.0)
        said = refusal(written(tmp_path, SWEEP), tmp_path / "d", EnvironmentFailure, place=Place(scheduler=address))
    assert address in said
    assert "no Dask scheduler answers" in said
    assert not (tmp_path / "d").exists()


def test_address_that_is_none_is_refused(tmp_path):
    said = refusal(written(tmp_path, SWEEP), tmp_path / "d", EnvironmentFailure, place=Place(scheduler="no address"))
    assert "no Dask scheduler answers" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--slurm"], "has no slurm block"),
        (["--slurm", "--scheduler", "tcp://127.0.0.1:1"], "give one of them"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "--workers is of this machine"),
        (["--run-one", "7"], "runs 0 to 1"),
    ],
)
def test_options_that_contradict_the_study_exit_with_2(tmp_path, options, words):
    study = written(tmp_path, SWEEP)
    command = [sys.executable, "-m", "cosim.cli", "study", str(study), "-o", str(tmp_path / "d"), *options]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 2
    assert words in said.stderr
    assert "Traceback" not in said.stderr


def monte_carlo(law, path=COUNT, n=100):
    return f"kind: monte_carlo\nn: {n}\ndistributions:\n  {path}: {law}\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("kind: sweep\npoints: []\n", "grid or points"),
        ("kind: sweep\ngrid: {}\n", "grid or points"),
        ("kind: sweep\ngrid:\n  seed: {start: 1, stop: 2, n: 0}\n", "at least 1"),
        ("kind: siting\ndatacenter: campus\nbuses: []\n", "not empty"),
        (monte_carlo("{kind: uniform, min: 5, max: 5}"), "must be below"),
        (monte_carlo("{kind: normal, mean: 1, std: 0}"), "above 0"),
        (monte_carlo("{kind: normal, mean: 100, std: 1, min: 1, max: 2}"), "eight std"),
        (monte_carlo("{kind: choice, values: [1, 2], weights: [1]}"), "one weight a value"),
        (monte_carlo("{kind: log_uniform, min: 0, max: 1}"), "above 0"),
        ("kind: monte_carlo\nn: 10\nvary_seed: false\n", "every run would be the same"),
        ("kind: sensitivity\nn: 48\noutputs: [y]\ndistributions: {a: {kind: uniform, min: 0, max: 1}}\n", "at least 2"),
        (
            "kind: sensitivity\nn: 48\noutputs: [y]\ndistributions:\n  a: {kind: uniform, min: 0, max: 1}\n"
            "  b: {kind: uniform, min: 0, max: 1}\n",
            "power of two; the nearest are 32 and 64",
        ),
        (monte_carlo("{kind: uniform, min: 1, max: 5}") + "stop: {statistic: mean, half_width: 1}\n", "need metric"),
        (
            monte_carlo("{kind: uniform, min: 1, max: 5}")
            + "sampling: sobol\nstop: {statistic: mean, metric: y, half_width: 1}\n",
            "no interval",
        ),
        (SWEEP + "pack: 10\nkeep_logs: true\n", "needs pack: 1"),
    ],
)
def test_study_that_makes_no_sense_is_refused_in_its_line(tmp_path, body, words):
    with pytest.raises(InputError) as told:
        load_study(written(tmp_path, body))
    assert words in str(told.value)
    assert all(problem.line for problem in told.value.problems)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (monte_carlo("{kind: uniform, min: -5, max: 5}", "datacenters.campus.load.p_base_mw"), "p_base_mw"),
        (monte_carlo("{kind: normal, mean: 0.9, std: 0.3}", f"{JOB}.checkpoint.utilization"), "utilization"),
        (monte_carlo("{kind: uniform, min: 1, max: 5}", "datacenters.campus.laod.p_base_mw"), "nearest: load"),
        ("kind: siting\ndatacenter: campus\nbuses: [Bus 34, Bus 35x]\n", "no such bus"),
        ("kind: siting\ndatacenter: kampus\n", "no such data center"),
        ("kind: coincidence\nn: 4\nwindow_s: 2\nmin_step_mw: 0.1\n", "has one data center"),
        ("kind: contingency\nat_s: 1\nlines: [Line 99999, Line 10, Line 88888]\n", "lines.2: no such line"),
    ],
)  # fmt: skip
def test_values_that_the_scenario_refuses_are_told_before_anything_runs(tmp_path, body, words):
    with pytest.raises(InputError) as told:
        check_points(Base.of(load_study(written(tmp_path, body))))
    assert words in str(told.value)
