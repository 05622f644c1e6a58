"""Surfaces of the states that a feeder has been in, by state, so that they are there when one returns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np

from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel_surface import N_BYTES, N_CHECKED, N_REFUSED, N_USED, ON_SURFACE, WORST_CHECK
from cosim.feeder.network import Ints
from cosim.feeder.stacking import stacked, unstacked
from cosim.feeder.surfaces import Surfaces

MEMORY_BYTES = 256 * 1024 * 1024
"""Memory that surfaces of all states may take before the longest unused are forgotten; the present ones stay. [byte]"""
_MANY = 64
_HELD = "held/"


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
        self._forgotten = np.zeros(4)
        """Totals of the surfaces forgotten, as in `counts`."""

    def enter(self, key: bytes, f: FeederArrays, watch_row: Ints, kin: bytes) -> Surfaces:
        """Surfaces of a state, which is now the present one; a new one learns from the last whose key begins alike."""
        if key not in self._held or key in self._waiting:
            fresh = Surfaces(f, watch_row, self._enabled)
            last = next((held for held in reversed(self._held) if held.startswith(kin)), None)
            if key not in self._held and last is not None:
                fresh.expect(self._kept(last))
            self._held[key] = fresh
        surfaces = self._held[key]
        self._held.move_to_end(key)
        if key in self._waiting:
            surfaces.restore(self._waiting.pop(key), self._make_lab)
        while len(self._held) > _MANY or (len(self._held) > 1 and self._n_bytes() > MEMORY_BYTES):
            forgotten = next(iter(self._held))
            self._forgotten = _added(self._forgotten, self._kept(forgotten))
            self._held.pop(forgotten)
            self._waiting.pop(forgotten, None)
        return surfaces

    def _kept(self, key: bytes) -> Mapping[str, np.ndarray]:
        """What a checkpoint keeps of a state's surfaces."""
        return self._waiting.get(key) or self._held[key].state()

    def _n_bytes(self) -> int:
        """Memory of all surfaces, those that wait to be built again included."""
        return sum(
            int(self._waiting[key]["info"][N_BYTES]) if key in self._waiting else surfaces.n_bytes
            for key, surfaces in self._held.items()
        )

    def was_present(self, key: bytes) -> bool:
        """Whether surfaces of a state gave the voltages of the last instant before the checkpoint."""
        return key in self._waiting and int(self._waiting[key]["info"][ON_SURFACE]) == 1

    def build_wanted(self, surfaces: Surfaces) -> None:
        """Build what the loop asked for in the present state."""
        surfaces.build_wanted(self._make_lab)

    def counts(self) -> dict[str, float]:
        """Totals over all states: evaluations, checks, surfaces given up, largest deviation seen [pu]."""
        total = self._forgotten
        for key in self._held:
            total = _added(total, self._kept(key))
        return dict(zip(("n_used", "n_checked", "n_refused", "worst_check_pu"), total.tolist(), strict=True))

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps, in the order of use."""
        held = [{"key": np.frombuffer(key, np.uint8), **self._kept(key)} for key in self._held]
        return {"forgotten": self._forgotten, **{f"{_HELD}{name}": array for name, array in stacked(held).items()}}

    def restore(self, state: Mapping[str, np.ndarray], f: FeederArrays, watch_row: Ints) -> None:
        """Go back to what `state` kept; polynomials are built when their state is entered."""
        self._held.clear()
        self._waiting.clear()
        self._forgotten = np.array(state["forgotten"])
        for part in unstacked({k.removeprefix(_HELD): v for k, v in state.items() if k.startswith(_HELD)}):
            key = part.pop("key").tobytes()
            self._held[key] = Surfaces(f, watch_row, self._enabled)
            self._waiting[key] = part


def _added(total: np.ndarray, kept: Mapping[str, np.ndarray]) -> np.ndarray:
    """Totals as in `counts` with those of one more state."""
    counts = total[:3] + kept["info"][[N_USED, N_CHECKED, N_REFUSED]]
    return np.append(counts, max(total[3], kept["error"][WORST_CHECK]))
