"""A semi-Markov process: visits to states, each with a utilization and a length of its own."""

from __future__ import annotations

import numpy as np

from cosim.jit import inner
from cosim.load.kernel_noise import draw


@inner
def quantile(load, job, first, share):
    """Value at a probability of a quantile function that is linear between the job's probabilities."""
    at = job.probability_first
    k = 1
    while k < job.n_probability - 1 and load.quantiles[at + k] < share:
        k += 1
    low, high = load.quantiles[at + k - 1], load.quantiles[at + k]
    a, b = load.quantiles[first + k - 1], load.quantiles[first + k]
    return a + (b - a) * (share - low) / (high - low)


@inner
def visit(load, job, t_us):
    """Go to the next state, the first one at the start; draw utilization and length of the visit."""
    index = 3 * job.n_cycle
    job.n_cycle += 1
    if job.state < 0:
        job.state = 0
    else:
        chances = load.states[job.state_first + job.state].next_first
        share = draw(load, job.visit_stream, index)
        job.state = 0
        while job.state < job.n_state - 1 and load.quantiles[chances + job.state] <= share:
            job.state += 1
    state = load.states[job.state_first + job.state]
    job.u_frac = min(quantile(load, job, state.u_first, draw(load, job.visit_stream, index + 1)), job.cap_u)
    dwell_s = quantile(load, job, state.dwell_first, draw(load, job.visit_stream, index + 2))
    job.edge_us = t_us + max(np.int64(round(dwell_s * 1e6)), 1)
    job.noise_factor = state.noise_factor
