"""Pictures of a study: heat map, tornado, Pareto front, map of the feeder, distribution with its confidence band."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.study.analysis import CONFIDENCE, sobol_table
from cosim.study.feeder_map import map_figure

if TYPE_CHECKING:
    import pandas as pd

    from cosim.feeder.feeder import Feeder

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
_COLOR, _BAD, _SOFT = "#1f77b4", "#d62728", "#9db8d2"


def figures_of(table: pd.DataFrame, config: Any, feeder: Feeder | None) -> list[dict[str, Any]]:
    """Figures for plotly that a study's kind asks for.

    Parameters
    ----------
    table : DataFrame
        The summary.
    config
        The study.
    feeder : Feeder, optional
        What a map is drawn of.
    """
    done = table[table["status"] != "failed"]
    if done.empty:
        return []
    if config.kind == "hosting_capacity":
        return [*_maps(done, feeder, *_size(done, config)), _capacity(done, config)]
    if config.kind == "ups_sizing":
        return [_pareto(done)]
    if config.kind == "sensitivity":
        return _tornados(sobol_table(table, config))
    metrics = shown_metrics(done, config)[:MAX_FIGURE]
    if config.kind == "monte_carlo":
        return [_distribution(done, m, config) for m in metrics]
    if config.kind == "coincidence":
        return [_meetings(done), *(_distribution(done, m, config) for m in _COINCIDENCE if m in done)]
    if config.kind == "siting":
        maps = [one for m in metrics[:1] for one in _maps(done, feeder, m, m)]
        return [*maps, *(_bars(done, m, config) for m in metrics)]
    if config.kind == "sweep" and len(config.grid) == 2 and config.n_seed == 1:
        return [_heat(done, m, *config.grid) for m in metrics]
    return [_bars(done, m, config) for m in metrics]


_COINCIDENCE = ("coincidence.factor_down", "coincidence.max_step_down_mw", "coincidence.max_step_up_mw")


def _size(table: pd.DataFrame, config: Any) -> tuple[str, str]:
    """Column of the capacity, and its words."""
    return ("capacity_mw", "capacity [MW]") if "capacity_mw" in table else ("size", str(config.runs.path))


def _maps(table: pd.DataFrame, feeder: Feeder | None, column: str, words: str) -> list[dict[str, Any]]:
    if feeder is None:
        return []
    values = {str(bus): float(v) for bus, v in zip(table["bus"], table[column], strict=True) if v == v}
    return [map_figure(feeder, values, words)]


def input_of(table: pd.DataFrame) -> str:
    """First column behind run, status and error: what the study varies."""
    return str(table.columns[3])


def shown_metrics(done: pd.DataFrame, config: Any) -> list[str]:
    """Metrics of interest, those with limits first."""
    usual = [str(m) for pattern in _USUAL for m in fnmatch.filter(map(str, done.columns), pattern)]
    return list(dict.fromkeys([m for m in config.limits if m in done] + [m for m in usual if _differs(done[m])]))


def _differs(values: Any) -> bool:
    """Whether a metric differs by more than rounding."""
    return bool(values.max() - values.min() > 1e-6 * max(abs(values.max()), abs(values.min())))


def _figure(data: list[dict[str, Any]], title: str, x: str, y: str, **layout: Any) -> dict[str, Any]:
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    return {"data": data, "layout": {"title": {"text": title}, "height": 420, **axes, **layout}}


def _plain(values: Any) -> list[Any]:
    return [None if v != v else v for v in values.tolist()]  # NaN is the one value that differs from itself


def _capacity(table: pd.DataFrame, config: Any) -> dict[str, Any]:
    size, unit = _size(table, config)
    ranked: Any = table.sort_values(size, ascending=False)
    words = ranked["limited_by"].fillna("") + " " + ranked["limited_at"].fillna("")
    traces = []
    for limit, part in ranked.groupby(ranked["limited_by"].replace("", "none up to the largest size")):
        hover = words[part.index].tolist()
        bar = {"type": "bar", "name": str(limit), "x": part["bus"].astype(str).tolist(), "y": _plain(part[size])}
        traces.append(bar | {"text": hover, "textposition": "none"})
    order = {"type": "category", "categoryorder": "array", "categoryarray": ranked["bus"].astype(str).tolist()}
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
    """Share of runs at or below each value, with the band that holds the law's own curve with 95 % confidence.

    The band is that of Dvoretzky, Kiefer and Wolfowitz, with the constant of Massart (1990).
    """
    values = np.sort(table[metric].dropna().to_numpy(dtype=float))
    n = values.size
    share, half = np.arange(1, n + 1) / n, float(np.sqrt(np.log(2 / (1 - CONFIDENCE)) / (2 * n)))
    kept = np.unique(np.linspace(0, n - 1, min(n, MAX_POINT // 4)).astype(int))
    low, mid, high = np.quantile(values, [0.05, 0.5, 0.95])
    x, y = values[kept], share[kept]
    line = {"type": "scatter", "mode": "lines", "x": x.tolist(), "line": {"shape": "hv", "color": _SOFT, "width": 0}}
    band = f"{100 * CONFIDENCE:g} % band"
    traces = [
        line | {"y": np.maximum(y - half, 0).tolist(), "showlegend": False, "hoverinfo": "skip"},
        line | {"y": np.minimum(y + half, 1).tolist(), "fill": "tonexty", "fillcolor": "rgba(157,184,210,0.45)",
                "name": band, "hoverinfo": "skip"},
        line | {"y": y.tolist(), "line": {"shape": "hv", "color": _COLOR, "width": 2}, "name": f"{n} runs"},
    ]  # fmt: skip
    title = f"{metric}: median {mid:.4g}, 5 to 95 % of runs {low:.4g} to {high:.4g}"
    figure = _figure(traces, title, metric, "share of runs at or below")
    figure["layout"]["shapes"] = _limit_lines(metric, config, "x")
    figure["layout"]["yaxis"]["range"] = [0, 1.02]
    return figure


def _tornados(indices: pd.DataFrame) -> list[dict[str, Any]]:
    """First-order and total index of each input, the strongest on top."""
    figures = []
    for output, part in indices.dropna().groupby("output", sort=False):
        ranked: Any = part.sort_values("total")
        traces = []
        for name, words, color in (("total", "total", _SOFT), ("first", "first order", _COLOR)):
            upper, lower = ranked[f"{name}_high"] - ranked[name], ranked[name] - ranked[f"{name}_low"]
            error = {"type": "data", "symmetric": False, "array": _plain(upper.clip(lower=0)),
                     "arrayminus": _plain(lower.clip(lower=0)), "thickness": 1, "color": "#444"}  # fmt: skip
            bar = {"type": "bar", "orientation": "h", "name": words, "marker": {"color": color}, "error_x": error}
            traces.append(bar | {"x": _plain(ranked[name]), "y": [_short(v) for v in ranked["input"]]})
        figure = _figure(traces, f"What moves {output}", "share of the variance (Sobol index)", "")
        figure["layout"] |= {"barmode": "group", "height": 160 + 60 * len(ranked)}
        figure["layout"]["yaxis"] |= {"automargin": True, "type": "category"}
        figures.append(figure)
    return figures


def _short(path: str) -> str:
    """The last parts of a path: enough to tell inputs apart on a picture."""
    return ".".join(path.split(".")[-3:])


def _meetings(table: pd.DataFrame) -> dict[str, Any]:
    """How many campuses stepped in the same window, at most, and how often steps met."""
    counts = table["coincidence.n_group"].value_counts().sort_index()
    bar = {"type": "bar", "x": [int(v) for v in counts.index], "y": _plain(counts), "marker": {"color": _COLOR}}
    met, told = table["coincidence.n_met"].sum(), table["coincidence.share_met_independent"].mean()
    share = met / max(table["coincidence.n_step"].sum(), 1)
    title = f"Steps that meet: {100 * share:.1f} % of all; {100 * told:.1f} % if steps stood at random times"
    return _figure([bar], title, "windows of a run in which steps of two or more campuses meet", "runs")


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
    by = input_of(table)
    ranked: Any = table.sort_values(metric) if config.kind in ("siting", "contingency") else table
    ranked = ranked.head(MAX_POINT)
    labels = ranked[by].astype(str).tolist()
    kind = {"type": "scatter", "mode": "markers", "x": labels, "y": _plain(ranked[metric])}
    figure = _figure([kind | {"marker": {"color": _COLOR}}], metric, by, metric)
    figure["layout"]["shapes"] = _limit_lines(metric, config, "y")
    if not np.issubdtype(np.asarray(ranked[by]).dtype, np.number):
        figure["layout"]["xaxis"]["type"] = "category"
    return figure
