"""What moves the devices of a feeder, in the terms of a control's nameplate; `Network.controls` is this as JSON.

A control measures through **sensors**: complex linear functionals of the network, in the units of the control's own
terminals, so that line-drop compensation, PT and CT ratios are data and not code. Behind the power flow all a control
needs is the vector of its sensors' values; `ControlSet.sensors` gives their order, the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.errors import InputError, Problem

RELAY_BASE_V: Final = 120.0
"""Secondary voltage that controls given in per unit are scaled to, as PTs in North America are. [V]"""

Selection = Literal["fixed", "avg", "max", "min"]
"""Of several phases: the one wired (there is one sensor only), their mean, the highest, the lowest."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sensor(_Model):
    """Sum of a V over nodes plus sum of b I over conductors; a per volt, b per ampere, in the control's unit.

    V is a node's voltage in volts: line to ground where nodes are phases, line to line where they are whole buses.
    I is the current into that conductor of the element, in amperes.
    """

    nodes: tuple[tuple[str, float, float], ...] = ()
    """(node, Re a, Im a)"""
    currents: tuple[tuple[str, str, int, float, float], ...] = ()
    """(kind of element, its name, conductor counted from 0 over all terminals, Re b, Im b)"""


class ReverseSpec(_Model):
    """What a regulator does when power flows against its usual direction."""

    mode: Literal["regulate", "neutral", "cogeneration", "cogeneration_neutral"] = "regulate"
    """regulate: hold the other side. neutral: step to the neutral tap. cogeneration: go on looking forward, with the
    reverse settings, or step to neutral."""
    threshold_kw: float = 100.0
    """Power beyond which it counts as reversed, and as back: through the monitored winding. [kW]"""
    delay_s: float = Field(60.0, ge=0)
    v_set_v: float = RELAY_BASE_V
    bandwidth_v: float = Field(3.0, ge=0)
    ldc_r_v: float = 0.0
    ldc_x_v: float = 0.0
    ldc_z_v: float = 0.0
    relay: tuple[Sensor, ...]
    """As `RegulatorSpec.relay`, with this compensation. [V]"""
    power_v: tuple[Sensor, ...]
    """Voltage of every conductor of the monitored winding. [kV]"""
    power_i: tuple[Sensor, ...]
    """Current into each of them. [A]"""


class RegulatorSpec(_Model):
    """One regulator or load tap changer. Voltages are those of its relay, behind the potential transformer."""

    name: str
    device: str
    """Device that it moves: a TAP of this name."""
    v_set_v: float = Field(RELAY_BASE_V, gt=0)
    bandwidth_v: float = Field(3.0, ge=0, description="Full width of the band around v_set_v [V]")
    delay_s: float = Field(15.0, ge=0, description="From leaving the band to the first tap [s]")
    tap_delay_s: float = Field(2.0, ge=0, description="From one tap to the next while still outside [s]")
    inverse_time: bool = False
    """The delay is divided by the deviation in half bands at pick-up, by 10 at most."""
    v_limit_v: float | None = Field(None, gt=0, description="No higher at the regulator itself, whatever the load [V]")
    max_tap_change: int = Field(16, ge=0, description="Taps in one iteration of a static solution; 0 fixes the tap")

    min_tap: int
    max_tap: int
    ratio_neutral: float = 1.0
    """Ratio of the tapped winding at tap 0. [pu]"""
    ratio_per_tap: float = Field(gt=0)
    """[pu]"""
    v_per_tap_v: float = Field(gt=0)
    """Change of the relay voltage that the control expects of a tap. [V]"""
    raises: Literal[1, -1] = 1
    """Whether a tap up raises the relay voltage or lowers it (taps on the other winding)."""

    pt_ratio: float = Field(1.0, gt=0)
    ct_primary_a: float = Field(1.0, gt=0, description="Primary current at which the compensation is ldc_r_v, ldc_x_v")
    ldc_r_v: float = 0.0
    ldc_x_v: float = 0.0
    ldc_z_v: float = 0.0
    """Compensation by the magnitude of the current alone. [V]"""
    controlled_bus: str = ""
    """Bus that is held instead of the winding's own, else empty."""
    select: Selection = "fixed"
    """Phase that is held, by the uncompensated voltage."""
    min_supply_v: float = Field(RELAY_BASE_V / 2, ge=0, description="Without power below: it does nothing [V]")
    reverse: ReverseSpec | None = None

    relay: tuple[Sensor, ...] = Field(min_length=1)
    """Voltage held, by phase, compensated by R and X: |V / PT - (R + jX) I / CT|. [V]"""
    winding: tuple[Sensor, ...] = ()
    """Uncompensated voltage at the regulator, by phase; empty where neither choice, limit nor Z needs it. [V]"""
    line: tuple[Sensor, ...] = ()
    """Current in parts of `ct_primary_a`, by phase; empty unless ldc_z_v is used. [1]"""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.min_tap >= self.max_tap:
            raise ValueError(f"min_tap={self.min_tap} is not below max_tap={self.max_tap}")
        n = len(self.relay)
        if self.select == "avg" or (n > 1) != (self.select != "fixed"):
            raise ValueError(f"select={self.select} does not go with {n} phases")
        compensated = self.ldc_z_v != 0 or (self.reverse is not None and self.reverse.ldc_z_v != 0)
        if (n > 1 or self.v_limit_v is not None or compensated) and len(self.winding) != n:
            raise ValueError("the uncompensated voltage of every phase is needed")
        if compensated and len(self.line) != n:
            raise ValueError("ldc_z_v needs the current of every phase")
        if self.reverse is not None and len(self.reverse.relay) != n:
            raise ValueError("reverse.relay needs as many phases as relay")
        return self


class OverrideSpec(_Model):
    """Voltages at which a capacitor switches whatever its control says; on or off after the same delays."""

    v_min_v: float
    v_max_v: float
    select: Selection = "fixed"
    voltage: tuple[Sensor, ...] = Field(min_length=1)
    """[V]"""


class CapacitorSpec(_Model):
    """Control of one capacitor bank; settings in the unit of its kind, behind the PT and CT."""

    name: str
    device: str
    """Device that it moves: a STEP of this name."""
    control: Literal["voltage", "current", "kvar", "power_factor", "time"]
    on: float
    """voltage: on below [V]; current: on above [A]; kvar: on above [kvar]; time: on at [h];
    power_factor: on below, 0 to 1 lagging and 1 to 2 leading [1]."""
    off: float
    delay_s: float = Field(15.0, ge=0, description="From the condition to switching on [s]")
    delay_off_s: float = Field(15.0, ge=0, description="From the condition to switching off [s]")
    dead_time_s: float = Field(300.0, ge=0, description="For discharge: from off to the start of the delay to on [s]")
    n_steps: int = Field(1, ge=1)
    min_q_kvar: float = Field(0.0, description="power_factor: on only where more than this flows [kvar]")
    min_q_step_kvar: float = Field(0.0, description="power_factor: the same for every step but the first [kvar]")
    pt_ratio: float = Field(1.0, gt=0)
    ct_ratio: float = Field(1.0, gt=0)
    select_v: Selection = "fixed"
    select_i: Selection = "fixed"
    override: OverrideSpec | None = None
    min_supply_v: float = Field(0.0, ge=0, description="Without power below: it does nothing [V]")

    voltage: tuple[Sensor, ...] = ()
    """[V]"""
    current: tuple[Sensor, ...] = ()
    """[A]"""
    power_v: tuple[Sensor, ...] = ()
    """[kV]"""
    power_i: tuple[Sensor, ...] = ()
    """[A]"""
    supply: tuple[Sensor, ...] = Field((), max_length=1)
    """Voltage that feeds the control. [V]"""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needed = {"voltage": self.voltage, "current": self.current, "kvar": self.power_v, "power_factor": self.power_v}
        if self.control in needed and not needed[self.control]:
            raise ValueError(f"control={self.control} has no sensor")
        if len(self.power_v) != len(self.power_i):
            raise ValueError("power_v and power_i go in pairs")
        return self


class VoltVarSpec(_Model):
    """Volt-var function of an inverter: reactive power by a curve of the voltage, through a first-order lag."""

    name: str
    injection: str
    """Injection whose reactive power it sets (an SGEN)."""
    curve: tuple[tuple[float, float], ...] = Field(min_length=2)
    """(voltage [pu], generated reactive power as part of sn_mva), voltages ascending; flat outside."""
    sn_mva: float = Field(gt=0)
    response_s: float = Field(gt=0, description="Open loop response time: to 90 % of a step [s]")
    period_s: float = Field(1.0, gt=0, description="Interval at which it acts [s]")
    max_q_mvar: float | None = Field(None, ge=0, description="Limit by the active power, sn_mva aside [Mvar]")
    voltage: tuple[Sensor, ...] = Field(min_length=1)
    """Voltage of each phase; their mean is the one applied. [pu]"""

    @model_validator(mode="after")
    def _curve_ascends(self) -> Self:
        v = [point[0] for point in self.curve]
        if any(b <= a for a, b in pairwise(v)):
            raise ValueError("the curve's voltages must ascend")
        return self


class GeneratorSpec(_Model):
    """Voltage-regulated generator: reactive power by an integral controller within its limits."""

    name: str
    injection: str
    v_set_pu: float = Field(gt=0)
    min_q_mvar: float
    max_q_mvar: float
    gain_mvar_per_pu_s: float = Field(gt=0, description="Change of reactive power per deviation and time [Mvar/pu/s]")
    period_s: float = Field(0.1, gt=0, description="Interval at which it acts [s]")
    voltage: tuple[Sensor, ...] = Field(min_length=1)
    """Voltage of each phase; their mean is held. [pu]"""

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        if self.min_q_mvar > self.max_q_mvar:
            raise ValueError(f"min_q_mvar={self.min_q_mvar} is above max_q_mvar={self.max_q_mvar}")
        return self


Spec = RegulatorSpec | CapacitorSpec | VoltVarSpec | GeneratorSpec


class ControlSet(_Model):
    """All controls of a feeder, in the order in which kernels and checkpoints count them."""

    regulators: tuple[RegulatorSpec, ...] = ()
    capacitors: tuple[CapacitorSpec, ...] = ()
    inverters: tuple[VoltVarSpec, ...] = ()
    generators: tuple[GeneratorSpec, ...] = ()
    max_iterations: int = Field(10, ge=1, description="Most control iterations of a static solution")
    refused: tuple[str, ...] = ()
    """Controls of the file that cannot be carried, and why: an error once controls shall live."""

    @property
    def all(self) -> tuple[Spec, ...]:
        """Regulators, capacitors, inverters, generators."""
        return (*self.regulators, *self.capacitors, *self.inverters, *self.generators)

    @property
    def movers(self) -> tuple[RegulatorSpec | CapacitorSpec, ...]:
        """Those that move devices: the first of `all`."""
        return (*self.regulators, *self.capacitors)

    @property
    def regulated_nodes(self) -> dict[str, str]:
        """Node whose voltage each regulator reads, the first of several phases, by the device that it moves."""
        return {spec.device: _read_node(spec.relay[0]) for spec in self.regulators if spec.relay[0].nodes}

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """All sensors, control by control, in the order of `roles`."""
        return tuple(sensor for spec in self.all for _, sensors in roles(spec) for sensor in sensors)

    def to_json(self) -> str:
        """As one line; empty without any control."""
        return "" if self == ControlSet() else self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_json(cls, text: str) -> ControlSet:
        """What `to_json` wrote."""
        return cls.model_validate_json(text) if text else cls()

    def check_all_carried(self) -> None:
        """Refuse to let controls live where some of the file's cannot.

        Raises
        ------
        InputError
            With one problem for each of `refused`.
        """
        if self.refused:
            raise InputError([Problem(text, path="feeder.controls") for text in self.refused])


def _read_node(sensor: Sensor) -> str:
    """Node of the largest coefficient, the first of equal ones."""
    return max(sensor.nodes, key=lambda term: abs(complex(term[1], term[2])))[0]


def roles(spec: Spec) -> Iterator[tuple[str, tuple[Sensor, ...]]]:
    """Sensors of a control by what they are for, in the order in which they are numbered."""
    if isinstance(spec, RegulatorSpec):
        yield from (("relay", spec.relay), ("winding", spec.winding), ("line", spec.line))
        if spec.reverse is not None:
            yield from (("reverse", spec.reverse.relay), ("power_v", spec.reverse.power_v))
            yield ("power_i", spec.reverse.power_i)
    elif isinstance(spec, CapacitorSpec):
        yield from (("voltage", spec.voltage), ("current", spec.current))
        yield from (("power_v", spec.power_v), ("power_i", spec.power_i), ("supply", spec.supply))
        if spec.override is not None:
            yield ("override", spec.override.voltage)
    else:
        yield ("voltage", spec.voltage)


def offsets(controls: ControlSet) -> list[dict[str, tuple[int, int]]]:
    """For each control: role to (first sensor, number of sensors)."""
    found: list[dict[str, tuple[int, int]]] = []
    first = 0
    for spec in controls.all:
        places = {}
        for role, sensors in roles(spec):
            places[role] = (first, len(sensors))
            first += len(sensors)
        found.append(places)
    return found
