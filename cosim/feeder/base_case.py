"""A feeder without its data centers: whether it stands, and how much of its own load it carries."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.network import LOAD, MOTOR, Complexes, Floats, Ints, Network

if TYPE_CHECKING:
    from cosim.feeder.compile import CompiledFeeder

LOWEST_PU = 0.5
"""No feeder is run below it: contactors have dropped out by then, and solutions down there are those of a collapsed
voltage, held by laws of loads that were never meant for it. [pu]"""
LOWEST_SCR = 2.0
"""Short-circuit power over what is drawn, below which a system is very weak (IEEE Std 1204): at 2, no source of 1 pu
behind a reactance can give more. [1]"""
DEAD_PU = 1e-3
"""Below it a load is not supplied: an open phase that others induce a little voltage in. [pu]"""
SMALLEST = 1e-9
"""Part of its own load below which nothing is carried. [1]"""
TOLERANCE = 1e-3
"""To which the part of its own load is found. [1]"""


@dataclass(frozen=True)
class BaseCase:
    """A feeder without data centers, in the state of its switches, devices and source."""

    status: int
    """OK or COLLAPSED, as `solve` has it."""
    node: str
    vm_pu: float
    """Lowest voltage across a load, and where. [pu]"""
    part: float
    """Largest part of its own loads and generation with which every load keeps LOWEST_PU, of the source's voltage in a
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
    """The feeder without its data centers as it stands, solved in arrays of its own.

    Loads that have no voltage even where nothing is drawn, at an open phase, are not counted.
    """
    from cosim.feeder import arrays as ix
    from cosim.feeder.kernel import solve

    def solved(part: float) -> tuple[int, Ints, Floats]:
        f = compiled.without_datacenters(part)
        status = int(solve(f))
        v = f.v[0::2] + 1j * f.v[1::2]
        at_node = np.where(f.node_row >= 0, v[np.maximum(f.node_row, 0)], 0)
        return status, *across_loads(compiled.network, at_node)

    floor_pu = LOWEST_PU * compiled.arrays.params[ix.EMF_FACTOR]
    status, node, across = solved(1.0)
    if status != ix.COLLAPSED and (across >= floor_pu).all():
        return BaseCase(status, *_lowest(compiled.network, node, across), 1.0)
    is_supplied = solved(0.0)[2] >= floor_pu
    lowest = _lowest(compiled.network, node[is_supplied], across[is_supplied])
    if status != ix.COLLAPSED and lowest[1] >= floor_pu:
        return BaseCase(status, *lowest, 1.0)
    low, high = 0.0, 1.0
    while high - low > max(TOLERANCE * high, SMALLEST):
        middle = 0.5 * (low + high)
        found, _, across = solved(middle)
        is_held = found != ix.COLLAPSED and bool((across[is_supplied] >= floor_pu).all())
        low, high = (middle, high) if is_held else (low, middle)
    return BaseCase(status, *lowest, low)


def _lowest(network: Network, node: Ints, across: Floats) -> tuple[str, float]:
    """Name of the node of the lowest voltage, and that; 1 pu without any."""
    at = int(np.argmin(across)) if across.size else -1
    return (str(network.node_name[node[at]]), float(across[at])) if at >= 0 and np.isfinite(across[at]) else ("", 1.0)


def across_loads(network: Network, v: Complexes) -> tuple[Ints, Floats]:
    """Node of every leg in which a load draws, and the voltage across it, infinite where it is de-energized.

    Across and not to ground, from which a phase of a delta may stand anywhere.

    Parameters
    ----------
    network : Network
    v : array [n_node] or longer
        Voltage of every named node. [pu]

    Returns
    -------
    tuple of array [n]
        In the order of the network's legs. [1, pu]
    """
    a, b = network.leg_node.T
    drawn = network.inj_s_mva[network.leg_inj] * network.leg_share
    is_load = np.isin(network.inj_kind[network.leg_inj], (LOAD, MOTOR)) & (drawn != 0)
    legs = np.flatnonzero(is_load & (a < network.n_node) & (b < network.n_node))
    a, b = a[legs], b[legs]
    at_b = np.where(b >= 0, v[b], 0)
    neutral = network.is_neutral
    is_between = (b >= 0) & ~neutral[a] & ~neutral[b]  # phases: one of them and a neutral have the voltage to ground
    across = np.abs(v[a] - at_b) / np.where(is_between, np.sqrt(3.0), 1.0)
    return a, np.where((v[a] == 0) & (at_b == 0), np.inf, across)


def lowest_in_file(network: Network) -> tuple[str, float]:
    """Node and size of the lowest voltage across a load in the solution that came with a network; 1 pu without any."""
    node, across = across_loads(network, network.node_v)
    is_supplied = across > DEAD_PU
    return _lowest(network, node[is_supplied], across[is_supplied])


def warn_of_base_case(network: Network, config: FeederConfig, source: SourceConfig | None) -> None:
    """Warn of a feeder that its file leaves at voltages at which no feeder is run, and of a source too weak for it."""
    node, vm_pu = lowest_in_file(network)
    if vm_pu < LOWEST_PU:
        told = (
            f"{node} is at {vm_pu:.3g} pu in the feeder as its file has it, without data centers: its own loads are "
            "beyond what it carries, or this one is at an open phase"
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
