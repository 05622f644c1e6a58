"""A fitted machine as the `load` of a scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.fit.machine import Edge, Level, Machine
from cosim.fit.statistics import whole_us
from cosim.load.config import LoadConfig
from cosim.load.config_visits import PROBABILITIES
from cosim.units import W_PER_MW

SERVER_W_PER_ACCELERATOR = 850.0
"""AC input of an 8 x H100 node at full load over eight (6.8 kW, MLPerf Training v4.0, SMC); sets the count only. [W]"""
IDLE_SHARE = 0.14
"""Idle over peak power of an accelerator (H100 SXM: 100 of 700 W); sets how the floor is split only. [1]"""
IDLE_SWING = 0.05
"""A first level within this part of the swing above the floor is the idle machine. [1]"""
MAX_STD, MAX_NODE_STD = 0.3, 1.0
"""Bounds of `noise.std` and `noise.node_std`."""


def _short(value: float, digits: int = 5) -> float:
    """To five significant digits: what a trace can tell."""
    return float(f"{float(value):.{digits}g}")


def load_dict(machine: Machine) -> dict[str, Any]:
    """The `load` of a scenario: one fleet, of which every job has the share that its swing takes."""
    n = n_accelerators(machine)
    swing_w = machine.swing_mw * W_PER_MW / n
    floor_w = machine.floor_mw * W_PER_MW / n
    idle_w = min(IDLE_SHARE / (1 - IDLE_SHARE) * swing_w, floor_w)
    idle_w, peak_w = _short(idle_w), _short(swing_w + idle_w, 7)
    base_mw = max(0.0, machine.floor_mw - n * idle_w / W_PER_MW)
    return {
        "accelerators": {"count": n, "p_peak_w": peak_w, "p_idle_w": idle_w, "per_node": min(n, 8)},
        "p_base_mw": _short(base_mw, 7),
        "jobs": dict(zip(_names(machine), _jobs(machine, n), strict=True)),
    }


def n_accelerators(machine: Machine) -> int:
    """Equivalent accelerators; their number changes no result."""
    return max(1, round((machine.floor_mw + machine.swing_mw) * W_PER_MW / SERVER_W_PER_ACCELERATOR))


def _names(machine: Machine) -> list[str]:
    """Names of the jobs: their kinds, counted where there are several."""
    kinds = [job.name or job.kind for job in machine.jobs]
    return [kind if kinds.count(kind) == 1 else f"{kind}_{kinds[: i + 1].count(kind)}" for i, kind in enumerate(kinds)]


def _jobs(machine: Machine, n: int) -> list[dict[str, Any]]:
    whole_mw = machine.swing_mw
    rows = []
    for part in machine.jobs:
        weight = 1.0 if not machine.beside else math.floor((part.top_mw - part.floor_mw) / whole_mw * 1e6) / 1e6
        row: dict[str, Any] = {"kind": part.kind}
        if machine.beside:
            row["weight"] = [{"at_s": 0.0, "weight": weight}]
        if part.begin_s > 0:
            row["start_s"] = whole_us(part.begin_s)
        elif _runs(part):
            row["already_running"] = True
        row |= _OF_KIND[part.kind](part)
        if part.stop_s is not None:
            row["stop_s"] = whole_us(part.stop_s)
        row |= _dynamics(part)
        if part.noise.slow_std > 0 or part.noise.fast_std > 0:
            row["noise"] = _noise(part, n * weight, n)
        rows.append(row)
    return rows


def load_config(machine: Machine) -> LoadConfig:
    """The load, checked by its schema."""
    return LoadConfig.model_validate(load_dict(machine))


def _u(machine: Machine, p_mw: float) -> float:
    """Utilization at a power."""
    share = (p_mw - machine.floor_mw) / (machine.top_mw - machine.floor_mw)
    return round(float(min(max(share, 0.0), 1.0)), 5)


def _stages(machine: Machine, levels: Sequence[Level]) -> list[dict[str, Any]]:
    rows = []
    for level in levels:
        row: dict[str, Any] = {"name": level.name} if level.name else {}
        rows.append(row | {"duration_s": whole_us(level.duration_s), "utilization": _u(machine, level.p_mw)})
    return rows


def _half_early(machine: Machine) -> list[Level]:
    """The start, its edges between two samples: power lags, so an edge at a sample shows only in the next one."""
    if not machine.start:
        return []
    first, *rest = machine.start
    return [Level(max(first.duration_s - 0.5 * machine.dt_s, 0.25 * machine.dt_s), first.p_mw, first.name), *rest]


def _interrupts(machine: Machine) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, what in (("evaluation", machine.evaluation), ("checkpoint", machine.checkpoint)):
        if what is not None:
            every: dict[str, Any] = (
                {"every_iterations": what.every_n} if what.every_n else {"every_s": _short(what.every_s)}
            )
            out[key] = every | {"duration_s": whole_us(what.duration_s), "utilization": _u(machine, what.p_mw)}
    return out


def _training(machine: Machine) -> dict[str, Any]:
    return {
        "cold_start": _stages(machine, _half_early(machine)),
        "iteration": _stages(machine, machine.main),
        "iteration_jitter": round(float(machine.jitter), 5),
        **({"dip_jitter": round(float(machine.dip), 5)} if machine.dip else {}),
    } | _interrupts(machine)


def _fine_tuning(machine: Machine) -> dict[str, Any]:
    """Stages of Appendix A; the regular one lasts until the end begins, or beyond the end of the run."""
    still = {"low_s": 0, "evaluates": False}
    start = [row | still for row in _stages(machine, _half_early(machine))]
    end = [row | still for row in _stages(machine, machine.end)]
    until_s = machine.end_s if machine.end_s is not None else machine.duration_s + 3600  # beyond the run
    early_s = machine.begin_s + sum(level.duration_s for level in _half_early(machine)) + 0.5 * machine.dt_s
    left_s = until_s - early_s
    cycle_s = sum(level.duration_s for level in machine.main)
    high = machine.main[0]
    low = machine.main[1] if len(machine.main) > 1 else None
    u_high = _u(machine, high.p_mw)
    regular: dict[str, Any] = {
        "name": "tune", "duration_s": whole_us(max(left_s, cycle_s)), "utilization": u_high,
        "high_s": whole_us(high.duration_s), "low_s": whole_us(low.duration_s) if low else 0,
        "beta": round(_u(machine, low.p_mw) / u_high, 5) if low and u_high else 1.0,
        "jitter": round(float(machine.jitter), 5),
    }  # fmt: skip
    return {"stages": [*start, regular, *end], "evaluation": None} | _interrupts(machine)


def _inference(machine: Machine) -> dict[str, Any]:
    """Levels as arrival rates: what is in service on average draws the level."""
    t_s = machine.begin_s - machine.dt_s  # what arrives in one interval is in service, and seen, at its end
    rate: list[dict[str, float]] = []
    for level in machine.main:
        if t_s + level.duration_s <= 0:
            t_s += level.duration_s
            continue
        mean = (level.p_mw - machine.floor_mw) / machine.query_mw / machine.query_s
        row = _short(max(mean, 0.0), 6)
        if rate:
            rate.append({"t_s": whole_us(t_s + machine.dt_s * 0.01), "rate_per_s": row})
        else:
            rate.append({"t_s": whole_us(max(t_s, 0.0)), "rate_per_s": row})
        t_s += level.duration_s
        rate.append({"t_s": whole_us(t_s), "rate_per_s": row})
    return {
        "p_query_w": _short(machine.query_mw * W_PER_MW, 7),
        "step_s": whole_us(min(machine.dt_s, machine.query_s)),
        "classes": {"requests": {"size": 1000, "duration_s": whole_us(machine.query_s), "rate": rate}},
    }


def _runs(machine: Machine) -> bool:
    """Whether it runs when the trace begins: its first level is not the idle one."""
    if machine.states:
        return True
    first = (*machine.start, *machine.main)[0].p_mw
    return first > machine.floor_mw + IDLE_SWING * (machine.top_mw - machine.floor_mw)


def _edge(edge: Edge) -> dict[str, float]:
    """Without what is zero."""
    found = {"omega_n_rad_per_s": _short(edge.omega_n_rad_per_s), "zeta": _short(edge.zeta)}
    return found | {k: _short(v) for k, v in (("c_s", edge.c_s), ("d_s2", edge.d_s2)) if v}


def _dynamics(machine: Machine) -> dict[str, Any]:
    if machine.up is None or machine.down is None:
        return {}
    found: dict[str, Any] = {"up": _edge(machine.up), "down": _edge(machine.down)}
    if machine.supply_tau_s is not None:
        found["supply_tau_s"] = _short(machine.supply_tau_s)
    return {"dynamics": found}


def _noise(machine: Machine, n_own: float, n_accelerators: int) -> dict[str, Any]:
    """Slow part common to all nodes, fast part node by node (where one node's bound allows it)."""
    noise = machine.noise
    n_node = max(1.0, n_own / min(n_accelerators, 8))
    return {
        "std": round(float(min(noise.slow_std, MAX_STD)), 6),
        "correlation_s": _short(noise.slow_s),
        "node_std": round(float(min(noise.fast_std * math.sqrt(n_node), MAX_NODE_STD)), 6),
        "node_correlation_s": _short(noise.fast_s),
        "step_s": machine.dt_s,
    }


def _semi_markov(machine: Machine) -> dict[str, Any]:
    """States by number; one value where all quantiles are it."""
    noise_mw = machine.noise.slow_std

    def values(quantiles: Sequence[float]) -> Any:
        return quantiles[0] if quantiles[0] == quantiles[-1] else list(quantiles)

    rows: dict[str, Any] = {}
    for i, state in enumerate(machine.states):
        mean_mw = float(np.trapezoid(state.p_mw, machine.probabilities))
        relative = state.noise_mw / max(mean_mw - machine.floor_mw, 1e-15)
        rows[f"s{i}"] = {
            "utilization": values([_short(_u(machine, p), 3) for p in state.p_mw]),
            "dwell_s": values([whole_us(_short(t, 3)) for t in state.dwell_s]),
            "noise_factor": _short(relative / noise_mw, 3) if noise_mw > 0 else 0.0,
            **({"next": {f"s{k}": round(chance, 3) for k, chance in state.next}} if state.next else {}),
        }
    at = list(machine.probabilities)
    return {**({"probabilities": at} if at != PROBABILITIES else {}), "states": rows}


_OF_KIND = {
    "training": _training, "fine_tuning": _fine_tuning, "inference": _inference, "semi_markov": _semi_markov,
}  # fmt: skip
