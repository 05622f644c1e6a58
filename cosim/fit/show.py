"""What `cosim fit` prints: what was found and how well it fits."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cosim.fit.as_load import load_dict
from cosim.fit.fitting import Fit
from cosim.fit.machine import Interrupt, Machine
from cosim.fit.ripple import RIPPLE
from cosim.fit.statistics import Row, readable


def found_lines(fit: Fit) -> list[str]:
    """The model in a few sentences."""
    machine = fit.machine
    jobs = [job for job in machine.jobs if job.name != RIPPLE]
    kind = machine.kind.replace("_", "-") if len(jobs) == 1 else f"{len(jobs)} jobs"
    lines = [f"{fit.trace.name}: {kind}, {len(fit.trace.p_mw)} samples, {machine.dt_s:g} s apart"]
    if fit.trace.n_left_out:
        lines.append(f"{fit.trace.n_left_out:,} rows left out that could not be used")
    log = fit.events
    if log is not None:
        lines.append(
            f"by its event log: run from {log.run[0]:.1f} to {log.run[1]:.1f} s of the trace, {len(log.blocks)} "
            f"blocks, {sum(log.n_steps)} iterations of {log.iteration_s:.4g} s, {len(log.evaluations)} evaluations; "
            f"they explain {log.explained:.0%} of its variance"
        )
    for job in jobs:
        lead = ""
        if len(jobs) > 1:
            lead = (
                f"{job.kind.replace('_', '-')} from {job.begin_s:.6g} to {job.stop_s or fit.trace.duration_s:.6g} s: "
            )
        lines += [lead + line for line in _job_lines(job, is_fast=any(one.name == RIPPLE for one in machine.beside))]
    return lines + [_ripple_line(job, fit.trace.duration_s) for job in machine.beside if job.name == RIPPLE]


def _job_lines(machine: Machine, *, is_fast: bool) -> list[str]:
    """One job; of a fast trace its levels and edges, its noise is the ripple's."""
    lines = []
    if machine.states:
        visits = [state.dwell_s[len(state.dwell_s) // 2] for state in machine.states]
        lines.append(f"{len(machine.states)} states, visits of {min(visits):.3g} to {max(visits):.3g} s in the median")
    elif machine.kind == "training" and not is_fast:
        dips = f", depth of its dips {100 * machine.dip:.2g} %" if machine.dip else ""
        jitter = f"jitter {100 * machine.jitter:.2g} %{dips}"
        lines.append(f"iteration of {machine.period_s:.4g} s in {len(machine.main)} stages, {jitter}")
    else:
        lines.append(f"{len(machine.start) + len(machine.main) + len(machine.end)} levels")
    for name, what in (("evaluation", machine.evaluation), ("checkpoint", machine.checkpoint)):
        if what is not None:
            lines.append(f"{name} {_every(what)} of {what.duration_s:.3g} s at {1000 * what.p_mw:.5g} kW")
    noise = machine.noise
    if noise.slow_std or noise.fast_std:
        parts = ((noise.slow_std, noise.slow_s), (noise.fast_std, noise.fast_s))
        said = ", ".join(f"{100 * std:.2g} % over {time_s:.3g} s" for std, time_s in parts if std)
        lines.append(f"noise of the swing: {said}")
    for name, edge in (("up", machine.up), ("down", machine.down)):
        if edge is not None:
            lines.append(
                f"edges {name}: omega_n {edge.omega_n_rad_per_s:.4g} rad/s, zeta {edge.zeta:.3g}, "
                f"C {edge.c_s:.3g} s, D {edge.d_s2:.3g} s2"
            )
    return lines


def _ripple_line(job: Machine, duration_s: float) -> str:
    """What moves about the levels of a fast trace, in watts."""
    powers = [1e6 * level.p_mw for level in job.main]
    mean_w = sum(powers) / len(powers)
    swing_w = max(powers) - min(powers)
    pulses = f"pulses of {swing_w:.3g} W, {1 / job.period_s:.4g} times a second, and " if swing_w else ""
    noise = job.noise
    return (
        f"{job.begin_s:.4g} to {job.stop_s or duration_s:.4g} s: {pulses}noise of {noise.slow_std * mean_w:.2g} W over "
        f"{noise.slow_s:.2g} s and {noise.fast_std * mean_w:.2g} W over {noise.fast_s:.2g} s"
    )


def _every(what: Interrupt) -> str:
    return f"every {what.every_n} iterations" if what.every_n else f"every {what.every_s:.4g} s"


def render_fit(fit: Fit, console: Console) -> None:
    """Print the model and its tables."""
    for line in found_lines(fit):
        console.print(line)
    most_mw = float(fit.trace.p_mw.max())
    _table("Model of the whole trace against the whole trace", readable(fit.rows, most_mw), console)
    if fit.held_out:
        first_s, last_s = fit.held_out_s
        _table(
            f"Model of the first {first_s:g} s against the trace from {first_s:g} to {last_s:g} s",
            readable(fit.held_out, most_mw),
            console,
        )
    else:
        console.print(f"Judged on what it was fitted to: {why_not_held_out(fit)}.")


def why_not_held_out(fit: Fit) -> str:
    """Why no second part is judged."""
    machine = fit.machine
    if any(job.name == RIPPLE for job in machine.beside):
        return "a trace of edges has each of them once or twice"
    if any(job.begin_s > 0 for job in machine.jobs):
        return "its regimes follow one another, so its second half is another machine than its first"
    if machine.kind == "fine_tuning":
        return "its stages follow one another, so its second half does not repeat its first"
    if machine.stop_s is not None:
        return "it stops before its end"
    return "its first half holds too few iterations"


def _table(title: str, rows: list[Row], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("", "trace", "simulation", "difference", "target", ""):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(
            escape(row.name), f"{row.trace:.4g}", f"{row.simulation:.4g}", f"{row.difference:+.2f} {row.unit}",
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
