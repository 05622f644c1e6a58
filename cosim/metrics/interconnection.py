"""The feeder at a point of interconnection: short-circuit power, voltage per power, and what losing the load does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cosim.errors import PhysicsError
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.feeder import Feeder, Solution, solution_of

PROBE_MW = 1e-3
"""Power whose effect is taken as a slope. [MW]"""
_TURN = np.exp(2j * math.pi / 3.0)


@dataclass(frozen=True)
class Interconnection:
    """A bus of a feeder as a load of some power finds it; taps and capacitors stay as they stand."""

    bus: str
    p_mw: float
    """Load for which the rest holds. [MW]"""
    q_mvar: float
    s_sc_mva: float
    """Short-circuit power at 1 pu of the network without loads and machines; infinite at a stiff source."""
    x_over_r: float
    dv_per_mw_pu: float
    """Slope of the voltage over active power, at the load given, other loads following their laws. [pu/MW]"""
    dv_per_mvar_pu: float
    """The same over reactive power. [pu/Mvar]"""
    vm_pu: float
    """Voltage with the load. [pu]"""
    rejection_vm_pu: float
    """Voltage at the bus once the load is gone, before any control moves. [pu]"""
    rejection_max_pu: float
    """Highest voltage of any node then. [pu]"""
    rejection_node: str
    """Where."""

    @property
    def rejection_rise_pu(self) -> float:
        """Rise at the bus when the load is lost. [pu]"""
        return self.rejection_vm_pu - self.vm_pu


def interconnection(
    feeder: Feeder,
    bus: str,
    p_mw: float,
    q_mvar: float = 0.0,
    source: SourceConfig | None = None,
    config: FeederConfig | None = None,
) -> Interconnection:
    """Short-circuit power, sensitivities and load rejection at a bus.

    Parameters
    ----------
    feeder : Feeder
    bus : str
        The bus (all its phases), or some of them (`bus.1`).
    p_mw, q_mvar : float
        The load, split evenly over the phases. [MW, Mvar]
    source : SourceConfig, optional
        Source impedance, as a scenario has it; without it the source is as the feeder's file has it.
    config : FeederConfig, optional
        Scaling of the feeder's loads, as a scenario has it. Loads keep their law at any voltage.

    Returns
    -------
    Interconnection

    Raises
    ------
    InputError
        The feeder lacks the bus.
    PhysicsError
        The feeder has no solution with this load.

    Notes
    -----
    The voltage of several phases is their positive sequence, of two phases or less their mean.
    """
    scaled = (config or FeederConfig(model=feeder.name)).model_copy(update={"vmin_pu": 0.0})
    compiled = feeder.compile([bus], scaled, source)
    loaded, with_p, with_q, gone = (
        _solved(compiled, bus, p, q)
        for p, q in ((p_mw, q_mvar), (p_mw + PROBE_MW, q_mvar), (p_mw, q_mvar + PROBE_MW), (0.0, 0.0))
    )
    v, v_p, v_q, v_gone = (abs(_voltage(compiled, bus, one)) for one in (loaded, with_p, with_q, gone))
    z_pu_per_mva = _network_impedance(feeder, bus, source)
    top = str(gone.vm_pu.idxmax())
    return Interconnection(
        bus=bus,
        p_mw=p_mw,
        q_mvar=q_mvar,
        s_sc_mva=1.0 / abs(z_pu_per_mva) if abs(z_pu_per_mva) > 1e-12 else math.inf,
        x_over_r=float(z_pu_per_mva.imag / z_pu_per_mva.real) if z_pu_per_mva.real > 1e-12 else math.inf,
        dv_per_mw_pu=(v_p - v) / PROBE_MW,
        dv_per_mvar_pu=(v_q - v) / PROBE_MW,
        vm_pu=v,
        rejection_vm_pu=v_gone,
        rejection_max_pu=float(gone.vm_pu[top]),
        rejection_node=top,
    )


def _network_impedance(feeder: Feeder, bus: str, source: SourceConfig | None) -> complex:
    """Impedance that the network shows at a bus without its loads, per unit on 1 MVA."""
    compiled = feeder.compile([bus], FeederConfig(model=feeder.name, vmin_pu=0.0), source)
    compiled.set_injections(np.zeros_like(compiled.injections))
    before, after = (_voltage(compiled, bus, _solved(compiled, bus, p, 0.0)) for p in (0.0, PROBE_MW))
    return complex((before - after) * np.conj(after) / PROBE_MW)


def _solved(compiled: CompiledFeeder, bus: str, p_mw: float, q_mvar: float) -> Solution:
    compiled.arrays.port_p_mw[0], compiled.arrays.port_q_mvar[0] = p_mw, q_mvar
    solution = solution_of(compiled)
    if solution.status != "ok":
        raise PhysicsError(f"the feeder has no solution with {p_mw:g} MW and {q_mvar:g} Mvar at bus {bus}")
    return solution


def _voltage(compiled: CompiledFeeder, bus: str, solution: Solution) -> complex:
    """Positive sequence of three phases, else the mean of the phases turned to one another. [pu]"""
    place = {name: k for k, name in enumerate(solution.node_names)}
    nodes = compiled.nodes_of(bus)
    phasors = [
        solution.node_vm_pu[place[node]] * np.exp(1j * math.radians(solution.node_va_degree[place[node]]))
        for node in nodes
    ]
    if len(phasors) == 1:
        return complex(phasors[0])
    turns = {"1": 1.0, "2": _TURN, "3": _TURN**2}
    turned = [phasor * turns[node.rpartition(".")[2]] for node, phasor in zip(nodes, phasors, strict=True)]
    return complex(np.mean(turned))
