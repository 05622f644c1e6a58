"""Fitting a response surface: sample the power flow over a cell of requests, fit, check, compress.

A surface is a function of the feeder's state and of its cell alone: it is sampled in arrays of its own that start
from the factors of that state, so a run that goes on after an interruption finds the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.network import Floats, Ints
from cosim.feeder.surface_basis import Basis, halton, make_basis, most_terms, with_parents
from cosim.feeder.surface_laws import across2, draw_out, parts_of_law, put_law
from cosim.feeder.surface_sample import (
    Samples,
    check_points,
    fit_points,
    noise_of_totals,
    requests_at,
    start_at,
    units,
)

TOLERANCE = 3e-10
"""Deviation at points that were not fitted, up to which a fit is taken; of voltages [pu], of totals in parts of the
feeder's power [1]."""
DROPPED = 4e-11
"""Root of the squared coefficients that compression may leave out of any column; in the same units."""
STEP_UP = 1.15
"""By so much the number of terms grows from one try to the next. [1]"""
TRIMMED = 0.7
"""Part of the tolerance up to which terms are dropped. [1]"""
PILOTS = 100
"""Columns by which the number of terms is chosen, spread over all; the rest is held to it afterwards."""
MAX_DATACENTERS = 3
PILOT_TERMS = 40, 80
"""Numbers of terms that are tried on the first PILOT_POINTS samples, to see where more of them would lead."""
PILOT_POINTS = 200
HOPELESS = 10.0
"""A cell is given up where those say that the most terms there may be would miss the tolerance by so much. [1]"""
N_LOOKS = 2048
"""Points at which it is asked whether some regime answers."""
MAX_FREE = 64
"""Points without an answer that are solved to find the regimes that are missing."""
MAX_LOOKS = 3
MAX_GUARDED = 16
"""Legs that may change the part of their law inside one cell."""
MAX_REGIMES = 32
MAX_REGIME_ROWS = 65_536
"""Regimes times rows in one cell at most: each is sampled on its own, and is so much memory."""


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


def refit_cell(lab: FeederArrays, basis: Basis, box: Floats, slope: Floats, watch_row: Ints) -> Fit | None:
    """Fit a cell on variables and terms that did for another state of the feeder, on new samples of this one.

    A tap or the loads of the next minutes move the coefficients of a surface and hardly bend it otherwise. So nothing
    is searched, and no more is sampled than these terms need; the points that are not fitted, and what is asked there,
    are those of `fit_cell`.

    Parameters
    ----------
    lab, box, slope, watch_row
        As for `fit_cell`.
    basis : Basis
        Of a fit of one regime over the same box.

    Returns
    -------
    Fit or None
        None where these terms are not enough, or a leg changes the part of its law inside the cell.
    """
    points, checks = fit_points(box, 2 * basis.parent.size + 4), check_points(box)
    n, requests = points.shape[0], requests_at(np.vstack([points, checks]), slope)
    terms, samples = basis.terms(requests), Samples(lab, requests, watch_row)
    if terms is None or not start_at(lab, requests_at(box.mean(axis=1)[None], slope)[0]):
        return None
    if not samples.solve(range(n, len(requests))) or not samples.solve(range(n)):
        return None
    part = parts_of_law(lab, samples.values[:, -lab.v.size :])
    if (part != part[0]).any():
        return None
    unit = units(samples.values, lab)
    values = samples.values / unit
    with _blas().limit(limits=1, user_api="blas"):
        weight, modes = _compressed(_least_squares(terms[:n], values[:n]))
        found = terms[n:] @ weight @ modes
        error = _worst(found, values[n:], np.zeros(unit.size))
        if error > TOLERANCE:
            error = _worst(found, values[n:], noise_of_totals(samples, unit, TOLERANCE))
    if not error <= TOLERANCE:
        return None
    return Fit(basis, weight, np.where(np.any(values != 0, axis=0), modes * unit, 0.0), np.zeros((0, 2)), error)


class _Fitting:
    """What the steps of fitting one cell share."""

    def __init__(self, lab: FeederArrays, box: Floats, slope: Floats, watch_row: Ints) -> None:
        self.lab, self.box, self.slope, self.watch_row = lab, box, slope, watch_row
        n_row = int(lab.sizes[ix.N_ROW])
        self.most_terms = most_terms(slope.size, n_row)
        self.most_regimes = min(MAX_REGIMES, MAX_REGIME_ROWS // n_row)
        points, checks = fit_points(box, 2 * self.most_terms + 4), check_points(box)
        self.n_point, self.n_check = points.shape[0], checks.shape[0]
        self.requests = requests_at(np.vstack([points, checks]), slope)
        self.law = lab.leg_law.copy()
        self.legs = np.zeros(0, np.int64)

    def fitted(self) -> list[Fit]:
        """A fit by regime, on common terms; none where that cannot be had."""
        samples = self._samples(self.requests)
        n_pilot = min(PILOT_POINTS, self.n_point)
        checks = range(self.n_point, self.requests.shape[0])
        if not self._start() or not samples.solve(checks) or not self._is_simple(samples, np.array(checks)):
            return []
        if not samples.solve(range(n_pilot)) or not self._is_promising(samples, np.r_[:n_pilot, checks]):
            return []
        if not samples.solve(range(n_pilot, self.n_point)) or not self._choose_terms(samples, np.r_[: checks.stop]):
            return []
        if not self._is_simple(samples, np.r_[: checks.stop]):
            return []
        self.noise = noise_of_totals(samples, self.unit, TOLERANCE)
        if self.legs.size == 0:
            samples.values /= self.unit
            fit = self._fit(samples.values, self.unit, np.zeros((0, 2)), self._ladder_start())
            return [] if fit is None else self._common([fit])
        return self._fit_regimes(_by_count(self.part[:, self.legs]))

    def _samples(self, requests: Floats) -> Samples:
        return Samples(self.lab, requests, self.watch_row)

    def _start(self) -> bool:
        """Linearize in the middle of the cell; whether it has a solution there."""
        return start_at(self.lab, requests_at(self.box.mean(axis=1)[None], self.slope)[0])

    def _is_simple(self, samples: Samples, which: Ints) -> bool:
        """Note which legs change the part of their law from sample to sample; whether that can be carried."""
        self.part = parts_of_law(self.lab, samples.values[which, -self.lab.v.size :])
        self.legs = np.flatnonzero((self.part != self.part[0]).any(axis=0))
        return self.legs.size <= MAX_GUARDED and len(_by_count(self.part[:, self.legs])) <= self.most_regimes

    def _choose_terms(self, samples: Samples, which: Ints) -> bool:
        """Units, variables and terms by these samples; whether the scalar model has a solution for all of them."""
        requests, values = samples.requests[which], samples.values[which]
        self.unit = units(values, self.lab)
        basis = make_basis(requests, samples.port[which], (values / self.unit)[:, ix.N_TOTALS :], self.lab)
        terms = None if basis is None else basis.terms(requests)
        if basis is None or terms is None:
            return False
        self.basis, self.terms = basis, terms
        return True

    def _is_promising(self, samples: Samples, which: Ints) -> bool:
        """Whether these samples, the checks last, do not speak against a fit; that spares most of a cell's samples."""
        most = self.most_terms
        if not self._is_simple(samples, which):
            return False
        if self.legs.size > 0 or most <= PILOT_TERMS[-1]:
            return True
        if not self._choose_terms(samples, which):
            return False
        columns = np.arange(ix.N_TOTALS, self.unit.size, max(1, self.unit.size // PILOTS))
        voltages, none = samples.values[np.ix_(which, columns)] / self.unit[columns], np.zeros(columns.size)
        few, more = (self._error(voltages, none, np.arange(most) < n) for n in PILOT_TERMS)
        order = math.log(few / more) / math.log(PILOT_TERMS[1] / PILOT_TERMS[0]) if 0 < more < few else 0.0
        return bool(more * (PILOT_TERMS[1] / most) ** order <= HOPELESS * TOLERANCE)

    def _fit_regimes(self, wanted: Ints) -> list[Fit]:
        """A fit for each of the regimes that occur at the points, and for those found missing afterwards."""
        fits: list[Fit] = []
        known = {tuple(regime) for regime in wanted.tolist()}
        for regime in wanted:
            fit = self._fit_regime(regime, fits)
            if fit is None:
                return []
            fits.append(fit)
        for _ in range(MAX_LOOKS):
            missing = [r for r in self._unanswered(fits) if tuple(r.tolist()) not in known]
            known |= {tuple(regime.tolist()) for regime in missing}
            found = [self._fit_regime(regime, fits) for regime in missing[: self.most_regimes - len(fits)]]
            fits += [fit for fit in found if fit is not None]
            if not missing:
                break
        return self._common(fits)

    def _fit_regime(self, regime: Ints, others: list[Fit]) -> Fit | None:
        """A fit with the legs' laws drawn out as this regime has them."""
        self.lab.leg_law[:] = self.law
        guard = draw_out(self.lab, self.legs, regime)
        if not self._start():
            return None
        samples = self._samples(self.requests)
        if not samples.solve(range(self.requests.shape[0])):
            return None
        across = np.sqrt(across2(self.lab, samples.values[:, -self.lab.v.size :])[:, self.legs])
        samples.values /= self.unit
        unit = np.append(self.unit, np.ones(self.legs.size))
        used = [1 + int(np.flatnonzero(fit.weight.any(axis=1))[-1]) for fit in others]
        return self._fit(np.hstack([samples.values, across]), unit, guard, max(used, default=self._ladder_start()))

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
        samples = self._samples(requests[free][:MAX_FREE])
        if not samples.solve(range(samples.requests.shape[0])):
            return np.zeros((0, self.legs.size), np.int64)
        return _by_count(parts_of_law(self.lab, samples.values[:, -self.lab.v.size :])[:, self.legs])

    def _fit(self, values: Floats, unit: Floats, guard: Floats, start: int) -> Fit | None:
        """Polynomials of as few terms as are enough; the last points are not fitted but held against.

        `values` are in units of equal worth, and `unit` is what these are.
        """
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
        return _least_squares(self.terms[:n, kept], values[:n])

    def _common(self, fits: list[Fit]) -> list[Fit]:
        """Fits on the terms that any of them needs."""
        used = np.any([fit.weight.any(axis=1) for fit in fits], axis=0)
        kept = with_parents(used, self.basis.parent)
        basis = self.basis.only(kept)
        return [replace(fit, basis=basis, weight=fit.weight[kept]) for fit in fits]


def _least_squares(terms: Floats, values: Floats) -> Floats:
    """Coefficients [T, c] of terms [n, T] for values [n, c]."""
    q, r = np.linalg.qr(terms)
    coef: Floats = np.linalg.solve(r, q.T @ values)
    return coef


def _by_count(part: Ints) -> Ints:
    """Rows that occur, the most frequent first."""
    rows, count = np.unique(part, axis=0, return_counts=True)
    ordered: Ints = rows[np.argsort(-count, kind="stable")]
    return ordered


def _worst(found: Floats, expected: Floats, noise: Floats) -> float:
    """Largest deviation beyond the noise of what is expected."""
    return float((np.abs(found - expected) - noise).max())


def _compressed(coef: np.ndarray) -> tuple[Floats, Floats]:
    """Coefficients as a product of few modes: coef = weight @ modes, to DROPPED in the column that needs most."""
    q, r = np.linalg.qr(coef.T)
    left, size, right = np.linalg.svd(r.T)
    modes = right @ q.T
    rest = np.cumsum(((size[:, None] * modes) ** 2)[::-1], axis=0)[::-1].max(axis=1)
    rank = max(1, int(np.sum(np.sqrt(rest) > DROPPED)))
    return left[:, :rank] * size[:rank], modes[:rank]


@cache
def _blas() -> ThreadpoolController:
    """Handle on the threads of BLAS."""
    return ThreadpoolController()
