"""A log in memory with the face of a result, and a campus on a feeder to fill it with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cosim.record.channels import Channel
from cosim.record.recorder import Recorder

EVENT_COLUMNS = ["t_s", "kind", "element", "value", "detail"]


@dataclass
class SyntheticLog:
    """Channels by path, as a result gives them."""

    t_s: np.ndarray
    channels: dict[str, np.ndarray] = field(default_factory=dict)
    elements: dict[str, list[str]] = field(default_factory=dict)
    scenario: dict[str, Any] = field(default_factory=dict)
    events: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EVENT_COLUMNS))
    metrics: dict[str, Any] = field(default_factory=dict)
    status: str = "complete"
    attrs: dict[str, Any] = field(default_factory=dict)
    scenario_yaml: str = "schema: 1\n"
    rows_read: list[int] = field(default_factory=list)

    def paths(self) -> list[str]:
        return list(self.channels)

    @property
    def n_rows(self) -> int:
        return len(self.t_s)

    def read(self, path: str, start: int | None = None, stop: int | None = None) -> np.ndarray:
        if path == "t_s":
            return self.t_s[start:stop]
        values = self.channels[path][start:stop]
        self.rows_read.append(len(values))
        return values

    def names(self, group: str) -> list[str]:
        return self.elements[group]

    def unit(self, path: str) -> str:
        return path.rsplit("_", 1)[-1]


def campus_power_mw(t_s: np.ndarray, seed: int = 1) -> np.ndarray:
    """Training of 3 MW: iterations of 10.9 s, evaluations every 142 s, cold start, noise. [MW]"""
    rng = np.random.default_rng(seed)
    power = np.where(t_s % 10.9 < 8.2, 3.0, 1.6)
    power = np.where(t_s % 142.0 < 6.0, 0.9, power)
    power = np.where(t_s < 30.0, 0.6, power)
    return power * (1.0 + 0.01 * rng.standard_normal(len(t_s)))


def _smoothed(p_mw: np.ndarray, limit_mw: float) -> np.ndarray:
    """Power that follows another within a largest change per row."""
    out = np.empty_like(p_mw)
    level = p_mw[0]
    for i, target in enumerate(p_mw):
        level += min(max(target - level, -limit_mw), limit_mw)
        out[i] = level
    return out


def campus_log(
    duration_s: float = 600.0,
    step_s: float = 0.1,
    n_bus: int = 33,
    with_ups: bool = True,
    name: str = "campus",
    blackout: bool = True,
) -> SyntheticLog:
    """A campus on a feeder of `n_bus` buses, with a 5 s blackout in the middle."""
    t_s = np.round(np.arange(round(duration_s / step_s) + 1) * step_s * 1e6) / 1e6
    ai = campus_power_mw(t_s)
    need = 1.25 * ai + 0.3
    grid = _smoothed(need, 0.05 * step_s) if with_ups and len(t_s) < 200_000 else need.copy()
    middle = (t_s > duration_s / 2) & (t_s < duration_s / 2 + 5.0) & blackout
    grid[middle] = 0.0
    depth = np.linspace(0.0, 0.012, n_bus)
    vm = (1.0 - grid[:, None] * depth - 0.01 * np.linspace(0, 1, n_bus)).astype(np.float32)
    vm[middle] = 0.0
    dip = np.zeros_like(vm)
    dip[len(t_s) // 3] = 0.18
    flow = (grid[:, None] * np.linspace(1.0, 0.1, n_bus - 1) + 1.0).astype(np.float32)
    flow[middle] = 0.0
    channels = {
        "bus/vm_pu": vm,
        "bus/vm_min_pu": np.maximum(vm - dip, 0.0).astype(np.float32),
        "bus/vm_max_pu": vm,
        "line/p_mw": flow,
        "line/loading_percent": flow * 20.0,
        "source/p_mw": (grid + 3.0) * ~middle,
        "feeder/p_loss_mw": 0.01 * grid**2,
        f"datacenter/{name}/p_ai_mw": ai,
        f"datacenter/{name}/p_it_mw": ai * 1.05,
        f"datacenter/{name}/p_total_mw": need,
        f"datacenter/{name}/p_grid_mw": grid,
        f"datacenter/{name}/p_need_mw": need,
        f"datacenter/{name}/pue": need / (ai * 1.05),
    }
    if with_ups:
        ups = grid - need
        channels[f"ups/{name}/p_mw"] = ups
        channels[f"ups/{name}/soc"] = np.clip(0.7 + np.cumsum(ups) * step_s / 3600.0 / 0.5, 0.05, 0.95)
        channels[f"ups/{name}/mode"] = np.where(middle, 2, np.where(np.abs(ups) > 0.01, 1, 0)).astype(np.int8)
    scenario = {
        "name": "synthetic",
        "datacenters": {
            name: {
                "bus": "bus 18",
                "load": {
                    "accelerators": {"count": 4000, "p_peak_w": 750.0, "p_idle_w": 100.0},
                    "p_base_mw": 0.2,
                },
                "ups": {"max_e_mwh": 0.5} if with_ups else None,
            }
        },
    }
    return SyntheticLog(
        t_s=t_s,
        channels={k: v if v.dtype == np.int8 else v.astype(np.float32) for k, v in channels.items()},
        elements={"bus": [f"bus {i + 1}" for i in range(n_bus)], "line": [f"line {i}" for i in range(n_bus - 1)]},
        scenario=scenario,
        events=_events(duration_s, name, with_ups, blackout),
        attrs={"scenario_name": "synthetic", "seed": 7, "cosim_version": "0.1.0"},
        scenario_yaml="schema: 1\nname: synthetic\ndatacenters:\n  campus:\n    bus: 'bus 18'\n",
    )


def _events(duration_s: float, name: str, with_ups: bool, blackout: bool) -> pd.DataFrame:
    rows: list[tuple[float, str, str, float, str]] = [(0.0, "job_started", f"{name}.gpt", 0.0, "")]
    if with_ups:
        for k in range(int(duration_s // 10.9)):
            rows.append((k * 10.9 + 8.2, "ups_engaged", name, 1.75, ""))
            rows.append((k * 10.9 + 10.0, "ups_released", name, 0.0, ""))
        rows.append((200.0, "ups_saturated", name, 0.8, "charging rating"))
        rows.append((203.5, "ups_recovered", name, 0.0, ""))
    if blackout:
        rows.append((duration_s / 2, "source_lost", "grid", 0.0, ""))
        rows.append((duration_s / 2 + 5.0, "source_returned", "grid", 0.0, ""))
    return pd.DataFrame(rows, columns=EVENT_COLUMNS).sort_values("t_s", ignore_index=True)


def write_log(log: SyntheticLog, out: Path) -> None:
    """Record a synthetic log into a file, as a run does."""
    channels = []
    for path, values in log.channels.items():
        group = path.split("/")[0]
        names = tuple(log.elements[group]) if values.ndim == 2 else None
        channels.append(Channel(path, _UNITS.get(path.rsplit("_", 1)[-1], "1"), names))
    recorder = Recorder.create(
        out,
        channels,
        scenario_yaml=json.dumps(log.scenario),
        scenario_name=str(log.attrs["scenario_name"]),
        seed=int(log.attrs["seed"]),
        cosim_version=str(log.attrs["cosim_version"]),
    )
    for row in log.events.itertuples():
        recorder.add_event(round(row.t_s * 1e6), row.kind, row.element, row.value, row.detail)
    t_us = np.round(log.t_s * 1e6).astype(np.int64)
    for start in range(0, len(t_us), 10_000):
        rows = slice(start, start + 10_000)
        recorder.append(t_us[rows], {path: values[rows] for path, values in log.channels.items()})
    recorder.finish(log.status, log.metrics)


_UNITS = {"pu": "pu", "mw": "MW", "percent": "percent"}
