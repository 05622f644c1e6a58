"""The surfaces of one state of a feeder: cells that grow with the requests, polynomials where they pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from cosim.feeder import arrays as ix
from cosim.feeder import kernel_surface as ks
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel_surface import SurfaceArrays
from cosim.feeder.kernel_surface_block import cells_of_block, terms_block, warp_block
from cosim.feeder.network import Floats, Ints
from cosim.feeder.surface_fit import DEGREES, MAX_DATACENTERS, MAX_GUARDED, Fit, fit_cell, term_table

ALLOWED = 1e-9
"""Deviation from a full solve at which a surface is given up during the run. [pu]"""
MAX_CELLS = 32
MAX_HALVINGS = 5
EXPECTED = -1
"""Depth of a cell that another state's requests make likely."""
MARGIN = 0.2
"""By so much of its width a cell reaches beyond the requests that asked for it. [1]"""
_KEPT = ("info", "error", "cell", "box", "stray")


class Surfaces:
    """The surfaces of one state of a feeder: cells that grow with the requests, polynomials where they pay.

    Parameters
    ----------
    f : FeederArrays
        Of the state.
    watch_row : array [w]
        Rows of the nodes whose magnitudes are wanted at every step, -1 where de-energized.
    """

    def __init__(self, f: FeederArrays, watch_row: Ints, enabled: bool = True) -> None:
        d = int(f.sizes[ix.N_DC])
        self.watch_row = watch_row
        self.fits: list[Fit | None] = []
        self._scratch: tuple[Floats, Floats] | None = None
        self._directs: dict[int, Floats] = {}
        self.n_out = ix.N_TOTALS + int(f.site_ptr[-1]) + 2 * f.sensor.shape[0]
        z = np.zeros
        info = z(ks.N_INFO, np.int64)
        info[[ks.IN_CELL, ks.WANTED]] = -1
        energized = bool(np.all(f.port_row[: f.site_ptr[d], 0] >= 0))
        info[ks.ENABLED] = int(enabled and 0 < d <= MAX_DATACENTERS and energized)
        info[ks.WAIT] = 2 * term_table(2 * d, DEGREES[d][-1])[0].size if info[ks.ENABLED] else 1
        self._fixed = {
            "info": info,
            "error": np.array([ALLOWED, 0.0]),
            "cell": z((MAX_CELLS, 4), np.int64),
            "box": z((MAX_CELLS, 2 * d, 2)),
            "stray": z((2 * d, 2)),
            "x": z(2 * d),
            "output": z(self.n_out),
            "v": z(f.v.size),
        }
        self.arrays = self._packed()

    def expect(self, kept: Mapping[str, np.ndarray]) -> None:
        """Start with the last whole cell of another state's surfaces, by their `state`, which covers those before.

        A tap or a load moved: the data centers' requests do not know of it, and cells need not grow anew.
        """
        cell = kept["cell"][: int(kept["info"][ks.N_CELL])]
        whole = np.flatnonzero((cell[:, ks.SLOT] != ks.GIVEN_UP) & (cell[:, ks.DEPTH] <= 0))
        if whole.size == 0 or self._fixed["info"][ks.ENABLED] == 0:
            return
        self._fixed["box"][0] = kept["box"][whole[-1]]
        self._fixed["cell"][0, [ks.SLOT, ks.DEPTH]] = ks.UNBUILT, EXPECTED
        self._fixed["info"][ks.N_CELL] = 1

    @property
    def is_wanted(self) -> bool:
        """Whether the loop asks for a surface to be built."""
        return int(self._fixed["info"][ks.WANTED]) >= 0

    @property
    def is_present(self) -> bool:
        """Whether the last instant was answered by a surface."""
        return int(self._fixed["info"][ks.ON_SURFACE]) == 1

    def present_v(self) -> Floats:
        """Voltages of all rows at an instant that a surface answered, real and imaginary part in turn. [pu]"""
        a = self.arrays
        slot = int(a.info[ks.IN_SLOT])
        n_mode = int(a.shape[slot, 1])
        v: Floats = np.einsum("k,kn->n", a.mode[:n_mode], a.rows[slot, :n_mode])
        return v

    def leave(self) -> None:
        """The voltages of that instant have been taken over."""
        self._fixed["info"][ks.ON_SURFACE] = 0

    @property
    def n_used(self) -> int:
        """Instants answered by a surface."""
        return int(self._fixed["info"][ks.N_USED])

    @property
    def n_checked(self) -> int:
        """Instants at which a surface was held to a full solve."""
        return int(self._fixed["info"][ks.N_CHECKED])

    @property
    def n_refused(self) -> int:
        """Surfaces given up since one of those showed too large a deviation."""
        return int(self._fixed["info"][ks.N_REFUSED])

    @property
    def worst_check_pu(self) -> float:
        """Largest deviation that those showed. [pu]"""
        return float(self._fixed["error"][ks.WORST_CHECK])

    def follow(self, p_mw: Floats, q_mvar: Floats, vm_pu: Floats) -> int:
        """Magnitudes of the watched nodes for a block of requests, where they all have a surface.

        Parameters
        ----------
        p_mw, q_mvar : array [d, n]
        vm_pu : array [n, w]
            Written. [pu]

        Returns
        -------
        int
            Requests answered; the others' rows are left alone, since they need a full solve.
        """
        a = self.arrays
        cells = np.empty(p_mw.shape[1], np.int64)
        first, same = cells_of_block(a, p_mw, q_mvar, cells)
        if same:
            return p_mw.shape[1] if first >= 0 and self._follow_cell(first, p_mw, q_mvar, vm_pu) else 0
        answered = 0
        for c in np.unique(cells[cells >= 0]).tolist():
            at = np.flatnonzero(cells == c)
            part = np.empty((at.size, vm_pu.shape[1]))
            if self._follow_cell(c, p_mw[:, at], q_mvar[:, at], part):
                vm_pu[at] = part
                answered += at.size
        return answered

    def _follow_cell(self, c: int, p_mw: Floats, q_mvar: Floats, vm_pu: Floats) -> bool:
        """The same for requests of one cell, regime by regime; whether all were answered."""
        first, n_regime = self.arrays.cell[c, [ks.SLOT, ks.N_REGIME]].tolist()
        left = np.arange(p_mw.shape[1])
        for slot in range(first, first + n_regime):
            terms = self._terms_of(slot, np.ascontiguousarray(p_mw[:, left]), np.ascontiguousarray(q_mvar[:, left]))
            if terms is None:
                continue
            good = self._in_regime(slot, terms)
            if good.all() and left.size == vm_pu.shape[0]:
                self._magnitudes(slot, terms, vm_pu)
                return True
            if good.any():
                part = np.empty((int(good.sum()), vm_pu.shape[1]))
                self._magnitudes(slot, terms[:, good], part)
                vm_pu[left[good]] = part
                left = left[~good]
            if left.size == 0:
                return True
        return False

    def _terms_of(self, slot: int, p_mw: Floats, q_mvar: Floats) -> Floats | None:
        """Terms of requests, in scratch; None where the scalar model has no solution for some."""
        a, n = self.arrays, p_mw.shape[1]
        n_term = int(a.shape[slot, 0])
        x, terms = self._work(n)
        x, terms = x[:, :n], terms[:n_term, :n]
        if not warp_block(p_mw, q_mvar, a.emf[slot], a.z[slot], x):
            return None
        terms_block(x, a.middle[slot], a.scale[slot], a.parent[slot], a.factor[slot], terms)
        return terms

    def _in_regime(self, slot: int, terms: Floats) -> NDArray[np.bool_]:
        """Which requests have the legs that a surface guards in the part of their law it was fitted for."""
        a, (n_term, n_mode, n_guard) = self.arrays, self.arrays.shape[slot].tolist()
        if n_guard == 0:
            return np.ones(terms.shape[1], bool)
        across = terms.T @ (a.weight[slot, :n_term, :n_mode] @ a.guard[slot, :n_mode, :n_guard])
        low, high = a.between[slot, :n_guard].T
        good: NDArray[np.bool_] = ((across >= low) & (across <= high)).all(axis=1)
        return good

    def _magnitudes(self, slot: int, terms: Floats, vm_pu: Floats) -> None:
        """Magnitudes of the watched nodes: straight from the terms, or through the modes, whichever is less work."""
        a, (n_term, n_mode, _) = self.arrays, self.arrays.shape[slot].tolist()
        w = vm_pu.shape[1]
        if n_term * w <= n_mode * (n_term + w):
            np.dot(terms.T, self._direct(slot), out=vm_pu)
        else:
            np.dot(terms.T @ a.weight[slot, :n_term, :n_mode], a.watch[slot, :n_mode], out=vm_pu)

    def _work(self, n: int) -> tuple[Floats, Floats]:
        """Scratch for blocks of up to n requests."""
        n_term = self.arrays.term.size
        if self._scratch is None or self._scratch[0].shape[1] < n or self._scratch[1].shape[0] < n_term:
            self._scratch = np.zeros((self._fixed["x"].size, n)), np.zeros((n_term, n))
        return self._scratch

    def _direct(self, slot: int) -> Floats:
        """From terms to magnitudes of the watched nodes."""
        if slot not in self._directs:
            a, (n_term, n_mode, _) = self.arrays, self.arrays.shape[slot]
            self._directs[slot] = a.weight[slot, :n_term, :n_mode] @ a.watch[slot, :n_mode]
        return self._directs[slot]

    def _packed(self) -> SurfaceArrays:
        """All fits in arrays of one shape."""
        d, w, n2 = self._fixed["x"].size // 2, self.watch_row.size, self._fixed["v"].size
        s = len(self.fits)
        fits = [(k, fit) for k, fit in enumerate(self.fits) if fit is not None]
        t = max((fit.parent.size for _, fit in fits), default=1)
        r = max((fit.modes.shape[0] for _, fit in fits), default=1)
        a = SurfaceArrays(
            emf=np.zeros((s, d, 4)),
            z=np.zeros((s, d, 2 * d)),
            middle=np.zeros((s, 2 * d)),
            scale=np.zeros((s, 2 * d)),
            shape=np.zeros((s, 3), np.int64),
            guard=np.zeros((s, r, MAX_GUARDED)),
            between=np.zeros((s, MAX_GUARDED, 2)),
            across=np.zeros(MAX_GUARDED),
            parent=np.zeros((s, t), np.int64),
            factor=np.zeros((s, t), np.int64),
            weight=np.zeros((s, t, r)),
            out=np.zeros((s, r, self.n_out)),
            watch=np.zeros((s, r, w)),
            rows=np.zeros((s, r, n2)),
            term=np.zeros(t),
            mode=np.zeros(r),
            **self._fixed,
        )
        for k, fit in fits:
            n_term, n_mode = fit.weight.shape
            a.emf[k], a.z[k], a.middle[k], a.scale[k] = fit.emf, fit.z, fit.middle, fit.scale
            n_guard = fit.guard.shape[0]
            a.shape[k] = n_term, n_mode, n_guard
            a.parent[k, :n_term], a.factor[k, :n_term] = fit.parent, fit.factor
            a.weight[k, :n_term, :n_mode] = fit.weight
            a.out[k, :n_mode] = fit.modes[:, : self.n_out]
            a.watch[k, :n_mode] = fit.modes[:, self.n_out : self.n_out + w]
            a.rows[k, :n_mode] = fit.modes[:, self.n_out + w : self.n_out + w + n2]
            a.guard[k, :n_mode, :n_guard] = fit.modes[:, self.n_out + w + n2 :]
            a.between[k, :n_guard] = fit.guard
        return a

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps: cells, counters and the present modes; the polynomials follow from the cells."""
        return {k: self._fixed[k].copy() for k in _KEPT} | {"mode": self.arrays.mode.copy()}

    def restore(self, state: Mapping[str, np.ndarray], lab: Callable[[], FeederArrays]) -> None:
        """Go back to what `state` kept, in the same state of the feeder."""
        for k in _KEPT:
            self._fixed[k][...] = state[k]
        cells = self._fixed["cell"][: int(self._fixed["info"][ks.N_CELL])]
        slots = {int(slot): c for c, slot in enumerate(cells[:, ks.SLOT]) if slot >= 0}
        self.fits = [None] * int(self._fixed["info"][ks.N_SLOT])
        for slot, c in slots.items():
            fits = fit_cell(lab(), self._fixed["box"][c].copy(), self.watch_row)
            self.fits[slot : slot + len(fits)] = fits
        self._directs = {}
        self.arrays = self._packed()
        self.arrays.mode[:] = state["mode"]

    def build_wanted(self, lab: FeederArrays) -> None:
        """Build what the kernel asked for: a new cell around stray requests, or the surface of a cell."""
        info, cell, box = self.arrays.info, self.arrays.cell, self.arrays.box
        c = int(info[ks.WANTED])
        info[ks.WANTED] = -1
        if c < 0 or info[ks.ENABLED] == 0:
            return
        if c == info[ks.N_CELL]:
            if c == MAX_CELLS:
                info[ks.N_STRAY] = 0
                return
            box[c] = self._around_strays()
            cell[c] = ks.UNBUILT, info[ks.WAIT], 0, 0
            info[ks.N_CELL] += 1
            info[ks.N_STRAY] = 0
        self._build(c, lab)

    def _around_strays(self) -> Floats:
        """A box around the stray requests and all cells so far, with room to grow."""
        a = self.arrays
        n = int(a.info[ks.N_CELL])
        low = np.minimum(a.stray[:, 0], a.box[:n, :, 0].min(axis=0)) if n else a.stray[:, 0].copy()
        high = np.maximum(a.stray[:, 1], a.box[:n, :, 1].max(axis=0)) if n else a.stray[:, 1].copy()
        size = np.maximum(np.abs(low), np.abs(high)).max()
        room = np.maximum(MARGIN * (high - low), 1e-3 * max(size, 1e-3))
        return np.column_stack([low - room, high + room])

    def _build(self, c: int, lab: FeederArrays) -> None:
        """Fit a cell; where that fails halve it, and give it up where it has been halved often."""
        a = self.arrays
        fits = fit_cell(lab, a.box[c].copy(), self.watch_row)
        if fits:
            a.cell[c, ks.SLOT], a.cell[c, ks.N_REGIME] = len(self.fits), len(fits)
            self.fits += fits
            a.info[ks.N_SLOT] = len(self.fits)
            a.info[ks.N_SINCE_CHECK] = 0
            self.arrays = self._packed()
            return
        n = int(a.info[ks.N_CELL])
        depth = int(a.cell[c, ks.DEPTH])
        if depth == EXPECTED:  # what held elsewhere is too much here: begin as if nothing had been expected
            a.info[[ks.N_CELL, ks.N_STRAY]], a.info[ks.IN_CELL] = 0, -1
            return
        if depth >= MAX_HALVINGS or n == MAX_CELLS:
            a.cell[c, ks.SLOT] = ks.GIVEN_UP
            return
        axis = int(np.argmax(np.ptp(a.box[c], axis=1)))
        middle = a.box[c, axis].mean()
        a.box[n] = a.box[c]
        a.box[n, axis, 0] = a.box[c, axis, 1] = middle
        a.cell[[c, n]] = ks.UNBUILT, 0, depth + 1, 0
        a.info[ks.N_CELL] += 1
        a.info[ks.IN_CELL] = -1
