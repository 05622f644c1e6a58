"""`study.html`: one self-contained page with the picture that a study's kind asks for, and its table."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.report.page import asset, plotting_library, write_page_whole
from cosim.report.tables import cell
from cosim.study.analysis import CONFIDENCE
from cosim.study.figures import figures_of, input_of, shown_metrics
from cosim.study.results import StudyResult
from cosim.study.stopping import interval, share_interval

if TYPE_CHECKING:
    import pandas as pd

    from cosim.feeder.feeder import Feeder

MAX_ROW = 2_000
"""Rows of the summary that the page lists; the files hold all."""
MAX_COLUMN = 16
"""Columns of the page's table; the files hold all."""


def write_page(result: StudyResult, config: Any, out: Path, feeder: Feeder | None = None) -> None:
    """Write the page of a study.

    Raises
    ------
    EnvironmentFailure
        It cannot be written, or plotly is not installed.
    """
    table = result.table
    figures = figures_of(table, config, feeder)
    divs = "".join(f'<div id="f{k}" class="plot"></div>' for k in range(len(figures)))
    data = json.dumps(figures, allow_nan=False, default=str).replace("<", "\\u003c")
    draw = (
        "const F=JSON.parse(document.getElementById('data').textContent);"
        "F.forEach((f,k)=>Plotly.newPlot('f'+k,f.data,f.layout,{responsive:true,displaylogo:false}));"
    )
    write_page_whole(
        out,
        "".join(
            [
                '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
                f"<title>{escape(config.name)}</title><style>{asset('page.css')}</style></head><body>",
                f'<h1>{escape(config.name)}</h1><p class="about">{escape(config.description)}</p>',
                _counts(table, config),
                _stop_words(table, config),
                divs,
                _table(table, config),
                f'<script type="application/json" id="data">{data}</script>',
                f"<script>{plotting_library()}</script><script>{draw}</script></body></html>\n",
            ]
        ),
    )


def _counts(table: pd.DataFrame, config: Any) -> str:
    status = ", ".join(f"{n} {name}" for name, n in table["status"].value_counts().items())
    parts = [f"<p>{escape(config.kind.replace('_', ' '))} over {escape(config.scenario)}: {status}.</p>"]
    if "within_limits" in table:
        within = table["within_limits"].dropna().astype(bool)
        share = f"{int(within.sum())} of {len(within)} runs are within limits"
        if config.kind == "monte_carlo" and len(within):
            low, high = share_interval(int(within.sum()), len(within), CONFIDENCE)
            share += f": {100 * low:.1f} to {100 * high:.1f} % of all (95 % confidence, Wilson)"
        parts.append(f"<p><b>{share}.</b></p>")
    if "is_monotone" in table:
        holes = table[table["is_monotone"] == False]  # noqa: E712  (None where the run failed)
        if len(holes):
            names = ", ".join(str(v) for v in holes[input_of(table)].head(20))
            parts.append(
                f'<p class="warn"><b>Limits are not monotone</b> at {escape(names)}: larger sizes hold again.</p>'
            )
    failed = table[table["status"] == "failed"]
    if len(failed):
        items = "".join(f"<li>{escape(str(r.run))}: {escape(str(r.error))}</li>" for r in failed.head(50).itertuples())
        parts.append(f'<p class="warn"><b>{len(failed)} runs failed.</b></p><ul>{items}</ul>')
    return "".join(parts)


def _stop_words(table: pd.DataFrame, config: Any) -> str:
    """How sure a study that stops by itself is, and whether it ran to its end instead."""
    stop = getattr(config, "stop", None)
    done = table[table["status"] != "failed"]
    name = "within_limits" if stop is not None and stop.metric is None else getattr(stop, "metric", None)
    if stop is None or name not in done or done.empty:
        return ""
    values = done[name].dropna().to_numpy(dtype=float)
    low, high = interval(values, stop)
    what = {"mean": f"mean of {name}", "share_within_limits": "share within limits"}.get(
        stop.statistic, f"{stop.quantile:g} quantile of {name}" if stop.quantile else ""
    )
    reached = 0.5 * (high - low) <= stop.half_width
    words = f"stopped after {len(table)} of at most {config.n}" if reached else "not reached: all runs were used"
    return (
        f"<p>The {escape(what)} lies between {low:.6g} and {high:.6g} ({100 * stop.confidence:g} % confidence); wanted "
        f"was a half-width of {stop.half_width:g}, {words}.</p>"
    )


def _table(table: pd.DataFrame, config: Any) -> str:
    n_input = next((k for k, name in enumerate(table.columns) if str(name).startswith("run.")), MAX_COLUMN)
    metrics = shown_metrics(table, config) if "limits" in type(config).model_fields else []
    first = [*table.columns[:n_input], *metrics]
    rest = [name for name in table.columns if not str(name).startswith("run.")]
    columns = list(dict.fromkeys([*first, *rest]))[:MAX_COLUMN]
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    rows = []
    for values in table[columns].head(MAX_ROW).itertuples(index=False):
        rows.append("<tr>" + "".join(cell(None if v is None or v != v else _shown(v)) for v in values) + "</tr>")
    cut = len(table) > MAX_ROW or table.shape[1] > MAX_COLUMN
    note = f"The first {MAX_ROW} rows and {MAX_COLUMN} columns; summary.csv holds all." if cut else ""
    body = f'<div class="scroll tall"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f'<h2>Summary</h2>{body}<p class="note">{note}</p>'


def _shown(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return str(plain) if isinstance(plain, bool) else plain
