"""One OpenDSS engine: runs a master file, solves, answers; its errors become ours.

Every engine is a context of its own (`NewContext`), so many feeders can be open in one process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from cosim.errors import InputError, PhysicsError, Problem
from cosim.feeder.dss.laws import GEN_PV
from cosim.feeder.network import Complexes, Floats

MAX_ITERATIONS: Final = 1000
"""Of the power flow and of the controls, where the master's own limits do not do."""
TOLERANCES_PU: Final = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
"""Voltage change per iteration at which the last solution stops: the first that the engine reaches. Where sources are
stiff, switches short or windings without ground, its voltages do not stand still to more digits."""
LOOSEST_PU: Final = 1e-6
"""The loosest where the file asks for no looser one. [pu]"""
_PLACE: Final = re.compile(r'\[file: "(?P<file>.*)", line: (?P<line>\d+)\]')
_CONTROLS_DID_NOT_SETTLE: Final = 485
"""The engine's number for more control iterations than allowed, which OpenDSS itself only warns of."""
_POWER_FLOW: Final = 1
_MULTIPHASE: Final = 0
_SNAPSHOT: Final = 0
_CONTROLS_OFF: Final = -1
_SERIES_ONLY, _WHOLE_MATRIX = 1, 2
"""What the engine puts into its matrix; the elements' own admittances are worked out anew in either case."""
_SMALLEST_PV_FACTOR: Final = 1e-4
_NAMED: Final = 3
"""Elements that a note names of many."""


class Engine:
    """A circuit in a context of its own.

    Parameters
    ----------
    master : Path
        Run at once. The folder of the process stays what it was.
    defined : mapping of str to (file, line), optional
        Where elements are defined, by `class.name` in lower case; messages name the place.

    Raises
    ------
    InputError
        If the master does not run; with the file and line where the engine names them.
    """

    def __init__(self, master: Path, defined: Mapping[str, tuple[str, int]] | None = None) -> None:
        from opendssdirect import dss

        self.master = master
        self.defined = defined or {}
        self.dss: Any = dss.NewContext()
        self.left_out: dict[str, list[str]] = {}
        """What was left out or taken as given: elements by what is true of them; none where it is the circuit."""
        if not master.is_file():
            raise InputError(Problem("no such OpenDSS file", file=str(master)))
        with _confined(self.dss.Basic):
            self._run_master()
        if self.dss.Basic.NumCircuits() == 0:
            raise InputError(Problem("the file defines no circuit (New Circuit...)", file=str(master)))

    def _run_master(self) -> None:
        """Run the file; where controls did not settle, go on behind that line, as OpenDSS itself does."""
        with self.reading():
            try:
                self.dss.Text.Command(f'compile "{self.master.resolve()}"')
                return
            except Exception as wrong:
                line = self._line_without_settling(wrong)
        for number, text in self._lines_after(line):
            try:
                with self.reading(number):
                    self.dss.Text.Command(text)
            except InputError as wrong:
                if not _did_not_settle(wrong.__cause__):
                    raise

    def _line_without_settling(self, wrong: Exception) -> int:
        """Line of the master at which its controls did not settle; another error is raised again."""
        place = _PLACE.search(str(wrong))
        if not _did_not_settle(wrong) or place is None:
            raise wrong
        if Path(place["file"]).resolve() != self.master.resolve():
            raise wrong
        return int(place["line"])

    def _lines_after(self, line: int) -> Iterator[tuple[int, str]]:
        """Lines of the master behind a given one, block comments left out."""
        in_comment = False
        text = self.master.read_text(encoding="utf-8", errors="replace")
        for number, raw in enumerate(text.splitlines(), start=1):
            stripped = raw.strip()
            if in_comment or stripped.startswith("/*"):
                in_comment = "*/" not in stripped
                continue
            if number > line and stripped:
                yield number, stripped

    def problem(self, element: str, why: str) -> Problem:
        """A problem of an element, `class.name`, at the line that defines it where that is known."""
        file, line = self.defined.get(element.lower(), (str(self.master), None))
        return Problem(f"{element}{why}", file=file, line=line)

    def note(self, told: str, element: str = "") -> None:
        """Keep what was left out of an element, or of the circuit as a whole."""
        self.left_out.setdefault(told, []).extend([element] if element else [])

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in one sentence each; of many elements the first are named."""
        return tuple(f"{_listed(elements)}: {told}" if elements else told for told, elements in self.left_out.items())

    @contextmanager
    def reading(self, line: int | None = None) -> Iterator[None]:
        """Turn what the engine raises into an InputError with its place."""
        from opendssdirect import DSSException

        try:
            yield
        except DSSException as wrong:
            raise InputError(self._problem(wrong, line)) from wrong

    def _problem(self, wrong: Exception, line: int | None = None) -> Problem:
        text = str(wrong.args[-1]) if wrong.args else str(wrong)
        place = _PLACE.search(text)
        message = " ".join(_PLACE.sub("", text).split())
        if place is None:
            return Problem(f"OpenDSS: {message}", file=str(self.master), line=line)
        return Problem(f"OpenDSS: {message}", file=place["file"], line=int(place["line"]))

    # -- questions

    def elements(self, class_name: str) -> Iterator[str]:
        """Make each enabled element of a class the active one, and give its name."""
        self.dss.Circuit.SetActiveClass(class_name)
        more = self.dss.ActiveClass.First()
        while more:
            if self.dss.CktElement.Enabled():
                yield str(self.dss.ActiveClass.Name()).lower()
            more = self.dss.ActiveClass.Next()

    def members(self, interface: Any) -> Iterator[str]:
        """Make each enabled element of an interface such as `dss.Loads` its active one, and give its name.

        The interfaces have an active element of their own, which `elements` does not move.
        """
        more = interface.First()
        while more:
            if self.dss.CktElement.Enabled():
                yield str(interface.Name()).lower()
            more = interface.Next()

    def activate(self, full_name: str) -> None:
        """Make `class.name` the active element."""
        self.dss.Circuit.SetActiveElement(full_name)

    def value(self, name: str) -> str:
        """A property of the active element, as text."""
        return str(self.dss.Properties.Value(name)).strip()

    def number(self, name: str) -> float:
        """A property of the active element, as a number."""
        return float(self.value(name))

    def currents(self) -> Complexes:
        """Current into every conductor of the active element. [A]"""
        return _complex(self.dss.CktElement.Currents())

    def y_prim(self) -> Complexes:
        """Primitive admittance of the active element, square. [S]"""
        y = _complex(self.dss.CktElement.YPrim())
        n = round(y.size**0.5)
        by_column = y.reshape(n, n)
        return by_column.T

    def node_volts(self) -> Complexes:
        """Voltage to ground of every node, in the engine's order. [V]"""
        return _complex(self.dss.Circuit.YNodeVArray())

    def refresh(self) -> None:
        """Let the engine work out the admittances of what was changed."""
        self.dss.YMatrix.BuildYMatrixD(_SERIES_ONLY, 0)

    # -- solutions

    def settle(self) -> None:
        """Solve with controls frozen, unless the master did so itself and the engine converged.

        Taps and banks stay as the master leaves them: a file that does not solve has not moved them.

        Raises
        ------
        InputError
            If loads are admittances only (Set LoadModel=Admittance), or one phase stands for three
            (Set CktModel=Positive).
        PhysicsError
            If the engine finds no solution.
        """
        solution = self.dss.Solution
        if solution.LoadModel() != _POWER_FLOW:
            raise InputError(Problem("Set LoadModel=Admittance cannot be carried", file=str(self.master)))
        if self.dss.Settings.CktModel() != _MULTIPHASE:
            raise InputError(
                Problem("a single-phase equivalent (Set CktModel=Positive) cannot be carried", file=str(self.master))
            )
        solved = solution.TotalIterations() > 0 and solution.Converged()
        if solution.Mode() != _SNAPSHOT:
            solution.Mode(_SNAPSHOT)
        solution.MaxIterations(max(MAX_ITERATIONS, solution.MaxIterations()))
        solution.MaxControlIterations(max(MAX_ITERATIONS, solution.MaxControlIterations()))
        if not solved:
            mode = solution.ControlMode()
            solution.ControlMode(_CONTROLS_OFF)
            try:
                self._solve()
            finally:
                solution.ControlMode(mode)

    def solve_tightly(self) -> None:
        """Solve with controls frozen, to the smallest tolerance that the engine reaches, at most the file's own.

        The whole matrix is built first: the engine may hold admittances of loads from before they were allocated.

        Raises
        ------
        PhysicsError
            If the engine finds no solution.
        """
        solution = self.dss.Solution
        own_pu = float(solution.Convergence())
        mode = solution.ControlMode()
        solution.ControlMode(_CONTROLS_OFF)
        with self.reading():
            self.dss.YMatrix.BuildYMatrixD(_WHOLE_MATRIX, 0)
        loosest_pu = max(own_pu, LOOSEST_PU)
        try:
            for tolerance in [*(t for t in TOLERANCES_PU if t < loosest_pu), loosest_pu]:
                solution.Convergence(tolerance)
                self._solve(must_converge=tolerance == loosest_pu)
                if solution.Converged():
                    return
        finally:
            solution.ControlMode(mode)

    def _solve(self, must_converge: bool = True) -> None:
        from opendssdirect import DSSException

        solution = self.dss.Solution
        try:
            self.dss.Text.Command("Solve")
        except DSSException as wrong:
            if not _did_not_settle(wrong):
                raise InputError(self._problem(wrong)) from wrong
            self.note(f"the controls do not settle in {solution.MaxControlIterations()} rounds")
        finite = bool(np.isfinite(self.node_volts()).all())
        if not finite:
            raise PhysicsError(f"{self.master}: OpenDSS finds no power flow solution (voltages are not finite)")
        if must_converge and not solution.Converged():
            if self._slow_generators():
                self._solve()
                return
            raise PhysicsError(
                f"{self.master}: OpenDSS finds no power flow solution in {solution.MaxIterations()} iterations"
            )

    def _slow_generators(self) -> bool:
        """Let generators that hold a voltage go about it in smaller steps; whether any can.

        `PVFactor` is how far each iteration of the engine moves them, and nothing of the circuit: where it is too
        large they swing about their voltage for ever.
        """
        slowed = []
        for name in self.elements("Generator"):
            factor = self.number("PVFactor")
            if int(self.number("Model")) == GEN_PV and factor > _SMALLEST_PV_FACTOR:
                slowed.append(f"Generator.{name}.PVFactor={factor / 10!r}")
        for command in slowed:
            self.dss.Text.Command(command)
        return bool(slowed)


@contextmanager
def _confined(basic: Any) -> Iterator[None]:
    """No windows, no editor, no shell, no change of folder; these settings are the process's, so put back after."""
    switches = (basic.AllowForms, basic.AllowEditor, basic.AllowDOScmd, basic.AllowChangeDir)
    before = [switch() for switch in switches]
    for switch in switches:
        switch(False)
    try:
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch(value)


def _did_not_settle(wrong: BaseException | None) -> bool:
    return wrong is not None and bool(wrong.args) and wrong.args[0] == _CONTROLS_DID_NOT_SETTLE


def _listed(elements: Sequence[str]) -> str:
    """A few of the elements by name, and how many more there are."""
    named, more = ", ".join(elements[:_NAMED]), len(elements) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _complex(pairs: Any) -> Complexes:
    values = np.asarray(pairs, float)
    joined: Complexes = values[0::2] + 1j * values[1::2]
    return joined


def numbers(text: str) -> Floats:
    """The numbers of a property that is an array."""
    return np.array([float(part) for part in text.strip("[]() ").replace(",", " ").split()])
