"""The surfaces of one state of a feeder: cells that grow with the requests, polynomials where they pay."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder import kernel_surface as ks
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel_surface import SurfaceArrays
from cosim.feeder.kernel_surface_block import cells_of_block, regimes_of_tile, tile_terms
from cosim.feeder.network import Floats, Ints
from cosim.feeder.surface_basis import MAX_TERMS, Basis
from cosim.feeder.surface_fit import MAX_DATACENTERS, MAX_GUARDED, CellFit, Fit, fit_cell

ALLOWED = 1e-9
"""Deviation from a full solve at which a surface is given up during the run. [pu]"""
MAX_CELLS = 32
MAX_HALVINGS = 5
EXPECTED = -1
"""Depth of a cell that another state's requests make likely."""
MARGIN = 0.2
"""By so much of its width a cell reaches beyond the requests that asked for it. [1]"""
TILE = 256
"""Requests whose terms are worked out side by side before they are multiplied out: what the fast cache holds."""
_KEPT = ("info", "error", "cell", "box", "slope", "stray")


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
        self.bases: dict[int, Basis] = {}
        """Variables and terms by cell."""
        self._factors: dict[int, tuple[Floats, ...]] = {}
        self.n_out = ix.N_TOTALS + int(f.site_ptr[-1]) + 2 * f.sensor.shape[0]
        z = np.zeros
        info = z(ks.N_INFO, np.int64)
        info[[ks.IN_CELL, ks.WANTED]] = -1
        energized = bool(np.all(f.port_row[: f.site_ptr[d], 0] >= 0))
        info[ks.ENABLED] = int(enabled and 0 < d <= MAX_DATACENTERS and energized)
        info[ks.WAIT] = 2 * MAX_TERMS[d] if info[ks.ENABLED] else 1
        self._fixed = {
            "info": info,
            "error": np.array([ALLOWED, 0.0]),
            "cell": z((MAX_CELLS, 4), np.int64),
            "box": z((MAX_CELLS, 2 * d, 2)),
            "slope": z((MAX_CELLS, d)),
            "stray": z((int(info[ks.WAIT]), 2 * d)),
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
        self._fixed["box"][0], self._fixed["slope"][0] = kept["box"][whole[-1]], kept["slope"][whole[-1]]
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
        a, n, answered = self.arrays, p_mw.shape[1], 0
        cells = np.empty(n, np.int64)
        cells_of_block(a, p_mw, q_mvar, cells)
        x, terms = np.empty((p_mw.shape[0] * 2, TILE)), np.empty((a.term.size, TILE))
        across, slots = np.empty((MAX_GUARDED, TILE)), np.empty(TILE, np.int64)
        last = int(a.info[ks.IN_SLOT])
        for first, end, c in _runs(cells, TILE):
            if c < 0:
                continue
            b, size = self.bases[c], end - first
            n_term = b.parent.size
            if not tile_terms(
                p_mw, q_mvar, first, size, b.emf, b.z, b.shear, b.middle, b.scale, b.parent, b.factor, x, terms
            ):
                continue
            slot = int(a.cell[c, ks.SLOT])
            if a.shape[slot, 2] == 0:
                self._magnitudes(slot, terms[:n_term, :size], vm_pu[first:end])
                answered += size
                continue
            regimes_of_tile(a, c, terms, size, last, across, slots)
            last = int(slots[size - 1])
            for begin, stop, slot in _runs(slots[:size], TILE):
                if slot >= 0:
                    self._magnitudes(slot, terms[:n_term, begin:stop], vm_pu[first + begin : first + stop])
                    answered += stop - begin
        return answered

    def _magnitudes(self, slot: int, terms: Floats, vm_pu: Floats) -> None:
        """Magnitudes of the watched nodes from terms [T, n]: straight, or through the modes, whichever is less work."""
        if slot not in self._factors:
            a, (n_term, n_mode, _) = self.arrays, self.arrays.shape[slot].tolist()
            weight, watch = a.weight[slot, :n_term, :n_mode].copy(), a.watch[slot, :n_mode]
            w = watch.shape[1]
            straight = n_term * w <= n_mode * (n_term + w)
            self._factors[slot] = (weight @ watch,) if straight else (weight, watch)
        *before, final = self._factors[slot]
        np.dot(terms.T @ before[0] if before else terms.T, final, out=vm_pu)

    def _packed(self) -> SurfaceArrays:
        """All fits in arrays of one shape."""
        d, w, n2 = self._fixed["x"].size // 2, self.watch_row.size, self._fixed["v"].size
        s = len(self.fits)
        fits = [(k, fit) for k, fit in enumerate(self.fits) if fit is not None]
        t = max((fit.weight.shape[0] for _, fit in fits), default=1)
        r = max((fit.modes.shape[0] for _, fit in fits), default=1)
        a = SurfaceArrays(
            emf=np.zeros((MAX_CELLS, d, 4)),
            z=np.zeros((MAX_CELLS, d, 2 * d)),
            shear=np.zeros((MAX_CELLS, d, d)),
            middle=np.zeros((MAX_CELLS, 2 * d)),
            scale=np.zeros((MAX_CELLS, 2 * d)),
            parent=np.zeros((MAX_CELLS, t), np.int64),
            factor=np.zeros((MAX_CELLS, t), np.int64),
            shape=np.zeros((s, 3), np.int64),
            guard=np.zeros((s, t, MAX_GUARDED)),
            between=np.zeros((s, MAX_GUARDED, 2)),
            across=np.zeros(MAX_GUARDED),
            weight=np.zeros((s, t, r)),
            out=np.zeros((s, r, self.n_out)),
            watch=np.zeros((s, r, w)),
            rows=np.zeros((s, r, n2)),
            term=np.zeros(t),
            mode=np.zeros(r),
            **self._fixed,
        )
        for c, basis in self.bases.items():
            for name in ("emf", "z", "shear", "middle", "scale"):
                getattr(a, name)[c] = getattr(basis, name)
            a.parent[c, : basis.parent.size], a.factor[c, : basis.factor.size] = basis.parent, basis.factor
        for k, fit in fits:
            n_term, n_mode = fit.weight.shape
            n_guard = fit.guard.shape[0]
            a.shape[k] = n_term, n_mode, n_guard
            a.weight[k, :n_term, :n_mode] = fit.weight
            a.out[k, :n_mode] = fit.modes[:, : self.n_out]
            a.watch[k, :n_mode] = fit.modes[:, self.n_out : self.n_out + w]
            a.rows[k, :n_mode] = fit.modes[:, self.n_out + w : self.n_out + w + n2]
            a.guard[k, :n_term, :n_guard] = fit.weight @ fit.modes[:, self.n_out + w + n2 :]
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
        self.bases, self._factors = {}, {}
        for slot, c in slots.items():
            found = self._fit_cell(c, lab())
            if found is not None:
                self.fits[slot : slot + len(found.regimes)], self.bases[c] = found.regimes, found.basis
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
            box[c], self.arrays.slope[c] = self._around_strays()
            cell[c] = ks.UNBUILT, info[ks.WAIT], 0, 0
            info[ks.N_CELL] += 1
            info[ks.N_STRAY] = 0
        self._build(c, lab)

    def _around_strays(self) -> tuple[Floats, Floats]:
        """A box around the stray requests and all cells so far, with room to grow; the slope along which it lies."""
        a = self.arrays
        n, d = int(a.info[ks.N_CELL]), a.slope.shape[1]
        strays = a.stray[: a.info[ks.N_STRAY]]
        corner_p, corner_q = _corners(a.box[:n], a.slope[:n])
        p, q = np.vstack([strays[:, 0::2], corner_p]), np.vstack([strays[:, 1::2], corner_q])
        slope = np.array([_least_slope(p[:, k], q[:, k]) for k in range(d)])
        rest = q - slope * p
        low, high = (np.column_stack([pick(p, axis=0), pick(rest, axis=0)]).ravel() for pick in (np.min, np.max))
        size = np.maximum(np.abs(low), np.abs(high)).max()
        room = np.maximum(MARGIN * (high - low), 1e-3 * max(size, 1e-3))
        return np.column_stack([low - room, high + room]), slope

    def _fit_cell(self, c: int, lab: FeederArrays) -> CellFit | None:
        return fit_cell(lab, self._fixed["box"][c].copy(), self._fixed["slope"][c].copy(), self.watch_row)

    def _build(self, c: int, lab: FeederArrays) -> None:
        """Fit a cell; where that fails halve it, and give it up where it has been halved often."""
        a = self.arrays
        found = self._fit_cell(c, lab)
        if found is not None:
            a.cell[c, ks.SLOT], a.cell[c, ks.N_REGIME] = len(self.fits), len(found.regimes)
            self.fits += found.regimes
            self.bases[c] = found.basis
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
        a.box[n], a.slope[n] = a.box[c], a.slope[c]
        a.box[n, axis, 0] = a.box[c, axis, 1] = middle
        a.cell[[c, n]] = ks.UNBUILT, 0, depth + 1, 0
        a.info[ks.N_CELL] += 1
        a.info[ks.IN_CELL] = -1


def _corners(box: Floats, slope: Floats) -> tuple[Floats, Floats]:
    """P and Q [4 C, d] at the corners of cells, of each data center on its own. [MW, Mvar]"""
    p, rest = box[:, 0::2], box[:, 1::2]
    pairs = [(p[:, :, i], rest[:, :, j] + slope * p[:, :, i]) for i in (0, 1) for j in (0, 1)]
    return np.vstack([pair[0] for pair in pairs]), np.vstack([pair[1] for pair in pairs])


def _least_slope(p: Floats, q: Floats) -> float:
    """The slope for which Q - slope P is spread least: that of least squares, or none. [1]"""
    off = p - p.mean()
    square = float(off @ off)
    slope = float(off @ q) / square if square > 0 else 0.0
    return slope if np.ptp(q - slope * p) < np.ptp(q) else 0.0


def _runs(of: Ints, longest: int) -> list[tuple[int, int, int]]:
    """First, end and value of each stretch of equal values, none longer than that."""
    cuts = np.flatnonzero(of[1:] != of[:-1]) + 1
    found = []
    for first, end in itertools.pairwise([0, *cuts.tolist(), of.size]):
        value = int(of[first])
        found += [(at, min(at + longest, end), value) for at in range(first, end, longest)]
    return found
