"""pandapower as the judge of balanced feeders, with the interface of `OpenDss`.

Voltages come from `runpp`. The answer to a current, which the continuation needs, comes from a fixed point on
pandapower's own admittance matrix: it is not a power that is given, so there is no nose in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from place import Place
from scipy.sparse.linalg import splu

TOLERANCES_MVA = (1e-10, 1e-9, 1e-8)
FIXED_POINT_STEPS = 2_000
FIXED_POINT_PU = 1e-12


class Pandapower:
    """A balanced feeder with one load for a data center.

    Parameters
    ----------
    net : pandapowerNet
        Without voltage-controlled generators.
    names : sequence of str
        Names of `net.bus`, in its order.

    Raises
    ------
    ValueError
        If the network has voltage-controlled generators.
    """

    def __init__(self, net: Any, names: tuple[str, ...]) -> None:
        import pandapower as pp

        if len(net.gen):
            raise ValueError("voltage-controlled generators")
        self.net, self.nodes = net, names
        self.position = {name: k for k, name in enumerate(names)}
        self.load = int(pp.create_load(net, net.bus.index[0], 0.0, 0.0))
        self.loosest = 0.0
        if not self.solve():
            raise RuntimeError("runpp does not converge")
        self._take_matrix()

    def solve(self) -> bool:
        """`runpp` from a cold start, as tightly as round-off lets it; whether it converged."""
        import pandapower as pp

        for tolerance in TOLERANCES_MVA:
            try:
                pp.runpp(self.net, tolerance_mva=tolerance, max_iteration=100)
            except pp.LoadflowNotConverged:
                continue
            self.loosest = max(self.loosest, tolerance)
            return True
        return False

    def _take_matrix(self) -> None:
        inside = self.net._ppc["internal"]
        self.scale = float(self.net._ppc["baseMVA"])
        self.row = self.net._pd2ppc_lookups["bus"][self.net.bus.index.to_numpy()]
        self.free = np.asarray(inside["pq"])
        given = np.setdiff1d(np.arange(inside["Ybus"].shape[0]), self.free)
        self.s_drawn = -np.asarray(inside["Sbus"])[self.free]
        self.v_free = np.asarray(inside["V"])[self.free]
        self.solver = splu(inside["Ybus"][self.free][:, self.free].tocsc())
        self.driven = inside["Ybus"][self.free][:, given] @ np.asarray(inside["V"])[given]
        self.place_of = {int(row): k for k, row in enumerate(self.free)}

    def v_pu(self) -> np.ndarray:
        """Complex voltage of every bus, zero where de-energized. [pu]"""
        res = self.net.res_bus
        found: np.ndarray = res.vm_pu.to_numpy() * np.exp(1j * np.radians(res.va_degree.to_numpy()))
        return np.nan_to_num(found)

    def set_datacenter(self, place: Place, p_mw: float, q_mvar: float) -> None:
        """Put the data center there. [MW, Mvar]"""
        index = self.net.bus.index[self.position[place.bus]]
        self.net.load.loc[self.load, ["bus", "p_mw", "q_mvar"]] = [index, p_mw, q_mvar]

    def legs(self, place: Place) -> np.ndarray:
        """Balanced: one leg."""
        return np.eye(1)

    def respond(self, place: Place, drawn_pu: np.ndarray) -> np.ndarray | None:
        """Voltage at a place that draws a current on 1 MVA; None where the fixed point does not converge. [pu]"""
        drawn = np.zeros(self.free.size, complex)
        k = self.place_of[int(self.row[self.position[place.bus]])]
        drawn[k] = drawn_pu[0] / self.scale
        v = self.v_free
        for _ in range(FIXED_POINT_STEPS):
            after = self.solver.solve(-self.driven - drawn - np.conj(self.s_drawn / v))
            change = float(np.max(np.abs(after - v)))
            v = after
            if change < FIXED_POINT_PU:
                self.v_free = v
                return v[[k]]
            if not change < 1e3:
                break
        return None

    def ten_places(self) -> list[Place]:
        """Ten buses spread over the driving-point impedance, nearest first."""
        ranked = []
        for name, row in zip(self.nodes, self.row, strict=True):
            k = self.place_of.get(int(row), -1) if row >= 0 else -1
            if k < 0 or abs(self.v_pu()[self.position[name]]) == 0.0:
                continue
            unit = np.zeros(self.free.size, complex)
            unit[k] = 1.0
            ranked.append((float(f"{abs(self.solver.solve(unit)[k]):.6g}"), self.position[name]))
        ranked.sort()
        rows = np.unique(np.round(np.linspace(0, len(ranked) - 1, 11)[1:]).astype(int))
        return [Place(self.nodes[ranked[k][1]]) for k in rows]
