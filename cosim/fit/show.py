"""What `cosim fit` prints: what was found and how well it fits."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from cosim.fit.as_load import load_dict
from cosim.fit.fitting import Fit
from cosim.fit.machine import Interrupt
from cosim.fit.statistics import Row


def found_lines(fit: Fit) -> list[str]:
    """The model in a few sentences."""
    machine = fit.machine
    kind = machine.kind.replace("_", "-")
    lines = [f"{fit.trace.name}: {kind}, {len(fit.trace.p_mw)} samples, {machine.dt_s:g} s apart"]
    if fit.trace.n_left_out:
        lines.append(f"{fit.trace.n_left_out:,} rows left out that could not be used")
    if machine.kind == "training":
        period_s = sum(level.duration_s for level in machine.main)
        lines.append(
            f"iteration of {period_s:.4g} s in {len(machine.main)} stages, jitter {100 * machine.jitter:.2g} %"
        )
    else:
        lines.append(f"{len(machine.start) + len(machine.main) + len(machine.end)} levels")
    log = fit.events
    if log is not None:
        lines.append(
            f"by its event log: run from {log.run[0]:.1f} to {log.run[1]:.1f} s of the trace, {len(log.blocks)} "
            f"blocks, {sum(log.n_steps)} iterations of {log.iteration_s:.4g} s, {len(log.evaluations)} evaluations; "
            f"they explain {log.explained:.0%} of its variance"
        )
    for name, what in (("evaluation", machine.evaluation), ("checkpoint", machine.checkpoint)):
        if what is not None:
            lines.append(f"{name} {_every(what)} of {what.duration_s:.3g} s at {1000 * what.p_mw:.5g} kW")
    noise = machine.noise
    lines.append(
        f"noise of the swing: {100 * noise.slow_std:.2g} % over {noise.slow_s:.3g} s, "
        f"{100 * noise.fast_std:.2g} % over {noise.fast_s:.3g} s"
    )
    for name, edge in (("up", machine.up), ("down", machine.down)):
        if edge is not None:
            lines.append(
                f"edges {name}: omega_n {edge.omega_n_rad_per_s:.4g} rad/s, zeta {edge.zeta:.3g}, "
                f"C {edge.c_s:.3g} s, D {edge.d_s2:.3g} s2"
            )
    return lines


def _every(what: Interrupt) -> str:
    return f"every {what.every_n} iterations" if what.every_n else f"every {what.every_s:.4g} s"


def render_fit(fit: Fit, console: Console) -> None:
    """Print the model and its tables."""
    for line in found_lines(fit):
        console.print(line)
    _table("Model of the whole trace against the whole trace", fit.rows, console)
    if fit.held_out:
        first_s, last_s = fit.held_out_s
        _table(
            f"Model of the first {first_s:g} s against the trace from {first_s:g} to {last_s:g} s",
            fit.held_out,
            console,
        )
    else:
        console.print("Judged on what it was fitted to: the trace has no second part that repeats the first.")


def _table(title: str, rows: list[Row], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("", "trace", "simulation", "difference", "target", ""):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(
            row.name, f"{row.trace:.4g}", f"{row.simulation:.4g}", f"{row.difference:+.2f} {row.unit}",
            f"{row.target:g} {row.unit}", "" if row.holds else "not met",
        )  # fmt: skip
    console.print(table)


def fit_json(fit: Fit) -> str:
    """The same for programs."""
    found: dict[str, Any] = {
        "trace": fit.trace.name,
        "kind": fit.machine.kind,
        "interval_s": fit.machine.dt_s,
        "samples": len(fit.trace.p_mw),
        "load": load_dict(fit.machine),
        "whole": [row.as_dict() for row in fit.rows],
        "held_out": [row.as_dict() for row in fit.held_out],
        "held_out_s": [value for value in fit.held_out_s if math.isfinite(value)] if fit.held_out else None,
    }
    return json.dumps(found, indent=2, allow_nan=False)
