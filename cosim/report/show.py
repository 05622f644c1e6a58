"""What `cosim show` prints: the findings and a handful of tables, or the whole summary as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cosim.metrics import Analysis, analyse, summarize
from cosim.metrics.case import Verdict
from cosim.metrics.limits import Limit
from cosim.metrics.log import Log
from cosim.metrics.planning import plan
from cosim.metrics.verdict import counted
from cosim.metrics.voltage import RANGE_A_MIN_PU, noun
from cosim.report.captures import CaptureRow, capture_rows
from cosim.report.findings import findings, headline
from cosim.report.outcomes import outcomes
from cosim.report.planning import planning_pairs
from cosim.report.words import energy, measure, named, number, status_note, times

N_BUS = 5
"""Buses in the table of voltages: those with the lowest."""
N_DEVICE = 12
"""Regulators and capacitor banks in their table: those that moved most."""
N_CAPTURE = 20
"""Captures in their table."""
_POWER_LABEL = {
    "ai": "AI servers",
    "it": "IT",
    "total": "facility",
    "need": "without UPS",
    "grid": "from feeder",
}


def render_show(result: Log, console: Console, limits: Sequence[Limit] | None = None) -> None:
    """Print the findings and metrics of a run.

    Parameters
    ----------
    result : Log
        The result, finished or not.
    console : rich.console.Console
        Where to print.
    limits : sequence of Limit, optional
        Limits of the verdicts; without them those that apply by default.
    """
    found = analyse(result, limits)
    summary = summarize(result, found, plan(result, found))
    run = summary["run"]
    console.print(
        f"[bold]{escape(str(run.get('scenario_name', 'run')))}[/bold]  "
        f"{number(run['duration_s'], 6)} s, {run['n_row']} rows of {number(run['log_step_s'])} s, "
        f"{run['n_event']} events, seed {run.get('seed', '-')}, {escape(str(run['status']))}"
    )
    note = status_note(result, found)
    if note is not None:
        console.print(f"[bold red]{escape(note)}[/bold red]")
    first = headline(result, found)
    if first is not None:
        console.print(f"[bold]{escape(first.text)}[/bold]")
    for finding in (*outcomes(result, found), *findings(result, found)):
        console.print(f"  - {escape(finding.text)}")
    if "verdicts" in summary:
        for line in _verdicts(found.verdicts):
            console.print(line)
    for table in _tables(summary, found):
        console.print(table)
    rows = capture_rows(result)
    if rows:
        console.print(_captures(rows))


def show_json(result: Log, limits: Sequence[Limit] | None = None) -> str:
    """The summary of a run, its verdicts among it, as JSON text: plain numbers and strings, no NaN, no infinity."""
    found = analyse(result, limits)
    return json.dumps(summarize(result, found, plan(result, found)), indent=2, allow_nan=False)


def _tables(summary: dict[str, Any], found: Analysis) -> Iterable[Table]:
    for name, part in summary.get("datacenter", {}).items():
        yield _power(name, part)
        if part["ramp"]:
            yield _ramps(name, part["ramp"])
    if found.voltage is not None:
        yield _voltage(summary["voltage"])
    if "source" in summary or summary.get("lines"):
        yield _flows(summary)
    mitigated = _mitigated(summary.get("engine", {}))
    if mitigated.row_count:
        yield mitigated
    devices = _device_rows(summary.get("engine", {}))
    if devices:
        yield _devices(devices)
    for name, part in summary.get("ups", {}).items():
        yield _pairs(f"UPS {name}", _storage(part))
    for title, rows in planning_pairs(summary):
        yield _pairs(title, rows)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="dim", box=None)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _verdicts(verdicts: Sequence[Verdict]) -> Iterable[str]:
    """Lines of the table of limits: failed first, why under those that are not passed."""
    n = counted(verdicts)
    yield f"[bold]Limits: {n['passed']} passed, {n['failed']} failed, {n['not_seen']} not seen[/bold]"
    width = max((len(one.title) for one in verdicts), default=0)
    yield f"[dim]{'':<8}  {'':<{width}}{'worst':>10}{'bound':>8}{'margin':>10}[/dim]"
    style = {"failed": "bold red", "passed": "green", "not_seen": "dim"}
    for status in style:
        for one in (one for one in verdicts if one.status == status):
            worst, bound, margin = (
                "" if value is None else measure(value, one.unit) for value in (one.value, one.limit, one.margin)
            )
            numbers = f"{worst:>10}{bound:>8}{margin:>10}"
            place = ", ".join(filter(None, (one.where, "" if one.t_s is None else f"t = {number(one.t_s, 6)} s")))
            word = f"[{style[status]}]{status.replace('_', ' '):<8}[/]"
            yield f"{word}  {escape(f'{one.title:<{width}}{numbers} {one.unit}')}  {escape(place)}".rstrip()
            if one.note and status != "passed":
                yield f"[dim]{'':<10}{escape(one.note)}[/dim]"


def _number(value: float | None) -> str:
    return "" if value is None else number(value)


def _power(name: str, part: dict[str, Any]) -> Table:
    about = [
        f"accelerators' TDP {_number(part['tdp_mw'])} MW" if "tdp_mw" in part else "",
        f"GPU utilization {100 * part['gpu_utilization']:.1f} %" if "gpu_utilization" in part else "",
        f"PUE {part['pue']:.3f}" if "pue" in part else "",
        f"{energy(part['e_external_mwh'])} of its own generation" if part["e_external_mwh"] > 0.0 else "",
        f"{energy(part['e_unserved_mwh'])} not served" if part["e_unserved_mwh"] > 0.0 else "",
    ]
    title = ", ".join([f"Power of {name}", *(text for text in about if text)])
    columns = {
        "mean MW": "mean_mw",
        "peak MW": "peak_mw",
        "export peak MW": "export_peak_mw",
        "idle MW": "idle_mw",
        "peak/mean": "peak_per_mean",
        "peak/idle": "peak_per_idle",
        "MWh": "e_mwh",
    }
    if not any("export_peak_mw" in row for row in part["power"].values()):
        del columns["export peak MW"]
    table = _table(title, "", *columns)
    keys = columns.values()
    for kind, row in part["power"].items():
        table.add_row(_POWER_LABEL.get(kind, kind), *(_number(row.get(key)) for key in keys))
    return table


def _ramps(name: str, ramps: dict[str, dict[str, dict[str, float]]]) -> Table:
    table = _table(
        f"Ramping (+) and decline (-) of {name} in MW/s; calm: outside outages, dips, transfers",
        "",
        "over",
        "max +",
        "max -",
        "calm +",
        "calm -",
        "p99 +",
        "p99 -",
    )
    keys = (
        "max_ramp_mw_per_s",
        "max_decline_mw_per_s",
        "undisturbed_max_ramp_mw_per_s",
        "undisturbed_max_decline_mw_per_s",
        "ramp_p99_mw_per_s",
        "decline_p99_mw_per_s",
    )
    for kind, windows in ramps.items():
        for i, (window, row) in enumerate(windows.items()):
            label = _POWER_LABEL.get(kind, kind) if i == 0 else ""
            table.add_row(label, window, *("" if key not in row else number(row[key], 3) for key in keys))
    return table


def _mitigated(totals: Mapping[str, Any]) -> Table:
    """Jobs whose owner holds back their swings, and what that costs."""
    columns = {
        "done": "n_iteration",
        "lost": "n_iteration_lost",
        "by s": "delayed_s",
        "without work": "e_without_work_mwh",
        "held back": "e_held_back_mwh",
    }
    table = _table("Owner-side mitigation and its cost: iterations, MWh", "", *columns)
    for site, jobs in totals.get("job", {}).items():
        for name, job in jobs.items():
            if "delayed_s" in job:
                table.add_row(escape(f"{site}/{name}"), *(_number(job.get(key)) for key in columns.values()))
    return table


def _voltage(voltage: dict[str, Any]) -> Table:
    buses = sorted(voltage["bus"].items(), key=lambda item: item[1].get("vm_min_pu", 9.0))
    title = f"Voltage, the {min(N_BUS, len(buses))} lowest of {len(buses)} logged {noun(voltage['bus'])}"
    table = _table(
        title,
        "bus",
        "lowest pu",
        "at t s",
        f"below {RANGE_A_MIN_PU} s",
        "sags",
        "longest s",
        "interrupted",
        "for s",
    )
    keys = ("t_min_s", "below_range_a_s", "n_sag", "sag_longest_s", "n_interruption", "interruption_s")
    for name, row in buses[:N_BUS]:
        low = f"{row['vm_min_pu']:.4f}" if "vm_min_pu" in row else "no voltage"
        table.add_row(escape(name), low, *(_number(row.get(key)) for key in keys))
    return table


def _flows(summary: dict[str, Any]) -> Table:
    columns = {
        "peak to peak": "peak_to_peak_mw",
        "in 1 s": "swing_1s_mw",
        "in 60 s": "swing_60s_mw",
        "calm 60 s": "undisturbed_swing_60s_mw",
        "export peak": "export_peak_mw",
        "loading %": "max_loading_percent",
    }
    rows = [("source", _source(summary["source"]))] if "source" in summary else []
    rows += [(named("line", row["name"]), row) for row in summary.get("lines", [])]
    columns = {head: key for head, key in columns.items() if any(key in row for _, row in rows)}
    table, keys = _table("Flow in MW; calm: outside outages, dips, transfers", "", *columns), columns.values()
    for label, row in rows:
        table.add_row(escape(label), *(_number(row.get(key)) for key in keys))
    return table


def _source(part: dict[str, Any]) -> dict[str, Any]:
    return {**part["swing"], **{key: part[key] for key in ("export_peak_mw",) if key in part}}


def _device_rows(engine: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, float]]]:
    """Kind, name and numbers of every regulator and capacitor bank, those that moved most first."""
    kinds = ("regulator", "capacitor")
    rows = [(kind, str(name), row) for kind in kinds for name, row in engine.get(kind, {}).items()]
    return sorted(rows, key=lambda row: -row[2].get("n_operation", 0))


def _devices(rows: list[tuple[str, str, Mapping[str, float]]]) -> Table:
    table = _table("Regulators (taps) and capacitor banks (steps on)", "", "operations", "per day", "lowest", "highest")
    for kind, name, row in rows[:N_DEVICE]:
        position = "tap" if kind == "regulator" else "n_on"
        keys = ("n_operation", "n_operation_per_day", f"{position}_min", f"{position}_max")
        table.add_row(escape(f"{kind} {name}"), *(_number(row.get(key)) for key in keys))
    if len(rows) > N_DEVICE:
        table.add_row(f"and {len(rows) - N_DEVICE} more", *[""] * 4)
    return table


def _captures(rows: list[CaptureRow]) -> Table:
    table = _table("Captures", "", "event", "element", "at t s", "from s", "to s", "instants", "lowest pu", "at", "")
    for row in rows[:N_CAPTURE]:
        low = "" if row.vm_min_pu is None else f"{row.vm_min_pu:.4f}"
        times = (number(t_s, 7) for t_s in (row.trigger_s, row.from_s, row.until_s))
        cells = (row.kind, escape(row.element), *times, str(row.n_instant), low, escape(row.node))
        table.add_row(str(row.number), *cells, "cut" if row.is_cut else "")
    if len(rows) > N_CAPTURE:
        table.add_row("...", f"and {len(rows) - N_CAPTURE} more", *[""] * 8)
    return table


def _worn(part: dict[str, float], prefix: str = "") -> dict[str, str]:
    """Cycles and years of a storage, or where a hybrid has one, of its second."""
    if f"{prefix}life_years" not in part:
        return {}
    cycles, depth, years = (part[f"{prefix}{key}"] for key in ("n_cycle", "max_depth", "life_years"))
    of = "second storage: " if prefix else ""
    return {
        f"{of}cycles, deepest": f"{_number(cycles)}, {100 * depth:.2f} %",
        f"{of}years to end of life at this pace": number(years, 2),
    }


def _storage(part: dict[str, float]) -> dict[str, str]:
    excess_mw = max(part["max_excess_mw"], part["saturated_excess_max_mw"])
    excess = number(excess_mw) if part["n_saturated"] or excess_mw else ""
    return {
        "state of charge": f"{part['soc_min']:.3f} to {part['soc_max']:.3f}" if "soc_min" in part else "",
        "charged, discharged": f"{_number(part['e_charged_mwh'])}, {_number(part['e_discharged_mwh'])} MWh",
        "equivalent cycles": _number(part.get("equivalent_cycles")),
        **_worn(part),
        **_worn(part, "second_"),
        "largest charge, discharge": f"{_number(part['max_p_charge_mw'])}, {_number(part['max_p_discharge_mw'])} MW",
        "engaged": times(part["n_engaged"], part["engaged_s"]),
        "saturated": times(part["n_saturated"], part["saturated_s"]) + (f", by up to {excess} MW" if excess else ""),
        "transferred": times(part["n_transferred"], part["transferred_s"]),
    }


def _pairs(title: str, pairs: dict[str, str]) -> Table:
    table = _table(title, "", "")
    for column in table.columns:
        column.no_wrap = False
    for key, value in pairs.items():
        if value:
            table.add_row(escape(key), escape(value))
    return table
