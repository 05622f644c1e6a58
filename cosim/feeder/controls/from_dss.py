"""From the controls of an open OpenDSS circuit to specs, with the engine's own meaning of every property."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from cosim.feeder.controls.specs import (
    CapacitorSpec,
    ControlSet,
    OverrideSpec,
    RegulatorSpec,
    ReverseSpec,
    Selection,
    Sensor,
)

KIND_OF_CLASS: Final = {
    "line": "line",
    "transformer": "trafo",
    "capacitor": "capacitor",
    "reactor": "reactor",
    "vsource": "source",
}
"""Class of OpenDSS to the kind of element in `Sensor.currents`."""

_NOT_CARRIED: Final = {
    "InvControl": "inverter functions",
    "ExpControl": "the exponential volt-var function",
    "StorageController": "dispatch of storage",
    "GenDispatcher": "dispatch of generators",
    "UPFCControl": "a UPFC",
    "ESPVLControl": "an ESPVL controller",
}


class NotCarried(Exception):
    """One control cannot be carried; the text says why."""


@dataclass(frozen=True)
class _Terminal:
    """Conductors of one terminal of an element: what stands at them, and their numbers in the element."""

    kind: str
    """Kind of element, empty where currents into it are not known to the network."""
    name: str
    nodes: tuple[str, ...]
    """Node of each conductor, empty at ground."""
    first: int
    """Number of its first conductor."""
    n_phase: int

    def voltage(self, conductor: int, per_v: float, minus: int | None = None) -> Sensor:
        """Voltage to ground of a conductor, or between two."""
        terms = [(self.nodes[conductor], per_v, 0.0)]
        if minus is not None:
            terms.append((self.nodes[minus], -per_v, 0.0))
        return Sensor(nodes=tuple(term for term in terms if term[0]))

    def current(self, conductor: int, per_a: complex) -> tuple[tuple[str, str, int, float, float], ...]:
        """Term of a sensor: current into a conductor."""
        if not self.kind:
            raise NotCarried(f"the current of {self.name} is not measured; only of {', '.join(KIND_OF_CLASS)}")
        return ((self.kind, self.name, self.first + conductor, per_a.real, per_a.imag),)

    def power(self) -> tuple[tuple[Sensor, ...], tuple[Sensor, ...]]:
        """Voltages [kV] and currents [A] whose products sum to the power into the terminal in kVA."""
        live = [i for i, node in enumerate(self.nodes) if node]
        return (
            tuple(self.voltage(i, 1e-3) for i in live),
            tuple(Sensor(currents=self.current(i, 1 + 0j)) for i in live),
        )


def read_controls(dss: Any) -> ControlSet:
    """All enabled regulator and capacitor controls of the active circuit.

    Parameters
    ----------
    dss : OpenDSSDirect
        Its circuit must be compiled and solved once. The active element changes, nothing else.

    Returns
    -------
    ControlSet
        What cannot be carried is named in `refused`. Devices and elements bear the engine's names in lower case.
    """
    refused = _not_carried(dss)
    regulators = _read_all(dss, "RegControl", _regulator, refused)
    capacitors = _read_all(dss, "CapControl", _capacitor, refused)
    shared = {spec.device for spec in regulators} & {spec.device for spec in capacitors}
    refused += [f"a transformer and a capacitor under control share the name {name}" for name in sorted(shared)]
    return ControlSet(
        regulators=tuple(regulators),
        capacitors=tuple(capacitors),
        max_iterations=dss.Solution.MaxControlIterations(),
        refused=tuple(refused),
    )


def _not_carried(dss: Any) -> list[str]:
    """Enabled controls of kinds that are not carried, and generators that hold a voltage."""
    refused = []
    for class_name, what in _NOT_CARRIED.items():
        for name in _names(dss, class_name):
            if _properties(dss, class_name, name)("Enabled") == "Yes":
                refused.append(f"{class_name}.{name}: {what} cannot be carried; freeze controls or remove it")
    for name in _names(dss, "Generator"):
        get = _properties(dss, "Generator", name)
        if get("Enabled") == "Yes" and get("Model") == "3":
            refused.append(f"Generator.{name}: model 3 (holds its voltage) cannot be carried from a .dss file yet")
    return refused


def _read_all(dss: Any, class_name: str, read: Callable[[Any, str], Any], refused: list[str]) -> list[Any]:
    specs = []
    for name in _names(dss, class_name):
        try:
            spec = read(dss, name)
        except NotCarried as problem:
            refused.append(f"{class_name}.{name}: {problem}")
            continue
        if spec is not None:
            specs.append(spec)
    return specs


def _names(dss: Any, class_name: str) -> list[str]:
    """Elements of a class in the order of the file, also disabled ones."""
    if not dss.Circuit.SetActiveClass(class_name):
        return []
    return [str(name).lower() for name in dss.ActiveClass.AllNames() if str(name).lower() != "none"]


def _properties(dss: Any, class_name: str, name: str) -> Callable[[str], str]:
    """Reader of the element's properties, which stays with it while others become active."""

    def get(prop: str) -> str:
        dss.Circuit.SetActiveElement(f"{class_name}.{name}")
        return str(dss.Properties.Value(prop)).strip()

    return get


def _terminal(dss: Any, class_name: str, name: str, terminal: int) -> _Terminal:
    """Terminal (from 1) of an element of the circuit."""
    dss.Circuit.SetActiveElement(f"{class_name}.{name}")
    element = dss.CktElement
    if terminal > element.NumTerminals():
        raise NotCarried(f"{class_name}.{name} has no terminal {terminal}")
    n = element.NumConductors()
    first = (terminal - 1) * n
    bus = str(element.BusNames()[terminal - 1]).split(".")[0].lower()
    numbers = element.NodeOrder()[first : first + n]
    nodes = tuple(f"{bus}.{number}" if number > 0 else "" for number in numbers)
    return _Terminal(KIND_OF_CLASS.get(class_name.lower(), ""), name.lower(), nodes, first, element.NumPhases())


# Regulators ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Winding:
    terminal: _Terminal
    is_delta: bool
    next_phase: int
    """Delta: step from a phase to the one its voltage is taken against."""
    v_rated_v: float
    """Of one phase of the winding. [V]"""

    def voltage(self, phase: int, per_v: float) -> Sensor:
        """Across the winding: to its neutral, or line to line in delta. Phases count from 0."""
        n = self.terminal.n_phase
        if not self.is_delta:
            return self.terminal.voltage(phase, per_v, minus=n)
        against = phase + self.next_phase
        if n > 2:
            against %= n
        if against < 0 or against >= len(self.terminal.nodes):
            raise NotCarried("its open delta has no next phase to measure against")
        return self.terminal.voltage(phase, per_v, minus=against)


def _regulator(dss: Any, name: str) -> RegulatorSpec | None:
    get = _properties(dss, "RegControl", name)
    device = get("Transformer").lower()
    if device.startswith("autotrans.") or not dss.Circuit.SetActiveElement(f"Transformer.{device}") >= 0:
        raise NotCarried(f"it controls {device}; only a Transformer can be")
    if get("Enabled") != "Yes" or _properties(dss, "Transformer", device)("Enabled") != "Yes":
        return None
    monitored, tapped = int(get("Winding")), int(get("TapWinding"))
    winding = _winding(dss, device, monitored)
    low, high, n_taps = _taps(dss, device, tapped)
    if n_taps < 2 or high <= low or n_taps % 2:
        raise NotCarried(f"taps from {low:g} to {high:g} in {n_taps} steps have no neutral one")
    pt, per_tap = float(get("PTRatio")), (high - low) / n_taps
    select, phases = _regulated_phases(get, winding.terminal.n_phase)
    reverse_relay, relay, local, line = _regulator_sensors(dss, get, winding, phases)
    v_limit = float(get("VLimit"))
    return RegulatorSpec(
        name=name,
        device=device,
        v_set_v=float(get("VReg")),
        bandwidth_v=float(get("Band")),
        delay_s=float(get("Delay")),
        tap_delay_s=float(get("TapDelay")),
        inverse_time=get("InverseTime") == "Yes",
        v_limit_v=v_limit if v_limit > 0 else None,
        max_tap_change=max(0, int(get("MaxTapChange"))),
        min_tap=-n_taps // 2,
        max_tap=n_taps // 2,
        ratio_neutral=(high + low) / 2,
        ratio_per_tap=per_tap,
        v_per_tap_v=per_tap * winding.v_rated_v / pt,
        raises=1 if monitored == tapped else -1,
        pt_ratio=pt,
        ct_primary_a=float(get("CTPrim")),
        ldc_r_v=float(get("R")),
        ldc_x_v=float(get("X")),
        ldc_z_v=float(get("LDC_Z")) if line else 0.0,
        controlled_bus=get("Bus").lower(),
        select=select,
        min_supply_v=float(get("VReg")) / 2,
        reverse=_reverse(get, winding, reverse_relay, has_line=bool(line)),
        relay=relay,
        winding=local if len(phases) > 1 or v_limit > 0 or line else (),
        line=line,
    )


def _regulated_phases(get: Callable[[str], str], n_phase: int) -> tuple[Selection, range]:
    """Which phases it looks at, counted from 0, and how it chooses."""
    phase = get("PTPhase").lower()
    if get("Bus"):
        if phase not in ("1", "max", "min"):
            raise NotCarried("it regulates a bus and names a phase other than 1; name the node with the bus instead")
        return "fixed", range(1)
    if phase in ("max", "min"):
        return (cast(Literal["max", "min"], phase), range(n_phase)) if n_phase > 1 else ("fixed", range(1))
    chosen = int(phase) - 1 if int(phase) <= n_phase else 0  # the engine falls back to the first
    return "fixed", range(chosen, chosen + 1)


_Sensors = tuple[Sensor, ...]


def _regulator_sensors(
    dss: Any, get: Callable[[str], str], winding: _Winding, phases: range
) -> tuple[_Sensors, _Sensors, _Sensors, _Sensors]:
    """Reverse relay, relay, uncompensated and line current, by phase."""
    pt, ct = float(get("PTRatio")), float(get("CTPrim"))
    local = tuple(winding.voltage(phase, 1 / pt) for phase in phases)
    if get("Bus"):
        remote = (_remote_voltage(get, winding, 1 / float(get("RemotePTRatio"))),)
        return remote, remote, (winding.voltage(0, 1 / pt),), ()
    r, x, z = float(get("R")), float(get("X")), float(get("LDC_Z"))
    if r == 0 and x == 0 and z <= 0:  # the engine compensates in neither direction then
        return local, local, local, ()
    terminal = winding.terminal
    if z != 0:
        return local, local, local, tuple(Sensor(currents=terminal.current(phase, 1 / ct + 0j)) for phase in phases)
    forward, reverse = complex(r, x) / ct, complex(float(get("RevR")), float(get("RevX"))) / ct

    def compensated(drop: complex) -> _Sensors:
        # The current into the winding is the one out of the line, so the drop is added.
        return tuple(
            Sensor(nodes=sensor.nodes, currents=terminal.current(phase, drop))
            for sensor, phase in zip(local, phases, strict=True)
        )

    return compensated(reverse), compensated(forward), local, ()


def _remote_voltage(get: Callable[[str], str], winding: _Winding, per_v: float) -> Sensor:
    """Voltage at the regulated bus: its first node to ground, or to its second where the winding is in delta."""
    bus, *nodes = get("Bus").lower().split(".")
    first = nodes[0] if nodes else "1"
    terms = [(f"{bus}.{first}", per_v, 0.0)]
    if winding.is_delta:
        if winding.next_phase < 0:
            raise NotCarried("it regulates a bus from a delta winding that counts phases backwards")
        if len(nodes) > 1 and nodes[1] != "0":
            terms.append((f"{bus}.{nodes[1]}", -per_v, 0.0))
    return Sensor(nodes=tuple(terms))


def _reverse(get: Callable[[str], str], winding: _Winding, relay: _Sensors, *, has_line: bool) -> ReverseSpec | None:
    cogeneration = get("Cogen") == "Yes"
    if get("Bus") or not (cogeneration or get("Reversible") == "Yes"):
        return None
    neutral = get("RevNeutral") == "Yes"
    mode = ("cogeneration" if cogeneration else "") + ("_neutral" if neutral and cogeneration else "")
    power_v, power_i = winding.terminal.power()
    return ReverseSpec(
        mode=cast(Any, mode or ("neutral" if neutral else "regulate")),
        threshold_kw=float(get("RevThreshold")),
        delay_s=float(get("RevDelay")),
        v_set_v=float(get("RevVReg")),
        bandwidth_v=float(get("RevBand")),
        ldc_r_v=float(get("RevR")),
        ldc_x_v=float(get("RevX")),
        ldc_z_v=float(get("Rev_Z")) if has_line else 0.0,
        relay=relay,
        power_v=power_v,
        power_i=power_i,
    )


def _winding(dss: Any, device: str, number: int) -> _Winding:
    terminal = _terminal(dss, "Transformer", device, number)
    kvs, deltas = [], []
    dss.Transformers.Name(device)
    for winding in range(1, dss.Transformers.NumWindings() + 1):
        dss.Transformers.Wdg(winding)
        kvs.append(dss.Transformers.kV())
        deltas.append(bool(dss.Transformers.IsDelta()))
    n = terminal.n_phase
    across = kvs[number - 1] / (3**0.5 if n in (2, 3) and not deltas[number - 1] else 1.0)
    leads = _properties(dss, "Transformer", device)("LeadLag").lower() in ("lead", "euro")
    # The engine's order of phases in a delta: forward where both sides are alike, else by which side leads.
    step = 1
    if deltas[0] != deltas[1]:
        high = 0 if kvs[0] >= kvs[1] else 1
        step = (1 if leads else -1) if deltas[high] else (-1 if leads else 1)
    return _Winding(terminal, deltas[number - 1], step, across * 1e3)


def _taps(dss: Any, device: str, number: int) -> tuple[float, float, int]:
    dss.Transformers.Name(device)
    dss.Transformers.Wdg(number)
    return dss.Transformers.MinTap(), dss.Transformers.MaxTap(), int(dss.Transformers.NumTaps())


# Capacitors ----------------------------------------------------------------------------------------------------------

_CONTROL_OF_TYPE: Final = {
    "current": "current",
    "voltage": "voltage",
    "kvar": "kvar",
    "time": "time",
    "pf": "power_factor",
    "powerfactor": "power_factor",
}


def _capacitor(dss: Any, name: str) -> CapacitorSpec | None:
    get = _properties(dss, "CapControl", name)
    device = get("Capacitor").lower().removeprefix("capacitor.")
    if get("Enabled") != "Yes" or _properties(dss, "Capacitor", device)("Enabled") != "Yes":
        return None
    control = _CONTROL_OF_TYPE.get(get("Type").lower())
    if control is None:
        raise NotCarried(f"type {get('Type')} cannot be carried; only {', '.join(_CONTROL_OF_TYPE)}")
    n_phase, n_steps, q_kvar, is_delta = _bank(dss, device)
    element_class, _, element = get("Element").lower().partition(".")
    number = int(get("Terminal"))
    terminal = _terminal(dss, element_class, element, number)
    pt, ct = float(get("PTRatio")), float(get("CTRatio"))
    select_v, voltage = _phase_voltages(get("PTPhase").lower(), terminal, n_phase, 1 / pt, is_delta=is_delta)
    select_i: Selection = "fixed"
    current: _Sensors = ()
    if control == "current":
        first = _terminal(dss, element_class, element, 1)
        select_i, current = _phase_currents(get("CTPhase").lower(), terminal, first, n_phase, 1 / ct)
    power = terminal.power() if control in ("kvar", "power_factor") else ((), ())
    on, off = float(get("OnSetting")), float(get("OffSetting"))
    if control == "power_factor":
        on, off = _power_factor(on, 0.95), _power_factor(off, 1.05)
    dss.Circuit.SetActiveBus(terminal.nodes[0].split(".")[0])
    return CapacitorSpec(
        name=name,
        device=device,
        control=cast(Any, control),
        on=on,
        off=off,
        delay_s=float(get("Delay")),
        delay_off_s=float(get("DelayOff")),
        dead_time_s=float(get("DeadTime")) if n_steps == 1 else 0.0,  # the engine has none for banks of several steps
        n_steps=n_steps,
        min_q_kvar=q_kvar * float(get("pctMinkvar")) / 100,
        min_q_step_kvar=q_kvar / n_steps / 2,
        pt_ratio=pt,
        ct_ratio=ct,
        select_v=select_v,
        select_i=select_i,
        override=_override(dss, get, terminal, n_phase, is_delta) if control != "voltage" else None,
        min_supply_v=dss.Bus.kVBase() * 1e3 / pt / 2,
        voltage=voltage if control == "voltage" else (),
        current=current,
        power_v=power[0],
        power_i=power[1],
        supply=(terminal.voltage(0, 1 / pt),),
    )


def _bank(dss: Any, device: str) -> tuple[int, int, float, bool]:
    """Phases, steps, rating [kvar] and whether it is in delta."""
    dss.Circuit.SetActiveElement(f"Capacitor.{device}")
    n_phase = dss.CktElement.NumPhases()
    dss.Capacitors.Name(device)
    states = list(dss.Capacitors.States())
    if sorted(states, reverse=True) != states:
        raise NotCarried(f"steps of Capacitor.{device} are on in the order {states}; only the first ones can be")
    return n_phase, len(states), float(dss.Capacitors.kvar()), bool(dss.Capacitors.IsDelta())


def _power_factor(setting: float, default: float) -> float:
    """Power factor as the engine compares it: 0 to 1 lagging, 1 to 2 leading."""
    if not -1 <= setting <= 1:
        return default
    return setting if setting >= 0 else 2 + setting


def _phase_voltages(
    phase: str, terminal: _Terminal, n_phase: int, per_v: float, *, is_delta: bool
) -> tuple[Selection, _Sensors]:
    """Voltages to ground of all phases of the monitored element, or of one; line to line at a delta bank."""
    if phase in ("avg", "max", "min"):
        several = tuple(terminal.voltage(i, per_v) for i in range(terminal.n_phase))
        return (cast(Selection, phase), several) if len(several) > 1 else ("fixed", several)
    chosen = int(phase) - 1
    if chosen >= len(terminal.nodes):
        raise NotCarried(f"phase {phase} is monitored, which {terminal.name} does not have")
    minus = (chosen + 1) % n_phase if is_delta else None
    return "fixed", (terminal.voltage(chosen, per_v, minus=minus),)


def _phase_currents(
    phase: str, terminal: _Terminal, first: _Terminal, n_phase: int, per_a: float
) -> tuple[Selection, _Sensors]:
    """Currents into the monitored terminal. Where one phase is named the engine takes it at the first terminal."""
    if phase in ("avg", "max", "min"):
        several = tuple(Sensor(currents=terminal.current(i, per_a + 0j)) for i in range(n_phase))
        return (cast(Selection, phase), several) if len(several) > 1 else ("fixed", several)
    return "fixed", (Sensor(currents=first.current(int(phase) - 1, per_a + 0j)),)


def _override(
    dss: Any, get: Callable[[str], str], terminal: _Terminal, n_phase: int, is_delta: bool
) -> OverrideSpec | None:
    if get("VoltOverride") != "Yes":
        return None
    bus = get("VBus").lower().split(".")[0]
    if bus:
        nodes = tuple(str(node).lower() for node in dss.Circuit.YNodeOrder() if str(node).lower().startswith(f"{bus}."))
        if nodes:
            terminal = _Terminal("", bus, nodes[:n_phase], 0, min(terminal.n_phase, len(nodes), n_phase))
    select, voltage = _phase_voltages(
        get("PTPhase").lower(), terminal, n_phase, 1 / float(get("PTRatio")), is_delta=is_delta
    )
    return OverrideSpec(v_min_v=float(get("VMin")), v_max_v=float(get("VMax")), select=select, voltage=voltage)
