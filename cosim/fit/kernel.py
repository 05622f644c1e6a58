"""The load alone, tick by tick: what a fit runs hundreds of times."""

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
