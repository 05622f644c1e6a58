"""Values drawn from distributions: a design in the unit cube, taken through each distribution's quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.study.schema import Choice, LogUniform, MonteCarlo, Normal, Triangular, Uniform


def draw(study: MonteCarlo) -> list[dict[str, Any]]:
    """One mapping from path to value for each run; the same for the same study on every machine.

    A Sobol sequence is cut to the first n of its points where n is no power of two: its balance then holds
    roughly only, as scipy warns.
    """
    paths = list(study.distributions)
    if not paths:
        return [{} for _ in range(study.n)]
    cube = _cube(study.sampling, study.n, len(paths), study.seed)
    columns = [quantile(study.distributions[path], cube[:, k]) for k, path in enumerate(paths)]
    return [dict(zip(paths, row, strict=True)) for row in zip(*columns, strict=True)]


def _cube(sampling: str, n: int, n_dim: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    from scipy.stats import qmc

    generator = np.random.default_rng(seed)
    if sampling == "random":
        return generator.random((n, n_dim))
    if sampling == "latin_hypercube":
        return np.asarray(qmc.LatinHypercube(n_dim, rng=generator).random(n))
    whole = qmc.Sobol(n_dim, rng=generator).random_base2(max(n - 1, 0).bit_length())
    return np.asarray(whole[:n])


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
