"""What `cosim catalog accelerators`, `models` and `servers` print: compact tables, or the entries as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cosim.catalog.entries import Entry
from cosim.catalog.loader import list_accelerators, list_components, list_models, list_servers, p_rest_w
from cosim.units import KW_PER_MW, W_PER_MW

KINDS = ("accelerators", "models", "servers")
"""What this module can show."""
_W_PER_KW = W_PER_MW / KW_PER_MW
_MIN_WIDTH = 110
"""Narrowest table; sources wrap down to it. [characters]"""
_PIPE_WIDTH = 250
"""Width where nobody looks at a terminal: every entry keeps to one line. [characters]"""


def render_catalog(what: str, console: Console) -> None:
    """Print one kind of entries, one of `KINDS`, as tables."""
    tables = {"accelerators": _accelerators, "models": _models, "servers": _servers}[what]()
    console.width = max(console.width, _MIN_WIDTH if console.is_terminal else _PIPE_WIDTH)
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(table, soft_wrap=False)


def catalog_json(what: str) -> str:
    """One kind of entries, one of `KINDS`, as JSON text: a list of objects; of servers, two lists."""
    listed = {"accelerators": list_accelerators, "models": list_models, "servers": list_servers}[what]
    entries: Sequence[Entry] = listed()
    plain = _plain(entries)
    content = {"servers": plain, "components": _plain(list_components())} if what == "servers" else plain
    return json.dumps(content, indent=2, allow_nan=False)


def _plain(entries: Iterable[Entry]) -> list[dict[str, object]]:
    return [entry.model_dump(mode="json") for entry in entries]


def _accelerators() -> list[Table]:
    table = _table(
        "accelerator",
        "year",
        "max [W]",
        "idle [W]",
        "memory [GB]",
        "bandwidth [GB/s]",
        "FP32 [TFLOPS]",
        "FP16 [TFLOPS]",
        "FP8 [TFLOPS]",
        "link [GB/s]",
    )
    for a in list_accelerators():
        memory = (a.memory_gb, a.memory_gb_per_s)
        peaks = (a.peak_fp32_tflops, a.peak_fp16_tflops, a.peak_fp8_tflops, a.interconnect_gb_per_s)
        _row(table, f"{a.vendor} {a.name}", a.release_year, a.p_max_w, a.p_idle_w, *memory, *peaks, a.source)
    return [table]


def _models() -> list[Table]:
    table = _table(
        "model",
        "parameters [1e6]",
        "at work [1e6]",
        "layers",
        "hidden size",
        "heads",
        "kv heads",
        "vocabulary",
        "context",
    )
    for m in list_models():
        kv = m.n_kv_head or (m.n_head if m.n_kv_width is None else None)
        heads = (m.n_layer, m.n_hidden, m.n_head, kv, m.n_vocabulary, m.n_context)
        _row(table, m.name, m.n_parameter / 1e6, m.active_parameters / 1e6, *heads, m.source)
    return [table]


def _servers() -> list[Table]:
    servers = _table("server", "year", "accelerators", "max [kW]", "beside accelerators [kW]", "network [GB/s]")
    for s in list_servers():
        fitted = f"{s.n_accelerator} x {s.accelerator}"
        _row(
            servers,
            f"{s.vendor} {s.name}",
            s.release_year,
            fitted,
            s.p_max_w / _W_PER_KW,
            p_rest_w(s) / _W_PER_KW,
            s.network_gb_per_s,
            s.source,
        )
    parts = _table("part of a server", "low", "high", "unit", "of what")
    for c in list_components():
        _row(parts, c.name, c.low, c.high, c.unit, c.quantity, c.source)
    return [servers, parts]


def _table(first: str, *columns: str) -> Table:
    table = Table(header_style="dim", box=None)
    table.add_column(escape(first), no_wrap=True)
    for column in columns:
        table.add_column(escape(column), justify="right")
    table.add_column("source")
    return table


def _row(table: Table, *cells: str | float | None) -> None:
    table.add_row(*("-" if c is None else escape(c) if isinstance(c, str) else f"{c:.6g}" for c in cells))
