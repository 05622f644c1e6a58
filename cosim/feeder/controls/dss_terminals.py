"""Elements of an open OpenDSS circuit as controls see them: their properties, and sensors at their terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cosim.feeder.controls.specs import Sensor

Sensors = tuple[Sensor, ...]

KIND_OF_CLASS: Final = {
    "line": "line",
    "transformer": "trafo",
    "capacitor": "capacitor",
    "reactor": "reactor",
    "vsource": "source",
}
"""Class of OpenDSS to the kind of element in `Sensor.currents`."""


class NotCarried(Exception):
    """One control cannot be carried; the text says why."""


@dataclass(frozen=True)
class Terminal:
    """Conductors of one terminal of an element: what stands at them, and their numbers in the element."""

    kind: str
    """Kind of element, empty where currents into it are not known to the network."""
    name: str
    nodes: tuple[str, ...]
    """Node of each conductor, empty at ground."""
    first: int
    """Number of its first conductor."""
    n_phase: int

    def voltage(self, conductor: int, per_v: float, minus: int | None = None) -> Sensor:
        """Voltage to ground of a conductor, or between two."""
        terms = [(self.nodes[conductor], per_v, 0.0)]
        if minus is not None:
            terms.append((self.nodes[minus], -per_v, 0.0))
        return Sensor(nodes=tuple(term for term in terms if term[0]))

    def current(self, conductor: int, per_a: complex) -> tuple[tuple[str, str, int, float, float], ...]:
        """Term of a sensor: current into a conductor."""
        if not self.kind:
            raise NotCarried(f"the current of {self.name} is not measured; only of {', '.join(KIND_OF_CLASS)}")
        if not self.nodes[conductor]:
            raise NotCarried(f"the current that it measures flows into ground at {self.name}")
        return ((self.kind, self.name, self.first + conductor, per_a.real, per_a.imag),)

    def power(self) -> tuple[tuple[Sensor, ...], tuple[Sensor, ...]]:
        """Voltages [kV] and currents [A] whose products sum to the power into the terminal in kVA."""
        live = [i for i, node in enumerate(self.nodes) if node]
        return (
            tuple(self.voltage(i, 1e-3) for i in live),
            tuple(Sensor(currents=self.current(i, 1 + 0j)) for i in live),
        )


def names(dss: Any, class_name: str) -> list[str]:
    """Elements of a class in the order of the file, also disabled ones."""
    if not dss.Circuit.SetActiveClass(class_name):
        return []
    return [str(name).lower() for name in dss.ActiveClass.AllNames() if str(name).lower() != "none"]


def properties(dss: Any, class_name: str, name: str) -> Callable[[str], str]:
    """Reader of the element's properties, which stays with it while others become active."""

    def get(prop: str) -> str:
        dss.Circuit.SetActiveElement(f"{class_name}.{name}")
        return str(dss.Properties.Value(prop)).strip()

    return get


def terminal_of(dss: Any, class_name: str, name: str, terminal: int) -> Terminal:
    """Terminal (from 1) of an element of the circuit."""
    dss.Circuit.SetActiveElement(f"{class_name}.{name}")
    element = dss.CktElement
    if terminal > element.NumTerminals():
        raise NotCarried(f"{class_name}.{name} has no terminal {terminal}")
    n = element.NumConductors()
    first = (terminal - 1) * n
    bus = str(element.BusNames()[terminal - 1]).split(".")[0].lower()
    numbers = element.NodeOrder()[first : first + n]
    nodes = tuple(f"{bus}.{number}" if number > 0 else "" for number in numbers)
    return Terminal(KIND_OF_CLASS.get(class_name.lower(), ""), name.lower(), nodes, first, element.NumPhases())
