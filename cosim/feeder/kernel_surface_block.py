"""Response surfaces for blocks of requests side by side, so that they share vector instructions."""

from __future__ import annotations

import math

from cosim.feeder.kernel_surface import N_CELL, SLOT, SWEEPS
from cosim.jit import inner, njit


@njit
def warp_block(p, q, emf, z, out):
    """`kernel_surface.warp` for a block of requests.

    Parameters
    ----------
    p, q : array [d, n]
    out : array [2 d, n]

    Returns
    -------
    bool
        Whether the model has a solution for all of them.
    """
    d, n = p.shape
    good = True
    for a in range(2 * d):
        out[a, :] = 0.0
    for _ in range(1 if d == 1 else SWEEPS):
        for k in range(d):
            zx, zy = z[k, 2 * k], z[k, 2 * k + 1]
            for t in range(n):
                ex, ey = emf[k, 0], emf[k, 1]
                for m in range(d):
                    if m != k:
                        wx, wy, cx, cy = z[k, 2 * m], z[k, 2 * m + 1], out[2 * m, t], out[2 * m + 1, t]
                        ex -= wx * cx - wy * cy
                        ey -= wx * cy + wy * cx
                pk, qk = p[k, t] + emf[k, 2], q[k, t] + emf[k, 3]
                a, b = zx * pk + zy * qk, zy * pk - zx * qk
                half = 0.5 * (ex * ex + ey * ey) - a
                under = half * half - (a * a + b * b)
                good &= under > 0.0
                dx = half + math.sqrt(abs(under)) + a
                nx, ny = pk * ex + qk * ey, pk * ey - qk * ex
                d2 = dx * dx + b * b
                out[2 * k, t], out[2 * k + 1, t] = (nx * dx + ny * b) / d2, (ny * dx - nx * b) / d2
    return good


@njit
def terms_block(x, middle, scale, parent, factor, terms):
    """Monomials for a block of requests; x [2 d, n] is scaled in place, terms [T, n]."""
    n = x.shape[1]
    for a in range(x.shape[0]):
        for t in range(n):
            x[a, t] = (x[a, t] - middle[a]) * scale[a]
    terms[0, :] = 1.0
    for k in range(1, terms.shape[0]):
        before, own, row = terms[parent[k]], x[factor[k]], terms[k]
        for t in range(n):
            row[t] = before[t] * own[t]


@njit
def cells_of_block(s, p, q, cells):
    """Cell with a surface of each request of a block [d, n], -1 where there is none.

    Returns
    -------
    tuple of int and bool
        Cell of the first one, and whether they all share it.
    """
    n = p.shape[1]
    c, same = -1, True
    for t in range(n):
        if c < 0 or not _is_inside_at(s.box[c], p, q, t):
            c = -1
            for k in range(s.info[N_CELL]):
                if s.cell[k, SLOT] >= 0 and _is_inside_at(s.box[k], p, q, t):
                    c = k
                    break
        cells[t] = c
        same &= c == cells[0]
    return cells[0], same


@inner
def _is_inside_at(box, p, q, t):
    for k in range(p.shape[0]):
        if not (box[2 * k, 0] <= p[k, t] <= box[2 * k, 1] and box[2 * k + 1, 0] <= q[k, t] <= box[2 * k + 1, 1]):
            return False
    return True
