"""Where data centers are put: ten buses spread over the electrical distance from the source."""

from __future__ import annotations

import numpy as np
from dss_reference import OpenDss
from place import Place

WANTED = {3: 6, 2: 2, 1: 2}
"""Buses by number of phases; what a feeder lacks of one kind the widest other kind supplies."""
ENERGIZED_PU = 0.1
RANKED = 200
"""About so many buses of a kind are ranked by distance."""


def _spread(ranked: list[Place], count: int) -> list[Place]:
    """Some of a ranked list at equal steps, the last one included."""
    if count >= len(ranked):
        return ranked
    rows = np.round(np.linspace(0, len(ranked) - 1, count + 1)[1:]).astype(int)
    return [ranked[k] for k in rows]


def candidates(reference: OpenDss) -> dict[int, list[Place]]:
    """Energized buses but the sources', by number of phases, nearest first; of very many every n-th by name.

    Neutrals (nodes from 4 on) carry no data center. The two legs of a 120/240 V service count as two phases.
    """
    vm = np.abs(reference.v_pu())
    phases: dict[str, list[int]] = {}
    for node, m in zip(reference.nodes, vm, strict=True):
        bus, _, phase = node.rpartition(".")
        if int(phase) < 4 and m > ENERGIZED_PU and np.isfinite(m):
            phases.setdefault(bus, []).append(int(phase))
    sources = reference.source_buses()
    found: dict[int, list[Place]] = {}
    for kind in WANTED:
        places = [Place(bus, tuple(sorted(at))) for bus, at in sorted(phases.items()) if len(at) == kind]
        places = [place for place in places if place.bus not in sources]
        places = places[:: max(1, len(places) // RANKED)]
        far = reference.distances_pu(places) if places else []
        ranked = sorted(zip((float(f"{d:.6g}") for d in far), (place.bus for place in places), places, strict=True))
        found[kind] = [place for _, _, place in ranked]
    return found


def ten_places(reference: OpenDss) -> list[Place]:
    """Ten places, nearest kind by kind; fewer where the feeder has fewer buses."""
    by_kind = candidates(reference)
    chosen = {kind: _spread(by_kind[kind], count) for kind, count in WANTED.items()}
    for kind in by_kind:
        missing = sum(WANTED.values()) - sum(map(len, chosen.values()))
        if missing > 0:
            chosen[kind] = _spread(by_kind[kind], len(chosen[kind]) + missing)
    return [place for kind in chosen for place in chosen[kind]]
