"""Values drawn from distributions: a design in the unit cube, taken through each distribution's quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.study.distributions import Choice, LogUniform, Normal, Triangular, Uniform

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def draw(study: Any) -> list[dict[str, Any]]:
    """One mapping from path to value for each run; the same for the same study on every machine.

    A Sobol sequence is cut to the first n of its points where n is no power of two: its balance then holds
    roughly only, as scipy warns. Where the study may stop early each batch is a draw of its own, so that those that
    ran are a whole design.

    Parameters
    ----------
    study : MonteCarlo or Coincidence
    """
    paths = list(study.distributions)
    if not paths:
        return [{} for _ in range(study.n)]
    stop = getattr(study, "stop", None)
    if stop is None:
        cube = _cube(study.sampling, study.n, len(paths), np.random.default_rng(study.seed))
    else:
        sizes = [min(stop.batch, study.n - start) for start in range(0, study.n, stop.batch)]
        seeds = np.random.SeedSequence(study.seed).spawn(len(sizes))
        parts = zip(sizes, seeds, strict=True)
        cube = np.vstack([_cube(study.sampling, k, len(paths), np.random.default_rng(seed)) for k, seed in parts])
    return taken_through(study.distributions, cube)


def taken_through(distributions: Mapping[str, Any], cube: Matrix) -> list[dict[str, Any]]:
    """Points of the unit cube as values of the distributions, one column each, in their order."""
    columns = [quantile(law, cube[:, k]) for k, law in enumerate(distributions.values())]
    return [dict(zip(distributions, row, strict=True)) for row in zip(*columns, strict=True)]


def _cube(sampling: str, n: int, n_dim: int, generator: np.random.Generator) -> Matrix:
    from scipy.stats import qmc

    if sampling == "random":
        return generator.random((n, n_dim))
    if sampling == "latin_hypercube":
        return np.asarray(qmc.LatinHypercube(n_dim, rng=generator).random(n))
    whole = qmc.Sobol(n_dim, rng=generator).random_base2(max(n - 1, 0).bit_length())
    return np.asarray(whole[:n])


def saltelli(n: int, n_dim: int, seed: int) -> Matrix:
    """Points for Sobol indices: n of A, n of B, then n of A with each column in turn from B (Saltelli 2010).

    Parameters
    ----------
    n : int
        Base points, a power of two.
    n_dim : int
        Inputs.
    seed : int

    Returns
    -------
    ndarray, (n x (n_dim + 2), n_dim)
    """
    from scipy.stats import qmc

    both = qmc.Sobol(2 * n_dim, rng=np.random.default_rng(seed)).random_base2(n.bit_length() - 1)
    first, second = both[:, :n_dim], both[:, n_dim:]
    mixed = [np.where(np.arange(n_dim) == k, second, first) for k in range(n_dim)]
    return np.vstack([first, second, *mixed])


def quantile(distribution: Any, u: np.ndarray[Any, np.dtype[np.float64]]) -> list[Any]:
    """Values of a distribution at probabilities u, as plain Python numbers."""
    if isinstance(distribution, Choice):
        return _chosen(distribution, u)
    values = _LAWS[type(distribution)](distribution, u)
    return [int(v) for v in np.rint(values)] if distribution.whole else [float(v) for v in values]


def _chosen(choice: Choice, u: np.ndarray[Any, np.dtype[np.float64]]) -> list[Any]:
    weights = np.ones(len(choice.values)) if choice.weights is None else np.array(choice.weights)
    upto = np.cumsum(weights) / weights.sum()
    last = int(np.flatnonzero(weights)[-1])
    return [choice.values[min(int(k), last)] for k in np.searchsorted(upto, u, side="right")]


def _uniform(law: Uniform, u: Any) -> Any:
    return law.min + u * (law.max - law.min)


def _log_uniform(law: LogUniform, u: Any) -> Any:
    return np.clip(law.min * (law.max / law.min) ** u, law.min, law.max)


def _normal(law: Normal, u: Any) -> Any:
    from scipy.special import ndtr, ndtri

    low = 0.0 if law.min is None else ndtr((law.min - law.mean) / law.std)
    high = 1.0 if law.max is None else ndtr((law.max - law.mean) / law.std)
    tiny = np.finfo(float).tiny
    values = law.mean + law.std * ndtri(np.clip(low + u * (high - low), tiny, 1 - 2**-53))
    return np.clip(values, law.min, law.max) if law.min is not None or law.max is not None else values


def _triangular(law: Triangular, u: Any) -> Any:
    width = law.max - law.min
    knee = (law.mode - law.min) / width
    left = law.min + np.sqrt(u * width * (law.mode - law.min))
    return np.where(u < knee, left, law.max - np.sqrt((1 - u) * width * (law.max - law.mode)))


_LAWS: Mapping[type, Any] = {Uniform: _uniform, LogUniform: _log_uniform, Normal: _normal, Triangular: _triangular}
