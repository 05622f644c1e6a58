"""Elements of power delivery and sources: the engine's primitive admittances, and the switches in them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder import network as nw
from cosim.feeder.dss.engine import Engine, numbers
from cosim.feeder.dss.nodes import Nodes
from cosim.feeder.network import Bools, Complexes, Floats, Ints

KIND_OF_CLASS: Final = {
    "Line": nw.LINE,
    "Transformer": nw.TRAFO,
    "AutoTrans": nw.TRAFO,
    "Capacitor": nw.CAPACITOR,
    "Reactor": nw.REACTOR,
    "Fault": nw.IMPEDANCE,
    "GICTransformer": nw.IMPEDANCE,
}
"""Classes of which the primitive admittance says all that a power flow at one frequency asks."""
SOURCE_CLASS: Final = "Vsource"
INJECTION_CLASSES: Final = ("Load", "Generator", "PVSystem", "Storage")
PROTECTION: Final = ("Relay", "Recloser", "Fuse")
DISPATCH: Final = ("InvControl", "ExpControl", "StorageController", "GenDispatcher", "UPFCControl", "ESPVLControl")
"""Controls that set the powers of others: those stay as the file leaves them, and live controls are refused."""
NOT_ELECTRICAL: Final = (*PROTECTION, *DISPATCH, "RegControl", "CapControl", "SwtControl", "Monitor", "EnergyMeter",
                         "Sensor")  # fmt: skip
DATA: Final = ("LineCode", "LoadShape", "TShape", "PriceShape", "XYcurve", "GrowthShape", "TCC_Curve", "Spectrum",
               "WireData", "CNData", "TSData", "LineSpacing", "LineGeometry", "XfmrCode", "DynamicExp")  # fmt: skip
DEGREES_PER_RADIAN: Final = 57.29577951
"""The engine's own, to ten digits: with it and its full turn ahead, emfs are the engine's to the last digit."""


@dataclass
class Element:
    """One element in volts and siemens."""

    kind: int
    class_name: str
    name: str
    node: Ints
    """Node of each conductor, -1 at ground, then those of sources' emfs behind the engine's nodes."""
    terminal: Ints
    kv: Floats
    """Nominal voltage to ground of each conductor, its bus's where it is grounded. [kV]"""
    y: Complexes
    """Primitive admittance with every whole terminal closed. [S]"""
    rated_a: Floats
    """Rated current of each conductor, 0 without one. [A]"""
    open_terminals: list[int] = field(default_factory=list)
    is_switch: bool = False

    @property
    def full_name(self) -> str:
        """`Class.name`, as messages give it."""
        return f"{self.class_name}.{self.name}"

    def y_pu(self, y: Complexes | None = None) -> Complexes:
        """Admittance on 1 MVA and the conductors' nominal voltages; its own where none is given. [pu]"""
        scaled: Complexes = (self.y if y is None else y) * np.outer(self.kv, self.kv)
        return scaled

    def loading(self) -> Floats:
        """Loading per current of each conductor. [percent/pu]"""
        with np.errstate(divide="ignore"):
            per_pu = 100 * 1e3 / (self.kv * self.rated_a)
        return np.where(self.rated_a > 0, per_pu, 0.0)


@dataclass
class Source:
    """One phase of a voltage source."""

    name: str
    emf: int
    """Node of its emf, behind the engine's nodes."""
    terminal: int
    """Node at its terminal."""
    v: complex
    """Emf. [V]"""


def refuse_unknown_classes(engine: Engine) -> None:
    """Name every enabled element that this package cannot carry.

    Raises
    ------
    InputError
        With all of them.
    """
    known = {*KIND_OF_CLASS, SOURCE_CLASS, *INJECTION_CLASSES, *NOT_ELECTRICAL, *DATA}
    problems = []
    for class_name in engine.dss.Basic.Classes():
        if class_name in known:
            continue
        for name in engine.elements(class_name):
            problems.append(engine.problem(f"{class_name}.{name}", " cannot be carried; disable it"))
    if problems:
        raise InputError(problems)
    for class_name in PROTECTION:
        for name in engine.elements(class_name):
            engine.note("does not act", f"{class_name}.{name}")
    for class_name in DISPATCH:
        for name in engine.elements(class_name):
            engine.note("does not act; the powers that it sets stay as the file leaves them", f"{class_name}.{name}")


def read_elements(engine: Engine, nodes: Nodes) -> list[Element]:
    """All enabled elements of power delivery, open terminals closed for the reading and opened again."""
    elements = [
        element
        for class_name, kind in KIND_OF_CLASS.items()
        for name in engine.elements(class_name)
        for element in [_read(engine, nodes, kind, class_name, name)]
    ]
    _refuse_twins(engine, elements)
    _read_closed(engine, [e for e in elements if e.open_terminals])
    _mark_switches(engine, elements)
    return elements


def _refuse_twins(engine: Engine, elements: Sequence[Element]) -> None:
    """Refuse what must be operated by name where the name is not unique (Set AllowDuplicates=yes).

    Raises
    ------
    InputError
        With every such name.
    """
    count = Counter(e.full_name for e in elements)
    operated = [e for e in elements if e.open_terminals or e.kind in (nw.TRAFO, nw.CAPACITOR)]
    twins = sorted({e.full_name for e in operated if count[e.full_name] > 1})
    if twins:
        raise InputError([engine.problem(name, " is defined more than once") for name in twins])


def _read(engine: Engine, nodes: Nodes, kind: int, class_name: str, name: str) -> Element:
    """The active element as it stands."""
    dss = engine.dss.CktElement
    n_terminal, n_conductor = dss.NumTerminals(), dss.NumConductors()
    terminal = np.repeat(np.arange(n_terminal), n_conductor)
    node, kv = conductors(engine, nodes, n_conductor)
    element = Element(
        kind=kind,
        class_name=class_name,
        name=name,
        node=node,
        terminal=terminal,
        kv=kv,
        y=engine.y_prim(),
        rated_a=np.zeros(node.size),
        open_terminals=[t for t in range(n_terminal) if _is_open(dss, t)],
        is_switch=class_name == "Line" and engine.value("Switch").lower() in ("yes", "true"),
    )
    if kind == nw.TRAFO:
        element.rated_a = _winding_ratings(engine, n_terminal, n_conductor)
    else:
        element.rated_a[:] = max(float(dss.NormalAmps()), 0.0)
    return element


def conductors(engine: Engine, nodes: Nodes, n_conductor: int) -> tuple[Ints, Floats]:
    """Node and nominal voltage of each conductor of the active element, those of its first terminal first.

    A conductor at ground has the nominal voltage of its terminal's bus. The two may differ for a live one: the
    first terminal of an autotransformer holds the conductors to its second bus too.
    """
    dss = engine.dss.CktElement
    node = np.asarray(dss.NodeRef(), np.int64) - 1
    index = nodes.bus_index
    buses = [index[str(bus).partition(".")[0].lower()] for bus in dss.BusNames()]
    at_terminal = nodes.bus_kv[np.repeat(buses, n_conductor)[: node.size]]
    return node, np.where(node >= 0, nodes.kv[node], at_terminal)


def _is_open(dss: Any, terminal: int) -> bool:
    """Whether all phases of a terminal are open; some only leave it to the engine's reduced admittance."""
    return all(dss.IsOpen(terminal + 1, phase + 1) for phase in range(dss.NumPhases()))


def _winding_ratings(engine: Engine, n_winding: int, n_conductor: int) -> Floats:
    """Rated current of every winding on its phase conductors. [A]

    The engine rates the first winding only (NormHkVA, 110 % of its kVA by default), and compares the currents
    of all windings to that; here each has its share, by its own kVA and kV.
    """
    n_phase = engine.dss.CktElement.NumPhases()
    current = numbers(engine.value("kVAs")) / numbers(engine.value("kVs"))
    rated = np.zeros((n_winding, n_conductor))
    rated[:, :n_phase] = (float(engine.dss.CktElement.NormalAmps()) * current / current[0])[:, None]
    return rated.ravel()


def _read_closed(engine: Engine, opened: Sequence[Element]) -> None:
    """Replace the reduced admittances of elements with open terminals by those of the closed element."""
    if not opened:
        return
    operate(engine, opened, engine.dss.CktElement.Close)
    for element in opened:
        engine.activate(element.full_name)
        element.y = engine.y_prim()
    operate(engine, opened, engine.dss.CktElement.Open)


def operate(engine: Engine, elements: Sequence[Element], how: Any) -> None:
    """Close or open, in the engine, the terminals of elements that stand open in the file."""
    for element in elements:
        engine.activate(element.full_name)
        for terminal in element.open_terminals:
            how(terminal + 1, 0)
    engine.refresh()


def _mark_switches(engine: Engine, elements: Sequence[Element]) -> None:
    """Lines under a switch control are switches too."""
    switched = {engine.value("SwitchedObj").lower() for _ in engine.elements("SwtControl")}
    for element in elements:
        element.is_switch = element.is_switch or element.full_name.lower() in switched


def read_sources(engine: Engine, nodes: Nodes) -> tuple[list[Element], list[Source]]:
    """Every enabled voltage source: an element from its terminal to the nodes of its emf, and the emfs.

    Raises
    ------
    InputError
        If the second terminal of one is not grounded, or no source is enabled.
    """
    elements: list[Element] = []
    sources: list[Source] = []
    for name in engine.elements(SOURCE_CLASS):
        n = engine.dss.CktElement.NumConductors()
        node, kv = conductors(engine, nodes, n)
        if (node[n:] >= 0).any() or (node[:n] < 0).any():
            why = ": bus1 must be live and bus2 grounded to be carried"
            raise InputError(engine.problem(f"Vsource.{name}", why))
        open_terminals = [t for t in range(2) if _is_open(engine.dss.CktElement, t)]
        emf = len(nodes.name) + len(sources) + np.arange(n)
        element = Element(
            kind=nw.SOURCE,
            class_name=SOURCE_CLASS,
            name=name,
            node=np.concatenate([node[:n], emf]),
            terminal=np.repeat([0, 1], n),
            kv=np.concatenate([kv[:n], kv[:n]]),
            y=engine.y_prim(),
            rated_a=np.zeros(2 * n),
            open_terminals=open_terminals,
        )
        volts = _emf(engine, n)
        elements.append(element)
        for k in range(n):
            sources.append(Source(f"{name}.{k + 1}" if n > 1 else name, int(emf[k]), int(node[k]), volts[k]))
    if not sources:
        raise InputError(Problem("the circuit has no voltage source", file=str(engine.master)))
    _read_closed(engine, [e for e in elements if e.open_terminals])
    return elements, sources


def _emf(engine: Engine, n_phase: int) -> Complexes:
    """Phasors of the active source. [V]"""
    vm = 1e3 * engine.number("BasekV") * engine.number("pu")
    if n_phase > 1:
        vm /= 2 * np.sin(np.pi / n_phase)
    turn = {"p": -1, "n": 1, "z": 0}[engine.value("Sequence")[:1].lower()]
    degree = 360 + engine.number("Angle") + turn * 360 / n_phase * np.arange(n_phase)
    emf: Complexes = vm * np.exp(1j * degree / DEGREES_PER_RADIAN)
    return emf


def element_arrays(elements: Sequence[Element], position: Ints) -> dict[str, Any]:
    """The `el_*` arrays of a network.

    Parameters
    ----------
    position : Ints
        New number of each node, -1 last for ground.
    """
    sizes = [e.node.size for e in elements]
    return {
        "el_kind": np.array([e.kind for e in elements], np.int64),
        "el_name": np.array(unique_names((e.kind, e.class_name, e.name) for e in elements), np.str_),
        "el_in_service": np.ones(len(elements), bool),
        "el_ptr": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        "el_node": position[np.concatenate([e.node for e in elements])],
        "el_terminal": np.concatenate([e.terminal for e in elements]).astype(np.int64),
        "el_y": np.concatenate([e.y_pu().ravel() for e in elements]),
        "el_loading": np.concatenate([e.loading() for e in elements]),
    }


def unique_names(members: Iterable[tuple[int, str, str]]) -> list[str]:
    """Plain names; the class goes before a name that its kind has already, and a number behind a third.

    Parameters
    ----------
    members : iterable
        Kind, class and name of each.
    """
    taken: set[tuple[int, str]] = set()
    names = []
    for kind, class_name, name in members:
        full = f"{class_name.lower()}.{name}"
        tries = itertools.chain((name, full), (f"{full}#{k}" for k in itertools.count(2)))
        free = next(n for n in tries if (kind, n) not in taken)
        taken.add((kind, free))
        names.append(free)
    return names


def switch_arrays(elements: Sequence[Element]) -> dict[str, Any]:
    """The `switch_*` arrays: switch lines by their own name, and every terminal that stands open.

    A switch line that stands closed opens at its first terminal.
    """
    name: list[str] = []
    element: list[int] = []
    terminal: list[int] = []
    closed: list[bool] = []
    for k, e in enumerate(elements):
        places = e.open_terminals or ([0] if e.is_switch else [])
        for place in places:
            plain = e.name if e.class_name == "Line" else e.full_name.lower()
            name.append(plain if plain not in name else f"{plain}.{place + 1}")
            element.append(k)
            terminal.append(place)
            closed.append(not e.open_terminals)
    return {
        "switch_name": np.array(name, np.str_),
        "switch_kind": np.full(len(name), nw.SWITCH_ELEMENT, np.int64),
        "switch_from": np.array(element, np.int64),
        "switch_to": np.array(terminal, np.int64),
        "switch_closed": np.array(closed, bool),
        "switch_y": np.zeros(len(name), np.complex128),
    }


def touched(elements: Sequence[Element], n_node: int) -> Bools:
    """Which of the engine's nodes an element ends at."""
    used = np.zeros(n_node, bool)
    for e in elements:
        used[e.node[(e.node >= 0) & (e.node < n_node)]] = True
    return used
