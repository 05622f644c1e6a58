"""What protective devices need of one another and of where they stand.

A sectionalizer counts the openings of a recloser behind it; a recloser closes what another device at its place has
opened, and isolates nothing in a loop.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from cosim.errors import Problem
from cosim.feeder.network import LINE, Bools, Ints, Network
from cosim.feeder.protection.config import AnyConfig, RecloserConfig, SectionalizerConfig
from cosim.feeder.protection.devices import pickups
from cosim.feeder.protection.placing import Placed
from cosim.feeder.topology import build_topology

_PLACE = "feeder.protection"


class Chains:
    """Which device stands behind which, as the network's switches stand.

    Parameters
    ----------
    network : Network
    placed : sequence of Placed
    """

    def __init__(self, network: Network, placed: Sequence[Placed]) -> None:
        self.net, self.placed = network, list(placed)
        self._dead: dict[int, Bools] = {}

    @cached_property
    def _dead_anyway(self) -> Bools:
        return _rows_without(self.net, np.zeros(0, np.int64)) < 0

    def cut_off(self, k: int) -> Bools:
        """Nodes that only device k connects with a source."""
        if k not in self._dead:
            self._dead[k] = (_rows_without(self.net, self.placed[k].conductors) < 0) & ~self._dead_anyway
        return self._dead[k]

    def nearest_behind(self, k: int, counts: Callable[[AnyConfig], bool]) -> int | None:
        """The nearest device of some kind on the source side of device k, at its own place too; None without any."""
        own = self.placed[k].conductors
        found = []
        for j, other in enumerate(self.placed):
            if j != k and counts(other.config):
                cut = self.cut_off(j)
                if np.all(cut[self.net.el_node[own]]) or np.array_equal(other.conductors, own):
                    found.append((int(cut.sum()), j))
        return min(found)[1] if found else None


def chain_problems(chains: Chains) -> list[Problem]:
    """Sectionalizers that could never open as they should; paths of their fields."""
    problems = []
    for k, device in enumerate(chains.placed):
        if not isinstance(device.config, SectionalizerConfig):
            continue
        j = chains.nearest_behind(k, lambda config: isinstance(config, RecloserConfig))
        behind = chains.placed[j].config if j is not None else None
        assert behind is None or isinstance(behind, RecloserConfig)
        found = _sectionalizer_problem(device.config, behind)
        if found is not None:
            problems.append(Problem(found.message, f"{_PLACE}.{k}.{found.path}", found.value))
    return problems


def _rows_without(net: Network, conductors: Ints) -> Ints:
    """Row of every node while these conductors are open, -1 where it has no supply."""
    is_cut = np.zeros(net.el_node.size, bool)
    is_cut[conductors] = True
    line_on = net.el_in_service[net.el_kind == LINE]
    return build_topology(net, net.switch_closed, line_on, net.el_y, is_cut).node


def same_end_problems(placed: Sequence[Placed]) -> list[Problem]:
    """Devices that share the poles of one end: a recloser would close what the other opened; others are warned of."""
    problems: list[Problem] = []
    for k, device in enumerate(placed):
        for other in placed[:k]:
            if not np.isin(device.conductors, other.conductors).any():
                continue
            config, before = device.config, other.config
            field, value = ("line", config.line) if config.line is not None else ("trafo", config.trafo)
            if isinstance(config, RecloserConfig) or isinstance(before, RecloserConfig):
                told = f"{config.name} stands at the same end as {before.name}: a recloser closes what another opened"
                problems.append(Problem(told, f"{_PLACE}.{k}.{field}", value))
            else:
                told = f"{_PLACE}.{k}.{field}: {config.name} stands at the same end as {before.name}: whichever acts "
                warnings.warn(told + "first opens for both", UserWarning, stacklevel=2)
    return problems


def warn_of_loops(chains: Chains) -> None:
    """Warn of reclosers whose opening leaves everything supplied, from the other side."""
    for k, device in enumerate(chains.placed):
        if isinstance(device.config, RecloserConfig) and not chains.cut_off(k).any():
            told = f"{_PLACE}.{k}: recloser {device.config.name} stands in a loop: its opening cuts nothing off"
            warnings.warn(told, UserWarning, stacklevel=2)


def _sectionalizer_problem(own: SectionalizerConfig, recloser: RecloserConfig | None) -> Problem | None:
    if recloser is None:
        return Problem("no recloser stands on its source side, whose openings it could count", "count", own.count)
    n = recloser.n_fast + recloser.n_slow
    if own.count >= n:
        told = f"recloser {recloser.name} locks out with its opening {n}: it must open in one before, at most {n - 1}"
        return Problem(told, "count", own.count)
    open_s = recloser.open_s[own.count - 1]
    if own.opening_s >= open_s:
        told = f"recloser {recloser.name} closes {open_s:g} s after its opening {own.count}: it must be open by then"
        return Problem(told, "opening_s", own.opening_s)
    if own.actuating_a > pickups(recloser)[0]:
        warnings.warn(
            f"sectionalizer {own.name} counts from {own.actuating_a:g} A, above the {pickups(recloser)[0]:g} A from "
            f"which recloser {recloser.name} trips: it may miss openings",
            UserWarning,
            stacklevel=2,
        )
    return None
