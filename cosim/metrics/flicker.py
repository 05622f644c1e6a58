"""Flickermeter of IEC 61000-4-15 (ed. 2, 2010; adopted by IEEE 1453), fed with voltage magnitudes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import signal

from cosim.errors import InputError, Problem
from cosim.metrics.lamps import (
    CARRIED,
    F_BAND_HZ,
    F_MOST_SEEN_HZ,
    MEMORY_TAU_S,
    REFERENCE_MIN_PU,
    REFERENCE_TAU_S,
    Lamp,
    checked,
    severity_of_sorted,
)
from cosim.metrics.log import Floats

PST_WINDOW_S = 600.0
"""Observation time of a short-term severity. [s]"""
N_PST_PER_PLT = 12
"""Short-term severities in a long-term one: two hours."""
RATE_MIN_HZ = 2000.0
"""Lowest rate of the meter's filters, so that the bilinear transform bends the band by under 0.3 %. [Hz]"""

_LEAD_S = 20.0
"""The meter runs on the first voltage for this long, so that its filters hold the carrier's ripple. [s]"""
_BLOCK_ROWS = 1 << 15


class Flicker(NamedTuple):
    """What the flickermeter shows."""

    pinst: Floats
    """Instantaneous flicker sensation at each sample of the input; 1 is the threshold of perception."""
    pst: float
    """Short-term severity: the largest of the 10-minute windows, counted back from the end; NaN below 600 s."""


def flickermeter(vm_pu: npt.ArrayLike, step_s: float, lamp: str = "120V60Hz") -> Flicker:
    """Flicker of a voltage, as the instrument of IEC 61000-4-15 shows it.

    The magnitudes are interpolated, put on a carrier at line frequency and taken through the standard's
    blocks: relation to the mean voltage, squaring, high pass, low pass, lamp and eye, memory, statistics.
    The meter starts as if the first voltage had stood for ever.

    Parameters
    ----------
    vm_pu : array_like, shape (n,)
        Voltage magnitudes (rms or amplitude), at equal distances. [pu]
    step_s : float
        Their distance. At most 0.011 s carries all fluctuations of the standard (40 Hz), at most 0.05 s
        those that the eye sees best (8.8 Hz): `band_hz` says how far a step reaches. [s]
    lamp : str
        `120V60Hz`, `230V50Hz`, `120V50Hz` or `230V60Hz`.

    Returns
    -------
    Flicker
        `pinst` of shape (n,); `pst`, NaN below 600 s. `short_term_severities` gives every window's.

    Raises
    ------
    InputError
        The step is too coarse (says which is needed), the lamp unknown, the voltage not a row of finite numbers.

    Notes
    -----
    Phase jumps, distortion and shifted zero crossings (the standard's other tests) need waveforms; a
    magnitude does not hold them.
    """
    vm = np.asarray(vm_pu, dtype=np.float64)
    if vm.ndim != 1 or not np.isfinite(vm).all():
        raise InputError(Problem("must be one row of finite magnitudes", "vm_pu"))
    meter = Flickermeter(step_s, lamp)
    parts = [meter.update(vm[i : i + _BLOCK_ROWS]) for i in range(0, len(vm), _BLOCK_ROWS)]
    pinst = np.concatenate([*parts, meter.finish()])
    severities = short_term_severities(pinst, step_s)
    return Flicker(pinst, float(severities.max()) if len(severities) else math.nan)


def band_hz(step_s: float) -> float:
    """Highest frequency of fluctuation that magnitudes at this distance carry, at most 40 Hz. [Hz]"""
    return min(F_BAND_HZ, CARRIED / step_s)


def short_term_severities(pinst: Floats, step_s: float) -> Floats:
    """Short-term severities Pst of the whole 10-minute windows, counted back from the end.

    Parameters
    ----------
    pinst : ndarray, shape (n,)
        Instantaneous flicker sensation.
    step_s : float
        Distance of its samples. [s]

    Returns
    -------
    ndarray, shape (m,)
        In order of time; empty below 600 s.
    """
    n = round(PST_WINDOW_S / step_s)
    m = len(pinst) // n
    windows = pinst[len(pinst) - m * n :].reshape(m, n)
    return np.array([short_term_severity(window) for window in windows])


def short_term_severity(pinst: Floats) -> float:
    """Pst of one window: IEC 61000-4-15, 5.7.2, from the exact order statistics in place of classes."""
    return severity_of_sorted(np.sort(pinst))


def long_term_severity(pst: Sequence[float] | Floats) -> float:
    """Plt: the cubic mean of twelve short-term severities (two hours); NaN of none.

    Of fewer than twelve it is their cubic mean, which IEEE 1453 does not call Plt.
    """
    values = np.asarray(pst, dtype=np.float64)
    return float(np.cbrt(np.mean(values**3))) if len(values) else math.nan


class Flickermeter:
    """The instrument, block by block: `update` gives Pinst of the samples that it can tell so far.

    Parameters
    ----------
    step_s : float
        Distance of the samples. [s]
    lamp : str
        One of `LAMPS`.

    Raises
    ------
    InputError
        The step is too coarse, or the lamp unknown.
    """

    def __init__(self, step_s: float, lamp: str = "120V60Hz") -> None:
        self._lamp = checked(step_s, lamp)
        self.step_s = step_s
        self._n_up = max(1, math.ceil(RATE_MIN_HZ * step_s - 1e-9))
        self._rate_hz = self._n_up / step_s
        self._taps = _interpolator(self._n_up)
        self._half = (len(self._taps) // 2) // self._n_up
        self._waiting: Floats = np.zeros(0)
        decay = math.exp(-step_s / REFERENCE_TAU_S)
        self._reference = (np.array([1.0 - decay]), np.array([1.0, -decay]))
        self._eye = _eye(self._lamp, self._rate_hz)
        self._memory = _memory(self._rate_hz)
        self._scale = _scale(self._lamp, self._eye, self._memory, self._rate_hz)
        self._states: dict[str, Floats] = {}
        self._n_done = 0

    def update(self, vm_pu: Floats) -> Floats:
        """Take in magnitudes, shape (n,) [pu]; returns Pinst of the next samples, at first fewer than n."""
        if len(vm_pu) == 0:
            return np.zeros(0)
        if not self._states:
            self._settle(float(vm_pu[0]))
        reference, self._states["reference"] = signal.lfilter(*self._reference, vm_pu, zi=self._states["reference"])
        related = vm_pu / np.maximum(reference, REFERENCE_MIN_PU)
        if len(self._waiting) == 0:
            self._waiting = np.full(self._half, related[0])
        return self._advance(np.concatenate((self._waiting, related)))

    def finish(self) -> Floats:
        """Pinst of the samples not told yet, as if the last voltage went on."""
        if len(self._waiting) == 0:
            return np.zeros(0)
        return self._advance(np.concatenate((self._waiting, np.full(self._half, self._waiting[-1]))))

    def _settle(self, first_pu: float) -> None:
        """States as if the first voltage had stood for ever."""
        related = first_pu / max(first_pu, REFERENCE_MIN_PU)
        self._states = {
            "reference": signal.lfilter_zi(*self._reference) * first_pu,
            "eye": signal.sosfilt_zi(self._eye) * 0.5 * related**2,
            "memory": np.zeros((len(self._memory), 2)),
        }
        n_lead = round(_LEAD_S * self._rate_hz)
        self._n_done = -n_lead
        self._seen(np.full(n_lead, related))

    def _advance(self, related: Floats) -> Floats:
        """Pinst of the samples that have `half` samples on both sides."""
        n = len(related) - 2 * self._half
        keep = max(0, n)
        self._waiting = related[keep:]
        if n <= 0:
            return np.zeros(0)
        fine = signal.upfirdn(self._taps, related, up=self._n_up)
        start = 2 * self._half * self._n_up
        return self._seen(fine[start : start + n * self._n_up])[:: self._n_up]

    def _seen(self, envelope: Floats) -> Floats:
        """Blocks 2 to 4 at the meter's own rate."""
        t_s = (self._n_done + np.arange(len(envelope))) / self._rate_hz
        squared = (envelope * np.sin(2.0 * math.pi * self._lamp.f_line_hz * t_s)) ** 2
        self._n_done += len(envelope)
        seen, self._states["eye"] = signal.sosfilt(self._eye, squared, zi=self._states["eye"])
        pinst, self._states["memory"] = signal.sosfilt(self._memory, self._scale * seen**2, zi=self._states["memory"])
        told: Floats = np.maximum(pinst, 0.0)
        return told


def _interpolator(n_up: int) -> Floats:
    """Taps that put `n_up` values into each step, flat to `CARRIED`, its images 80 dB down."""
    if n_up == 1:
        return np.ones(1)
    width = 2.0 * (1.0 - 2.0 * CARRIED) / n_up
    n_tap, beta = signal.kaiserord(80.0, width)
    half = math.ceil(n_tap / 2 / n_up)
    taps: Floats = signal.firwin(2 * half * n_up + 1, 1.0 / n_up, window=("kaiser", beta)) * n_up
    return taps


def _eye(lamp: Lamp, rate_hz: float) -> Floats:
    """Block 3: high pass 0.05 Hz, Butterworth low pass, weighting by lamp and eye; second-order sections."""
    high = signal.butter(1, 0.05, "highpass", fs=rate_hz, output="zpk")
    low = signal.butter(6, lamp.f_low_pass_hz, fs=rate_hz, output="zpk")
    lam, w1, w2, w3, w4 = (2.0 * math.pi * f for f in (lamp.lambda_hz, lamp.w1_hz, lamp.w2_hz, lamp.w3_hz, lamp.w4_hz))
    poles = [*np.roots([1.0, 2.0 * lam, w1**2]), -w3, -w4]
    gain = lamp.k * w1 / w2 * w3 * w4
    weighting = signal.bilinear_zpk([0.0, -w2], poles, gain, fs=rate_hz)
    zeros, all_poles, gains = zip(high, low, weighting, strict=True)
    sections: Floats = signal.zpk2sos(np.concatenate(zeros), np.concatenate(all_poles), np.prod(gains))
    return sections


def _memory(rate_hz: float) -> Floats:
    """Block 4: first-order low pass of 300 ms, as a second-order section."""
    b, a = signal.bilinear([1.0], [MEMORY_TAU_S, 1.0], fs=rate_hz)
    sections: Floats = signal.tf2sos(b, a)
    return sections


def _scale(lamp: Lamp, eye: Floats, memory: Floats, rate_hz: float) -> float:
    """Gain at which the largest Pinst is 1 for the standard's sinusoidal change at 8.8 Hz.

    A squared carrier holds the fluctuation d/200 sin once at its own frequency; squared again it is half mean
    and half ripple of twice the frequency, of which the memory leaves some.
    """
    w = 2.0 * math.pi * F_MOST_SEEN_HZ / rate_hz
    seen = abs(signal.sosfreqz(eye, [w])[1][0]) * lamp.d_percent / 200.0
    ripple = abs(signal.sosfreqz(memory, [2.0 * w])[1][0])
    return float(1.0 / (0.5 * seen**2 * (1.0 + ripple)))
