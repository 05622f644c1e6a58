"""What the AI load costs: a step of synchronous jobs, a million requests, a week of a site with 20 jobs.

Single thread, CPU time, the median of the repeats. The week is measured over part of it and scaled.

    python benchmarks/load.py [--repeats 5] [--hours 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from cosim.engine.simulation import Simulation
from cosim.fit.kernel import run_load
from cosim.load.build import LoadBuilder
from cosim.load.config import LoadConfig
from cosim.wiring import prepare

STEP_US = 10_000
N_REQUEST = 1_000_000
N_REPLICA = 400
ITERATION = [
    {"name": "forward", "duration_s": 2.9, "utilization": 0.8},
    {"name": "backward", "duration_s": 5.8, "utilization": 0.95},
    {"name": "all_reduce", "duration_s": 1.7, "utilization": 0.35},
]
TRAINING = {
    "kind": "training",
    "iteration": ITERATION,
    "iteration_jitter": 0.01,
    "noise": {"std": 0.01, "node_std": 0.05},
    "evaluation": {"every_s": 142, "duration_s": 6, "utilization": 0.3},
    "failure": {"rate_per_node_hour": 1.6e-4},
}
REPLICA = {
    "accelerators": 8,
    "max_batch": 128,
    "kv_tokens": 1_500_000,
    "prefill_tokens_per_s": 30_000,
    "step_s": 0.014,
    "step_per_request_s": 1.2e-4,
    "step_per_token_s": 4e-9,
}
CHAT = {"tokens_in": {"median": 800, "sigma": 0.8}, "tokens_out": {"median": 150, "sigma": 0.8}}


def serving(rate_per_s: float, accelerators: int) -> dict[str, Any]:
    arrivals = {"kind": "poisson", "rate": [{"t_s": 0, "rate_per_s": rate_per_s}]}
    return {"kind": "serving", "accelerators": accelerators, "replica": REPLICA, "arrivals": arrivals, **CHAT}


def build(jobs: dict[str, Any], count: int) -> Any:
    load = LoadConfig.model_validate({"accelerators": {"count": count, "p_peak_w": 700, "p_idle_w": 100}, "jobs": jobs})
    return LoadBuilder({"site": load}, step_us=STEP_US, seed=1, folder=Path()).build()


def generate(jobs: dict[str, Any], count: int, n_step: int) -> tuple[float, Any]:
    """CPU time of the load alone over so many steps [s], draws among it, and its arrays."""
    arrays, book = build(jobs, count)
    p_mw = np.zeros(n_step)
    done = 0
    started = time.process_time()
    while done < n_step:
        book.turn_to(done * STEP_US)
        until_us = min(done * STEP_US + book.max_block_us - STEP_US, book.known_us)
        n = min(n_step - done, max(1, until_us // STEP_US - done))
        run_load(arrays, done, n, STEP_US, p_mw)
        done += n
    return time.process_time() - started, arrays


def synchronous(n_job: int, count: int) -> float:
    """Cost of a step and job. [ns]"""
    n_step = 2_000_000 // n_job
    jobs = {f"job{i}": TRAINING | {"accelerators": count // n_job} for i in range(n_job)}
    return 1e9 * generate(jobs, count, n_step)[0] / n_step / n_job


def million() -> tuple[float, float]:
    """CPU time of a million requests: drawn and served, and all of it without serving. [s]"""
    rate = 3000.0
    jobs = {"chat": serving(rate, 8 * N_REPLICA)}
    taken, arrays = generate(jobs, 8 * N_REPLICA, round(N_REQUEST / rate * 1e6 / STEP_US))
    n = int(arrays.queues[0]["n_done"])
    if n < 0.95 * N_REQUEST:
        raise SystemExit(f"only {n} requests were served: this measures something else")
    _, book = build(jobs, 8 * N_REPLICA)
    started = time.process_time()
    for t_us in range(0, round(N_REQUEST / rate * 1e6), round(8e6)):
        book._feeds[0][1]["done_us"] = t_us
        book.turn_to(t_us)
    return taken, time.process_time() - started


def week(hours: float) -> tuple[float, float]:
    """CPU time of a week, scaled [s], and the memory of the process at its most [MB]."""
    jobs = {f"train{i}": TRAINING | {"accelerators": 5000, "start_s": 13.7 * i} for i in range(18)}
    jobs |= {f"chat{i}": serving(20.0, 4000) for i in range(2)}
    site = {"bus": "campus_a", "load": {"accelerators": {"count": 100_000, "p_peak_w": 100, "p_idle_w": 12}}}
    site["load"]["jobs"] = jobs  # type: ignore[index]
    plain = {
        "schema": 1,
        "name": "week",
        "time": {"duration_s": hours * 3600, "step_s": 0.01},
        "feeder": {"model": "campus34"},
        "datacenters": {"campus": site},
        "log": {"step_s": 1.0, "nodes": "extremes"},
    }
    config, feeder = prepare(plain)
    simulation = Simulation(config, feeder, config.folder)
    started = time.process_time()
    for _ in simulation.blocks():
        pass
    taken = time.process_time() - started
    return taken * 7 * 24 / hours, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    generate({"a": TRAINING, "b": serving(1.0, 8) | {"start_s": None}}, 8, 100)  # compiles
    week(0.01)
    rows: list[tuple[str, float, str, float]] = []
    for n_job, count in ((1, 8), (1, 1_000_000), (20, 100_000)):
        cost = statistics.median(synchronous(n_job, count) for _ in range(given.repeats))
        rows.append((f"synchronous, {n_job} jobs, {count:,} accelerators", cost, "ns a step and job", 50))
    served = [million() for _ in range(given.repeats)]
    rows.append((f"a million requests, {N_REPLICA} replicas", statistics.median(t for t, _ in served), "s", 2))
    rows.append(("  of that drawing them", statistics.median(t for _, t in served), "s", 2))
    taken, memory = week(given.hours)
    rows.append((f"a week at 10 ms, 20 jobs ({given.hours:g} h scaled)", taken, "s", 300))
    rows.append(("  memory", memory, "MB", 600))
    for name, value, unit, target in rows:
        if given.json:
            print(json.dumps({"case": name.strip(), "value": value, "unit": unit, "target": target}))
        else:
            print(f"{name:52s} {value:9.3g} {unit:18s} target {target}")


if __name__ == "__main__":
    main()
