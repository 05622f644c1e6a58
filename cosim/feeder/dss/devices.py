"""Windings with taps under a control and capacitor banks: the engine's admittance in every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.errors import InputError
from cosim.feeder import network as nw
from cosim.feeder.devices import Device as NetworkDevice
from cosim.feeder.dss.elements import Element, operate
from cosim.feeder.dss.engine import Engine
from cosim.feeder.network import Complexes, Floats


@dataclass
class Device:
    """Something with states, and the element whose admittance a state is."""

    kind: int
    name: str
    element: int
    state: int
    low: int
    value: Floats
    """Tap ratio [pu] or rated power [Mvar] of every state."""
    winding: int = 0
    engine_state: int = -1
    """State to which the engine is led back, where it is not `state`: a bank switched off at its terminal."""
    y: list[Complexes] = field(default_factory=list)
    """Primitive admittance in every state. [S]"""


def read_devices(engine: Engine, elements: Sequence[Element]) -> list[Device]:
    """Every winding that a regulator control moves and every capacitor bank, with all their states.

    The engine is led through the states, all devices at once, and back to where it stood.

    Raises
    ------
    InputError
        If two controls move two windings of one transformer.
    """
    place = {e.full_name.lower(): k for k, e in enumerate(elements)}
    devices = [*_taps(engine, place), *_banks(engine, elements)]
    switched_off = [elements[d.element] for d in devices if d.engine_state >= 0]
    operate(engine, switched_off, engine.dss.CktElement.Close)
    for state in range(max((d.value.size for d in devices), default=0)):
        _go_to(engine, devices, [min(state, d.value.size - 1) for d in devices])
        for device in devices:
            if state < device.value.size:
                engine.activate(elements[device.element].full_name)
                device.y.append(engine.y_prim())
    _go_to(engine, devices, [d.state if d.engine_state < 0 else d.engine_state for d in devices])
    operate(engine, switched_off, engine.dss.CktElement.Open)
    for device in devices:
        element = elements[device.element]
        element.y = device.y[device.state]
        if device.engine_state >= 0:
            element.open_terminals.remove(0)
    return devices


def _taps(engine: Engine, place: dict[str, int]) -> list[Device]:
    controlled: dict[str, int] = {}
    for name in engine.members(engine.dss.RegControls):
        control = engine.dss.RegControls
        trafo, winding = str(control.Transformer()).lower(), int(control.TapWinding())
        if controlled.setdefault(trafo, winding) != winding:
            why = f": a control of another winding of {trafo} cannot be carried beside it"
            raise InputError(engine.problem(f"RegControl.{name}", why))
    devices = []
    for trafo, winding in controlled.items():
        element = place.get(f"transformer.{trafo}")
        if element is None:
            engine.note("keeps its tap: only transformers can be regulated, and only enabled ones", trafo)
            continue
        trafos = engine.dss.Transformers
        trafos.Name(trafo)
        trafos.Wdg(winding)
        if trafos.NumTaps() >= 1:
            devices.append(_tap(trafos, trafo, winding, element))
    return devices


def _tap(trafos: Any, name: str, winding: int, element: int) -> Device:
    """Ladder of ratios of a winding through its present one, which need not stand on the engine's own."""
    low, high, present = float(trafos.MinTap()), float(trafos.MaxTap()), float(trafos.Tap())
    step = (high - low) / int(trafos.NumTaps())
    below = int(np.floor((present - low) / step + 1e-6))
    above = int(np.floor((high - present) / step + 1e-6))
    ratio = np.array([present + step * k for k in range(-max(below, 0), max(above, 0) + 1)])
    number = round((ratio[0] - (low + high) / 2) / step)
    return Device(nw.TAP, name, element, state=max(below, 0), low=number, value=ratio, winding=winding)


def _banks(engine: Engine, elements: Sequence[Element]) -> list[Device]:
    """Capacitor banks whose steps come on from the first; others stay as they are.

    A bank whose first terminal stands open has all steps off: so does a capacitor control leave it.
    """
    devices = []
    banks = engine.dss.Capacitors
    for k, element in enumerate(elements):
        if element.kind != nw.CAPACITOR:
            continue
        engine.activate(element.full_name)
        banks.Name(element.name)
        steps = [int(s) for s in banks.States()]
        on = sum(steps)
        if steps != sorted(steps, reverse=True):
            engine.note("keeps its steps, which are not on from the first", element.full_name)
            continue
        mvar = banks.kvar() / 1e3 * np.arange(len(steps) + 1) / len(steps)
        device = Device(nw.STEP, element.name, k, state=on, low=0, value=mvar)
        if 0 in element.open_terminals:
            device.state, device.engine_state = 0, on
        devices.append(device)
    return devices


def _go_to(engine: Engine, devices: Sequence[Device], states: Sequence[int]) -> None:
    trafos, banks = engine.dss.Transformers, engine.dss.Capacitors
    for device, state in zip(devices, states, strict=True):
        if device.kind == nw.TAP:
            trafos.Name(device.name)
            trafos.Wdg(device.winding)
            trafos.Tap(float(device.value[state]))
        else:
            banks.Name(device.name)
            banks.States([1] * state + [0] * (device.value.size - 1 - state))
    engine.refresh()


def network_devices(devices: Sequence[Device], elements: Sequence[Element]) -> list[NetworkDevice]:
    """The devices in per unit, as a network takes them."""
    return [
        NetworkDevice(
            d.name, d.kind, d.element, d.low, d.state, d.value, np.stack([elements[d.element].y_pu(y) for y in d.y])
        )
        for d in devices
    ]
