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
WIDTH, ROW, MARGIN, CHAR = 1300, 13, 26, 6.6
"""Of the picture, of a row, around it, of a letter. [px]"""
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
    deepest, rows = max(d for d, _ in at.values()), max(y for _, y in at.values())
    step = (WIDTH - 2 * MARGIN - 90) / max(deepest, 1)
    xy = {bus: (MARGIN + depth * step, MARGIN + y * ROW) for bus, (depth, y) in at.items()}
    bottom, top = min(low.values()), max(low.values())
    worst = min(low, key=lambda bus: low[bus])
    parts = [
        f'<path d="M{xy[parent][0]:.1f} {xy[parent][1]:.1f}V{xy[bus][1]:.1f}H{xy[bus][0]:.1f}"/>'
        for bus, parent in parents.items()
        if parent >= 0
    ]
    marks = []
    for bus, (x, y) in xy.items():
        name = str(network.bus_name[bus])
        tip = f"{name}: lowest {low[bus]:.4f} pu" if bus in low else f"{name}: not logged"
        color = _color((low[bus] - bottom) / max(top - bottom, 1e-9)) if bus in low else "none"
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{color}"><title>{escape(tip)}</title></circle>')
        label = [f"data center {sites[name]}"] if name in sites else []
        label += [f"lowest, {low[bus]:.4f} pu at {name}"] if bus == worst else []
        if name in sites:
            marks.append(f'<rect x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14" fill="none" stroke-width="2"/>')
        if bus == worst:
            ring = 'r="8" fill="none" style="stroke:#d6453b;stroke-width:2.5"'
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}/>')
        if label:
            marks.append(_label("; ".join(label), x, y, list(xy.values())))
    for root in roots:
        marks.append(f'<text x="{xy[root][0]:.1f}" y="{xy[root][1] - 10:.1f}">source</text>')
    loaded = _most_loaded(run)
    hollow = "" if all(bus in low for bus in xy) else ", hollow not logged"
    height = 2 * MARGIN + rows * ROW
    return (
        f'<div class="scroll tall"><svg class="oneline" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="One-line picture of the feeder"><g class="wires">{"".join(parts)}</g>'
        f'<g class="buses">{"".join(marks)}</g></svg></div><p class="note">Buses by lowest voltage, dark {bottom:.4f} '
        f"to bright {top:.4f} pu{hollow}; rows and columns, not map positions; loops are drawn open."
        f"{escape(loaded)}</p>"
    )


def _label(text: str, x: float, y: float, buses: list[tuple[float, float]]) -> str:
    """Text beside a bus, on the side on which it hides fewest other buses and stays inside the picture."""

    def hidden(place: tuple[str, float]) -> int:
        anchor, base = place
        left = x + 11 if anchor == "start" else x - 11 - CHAR * len(text)
        if left < 0 or left + CHAR * len(text) > WIDTH:
            return len(buses)
        return sum(left - 5 < bx < left + CHAR * len(text) + 5 and base - 13 < by < base + 5 for bx, by in buses)

    anchor, base = min(((side, y + dy) for dy in (-8.0, 20.0, 33.0, -21.0) for side in ("start", "end")), key=hidden)
    at = x + 11 if anchor == "start" else x - 11
    return f'<text x="{at:.1f}" y="{base:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


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
