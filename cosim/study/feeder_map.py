"""A feeder drawn with one value at each bus: by its coordinates where it has them, else as a tree from its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import networkx as nx  # type: ignore[import-untyped,unused-ignore]

    from cosim.feeder.feeder import Feeder
    from cosim.feeder.network import Network

Place = tuple[float, float]
TOP = 0.97
"""Quantile of the values at which the colours end."""


def bus_graph(network: Network) -> nx.Graph:
    """Buses and what connects them in service: elements between terminals, closed switches between buses.

    Internal nodes (star points of transformers) count as buses of their own, with numbers beyond the last bus.
    """
    import networkx as nx  # type: ignore[import-untyped,unused-ignore]

    from cosim.feeder.network import SWITCH_BUS, SWITCH_ELEMENT

    n_named, n_bus = network.node_bus.size, network.bus_name.size

    def bus_of(node: int) -> int:
        return int(network.node_bus[node]) if node < n_named else n_bus + node - n_named

    graph = nx.Graph()
    graph.add_nodes_from(range(n_bus))
    is_open = (network.switch_kind == SWITCH_ELEMENT) & ~network.switch_closed
    opened = set(network.switch_from[is_open].tolist())
    for k in np.flatnonzero(network.el_in_service).tolist():
        if k not in opened:
            nodes = network.el_node[network.el_ptr[k] : network.el_ptr[k + 1]].tolist()
            buses = list(dict.fromkeys(bus_of(node) for node in nodes if node >= 0))
            graph.add_edges_from((buses[0], other) for other in buses[1:])
    for k in np.flatnonzero((network.switch_kind == SWITCH_BUS) & network.switch_closed).tolist():
        graph.add_edge(bus_of(int(network.switch_from[k])), bus_of(int(network.switch_to[k])))
    return graph


def places(network: Network, graph: nx.Graph) -> dict[int, Place]:
    """Where each bus of a picture stands: its coordinates if all have some, else its place in a tree.

    In the tree a bus stands as far right as it has connections to the source, the buses at its ends one below the
    other, and one that feeds others in the middle of them. Buses without a way to a source are left out.
    """
    xy = network.bus_xy
    if np.isfinite(xy).all() and len(np.unique(xy, axis=0)) > 0.5 * len(xy):
        return {k: (float(x), float(y)) for k, (x, y) in enumerate(xy)}
    n_named, n_bus = network.node_bus.size, network.bus_name.size
    terminals = network.source_terminal.tolist()
    roots = [int(network.node_bus[k]) if k < n_named else n_bus + k - n_named for k in terminals]
    return tree_places(graph, list(dict.fromkeys(roots)))


def tree_places(graph: nx.Graph, roots: list[int]) -> dict[int, Place]:
    """Places in a tree that grows to the right from its roots, each bus at its shortest way from them."""
    depth = dict.fromkeys(roots, 0)
    feeds: dict[int, list[int]] = {}
    order = list(depth)
    for bus in order:  # grows while it is walked
        for other in sorted(graph.neighbors(bus)):
            if other not in depth:
                depth[other] = depth[bus] + 1
                feeds.setdefault(bus, []).append(other)
                order.append(other)
    n_end = dict.fromkeys(order, 1)
    for bus in reversed(order):
        if bus in feeds:
            n_end[bus] = sum(n_end[other] for other in feeds[bus])
    found, next_row = {}, dict[int, float]()
    row = 0.0
    for root in roots:
        next_row[root] = row
        row += n_end[root]
    for bus in order:
        start = next_row[bus]
        found[bus] = (float(depth[bus]), -(start + 0.5 * (n_end[bus] - 1)))
        for other in sorted(feeds.get(bus, ()), key=lambda k: n_end[k]):
            next_row[other] = start
            start += n_end[other]
    return found


def map_figure(feeder: Feeder, values: dict[str, float], words: str) -> dict[str, Any]:
    """The feeder with the buses of a study coloured by their value, as plotly takes it.

    Parameters
    ----------
    feeder : Feeder
    values : dict
        Value by bus.
    words : str
        What the value is, with its unit.
    """
    network = feeder.network
    graph = bus_graph(network)
    at = places(network, graph)
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b in graph.edges:
        if a in at and b in at:
            x += [at[a][0], at[b][0], None]
            y += [at[a][1], at[b][1], None]
    names = list(feeder.bus_names)
    rest = [k for k in range(len(names)) if k in at and names[k] not in values]
    told = [k for k in range(len(names)) if k in at and names[k] in values]
    # One bus beside the source that takes anything would leave all others the same colour.
    top = float(np.quantile([values[names[k]] for k in told], TOP)) if told else 0.0
    dots = {"type": "scatter", "mode": "markers", "hoverinfo": "text"}
    traces = [
        {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": {"color": "#b9c3cc", "width": 1},
         "hoverinfo": "skip", "showlegend": False},
        dots | {"x": [at[k][0] for k in rest], "y": [at[k][1] for k in rest], "text": [names[k] for k in rest],
                "marker": {"size": 4, "color": "#b9c3cc"}, "showlegend": False},
        dots | {"x": [at[k][0] for k in told], "y": [at[k][1] for k in told], "showlegend": False,
                "text": [f"{names[k]}: {values[names[k]]:.4g}" for k in told],
                "marker": {"size": 11, "color": [values[names[k]] for k in told], "colorscale": "Viridis", "cmax": top,
                           "cmin": min((values[names[k]] for k in told), default=0.0),
                           "showscale": True, "colorbar": {"title": {"text": words, "side": "right"}},
                           "line": {"width": 0.5, "color": "#333"}}},
    ]  # fmt: skip
    axis = {"visible": False, "zeroline": False}
    source = [k for k, place in at.items() if k < len(names) and place[0] == 0]
    title = f"Map of the feeder: {words}"
    if source and not np.isfinite(network.bus_xy).all():
        title += f" (a tree from {names[source[0]]}, since the file has no coordinates)"
    layout = {"title": {"text": title}, "height": 560, "xaxis": axis, "yaxis": axis, "plot_bgcolor": "#fff"}
    return {"data": traces, "layout": layout}
