"""What protective devices need of one another and of where they stand.

A sectionalizer counts the openings of a recloser behind it; a recloser closes what another device at its place has
opened, and isolates nothing in a loop.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from cosim.errors import Problem
from cosim.feeder.network import LINE, Ints, Network
from cosim.feeder.protection.config import RecloserConfig, SectionalizerConfig
from cosim.feeder.protection.devices import pickups
from cosim.feeder.protection.placing import Placed
from cosim.feeder.topology import build_topology

_PLACE = "feeder.protection"


def chain_problems(network: Network, placed: Sequence[Placed]) -> list[Problem]:
    """Sectionalizers that could never open as they should, as the network's switches stand; paths of their fields."""
    problems = []
    for k, device in enumerate(placed):
        if isinstance(device.config, SectionalizerConfig):
            found = _sectionalizer_problem(network, device.config, _behind(network, device, placed))
            if found is not None:
                problems.append(Problem(found.message, f"{_PLACE}.{k}.{found.path}", found.value))
    return problems


def _behind(net: Network, device: Placed, placed: Sequence[Placed]) -> RecloserConfig | None:
    """The nearest recloser without which a device has no supply; None without any."""
    found: list[tuple[int, RecloserConfig]] = []
    for other in placed:
        if not isinstance(other.config, RecloserConfig):
            continue
        row = _rows_without(net, other.conductors)
        if np.all(row[net.el_node[device.conductors]] < 0) or np.array_equal(other.conductors, device.conductors):
            found.append((int(np.sum(row < 0)), other.config))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _rows_without(net: Network, conductors: Ints) -> Ints:
    """Row of every node while these conductors are open, -1 where it has no supply."""
    is_cut = np.zeros(net.el_node.size, bool)
    is_cut[conductors] = True
    line_on = net.el_in_service[net.el_kind == LINE]
    return build_topology(net, net.switch_closed, line_on, net.el_y, is_cut).node


def same_end_problems(network: Network, placed: Sequence[Placed]) -> list[Problem]:
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


def warn_of_loops(network: Network, placed: Sequence[Placed]) -> None:
    """Warn of reclosers whose opening leaves everything supplied, from the other side."""
    dead = _rows_without(network, np.zeros(0, np.int64)) < 0
    for k, device in enumerate(placed):
        if isinstance(device.config, RecloserConfig) and not np.any(
            (_rows_without(network, device.conductors) < 0) & ~dead
        ):
            told = f"{_PLACE}.{k}: recloser {device.config.name} stands in a loop: its opening cuts nothing off"
            warnings.warn(told, UserWarning, stacklevel=2)


def _sectionalizer_problem(net: Network, own: SectionalizerConfig, recloser: RecloserConfig | None) -> Problem | None:
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
