"""The fault recorder: which instants are kept around events, and how they come back from the log."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import EnvironmentFailure, InputError
from cosim.record.capture import Capture, CaptureDesk, width_of
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder
from cosim.record.result import open_result

FACTS = {"scenario_yaml": "schema: 1\nname: x\n", "scenario_name": "x", "seed": 1, "cosim_version": "0.1.0"}
LOGGED = (Channel("bus/vm_pu", "pu", ("a", "b", "c")), Channel("source/p_mw", "MW", dtype="f8"))
CAPTURED = (
    Channel("vm_pu", "pu", ("a", "b", "c"), description="voltage"),
    Channel("datacenter/campus/p_total_mw", "MW"),
)
WIDTH = 4
STEP_US = 10_000


@dataclass(frozen=True)
class Rules:
    pre_s: float = 0.1
    post_s: float = 0.5
    max_s: float = 2.0
    max_n: int = 100
    kinds: list[str] = field(default_factory=lambda: ["dip_started", "dip_ended"])


def dip(t_s, kind="dip_started"):
    return round(t_s * 1e6), kind, "source", 0.6, "phase jump 0 degree"


def run_of(n):
    """Times and samples of n instants; each sample tells its instant."""
    t_us = np.arange(n, dtype=np.int64) * STEP_US
    return t_us, (t_us[:, None] / STEP_US + np.arange(WIDTH) * 1e5).astype(np.float32)


def handed_over(desk, events, n=1000, blocks=(1000,), pre=10):
    """What the desk makes of a run handed over in blocks of the given sizes, each with `pre` samples of before."""
    t_us, values = run_of(n)
    done, start, k = [], 0, 0
    while start < n:
        stop = min(n, start + blocks[k % len(blocks)])
        k += 1
        first = max(0, start - pre)
        here = [e for e in events if t_us[start] <= e[0] <= t_us[stop - 1]]
        done += desk.take(t_us[first:stop], values[first:stop], here)
        start = stop
    return done + desk.finish()


def spans(captures):
    return [(c.t_us[0] / 1e6, c.t_us[-1] / 1e6) for c in captures]


def test_capture_reaches_from_before_the_event_to_behind_it():
    (found,) = handed_over(CaptureDesk(Rules(), WIDTH), [dip(3.0)])
    assert spans([found]) == [(2.9, 3.5)]
    np.testing.assert_array_equal(np.diff(found.t_us), STEP_US)
    np.testing.assert_array_equal(found.values[:, 0], found.t_us / STEP_US)
    assert (found.trigger, found.n_event, found.is_cut) == (dip(3.0), 1, False)


def test_events_within_a_capture_prolong_it_and_later_ones_start_another():
    events = [dip(3.0), dip(3.4, "dip_ended"), dip(6.0), (10**6, "x", "", 0, "")]
    found = handed_over(CaptureDesk(Rules(), WIDTH), events)
    assert spans(found) == [(2.9, 3.9), (5.9, 6.5)]
    assert [c.n_event for c in found] == [2, 1]


def test_a_capture_is_cut_at_its_longest_and_the_next_does_not_overlap_it():
    rules = Rules(pre_s=0.4, max_s=1.0)
    found = handed_over(CaptureDesk(rules, WIDTH), [dip(3.0 + 0.3 * k) for k in range(6)])
    assert spans(found) == [(2.6, 3.6), (3.61, 4.6)]
    assert [(c.n_event, c.is_cut) for c in found] == [(3, True), (3, True)]
    every = np.concatenate([c.t_us for c in found])
    assert len(np.unique(every)) == len(every)


def test_captures_beyond_the_most_are_counted_and_not_kept():
    desk = CaptureDesk(Rules(max_n=2), WIDTH)
    found = handed_over(desk, [dip(t) for t in (1, 3, 5, 7)])
    assert spans(found) == [(0.9, 1.5), (2.9, 3.5)]
    assert (desk.n_started, desk.n_missed) == (2, 2)


def test_an_event_at_the_start_or_near_the_end_keeps_what_there_is():
    found = handed_over(CaptureDesk(Rules(), WIDTH), [dip(0.0), dip(9.9)])
    assert spans(found) == [(0.0, 0.5), (9.8, 9.99)]
    assert [c.is_cut for c in found] == [False, True]


def test_an_event_at_an_instant_without_solution_ends_with_the_run():
    desk = CaptureDesk(Rules(kinds=["collapsed"]), WIDTH)
    t_us, values = run_of(100)
    assert desk.take(t_us, values, [(1_000_000, "collapsed", "feeder", 0.0, "")]) == []
    (found,) = desk.finish()
    assert spans([found]) == [(0.9, 0.99)]


@given(
    events=st.lists(st.integers(0, 999), max_size=12),
    blocks=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    max_s=st.sampled_from([0.6, 1.0, 5.0]),
)
def test_captures_do_not_depend_on_how_the_run_is_handed_over(events, blocks, max_s):
    noted = [dip(k * 0.01) for k in sorted(events)]
    whole = handed_over(CaptureDesk(Rules(max_s=max_s), WIDTH), noted)
    parts = handed_over(CaptureDesk(Rules(max_s=max_s), WIDTH), noted, blocks=blocks)
    assert len(whole) == len(parts)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a.t_us, b.t_us)
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.trigger, a.n_event, a.is_cut) == (b.trigger, b.n_event, b.is_cut)
    covered = {t for c in whole for t in c.t_us.tolist()}
    assert all(t in covered for t, *_ in noted)


@pytest.mark.parametrize("stop", [250, 305, 340, 700])
def test_a_desk_goes_on_from_its_state(stop):
    noted = [dip(3.0), dip(3.4, "dip_ended"), dip(6.9)]
    whole = handed_over(CaptureDesk(Rules(), WIDTH), noted)
    t_us, values = run_of(1000)
    first, second = CaptureDesk(Rules(), WIDTH), CaptureDesk(Rules(), WIDTH)
    done = first.take(t_us[:stop], values[:stop], [e for e in noted if e[0] < t_us[stop]])
    second.restore({key: np.array(value) for key, value in first.state().items()})
    done += second.take(t_us[stop - 10 :], values[stop - 10 :], [e for e in noted if e[0] >= t_us[stop]])
    assert spans(done + second.finish()) == spans(whole)
    assert second.n_started == 2


def test_samples_of_another_width_are_refused():
    with pytest.raises(ValueError, match="expected"):
        CaptureDesk(Rules(), 3).take(*run_of(5), [])


def rows(start, n):
    i = np.arange(start, start + n)
    return i * 100_000, {"bus/vm_pu": 1 + 0.01 * np.sin(i)[:, None] * np.ones(3), "source/p_mw": np.cos(i)}


def captures():
    return handed_over(CaptureDesk(Rules(), WIDTH), [dip(3.0), dip(6.0)])


def written(out, n=3000, at=(700, 1900), stop_after=None, recorder=None, start=0):
    """A run that writes a capture at two of its rows; stops with a checkpoint where told."""
    recorder = recorder or Recorder.create(out, LOGGED, **FACTS)
    found = captures()
    for row in range(start, n, 100):
        recorder.append(*rows(row, 100))
        recorder.add_event(row * 100_000, "tap_changed", "t", 1.0)
        for k, place in enumerate(at):
            if row == place:
                recorder.capture(found[k], CAPTURED)
        if row == stop_after:
            recorder.checkpoint({"row": np.array(row + 100)})
            recorder.append(*rows(row + 100, 1000))
            recorder.finish("interrupted")
            return
    recorder.finish("complete", {"n_rows": n})


def test_captures_come_back_beside_a_log_that_is_none_the_worse(tmp_path):
    written(tmp_path / "with.h5")
    written(tmp_path / "without.h5", at=())
    with open_result(tmp_path / "with.h5") as log, open_result(tmp_path / "without.h5") as plain:
        assert log.paths() == plain.paths()
        for path in log.paths():
            np.testing.assert_array_equal(log.read(path), plain.read(path))
        assert len(log.events) == len(plain.events) == 30
        assert plain.captures == ()
        first, second = log.captures
        assert (first.number, first.trigger, first.n_event) == (1, dip(3.0), 1)
        assert first.paths() == ["datacenter/campus/p_total_mw", "vm_pu"]
        np.testing.assert_array_equal(first.t_us, captures()[0].t_us)
        np.testing.assert_array_equal(first.read("vm_pu"), captures()[0].values[:, :3])
        np.testing.assert_array_equal(second.read("datacenter/campus/p_total_mw"), captures()[1].values[:, 3])
        assert (first.names(), first.unit("vm_pu")) == (["a", "b", "c"], "pu")
        assert first.to_xarray()["vm_pu"].sel(name="b").shape == first.t_us.shape


def test_xarray_opens_a_capture_as_any_group(tmp_path):
    written(tmp_path / "a.h5")
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="capture/1") as data:
        assert data["vm_pu"].dims == ("t_s", "name")
        assert float(data["t_s"][0]) == 2.9
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="capture/2/datacenter/campus") as data:
        assert data["p_total_mw"].dims == ("t_s",)


def test_every_dataset_of_a_capture_has_a_unit(tmp_path):
    written(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        without = []
        file["capture"].visititems(
            lambda path, item: (
                without.append(path) if isinstance(item, h5py.Dataset) and "unit" not in item.attrs else None
            )
        )
    assert without == []


@pytest.mark.parametrize("stop_after", [600, 800, 2000])
def test_a_resumed_log_has_the_captures_of_one_that_never_stopped(tmp_path, stop_after):
    written(tmp_path / "whole.h5")
    written(tmp_path / "a.h5", stop_after=stop_after)
    recorder, state = Recorder.resume(tmp_path / "a.h5", LOGGED, **FACTS)
    written(tmp_path / "a.h5", recorder=recorder, start=int(state["row"]))
    with open_result(tmp_path / "a.h5") as log, open_result(tmp_path / "whole.h5") as whole:
        np.testing.assert_array_equal(log.t_us, whole.t_us)
        assert len(log.captures) == len(whole.captures) == 2
        for a, b in zip(log.captures, whole.captures, strict=True):
            assert a.trigger == b.trigger
            np.testing.assert_array_equal(a.t_us, b.t_us)
            for path in b.paths():
                np.testing.assert_array_equal(a.read(path), b.read(path))


def test_captures_are_read_while_the_run_goes_on_and_after_a_kill(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", LOGGED, **FACTS)
    recorder.append(*rows(0, 1500))
    recorder.capture(captures()[0], CAPTURED)
    with open_result(tmp_path / "a.h5") as log:
        assert (log.status, log.n_rows, len(log.captures)) == ("running", 1024, 1)
    recorder.append(*rows(1500, 1500))
    recorder.capture(captures()[1], CAPTURED)
    killed = (tmp_path / "a.h5").read_bytes()
    recorder.finish("complete")
    (tmp_path / "killed.h5").write_bytes(killed)
    with open_result(tmp_path / "killed.h5") as log:
        assert (log.status, log.n_rows, len(log.captures)) == ("running", 2048, 2)
        assert log.captures[1].read("vm_pu").shape == (61, 3)
    with h5py.File(tmp_path / "killed.h5") as file:
        assert list(file["capture"]) == ["1", "2"]


def test_a_second_writer_stays_out_after_a_capture(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", LOGGED, **FACTS)
    recorder.append(*rows(0, 1500))
    recorder.capture(captures()[0], CAPTURED)
    with pytest.raises(EnvironmentFailure, match="another run is writing"):
        Recorder.create(tmp_path / "a.h5", LOGGED, **FACTS)
    code = "import h5py, sys; h5py.File(sys.argv[1], 'r+')"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.h5"], capture_output=True, text=True, timeout=60)
    assert "unable to lock file" in done.stderr
    recorder.finish("complete")


def test_a_channel_may_not_be_called_capture(tmp_path):
    with pytest.raises(InputError):
        Recorder.create(tmp_path / "a.h5", (Channel("capture/x_mw", "MW"),), **FACTS)


def test_width_is_that_of_all_channels():
    assert width_of(CAPTURED) == WIDTH
    assert isinstance(captures()[0], Capture)
