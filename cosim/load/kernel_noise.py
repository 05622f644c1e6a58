"""What a job is given from outside its edges: drawn numbers, noise on a grid of its own, a measured trace."""

from __future__ import annotations

import numpy as np

from cosim.jit import inner
from cosim.load.state import MAIN


@inner
def draw(load, stream, index):
    """A number of a stream that was drawn before the block."""
    return load.draws[stream, index - load.first_draw[stream]]


@inner
def noise(load, job, t_us):
    """Relative fluctuation at t_us: two Ornstein-Uhlenbeck processes, exact on their grid, linear in between."""
    k = t_us // job.noise_step_us
    while job.k_noise < k:
        job.k_noise += 1
        job.noise0 = job.noise1
        job.node0 = job.node1
        fresh = job.k_noise + 1
        if job.sigma > 0.0:
            kick = job.sigma * np.sqrt(1.0 - job.phi * job.phi)
            job.noise1 = job.phi * job.noise0 + kick * draw(load, job.noise_stream, fresh)
        if job.node_sigma > 0.0:
            kick = job.node_sigma * np.sqrt(1.0 - job.node_phi * job.node_phi)
            job.node1 = job.node_phi * job.node0 + kick * draw(load, job.node_stream, fresh)
    part = (t_us - k * job.noise_step_us) / job.noise_step_us
    return (1.0 - part) * (job.noise0 + job.node0) + part * (job.noise1 + job.node1)


@inner
def trace_power(load, job, t_us):
    """Power of a trace job at t_us [MW], repeated where it has a period."""
    if job.mode != MAIN:
        return 0.0
    if job.trace_period_us > 0:
        while t_us - job.trace_lap_us >= job.trace_period_us:
            job.trace_lap_us += job.trace_period_us
            job.i_trace = 0
    t = t_us - job.trace_lap_us
    last = job.trace_first + job.n_trace - 1
    i = job.trace_first + job.i_trace
    while i < last and load.samples[i + 1].t_us <= t:
        i += 1
    job.i_trace = i - job.trace_first
    here = load.samples[i]
    if job.trace_linear == 0 or i == last or t <= here.t_us:
        return here.p_mw
    after = load.samples[i + 1]
    return here.p_mw + (after.p_mw - here.p_mw) * (t - here.t_us) / (after.t_us - here.t_us)
