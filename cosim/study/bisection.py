"""The largest or smallest size within limits: probes first, to see holes, then bisection between two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """Whether one size is within limits."""

    is_within: bool
    limited_by: str = ""
    """Limit that is passed by most."""
    limited_at: str = ""
    """Where: a node, a line."""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """Outcome of a search."""

    size: float | None
    """None where not even the first size is within limits."""
    at_size: Verdict
    """The verdict on `size`, or on the first size where there is none."""
    beyond: Verdict | None
    """The verdict on the nearest size looked at that is not within limits; None where all are."""
    again_at: float | None
    """First probe beyond that is within limits again: limits are not monotone then. None: no such probe."""
    n_size: int
    """Sizes looked at."""

    @property
    def is_monotone(self) -> bool:
        """Whether every probe beyond the first one outside limits is outside as well."""
        return self.again_at is None


def search(
    judge: Callable[[float], Verdict],
    start: float,
    stop: float,
    tolerance: float,
    n_probe: int,
    whole: bool = False,
) -> Found:
    """The last size within limits on the way from `start` to `stop`.

    All probes are looked at, so that a hole wider than their distance is seen; a narrower one may be missed.

    Parameters
    ----------
    judge : callable
        Says of one size whether it is within limits; called once for each size.
    start, stop : float
        The size most likely within limits, and the other end; `stop` may be below `start`.
    tolerance : float
        Width of the bracket at which bisection ends.
    n_probe : int
        Equally spaced sizes looked at first, both ends among them.
    whole : bool
        Sizes are whole numbers.

    Returns
    -------
    Found
    """
    seen: dict[float, Verdict] = {}

    def verdict(size: float) -> Verdict:
        if size not in seen:
            seen[size] = judge(size)
        return seen[size]

    spaced = [float(x) for x in np.linspace(start, stop, n_probe)]
    probes = list(dict.fromkeys(float(round(x)) for x in spaced)) if whole else spaced
    verdicts = [verdict(size) for size in probes]
    bad = next((k for k, v in enumerate(verdicts) if not v.is_within), None)
    if bad is None:
        return Found(probes[-1], verdicts[-1], None, None, len(seen))
    again = next((probes[k] for k in range(bad + 1, len(probes)) if verdicts[k].is_within), None)
    if bad == 0:
        return Found(None, verdicts[0], verdicts[0], again, len(seen))
    inside, outside = probes[bad - 1], probes[bad]
    while abs(outside - inside) > tolerance:
        middle = 0.5 * (inside + outside)
        if whole:
            middle = float(int(middle))
        if middle in (inside, outside):
            break
        if verdict(middle).is_within:
            inside = middle
        else:
            outside = middle
    return Found(inside, seen[inside], seen[outside], again, len(seen))
