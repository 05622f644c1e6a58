"""What `cosim estimate` prints: a few tables, or every figure as JSON."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cosim.estimate.estimating import Estimate
from cosim.estimate.memory import usable_gb
from cosim.units import KW_PER_MW


def estimate_json(found: Estimate) -> str:
    """Every figure as JSON text."""
    return json.dumps(found.summary(), indent=2, allow_nan=False)


def render_estimate(found: Estimate, console: Console) -> None:
    """Print what a step takes, what it holds and what it draws."""
    work = found.work
    console.print(
        f"[bold]{escape(work.model.name)}[/bold], {work.phase}, on {work.count} x {escape(work.accelerator.name)}: "
        f"data {work.data} x tensor {work.tensor} x pipeline {work.pipeline}, batch {work.batch}, "
        f"sequence {work.sequence}, {work.precision}"
    )
    what = "token" if work.phase == "decode" else "step"
    console.print(
        f"{what} {_s(found.step_s)}, {found.tokens_per_s:,.0f} tokens/s, model FLOPs utilization "
        f"{found.model_flops_utilization:.1%}"
    )
    for table in (_stages(found), _memory(found), _power(found)):
        console.print(table)
    console.print(
        f"swing when it stops {_mw(found.stop_swing_mw)}, dip in each step {_mw(found.dip_mw)}. "
        "An estimate: docs/estimate.md says how far off it is on measured runs."
    )


def _stages(found: Estimate) -> Table:
    table = _table("stage", "lasts", "compute", "memory", "communication", "waits", "U", "site")
    for s in found.stages:
        times = (s.duration_s, s.compute_s, s.memory_s, s.communication_s, s.wait_s)
        table.add_row(s.name, *map(_s, times), f"{found.u(s):.2f}", _mw(found.site_mw(found.u(s))))
    bound = found.bound_s.values()
    table.add_row("whole", _s(found.step_s), *map(_s, bound), f"{found.mean_u:.2f}", _mw(found.parts.total_mw))
    return table


def _memory(found: Estimate) -> Table:
    memory = found.memory
    table = _table("memory, GB", "weights", "gradients", "optimizer", "activations", "cache", "usable")
    parts = (
        memory.weights_gb,
        memory.gradients_gb,
        memory.optimizer_gb,
        memory.activations_gb,
        memory.kv_cache_gb,
    )
    row = [f"{part:.1f}" for part in parts]
    table.add_row(f"{memory.total_gb:.1f}", *row, f"{usable_gb(found.work):.1f}")
    return table


def _power(found: Estimate) -> Table:
    parts = found.parts
    table = _table("mean power", "compute", "memory", "cooling", "auxiliary", "idle site")
    row = (parts.compute_mw, parts.memory_mw, parts.cooling_mw, parts.auxiliary_mw, found.idle_mw)
    table.add_row(_mw(parts.total_mw), *map(_mw, row))
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(header_style="dim", box=None)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _s(value: float) -> str:
    if value == 0:
        return "-"
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def _mw(value: float) -> str:
    return f"{value:.3g} MW" if abs(value) >= 1 else f"{value * KW_PER_MW:.3g} kW"
