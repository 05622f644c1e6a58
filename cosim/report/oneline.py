"""The feeder as one line: a tree from the source, buses coloured by their lowest voltage, data centers marked."""

from __future__ import annotations

from collections import defaultdict, deque
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from cosim.feeder.network import SOURCE, SWITCH_BUS, Network
from cosim.metrics.model import feeder_of
from cosim.report.payload import Run
from cosim.report.words import named

MAX_BUS = 3000
"""A feeder of more buses is not drawn."""
WIDTH, MARGIN, CHAR, TEXT = 1300, 26, 6.6, 12
"""Of the picture, around it, of a letter, height of a line of text. [px]"""
ROW, ROW_MAX, HEIGHT = 13, 26, 700
"""Least and largest height of a row, between which it fills this height. [px]"""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom. [px]"""
_SCALE = ("#00224e", "#434e6c", "#7d7c78", "#bcae6c", "#fee838")
"""Of the colour map cividis, readable without telling red from green: low voltage dark, high bright."""


def oneline_section(run: Run) -> str:
    """Picture of the first run's feeder with its legend; empty where the feeder cannot be read or is too large."""
    feeder: dict[str, Any] = dict(run.log.scenario.get("feeder") or {})
    voltage = run.found.voltage
    if voltage is None or not feeder.get("model"):
        return ""
    found = feeder_of(run.log)
    if found is None:
        return '<p class="note">The feeder\'s model cannot be read from here, so its picture is left out.</p>'
    network = found.network
    if len(network.bus_name) > MAX_BUS:
        return ""
    parents, roots = tree(network)
    low = lowest_by_bus(network, dict(zip(voltage.name, voltage.vm_min_pu, strict=True)))
    sites = {str(site["bus"]).partition(".")[0]: name for name, site in run.log.scenario["datacenters"].items()}
    return "<h2>Feeder</h2>" + _svg(network, parents, roots, low, sites, run)


def tree(network: Network) -> tuple[dict[int, int], list[int]]:
    """Parent of every bus in a walk outwards from the sources, and where the walk starts; loops are cut open."""
    near: dict[int, set[int]] = defaultdict(set)
    n_named = len(network.node_bus)
    roots: list[int] = [int(network.node_bus[node]) for node in network.source_terminal if 0 <= node < n_named]
    for e in np.flatnonzero(network.el_in_service).tolist():
        nodes = network.el_node[network.el_ptr[e] : network.el_ptr[e + 1]]
        buses = sorted({int(network.node_bus[node]) for node in nodes.tolist() if 0 <= node < n_named})
        if network.el_kind[e] == SOURCE:
            roots += buses
        for a, b in pairwise(buses):
            near[a].add(b)
            near[b].add(a)
    for k in np.flatnonzero(network.switch_closed & (network.switch_kind == SWITCH_BUS)).tolist():
        ends = (int(network.switch_from[k]), int(network.switch_to[k]))
        if max(ends) < n_named:
            a, b = (int(network.node_bus[node]) for node in ends)
            near[a].add(b)
            near[b].add(a)
    starts = list(dict.fromkeys(roots))
    parents = dict.fromkeys(starts, -1)
    queue = deque(starts)
    while queue:
        bus = queue.popleft()
        for other in sorted(near[bus] - parents.keys()):
            parents[other] = bus
            queue.append(other)
    return parents, starts


def lowest_by_bus(network: Network, by_node: dict[str, float]) -> dict[int, float]:
    """Lowest logged voltage of each bus, of all its phases; buses without one are left out. [pu]"""
    low: dict[int, float] = {}
    for node, bus in zip(network.node_name.tolist(), network.node_bus.tolist(), strict=True):
        value = by_node.get(str(node), np.nan)
        if np.isfinite(value):
            low[bus] = min(low.get(bus, np.inf), float(value))
    return low


def places(parents: dict[int, int], roots: list[int]) -> dict[int, tuple[int, float]]:
    """Depth and row of every bus: leaves one below another, a bus beside the first of its branches."""
    children: dict[int, list[int]] = defaultdict(list)
    for bus, parent in parents.items():
        if parent >= 0:
            children[parent].append(bus)
    size: dict[int, int] = {}
    for bus in reversed(list(parents)):  # parents stand before their children
        size[bus] = 1 + sum(size[child] for child in children[bus])
    found: dict[int, tuple[int, float]] = {}
    row = 0
    stack = [(root, 0) for root in reversed(roots)]
    while stack:
        bus, depth = stack.pop()
        found[bus] = (depth, float(row))
        branches = sorted(children[bus], key=lambda child: size[child])
        if not branches:
            row += 1
        stack += [(child, depth + 1) for child in branches]  # the longest first: the trunk runs straight
    return found


def _svg(
    network: Network, parents: dict[int, int], roots: list[int], low: dict[int, float], sites: dict[str, str], run: Run
) -> str:
    at = places(parents, roots)
    if not at or not low:
        return ""
    bottom, top = min(low.values()), max(low.values())
    labels = _labels(network, low, sites, list(at))
    deepest, rows = max(d for d, _ in at.values()), max(y for _, y in at.values())
    row = min(max(HEIGHT / max(rows, 1.0), ROW), ROW_MAX)
    right = max((_width(text) for text in labels.values()), default=0.0) + 12.0
    step = (WIDTH - 2 * MARGIN - right) / max(deepest, 1)
    xy = {bus: (MARGIN + depth * step, MARGIN + y * row) for bus, (depth, y) in at.items()}
    parts = [
        f'<path d="M{xy[parent][0]:.1f} {xy[parent][1]:.1f}V{xy[bus][1]:.1f}H{xy[bus][0]:.1f}"/>'
        for bus, parent in parents.items()
        if parent >= 0
    ]
    worst = min(low, key=lambda bus: low[bus])
    marks = []
    for bus, (x, y) in xy.items():
        name = str(network.bus_name[bus])
        tip = f"{name}: lowest {low[bus]:.4f} pu" if bus in low else f"{name}: not logged"
        color = _color((low[bus] - bottom) / max(top - bottom, 1e-9)) if bus in low else "none"
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{color}"><title>{escape(tip)}</title></circle>')
        if name in sites:
            marks.append(f'<rect x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14" fill="none" stroke-width="2"/>')
        if bus == worst:
            ring = 'r="8" fill="none" style="stroke:#d6453b;stroke-width:2.5"'
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}/>')
    taken = [_box("start", xy[root][0], xy[root][1] - 10, "source") for root in roots]
    marks += [f'<text x="{xy[root][0]:.1f}" y="{xy[root][1] - 10:.1f}">source</text>' for root in roots]
    wires = _wires(parents, xy)
    for bus, text in labels.items():
        marks.append(_label(text, xy[bus], list(xy.values()), wires, taken))
    hollow = "" if all(bus in low for bus in xy) else ", hollow not logged"
    height = 2 * MARGIN + rows * row
    return (
        f'<div class="scroll tall"><svg class="oneline" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="One-line picture of the feeder"><g class="wires">{"".join(parts)}</g>'
        f'<g class="buses">{"".join(marks)}</g></svg></div><p class="note">Buses by lowest voltage, dark {bottom:.4f} '
        f"to bright {top:.4f} pu{hollow}; rows and columns, not map positions; loops are drawn open."
        f"{escape(_most_loaded(run))}</p>"
    )


def _labels(network: Network, low: dict[int, float], sites: dict[str, str], buses: list[int]) -> dict[int, str]:
    """What is written beside buses: data centers, and the lowest voltage."""
    worst = min(low, key=lambda bus: low[bus])
    found: dict[int, str] = {}
    for bus in buses:
        name = str(network.bus_name[bus])
        told = [f"data center {sites[name]}"] if name in sites else []
        told += [f"lowest, {low[bus]:.4f} pu at {name}"] if bus == worst else []
        if told:
            found[bus] = "; ".join(told)
    return found


def _wires(parents: dict[int, int], xy: dict[int, tuple[float, float]]) -> list[Box]:
    """Every stretch of wire as a box without thickness."""
    found: list[Box] = []
    for bus, parent in parents.items():
        if parent >= 0:
            (x0, y0), (x1, y1) = xy[parent], xy[bus]
            found += [(x0, min(y0, y1), x0, max(y0, y1)), (x0, y1, x1, y1)]
    return found


def _width(text: str) -> float:
    return CHAR * len(text)


def _box(anchor: str, x: float, base: float, text: str) -> Box:
    """What a text covers that starts or ends at x on a base line."""
    left = x if anchor == "start" else x - _width(text)
    return left, base - TEXT + 2.0, left + _width(text), base + 3.0


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] <= b[3] and b[1] <= a[3]


def _label(
    text: str, at: tuple[float, float], buses: list[tuple[float, float]], wires: list[Box], taken: list[Box]
) -> str:
    """Text beside a bus where it meets no other label and fewest buses and wires; `taken` grows by what it covers.

    First choice is its own row, behind it: there nothing runs on from a bus without branches.
    """

    def hidden(place: tuple[str, float, float]) -> int:
        anchor, x, base = place
        box = _box(anchor, x, base, text)
        if box[0] < 0.0 or box[2] > WIDTH or box[1] < 0.0:
            return 10**9
        n_label = sum(_meet(box, other) for other in taken)
        n_bus = sum(_meet(box, (bx - 5.0, by - 5.0, bx + 5.0, by + 5.0)) for bx, by in buses)
        return 10_000 * n_label + 3 * n_bus + sum(_meet(box, wire) for wire in wires)

    x, y = at
    places_ = [("start", x + 12.0, y + 4.0)]
    places_ += [
        (side, x + dx, y + dy) for dy in (-10.0, 19.0, 32.0, -23.0) for side, dx in (("start", 9.0), ("end", -9.0))
    ]
    anchor, left, base = min(places_, key=hidden)
    taken.append(_box(anchor, left, base, text))
    return f'<text x="{left:.1f}" y="{base:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _color(share: float) -> str:
    return _SCALE[min(int(share * len(_SCALE)), len(_SCALE) - 1)]


def _most_loaded(run: Run) -> str:
    """Which line and transformer were loaded most, as a sentence."""
    found = run.found
    told = []
    for noun, names, loading in (
        ("line", found.line_name, found.line_loading_percent),
        ("transformer", found.trafo_name, found.trafo_loading_percent),
    ):
        if loading is not None and len(loading):
            top = int(np.argmax(loading))
            told.append(f"{named(noun, names[top])} {loading[top]:.3g} %")
    return f" Loaded most: {', '.join(told)}." if told else ""
