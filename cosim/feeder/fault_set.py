"""The faults under way in a network: what they add to it, and the other sequences of a balanced one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.feeder.faults import (
    FaultConfig,
    PlacedFault,
    cut_line,
    element_y,
    faulted_line,
    place_fault,
    voltage_inside,
)
from cosim.feeder.network import Complexes, Ints, Network
from cosim.feeder.sequences import TO_PHASES, Sequences, SwitchState, negative_shunts, reduce_sequences
from cosim.feeder.topology import Shunt, apply_switches, without
from cosim.feeder.zero_sequence import ZeroSequenceConfig, transposed, zero_sequence_y


@dataclass(frozen=True)
class PhaseMap:
    """Negative and zero sequence of a balanced feeder per positive-sequence voltage at m of its nodes (last axis)."""

    node: Ints
    """[m]"""
    v2: Complexes
    """[n_node, m] [1]"""
    v0: Complexes
    i1: Complexes
    """[K, m] into every conductor of the network, in the positive sequence what its own element leaves out. [pu]"""
    i2: Complexes
    i0: Complexes


@dataclass(frozen=True)
class _Joint:
    """Several faults that the other sequences couple, as they show at the nodes of the positive one."""

    node: Ints
    """[m] buses and closed ends of lines, which may be the same."""
    inside: Complexes
    """[k, m] voltage at each fault per voltage there. [1]"""
    y: Complexes
    """[m, m] what they add there beside the lines' own elements. [pu]"""
    ends: dict[int, Ints]
    """Places in `node` of the two ends of each faulted line by its element, -1 where open."""


class FaultSet:
    """Faults by name.

    Parameters
    ----------
    net : Network
    zero : ZeroSequenceConfig or None
    s_mva : array [n_inj]
        Powers by which loads pass a negative sequence. [MVA]
    """

    def __init__(self, net: Network, zero: ZeroSequenceConfig | None, s_mva: Complexes) -> None:
        self._net, self._zero = net, zero
        self._shunt2 = negative_shunts(net, s_mva) if net.is_balanced else np.zeros(0, np.complex128)
        self._placed: dict[str, PlacedFault] = {}
        self._known: tuple[bytes, Sequences] | None = None

    def __len__(self) -> int:
        return len(self._placed)

    @property
    def configs(self) -> dict[str, FaultConfig]:
        """What a scenario says of them."""
        return {name: fault.config for name, fault in self._placed.items()}

    @property
    def key(self) -> bytes:
        """Equal for faults that do the same to the network."""
        return b"".join(fault.key for fault in self._placed.values())

    def node(self, name: str) -> int:
        """First node of a fault, of whose nominal voltage all its nodes are."""
        return int(self._placed[name].nodes[0])

    def place(self, config: FaultConfig) -> PlacedFault:
        """Find a fault's place beside those that there are.

        Raises
        ------
        InputError
            As `place_fault` does.
        """
        return place_fault(self._net, config, self._zero)

    def put(self, name: str, fault: PlacedFault) -> None:
        """Add one."""
        self._placed[name] = fault

    def remove(self, name: str) -> bool:
        """Take one away, where it is there."""
        return self._placed.pop(name, None) is not None

    def applied(self, switches: SwitchState, y: Complexes) -> tuple[Complexes, list[Shunt]]:
        """The network's primitive admittances with the faults along lines, and shunts for those at buses. [pu]"""
        faults, net = list(self._placed.values()), self._net
        if not faults:
            return y, []
        own = self._admittances(switches, y)
        with_lines, size = y.copy(), np.diff(net.el_ptr)
        start = np.concatenate([[0], np.cumsum(size**2)])
        at_buses = [k for k, f in enumerate(faults) if f.element < 0 and net.node_in_service[f.nodes].all()]
        for k in (k for k, fault in enumerate(faults) if fault.element >= 0):
            e, position = faults[k].element, faults[k].config.position or 0.5
            line = faulted_line(element_y(net, y, e), position, faults[k].conductors, own[k][k])
            with_lines[start[e] : start[e + 1]] = line.ravel()
        if self._is_coupled:
            joint = self._joint(switches, y)
            return with_lines, [Shunt(joint.node, joint.y)]
        return with_lines, [Shunt(faults[k].nodes, own[k][k]) for k in at_buses]

    @property
    def _is_coupled(self) -> bool:
        """Whether the other sequences lead from one fault to another."""
        return self._is_unbalanced and len(self._placed) > 1

    @property
    def _is_unbalanced(self) -> bool:
        """Whether a balanced feeder has other sequences than the positive one."""
        return self._net.is_balanced and any(fault.is_unbalanced for fault in self._placed.values())

    def _admittances(self, switches: SwitchState, y: Complexes) -> list[list[Complexes]]:
        """Admittance between every two of the faults, as they stand in the network. [pu]"""
        faults = list(self._placed.values())
        if (found := self.sequences(switches, y)) is not None:
            return [[found.y1[i : i + 1, j : j + 1] for j in range(len(faults))] for i in range(len(faults))]
        if not self._net.is_balanced:
            return [[fault.y] * len(faults) for fault in faults]
        return [[fault.y[:1, :1] - fault.y[:1, 1:2]] * len(faults) for fault in faults]

    def sequences(self, switches: SwitchState, y: Complexes) -> Sequences | None:
        """Negative and zero sequence; None where there are none."""
        if not self._is_unbalanced:
            return None
        faults = list(self._placed.values())
        key = b"".join([self.key, switches.key, y.tobytes()])
        if self._known is None or self._known[0] != key:
            y0 = zero_sequence_y(self._net, self._zero) if any(fault.is_to_ground for fault in faults) else None
            y2 = transposed(self._net, y)
            self._known = key, reduce_sequences(self._net, faults, switches, y2, y0, self._shunt2)
        return self._known[1]

    def phase_map(self, switches: SwitchState, y: Complexes) -> PhaseMap | None:
        """The other sequences per voltages of the network's own nodes; None where there are none."""
        found = self.sequences(switches, y)
        if found is None:
            return None
        node, per_node = self._fault_voltages(switches, y)
        i2, i0 = found.i2 @ per_node, found.i0 @ per_node
        i1 = np.zeros_like(i2)
        if self._is_coupled:
            joint = self._joint(switches, y)
            for element, ends in joint.ends.items():
                first = self._net.el_ptr[element]
                i1[first : first + 2] = np.where(ends[:, None] >= 0, joint.y[ends], 0)
        return PhaseMap(node, found.v2 @ per_node, found.v0 @ per_node, i1, i2, i0)

    def _fault_voltages(self, switches: SwitchState, y: Complexes) -> tuple[Ints, Complexes]:
        """Nodes whose voltages give the positive sequence at each fault of a balanced feeder, and how. [k, m]"""
        if self._is_coupled:
            joint = self._joint(switches, y)
            return joint.node, joint.inside
        nodes: list[int] = []
        blocks: list[Complexes] = []
        own = self._admittances(switches, y)
        for k, fault in enumerate(self._placed.values()):
            if fault.element < 0:
                ends, inside = fault.nodes, np.ones((1, 1), np.complex128)
            else:
                ends, inside = self._inside(fault, switches, y, own[k][k])
                ends = np.maximum(ends, 0)
            nodes += ends.tolist()
            blocks.append(inside)
        per_node = np.zeros((len(blocks), len(nodes)), np.complex128)
        at = 0
        for k, block in enumerate(blocks):
            per_node[k, at : at + block.shape[1]] = block
            at += block.shape[1]
        return np.array(nodes, np.int64), per_node

    def _joint(self, switches: SwitchState, y: Complexes) -> _Joint:
        """Eliminate the faults along lines, and open ends of these (Kron), all of them together."""
        net, faults, own = self._net, list(self._placed.values()), self._admittances(switches, y)
        as_switched = apply_switches(net, switches.closed, switches.line_on, y, switches.is_cut).node
        nodes: list[int] = []
        place, lines, first = [], [], {}
        for fault in faults:
            place.append(len(nodes))
            if fault.element < 0:
                nodes.append(int(fault.nodes[0]))
                continue
            start = net.el_ptr[fault.element]
            first[fault.element] = len(nodes) + 1
            nodes += [-1, *as_switched[start : start + 2].tolist()]
            lines.append(fault)
        whole, lone = np.zeros((2, len(nodes), len(nodes)), np.complex128)
        for fault in lines:
            at, line = first[fault.element], element_y(net, y, fault.element)
            cut = np.array([at, at + 1, at - 1])
            whole[np.ix_(cut, cut)] += cut_line(line, fault.config.position or 0.5)
        whole[np.ix_(place, place)] += np.block(own)
        for k, fault in enumerate(faults):
            if fault.element >= 0:
                span = slice(first[fault.element], first[fault.element] + 2)
                line = element_y(net, y, fault.element)
                line = faulted_line(line, fault.config.position or 0.5, fault.conductors, own[k][k])
                is_open = np.array(nodes[span]) < 0
                lone[span, span] = without(line, is_open) if is_open.any() else line
        node = np.array(nodes, np.int64)
        is_bus = np.isin(np.arange(node.size), [at for at, f in zip(place, faults, strict=True) if f.element < 0])
        seen = (node >= 0) & net.node_in_service[np.maximum(node, 0)]
        hidden = ~seen & ~is_bus
        found = np.linalg.lstsq(whole[np.ix_(hidden, hidden)], -whole[np.ix_(hidden, seen)], rcond=None)[0]
        voltage = np.zeros((node.size, int(seen.sum())), np.complex128)
        voltage[seen], voltage[hidden] = np.eye(voltage.shape[1]), found
        rank = np.where(seen, np.cumsum(seen) - 1, -1)
        ends = {element: rank[at : at + 2] for element, at in first.items()}
        return _Joint(node[seen], voltage[place], (whole @ voltage)[seen] - lone[np.ix_(seen, seen)], ends)

    def _inside(
        self, fault: PlacedFault, switches: SwitchState, y: Complexes, y_fault: Complexes
    ) -> tuple[Ints, Complexes]:
        """Nodes at the ends of a faulted line, -1 where open, and the voltage at the fault per theirs."""
        net = self._net
        span = slice(net.el_ptr[fault.element], net.el_ptr[fault.element + 1])
        ends = apply_switches(net, switches.closed, switches.line_on, y, switches.is_cut).node[span]
        whole, position = element_y(net, y, fault.element), fault.config.position or 0.5
        return ends, voltage_inside(whole, position, fault.conductors, y_fault, ends < 0)

    def current(self, name: str, v_node: Complexes, switches: SwitchState, y: Complexes) -> Complexes:
        """Current into a fault at each of its phases, for voltages by node. [pu]"""
        fault = self._placed[name]
        if self._net.is_balanced:
            return self._current_by_sequences(name, v_node, switches, y)
        if fault.element < 0:
            at_bus: Complexes = fault.y @ v_node[fault.nodes]
            return at_bus
        ends, inside = self._inside(fault, switches, y, fault.y)
        along: Complexes = fault.y @ inside @ np.where(ends >= 0, v_node[np.maximum(ends, 0)], 0)
        return along

    def _current_by_sequences(self, name: str, v_node: Complexes, switches: SwitchState, y: Complexes) -> Complexes:
        node, per_node = self._fault_voltages(switches, y)
        v1 = per_node @ v_node[node]
        k, found = list(self._placed).index(name), self.sequences(switches, y)
        v2, v0 = (0j, 0j) if found is None else (found.v2_at[k] @ v1, found.v0_at[k] @ v1)
        fault = self._placed[name]
        current: Complexes = (fault.y @ (TO_PHASES @ np.array([v0, v1[k], v2])))[fault.faulted]
        return current
