"""One self-contained page: trace against simulation in time, distribution, ramps and spectrum."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import EnvironmentFailure
from cosim.fit.document import fit_yaml
from cosim.fit.fitting import JUDGE_SEEDS, Fit
from cosim.fit.refine import simulated
from cosim.fit.show import found_lines, why_not_held_out
from cosim.fit.statistics import Row, power_unit, ramp, readable, spectrum

Floats = NDArray[np.float64]
TRACE_COLOR, MODEL_COLOR = "#1f5fa8", "#d1701f"
MAX_POINTS = 20_000
"""Most points of a curve over time; longer ones are thinned to the extremes of equal buckets."""
STYLE = """
body { margin: 0 auto; padding: 24px 28px 60px; max-width: 1360px; color: #1b2733;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 30px 0 8px; border-top: 1px solid #d8dee4; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px; border-bottom: 1px solid #eceff2; text-align: right; } th:first-child, td:first-child
{ text-align: left; } td.bad { color: #b3261e; font-weight: 600; } .about { color: #5b6b7a; }
pre { background: #f4f6f8; padding: 12px; overflow: auto; font-size: 12.5px; border-radius: 6px; }
summary { cursor: pointer; color: #1f5fa8; }
"""


def write_page(fit: Fit, out: Path) -> None:
    """Write the page of a fit; it needs no network.

    Raises
    ------
    EnvironmentFailure
        It cannot be written.
    """
    try:
        out.write_text(page_html(fit), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"{out}: cannot write the page ({error.strerror or error})") from error


def page_html(fit: Fit) -> str:
    """The whole page."""
    title = f"{fit.trace.name}: trace and simulation"
    lines = "".join(f"<li>{escape(line)}</li>" for line in found_lines(fit)[1:])
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f'<p class="about">{escape(found_lines(fit)[0])}. The simulation is one draw (seed {JUDGE_SEEDS[0]}) of the '
        f"model; the tables show the median of {len(JUDGE_SEEDS)}.</p><ul>{lines}</ul>",
        _figure(fit).to_html(full_html=False, include_plotlyjs=True, config={"displaylogo": False}),
        _table("Model of the whole trace against the whole trace", readable(fit.rows, float(fit.trace.p_mw.max()))),
    ]
    if fit.held_out:
        first_s, last_s = fit.held_out_s
        title = f"Model of the first {first_s:g} s against the trace from {first_s:g} to {last_s:g} s"
        parts.append(_table(title, readable(fit.held_out, float(fit.trace.p_mw.max()))))
    else:
        parts.append(f'<p class="about">Judged on what it was fitted to: {escape(why_not_held_out(fit))}.</p>')
    parts.append(
        f"<details><summary>The scenario</summary><pre>{escape(fit_yaml(fit))}</pre></details></body></html>\n"
    )
    return "".join(parts)


def _table(title: str, rows: list[Row]) -> str:
    head = "<tr><th></th><th>trace</th><th>simulation</th><th>difference</th><th>target</th></tr>"
    body = "".join(
        f"<tr><td>{escape(row.name)}</td><td>{row.trace:.4g}</td><td>{row.simulation:.4g}</td>"
        f'<td class="{"" if row.holds else "bad"}">{row.difference:+.2f} {row.unit}</td>'
        f"<td>{row.target:g} {row.unit}</td></tr>"
        for row in rows
    )
    return f"<h2>{escape(title)}</h2><table>{head}{body}</table>"


def _figure(fit: Fit) -> Any:
    from plotly.subplots import make_subplots

    dt_s, trace = fit.machine.dt_s, fit.trace.p_mw
    n = len(trace)
    model = simulated(fit.machine, 0, n, JUDGE_SEEDS[:1])[0]
    unit, factor = power_unit(float(trace.max()))
    figure = make_subplots(
        rows=4, cols=2, specs=[[{"colspan": 2}, None], [{}, {}], [{}, {}], [{"colspan": 2}, None]],
        subplot_titles=["Power", "Trace, a part of it", "Simulation, the same part", "Distribution of power",
                        "Distribution of the change", "Spectrum"],
        vertical_spacing=0.075, horizontal_spacing=0.06,
    )  # fmt: skip
    width = min(n, max(300, n // 20))
    some = slice((n - width) // 2, (n - width) // 2 + width)
    t_s: Floats = np.arange(n, dtype=np.float64) * np.float64(dt_s)
    for name, p_mw, color, column in (("trace", trace, TRACE_COLOR, 1), ("simulation", model, MODEL_COLOR, 2)):
        look: dict[str, Any] = {"name": name, "legendgroup": name, "line": {"color": color, "width": 1.1}}
        x, y = _thinned(t_s, p_mw * factor)
        figure.add_scatter(x=x, y=y, row=1, col=1, **look)
        x, y = _thinned(t_s[some], p_mw[some] * factor)
        figure.add_scatter(x=x, y=y, row=2, col=column, showlegend=False, **look)
        changes = np.sort(ramp(p_mw, dt_s)) * factor
        for values, where in ((np.sort(p_mw) * factor, 1), (changes, 2)):
            at = np.linspace(0, len(values) - 1, min(len(values), 2000)).astype(int)
            figure.add_scatter(
                x=values[at], y=100 * (at + 0.5) / len(values), row=3, col=where, showlegend=False, **look
            )
        f_hz, psd = spectrum(p_mw, dt_s)
        figure.add_scatter(x=f_hz[1:], y=psd[1:] * factor**2, row=4, col=1, showlegend=False, **look)
    for row, col, x_title, y_title in (
        (1, 1, "time [s]", unit), (2, 1, "time [s]", unit), (2, 2, "time [s]", unit), (3, 1, unit, "%"),
        (3, 2, unit, "%"), (4, 1, "frequency [Hz]", f"{unit}2/Hz"),
    ):  # fmt: skip
        figure.update_xaxes(title_text=x_title, row=row, col=col)
        figure.update_yaxes(title_text=y_title, row=row, col=col)
    both = np.concatenate([trace[some], model[some]]) * factor
    room = 0.05 * float(np.ptp(both) or 1.0)
    for column in (1, 2):
        figure.update_yaxes(range=[float(both.min()) - room, float(both.max()) + room], row=2, col=column)
    figure.update_xaxes(type="log", row=4, col=1)
    figure.update_yaxes(type="log", row=4, col=1)
    figure.update_layout(height=1250, template="plotly_white", margin={"l": 60, "r": 20, "t": 50, "b": 40})
    return figure


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= MAX_POINTS:
        return x, y
    bucket = -(-len(x) // (MAX_POINTS // 2))
    n = len(x) // bucket
    rows = y[: n * bucket].reshape(n, bucket)
    low, high = rows.argmin(axis=1), rows.argmax(axis=1)
    at = np.sort(np.concatenate([np.arange(n) * bucket + low, np.arange(n) * bucket + high]))
    return x[at], y[at]
