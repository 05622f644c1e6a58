"""Jobs whose site has no power for them: all of them when its servers go dark, some when it sheds them."""

from __future__ import annotations

from cosim.events import JOB_FAILED, JOB_STOPPED
from cosim.jit import njit
from cosim.load.kernel import end_job, settle, start
from cosim.load.state import CHECKPOINT, COLD, EVALUATION, FAILED, MAIN, NEVER, UNPOWERED
from cosim.ring import emit


@njit
def lose_power(load, site, t_us):
    """The site's servers went dark: every running job is lost, whatever is stored in supplies too."""
    load.powered[site] = 0
    for k in range(load.jobs.size):
        job = load.jobs[k]
        if job.site != site:
            continue
        if job.mode in (COLD, MAIN, EVALUATION, CHECKPOINT, FAILED):
            if job.mode != FAILED:
                emit(load.events, load.n_event, t_us, JOB_FAILED, k, job.p_mw)
            end_job(load, job, UNPOWERED, t_us)
            job.start_us = NEVER
        job.u_mw = 0.0
        settle(load, job, t_us)
        job.x_mw = 0.0
        job.v_mw_per_s = 0.0
        job.y_mw = 0.0
        job.p_mw = 0.0
    load.p_ai_mw[site] = 0.0


@njit
def regain_power(load, site, t_us):
    """The site's servers are back: jobs that were lost, or were to start meanwhile, start cold."""
    load.powered[site] = 1
    for k in range(load.jobs.size):
        if load.jobs[k].site == site and load.jobs[k].mode == UNPOWERED:
            start(load, k, t_us)


@njit
def shed_job(load, k, t_us):
    """Stop job k for as long as its site sheds it, and let it start no more; its power if it ran, else -1. [MW]"""
    job = load.jobs[k]
    job.is_shed = 1
    p_mw = -1.0
    if job.mode in (COLD, MAIN, EVALUATION, CHECKPOINT):
        p_mw = job.p_mw
        emit(load.events, load.n_event, t_us, JOB_STOPPED, k, p_mw)
    if p_mw >= 0.0 or job.mode == FAILED:  # a restart behind a failure waits, too
        end_job(load, job, UNPOWERED, t_us)
        job.start_us = NEVER
        settle(load, job, t_us)
    return p_mw


@njit
def restore_job(load, k, t_us):
    """Job k is shed no more: it starts cold if it ran, failed or was to start, and was not stopped meanwhile."""
    load.jobs[k].is_shed = 0
    if load.jobs[k].mode == UNPOWERED:
        start(load, k, t_us)
