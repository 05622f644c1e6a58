"""Slow, readable controls in time: a queue of actions, as one would write them with pen and paper.

`like_opendss` adds what OpenDSS 0.14.5 does beside its intention, and the kernel does not:
- a second or later tap of a row cannot be called back; where the voltage is back in its band and out again within
  the tap delay, the forgotten action makes a tap at once instead of after the full delay;
- a regulator that turns to neutral mode first makes the taps that were pending in forward mode;
- a bank of several steps with some on does not fall back when its condition has gone (voltage control excepted);
- a timer that runs for one direction is not started anew for the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cosim.feeder.controls.settle import Reading, pick_up_delay_s, taps_to_neutral, wanted_steps, wanted_taps
from cosim.feeder.controls.specs import ControlSet, RegulatorSpec, offsets


@dataclass
class Memory:
    position: int
    armed: bool = False
    handle: int = 0
    pending: int = 0
    reversed: bool = False
    turning: int = 0
    opened_us: float = -np.inf


@dataclass
class Twin:
    """Controls of one feeder; `at(values, t_us)` again at the same instant until it moves nothing."""

    controls: ControlSet
    positions: dict[str, int]
    like_opendss: bool = False
    queue: list[tuple[int, int, int, str]] = field(default_factory=list)
    n_pushed: int = 0

    def __post_init__(self):
        self.specs = (*self.controls.regulators, *self.controls.capacitors)
        self.places = offsets(self.controls)
        self.memory = [Memory(self.positions[spec.device]) for spec in self.specs]

    def states(self) -> dict[str, int]:
        return {spec.device: mine.position for spec, mine in zip(self.specs, self.memory, strict=True)}

    def push(self, due_us: int, k: int, what: str) -> int:
        self.n_pushed += 1
        row = next((i for i, entry in enumerate(self.queue) if due_us <= entry[0]), len(self.queue))
        self.queue.insert(row, (due_us, self.n_pushed, k, what))
        return self.n_pushed

    def drop(self, handle: int) -> None:
        self.queue = [entry for entry in self.queue if entry[1] != handle]

    def at(self, values: np.ndarray, t_us: int) -> list[tuple[int, str, int]]:
        """Sample everything, then do what is due; returns (control, device, step)."""
        for k, spec in enumerate(self.specs):
            reading = Reading(values, self.places[k])
            if isinstance(spec, RegulatorSpec):
                self.sample_regulator(k, spec, reading, self.memory[k], t_us)
            else:
                self.sample_capacitor(k, spec, reading, self.memory[k], t_us)
        if not self.like_opendss:
            self.let_neutral_come_first(t_us)
        moves, acted = [], False
        while self.queue and self.queue[0][0] <= t_us:
            _, _, k, what = self.queue.pop(0)
            acted = True
            moves += self.do(k, what, t_us)
        self.acted = acted
        return moves

    def let_neutral_come_first(self, t_us: int) -> None:
        """Whoever turns to neutral now makes no tap that is due with it."""
        for due_us, _, k, what in list(self.queue):
            spec, mine = self.specs[k], self.memory[k]
            if due_us <= t_us and what == "turn" and not mine.reversed and spec.reverse.mode.endswith("neutral"):
                self.drop(mine.handle)

    # regulators

    def sample_regulator(self, k, spec, reading, mine, t_us):
        if spec.max_tap_change == 0:
            return
        if spec.reverse is not None:
            self.sample_direction(k, spec, reading, mine, t_us)
            if mine.reversed and spec.reverse.mode.endswith("neutral"):
                if not mine.armed:
                    mine.pending = taps_to_neutral(spec, mine.position)
                    if mine.pending:
                        mine.handle = self.push(t_us + round(spec.tap_delay_s * 1e6), k, "tap")
                        mine.armed = True
                return
        wanted = wanted_taps(spec, reading, mine.position, reversed=mine.reversed)
        if wanted is None:
            mine.pending = 0
            if mine.armed:
                self.drop(mine.handle)
                mine.armed = False
            return
        mine.pending, deviation_v = wanted
        possible = mine.position < spec.max_tap if mine.pending > 0 else mine.position > spec.min_tap
        if mine.pending and possible and not mine.armed:
            mine.handle = self.push(t_us + round(pick_up_delay_s(spec, deviation_v) * 1e6), k, "tap")
            mine.armed = True

    def sample_direction(self, k, spec, reading, mine, t_us):
        forward_kw, threshold_kw = -reading.power().real, spec.reverse.threshold_kw
        turns = forward_kw > threshold_kw if mine.reversed else forward_kw < -threshold_kw
        if turns and not mine.turning:
            mine.turning = self.push(t_us + round(spec.reverse.delay_s * 1e6), k, "turn")
        if not turns and mine.turning:
            self.drop(mine.turning)
            mine.turning = 0

    # capacitors

    def sample_capacitor(self, k, spec, reading, mine, t_us):
        wish = wanted_steps(spec, reading, mine.position, t_us / 1e6)
        stays = self.like_opendss and spec.control != "voltage" and 0 < mine.position < spec.n_steps
        if wish == 0 and not stays:
            mine.pending = 0
        if wish and mine.armed and wish != mine.pending and not self.like_opendss:
            self.drop(mine.handle)
            mine.armed = False
        if wish:
            mine.pending = wish
        if wish and not mine.armed:
            delay_us = round((spec.delay_s if wish > 0 else spec.delay_off_s) * 1e6)
            rested_us = mine.opened_us + round(spec.dead_time_s * 1e6)
            start_us = t_us if wish < 0 else max(t_us, rested_us)
            mine.handle = self.push(int(start_us) + delay_us, k, "step")
            mine.armed = True
        if mine.armed and mine.pending == 0:
            self.drop(mine.handle)
            mine.armed = False

    # actions

    def do(self, k, what, t_us):
        spec, mine = self.specs[k], self.memory[k]
        if what == "turn":
            mine.reversed, mine.turning = not mine.reversed, 0
            if mine.reversed and spec.reverse.mode.endswith("neutral") and not self.like_opendss:
                self.drop(mine.handle)
                mine.armed, mine.pending = False, 0
            return []
        if mine.pending == 0:
            mine.armed = False
            return []
        step = 1 if mine.pending > 0 else -1
        if what == "step":
            mine.armed, mine.pending = False, 0
            if not 0 <= mine.position + step <= spec.n_steps:
                return []
            mine.position += step
            if mine.position == 0:
                mine.opened_us = t_us
            return [(k, spec.device, step)]
        if mine.position >= spec.max_tap if step > 0 else mine.position <= spec.min_tap:
            if self.like_opendss:  # counts on against the stop
                self.after_tap(k, spec, mine, step, t_us)
            else:
                mine.armed = False
            return []
        mine.position += step
        self.after_tap(k, spec, mine, step, t_us)
        return [(k, spec.device, step)]

    def after_tap(self, k, spec, mine, step, t_us):
        mine.pending -= step
        if mine.pending == 0:
            mine.armed = False
            return
        handle = self.push(t_us + round(spec.tap_delay_s * 1e6), k, "tap")
        if not self.like_opendss:
            mine.handle = handle
        mine.armed = True
