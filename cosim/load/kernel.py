"""AI load, step by step: jobs as machines of timed edges, their noise, queries and traces (Eq. 5-17).

All accelerators of a job swing together, so a step costs the same for eight and for a million. An edge inside a
step splits the step, so the power at a given time does not depend on the step.
"""

from __future__ import annotations

import numpy as np

from cosim.events import JOB_FAILED, JOB_STARTED, JOB_STOPPED, START_HELD
from cosim.jit import inner, njit
from cosim.load.kernel_lag import advance_lag, read_power
from cosim.load.kernel_mitigation import command, wait_for_power
from cosim.load.kernel_noise import draw, noise, trace_power
from cosim.load.kernel_queue import clear_queue, open_queue, run_cell
from cosim.load.kernel_visits import visit
from cosim.load.state import (
    CHECKPOINT,
    COLD,
    EVALUATION,
    FAILED,
    INFERENCE,
    MAIN,
    NEVER,
    SEMI_MARKOV,
    SERVING,
    SETTLED_MW,
    STAGED,
    STOPPED,
    TRACE,
    UNPOWERED,
    WAITING,
)
from cosim.ring import emit


@inner
def _begin_segment(load, job, t_us):
    """Enter the present segment of the present cycle (cold start or stage)."""
    if job.mode == COLD:
        segment = load.segments[job.cold_first + job.seg]
        job.edge_us = t_us + segment.duration_us
        job.delay_us += segment.extra_us
        job.u_frac = segment.u
    else:
        stage = load.stages[job.stage_first + job.stage]
        segment = load.segments[stage.seg_first + job.seg]
        job.u_frac = segment.u
        if stage.dip > 0.0:
            job.u_frac = max(stage.u_top - (stage.u_top - segment.u) * job.deep, 0.0)
        job.edge_us = t_us + max(np.int64(round(segment.duration_us * job.scale)), 1)
        job.delay_us += np.int64(round(segment.extra_us * job.scale))


@inner
def _begin_cycle(load, job, t_us):
    """Start an iteration (or a high-low cycle of alpha), with a duration and a depth of its own."""
    job.mode = MAIN
    job.seg = 0
    stage = load.stages[job.stage_first + job.stage]
    job.scale = 1.0
    if stage.jitter > 0.0:
        job.scale = min(max(1.0 + stage.jitter * draw(load, job.jitter_stream, job.n_cycle), 0.2), 5.0)
    if stage.dip > 0.0:
        job.deep = max(1.0 + stage.dip * draw(load, job.dip_stream, job.n_cycle), 0.0)
    job.wait_us = 0
    if job.wait_mean_us > 0.0:  # beyond its threshold an exponential draw is one again
        over = draw(load, job.straggler_stream, job.n_cycle) - job.wait_over
        job.wait_us = np.int64(round(max(over, 0.0) * job.wait_mean_us))
    job.n_cycle += 1
    _begin_segment(load, job, t_us)


@inner
def _begin_stage(load, job, stage, t_us):
    """Enter a stage, or end the job behind its last one. An evaluation that overran does not delay the next end."""
    if stage == job.n_stage:
        end_job(load, job, STOPPED, t_us)
        return
    begin_us = t_us if stage == 0 else job.stage_end_us
    job.stage = stage
    duration_us = load.stages[job.stage_first + stage].duration_us
    job.stage_end_us = begin_us + duration_us if duration_us > 0 else NEVER
    _begin_cycle(load, job, t_us)


@inner
def _begin_main(load, job, t_us):
    job.eval_last_us = t_us
    job.ckpt_last_us = t_us
    job.eval_n = 0
    job.ckpt_n = 0
    _begin_stage(load, job, 0, t_us)


@njit
def start(load, k, t_us):
    """Start job k cold at t_us; where its site has no power for it, or sheds it, it waits until that is over."""
    job = load.jobs[k]
    if job.mode in (COLD, MAIN, EVALUATION, CHECKPOINT):
        return
    job.start_us = NEVER
    if load.powered[job.site] == 0 or job.is_shed == 1:
        if job.mode != UNPOWERED:
            emit(load.events, load.n_event, t_us, START_HELD, k, job.amp_mw * job.weight)
        job.mode = UNPOWERED
        return
    emit(load.events, load.n_event, t_us, JOB_STARTED, k, job.amp_mw * job.weight)
    job.fail_us = NEVER
    if job.fail_per_us > 0.0:
        wait_us = draw(load, job.fail_stream, job.n_fail) / job.fail_per_us
        job.fail_us = t_us + max(np.int64(min(wait_us, 1e18)), 1)
        job.n_fail += 1
    if job.kind != STAGED:
        job.mode = MAIN
        job.edge_us = t_us
        job.k_query = t_us // job.query_step_us - 1 if job.kind == INFERENCE else 0
        job.i_trace = 0
        job.trace_lap_us = t_us
        job.state = -1
        if job.kind == SERVING:
            open_queue(load, load.queues[job.queue], t_us)
    elif job.n_cold > 0:
        job.mode = COLD
        job.seg = 0
        _begin_segment(load, job, t_us)
    else:
        _begin_main(load, job, t_us)
    settle(load, job, t_us)


@inner
def end_job(load, job, mode, t_us):
    """Drop to idle: stopped, failed, or without power."""
    job.mode = mode
    job.u_frac = 0.0
    job.edge_us = NEVER
    job.stage_end_us = NEVER
    job.fail_us = NEVER
    for c in range(job.class_first, job.class_first + job.n_class):
        load.classes[c].in_service = 0.0
        for i in range(load.classes[c].n_ring):
            load.ring[load.classes[c].ring_first + i] = 0.0
    if job.kind == SERVING:
        clear_queue(load, load.queues[job.queue])


@njit
def stop(load, k, t_us):
    """Stop job k at t_us for good."""
    job = load.jobs[k]
    if job.mode != STOPPED:
        emit(load.events, load.n_event, t_us, JOB_STOPPED, k, job.p_mw)
        end_job(load, job, STOPPED, t_us)
    job.start_us = NEVER
    job.stop_us = NEVER
    settle(load, job, t_us)


@njit
def fail(load, k, t_us):
    """Unplanned stop of job k at t_us; it starts again, cold, after its restart time."""
    job = load.jobs[k]
    if job.mode in (WAITING, FAILED, STOPPED, UNPOWERED):
        return
    emit(load.events, load.n_event, t_us, JOB_FAILED, k, job.p_mw)
    end_job(load, job, FAILED, t_us)
    job.start_us = t_us + job.restart_us
    settle(load, job, t_us)


@inner
def _due(every_us, every_n, last_us, n, t_us):
    return (every_us > 0 and t_us - last_us >= every_us) or (every_n > 0 and n >= every_n)


@inner
def _after_cycle(load, job, t_us):
    """Behind a whole cycle: an evaluation, a checkpoint, or the next cycle."""
    job.n_done += 1
    job.eval_n += 1
    job.ckpt_n += 1
    evaluates = load.stages[job.stage_first + job.stage].evaluates != 0
    if evaluates and _due(job.eval_every_us, job.eval_every_n, job.eval_last_us, job.eval_n, t_us):
        job.mode = EVALUATION
        job.eval_last_us = t_us
        job.eval_n = 0
        job.u_frac = job.eval_u
        job.edge_us = t_us + job.eval_us
        job.delay_us += job.eval_extra_us
    elif evaluates and _due(job.ckpt_every_us, job.ckpt_every_n, job.ckpt_last_us, job.ckpt_n, t_us):
        job.mode = CHECKPOINT
        job.ckpt_last_us = t_us
        job.ckpt_n = 0
        job.u_frac = job.ckpt_u
        job.edge_us = t_us + job.ckpt_us
        job.delay_us += job.ckpt_extra_us
    else:
        _begin_cycle(load, job, t_us)


@inner
def _staged_edge(load, job, t_us):
    """The edge that is due at t_us of a training or fine-tuning job."""
    if job.mode in (EVALUATION, CHECKPOINT):
        job.mode = MAIN
        if t_us >= job.stage_end_us:
            _begin_stage(load, job, job.stage + 1, t_us)
        else:
            _begin_cycle(load, job, t_us)
        return
    if job.mode == MAIN and t_us >= job.stage_end_us:
        _begin_stage(load, job, job.stage + 1, t_us)
        return
    job.seg += 1
    if job.mode == COLD:
        if job.seg == job.n_cold:
            _begin_main(load, job, t_us)
        else:
            _begin_segment(load, job, t_us)
    elif job.seg < load.stages[job.stage_first + job.stage].n_seg:
        _begin_segment(load, job, t_us)
    elif job.wait_us > 0:  # the last segment goes on, at the level of those that wait for a straggler
        job.seg -= 1
        job.u_frac = job.wait_u
        job.edge_us = t_us + job.wait_us
        job.waited_us += job.wait_us
        job.wait_us = 0
    else:
        _after_cycle(load, job, t_us)


@inner
def _query_edge(load, job, t_us):
    """Arrivals of the next cell of the query grid, and departures of those who were served (Eq. 16)."""
    job.k_query += 1
    p_mw = 0.0
    for c in range(job.class_first, job.class_first + job.n_class):
        query = load.classes[c]
        slot = query.ring_first + job.k_query % query.n_ring
        arrivals = draw(load, query.stream, job.k_query)
        query.in_service += arrivals - load.ring[slot]
        query.n_served += load.ring[slot]
        load.ring[slot] = arrivals
        p_mw += query.in_service * query.p_mw
    full_mw = job.amp_mw * job.weight
    job.u_frac = min(p_mw / full_mw, job.cap_u) if full_mw > 0.0 else 0.0
    job.edge_us = (job.k_query + 1) * job.query_step_us


@inner
def _serve(load, job, t_us):
    """The next cell of a serving job: its replicas' mean utilization, at the speed that the site's cap leaves."""
    q = load.queues[job.queue]
    until_us = (t_us // job.query_step_us + 1) * job.query_step_us
    allowed = load.allowed[job.site]
    job.u_frac, u_prefill, u_decode = run_cell(load, q, until_us, allowed)
    full_mws = job.amp_mw * job.weight * (until_us - t_us) * 1e-6
    wanted = job.u_frac * full_mws
    q.e_wanted += wanted
    q.e += wanted * allowed
    q.e_prefill += u_prefill * full_mws * allowed
    q.e_decode += u_decode * full_mws * allowed
    job.edge_us = until_us


@inner
def settle(load, job, t_us):
    """New command and next edge after anything changed at t_us."""
    job.work_mw = job.amp_mw * job.weight * job.u_frac
    u_mw = job.work_mw if job.control_us == 0 else command(job, t_us)
    if u_mw != job.u_mw:
        job.falling = 1 if u_mw < job.x_mw else 0
        job.u_mw = u_mw
    next_us = min(min(job.edge_us, job.fail_us), job.tick_us)
    next_us = min(next_us, min(job.start_us, job.stop_us))
    if job.mode == MAIN and job.kind == STAGED:
        next_us = min(next_us, job.stage_end_us)
    if job.i_weight < job.n_weight:
        next_us = min(next_us, load.weights[job.weight_first + job.i_weight].t_us)
    job.next_us = next_us


@inner
def _edge(load, k, t_us):
    """Work off what is due at t_us of job k."""
    job = load.jobs[k]
    if job.control_us > 0:
        wait_for_power(job, t_us)
    while job.i_weight < job.n_weight and load.weights[job.weight_first + job.i_weight].t_us <= t_us:
        job.weight = load.weights[job.weight_first + job.i_weight].weight
        job.i_weight += 1
    if job.stop_us <= t_us:
        stop(load, k, t_us)
    elif job.fail_us <= t_us:
        fail(load, k, t_us)
    elif job.start_us <= t_us:
        start(load, k, t_us)
    elif job.kind == STAGED and (job.edge_us <= t_us or (job.mode == MAIN and job.stage_end_us <= t_us)):
        _staged_edge(load, job, t_us)
        if job.mode == STOPPED:
            emit(load.events, load.n_event, t_us, JOB_STOPPED, k, job.p_mw)
    elif job.kind == INFERENCE and job.edge_us <= t_us:
        _query_edge(load, job, t_us)
    elif job.kind == SERVING and job.edge_us <= t_us:
        _serve(load, job, t_us)
    elif job.kind == SEMI_MARKOV and job.edge_us <= t_us:
        visit(load, job, t_us)
    elif job.kind == TRACE:
        job.edge_us = NEVER
    settle(load, job, t_us)


@inner
def _advance_states(load, job, t_us):
    """Carry the lag to t_us under the held command; count time run and time lost."""
    dt_us = t_us - job.t_us
    if dt_us <= 0:
        return
    if job.mode in (MAIN, EVALUATION, CHECKPOINT, COLD):
        job.run_us += dt_us
    elif job.mode in (FAILED, UNPOWERED):
        job.lost_us += dt_us
    if job.control_us > 0:
        gap = (job.u_mw - job.work_mw) * dt_us * 1e-6
        job.e_extra += max(gap, 0.0)
        job.e_short += max(-gap, 0.0)
    if job.kind != TRACE and not (job.x_mw == job.u_mw and job.v_mw_per_s == 0.0 and job.y_mw == job.u_mw):
        edge = job.down if job.falling == 1 else job.up
        job.x_mw, job.v_mw_per_s, job.y_mw = advance_lag(
            edge, job.x_mw, job.v_mw_per_s, job.y_mw, job.u_mw, dt_us, load.step_us[0]
        )
        if (
            abs(job.x_mw - job.u_mw) < SETTLED_MW
            and abs(job.y_mw - job.u_mw) < SETTLED_MW
            and abs(job.v_mw_per_s) < SETTLED_MW * edge.omega
        ):  # ends the tail before it reaches denormal numbers, which are slow
            job.x_mw = job.u_mw
            job.v_mw_per_s = 0.0
            job.y_mw = job.u_mw
    job.t_us = t_us


@njit
def step_load(load, t_us):
    """Carry every job to t_us, edges at t_us included, and sum up each site's P_AI. [us] -> [MW]"""
    for s in range(load.p_ai_mw.size):
        load.p_ai_mw[s] = load.p_const_mw[s] if load.powered[s] == 1 else 0.0
    for k in range(load.jobs.size):
        job = load.jobs[k]
        job.e_mws += job.p_mw * (t_us - job.t_us) * 1e-6  # each power holds until the next, as the site's does
        while job.next_us <= t_us:
            _advance_states(load, job, job.next_us)
            _edge(load, k, job.next_us)
        _advance_states(load, job, t_us)
        if t_us == 0 and job.running == 1:  # since before the run: its lag has arrived
            job.x_mw = job.u_mw
            job.y_mw = job.u_mw
        if job.kind == TRACE:
            p_mw = trace_power(load, job, t_us)
        else:
            p_mw = read_power(job.down if job.falling == 1 else job.up, job.x_mw, job.v_mw_per_s, job.y_mw, job.u_mw)
            if job.sigma > 0.0 or job.node_sigma > 0.0:
                p_mw *= 1.0 + job.noise_factor * noise(load, job, t_us)
        job.p_mw = p_mw if load.powered[job.site] == 1 else 0.0
        load.p_ai_mw[job.site] += job.p_mw
