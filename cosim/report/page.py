"""One self-contained HTML page about one run or several, zoomable down to the rows of the log."""

from __future__ import annotations

import base64
import contextlib
import gzip
import importlib.util
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from cosim.errors import EnvironmentFailure
from cosim.metrics import analyse, summarize
from cosim.metrics.limits import Limit
from cosim.metrics.log import Log
from cosim.metrics.planning import plan, with_optimum
from cosim.report import tables
from cosim.report.captures import capture_section
from cosim.report.findings import comparison, findings, headline
from cosim.report.gleaner import Gleaner
from cosim.report.oneline import oneline_section
from cosim.report.outcomes import outcomes
from cosim.report.panels import foreseen
from cosim.report.payload import COLORS, MAX_EVENT, Run, labels, payload
from cosim.report.planning import planning_section
from cosim.report.standards import standards_data, standards_section
from cosim.report.verdicts import verdict_section
from cosim.report.words import Finding, status_note


def write_report(
    results: Sequence[Log], out: Path, limits: Sequence[Limit] | None = None, json_out: Path | None = None
) -> None:
    """Write a page that overlays the given runs.

    The page needs no network: it holds the plotting library (compressed, 2 MB) and the curves as 16 bit
    numbers, every row of the log as long as all curves have at most 1.9 million values together and
    the extremes of buckets of rows beyond that, so it stays below 8 MB. Its script draws as many
    extremes as the picture has pixels and takes finer ones whenever the view changes. The address
    may name a view: `page.html#t=100,120`.

    Parameters
    ----------
    results : sequence of Log
        Results, finished or not, e.g. from `cosim.open_result`. The first is the reference of the
        differences.
    out : Path
        File to write; it appears whole or not at all.
    limits : sequence of Limit, optional
        Limits of the first screen; without them those that apply by default.
    json_out : Path, optional
        File for the same numbers as JSON: a list with the summary of each run.

    Raises
    ------
    EnvironmentFailure
        If the file cannot be written or the plotting library is not installed.
    """
    names = [_file_name(log) for log in results]
    shown = labels(list(results), names)
    runs = []
    for i, result in enumerate(results):
        log = cast("Log", Gleaner(result, foreseen(result)))
        found = analyse(log, limits)
        planning = with_optimum(plan(log, found), log, found)
        runs.append(Run(log, found, summarize(log, found, planning), shown[i], COLORS[i % len(COLORS)]))
    write_page_whole(out, page_html(runs))
    if json_out is not None:
        numbers = [{"label": run.label} | run.summary for run in runs]
        write_page_whole(json_out, json.dumps(numbers, indent=2, allow_nan=False) + "\n")


def page_html(runs: list[Run]) -> str:
    """The whole page."""
    data = payload(runs)
    data["standards"] = standards_data(runs)
    title = " vs ".join(run.label for run in runs)
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{asset('page.css')}</style></head><body>",
            _head(runs, title),
            _body(runs, data),
            f'<script type="application/json" id="data">{text}</script>',
            f'<script type="text/plain" id="library">{packed(plotting_library())}</script>',
            *(f'<script type="text/plain" class="later">{asset(name)}</script>' for name in _SCRIPTS),
            f"<script>{asset('loader.js')}</script>",
            "</body></html>\n",
        ]
    )


def packed(text: str) -> str:
    """A long script, compressed, as base64: the page unpacks it."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


_SCRIPTS = ("captures.js", "standards.js", "page.js")
"""The page's own scripts, in the order in which they run once the library is there."""


def _head(runs: list[Run], title: str) -> str:
    parts = [f"<h1>{escape(title)}</h1>"]
    for text in dict.fromkeys(str(run.log.scenario.get("description") or "") for run in runs):
        if text:
            parts.append(f'<p class="about">{escape(text)}</p>')
    for run in runs:
        note = status_note(run.log, run.found)
        if note:
            parts.append(f'<p class="warn"><b>{escape(run.label)}: {escape(run.log.status)}.</b> {escape(note)}</p>')
    for run in runs:
        first = headline(run.log, run.found)
        if first is not None:
            label = f"{escape(run.label)}: " if len(runs) > 1 else ""
            parts.append(f'<p class="headline"><b>{label}{escape(first.text)}</b>{_link(first, run)}</p>')
    parts.append(verdict_section(runs))
    for run in runs:
        said = (*outcomes(run.log, run.found), *findings(run.log, run.found))
        items = "".join(_item(finding, run) for finding in said)
        if not items:
            continue
        if len(runs) > 1:
            parts.append(f'<p><span class="run" style="background:{run.color}"></span><b>{escape(run.label)}</b></p>')
        parts.append(f'<ul class="findings">{items}</ul>')
    for run in runs[1:]:
        text = comparison(runs[0].found, run.found, (runs[0].label, run.label))
        if text:
            parts.append(f"<p><b>{escape(text)}</b></p>")
    parts.append("<noscript>The pictures of this page need JavaScript; the tables do not.</noscript>")
    return "".join(parts)


def _item(finding: Finding, run: Run) -> str:
    return f"<li>{escape(finding.text)}{_link(finding, run)}</li>"


def _link(finding: Finding, run: Run) -> str:
    """Where to see it on the time axis; empty where it has no time."""
    link = ""
    if finding.t_s is not None and run.found.n_row > 1:
        half_s = max(5.0, 50.0 * run.found.step_s)
        from_s = max(run.found.start_s, finding.t_s - half_s)
        to_s = min(run.found.end_s, finding.t_s + half_s)
        link = f' <a href="#t={from_s:g},{to_s:g}">show</a>'
    return link


def _body(runs: list[Run], data: dict[str, Any]) -> str:
    shown = [run.label for run in runs]
    summaries = [run.summary for run in runs]
    parts = [
        oneline_section(runs[0]),
        "<h2>Over time</h2>",
        '<div class="bar"><button id="whole">Whole run</button>',
        '<button id="focus">Disturbance</button>' if data["focus"] else "",
        '<button id="left">&#8592;</button>'
        '<button id="in">Closer</button><button id="out">Wider</button><button id="right">&#8594;</button>'
        '<span id="every"></span></div>',
        '<div id="panels" class="plot"></div>',
        '<p class="note">Drag across a panel to zoom in, double-click for the whole run; all panels share the time '
        "axis. Diamonds are events, dotted lines the rare ones. Red bands: the voltage was disturbed (outage, dip, "
        "fault); grey ones: a site was off its supply (transfer, shedding) or coming back. "
        "A gap in a voltage curve is an interruption. Dashed red lines: ANSI range A. "
        "Dots on steps: a tap changer or capacitor bank moved there."
        f"{' The page opens on the disturbance.' if data['opens'] else ''}</p>",
    ]
    if data["events"]:
        parts += ["<h2>Events</h2>", tables.events_table(data["kinds"], with_run=len(data["runs"]) > 1)]
        if data["n_event"] > MAX_EVENT:
            parts.append(
                f'<p class="note">This page holds {MAX_EVENT} of {data["n_event"]} events, rare kinds first.</p>'
            )
    parts.append(capture_section(shown, [run.log for run in runs]))
    parts += [standards_section(runs, data["standards"]), planning_section(runs)]
    if data["distributions"]:
        parts += [
            "<h2>Distribution of power and of its ramps</h2>",
            '<div id="distributions" class="plot"></div>',
        ]
    buses = tables.bus_table(shown, summaries)
    if buses:
        parts += ["<h2>Voltage at every bus</h2>", '<div id="profile" class="plot"></div>', buses]
        parts.append(f'<p class="note">{escape(tables.sag_note())}</p>')
    parts += ["<h2>Metrics</h2>", tables.metrics_table(shown, summaries)]
    parts += ["<h2>Scenario and provenance</h2>", tables.provenance_table(shown, [_about(run) for run in runs])]
    for run in runs:
        text = escape(run.log.scenario_yaml)
        parts.append(f"<details><summary>Scenario {escape(run.label)}</summary><pre>{text}</pre></details>")
    return "".join(parts)


def _about(run: Run) -> dict[str, Any]:
    """Status, seed, versions and what else the log says of its origin."""
    about = {"status": run.log.status, "file": _file_name(run.log) or None}
    about |= {str(key): value for key, value in run.log.attrs.items() if key != "status"}
    provenance: dict[str, Any] = getattr(run.log, "provenance", {})
    return about | {str(key): value for key, value in provenance.items()}


def _file_name(log: Log) -> str:
    path = getattr(log, "path", None)
    return Path(str(path)).stem if path else ""


def asset(name: str) -> str:
    """Text of a file that pages hold: their style, their scripts."""
    return (files("cosim.report") / "assets" / name).read_text(encoding="utf-8")


def plotting_library() -> str:
    """Source of plotly.js from the installed package, which need not be imported for it."""
    spec = importlib.util.find_spec("plotly")
    where = Path(spec.origin).parent / "package_data" / "plotly.min.js" if spec and spec.origin else None
    if where is None or not where.is_file():
        raise EnvironmentFailure("The report needs plotly; install it with: pip install 'plotly>=6.0'")
    return where.read_text(encoding="utf-8")


def write_page_whole(out: Path, text: str) -> None:
    """Write a page so that it appears whole or not at all; raises EnvironmentFailure."""
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise EnvironmentFailure(f"{out}: cannot write the report ({error.strerror or error})") from error
