"""A compact picture of one run or several as SVG: voltage, power with and without the UPS, storage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from cosim.errors import EnvironmentFailure
from cosim.metrics import analyse
from cosim.metrics.analysis import Analysis
from cosim.metrics.log import AnyFloats, Log
from cosim.metrics.voltage import RANGE_A_MIN_PU
from cosim.report.panels import Signal, reduced, signals
from cosim.report.payload import COLORS, labels
from cosim.report.words import number

WIDTH, LEFT, RIGHT, TOP = 960, 74, 26, 16
PANEL, GAP, BOTTOM = 170, 44, 46
N_BUCKET = 450
"""Buckets over the width; each gives two points."""
_ROLES = {"voltage": ("site", "worst"), "power": ("need", "grid"), "storage": ("soc",)}
_TITLES = {
    "voltage": "Voltage [pu]",
    "power": "Power of the facility [MW]",
    "storage": "State of charge [%]",
}
_SINGLE = {"site": "#1f5fa8", "worst": "#b3261e", "need": "#e08a1e", "grid": "#1f5fa8", "soc": "#6b4fa1"}


@dataclass(frozen=True)
class _Line:
    """One curve of the picture."""

    panel: str
    label: str
    color: str
    t_s: AnyFloats
    values: AnyFloats


def write_svg(results: Sequence[Log], out: Path) -> None:
    """Draw voltage at the data center's bus, power with and without UPS, and state of charge.

    Parameters
    ----------
    results : sequence of Log
        Results, finished or not; several overlay, one colour each.
    out : Path
        File to write, below 150 kB for up to four runs. White ground, so it reads on dark pages too.

    Raises
    ------
    EnvironmentFailure
        If the file cannot be written.
    """
    try:
        out.write_text(svg(results), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"{out}: cannot write the picture ({error.strerror or error})") from error


def svg(results: Sequence[Log]) -> str:
    """The picture as SVG text."""
    names = labels(list(results), ["" for _ in results])
    lines: list[_Line] = []
    end_s, start_s = -math.inf, math.inf
    for i, log in enumerate(results):
        found = analyse(log)
        start_s, end_s = min(start_s, found.start_s), max(end_s, found.end_s)
        lines += _lines(log, found, names[i], COLORS[i % len(COLORS)], many=len(results) > 1)
    panels = [panel for panel in _ROLES if any(line.panel == panel for line in lines)]
    height = TOP + len(panels) * (PANEL + GAP) + BOTTOM - 18
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="13" fill="#1b2733">',
        f'<title>{escape(" vs ".join(names))}</title><rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    span = (start_s, max(end_s, start_s + 1e-6))
    for i, panel in enumerate(panels):
        top = TOP + 22 + i * (PANEL + GAP)
        parts += _panel(panel, [line for line in lines if line.panel == panel], top, span)
    parts += _time_axis(TOP + 22 + (len(panels) - 1) * (PANEL + GAP) + PANEL, span)
    return "".join(parts) + "</svg>\n"


def _lines(log: Log, found: Analysis, name: str, color: str, many: bool) -> list[_Line]:
    wanted = [(panel, signal) for panel in _ROLES for signal in _wanted(signals(log, found), panel)]
    if many:
        wanted = [(panel, signal) for panel, signal in wanted if signal.role != "need"]
    if found.n_row == 0 or not wanted:
        return []
    n_row = max(1, math.ceil(found.n_row / N_BUCKET))
    curves = reduced(log, [signal for _, signal in wanted], n_row)
    lines = []
    for (panel, signal), curve in zip(wanted, curves, strict=True):
        per_bucket = 2 if n_row > 1 else 1
        width_s = found.step_s * n_row
        t_s = found.start_s + width_s * (np.arange(len(curve.values)) + 0.5 * (per_bucket - 1)) / per_bucket
        lines.append(
            _Line(
                panel=panel,
                label=f"{name}: {signal.label}" if many else signal.label,
                color=color if many else _SINGLE[signal.role],
                t_s=np.minimum(t_s, found.end_s),
                values=curve.values * (100.0 if signal.role == "soc" else 1.0),
            )
        )
    return lines


def _wanted(found: list[Signal], panel: str) -> list[Signal]:
    """Signals of a panel; the lowest bus stands in where no data center's bus is known."""
    if panel == "voltage":
        site = [signal for signal in found if signal.role == "site"]
        return site or [signal for signal in found if signal.role == "worst"]
    return sorted((signal for signal in found if signal.role in _ROLES[panel]), key=lambda one: one.role)


def _panel(panel: str, lines: list[_Line], top: float, span: tuple[float, float]) -> Iterator[str]:
    low, high = _range(panel, lines)
    yield f'<text x="{LEFT}" y="{top - 8}" font-weight="600">{_TITLES[panel]}</text>'
    yield from _legend(lines, top - 8)
    for value in _nice(low, high, 4):
        y = _y(value, low, high, top)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e1e6eb"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(round(value, 9), 5)}</text>'
    if panel == "voltage" and low <= RANGE_A_MIN_PU <= high:
        y = _y(RANGE_A_MIN_PU, low, high, top)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#b3261e" stroke-dasharray="6 4"/>'
        yield (
            f'<text x="{WIDTH - RIGHT - 4}" y="{y + 13:.1f}" text-anchor="end" fill="#b3261e" font-size="11">'
            f"ANSI C84.1 range A, {RANGE_A_MIN_PU} pu</text>"
        )
    for line in reversed(lines):
        yield (
            f'<path d="{_path(line, low, high, top, span)}" fill="none" stroke="{line.color}" '
            f'stroke-width="1.3" stroke-linejoin="round"/>'
        )
    yield f'<path d="M{LEFT} {top}V{top + PANEL}H{WIDTH - RIGHT}" fill="none" stroke="#8a97a5"/>'


def _legend(lines: list[_Line], y: float) -> Iterator[str]:
    """Labels from the right edge inwards."""
    x = float(WIDTH - RIGHT)
    for line in reversed(lines):
        yield f'<text x="{x:.0f}" y="{y}" text-anchor="end" font-size="12">{escape(line.label)}</text>'
        x -= 6.4 * len(line.label) + 8
        yield f'<path d="M{x - 20:.0f} {y - 4}h20" stroke="{line.color}" stroke-width="2.5"/>'
        x -= 36


def _range(panel: str, lines: list[_Line]) -> tuple[float, float]:
    if panel == "storage":
        return 0.0, 100.0
    finite = [line.values[np.isfinite(line.values)] for line in lines]
    low = min((float(values.min()) for values in finite if len(values)), default=0.0)
    high = max((float(values.max()) for values in finite if len(values)), default=1.0)
    if panel == "voltage":
        low, high = min(low, RANGE_A_MIN_PU - 0.002), max(high, 1.0)
    else:
        low = min(low, 0.0)
    pad = 0.04 * max(high - low, 1e-6)
    return low - (pad if panel == "voltage" else 0.0), high + pad


def _y(value: float, low: float, high: float, top: float) -> float:
    return top + PANEL * (1.0 - (value - low) / (high - low))


def _path(line: _Line, low: float, high: float, top: float, span: tuple[float, float]) -> str:
    """Path data; a gap lifts the pen."""
    scale = (WIDTH - LEFT - RIGHT) / (span[1] - span[0])
    parts, down = [], False
    for t_s, value in zip(line.t_s, line.values, strict=True):
        if not math.isfinite(value):
            down = False
            continue
        x = LEFT + (float(t_s) - span[0]) * scale
        parts.append(f"{'L' if down else 'M'}{x:.1f} {_y(float(value), low, high, top):.1f}")
        down = True
    return "".join(parts)


def _time_axis(y: float, span: tuple[float, float]) -> Iterator[str]:
    scale = (WIDTH - LEFT - RIGHT) / (span[1] - span[0])
    unit, per = ("s", 1.0) if span[1] <= 900.0 else (("min", 60.0) if span[1] <= 7200.0 else ("h", 3600.0))
    for value in _nice(span[0] / per, span[1] / per, 8):
        x = LEFT + (value * per - span[0]) * scale
        yield f'<path d="M{x:.1f} {y}v5" stroke="#8a97a5"/>'
        yield f'<text x="{x:.1f}" y="{y + 19}" text-anchor="middle">{number(round(value, 9), 6)}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{y + 36}" text-anchor="end">time [{unit}]</text>'


def _nice(low: float, high: float, n: int) -> list[float]:
    """About n round values between two limits."""
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
