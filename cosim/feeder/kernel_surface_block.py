"""Response surfaces for requests side by side, so that they share vector instructions."""

from __future__ import annotations

import math

from cosim.feeder.kernel_surface import N_CELL, N_REGIME, SLOT, SWEEPS
from cosim.jit import inner, njit


@inner
def _currents(p, q, first, size, emf, z, out):
    """`kernel_surface.warp` for `size` requests from `first` on; whether the model has a solution for all.

    Row by row, since only loops without branches share vector instructions.
    """
    d, n_bad = p.shape[0], 0
    for sweep in range(1 if d == 1 else SWEEPS):
        for k in range(d):
            x, y = out[2 * k], out[2 * k + 1]
            for t in range(size):
                x[t], y[t] = emf[k, 0], emf[k, 1]
            for m in range(d if sweep > 0 else k):
                if m != k:
                    wx, wy, cx, cy = z[k, 2 * m], z[k, 2 * m + 1], out[2 * m], out[2 * m + 1]
                    for t in range(size):
                        x[t] -= wx * cx[t] - wy * cy[t]
                        y[t] -= wx * cy[t] + wy * cx[t]
            own_p, own_q = p[k, first : first + size], q[k, first : first + size]
            n_bad += _scalar_currents(own_p, own_q, emf[k], z[k, 2 * k], z[k, 2 * k + 1], x, y)
    return n_bad == 0


@inner
def _scalar_currents(p, q, emf, zx, zy, x, y):
    """`kernel_surface.scalar_current` for a row of emfs, which the currents take the place of; how many have none."""
    n_bad = 0
    for t in range(p.size):
        ex, ey, pk, qk = x[t], y[t], p[t] + emf[2], q[t] + emf[3]
        a, b = zx * pk + zy * qk, zy * pk - zx * qk
        half = 0.5 * (ex * ex + ey * ey) - a
        under = half * half - (a * a + b * b)
        n_bad += 0 if under > 0.0 else 1
        dx = half + math.sqrt(abs(under)) + a
        nx, ny = pk * ex + qk * ey, pk * ey - qk * ex
        inv = 1.0 / (dx * dx + b * b)
        x[t], y[t] = (nx * dx + ny * b) * inv, (ny * dx - nx * b) * inv
    return n_bad


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
def slots_of_block(s, p, q, x, terms, across, slots):
    """Surface that holds for each request of a block [d, n], -1 where none does; of several the last one's first.

    Parameters
    ----------
    x, terms, across : array [2 d, tile], [T, tile], [g, tile]
        Scratch.
    slots : array [n]
        Written.
    """
    _cells_of_block(s, p, q, slots)
    n, t, last = slots.size, 0, -1
    while t < n:
        c, end = slots[t], t + 1
        while end < n and end - t < x.shape[1] and slots[end] == c:
            end += 1
        if c >= 0:
            last = _regimes_of_tile(s, c, p, q, t, last, x, terms, across, slots[t:end])
        t = end


@inner
def _regimes_of_tile(s, c, p, q, begin, last, x, terms, across, slots):
    """Surfaces of cell c that hold for the requests from `begin` on, beginning with the last one; the new last one."""
    first, n_regime, size = s.cell[c, SLOT], s.cell[c, N_REGIME], slots.size
    if not first <= last < first + n_regime:
        last = first
    if n_regime == 1 and s.shape[first, 2] == 0:
        slots[:] = first
        return last
    n_quick = 1
    for slot in range(first, first + n_regime):
        n_quick = max(n_quick, s.shape[slot, 3])
    slots[:] = -1
    emf, z, shear, middle, scale = s.emf[c], s.z[c], s.shear[c], s.middle[c], s.scale[c]
    if not tile_terms(p, q, begin, size, emf, z, shear, middle, scale, s.parent[c, :n_quick], s.factor[c], x, terms):
        return last
    left = size
    for r in range(n_regime):
        slot = first + (last - first + r) % n_regime
        for g in range(s.shape[slot, 2]):
            _guarded(s.guard[slot, g], terms, s.shape[slot, 3], size, across[g])
        for t in range(size):
            if slots[t] < 0 and _is_in_regime_at(s, c, slot, x, t, across):
                slots[t] = slot
                left -= 1
        if left == 0:
            break
    return slots[size - 1]


@inner
def _guarded(guard, terms, n_term, size, across):
    """Voltage across a guarded leg for a tile by its first terms, four at a time as in `evaluate`."""
    for t in range(size):
        across[t] = 0.0
    k = 0
    while k + 4 <= n_term:
        c0, c1, c2, c3 = guard[k], guard[k + 1], guard[k + 2], guard[k + 3]
        t0, t1, t2, t3 = terms[k], terms[k + 1], terms[k + 2], terms[k + 3]
        for t in range(size):
            across[t] += c0 * t0[t] + c1 * t1[t] + c2 * t2[t] + c3 * t3[t]
        k += 4
    while k < n_term:
        c0, t0 = guard[k], terms[k]
        for t in range(size):
            across[t] += c0 * t0[t]
        k += 1


@inner
def _is_in_regime_at(s, c, slot, x, t, across):
    """`kernel_surface.is_in_regime` for one request; all terms of a voltage only where the first ones leave it open."""
    n_term, known = s.shape[slot, 0], False
    for g in range(s.shape[slot, 2]):
        low, high, rest = s.between[slot, g, 0], s.between[slot, g, 1], s.rest[slot, g]
        u = across[g, t]
        if low + rest < u < high - rest:
            continue
        if not low - rest <= u <= high + rest:
            return False
        if not known:
            s.term[0], known = 1.0, True
            for k in range(1, n_term):
                s.term[k] = s.term[s.parent[c, k]] * x[s.factor[c, k], t]
        for k in range(s.shape[slot, 3], n_term):
            u += s.guard[slot, g, k] * s.term[k]
        if not low <= u <= high:
            return False
    return True


@inner
def _cells_of_block(s, p, q, cells):
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
