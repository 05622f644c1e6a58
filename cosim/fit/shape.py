"""The waveform of an iteration, corrected until simulated traces, measured the same way, show the trace's.

A mean waveform is flatter than each iteration: onsets are found to a fraction of a sample, durations vary, and every
sample is dealt to one bin. The same happens to a simulated trace, so what it loses is what must be added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cosim.fit import structure as st
from cosim.fit.machine import Machine
from cosim.fit.refine import MIN_DRAWS, SEEDS, simulated

Floats = NDArray[np.float64]

ROUNDS = 4
SHARE = 0.7
"""Part of the difference that one round corrects. [1]"""


def sharpened(machine: Machine, p_mw: Floats) -> Machine:
    """The machine with stages, jitter and spread of dips as the trace has them; that of the best round.

    Parameters
    ----------
    machine : Machine
        Training, from the structure of the trace.
    p_mw : ndarray
        The trace. [MW]
    """
    first, last = st.regular_part(p_mw, machine.dt_s, 3 * machine.period_s)
    wanted = _measured(machine, p_mw[first:last])
    low, high = np.percentile(p_mw[first:last], [0.5, 99.5])
    best, least = machine, np.inf
    for _ in range(ROUNDS + 1):
        found = [_measured(machine, x) for x in simulated(machine, first, last, SEEDS[:MIN_DRAWS])]
        missing = _missing(wanted, found)
        off = float(np.sqrt(np.mean(missing**2)))
        if off < least:
            best, least = machine, off
        step = SHARE * missing
        jitter, dip = (float(np.mean([getattr(one, name) for one in found])) for name in ("jitter", "dip"))
        machine = machine.changed(
            main=tuple(
                replace(s, p_mw=float(np.clip(s.p_mw + d, low, high))) for s, d in zip(machine.main, step, strict=True)
            ),
            jitter=_nearer(machine.jitter, wanted.jitter, jitter, 0.1),
            dip=_nearer(machine.dip, wanted.dip, dip, 0.6),
        )
    return best


@dataclass(frozen=True)
class _Measured:
    """What is read off a signal in the same way, be it measured or simulated."""

    from_fall: Floats
    """Mean waveform where iterations are laid fall on fall. [MW]"""
    to_rise: Floats
    """The same laid rise on rise, backwards from it: dips that last differently long smear the rise of the first."""
    jitter: float
    dip: float


def _measured(machine: Machine, p_mw: Floats) -> _Measured:
    dt_s, n_bin = machine.dt_s, len(machine.main)
    forward = st.cycles(p_mw, dt_s, machine.period_s)
    back = p_mw[::-1]
    backward = st.cycles(back, dt_s, machine.period_s)
    return _Measured(
        st.waveform(p_mw, dt_s, forward, n_bin), st.waveform(back, dt_s, backward, n_bin), forward.jitter,
        st.dip_spread(p_mw, dt_s, forward),
    )  # fmt: skip


def _missing(wanted: _Measured, found: list[_Measured]) -> Floats:
    """Trace less simulation, by bins from the fall on; about the rise as seen from the rise. [MW]"""
    missing: Floats = wanted.from_fall - np.mean([one.from_fall for one in found], axis=0)
    from_rise = wanted.to_rise - np.mean([one.to_rise for one in found], axis=0)
    n_bin = len(missing)
    middle = 0.5 * float(wanted.from_fall.min() + wanted.from_fall.max())
    low = int(np.argmin(wanted.from_fall))
    above = np.flatnonzero(np.roll(wanted.from_fall, -low) > middle)
    rise = low + int(above[0]) if above.size else low
    for bin_ in range(rise - n_bin // 8, rise + n_bin // 8 + 1):
        missing[bin_ % n_bin] = from_rise[(rise - 1 - bin_) % n_bin]
    return missing


def _nearer(value: float, wanted: float, got: float, most: float) -> float:
    """A spread moved by part of what is missing, in squares since spreads add so."""
    square = value**2 + SHARE * (wanted**2 - got**2)
    return float(min(max(square, 0.0) ** 0.5, most))
