"""Burstiness of requests: the index of dispersion of counts, and the sources that make one like it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

COARSE_S = 0.05
"""Stamps on multiples of at least this are coarse: below it nothing is known. [s]"""
STRETCH_S = 150.0
"""Faster changes of rate are burstiness, slower ones lambda(t). [s]"""
MERGE_LOSS = 0.02
"""What two sources made one may add to the relative error of the index."""


def stamp_interval_s(t_s: Floats) -> float:
    """The interval whose multiples the stamps are, to 2 % of it, where it is coarse; else 0. [s]"""
    steps = np.diff(np.unique(t_s))
    steps = steps[steps > 1e-4]
    about = float(np.quantile(steps, 0.02)) if steps.size else 0.0
    if about < COARSE_S:
        return 0.0
    interval_s = float(f"{steps.sum() / np.rint(steps / about).sum():.4g}")
    phase = (t_s - t_s[0]) / interval_s
    return interval_s if np.mean(np.abs(phase - np.rint(phase)) < 0.02) > 0.99 else 0.0


def dispersion(t_s: Floats, duration_s: float, scale_s: float) -> float:
    """Index of dispersion of counts in windows of `scale_s` that move by a tenth of it (by 0.1 s at least). [1]"""
    cell_s = max(scale_s / 10, min(0.1, scale_s))
    per = round(scale_s / cell_s)
    cells = np.bincount((t_s / cell_s + 1e-9).astype(int), minlength=math.ceil(duration_s / cell_s))
    upto = np.concatenate(((0,), np.cumsum(cells[: int(duration_s / cell_s)])))
    counts = upto[per:] - upto[:-per]
    return float(counts.var() / counts.mean()) if counts.size and counts.mean() > 0 else math.nan


def local_dispersion(t_s: Floats, duration_s: float, scale_s: float) -> float:
    """The same about the mean of each stretch of `STRETCH_S`: without what lambda(t) makes of it. [1]"""
    edges = np.arange(int(duration_s / STRETCH_S) + 1) * STRETCH_S
    places = np.searchsorted(t_s, edges)
    parts = [t_s[i:j] - edge for edge, (i, j) in zip(edges, itertools.pairwise(places), strict=False)]
    found = [(len(part), dispersion(part, STRETCH_S, scale_s)) for part in parts if len(part) > 1]
    return sum(count * value for count, value in found) / sum(count for count, _ in found)


def variation(t_s: Floats) -> float:
    """Coefficient of variation of the distances of requests. [1]"""
    steps = np.diff(t_s)
    return float(steps.std() / steps.mean())


@dataclass(frozen=True)
class Curves:
    """The index of dispersion of a record, and what sources make of it."""

    scales: Floats
    duration_s: float
    rate: float
    wanted: Floats
    plain: Floats
    """Without sources."""

    def part(self, theta_s: float) -> Floats:
        """What a source of unit variance adds at each scale."""

        def g(t: Any) -> Any:
            return 2.0 * (theta_s * t + theta_s**2 * np.expm1(-t / theta_s))

        grown = g(self.scales) - (self.scales / self.duration_s) ** 2 * g(self.duration_s)
        found: Floats = grown / (self.rate * self.scales)
        return found

    def weights(self, thetas: list[float]) -> Floats:
        """Variances of sources of these correlation times that come nearest, relative to the index."""
        matrix = np.array([self.part(t) for t in thetas]).T
        found: Floats = nnls(matrix / self.wanted[:, None], (self.wanted - self.plain) / self.wanted)[0]
        return found

    def misses(self, thetas: list[float]) -> float:
        """Root of the mean square of what the nearest sources miss, relative to the index."""
        found = self.plain + sum(c * self.part(t) for t, c in zip(thetas, self.weights(thetas), strict=True))
        return float(np.sqrt(np.mean((found / self.wanted - 1.0) ** 2)))

    def merged(self, sources: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Neighbours on the grid made one where that is hardly worse: fewer sources silence more of the time."""
        while len(sources) > 1:
            bound = self.misses([t for t, _ in sources]) + MERGE_LOSS
            tries = []
            for i, ((t1, c1), (t2, c2)) in enumerate(itertools.pairwise(sources)):
                thetas = [t for t, _ in sources]
                thetas[i : i + 2] = [(t1 * c1 + t2 * c2) / (c1 + c2)]
                tries.append((self.misses(thetas), thetas))
            least, thetas = min(tries)
            if least > bound:
                break
            sources = [(t, c) for t, c in zip(thetas, self.weights(thetas), strict=True) if c > 0]
        return sources
