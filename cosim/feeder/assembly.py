"""Parts of a compiled feeder's arrays, each a function of the network and one topology."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.fault_set import PhaseMap
from cosim.feeder.legs import Legs, leg_powers
from cosim.feeder.linear_network import is_weakly_grounded
from cosim.feeder.network import LINE, SOURCE, TRAFO, TRAFO3W_HV, TRAFO3W_LV, Complexes, Floats, Ints, Network
from cosim.feeder.topology import Elements, Topology


def device_y(net: Network, dev_state: Ints) -> Complexes:
    """Primitive admittances of the network with every device in its present state. [pu]"""
    y = net.el_y.copy()
    size = np.diff(net.el_ptr)
    start = np.concatenate([[0], np.cumsum(size**2)])
    at = 0
    for d in range(net.dev_el.size):
        e, n_state = int(net.dev_el[d]), int(net.dev_ptr[d + 1] - net.dev_ptr[d])
        entries = int(size[e]) ** 2
        first = at + int(dev_state[d]) * entries
        y[start[e] : start[e + 1]] = net.dev_y[first : first + entries]
        at += n_state * entries
    return y


DISPLACED = 0.25
"""Zero over positive sequence of a bus's voltages to ground above which ground is no neutral of it: 1 where a corner of
a delta is grounded, 0.5 where the middle of one of its windings is, a few per cent on a grounded feeder. [1]"""


def ungrounded_sites(f: FeederArrays) -> frozenset[int]:
    """Data centers, by number, that cannot draw to ground: through next to nothing, or where ground is no neutral."""
    v = f.v_base[0::2] + 1j * f.v_base[1::2]
    z = f.port_z[0::2, :-1:2] + 1j * f.port_z[1::2, :-1:2]
    found = []
    for site in range(f.site_ptr.size - 1):
        ports = np.arange(f.site_ptr[site], f.site_ptr[site + 1])
        if ports.size < 2 or np.any(f.port_row[ports, 1] >= 0):
            continue
        if ports.size == 3 and is_displaced(v[f.port_row[ports, 0]]):
            found.append(site)
            continue
        if is_weakly_grounded(z[np.ix_(ports, ports)]):
            found.append(site)
    return frozenset(found)


def is_displaced(v: Complexes) -> bool:
    """Whether the neutral of three phase voltages is away from ground, whatever way their phases turn."""
    turn = np.exp(2j * np.pi / 3 * np.arange(3))
    return bool(abs(v.sum()) > DISPLACED * max(abs(v @ turn), abs(v @ turn.conj())))


def floating_rows(top: Topology, sound: Topology) -> list[int]:
    """Rows of zones that nothing but capacitance holds to ground, faults aside: `sound` has none.

    A fault may ground such a zone. What draws between the phases there goes on doing so.
    """
    of_node = np.isin(sound.node, sound.zones[0]) & (top.node >= 0)
    return list(np.unique(top.node[of_node]).tolist())


def place_ports(
    top: Topology, port_nodes: Sequence[Ints], gens: Sequence[int], floating: Iterable[int], weak: frozenset[int]
) -> tuple[Ints, Floats, Ints]:
    """Rows, nominal voltage and start of the ports of data centers, then generators.

    A data center draws from each phase to ground, or between phases where nothing holds the neutral: at two or
    three phases of a floating zone, whose rows are `floating`, or of a weakly grounded bus, whose data center is
    in `weak`.
    """
    rows, base, count = [], [], []
    floating = set(floating)
    for site, nodes in enumerate(port_nodes):
        at = top.node[nodes]
        if at.size > 1 and (site in weak or floating.issuperset(at.tolist())):
            ends = np.column_stack([at, np.roll(at, -1)])[: 3 if at.size == 3 else 1]
            base += [math.sqrt(3.0)] * len(ends)
        else:
            ends = np.column_stack([at, np.full(at.size, -1)])
            base += [1.0] * len(ends)
        rows.append(ends)
        count.append(len(ends))
    rows.append(np.column_stack([gens, np.full(len(gens), -1)]).reshape(-1, 2))
    base += [1.0] * len(gens)
    return np.vstack(rows).astype(np.int64), np.array(base), np.cumsum([0, *count]).astype(np.int64)


def count_sizes(top: Topology, legs: Legs, n_dc: int, n_port: int, n_control_sensor: int) -> Ints:
    """Array `sizes` of `FeederArrays`."""
    kind = top.elements.kind
    sizes = np.zeros(ix.N_SIZES, np.int64)
    sizes[ix.N_FREE], sizes[ix.N_ROW] = top.n_free, top.n_row
    sizes[ix.N_DC], sizes[ix.N_PORT] = n_dc, n_port
    sizes[ix.N_LEG], sizes[ix.N_GROUND_LEG] = legs.n_free, legs.n_ground
    sizes[ix.N_ELEMENT], sizes[ix.N_PASSIVE] = kind.size, int(np.sum(kind != SOURCE))
    sizes[ix.N_LINE], sizes[ix.N_TRAFO] = int(np.sum(kind == LINE)), int(np.sum(np.isin(kind, (TRAFO, TRAFO3W_HV))))
    sizes[ix.N_CONTROL_SENSOR] = n_control_sensor
    return sizes


def trafo_elements(el: Elements) -> Ints:
    """Row in the log and element of every transformer, the legs of a three-winding one in one row."""
    two = np.flatnonzero(el.kind == TRAFO)
    legs = [np.flatnonzero(el.kind == kind) for kind in range(TRAFO3W_HV, TRAFO3W_LV + 1)]
    rows = [np.arange(two.size), *(two.size + np.arange(leg.size) for leg in legs)]
    return np.column_stack([np.concatenate(rows), np.concatenate([two, *legs])]).astype(np.int64)


def phase_rows(phases: PhaseMap | None, top: Topology) -> dict[str, np.ndarray]:
    """Array `sequence_row` of `FeederArrays`, and empty factors."""
    row = np.zeros(0, np.int64) if phases is None else top.node[phases.node].astype(np.int64)
    return {"sequence_row": row, "sequence": np.zeros((top.n_row, row.size, 4))}


def phase_factors(phases: PhaseMap | None, top: Topology) -> Floats:
    """Array `sequence` of `FeederArrays`."""
    if phases is None:
        return np.zeros((top.n_row, 0, 4))
    factors = np.zeros((top.n_row, phases.node.size, 4))
    live = top.node >= 0
    for first, by_node in ((0, phases.v2), (2, phases.v0)):
        factors[top.node[live], :, first : first + 2] = as_pairs(by_node[live])
    return factors


def drawn_currents(f: FeederArrays, el: Elements, v: Complexes) -> Complexes:
    """Current that elements (sources' impedances aside), shunts and legs draw from each row. [pu]"""
    drawn: Complexes = np.conj(f.row_shunt[:, 0] + 1j * f.row_shunt[:, 1]) * v
    v_end = np.where(el.node >= 0, v[np.maximum(el.node, 0)], 0)
    y = f.el_y[:, 0] + 1j * f.el_y[:, 1]
    for e in np.flatnonzero(el.kind != SOURCE):
        span = slice(el.ptr[e], el.ptr[e + 1])
        k = el.ptr[e + 1] - el.ptr[e]
        into = y[el.y_ptr[e] : el.y_ptr[e + 1]].reshape(k, k) @ v_end[span]
        live = el.node[span] >= 0
        np.add.at(drawn, el.node[span][live], into[live])
    row = f.leg_row
    across = v[row[:, 0]] - np.where(row[:, 1] >= 0, v[np.maximum(row[:, 1], 0)], 0)
    current = np.conj(leg_powers(f.leg_law, np.abs(across) ** 2) / across)
    np.add.at(drawn, row[:, 0], current)
    np.add.at(drawn, row[row[:, 1] >= 0, 1], -current[row[:, 1] >= 0])
    return drawn


def as_pairs(z: Complexes) -> Floats:
    """Complex numbers as a last axis of real and imaginary part."""
    return np.stack([z.real, z.imag], axis=-1)


def element_arrays(el: Elements) -> dict[str, np.ndarray]:
    """The `el_*` arrays of the kernels, admittances left empty."""
    return {
        "el_ptr": el.ptr,
        "el_row": el.node,
        "el_first": np.add.reduceat(np.append(el.terminal == 0, False), el.ptr[:-1]).astype(np.int64),
        "el_y_ptr": el.y_ptr,
        "el_y": np.zeros((el.y.size, 2)),
        "el_sum": np.zeros((el.node.size, 2)),
        "el_loading": el.loading,
        "trafo_el": trafo_elements(el),
    }
