"""Smoothing controllers on the measured GPT-3 trace, and the least storage that any of them could have needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import cosim
from cosim.ups.optimum import Optimum, least_storage

TRACE = "data/power_traces/smc_gpt3_175b_64n_run1_aggregate_1s.csv"
LIMIT = 0.02
"""Ramp and decline: 1.2 MW/min, 40 % of the load's mean in a minute. [MW/s]"""
STEP_S = 0.1
SITE = "datacenters.campus"
E_MWH, P_MW = 0.4, 20.0
CONTROLLERS: dict[str, dict[str, Any]] = {
    "trigger": {"controller": "trigger"},
    "ramp_limiter": {"controller": "ramp_limiter"},
    "filter": {"controller": "filter", "low_hz": 0.01},
    "predictive": {"controller": "predictive", "horizon_s": 60.0},
}


def case(shared: Path, smoothing: dict[str, Any]) -> dict[str, Any]:
    """A storage without losses on the AC bus, large enough never to saturate; the trace, its dips and its stop."""
    return {
        "schema": 1,
        "name": "ups_optimum",
        "time": {"duration_s": 1800, "step_s": STEP_S},
        "feeder": {"model": "case33bw"},
        "datacenters": {
            "campus": {
                "bus": "1",
                "load": {
                    "jobs": {
                        "measured": {
                            "kind": "trace",
                            "file": str((shared / TRACE).resolve()),
                            "column": "ac_kw",
                            "scale_to_mean_mw": 3.0,
                        }
                    }
                },
                "ups": {
                    "topology": "ac_dc",
                    "max_p_charge_mw": P_MW,
                    "max_p_discharge_mw": P_MW,
                    "max_p_ac_mw": P_MW,
                    "max_e_mwh": E_MWH,
                    "eta_charge": 1.0,
                    "eta_discharge": 1.0,
                    "soc_init": 0.5,
                    "soc_target": 0.5,
                    "soc_min": 0.0,
                    "soc_reserve": 0.0,
                    "soc_max": 1.0,
                    "taper_s": STEP_S,
                    "max_ramp_mw_per_s": LIMIT,
                    "max_decline_mw_per_s": LIMIT,
                    "smoothing": smoothing,
                },
            }
        },
        "events": [
            {"at_s": 900.0, "kind": "job_stopped", "datacenter": "campus", "job": "measured"},
            {"at_s": 1200.0, "kind": "job_started", "datacenter": "campus", "job": "measured"},
        ],
    }


def run(scenario: dict[str, Any], out: Path, **kwargs: Any) -> dict[str, Any]:
    """Need and grid side [MW] at every step, energy range [MWh], largest power [MW], largest ramp [MW/s]."""
    with cosim.run(scenario, out=out, **kwargs) as result:
        grid = result.read("datacenter/campus/p_grid_mw")
        soc = result.read("ups/campus/soc")
        power = result.read("ups/campus/p_ac_mw")
        return {
            "need": result.read("datacenter/campus/p_need_mw"),
            "grid": grid,
            "e_mwh": float(soc.max() - soc.min()) * E_MWH,
            "p_mw": float(np.abs(power).max()),
            "ramp": float(np.diff(grid).max()) / STEP_S,
            "decline": float(-np.diff(grid).min()) / STEP_S,
            "excess_mw": result.metrics["ups"]["campus"]["max_excess_mw"],
        }


def best(need: np.ndarray) -> Optimum:
    return least_storage(need, STEP_S, max_ramp_mw_per_s=LIMIT, max_decline_mw_per_s=LIMIT)


class Replay:
    """The offline optimum as a controller: tells the UPS at every step what the grid side shall be."""

    period_s = STEP_S

    def __init__(self, p_grid_mw: np.ndarray) -> None:
        self._p_mw = p_grid_mw

    def on_tick(self, _view: Any, t_s: float) -> list[dict[str, Any]]:
        at = min(round(t_s / STEP_S), self._p_mw.size - 1)
        return [{"kind": "ups_reference", "datacenter": "campus", "p_mw": float(self._p_mw[at])}]

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None: ...
