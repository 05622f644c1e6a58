"""How far power goes beyond a commanded step: the response of lag, Eq. 9 and supply lag."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from cosim.load.kernel_lag import transition


def response_range(edge: Any) -> tuple[float, float]:
    """Lowest and highest power of a unit step from 1 to 0 behind lag, Eq. 9 and supply lag."""
    return _response_range(*(float(edge[name]) for name in ("omega", "zeta", "k0", "k1", "l0", "l1", "tau_s")))


@functools.lru_cache(maxsize=256)
def _response_range(
    omega: float, zeta: float, k0: float, k1: float, l0: float, l1: float, tau_s: float
) -> tuple[float, float]:
    """The same of plain numbers, kept: a fit builds the same dynamics hundreds of times."""
    horizon_s = 12.0 / (zeta * omega) + 12.0 * tau_s
    lowest, highest = 0.0, 1.0
    gap = 1.0 - l0
    for t_s in np.linspace(0.0, horizon_s, 4001).tolist():
        f00, _, f10, _ = transition(omega, zeta, t_s)
        if tau_s > 0:
            p = l0 * f00 + l1 * f10 + gap * math.exp(-t_s / tau_s)
        else:
            p = k0 * f00 + k1 * f10
        lowest, highest = min(lowest, p), max(highest, p)
    return lowest, highest
