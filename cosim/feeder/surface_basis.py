"""Variables and terms of a response surface: currents of a scalar model of the network, and monomials of them.

docs/feeder.md has the equations.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel_surface_block import tile_terms
from cosim.feeder.network import Complexes, Floats, Ints

DECAYS = 4.0, 200.0
"""By so much terms shrink with each degree in the variable that voltages follow most, at least and at most. [1]"""
WEAKEST = 1e-6
"""A variable counts as much as this part of the strongest at least. [1]"""
MAX_TERMS = {1: 45, 2: 180, 3: 340}
"""Most terms, by number of data centers, where a full solve takes little."""
MAX_TERMS_LARGE = {1: 45, 2: 180, 3: 600}
"""Most terms on feeders of LARGE rows or more, where terms cost little beside nodes and full solves cost much."""
LARGE = 2048


@dataclass(frozen=True)
class Basis:
    """Variables and terms of one cell; fields as in `SurfaceArrays`, without the cell."""

    emf: Floats
    z: Floats
    shear: Floats
    middle: Floats
    scale: Floats
    parent: Ints
    factor: Ints

    @classmethod
    def of(cls, stored: Mapping[str, np.ndarray], prefix: str) -> Basis | None:
        """What `state` gave under that prefix; None where nothing is stored there."""
        names = [prefix + field.name for field in fields(cls)]
        return cls(*(stored[name].copy() for name in names)) if names[0] in stored else None

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {prefix + field.name: getattr(self, field.name).copy() for field in fields(self)}

    def terms(self, requests: Floats) -> Floats | None:
        """Terms of requests [n, 2 d] as array [n, T]; None where the scalar model has no solution for some."""
        return _filled(self, requests)[1]

    def only(self, kept: np.ndarray) -> Basis:
        """The same with only those terms that are kept; what they are made of must be among them."""
        renumbered = np.cumsum(kept) - 1
        at = np.flatnonzero(kept)
        return replace(self, parent=renumbered[self.parent[at]], factor=self.factor[at].copy())


def most_terms(d: int, n_row: int) -> int:
    """Most terms for d data centers on a feeder of so many rows."""
    return (MAX_TERMS_LARGE if n_row >= LARGE else MAX_TERMS)[d]


def make_basis(requests: Floats, port: Complexes, values: Floats, lab: FeederArrays) -> Basis | None:
    """Variables that vary little where the requests do, and terms in the order in which they should count.

    Parameters
    ----------
    requests : array [n, 2 d]
        P and Q of each data center in turn, all over the cell. [MW, Mvar]
    port : array [n, m]
        Complex voltages of the data centers' phases at them. [pu]
    values : array [n, c]
        What is to be fitted, in units of equal worth.
    lab : FeederArrays

    Returns
    -------
    Basis or None
        None where the scalar model has no solution for some request.
    """
    d = requests.shape[1] // 2
    emf, z = scalar_model(requests, port, lab)
    one, none = np.ones(2 * d), np.zeros(1, np.int64)
    plain = Basis(emf, z, np.zeros((d, d)), np.zeros(2 * d), one, none, none)
    x = _filled(plain, requests)[0]
    if x is None:
        return None
    shear = _shear(x)
    x[:, 1::2] -= x[:, 0::2] @ shear.T
    middle, half = 0.5 * (x.max(axis=0) + x.min(axis=0)), 0.5 * np.ptp(x, axis=0)
    scale = 1.0 / np.where(half > 0, half, 1.0)
    parent, factor = ordered_terms(_weights((x - middle) * scale, values), most_terms(d, int(lab.sizes[ix.N_ROW])))
    return Basis(emf, z, shear, middle, scale, parent, factor)


def _filled(basis: Basis, requests: Floats) -> tuple[Floats | None, Floats | None]:
    """Variables [n, 2 d] and terms [n, T] of requests."""
    n = requests.shape[0]
    x, terms = np.zeros((requests.shape[1], n)), np.zeros((basis.parent.size, n))
    p, q = np.ascontiguousarray(requests[:, 0::2].T), np.ascontiguousarray(requests[:, 1::2].T)
    b = basis
    if not tile_terms(p, q, 0, n, b.emf, b.z, b.shear, b.middle, b.scale, b.parent, b.factor, x, terms):
        return None, None
    return np.ascontiguousarray(x.T), np.ascontiguousarray(terms.T)


def _shear(x: Floats) -> Floats:
    """How the second variable of each data center follows the first ones, by least squares: array [d, d].

    Reactive power mostly follows active power. What is left of it moves little, and takes few terms.
    """
    columns = np.column_stack([np.ones(len(x)), x[:, 0::2]])
    found = np.linalg.lstsq(columns, x[:, 1::2], rcond=None)[0]
    return np.ascontiguousarray(found[1:].T)


def _weights(y: Floats, values: Floats) -> Floats:
    """What a degree in each variable (all within 1) counts in the order of terms, by how far the values follow it."""
    v = y.shape[1]
    pairs = [y[:, a] * y[:, b] for a in range(v) for b in range(a, v)]
    found = np.linalg.lstsq(np.column_stack([np.ones(len(y)), y, *pairs]), values, rcond=None)[0]
    size = np.maximum(np.abs(found[1 : v + 1]).max(axis=1), 1e-300)
    decay = float(np.clip(size.max() / max(float(np.abs(found[v + 1 :]).max()), 1e-300), *DECAYS))
    weights: Floats = math.log(decay) - np.log(np.maximum(size / size.max(), WEAKEST))
    return weights


def ordered_terms(weight: Floats, n_term: int) -> tuple[Ints, Ints]:
    """The n_term monomials of least weighted degree, each as an earlier one times one variable.

    Parameters
    ----------
    weight : array [v]
        Weight of a degree in each variable, positive.

    Returns
    -------
    tuple of array [n_term]
        Place of the earlier one, and the variable; both 0 for the first term, which is 1.
    """
    waiting: list[tuple[float, tuple[int, ...], int]] = [(0.0, (), 0)]
    parent: list[int] = []
    factor: list[int] = []
    while len(parent) < n_term:
        score, term, before = heapq.heappop(waiting)
        own = len(parent)
        parent.append(before)
        factor.append(term[-1] if term else 0)
        for j in range(term[-1] if term else 0, weight.size):
            heapq.heappush(waiting, (score + float(weight[j]), (*term, j), own))
    return np.array(parent, np.int64), np.array(factor, np.int64)


def with_parents(kept: np.ndarray, parent: Ints) -> np.ndarray:
    """Terms that are kept, the first one, and all that they are made of."""
    kept = kept.copy()
    for k in range(kept.size - 1, 0, -1):
        if kept[k]:
            kept[parent[k]] = True
    kept[0] = True
    return kept


def scalar_model(requests: Floats, port: Complexes, lab: FeederArrays) -> tuple[Floats, Floats]:
    """Emf, load and impedances that fit the voltages of the data centers over their currents best.

    Of several phases the lowest, which bends most. A load beside each data center stands for those of the feeder, which
    draw more as the voltage falls.
    """
    from scipy.optimize import least_squares

    d = requests.shape[1] // 2
    turn = np.conj(port.mean(axis=0))
    size, ptr = np.maximum(np.abs(turn), 1e-30), lab.site_ptr
    lowest = [ptr[k] + int(np.argmin((size / lab.port_base[: size.size])[ptr[k] : ptr[k + 1]])) for k in range(d)]
    u = (port * (turn / size))[:, lowest]
    s = requests[:, 0::2] + 1j * requests[:, 1::2]

    def linear(load: Floats) -> tuple[Complexes, Complexes]:
        current = np.conj((s + load[:d] + 1j * load[d:]) / u)
        columns = np.column_stack([np.ones(len(u)), -current])
        found = np.linalg.lstsq(columns, u, rcond=None)[0]
        return found, columns @ found - u

    def misfit(load: Floats) -> Floats:
        rest = linear(load)[1].ravel()
        return np.concatenate([rest.real, rest.imag])

    own_mw = max(float(lab.params[ix.SCALE_MW]), 1e-6)
    starts = [np.repeat([share, 0.4 * share], d) * own_mw for share in (0.01, 0.1)]
    tried = [least_squares(misfit, start, x_scale=own_mw, max_nfev=60, bounds=(0.0, own_mw)) for start in starts]
    load = min(tried, key=lambda t: float(t.cost)).x
    found = linear(load)[0]
    emf = np.column_stack([found[0].real, found[0].imag, load[:d], load[d:]])
    z = np.stack([found[1:].T.real, found[1:].T.imag], axis=-1).reshape(d, 2 * d)
    return np.ascontiguousarray(emf), np.ascontiguousarray(z)


@cache
def halton(n: int, d: int) -> Floats:
    """Halton's sequence, radical inverses of 1 to n; scipy has it, too, but half a second away (scipy.stats)."""
    points = np.zeros((n, d))
    for column, base in zip(points.T, (2, 3, 5, 7, 11, 13), strict=False):
        rest, digit = np.arange(1, n + 1), 1.0
        while rest.any():
            digit /= base
            column += digit * (rest % base)
            rest //= base
    return points
