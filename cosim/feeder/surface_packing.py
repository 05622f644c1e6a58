"""All fits of a state of the feeder in the arrays that kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.feeder import kernel_surface as ks
from cosim.feeder.kernel_surface import SurfaceArrays
from cosim.feeder.network import Floats, Ints
from cosim.feeder.surface_basis import Basis
from cosim.feeder.surface_fit import MAX_GUARDED, Fit

MAX_CELLS = 32
CLOSE_PU = 1e-4
"""So close to the end of its law a leg's voltage is worked out in full. [pu]"""
SPARE = 1.2
"""Room for what variables reach beyond 1 between the points that were sampled. [1]"""
SURELY_BELOW = 0.999
"""Part of its pick-up below which a current's bound keeps a device quiet; surfaces miss by 1e-5 of it at most. [1]"""
_BY_SLOT = ("shape", "trust", "guard", "rest", "between", "weight", "out", "watch", "rows", "leg_modes")


class Packing:
    """Puts fits into arrays.

    Parameters
    ----------
    fixed : dict
        Fields of `SurfaceArrays` whose size does not depend on the fits; these arrays become part of the others.
    watch_row : array [w]
    n_out : int
        Outputs o.
    pickup : array
        Of protective devices, whose currents are the last outputs. [pu]
    """

    def __init__(self, fixed: dict[str, Any], watch_row: Ints, n_out: int, pickup: Floats) -> None:
        self._fixed, self._watch_row, self._n_out, self._pickup = fixed, watch_row, n_out, pickup

    def packed(
        self, fits: list[Fit | None], bases: list[tuple[int, Basis]], before: SurfaceArrays | None
    ) -> SurfaceArrays:
        """Fits by slot, and the bases of their cells, in arrays of one shape; those `before` hold the first slots."""
        a = self._empty(fits)
        for c, basis in bases:
            for name in ("emf", "z", "shear", "middle", "scale"):
                getattr(a, name)[c] = getattr(basis, name)
            a.parent[c, : basis.parent.size], a.factor[c, : basis.factor.size] = basis.parent, basis.factor
        for k, fit in enumerate(fits):
            if fit is None:
                continue
            if before is not None and k < before.shape.shape[0]:
                for name in _BY_SLOT:
                    own, kept = getattr(a, name), getattr(before, name)[k]
                    own[(k, *map(slice, kept.shape))] = kept
            else:
                self._put(a, k, fit)
        self._fixed["info"][ks.N_BYTES] = sum(getattr(a, name).nbytes for name in _BY_SLOT)
        return a

    def _put(self, a: SurfaceArrays, k: int, fit: Fit) -> None:
        """A fit into slot k."""
        w, n2 = self._watch_row.size, self._fixed["v"].size
        n_term, n_mode = fit.weight.shape
        n_guard = fit.guard.shape[0]
        a.weight[k, :n_term, :n_mode] = fit.weight
        a.out[k, :n_mode] = fit.modes[:, : self._n_out]
        a.watch[k, :n_mode] = fit.modes[:, self._n_out : self._n_out + w]
        a.rows[k, :n_mode] = fit.modes[:, self._n_out + w : self._n_out + w + n2]
        at = 2 * a.leg_row
        a.leg_modes[k, :, 0::2], a.leg_modes[k, :, 1::2] = a.rows[k][:, at], a.rows[k][:, at + 1]
        guard = (fit.weight @ fit.modes[:, self._n_out + w + n2 :]).T
        n_quick, rest = _quick(guard)
        a.shape[k] = n_term, n_mode, n_guard, n_quick, self._n_wanted(a.weight[k], a.out[k])
        a.guard[k, :n_guard, :n_term], a.rest[k, :n_guard] = guard, rest
        a.between[k, :n_guard] = fit.guard

    def _empty(self, fits: list[Fit | None]) -> SurfaceArrays:
        """Arrays with room for all fits."""
        d, w, n2 = self._fixed["x"].size // 2, self._watch_row.size, self._fixed["v"].size
        s, z = len(fits), np.zeros
        shapes = [fit.weight.shape for fit in fits if fit is not None]
        t = max((shape[0] for shape in shapes), default=1)
        r = max((shape[1] for shape in shapes), default=1)
        return SurfaceArrays(
            emf=z((MAX_CELLS, d, 4)),
            z=z((MAX_CELLS, d, 2 * d)),
            shear=z((MAX_CELLS, d, d)),
            middle=z((MAX_CELLS, 2 * d)),
            scale=z((MAX_CELLS, 2 * d)),
            parent=z((MAX_CELLS, t), np.int64),
            factor=z((MAX_CELLS, t), np.int64),
            shape=z((s, 5), np.int64),
            trust=np.tile(np.array([0, ks.SOONEST_CHECK]), (s, 1)),
            guard=z((s, MAX_GUARDED, t)),
            rest=z((s, MAX_GUARDED)),
            between=z((s, MAX_GUARDED, 2)),
            weight=z((s, t, r)),
            out=z((s, r, self._n_out)),
            watch=z((s, r, w)),
            rows=z((s, r, n2)),
            term=z(t),
            mode=z(r),
            last_mode=z(r),
            leg_modes=z((s, r, 2 * self._fixed["leg_row"].size)),
            **self._fixed,
        )

    def _n_wanted(self, weight: Floats, out: Floats) -> int:
        """Outputs to work out at an instant: not devices' currents, the last ones, where none can reach its pick-up."""
        first = int(self._n_out - 2 * self._pickup.size)
        part = weight @ out[:, first:]
        size = np.hypot(part[:, 0::2], part[:, 1::2])
        is_quiet = bool(np.all(size[0] + SPARE * size[1:].sum(axis=0) < SURELY_BELOW * self._pickup))
        return first if is_quiet else self._n_out


def _quick(guard: Floats) -> tuple[int, Floats]:
    """How many terms tell voltages across legs to CLOSE_PU, and what the others add at most, the variables being
    within 1 but for rounding: guard [g, T]."""
    behind = np.cumsum(np.abs(guard[:, ::-1]), axis=1)[:, ::-1].max(axis=0, initial=0.0)
    n_quick = int(np.sum(behind > CLOSE_PU))
    return n_quick, SPARE * np.abs(guard[:, n_quick:]).sum(axis=1)
