"""Where something of a feeder is: positions of names, nodes of a bus or of some of its phases."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from cosim.errors import InputError, Problem
from cosim.feeder.network import FIRST_NEUTRAL, Ints, Network


def in_case(names: Collection[str], name: str) -> str | None:
    """A name as the feeder writes it: the same, else the only one that differs from it in case; None without one."""
    if name in names:
        return name
    alike = [one for one in names if one.lower() == str(name).lower()]
    return alike[0] if len(alike) == 1 else None


def named(names: tuple[str, ...], name: str, what: str) -> int:
    """Position of a name, in either case where only one is meant.

    Raises
    ------
    InputError
        If the feeder lacks it; names the nearest ones.
    """
    found = in_case(names, name)
    if found is not None:
        return names.index(found)
    near = difflib.get_close_matches(str(name), names, 3, 0.5) or list(names[:3])
    hint = f"; nearest: {', '.join(near)}" if near else f"; it has no {what}"
    raise InputError(Problem(f"the feeder has no such {what}{hint}", value=name))


def nodes_at(network: Network, place: str) -> Ints:
    """Nodes of a place: all phases of a bus, or those of `bus.1.3`; neutrals only where named.

    Raises
    ------
    InputError
        If the feeder lacks the bus or the phase.
    """
    names = tuple(network.bus_name.tolist())
    if network.is_balanced or in_case(names, place) is not None:
        nodes = network.nodes_of_bus(named(names, place, "bus"))
        supplied = nodes[network.node_phase[nodes] < FIRST_NEUTRAL]
        return supplied if supplied.size else nodes
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


def phases_at(network: Network, place: str) -> Ints:
    """As `nodes_at`, for a place that draws power.

    Raises
    ------
    InputError
        If the feeder lacks the place, or a node of it is a neutral or of a second circuit.
    """
    nodes = nodes_at(network, place)
    if network.is_neutral[nodes].any():
        raise InputError(Problem(f"a neutral (nodes from {FIRST_NEUTRAL} on) supplies no power", value=place))
    if (network.node_phase[nodes] >= FIRST_NEUTRAL).any():
        message = f"nodes from {FIRST_NEUTRAL} on take no load here; give the second circuit a bus of its own"
        raise InputError(Problem(message, value=place))
    return nodes
