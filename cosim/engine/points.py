"""Nodes whose voltage is kept at every instant, for what no log step carries: flicker, sags of a cycle."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosim.engine.kernel_log import LogArrays
from cosim.errors import InputError, Problem
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.network import Network
from cosim.feeder.places import nodes_at
from cosim.scenario.schema import Scenario

WAVE_INSTANTS: Final = 16384
"""Instants kept between two blocks: more than a block of rows has, so that keeping them makes no block shorter."""


def point_places(scenario: Scenario, compiled: CompiledFeeder) -> NDArray[np.int64]:
    """Places of the points among the watched nodes; by default of each data center's bus and of the source's.

    Raises
    ------
    InputError
        A node that the scenario names is not among `log.nodes`.
    """
    wanted = scenario.log.points.nodes
    if wanted == "none":
        return np.zeros(0, np.int64)
    place = {int(node): k for k, node in enumerate(compiled.watched)}
    network = compiled.network
    if wanted == "terminals":
        named = [nodes_at(network, site.bus) for site in scenario.datacenters.values()]
        source = np.where(network.source_terminal >= 0, network.source_terminal, network.source_node)
        nodes = [int(node) for group in (*named, source) for node in group if not _is_neutral(network, node)]
        return np.array(list(dict.fromkeys(place[node] for node in nodes if node in place)), np.int64)
    names = {name: k for k, name in enumerate(compiled.node_names)}
    groups = [[names[one]] if one in names else nodes_at(network, one).tolist() for one in wanted]
    lacking = [one for one, group in zip(wanted, groups, strict=True) if any(node not in place for node in group)]
    if lacking:
        raise InputError(Problem("must be among log.nodes to be a point", "log.points.nodes", lacking[0]))
    return np.array(list(dict.fromkeys(place[node] for group in groups for node in group)), np.int64)


def take_wave(log: LogArrays) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Instants since the last call and the voltages that hold from each on; None where no point is kept."""
    if log.wave_us.size == 0:
        return None
    n = int(log.n_wave[0])
    log.n_wave[0] = 0
    return log.wave_us[:n], log.wave[:n]


def watched_nodes(scenario: Scenario, compiled: CompiledFeeder) -> NDArray[np.int64]:
    """Nodes in the log, phases first and neutrals behind: those named, or all phases of the buses named.

    Extremes are those of phases alone.
    """
    wanted, names, is_neutral = scenario.log.nodes, compiled.node_names, compiled.network.is_neutral
    phases = np.flatnonzero(~is_neutral)
    if wanted == "extremes":
        return phases
    if wanted == "all":
        return np.concatenate([phases, np.flatnonzero(is_neutral)])
    place = {name: k for k, name in enumerate(names)}
    found = [[place[n]] if n in place else nodes_at(compiled.network, n).tolist() for n in wanted]
    nodes = np.array(list(dict.fromkeys(node for nodes in found for node in nodes)), np.int64)
    return nodes[np.argsort(is_neutral[nodes], kind="stable")]


def watched_names(compiled: CompiledFeeder) -> tuple[list[str], list[str]]:
    """Names of the watched phases, which come first, and of the neutrals behind them."""
    names, is_neutral = compiled.node_names, compiled.network.is_neutral
    phases, neutrals = ([names[k] for k in compiled.watched if is_neutral[k] == which] for which in (False, True))
    return phases, neutrals


def _is_neutral(network: Network, node: int) -> bool:
    """Whether a node, named or internal, is a neutral."""
    return bool(node < network.n_node and network.is_neutral[node])
