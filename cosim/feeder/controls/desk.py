"""The control desk: holds what the kernel watches, moves the devices that are due, and says so.

desk = ControlDesk(controls, network)
rows = desk.rows                    # how a power flow fills desk.values, [n_sensor, 2]
if watch(desk.ctl, desk.values, t_us):
    events = desk.act(compiled, t_us)   # then solve, and ask again at the same instant
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem
from cosim.feeder.controls import records
from cosim.feeder.controls.arrays import SensorRows, build_records, sensor_rows
from cosim.feeder.controls.specs import CapacitorSpec, ControlSet, GeneratorSpec, RegulatorSpec, VoltVarSpec
from cosim.feeder.controls.steady import States, target_q_mvar
from cosim.feeder.network import STEP, TAP, Network
from cosim.units import US_PER_S

_Q_EPS_MVAR: Final = 1e-9
"""Changes of reactive power that are not worth a new power flow. [Mvar]"""


class Movable(Protocol):
    """What the desk moves: a compiled feeder."""

    def set_device(self, name: str, state: int) -> None:
        """Put a device into a state, counted from 0."""

    def set_injection_q(self, name: str, q_mvar: float) -> None:
        """Set the reactive power that an injection draws, consumption positive. [Mvar]"""


@dataclass(frozen=True)
class ControlEvent:
    """One line of the event log."""

    kind: str
    """tap_changed, capacitor_switched, regulator_reversed."""
    element: str
    """The device; of a regulator that changes direction, its control."""
    value: float
    """New tap, steps on, or 1 in reverse and 0 forward again."""
    detail: str


class ControlDesk:
    """All controls of one feeder in time.

    Parameters
    ----------
    controls : ControlSet
    network : Network
        With the devices that they move; they start as it stands.
    clock_s : float
        Time of day at t = 0. [s]

    Raises
    ------
    InputError
        If a control of the file cannot be carried, or what a control measures or moves is not in the network.
    """

    def __init__(self, controls: ControlSet, network: Network, *, clock_s: float = 0.0) -> None:
        controls.check_all_carried()
        controls = fitted(controls, network)
        self.controls = controls
        self._specs = controls.all
        self._low = _low_positions(controls, network)
        self.ctl: NDArray[Any] = build_records(controls, positions(controls, network), clock_s=clock_s)
        self.rows: SensorRows = sensor_rows(controls, network)
        self.values: NDArray[np.float64] = np.zeros((self.rows.n_sensor, 2))
        """Sensor values of this instant, real and imaginary parts; the power flow fills them."""

    @property
    def n_live(self) -> int:
        """Number of controls that can act."""
        return int(self.ctl["live"].sum())

    @property
    def n_operations(self) -> dict[str, int]:
        """Taps and switchings of every device since the start."""
        found: dict[str, int] = {}
        for k, spec in enumerate(self.controls.movers):
            found[spec.device] = found.get(spec.device, 0) + int(self.ctl[k]["n_operations"])
        return found

    @property
    def positions(self) -> States:
        """Tap or steps on of every device under control."""
        return {spec.device: int(self.ctl[k]["position"]) for k, spec in enumerate(self.controls.movers)}

    def act(self, compiled: Movable, t_us: int) -> list[ControlEvent]:
        """Do what `watch` found due at this instant.

        Parameters
        ----------
        compiled : Movable
            Moved before this returns.
        t_us : int
            [us]

        Returns
        -------
        list of ControlEvent
            What happened, for the log; samples of inverters and generators are not told.
        """
        events = []
        for k in np.flatnonzero((self.ctl["due"] != 0) | (self.ctl["turns"] != 0)).tolist():
            spec, record = self._specs[k], self.ctl[k]
            if record["due"]:
                if isinstance(spec, (VoltVarSpec, GeneratorSpec)):
                    self._sample(k, spec, compiled, t_us)
                else:
                    events += self._move(k, spec, compiled, t_us)
            if record["turns"]:
                _kernel().turned(self.ctl, k)
                events.append(_turned(spec.name, int(record["reversed"])))
        return events

    def _move(self, k: int, spec: RegulatorSpec | CapacitorSpec, compiled: Movable, t_us: int) -> list[ControlEvent]:
        record = self.ctl[k]
        before, forced = int(record["position"]), bool(record["forced"])
        _kernel().acted(self.ctl, k, t_us)
        after = int(record["position"])
        if after == before:
            return []
        self.ctl["position"][self.ctl["device"] == record["device"]] = after  # all controls of this device
        compiled.set_device(spec.device, after - self._low[spec.device])
        if isinstance(spec, RegulatorSpec):
            ratio = spec.ratio_neutral + after * spec.ratio_per_tap
            detail = f"from {before} to {after}, ratio {ratio:.6g} pu, by {spec.name}"
            return [ControlEvent("tap_changed", spec.device, after, detail)]
        why = "voltage override" if forced else spec.control
        detail = f"{'on' if after > before else 'off'}, {after} of {spec.n_steps}, by {why} of {spec.name}"
        return [ControlEvent("capacitor_switched", spec.device, after, detail)]

    def _sample(self, k: int, spec: VoltVarSpec | GeneratorSpec, compiled: Movable, t_us: int) -> None:
        record = self.ctl[k]
        before, v_pu = float(record["q_mvar"]), float(record["v_now"])
        q_mvar = next_q_mvar(spec, v_pu, before)
        _kernel().acted(self.ctl, k, t_us)
        if abs(q_mvar - before) > _Q_EPS_MVAR:
            record["q_mvar"] = q_mvar
            compiled.set_injection_q(spec.injection, -q_mvar)

    def start(self, name: str, q_mvar: float) -> None:
        """Let an inverter or generator start from the reactive power that it generates already. [Mvar]"""
        for k, spec in enumerate(self._specs):
            if spec.name == name:
                self.ctl[k]["q_mvar"] = q_mvar

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that changes, for a checkpoint."""
        return {"ctl": self.ctl.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave; devices are the caller's."""
        self.ctl[:] = state["ctl"]


def positions(controls: ControlSet, network: Network) -> States:
    """Tap or steps on of every device under control, as the network stands."""
    low = _low_positions(controls, network)
    rows = _device_rows(controls, network)
    return {name: low[name] + int(network.dev_state[row]) for name, row in rows.items()}


def _device_rows(controls: ControlSet, network: Network) -> dict[str, int]:
    stored = {
        (int(kind), str(name)): row
        for row, (kind, name) in enumerate(zip(network.dev_kind, network.dev_name, strict=True))
    }
    found, problems = {}, []
    for spec in controls.movers:
        kind = TAP if isinstance(spec, RegulatorSpec) else STEP
        row = stored.get((kind, spec.device))
        if row is None:
            what = "transformer with taps" if kind == TAP else "capacitor bank"
            problems.append(Problem(f"control {spec.name} moves a {what} that is not there", value=spec.device))
            continue
        n_state = int(network.dev_ptr[row + 1] - network.dev_ptr[row])
        if isinstance(spec, CapacitorSpec) and n_state != spec.n_steps + 1:
            told = f"control {spec.name} switches {spec.n_steps} steps, its bank has {n_state - 1}"
            problems.append(Problem(told, value=spec.device))
        found[spec.device] = row
    if problems:
        raise InputError(problems)
    return found


def fitted(controls: ControlSet, network: Network) -> ControlSet:
    """The same controls within the states that their devices have.

    A transformer found between two taps counts its taps from there: its ladder is shifted, and an end of it may be
    missing.
    """
    rows = _device_rows(controls, network)
    regulators = []
    for spec in controls.regulators:
        row = rows[spec.device]
        low, ratios = int(network.dev_low[row]), network.dev_value[network.dev_ptr[row] : network.dev_ptr[row + 1]]
        limits = {
            "min_tap": max(spec.min_tap, low),
            "max_tap": min(spec.max_tap, low + ratios.size - 1),
            "ratio_neutral": float(ratios[0]) - low * spec.ratio_per_tap,
        }
        regulators.append(spec.model_copy(update=limits))
    return controls.model_copy(update={"regulators": tuple(regulators)})


def _low_positions(controls: ControlSet, network: Network) -> dict[str, int]:
    return {name: int(network.dev_low[row]) for name, row in _device_rows(controls, network).items()}


def _kernel() -> ModuleType:
    """What acts, imported when it is first needed: a desk is also made to see whether it can be."""
    from cosim.feeder.controls import kernel

    return kernel


def _turned(name: str, reversed: int) -> ControlEvent:
    detail = "power flows in reverse" if reversed else "power flows forward again"
    return ControlEvent("regulator_reversed", name, reversed, detail)


def next_q_mvar(spec: VoltVarSpec | GeneratorSpec, v_pu: float, q_mvar: float) -> float:
    """Reactive power generated from this sample to the next. [Mvar]

    Inverters approach their curve with the time constant that covers 90 % in the response time; generators integrate
    their deviation and stop at their limits.
    """
    if isinstance(spec, GeneratorSpec):
        wanted = q_mvar + spec.gain_mvar_per_pu_s * (spec.v_set_pu - v_pu) * spec.period_s
        return min(max(wanted, spec.min_q_mvar), spec.max_q_mvar)
    target = target_q_mvar(spec, v_pu)
    tau_s = spec.response_s / math.log(10.0)
    return target + (q_mvar - target) * math.exp(-spec.period_s / tau_s)


def next_instant_s(desk: ControlDesk) -> float:
    """Time at which a timer runs out if nothing else changes, infinite without any. [s]"""
    due_us = int(_kernel().next_due_us(desk.ctl, -1))
    return math.inf if due_us == records.NEVER_US else due_us / US_PER_S
