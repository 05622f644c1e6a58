"""A feeder's network as it stands, linear and at rest: what checks before a run take of it, without kernels.

Loads and generators of given power are currents that stay as the file has them; beside a fault voltage-controlled
generators are impedances, as docs/faults.md says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from cosim.feeder.config import SourceConfig
from cosim.feeder.network import LINE, Complexes, Floats, Ints, Network
from cosim.feeder.places import nodes_at
from cosim.feeder.sources import phase_impedance, put_behind_impedance
from cosim.feeder.topology import Topology, build_topology, pairs

_DENSE_ROWS: Final = 600
"""Up to here a dense solution is faster than importing scipy.sparse. [1]"""
_MAX_ROUNDS: Final = 50
_SETTLED_PU: Final = 1e-7
"""Change of a voltage between two rounds at which currents of given power count as found. [pu]"""


WEAK: Final = 100.0
"""A bus is weakly grounded where its impedance to ground is so many times that between its phases: some ten at most on
a grounded feeder, a thousand and more behind a delta or a source of high zero-sequence impedance. [1]"""


def is_weakly_grounded(z: Complexes) -> bool:
    """Whether two or three phases have next to no path to ground, by the impedance between them. [phase, phase]"""
    ground = abs(z.sum()) / len(z)
    between = max(abs(z[0, 0] + z[k, k] - z[0, k] - z[k, 0]) / 2 for k in range(1, len(z)))
    return bool(ground > WEAK * between)


class LinearNetwork:
    """Voltages and currents that follow from currents drawn at nodes, switches and taps as in the file.

    Parameters
    ----------
    network : Network
    source : SourceConfig, optional
        Whose impedance it is behind; default as the network has it.
    """

    def __init__(self, network: Network, source: SourceConfig | None = None) -> None:
        if source is not None and source.z_pu != 0:
            network = put_behind_impedance(network, phase_impedance(network, source), network.source_v)
        self.net = network
        line_on = network.el_in_service[network.el_kind == LINE]
        self.top: Topology = build_topology(network, network.switch_closed, line_on, network.el_y)
        size = np.diff(network.el_ptr)
        self._y_ptr = np.concatenate([[0], np.cumsum(size**2)])

    def fault_a(self, nodes: Ints) -> float:
        """Largest current of a bolted fault at nodes of one bus, of all of them or of one to ground. [A]

        Balanced networks know the fault of three phases only. Infinite at an ideal source, zero without supply.
        """
        rows = self.top.node[nodes]
        if np.any(rows < 0):
            return 0.0
        if np.any(rows >= self.top.n_free):
            return np.inf
        drawn = np.zeros((self.top.n_free, rows.size), np.complex128)
        drawn[rows, np.arange(rows.size)] = 1.0
        z, v = self._solver(beside_fault=True)(drawn)[rows], self.net.node_v[nodes]
        current = np.abs(np.linalg.solve(z, v)).max()
        if not self.net.is_balanced:
            current = max(current, float(np.abs(v / np.diag(z)).max()))
        return float(current * self._per_pu_a(nodes)[0])

    def has_no_return(self, node: int) -> bool:
        """Whether a current drawn from one phase to ground has no way back: what is there draws between phases."""
        row = int(self.top.node[node])
        if self.net.is_balanced or not 0 <= row < self.top.n_free:
            return False
        if row in self.top.zones[0]:
            return True
        nodes = self.net.nodes_of_bus(int(self.net.node_bus[node]))
        rows = self.top.node[nodes[self.net.node_phase[nodes] < 4]]
        if rows.size < 2 or np.any((rows < 0) | (rows >= self.top.n_free)):
            return False
        drawn = np.zeros((self.top.n_free, rows.size), np.complex128)
        drawn[rows, np.arange(rows.size)] = 1.0
        return is_weakly_grounded(self._solver()(drawn)[rows])

    def loaded(self, drawn: Mapping[str, complex]) -> Complexes:
        """Voltage of every node with more power drawn at some buses, whatever the file's loads draw there. [pu]

        Parameters
        ----------
        drawn : mapping of bus to MVA
            Constant power, evenly on the phases of the bus (or of `bus.1.3`); between them where there are three.

        Returns
        -------
        array
            NaN where such power has no solution.

        Raises
        ------
        InputError
            The feeder lacks a bus or phase.
        """
        net, top = self.net, self.top
        legs = [leg for bus, power in drawn.items() for leg in self._legs(bus, power)]
        if not legs:
            return net.node_v.copy()
        one, other = (np.array([leg[k] for leg in legs], np.int64) for k in (0, 1))
        wanted, is_between = np.array([leg[2] for leg in legs]), other >= 0
        free = np.append((top.node >= 0) & (top.node < top.n_free), False)
        v, solve = net.node_v.copy(), self._solver()
        for _ in range(_MAX_ROUNDS):
            with np.errstate(all="ignore"):  # what has no solution runs away
                across = v[one] - np.where(is_between, v[other], 0)
                current = np.conj(wanted / across)
            into = np.zeros((top.n_free, 1), np.complex128)
            for nodes, sign in ((one, 1), (other, -1)):
                np.add.at(into[:, 0], top.node[nodes[free[nodes]]], sign * current[free[nodes]])
            change = np.append(-solve(into)[:, 0], np.zeros(top.n_row - top.n_free))
            found = np.where(top.node >= 0, net.node_v + change[np.maximum(top.node, 0)], 0)
            step, v = np.abs(found - v).max(), found
            if step < _SETTLED_PU:
                return v
        return np.full_like(v, np.nan)

    def _legs(self, bus: str, power: complex) -> list[tuple[int, int, complex]]:
        """Nodes between which a bus draws, -1 ground, and the power of each pair; none without supply. [MVA]"""
        nodes = [node for node in nodes_at(self.net, bus).tolist() if self.top.node[node] >= 0]
        if len(nodes) == 3:
            return [(nodes[k], nodes[(k + 1) % 3], power / 3) for k in range(3)]
        return [(node, -1, power / len(nodes)) for node in nodes]

    def currents_a(self, conductors: Ints, v: Complexes) -> Complexes:
        """Currents into conductors of one element at these voltages. [A]"""
        net, e = self.net, int(np.searchsorted(self.net.el_ptr, conductors[0], side="right") - 1)
        span = slice(net.el_ptr[e], net.el_ptr[e + 1])
        n, node = span.stop - span.start, net.el_node[span]
        y = net.el_y[self._y_ptr[e] : self._y_ptr[e + 1]].reshape(n, n)
        current = y @ np.where(node >= 0, v[np.maximum(node, 0)], 0)
        found: Complexes = (current * self._per_pu_a(node))[conductors - span.start]
        return found

    def _per_pu_a(self, nodes: Ints) -> Floats:
        """Amperes of 1 pu at each node."""
        kv = self.net.node_vn_kv[np.maximum(nodes, 0)]
        each: Floats = 1e3 / (kv * np.sqrt(3.0) if self.net.is_balanced else kv)
        return each

    def _solver(self, *, beside_fault: bool = False) -> Callable[[Complexes], Complexes]:
        """From currents drawn at free rows [n_free, m] to how far that lowers their voltages. [pu]"""
        n = self.top.n_free
        rows, columns = pairs(self.top.elements)
        used = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)
        rows, columns, y = rows[used], columns[used], self.top.elements.y[used]
        diagonal = self.top.shunt[:n].copy()
        if beside_fault and self.net.gen_z.size:
            at = self.top.node[self.net.gen_node]
            here = (at >= 0) & (at < n) & (self.net.gen_z != 0)
            np.add.at(diagonal, at[here], 1 / self.net.gen_z[here])
        if n <= _DENSE_ROWS:
            whole = np.diag(diagonal)
            np.add.at(whole, (rows, columns), y)
            inverse = np.linalg.inv(whole)
            return lambda drawn: inverse @ drawn
        from scipy.sparse import coo_array, diags_array
        from scipy.sparse.linalg import splu

        factors = splu((coo_array((y, (rows, columns)), shape=(n, n)) + diags_array(diagonal)).tocsc())
        return lambda drawn: np.asarray(factors.solve(drawn))
