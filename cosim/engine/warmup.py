"""Compile every kernel now: `python -m cosim.engine.warmup` prints how long it took."""

from __future__ import annotations

import time


def warm_up() -> float:
    """Compile and cache all kernels by stepping a small run. Returns the seconds it took."""
    started = time.perf_counter()
    from pathlib import Path

    from cosim.engine.simulation import Simulation
    from cosim.feeder.feeder import load_feeder
    from cosim.scenario import load_scenario

    scenario = load_scenario(
        {
            "schema": 1,
            "name": "warmup",
            "time": {"duration_s": 1},
            "feeder": {"model": "case4gs"},
            "datacenters": {
                "a": {
                    "bus": "2",
                    "load": {
                        "accelerators": {"count": 8, "p_peak_w": 700, "p_idle_w": 70},
                        "jobs": {"a": {"kind": "training", "iteration": [{"duration_s": 1, "utilization": 1}]}},
                    },
                }
            },
            "events": [
                {"at_s": 0.5, "kind": "job_failed", "datacenter": "a", "job": "a"},
                {"at_s": 0.6, "kind": "job_started", "datacenter": "a", "job": "a"},
                {"at_s": 0.7, "kind": "job_stopped", "datacenter": "a", "job": "a"},
            ],
        }
    )
    for _ in Simulation(scenario, load_feeder("case4gs"), Path()).blocks():
        pass
    return time.perf_counter() - started


if __name__ == "__main__":
    print(f"kernels ready after {warm_up():.1f} s")
