"""A one-line picture of a feeder as SVG, from its tables and coordinates."""

from __future__ import annotations

import math
from html import escape

from .tables import Tables

Point = tuple[float, float]

COLOURS = {"a": "#c2410c", "b": "#047857", "c": "#1d4ed8"}
"""Of lines with one phase; those with more are drawn in ink."""
INK, PAPER, FAINT = "#1f2937", "#ffffff", "#6b7280"
WIDTHS = {1: 1.6, 2: 2.2, 3: 3.2}
MARGIN = 46
LEGEND = 62
STYLE = (
    "text{font-family:Helvetica,Arial,sans-serif;fill:#1f2937}"
    ".bus{font-size:%gpx;paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
    ".title{font-size:15px;font-weight:600}.key{font-size:11px;fill:#6b7280}"
)


def draw(tables: Tables) -> str:
    """The picture as SVG text; `settings["picture"]` gives pixels a unit and the size of labels."""
    picture = tables.settings["picture"]
    at = _places(tables, float(picture["px_per_unit"]))
    width, height = max(x for x, _ in at.values()) + MARGIN + 24, max(y for _, y in at.values()) + MARGIN + LEGEND
    width = max(width, 680.0)
    size = float(picture["label_px"])
    body = [*_branches(tables, at), *_shunts(tables, at), *_buses(tables, at, size), *_legend(tables, height)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">\n'
        f"<title>{escape(tables.settings['title'])}</title>\n<style>{STYLE % size}</style>\n"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _places(tables: Tables, px: float) -> dict[str, Point]:
    rows = [(r["bus"], float(r["x"]) * px, -float(r["y"]) * px) for r in tables["coordinates"]]
    left, top = min(x for _, x, _ in rows), min(y for _, _, y in rows)
    return {bus: (x - left + MARGIN, y - top + MARGIN + 20) for bus, x, y in rows}


def _path(a: Point, b: Point) -> list[Point]:
    """Straight where the places are in line, else first up or down, then across."""
    if abs(a[0] - b[0]) < 1 or abs(a[1] - b[1]) < 1:
        return [a, b]
    return [a, (a[0], b[1]), b]


def _branches(tables: Tables, at: dict[str, Point]) -> list[str]:
    drawn = []
    for kind, start, end, phases in tables.branches():
        path = _path(at[start], at[end])
        colour = COLOURS[phases] if len(phases) == 1 else INK
        dash = ' stroke-dasharray="5 4"' if kind == "switch_open" else ""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{FAINT if dash else colour}" '
            f'stroke-width="{WIDTHS[len(phases)]}" stroke-linejoin="round"{dash}/>'
        )
        drawn += _symbol(kind, path[-2], path[-1])
    return drawn


def _symbol(kind: str, a: Point, b: Point) -> list[str]:
    x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    along = math.atan2(b[1] - a[1], b[0] - a[0])
    dx, dy = math.cos(along), math.sin(along)
    ring = f'r="6.5" fill="{PAPER}" stroke="{INK}" stroke-width="1.6"'
    if kind == "transformer":
        return [f'<circle cx="{x + s * 4.2 * dx:.1f}" cy="{y + s * 4.2 * dy:.1f}" {ring}/>' for s in (-1, 1)] + [
            f'<circle cx="{x - 4.2 * dx:.1f}" cy="{y - 4.2 * dy:.1f}" r="6.5" fill="none" '
            f'stroke="{INK}" stroke-width="1.6"/>'
        ]
    if kind == "regulator":
        return [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}/>',
            f'<path d="M{x - 7:.1f} {y + 7:.1f}L{x + 7:.1f} {y - 7:.1f}m-4.5 0h4.5v4.5" fill="none" '
            f'stroke="{INK}" stroke-width="1.6"/>',
        ]
    if kind.startswith("switch"):
        fill = INK if kind == "switch_closed" else PAPER
        return [
            f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{fill}" stroke="{INK}" '
            f'stroke-width="1.4"/>'
        ]
    return []


def _shunts(tables: Tables, at: dict[str, Point]) -> list[str]:
    """The source, and capacitors as two plates below their bus."""
    x, y = at[str(tables.settings["source"]["bus"])]
    drawn = [
        f'<circle cx="{x - 22:.1f}" cy="{y:.1f}" r="10" fill="{PAPER}" stroke="{INK}" stroke-width="1.8"/>',
        f'<path d="M{x - 28:.1f} {y:.1f}q3 -7 6 0t6 0" fill="none" stroke="{INK}" stroke-width="1.5"/>',
        f'<path d="M{x - 12:.1f} {y:.1f}H{x:.1f}" stroke="{INK}" stroke-width="3.2"/>',
    ]
    for row in tables["capacitors"]:
        x, y = at[row["bus"]]
        drawn.append(
            f'<path d="M{x:.1f} {y:.1f}l9 9m-5 5l10 -10m-6.5 13.5l10 -10m-5 5l6 6" fill="none" '
            f'stroke="{INK}" stroke-width="1.5"/>'
        )
    return drawn


def _buses(tables: Tables, at: dict[str, Point], size: float) -> list[str]:
    loaded = {r["bus"] for r in tables["loads"]}
    taken = _directions(tables, at)
    drawn = []
    for bus, (x, y) in at.items():
        colour = COLOURS.get(tables.phases.get(bus, "abc"), INK)
        fill = colour if bus in loaded else PAPER
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{fill}" stroke="{colour}" stroke-width="1.4"/>')
        tx, ty, anchor = _label_place(x, y, taken.get(bus, set()), size)
        drawn.append(f'<text class="bus" x="{tx:.1f}" y="{ty:.1f}" text-anchor="{anchor}">{escape(bus)}</text>')
    return drawn


def _directions(tables: Tables, at: dict[str, Point]) -> dict[str, set[str]]:
    """On which sides of each bus lines leave."""
    taken: dict[str, set[str]] = {}
    for _, start, end, _ in tables.branches():
        path = _path(at[start], at[end])
        for bus, here, there in ((start, path[0], path[1]), (end, path[-1], path[-2])):
            dx, dy = there[0] - here[0], there[1] - here[1]
            side = ("right" if dx > 0 else "left") if abs(dx) >= abs(dy) else ("down" if dy > 0 else "up")
            taken.setdefault(bus, set()).add(side)
    source = str(tables.settings["source"]["bus"])
    taken.setdefault(source, set()).add("left")
    for row in tables["capacitors"]:
        taken.setdefault(row["bus"], set()).add("capacitor")
    return taken


def _label_place(x: float, y: float, taken: set[str], size: float) -> tuple[float, float, str]:
    """Where a name stands: above, below or beside its bus where no line leaves, else above to the right."""
    if "up" not in taken:
        return x, y - 7, "middle"
    if "down" not in taken and "capacitor" not in taken:
        return x, y + 7 + 0.75 * size, "middle"
    if "right" not in taken and "capacitor" not in taken:
        return x + 7, y + 0.36 * size, "start"
    if "left" not in taken:
        return x - 7, y + 0.36 * size, "end"
    return x + 5, y - 6, "start"


def _legend(tables: Tables, height: float) -> list[str]:
    y = height - 34
    drawn = [f'<text class="title" x="{MARGIN - 20}" y="30">{escape(tables.settings["picture"]["title"])}</text>']
    x = float(MARGIN - 20)
    used = {phases for _, _, _, phases in tables.branches()}
    keys = [(INK, 3.2, "three phases"), *((COLOURS[p], 1.6, f"phase {p}") for p in "abc" if p in used)]
    if any(len(p) == 2 for p in used):
        keys.insert(1, (INK, 2.2, "two phases"))
    for colour, stroke, name in keys:
        drawn.append(f'<path d="M{x:.0f} {y}h20" stroke="{colour}" stroke-width="{stroke}"/>')
        drawn.append(f'<text class="key" x="{x + 25:.0f}" y="{y + 4}">{name}</text>')
        x += 40 + 6.2 * len(name)
    x, y = float(MARGIN - 20), height - 14
    kinds = {kind for kind, _, _, _ in tables.branches()}
    names = [("transformer", 24), ("regulator", 24), ("switch_closed", 20), ("switch_open", 20)]
    for kind, room in names:
        if kind not in kinds:
            continue
        drawn += _symbol(kind, (x, y), (x + room, y))
        name = {"switch_closed": "closed switch", "switch_open": "open switch"}.get(kind, kind)
        drawn.append(f'<text class="key" x="{x + room + 4:.0f}" y="{y + 4}">{name}</text>')
        x += room + 22 + 6.2 * len(name)
    for fill, name in ((INK, "spot load"), (PAPER, "no spot load")):
        drawn.append(f'<circle cx="{x + 6:.0f}" cy="{y}" r="3.6" fill="{fill}" stroke="{INK}" stroke-width="1.4"/>')
        drawn.append(f'<text class="key" x="{x + 14:.0f}" y="{y + 4}">{name}</text>')
        x += 30 + 6.2 * len(name)
    if tables["capacitors"]:
        drawn.append(
            f'<path d="M{x:.0f} {y - 6}l5 5m-5 5l10 -10m-6.5 13.5l10 -10m-5 5l4 4" fill="none" '
            f'stroke="{INK}" stroke-width="1.4"/>'
        )
        drawn.append(f'<text class="key" x="{x + 18:.0f}" y="{y + 4}">capacitor</text>')
    return drawn
