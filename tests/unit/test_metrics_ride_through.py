"""Load lost in a series of dips, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.metrics.ride_through import load_losses


def record(dips_s, until_s=200.0, step_s=0.1):
    t_s = np.arange(round(until_s / step_s) + 1) * step_s
    vm_pu = np.ones_like(t_s)
    for at_s in dips_s:
        vm_pu[round(at_s / step_s)] = 0.3
    return t_s, vm_pu


def test_what_is_lost_and_what_is_back_by_hand():
    t_s, vm_pu = record([50.0, 60.0])
    p_mw = np.full_like(t_s, 100.0)
    p_mw[500:] = 10.0  # lost at the first dip; 40 MW are back 31 s after the second, all of it after 101 s
    p_mw[910:], p_mw[1610:] = 40.0, 100.0
    (loss,) = load_losses(t_s, vm_pu, p_mw, 0.1)
    assert (loss.start_s, loss.n_dip) == (pytest.approx(50.0), 2)
    assert (loss.before_mw, loss.lost_mw) == (pytest.approx(100), pytest.approx(90))
    assert loss.not_returned_mw == {"1s": pytest.approx(90), "1min": pytest.approx(60)}  # an hour after: not in the log


def test_dips_far_apart_are_two_disturbances_and_swells_are_none():
    t_s, vm_pu = record([50.0, 400.0], 500.0)
    vm_pu[100] = 1.3
    assert [loss.n_dip for loss in load_losses(t_s, vm_pu, np.ones_like(t_s), 0.1)] == [1, 1]
    assert load_losses(t_s, np.ones_like(t_s), np.ones_like(t_s), 0.1) == []
