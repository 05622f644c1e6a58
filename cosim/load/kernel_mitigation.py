"""Owner-side mitigation in the load kernel: what accelerators are told to draw, and work that waits for power."""

from __future__ import annotations

import numpy as np

from cosim.jit import inner
from cosim.load.state import CHECKPOINT, EVALUATION, MAIN, NEVER, STAGED


@inner
def command(job, t_us):
    """What the job's accelerators are told to draw: its work, with filler load, floor and ramp limits. [MW]"""
    full_mw = job.amp_mw * job.weight
    goal_mw = job.work_mw
    if job.mode in (MAIN, EVALUATION, CHECKPOINT):
        goal_mw = max(goal_mw, job.filler_u * full_mw)
    job.tick_us = NEVER
    floor_mw = min(job.floor_u * full_mw, job.u_mw)  # it holds power up, it never raises it
    if goal_mw >= floor_mw:
        job.below_us = NEVER
    else:
        job.below_us = min(job.below_us, t_us)
        if t_us < job.below_us + job.hold_us:
            goal_mw = floor_mw
            job.tick_us = job.below_us + job.hold_us
    way = 1.0 if goal_mw > job.u_mw else -1.0
    step_mw = full_mw * (job.up_per_us if way > 0.0 else job.down_per_us)
    u_mw = goal_mw
    if step_mw > 0.0:  # else there is no limit this way
        step_mw *= (t_us - job.moved_us) * job.moving
        u_mw = job.u_mw + way * min(step_mw, abs(goal_mw - job.u_mw))
        if step_mw >= abs(goal_mw - job.u_mw):
            u_mw = goal_mw
    job.moved_us = t_us
    job.moving = 0
    if u_mw != goal_mw:
        job.moving = 1
        job.tick_us = min(job.tick_us, (t_us // job.control_us + 1) * job.control_us)
    return u_mw


@inner
def wait_for_power(job, t_us):
    """Work that got less power than it asked for since the last edge takes longer."""
    if job.kind == STAGED and job.u_mw < job.work_mw and job.edge_us != NEVER:
        speed = (job.u_mw / job.work_mw) ** job.speed_exponent
        slower_us = np.int64(round((t_us - job.moved_us) * (1.0 - speed)))
        job.edge_us += slower_us
        job.delay_us += slower_us
