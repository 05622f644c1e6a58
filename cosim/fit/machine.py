"""The model that a fit fills in, in megawatts and seconds, and its translation to a load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cosim.fit.statistics import whole_us
from cosim.load.config import LoadConfig
from cosim.units import W_PER_MW

SERVER_W_PER_ACCELERATOR = 850.0
"""AC input of an 8 x H100 node at full load over eight (6.8 kW, MLPerf Training v4.0, SMC); sets the count only. [W]"""
IDLE_SHARE = 0.14
"""Idle over peak power of an accelerator (H100 SXM: 100 of 700 W); sets how the floor is split only. [1]"""
MAX_STD, MAX_NODE_STD = 0.3, 1.0
"""Bounds of `noise.std` and `noise.node_std`."""


@dataclass(frozen=True)
class Level:
    """A stretch of constant power."""

    duration_s: float
    p_mw: float
    name: str = ""


@dataclass(frozen=True)
class Interrupt:
    """An evaluation or a checkpoint: how often, how long, at which power."""

    every_s: float
    duration_s: float
    p_mw: float
    every_n: int | None = None
    """Iterations between two, instead of every_s."""


@dataclass(frozen=True)
class Edge:
    """Eq. 9 in one direction."""

    omega_n_rad_per_s: float
    zeta: float = 1.0
    c_s: float = 0.0
    d_s2: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Without what is zero."""
        found = {"omega_n_rad_per_s": _short(self.omega_n_rad_per_s), "zeta": _short(self.zeta)}
        return found | {k: _short(v) for k, v in (("c_s", self.c_s), ("d_s2", self.d_s2)) if v}


@dataclass(frozen=True)
class Noise:
    """Two Ornstein-Uhlenbeck fluctuations, relative to the power above the floor."""

    slow_std: float = 0.0
    slow_s: float = 20.0
    fast_std: float = 0.0
    fast_s: float = 1.0


@dataclass(frozen=True)
class Machine:
    """What drew the trace."""

    kind: Literal["training", "fine_tuning", "inference"]
    dt_s: float
    duration_s: float
    floor_mw: float
    """Power of the idle machine (U = 0)."""
    start: tuple[Level, ...] = ()
    """What precedes the regular part, in order."""
    main: tuple[Level, ...] = ()
    """One iteration; for inference the levels of the whole trace."""
    end: tuple[Level, ...] = ()
    """What follows the regular part, in order (fine-tuning)."""
    end_s: float | None = None
    """When it begins."""
    stop_s: float | None = None
    jitter: float = 0.0
    evaluation: Interrupt | None = None
    checkpoint: Interrupt | None = None
    noise: Noise = field(default_factory=Noise)
    query_mw: float = 0.0
    """Power of one query in service (inference)."""
    query_s: float = 1.0
    """Its duration."""
    up: Edge | None = None
    down: Edge | None = None
    supply_tau_s: float | None = None

    def changed(self, **what: Any) -> Machine:
        """A copy with other values."""
        return replace(self, **what)

    @property
    def top_mw(self) -> float:
        """Power at U = 1."""
        levels = [level.p_mw for level in (*self.start, *self.main, *self.end)]
        levels += [i.p_mw for i in (self.evaluation, self.checkpoint) if i is not None]
        top = max(levels)
        if self.kind == "inference":
            top = self.floor_mw + (top - self.floor_mw) * 1.15
        return max(top, self.floor_mw * (1 + 1e-6) + 1e-12)

    @property
    def n_accelerators(self) -> int:
        """Equivalent accelerators; their number changes no result."""
        return max(1, round(self.top_mw * W_PER_MW / SERVER_W_PER_ACCELERATOR))


def _short(value: float, digits: int = 5) -> float:
    """To five significant digits: what a trace can tell."""
    return float(f"{float(value):.{digits}g}")


def load_dict(machine: Machine) -> dict[str, Any]:
    """The `load` of a scenario."""
    n = machine.n_accelerators
    swing_w = (machine.top_mw - machine.floor_mw) * W_PER_MW / n
    floor_w = machine.floor_mw * W_PER_MW / n
    idle_w = min(IDLE_SHARE / (1 - IDLE_SHARE) * swing_w, floor_w)
    idle_w, peak_w = _short(idle_w), _short(swing_w + idle_w, 7)
    base_mw = max(0.0, machine.floor_mw - n * idle_w / W_PER_MW)
    job: dict[str, Any] = {"kind": machine.kind}
    if machine.kind == "training":
        job |= _training(machine)
    elif machine.kind == "fine_tuning":
        job |= _fine_tuning(machine)
    else:
        job |= _inference(machine)
    if machine.stop_s is not None:
        job["stop_s"] = whole_us(machine.stop_s)
    job |= _dynamics(machine)
    if machine.noise.slow_std > 0 or machine.noise.fast_std > 0:
        job["noise"] = _noise(machine, n)
    return {
        "accelerators": {"count": n, "p_peak_w": peak_w, "p_idle_w": idle_w, "per_node": min(n, 8)},
        "p_base_mw": _short(base_mw, 7),
        "jobs": {machine.kind: job},
    }


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
    } | _interrupts(machine)


def _fine_tuning(machine: Machine) -> dict[str, Any]:
    """Stages of Appendix A; the regular one lasts until the end begins, or beyond the end of the run."""
    still = {"low_s": 0, "evaluates": False}
    start = [row | still for row in _stages(machine, _half_early(machine))]
    end = [row | still for row in _stages(machine, machine.end)]
    until_s = machine.end_s if machine.end_s is not None else machine.duration_s + 3600
    left_s = until_s - sum(level.duration_s for level in _half_early(machine)) - 0.5 * machine.dt_s
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
    t_s = -machine.dt_s  # what arrives in one interval is in service, and seen, at its end
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
            rate.append({"t_s": 0.0, "rate_per_s": row})
        t_s += level.duration_s
        rate.append({"t_s": whole_us(t_s), "rate_per_s": row})
    return {
        "p_query_w": _short(machine.query_mw * W_PER_MW, 7),
        "step_s": whole_us(min(machine.dt_s, machine.query_s)),
        "classes": {"requests": {"size": 1000, "duration_s": whole_us(machine.query_s), "rate": rate}},
    }


def _dynamics(machine: Machine) -> dict[str, Any]:
    if machine.up is None or machine.down is None:
        return {}
    found: dict[str, Any] = {"up": machine.up.as_dict(), "down": machine.down.as_dict()}
    if machine.supply_tau_s is not None:
        found["supply_tau_s"] = _short(machine.supply_tau_s)
    return {"dynamics": found}


def _noise(machine: Machine, n_accelerators: int) -> dict[str, Any]:
    """Slow part common to all nodes, fast part node by node (where one node's bound allows it)."""
    noise = machine.noise
    n_node = max(1.0, n_accelerators / min(n_accelerators, 8))
    return {
        "std": round(float(min(noise.slow_std, MAX_STD)), 6),
        "correlation_s": _short(noise.slow_s),
        "node_std": round(float(min(noise.fast_std * math.sqrt(n_node), MAX_NODE_STD)), 6),
        "node_correlation_s": _short(noise.fast_s),
        "step_s": machine.dt_s,
    }
