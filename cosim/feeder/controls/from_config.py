"""From a scenario's `feeder.controls` to specs: the file's controls with what was changed, and those added."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, cast

import numpy as np
from pydantic import ValidationError

from cosim.errors import InputError, Problem
from cosim.feeder.controls.config import (
    CapacitorConfig,
    ControlsConfig,
    GeneratorConfig,
    InverterConfig,
    RegulatorConfig,
)
from cosim.feeder.controls.specs import (
    RELAY_BASE_V,
    CapacitorSpec,
    ControlSet,
    GeneratorSpec,
    RegulatorSpec,
    Sensor,
    VoltVarSpec,
)
from cosim.feeder.network import CAPACITOR, FIRST_NEUTRAL, SGEN, STEP, TAP, Complexes, Floats, Network

_DELAY_S: Final = 30.0
_TAP_DELAY_S: Final = 2.0
_CAP_DELAY_S: Final = 15.0
_DEAD_TIME_S: Final = 300.0
_BAND_IN_TAPS: Final = 2.0


class _Wrong(Exception):
    """A field names what is not there, or is missing."""

    def __init__(self, field: str, message: str, value: object = None) -> None:
        super().__init__(message)
        self.field, self.message, self.value = field, message, value


def apply_config(config: ControlsConfig, network: Network) -> ControlSet:
    """Controls that act in a run.

    Parameters
    ----------
    config : ControlsConfig
    network : Network
        `Network.controls` holds those of its file.

    Returns
    -------
    ControlSet
        Empty where frozen. Single frozen controls are left out.

    Raises
    ------
    InputError
        If a control names a transformer, bank, bus or generator that is not there, lacks what it needs, or stands
        beside others of the file that cannot be carried. All of them at once.
    """
    if config.mode == "frozen":
        return ControlSet()
    own = ControlSet.from_json(network.controls)
    problems = [Problem(text, path="feeder.controls") for text in own.refused]
    regulators = {spec.name: spec for spec in own.regulators}
    capacitors = {spec.name: spec for spec in own.capacitors}
    inverters: dict[str, VoltVarSpec] = {}
    generators = {spec.name: spec for spec in own.generators}
    for kind, entries, build, into in (
        ("regulators", config.regulators, _regulator, regulators),
        ("capacitors", config.capacitors, _capacitor, capacitors),
        ("inverters", config.inverters, _inverter, inverters),
        ("generators", config.generators, _generator, generators),
    ):
        for name, entry in cast(Any, entries).items():
            known = cast(dict[str, Any], into)
            try:
                spec = cast(Any, build)(name, entry, known.get(name), network)
                ControlSet.model_validate({kind: () if spec is None else (spec,)})
            except (_Wrong, ValidationError) as error:
                problems.append(_problem(f"feeder.controls.{kind}.{name}", error))
                continue
            if spec is None:
                known.pop(name, None)
            else:
                known[name] = spec
    found = ControlSet(
        regulators=tuple(regulators.values()),
        capacitors=tuple(capacitors.values()),
        inverters=tuple(inverters.values()),
        generators=tuple(generators.values()),
        max_iterations=own.max_iterations,
    )
    problems += _contested(own, found)
    if problems:
        raise InputError(problems)
    return found


def _problem(path: str, error: _Wrong | ValidationError) -> Problem:
    """What is wrong with an entry at a path; of what no field of its own is to blame for the entry."""
    if isinstance(error, _Wrong):
        return Problem(error.message, path=f"{path}.{error.field}", value=error.value)
    told = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors(include_url=False))
    return Problem(told, path=path)


def _shared_devices(specs: Iterable[RegulatorSpec | CapacitorSpec]) -> list[Problem]:
    first: dict[str, RegulatorSpec | CapacitorSpec] = {}
    problems = []
    for spec in specs:
        other = first.setdefault(spec.device, spec)
        if type(other) is not type(spec):
            told = f"a transformer and a capacitor under control share the name {spec.device}"
            problems.append(Problem(told, path="feeder.controls"))
    return problems


def _contested(own: ControlSet, found: ControlSet) -> list[Problem]:
    """What several of the controls found would move, beside those of the file alone."""
    problems = _shared_devices([*found.regulators, *found.capacitors])
    for kind, field in (("regulators", "trafo"), ("capacitors", "capacitor")):
        moved = {f"{kind}.{spec.name}.{field}": spec.device for spec in getattr(found, kind)}
        problems += _moved_twice(moved, {f"{kind}.{spec.name}.{field}" for spec in getattr(own, kind)})
    sgens = {f"inverters.{spec.name}.sgen": spec.injection for spec in found.inverters}
    sgens |= {f"generators.{spec.name}.sgen": spec.injection for spec in found.generators}
    return problems + _moved_twice(sgens)


def _moved_twice(moved: Mapping[str, str], in_file: Collection[str] = ()) -> list[Problem]:
    """Controls of the scenario that move what another one moves; several of the file may, as its engine has it.

    Parameters
    ----------
    moved : mapping
        From `kind.name.field` of each control that acts to what it moves.
    in_file : collection of str
        Those of the feeder's file.
    """
    mover = {device: field for field, device in moved.items() if field in in_file}
    problems = []
    for field, device in moved.items():
        other = mover.setdefault(device, field)
        if field not in in_file and other != field:
            names = [path.partition(".")[2].rpartition(".")[0] for path in (field, other)]
            change = "change or freeze that one" if other in in_file else "leave one of them out"
            told = f"{names[0]} would move {device}, which {names[1]} moves already: {change}"
            problems.append(Problem(told, path=f"feeder.controls.{field}", value=device))
    return problems


def _not_in_file(noun: str, own: Iterable[RegulatorSpec | CapacitorSpec]) -> str:
    known = ", ".join([spec.name for spec in own][:12])
    told = f"is missing: a {noun} that is not in the feeder's file needs it"
    return f"{told}; in the file are {known}" if known else told


def _find(field: str, what: str, name: str, known: Iterable[str]) -> int:
    """Position of a name, or the nearest ones in a problem."""
    names = [str(other) for other in known]
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, 3, 0.4)
    hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(names[:8]) or 'none'}"
    raise _Wrong(field, f"there is no {what} of this name; {hint}", name)


def _device(field: str, what: str, kind: int, name: str, network: Network) -> int:
    """Device of a kind by its name."""
    rows = np.flatnonzero(network.dev_kind == kind)
    return int(rows[_find(field, what, name, network.dev_name[rows])])


def _given(**settings: Any) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


# Voltage in per unit -------------------------------------------------------------------------------------------------


def _bus_voltage(network: Network, bus: int, per_pu: float) -> tuple[Sensor, ...]:
    """Voltage of every phase of a bus, `per_pu` at its nominal one."""
    rows = [row for row in network.nodes_of_bus(bus) if network.node_phase[row] < FIRST_NEUTRAL]
    if not rows:
        raise _Wrong("bus", "has no phase whose voltage could be measured", str(network.bus_name[bus]))
    return tuple(
        Sensor(nodes=((str(network.node_name[row]), per_pu / (1e3 * float(network.node_vn_kv[row])), 0.0),))
        for row in rows
    )


# Regulators ----------------------------------------------------------------------------------------------------------


def _regulator(name: str, config: RegulatorConfig, own: RegulatorSpec | None, network: Network) -> RegulatorSpec | None:
    if config.frozen:
        return None
    if own is not None:
        return _changed_regulator(config, own)
    if config.trafo is None:
        raise _Wrong("trafo", _not_in_file("regulator", ControlSet.from_json(network.controls).regulators))
    device = _device("trafo", "transformer with taps", TAP, config.trafo, network)
    low, ratios = int(network.dev_low[device]), _ratios(network, device)
    if config.bus is not None:
        bus = _find("bus", "bus", config.bus, map(str, network.bus_name))
    else:
        bus = _second_bus(network, device)
    gain = _gain(network, device)
    if not gain:
        raise _Wrong("trafo", "its taps do not move the voltage behind it", config.trafo)
    relay = _bus_voltage(network, bus, RELAY_BASE_V)
    per_tap_v = abs(gain) * RELAY_BASE_V
    ratio_per_tap = float(np.mean(np.diff(ratios)))
    several = len(relay) > 1
    return RegulatorSpec(
        name=name,
        device=config.trafo,
        v_set_v=(config.v_set_pu or 1.0) * RELAY_BASE_V,
        bandwidth_v=config.bandwidth_pu * RELAY_BASE_V if config.bandwidth_pu else _BAND_IN_TAPS * per_tap_v,
        delay_s=_DELAY_S if config.delay_s is None else config.delay_s,
        tap_delay_s=_TAP_DELAY_S if config.tap_delay_s is None else config.tap_delay_s,
        **_tap_limits(config, low, low + ratios.size - 1),
        ratio_neutral=float(ratios[0]) - low * ratio_per_tap,
        ratio_per_tap=abs(ratio_per_tap),
        v_per_tap_v=per_tap_v,
        raises=1 if gain > 0 else -1,
        controlled_bus=config.bus or str(network.bus_name[bus]),
        # A ganged changer on several phases holds the lowest one: nobody is left below.
        select="min" if several else "fixed",
        relay=relay,
        winding=relay if several else (),
    )


def _tap_limits(config: RegulatorConfig, low: int, high: int) -> dict[str, int]:
    """Lowest and highest tap of a transformer that has those from low to high."""
    min_tap = _within("min_tap", config.min_tap, low, high, low)
    max_tap = _within("max_tap", config.max_tap, low, high, high)
    if min_tap >= max_tap:
        field, other = (
            ("max_tap", f"min_tap={min_tap}") if config.max_tap is not None else ("min_tap", f"max_tap={max_tap}")
        )
        side = "above" if field == "max_tap" else "below"
        told = f"must be {side} {other}, or there is no tap to make; frozen: true keeps the tap where it is"
        raise _Wrong(field, told, getattr(config, field))
    return {"min_tap": min_tap, "max_tap": max_tap}


def _within(field: str, wanted: int | None, low: int, high: int, default: int) -> int:
    if wanted is None:
        return default
    if not low <= wanted <= high:
        raise _Wrong(field, f"the transformer has taps from {low} to {high}", wanted)
    return wanted


def _changed_regulator(config: RegulatorConfig, own: RegulatorSpec) -> RegulatorSpec:
    for field in ("trafo", "bus"):
        if getattr(config, field) is not None:
            raise _Wrong(field, "this regulator is in the feeder's file, which says what it moves and measures")
    rated_v = own.v_per_tap_v / own.ratio_per_tap
    return own.model_copy(
        update=_tap_limits(config, own.min_tap, own.max_tap)
        | _given(
            v_set_v=config.v_set_pu and config.v_set_pu * rated_v,
            bandwidth_v=config.bandwidth_pu and config.bandwidth_pu * rated_v,
            delay_s=config.delay_s,
            tap_delay_s=config.tap_delay_s,
        )
    )


def _ratios(network: Network, device: int) -> Floats:
    ratios: Floats = network.dev_value[network.dev_ptr[device] : network.dev_ptr[device + 1]]
    if ratios.size < 2:
        raise _Wrong("trafo", "this transformer has a single tap")
    return ratios


def _second_bus(network: Network, device: int) -> int:
    """Bus of the second terminal of a device's element."""
    conductors = slice(network.el_ptr[network.dev_el[device]], network.el_ptr[network.dev_el[device] + 1])
    nodes = network.el_node[conductors][network.el_terminal[conductors] == 1]
    node = int(nodes[nodes >= 0][0])
    if node >= network.n_node:
        raise _Wrong("bus", "a transformer of three windings needs the bus whose voltage it holds")
    return int(network.node_bus[node])


def _gain(network: Network, device: int) -> float:
    """Change of the no-load voltage at the second terminal per tap up, its first terminal at 1 pu. [pu]"""
    ends = [_no_load_voltage(network, device, state) for state in (0, _ratios(network, device).size - 1)]
    return (ends[1] - ends[0]) / (_ratios(network, device).size - 1)


def _no_load_voltage(network: Network, device: int, state: int) -> float:
    """Mean voltage at the open second terminal, its first terminal at 1 pu and of positive sequence. [pu]"""
    element = int(network.dev_el[device])
    conductors = slice(network.el_ptr[element], network.el_ptr[element + 1])
    node, terminal = network.el_node[conductors], network.el_terminal[conductors]
    y = _state_y(network, device, state, node.size)
    phase = np.where(node >= 0, network.node_phase[np.minimum(node, network.n_node - 1)], 0)
    v = np.where(node >= 0, np.exp(-2j * np.pi / 3 * np.maximum(phase - 1, 0)), 0)
    is_open = (terminal > 0) & (node >= 0) & (phase < FIRST_NEUTRAL)
    v[(phase >= FIRST_NEUTRAL) | (node < 0)] = 0.0
    free, held = np.flatnonzero(is_open), np.flatnonzero(~is_open)
    v[free] = np.linalg.lstsq(y[np.ix_(free, free)], -y[np.ix_(free, held)] @ v[held], rcond=None)[0]
    return float(np.mean(np.abs(v[is_open & (terminal == 1)])))


def _state_y(network: Network, device: int, state: int, n: int) -> Complexes:
    """Primitive admittance of a device's element in one state. [pu]"""
    first = 0
    for other in range(device):
        size = int(network.el_ptr[network.dev_el[other] + 1] - network.el_ptr[network.dev_el[other]])
        first += size**2 * int(network.dev_ptr[other + 1] - network.dev_ptr[other])
    y: Complexes = network.dev_y[first + state * n * n : first + (state + 1) * n * n].reshape(n, n)
    return y


# Capacitors ----------------------------------------------------------------------------------------------------------


def _capacitor(name: str, config: CapacitorConfig, own: CapacitorSpec | None, network: Network) -> CapacitorSpec | None:
    if config.frozen:
        return None
    delays = _given(delay_s=config.delay_s, delay_off_s=config.delay_off_s, dead_time_s=config.dead_time_s)
    if own is not None:
        for field in ("capacitor", "bus", "v_on_pu", "v_off_pu"):
            if getattr(config, field) is not None:
                raise _Wrong(field, "this control is in the feeder's file; only its delays can be changed")
        return own.model_copy(update=delays)
    for field in ("capacitor", "v_on_pu", "v_off_pu"):
        if getattr(config, field) is None:
            raise _Wrong(field, _not_in_file("control", ControlSet.from_json(network.controls).capacitors))
    name_of_bank, v_on_pu, v_off_pu = str(config.capacitor), float(config.v_on_pu or 0), float(config.v_off_pu or 0)
    device = _device("capacitor", "capacitor bank", STEP, name_of_bank, network)
    bus = _bank_bus(network, device)
    if config.bus is not None:
        bus = _find("bus", "bus", config.bus, map(str, network.bus_name))
    voltage = _bus_voltage(network, bus, RELAY_BASE_V)
    on_s = delays.get("delay_s", _CAP_DELAY_S)
    return CapacitorSpec(
        name=name,
        device=name_of_bank,
        control="voltage",
        on=v_on_pu * RELAY_BASE_V,
        off=v_off_pu * RELAY_BASE_V,
        delay_s=on_s,
        delay_off_s=delays.get("delay_off_s", on_s),
        dead_time_s=delays.get("dead_time_s", _DEAD_TIME_S),
        n_steps=int(network.dev_ptr[device + 1] - network.dev_ptr[device]) - 1,
        select_v="avg" if len(voltage) > 1 else "fixed",
        min_supply_v=RELAY_BASE_V / 2,
        voltage=voltage,
        supply=voltage[:1],
    )


def _bank_bus(network: Network, device: int) -> int:
    element = int(network.dev_el[device])
    assert network.el_kind[element] == CAPACITOR
    nodes = network.el_node[network.el_ptr[element] : network.el_ptr[element + 1]]
    return int(network.node_bus[nodes[nodes >= 0][0]])


# Generators ----------------------------------------------------------------------------------------------------------


def _inverter(name: str, config: InverterConfig, _own: VoltVarSpec | None, network: Network) -> VoltVarSpec:
    return VoltVarSpec(
        name=name,
        injection=config.sgen,
        curve=tuple((point.v_pu, point.q) for point in config.curve),
        voltage=_terminal_voltage(network, config.sgen),
        **config.model_dump(exclude={"sgen", "curve"}),
    )


def _generator(name: str, config: GeneratorConfig, _own: GeneratorSpec | None, network: Network) -> GeneratorSpec:
    return GeneratorSpec(
        name=name,
        injection=config.sgen,
        voltage=_terminal_voltage(network, config.sgen),
        **config.model_dump(exclude={"sgen"}),
    )


def _terminal_voltage(network: Network, sgen: str) -> tuple[Sensor, ...]:
    """Voltage of every phase of the bus that an injection stands at. [pu]"""
    rows = np.flatnonzero(network.inj_kind == SGEN)
    row = rows[_find("sgen", "generator of given power", sgen, network.inj_name[rows])]
    node = int(network.leg_node[network.leg_inj == row][0, 0])
    return _bus_voltage(network, int(network.node_bus[node]), 1.0)
