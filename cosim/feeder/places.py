"""Where something of a feeder is: positions of names, nodes of a bus or of some of its phases."""

from __future__ import annotations

import difflib

from cosim.errors import InputError, Problem
from cosim.feeder.network import Ints, Network


def named(names: tuple[str, ...], name: str, what: str) -> int:
    """Position of a name.

    Raises
    ------
    InputError
        If the feeder lacks it; names the nearest ones.
    """
    try:
        return names.index(name)
    except ValueError:
        near = difflib.get_close_matches(str(name), names, 3, 0.5) or list(names[:3])
        hint = f"; nearest: {', '.join(near)}" if near else f"; it has no {what}"
        raise InputError(Problem(f"the feeder has no such {what}{hint}", value=name)) from None


def nodes_at(network: Network, place: str) -> Ints:
    """Nodes of a place: all phases of a bus, or those of `bus.1.3`; neutrals (from 4 on) only where named.

    Raises
    ------
    InputError
        If the feeder lacks the bus or the phase.
    """
    names = tuple(network.bus_name.tolist())
    if place in names or network.is_balanced:
        nodes = network.nodes_of_bus(named(names, place, "bus"))
        live = nodes[network.node_phase[nodes] < 4]
        return live if live.size else nodes
    bus, _, phases = place.lower().partition(".")
    nodes = network.nodes_of_bus(named(names, bus, "bus"))
    present = network.node_phase[nodes].astype(str).tolist()
    wanted = phases.split(".")
    lacking = [p for p in wanted if p not in present]
    if lacking or len(set(wanted)) < len(wanted):
        what = f"no phase {lacking[0]}" if lacking else "no phase twice"
        raise InputError(Problem(f"bus {bus} has {what}; it has {', '.join(present)}", value=place))
    picked: Ints = nodes[[present.index(p) for p in wanted]]
    return picked
