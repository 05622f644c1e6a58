"""OpenDSS's own equations solved beyond its digits: whose error a difference of 1e-9 pu is.

    python tests/validation/feeder_opendss/own_equations.py [--cases ieee13 ieee37 ieee123 ...]

Behind a delta nothing but some 1e-6 of a winding's admittance ties a node to ground, beside switches of 1e-4 ohm: the
last digits of a matrix in double precision move such a node by some 1e-9 pu. So primitive admittances and the currents
that loads and sources inject at given voltages are taken from the engine, what they leave over at each node is summed
in extended precision, element by element, and the voltages are refined until that is gone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

FEEDERS = Path(__file__).resolve().parents[4] / "shared" / "data" / "feeders"
MOST_STEPS = 60
ENOUGH = 1e-13
"""Step at which refinement ends, in parts of the voltage. [1]"""
ROUND_OFF = 1e-10
"""Below it a step that is no smaller than the one before is round-off of the factors. [1]"""


class OwnEquations:
    """Those of a circuit as it stands: Y V = I, with Y as the sum of what its elements are.

    Parameters
    ----------
    dss : object
        An engine context of OpenDSSDirect.
    """

    def __init__(self, dss: Any) -> None:
        self.dss = dss
        self.order = [name.lower() for name in dss.Circuit.YNodeOrder()]
        self.position = {name: k for k, name in enumerate(self.order)}
        self.primitive: list[tuple[np.ndarray, np.ndarray]] = []
        """Rows of each element's conductors (-1 at ground), its primitive admittance. [S]"""
        for name in dss.Circuit.AllElementNames():
            dss.Circuit.SetActiveElement(name)
            y = np.asarray(dss.CktElement.YPrim())
            if dss.CktElement.Enabled() and y.size > 1:  # controls and meters have none
                rows = self._rows()
                self.primitive.append((rows, y.view(complex).reshape(rows.size, rows.size)))
        self.solver = splu(self._matrix())

    def _rows(self) -> np.ndarray:
        """Row of each conductor of the active element, -1 at ground."""
        element = self.dss.CktElement
        order = np.asarray(element.NodeOrder())
        buses = np.repeat([bus.split(".")[0].lower() for bus in element.BusNames()], element.NumConductors())
        return np.array(
            [self.position[f"{bus}.{node}"] if node > 0 else -1 for bus, node in zip(buses, order, strict=True)]
        )

    def _matrix(self) -> csc_matrix:
        n = len(self.order)
        rows = np.concatenate([np.repeat(r, r.size) for r, _ in self.primitive])
        columns = np.concatenate([np.tile(r, r.size) for r, _ in self.primitive])
        values = np.concatenate([y.ravel() for _, y in self.primitive])
        there = (rows >= 0) & (columns >= 0)
        return csc_matrix((values[there], (rows[there], columns[there])), shape=(n, n))

    def _injected(self, v: np.ndarray) -> np.ndarray:
        """Currents that the engine's sources and loads inject at voltages, beyond what is in their admittance. [A]"""
        matrix, n = self.dss.YMatrix, 2 * len(self.order)
        into, pairs = matrix.VVector(), v.astype(complex).view(float).tolist()
        for k in range(n):  # ground comes first
            into[k + 2] = pairs[k]
        matrix.ZeroInjCurr()
        matrix.GetSourceInjCurrents()
        matrix.GetPCInjCurr()
        return np.array(matrix.getI()[2 : n + 2]).view(complex)

    def _left_over(self, v: np.ndarray) -> np.ndarray:
        """Current that is left over at every node. [A]"""
        left, grounded = np.append(self._injected(v).astype(np.clongdouble), 0), np.append(v, 0)
        for rows, y in self.primitive:
            np.subtract.at(left, rows, (y.astype(np.clongdouble) * grounded[rows]).sum(axis=1))
        return left[:-1]

    def solved(self) -> dict[str, complex]:
        """Voltage of every node, from the engine's present solution on, which it takes the place of. [V]

        Raises
        ------
        RuntimeError
            If refinement does not end.
        """
        v = np.asarray(self.dss.Circuit.YNodeVArray()).view(complex)
        found, before, least = v.astype(np.clongdouble), np.inf, 1e-3 * np.abs(v).max()
        for _ in range(MOST_STEPS):
            step = self.solver.solve(self._left_over(found).astype(complex))
            size = float(np.max(np.abs(step) / np.maximum(np.abs(v), least)))
            found = found + step
            if size < ENOUGH or (size < ROUND_OFF and size > 0.5 * before):
                return dict(zip(self.order, found.astype(complex).tolist(), strict=True))
            before = size
        raise RuntimeError(f"the last step still moved a voltage by {before:.1e} of itself")


def main() -> None:
    from cosim_subject import Subject
    from dss_cases import CASES, write_case
    from dss_reference import OpenDss

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=["ieee13", "ieee34", "ieee37", "ieee123"])
    options = parser.parse_args()
    print(f"{'feeder':30}{'OpenDSS [pu]':>16}{'at':>20}{'cosim [pu]':>14}{'at':>20}{'between them':>16}")
    for case in CASES:
        if not any(part in case.id for part in options.cases):
            continue
        with tempfile.TemporaryDirectory(prefix="own_equations_") as folder:
            master = write_case(case, FEEDERS / "dss", Path(folder))
            judge, voltages = OpenDss(master), Subject.of_master(master).v_pu()
        if voltages is None:
            raise RuntimeError(f"cosim does not solve {case.id}")
        theirs, solved = judge.v_pu(), OwnEquations(judge.dss).solved()
        exact = np.array([solved[name] for name in judge.nodes]) / judge.volt
        ours = np.array([voltages[name] for name in judge.nodes])
        a, b = np.abs(theirs - exact), np.abs(ours - exact)
        at_a, at_b = (judge.nodes[int(np.argmax(x))] for x in (a, b))
        print(f"{case.id:30}{a.max():16.1e}{at_a:>20}{b.max():14.1e}{at_b:>20}{np.abs(ours - theirs).max():16.1e}")


if __name__ == "__main__":
    main()
