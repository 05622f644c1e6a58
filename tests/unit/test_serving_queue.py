"""Replicas with continuous batching against a readable twin, conservation laws and queueing theory."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import special
from without_jit import needs_jit

sys.path.insert(0, str(Path(__file__).parent))

from serving_twin import Request, Twin

from cosim.load import kernel
from cosim.load.arrivals import requests_of
from cosim.load.build import LoadBuilder
from cosim.load.config import LoadConfig
from cosim.load.kernel_queue import BINS_PER_DECADE, LATENCY, LEAST_BIN_US, TPOT, TTFT
from cosim.load.state import REQUEST

pytestmark = pytest.mark.twin
MANY_REQUESTS = needs_jit("hundreds of thousands of requests")
CELL_US = 100_000
FLEET = {"count": 64, "p_peak_w": 1000.0, "p_idle_w": 100.0}
REPLICA = {
    "accelerators": 8, "max_batch": 6, "kv_tokens": 5000, "prefill_tokens_per_s": 8000.0, "step_s": 0.02,
    "step_per_request_s": 0.001, "step_per_token_s": 1e-6, "prefill_utilization": 0.95,
    "decode_utilization": [{"batch": 1, "utilization": 0.4}, {"batch": 5, "utilization": 0.7}],
    "prefill_exponent": 0.5, "decode_exponent": 0.25, "prefill": "mixed",
}  # fmt: skip


def serving(rate_per_s=1.0, replica=REPLICA, tokens_in=None, tokens_out=None, **more):
    return {
        "kind": "serving", "replica": replica,
        "arrivals": {"kind": "poisson", "rate": [{"t_s": 0, "rate_per_s": rate_per_s}]},
        "tokens_in": tokens_in or {"median": 400, "sigma": 1.0},
        "tokens_out": tokens_out or {"median": 100, "sigma": 0.8},
    } | more  # fmt: skip


def built(job, fleet=FLEET, step_us=CELL_US, seed=1, folder=Path()):
    load = LoadConfig.model_validate({"accelerators": fleet, "jobs": {"chat": job}})
    return LoadBuilder({"site": load}, step_us=step_us, seed=seed, folder=folder).build()


def run(arrays, book, n_cell, allowed=lambda _k: 1.0, first=0):
    """Step cells; commanded utilization of each."""
    u = []
    for k in range(first, first + n_cell):
        arrays.allowed[0] = allowed(k)
        if k * CELL_US + CELL_US > book.known_us or k == first:
            book.turn_to(k * CELL_US)
        kernel.step_load(arrays, k * CELL_US)
        arrays.n_event[0] = 0
        u.append(float(arrays.jobs[0]["u_frac"]))
    return u


def requests_for(job, seed, until_us):
    config = LoadConfig.model_validate({"accelerators": FLEET, "jobs": {"chat": job}}).jobs["chat"]
    source = requests_of(
        config.arrivals, (config.tokens_in, config.tokens_out), config.tokens_correlation,
        seed=seed, name="site/chat/requests", folder=Path(),
    )  # fmt: skip
    found, end_us = [], 0
    while end_us < until_us:
        (t_us, t_in, t_out), end_us = source.next()
        found += [Request(*row) for row in zip(t_us.tolist(), t_in.tolist(), t_out.tolist(), strict=True)]
    return found


def percentile_bins(times_us):
    bins = np.zeros(1000, np.int64)
    for t_us in times_us:
        k = 0 if t_us <= LEAST_BIN_US else int(BINS_PER_DECADE * math.log10(t_us / LEAST_BIN_US))
        bins[min(k, 999)] += 1
    return bins


@pytest.mark.parametrize("prefill", ["mixed", "alone"])
@pytest.mark.parametrize(
    ("rate", "more", "allowed"),
    [
        (4.0, {}, lambda k: 1.0),
        (12.0, {"queue_limit": 7, "timeout_s": 2.5}, lambda k: 1.0),
        (9.0, {"queue_limit": 50, "timeout_s": 9.0}, lambda k: [1.0, 0.5, 0.37, 1.0][k // 100]),
        (30.0, {"queue_limit": 0}, lambda k: 1.0),
    ],
)
def test_queue_equals_its_twin_event_by_event(rate, more, allowed, prefill):
    replica = REPLICA | {"prefill": prefill}
    job = serving(rate, replica, accelerators=24, **more)
    arrays, book = built(job)
    n_cell = 400
    u = run(arrays, book, n_cell, allowed)
    twin = Twin(replica, 3, more.get("queue_limit", 10_000), round(more["timeout_s"] * 1e6) if "timeout_s" in more
                else 2**62)  # fmt: skip
    points = REPLICA["decode_utilization"]
    xs, us = [p["batch"] for p in points], [p["utilization"] for p in points]
    twin.table = [round(float(np.interp(n, xs, us)) * 1e6) for n in range(REPLICA["max_batch"] + 1)]
    requests = requests_for(job, 1, n_cell * CELL_US)
    offered = [r for r in requests if r.t_us < n_cell * CELL_US]
    wanted = [twin.cell(requests, (k + 1) * CELL_US, allowed(k)) for k in range(n_cell)]
    assert u == [whole for whole, _, _ in wanted]
    q, full_mws = arrays.queues[0], arrays.jobs[0]["amp_mw"] * arrays.jobs[0]["weight"] * CELL_US * 1e-6
    for part, field in ((1, "e_prefill"), (2, "e_decode")):
        e_mws = 0.0
        for k, cell in enumerate(wanted):
            e_mws += cell[part] * full_mws * allowed(k)
        assert q[field] == e_mws, field
    assert q["e_prefill"] + q["e_decode"] == pytest.approx(q["e"], rel=1e-12)
    fates = [r.fate for r in offered]
    for name, fate in (("n_done", "done"), ("n_full", "full"), ("n_expired", "expired"), ("n_refused", "refused")):
        assert q[name] == fates.count(fate), name
    assert q["n_wait"] == len(twin.waiting)
    assert q["n_first"] == sum(r.first_us >= 0 for r in offered)
    assert q["latency_us"] == sum(r.done_us - r.t_us for r in twin.done)
    assert q["ttft_us"] == sum(r.first_us - r.t_us for r in offered if r.first_us >= 0)
    whole = arrays.bins[:3] + arrays.bins[3:]
    assert np.array_equal(whole[LATENCY], percentile_bins([r.done_us - r.t_us for r in twin.done]))
    assert np.array_equal(whole[TTFT], percentile_bins([r.first_us - r.t_us for r in offered if r.first_us >= 0]))
    many = [r for r in twin.done if r.tokens_out > 1]
    assert np.array_equal(whole[TPOT], percentile_bins([(r.done_us - r.first_us) / (r.tokens_out - 1) for r in many]))
    if rate > 10:
        assert fates.count("full") > 20


def test_requests_and_tokens_are_conserved():
    arrays, book = built(serving(20.0, accelerators=24, queue_limit=30, timeout_s=5.0))
    run(arrays, book, 600)
    kernel.fail(arrays, 0, 60_000_000)
    q = arrays.queues[0]
    assert q["n_lost"] > 0
    assert q["n_arrived"] == q["n_done"] + q["n_full"] + q["n_expired"] + q["n_refused"] + q["n_lost"]
    assert q["in_arrived"] == q["in_done"] + q["in_lost"]
    assert q["out_arrived"] == q["out_done"] + q["out_lost"]
    assert q["n_wait"] == q["n_run"] == q["prefill_ppm"] == q["decode_ppm"] == 0


def served(t_us, tokens_in, tokens_out, n, replica, queue_limit=9_000_000, cell_us=60_000_000):
    """Queue record and bins after all of these requests, on n replicas."""
    job = serving(1.0, REPLICA | {"accelerators": 1, "step_per_token_s": 0.0, "kv_tokens": 10**9} | replica,
                  accelerators=n, queue_limit=queue_limit, step_s=cell_us / 1e6)  # fmt: skip
    arrays, _ = built(job, fleet=FLEET | {"count": n}, step_us=cell_us)
    feed = np.zeros(len(t_us), REQUEST)
    feed["t_us"], feed["tokens_in"], feed["tokens_out"] = t_us, tokens_in, tokens_out
    arrays = arrays.replaced(feed=feed)
    arrays.queues["n_feed"], arrays.queues["i_feed"] = len(feed), 0
    for k in range(int(t_us[-1]) // cell_us + 100):
        kernel.step_load(arrays, k * cell_us)
    q = arrays.queues[0]
    assert q["n_done"] + q["n_full"] == len(t_us)
    return q


def poisson_times(rng, rate_per_s, n):
    return np.cumsum(rng.exponential(1e6 / rate_per_s, n)).astype(np.int64)


def erlang_c(c, a):
    below = sum(a**k / math.factorial(k) for k in range(c))
    at = a**c / math.factorial(c) * c / (c - a)
    return at / (below + at)


@MANY_REQUESTS
@pytest.mark.parametrize(("c", "rho"), [(1, 0.7), (5, 0.8), (16, 0.75)])
def test_single_requests_wait_as_erlang_c_says(c, rho):
    """M/M/c: mean wait C(c, a) / (c mu - lambda); service is prefill of exponential length, one at a time."""
    rng, n, mean_s = np.random.default_rng(5), 600_000, 1.0
    t_us = poisson_times(rng, rho * c / mean_s, n)
    tokens = np.maximum(1, np.rint(rng.exponential(1e5 * mean_s, n))).astype(int)
    q = served(t_us, tokens, np.ones(n, int), c, {"max_batch": 1, "prefill_tokens_per_s": 1e5})
    wait_s = (q["latency_us"] / n - tokens.mean() * 10) * 1e-6
    assert wait_s == pytest.approx(erlang_c(c, rho * c) / (c / mean_s - rho * c / mean_s), rel=0.06)


@MANY_REQUESTS
@pytest.mark.parametrize(("name", "scv"), [("fixed", 0.0), ("lognormal", math.e - 1)])
def test_single_requests_wait_as_pollaczek_and_khinchine_say(name, scv):
    """M/G/1: mean wait rho E[S] (1 + scv) / (2 (1 - rho))."""
    rng, n, rho = np.random.default_rng(6), 400_000, 0.6
    tokens = np.full(n, 10_000.0) if name == "fixed" else 10_000 * rng.lognormal(-0.5, 1.0, n)
    tokens = np.maximum(1, np.rint(tokens)).astype(int)
    q = served(poisson_times(rng, rho, n), tokens, np.ones(n, int), 1, {"max_batch": 1, "prefill_tokens_per_s": 1e4})
    wait_s = q["latency_us"] / n * 1e-6 - tokens.mean() / 1e4
    found_scv = float(tokens.var() / tokens.mean() ** 2)
    assert found_scv == pytest.approx(scv, rel=0.05)
    assert wait_s == pytest.approx(rho * (1 + found_scv) / (2 * (1 - rho)), rel=0.05)


@MANY_REQUESTS
def test_batch_bound_by_requests_is_processor_sharing():
    """A step of b n alone: M/G/1-PS, mean time E[S] / (1 - rho) whatever the distribution of answers."""
    rng, n, rho = np.random.default_rng(7), 200_000, 0.6
    tokens = 2 + np.rint(200 * rng.lognormal(-0.5, 1.0, n)).astype(int)
    work_s = (tokens - 1).mean() * 0.005
    replica = {"max_batch": 512, "prefill_tokens_per_s": 1e9, "step_s": 1e-9, "step_per_request_s": 0.005}
    q = served(poisson_times(rng, rho / work_s, n), np.ones(n, int), tokens, 1, replica)
    assert q["latency_us"] / n * 1e-6 == pytest.approx(work_s / (1 - rho), rel=0.05)


@MANY_REQUESTS
def test_no_room_to_wait_loses_as_erlang_b_says():
    """M/G/c/c: what a batch that never waits turns away does not depend on the distribution of lengths."""
    rng, n, c, a = np.random.default_rng(8), 200_000, 20, 16.0
    tokens = 2 + np.rint(2000 * rng.lognormal(-0.5, 1.0, n)).astype(int)
    hold_s = (tokens - 1).mean() * 0.001
    replica = {"max_batch": c, "prefill_tokens_per_s": 1e9, "step_s": 0.001, "step_per_request_s": 0.0}
    q = served(poisson_times(rng, a / hold_s, n), np.ones(n, int), tokens, 1, replica, queue_limit=0)
    log_b = c * math.log(a) - a - special.gammaln(c + 1) - math.log(special.gammaincc(c + 1, a))
    assert q["n_full"] / n == pytest.approx(math.exp(log_b), rel=0.05)


def test_power_is_the_utilization_of_the_batch():
    """One endless answer: U of a batch of one; three: U of three; energy is what was commanded."""
    job = serving(0.0, tokens_in={"fixed": 80}, tokens_out={"fixed": 900}, accelerators=8)
    arrays, book = built(job)
    for k, t_us in enumerate((1_000_000, 3_000_000, 3_000_000)):
        arrays.feed[k] = (t_us, 80, 900)
    book.join([], arrays.queues[:0], arrays.feed)
    arrays.queues["n_feed"] = 3
    u = run(arrays, book, 60)
    assert u[9] == 0.0
    assert u[10] == pytest.approx(0.1 * 0.95 + 0.9 * 0.4, abs=1e-6)  # 80 tokens of prefill take 10 ms
    assert u[20] == pytest.approx(0.4, abs=1e-6)
    assert u[40] == pytest.approx(0.4 + 2 / 4 * 0.3, abs=1e-6)
    q, swing_mw = arrays.queues[0], 8 * 900e-6
    assert q["e"] == pytest.approx(sum(u) * 0.1 * swing_mw, rel=1e-12)
    prefill_s = 3 * 80 / 8000  # the two of the second pair beside a decode step, which takes its own share of the time
    assert q["e_prefill"] == pytest.approx(prefill_s * 0.95 * swing_mw, rel=1e-4)


@pytest.mark.parametrize("prefill", ["mixed", "alone"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_token_of_prompt_takes_the_power_of_prefill_for_its_time(prefill, share):
    """Beside whatever it is prefilled: U_p times the swing over r_p; at half the swing, 0.5 / 0.5^0.5 as much."""
    rng, n = np.random.default_rng(4), 200
    arrays, book = built(serving(0.0, REPLICA | {"prefill": prefill}, accelerators=24))
    book.join([], arrays.queues[:0], arrays.feed)
    arrays.feed["t_us"][:n] = poisson_times(rng, 3.0, n)
    arrays.feed["tokens_in"][:n], arrays.feed["tokens_out"][:n] = rng.integers(1, 900, n), rng.integers(1, 200, n)
    arrays.queues["n_feed"] = n
    run(arrays, book, 1500, lambda _k: share)
    q = arrays.queues[0]
    assert q["n_done"] == n
    j_per_token = 8 * 900.0 * 0.95 / 8000.0 * share**0.5
    assert q["e_prefill"] * 1e6 / q["in_done"] == pytest.approx(j_per_token, rel=1e-4)
    assert q["e_decode"] * 1e6 / q["out_done"] > 3 * j_per_token


def test_a_cap_slows_replicas_and_its_energy():
    """Half the swing: decoding runs at 0.5^0.25 of its speed, so an answer takes that much longer."""
    job = serving(0.0, accelerators=8)
    found = []
    for share in (1.0, 0.5):
        arrays, book = built(job)
        arrays.feed[0] = (1_000_000, 80, 101)
        book.join([], arrays.queues[:0], arrays.feed)
        arrays.queues["n_feed"] = 1
        run(arrays, book, 80, lambda _k, share=share: share)
        q = arrays.queues[0]
        assert q["n_done"] == 1
        found.append((q["ttft_us"], q["decode_us"], q["e"], q["capped_us"]))
    (ttft, decode, _, none), (slow_ttft, slow_decode, _, capped) = found
    assert slow_ttft / ttft == pytest.approx(2**0.5, rel=1e-3)
    assert slow_decode / decode == pytest.approx(2**0.25, rel=1e-3)
    assert (none, capped) == (0, 8_000_000)
    assert arrays.queues[0]["e"] == pytest.approx(arrays.queues[0]["e_wanted"] / 2, rel=1e-12)


def test_cells_and_blocks_do_not_change_the_queue():
    """The same requests with cells of 0.1 and 1 s, and a window filled at every step or rarely."""
    found = []
    for step_s, every in ((0.1, 1), (1.0, 1), (0.1, 1000)):
        arrays, book = built(serving(15.0, accelerators=24, queue_limit=40, timeout_s=3.0, step_s=step_s))
        for k in range(601):
            if k % every == 0:
                book.turn_to(k * CELL_US)
            kernel.step_load(arrays, k * CELL_US)
        q = arrays.queues[0]
        found.append([int(q[n]) for n in ("n_done", "latency_us", "ttft_us", "n_full", "out_done")])
    assert found[0] == found[2]
    arrays, book = built(serving(15.0, accelerators=24, queue_limit=40, timeout_s=3.0, step_s=0.1))
    run(arrays, book, 610)
    long = [int(arrays.queues[0][n]) for n in ("n_done", "latency_us", "ttft_us", "n_full", "out_done")]
    assert found[1] == long  # a cell of 1 s that begins at 60 s reaches to 61 s


def test_requests_more_than_the_window_holds_are_refused():
    from cosim.errors import InputError

    with pytest.raises(InputError, match="requests come within two steps"):
        built(serving(1e6, accelerators=24))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"weight": [{"at_s": 0, "weight": 0.5}]}, "give accelerators"),
        ({"tokens_out": None}, "tokens_in and tokens_out are missing"),
        ({"tokens_in": {"fixed": 9000}}, "holds no request"),
        ({"tokens_in": {"median": 5, "fixed": 5}}, "exactly one of"),
        ({"accelerators": 4}, "fewer accelerators than one replica"),
        ({"arrivals": {"kind": "poisson", "rate": [{"t_s": 0, "rate_per_s": -1}]}}, "greater than or equal to 0"),
        ({"arrivals": {"kind": "trace", "file": "x.csv"}}, "leave out tokens_in"),
    ],
)
def test_serving_that_cannot_be_is_refused(change, why):
    with pytest.raises(ValidationError, match=why):
        LoadConfig.model_validate({"accelerators": FLEET, "jobs": {"chat": serving() | change}})
