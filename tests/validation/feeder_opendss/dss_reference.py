"""OpenDSS as the judge: one engine context a feeder, controls frozen where the master leaves them, solved tightly.

A data center is one load of constant power at any voltage: wye, or delta where nothing holds the neutral. The
feeder's own loads keep the limits of their file: below `vminpu` OpenDSS takes them off constant power, and so must
whoever is compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from place import Place
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

TOLERANCES = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8)
"""Of the voltage change of an iteration; where round-off keeps a feeder above one, the next is taken."""
MAX_ITERATIONS = 2_000
FLOATS = 100.0
"""A place floats where its impedance to ground is so many times that between its phases: some ten at most on a
grounded feeder, a thousand and more on cables behind a delta. [1]"""
ANY_VOLTAGE = "model=1 vminpu=0.01 vlowpu=0.005 vmaxpu=10"


class OpenDss:
    """A feeder in OpenDSS.

    Parameters
    ----------
    master : Path
        It is compiled as it stands; its own Solve decides the state of regulators and capacitor banks.

    Raises
    ------
    RuntimeError
        If it does not converge with its controls frozen.
    """

    def __init__(self, master: Path) -> None:
        from opendssdirect.OpenDSSDirect import OpenDSSDirect

        self.dss = OpenDSSDirect(prefer_lists=False).NewContext()
        self.command(f'compile "{master}"')
        self.command(f"set mode=snapshot controlmode=off maxiterations={MAX_ITERATIONS}")
        self.datacenters: dict[str, Place] = {}
        self.ports: dict[str, Place] = {}
        self._legs: dict[Place, np.ndarray] = {}
        self.loosest = 0.0
        """Loosest tolerance that a solution needed."""
        if not self.solve():
            raise RuntimeError(f"OpenDSS does not converge on {master.name}")
        names = [name.lower() for name in self.dss.Circuit.AllNodeNames()]
        self.nodes = tuple(names)
        self.position = {name: k for k, name in enumerate(names)}
        self.volt = np.array([self._base_volt(name.split(".")[0]) for name in names])

    def command(self, text: str) -> None:
        """One line of OpenDSS."""
        self.dss.Text.Command(text)

    def _base_volt(self, bus: str) -> float:
        self.dss.Circuit.SetActiveBus(bus)
        return float(self.dss.Bus.kVBase()) * 1e3

    def solve(self) -> bool:
        """Solve from the present voltages, as tightly as round-off lets it; whether it converged.

        Where the engine's usual iteration goes round in circles its Newton's is asked.
        """
        for algorithm in ("normal", "newton"):
            self.command(f"set algorithm={algorithm}")
            for tolerance in TOLERANCES:
                self.dss.Solution.Convergence(tolerance)
                self.dss.Solution.SolveNoControl()
                if self.dss.Solution.Converged():
                    self.loosest = max(self.loosest, tolerance)
                    return True
        return False

    def v_pu(self) -> np.ndarray:
        """Complex voltage of every node, in the order of `nodes`. [pu]"""
        found: np.ndarray = np.asarray(self.dss.Circuit.AllBusVolts()).view(complex) / self.volt
        return found

    @property
    def p_loss_mw(self) -> float:
        """Losses. [MW]"""
        return float(self.dss.Circuit.Losses()[0]) / 1e6

    @property
    def s_source_mva(self) -> complex:
        """Power that the sources deliver. [MVA]"""
        p_kw, q_kvar = self.dss.Circuit.TotalPower()
        return complex(-p_kw, -q_kvar) / 1e3

    def add_datacenter(self, place: Place) -> None:
        """A load of no power yet; several may stand at one time."""
        legs = self.legs(place)
        is_delta = bool((legs < 0).any())
        kv = self.volt[self.position[place.nodes[0]]] / 1e3
        if len(legs) > 1 or is_delta:
            kv *= np.sqrt(3)
        name = f"datacenter{len(self.datacenters)}"
        self.command(
            f"new load.{name} bus1={place.name} phases={len(legs)} conn={'delta' if is_delta else 'wye'} "
            f"kv={float(kv)!r} kw=0 kvar=0 " + ANY_VOLTAGE
        )
        self.datacenters[name] = place

    def legs(self, place: Place) -> np.ndarray:
        """Between which phases a data center draws, [legs, phases]: 1 where a leg starts, -1 where it ends.

        From each phase to ground; between phases where the place has several and nothing but capacitance and what the
        engine adds to keep a delta from floating ties them to ground.
        """
        if place not in self._legs:
            m = len(place.phases)
            legs = np.eye(m)
            if m > 1 and self._floats(place):
                legs = (legs - np.roll(legs, 1, axis=1))[: 3 if m == 3 else 1]
            self._legs[place] = legs
        return self._legs[place]

    def _floats(self, place: Place) -> bool:
        rows = [self.position[node] for node in place.nodes]
        seen = []
        solver = splu(self._y())
        for k in range(1, len(rows) + 1):  # last all alike to ground, before that in at one phase and out at another
            unit = np.zeros(len(self.nodes), complex)
            unit[rows] = 1.0
            if k < len(rows):
                unit[rows] = 0.0
                unit[rows[0]], unit[rows[k]] = 1.0, -1.0
            seen.append(abs(solver.solve(unit) @ np.conj(unit)) / np.sum(abs(unit)))
        return seen[-1] > FLOATS * max(seen[:-1])

    def set_datacenter(self, place: Place, p_mw: float, q_mvar: float) -> None:
        """Power of a data center, split evenly over its phases. [MW, Mvar]"""
        (name,) = (name for name, there in self.datacenters.items() if there == place)
        self.dss.Loads.Name(name)
        self.dss.Loads.kW(p_mw * 1e3)
        self.dss.Loads.kvar(q_mvar * 1e3)

    def add_port(self, place: Place) -> None:
        """Current sources of no current yet, one a phase."""
        name = f"port{len(self.ports)}"
        for k, node in enumerate(place.nodes):
            self.command(f"new isource.{name}_{k} bus1={node} phases=1 amps=0 angle=0")
        self.ports[name] = place

    def set_port(self, place: Place, drawn_pu: np.ndarray) -> None:
        """Currents that a port draws, on 1 MVA a phase and the nominal voltage to ground. [pu]"""
        (name,) = (name for name, there in self.ports.items() if there == place)
        sources = self.dss.Isource  # an edit in words would have the whole matrix built anew
        for k, node in enumerate(place.nodes):
            ampere = -complex(drawn_pu[k]) * 1e6 / self.volt[self.position[node]]
            sources.Name(f"{name}_{k}")
            sources.Amps(abs(ampere))
            sources.AngleDeg(float(np.degrees(np.angle(ampere))))

    def respond(self, place: Place, drawn_pu: np.ndarray) -> np.ndarray | None:
        """Voltages of a port that draws currents; None where OpenDSS does not converge. [pu]"""
        self.set_port(place, drawn_pu)
        if not self.solve():
            return None
        return self.v_pu()[[self.position[node] for node in place.nodes]]

    def repeatability_pu(self) -> tuple[float, str]:
        """Largest difference between its solutions from two starts, and where.

        A node that hangs on a few nano-siemens has a voltage that the engine itself does not repeat.
        """
        found = []
        for loading in (0.5, 1.2):
            self.command(f"set loadmult={loading}")
            self.solve()
            self.command("set loadmult=1")
            if not self.solve():
                raise RuntimeError("OpenDSS does not converge from another start")
            found.append(np.abs(self.v_pu()))
        difference = np.abs(found[1] - found[0])
        worst = int(np.argmax(difference))
        return float(difference[worst]), self.nodes[worst]

    def distances_pu(self, places: list[Place]) -> np.ndarray:
        """Driving-point impedance of places on 1 MVA, loads at nominal, of their worst phase. [pu]"""
        solver = splu(self._y())
        found = []
        for place in places:
            rows = [self.position[node] for node in place.nodes]
            seen = []
            for row in rows:
                unit = np.zeros(len(self.nodes), complex)
                unit[row] = 1.0
                seen.append(abs(solver.solve(unit)[row]) * 1e6 / self.volt[row] ** 2)
            found.append(max(seen))
        return np.array(found)

    def _y(self) -> Any:
        data, indices, pointers = self.dss.YMatrix.getYsparse(factor=False)
        order = [name.lower() for name in self.dss.Circuit.YNodeOrder()]
        matrix = csc_matrix((data, indices, pointers), shape=(len(order), len(order)))
        place = np.empty(len(order), int)
        place[[self.position[name] for name in order]] = np.arange(len(order))
        return matrix[place][:, place].tocsc()

    def source_buses(self) -> set[str]:
        """Buses of the sources."""
        found = set()
        for name in self.dss.Vsources.AllNames():
            self.dss.Circuit.SetActiveElement(f"vsource.{name}")
            found.add(self.dss.CktElement.BusNames()[0].split(".")[0].lower())
        return found
