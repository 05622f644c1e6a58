"""Captures of a whole run, its samples taken at every instant: held to a log that has a row at every instant."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import scenario

import cosim

EVENTS = [
    {"at_s": 3.0, "kind": "source_lost", "duration_s": 0.05},
    {"at_s": 6.005, "kind": "dip_started", "vm_pu": 0.7, "duration_s": 0.1},
]
CAPTURE = {"pre_s": 0.2, "post_s": 0.3, "kinds": ["source_lost", "dip_started"], "nodes": ["5", "17"]}


@pytest.mark.parametrize("stop_s", [None, 3.1, 5.0])
def test_captures_of_a_run_are_the_rows_of_a_log_at_full_rate(tmp_path, monkeypatch, stop_s):
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
