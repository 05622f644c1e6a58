"""Pictures of the standards: magnitude over duration with tolerance curves, and the spectrum with its bands."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np

from cosim.metrics.limits import Limit, MagnitudeDurationLimit, ModeLimit, OscillationLimit
from cosim.metrics.log import Floats
from cosim.metrics.spectrum import BANDS_HZ, Spectrum
from cosim.report.payload import Run
from cosim.report.words import number

MAX_POINT = 2_000
"""Events drawn of a run; those alike to three digits are one point."""
DURATION_S = (1e-3, 1e3)
"""Least range of durations drawn. [s]"""
N_FREQUENCY = 700


def standards_data(runs: list[Run]) -> dict[str, Any]:
    """What the page's script draws, as plain JSON values."""
    limits = runs[0].found.limits if runs else ()
    curves = [curve for limit in limits if isinstance(limit, MagnitudeDurationLimit) for curve in _curves(limit)]
    events = [_points(run) for run in runs if run.found.standards.events is not None]
    return {
        "curves": curves,
        "tolerance": events if curves or any(one["x"] for one in events) else [],
        "bands": [list(band) for band in BANDS_HZ],
        "limited": [_band(limit) for limit in limits if isinstance(limit, OscillationLimit | ModeLimit)],
        "spectra": [one for run in runs for one in _spectra(run, many=len(runs) > 1)],
    }


def _band(limit: OscillationLimit | ModeLimit) -> list[float]:
    """Frequencies between which a limit looks. [Hz]"""
    if isinstance(limit, OscillationLimit):
        return [limit.from_hz, limit.to_hz]
    return [limit.f_hz - 0.5 * limit.width_hz, limit.f_hz + 0.5 * limit.width_hz]


def _curves(limit: MagnitudeDurationLimit) -> list[dict[str, Any]]:
    """Stairs of the lowest and of the highest voltage that is inside, over duration."""
    found = []
    sags = sorted((step.max_s, step.below_pu) for step in limit.sag)
    swells = sorted((step.max_s, step.above_pu) for step in limit.swell)
    for name, steps in (("sags", sags), ("swells", swells)):
        if steps:
            start = [] if steps[0][0] <= 0.0 else [(0.0, 0.0)] if name == "sags" else []
            x, y = _stairs(start + steps)
            found.append({"name": f"{_short(limit)}, {name}", "key": limit.name, "x": x, "y": y})
    return found


def _short(limit: Limit) -> str:
    return {"itic": "ITIC", "semi_f47": "SEMI F47"}.get(limit.name, limit.title)


def _stairs(steps: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Corners of level `v` from each time on until the next, up to the end of the axis."""
    x, y = [], []
    for i, (from_s, level) in enumerate(steps):
        until_s = steps[i + 1][0] if i + 1 < len(steps) else 1e5
        x += [max(from_s, DURATION_S[0] / 10.0), until_s]
        y += [level, level]
    return x, y


def _points(run: Run) -> dict[str, Any]:
    """Events of a run; several nodes or times alike are one point with their number."""
    events = run.found.standards.events
    assert events is not None
    voltage = run.found.voltage
    alike: dict[tuple[float, float], list[Any]] = {}
    for event in events.event:
        key = (float(f"{event.duration_s:.3g}"), float(f"{event.vm_pu:.3g}"))
        alike.setdefault(key, []).append(event)
    points = sorted(alike.items(), key=lambda item: -abs(1.0 - item[0][1]))[:MAX_POINT]
    names = voltage.name if voltage is not None else []
    exact = voltage.is_followed if voltage is not None else np.zeros(len(names), dtype=np.bool_)
    unsure_s = (2.0 * run.found.step_s, run.found.standards.points.half_cycle_s)
    return {
        "label": run.label,
        "color": run.color,
        "x": [key[0] for key, _ in points],
        "y": [key[1] for key, _ in points],
        "shorter": [min(key[0], unsure_s[all(exact[one.node] for one in mine)]) for key, mine in points],
        "text": [_point_text(mine, names) for _, mine in points],
    }


def _point_text(mine: list[Any], names: list[str]) -> str:
    first = mine[0]
    more = f" and {len(mine) - 1} more" if len(mine) > 1 else ""
    return escape(f"{first.category} at {names[first.node]}, t = {number(first.start_s, 6)} s{more}")


def _spectra(run: Run, many: bool) -> list[dict[str, Any]]:
    found = []
    for place, (name, kinds) in enumerate(run.found.standards.spectrum.items()):
        for kind, spectrum in kinds.items():
            if kind == "need" and name not in run.found.ups:
                continue
            f_hz, density = _thinned(spectrum)
            words = {"need": "without UPS", "grid": "from the feeder"}[kind]
            color = run.color if many else ("#e08a1e" if kind == "need" else "#1f5fa8")
            found.append(
                {
                    "label": f"{run.label}: {name} {words}" if many else f"{name} {words}",
                    "color": color,
                    "dash": "dot" if kind == "need" and (many or place) else "solid",
                    "x": [float(f"{f:.5g}") for f in f_hz],
                    "y": [float(f"{p:.4g}") for p in density],
                    "seen_hz": spectrum.seen_hz,
                }
            )
    return found


def _thinned(spectrum: Spectrum) -> tuple[Floats, Floats]:
    """Frequencies above zero and amplitude densities [MW/sqrt(Hz)]; of many neighbours the largest."""
    f_hz, density = spectrum.f_hz[1:], np.sqrt(spectrum.psd_mw2_per_hz[1:])
    if len(f_hz) <= N_FREQUENCY:
        return f_hz, density
    edges = np.unique(np.geomspace(1, len(f_hz) + 1, N_FREQUENCY).astype(np.int64)) - 1
    starts = edges[:-1]
    tops = [int(a + density[a:b].argmax()) for a, b in zip(starts, edges[1:], strict=True)]
    return f_hz[tops], density[tops]


def standards_section(runs: list[Run], data: dict[str, Any]) -> str:
    """Frames of the two pictures and the table of bands; empty where there is nothing to draw."""
    parts = []
    if data["tolerance"]:
        n = sum(len(one["x"]) for one in data["tolerance"])
        parts += [
            "<h2>Voltage events over their duration</h2>",
            '<div id="tolerance" class="plot"></div>',
            '<p class="note">'
            + ("" if n else "No sag, interruption or swell in this run. ")
            + "Each point is an event of a node (IEEE 1159), or several alike; its line reaches down to the shortest "
            "duration that is left open: two log steps less, half a cycle where the node is followed at every step. "
            "Below the lower or above the upper stairs lies what equipment "
            "need not ride through.</p>",
        ]
    if data["spectra"]:
        parts += [
            "<h2>Spectrum of power</h2>",
            '<div id="spectrum" class="plot"></div>',
            _band_table(runs),
            '<p class="note">Welch\'s method: 100 s, Hann, half overlap, means removed, segments with outages, dips '
            "or transfers left out. Readings of a log are not filtered first: what is faster than half their rate "
            "folds into the picture.</p>",
        ]
    return "".join(parts)


def _band_table(runs: list[Run]) -> str:
    heads = "".join(f'<th class="n">{low:g} to {high:g} Hz</th>' for low, high in BANDS_HZ)
    rows = []
    for run in runs:
        for name, kinds in run.found.standards.spectrum.items():
            for kind, spectrum in kinds.items():
                if kind == "need" and name not in run.found.ups:
                    continue
                bands = {(band.from_hz, band.to_hz): band for band in spectrum.band}
                cells = "".join(_band_cell(bands.get(band), spectrum.mean_mw) for band in BANDS_HZ)
                who = f"{run.label}: {name}" if len(runs) > 1 else name
                what = "without UPS" if kind == "need" else "from the feeder"
                peak = f"{number(spectrum.dominant_hz, 3)} Hz, {100 * spectrum.persistence:.0f} % of the time"
                rows.append(f"<tr><td>{escape(who)} {what}</td>{cells}<td>{peak}</td></tr>")
    return (
        f'<div class="scroll"><table><thead><tr><th>rms in the band [MW]</th>{heads}<th>strongest peak</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _band_cell(band: Any, mean_mw: float) -> str:
    if band is None:
        return '<td class="n soft">not seen</td>'
    percent = f" ({100.0 * band.rms_mw / mean_mw:.2g} %)" if mean_mw > 0.0 and math.isfinite(mean_mw) else ""
    partly = "" if band.is_whole else ' <span class="soft">in part</span>'
    return f'<td class="n">{escape(number(band.rms_mw, 3))}{percent}{partly}</td>'
