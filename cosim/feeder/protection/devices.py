"""State machines of relays, reclosers, sectionalizers and fuses. docs/faults.md has the equations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cosim.feeder.protection.config import (
    AnyConfig,
    FuseConfig,
    RecloserConfig,
    RelayConfig,
    SectionalizerConfig,
    fuse_curves,
)
from cosim.feeder.protection.device import CLOSED, LOCKED, NEVER, OPEN, OPENING, Device, Operation, Timers
from cosim.units import US_PER_S, to_us


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
        return self.opens_us if self.status == OPENING else NEVER

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

    def opened(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        if self.status == OPEN:
            return []
        return self._stands(OPEN, t_us, Operation("switch_opened", 0.0, "breaker, by command", self._all_poles()))

    def closed(self, t_us: int) -> list[Operation]:
        """As `Device` says; a trip under way goes on."""
        if self.status != OPEN:
            return []
        told = Operation("switch_closed", 1.0, "breaker, by command", self._all_poles(), closes=True)
        return self._stands(CLOSED, t_us, told)

    def _stands(self, status: str, t_us: int, done: Operation) -> list[Operation]:
        self.status = status
        self.timers.restart()
        self._interrupted(t_us)
        return [done]


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
        return NEVER if self.status == LOCKED else self.due_us

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

    def opened(self, t_us: int) -> list[Operation]:
        """As `Device` says: it is locked out, in an open interval of its sequence too."""
        if self.status == LOCKED:
            return []
        told = [Operation("recloser_locked_out", self.shot, "by command")]
        if self.status != OPEN:
            told.insert(0, Operation("recloser_opened", self.shot, "by command", self._all_poles()))
        self._stands(LOCKED, t_us)
        return told

    def closed(self, t_us: int) -> list[Operation]:
        """As `Device` says, out of lockout or of an open interval; an opening under way goes on."""
        if self.status not in (OPEN, LOCKED):
            return []
        self.shot = 0
        self._stands(CLOSED, t_us)
        detail = "by command, shots count anew"
        return [Operation("recloser_closed", self.shot, detail, self._all_poles(), closes=True)]

    def _stands(self, status: str, t_us: int) -> None:
        self.status, self.calm_us = status, None
        self.fast.restart()
        self.slow.restart()
        self._interrupted(t_us)


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
            return NEVER
        return self._after((1.0 - self.cleared[k]) * self.clearing.time_s(self.i_a[k]))

    def next_us(self) -> int | None:
        """As `Device` says."""
        due = [us for k in range(len(self.phases)) if (us := self._due_us(k)) is not None]
        return min(due, default=NEVER)

    def wake(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        done = []
        for k, phase in enumerate(self.phases):
            due_us = self._due_us(k)
            if due_us is not None and due_us <= t_us:
                self.blown[k] = True
                done.append(Operation("fuse_blown", self.i_a[k], f"phase {phase}, {self.i_a[k]:.4g} A", (k,)))
        return done

    def _heat(self, t_us: int) -> None:
        """Let the currents last until a command, which the next look follows."""
        self._run(max(0, t_us - self.since_us) / US_PER_S)
        self._interrupted(t_us)

    def opened(self, t_us: int) -> list[Operation]:
        """As `Device` says: its links are taken out."""
        if all(self.blown):
            return []
        self._heat(t_us)
        self.blown = [True] * len(self.phases)
        return [Operation("switch_opened", 0.0, "links taken out", self._all_poles())]

    def closed(self, t_us: int) -> list[Operation]:
        """As `Device` says: where links have blown, these and damaged ones are replaced."""
        if not any(self.blown):
            return []
        self._heat(t_us)
        n = len(self.phases)
        replaced = [k for k in range(n) if self.blown[k] or self.damaged[k]]
        for k in replaced:
            self.melted[k] = self.cleared[k] = 0.0
            self.blown[k] = self.damaged[k] = False
        told = "phase " + ", ".join(self.phases[k] for k in replaced)
        return [Operation("fuse_replaced", len(replaced), told, self._all_poles(), closes=True)]


class Sectionalizer(Device):
    """Counts interruptions by the recloser behind it and opens in the last of them, without current."""

    def __init__(self, config: SectionalizerConfig, phases: Sequence[str]) -> None:
        super().__init__(config.name, phases)
        self.phase_a, self.ground_a = pickups(config)
        self.dead_a, self.n_count = config.dead_a, config.count
        self.reset_us, self.opening_us = to_us(config.reset_s), to_us(config.opening_s)
        self.status, self.counted, self.due_us = CLOSED, 0, 0
        self.is_armed = False
        """An overcurrent flows, or was the last thing that flowed."""

    def _kept(self) -> tuple[str, ...]:
        return (*super()._kept(), "status", "counted", "due_us", "is_armed")

    def _run(self, dt_s: float) -> None:
        pass

    @property
    def _is_over(self) -> bool:
        return max(self.i_a[:-1]) > self.phase_a or self.i_a[-1] > self.ground_a

    def _seen(self) -> list[Operation]:
        is_dead = max(self.i_a) < self.dead_a
        if self.status == OPENING and not is_dead:
            self.status, self.counted, self.due_us = CLOSED, self.n_count - 1, self.since_us + self.reset_us
            told = "current came back before it was open"
            return [Operation("sectionalizer_blocked", max(self.i_a), told), *self._armed()]
        if self.status != CLOSED:
            return []
        if self.is_armed and is_dead:
            return self._count()
        return self._armed()

    def _armed(self) -> list[Operation]:
        """A current between dead and too high disarms it: what cleared the fault stands on its load side."""
        self.is_armed = self._is_over
        return []

    def _count(self) -> list[Operation]:
        self.is_armed = False
        self.counted += 1
        told = f"of {self.n_count} interruptions"
        if self.counted == self.n_count:
            self.status, self.due_us = OPENING, self.since_us + self.opening_us
        else:
            self.due_us = self.since_us + self.reset_us
        return [Operation("sectionalizer_counted", self.counted, told)]

    @property
    def is_awake(self) -> bool:
        """As `Device` says."""
        return self.status == OPENING or (self.status == CLOSED and (self.is_armed or self._is_over))

    def next_us(self) -> int | None:
        """As `Device` says."""
        if self.status == OPENING or (self.status == CLOSED and self.counted > 0 and not self.is_armed):
            return self.due_us
        return NEVER

    def wake(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        due_us = self.next_us()
        if due_us is None or due_us > t_us:
            return []
        if self.status == OPENING:
            self.status = OPEN
            return [Operation("sectionalizer_opened", self.counted, "without current", self._all_poles())]
        self.counted = 0
        return [Operation("sectionalizer_reset", 0.0, "counts anew")]

    def opened(self, t_us: int) -> list[Operation]:
        """As `Device` says."""
        if self.status == OPEN:
            return []
        self._stands(OPEN, t_us)
        return [Operation("sectionalizer_opened", 0.0, "by command", self._all_poles())]

    def closed(self, t_us: int) -> list[Operation]:
        """As `Device` says; an opening under way goes on."""
        if self.status != OPEN:
            return []
        self._stands(CLOSED, t_us)
        return [Operation("sectionalizer_closed", 0.0, "by command, counts anew", self._all_poles(), closes=True)]

    def _stands(self, status: str, t_us: int) -> None:
        self.status, self.counted, self.is_armed = status, 0, False
        self._interrupted(t_us)


def make_device(config: AnyConfig, phases: Sequence[str]) -> Device:
    """The state machine of a device."""
    if isinstance(config, RelayConfig):
        return Relay(config, phases)
    if isinstance(config, RecloserConfig):
        return Recloser(config, phases)
    return Sectionalizer(config, phases) if isinstance(config, SectionalizerConfig) else Fuse(config, phases)


def pickups(config: AnyConfig) -> tuple[float, float]:
    """Least current that each phase, and that ground answers to, infinite without an element. [A]"""
    if isinstance(config, FuseConfig):
        return fuse_curves(config)[0].i_a[0], math.inf
    if isinstance(config, SectionalizerConfig):
        return config.actuating_a, config.ground_actuating_a or math.inf
    if isinstance(config, RelayConfig):
        phase, ground = [config.phase], [config.ground]
    else:
        phase, ground = [config.fast, config.slow], [config.ground_fast, config.ground_slow]
    least = [min((e.pickup_a for e in group if e is not None), default=math.inf) for group in (phase, ground)]
    return least[0], least[1]
