"""The surfaces of one state of a feeder: cells that grow with the requests, polynomials where they pay."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder import kernel_surface as ks
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel_surface import SurfaceArrays
from cosim.feeder.kernel_surface_block import slots_of_block, tile_terms
from cosim.feeder.network import Floats, Ints
from cosim.feeder.surface_basis import MAX_TERMS, Basis
from cosim.feeder.surface_cell import cell_around
from cosim.feeder.surface_fit import MAX_DATACENTERS, MAX_GUARDED, Fit, fit_cell, refit_cell
from cosim.feeder.surface_outputs import Outputs
from cosim.feeder.surface_packing import MAX_CELLS, Packing

ALLOWED = 1e-9
"""Deviation from a full solve at which a surface is given up during the run. [pu]"""
MAX_HALVINGS = 5
MAX_BYTES = 512 * 1024 * 1024
"""Memory of the polynomials of one state from which on cells are given up rather than built. [byte]"""
EXPECTED = -1
"""Depth of a cell that another state's requests make likely."""
LASTING = 4096
"""Instants answered in the state before from which on the next one is taken to last as long. [1]"""
SOON = 8
"""Full solves after which a cell is then built on terms that are given: some states pass before a single one. [1]"""
TILE = 256
"""Requests whose terms are worked out side by side before they are multiplied out: what the fast cache holds."""
SHORT = 64
"""Stretches of fewer requests with one surface are gathered. [1]"""
GIVEN, HANDED_ON = "given/", "handed_on/"
"""Prefixes in a checkpoint: terms that the expected cell came with, and those that the next state gets."""
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
        self._given: Basis | None = None
        self._factors: dict[int, tuple[Floats, ...]] = {}
        self._scratch: tuple[Floats, ...] = ()
        leg_row = np.unique(f.leg_row[f.leg_row >= 0])
        outputs = Outputs.of(f)
        self.n_out = outputs.size
        z = np.zeros
        info = z(ks.N_INFO, np.int64)
        info[[ks.IN_CELL, ks.WANTED]] = -1
        energized = bool(np.all(f.port_row[: f.site_ptr[d], 0] >= 0))
        info[ks.ENABLED] = int(enabled and 0 < d <= MAX_DATACENTERS and energized)
        info[ks.WAIT] = 2 * MAX_TERMS[d] if info[ks.ENABLED] else 1
        self._fixed = {
            "info": info,
            "error": np.array([ALLOWED, 0.0, 0.0]),
            "cell": z((MAX_CELLS, 4), np.int64),
            "box": z((MAX_CELLS, 2 * d, 2)),
            "slope": z((MAX_CELLS, d)),
            "stray": z((int(info[ks.WAIT]), 2 * d)),
            "x": z(2 * d),
            "output": z(self.n_out),
            "sensed": outputs.sensed,
            "last": z((2, d)),
            "leg_row": leg_row,
            "leg_step": z(2 * leg_row.size),
            "v": z(f.v.size),
        }
        pickup = f.sensor_pickup[f.sizes[ix.N_CONTROL_SENSOR] :]
        self._packing = Packing(self._fixed, watch_row, self.n_out, pickup)
        self._pack(None)

    def expect(self, kept: Mapping[str, np.ndarray]) -> None:
        """Start with the last whole cell of another state's surfaces, by their `state`, which covers those before.

        A tap or a load moved: the data centers' requests do not know of it, and cells need not grow anew, nor need
        their terms be searched anew. A build then takes few samples, and is not put off for long where
        the state before has lasted.
        """
        c = _last_whole(kept["cell"][: int(kept["info"][ks.N_CELL])])
        if c < 0 or self._fixed["info"][ks.ENABLED] == 0:
            return
        self._fixed["box"][0], self._fixed["slope"][0] = kept["box"][c], kept["slope"][c]
        self._fixed["cell"][0, [ks.SLOT, ks.DEPTH]] = ks.UNBUILT, EXPECTED
        self._fixed["info"][ks.N_CELL] = 1
        self._given = Basis.of(kept, HANDED_ON)
        if self._given is not None and kept["info"][ks.N_USED] >= LASTING:
            self._fixed["cell"][0, ks.VISITS] = self._fixed["info"][ks.WAIT] - SOON

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
    def n_bytes(self) -> int:
        """Memory of the polynomials. [byte]"""
        return int(self._fixed["info"][ks.N_BYTES])

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
            Requests answered; the others' rows are left alone, since they need a full solve: also that with which a
            surface is due to be held to one (`learn`). What follows it in the block is answered meanwhile.
        """
        a, slots = self.arrays, np.empty(p_mw.shape[1], np.int64)
        if not self._scratch:
            rows = a.x.size, a.term.size, MAX_GUARDED, self.watch_row.size
            self._scratch = tuple(np.zeros(TILE * n) for n in rows)
        x, terms = self._scratch[0].reshape(-1, TILE), self._scratch[1].reshape(-1, TILE)
        slots_of_block(a, p_mw, q_mvar, x, terms, self._scratch[2].reshape(-1, TILE), slots)
        short, runs = np.zeros(slots.size, bool), _runs(slots)
        if self._leave_due(slots, runs):
            runs = _runs(slots)
        for first, end, slot in runs:
            if end - first < SHORT and end - first < slots.size:
                short[first:end] = slot >= 0
            elif slot >= 0:
                self._follow_slot(slot, p_mw[:, first:end], q_mvar[:, first:end], vm_pu[first:end])
        for slot in np.unique(slots[short]).tolist():  # short stretches of one surface together
            at = np.flatnonzero(short & (slots == slot))
            self._follow_slot(slot, p_mw[:, at], q_mvar[:, at], vm_pu, at)
        return int(np.count_nonzero(slots >= 0))

    def _leave_due(self, slots: Ints, runs: list[tuple[int, int, int]]) -> bool:
        """Count a block's requests on its surfaces; take those from them that are due for a check; whether any is."""
        n_asked: dict[int, int] = {}
        for first, end, slot in runs:
            n_asked[slot] = n_asked.get(slot, 0) + end - first
        n_asked.pop(-1, None)
        due = []
        for slot, n in n_asked.items():
            since, distance = self.arrays.trust[slot].tolist()
            if since + n > distance:
                due.append(np.flatnonzero(slots == slot)[max(distance - since, 0)])
            self.arrays.trust[slot, ks.SINCE_CHECK] += n
        slots[due] = -1
        return bool(due)

    def _follow_slot(self, slot: int, p_mw: Floats, q_mvar: Floats, vm_pu: Floats, at: Ints | None = None) -> None:
        """The same for requests for which one surface is known to hold; into the rows `at`, where given."""
        p_mw, q_mvar = np.ascontiguousarray(p_mw), np.ascontiguousarray(q_mvar)
        fit = self.fits[slot]
        assert fit is not None
        b, v, n_term, w = fit.basis, self._fixed["x"].size, fit.weight.shape[0], vm_pu.shape[1]
        for first in range(0, p_mw.shape[1], TILE):
            size = min(TILE, p_mw.shape[1] - first)
            x, terms = self._part(0, v, size), self._part(1, n_term, size)
            tile_terms(p_mw, q_mvar, first, size, b.emf, b.z, b.shear, b.middle, b.scale, b.parent, b.factor, x, terms)
            if at is None:
                self._magnitudes(slot, terms, vm_pu[first : first + size])
            else:
                rows = self._part(3, size, w)
                self._magnitudes(slot, terms, rows)
                vm_pu[at[first : first + size]] = rows

    def _part(self, k: int, rows: int, columns: int) -> Floats:
        """An array of that shape in scratch k: fresh memory would cost more than what is worked out in it."""
        return self._scratch[k][: rows * columns].reshape(rows, columns)

    def _magnitudes(self, slot: int, terms: Floats, vm_pu: Floats) -> None:
        """Magnitudes of the watched nodes from terms [T, n]: straight, or through the modes, whichever is less work."""
        if slot not in self._factors:
            a, (n_term, n_mode, *_) = self.arrays, self.arrays.shape[slot].tolist()
            weight, watch = a.weight[slot, :n_term, :n_mode].copy(), a.watch[slot, :n_mode]
            w = watch.shape[1]
            straight = n_term * w <= n_mode * (n_term + w)
            self._factors[slot] = (weight @ watch,) if straight else (weight, watch)
        *before, final = self._factors[slot]
        np.dot(terms.T @ before[0] if before else terms.T, final, out=vm_pu)

    def _pack(self, before: SurfaceArrays | None) -> None:
        """Put all fits into arrays. They drop their modes here, and keep them in the arrays before."""
        self.arrays = self._packing.packed(self.fits, self._bases(), before)
        self.fits = [fit if fit is None else replace(fit, modes=fit.modes[:, :0].copy()) for fit in self.fits]
        self._scratch = ()

    def _bases(self) -> list[tuple[int, Basis]]:
        """Cells with surfaces, and their variables and terms."""
        slots = self._fixed["cell"][: int(self._fixed["info"][ks.N_CELL]), ks.SLOT].tolist()
        found = [(c, self.fits[slot]) for c, slot in enumerate(slots) if slot >= 0]
        return [(c, fit.basis) for c, fit in found if fit is not None]

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps: cells, counters, trust, the present modes; the polynomials follow from the cells and
        from the terms of other states that they came with."""
        a = self.arrays
        stored = {k: self._fixed[k].copy() for k in _KEPT} | {"trust": a.trust.copy(), "mode": a.mode.copy()}
        for prefix, basis in ((GIVEN, self._given), (HANDED_ON, self._handed_on())):
            stored |= {} if basis is None else basis.state(prefix)
        return stored

    def _handed_on(self) -> Basis | None:
        """Variables and terms of the last whole cell, for it to be fitted with in another state."""
        cell = self.arrays.cell[: int(self.arrays.info[ks.N_CELL])]
        c = _last_whole(cell)
        if c < 0 or cell[c, ks.SLOT] == ks.UNBUILT:
            return self._given if c == 0 else None
        fit = self.fits[cell[c, ks.SLOT]]
        return fit.basis if fit is not None and cell[c, ks.N_REGIME] == 1 else None

    def restore(self, state: Mapping[str, np.ndarray], make_lab: Callable[[], FeederArrays]) -> None:
        """Go back to what `state` kept, in the same state of the feeder."""
        for k in _KEPT:
            self._fixed[k][...] = state[k]
        self._given = Basis.of(state, GIVEN)
        cells = self._fixed["cell"][: int(self._fixed["info"][ks.N_CELL])]
        slots = {int(slot): c for c, slot in enumerate(cells[:, ks.SLOT]) if slot >= 0}
        self.fits = [None] * int(self._fixed["info"][ks.N_SLOT])
        self._factors = {}
        for slot, c in slots.items():
            fits = self._fit_cell(c, make_lab)
            self.fits[slot : slot + len(fits)] = fits
        self._pack(None)
        self._fixed["info"][:] = state["info"]
        self.arrays.trust[:] = state["trust"]
        self.arrays.mode[:] = state["mode"]

    def build_wanted(self, make_lab: Callable[[], FeederArrays]) -> None:
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
            a = self.arrays
            box[c], a.slope[c] = cell_around(a.stray[: info[ks.N_STRAY]], box[:c], a.slope[:c])
            cell[c] = ks.UNBUILT, info[ks.WAIT], 0, 0
            info[ks.N_CELL] += 1
            info[ks.N_STRAY] = 0
        self._build(c, make_lab)

    def _fit_cell(self, c: int, make_lab: Callable[[], FeederArrays]) -> list[Fit]:
        """Fit a cell: one that another state made likely on that one's terms, where they are enough."""
        box, slope = self._fixed["box"][c].copy(), self._fixed["slope"][c].copy()
        if self._given is not None and self._fixed["cell"][c, ks.DEPTH] == EXPECTED:
            fit = refit_cell(make_lab(), self._given, box, slope, self.watch_row)
            if fit is not None:
                return [fit]
            self._given = None
        return fit_cell(make_lab(), box, slope, self.watch_row)

    def _build(self, c: int, make_lab: Callable[[], FeederArrays]) -> None:
        """Fit a cell; where that fails halve it, and give it up where it has been halved often."""
        a = self.arrays
        if a.info[ks.N_BYTES] > MAX_BYTES:
            a.cell[c, ks.SLOT] = ks.GIVEN_UP
            return
        fits = self._fit_cell(c, make_lab)
        if fits:
            a.cell[c, ks.SLOT], a.cell[c, ks.N_REGIME] = len(self.fits), len(fits)
            self.fits += fits
            a.info[ks.N_SLOT] = len(self.fits)
            self._pack(a)
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


def _last_whole(cell: Ints) -> int:
    """Last cell that is not part of a halved one, nor given up; -1 where there is none."""
    whole = np.flatnonzero((cell[:, ks.SLOT] != ks.GIVEN_UP) & (cell[:, ks.DEPTH] <= 0))
    return int(whole[-1]) if whole.size else -1


def _runs(of: Ints) -> list[tuple[int, int, int]]:
    """First, end and value of each stretch of equal values."""
    cuts = [0, *(np.flatnonzero(of[1:] != of[:-1]) + 1).tolist(), of.size]
    return [(first, end, int(of[first])) for first, end in itertools.pairwise(cuts)]
