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
_PROBE: Final = 1e-3
"""Part of its range by which each of several is moved to see what that does to the others. [1]"""

_Vector = NDArray[np.float64]


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

    Broyden's method: of one control the secant search, of several with what each does to the others, found by moving
    one after the other.

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
    search = _search(controls)
    q_mvar = np.array([powers.get(spec.injection, 0.0) for spec in search.specs])

    def at(q_mvar: _Vector) -> NDArray[np.complex128]:
        return measure(states, search.named(q_mvar))

    values = at(q_mvar)
    if not search.specs:
        return values, {}, True
    error = search.errors(values, q_mvar)
    slope = np.diag(search.own_slope)
    if len(search.specs) > 1:
        probes = q_mvar + np.diag(_PROBE * search.span_mvar)
        columns = [search.errors(at(probe), probe) - error for probe in probes]
        slope = search.kept(slope, np.array(columns).T / (_PROBE * search.span_mvar))
    for _ in range(_MAX_ITERATIONS):
        after = search.next(q_mvar, error, slope)
        change = after - q_mvar
        if np.abs(change).max() <= SETTLED_MVAR:
            return values, search.named(after), True
        values = at(after)
        before, error = error, search.errors(values, after)
        missed = error - before - slope @ change
        slope = search.kept(slope, slope + np.outer(missed, change) / (change @ change))
        q_mvar = after
    return values, search.named(q_mvar), False


@dataclass(frozen=True)
class _Search:
    """What is sought: reactive powers at which each control's error is zero, or at the limit that it pushes against."""

    specs: tuple[VoltVarSpec | GeneratorSpec, ...]
    first: tuple[int, ...]
    """First sensor of each."""

    @property
    def own_slope(self) -> _Vector:
        """Error of each per reactive power of its own, to begin with; negative: what it generates counts against it."""
        is_generator = [isinstance(spec, GeneratorSpec) for spec in self.specs]
        per_sample = [spec.gain_mvar_per_pu_s * spec.period_s if isinstance(spec, GeneratorSpec) else 1.0
                      for spec in self.specs]  # fmt: skip
        return np.where(is_generator, -1.0 / np.array(per_sample), -1.0)

    @property
    def span_mvar(self) -> _Vector:
        """Range of each. [Mvar]"""
        spans = [spec.max_q_mvar - spec.min_q_mvar if isinstance(spec, GeneratorSpec) else spec.sn_mva
                 for spec in self.specs]  # fmt: skip
        return np.maximum(spans, 1e-3)

    def named(self, q_mvar: _Vector) -> Powers:
        """Reactive powers by injection. [Mvar]"""
        return {spec.injection: float(q) for spec, q in zip(self.specs, q_mvar, strict=True)}

    def errors(self, values: NDArray[np.complex128], q_mvar: _Vector) -> _Vector:
        """Error of each at sensor values and reactive powers. [Mvar or pu]"""
        v_pu = [
            float(np.mean(np.abs(values[k : k + len(spec.voltage)])))
            for k, spec in zip(self.first, self.specs, strict=True)
        ]
        return np.array([error_of(spec, q, v) for spec, q, v in zip(self.specs, q_mvar, v_pu, strict=True)])

    def next(self, q_mvar: _Vector, error: _Vector, slope: NDArray[np.float64]) -> _Vector:
        """Reactive powers to try; a generator at a limit stays there while its error pushes against it."""
        low, high = self._limits()
        free = ~((q_mvar >= high) & (error > 0) | (q_mvar <= low) & (error < 0))
        step = np.zeros(q_mvar.size)
        step[free] = np.linalg.lstsq(slope[np.ix_(free, free)], -error[free], rcond=None)[0]
        return np.clip(q_mvar + step, low, high)

    def kept(self, slope: NDArray[np.float64], learned: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slopes as learned, but that of each control's own error, which stays negative, of an inverter -1 at most."""
        kept = learned.copy()
        for k, spec in enumerate(self.specs):
            if isinstance(spec, VoltVarSpec):
                kept[k, k] = min(kept[k, k], -1.0)
            elif kept[k, k] >= 0:
                kept[k, k] = slope[k, k]
        return kept

    def _limits(self) -> tuple[_Vector, _Vector]:
        limits = [(spec.min_q_mvar, spec.max_q_mvar) if isinstance(spec, GeneratorSpec) else (-np.inf, np.inf)
                  for spec in self.specs]  # fmt: skip
        low, high = np.array(limits).T
        return low, high


def _search(controls: ControlSet) -> _Search:
    found = [
        (spec, places["voltage"][0])
        for spec, places in zip(controls.all, offsets(controls), strict=True)
        if isinstance(spec, (VoltVarSpec, GeneratorSpec))
    ]
    return _Search(tuple(spec for spec, _ in found), tuple(first for _, first in found))
