"""State machines of relays, reclosers and fuses: what they make of currents that hold until the next look.

A device is told the currents of an instant (`look`), says when it wants to be woken if they last (`next_us`), and does
then what is due (`wake`). Between two looks currents are constant, so that its integral over dt / t(I) is exact.
docs/faults.md has the equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cosim.feeder.protection.config import (
    FuseConfig,
    OvercurrentElementConfig,
    RecloserConfig,
    RelayConfig,
    fuse_curves,
)
from cosim.feeder.protection.curves import operate_time_s, reset_time_s
from cosim.units import US_PER_S, to_us

_NEVER: Final = None
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

    @property
    def is_awake(self) -> bool:
        """Whether it must be told of every change of current."""
        raise NotImplementedError

    def _all_poles(self) -> tuple[int, ...]:
        return tuple(range(len(self.phases)))

    def _after(self, wait_s: float) -> int | None:
        """Time so long behind the last look."""
        if not math.isfinite(wait_s):
            return _NEVER
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


class Relay(Device):
    """A relay and its breaker."""

    def __init__(self, config: RelayConfig, phases: Sequence[str]) -> None:
        super().__init__(config.name, phases)
        self.timers = Timers(config.phase, config.ground, len(phases), disk=config.reset == "disk")
        self.breaker_us = to_us(config.breaker_s)
        self.status = CLOSED
        self.opens_us = 0

    def _kept(self) -> tuple[str, ...]:
        return (*super()._kept(), "status", "opens_us")

    def _run(self, dt_s: float) -> None:
        if self.status == CLOSED:
            self.timers.run(self.i_a, dt_s)

    @property
    def is_awake(self) -> bool:
        """As `Device` says."""
        return self.status == CLOSED and self.timers.is_busy(self.i_a)

    def next_us(self) -> int | None:
        """As `Device` says."""
        if self.status == CLOSED:
            return self._after(self.timers.trip_in(self.i_a)[0])
        return self.opens_us if self.status == OPENING else _NEVER

    def wake(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        done = []
        while (due_us := self.next_us()) is not None and due_us <= t_us:
            if self.status == CLOSED:
                _, channel, curve = self.timers.trip_in(self.i_a)
                done.append(Operation("relay_tripped", self.i_a[channel], self._by(channel, curve)))
                self.status, self.opens_us = OPENING, due_us + self.breaker_us
            else:
                self.status = OPEN
                self.timers.restart()
                self._interrupted(t_us)
                done.append(Operation("switch_opened", 0.0, "breaker", self._all_poles()))
        return done


class Recloser(Device):
    """A recloser: shots counted, fast ones first."""

    def __init__(self, config: RecloserConfig, phases: Sequence[str]) -> None:
        super().__init__(config.name, phases)
        self.fast = Timers(config.fast, config.ground_fast, len(phases))
        self.slow = Timers(config.slow, config.ground_slow, len(phases))
        self.n_fast, self.n_shot = config.n_fast, config.n_fast + config.n_slow
        self.open_us = [to_us(s) for s in config.open_s]
        self.reset_us, self.opening_us = to_us(config.reset_s), to_us(config.opening_s)
        self.status, self.shot, self.due_us = CLOSED, 0, 0
        self.calm_us: int | None = None
        self.why = ""

    def _kept(self) -> tuple[str, ...]:
        return (*super()._kept(), "status", "shot", "due_us", "calm_us", "why")

    @property
    def timers(self) -> Timers:
        """Elements of the shot that comes."""
        return self.fast if self.shot < self.n_fast else self.slow

    def _run(self, dt_s: float) -> None:
        if self.status == CLOSED:
            self.timers.run(self.i_a, dt_s)

    def _seen(self) -> list[Operation]:
        if self.status == CLOSED and self.shot > 0:
            if self.timers.is_picked_up(self.i_a):
                self.calm_us = None
            elif self.calm_us is None:
                self.calm_us = self.since_us
        return []

    @property
    def is_awake(self) -> bool:
        """As `Device` says."""
        return self.status == CLOSED and self.timers.is_busy(self.i_a)

    def next_us(self) -> int | None:
        """As `Device` says."""
        if self.status == CLOSED:
            trip_us = self._after(self.timers.trip_in(self.i_a)[0])
            if self.shot == 0 or self.calm_us is None:
                return trip_us
            calm_us = self.calm_us + self.reset_us
            return calm_us if trip_us is None else min(trip_us, calm_us)
        return _NEVER if self.status == LOCKED else self.due_us

    def wake(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        done: list[Operation] = []
        while (due_us := self.next_us()) is not None and due_us <= t_us:
            if self.status == CLOSED:
                done += self._decide(due_us)
            elif self.status == OPENING:
                done += self._open(t_us)
            else:
                self.status, self.calm_us = CLOSED, t_us
                self._interrupted(t_us)
                done.append(Operation("recloser_closed", self.shot, "", self._all_poles(), closes=True))
        return done

    def _decide(self, due_us: int) -> list[Operation]:
        if self.calm_us is not None and due_us >= self.calm_us + self.reset_us:
            self.shot, self.calm_us = 0, None
            self.timers.restart()
            return [Operation("recloser_reset", 0.0, "shots count anew")]
        _, channel, curve = self.timers.trip_in(self.i_a)
        pace = "fast" if self.shot < self.n_fast else "slow"
        self.why = f"{pace} shot, {self._by(channel, curve)}"
        self.status, self.due_us = OPENING, due_us + self.opening_us
        return []

    def _open(self, t_us: int) -> list[Operation]:
        self.shot += 1
        self.fast.restart()
        self.slow.restart()
        self._interrupted(t_us)
        done = [Operation("recloser_opened", self.shot, self.why, self._all_poles())]
        if self.shot == self.n_shot:
            self.status = LOCKED
            return [*done, Operation("recloser_locked_out", self.shot, f"{self.n_shot} openings")]
        self.status, self.due_us = OPEN, t_us + self.open_us[self.shot - 1]
        return done


class Fuse(Device):
    """A fuse in each phase: blows at its total clearing time, is damaged behind its least melting time."""

    def __init__(self, config: FuseConfig, phases: Sequence[str]) -> None:
        super().__init__(config.name, phases)
        self.melting, self.clearing = fuse_curves(config)
        self.cooling_s = config.cooling_s
        n = len(self.phases)
        self.melted, self.cleared = [0.0] * n, [0.0] * n
        """Parts of the least melting and of the total clearing time. [1]"""
        self.blown, self.damaged = [False] * n, [False] * n

    def _kept(self) -> tuple[str, ...]:
        return (*super()._kept(), "melted", "cleared", "blown", "damaged")

    def _run(self, dt_s: float) -> None:
        for k in range(len(self.phases)):
            for part, curve in ((self.melted, self.melting), (self.cleared, self.clearing)):
                time_s = curve.time_s(self.i_a[k])
                cooled = max(0.0, part[k] - dt_s / self.cooling_s)
                part[k] = min(1.0, part[k] + dt_s / time_s) if math.isfinite(time_s) else cooled

    def _seen(self) -> list[Operation]:
        done = []
        for k, phase in enumerate(self.phases):
            over = self.i_a[k] >= self.melting.i_a[0]
            if self.melted[k] >= 1.0 and not (over or self.blown[k] or self.damaged[k]):
                self.damaged[k] = True
                detail = f"phase {phase}, past its least melting time when the current went"
                done.append(Operation("fuse_damaged", self.cleared[k], detail))
        return done

    @property
    def is_awake(self) -> bool:
        """As `Device` says."""
        return any(
            not self.blown[k] and (self.melted[k] > 0.0 or self.i_a[k] > self.melting.i_a[0])
            for k in range(len(self.phases))
        )

    def _due_us(self, k: int) -> int | None:
        if self.blown[k]:
            return _NEVER
        return self._after((1.0 - self.cleared[k]) * self.clearing.time_s(self.i_a[k]))

    def next_us(self) -> int | None:
        """As `Device` says."""
        due = [us for k in range(len(self.phases)) if (us := self._due_us(k)) is not None]
        return min(due, default=_NEVER)

    def wake(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        done = []
        for k, phase in enumerate(self.phases):
            due_us = self._due_us(k)
            if due_us is not None and due_us <= t_us:
                self.blown[k] = True
                done.append(Operation("fuse_blown", self.i_a[k], f"phase {phase}, {self.i_a[k]:.4g} A", (k,)))
        return done


def make_device(config: RelayConfig | RecloserConfig | FuseConfig, phases: Sequence[str]) -> Device:
    """The state machine of a device."""
    if isinstance(config, RelayConfig):
        return Relay(config, phases)
    return Recloser(config, phases) if isinstance(config, RecloserConfig) else Fuse(config, phases)


def pickups(config: RelayConfig | RecloserConfig | FuseConfig) -> tuple[float, float]:
    """Least current that each phase, and that ground answers to, infinite without an element. [A]"""
    if isinstance(config, FuseConfig):
        return fuse_curves(config)[0].i_a[0], math.inf
    if isinstance(config, RelayConfig):
        phase, ground = [config.phase], [config.ground]
    else:
        phase, ground = [config.fast, config.slow], [config.ground_fast, config.ground_slow]
    least = [min((e.pickup_a for e in group if e is not None), default=math.inf) for group in (phase, ground)]
    return least[0], least[1]
