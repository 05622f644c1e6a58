"""The shipped scenarios on unbalanced feeders whose regulators move, shortened."""

from __future__ import annotations

import numpy as np
import pytest

import cosim
from cosim.metrics import summarize

MAX_TAP = 16


def _run(name, folder, duration_s, events):
    return cosim.run(name, set={"time.duration_s": duration_s, "events": events}, out=folder / f"{name}.h5")


def _job_failed(at_s, datacenter):
    return {"at_s": at_s, "kind": "job_failed", "datacenter": datacenter, "job": "pretrain"}


def _taps(result):
    return np.asarray(result.read("regulator/tap"))


def _moves_in_events(result):
    moved = result.events.query("kind == 'tap_changed'")["element"].tolist()
    return {name: moved.count(name) for name in result.names("regulator")}


@pytest.fixture(scope="module")
def ieee123(tmp_path_factory):
    events = [_job_failed(240, "campus"), {"at_s": 300, "kind": "source_lost", "duration_s": 3}]
    return _run("ieee123_training", tmp_path_factory.mktemp("ieee123"), 360, events)


@pytest.fixture(scope="module")
def campus34(tmp_path_factory):
    return _run("campus34", tmp_path_factory.mktemp("campus34"), 300, [_job_failed(240, "hall_b")])


def test_ieee123_regulators_follow_the_training_job_within_their_taps(ieee123):
    taps = _taps(ieee123)
    assert np.abs(taps).max() <= MAX_TAP
    assert np.array_equal(taps, taps.round())
    place = list(ieee123.names("regulator")).index("reg4a")
    assert taps[-1, place] > taps[0, place]  # the load rises behind it


def test_operations_in_the_metrics_are_those_of_the_events(ieee123):
    told = _moves_in_events(ieee123)
    counted = {name: row["n_operation"] for name, row in ieee123.metrics["regulator"].items()}
    assert counted == told
    assert sum(told.values()) > 5
    for i, name in enumerate(ieee123.names("regulator")):
        assert ieee123.metrics["regulator"][name]["tap_min"] <= _taps(ieee123)[:, i].min()
        assert ieee123.metrics["regulator"][name]["tap_max"] >= _taps(ieee123)[:, i].max()


def test_campus_keeps_20_mw_per_minute_while_its_load_does_not(campus34):
    """The halls hold 10 MW/min each over the UPS's window of 1 s; the job starts, runs and fails."""
    limit_mw_per_s = 10 / 60
    for hall, part in summarize(campus34)["datacenter"].items():
        need, grid = part["ramp"]["need"]["1s"], part["ramp"]["grid"]["1s"]
        assert need["undisturbed_max_ramp_mw_per_s"] > 5, hall
        for way in ("ramp", "decline"):
            assert grid[f"undisturbed_max_{way}_mw_per_s"] <= limit_mw_per_s, hall


def test_campus_tap_changers_follow_within_their_taps(campus34):
    taps, names = _taps(campus34), list(campus34.names("regulator"))
    assert np.abs(taps).max() <= MAX_TAP
    for trafo in ("t1", "t2"):
        assert taps[-1, names.index(trafo)] > taps[0, names.index(trafo)] + 3
