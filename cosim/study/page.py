"""`study.html`: one self-contained page with the picture that a study's kind asks for, and its table."""

from __future__ import annotations

import fnmatch
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.report.page import asset, plotting_library, write_page_whole
from cosim.report.tables import cell
from cosim.study.results import StudyResult

if TYPE_CHECKING:
    import pandas as pd

    from cosim.feeder.feeder import Feeder

MAX_ROW = 2_000
"""Rows of the summary that the page lists; the files hold all."""
MAX_COLUMN = 16
"""Columns of the page's table; the files hold all."""
MAX_POINT = 20_000
"""Points of one picture."""
MAX_FIGURE = 4
_USUAL = (
    "datacenter.*.ramp.grid.1s.undisturbed_max_decline_mw_per_s",
    "datacenter.*.ramp.grid.1s.undisturbed_max_ramp_mw_per_s",
    "ups.*.saturated_excess_max_mw",
    "voltage.vm_min_pu",
    "source.peak_mw",
    "feeder.e_loss_mwh",
)
"""Metrics that a page shows behind those with limits, where they differ between runs."""
_COLOR, _BAD = "#1f77b4", "#d62728"


def write_page(result: StudyResult, config: Any, out: Path, feeder: Feeder | None = None) -> None:
    """Write the page of a study.

    Raises
    ------
    EnvironmentFailure
        It cannot be written, or plotly is not installed.
    """
    table = result.table
    figures = [one for one in _figures(table, config) if one is not None]
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
            low, high = wilson(int(within.sum()), len(within))
            share += f": {100 * low:.1f} to {100 * high:.1f} % of all (95 % confidence, Wilson)"
        parts.append(f"<p><b>{share}.</b></p>")
    if "is_monotone" in table:
        holes = table[table["is_monotone"] == False]  # noqa: E712  (None where the run failed)
        if len(holes):
            names = ", ".join(str(v) for v in holes[_input(table)].head(20))
            parts.append(
                f'<p class="warn"><b>Limits are not monotone</b> at {escape(names)}: larger sizes hold again.</p>'
            )
    failed = table[table["status"] == "failed"]
    if len(failed):
        items = "".join(f"<li>{escape(str(r.run))}: {escape(str(r.error))}</li>" for r in failed.head(50).itertuples())
        parts.append(f'<p class="warn"><b>{len(failed)} runs failed.</b></p><ul>{items}</ul>')
    return "".join(parts)


def wilson(n_hit: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Bounds of a share at 95 % confidence (Wilson's score interval)."""
    share = n_hit / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _input(table: pd.DataFrame) -> str:
    """First column behind run, status and error: what the study varies."""
    return str(table.columns[3])


def _shown_metrics(done: pd.DataFrame, config: Any) -> list[str]:
    """Metrics of interest, those with limits first."""
    usual = [str(m) for pattern in _USUAL for m in fnmatch.filter(map(str, done.columns), pattern)]
    return list(dict.fromkeys([m for m in config.limits if m in done] + [m for m in usual if _differs(done[m])]))


def _differs(values: Any) -> bool:
    """Whether a metric differs by more than rounding."""
    return bool(values.max() - values.min() > 1e-6 * max(abs(values.max()), abs(values.min())))


def _figures(table: pd.DataFrame, config: Any) -> list[dict[str, Any] | None]:
    done = table[table["status"] != "failed"]
    if done.empty:
        return []
    if config.kind == "hosting_capacity":
        return [_capacity(done, config)]
    if config.kind == "ups_sizing":
        return [_pareto(done)]
    metrics = _shown_metrics(done, config)[:MAX_FIGURE]
    if config.kind == "monte_carlo":
        return [_distribution(done, m, config) for m in metrics]
    if config.kind == "sweep" and len(config.grid) == 2 and config.n_seed == 1:
        return [_heat(done, m, *config.grid) for m in metrics]
    return [_bars(done, m, config) for m in metrics]


def _figure(data: list[dict[str, Any]], title: str, x: str, y: str, **layout: Any) -> dict[str, Any]:
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    return {"data": data, "layout": {"title": {"text": title}, "height": 420, **axes, **layout}}


def _plain(values: Any) -> list[Any]:
    return [None if v != v else v for v in values.tolist()]  # NaN is the one value that differs from itself


def _capacity(table: pd.DataFrame, config: Any) -> dict[str, Any]:
    size = "capacity_mw" if "capacity_mw" in table else "size"
    ranked: Any = table.sort_values(size, ascending=False)
    words = ranked["limited_by"].fillna("") + " " + ranked["limited_at"].fillna("")
    traces = []
    for limit, part in ranked.groupby(ranked["limited_by"].replace("", "none up to the largest size")):
        hover = words[part.index].tolist()
        bar = {"type": "bar", "name": str(limit), "x": part["bus"].astype(str).tolist(), "y": _plain(part[size])}
        traces.append(bar | {"text": hover, "textposition": "none"})
    order = {"type": "category", "categoryorder": "array", "categoryarray": ranked["bus"].astype(str).tolist()}
    unit = "capacity [MW]" if size == "capacity_mw" else config.runs.path
    figure = _figure(traces, "Largest data center within limits, by the limit it meets first", "bus", unit)
    figure["layout"]["xaxis"] |= order
    return figure


def _pareto(table: pd.DataFrame) -> dict[str, Any]:
    ranked: Any = table.dropna(subset=["size"]).sort_values("p_mw")
    line = {"type": "scatter", "mode": "lines+markers", "x": _plain(ranked["p_mw"]), "y": _plain(ranked["size"])}
    marks = {"text": [f"cost {c:g}" for c in ranked["cost"]], "name": "within limits"} if len(ranked) else {}
    traces: list[dict[str, Any]] = [line | marks]
    if len(ranked):
        best = ranked.loc[ranked["cost"].idxmin()]
        traces.append(
            {"type": "scatter", "mode": "markers", "x": [best["p_mw"]], "y": [best["size"]], "name": "least cost",
             "marker": {"size": 14, "color": _BAD, "symbol": "star"}}
        )  # fmt: skip
    return _figure(traces, "Least energy that meets the limits", "power [MW]", "energy [MWh]")


def _distribution(table: pd.DataFrame, metric: str, config: Any) -> dict[str, Any]:
    values = table[metric].dropna().head(MAX_POINT)
    low, mid, high = values.quantile([0.05, 0.5, 0.95])
    figure = _figure(
        [{"type": "histogram", "x": _plain(values), "marker": {"color": _COLOR}}],
        f"{metric}: median {mid:.4g}, 5 to 95 % of runs {low:.4g} to {high:.4g}",
        metric,
        "runs",
    )
    figure["layout"]["shapes"] = _limit_lines(metric, config, "x")
    return figure


def _limit_lines(metric: str, config: Any, axis: str) -> list[dict[str, Any]]:
    limit, other = config.limits.get(metric), "y" if axis == "x" else "x"
    bounds = [] if limit is None else [b for b in (limit.min, limit.max) if b is not None]
    return [
        {"type": "line", f"{axis}0": b, f"{axis}1": b, f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper",
         "line": {"color": _BAD, "dash": "dash"}}
        for b in bounds
    ]  # fmt: skip


def _heat(table: pd.DataFrame, metric: str, x: str, y: str) -> dict[str, Any]:
    square: Any = table.pivot_table(index=y, columns=x, values=metric, sort=True)
    data = {"type": "heatmap", "z": [_plain(row) for row in square.to_numpy()], "colorscale": "Viridis"}
    data |= {"x": [str(v) for v in square.columns], "y": [str(v) for v in square.index]}
    figure = _figure([data | {"colorbar": {}}], metric, x, y)
    for name in ("xaxis", "yaxis"):
        figure["layout"][name]["type"] = "category"
    return figure


def _bars(table: pd.DataFrame, metric: str, config: Any) -> dict[str, Any]:
    by = _input(table)
    ranked: Any = table.sort_values(metric) if config.kind in ("siting", "contingency") else table
    ranked = ranked.head(MAX_POINT)
    labels = ranked[by].astype(str).tolist()
    kind = {"type": "scatter", "mode": "markers", "x": labels, "y": _plain(ranked[metric])}
    figure = _figure([kind | {"marker": {"color": _COLOR}}], metric, by, metric)
    figure["layout"]["shapes"] = _limit_lines(metric, config, "y")
    if ranked[by].dtype == object:
        figure["layout"]["xaxis"]["type"] = "category"
    return figure


def _table(table: pd.DataFrame, config: Any) -> str:
    n_input = next((k for k, name in enumerate(table.columns) if str(name).startswith("run.")), MAX_COLUMN)
    metrics = _shown_metrics(table, config) if "limits" in type(config).model_fields else []
    first = [*table.columns[:n_input], *metrics]
    rest = [name for name in table.columns if not str(name).startswith("run.")]
    columns = list(dict.fromkeys([*first, *rest]))[:MAX_COLUMN]
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    rows = []
    for values in table[columns].head(MAX_ROW).itertuples(index=False):
        rows.append("<tr>" + "".join(cell(None if v is None or v != v else _shown(v)) for v in values) + "</tr>")
    cut = len(table) > MAX_ROW or table.shape[1] > MAX_COLUMN
    note = f"The first {MAX_ROW} rows and {MAX_COLUMN} columns; summary.csv holds all." if cut else ""
    body = f'<div class="tall"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f'<h2>Summary</h2>{body}<p class="note">{note}</p>'


def _shown(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return str(plain) if isinstance(plain, bool) else plain
