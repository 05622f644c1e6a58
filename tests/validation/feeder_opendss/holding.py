"""Hold cosim to a judge: as the feeder stands, with a data center at ten places, and at the nose.

Where cosim is None only the judge's side is made, which is how the judge itself is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from continuation import Nose, NoSolution, nose
from cosim_subject import Subject
from place import Place

SIZES = (0.2, 0.4, 0.6, 0.8, 0.95)
"""Parts of the nose."""
POWER_FACTORS = (1.0, 0.98, -0.98)
"""Lagging positive."""


class Judge(Protocol):
    """What says what is right."""

    nodes: tuple[str, ...]
    loosest: float

    def solve(self) -> bool: ...
    def v_pu(self) -> np.ndarray: ...
    def set_datacenter(self, place: Place, p_mw: float, q_mvar: float) -> None: ...
    def respond(self, place: Place, drawn_pu: np.ndarray) -> np.ndarray | None: ...
    def legs(self, place: Place) -> np.ndarray: ...


@dataclass
class Held:
    """One place at one power factor."""

    place: str
    power_factor: float
    nose_mw: float | None = None
    vm_at_nose_pu: tuple[float, ...] = ()
    cosim_nose_mw: float | None = None
    max_dv_pu: float | None = None
    """Over the sizes; phasors, so magnitude and angle."""
    max_dv_at: str = ""
    n_by_current: int = 0
    """Sizes at which the judge's own iteration diverged, so that it was given the current of the load's curve."""
    not_solved: str = ""
    """What one of the two did not solve."""

    @property
    def nose_error(self) -> float | None:
        """Relative difference of the noses."""
        if self.nose_mw is None or self.cosim_nose_mw is None:
            return None
        return self.cosim_nose_mw / self.nose_mw - 1

    def as_row(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"nose_error": self.nose_error}


def difference_pu(judge: Judge, found: dict[str, complex]) -> tuple[float, str]:
    """Largest difference of phasors and where; every node of the judge must be there.

    Raises
    ------
    KeyError
        If cosim lacks a node.
    """
    expected = judge.v_pu()
    off = np.abs(np.array([found[name] for name in judge.nodes]) - expected)
    worst = int(np.argmax(off))
    return float(off[worst]), judge.nodes[worst]


def tan_phi(power_factor: float) -> float:
    """Reactive over active power."""
    return float(np.sign(power_factor) * np.tan(np.arccos(abs(power_factor))))


def find_nose(judge: Judge, place: Place, power_factor: float) -> Nose:
    """The judge's nose; raises NoSolution where its curve cannot be followed."""

    legs = judge.legs(place)

    def respond(drawn_pu: np.ndarray) -> np.ndarray:
        v = judge.respond(place, legs.T @ drawn_pu)
        if v is None:
            raise NoSolution("the network does not answer a current")
        return legs @ v

    try:
        return nose(respond, len(legs), tan_phi(power_factor))
    finally:
        judge.respond(place, np.zeros(len(place.nodes), complex))


def put_load(judge: Judge, place: Place, top: Nose, size: float, slope: float, held: Held) -> bool:
    """Solve the judge with a load of some part of the nose; whether it is solved.

    Near the nose, or where other loads leave their law, the iteration of a judge may diverge although a solution
    exists. It is then given the current that the load draws on the curve followed before.
    """
    p_mw = size * top.p_mw
    judge.respond(place, np.zeros(len(place.nodes), complex))
    judge.set_datacenter(place, p_mw, p_mw * slope)
    if judge.solve():
        return True
    judge.set_datacenter(place, 0.0, 0.0)
    try:
        judge.respond(place, judge.legs(place).T @ top.current_at(p_mw))
    except NoSolution as why:
        held.not_solved = f"the judge at {size:g} of the nose: {why}"
        return False
    held.n_by_current += 1
    return True


def hold_place(
    judge: Judge, subject: Subject | None, place: Place, power_factor: float, sizes: Sequence[float] = SIZES
) -> Held:
    """Nose and voltages of one place at one power factor."""
    held = Held(place.name, power_factor)
    try:
        top = find_nose(judge, place, power_factor)
    except NoSolution as why:
        held.not_solved = f"nose: {why}"
        return held
    nominal = np.sqrt(3) if (judge.legs(place) < 0).any() else 1.0
    held.nose_mw, held.vm_at_nose_pu = top.p_mw, tuple((top.vm_pu / nominal).tolist())
    for size in sizes:
        if not put_load(judge, place, top, size, tan_phi(power_factor), held):
            break
        if subject is None:
            continue
        found = subject.v_pu(place, size * top.p_mw, size * top.p_mw * tan_phi(power_factor))
        if found is None:
            held.not_solved = f"cosim at {size:g} of the nose"
            continue
        off, node = difference_pu(judge, found)
        if held.max_dv_pu is None or off > held.max_dv_pu:
            held.max_dv_pu, held.max_dv_at = off, f"{node} at {size:g} of the nose"
    judge.respond(place, np.zeros(len(place.nodes), complex))
    judge.set_datacenter(place, 0.0, 0.0)
    judge.solve()
    if subject is not None:
        held.cosim_nose_mw = subject.nose_mw(place, tan_phi(power_factor), top.p_mw)
    return held
