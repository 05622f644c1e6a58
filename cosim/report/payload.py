"""The data that a report's script draws from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.events import UNITS
from cosim.metrics.analysis import Analysis
from cosim.metrics.disturbance import dark_spans, site_spans, supply_spans
from cosim.metrics.histogram import Histogram
from cosim.metrics.load_loss import CLUSTER_S, LoadLoss
from cosim.metrics.log import Floats, Log
from cosim.metrics.voltage import RANGE_A_MAX_PU, RANGE_A_MIN_PU
from cosim.report.captures import capture_curves
from cosim.report.findings import headline
from cosim.report.panels import PANELS, Signal, reduced, signals
from cosim.report.series import TimeGrid, bucket_times, quantized, rows_per_bucket

COLORS = ("#1f5fa8", "#d9731a", "#23835a", "#a23b72", "#6b4fa1", "#7a6a00", "#00798c", "#8d5524")
"""One per run."""
MAX_VALUE = 1_900_000
"""Values of all curves in a page: 3.8 MB, 5.1 MB in base64; with the plotting library and tables below 8 MB."""
MAX_SPAN = 200
"""Bands of disturbances in a page, of each kind and run."""
FOCUS_SHARE, FOCUS_PAD, FOCUS_LEAST_S = 0.2, 0.25, 10.0
"""A disturbance that takes less than this part of the run has a view of its own, with so much of its own length,
and not less than so long [s], before and after it."""
MAX_EVENT = 20_000
"""Events in a page."""
RARE = 12
"""Kinds with up to so many events get lines across all panels."""
N_BIN = 120
_UNIT = {"voltage": "pu", "regulated": "pu", "devices": ""}
"""Unit of a panel's curves; MW of the others."""


@dataclass(frozen=True, eq=False)
class Run:
    """One log in a report."""

    log: Log
    found: Analysis
    summary: dict[str, Any]
    label: str
    color: str


def payload(runs: list[Run]) -> dict[str, Any]:
    """Everything that the page's script draws, as plain JSON values."""
    wanted = [signals(run.log, run.found) for run in runs]
    n_value = sum(run.found.n_row * len(mine) for run, mine in zip(runs, wanted, strict=True))
    n_row = rows_per_bucket(n_value, MAX_VALUE)
    drawn = [run for run in runs if run.found.n_row > 0]
    series: list[dict[str, Any]] = []
    about = []
    for place, run in enumerate(drawn):
        mine = wanted[runs.index(run)]
        about.append(_about(run, n_row))
        series += [{"run": place} | one for one in _series(run, mine, n_row)]
    used = {one["panel"] for one in series}
    kinds, events, rare, n_event = _events(drawn)
    window_s = _ramp_window_s(drawn)
    return {
        "runs": about,
        "series": series,
        "panels": [{"key": key, "title": title} for key, title in PANELS.items() if key in used],
        "focus": focus_s(drawn),
        "opens": is_opened_on(drawn),
        "kinds": kinds,
        "event_units": [_UNIT_OF_KIND.get(kind, "") for kind in kinds],
        "events": events,
        "rare": rare,
        "n_event": n_event,
        "range_a": [RANGE_A_MIN_PU, RANGE_A_MAX_PU],
        "ramp_window": f"{window_s:g} s",
        "distributions": [one for run in drawn for one in _distributions(run, window_s, many=len(drawn) > 1)],
        "captures": [one for run in drawn for one in capture_curves(run.log, run.label)],
        "profiles": [_profile(run) for run in drawn if run.found.voltage is not None],
    }


def _about(run: Run, n_row: int) -> dict[str, Any]:
    found = run.found
    grid = TimeGrid(bucket_times(run.log, n_row), found.step_s, n_row)
    return {
        "label": run.label,
        "color": run.color,
        "grid": grid.encoded(),
        "end_s": found.end_s,
        "step_s": found.step_s,
        "disturbed": supply_spans(run.log.events, found.end_s)[:MAX_SPAN].tolist(),
        "away": site_spans(run.log.events, found.end_s, dark_spans(run.log))[:MAX_SPAN].tolist(),
    }


def focus_s(runs: list[Run]) -> list[float] | None:
    """View of the worst disturbance of a page's runs; None where there is none or it takes much of them. [s]"""
    losses = [lost.loss for run in runs if (lost := run.found.standards.system_loss) and headline(run.log, run.found)]
    if not losses:
        return None
    first, last = min(loss.start_s for loss in losses), max(_settled_s(loss) for loss in losses)
    pad_s = max(FOCUS_LEAST_S, FOCUS_PAD * (last - first))
    start, end = min(run.found.start_s for run in runs), max(run.found.end_s for run in runs)
    from_s, to_s = max(start, first - pad_s), min(end, last + pad_s)
    return [from_s, to_s] if to_s - from_s < FOCUS_SHARE * (end - start) else None


def is_opened_on(runs: list[Run]) -> bool:
    """Whether a page opens on that view: where dips follow one another. One alone is an event of the whole run."""
    losses = [lost.loss for run in runs if (lost := run.found.standards.system_loss) is not None]
    return focus_s(runs) is not None and max(loss.n_dip for loss in losses) > 1


def _settled_s(loss: LoadLoss) -> float:
    """When the load was back, if that was soon after the voltage was; else when that was. [s]"""
    return loss.end_s + (loss.returned_after_s or 0.0 if (loss.returned_after_s or 0.0) <= CLUSTER_S else 0.0)


def _series(run: Run, wanted: list[Signal], n_row: int) -> list[dict[str, Any]]:
    return [
        {
            "panel": curve.signal.panel,
            "role": curve.signal.role,
            "label": curve.signal.label,
            "unit": _UNIT.get(curve.signal.panel, "MW"),
            "mode": curve.signal.mode,
        }
        | quantized(curve.values)
        for curve in reduced(run.log, wanted, n_row)
    ]


_UNIT_OF_KIND = {kind: unit for unit, kinds in UNITS.items() for kind in kinds}


def _events(runs: list[Run]) -> tuple[list[str], list[list[Any]], list[int], int]:
    """Kinds, events, indices of rare kinds, and how many events the logs hold."""
    noted = [run.log.events for run in runs]
    each = [Counter(str(kind) for kind in table["kind"]) for table in noted]
    counts = sum(each, Counter())
    kinds = sorted(counts, key=lambda kind: (counts[kind], kind))
    number = {kind: i for i, kind in enumerate(kinds)}
    rare = [number[kind] for kind in kinds if max(one[kind] for one in each) <= RARE]
    rows: list[list[Any]] = []
    for place, table in enumerate(noted):
        for t_s, kind, element, value, detail in zip(
            *(table[column] for column in ("t_s", "kind", "element", "value", "detail")), strict=True
        ):
            shown = float(value) if math.isfinite(float(value)) else None
            rows.append([place, float(t_s), number[str(kind)], _text(element), shown, _text(detail)])
    if len(rows) > MAX_EVENT:
        rows.sort(key=lambda row: row[2])
        rows = rows[:MAX_EVENT]
    rows.sort(key=lambda row: row[1])
    return kinds, rows, rare, sum(counts.values())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _ramp_window_s(runs: list[Run]) -> float:
    """Window of the ramp distributions: 1 s, or the shortest that the logs allow. [s]"""
    widths = [w for run in runs for part in run.found.datacenter.values() for r in part.ramp.values() for w in r]
    return min((w for w in widths if w >= 1.0), default=min(widths, default=1.0))


def _distributions(run: Run, window_s: float, many: bool) -> list[dict[str, Any]]:
    """Densities and cumulative distributions of power and its rates, with and without the UPS."""
    curves = []
    for site, (name, part) in enumerate(run.found.datacenter.items()):
        kinds = ("need", "grid") if name in run.found.ups else ("grid",)
        for kind in kinds:
            power, ramp = part.power.get(kind), part.ramp.get(kind, {}).get(window_s)
            if power is None or ramp is None or ramp.histogram.n == 0:
                continue
            with_ups = name in run.found.ups
            label = f"{name} {'with' if kind == 'grid' else 'without'} UPS" if with_ups else f"{name}, no UPS"
            curves.append(
                {
                    "label": f"{run.label}: {label}" if many else label,
                    "color": run.color if many else _site_color(site, kind),
                    "dash": "dot" if (many or site) and kind == "need" else "solid",
                    "power_pdf": _density(power.histogram),
                    "power_cdf": _cumulative(power.histogram, _edges(power.histogram)),
                    "ramp_pdf": _density(ramp.histogram),
                    "ramp_cdf": _magnitude_cumulative(ramp.histogram),
                }
            )
    return curves


def _site_color(site: int, kind: str) -> str:
    """Colours of the curves without and with the UPS of the first data center; one for each further one."""
    if site == 0:
        return "#e08a1e" if kind == "need" else "#1f5fa8"
    return COLORS[(site + 2) % len(COLORS)]


def _edges(histogram: Histogram) -> Floats:
    width = max(histogram.max - histogram.min, 1e-6 * max(abs(histogram.max), 1e-3))
    return np.linspace(histogram.min - 0.01 * width, histogram.max + 0.01 * width, N_BIN + 1)


def _density(histogram: Histogram) -> dict[str, list[float | None]]:
    edges = _edges(histogram)
    middle = 0.5 * (edges[1:] + edges[:-1])
    density = histogram.density(edges)
    return {"x": _rounded(middle), "y": _rounded(density)}


def _cumulative(histogram: Histogram, edges: Floats) -> dict[str, list[float | None]]:
    return {"x": _rounded(edges), "y": _rounded(histogram.cumulative(edges))}


def _magnitude_cumulative(histogram: Histogram) -> dict[str, list[float | None]]:
    """Share of windows whose rate does not exceed a magnitude, over four decades below the largest."""
    top = max(histogram.max, -histogram.min, 1e-9)
    edges = np.geomspace(1e-4 * top, top, 2 * N_BIN)
    below = histogram.cumulative(edges) - histogram.cumulative(np.nextafter(-edges, -np.inf)[::-1])[::-1]
    return {"x": _rounded(edges), "y": _rounded(below)}


def _profile(run: Run) -> dict[str, Any]:
    """Lowest and highest voltage of each bus, in the order of the log."""
    voltage = run.found.voltage
    assert voltage is not None
    return {
        "label": run.label,
        "color": run.color,
        "name": voltage.name,
        "low": _rounded(voltage.vm_min_pu),
        "high": _rounded(voltage.vm_max_pu),
    }


def _rounded(values: Floats) -> list[float | None]:
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values]


def labels(logs: list[Log], names: list[str]) -> list[str]:
    """Short distinct labels: the scenarios' names, with the file's or a number where they repeat."""
    found = [_scenario_name(log) or name for log, name in zip(logs, names, strict=True)]
    if len(set(found)) == len(found):
        return found
    joined = [
        f"{label} ({name})" if name and name != label else label for label, name in zip(found, names, strict=True)
    ]
    if len(set(joined)) == len(joined):
        return joined
    return [f"{label} {i + 1}" for i, label in enumerate(joined)]


def _scenario_name(log: Log) -> str:
    about: Mapping[str, Any] = log.attrs
    return _text(about.get("scenario_name") or log.scenario.get("name") or "")
