"""Distribution of a signed quantity of unknown range in fixed memory."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats

BINS_PER_DECADE = 2000
"""Relative width of a bin: 10^(1/2000) - 1 = 0.115 %."""
DECADE_MIN, DECADE_MAX = -9, 6
"""Magnitudes below 1e-9 count as zero, those above 1e6 fall into the last bin."""
N_BIN = (DECADE_MAX - DECADE_MIN) * BINS_PER_DECADE


class Histogram:
    """Counts of values in logarithmic bins on both sides of zero, filled block by block.

    Quantiles come out within half a bin, 0.06 % of their value, whatever the range and length of the
    record; memory is 0.5 MB. The largest and smallest value are kept exactly.
    """

    def __init__(self) -> None:
        self._rise = np.zeros(N_BIN, dtype=np.int64)
        self._fall = np.zeros(N_BIN, dtype=np.int64)
        self.n_zero = 0
        self.max = -np.inf
        self.min = np.inf

    @property
    def n(self) -> int:
        """Number of values counted."""
        return self.n_zero + int(self._rise.sum()) + int(self._fall.sum())

    def update(self, values: AnyFloats) -> None:
        """Count a block of finite values."""
        if values.size == 0:
            return
        self.max = max(self.max, float(values.max()))
        self.min = min(self.min, float(values.min()))
        smallest = 10.0**DECADE_MIN
        counted = 0
        for side, towards in ((self._rise, values >= smallest), (self._fall, values <= -smallest)):
            magnitude = np.abs(values[towards], dtype=np.float64)
            counted += magnitude.size
            np.log10(magnitude, out=magnitude)
            magnitude -= DECADE_MIN
            magnitude *= BINS_PER_DECADE
            index = magnitude.astype(np.int64)
            np.clip(index, 0, N_BIN - 1, out=index)
            side += np.bincount(index, minlength=N_BIN)
        self.n_zero += values.size - counted

    def flatten(self, floor: float) -> None:
        """Count all magnitudes below `floor` as zero: rounding of the log, not movement."""
        if floor < 10.0**DECADE_MIN:
            return
        last = int(np.ceil((np.log10(floor) - DECADE_MIN) * BINS_PER_DECADE))
        for side in (self._rise, self._fall):
            self.n_zero += int(side[:last].sum())
            side[:last] = 0

    def share_rising(self) -> float:
        """Share of values above zero, 0 to 1."""
        return float(self._rise.sum()) / max(self.n, 1)

    def share_falling(self) -> float:
        """Share of values below zero, 0 to 1."""
        return float(self._fall.sum()) / max(self.n, 1)

    def quantile_rising(self, fraction: float) -> float:
        """Value that the given fraction of the positive values does not exceed; 0 if there is none."""
        return min(_quantile(self._rise, fraction), max(self.max, 0.0))

    def quantile_falling(self, fraction: float) -> float:
        """Magnitude that the given fraction of the negative values does not exceed; 0 if there is none."""
        return min(_quantile(self._fall, fraction), max(-self.min, 0.0))

    def cumulative(self, edges: Floats) -> Floats:
        """Share of values at or below each edge, 0 to 1, linear inside a bin.

        Parameters
        ----------
        edges : ndarray, shape (m,)
            Ascending values, in the unit of the quantity.

        Returns
        -------
        ndarray, shape (m,)
            Cumulative distribution at the edges.
        """
        knots, counts = self._cells()
        total = np.concatenate(([0.0], np.cumsum(counts))) / max(self.n, 1)
        cdf: Floats = np.interp(edges, knots, total)
        cdf[edges >= self.max] = 1.0
        cdf[edges < self.min] = 0.0
        return cdf

    def density(self, edges: Floats) -> Floats:
        """Probability density between neighbouring edges; its sum times the widths is the share inside.

        Returns
        -------
        ndarray, shape (m - 1,)
            Density, in 1 / unit of the quantity.
        """
        density: Floats = np.diff(self.cumulative(edges)) / np.diff(edges)
        return density

    def _cells(self) -> tuple[Floats, Floats]:
        """Bin edges over the whole axis, ascending, and the counts between them."""
        magnitude = 10.0 ** (DECADE_MIN + np.arange(N_BIN + 1) / BINS_PER_DECADE)
        knots = np.concatenate((-magnitude[::-1], magnitude))
        counts = np.concatenate((self._fall[::-1], [self.n_zero], self._rise)).astype(np.float64)
        return knots, counts


def _quantile(counts: npt.NDArray[np.int64], fraction: float) -> float:
    """Middle of the bin where the cumulative count reaches the fraction; 0 where nothing was counted."""
    total = int(counts.sum())
    if total == 0:
        return 0.0
    rank = min(max(1, math.ceil(fraction * total)), total)
    index = int(np.searchsorted(np.cumsum(counts), rank, side="left"))
    return float(10.0 ** (DECADE_MIN + (index + 0.5) / BINS_PER_DECADE))
