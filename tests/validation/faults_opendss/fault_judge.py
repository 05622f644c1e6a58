"""The judge: OpenDSS's own solution of a feeder with a fault in it, in the state that its master file leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from opendssdirect import dss as engines

from cosim.feeder.faults import FaultConfig, phase_numbers

METALLIC_OHM = 1e-4


class FaultJudge:
    """One circuit, controls frozen, faults put in and taken out."""

    def __init__(self, master: Path) -> None:
        self.dss = engines.NewContext()
        self.dss.Basic.AllowForms(False)
        self.dss.Basic.AllowChangeDir(False)
        self._master = master
        self._n = 0
        self.reset()

    def reset(self) -> None:
        """The circuit as its file has it."""
        self.command("clear")
        self.command(f'compile "{self._master}"')
        for setting in ("controlmode=off", "mode=snapshot", "tolerance=1e-11", "maxiterations=1000"):
            self.command(f"set {setting}")

    def command(self, text: str) -> None:
        """Run one line of script; anything that it complains of is raised by the engine."""
        self.dss.Text.Command(text)

    def voltages(self, names: tuple[str, ...], kv: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Solve; voltages by node of cosim, zero where the engine has none. [pu]"""
        self.command("solve")
        assert self.dss.Solution.Converged()
        parts = np.array(self.dss.Circuit.AllBusVolts())
        found = dict(zip(map(str.lower, self.dss.Circuit.AllNodeNames()), parts[0::2] + 1j * parts[1::2], strict=True))
        return np.array([found.get(name, 0.0) for name in names]) / (1e3 * kv)

    def put(self, fault: FaultConfig, phases: list[str]) -> None:
        """Put a fault in; along a line, which is cut in two for good (until `reset`)."""
        at = fault.bus if fault.bus is not None else self._cut(fault)
        self._remove()
        if fault.x_ohm == 0 and fault.z_ground_ohm == 0:
            self._put_resistive(at, fault, phases)
        else:
            self._put_branches(at, fault, phases)

    def _remove(self) -> None:
        for k in range(self._n):
            self.command(f"disable reactor.judge{k}")
        self._n = 0
        self.command("edit fault.judge enabled=no")

    def _put_resistive(self, at: str, fault: FaultConfig, phases: list[str]) -> None:
        if fault.type == "line_to_line":
            ends = f"phases=1 bus1={at}.{phases[0]} bus2={at}.{phases[1]}"
        else:
            ends = f"phases={len(phases)} bus1={at}.{'.'.join(phases)} bus2={at}{'.0' * len(phases)}"
        self.command(f"edit fault.judge {ends} r={fault.r_ohm} enabled=yes")

    def _put_branches(self, at: str, fault: FaultConfig, phases: list[str]) -> None:
        if fault.type == "line_to_line":
            self._branch(f"{at}.{phases[0]}", f"{at}.{phases[1]}", fault.z_ohm)
            return
        joint = f"{at}.0" if fault.z_ground_ohm == 0 else "judged.1"
        for phase in phases:
            self._branch(f"{at}.{phase}", joint, fault.z_ohm)
        if fault.z_ground_ohm != 0:
            self._branch("judged.1", "judged.0", fault.z_ground_ohm)

    def _branch(self, one: str, other: str, z_ohm: complex) -> None:
        what = f"phases=1 bus1={one} bus2={other} r={z_ohm.real} x={z_ohm.imag}"
        self.dss.Circuit.SetActiveClass("reactor")
        names = {name.lower() for name in self.dss.ActiveClass.AllNames()}
        verb = "edit" if f"judge{self._n}" in names else "new"
        self.command(f"{verb} reactor.judge{self._n} {what} enabled=yes")
        self._n += 1

    def start(self, bus: str) -> None:
        """A fault to edit, at first disabled."""
        self.command(f"new fault.judge phases=1 bus1={bus}.1 enabled=no")

    def _cut(self, fault: FaultConfig) -> str:
        """Cut a line in two; the bus between."""
        self.dss.Lines.Name(fault.line)
        length, end, code = self.dss.Lines.Length(), self.dss.Lines.Bus2(), self.dss.Lines.LineCode()
        self.command(f"? line.{fault.line}.units")
        units, nodes = self.dss.Text.Result(), self.dss.Lines.Bus1().partition(".")[2]
        middle = "judgemid" + (f".{nodes}" if nodes else "")
        rest = f"length={length * (1 - fault.position)!r} units={units}"
        self.command(f"new line.judge2 linecode={code} bus1={middle} bus2={end} {rest}")
        self.command(f"edit line.{fault.line} bus2={middle} length={length * fault.position!r}")
        return "judgemid"


def phases_of(fault: FaultConfig) -> list[str]:
    """Phases that a fault names."""
    assert fault.phases is not None
    return phase_numbers(fault.phases)
