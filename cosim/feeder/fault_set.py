"""The faults under way in a network: what they add to it, and the other sequences of a balanced one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.faults import FaultConfig, PlacedFault, element_y, faulted_line, place_fault, voltage_inside
from cosim.feeder.network import Complexes, Ints, Network
from cosim.feeder.sequences import TO_PHASES, Sequences, SwitchState, negative_shunts, reduce_sequences
from cosim.feeder.topology import Shunt, apply_switches
from cosim.feeder.zero_sequence import ZeroSequenceConfig, transposed, zero_sequence_y


@dataclass(frozen=True)
class PhaseMap:
    """Negative and zero sequence of a balanced feeder per positive-sequence voltage at m of its nodes (last axis)."""

    node: Ints
    """[m]"""
    v2: Complexes
    """[n_node, m] [1]"""
    v0: Complexes
    i2: Complexes
    """[K, m] into every conductor of the network. [pu]"""
    i0: Complexes


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
            As `place_fault` does; unbalanced faults of a balanced feeder, one of them along a line.
        """
        placed = place_fault(self._net, config, self._zero)
        together = [*self._placed.values(), placed]
        if self._net.is_balanced and len(together) > 1 and any(f.is_unbalanced for f in together):
            inside = next((f for f in together if f.element >= 0), None)
            if inside is not None:
                told = (
                    "on a balanced feeder an unbalanced fault lasts beside this one, and one of them is along a line: "
                    "put it at a bus"
                )
                raise InputError(Problem(told, path="line" if config.line else "bus", value=config.line or config.bus))
        return placed

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
        if self._is_unbalanced and at_buses:
            joint = np.block([[own[i][j] for j in at_buses] for i in at_buses])
            return with_lines, [Shunt(np.concatenate([faults[k].nodes for k in at_buses]), joint)]
        return with_lines, [Shunt(faults[k].nodes, own[k][k]) for k in at_buses]

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
        return PhaseMap(node, found.v2 @ per_node, found.v0 @ per_node, found.i2 @ per_node, found.i0 @ per_node)

    def _fault_voltages(self, switches: SwitchState, y: Complexes) -> tuple[Ints, Complexes]:
        """Nodes whose voltages give the positive sequence at each fault of a balanced feeder, and how. [k, m]"""
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
