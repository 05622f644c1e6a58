"""Buses and nodes of a solved engine, with their nominal voltages and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.dss.engine import Engine
from cosim.feeder.network import Bools, Floats, Ints

UNKNOWN_KV: Final = 1.0
"""Nominal voltage of a bus to which the engine gives none, since nothing feeds it."""


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
    """Nominal voltages of the master; where it set none, the engine's own choice from its list.

    The choice takes a no-load solution, so the circuit must be solved again after it; taps stay.
    """
    kv = base_voltages(engine)
    if all(kv.values()):
        return kv
    with engine.reading():
        engine.dss.Text.Command("CalcVoltageBases")
    chosen = base_voltages(engine)
    return {bus: own or chosen.get(bus, 0.0) or UNKNOWN_KV for bus, own in kv.items()}


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
