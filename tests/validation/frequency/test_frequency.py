"""Frequency of runs against scipy's solution of the swing equation, and load shedding against its settings."""

from __future__ import annotations

import numpy as np
import pytest
from cases import AT_S, CASES, SHEDDING, START, START_S, STOP, run, swing

pytestmark = pytest.mark.validation

END_S = AT_S + 4.0
DIGITS_HZ = 1e-5
"""The log keeps the power of the source to 24 bits, 3e-5 MW of 460."""


def found(tmp_path, load, who, steps=()):
    one = run(CASES[load, who], tmp_path / "f.h5", END_S)
    free = one["t_s"] >= START_S - 1e-9
    judged, shed_at = swing(one["t_s"][free], one["p_mw"][free], steps)
    np.testing.assert_allclose(one["f_hz"][free], judged, atol=DIGITS_HZ)
    assert one["shed_at_s"] == pytest.approx(shed_at)
    return one


def test_frequency_of_a_stop_is_scipys_and_answers_lower_its_rise(tmp_path):
    alone = found(tmp_path, STOP, "nobody answers")
    both = found(tmp_path, STOP, "UPS: both")
    assert 60.3 < both["worst_hz"] < alone["worst_hz"] - 0.2
    assert both["rocof"] < 0.7 * alone["rocof"]


def test_load_is_shed_at_its_frequency_and_delay_unless_the_ups_answers(tmp_path):
    shed = found(tmp_path, START, "load shedding", SHEDDING)
    (at_s,) = shed["shed_at_s"]
    below, delay, p_mw = SHEDDING[0]
    crossing = shed["t_s"][np.flatnonzero(shed["f_hz"] < below)[0]]
    assert at_s == pytest.approx(crossing + delay, abs=1e-6)
    assert shed["shed_mw"] == p_mw
    saved = found(tmp_path, START, "load shedding, UPS: both", SHEDDING)
    assert saved["shed_mw"] == 0.0
    assert saved["worst_hz"] > below
