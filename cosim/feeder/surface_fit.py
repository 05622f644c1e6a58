"""Fitting a response surface: sample the power flow over a cell of requests, fit, check, compress.

A surface is a function of the feeder's state and of its cell alone: it is sampled in arrays of its own that start
from the factors of that state, so a run that goes on after an interruption finds the same bits.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.kernel_surface_block import warp_block
from cosim.feeder.legs import fast_columns
from cosim.feeder.network import (
    P_0,
    P_1,
    P_2,
    P_E,
    P_LINE,
    P_LOW,
    P_MAX,
    P_MIN,
    Q_0,
    Q_1,
    Q_2,
    Q_E,
    Q_LINE,
    Q_LOW,
    Q_MAX,
    Q_MIN,
    V_LOW,
    V_MAX,
    V_MIN,
    Complexes,
    Floats,
    Ints,
)

TOLERANCE = 4e-10
"""Deviation at points that were not fitted, up to which a fit is taken; of voltages [pu], of totals in parts of the
feeder's power [1]."""
DROPPED = 4e-11
"""Part of the coefficients that compression may leave out, over the whole cell; in the same units."""
DEGREES = {1: (4, 5, 6, 7, 8), 2: (3, 4, 5, 6), 3: (3, 4)}
"""Degrees tried, by number of data centers."""
MAX_DATACENTERS = 3
N_CHECKS = 40
MAX_GUARDED = 16
"""Legs that may change the part of their law inside one cell."""
MAX_REGIMES = 16
FAR_PU = 10.0
"""A voltage that no leg reaches, to which the parts of laws are drawn out. [pu]"""
LAW_POWERS = [P_0, P_1, P_2, P_E, P_LOW, P_MAX, Q_0, Q_1, Q_2, Q_E, Q_LOW, Q_MAX]


@dataclass(frozen=True)
class Fit:
    """One fitted cell; fields as in `SurfaceArrays`, without the slot."""

    emf: Floats
    z: Floats
    middle: Floats
    scale: Floats
    parent: Ints
    factor: Ints
    weight: Floats
    modes: Floats
    """[R, o + w + 2 N + g]"""
    guard: Floats
    """[g, 2] least and greatest voltage across each guarded leg. [pu]"""
    error: float


def term_table(n: int, degree: int) -> tuple[Ints, Ints]:
    """All monomials of n variables up to a degree, each as an earlier one times one variable."""
    place: dict[tuple[int, ...], int] = {(): 0}
    parent, factor = [0], [0]
    for size in range(1, degree + 1):
        for term in itertools.combinations_with_replacement(range(n), size):
            place[term] = len(parent)
            parent.append(place[term[:-1]])
            factor.append(term[-1])
    return np.array(parent, np.int64), np.array(factor, np.int64)


def fit_cell(lab: FeederArrays, box: Floats, watch_row: Ints) -> list[Fit]:
    """`fitted_cell` with BLAS on one thread: its results depend on their number, and these problems are small."""
    with _blas().limit(limits=1, user_api="blas"):
        return fitted_cell(lab, box, watch_row)


def fitted_cell(lab: FeederArrays, box: Floats, watch_row: Ints) -> list[Fit]:
    """Fit surfaces over a cell: one where every leg keeps to one part of its law, else one a regime.

    Where some legs change the part of their law inside the cell (a load that leaves its voltage window), the voltages
    have a kink there. So each combination of parts that occurs is fitted on its own, with those laws drawn out beyond
    their ends, and holds where the voltages across these legs say so.

    Parameters
    ----------
    lab : FeederArrays
        Used up; in the state whose surface is wanted, on the factors of that state.
    box : array [2 d, 2]
        [MW, Mvar]
    watch_row : array [w]

    Returns
    -------
    list of Fit
        Empty where none of the degrees is enough or a request in the cell cannot be solved.
    """
    d = box.shape[0] // 2
    points = np.vstack([_points(box, 2 * term_table(2 * d, DEGREES[d][-1])[0].size + 4), _check_points(box)])
    values, port, good = _sampled(lab, points, watch_row)
    if not good:
        return []
    n_check = _check_points(box).shape[0]
    unit = _units(values, lab)
    emf, z = _scalar_model(points, port, lab)
    part = parts_of_law(lab, values[:, -lab.v.size :])
    legs = np.flatnonzero((part != part[0]).any(axis=0))
    if legs.size == 0:
        fit = _fitted(points, values, unit, emf, z, n_check, np.zeros((0, 2)))
        return [fit] if fit is not None else []
    if legs.size > MAX_GUARDED:
        return []
    regimes, count = np.unique(part[:, legs], axis=0, return_counts=True)
    own, fits = lab.leg_law.copy(), []
    for regime in regimes[np.argsort(-count, kind="stable")][:MAX_REGIMES]:
        lab.leg_law[:] = own
        guard = draw_out(lab, legs, regime)
        values, _, good = _sampled(lab, points, watch_row)
        if not good:
            return []
        across = np.sqrt(_across2(lab, values[:, -lab.v.size :])[:, legs])
        fit = _fitted(points, np.hstack([values, across]), np.append(unit, np.ones(legs.size)), emf, z, n_check, guard)
        if fit is None:
            return []
        fits.append(fit)
    return fits


def _across2(lab: FeederArrays, v: Floats) -> Floats:
    """Squared voltage across every leg, for voltages [n, 2 N]. [pu^2]"""
    a, b = lab.leg_row[:, 0], lab.leg_row[:, 1]
    x = v[:, 2 * a] - np.where(b >= 0, v[:, 2 * b], 0.0)
    y = v[:, 2 * a + 1] - np.where(b >= 0, v[:, 2 * b + 1], 0.0)
    squared: Floats = x * x + y * y
    return squared


def parts_of_law(lab: FeederArrays, v: Floats) -> Ints:
    """Part of its law that every leg is in, for voltages [n, 2 N]: 0 low, 1 on the line, 2 in its window, 3 above."""
    m, law = _across2(lab, v), lab.leg_law
    part = np.where(m > law[:, V_MAX], 3, 2)
    part = np.where(m < law[:, V_MIN], np.where(np.sqrt(m) <= law[:, V_LOW], 0, 1), part)
    same = law[:, LAW_POWERS].any(axis=1)
    return np.where(same, part, 2)


def draw_out(lab: FeederArrays, legs: Ints, part: Ints) -> Floats:
    """Let each leg keep to one part of its law at any voltage; the voltages between which that is its own. [pu]"""
    law = lab.leg_law
    guard = np.zeros((legs.size, 2))
    for k, (leg, own) in enumerate(zip(legs.tolist(), part.tolist(), strict=True)):
        low, high, top = law[leg, V_LOW], np.sqrt(law[leg, V_MIN]), np.sqrt(law[leg, V_MAX])
        guard[k] = ((0.0, low), (low, high), (high, top), (top, np.inf))[own]
        if own == 0:
            law[leg, [V_LOW, V_MIN]] = FAR_PU, FAR_PU**2
        elif own == 1:
            for line, at_min in ((P_LINE, P_MIN), (Q_LINE, Q_MIN)):
                slope = (law[leg, at_min] * high - law[leg, line]) / (high - low)
                law[leg, line] -= low * slope
                law[leg, at_min] = law[leg, line] / FAR_PU + slope
            law[leg, [V_LOW, V_MIN]] = 0.0, FAR_PU**2
        else:
            law[leg, [V_LOW, V_MIN, V_MAX]] = 0.0, 0.0, np.inf if own == 2 else -1.0
    lab.leg_fast[:, : ix.F_SLOPE] = fast_columns(law)
    lab.flags[ix.DIRTY] = 1
    return guard


def _fitted(
    points: Floats, values: Floats, unit: Floats, emf: Floats, z: Floats, n_check: int, guard: Floats
) -> Fit | None:
    """Polynomials of the least degree that is enough; the last points are not fitted but held against."""
    d = points.shape[1] // 2
    x = _warped(points, emf, z)
    if x is None:
        return None
    values = values / unit
    n = points.shape[0] - n_check
    middle, half = 0.5 * (x[:n].max(axis=0) + x[:n].min(axis=0)), 0.5 * np.ptp(x[:n], axis=0)
    scale = 1.0 / np.where(half > 0, half, 1.0)
    for degree in DEGREES[d]:
        parent, factor = term_table(2 * d, degree)
        terms = _terms((x - middle) * scale, parent, factor)
        m = min(n, 2 * parent.size + 4)
        q, r = np.linalg.qr(terms[:m])
        coef = np.linalg.solve(r, q.T @ values[:m])
        if _worst(terms[n:] @ coef, values[n:]) > 2 * TOLERANCE:
            continue
        kept = _needed(coef, parent)
        weight, modes = _compressed(coef[kept])
        error = _worst(terms[n:][:, kept] @ weight @ modes, values[n:])
        if error <= TOLERANCE:
            renumbered = np.cumsum(kept) - 1
            modes = np.where(np.any(values != 0, axis=0), modes * unit, 0.0)
            return Fit(emf, z, middle, scale, renumbered[parent[kept]], factor[kept], weight, modes, guard, error)
    return None


def _points(box: Floats, n: int) -> Floats:
    """Halton points crowded towards the faces of the box, as polynomial fits want them."""
    u = _halton(n, box.shape[0])
    spread: Floats = box.mean(axis=1) - 0.5 * np.ptp(box, axis=1) * np.cos(np.pi * u)
    return spread


@cache
def _halton(n: int, d: int) -> Floats:
    """Halton's sequence, radical inverses of 1 to n; scipy has it, too, but half a second away (scipy.stats)."""
    points = np.zeros((n, d))
    for column, base in zip(points.T, (2, 3, 5, 7, 11, 13), strict=False):
        rest, digit = np.arange(1, n + 1), 1.0
        while rest.any():
            digit /= base
            column += digit * (rest % base)
            rest //= base
    return points


def _check_points(box: Floats) -> Floats:
    """Corners of the box and points all over it, none of them fitted."""
    n = box.shape[0]
    corners = np.array(list(itertools.islice(itertools.product((0, 1), repeat=n), 16)))
    u = np.vstack([corners, np.random.default_rng(1).random((N_CHECKS, n))])
    spread: Floats = box[:, 0] + u * np.ptp(box, axis=1)
    return spread


def _sampled(lab: FeederArrays, points: Floats, watch_row: Ints) -> tuple[Floats, Complexes, bool]:
    """Full solves at requests.

    Returns
    -------
    values : array [n, o + w + 2 N]
        Outputs of `SurfaceArrays`, magnitudes of watched nodes, voltages of all rows.
    port : array [n, m]
        Complex voltages of the data centers' phases. [pu]
    good : bool
        Whether all were solved, with every phase inside its window.
    """
    n, n_port, sensor = points.shape[0], int(lab.site_ptr[-1]), lab.sensor.ravel()
    totals, sensed, rows = np.empty((n, lab.totals.size)), np.empty((n, sensor.size)), np.empty((n, lab.v.size))
    p_mw, q_mvar = points[:, 0::2], points[:, 1::2]
    for k in range(n):
        lab.port_p_mw[:], lab.port_q_mvar[:] = p_mw[k], q_mvar[k]
        if solve(lab) != ix.OK or (lab.port_vm_pu <= lab.port_v_min_pu).any():
            return np.zeros((0, 0)), np.zeros((0, 0), np.complex128), False
        balance(lab)
        totals[k], sensed[k], rows[k] = lab.totals, sensor, lab.v
    a, b = lab.port_row[:n_port].T
    v = rows[:, 0::2] + 1j * rows[:, 1::2]
    port = v[:, a] - np.where(b >= 0, v[:, b], 0.0)
    vm = np.where(watch_row >= 0, np.abs(v[:, watch_row]), 0.0)
    return np.hstack([totals, np.abs(port) / lab.port_base[:n_port], sensed, vm, rows]), port, True


def _units(values: Floats, lab: FeederArrays) -> Floats:
    """What a deviation of 1 means in each column: the feeder's power, a sensor's size, 1 pu."""
    unit = np.ones(values.shape[1])
    unit[: ix.N_TOTALS] = max(float(np.abs(values[:, : ix.N_TOTALS]).max()), 1e-6)
    at = ix.N_TOTALS + int(lab.site_ptr[-1])
    for k in range(lab.sensor.shape[0]):
        size = float(np.abs(values[:, at + 2 * k : at + 2 * k + 2]).max())
        unit[at + 2 * k : at + 2 * k + 2] = max(size, float(lab.sensor_least[k]), 1e-9)
    return unit


def _scalar_model(points: Floats, port: Complexes, lab: FeederArrays) -> tuple[Floats, Floats]:
    """Emf, load and impedances that fit the mean voltages of the data centers over their currents best.

    A load beside each data center stands for those of the feeder, which draw more as the voltage falls.
    """
    from scipy.optimize import least_squares

    d = points.shape[1] // 2
    turn = np.conj(port.mean(axis=0))
    turn = turn / np.maximum(np.abs(turn), 1e-30)
    ptr = lab.site_ptr
    u = np.column_stack([(port * turn)[:, ptr[k] : ptr[k + 1]].mean(axis=1) for k in range(d)])
    s = points[:, 0::2] + 1j * points[:, 1::2]

    def linear(load: Floats) -> tuple[Complexes, Complexes]:
        current = np.conj((s + load[:d] + 1j * load[d:]) / u)
        columns = np.column_stack([np.ones(len(u)), -current])
        found = np.linalg.lstsq(columns, u, rcond=None)[0]
        return found, columns @ found - u

    def misfit(load: Floats) -> Floats:
        rest = linear(load)[1].ravel()
        return np.concatenate([rest.real, rest.imag])

    own_mw = 0.5 * float(lab.params[ix.SCALE_MW])
    starts = [np.repeat([share, 0.4 * share], d) * own_mw for share in (0.0, 0.2)]
    tried = [least_squares(misfit, start, x_scale=max(own_mw, 1e-6), max_nfev=60) for start in starts]
    load = min(tried, key=lambda t: float(t.cost)).x
    found = linear(load)[0]
    emf = np.column_stack([found[0].real, found[0].imag, load[:d], load[d:]])
    z = np.stack([found[1:].T.real, found[1:].T.imag], axis=-1).reshape(d, 2 * d)
    return np.ascontiguousarray(emf), np.ascontiguousarray(z)


def _warped(points: Floats, emf: Floats, z: Floats) -> Floats | None:
    """Currents of the scalar model at requests."""
    x = np.zeros(points.shape[::-1])
    p, q = np.ascontiguousarray(points[:, 0::2].T), np.ascontiguousarray(points[:, 1::2].T)
    return np.ascontiguousarray(x.T) if warp_block(p, q, emf, z, x) else None


def _terms(y: Floats, parent: Ints, factor: Ints) -> Floats:
    terms = np.ones((y.shape[0], parent.size))
    for k in range(1, parent.size):
        terms[:, k] = terms[:, parent[k]] * y[:, factor[k]]
    return terms


def _worst(found: Floats, expected: Floats) -> float:
    return float(np.abs(found - expected).max())


def _needed(coef: np.ndarray, parent: Ints) -> np.ndarray:
    """Terms that count, and those they are made of: the variables lie within 1, so a coefficient bounds its term."""
    size = np.abs(coef).max(axis=1)
    order = np.argsort(size, kind="stable")
    kept = np.ones(size.size, bool)
    kept[order[np.cumsum(size[order]) < DROPPED]] = False
    kept[0] = True
    for k in range(size.size - 1, 0, -1):
        if kept[k]:
            kept[parent[k]] = True
    return kept


def _compressed(coef: np.ndarray) -> tuple[Floats, Floats]:
    """Coefficients as a product of few modes: coef = weight @ modes."""
    q, r = np.linalg.qr(coef.T)
    left, size, right = np.linalg.svd(r.T)
    rest = np.cumsum((size**2)[::-1])[::-1]
    rank = max(1, int(np.sum(np.sqrt(rest) > DROPPED)))
    return left[:, :rank] * size[:rank], right[:rank] @ q.T


@cache
def _blas() -> ThreadpoolController:
    """Handle on the threads of BLAS."""
    return ThreadpoolController()
