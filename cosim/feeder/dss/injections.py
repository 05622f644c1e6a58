"""Loads, generators, inverters and storage of a solved engine, as legs under a law of the voltage.

Each is held to the current that the engine itself gives it at the solved voltages: one whose law does
not reproduce that current is refused by name, so nothing is carried wrongly unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder import network as nw
from cosim.feeder.dss import laws
from cosim.feeder.dss.elements import conductors, unique_names
from cosim.feeder.dss.engine import Engine
from cosim.feeder.dss.nodes import Nodes
from cosim.feeder.network import Complexes, Floats, Ints

SAME_CURRENT: Final = 1e-6
"""Largest difference between a law's current and the engine's, relative to the current at rated power."""
_VARIABLE, _FIXED, _EXEMPT = range(3)
"""Status of a load: follows multipliers and shapes, or growth only; exempt from the load multiplier."""
_DELTA: Final = "delta"


@dataclass
class Injection:
    """One load or generator. Consumption is positive."""

    kind: int
    class_name: str
    name: str
    s_mva: complex
    """At rated voltage. [MVA]"""
    leg: Ints
    """[n_leg, 2] nodes of every phase, -1 at ground."""
    law: Floats
    """In pu of the node."""
    kv: float
    """Nominal voltage to ground of its bus. [kV]"""
    shapes: tuple[str, str, str] = ("", "", "")
    """Daily, yearly and duty shape, empty where the power does not follow one."""
    power_factor: float = 1.0
    """By which a shape of actual power without reactive power is completed."""

    @property
    def full_name(self) -> str:
        """`Class.name`, as messages give it."""
        return f"{self.class_name}.{self.name}"

    def leg_currents(self, volts: Complexes) -> Complexes:
        """Current that each leg draws at the engine's node voltages. [A]"""
        u = self.across(volts)
        drawn = np.zeros(u.size, np.complex128)
        for k in np.flatnonzero(u != 0):
            p, q = laws.factors(self.law, abs(u[k]) / (1e3 * self.kv))
            s_va = 1e6 * complex(self.s_mva.real * p, self.s_mva.imag * q) / self.leg.shape[0]
            drawn[k] = np.conj(s_va / u[k])
        return drawn

    def currents(self, volts: Complexes, node: Ints) -> Complexes:
        """Current into every conductor of the element at the engine's node voltages. [A]"""
        drawn = self.leg_currents(volts)
        total = np.zeros(volts.size + 1, np.complex128)
        np.add.at(total, self.leg[:, 0], drawn)
        np.add.at(total, self.leg[:, 1], -drawn)
        unique, first = np.unique(node, return_index=True)
        into = np.zeros(node.size, np.complex128)
        into[first] = total[unique]
        return into

    def across(self, volts: Complexes) -> Complexes:
        """Voltage across each leg. [V]"""
        grounded = np.append(volts, 0)
        across: Complexes = grounded[self.leg[:, 0]] - grounded[self.leg[:, 1]]
        return across


def read_injections(engine: Engine, nodes: Nodes, volts: Complexes) -> list[Injection]:
    """Every enabled load, generator, PV system and storage.

    Parameters
    ----------
    volts : Complexes
        Solved voltages of the engine. [V]

    Raises
    ------
    InputError
        Names every element whose model cannot be carried.
    """
    injections: list[Injection] = []
    problems: list[Problem] = []
    dss = engine.dss
    for interface, read in (
        (dss.Loads, _load),
        (dss.Generators, _generator),
        (dss.PVsystems, _pv),
        (dss.Storages, _storage),
    ):
        for name in engine.members(interface):
            try:
                injection = read(engine, nodes, name)
                injections.append(_held_to_the_engine(engine, injection, volts))
            except InputError as wrong:
                problems += wrong.problems
    if problems:
        raise InputError(problems)
    return injections


def _refused(engine: Engine, full_name: str, why: str) -> InputError:
    return InputError(engine.problem(full_name, f": {why}"))


def _held_to_the_engine(engine: Engine, injection: Injection, volts: Complexes) -> Injection:
    """The injection, with its measured power where the engine does not tell it.

    Raises
    ------
    InputError
        If its law does not give the engine's current.
    """
    if injection.s_mva == 0:
        return injection
    node = np.asarray(engine.dss.CktElement.NodeRef(), np.int64) - 1
    its, ours = engine.currents(), injection.currents(volts, node)
    if np.isnan(injection.s_mva):
        injection.s_mva = _measured(injection, its, node, volts)
        ours = injection.currents(volts, node)
    merged = _by_node(its, node) - _by_node(ours, node)
    rated_a = 1e3 * abs(injection.s_mva) / injection.kv / injection.leg.shape[0]
    if not np.abs(merged).max(initial=0.0) <= SAME_CURRENT * max(rated_a, 1e-9):
        worst = np.abs(merged).max()
        raise _refused(
            engine,
            injection.full_name,
            f"draws other currents in OpenDSS than its model says (by {worst:.3g} A of {rated_a:.3g} A) "
            "and cannot be carried",
        )
    return injection


def _by_node(current: Complexes, node: Ints) -> Complexes:
    """Sum over conductors at the same live node."""
    unique, place = np.unique(node, return_inverse=True)
    total = np.zeros(unique.size, np.complex128)
    np.add.at(total, place, current)
    return total[unique >= 0]


def _measured(injection: Injection, current: Complexes, node: Ints, volts: Complexes) -> complex:
    """Power at rated voltage with which the law gives the power that the engine's currents carry. [MVA]"""
    drawn_mva = (np.append(volts, 0)[node] * np.conj(current)).sum() / 1e6
    m = np.abs(injection.across(volts)) / (1e3 * injection.kv)
    p, q = np.mean([laws.factors(injection.law, vm) for vm in m], axis=0)
    return complex(drawn_mva.real / p if p else 0.0, drawn_mva.imag / q if q else 0.0)


def _legs(n_phase: int, is_delta: bool, node: Ints) -> Ints:
    """Nodes of every phase: to the neutral conductor in wye, to the next conductor in delta."""
    if not is_delta:
        legs = np.column_stack([node[:n_phase], np.full(n_phase, node[n_phase])])
    else:
        following = [(k + 1) % node.size for k in range(n_phase)]
        legs = np.column_stack([node[:n_phase], node[following]])
    # The first of the two is live, as the second may be ground; the law does not mind the direction.
    return np.where(legs[:, :1] < 0, legs[:, ::-1], legs)


def _common(engine: Engine, nodes: Nodes) -> tuple[int, bool, Ints, float]:
    """Phases, whether in delta, conductors' nodes, and the nominal voltage of the active element's bus. [kV]"""
    dss = engine.dss.CktElement
    node, kv = conductors(engine, nodes, dss.NumConductors())
    return dss.NumPhases(), engine.value("Conn").lower() == _DELTA, node, float(kv[0])


def _is_switched_off(engine: Engine, full_name: str) -> bool:
    """Whether all conductors of the active element are open.

    Raises
    ------
    InputError
        If only some are, for which the engine itself has no dependable model.
    """
    dss = engine.dss.CktElement
    opened = [dss.IsOpen(1, phase + 1) for phase in range(dss.NumPhases())]
    if any(opened) and not all(opened):
        raise _refused(engine, full_name, "stands open in some phases only and cannot be carried")
    return all(opened)


def _load(engine: Engine, nodes: Nodes, name: str) -> Injection:
    load = engine.dss.Loads
    n_phase, is_delta, node, bus_kv = _common(engine, nodes)
    model, status = int(load.Model()), int(load.Status())
    full_name = f"Load.{name}"
    if engine.value("CVRcurve"):
        raise _refused(engine, full_name, "CVRcurve cannot be carried; give CVRwatts and CVRvars")
    factor = _load_factor(engine, status)
    s_kva = complex(load.kW(), load.kvar()) * factor
    q_scale = 1.0
    if model in (laws.FIXED_Q, laws.FIXED_X):
        s_kva, q_scale = complex(s_kva.real, load.kvar()), factor
    law = laws.load_law(
        model,
        engine.number("Vlowpu"),
        load.Vminpu(),
        load.Vmaxpu(),
        (load.CVRwatts(), load.CVRvars()),
        _numbers(load.ZipV()) if model == laws.ZIPV else (),
        q_scale,
    )
    rated_kv = load.kV() / (np.sqrt(3) if n_phase in (2, 3) and not is_delta else 1)
    follows = ("Daily", "Yearly", "Duty") if status != _FIXED else ()
    return Injection(
        kind=nw.LOAD,
        class_name="Load",
        name=name,
        s_mva=0j if _is_switched_off(engine, full_name) else s_kva / 1e3,
        leg=_legs(n_phase, is_delta, node),
        law=laws.in_node_pu(law, rated_kv / bus_kv),
        kv=bus_kv,
        shapes=_shapes(engine, follows),
        power_factor=load.PF(),
    )


def _load_factor(engine: Engine, status: int) -> float:
    """What the engine multiplies the power of a load by in a snapshot; NaN where only its current tells."""
    solution = engine.dss.Solution
    year = int(solution.Year())
    if year and engine.value("Growth"):
        return float("nan")
    growth = (1 + float(solution.PctGrowth()) / 100) ** (year - 1) if year else 1.0
    return growth * (float(solution.LoadMult()) if status == _VARIABLE else 1.0)


def _shapes(engine: Engine, follows: Sequence[str]) -> tuple[str, str, str]:
    """Daily, yearly and duty shape of the active element; duty is daily where it has none, as in the engine."""
    if not follows:
        return "", "", ""
    daily, yearly, duty = (engine.value(which).lower() for which in follows)
    return daily, yearly, duty or daily


def _numbers(values: Any) -> Sequence[float]:
    return [float(v) for v in np.asarray(values, float)]


def _machine(engine: Engine, nodes: Nodes, kind: int, class_name: str, name: str, s_kva: complex) -> Injection:
    """A generator or inverter; power is given as consumption."""
    n_phase, is_delta, node, bus_kv = _common(engine, nodes)
    full_name = f"{class_name}.{name}"
    model = int(float(engine.value("Model")))
    v_min, v_max = engine.number("Vminpu"), engine.number("Vmaxpu")
    if engine.value("Balanced").lower() in ("yes", "true") and n_phase == 3:
        raise _refused(engine, full_name, "balanced=yes ties its phases together and cannot be carried")
    limits = class_name != "Generator" and engine.value("LimitCurrent").lower() in ("yes", "true")
    if limits and class_name == "Storage":
        # The engine heeds it inside the window only, and there in delta alone: a law with jumps.
        raise _refused(engine, full_name, "LimitCurrent=yes cannot be carried for storage")
    is_single_delta = is_delta and n_phase not in (2, 3)
    known = (1, 2, 3, 4, 5, 7) if class_name == "Generator" else (1, 2)
    if model not in known:
        raise _refused(engine, full_name, f"model={model} cannot be carried (only {', '.join(map(str, known))})")
    if model == laws.GEN_PV:
        law = laws.limited_law(0.0)  # the engine gives it no window
    elif model == laws.GEN_LIMITED:
        law = laws.limited_law(v_min, q_sign=-1.0)
    elif limits and model == laws.GEN_PQ:
        law = laws.limited_law(v_min)
    else:
        law = laws.generator_law(model, v_min, v_max, 1 / 3 if is_single_delta else 1.0)
    rated_kv = engine.number("kV") / (np.sqrt(3) if n_phase in (2, 3) else 1)
    if is_delta and (n_phase in (2, 3) or limits):
        rated_kv *= np.sqrt(3)
    return Injection(
        kind=kind,
        class_name=class_name,
        name=name,
        s_mva=0j if _is_switched_off(engine, full_name) else s_kva / 1e3,
        leg=_legs(n_phase, is_delta, node),
        law=laws.in_node_pu(law, rated_kv / bus_kv),
        kv=bus_kv,
    )


def _generator(engine: Engine, nodes: Nodes, name: str) -> Injection:
    generator = engine.dss.Generators
    s_kva = -complex(generator.kW(), generator.kvar())
    model = int(generator.Model())
    if model in (laws.GEN_FIXED_Q, laws.GEN_FIXED_X):
        s_kva = complex(s_kva.real, -engine.number("kvar"))
    if model == laws.GEN_PV:
        s_kva = complex(np.nan, np.nan)
    injection = _machine(engine, nodes, nw.SGEN, "Generator", name, s_kva)
    if engine.value("Status").lower() != "fixed":
        injection.shapes = _shapes(engine, ("Daily", "Yearly", "Duty"))
    return injection


def _pv(engine: Engine, nodes: Nodes, name: str) -> Injection:
    """A PV system at its present output; its shapes are of irradiance and temperature, and not carried."""
    pv = engine.dss.PVsystems
    if any(_shapes(engine, ("Daily", "Yearly", "Duty"))):
        engine.note("stays at its present output and does not follow its irradiance shapes", f"PVSystem.{name}")
    return _machine(engine, nodes, nw.SGEN, "PVSystem", name, -complex(pv.kW(), pv.kvar()))


def _storage(engine: Engine, nodes: Nodes, name: str) -> Injection:
    """Storage at its present power, which only its current tells."""
    if any(_shapes(engine, ("Daily", "Yearly", "Duty"))):
        engine.note("stays at its present power and does not follow its dispatch", f"Storage.{name}")
    return _machine(engine, nodes, nw.STORAGE, "Storage", name, complex(np.nan, np.nan))


def injection_arrays(injections: Sequence[Injection], position: Ints) -> dict[str, Any]:
    """The `inj_*` and `leg_*` arrays of a network, `inj_profile` aside. Legs between one node and itself fall away.

    Parameters
    ----------
    position : Ints
        New number of each node, -1 last for ground.
    """
    inj, node, share, shape = [], [], [], []
    for k, injection in enumerate(injections):
        for leg in injection.leg:
            if leg[0] == leg[1]:
                continue
            inj.append(k)
            node.append(position[leg])
            share.append(1 / injection.leg.shape[0])
            shape.append(injection.law)
    return {
        "inj_name": np.array(unique_names((i.kind, i.class_name, i.name) for i in injections), np.str_),
        "inj_kind": np.array([i.kind for i in injections], np.int64),
        "inj_s_mva": np.array([i.s_mva for i in injections], np.complex128),
        "leg_inj": np.array(inj, np.int64),
        "leg_node": np.array(node, np.int64).reshape(-1, 2),
        "leg_share": np.array(share),
        "leg_shape": np.array(shape).reshape(-1, nw.N_SHAPE),
    }
