"""Unbalanced faults on a balanced feeder: its negative- and zero-sequence networks, reduced to where the faults are.

Faults are the only places where the sequences meet. There the two other networks stand in the positive-sequence one
as an admittance, and give back the voltages and currents of their own everywhere. docs/faults.md has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cosim.feeder.faults import PlacedFault, cut_line
from cosim.feeder.network import (
    LOAD,
    MOTOR,
    P_1,
    P_2,
    P_E,
    P_EXP,
    Q_1,
    Q_2,
    Q_E,
    Q_EXP,
    WARD,
    XWARD_PQ,
    Bools,
    Complexes,
    Floats,
    Ints,
    Network,
)
from cosim.feeder.topology import apply_switches, conductors_of_entries, fuse, pairs

A: Final = complex(-0.5, np.sqrt(0.75))
"""Turn by a third. [1]"""
TO_PHASES: Final = np.array([[1, 1, 1], [1, A * A, A], [1, A, A * A]])
"""Voltages of phases a, b, c from those of zero, positive and negative sequence."""
LEAK: Final = 1e-13
"""Admittance of every node to ground over its own, without which the voltage of a zone that nothing holds to ground
would be left open; far below any charging, above rounding. [1]"""


@dataclass(frozen=True)
class SwitchState:
    """What is switched: arguments of `apply_switches`."""

    closed: Bools
    line_on: Bools
    is_cut: Bools | None

    @property
    def key(self) -> bytes:
        """Equal for equal states."""
        key = np.packbits(np.concatenate([self.closed, self.line_on])).tobytes()
        return key if self.is_cut is None else key + b"poles" + np.packbits(self.is_cut).tobytes()


@dataclass(frozen=True)
class Sequences:
    """Negative and zero sequence for k faults, each per positive-sequence voltage at a fault (last axis)."""

    y1: Complexes
    """[k, k] admittance in which the faults stand in the positive sequence. [pu]"""
    v2: Complexes
    """[n_node, k] [1]"""
    v0: Complexes
    v2_at: Complexes
    """[k, k] at the faults. [1]"""
    v0_at: Complexes
    i2: Complexes
    """[K, k] into every conductor of the network's elements. [pu]"""
    i0: Complexes


def reduce_sequences(
    net: Network,
    faults: Sequence[PlacedFault],
    switches: SwitchState,
    y2: Complexes,
    y0: Complexes | None,
    shunt2: Complexes,
) -> Sequences:
    """Solve both networks for the faults.

    Parameters
    ----------
    net : Network
        Balanced.
    faults : sequence of PlacedFault
        At least one.
    switches : SwitchState
    y2, y0 : array
        Primitive admittances in the order of `Network.el_y`; y0 None where no fault drives a zero sequence. [pu]
    shunt2 : array [n_node]
        Admittances to ground in the negative sequence: shunts and loads. [pu]
    """
    from scipy.sparse import block_diag, coo_matrix
    from scipy.sparse.linalg import splu

    parts = [_SequenceNetwork(net, faults, switches, y2, shunt2)]
    if y0 is not None:
        parts.append(_SequenceNetwork(net, faults, switches, y0, np.zeros_like(shunt2)))
    orders, first = [2, 0], [0, parts[0].n]
    k, n = len(faults), sum(part.n for part in parts)
    met = np.linalg.inv(TO_PHASES) @ np.array([fault.y for fault in faults]) @ TO_PHASES
    rows, columns, values = [], [], []
    driven = np.zeros((n, k), np.complex128)
    for f in range(k):
        at = {orders[p]: first[p] + int(part.fault[f]) for p, part in enumerate(parts) if part.fault[f] >= 0}
        for a, row in at.items():
            driven[row, f] -= met[f, a, 1]
            for b, column in at.items():
                rows.append(row)
                columns.append(column)
                values.append(met[f, a, b])
    matrix = block_diag([part.matrix for part in parts]) + coo_matrix((values, (rows, columns)), shape=(n, n))
    found = splu(matrix.tocsc()).solve(driven)
    v = [found[first[p] : first[p] + part.n] for p, part in enumerate(parts)]
    at_faults = [part.at_faults(own) for part, own in zip(parts, v, strict=True)]
    nothing = np.zeros_like
    v2_at, v0_at = at_faults[0], at_faults[1] if len(parts) > 1 else nothing(at_faults[0])
    y1 = np.diag(met[:, 1, 1]) + met[:, 1, 2, None] * v2_at + met[:, 1, 0, None] * v0_at
    nodes = [part.at_nodes(own) for part, own in zip(parts, v, strict=True)]
    currents = [part.currents(own) for part, own in zip(parts, v, strict=True)]
    return Sequences(
        y1=y1,
        v2=nodes[0],
        v0=nodes[1] if len(parts) > 1 else nothing(nodes[0]),
        v2_at=v2_at,
        v0_at=v0_at,
        i2=currents[0],
        i0=currents[1] if len(parts) > 1 else nothing(currents[0]),
    )


class _SequenceNetwork:
    """One sequence: its matrix, sources at zero, and where the faults are in it."""

    def __init__(
        self, net: Network, faults: Sequence[PlacedFault], switches: SwitchState, y: Complexes, shunt: Complexes
    ) -> None:
        self._net = net
        size = np.diff(net.el_ptr)
        self._y_start = np.concatenate([[0], np.cumsum(size**2)])
        whole = y.copy()
        for fault in faults:
            if fault.element >= 0:
                whole[self._y_start[fault.element] : self._y_start[fault.element + 1]] = 0
        self._elements = apply_switches(net, switches.closed, switches.line_on, whole, switches.is_cut)
        root = fuse(net, switches.closed)
        grounded = np.zeros(root.size, bool)
        grounded[root[net.source_node[net.node_in_service[net.source_node]]]] = True
        free = np.flatnonzero((root == np.arange(root.size)) & ~grounded)
        local = np.full(root.size, -1, np.int64)
        local[free] = np.arange(free.size)
        self.index: Ints = local[root]
        """Row of every node of the network, -1 where a source holds it at zero."""
        self.n = int(free.size)
        self.fault = np.full(len(faults), -1, np.int64)
        """Row of every fault, -1 likewise."""
        self._cuts: list[tuple[int, Ints, Complexes]] = []
        for k, fault in enumerate(faults):
            self.fault[k] = self._place(fault, y)
        self.matrix = self._assembled(shunt)

    def _place(self, fault: PlacedFault, y: Complexes) -> int:
        """Row of a fault; one along a line gets its own, and so does an open end of that line."""
        if fault.element < 0:
            return int(self.index[fault.nodes[0]])
        e = fault.element
        span = slice(self._net.el_ptr[e], self._net.el_ptr[e + 1])
        cut = cut_line(y[self._y_start[e] : self._y_start[e + 1]].reshape(2, 2), fault.config.position or 0.5)
        rows = []
        for node in self._elements.node[span].tolist():
            rows.append(int(self.index[node]) if node >= 0 else self.n)
            self.n += node < 0
        self._cuts.append((int(span.start), np.array([*rows, self.n]), cut))
        self.n += 1
        return self.n - 1

    def _assembled(self, shunt: Complexes) -> object:
        from scipy.sparse import coo_matrix, diags

        at_row, at_column = pairs(self._elements)
        rows = np.where(at_row >= 0, self.index[at_row], -1)
        columns = np.where(at_column >= 0, self.index[at_column], -1)
        live = np.flatnonzero(self._net.node_in_service & (self.index >= 0))
        all_rows, all_columns = [rows, self.index[live]], [columns, self.index[live]]
        values = [self._elements.y, shunt[live]]
        for _, at, cut in self._cuts:
            all_rows.append(np.repeat(at, 3))
            all_columns.append(np.tile(at, 3))
            values.append(cut.ravel())
        row, column, value = (np.concatenate(x) for x in (all_rows, all_columns, values))
        used = (row >= 0) & (column >= 0)
        matrix = coo_matrix((value[used], (row[used], column[used])), shape=(self.n, self.n)).tocsc()
        own = np.abs(matrix.diagonal())
        return matrix + diags(LEAK * np.where(own > 0, own, 1.0))

    def at_nodes(self, v: Complexes) -> Complexes:
        """Voltages by node of the network from those by row."""
        held = np.vstack([v, np.zeros((1, v.shape[1]))])
        nodes: Complexes = held[self.index]
        return nodes

    def at_faults(self, v: Complexes) -> Complexes:
        """Voltages at the faults."""
        return np.where(self.fault[:, None] >= 0, v[self.fault], 0)

    def currents(self, v: Complexes) -> Complexes:
        """Currents into all conductors of the network's own elements."""
        e = self._elements
        row, column = conductors_of_entries(e)
        at = np.where(e.node[column] >= 0, self.index[e.node[column]], -1)
        into = np.zeros((e.node.size, v.shape[1]), np.complex128)
        np.add.at(into, row[at >= 0], e.y[at >= 0, None] * v[at[at >= 0]])
        for first, rows, cut in self._cuts:
            ends = np.where(rows[:, None] >= 0, v[rows], 0)
            into[first : first + 2] = (cut @ ends)[:2]
        return into[: self._net.el_node.size]


def negative_shunts(net: Network, s_mva: Complexes) -> Complexes:
    """Admittances to ground in the negative sequence: shunts, and loads by their law.

    Each phase of a load whose power goes with the exponent a of its own voltage draws |V|^(a - 2) V conj(s). To first
    order in V_2 / V_1 that is a / 2 times the admittance conj(s): all of it for an impedance, half for a constant
    current, nothing for a constant power. Motors are impedances of their power, voltage-controlled generators their
    subtransient one. Other generators and storages are converters of balanced currents.

    Parameters
    ----------
    net : Network
    s_mva : array [n_inj]
        Powers at rated voltage. [MVA]

    Returns
    -------
    array [n_node]
        [pu]
    """
    y: Complexes = net.node_y_shunt.copy()
    kind, law = net.inj_kind[net.leg_inj], net.leg_shape
    s = s_mva[net.leg_inj] * net.leg_share
    p = s.real * (0.5 * law[:, P_1] + law[:, P_2] + 0.5 * law[:, P_EXP] * law[:, P_E])
    q = s.imag * (0.5 * law[:, Q_1] + law[:, Q_2] + 0.5 * law[:, Q_EXP] * law[:, Q_E])
    own = np.where(kind == MOTOR, np.conj(s), p - 1j * q)
    passes = np.isin(kind, (LOAD, MOTOR, WARD, XWARD_PQ)) & (net.leg_node[:, 0] >= 0)
    np.add.at(y, net.leg_node[passes, 0], own[passes])
    turns = net.gen_z != 0
    np.add.at(y, net.gen_node[turns], 1.0 / net.gen_z[turns])
    return y


def phase_magnitudes(v1: Complexes, v2: Complexes, v0: Complexes) -> Floats:
    """Magnitudes of phases a, b, c on a last axis. [pu]"""
    size: Floats = np.abs(np.stack([v0, v1, v2], axis=-1) @ TO_PHASES.T)
    return size
