"""From switch states to nodes: fused nodes, open ends, what is energized, the pattern of the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosim.feeder.network import (
    IMPEDANCE,
    LINE,
    SWITCH_BUS,
    SWITCH_ELEMENT,
    TRAFO,
    TRAFO3W_HV,
    TRAFO3W_LV,
    TRAFO3W_MV,
    Bools,
    Complexes,
    Floats,
    Ints,
    Network,
)
from cosim.feeder.ordering import Pattern, components, make_pattern

ROUNDING = 1e-9
"""Admittances across transformers below this part of their zone's largest are rounding. [1]"""
FLOATING = 1e-3
"""A zone floats where its columns' sums are below this part of its transformers' smallest admittance. [1]"""


@dataclass(frozen=True)
class Elements:
    """Elements as the switch states leave them; fields as in `Network`, without the leading `el_`."""

    kind: Ints
    ptr: Ints
    node: Ints
    """[K] node of the network, -1 at ground or where open."""
    terminal: Ints
    y: Complexes
    loading: Floats
    y_ptr: Ints
    """[E + 1] into `y`."""

    @property
    def size(self) -> Ints:
        """Conductors of each element."""
        return np.diff(self.ptr)

    def sorted_by_kind(self) -> Elements:
        """The same in the order of their kinds, so that lines come first and sources last."""
        order = np.argsort(self.kind, kind="stable")
        size = self.size[order]
        conductor = ranges(self.ptr[:-1][order], size)
        entry = ranges(self.y_ptr[:-1][order], size**2)
        return Elements(
            kind=self.kind[order],
            ptr=np.concatenate([[0], np.cumsum(size)]),
            node=self.node[conductor],
            terminal=self.terminal[conductor],
            y=self.y[entry],
            loading=self.loading[conductor],
            y_ptr=np.concatenate([[0], np.cumsum(size**2)]),
        )


@dataclass(frozen=True)
class Shunt:
    """An admittance between nodes and ground that comes and goes: a fault at a bus."""

    node: Ints
    y: Complexes
    """[k, k] pu"""


States = tuple[Network, Bools, Bools, Complexes, Bools | None, list[Shunt]]
"""What `build_topology` and `apply_switches` take."""


def ranges(start: Ints, count: Ints) -> Ints:
    """start[0], start[0] + 1, ..., start[1], ...: count[k] numbers from each start[k]."""
    skipped = np.cumsum(count) - count
    filled: Ints = np.arange(count.sum()) - np.repeat(skipped, count) + np.repeat(start, count)
    return filled


@dataclass(frozen=True)
class Topology:
    """What one combination of switch states makes of a network."""

    n_free: int
    node: Ints
    """Row of every node of the network, internal ones included, -1 where de-energized."""
    pattern: Pattern
    source_row: Ints
    """Which source of the network each fixed row is."""
    elements: Elements
    """Lines first, sources last; nodes are rows here."""
    shunt: Complexes
    """[n_row] pu"""

    @property
    def n_row(self) -> int:
        """Free rows, then those of given voltage."""
        return self.n_free + self.source_row.size

    def matrix(self, y: Complexes) -> tuple[Complexes, Complexes]:
        """Admittance matrix of the elements with the primitive admittances `y`, and its part that meets sources.

        Returns
        -------
        entries : array [n + 2 k]
            In the order of `FeederArrays.y`. [pu]
        ties : array [n_free, n_source]
            Columns of the given voltages. [pu]
        """
        rows, columns = pairs(self.elements)
        return self.pattern.assemble(rows, columns, y, self.shunt[: self.n_free], self.source_row.size)

    def sums(self, y: Complexes) -> tuple[Complexes, Complexes]:
        """Sums of the rows of the matrix over free columns, and of the rows of the primitive admittances.

        Short switches all but cancel in them, so they are summed with more digits than they are kept with.
        """
        e, n = self.elements, self.n_free
        rows, columns = pairs(e)
        exact = y.astype(np.clongdouble)
        total = self.shunt[:n].astype(np.clongdouble)
        free = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)
        np.add.at(total, rows[free], exact[free])
        conductor = np.repeat(ranges(e.ptr[:-1], e.size), np.repeat(e.size, e.size))
        by_conductor = np.zeros(e.node.size, np.clongdouble)
        np.add.at(by_conductor, conductor, exact)
        return total.astype(np.complex128), by_conductor.astype(np.complex128)

    @cached_property
    def zones(self) -> tuple[Ints, Ints]:
        """Rows of floating zones, one behind the other, and where each starts.

        A zone is what hangs together without a transformer. It floats where the sums of its rows' columns all but
        vanish: only series elements and ungrounded windings meet there.
        """
        e, n = self.elements, self.n_free
        rows, columns = pairs(e)
        owner = np.repeat(np.arange(e.size.size), e.size**2)
        one, other = e.terminal[conductors_of_entries(e)[0]], e.terminal[conductors_of_entries(e)[1]]
        apart = np.isin(e.kind[owner], (TRAFO, TRAFO3W_HV, TRAFO3W_MV, TRAFO3W_LV)) & (one != other)
        used = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n) & (e.y != 0) & ~apart
        label = np.unique(components(rows[used], columns[used], n), return_inverse=True)[1]
        inside = (rows >= 0) & (rows < n)
        held = columns >= n
        n_zone = int(label.max(initial=-1)) + 1
        key = label[rows[inside]] * (n + 1) + np.minimum(columns[inside], n)
        unique, place = np.unique(key[columns[inside] >= 0], return_inverse=True)
        sums = np.zeros(unique.size, np.clongdouble)
        np.add.at(sums, place, e.y[inside][columns[inside] >= 0].astype(np.clongdouble))
        largest = np.zeros(n_zone)
        np.maximum.at(largest, unique // (n + 1), np.abs(sums).astype(float))
        scale = np.full(n_zone, np.inf)
        across = np.flatnonzero(inside & apart & (columns >= 0))
        size = np.abs(e.y[across])
        most = np.zeros(n_zone)
        np.maximum.at(most, label[rows[across]], size)
        across = across[size > ROUNDING * most[label[rows[across]]]]
        np.minimum.at(scale, label[rows[across]], np.abs(e.y[across]))
        grounded = np.zeros(n_zone, bool)
        grounded[label[rows[inside & held]]] = True
        floating = ~grounded & np.isfinite(scale) & (largest < FLOATING * scale)
        picked = np.flatnonzero(floating[label]) if n_zone else np.zeros(0, np.int64)
        picked = picked[np.argsort(label[picked], kind="stable")]
        ptr = np.concatenate([[0], np.cumsum(np.bincount(label[picked], minlength=n_zone)[floating])])
        return picked.astype(np.int64), ptr.astype(np.int64)

    def zone_sums(self, y: Complexes) -> tuple[Ints, Ints, Complexes]:
        """Sums of the columns over the rows of each floating zone: start of each zone, rows, sums. [pu]"""
        picked, ptr = self.zones
        zone = np.full(self.n_row, -1, np.int64)
        zone[picked] = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
        rows, columns = pairs(self.elements)
        used = (rows >= 0) & (columns >= 0)
        used[used] &= zone[rows[used]] >= 0
        key = zone[rows[used]] * self.n_row + columns[used]
        unique, place = np.unique(key, return_inverse=True)
        sums = np.zeros(unique.size, np.clongdouble)
        np.add.at(sums, place, y[used].astype(np.clongdouble))
        diagonal = np.searchsorted(unique, zone[picked] * self.n_row + picked)
        np.add.at(sums, diagonal, self.shunt[picked])
        start = np.searchsorted(unique, np.arange(ptr.size) * self.n_row).astype(np.int64)
        return start, (unique % self.n_row).astype(np.int64), sums.astype(np.complex128)


def build_topology(
    net: Network,
    closed: Bools,
    line_on: Bools,
    el_y: Complexes,
    is_cut: Bools | None = None,
    shunts: Sequence[Shunt] = (),
) -> Topology:
    """Apply the switch states.

    Parameters
    ----------
    net : Network
    closed : array [n_switch]
    line_on : array [n_line]
        Lines in service.
    el_y : array
        Primitive admittances in the order of `Network.el_y`, devices in whatever state. [pu]
    is_cut, shunts : optional
        As `apply_switches` takes them.
    """
    root = fuse(net, closed)
    elements = apply_switches(net, closed, line_on, el_y, is_cut, shunts).sorted_by_kind()
    at = np.where(elements.node >= 0, root[elements.node], -1)
    at[(elements.node >= 0) & ~net.node_in_service[elements.node]] = -1
    legs = np.where(net.leg_node >= 0, root[net.leg_node], -1)
    source_root, source_row = _sources(net, root)
    merged = replaced_nodes(elements, at)
    alive = _energized(merged, legs, source_root, net.node_in_service.size)
    free = np.flatnonzero(alive & (root == np.arange(root.size)))
    free = free[~np.isin(free, source_root)]
    local = np.full(root.size, -1, np.int64)
    local[free] = np.arange(free.size)

    rows, columns = pairs(merged)
    couples = np.concatenate([np.column_stack([rows, columns])[(elements.y != 0)], legs[(legs >= 0).all(axis=1)]])
    couples = np.where(couples >= 0, local[couples], -1)
    pattern = make_pattern(couples[(couples >= 0).all(axis=1)], free.size)
    row_of_root = np.full(root.size, -1, np.int64)
    row_of_root[free] = pattern.position
    row_of_root[source_root] = free.size + np.arange(source_root.size)
    node = np.where(net.node_in_service, row_of_root[root], -1)

    shunt = np.zeros(free.size + source_root.size, np.complex128)
    np.add.at(shunt, node[node >= 0], net.node_y_shunt[node >= 0])
    return Topology(
        n_free=int(free.size),
        node=node,
        pattern=pattern,
        source_row=source_row,
        elements=replaced_nodes(elements, np.where(at >= 0, row_of_root[at], -1)),
        shunt=shunt,
    )


def replaced_nodes(elements: Elements, node: Ints) -> Elements:
    """The same elements between other nodes."""
    e = elements
    return Elements(e.kind, e.ptr, node, e.terminal, e.y, e.loading, e.y_ptr)


def fuse(net: Network, closed: Bools) -> Ints:
    """Representative of every node: nodes joined by closed ideal switches are one."""
    ideal = closed & (net.switch_kind == SWITCH_BUS) & (net.switch_y == 0)
    a, b = net.switch_from[ideal], net.switch_to[ideal]
    both = net.node_in_service[a] & net.node_in_service[b]
    a, b = a[both], b[both]
    return components(a, b, net.node_in_service.size)


def apply_switches(
    net: Network,
    closed: Bools,
    line_on: Bools,
    el_y: Complexes,
    is_cut: Bools | None = None,
    shunts: Sequence[Shunt] = (),
) -> Elements:
    """Elements with their conductors cut where a terminal is open, bus-bus switches with an impedance behind them.

    An element open at a terminal is what its admittance shows at the others (Kron). A line at a bus out of service is
    open there; any other element is out.

    Parameters
    ----------
    net, closed, line_on, el_y
        Of `build_topology`.
    is_cut : array [K], optional
        Conductors that a pole of a breaker or a fuse has opened.
    shunts : sequence of Shunt
        Stand behind all other elements; those with a node out of service are none.
    """
    on = net.el_in_service.copy()
    on[net.el_kind == LINE] = line_on
    size = np.diff(net.el_ptr)
    owner = np.repeat(np.arange(size.size), size)
    is_open = np.zeros(owner.size, bool)
    for s in np.flatnonzero(~closed & (net.switch_kind == SWITCH_ELEMENT)):
        e = int(net.switch_from[s])
        span = slice(net.el_ptr[e], net.el_ptr[e + 1])
        is_open[span] |= net.el_terminal[span] == net.switch_to[s]
    out = (net.el_node >= 0) & ~net.node_in_service[net.el_node]
    line = net.el_kind[owner] == LINE
    is_open |= (out & line) if is_cut is None else (out & line) | is_cut
    on[owner[out & ~line]] = False

    y_ptr = np.concatenate([[0], np.cumsum(size**2)])
    y, node = el_y.copy(), net.el_node.copy()
    for e in np.unique(owner[is_open]):
        span = slice(net.el_ptr[e], net.el_ptr[e + 1])
        block = y[y_ptr[e] : y_ptr[e + 1]].reshape(size[e], size[e])
        block[:] = without(block, is_open[span])
    node[is_open | ~on[owner]] = -1
    y[np.repeat(~on, size**2)] = 0
    ends, g = _ties(net, closed)
    n_tie = g.size
    whole = Elements(
        kind=np.concatenate([net.el_kind, np.full(n_tie, IMPEDANCE, np.int64)]),
        ptr=np.concatenate([net.el_ptr, net.el_ptr[-1] + 2 * np.arange(1, n_tie + 1)]),
        node=np.concatenate([node, ends.ravel()]),
        terminal=np.concatenate([net.el_terminal, np.tile([0, 1], n_tie)]),
        y=np.concatenate([y, np.column_stack([g, -g, -g, g]).ravel()]),
        loading=np.concatenate([net.el_loading, np.zeros(2 * n_tie)]),
        y_ptr=np.concatenate([y_ptr, y_ptr[-1] + 4 * np.arange(1, n_tie + 1)]),
    )
    for shunt in shunts:
        if net.node_in_service[shunt.node].all():
            whole = _with_shunt(whole, shunt)
    return whole


def _ties(net: Network, closed: Bools) -> tuple[Ints, Complexes]:
    """Nodes of the bus-bus switches that have an impedance, -1 where one is open, and their admittance. [pu]"""
    tie = (net.switch_kind == SWITCH_BUS) & (net.switch_y != 0)
    ends = np.column_stack([net.switch_from[tie], net.switch_to[tie]])
    live = closed[tie] & net.node_in_service[ends].all(axis=1)
    ends[~live] = -1
    return ends, np.where(live, net.switch_y[tie], 0)


def _with_shunt(e: Elements, shunt: Shunt) -> Elements:
    k = shunt.node.size
    return Elements(
        kind=np.append(e.kind, IMPEDANCE),
        ptr=np.append(e.ptr, e.ptr[-1] + k),
        node=np.concatenate([e.node, shunt.node]),
        terminal=np.concatenate([e.terminal, np.zeros(k, np.int64)]),
        y=np.concatenate([e.y, shunt.y.ravel()]),
        loading=np.concatenate([e.loading, np.zeros(k)]),
        y_ptr=np.append(e.y_ptr, e.y_ptr[-1] + k * k),
    )


def without(y: Complexes, is_open: Bools) -> Complexes:
    """Primitive admittance with some conductors left open (Kron reduction), zero in their rows and columns."""
    kept = ~is_open
    reduced = np.zeros_like(y)
    if kept.any() and is_open.any():
        inner = np.linalg.lstsq(y[np.ix_(is_open, is_open)], y[np.ix_(is_open, kept)], rcond=None)[0]
        reduced[np.ix_(kept, kept)] = y[np.ix_(kept, kept)] - y[np.ix_(kept, is_open)] @ inner
    return reduced


def _sources(net: Network, root: Ints) -> tuple[Ints, Ints]:
    """Fused node of each source, and the row of the source, one per node."""
    seen: dict[int, int] = {}
    for row, node in enumerate(net.source_node.tolist()):
        if net.node_in_service[node]:
            seen.setdefault(int(root[node]), row)
    return np.array(list(seen), np.int64), np.array(list(seen.values()), np.int64)


def conductors_of_entries(elements: Elements) -> tuple[Ints, Ints]:
    """Conductors of row and column of every entry of the primitive admittances."""
    size = elements.size
    entries = size**2
    owner = np.repeat(np.arange(size.size), entries)
    place = np.arange(entries.sum()) - np.repeat(elements.y_ptr[:-1], entries)
    first = elements.ptr[owner]
    return (first + place // size[owner]).astype(np.int64), (first + place % size[owner]).astype(np.int64)


def pairs(elements: Elements) -> tuple[Ints, Ints]:
    """Row and column of every entry of the primitive admittances."""
    row, column = conductors_of_entries(elements)
    return elements.node[row], elements.node[column]


def _energized(elements: Elements, legs: Ints, sources: Ints, n: int) -> Bools:
    """Fused nodes with a path to a source, through elements or through injections between two nodes."""
    rows, columns = pairs(elements)
    used = (rows >= 0) & (columns >= 0) & (elements.y != 0)
    between = legs[(legs >= 0).all(axis=1)]
    a = np.concatenate([rows[used], between[:, 0]])
    b = np.concatenate([columns[used], between[:, 1]])
    root = components(a, b, n)
    alive: Bools = np.isin(root, root[sources])
    return alive
