"""The loops of a fit: the load alone, tick by tick, and levels with hysteresis."""

from __future__ import annotations

from cosim.jit import njit
from cosim.load.kernel import step_load


@njit
def run_load(load, first_tick, n_tick, step_us, p_mw):
    """P_AI of the first site at ticks first_tick to first_tick + n_tick - 1, into p_mw. [us] -> [MW]"""
    for tick in range(first_tick, first_tick + n_tick):
        step_load(load, tick * step_us)
        load.n_event[0] = 0
        p_mw[tick] = load.p_ai_mw[0]


@njit
def hold_levels(p_mw, centers, hysteresis, level):
    """Number of the level that each sample is at; one is left where another is nearer by 2 hysteresis of the step.

    Parameters
    ----------
    p_mw : ndarray, shape (n,)
        [MW]
    centers : ndarray, shape (n_level,)
        Rising. [MW]
    hysteresis : float
        [1]
    level : ndarray of int64, shape (n,)
        Result.
    """
    now = -1
    for i in range(p_mw.size):
        near = 0
        for k in range(1, centers.size):
            if abs(p_mw[i] - centers[k]) < abs(p_mw[i] - centers[near]):
                near = k
        if now < 0:
            now = near
        elif near != now:
            low = min(near, now)
            step = centers[low + 1] - centers[low]
            if abs(p_mw[i] - centers[near]) < abs(p_mw[i] - centers[now]) - 2.0 * hysteresis * step:
                now = near
        level[i] = now
