"""Fitting a response surface: sample the power flow over a cell of requests, fit, check, compress.

A surface is a function of the feeder's state and of its cell alone: it is sampled in arrays of its own that start
from the factors of that state, so a run that goes on after an interruption finds the same bits.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.network import Complexes, Floats, Ints
from cosim.feeder.surface_basis import MAX_TERMS, Basis, halton, make_basis, with_parents
from cosim.feeder.surface_laws import across2, draw_out, parts_of_law, put_law

TOLERANCE = 3e-10
"""Deviation at points that were not fitted, up to which a fit is taken; of voltages [pu], of totals in parts of the
feeder's power [1]."""
DROPPED = 4e-11
"""Part of the coefficients that compression may leave out, over the whole cell; in the same units."""
STEP_UP = 1.15
"""By so much the number of terms grows from one try to the next. [1]"""
TRIMMED = 0.7
"""Part of the tolerance up to which terms are dropped. [1]"""
PILOTS = 100
"""Columns by which the number of terms is chosen, spread over all; the rest is held to it afterwards."""
MAX_DATACENTERS = 3
N_CHECKS = 40
"""Points beside the corners that are not fitted, by data center."""
N_REPEATED = 24
"""Of those, the ones that are solved twice."""
N_LOOKS = 2048
"""Points at which it is asked whether some regime answers."""
MAX_FREE = 64
"""Points without an answer that are solved to find the regimes that are missing."""
MAX_LOOKS = 3
MAX_GUARDED = 16
"""Legs that may change the part of their law inside one cell."""
MAX_REGIMES = 32


@dataclass(frozen=True)
class Fit:
    """One regime of a fitted cell; fields as in `SurfaceArrays`, without the slot."""

    basis: Basis
    """Shared by all regimes of a cell."""
    weight: Floats
    modes: Floats
    """[R, o + w + 2 N + g]"""
    guard: Floats
    """[g, 2] least and greatest voltage across each guarded leg. [pu]"""
    error: float


def requests_at(points: Floats, slope: Floats) -> Floats:
    """Requests [n, 2 d] at points of a cell, whose second coordinate is what Q has beyond slope P. [MW, Mvar]"""
    requests = points.copy()
    requests[:, 1::2] += slope * points[:, 0::2]
    return requests


def fit_cell(lab: FeederArrays, box: Floats, slope: Floats, watch_row: Ints) -> list[Fit]:
    """Fit surfaces over a cell: one where every leg keeps to one part of its law, else one a regime.

    Where some legs change the part of their law inside the cell (a load that leaves its voltage window), the voltages
    have a kink there. So each combination of parts that occurs is fitted on its own, with those laws drawn out beyond
    their ends, and holds where the voltages across these legs say so.

    BLAS has one thread: its results depend on their number, and these problems are small.

    Parameters
    ----------
    lab : FeederArrays
        Used up; in the state whose surface is wanted, on the factors of that state.
    box : array [2 d, 2], slope : array [d]
        As in `SurfaceArrays`. [MW, Mvar]
    watch_row : array [w]

    Returns
    -------
    list of Fit
        The most frequent regime first; empty where no number of terms is enough or a request in the cell cannot be
        solved.
    """
    with _blas().limit(limits=1, user_api="blas"):
        return _Fitting(lab, box, slope, watch_row).fitted()


class _Fitting:
    """What the steps of fitting one cell share."""

    def __init__(self, lab: FeederArrays, box: Floats, slope: Floats, watch_row: Ints) -> None:
        self.lab, self.box, self.slope, self.watch_row = lab, box, slope, watch_row
        points, checks = _points(box, 2 * MAX_TERMS[slope.size] + 4), _check_points(box)
        self.n_check = checks.shape[0]
        self.requests = requests_at(np.vstack([points, checks]), slope)
        self.law = lab.leg_law.copy()
        self.legs = np.zeros(0, np.int64)

    def fitted(self) -> list[Fit]:
        """A fit by regime, on common terms; none where that cannot be had."""
        values, port, good = _sampled(self.lab, self.requests, self.watch_row)
        if not good:
            return []
        self.unit = _units(values, self.lab)
        self.noise = self._repeated(values)
        n_total = ix.N_TOTALS
        basis = make_basis(self.requests, port, (values / self.unit)[:, n_total:], self.lab)
        terms = None if basis is None else basis.terms(self.requests)
        if basis is None or terms is None:
            return []
        self.basis, self.terms = basis, terms
        part = parts_of_law(self.lab, values[:, -self.lab.v.size :])
        self.legs = np.flatnonzero((part != part[0]).any(axis=0))
        if self.legs.size > MAX_GUARDED:
            return []
        if self.legs.size == 0:
            fit = self._fit(values, self.unit, np.zeros((0, 2)), self._ladder_start())
            return [] if fit is None else self._common([fit])
        return self._fit_regimes(_by_count(part[:, self.legs]))

    def _repeated(self, values: Floats) -> Floats:
        """By how much totals differ when solves are repeated on the way back, up to the tolerance, in units of the fit.

        No polynomial can be closer to them. It shows on feeders with short lines. Voltages get no such allowance.
        """
        noise = np.zeros(self.unit.size)
        last = slice(-1, -1 - N_REPEATED, -1)
        again, _, good = _sampled(self.lab, self.requests[last], self.watch_row)
        if good:
            off = np.abs(again - values[last])[:, : ix.N_TOTALS] / self.unit[: ix.N_TOTALS]
            noise[: ix.N_TOTALS] = np.minimum(off.max(axis=0), TOLERANCE)
        return noise

    def _fit_regimes(self, wanted: Ints) -> list[Fit]:
        """A fit for each of the regimes that occur at the points, and for those found missing afterwards."""
        fits: list[Fit] = []
        known = {tuple(regime) for regime in wanted.tolist()}
        for regime in wanted[:MAX_REGIMES]:
            fit = self._fit_regime(regime, fits)
            if fit is None:
                return []
            fits.append(fit)
        for _ in range(MAX_LOOKS):
            missing = [r for r in self._unanswered(fits) if tuple(r.tolist()) not in known]
            known |= {tuple(regime.tolist()) for regime in missing}
            found = [self._fit_regime(regime, fits) for regime in missing[: MAX_REGIMES - len(fits)]]
            fits += [fit for fit in found if fit is not None]
            if not missing:
                break
        return self._common(fits)

    def _fit_regime(self, regime: Ints, others: list[Fit]) -> Fit | None:
        """A fit with the legs' laws drawn out as this regime has them."""
        self.lab.leg_law[:] = self.law
        guard = draw_out(self.lab, self.legs, regime)
        values, _, good = _sampled(self.lab, self.requests, self.watch_row)
        if not good:
            return None
        across = np.sqrt(across2(self.lab, values[:, -self.lab.v.size :])[:, self.legs])
        unit = np.append(self.unit, np.ones(self.legs.size))
        used = [1 + int(np.flatnonzero(fit.weight.any(axis=1))[-1]) for fit in others]
        return self._fit(np.hstack([values, across]), unit, guard, max(used, default=self._ladder_start()))

    def _ladder_start(self) -> int:
        """Least number of terms that is tried."""
        return 2 * self.slope.size + 2

    def _unanswered(self, fits: list[Fit]) -> Ints:
        """Regimes, the most frequent first, at points of the cell where none of the fits answers."""
        points = self.box[:, 0] + halton(N_LOOKS, self.box.shape[0]) * np.ptp(self.box, axis=1)
        requests = requests_at(points, self.slope)
        terms = self.basis.terms(requests)
        if terms is None:
            return np.zeros((0, self.legs.size), np.int64)
        free = np.ones(N_LOOKS, bool)
        for fit in fits:
            across = terms @ (fit.weight @ fit.modes[:, -self.legs.size :])
            free &= ~((across >= fit.guard[:, 0]) & (across <= fit.guard[:, 1])).all(axis=1)
        put_law(self.lab, self.law)
        values, _, good = _sampled(self.lab, requests[free][:MAX_FREE], self.watch_row)
        if not good:
            return np.zeros((0, self.legs.size), np.int64)
        return _by_count(parts_of_law(self.lab, values[:, -self.lab.v.size :])[:, self.legs])

    def _fit(self, values: Floats, unit: Floats, guard: Floats, start: int) -> Fit | None:
        """Polynomials of as few terms as are enough; the last points are not fitted but held against."""
        values = values / unit
        step = max(1, values.shape[1] // PILOTS)
        pilot, noise = np.ascontiguousarray(values[:, ::step]), np.append(self.noise, np.zeros(guard.shape[0]))
        n_term, everything = start, self.terms.shape[1]
        while True:
            n_term = min(n_term, everything)
            first = np.arange(everything) < n_term
            if self._error(pilot, noise[::step], first) <= (0.5 if n_term < everything else 1.0) * TOLERANCE:
                fit = self._trimmed(values, step, noise, first)
                if fit is not None:
                    weight, modes, error = fit
                    modes = np.where(np.any(values != 0, axis=0), modes * unit, 0.0)
                    return Fit(self.basis, weight, modes, guard, error)
            if n_term == everything:
                return None
            n_term = int(np.ceil(STEP_UP * n_term))

    def _trimmed(
        self, values: Floats, step: int, noise: Floats, first: np.ndarray
    ) -> tuple[Floats, Floats, float] | None:
        """The same without the terms that count least, as many as can be spared: weights, modes and error."""
        pilot = np.ascontiguousarray(values[:, ::step])
        size = np.abs(self._coefficients(pilot, first)).max(axis=1)
        order = np.flatnonzero(first)[np.argsort(size, kind="stable")]
        least, most = 0, order.size
        while most - least > 1:
            middle = (least + most) // 2
            kept = self._without(first, order[:middle])
            enough = self._error(pilot, noise[::step], kept) <= TRIMMED * TOLERANCE
            least, most = (middle, most) if enough else (least, middle)
        while True:
            kept = self._without(first, order[:least])
            weight, modes = _compressed(self._coefficients(values, kept))
            error = _worst(self.terms[-self.n_check :, kept] @ weight @ modes, values[-self.n_check :], noise)
            if error <= TOLERANCE:
                spread = np.zeros((first.size, weight.shape[1]))
                spread[kept] = weight
                return spread, modes, error
            if least == 0:
                return None
            least //= 2

    def _without(self, first: np.ndarray, dropped: Ints) -> np.ndarray:
        """Terms left when some are dropped; what others are made of stays."""
        kept = first.copy()
        kept[dropped] = False
        return with_parents(kept, self.basis.parent)

    def _error(self, values: Floats, noise: Floats, kept: np.ndarray) -> float:
        """Largest deviation at the points that are not fitted."""
        found = self.terms[-self.n_check :, kept] @ self._coefficients(values, kept)
        return _worst(found, values[-self.n_check :], noise)

    def _coefficients(self, values: Floats, kept: np.ndarray) -> Floats:
        """Least squares for the terms that are kept."""
        n = self.terms.shape[0] - self.n_check
        q, r = np.linalg.qr(self.terms[:n, kept])
        coef: Floats = np.linalg.solve(r, q.T @ values[:n])
        return coef

    def _common(self, fits: list[Fit]) -> list[Fit]:
        """Fits on the terms that any of them needs."""
        used = np.any([fit.weight.any(axis=1) for fit in fits], axis=0)
        kept = with_parents(used, self.basis.parent)
        basis = self.basis.only(kept)
        return [replace(fit, basis=basis, weight=fit.weight[kept]) for fit in fits]


def _by_count(part: Ints) -> Ints:
    """Rows that occur, the most frequent first."""
    rows, count = np.unique(part, axis=0, return_counts=True)
    ordered: Ints = rows[np.argsort(-count, kind="stable")]
    return ordered


def _points(box: Floats, n: int) -> Floats:
    """Halton points crowded towards the faces of the box, as polynomial fits want them."""
    u = halton(n, box.shape[0])
    spread: Floats = box.mean(axis=1) - 0.5 * np.ptp(box, axis=1) * np.cos(np.pi * u)
    return spread


def _check_points(box: Floats) -> Floats:
    """Corners of the box and points all over it, none of them fitted."""
    n = box.shape[0]
    corners = np.array(list(itertools.product((0, 1), repeat=n)))
    u = np.vstack([corners, np.random.default_rng(1).random((N_CHECKS * n // 2, n))])
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


def _worst(found: Floats, expected: Floats, noise: Floats) -> float:
    """Largest deviation beyond the noise of what is expected."""
    return float((np.abs(found - expected) - noise).max())


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
