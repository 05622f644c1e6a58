"""Scenario, table and JSON of a fitted arrival process."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from cosim.fit.arrivals import JOB, ArrivalFit, Row
from cosim.fit.as_yaml import as_yaml
from cosim.fit.document import checked_size
from cosim.fit.simulate import SITE
from cosim.load.arrivals import mean_tokens
from cosim.load.config_serving import TokensConfig

REPLICA: dict[str, Any] = {
    "accelerators": 8,
    "max_batch": 128,
    "kv_tokens": 1_500_000,
    "prefill_tokens_per_s": 30_000,
    "step_s": 0.014,
    "step_per_request_s": 0.00012,
    "step_per_token_s": 4e-9,
    "prefill_utilization": 0.95,
    "decode_utilization": [
        {"batch": 1, "utilization": 0.4}, {"batch": 32, "utilization": 0.6}, {"batch": 128, "utilization": 0.75}
    ],
}  # fmt: skip
"""What serves the requests of a fitted scenario: orders of magnitude for 70 billion parameters on eight H200."""
FILL = 0.5
"""Part of what its replicas could serve that the record's mean rate asks for. [1]"""
STEP_S = 0.1
P_PEAK_W, P_IDLE_W = 1000, 120


def arrivals_yaml(fit: ArrivalFit) -> str:
    """A complete scenario: the fitted requests, served by as many replicas as they need.

    Raises
    ------
    CosimError
        The model is larger than a model may be; a bug, since every list in it is bounded.
    """
    record = fit.record
    n_replica = replicas_for(fit)
    job = {
        "kind": "serving",
        "replica": REPLICA,
        "arrivals": fit.arrivals,
        "tokens_in": fit.tokens[0],
        "tokens_out": fit.tokens[1],
        "tokens_correlation": fit.correlation,
    }
    count = n_replica * int(REPLICA["accelerators"])
    small = count * P_PEAK_W <= 2_000_000
    document = {
        "schema": 1,
        "name": "arrivals of " + record.name.removesuffix(".gz").removesuffix(".csv"),
        "description": (
            f"Requests fitted by cosim to {record.name}: {len(record.t_s)} in {record.duration_s:.6g} s. The replicas "
            "are an example, orders of magnitude for 70 billion parameters on eight H200; put yours in."
        ),
        "seed": 1,
        "time": {"duration_s": round(math.ceil(record.duration_s / STEP_S) * STEP_S, 6), "step_s": STEP_S},
        "feeder": {"model": "case33bw" if small else "campus34"},
        "datacenters": {
            SITE: {
                "bus": 1 if small else "campus_a",
                "load": {
                    "accelerators": {"count": count, "p_peak_w": P_PEAK_W, "p_idle_w": P_IDLE_W},
                    "jobs": {JOB: job},
                },
            }
        },
        "log": {"step_s": STEP_S, "nodes": "extremes"},
    }
    return checked_size(as_yaml(document))


def replicas_for(fit: ArrivalFit) -> int:
    """Replicas that the mean rate fills by half, with batches half full."""
    tokens_in, tokens_out = (mean_tokens(TokensConfig.model_validate(tokens)) for tokens in fit.tokens)
    batch = min(REPLICA["max_batch"] / 2, REPLICA["kv_tokens"] / 2 / (tokens_in + tokens_out))
    step_s = REPLICA["step_s"] + batch * REPLICA["step_per_request_s"]
    busy_s: float = tokens_in / REPLICA["prefill_tokens_per_s"] + tokens_out * step_s / batch
    return max(1, math.ceil(len(fit.record.t_s) / fit.record.duration_s * busy_s / FILL))


def found_lines(fit: ArrivalFit) -> list[str]:
    """The model in a few sentences."""
    record = fit.record
    gap = (record.t_s[1:] - record.t_s[:-1]).max()
    lines = [f"{record.name}: {len(record.t_s)} requests in {record.duration_s:.6g} s, longest silence {gap:.3g} s"]
    if record.stamp_s:
        lines.append(
            f"stamps are multiples of {record.stamp_s:g} s: nothing is known below; draws are stamped alike to compare"
        )
    n = len(fit.arrivals["rate"])
    lines.append(f"{fit.arrivals['kind']}, lambda(t) of {n} point{'s' if n > 1 else ''}")
    if "cv" in fit.arrivals:
        lines.append(f"distances: gamma, CV {fit.arrivals['cv']:g}")
    for source in fit.arrivals.get("sources", ()):
        low, high = source["states"]
        theta_s = low["mean_s"] * high["mean_s"] / (low["mean_s"] + high["mean_s"])
        lines.append(
            f"source: {low['factor']:.3g} for {low['mean_s']:.3g} s, {high['factor']:.3g} for {high['mean_s']:.3g} s "
            f"(correlation {theta_s:.3g} s)"
        )
    lines.append(f"correlation of tokens in and out (normal scores): {fit.correlation:g}")
    return lines


def render_arrivals(fit: ArrivalFit, console: Console) -> None:
    """Print the model and its tables: draws, their 5th (low) and 95th percentile (high)."""
    for line in found_lines(fit):
        console.print(line)
    _table("Model of the whole record against the whole record", fit.rows, None, console)
    if fit.held_out:
        _table("Model of the first half against the second half", fit.held_out, fit.first_half, console)
    else:
        console.print("Judged on what it was fitted to: half of the record is too little for a second fit.")


def _table(title: str, rows: list[Row], first: dict[str, float] | None, console: Console) -> None:
    table = Table(title=title, title_justify="left", box=None)
    heads = ("", *(["1st half"] if first else []), "record", "draws", "difference", "low", "high", "")
    for head in heads:
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for row in rows:
        difference = f"{100 * (row.simulation / row.trace - 1):+.1f} %" if row.trace else ""
        known = [number(first.get(row.name, math.nan))] if first else []
        numbers = [number(value) for value in (row.trace, row.simulation)]
        band = [number(value) for value in (row.low, row.high)]
        table.add_row(row.name, *known, *numbers, difference, *band, "" if row.holds else "out")
    console.print(table)


def number(value: float) -> str:
    """Four digits, none after an exponent."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def arrivals_json(fit: ArrivalFit) -> str:
    """The same for programs."""
    found = {
        "record": fit.record.name,
        "requests": len(fit.record.t_s),
        "duration_s": fit.record.duration_s,
        "stamp_s": fit.record.stamp_s,
        "arrivals": fit.arrivals,
        "tokens_in": fit.tokens[0],
        "tokens_out": fit.tokens[1],
        "tokens_correlation": fit.correlation,
        "whole": [row.as_dict() for row in fit.rows],
        "held_out": [row.as_dict() for row in fit.held_out],
        "first_half": fit.first_half,
    }
    return json.dumps(found, indent=2, allow_nan=False)
