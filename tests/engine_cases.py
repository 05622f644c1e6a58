"""Small scenarios that several tests build on, and their rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.engine.simulation import Simulation
from cosim.engine.totals import run_totals
from cosim.wiring import prepare

TRAINING = {
    "kind": "training",
    "cold_start": [{"duration_s": 2, "utilization": 0.2}],
    "iteration": [
        {"name": "forward", "duration_s": 0.7, "utilization": 0.9},
        {"name": "backward", "duration_s": 1.3, "utilization": 1.0},
        {"name": "all_reduce", "duration_s": 0.5, "utilization": 0.4},
    ],
    "iteration_jitter": 0.03,
    "evaluation": {"every_s": 9, "duration_s": 1.5, "utilization": 0.5},
    "checkpoint": {"every_iterations": 6, "duration_s": 1, "utilization": 0.1},
    "noise": {"std": 0.01, "node_std": 0.05},
}
UPS = {
    "max_p_charge_mw": 2.0,
    "max_p_discharge_mw": 3.0,
    "max_e_mwh": 0.06,
    "max_ramp_mw_per_s": 0.2,
    "max_decline_mw_per_s": 0.2,
    "p_standby_mw": 0.005,
}


def campus(bus: str = "5", *, ups: bool = True, **more: Any) -> dict[str, Any]:
    site = {
        "bus": bus,
        "load": {
            "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
            "p_base_mw": 0.3,
            "jobs": {"pretrain": TRAINING},
        },
        "ups": UPS if ups else None,
    }
    return site | more


def scenario(duration_s: float = 40, **more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": "case",
        "time": {"duration_s": duration_s},
        "feeder": {"model": "case33bw"},
        "datacenters": {"campus": campus()},
    } | more


def simulate(
    plain: dict[str, Any], max_block_s: float | None = None, **kwargs: Any
) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    """Rows by path (and t_us), events and totals of a run kept in memory."""
    config, feeder = prepare(plain, **kwargs)
    simulation = Simulation(config, feeder, config.folder)
    parts: dict[str, list[Any]] = {}
    events: list[Any] = []
    for block in simulation.blocks(max_block_s):
        for path, rows in {"t_us": block.t_us, **block.columns}.items():
            parts.setdefault(path, []).append(rows.copy())
        events += block.events
    return {path: np.concatenate(rows) for path, rows in parts.items()}, events, run_totals(simulation)


def kinds(events: list[Any]) -> list[str]:
    return [event[1] for event in events]
