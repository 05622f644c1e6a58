"""Response surfaces for requests side by side, so that they share vector instructions."""

from __future__ import annotations

import math

from cosim.feeder.kernel_surface import N_CELL, N_REGIME, SLOT, SWEEPS
from cosim.jit import inner, njit


@inner
def _currents(p, q, first, size, emf, z, out):
    """`kernel_surface.warp` for `size` requests from `first` on; whether the model has a solution for all."""
    d = p.shape[0]
    good = True
    for a in range(2 * d):
        for t in range(size):
            out[a, t] = 0.0
    for _ in range(1 if d == 1 else SWEEPS):
        for k in range(d):
            zx, zy = z[k, 2 * k], z[k, 2 * k + 1]
            for t in range(size):
                ex, ey = emf[k, 0], emf[k, 1]
                for m in range(d):
                    if m != k:
                        wx, wy, cx, cy = z[k, 2 * m], z[k, 2 * m + 1], out[2 * m, t], out[2 * m + 1, t]
                        ex -= wx * cx - wy * cy
                        ey -= wx * cy + wy * cx
                pk, qk = p[k, first + t] + emf[k, 2], q[k, first + t] + emf[k, 3]
                a, b = zx * pk + zy * qk, zy * pk - zx * qk
                half = 0.5 * (ex * ex + ey * ey) - a
                under = half * half - (a * a + b * b)
                good &= under > 0.0
                dx = half + math.sqrt(abs(under)) + a
                nx, ny = pk * ex + qk * ey, pk * ey - qk * ex
                inv = 1.0 / (dx * dx + b * b)
                out[2 * k, t], out[2 * k + 1, t] = (nx * dx + ny * b) * inv, (ny * dx - nx * b) * inv
    return good


@njit
def tile_terms(p, q, first, size, emf, z, shear, middle, scale, parent, factor, x, terms):
    """Variables and terms of a cell for `size` requests from `first` on.

    Parameters
    ----------
    p, q : array [d, n]
        Powers. [MW, Mvar]
    emf, z, shear, middle, scale, parent, factor : array
        Of the cell, as in `SurfaceArrays`.
    x, terms : array [2 d, size or more], [T, size or more]
        Written.

    Returns
    -------
    bool
        Whether the scalar model has a solution for all of them.
    """
    good = _currents(p, q, first, size, emf, z, x)
    for k in range(shear.shape[0]):
        for m in range(shear.shape[0]):
            by = shear[k, m]
            for t in range(size):
                x[2 * k + 1, t] -= by * x[2 * m, t]
    for a in range(middle.size):
        for t in range(size):
            x[a, t] = (x[a, t] - middle[a]) * scale[a]
    for t in range(size):
        terms[0, t] = 1.0
    for k in range(1, parent.size):
        before, own, row = terms[parent[k]], x[factor[k]], terms[k]
        for t in range(size):
            row[t] = before[t] * own[t]
    return good


@njit
def regimes_of_tile(s, c, terms, size, last, across, slots):
    """Surface of cell c that holds for each of a tile of requests, by their terms [T, size]; -1 where none does.

    Parameters
    ----------
    last : int
        Slot to begin with, where it belongs to the cell.
    across : array [g, size or more]
        Scratch.
    slots : array [size]
        Written.
    """
    first, n_regime = s.cell[c, SLOT], s.cell[c, N_REGIME]
    if not first <= last < first + n_regime:
        last = first
    left = size
    for t in range(size):
        slots[t] = -1
    for r in range(n_regime):
        slot = first + (last - first + r) % n_regime
        _guarded(s.guard[slot], terms, s.shape[slot, 0], s.shape[slot, 2], size, across)
        for t in range(size):
            if slots[t] < 0:
                inside = True
                for g in range(s.shape[slot, 2]):
                    inside &= s.between[slot, g, 0] <= across[g, t] <= s.between[slot, g, 1]
                if inside:
                    slots[t] = slot
                    left -= 1
        if left == 0:
            return


@inner
def _guarded(guard, terms, n_term, n_guard, size, across):
    """Voltages across guarded legs for a tile, four terms at a time as in `evaluate`."""
    for g in range(n_guard):
        row = across[g]
        for t in range(size):
            row[t] = 0.0
        k = 0
        while k + 4 <= n_term:
            c0, c1, c2, c3 = guard[k, g], guard[k + 1, g], guard[k + 2, g], guard[k + 3, g]
            t0, t1, t2, t3 = terms[k], terms[k + 1], terms[k + 2], terms[k + 3]
            for t in range(size):
                row[t] += c0 * t0[t] + c1 * t1[t] + c2 * t2[t] + c3 * t3[t]
            k += 4
        while k < n_term:
            c0, t0 = guard[k, g], terms[k]
            for t in range(size):
                row[t] += c0 * t0[t]
            k += 1


@njit
def cells_of_block(s, p, q, cells):
    """Cell with a surface of each request of a block [d, n], -1 where there is none; the last one's first."""
    c = -1
    for t in range(p.shape[1]):
        if c < 0 or not _is_inside_at(s.box[c], s.slope[c], p, q, t):
            c = -1
            for k in range(s.info[N_CELL]):
                if s.cell[k, SLOT] >= 0 and _is_inside_at(s.box[k], s.slope[k], p, q, t):
                    c = k
                    break
        cells[t] = c


@inner
def _is_inside_at(box, slope, p, q, t):
    for k in range(p.shape[0]):
        rest = q[k, t] - slope[k] * p[k, t]
        if not (box[2 * k, 0] <= p[k, t] <= box[2 * k, 1] and box[2 * k + 1, 0] <= rest <= box[2 * k + 1, 1]):
            return False
    return True
