"""Buses and nodes of a solved engine, with their nominal voltages and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.dss.engine import Engine, numbers
from cosim.feeder.network import Bools, Floats, Ints

LIVE_V: Final = 1.0
"""Voltage above which something feeds a bus. [V]"""
UNKNOWN_KV: Final = 1.0
"""Nominal voltage of a bus of which nothing tells one."""


@dataclass(frozen=True)
class Nodes:
    """What the engine calls nodes, in its order; `kept` are those that a live element touches."""

    bus_name: list[str]
    bus_kv: Floats
    """Nominal voltage to ground. [kV]"""
    bus_xy: Floats
    name: list[str]
    bus: Ints
    phase: Ints

    @cached_property
    def kv(self) -> Floats:
        """Nominal voltage to ground of every node. [kV]"""
        return self.bus_kv[self.bus]

    @cached_property
    def bus_index(self) -> Mapping[str, int]:
        """Position of each bus by its name."""
        return {name: k for k, name in enumerate(self.bus_name)}


def base_voltages(engine: Engine) -> dict[str, float]:
    """Nominal voltage to ground of every bus, zero where the engine has none. [kV]"""
    dss = engine.dss
    kv = {}
    for k, name in enumerate(dss.Circuit.AllBusNames()):
        dss.Circuit.SetActiveBusi(k)
        kv[str(name).lower()] = float(dss.Bus.kVBase())
    return kv


def complete_base_voltages(engine: Engine) -> dict[str, float]:
    """Nominal voltages of the master; where it sets none, those of its sources, lines and windings.

    Of a master that sets some, buses without one have the engine's choice from its list, which takes a no-load
    solution, so that the circuit must be solved again after it; taps stay. Without any the engine's list is its own
    default, which knows neither 11 kV nor 69 kV: there ratings tell. Buses that nothing feeds as the circuit stands
    always have that of the lines and windings that end there. [kV]
    """
    kv = base_voltages(engine)
    if not any(kv.values()):
        kv |= _source_voltages(engine)
        _spread(engine, kv)
    unknown = [bus for bus, known in kv.items() if not known]
    if any(_is_live(engine, bus) for bus in unknown):
        with engine.reading():
            engine.dss.Text.Command("CalcVoltageBases")
        chosen = base_voltages(engine)
        kv = {bus: known or chosen[bus] for bus, known in kv.items()}
    if not all(kv.values()):
        _spread(engine, kv)
    return {bus: known or UNKNOWN_KV for bus, known in kv.items()}


def _source_voltages(engine: Engine) -> dict[str, float]:
    """Rated voltage to ground at the bus of every voltage source; a single-phase one is rated to ground. [kV]"""
    found = {}
    for _ in engine.elements("Vsource"):
        span = 1.0 if engine.dss.CktElement.NumPhases() == 1 else np.sqrt(3)
        found[_buses(engine)[0]] = float(engine.value("BasekV")) / float(span)
    return found


def _is_live(engine: Engine, bus: str) -> bool:
    engine.dss.Circuit.SetActiveBus(bus)
    return bool(np.max(np.asarray(engine.dss.Bus.VMagAngle(), float)[0::2], initial=0.0) > LIVE_V)


def _spread(engine: Engine, kv: dict[str, float]) -> None:
    """Give buses without a nominal voltage that of the other end of a line, else that of a winding there.

    Transformers are passed outwards from what is known, so that buses joined by lines have one voltage.
    """
    spans = []
    for class_name in ("Line", "Reactor", "Capacitor", "Fault"):
        spans += [_buses(engine) for _ in engine.elements(class_name)]
    windings = []
    for class_name in ("Transformer", "AutoTrans"):
        for _ in engine.elements(class_name):
            is_single_wye = engine.dss.CktElement.NumPhases() == 1 and "delta" not in engine.value("Conns").lower()
            rated = np.array(numbers(engine.value("kVs"))) / (1 if is_single_wye else np.sqrt(3))
            windings.append(dict(zip(_buses(engine), rated.tolist(), strict=True)))
    while True:
        _spread_over(spans, kv)
        fed = [rated for rated in windings if any(kv[bus] for bus in rated) and not all(kv[bus] for bus in rated)]
        islands = [rated for rated in windings if not any(kv[bus] for bus in rated)]
        if not fed and not islands:
            return
        for ends in fed or islands[:1]:
            for bus, rated_kv in ends.items():
                kv[bus] = kv[bus] or rated_kv


def _spread_over(spans: list[list[str]], kv: dict[str, float]) -> None:
    """Carry known voltages along lines until nothing changes."""
    changed = True
    while changed:
        changed = False
        for ends in spans:
            known = max(kv[bus] for bus in ends)
            for bus in ends:
                if known and not kv[bus]:
                    kv[bus], changed = known, True


def _buses(engine: Engine) -> list[str]:
    """Bus of every terminal of the active element."""
    return [str(bus).partition(".")[0].lower() for bus in engine.dss.CktElement.BusNames()]


def read_nodes(engine: Engine, kv: Mapping[str, float]) -> Nodes:
    """Nodes in the order of the engine's system matrix.

    Parameters
    ----------
    kv : mapping
        Nominal voltage to ground of every bus. [kV]
    """
    dss = engine.dss
    buses = [str(name).lower() for name in dss.Circuit.AllBusNames()]
    xy = np.full((len(buses), 2), np.nan)
    for k in range(len(buses)):
        dss.Circuit.SetActiveBusi(k)
        if dss.Bus.Coorddefined():
            xy[k] = dss.Bus.X(), dss.Bus.Y()
    names = [str(name).lower() for name in dss.Circuit.YNodeOrder()]
    place = {name: k for k, name in enumerate(buses)}
    parts = [name.rpartition(".") for name in names]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(Problem(f"OpenDSS has two nodes of one name: {', '.join(twice)}", file=str(engine.master)))
    return Nodes(
        bus_name=buses,
        bus_kv=np.array([kv[bus] for bus in buses]),
        bus_xy=xy,
        name=names,
        bus=np.array([place[bus] for bus, _, _ in parts], np.int64),
        phase=np.array([int(phase) for _, _, phase in parts], np.int64),
    )


def renumbered(used: Bools) -> Ints:
    """New position of every old one where those not in use are left out; -1 for them, and for ground at -1."""
    position = np.full(used.size + 1, -1, np.int64)
    position[:-1][used] = np.arange(int(used.sum()))
    return position
