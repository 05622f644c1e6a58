"""Requests before and in replicas with continuous batching: event by event, exact to the microsecond.

A replica decodes its residents together, step by step: each step gives each of them a token, so it keeps one progress v
[token] and a heap of the v at which each resident is done, and steps between two events cost nothing. A prompt waits
for the end of the step that runs; then it is prefilled alone, or all that wait are, together with a decode step. Cells
of time are for the power only: one is run when it begins, from what was known then.
"""

from __future__ import annotations

import math

from cosim.jit import inner
from cosim.load.kernel_order import least, pop, push, set_leaf
from cosim.load.state import NEVER

PPM = 1_000_000
SAME_TOKEN = 1e-6
"""Residents whose ends are this close are done at one time. [token]"""
LONGEST_US = 1e15
"""An event farther away than this does not come. [us]"""
STANDSTILL = 1e-9
"""A speed below this is none. [1]"""
TTFT, TPOT, LATENCY = range(3)
N_KIND = 6
"""Histograms of a queue: the three above, then the same of requests served under a cap."""
N_BIN, BINS_PER_DECADE, LEAST_BIN_US = 1000, 100, 10.0
"""Bins of a histogram: 100 a decade from 10 us on."""


@inner
def _count(load, q, kind, t_us):
    """One more time in a histogram."""
    k = 0
    if t_us > LEAST_BIN_US:
        k = min(int(BINS_PER_DECADE * math.log10(t_us / LEAST_BIN_US)), N_BIN - 1)
    load.bins[q.bin_first + kind + (3 if q.allowed < 1.0 else 0), k] += 1


@inner
def _token_us(q, rep):
    """Time of one decode step at full speed. [us]"""
    return q.step_us + q.request_us * rep.n_decode + q.token_us * 0.5 * rep.kv_work


@inner
def _bring(q, rep, t_us):
    """Carry a replica to t_us; nothing happens in between."""
    dt_us = t_us - rep.t_us
    if rep.n_batch > 0:
        rep.rem_us -= dt_us * q.s_prefill
    elif rep.n_decode > 0:
        rep.v += dt_us * q.s_decode / _token_us(q, rep)
    rep.t_us = t_us


@inner
def _integrate(q, t_us):
    """Utilization of all replicas held until t_us."""
    q.prefill_sum += q.prefill_ppm * (t_us - q.u_us)
    q.decode_sum += q.decode_ppm * (t_us - q.u_us)
    q.u_us = t_us


@inner
def _plan(load, q, r):
    """Next event, utilization and load of replica r after anything about it changed."""
    rep = load.replicas[q.replica_first + r]
    wait_us = math.inf
    prefill_ppm = decode_ppm = 0
    if rep.n_batch > 0:
        decode_ppm = rep.beside_ppm
        prefill_ppm = q.u_prefill_ppm - decode_ppm
        if q.s_prefill > STANDSTILL:
            wait_us = rep.rem_us / q.s_prefill
    elif rep.n_decode > 0:
        decode_ppm = load.tables[q.table_first + rep.n_decode]
        if q.s_decode > STANDSTILL:
            v_next = rep.v_stop if rep.n_prefill > 0 else load.residents[q.place_first + r * q.max_batch].v_end
            wait_us = (v_next - rep.v) * _token_us(q, rep) / q.s_decode
    elif rep.n_prefill > 0:
        wait_us = 0.0
    if prefill_ppm != rep.prefill_ppm or decode_ppm != rep.decode_ppm:
        _integrate(q, rep.t_us)
        q.prefill_ppm += prefill_ppm - rep.prefill_ppm
        q.decode_ppm += decode_ppm - rep.decode_ppm
        rep.prefill_ppm, rep.decode_ppm = prefill_ppm, decode_ppm
    rep.next_us = rep.t_us + math.ceil(max(wait_us, 0.0)) if wait_us < LONGEST_US else NEVER
    set_leaf(load, q, q.tree_first, r, rep.next_us)
    n = rep.n_decode + rep.n_prefill
    key = max(n * PPM // q.max_batch, rep.kv * PPM // q.kv_max)
    set_leaf(load, q, q.tree_first + 2 * q.n_leaf, r, key)


@inner
def _admit(load, q, r, t_us, come_us, tokens_in, tokens_out):
    """A request enters replica r at t_us; its prompt waits for the end of the step that runs."""
    rep = load.replicas[q.replica_first + r]
    _bring(q, rep, t_us)
    prompt = load.prompts[q.place_first + r * q.max_batch + (rep.head + rep.n_prefill) % q.max_batch]
    prompt.t_us, prompt.tokens_in, prompt.tokens_out = come_us, tokens_in, tokens_out
    if rep.n_prefill == 0:
        rep.v_stop = math.ceil(rep.v - SAME_TOKEN)
    rep.n_prefill += 1
    rep.kv += tokens_in + tokens_out
    q.n_run += 1
    _plan(load, q, r)


@inner
def _fits(load, q, r, tokens):
    rep = load.replicas[q.replica_first + r]
    return rep.n_decode + rep.n_prefill < q.max_batch and rep.kv + tokens <= q.kv_max


@inner
def _lose(q, tokens_in, tokens_out):
    q.in_lost += tokens_in
    q.out_lost += tokens_out
    q.row_lost += 1


@inner
def _expire(load, q, t_us):
    """Those at the head of the queue that have waited too long go; who came first waits longest."""
    while q.n_wait > 0:
        head = load.waiting[q.wait_first + q.wait_head]
        if t_us - head.t_us < q.timeout_us:
            break
        q.n_expired += 1
        _lose(q, head.tokens_in, head.tokens_out)
        q.wait_head = (q.wait_head + 1) % q.wait_max
        q.n_wait -= 1


@inner
def _arrive(load, q, t_us, tokens_in, tokens_out):
    """A request comes: to the least loaded replica, into the queue, or away."""
    q.n_arrived += 1
    q.row_arrived += 1
    q.in_arrived += tokens_in
    q.out_arrived += tokens_out
    if tokens_in + tokens_out > q.kv_max:
        q.n_refused += 1
        _lose(q, tokens_in, tokens_out)
        return
    _expire(load, q, t_us)
    r = least(load, q, q.tree_first + 2 * q.n_leaf)
    if q.n_wait == 0 and _fits(load, q, r, tokens_in + tokens_out):
        _admit(load, q, r, t_us, t_us, tokens_in, tokens_out)
    elif q.n_wait < q.wait_max:
        place = load.waiting[q.wait_first + (q.wait_head + q.n_wait) % q.wait_max]
        place.t_us, place.tokens_in, place.tokens_out = t_us, tokens_in, tokens_out
        q.n_wait += 1
    else:
        q.n_full += 1
        _lose(q, tokens_in, tokens_out)


@inner
def _dispatch(load, q, t_us):
    """Let those in who wait, in their order, as long as the least loaded replica has room."""
    _expire(load, q, t_us)
    while q.n_wait > 0:
        head = load.waiting[q.wait_first + q.wait_head]
        r = least(load, q, q.tree_first + 2 * q.n_leaf)
        if not _fits(load, q, r, head.tokens_in + head.tokens_out):
            break
        q.wait_head = (q.wait_head + 1) % q.wait_max
        q.n_wait -= 1
        _admit(load, q, r, t_us, head.t_us, head.tokens_in, head.tokens_out)
        _expire(load, q, t_us)


@inner
def _finish(load, q, rep, t_us, come_us, first_us, tokens_in, tokens_out):
    """The last token of a request."""
    rep.kv -= tokens_in + tokens_out
    q.n_run -= 1
    q.n_done += 1
    q.in_done += tokens_in
    q.out_done += tokens_out
    q.row_out += tokens_out
    q.latency_us += t_us - come_us
    _count(load, q, LATENCY, t_us - come_us)
    if tokens_out > 1:
        q.decode_us += t_us - first_us
        _count(load, q, TPOT, (t_us - first_us) / (tokens_out - 1))


@inner
def _begin_prefill(load, q, r):
    """The prompt at the head of replica r, or all of them beside a decode step, which holds its share of the time."""
    rep = load.replicas[q.replica_first + r]
    first = q.place_first + r * q.max_batch
    rep.n_batch = rep.n_prefill if q.mixed == 1 else 1
    beside_us = _token_us(q, rep) if q.mixed == 1 and rep.n_decode > 0 else 0.0
    rep.rem_us = beside_us
    for i in range(rep.n_batch):
        rep.rem_us += load.prompts[first + (rep.head + i) % q.max_batch].tokens_in * q.prefill_us
    rep.beside_ppm = math.floor(q.u_prefill_ppm * beside_us / rep.rem_us + 0.5)


@inner
def _first_token(load, q, r, t_us):
    """The prompt at the head of replica r becomes a resident."""
    rep = load.replicas[q.replica_first + r]
    first = q.place_first + r * q.max_batch
    prompt = load.prompts[first + rep.head]
    rep.head = (rep.head + 1) % q.max_batch
    rep.n_prefill -= 1
    q.n_first += 1
    q.row_first += 1
    q.ttft_us += t_us - prompt.t_us
    q.row_ttft_us += t_us - prompt.t_us
    _count(load, q, TTFT, t_us - prompt.t_us)
    if prompt.tokens_out > 1:
        if rep.n_decode == 0:
            rep.v = 0.0
        v_end = rep.v + prompt.tokens_out - 1
        push(load, first, rep.n_decode, v_end, prompt.t_us, t_us, prompt.tokens_in, prompt.tokens_out)
        rep.n_decode += 1
        rep.kv_work += 2 * prompt.tokens_in + prompt.tokens_out
    else:
        _finish(load, q, rep, t_us, prompt.t_us, t_us, prompt.tokens_in, prompt.tokens_out)


@inner
def _end_residents(load, q, r, t_us):
    """The last token of the residents of replica r that are done."""
    rep = load.replicas[q.replica_first + r]
    first = q.place_first + r * q.max_batch
    while rep.n_decode > 0 and load.residents[first].v_end <= rep.v + SAME_TOKEN:
        done = load.residents[first]
        rep.kv_work -= 2 * done.tokens_in + done.tokens_out
        _finish(load, q, rep, t_us, done.t_us, done.first_us, done.tokens_in, done.tokens_out)
        pop(load, first, rep.n_decode)
        rep.n_decode -= 1


@inner
def _turn(load, q, r, t_us):
    """The event that replica r had planned for t_us."""
    rep = load.replicas[q.replica_first + r]
    _bring(q, rep, t_us)
    if rep.n_batch > 0:
        if q.mixed == 1:
            rep.v += 1.0
            _end_residents(load, q, r, t_us)
        for _ in range(rep.n_batch):
            _first_token(load, q, r, t_us)
        rep.n_batch = 0
        rep.v_stop = rep.v
    elif rep.n_prefill > 0:
        rep.v = rep.v_stop
        _end_residents(load, q, r, t_us)
        _begin_prefill(load, q, r)
    else:
        rep.v = load.residents[q.place_first + r * q.max_batch].v_end
        _end_residents(load, q, r, t_us)
    _plan(load, q, r)


@inner
def _set_speed(load, q, allowed, t_us):
    """Replicas may draw only this share of what they would: they slow down, from t_us on."""
    if allowed == q.allowed:
        return
    q.allowed = allowed
    s_prefill, s_decode = allowed**q.prefill_exponent, allowed**q.decode_exponent
    if s_prefill == q.s_prefill and s_decode == q.s_decode:
        return
    for r in range(q.n_replica):
        _bring(q, load.replicas[q.replica_first + r], t_us)
    q.s_prefill, q.s_decode = s_prefill, s_decode
    for r in range(q.n_replica):
        _plan(load, q, r)


@inner
def clear_queue(load, q):
    """Whatever waits or is served is lost: the job has stopped, failed, or has no power."""
    while q.n_wait > 0:
        head = load.waiting[q.wait_first + q.wait_head]
        _lose(q, head.tokens_in, head.tokens_out)
        q.n_lost += 1
        q.wait_head = (q.wait_head + 1) % q.wait_max
        q.n_wait -= 1
    for r in range(q.n_replica):
        rep = load.replicas[q.replica_first + r]
        first = q.place_first + r * q.max_batch
        for i in range(rep.n_decode):
            _lose(q, load.residents[first + i].tokens_in, load.residents[first + i].tokens_out)
        for i in range(rep.n_prefill):
            prompt = load.prompts[first + (rep.head + i) % q.max_batch]
            _lose(q, prompt.tokens_in, prompt.tokens_out)
        q.n_lost += rep.n_decode + rep.n_prefill
        rep.n_decode = rep.n_prefill = rep.n_batch = rep.head = rep.kv = rep.kv_work = 0
        rep.prefill_ppm = rep.decode_ppm = 0
        rep.next_us = NEVER
    for i in range(4 * q.n_leaf):
        key = load.trees[q.tree_first + i]
        load.trees[q.tree_first + i] = NEVER if i < 2 * q.n_leaf or key == NEVER else 0
    q.n_run = q.prefill_ppm = q.decode_ppm = 0


@inner
def open_queue(load, q, t_us):
    """Begin at t_us with idle replicas; who came before went elsewhere."""
    for r in range(q.n_replica):
        load.replicas[q.replica_first + r].t_us = t_us
    q.done_us = q.u_us = t_us
    while q.i_feed < q.n_feed and load.feed[q.feed_first + q.i_feed].t_us < t_us:
        q.i_feed += 1


@inner
def run_cell(load, q, until_us, allowed):
    """Everything that happens before until_us; mean utilization of the replicas since the last cell's end. [us] -> [1]

    `allowed` is the share of the power they ask for that they are given, known at the cell's begin. With the mean
    comes what of it is prefill and what decoding.
    """
    from_us = q.done_us
    _set_speed(load, q, allowed, from_us)
    while True:
        next_us = load.trees[q.tree_first + 1]
        come_us = load.feed[q.feed_first + q.i_feed].t_us if q.i_feed < q.n_feed else NEVER
        if min(next_us, come_us) >= until_us:
            break
        if next_us <= come_us:
            _turn(load, q, least(load, q, q.tree_first), next_us)
            if q.n_wait > 0:
                _dispatch(load, q, next_us)
        else:
            request = load.feed[q.feed_first + q.i_feed]
            q.i_feed += 1
            _arrive(load, q, come_us, request.tokens_in, request.tokens_out)
    _expire(load, q, until_us)
    _integrate(q, until_us)
    whole = PPM * q.n_replica * (until_us - from_us)
    u = (q.prefill_sum + q.decode_sum) / whole
    u_prefill, u_decode = q.prefill_sum / whole, q.decode_sum / whole
    q.prefill_sum = q.decode_sum = 0
    q.done_us = until_us
    q.run_us += until_us - from_us
    q.busy_us += u * (until_us - from_us)
    if allowed < 1.0:
        q.capped_us += until_us - from_us
    return u, u_prefill, u_decode
