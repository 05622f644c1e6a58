"""A feeder without its data centers: whether it stands, and how much of its own load it carries."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.network import LOAD, MOTOR, Floats, Network

if TYPE_CHECKING:
    from cosim.feeder.arrays import FeederArrays
    from cosim.feeder.compile import CompiledFeeder

LOWEST_PU = 0.5
"""No feeder is run below it: contactors have dropped out by then, and solutions down there are those of a collapsed
voltage, held by laws of loads that were never meant for it. [pu]"""
LOWEST_SCR = 2.0
"""Short-circuit power over what is drawn, below which a system is very weak (IEEE Std 1204): at 2, no source of 1 pu
behind a reactance can give more. [1]"""
TOLERANCE = 1e-3
"""To which the part of its own load is found. [1]"""


@dataclass(frozen=True)
class BaseCase:
    """A feeder without data centers, in the state of its switches, devices and source."""

    status: int
    """OK or COLLAPSED, as `solve` has it."""
    node: str
    vm_pu: float
    """Lowest voltage, and where. [pu]"""
    part: float
    """Largest part of its own loads and generation with which every node keeps LOWEST_PU, of the source's voltage in a
    dip; 1 where it carries all of them. [1]"""

    @property
    def told(self) -> str:
        """What is wrong with it, in one sentence; empty where nothing is."""
        from cosim.feeder.arrays import COLLAPSED

        if self.part == 1.0:
            return ""
        carried = f"the feeder itself carries {self.part:.3g} of its own load"
        if self.status == COLLAPSED:
            return f"no solution without data centers either: {carried}"
        return f"{self.node} is at {self.vm_pu:.3g} pu without data centers: {carried}"


def base_case(compiled: CompiledFeeder) -> BaseCase:
    """The feeder without its data centers as it stands, solved in arrays of its own."""
    from cosim.feeder import arrays as ix
    from cosim.feeder.kernel import solve

    def held(f: FeederArrays) -> tuple[int, str, float]:
        status = int(solve(f))
        vm = np.where(f.node_row >= 0, np.sqrt(f.vm2[np.maximum(f.node_row, 0)]), np.inf)
        at = int(np.argmin(vm))
        return status, compiled.node_names[at], float(vm[at])

    status, node, vm_pu = held(compiled.without_datacenters())
    floor_pu = LOWEST_PU * compiled.arrays.params[ix.EMF_FACTOR]
    if status != ix.COLLAPSED and vm_pu >= floor_pu:
        return BaseCase(status, node, vm_pu, 1.0)
    low, high = 0.0, 1.0
    while high - low > TOLERANCE * high:
        middle = 0.5 * (low + high)
        at_part = held(compiled.without_datacenters(middle))
        low, high = (middle, high) if at_part[0] != ix.COLLAPSED and at_part[2] >= floor_pu else (low, middle)
    return BaseCase(status, node, vm_pu, low)


def lowest_in_file(network: Network) -> tuple[str, float]:
    """Node of the lowest voltage in the solution that came with a network, and that voltage; 1 pu where all is dead."""
    vm: Floats = np.abs(network.node_v[: network.n_node])
    vm = np.where(vm > 0, vm, np.inf)
    at = int(np.argmin(vm))
    return (str(network.node_name[at]), float(vm[at])) if np.isfinite(vm[at]) else ("", 1.0)


def warn_of_base_case(network: Network, config: FeederConfig, source: SourceConfig | None) -> None:
    """Warn of a feeder that its file leaves at voltages at which no feeder is run, and of a source too weak for it."""
    node, vm_pu = lowest_in_file(network)
    if vm_pu < LOWEST_PU:
        told = (
            f"{node} is at {vm_pu:.3g} pu in the feeder as its file has it, without data centers: its own loads are "
            "beyond what it carries"
        )
        warnings.warn(told, UserWarning, stacklevel=2)
    if source is None or source.s_sc_mva is None:
        return
    scaled = np.isin(network.inj_kind, (LOAD, MOTOR))
    drawn_mva = abs(complex(np.sum(network.inj_s_mva * np.where(scaled, config.load_scaling, 1.0))))
    n_source = np.unique(network.node_bus[network.source_terminal]).size
    if drawn_mva * LOWEST_SCR > n_source * source.s_sc_mva:
        told = (
            f"source.s_sc_mva: {n_source * source.s_sc_mva:g} MVA of short-circuit power are less than {LOWEST_SCR:g} "
            f"times the {drawn_mva:.3g} MVA that the feeder draws without data centers: such a source holds no voltage"
        )
        warnings.warn(told, UserWarning, stacklevel=2)
