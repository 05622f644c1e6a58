"""Follow the phase of one period through a trace that holds other things too: other periods, noise, interrupts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cosim.fit.structure import Cycles

Floats = NDArray[np.float64]

WINDOW_PERIODS = 1.5
"""Standard deviation of the window over which a phase is averaged, in periods; others a third apart stay out. [1]"""
SPAN = 8
"""Iterations over which durations are compared; over fewer the window makes them alike. [1]"""


def tracked(p_mw: Floats, dt_s: float, period_s: float) -> Cycles:
    """Iterations by the phase of their fundamental.

    The trace times exp(-2 pi i t / T), averaged over a Gaussian window, has the phase by which the iterations are ahead
    or behind (complex demodulation); an iteration begins wherever the whole phase passes an integer.

    Parameters
    ----------
    p_mw : ndarray, shape (n,)
        [MW]
    dt_s : float
        [s]
    period_s : float
        T, to a few percent. [s]

    Returns
    -------
    Cycles
        Their mean duration, onsets, and the jitter of independent durations that makes the phase wander as it does.
    """
    t_s = np.arange(len(p_mw)) * dt_s
    real, imag = _demodulated(p_mw - p_mw.mean(), dt_s, period_s)
    turns = t_s / period_s + np.unwrap(np.arctan2(imag, real)) / (2 * math.pi)
    turns = np.maximum.accumulate(turns)
    onsets = np.interp(np.arange(math.ceil(turns[0]), math.floor(turns[-1]) + 1), turns, t_s)
    gaps = np.diff(onsets)
    usual = gaps[np.abs(gaps - np.median(gaps)) < 0.25 * period_s] if gaps.size else gaps
    mean_s = float(usual.mean()) if usual.size else period_s
    jitter = 0.0
    if len(onsets) > 2 * SPAN:
        spans = onsets[SPAN:] - onsets[:-SPAN]
        jitter = 1.4826 * float(np.median(np.abs(spans - np.median(spans)))) / math.sqrt(SPAN) / mean_s
    low, high = np.percentile(p_mw, [8, 75])
    return Cycles(mean_s, min(jitter, 0.1), onsets, float(low), float(high))


def amplitude(p_mw: Floats, dt_s: float, period_s: float) -> Floats:
    """Amplitude of a period's fundamental at each sample, over the window of `tracked`. [MW]"""
    found: Floats = 2 * np.hypot(*_demodulated(p_mw, dt_s, period_s))
    return found


def _demodulated(p_mw: Floats, dt_s: float, period_s: float) -> tuple[Floats, Floats]:
    """Real and imaginary part of the trace times exp(-2 pi i t / T), averaged over the window."""
    carrier = p_mw * np.exp(-2j * math.pi * np.arange(len(p_mw)) * dt_s / period_s)
    width = WINDOW_PERIODS * period_s / dt_s
    real, imag = (ndimage.gaussian_filter1d(part, width, mode="constant") for part in (carrier.real, carrier.imag))
    return real, imag
