"""What a job is and where it stands: the records and arrays that the load kernel steps."""

from __future__ import annotations

import numpy as np

from cosim.bundle import Bundle
from cosim.load.kernel_lag import EDGE

NEVER = np.int64(2**62)
"""A time that does not come. [us]"""

SETTLED_MW = 1e-13
"""A lag this close to its command has arrived. [MW]"""

STAGED, INFERENCE, TRACE = 0, 1, 2
WAITING, COLD, MAIN, EVALUATION, CHECKPOINT, FAILED, STOPPED, UNPOWERED = range(8)

JOB = np.dtype(
    [
        # what the job is
        ("site", "i8"), ("kind", "i8"), ("amp_mw", "f8"), ("up", EDGE), ("down", EDGE),
        ("start_us", "i8"), ("stop_us", "i8"),
        ("stage_first", "i8"), ("n_stage", "i8"), ("cold_first", "i8"), ("n_cold", "i8"),
        ("eval_us", "i8"), ("eval_u", "f8"), ("eval_every_us", "i8"), ("eval_every_n", "i8"),
        ("ckpt_us", "i8"), ("ckpt_u", "f8"), ("ckpt_every_us", "i8"), ("ckpt_every_n", "i8"),
        ("fail_per_us", "f8"), ("restart_us", "i8"),
        ("straggler_stream", "i8"), ("wait_over", "f8"), ("wait_mean_us", "f8"), ("wait_u", "f8"),
        ("eval_extra_us", "i8"), ("ckpt_extra_us", "i8"),
        ("control_us", "i8"), ("cap_u", "f8"), ("floor_u", "f8"), ("hold_us", "i8"), ("filler_u", "f8"),
        ("up_per_us", "f8"), ("down_per_us", "f8"), ("speed_exponent", "f8"),
        ("weight_first", "i8"), ("n_weight", "i8"),
        ("class_first", "i8"), ("n_class", "i8"), ("query_step_us", "i8"),
        ("trace_first", "i8"), ("n_trace", "i8"), ("trace_period_us", "i8"), ("trace_linear", "i8"),
        ("noise_step_us", "i8"), ("sigma", "f8"), ("phi", "f8"), ("node_sigma", "f8"), ("node_phi", "f8"),
        ("jitter_stream", "i8"), ("noise_stream", "i8"), ("node_stream", "i8"), ("fail_stream", "i8"),
        # where it stands
        ("mode", "i8"), ("t_us", "i8"), ("next_us", "i8"), ("weight", "f8"), ("i_weight", "i8"), ("falling", "i8"),
        ("u_frac", "f8"), ("u_mw", "f8"), ("x_mw", "f8"), ("v_mw_per_s", "f8"), ("y_mw", "f8"),
        ("stage", "i8"), ("seg", "i8"), ("edge_us", "i8"), ("stage_end_us", "i8"), ("scale", "f8"), ("n_cycle", "i8"),
        ("eval_last_us", "i8"), ("eval_n", "i8"), ("ckpt_last_us", "i8"), ("ckpt_n", "i8"),
        ("fail_us", "i8"), ("n_fail", "i8"), ("k_query", "i8"), ("i_trace", "i8"), ("trace_lap_us", "i8"),
        ("k_noise", "i8"), ("noise0", "f8"), ("noise1", "f8"), ("node0", "f8"), ("node1", "f8"),
        ("p_mw", "f8"), ("run_us", "i8"), ("lost_us", "i8"),
        ("wait_us", "i8"), ("waited_us", "i8"),
        ("work_mw", "f8"), ("tick_us", "i8"), ("moved_us", "i8"), ("moving", "i8"), ("below_us", "i8"),
        ("delay_us", "i8"), ("e_extra", "f8"), ("e_short", "f8"),
    ]
)  # fmt: skip
"""One job: its parameters and its whole state. Times are absolute [us], powers [MW]."""

STAGE = np.dtype([("duration_us", "i8"), ("seg_first", "i8"), ("n_seg", "i8"), ("jitter", "f8"), ("evaluates", "i8")])
SEGMENT = np.dtype([("duration_us", "i8"), ("u", "f8"), ("extra_us", "i8")])
WEIGHT = np.dtype([("t_us", "i8"), ("weight", "f8")])
CLASS = np.dtype(
    [("p_mw", "f8"), ("stream", "i8"), ("ring_first", "i8"), ("n_ring", "i8"), ("in_service", "f8")]
)  # fmt: skip
SAMPLE = np.dtype([("t_us", "i8"), ("p_mw", "f8")])


class LoadArrays(Bundle):
    """Everything the load kernel reads and writes; the same numba type for every scenario."""

    jobs: np.ndarray  # JOB
    stages: np.ndarray  # STAGE
    segments: np.ndarray  # SEGMENT
    weights: np.ndarray  # WEIGHT
    classes: np.ndarray  # CLASS
    ring: np.ndarray  # f8: arrivals of the last n_ring cells, class by class
    samples: np.ndarray  # SAMPLE
    draws: np.ndarray  # f8 (stream, draw): a window of each random stream
    first_draw: np.ndarray  # i8 (stream,): index of the window's first draw
    p_const_mw: np.ndarray  # f8 (site,): base and idle power
    powered: np.ndarray  # i8 (site,): 0 after a trip, until restart
    p_ai_mw: np.ndarray  # f8 (site,): result
    events: np.ndarray  # EVENT
    n_event: np.ndarray  # i8 (1,)
    step_us: np.ndarray  # i8 (1,)
