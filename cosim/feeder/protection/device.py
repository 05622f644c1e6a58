"""What protective devices have in common: currents that hold until the next look, and timers over them.

A device is told the currents of an instant (`look`), says when it wants to be woken if they last (`next_us`), and does
then what is due (`wake`). Between two looks currents are constant, so that its integral over dt / t(I) is exact.
docs/faults.md has the equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cosim.feeder.protection.config import OvercurrentElementConfig
from cosim.feeder.protection.curves import operate_time_s, reset_time_s
from cosim.units import US_PER_S

NEVER: Final = None
CLOSED, OPENING, OPEN, LOCKED = "closed", "opening", "open", "locked"


@dataclass(frozen=True)
class Operation:
    """One thing that a device does: a line of the log, and poles that move."""

    kind: str
    value: float
    detail: str
    poles: tuple[int, ...] = ()
    """Phases whose poles move, counted in the device's own."""
    closes: bool = False


class Timers:
    """Integrals of the overcurrent elements of all phases, then of ground."""

    def __init__(
        self,
        phase: OvercurrentElementConfig | None,
        ground: OvercurrentElementConfig | None,
        n_phase: int,
        *,
        disk: bool = False,
    ) -> None:
        self.elements = [phase] * n_phase + [ground]
        self.disk = disk
        self.part = [0.0] * (n_phase + 1)
        """Of the way to operation. [1]"""

    def run(self, i_a: Sequence[float], dt_s: float) -> None:
        """Let the currents last for a time."""
        for k, (element, i) in enumerate(zip(self.elements, i_a, strict=True)):
            if element is None:
                continue
            multiple = i / element.pickup_a
            if multiple > 1.0:
                operate_s = operate_time_s(element.curve, element.time_dial, multiple)
                self.part[k] = min(1.0, self.part[k] + dt_s / operate_s)
            elif multiple < 1.0 and self.part[k] > 0.0:
                reset_s = reset_time_s(element.curve, element.time_dial, multiple) if self.disk else 0.0
                self.part[k] = max(0.0, self.part[k] - dt_s / reset_s) if reset_s > 0 else 0.0

    def trip_in(self, i_a: Sequence[float]) -> tuple[float, int, str]:
        """Time until the first of them operates at these currents [s], which, and by what."""
        first = (math.inf, 0, "")
        for k, (element, i) in enumerate(zip(self.elements, i_a, strict=True)):
            if element is None:
                continue
            if element.instantaneous_a is not None and i > element.instantaneous_a:
                first = min(first, (0.0, k, "instantaneous"))
            wait_s = operate_time_s(element.curve, element.time_dial, i / element.pickup_a)
            if math.isfinite(wait_s):
                first = min(first, ((1.0 - self.part[k]) * wait_s, k, element.curve))
        return first

    def is_picked_up(self, i_a: Sequence[float]) -> bool:
        """Whether a current is above its pick-up."""
        return any(e is not None and i > e.pickup_a for e, i in zip(self.elements, i_a, strict=True))

    def is_busy(self, i_a: Sequence[float]) -> bool:
        """Whether a change of current would matter."""
        return any(part > 0 for part in self.part) or self.is_picked_up(i_a)

    def restart(self) -> None:
        """Forget all."""
        self.part = [0.0] * len(self.part)


class Device:
    """What all have in common: the currents that last, and since when.

    Parameters
    ----------
    name : str
    phases : sequence of str
        What messages call its phases.
    """

    def __init__(self, name: str, phases: Sequence[str]) -> None:
        self.name = name
        self.phases = list(phases)
        self.i_a = [0.0] * (len(self.phases) + 1)
        """Current of each phase, then their sum. [A]"""
        self.since_us = 0

    def look(self, t_us: int, i_a: Sequence[float]) -> list[Operation]:
        """See the currents of an instant, which hold from then on."""
        self._run(max(0, t_us - self.since_us) / US_PER_S)
        self.i_a, self.since_us = list(i_a), max(t_us, self.since_us)
        return self._seen()

    def _run(self, dt_s: float) -> None:
        raise NotImplementedError

    def _seen(self) -> list[Operation]:
        return []

    def next_us(self) -> int | None:
        """When it wants to be woken if the currents last, None never. [us]"""
        raise NotImplementedError

    def wake(self, t_us: int) -> list[Operation]:
        """Do what is due at this time, and had been before."""
        raise NotImplementedError

    def opened(self, t_us: int) -> list[Operation]:
        """Open it by command; nothing where it stands open already."""
        raise NotImplementedError

    def closed(self, t_us: int) -> list[Operation]:
        """Close by command what it has opened, and begin anew; nothing where it stands closed."""
        raise NotImplementedError

    @property
    def is_awake(self) -> bool:
        """Whether it must be told of every change of current."""
        raise NotImplementedError

    def _all_poles(self) -> tuple[int, ...]:
        return tuple(range(len(self.phases)))

    def _after(self, wait_s: float) -> int | None:
        """Time so long behind the last look."""
        if not math.isfinite(wait_s):
            return NEVER
        return self.since_us + math.ceil(max(0.0, wait_s) * US_PER_S - 1e-3)

    def _interrupted(self, t_us: int) -> None:
        self.i_a, self.since_us = [0.0] * len(self.i_a), t_us

    def _by(self, channel: int, curve: str) -> str:
        who = f"phase {self.phases[channel]}" if channel < len(self.phases) else "ground"
        return f"{who}, {curve}, {self.i_a[channel]:.4g} A"

    def state(self) -> dict[str, Any]:
        """All that changes, as plain values."""
        return {k: v for k, v in vars(self).items() if k in self._kept()} | {
            k: list(v.part) for k, v in vars(self).items() if isinstance(v, Timers)
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        for key, value in state.items():
            if isinstance(getattr(self, key), Timers):
                getattr(self, key).part = list(value)
            else:
                setattr(self, key, value)

    def _kept(self) -> tuple[str, ...]:
        return ("i_a", "since_us")
