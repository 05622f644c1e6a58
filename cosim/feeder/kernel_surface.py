"""Response surfaces: voltages and totals as polynomials of the data centers' powers; numbers and arrays only.

Their variables are not the powers but currents of a scalar model of the network seen from each data center, which
bend as the network does towards its nose, sheared along what the powers do; so few terms are enough. docs/feeder.md
has the equations.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosim.bundle import Bundle
from cosim.feeder.arrays import DIRTY, N_DC, N_READ, N_TOTALS, READ_ALL, SOURCE_ON
from cosim.jit import inner, njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# info
(ENABLED, N_CELL, IN_CELL, WANTED, WAIT, ON_SURFACE, N_USED, N_CHECKED, N_REFUSED, N_STRAY, N_SLOT, IN_SLOT,
 N_BYTES) = range(13)  # fmt: skip
N_INFO: Final = 13
# columns of cell
SLOT, VISITS, DEPTH, N_REGIME = range(4)
# columns of trust
SINCE_CHECK, DISTANCE = range(2)
UNBUILT: Final = -1
GIVEN_UP: Final = -2
# errors
ALLOWED, WORST_CHECK, MISSED_BY = range(3)
SWEEPS: Final = 3
"""Times that data centers of the scalar model are solved in turn; what that leaves is for the polynomials."""
SOONEST_CHECK: Final = 256
"""Evaluations of a surface that nothing has been shown of yet, before it is held to a full solve: its building took as
many full solves, so that finding it wrong early costs next to nothing."""
LATEST_CHECK: Final = 32_768
"""The same of one that has often been found right."""


class SurfaceArrays(Bundle):
    """Cells in the space of requests, and the polynomials of those that have been built.

    A cell has variables and terms of its own, and as many slots as regimes. Shapes: d data centers, C cells, S slots,
    T terms, R modes, w watched nodes, N rows, o outputs (totals, then one voltage a phase of a data center, then those
    between phases of data centers that sense these, then real and imaginary part of each sensor).
    """

    info: Ints
    error: Floats
    """Deviation from a full solve that is allowed, largest one seen, one for which a surface was given up and that is
    still to be told (0: none). [pu]"""
    cell: Ints
    """[C, 4] first slot or UNBUILT or GIVEN_UP, solves in it so far, number of halvings behind it, slots."""
    box: Floats
    """[C, 2 d, 2] least and greatest of every P, and of Q - slope P. [MW, Mvar]"""
    slope: Floats
    """[C, d] by so much Q follows P in the cell. [1]"""
    stray: Floats
    """[WAIT, 2 d] requests outside all cells since the last one was added. [MW, Mvar]"""
    emf: Floats
    """[C, d, 4] of the scalar model: emf, load beside the data center. [pu, MW, Mvar]"""
    z: Floats
    """[C, d, 2 d] of the scalar model. [pu]"""
    shear: Floats
    """[C, d, d] by so much the second parts of its currents follow the first ones. [1]"""
    middle: Floats
    """[C, 2 d] of the sheared currents. [pu]"""
    scale: Floats
    """[C, 2 d] over half their width. [1/pu]"""
    parent: Ints
    """[C, T] each term is that earlier one ..."""
    factor: Ints
    """[C, T] ... times this variable."""
    shape: Ints
    """[S, 5] terms, modes, guarded legs, terms that tell mostly where these are, outputs that must be worked out while
    no protective device acts."""
    trust: Ints
    """[S, 2] evaluations since the surface was held to a full solve, and those behind which it is held to one again."""
    weight: Floats
    """[S, T, R] from terms to modes."""
    out: Floats
    """[S, R, o] from modes to outputs."""
    watch: Floats
    """[S, R, w] from modes to magnitudes of watched nodes. [pu]"""
    rows: Floats
    """[S, R, 2 N] from modes to voltages of all rows. [pu]"""
    guard: Floats
    """[S, g, T] from terms to the voltages across guarded legs. [pu]"""
    rest: Floats
    """[S, g] what the terms behind shape[3] add to those at most. [pu]"""
    between: Floats
    """[S, g, 2] least and greatest of those for which the surface holds. [pu]"""
    x: Floats
    term: Floats
    mode: Floats
    """[R] of the present request."""
    output: Floats
    """[o] of the present request."""
    sensed: Ints
    """[d, 2] first and end of the outputs whose lowest is the voltage of each data center."""
    leg_row: Ints
    """[l] rows at which there are legs."""
    leg_modes: Floats
    """[S, R, 2 l] `rows` at these, side by side because a check reads them alone. [pu]"""
    last: Floats
    """[2, d] request of the last full solve. [MW, Mvar]"""
    last_mode: Floats
    """[R] its modes."""
    leg_step: Floats
    """[2 l] what modes give at `leg_row`. [pu]"""
    v: Floats
    """[2 N] voltages of the present request, where `voltages` was called. [pu]"""


@inner
def scalar_current(p, q, ex, ey, zx, zy):
    """Current that draws p + jq behind the impedance z from the emf e, on the upper branch.

    With U the voltage, U* (U + z I) = U* e and I = conj(S / U) give a quadratic in |U|^2.

    Returns
    -------
    tuple of float
        Current, and whether there is one.
    """
    a, b = zx * p + zy * q, zy * p - zx * q  # z conj(S)
    e2 = ex * ex + ey * ey
    half = 0.5 * e2 - a
    under = half * half - (a * a + b * b)
    if not under > 0.0:
        return 0.0, 0.0, False
    w = half + math.sqrt(under)  # |U|^2
    # U* = (w + z S*) / e, I = S* / U* = S* e / (w + z S*)
    dx, dy = w + a, b
    nx, ny = p * ex + q * ey, p * ey - q * ex
    inv = 1.0 / (dx * dx + dy * dy)
    return (nx * dx + ny * dy) * inv, (ny * dx - nx * dy) * inv, True


@inner
def warp(p, q, emf, z, out):
    """Currents of the scalar model for all data centers, each with the load that the model puts beside it.

    Parameters
    ----------
    p, q : array [d]
        Powers. [MW, Mvar]
    emf : array [d, 4]
        Emf, and power of the load. [pu, MW, Mvar]
    z : array [d, 2 d]
        Impedance between data centers, real and imaginary part side by side. [pu]
    out : array [2 d]
        Currents. [pu]

    Returns
    -------
    bool
        Whether the model has a solution.
    """
    d = p.size
    for a in range(2 * d):
        out[a] = 0.0
    for _ in range(1 if d == 1 else SWEEPS):
        for k in range(d):
            ex, ey = emf[k, 0], emf[k, 1]
            for m in range(d):
                if m != k:
                    zx, zy, cx, cy = z[k, 2 * m], z[k, 2 * m + 1], out[2 * m], out[2 * m + 1]
                    ex -= zx * cx - zy * cy
                    ey -= zx * cy + zy * cx
            cx, cy, there = scalar_current(p[k] + emf[k, 2], q[k] + emf[k, 3], ex, ey, z[k, 2 * k], z[k, 2 * k + 1])
            if not there:
                return False
            out[2 * k], out[2 * k + 1] = cx, cy
    return True


@inner
def fill_terms(x, shear, middle, scale, parent, factor, terms):
    """Monomials of the variables, sheared and scaled in place: each is an earlier one times one variable."""
    for k in range(shear.shape[0]):
        for m in range(shear.shape[0]):
            x[2 * k + 1] -= shear[k, m] * x[2 * m]
    for a in range(x.size):
        x[a] = (x[a] - middle[a]) * scale[a]
    terms[0] = 1.0
    for k in range(1, parent.size):
        terms[k] = terms[parent[k]] * x[factor[k]]


@inner
def evaluate(coef, terms, n_term, out):
    """out = coef[:n_term].T @ terms, four terms at a time; the first time what is left over, the rest of four by 0."""
    last = (n_term - 1) % 4
    t0, t1, t2, t3 = terms[0], 0.0, 0.0, 0.0
    if last >= 1:
        t1 = terms[1]
    if last >= 2:
        t2 = terms[2]
    if last >= 3:
        t3 = terms[3]
    a, b, c, d = coef[0], coef[min(1, last)], coef[min(2, last)], coef[last]
    for i in range(out.size):
        out[i] = a[i] * t0 + b[i] * t1 + c[i] * t2 + d[i] * t3
    for k in range(last + 1, n_term, 4):
        t0, t1, t2, t3 = terms[k], terms[k + 1], terms[k + 2], terms[k + 3]
        a, b, c, d = coef[k], coef[k + 1], coef[k + 2], coef[k + 3]
        for i in range(out.size):
            out[i] += a[i] * t0 + b[i] * t1 + c[i] * t2 + d[i] * t3


@inner
def is_inside(box, slope, p, q):
    """Whether a request lies in a cell."""
    for k in range(p.size):
        rest = q[k] - slope[k] * p[k]
        if not (box[2 * k, 0] <= p[k] <= box[2 * k, 1] and box[2 * k + 1, 0] <= rest <= box[2 * k + 1, 1]):
            return False
    return True


@inner
def cell_of(s, p, q):
    """Cell of a request, the last one first; -1 where there is none."""
    last = s.info[IN_CELL]
    if last >= 0 and is_inside(s.box[last], s.slope[last], p, q):
        return last
    for c in range(s.info[N_CELL]):
        if is_inside(s.box[c], s.slope[c], p, q):
            s.info[IN_CELL] = c
            return c
    return -1


@inner
def set_terms(s, c, p, q):
    """Terms of a request in a cell; whether the scalar model has a solution."""
    n_term = s.shape[s.cell[c, SLOT], 0]
    if not warp(p, q, s.emf[c], s.z[c], s.x):
        return False
    fill_terms(s.x, s.shear[c], s.middle[c], s.scale[c], s.parent[c, :n_term], s.factor[c], s.term)
    return True


@inner
def is_in_regime(s, slot):
    """Whether the legs that a surface guards are in the part of their law that it was fitted for."""
    n_guard = s.shape[slot, 2]
    if n_guard == 0:
        return True
    for g in range(n_guard):
        across = 0.0
        for k in range(s.shape[slot, 0]):
            across += s.guard[slot, g, k] * s.term[k]
        if not s.between[slot, g, 0] <= across <= s.between[slot, g, 1]:
            return False
    return True


@inner
def find_slot(s, c, p, q):
    """Surface of cell c that holds for a request, its modes set; the last one first, -1 where none does."""
    first, n_regime = s.cell[c, SLOT], s.cell[c, N_REGIME]
    last = s.info[IN_SLOT]
    if not first <= last < first + n_regime:
        last = first
    if not set_terms(s, c, p, q):
        return -1
    for k in range(n_regime):
        slot = first + (last - first + k) % n_regime
        if is_in_regime(s, slot):
            evaluate(s.weight[slot], s.term, s.shape[slot, 0], s.mode[: s.shape[slot, 1]])
            s.info[IN_SLOT] = slot
            return slot
    return -1


@inner
def is_due(s, slot):
    """Whether a surface is to be held to a full solve before it answers again."""
    return s.trust[slot, SINCE_CHECK] >= s.trust[slot, DISTANCE]


@inner
def lowest_phase(s, f, k):
    """Voltage of data center k in the present outputs: those of its phases, whose minimum alone has kinks. [pu]"""
    least = math.inf
    for r in range(f.site_ptr[k], f.site_ptr[k + 1]):
        least = min(least, s.output[N_TOTALS + r])
    return least


@inner
def sensed_voltage(s, k):
    """Voltage that data center k senses in the present outputs: its lowest phase, or the lowest between two. [pu]"""
    least = math.inf
    for i in range(s.sensed[k, 0], s.sensed[k, 1]):
        least = min(least, s.output[i])
    return least


@njit
def evaluate_surface(s, f):
    """Answer the request of f from a surface, if one holds: totals, voltages at the data centers, sensors.

    Returns
    -------
    bool
        False where the request needs a full solve: no cell, none built, an event in between, a phase outside its
        window, or the time has come to hold the surface to a full solve.
    """
    s.info[ON_SURFACE] = 0
    if s.info[ENABLED] == 0 or f.flags[DIRTY] != 0 or f.flags[SOURCE_ON] == 0:
        return False
    c = cell_of(s, f.port_p_mw, f.port_q_mvar)
    if c < 0 or s.cell[c, SLOT] < 0:
        return False
    slot = find_slot(s, c, f.port_p_mw, f.port_q_mvar)
    if slot < 0 or is_due(s, slot):
        return False
    n_out = s.output.size if f.flags[READ_ALL] == 1 else s.shape[slot, 4]
    evaluate(s.out[slot], s.mode, s.shape[slot, 1], s.output[:n_out])
    d, at = f.sizes[N_DC], s.output.size - 2 * f.sensor.shape[0]
    for k in range(d):
        if lowest_phase(s, f, k) <= f.port_v_min_pu[k]:
            return False
        f.port_vm_pu[k] = sensed_voltage(s, k)
    for k in range(d):
        f.port_p_solved_mw[k], f.port_q_solved_mvar[k] = f.port_p_mw[k], f.port_q_mvar[k]
    for k in range(N_TOTALS):
        f.totals[k] = s.output[k]
    f.flags[N_READ] = (n_out - at) // 2
    for k in range(f.flags[N_READ]):
        f.sensor[k, 0] = s.output[at + 2 * k]
        f.sensor[k, 1] = s.output[at + 2 * k + 1]
    s.info[ON_SURFACE] = 1
    s.info[N_USED] += 1
    s.trust[slot, SINCE_CHECK] += 1
    return True


@inner
def watched(s, out):
    """Magnitudes of the watched nodes for the present modes. [pu]"""
    slot = s.info[IN_SLOT]
    evaluate(s.watch[slot], s.mode, s.shape[slot, 1], out)


@inner
def voltages(s):
    """Voltages of all rows for the present modes, into s.v. [pu]"""
    slot = s.info[IN_SLOT]
    evaluate(s.rows[slot], s.mode, s.shape[slot, 1], s.v)
