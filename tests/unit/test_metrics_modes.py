"""Modes of the power system as limits, on sines whose frequency and size are known."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_log import campus_log

from cosim.errors import InputError
from cosim.metrics import analyse
from cosim.metrics.limits import load_limits

FILE = """\
schema: 1
name: mine
description: mine
limits:
  - name: mode
    kind: mode
    title: Mode
    source: coordinator
    measured: spectrum
    f_hz: {f}
    width_hz: {width}
"""


def judged(tmp_path, f_hz, width_hz, wave_mw, step_s=0.1, duration_s=600.0):
    log = campus_log(duration_s, step_s, n_bus=2, with_ups=False, blackout=False)
    log.channels["datacenter/campus/p_grid_mw"] = (4.0 + wave_mw(log.t_s)).astype(np.float32)
    (tmp_path / "mine.yaml").write_text(FILE.format(f=f_hz, width=width_hz))
    (verdict,) = analyse(log, load_limits([str(tmp_path / "mine.yaml")])).verdicts
    return verdict


def sine(f_hz, amplitude_mw):
    return lambda t_s: amplitude_mw * np.sin(2 * np.pi * f_hz * t_s)


@pytest.mark.parametrize(("f_hz", "status"), [(0.40, "failed"), (0.43, "failed"), (0.47, "passed"), (0.31, "passed")])
def test_an_oscillation_meets_a_mode_within_half_its_width(tmp_path, f_hz, status):
    found = judged(tmp_path, 0.4, 0.1, sine(f_hz, 0.2))
    assert found.status == status
    assert found.value == pytest.approx(abs(f_hz - 0.4), abs=0.01)  # the resolution of 100 s
    assert found.limit == 0.05
    assert found.margin == pytest.approx(found.value - 0.05)


def test_what_meets_a_mode_is_told_with_its_size_and_persistence(tmp_path):
    found = judged(tmp_path, 0.4, 0.1, sine(0.4, 0.2))
    assert "100 % of the time" in found.note
    assert "3.5 % of mean power" in found.note  # 0.2 / sqrt(2) of 4 MW


def test_the_stronger_of_two_oscillations_counts(tmp_path):
    both = lambda t_s: sine(0.4, 0.1)(t_s) + sine(1.0, 0.3)(t_s)  # noqa: E731
    found = judged(tmp_path, 0.4, 0.1, both)
    assert found.status == "passed"
    assert "strongest at 1 Hz" in found.note


def test_an_oscillation_too_small_to_matter_meets_nothing(tmp_path):
    assert judged(tmp_path, 0.4, 0.1, sine(0.4, 0.002)).status == "passed"


def test_a_torsional_mode_asks_for_the_step_that_carries_it(tmp_path):
    found = judged(tmp_path, 25.0, 2.0, sine(0.4, 0.2))
    assert found.status == "not_seen"
    assert found.value is None
    assert "needed is at most 0.0153846 s" in found.note  # 0.4 / 26 Hz


def test_a_run_shorter_than_a_segment_is_not_passed(tmp_path):
    assert "needed are 100 s" in judged(tmp_path, 0.4, 0.1, sine(0.4, 0.2), duration_s=60.0).note


def test_a_mode_that_reaches_down_to_zero_is_refused(tmp_path):
    with pytest.raises(InputError, match="reaches down to 0 Hz"):
        judged(tmp_path, 0.1, 0.2, sine(0.4, 0.2))
