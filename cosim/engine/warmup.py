"""Compile every kernel now: `python -m cosim.engine.warmup` prints how long it took."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

SCENARIO: dict[str, Any] = {
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


def warm_up() -> float:
    """Compile and cache all kernels by stepping a small run.

    Returns
    -------
    float
        Time in numba's compiler; near zero where the kernels were compiled before. [s]
    """
    from numba.core import event

    gc.set_threshold(100_000)  # the compiler makes millions of objects; looking through them costs a sixth of the time
    import cosim.jit  # sets numba's cache before it is imported  # noqa: F401
    from cosim.engine.ahead import compile_ahead
    from cosim.engine.simulation import Simulation
    from cosim.feeder.feeder import load_feeder
    from cosim.scenario import load_scenario

    compile_ahead()
    with event.install_recorder("numba:compile") as recorder:
        for _ in Simulation(load_scenario(SCENARIO), load_feeder("case4gs"), Path()).blocks():
            pass
    return _outermost(recorder.buffer)


def _outermost(notes: list[tuple[float, Any]]) -> float:
    """Time within compilations that no other one asked for. [s]"""
    depth, began, total = 0, 0.0, 0.0
    for at_s, note in notes:
        if note.is_start:
            began = at_s if depth == 0 else began
            depth += 1
        else:
            depth -= 1
            total += at_s - began if depth == 0 else 0.0
    return total


if __name__ == "__main__":
    print(f"kernels compiled in {warm_up():.1f} s")
