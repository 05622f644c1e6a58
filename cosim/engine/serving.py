"""What the log and the metrics say of serving jobs: rows of their queues, totals, percentiles of latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosim.engine.columns import Column
from cosim.engine.kernel_log import SERVING_COLUMNS
from cosim.load.config import ServingConfig
from cosim.load.kernel_queue import BINS_PER_DECADE, LEAST_BIN_US
from cosim.units import S_PER_H, US_PER_S, W_PER_MW

if TYPE_CHECKING:
    from cosim.engine.simulation import Simulation

PERCENTS = (50, 90, 99)
KINDS = ("ttft", "tpot", "latency")
"""Time to first token, time per output token after it, time to the last token."""
_COLUMNS = (
    ("n_waiting", "1", "Requests that wait before the replicas"),
    ("n_running", "1", "Requests in the replicas"),
    ("n_arrived", "1", "Requests that came since the last row"),
    ("n_lost", "1", "Requests turned away, given up or lost since the last row"),
    ("tokens_per_s", "1/s", "Tokens of answers completed since the last row, a second"),
    ("ttft_mean_s", "s", "Mean time to first token of the requests that got it since the last row; 0 for none"),
)
_PER_PIECE = (
    ("e_per_token_j", "", "out_done"),
    ("e_per_request_j", "", "n_done"),
    ("e_prefill_per_token_in_j", "_prefill", "in_done"),
    ("e_decode_per_token_out_j", "_decode", "out_done"),
)
"""Key, part of the energy, pieces that it is divided by: those of completed requests."""
assert len(_COLUMNS) == SERVING_COLUMNS


def serving_jobs(sim: Simulation) -> list[tuple[str, ServingConfig]]:
    """Names (`site/job`) and configs of the serving jobs, in the order of their queues."""
    found = []
    for name in sim.job_names:
        site, _, job = name.partition("/")
        config = sim.scenario.datacenters[site].load.jobs[job]
        if isinstance(config, ServingConfig):
            found.append((name, config))
    return found


def serving_columns(sim: Simulation) -> list[Column]:
    """Columns of every serving job; the queue runs one cell ahead of the row's time."""
    return [
        Column(f"serving/{name}/{key}", unit, text, None, "serving", i * SERVING_COLUMNS + c)
        for i, (name, _) in enumerate(serving_jobs(sim))
        for c, (key, unit, text) in enumerate(_COLUMNS)
    ]


def serving_totals(sim: Simulation) -> dict[str, float]:
    """Totals of every serving job by path under `/metrics`; see docs/serving.md."""
    out: dict[str, float] = {}
    for (name, config), q in zip(serving_jobs(sim), sim.load.queues, strict=True):
        bins = sim.load.bins[int(q["bin_first"]) : int(q["bin_first"]) + 2 * len(KINDS)]
        totals = _counts(q) | _latencies(bins) | _energy(sim, name, config, q)
        out |= {f"serving/{name}/{key}": value for key, value in totals.items()}
    return out


def _counts(q: Any) -> dict[str, float]:
    run_s = float(q["run_us"]) / US_PER_S
    decoded = int(q["out_done"] - q["n_done"])
    out = {
        "n_replica": q["n_replica"],
        "n_arrived": q["n_arrived"],
        "n_done": q["n_done"],
        "n_turned_away": q["n_full"],
        "n_timed_out": q["n_expired"],
        "n_too_long": q["n_refused"],
        "n_lost": q["n_lost"],
        "n_left": q["n_wait"] + q["n_run"],
        "tokens_in": q["in_done"],
        "tokens_out": q["out_done"],
        "utilization": q["busy_us"] / q["run_us"] if q["run_us"] else 0.0,
        "capped_s": q["capped_us"] / US_PER_S,
        "requests_per_s": q["n_done"] / run_s if run_s else 0.0,
        "tokens_per_s": q["out_done"] / run_s if run_s else 0.0,
        "ttft_mean_s": q["ttft_us"] / US_PER_S / max(1, int(q["n_first"])),
        "tpot_mean_s": q["decode_us"] / US_PER_S / max(1, decoded),
        "latency_mean_s": q["latency_us"] / US_PER_S / max(1, int(q["n_done"])),
    }
    return {key: float(value) for key, value in out.items()}


def _latencies(bins: NDArray[np.int64]) -> dict[str, float]:
    """Percentiles of all requests, and of those served under a cap; none of no request."""
    out: dict[str, float] = {}
    for k, kind in enumerate(KINDS):
        for suffix, counts in (("", bins[k] + bins[k + len(KINDS)]), ("_capped", bins[k + len(KINDS)])):
            if counts.any():
                out |= {f"{kind}_p{p}{suffix}_s": percentile_s(counts, p) for p in PERCENTS}
    return out


def percentile_s(counts: NDArray[np.int64], percent: float) -> float:
    """Percentile of a histogram of times, even in the logarithm within a bin: within 2.3 % of the exact one. [s]"""
    upto = np.cumsum(counts)
    wanted = percent / 100 * upto[-1]
    k = int(np.searchsorted(upto, wanted))
    part = (wanted - (upto[k] - counts[k])) / counts[k]
    return float(LEAST_BIN_US * 10 ** ((k + part) / BINS_PER_DECADE) / US_PER_S)


def _energy(sim: Simulation, name: str, config: ServingConfig, q: Any) -> dict[str, float]:
    """Energy of the job's accelerators at their terminals: idle, prefill, decoding and all of it; by token."""
    fleet = sim.scenario.datacenters[name.partition("/")[0]].load.accelerators
    assert fleet is not None
    n = int(q["n_replica"]) * config.replica.accelerators
    idle_mws = n * fleet.p_idle_w / W_PER_MW * float(q["run_us"]) / US_PER_S
    e_mws = float(q["e"]) + idle_mws
    parts_mws = {"": e_mws, "_prefill": q["e_prefill"], "_decode": q["e_decode"], "_idle": idle_mws}
    out = {f"e{part}_mwh": float(part_mws) / S_PER_H for part, part_mws in parts_mws.items()}
    out["e_held_back_mwh"] = float(q["e_wanted"] - q["e"]) / S_PER_H
    if e_mws > 0.0:
        out["idle_share"] = idle_mws / e_mws
    if q["n_done"]:
        for key, part, pieces in _PER_PIECE:
            out[key] = float(parts_mws[part]) * W_PER_MW / float(q[pieces])
    return out
