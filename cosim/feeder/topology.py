"""From switch states to nodes: fused buses, open ends, what is energized, the admittance matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.feeder.network import (
    LINE,
    SWITCH_BUS,
    Bools,
    Complexes,
    Floats,
    Ints,
    Network,
)
from cosim.feeder.ordering import factor_pattern, minimum_degree


@dataclass(frozen=True)
class Topology:
    """What one combination of switch states makes of a network; field names as in `FeederArrays`."""

    n_free: int
    n_node: int
    node: Ints
    """Node of every bus, internal ones included, -1 where de-energized."""
    y: Complexes
    """Matrix entries in the order of `FeederArrays.y`. [pu]"""
    lu_ptr: Ints
    lu_row: Ints
    lu_target: Ints
    tie_node: Ints
    tie_y: Complexes
    source_node: Ints
    source_row: Ints
    """Which source of the network each fixed node is."""
    shunt: Complexes
    branch_node: Ints
    branch_y: Complexes
    branch_loading: Floats


def build_topology(net: Network, closed: Bools, line_on: Bools, z_source_pu: complex) -> Topology:
    """Apply the switch states.

    Parameters
    ----------
    net : Network
    closed : array [n_switch]
    line_on : array [n_line]
        Lines in service.
    z_source_pu : complex
        Impedance behind which each source stands, 0 for ideal ones. [pu on 1 MVA]
    """
    root = _fuse(net, closed)
    ends, y = _effective_branches(net, closed, line_on)
    group_end = np.where(ends >= 0, root[ends], -1)
    group_end[(ends >= 0) & ~net.bus_in_service[ends]] = -1
    source_root, source_row = _sources(net, root)
    alive = _energized(group_end, source_root, net.bus_in_service.size)
    fixed = np.array([] if z_source_pu else source_root, np.int64)
    free = [k for k in np.flatnonzero(alive) if root[k] == k and k not in set(fixed.tolist())]
    local = np.full(net.bus_in_service.size, -1, np.int64)
    local[free] = np.arange(len(free))

    position, ptr, row, target = _pattern(group_end, local, len(free))
    node_of_root = np.full(net.bus_in_service.size, -1, np.int64)
    node_of_root[free] = position
    node_of_root[fixed] = len(free) + np.arange(fixed.size)
    node = np.where(net.bus_in_service, node_of_root[root], -1)
    branch_node = np.where(group_end >= 0, node_of_root[np.maximum(group_end, 0)], -1)
    y[(branch_node < 0).all(axis=1)] = 0

    n_node = len(free) + source_root.size
    shunt = np.zeros(n_node, np.complex128)
    live = node >= 0
    np.add.at(shunt, node[live], net.bus_y_shunt[live])
    source_node = node_of_root[source_root]
    y_matrix, ties = _matrix(branch_node, y, shunt, len(free), ptr, row)
    if z_source_pu:
        y_matrix[source_node] += 1 / z_source_pu
        emf = len(free) + np.arange(source_root.size)
        ties = [(int(i), int(s), -1 / z_source_pu) for i, s in zip(source_node, emf, strict=True)]
    pad = np.zeros((y.shape[0] - net.branch_loading.shape[0], 2))
    return Topology(
        n_free=len(free),
        n_node=n_node,
        node=node,
        y=y_matrix,
        lu_ptr=ptr,
        lu_row=row,
        lu_target=target,
        tie_node=np.array([t[:2] for t in ties], np.int64).reshape(-1, 2),
        tie_y=np.array([t[2] for t in ties], np.complex128),
        source_node=source_node,
        source_row=source_row,
        shunt=shunt,
        branch_node=np.ascontiguousarray(branch_node),
        branch_y=y,
        branch_loading=np.vstack([net.branch_loading, pad]),
    )


def _fuse(net: Network, closed: Bools) -> Ints:
    """Representative of every bus: buses joined by closed ideal switches are one node."""
    root = np.arange(net.bus_in_service.size)

    def find(k: int) -> int:
        while root[k] != k:
            root[k] = root[root[k]]
            k = int(root[k])
        return k

    ideal = closed & (net.switch_kind == SWITCH_BUS) & (net.switch_y == 0)
    for s in np.flatnonzero(ideal):
        a, b = int(net.switch_bus[s]), int(net.switch_element[s])
        if net.bus_in_service[a] and net.bus_in_service[b]:
            a, b = find(a), find(b)
            root[max(a, b)] = min(a, b)
    return np.array([find(k) for k in range(root.size)], np.int64)


def _effective_branches(net: Network, closed: Bools, line_on: Bools) -> tuple[Ints, Complexes]:
    """Buses at both ends of every branch (-1 where open) and its two-port as seen then.

    A branch that is open at one end is what its two-port shows at the other (Kron reduction). A line
    at a bus out of service is open there; any other branch is out. Bus-bus switches with an impedance
    follow behind the branches.
    """
    on = net.branch_in_service.copy()
    on[net.branch_kind == LINE] = line_on
    open_end = np.zeros((on.size, 2), bool)
    at_branch = ~closed & (net.switch_kind != SWITCH_BUS)
    open_end[net.switch_element[at_branch], net.switch_at_to[at_branch].astype(int)] = True
    ends = np.column_stack([net.branch_from, net.branch_to])
    out = ~net.bus_in_service[ends]
    open_end |= out & (net.branch_kind == LINE)[:, None]
    on &= ~(out & (net.branch_kind != LINE)[:, None]).any(axis=1)
    on &= ~open_end.all(axis=1)

    y = net.branch_y.copy()
    for end in (0, 1):
        rows = np.flatnonzero(open_end[:, end])
        own, far = y[rows, 3 * end], y[rows, 3 - 3 * end]
        seen = far - np.divide(y[rows, 1] * y[rows, 2], own, out=np.zeros_like(own), where=own != 0)
        y[rows] = 0
        y[rows, 3 - 3 * end] = seen
    ends = np.where(open_end | ~on[:, None], -1, ends)
    y[~on] = 0

    tie = (net.switch_kind == SWITCH_BUS) & (net.switch_y != 0)
    g = np.where(closed[tie], net.switch_y[tie], 0)
    tie_ends = np.column_stack([net.switch_bus[tie], net.switch_element[tie]])
    dead = ~net.bus_in_service[tie_ends].all(axis=1) | ~closed[tie]
    tie_ends[dead] = -1
    g = np.where(dead, 0, g)
    return np.vstack([ends, tie_ends]), np.vstack([y, np.column_stack([g, -g, -g, g])])


def _sources(net: Network, root: Ints) -> tuple[Ints, Ints]:
    """Fused bus of each source, and the row of the source, one per node."""
    seen: dict[int, int] = {}
    for row, bus in enumerate(net.source_bus):
        if net.bus_in_service[bus]:
            seen.setdefault(int(root[bus]), row)
    return np.array(list(seen), np.int64), np.array(list(seen.values()), np.int64)


def _energized(ends: Ints, sources: Ints, n: int) -> Bools:
    """Fused buses with a path to a source."""
    near: list[list[int]] = [[] for _ in range(n)]
    for a, b in ends.tolist():
        if a >= 0 and b >= 0:
            near[a].append(b)
            near[b].append(a)
    alive = np.zeros(n, bool)
    stack = sources.tolist()
    alive[stack] = True
    while stack:
        for k in near[stack.pop()]:
            if not alive[k]:
                alive[k] = True
                stack.append(k)
    return alive


def _pattern(ends: Ints, local: Ints, n: int) -> tuple[Ints, Ints, Ints, Ints]:
    near: list[set[int]] = [set() for _ in range(n)]
    for a, b in ends.tolist():
        if a >= 0 and b >= 0 and a != b and local[a] >= 0 and local[b] >= 0:
            near[local[a]].add(int(local[b]))
            near[local[b]].add(int(local[a]))
    return factor_pattern(*minimum_degree(near))


def _matrix(
    ends: Ints, y: Complexes, shunt: Complexes, n: int, ptr: Ints, row: Ints
) -> tuple[Complexes, list[tuple[int, int, complex]]]:
    """Admittance matrix in the pattern of the factors, and the ties from free nodes to sources."""
    matrix = np.concatenate([shunt[:n], np.zeros(2 * row.size)])
    low = {(int(row[p]), k): n + p for k in range(n) for p in range(ptr[k], ptr[k + 1])}
    ties: list[tuple[int, int, complex]] = []
    for (f, t), (yff, yft, ytf, ytt) in zip(ends.tolist(), y.tolist(), strict=True):
        for i, j, yii, yij in ((f, t, yff, yft), (t, f, ytt, ytf)):
            if not 0 <= i < n:
                continue
            matrix[i] += yii
            if j >= n:
                ties.append((i, j, yij))
            elif j == i:
                matrix[i] += yij
            elif j >= 0:
                matrix[low[i, j] if i > j else low[j, i] + row.size] += yij
    return matrix, ties
