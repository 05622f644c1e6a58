"""Inverters and generators in a static solution: reactive powers at which none of them would move any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.controls.specs import ControlSet, GeneratorSpec, VoltVarSpec, offsets

States = dict[str, int]
"""Device to its tap (counted from neutral), or to its number of steps on."""

Powers = dict[str, float]
"""Injection to the reactive power that it generates. [Mvar]"""

Measure = Callable[[States, Powers], NDArray[np.complex128]]
"""Solves the power flow with devices in these states and these injections generating so much, and returns the values of
`ControlSet.sensors`; raises where there is no solution. Injections that no control sets are not named."""

SETTLED_MVAR: Final = 1e-7
"""Change at which a reactive power counts as settled. [Mvar]"""
_MAX_ITERATIONS: Final = 100


@dataclass
class _Search:
    """Secant search of one control: its last try, and how its error changes with its power."""

    spec: VoltVarSpec | GeneratorSpec
    first: int
    slope: float
    """Always negative: what a control generates counts against its error."""
    last: tuple[float, float] | None = None

    def next(self, q_mvar: float, v_pu: float) -> float:
        """Reactive power to try after q_mvar, which gave v_pu. [Mvar]"""
        error = error_of(self.spec, q_mvar, v_pu)
        if self.last is not None and q_mvar != self.last[0]:
            slope = (error - self.last[1]) / (q_mvar - self.last[0])
            self.slope = min(slope, -1.0) if isinstance(self.spec, VoltVarSpec) else slope if slope < 0 else self.slope
        self.last = (q_mvar, error)
        tried = q_mvar - error / self.slope
        if isinstance(self.spec, GeneratorSpec):
            return min(max(tried, self.spec.min_q_mvar), self.spec.max_q_mvar)
        return tried


def error_of(spec: VoltVarSpec | GeneratorSpec, q_mvar: float, v_pu: float) -> float:
    """What drives a control: short of its curve [Mvar], or of its voltage [pu]."""
    return spec.v_set_pu - v_pu if isinstance(spec, GeneratorSpec) else target_q_mvar(spec, v_pu) - q_mvar


def target_q_mvar(spec: VoltVarSpec, v_pu: float) -> float:
    """Reactive power that the curve asks to generate. [Mvar]"""
    target = float(np.interp(v_pu, [v for v, _ in spec.curve], [q for _, q in spec.curve])) * spec.sn_mva
    if spec.max_q_mvar is None:
        return target
    return min(max(target, -spec.max_q_mvar), spec.max_q_mvar)


def measure_steady(
    controls: ControlSet, measure: Measure, states: States, powers: Powers
) -> tuple[NDArray[np.complex128], Powers, bool]:
    """Sensor values once all inverters and generators have come to rest; devices stay.

    Parameters
    ----------
    controls : ControlSet
    measure : callable
    states : mapping of str to int
    powers : mapping of str to float
        Where they start. [Mvar]

    Returns
    -------
    values, powers, is_settled
    """
    searches = _searches(controls)
    now = {search.spec.injection: powers.get(search.spec.injection, 0.0) for search in searches}
    values = measure(states, dict(now))
    for _ in range(_MAX_ITERATIONS if searches else 0):
        change = 0.0
        for search in searches:
            name = search.spec.injection
            v_pu = float(np.mean(np.abs(values[search.first : search.first + len(search.spec.voltage)])))
            after = search.next(now[name], v_pu)
            change, now[name] = max(change, abs(after - now[name])), after
        if change <= SETTLED_MVAR:
            return values, now, True
        values = measure(states, dict(now))
    return values, now, not searches


def _searches(controls: ControlSet) -> list[_Search]:
    searches = []
    for spec, places in zip(controls.all, offsets(controls), strict=True):
        if isinstance(spec, (VoltVarSpec, GeneratorSpec)):
            slope = -1.0 if isinstance(spec, VoltVarSpec) else -1.0 / (spec.gain_mvar_per_pu_s * spec.period_s)
            searches.append(_Search(spec, places["voltage"][0], slope))
    return searches
