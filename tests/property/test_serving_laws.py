"""Whatever the replicas, the requests and the cap: the queue equals its readable twin and loses nothing.

`COSIM_LAW_EXAMPLES` sets how many cases are drawn.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from serving_twin import Request, Twin
from test_serving_queue import CELL_US, REPLICA, built, run, serving

from cosim.load import kernel

pytestmark = pytest.mark.twin
N_CELL = 60
N_EXAMPLES = int(os.environ.get("COSIM_LAW_EXAMPLES", "60"))


@st.composite
def cases(draw):
    """Replica, number of them, limits, requests as (gap [us], in, out), and a cap for each cell."""
    replica = REPLICA | {
        "max_batch": draw(st.integers(1, 9)),
        "kv_tokens": draw(st.integers(300, 4000)),
        "prefill": draw(st.sampled_from(["mixed", "alone"])),
        "step_s": draw(st.sampled_from([1e-3, 0.02, 0.37])),
        "step_per_token_s": draw(st.sampled_from([0.0, 1e-5])),
        "prefill_exponent": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "decode_exponent": draw(st.sampled_from([0.0, 0.33, 1.0])),
    }
    gaps = st.sampled_from([0, 1, 20_000, 100_000, 377_777])
    requests = draw(st.lists(st.tuples(gaps, st.integers(1, 900), st.integers(1, 60)), min_size=1, max_size=60))
    caps = draw(st.lists(st.sampled_from([1.0, 0.8, 0.25]), min_size=3, max_size=3))
    limits = draw(st.sampled_from([(0, None), (3, None), (100, 1.5), (5, 0.3)]))
    return replica, draw(st.integers(1, 5)), limits, requests, caps


@given(cases())
@settings(max_examples=N_EXAMPLES)
def test_queue_equals_its_twin_for_any_replicas_requests_and_caps(case):
    replica, n, (queue_limit, timeout_s), rows, caps = case
    job = serving(0.0, replica, accelerators=8 * n, queue_limit=queue_limit, timeout_s=timeout_s,
                  tokens_in={"fixed": 1}, tokens_out={"fixed": 1})  # fmt: skip
    arrays, book = built(job)
    book.join([], arrays.queues[:0], arrays.feed)
    t_us = np.cumsum([gap for gap, _, _ in rows])
    for i, (_, tokens_in, tokens_out) in enumerate(rows):
        arrays.feed[i] = (t_us[i], tokens_in, tokens_out)
    arrays.queues["n_feed"] = len(rows)
    allowed = lambda k: caps[k // 20]  # noqa: E731
    u = run(arrays, book, N_CELL, allowed)
    twin = Twin(replica, n, queue_limit, round(timeout_s * 1e6) if timeout_s else 2**62)
    points = replica["decode_utilization"]
    xs, us = [p["batch"] for p in points], [p["utilization"] for p in points]
    twin.table = [round(float(np.interp(k, xs, us)) * 1e6) for k in range(replica["max_batch"] + 1)]
    requests = [
        Request(int(t), tokens_in, tokens_out) for t, (_, tokens_in, tokens_out) in zip(t_us, rows, strict=True)
    ]
    offered = [r for r in requests if r.t_us < N_CELL * CELL_US]
    wanted = [twin.cell(requests, (k + 1) * CELL_US, allowed(k)) for k in range(N_CELL)]
    assert u == [whole for whole, _, _ in wanted]
    q, full_mws = arrays.queues[0], arrays.jobs[0]["amp_mw"] * arrays.jobs[0]["weight"] * CELL_US * 1e-6
    for part, field in ((1, "e_prefill"), (2, "e_decode")):
        e_mws = sum(cell[part] * full_mws * allowed(k) for k, cell in enumerate(wanted))
        assert q[field] == pytest.approx(e_mws, rel=1e-12), field
    assert q["e_prefill"] + q["e_decode"] == pytest.approx(q["e"], rel=1e-12)
    assert q["n_done"] == len(twin.done)
    assert q["latency_us"] == sum(r.done_us - r.t_us for r in twin.done)
    assert q["ttft_us"] == sum(r.first_us - r.t_us for r in offered if r.first_us >= 0)
    assert q["n_wait"] == len(twin.waiting)
    kernel.stop(arrays, 0, N_CELL * CELL_US)
    assert q["n_arrived"] == q["n_done"] + q["n_full"] + q["n_expired"] + q["n_refused"] + q["n_lost"]
    assert q["out_arrived"] == q["out_done"] + q["out_lost"]
    assert q["in_arrived"] == q["in_done"] + q["in_lost"]
    assert (arrays.replicas["kv"] == 0).all()
    assert (arrays.replicas["kv_work"] == 0).all()
