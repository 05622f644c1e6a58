"""The waveform of an iteration, corrected until simulated traces, measured the same way, show the trace's.

A mean waveform is flatter than each iteration: onsets are found to a fraction of a sample, durations vary, and every
sample is dealt to one bin. The same happens to a simulated trace, so what it loses is what must be added.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cosim.fit import structure as st
from cosim.fit.machine import Machine
from cosim.fit.refine import SEEDS, simulated

Floats = NDArray[np.float64]

ROUNDS = 4
SHARE = 0.7
"""Part of the difference that one round corrects. [1]"""


def sharpened(machine: Machine, p_mw: Floats) -> Machine:
    """The machine with stages, jitter and spread of dips as the trace has them between start and stop.

    Parameters
    ----------
    machine : Machine
        Training, from the structure of the trace.
    p_mw : ndarray
        The trace. [MW]
    """
    first, last = st.regular_part(p_mw, machine.dt_s, 3 * machine.period_s)
    wanted = _measured(machine, p_mw[first:last])
    for _ in range(ROUNDS):
        found = [_measured(machine, x) for x in simulated(machine, first, last, SEEDS)]
        got = np.mean([shape for shape, _, _ in found], axis=0)
        jitter, dip = (float(np.mean([one[k] for one in found])) for k in (1, 2))
        step = SHARE * (wanted[0] - got)
        machine = machine.changed(
            main=tuple(replace(s, p_mw=max(s.p_mw + float(d), 0.0)) for s, d in zip(machine.main, step, strict=True)),
            jitter=_nearer(machine.jitter, wanted[1], jitter, 0.1),
            dip=_nearer(machine.dip, wanted[2], dip, 0.6),
        )
    return machine


def _measured(machine: Machine, p_mw: Floats) -> tuple[Floats, float, float]:
    """Mean waveform [MW], jitter and spread of dips of a signal. [1]"""
    cycles = st.cycles(p_mw, machine.dt_s, machine.period_s)
    shape = st.waveform(p_mw, machine.dt_s, cycles, len(machine.main))
    return shape, cycles.jitter, st.dip_spread(p_mw, machine.dt_s, cycles)


def _nearer(value: float, wanted: float, got: float, most: float) -> float:
    """A spread moved by part of what is missing, in squares since spreads add so."""
    square = value**2 + SHARE * (wanted**2 - got**2)
    return float(min(max(square, 0.0) ** 0.5, most))
