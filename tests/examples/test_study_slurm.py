"""`cosim study --slurm` on a real SLURM of one node, which this test starts: one of its jobs is cancelled midway."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from conftest import IN_CI
from slurm_cluster import job_ids, missing_tools, slurm_cluster

COMMAND = [sys.executable, "-m", "cosim.cli", "study", "s.yaml", "--quiet"]
STUDY = """\
schema: 1
name: s
scenario: quickstart_no_ups
kind: sweep
set:
  time.duration_s: 600
  events: []
grid:
  seed: {start: 1, stop: 40, n: 40}
slurm:
  partition: %s
  memory_gb: 1.5
  n_jobs: 2
"""


@pytest.fixture(scope="module")
def slurm():
    lacking = [*missing_tools(), *(["root"] if os.geteuid() else [])]
    if lacking:
        words = f"SLURM's test needs {', '.join(lacking)}: apt-get install slurm-wlm munge"
        pytest.fail(words) if IN_CI else pytest.skip(words)
    with slurm_cluster() as env:
        yield env


def until(is_so, process, seconds=150):
    end = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, "the study ended too early"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_study_on_slurm_with_a_cancelled_job_has_the_summary_of_a_local_one(tmp_path, slurm):
    (tmp_path / "s.yaml").write_text(STUDY % "tests")
    subprocess.run([*COMMAND, "--workers", "2", "-o", "local"], cwd=tmp_path, check=True, timeout=300)
    study = subprocess.Popen([*COMMAND, "--slurm", "-o", "slurm"], cwd=tmp_path, env=slurm)
    runs = tmp_path / "slurm" / "runs"
    until(lambda: runs.is_dir() and len(list(runs.glob("[0-9a-f]*"))) >= 4, study)
    first = job_ids(slurm)
    assert len(first) == 2
    subprocess.run(["scancel", first[0]], env=slurm, check=True, timeout=30)
    # another job takes its place
    until(lambda: set(job_ids(slurm)) - set(first), study)
    assert study.wait(300) == 0
    for name in ("summary.csv", "summary.parquet"):
        assert (tmp_path / "slurm" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_jobs_that_slurm_refuses_are_an_error_before_anything_runs(tmp_path, slurm):
    (tmp_path / "s.yaml").write_text(STUDY % "nowhere")
    said = subprocess.run([*COMMAND, "--slurm", "-o", "d"], cwd=tmp_path, env=slurm, capture_output=True, text=True)
    assert said.returncode == 4
    assert "partition" in said.stderr
    assert not (tmp_path / "d").exists()


def test_missing_sbatch_is_an_error_before_anything_runs(tmp_path):
    (tmp_path / "s.yaml").write_text(STUDY % "tests")
    env = os.environ | {"PATH": str(tmp_path)}
    said = subprocess.run([*COMMAND, "--slurm", "-o", "d"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert said.returncode == 4
    assert "no sbatch" in said.stderr
    assert not (tmp_path / "d").exists()
