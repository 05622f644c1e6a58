"""What a fault leaves of a topology: its nodes, and mostly its pattern too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.feeder.topology import States, Topology, apply_switches, build_topology, pairs, replaced_nodes


def faulted_topology(sound: Topology, states: States) -> Topology:
    """Topology of a network with faults, from that of the same switch states without.

    A fault adds admittances. Where they join only what is energized and coupled already, rows and pattern stay, and
    with them most of the work; else all is built anew.

    Parameters
    ----------
    sound : Topology
        Without faults.
    states : States
        With faults.
    """
    elements = apply_switches(*states).sorted_by_kind()
    rows = np.where(elements.node >= 0, sound.node[elements.node], -1)
    fused = replaced_nodes(elements, rows)
    is_live = np.where(elements.node >= 0, rows >= 0, True)
    one, other = pairs(replaced_nodes(elements, np.arange(rows.size)))
    counts = (elements.y != 0) & (elements.node[one] >= 0) & (elements.node[other] >= 0)
    if np.any(is_live[one[counts]] != is_live[other[counts]]):
        return build_topology(*states)
    i, j = rows[one[counts]], rows[other[counts]]
    free = (i >= 0) & (i < sound.n_free) & (j >= 0) & (j < sound.n_free)
    if not sound.pattern.holds(i[free], j[free]):
        return build_topology(*states)
    return replace(sound, elements=fused)
