"""Surfaces of the states that a feeder has been in, by state, so that they are there when one returns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cosim.feeder.arrays import N_ROW, FeederArrays
from cosim.feeder.network import Ints
from cosim.feeder.surfaces import Surfaces

MEMORY_BYTES = 256 * 1024 * 1024
"""Memory that surfaces may take, about. [byte]"""
_BYTES_PER_ROW = 3 * 8 * 32 * 2
"""Of a state: two surfaces of 32 modes for the magnitude and both parts of a row's voltage. [byte]"""
_MANY = 64


class SurfaceStore:
    """Surfaces by state of the feeder; those of the longest unused states are forgotten.

    Parameters
    ----------
    make_lab : callable
        Gives arrays of their own in the present state, for sampling.
    """

    def __init__(self, make_lab: Callable[[], FeederArrays], enabled: bool = True) -> None:
        self._make_lab = make_lab
        self._enabled = enabled
        self._held: OrderedDict[bytes, Surfaces] = OrderedDict()
        self._waiting: dict[bytes, Mapping[str, np.ndarray]] = {}
        """States of surfaces from a checkpoint that have not been needed since."""

    def enter(self, key: bytes, f: FeederArrays, watch_row: Ints) -> Surfaces:
        """Surfaces of a state, which is now the present one."""
        if key not in self._held:
            self._held[key] = Surfaces(f, watch_row, self._enabled)
        surfaces = self._held[key]
        self._held.move_to_end(key)
        if key in self._waiting:
            surfaces.restore(self._waiting.pop(key), self._make_lab)
        most = min(_MANY, max(4, MEMORY_BYTES // (_BYTES_PER_ROW * max(int(f.sizes[N_ROW]), 1))))
        while len(self._held) > most:
            forgotten, _ = self._held.popitem(last=False)
            self._waiting.pop(forgotten, None)
        return surfaces

    def build_wanted(self, surfaces: Surfaces) -> None:
        """Build what the loop asked for in the present state."""
        surfaces.build_wanted(self._make_lab())

    def counts(self) -> dict[str, float]:
        """Totals over all states held: evaluations, checks, surfaces given up, largest deviation seen [pu]."""
        held = list(self._held.values())
        return {
            "n_used": float(sum(s.n_used for s in held)),
            "n_checked": float(sum(s.n_checked for s in held)),
            "n_refused": float(sum(s.n_refused for s in held)),
            "worst_check_pu": max((s.worst_check_pu for s in held), default=0.0),
        }

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps, in the order of use."""
        kept: dict[str, Any] = {}
        for i, (key, surfaces) in enumerate(self._held.items()):
            kept[f"{i}/key"] = np.frombuffer(key, np.uint8)
            stored = self._waiting.get(key) or surfaces.state()
            kept |= {f"{i}/{name}": array for name, array in stored.items()}
        return kept

    def restore(self, state: Mapping[str, np.ndarray], f: FeederArrays, watch_row: Ints) -> None:
        """Go back to what `state` kept; polynomials are built when their state is entered."""
        self._held.clear()
        self._waiting.clear()
        count = 1 + max((int(name.split("/")[0]) for name in state), default=-1)
        for i in range(count):
            prefix = f"{i}/"
            part = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
            key = np.asarray(part.pop("key"), np.uint8).tobytes()
            self._held[key] = Surfaces(f, watch_row, self._enabled)
            self._waiting[key] = part
