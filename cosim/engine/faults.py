"""Faults of one run: which there are, and when those without a duration go out because their place lies dead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from cosim.feeder.faults import FaultConfig
from cosim.units import to_us

if TYPE_CHECKING:
    from cosim.engine.queue import Event
    from cosim.engine.simulation import Simulation

DEAD_A: Final = 1.0
"""Current below which a fault's arc counts as fed no longer: what lines beside it induce stays below. [A]"""


class FaultDesk:
    """Faults under way by their place, and since when each carries no current."""

    def __init__(self) -> None:
        self._extinction_us: dict[str, int | None] = {}
        """Time without current after which each goes out, None where it does not. [us]"""
        self._dead_us: dict[str, int] = {}

    def apply(self, sim: Simulation, event: Event) -> None:
        """Put a fault in; raises as `CompiledFeeder.apply_fault` does."""
        config = FaultConfig(**{key: event[key] for key in FaultConfig.model_fields if key in event})
        sim.compiled.apply_fault(config.place, config)
        lasts, extinction_s = event.get("duration_s"), event.get("extinction_s")
        self._extinction_us[config.place] = None if lasts is not None or extinction_s is None else to_us(extinction_s)
        sim.emit("fault_applied", config.place, abs(config.z_ohm), config.summary)

    def clear(self, sim: Simulation, place: str, why: str) -> None:
        """Take a fault away."""
        current_a = float(abs(sim.compiled.fault_current_a(place)).max())
        sim.compiled.clear_fault(place)
        self._extinction_us.pop(place, None)
        self._dead_us.pop(place, None)
        sim.emit("fault_cleared", place, current_a, why)

    def look_later(self, sim: Simulation) -> None:
        """Something was switched: see, one step later, whether faults that may go out still carry current."""
        if any(us is not None for us in self._extinction_us.values()):
            sim.queue.push(sim.now_us + sim.step_us, {"kind": "fault_look", "switched_us": sim.now_us})

    def look(self, sim: Simulation, switched_us: int) -> None:
        """Start or stop counting the time without current, from when it was switched."""
        for place, extinction_us in self._extinction_us.items():
            if extinction_us is None:
                continue
            if abs(sim.compiled.fault_current_a(place)).max() > DEAD_A:
                self._dead_us.pop(place, None)
            elif place not in self._dead_us:
                self._dead_us[place] = switched_us
                due_us = max(switched_us + extinction_us, sim.now_us)
                sim.queue.push(due_us, {"kind": "fault_extinct", "place": place, "since_us": switched_us})

    def extinct(self, sim: Simulation, place: str, since_us: int) -> None:
        """The time without current is over, unless current came back."""
        if self._dead_us.get(place) == since_us:
            sim.queue.end(lasting(place), sim.now_us)
            self.clear(sim, place, "gone out without current")

    def state(self) -> str:
        """For a checkpoint, as JSON."""
        return json.dumps({"extinction_us": self._extinction_us, "dead_us": self._dead_us})

    def restore(self, text: str) -> None:
        """Take back what `state` gave."""
        stored = json.loads(text)
        self._extinction_us, self._dead_us = stored["extinction_us"], stored["dead_us"]


def is_unbalanced_fault(event: object) -> bool:
    """Whether an event of a scenario is a fault of some phases only."""
    return isinstance(event, FaultConfig) and event.type != "three_phase"


def lasting(place: str) -> str:
    """What the queue calls a fault while it lasts."""
    return f"fault at {place}"
