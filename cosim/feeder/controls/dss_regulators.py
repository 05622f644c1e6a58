"""From a RegControl of OpenDSS to a spec, with the engine's own meaning of every property."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from cosim.feeder.controls.dss_terminals import NotCarried, Sensors, Terminal, properties, terminal_of
from cosim.feeder.controls.specs import RegulatorSpec, ReverseSpec, Selection, Sensor


@dataclass(frozen=True)
class _Winding:
    terminal: Terminal
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


def read_regulator(dss: Any, name: str) -> RegulatorSpec | None:
    """Read one regulator control, None where it or its transformer is disabled.

    Raises
    ------
    NotCarried
        If it is of a kind that specs do not cover.
    """
    get = properties(dss, "RegControl", name)
    device = get("Transformer").lower()
    if device.startswith("autotrans.") or not dss.Circuit.SetActiveElement(f"Transformer.{device}") >= 0:
        raise NotCarried(f"it controls {device}; only a Transformer can be")
    if get("Enabled") != "Yes" or properties(dss, "Transformer", device)("Enabled") != "Yes":
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


def _regulator_sensors(
    dss: Any, get: Callable[[str], str], winding: _Winding, phases: range
) -> tuple[Sensors, Sensors, Sensors, Sensors]:
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

    def compensated(drop: complex) -> Sensors:
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


def _reverse(get: Callable[[str], str], winding: _Winding, relay: Sensors, *, has_line: bool) -> ReverseSpec | None:
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
    terminal = terminal_of(dss, "Transformer", device, number)
    kvs, deltas = [], []
    dss.Transformers.Name(device)
    for winding in range(1, dss.Transformers.NumWindings() + 1):
        dss.Transformers.Wdg(winding)
        kvs.append(dss.Transformers.kV())
        deltas.append(bool(dss.Transformers.IsDelta()))
    n = terminal.n_phase
    across = kvs[number - 1] / (3**0.5 if n in (2, 3) and not deltas[number - 1] else 1.0)
    leads = properties(dss, "Transformer", device)("LeadLag").lower() in ("lead", "euro")
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
