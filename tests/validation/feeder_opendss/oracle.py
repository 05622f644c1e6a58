"""OpenDSS itself as the reference: a circuit led into another state and solved there with controls frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from opendssdirect import dss as engine

TOLERANCES_PU = (1e-13, 1e-12, 1e-11, 1e-10)


class Oracle:
    """A master run, and solved with its controls where they stand if it did not solve itself."""

    def __init__(self, master: Path) -> None:
        self.dss = engine.NewContext()
        self.dss.Basic.AllowChangeDir(False)
        self.dss.Text.Command(f'compile "{master}"')
        solution = self.dss.Solution
        solution.MaxIterations(1000)
        solution.MaxControlIterations(1000)
        solved = solution.TotalIterations() and solution.Converged()
        solution.ControlMode(-1)
        if not solved:
            solution.Solve()

    def command(self, text: str) -> None:
        self.dss.Text.Command(text)

    def scale_loads(self, factor: float) -> None:
        self.dss.Text.Command("BatchEdit Load..* status=variable")
        self.dss.Solution.LoadMult(self.dss.Solution.LoadMult() * factor)

    def scale_sources(self, factor: float) -> None:
        more = self.dss.Vsources.First()
        while more:
            self.dss.Vsources.PU(self.dss.Vsources.PU() * factor)
            more = self.dss.Vsources.Next()

    def set_tap(self, trafo: str, winding: int, ratio: float) -> None:
        self.dss.Transformers.Name(trafo)
        self.dss.Transformers.Wdg(winding)
        self.dss.Transformers.Tap(ratio)

    def set_steps(self, bank: str, on: int) -> None:
        self.dss.Capacitors.Name(bank)
        n = self.dss.Capacitors.NumSteps()
        self.dss.Capacitors.States([1] * on + [0] * (n - on))

    def controlled_winding(self, trafo: str) -> int:
        more = self.dss.RegControls.First()
        while more:
            if self.dss.RegControls.Transformer().lower() == trafo:
                return self.dss.RegControls.TapWinding()
            more = self.dss.RegControls.Next()
        raise KeyError(trafo)

    def solve(self) -> dict[str, complex]:
        """Voltage of every node in volts, solved as tightly as the engine can."""
        solution = self.dss.Solution
        for tolerance in TOLERANCES_PU:
            solution.Convergence(tolerance)
            solution.Solve()
            if solution.Converged():
                break
        assert solution.Converged()
        pairs = np.asarray(self.dss.Circuit.YNodeVArray())
        names = [name.lower() for name in self.dss.Circuit.YNodeOrder()]
        return dict(zip(names, pairs[0::2] + 1j * pairs[1::2], strict=True))
