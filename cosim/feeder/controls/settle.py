"""Controls of a static solution: who acts first, by how many taps, and when all is settled.

The power flow is solved, every control looks at its sensors and, where it wants to act, enters a queue with its delay;
those of the shortest delay act, the power flow is solved again, and so on until the queue is empty. Time does not pass:
delays only order. This is what OpenDSS does in its control mode STATIC (its own default).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.controls.specs import CapacitorSpec, ControlSet, OverrideSpec, RegulatorSpec, Selection, offsets
from cosim.feeder.controls.steady import Measure, Powers, States, measure_steady

_TAP_FRACTION = 0.7
"""Part of the wanted taps that a static iteration makes, rounded down, one at least (OpenDSS)."""
_CUT_S = 1e-9
"""Actions due within this of the first act together. [s]"""


@dataclass(frozen=True)
class Change:
    """One device moved in one iteration."""

    control: str
    device: str
    before: int
    after: int


@dataclass(frozen=True)
class Settled:
    """Where the controls came to rest."""

    states: States
    powers: Powers
    changes: tuple[Change, ...]
    reversed: frozenset[str]
    """Regulators that ended in their reverse mode."""
    n_iterations: int
    is_settled: bool
    """False where `max_iterations` ran out first; `hunting` names who still wanted to move."""
    hunting: tuple[str, ...] = ()


@dataclass
class _Memory:
    """What a control remembers from iteration to iteration."""

    pending: int = 0
    reversed: bool = False
    opened_s: float = -np.inf


@dataclass
class _Queue:
    """Armed actions: (control, what) to when."""

    due_s: dict[tuple[int, str], float] = field(default_factory=dict)

    def push(self, control: int, what: str, due_s: float) -> None:
        self.due_s.setdefault((control, what), due_s)

    def drop(self, control: int, what: str) -> None:
        self.due_s.pop((control, what), None)

    def pop_nearest(self) -> list[tuple[int, str]]:
        nearest = min(self.due_s.values()) + _CUT_S
        found = [action for action, due_s in self.due_s.items() if due_s <= nearest]
        for action in found:
            del self.due_s[action]
        return found


def settle(
    controls: ControlSet,
    measure: Measure,
    states: Mapping[str, int],
    *,
    powers: Mapping[str, float] | None = None,
    t_s: float = 0.0,
    reversed: frozenset[str] = frozenset(),
) -> Settled:
    """Let regulators and capacitors act until none wants to, inverters and generators at rest each time.

    Parameters
    ----------
    controls : ControlSet
    measure : callable
        States and reactive powers to sensor values; raises where the power flow has no solution.
    states : mapping of str to int
        Where the devices start.
    powers : mapping of str to float, optional
        Reactive powers with which inverters and generators start, 0 without. [Mvar]
    t_s : float
        Time of day, for time controls. [s]
    reversed : frozenset of str
        Regulators that start in reverse mode.

    Returns
    -------
    Settled
    """
    now, generated = dict(states), dict(powers or {})
    specs = controls.movers
    places = offsets(controls)
    memory = [_Memory(reversed=spec.name in reversed) for spec in specs]
    queue, changes = _Queue(), []
    for iteration in range(1, controls.max_iterations + 1):
        values, generated, is_steady = measure_steady(controls, measure, dict(now), generated)
        for k, spec in enumerate(specs):
            reading = Reading(values, places[k])
            if isinstance(spec, RegulatorSpec):
                _sample_regulator(k, spec, reading, now[spec.device], memory[k], queue)
            else:
                _sample_capacitor(k, spec, reading, now[spec.device], memory[k], queue, t_s)
        if not queue.due_s or iteration == controls.max_iterations:
            break
        changes += _act(specs, queue, memory, now)
    hunting = tuple(sorted({specs[k].name for k, _ in queue.due_s}))
    turned = frozenset(spec.name for spec, mine in zip(specs, memory, strict=True) if mine.reversed)
    return Settled(now, generated, tuple(changes), turned, iteration, is_steady and not hunting, hunting)


@dataclass(frozen=True)
class Reading:
    """Sensor values of one control by role."""

    values: NDArray[np.complex128]
    places: dict[str, tuple[int, int]]

    def of(self, role: str) -> NDArray[np.complex128]:
        """Values of a role, empty without sensors."""
        first, n = self.places.get(role, (0, 0))
        return self.values[first : first + n]

    def power(self) -> complex:
        """Complex power into the monitored terminal, in kVA."""
        return complex(np.sum(self.of("power_v") * np.conj(self.of("power_i"))))


def magnitude(values: NDArray[np.complex128], select: Selection) -> float:
    """One magnitude of several phases."""
    sizes = np.abs(values)
    if select == "fixed":
        return float(sizes[0])
    if select == "avg":
        return float(np.mean(sizes))
    return float(np.max(sizes) if select == "max" else np.min(sizes))


# Regulators ----------------------------------------------------------------------------------------------------------


def _sample_regulator(k: int, spec: RegulatorSpec, reading: Reading, tap: int, mine: _Memory, queue: _Queue) -> None:
    if spec.max_tap_change == 0:
        mine.pending = 0
        return
    if spec.reverse is not None and _sample_direction(k, spec, reading, tap, mine, queue):
        return
    wanted = wanted_taps(spec, reading, tap, reversed=mine.reversed)
    if wanted is None:
        mine.pending = 0
        queue.drop(k, "tap")
        return
    mine.pending, deviation_v = wanted
    possible = tap < spec.max_tap if mine.pending > 0 else tap > spec.min_tap
    if mine.pending != 0 and possible:
        queue.push(k, "tap", pick_up_delay_s(spec, deviation_v))


def _sample_direction(k: int, spec: RegulatorSpec, reading: Reading, tap: int, mine: _Memory, queue: _Queue) -> bool:
    """Watch the direction of power; true where the neutral mode has said all."""
    reverse = spec.reverse
    assert reverse is not None
    forward_kw = -reading.power().real
    flips = forward_kw > reverse.threshold_kw if mine.reversed else forward_kw < -reverse.threshold_kw
    if flips:
        queue.push(k, "reverse", reverse.delay_s)
    else:
        queue.drop(k, "reverse")
    if not (mine.reversed and reverse.mode.endswith("neutral")):
        return False
    if (k, "tap") not in queue.due_s:
        mine.pending = taps_to_neutral(spec, tap)
        if mine.pending != 0:
            queue.push(k, "tap", spec.tap_delay_s)
    return True


def wanted_taps(spec: RegulatorSpec, reading: Reading, tap: int, *, reversed: bool) -> tuple[int, float] | None:
    """Taps that the control wants now, and its deviation [V]; None inside the band or without power.

    A tap outside the range that the control is held to is taken into it first, after the plain delay.
    """
    chosen = _chosen_phase(spec, reading)
    reverse = spec.reverse if reversed else None
    v = abs(reading.of("reverse" if reverse else "relay")[chosen])
    if spec.line:
        z_v = reverse.ldc_z_v if reverse else spec.ldc_z_v
        v = abs(reading.of("winding")[chosen]) - z_v * abs(reading.of("line")[chosen])
    backwards = reverse is not None and not reverse.mode.startswith("cogeneration")
    if abs(v) < spec.min_supply_v:
        return None
    if not spec.min_tap <= tap <= spec.max_tap:
        return min(max(tap, spec.min_tap), spec.max_tap) - tap, spec.bandwidth_v / 2
    v = abs(v)
    if backwards:
        v /= spec.ratio_neutral + tap * spec.ratio_per_tap  # the source is on the other side
    v_set, band = (reverse.v_set_v, reverse.bandwidth_v) if reverse else (spec.v_set_v, spec.bandwidth_v)
    boost_v, outside = v_set - v, abs(v_set - v) > band / 2
    if spec.v_limit_v is not None:
        local_v = abs(reading.of("winding")[chosen])
        if local_v > spec.v_limit_v:
            boost_v, outside = spec.v_limit_v - local_v, True
    if not outside:
        return None
    sign = -spec.raises if backwards and spec.raises > 0 else spec.raises
    return sign * round(boost_v / spec.v_per_tap_v), abs(spec.v_set_v - v)


def taps_to_neutral(spec: RegulatorSpec, tap: int) -> int:
    """Taps from here to the one of ratio 1."""
    return round((1.0 - spec.ratio_neutral) / spec.ratio_per_tap - tap)


def _chosen_phase(spec: RegulatorSpec, reading: Reading) -> int:
    if spec.select == "fixed":
        return 0
    sizes = np.abs(reading.of("winding"))
    return int(np.argmax(sizes) if spec.select == "max" else np.argmin(sizes))


def pick_up_delay_s(spec: RegulatorSpec, deviation_v: float) -> float:
    """Delay to the first tap. [s]"""
    if not spec.inverse_time or spec.bandwidth_v == 0:
        return spec.delay_s
    half_bands = min(10.0, 2 * deviation_v / spec.bandwidth_v)
    return spec.delay_s / half_bands if half_bands > 0 else spec.delay_s


# Capacitors ----------------------------------------------------------------------------------------------------------


def _sample_capacitor(
    k: int, spec: CapacitorSpec, reading: Reading, steps: int, mine: _Memory, queue: _Queue, t_s: float
) -> None:
    mine.pending = wanted_steps(spec, reading, steps, t_s)
    if mine.pending == 0:
        queue.drop(k, "step")
    elif mine.pending > 0:
        queue.push(k, "step", max(spec.delay_s, spec.dead_time_s + spec.delay_s + mine.opened_s))
    else:
        queue.push(k, "step", spec.delay_off_s)


def wanted_steps(spec: CapacitorSpec, reading: Reading, steps: int, t_s: float) -> int:
    """+1 to switch a step on, -1 off, 0 to leave it."""
    if spec.supply and abs(reading.of("supply")[0]) < spec.min_supply_v:
        return 0
    can_add, can_drop = steps < spec.n_steps, steps > 0
    if spec.override is not None:
        forced = _overridden(spec.override, reading, steps)
        if forced:
            return forced
    if spec.control == "time":
        return _by_the_clock(spec, steps, t_s)
    if spec.control == "voltage":
        v = magnitude(reading.of("voltage"), spec.select_v)
        low, high = v < spec.on, v > spec.off
    elif spec.control == "current":
        i = magnitude(reading.of("current"), spec.select_i)
        low, high = i > spec.on, i < spec.off
    elif spec.control == "kvar":
        q = reading.power().imag
        low, high = q > spec.on, q < spec.off
    else:
        s = reading.power()
        factor = power_factor(s)
        floor_kvar = spec.min_q_step_kvar if steps > 0 else spec.min_q_kvar
        low, high = factor < spec.on and s.imag > floor_kvar, factor > spec.off
    if can_drop and high:
        return -1
    return 1 if can_add and low else 0


def _overridden(override: OverrideSpec, reading: Reading, steps: int) -> int:
    v = magnitude(reading.of("override"), override.select)
    if steps == 0:
        return 1 if v < override.v_min_v else 0
    return -1 if v > override.v_max_v else 0


def power_factor(s: complex) -> float:
    """Power factor from 0 to 2: lagging below 1, leading above."""
    factor = abs(s.real) / abs(s) if s != 0 else 1.0
    return 2.0 - factor if s.imag < 0 else factor


def _by_the_clock(spec: CapacitorSpec, steps: int, t_s: float) -> int:
    hour = (t_s / 3600.0) % 24.0
    if spec.off > spec.on:
        is_on, is_off = spec.on <= hour < spec.off, hour >= spec.off or hour < spec.on
    else:  # over midnight; a bank found open after midnight stays so until the next time to switch on (OpenDSS)
        is_on, is_off = hour >= spec.on, spec.off <= hour < spec.on
    if steps > 0 and is_off:
        return -1
    return 1 if steps < spec.n_steps and is_on else 0


def _act(
    specs: tuple[RegulatorSpec | CapacitorSpec, ...], queue: _Queue, memory: list[_Memory], now: States
) -> list[Change]:
    changes = []
    for k, what in queue.pop_nearest():
        spec, mine = specs[k], memory[k]
        if what == "reverse":
            mine.reversed = not mine.reversed
            continue
        before = now[spec.device]
        if isinstance(spec, RegulatorSpec):
            after = _after_taps(spec, before, mine.pending)
        else:
            after = min(max(before + mine.pending, 0), spec.n_steps)
            if after == 0 and before == 1 and spec.n_steps == 1:
                mine.opened_s = 0.0
        mine.pending = 0
        if after != before:
            now[spec.device] = after
            changes.append(Change(spec.name, spec.device, before, after))
    return changes


def _after_taps(spec: RegulatorSpec, tap: int, pending: int) -> int:
    if pending == 0:
        return tap
    proposed = abs(pending) * spec.ratio_per_tap
    n = min(max(1, int(_TAP_FRACTION * proposed / spec.ratio_per_tap)), spec.max_tap_change)  # rounded as OpenDSS does
    return min(max(tap + (n if pending > 0 else -n), spec.min_tap), spec.max_tap)
