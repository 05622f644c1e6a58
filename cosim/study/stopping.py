"""Confidence intervals of means, quantiles and shares, and whether a study of draws is sure enough to stop.

They take the draws as independent. Those of a Latin hypercube are better than that: the variance of a mean is at
most n / (n - 1) times that of independent draws (Owen 1997), so the intervals are on the safe side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cosim.study.schema import Stop
    from cosim.study.table import Listed

Values = np.ndarray[Any, np.dtype[np.float64]]


def mean_interval(values: Values, confidence: float) -> tuple[float, float]:
    """Bounds of a mean (Student's t); infinite for fewer than two values."""
    from scipy.stats import t

    if values.size < 2:
        return -np.inf, np.inf
    half = float(t.ppf(0.5 + confidence / 2, values.size - 1)) * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() - half), float(values.mean() + half)


def quantile_interval(values: Values, quantile: float, confidence: float) -> tuple[float, float]:
    """Bounds of a quantile between two of the sorted values, whatever the distribution (David, Nagaraja 2003).

    The number of values below the quantile is binomial; a bound that would lie beyond the sample is infinite.
    """
    from scipy.stats import binom

    n, ranked = values.size, np.sort(values)
    tail = (1 - confidence) / 2
    low = int(binom.ppf(tail, n, quantile))  # P(fewer than `low` below) <= tail
    high = int(binom.ppf(1 - tail, n, quantile)) + 1
    return (float(ranked[low - 1]) if low >= 1 else -np.inf), (float(ranked[high - 1]) if high <= n else np.inf)


def share_interval(n_hit: int, n: int, confidence: float) -> tuple[float, float]:
    """Bounds of a share (Wilson's score interval)."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    found = binomtest(n_hit, n).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def interval(values: Values, stop: Stop) -> tuple[float, float]:
    """Bounds of what a study wants to know, from a metric's values or from 0 and 1 for limits held or not."""
    if stop.statistic == "share_within_limits":
        return share_interval(int(values.sum()), values.size, stop.confidence)
    if stop.statistic == "quantile":
        assert stop.quantile is not None
        return quantile_interval(values, stop.quantile, stop.confidence)
    return mean_interval(values, stop.confidence)


def is_enough(config: Any, listed: Iterable[Listed], rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether what a study wants is known closely enough from the runs so far."""
    stop: Stop | None = getattr(config, "stop", None)
    if stop is None:
        return False
    values = stop_values(config, [rows[one.run] for one in listed if one.run in rows])
    if values.size < stop.n_min:
        return False
    low, high = interval(values, stop)
    return 0.5 * (high - low) <= stop.half_width


def stop_values(config: Any, rows: Iterable[Mapping[str, Any]]) -> Values:
    """Values on which a study stops, of the runs that have one.

    Raises
    ------
    InputError
        Runs ended and none has the metric; names the nearest.
    """
    from cosim.errors import InputError
    from cosim.scenario.fields import nearest
    from cosim.study.table import within

    stop: Stop = config.stop
    ended = [row for row in rows if row["status"] != "failed"]
    if stop.statistic == "share_within_limits":
        limits = {name: limit.model_dump() for name, limit in config.limits.items()}
        verdicts = [within(row, limits)["within_limits"] for row in ended]
        return np.array([float(v) for v in verdicts if v is not None])
    assert stop.metric is not None
    found = [row["metrics"][stop.metric] for row in ended if stop.metric in row["metrics"]]
    if ended and not found:
        raise InputError(f"stop.metric {stop.metric}: no run has it; {nearest(stop.metric, ended[0]['metrics'])}")
    return np.array(found, dtype=float)
