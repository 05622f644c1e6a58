"""From specs to the arrays of the kernel, and from sensors to rows over a network's nodes and conductors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem
from cosim.feeder import network as nets
from cosim.feeder.controls import records
from cosim.feeder.controls.specs import (
    CapacitorSpec,
    ControlSet,
    GeneratorSpec,
    RegulatorSpec,
    Sensor,
    VoltVarSpec,
    offsets,
)
from cosim.feeder.network import Network
from cosim.units import to_us

_SELECT: Final = {"fixed": records.FIXED, "avg": records.AVG, "max": records.MAX, "min": records.MIN}
_BY: Final = {
    "voltage": records.BY_VOLTAGE,
    "current": records.BY_CURRENT,
    "kvar": records.BY_KVAR,
    "power_factor": records.BY_POWER_FACTOR,
    "time": records.BY_TIME,
}
_MODE: Final = {
    "regulate": records.REGULATE,
    "neutral": records.NEUTRAL,
    "cogeneration": records.COGENERATION,
    "cogeneration_neutral": records.COGENERATION_NEUTRAL,
}
_KIND: Final = {
    "line": nets.LINE,
    "trafo": nets.TRAFO,
    "trafo3w_hv": nets.TRAFO3W_HV,
    "trafo3w_mv": nets.TRAFO3W_MV,
    "trafo3w_lv": nets.TRAFO3W_LV,
    "impedance": nets.IMPEDANCE,
    "capacitor": nets.CAPACITOR,
    "reactor": nets.REACTOR,
    "source": nets.SOURCE,
}


@dataclass(frozen=True)
class SensorRows:
    """Every sensor as a sum over nodes and conductors, in per unit: value = sum a V[node] + sum b I[conductor]."""

    node_ptr: NDArray[np.int64]
    """[n_sensor + 1]"""
    node: NDArray[np.int64]
    """Node of the network."""
    node_factor: NDArray[np.complex128]
    cond_ptr: NDArray[np.int64]
    """[n_sensor + 1]"""
    cond: NDArray[np.int64]
    """Conductor of the network, an index into `el_node`; its current flows into the element."""
    cond_factor: NDArray[np.complex128]
    least: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(0))
    """Size that a deviation is held against where a sensor's own is smaller; none where empty. [unit of the sensor]"""
    pickup: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(0))
    """Magnitude up to which nobody asks for a sensor; 0: it is read at every instant; none where empty. [A]"""
    cond_20: NDArray[np.complex128] = dataclasses.field(default_factory=lambda: np.zeros((0, 2), np.complex128))
    """[terms, 2] as `cond_factor`, of negative- and zero-sequence currents of a balanced feeder; none where empty."""

    @property
    def n_sensor(self) -> int:
        """Number of sensors."""
        return self.node_ptr.size - 1

    @property
    def least_sizes(self) -> NDArray[np.float64]:
        """`least` of every sensor, zero where it has none."""
        return self.least if self.least.size else np.zeros(self.n_sensor)

    @property
    def pickups(self) -> NDArray[np.float64]:
        """`pickup` of every sensor, zero where it has none."""
        return self.pickup if self.pickup.size else np.zeros(self.n_sensor)

    @property
    def _cond_20(self) -> NDArray[np.complex128]:
        return self.cond_20 if self.cond_20.size else np.zeros((self.cond.size, 2), np.complex128)

    def joined(self, other: SensorRows) -> SensorRows:
        """These, and others behind them."""
        return SensorRows(
            np.concatenate([self.node_ptr, self.node_ptr[-1] + other.node_ptr[1:]]),
            np.concatenate([self.node, other.node]),
            np.concatenate([self.node_factor, other.node_factor]),
            np.concatenate([self.cond_ptr, self.cond_ptr[-1] + other.cond_ptr[1:]]),
            np.concatenate([self.cond, other.cond]),
            np.concatenate([self.cond_factor, other.cond_factor]),
            np.concatenate([self.least_sizes, other.least_sizes]),
            np.concatenate([self.pickups, other.pickups]),
            np.concatenate([self._cond_20, other._cond_20]),
        )

    def values(self, v: NDArray[np.complex128], i: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Values for voltages of all nodes and currents of all conductors [pu]; slow, for a static solution."""
        found = np.zeros(self.n_sensor, complex)
        np.add.at(found, np.repeat(np.arange(self.n_sensor), np.diff(self.node_ptr)), self.node_factor * v[self.node])
        np.add.at(found, np.repeat(np.arange(self.n_sensor), np.diff(self.cond_ptr)), self.cond_factor * i[self.cond])
        return found


def sensor_rows(controls: ControlSet, network: Network) -> SensorRows:
    """Find what the sensors of controls name in a network; raises as `rows_of` does."""
    return rows_of(controls.sensors, network)


def rows_of(sensors: Iterable[Sensor], network: Network) -> SensorRows:
    """Find what sensors name in a network.

    Raises
    ------
    InputError
        If a node, element or conductor is not there.
    """
    nodes = {str(name): row for row, name in enumerate(network.node_name)}
    elements = {
        (int(kind), str(name)): row
        for row, (kind, name) in enumerate(zip(network.el_kind, network.el_name, strict=True))
    }
    problems: list[Problem] = []
    node_terms: list[list[tuple[int, complex]]] = []
    cond_terms: list[list[tuple[int, complex]]] = []
    for sensor in sensors:
        node_terms.append(_node_terms(sensor, network, nodes, problems))
        cond_terms.append(_cond_terms(sensor, network, elements, problems))
    if problems:
        raise InputError(problems)
    node_ptr, node, node_factor = _flat(node_terms)
    cond_ptr, cond, cond_factor = _flat(cond_terms)
    return SensorRows(node_ptr, node, node_factor, cond_ptr, cond, cond_factor)


def _node_terms(
    sensor: Sensor, network: Network, nodes: dict[str, int], problems: list[Problem]
) -> list[tuple[int, complex]]:
    terms = []
    for name, re, im in sensor.nodes:
        if name not in nodes:
            problems.append(Problem("a control measures a node that the feeder does not have", value=name))
            continue
        row = nodes[name]
        terms.append((row, complex(re, im) * float(network.node_vn_kv[row]) * 1e3))
    return terms


def _cond_terms(
    sensor: Sensor, network: Network, elements: dict[tuple[int, str], int], problems: list[Problem]
) -> list[tuple[int, complex]]:
    terms = []
    for kind, name, conductor, re, im in sensor.currents:
        row = elements.get((_KIND[kind], name))
        first, last = (0, 0) if row is None else (int(network.el_ptr[row]), int(network.el_ptr[row + 1]))
        if row is None or first + conductor >= last or network.el_node[first + conductor] < 0:
            what = f"conductor {conductor} of {kind} {name}"
            problems.append(Problem("a control measures a current that the feeder does not have", value=what))
            continue
        kv = float(network.node_vn_kv[network.el_node[first + conductor]])
        rated_a = 1e3 / (kv * 3**0.5 if network.is_balanced else kv)  # of 1 MVA
        terms.append((first + conductor, complex(re, im) * rated_a))
    return terms


def _flat(
    terms: list[list[tuple[int, complex]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.complex128]]:
    ptr = np.concatenate([[0], np.cumsum([len(mine) for mine in terms])]).astype(np.int64)
    flat = [term for mine in terms for term in mine]
    return ptr, np.array([row for row, _ in flat], np.int64), np.array([factor for _, factor in flat], complex)


# Records -------------------------------------------------------------------------------------------------------------


def build_records(controls: ControlSet, positions: dict[str, int], *, clock_s: float = 0.0) -> NDArray[Any]:
    """One CONTROL record for each of `controls.all`, at t = 0.

    Parameters
    ----------
    controls : ControlSet
    positions : mapping of str to int
        Tap or number of steps on of each device.
    clock_s : float
        Time of day at t = 0. [s]
    """
    ctl: Any = np.zeros(len(controls.all), records.CONTROL)
    devices = {name: row for row, name in enumerate(dict.fromkeys(positions))}
    for record, spec, places in zip(ctl, controls.all, offsets(controls), strict=True):
        record["live"], record["device"] = 1, -1
        for field in ("due_us", "rev_due_us", "edge_us"):
            record[field] = records.NEVER_US
        record["opened_us"], record["acted_us"] = records.LONG_AGO_US, records.LONG_AGO_US
        for role in ("relay", "winding", "line", "reverse", "power_v", "power_i", "voltage", "current", "override"):
            record[role] = places[role][0] if places.get(role, (0, 0))[1] else -1
        record["supply"] = places["supply"][0] if places.get("supply", (0, 0))[1] else -1
        for count, role in (("n_power", "power_v"), ("n_voltage", "voltage"), ("n_current", "current")):
            record[count] = places.get(role, (0, 0))[1]
        record["n_override"], record["n_phase"] = (places.get(role, (0, 0))[1] for role in ("override", "relay"))
        if isinstance(spec, (RegulatorSpec, CapacitorSpec)):
            record["device"], record["position"] = devices[spec.device], positions[spec.device]
        if isinstance(spec, RegulatorSpec):
            _fill_regulator(record, spec)
        elif isinstance(spec, CapacitorSpec):
            _fill_capacitor(record, spec, clock_s)
        else:
            _fill_sampled(record, spec)
    return ctl  # type: ignore[no-any-return]


def _fill_regulator(record: Any, spec: RegulatorSpec) -> None:
    record["kind"], record["live"] = records.REGULATOR, int(spec.max_tap_change > 0)
    record["v_set"], record["half_band"] = spec.v_set_v, spec.bandwidth_v / 2
    record["v_limit"], record["v_per_tap"], record["raises"] = spec.v_limit_v or 0.0, spec.v_per_tap_v, spec.raises
    for field in ("min_tap", "max_tap", "ratio_neutral", "ratio_per_tap"):
        record[field] = getattr(spec, field)
    record["delay_us"], record["tap_delay_us"] = to_us(spec.delay_s), to_us(spec.tap_delay_s)
    record["is_inverse"], record["select"], record["z_v"] = spec.inverse_time, _SELECT[spec.select], spec.ldc_z_v
    record["min_supply"] = spec.min_supply_v
    # The early way out must never keep quiet where the full look would not: a hair inside the band.
    low, high = spec.v_set_v - spec.bandwidth_v / 2, spec.v_set_v + spec.bandwidth_v / 2
    record["low2"], record["high2"] = (low * (1 + 1e-12)) ** 2, (high * (1 - 1e-12)) ** 2
    is_plain = len(spec.relay) == 1 and spec.v_limit_v is None and not spec.line and spec.reverse is None
    record["is_plain"] = is_plain and low > spec.min_supply_v
    if spec.reverse is not None:
        record["mode"], record["rev_threshold_kw"] = _MODE[spec.reverse.mode], spec.reverse.threshold_kw
        record["rev_delay_us"] = to_us(spec.reverse.delay_s)
        record["rev_v_set"], record["rev_half_band"] = spec.reverse.v_set_v, spec.reverse.bandwidth_v / 2
        record["rev_z_v"] = spec.reverse.ldc_z_v


def _fill_capacitor(record: Any, spec: CapacitorSpec, clock_s: float) -> None:
    record["kind"], record["by"] = records.CAPACITOR, _BY[spec.control]
    record["on"], record["off"], record["n_steps"] = spec.on, spec.off, spec.n_steps
    record["delay_us"], record["delay_off_us"] = to_us(spec.delay_s), to_us(spec.delay_off_s)
    record["dead_us"] = to_us(spec.dead_time_s)
    record["min_q"], record["min_q_step"] = spec.min_q_kvar, spec.min_q_step_kvar
    record["select"], record["select_i"] = _SELECT[spec.select_v], _SELECT[spec.select_i]
    record["min_supply"] = spec.min_supply_v
    if spec.override is not None:
        record["v_min"], record["v_max"] = spec.override.v_min_v, spec.override.v_max_v
        record["select_o"] = _SELECT[spec.override.select]
    if spec.control == "time":
        record["on_us"], record["off_us"] = to_us(3600 * spec.on), to_us(3600 * spec.off)
        record["clock_us"], record["edge_us"] = to_us(clock_s), 0


def _fill_sampled(record: Any, spec: VoltVarSpec | GeneratorSpec) -> None:
    record["kind"], record["period_us"], record["due_us"] = records.SAMPLED, to_us(spec.period_s), to_us(spec.period_s)
