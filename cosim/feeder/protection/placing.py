"""Where protective devices stand: conductors of an element, sensors of their currents, what is wrong with the place."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.controls.specs import Sensor
from cosim.feeder.linear_network import LinearNetwork
from cosim.feeder.network import LINE, SWITCH_ELEMENT, TRAFO, Ints, Network
from cosim.feeder.places import named, nodes_at
from cosim.feeder.protection.config import AnyConfig
from cosim.feeder.protection.devices import pickups
from cosim.feeder.sequences import TO_PHASES

_PLACE: Final = "feeder.protection"


@dataclass(frozen=True)
class Placed:
    """A device in a network."""

    config: AnyConfig
    conductors: Ints
    """Of each of its phases, into `Network.el_node`; of a balanced feeder one for all three."""
    phases: tuple[str, ...]
    sensors: tuple[Sensor, ...]
    """Current of each phase, and of all together where it has a ground element. [A]"""

    @property
    def pickups_a(self) -> list[float]:
        """Pick-up that each sensor's current is held to, infinite where no element answers to it. [A]"""
        phase, ground = pickups(self.config)
        return [phase] * len(self.phases) + [ground] * (len(self.sensors) - len(self.phases))


def place_all(configs: Sequence[AnyConfig], network: Network) -> list[Placed]:
    """Find all devices.

    Raises
    ------
    InputError
        With everything that is wrong.
    """
    placed, problems = [], []
    for k, config in enumerate(configs):
        try:
            placed.append(_place(config, network))
        except InputError as error:
            problems += [Problem(p.message, f"{_PLACE}.{k}.{p.path}", p.value) for p in error.problems]
    if problems:
        raise InputError(problems)
    return placed


def _place(config: AnyConfig, net: Network) -> Placed:
    field, kind = ("line", LINE) if config.line is not None else ("trafo", TRAFO)
    name, rows = config.line or config.trafo or "", np.flatnonzero(net.el_kind == kind)
    try:
        e = int(rows[named(tuple(net.el_name[rows].tolist()), name, "line" if kind == LINE else "transformer")])
    except InputError as error:
        raise InputError([Problem(p.message, field, p.value) for p in error.problems]) from None
    terminal = 0 if config.side == "from" else 1
    span = _span(net, e)
    here = span[(net.el_terminal[span] == terminal) & (net.el_node[span] >= 0)]
    here = here[~net.is_neutral[net.el_node[here]]] if not net.is_balanced else here
    _check_place(config, net, e, terminal, here, field)
    phases = tuple(str(int(p)) for p in _phase_of(net, here))
    turns = [1 + 0j] * len(here)
    if net.is_balanced:  # one conductor for three phases
        phases, turns, here = ("a", "b", "c"), TO_PHASES[:, 1].tolist(), np.repeat(here, 3)
    ground = pickups(config)[1] < np.inf
    word = "line" if kind == LINE else "trafo"
    terms = [(word, name, int(c - net.el_ptr[e]), turn.real, turn.imag) for c, turn in zip(here, turns, strict=True)]
    sensors = [Sensor(currents=(term,)) for term in terms]
    return Placed(config, here, phases, (*sensors, *([Sensor(currents=tuple(terms))] if ground else [])))


def conductors_of_switch(net: Network, name: str) -> Ints:
    """Conductors of the element that a switch or `line:NAME` opens; of a switch at one end of it those there."""
    is_line = (net.el_kind == LINE) & (net.el_name == name.removeprefix("line:"))
    if name.startswith("line:"):
        return np.concatenate([_span(net, e) for e in np.flatnonzero(is_line).tolist()] or [np.zeros(0, np.int64)])
    here = np.flatnonzero((net.switch_name == name) & (net.switch_kind == SWITCH_ELEMENT))
    spans = [np.zeros(0, np.int64)]
    for s in here.tolist():
        span = _span(net, int(net.switch_from[s]))
        is_whole = bool(is_line[net.switch_from[s]])  # a line that is a switch
        spans.append(span if is_whole else span[net.el_terminal[span] == net.switch_to[s]])
    return np.concatenate(spans)


def _span(net: Network, element: int) -> Ints:
    span: Ints = np.arange(net.el_ptr[element], net.el_ptr[element + 1])
    return span


def _phase_of(net: Network, conductors: Ints) -> Ints:
    nodes = net.el_node[conductors]
    named_nodes = nodes < net.n_node
    phases: Ints = np.where(named_nodes, net.node_phase[np.minimum(nodes, net.n_node - 1)], 0)
    return phases


def _check_place(config: AnyConfig, net: Network, e: int, terminal: int, here: Ints, field: str) -> None:
    """A device must have supply from somewhere and be closed, or it can neither see nor interrupt anything."""
    name = config.line or config.trafo
    if not net.el_in_service[e]:
        raise InputError(Problem("is out of service: the device would have no source side", field, name))
    is_open = ~net.switch_closed & (net.switch_kind == SWITCH_ELEMENT)
    if np.any(is_open & (net.switch_from == e) & (net.switch_to == terminal)):
        told = f"a switch of the {field} stands open at this end: the device would have no source side"
        raise InputError(Problem(told, "side", config.side))
    if here.size == 0 or not np.any(np.abs(net.node_v[net.el_node[here]]) > 0):
        told = "has no voltage at this end: the device would have no source side"
        raise InputError(Problem(told, field, name))


def warn_of_low_pickups(placed: Sequence[Placed], linear: LinearNetwork, peaks_mva: Mapping[str, complex]) -> None:
    """Warn of devices whose pick-up lies below the current of the load.

    Parameters
    ----------
    placed : sequence of Placed
    linear : LinearNetwork
        Whose loads are as its file has them.
    peaks_mva : mapping of bus to MVA
        What data centers draw there at their peak, evenly on the phases of the bus.
    """
    net = linear.net
    known: dict[str, complex] = {}
    for bus, power in peaks_mva.items():
        try:
            nodes_at(net, bus)
        except InputError:  # which is said elsewhere, with its field
            continue
        known[bus] = power
    v = linear.loaded(known)
    if not np.isfinite(v).all():
        warnings.warn(
            "feeder: with its loads as in its file it cannot carry its data centers at their peak: no voltage solves "
            "that, so pick-ups are held to its loads alone",
            UserWarning,
            stacklevel=2,
        )
        v = net.node_v
    for k, device in enumerate(placed):
        phase_a, _ = pickups(device.config)
        loads_a, all_a = (np.abs(linear.currents_a(device.conductors, at)).max(initial=0.0) for at in (net.node_v, v))
        if max(loads_a, all_a) > phase_a:
            what = f"{loads_a:.4g} A of the feeder's own load"
            if all_a > loads_a * 1.001:
                what = f"{all_a:.4g} A of load with data centers at their peak ({loads_a:.4g} A without)"
            told = f"{_PLACE}.{k}: {device.config.name} picks up at {phase_a:g} A, below the {what}"
            warnings.warn(told, UserWarning, stacklevel=2)
