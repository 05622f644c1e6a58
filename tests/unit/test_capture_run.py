"""Captures of a whole run, its samples taken tick by tick: held to a log that has a row at every instant."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import scenario

import cosim
from cosim.engine.columns import Column
from cosim.engine.simulation import Simulation
from cosim.errors import InputError

EVENTS = [
    {"at_s": 3.0, "kind": "source_lost", "duration_s": 0.05},
    {"at_s": 6.005, "kind": "dip_started", "vm_pu": 0.7, "duration_s": 0.1},
]
CAPTURE = {"pre_s": 0.2, "post_s": 0.3, "kinds": ["source_lost", "dip_started"], "nodes": ["5", "17"]}


class Sampled(Simulation):
    """The engine with a return to Python at every instant, and a ring that holds all of them."""

    @property
    def capture_columns(self):
        nodes = tuple(self.scenario.log.capture.nodes)
        return [
            Column("vm_pu", "pu", "Voltage", nodes, "", 0),
            Column("datacenter/campus/p_grid_mw", "MW", "Power from the feeder", None, "", 0),
        ]

    def blocks(self, max_block_s=None):
        times, rows = [], []
        at_us = self.now_us
        for block in super().blocks(self.step_us / 1e6):
            view = self.view
            times.append(at_us)
            rows.append([*(view.vm_pu(bus) for bus in self.scenario.log.capture.nodes), view.p_grid_mw("campus")])
            block.sample_t_us = np.array(times[-100:], np.int64)
            block.samples = np.array(rows[-100:], np.float32)
            at_us = block.now_us
            yield block


def test_log_capture_is_refused_where_the_engine_has_no_samples(tmp_path):
    with pytest.raises(InputError, match=r"log\.capture"):
        cosim.run(scenario(2, log={"capture": {}}), out=tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop_s", [None, 3.1, 5.0])
def test_captures_of_a_run_are_the_rows_of_a_log_at_full_rate(tmp_path, monkeypatch, stop_s):
    monkeypatch.setattr("cosim.engine.simulation.Simulation", Sampled)
    plain = scenario(8, events=EVENTS, log={"step_s": 0.01, "nodes": ["5", "17"], "capture": CAPTURE})
    if stop_s is not None:
        halt(tmp_path / "a.h5", plain, stop_s, monkeypatch)
    with cosim.run(plain, out=tmp_path / "a.h5", resume=True) as log:
        first, second = log.captures
        assert [c.trigger[1] for c in log.captures] == ["source_lost", "dip_started"]
        assert [c.trigger_s for c in log.captures] == [3.0, 6.005]
        assert (first.t_s[0], first.t_s[-1]) == (2.8, 3.3)
        assert 6_005_000 in second.t_us  # an instant between two ticks
        assert log.metrics["capture"] == {"n_capture": 2.0, "n_event_missed": 0.0}
        for capture in log.captures:
            ticks = capture.t_us % 10_000 == 0
            rows = np.searchsorted(log.t_us, capture.t_us[ticks])
            np.testing.assert_array_equal(log.t_us[rows], capture.t_us[ticks])
            np.testing.assert_array_equal(capture.read("vm_pu")[ticks], log.read("bus/vm_pu")[rows])
        assert capture.read("vm_pu").min() < 0.75
        assert capture.names() == ["5", "17"]


def halt(out, plain, stop_s, monkeypatch):
    """Run until a time, and stop there as Ctrl-C does."""
    import contextlib

    from cosim import wiring

    @contextlib.contextmanager
    def stopped():
        yield Stops()

    class Stops:
        def __bool__(self):
            return now[0] >= stop_s

    now = [0.0]

    def tell(words, now_s, end_s):
        now[0] = now_s

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "_interrupts", stopped)
        with pytest.raises(cosim.errors.Interrupted):
            cosim.run(plain, out=out, progress=tell)
