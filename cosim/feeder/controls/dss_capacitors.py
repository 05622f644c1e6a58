"""From a CapControl of OpenDSS to a spec, with the engine's own meaning of every property."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from cosim.feeder.controls.dss_terminals import NotCarried, Sensors, Terminal, properties, terminal_of
from cosim.feeder.controls.specs import CapacitorSpec, OverrideSpec, Selection, Sensor

_CONTROL_OF_TYPE: Final = {
    "current": "current",
    "voltage": "voltage",
    "kvar": "kvar",
    "time": "time",
    "pf": "power_factor",
    "powerfactor": "power_factor",
}


def read_capacitor(dss: Any, name: str) -> CapacitorSpec | None:
    """Read one capacitor control, None where it or its bank is disabled.

    Raises
    ------
    NotCarried
        If it is of a kind that specs do not cover.
    """
    get = properties(dss, "CapControl", name)
    device = get("Capacitor").lower().removeprefix("capacitor.")
    if get("Enabled") != "Yes" or properties(dss, "Capacitor", device)("Enabled") != "Yes":
        return None
    control = _CONTROL_OF_TYPE.get(get("Type").lower())
    if control is None:
        raise NotCarried(f"type {get('Type')} cannot be carried; only {', '.join(_CONTROL_OF_TYPE)}")
    n_phase, n_steps, q_kvar, is_delta = _bank(dss, device)
    element_class, _, element = get("Element").lower().partition(".")
    number = int(get("Terminal"))
    terminal = terminal_of(dss, element_class, element, number)
    pt, ct = float(get("PTRatio")), float(get("CTRatio"))
    select_v, voltage = _phase_voltages(get("PTPhase").lower(), terminal, n_phase, 1 / pt, is_delta=is_delta)
    select_i: Selection = "fixed"
    current: Sensors = ()
    if control == "current":
        first = terminal_of(dss, element_class, element, 1)
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
    phase: str, terminal: Terminal, n_phase: int, per_v: float, *, is_delta: bool
) -> tuple[Selection, Sensors]:
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
    phase: str, terminal: Terminal, first: Terminal, n_phase: int, per_a: float
) -> tuple[Selection, Sensors]:
    """Currents into the monitored terminal. Where one phase is named the engine takes it at the first terminal."""
    if phase in ("avg", "max", "min"):
        several = tuple(Sensor(currents=terminal.current(i, per_a + 0j)) for i in range(n_phase))
        return (cast(Selection, phase), several) if len(several) > 1 else ("fixed", several)
    return "fixed", (Sensor(currents=first.current(int(phase) - 1, per_a + 0j)),)


def _override(
    dss: Any, get: Callable[[str], str], terminal: Terminal, n_phase: int, is_delta: bool
) -> OverrideSpec | None:
    if get("VoltOverride") != "Yes":
        return None
    bus = get("VBus").lower().split(".")[0]
    if bus:
        nodes = tuple(str(node).lower() for node in dss.Circuit.YNodeOrder() if str(node).lower().startswith(f"{bus}."))
        if nodes:
            terminal = Terminal("", bus, nodes[:n_phase], 0, min(terminal.n_phase, len(nodes), n_phase))
    select, voltage = _phase_voltages(
        get("PTPhase").lower(), terminal, n_phase, 1 / float(get("PTRatio")), is_delta=is_delta
    )
    return OverrideSpec(v_min_v=float(get("VMin")), v_max_v=float(get("VMax")), select=select, voltage=voltage)
