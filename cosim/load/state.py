"""What a job is and where it stands: the records and arrays that the load kernel steps."""

from __future__ import annotations

import numpy as np

from cosim.bundle import Bundle
from cosim.load.kernel_lag import EDGE

NEVER = np.int64(2**62)
"""A time that does not come. [us]"""

SETTLED_MW = 1e-13
"""A lag this close to its command has arrived. [MW]"""

STAGED, INFERENCE, TRACE, SERVING, SEMI_MARKOV = range(5)
WAITING, COLD, MAIN, EVALUATION, CHECKPOINT, FAILED, STOPPED, UNPOWERED = range(8)

JOB = np.dtype(
    [
        # what the job is
        ("site", "i8"), ("kind", "i8"), ("amp_mw", "f8"), ("up", EDGE), ("down", EDGE),
        ("start_us", "i8"), ("stop_us", "i8"), ("running", "i8"), ("is_shed", "i8"),
        ("stage_first", "i8"), ("n_stage", "i8"), ("cold_first", "i8"), ("n_cold", "i8"),
        ("eval_us", "i8"), ("eval_u", "f8"), ("eval_every_us", "i8"), ("eval_every_n", "i8"),
        ("ckpt_us", "i8"), ("ckpt_u", "f8"), ("ckpt_every_us", "i8"), ("ckpt_every_n", "i8"),
        ("fail_per_us", "f8"), ("restart_us", "i8"),
        ("straggler_stream", "i8"), ("wait_over", "f8"), ("wait_mean_us", "f8"), ("wait_u", "f8"),
        ("eval_extra_us", "i8"), ("ckpt_extra_us", "i8"),
        ("control_us", "i8"), ("cap_u", "f8"), ("floor_u", "f8"), ("hold_us", "i8"), ("filler_u", "f8"),
        ("up_per_us", "f8"), ("down_per_us", "f8"), ("speed_exponent", "f8"),
        ("weight_first", "i8"), ("n_weight", "i8"),
        ("class_first", "i8"), ("n_class", "i8"), ("query_step_us", "i8"), ("queue", "i8"),
        ("trace_first", "i8"), ("n_trace", "i8"), ("trace_period_us", "i8"), ("trace_linear", "i8"),
        ("noise_step_us", "i8"), ("sigma", "f8"), ("phi", "f8"), ("node_sigma", "f8"), ("node_phi", "f8"),
        ("jitter_stream", "i8"), ("dip_stream", "i8"), ("fail_stream", "i8"),
        ("noise_stream", "i8"), ("node_stream", "i8"),
        ("state_first", "i8"), ("n_state", "i8"), ("probability_first", "i8"), ("n_probability", "i8"),
        ("visit_stream", "i8"),
        # where it stands
        ("mode", "i8"), ("t_us", "i8"), ("next_us", "i8"), ("weight", "f8"), ("i_weight", "i8"), ("falling", "i8"),
        ("u_frac", "f8"), ("u_mw", "f8"), ("x_mw", "f8"), ("v_mw_per_s", "f8"), ("y_mw", "f8"),
        ("stage", "i8"), ("seg", "i8"), ("edge_us", "i8"), ("stage_end_us", "i8"),
        ("n_cycle", "i8"), ("scale", "f8"), ("deep", "f8"),
        ("eval_last_us", "i8"), ("eval_n", "i8"), ("ckpt_last_us", "i8"), ("ckpt_n", "i8"),
        ("fail_us", "i8"), ("n_fail", "i8"), ("k_query", "i8"), ("i_trace", "i8"), ("trace_lap_us", "i8"),
        ("k_noise", "i8"), ("noise0", "f8"), ("noise1", "f8"), ("node0", "f8"), ("node1", "f8"),
        ("p_mw", "f8"), ("run_us", "i8"), ("lost_us", "i8"), ("e_mws", "f8"), ("n_done", "i8"),
        ("wait_us", "i8"), ("waited_us", "i8"), ("state", "i8"), ("noise_factor", "f8"),
        ("work_mw", "f8"), ("tick_us", "i8"), ("moved_us", "i8"), ("moving", "i8"), ("below_us", "i8"),
        ("delay_us", "i8"), ("e_extra", "f8"), ("e_short", "f8"),
    ]
)  # fmt: skip
"""One job: its parameters and its whole state. Times are absolute [us], powers [MW]."""

STAGE = np.dtype(
    [
        ("duration_us", "i8"), ("seg_first", "i8"), ("n_seg", "i8"), ("jitter", "f8"), ("evaluates", "i8"),
        ("dip", "f8"), ("u_top", "f8"),
    ]
)  # fmt: skip
"""A stage: its cycle of segments, jitter of the cycle's duration and of the depth of its dips below u_top."""

SEGMENT = np.dtype([("duration_us", "i8"), ("u", "f8"), ("extra_us", "i8")])
WEIGHT = np.dtype([("t_us", "i8"), ("weight", "f8")])
CLASS = np.dtype(
    [("p_mw", "f8"), ("stream", "i8"), ("ring_first", "i8"), ("n_ring", "i8"), ("in_service", "f8"), ("n_served", "f8")]
)  # fmt: skip
STATE = np.dtype([("u_first", "i8"), ("dwell_first", "i8"), ("next_first", "i8"), ("noise_factor", "f8")])
"""A state of a semi-Markov load: where its quantiles of utilization and length, and its chances, stand."""

SAMPLE = np.dtype([("t_us", "i8"), ("p_mw", "f8")])

REQUEST = np.dtype([("t_us", "i8"), ("tokens_in", "i8"), ("tokens_out", "i8")])
"""A request: when it came, tokens of its prompt and of its answer."""

RESIDENT = np.dtype([("v_end", "f8"), ("t_us", "i8"), ("first_us", "i8"), ("tokens_in", "i8"), ("tokens_out", "i8")])
"""A request that is decoded: progress of its replica at which it is done [token], when it came, its first token."""

REPLICA = np.dtype(
    [
        ("t_us", "i8"), ("next_us", "i8"), ("v", "f8"), ("v_stop", "f8"), ("rem_us", "f8"), ("n_decode", "i8"),
        ("n_prefill", "i8"), ("n_batch", "i8"), ("head", "i8"), ("kv", "i8"), ("kv_work", "i8"),
        ("beside_ppm", "i8"), ("prefill_ppm", "i8"), ("decode_ppm", "i8"),
    ]
)  # fmt: skip
"""One replica: when it was brought up to date, its next event, tokens each resident has got and at the end of the step
for which prompts wait, prefill left at full speed, residents, prompts, those being prefilled, the first of them, tokens
reserved, twice the tokens that a decode step reads; utilization [ppm] that decoding holds in a step with prefill, and
that prefill and decoding hold now."""

QUEUE = np.dtype(
    [
        # what it is
        ("replica_first", "i8"), ("n_replica", "i8"), ("place_first", "i8"), ("max_batch", "i8"), ("kv_max", "i8"),
        ("wait_first", "i8"), ("wait_max", "i8"), ("timeout_us", "i8"), ("feed_first", "i8"), ("feed_max", "i8"),
        ("tree_first", "i8"), ("n_leaf", "i8"), ("table_first", "i8"), ("bin_first", "i8"), ("u_prefill_ppm", "i8"),
        ("mixed", "i8"),
        ("prefill_us", "f8"), ("step_us", "f8"), ("request_us", "f8"), ("token_us", "f8"),
        ("prefill_exponent", "f8"), ("decode_exponent", "f8"),
        # where it stands
        ("n_feed", "i8"), ("i_feed", "i8"), ("done_us", "i8"), ("wait_head", "i8"), ("n_wait", "i8"), ("n_run", "i8"),
        ("prefill_ppm", "i8"), ("decode_ppm", "i8"), ("u_us", "i8"), ("prefill_sum", "i8"), ("decode_sum", "i8"),
        ("allowed", "f8"), ("s_prefill", "f8"), ("s_decode", "f8"),
        # counts over the run: requests, tokens, times [us], energy above idle [MWs]
        ("n_arrived", "i8"), ("n_first", "i8"), ("n_done", "i8"), ("n_full", "i8"), ("n_expired", "i8"),
        ("n_refused", "i8"), ("n_lost", "i8"),
        ("in_arrived", "i8"), ("out_arrived", "i8"), ("in_done", "i8"), ("out_done", "i8"), ("in_lost", "i8"),
        ("out_lost", "i8"), ("ttft_us", "i8"), ("decode_us", "i8"), ("latency_us", "i8"), ("run_us", "i8"),
        ("capped_us", "i8"), ("busy_us", "f8"), ("e", "f8"), ("e_wanted", "f8"),
        ("e_prefill", "f8"), ("e_decode", "f8"),
        # since the last row of the log
        ("row_arrived", "i8"), ("row_out", "i8"), ("row_first", "i8"), ("row_ttft_us", "i8"), ("row_lost", "i8"),
    ]
)  # fmt: skip
"""The requests of one serving job: its replicas' parameters, the queue before them, what became of requests."""


class LoadArrays(Bundle):
    """Everything the load kernel reads and writes; the same numba type for every scenario."""

    jobs: np.ndarray  # JOB
    stages: np.ndarray  # STAGE
    segments: np.ndarray  # SEGMENT
    weights: np.ndarray  # WEIGHT
    classes: np.ndarray  # CLASS
    ring: np.ndarray  # f8: arrivals of the last n_ring cells, class by class
    samples: np.ndarray  # SAMPLE
    states: np.ndarray  # STATE
    quantiles: np.ndarray  # f8: probabilities of each job, quantiles and running sums of chances of its states
    queues: np.ndarray  # QUEUE, one a serving job
    replicas: np.ndarray  # REPLICA, queue by queue
    residents: np.ndarray  # RESIDENT: of each replica a heap of max_batch, the first done first
    prompts: np.ndarray  # REQUEST: of each replica a ring of max_batch that wait for prefill
    waiting: np.ndarray  # REQUEST: of each queue a ring of wait_max
    feed: np.ndarray  # REQUEST: of each queue the arrivals to come
    trees: np.ndarray  # i8: of each queue the smallest next_us, then the smallest load, of ever more replicas
    tables: np.ndarray  # i8: of each queue the utilization of decoding by batch [ppm]
    bins: np.ndarray  # i8 (kind, bin): of each queue N_KIND histograms of times
    allowed: np.ndarray  # f8 (site,): share of the swing that the site's cap leaves
    draws: np.ndarray  # f8 (stream, draw): a window of each random stream
    first_draw: np.ndarray  # i8 (stream,): index of the window's first draw
    p_const_mw: np.ndarray  # f8 (site,): base and idle power
    powered: np.ndarray  # i8 (site,): 0 after a trip, until restart
    p_ai_mw: np.ndarray  # f8 (site,): result
    events: np.ndarray  # EVENT
    n_event: np.ndarray  # i8 (1,)
    step_us: np.ndarray  # i8 (1,)
