"""Flicker of many long records at the price of four transforms a piece: the meter of IEC 61000-4-15 on magnitudes.

`cosim.metrics.flicker` puts a magnitude on a carrier and runs the standard's blocks at 2 kHz. The squared carrier holds
the fluctuation at its own frequency and around twice the line's, where the low pass leaves next to nothing; so here
blocks 2 and 3 are their exact frequency response, applied to half the squared magnitude at the record's own step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cosim.metrics.lamps import (
    CARRIED,
    F_MOST_SEEN_HZ,
    LAMP,
    MEMORY_TAU_S,
    REFERENCE_MIN_PU,
    REFERENCE_TAU_S,
    checked,
    severity_of_sorted,
)
from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.voltage import SAG_PU, SWELL_PU

PIECE_S: Final = 120.0
"""Records are worked off in pieces so long; with lead and tail they are 150 s, quick to transform. [s]"""
PIECES_PER_PST: Final = 5
LEAD_S: Final = 28.0
"""Record before a piece that its filters see: the high pass (0.05 Hz) has forgotten all but 2e-4 of the rest. [s]"""
TAIL_S: Final = 2.0
"""Record behind it that the interpolation sees. [s]"""
STILL: Final = 2e-5
"""A voltage that moves by no more over a piece shows no flicker: its severity would be below 0.01. [of its mean]"""
RATE_MIN_HZ: Final = 99.0
"""Rate at which the sensation is squared and smoothed, at least. [Hz]"""
RATE_MAX_HZ: Final = 250.0

Complexes = npt.NDArray[np.complex128]


class EnvelopeMeter:
    """Short-term severities of k voltages at once, from magnitudes at equal distances.

    Parameters
    ----------
    step_s : float
        Distance of the magnitudes, at most 0.05. [s]
    lamp : str
        One of `cosim.metrics.flicker.LAMPS`.
    n_signal : int
        Number of voltages k.

    Raises
    ------
    InputError
        The step is too coarse, or the lamp unknown.

    Notes
    -----
    What `severities` tells does not depend on how the record was cut for `update`.
    """

    def __init__(self, step_s: float, lamp: str, n_signal: int) -> None:
        checked(step_s, lamp)
        self._n_signal = n_signal
        self._up, self._down = max(1, math.ceil(RATE_MIN_HZ * step_s)), max(1, int(1.0 / (RATE_MAX_HZ * step_s)))
        self._n_piece = _whole(PIECE_S / step_s, self._down)
        self._n_lead, self._n_tail = _whole(LEAD_S / step_s, self._down), _whole(TAIL_S / step_s, self._down)
        n = self._n_lead + self._n_piece + self._n_tail
        self._seen = eye_response(np.fft.rfftfreq(n, step_s), lamp) * _band(np.fft.rfftfreq(n, step_s), step_s)
        self._n_fine = n * self._up // self._down
        rate_hz = self._up / self._down / step_s
        self._smooth = 1.0 / (1.0 + 2j * math.pi * MEMORY_TAU_S * np.fft.rfftfreq(self._n_fine, 1.0 / rate_hz))
        self._gain, self._ripple = _calibration(lamp)
        self._decay = math.exp(-step_s / REFERENCE_TAU_S)
        self._powers = self._decay ** np.arange(1, self._n_piece + 1)
        self._weights = (1.0 - self._decay) / self._powers
        self._raw: list[Floats] = []
        self._n_raw = 0
        self._reference: Floats = np.zeros(0)
        self._lead: Floats = np.zeros((n_signal, 0))
        self._now: Floats = np.zeros((n_signal, 0))
        self._pinst: list[npt.NDArray[np.float32]] = []
        self._flags = np.zeros((2, n_signal), dtype=bool)
        self._pst: list[Floats] = []

    def update(self, vm_pu: Floats) -> None:
        """Take in magnitudes, shape (n, k). [pu]"""
        self._raw.append(np.array(vm_pu.T))
        self._n_raw += len(vm_pu)
        if self._n_raw < self._n_piece:
            return
        joined = np.concatenate(self._raw, axis=1)
        whole = self._n_raw // self._n_piece * self._n_piece
        for start in range(0, whole, self._n_piece):
            self._take(np.ascontiguousarray(joined[:, start : start + self._n_piece]))
        self._raw, self._n_raw = [joined[:, whole:]], self._n_raw - whole

    def finish(self) -> Floats:
        """Pst of the whole 10 minutes from the start on, shape (m, k), as if the last voltage went on.

        NaN where a dip or swell in them, or in the 28 s before, flags them (IEC 61000-4-30).
        """
        if self._now.shape[1]:
            rest = np.concatenate(self._raw, axis=1) if self._raw else self._now[:, :0]
            shown = np.concatenate((self._now[:, -1:], _related(rest, self._mean(rest))), axis=1)
            fill = np.repeat(shown[:, -1:], self._n_tail, axis=1)
            self._sense(np.concatenate((shown[:, 1:], fill), axis=1)[:, : self._n_tail])
        return np.array(self._pst).reshape(-1, self._n_signal)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a checkpoint keeps."""
        return {
            "raw": np.concatenate(self._raw, axis=1) if self._raw else np.zeros((self._n_signal, 0)),
            "reference": self._reference,
            "lead": self._lead,
            "now": self._now,
            "pinst": np.concatenate(self._pinst, axis=1) if self._pinst else np.zeros((self._n_signal, 0), np.float32),
            "flags": self._flags,
            "pst": np.array(self._pst).reshape(-1, self._n_signal),
        }

    def restore(self, stored: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` gave."""
        self._raw, self._n_raw = [stored["raw"].copy()], stored["raw"].shape[1]
        self._reference, self._lead, self._now = (stored[key].copy() for key in ("reference", "lead", "now"))
        n = self._n_piece * self._up // self._down
        pinst = stored["pinst"]
        self._pinst = [pinst[:, i : i + n].copy() for i in range(0, pinst.shape[1], n)]
        self._flags, self._pst = stored["flags"].copy(), list(stored["pst"].copy())

    def _take(self, vm_pu: Floats) -> None:
        """One piece more, shape (k, n): with its first seconds the piece before it can be told."""
        if not self._reference.size:
            self._reference = vm_pu[:, 0].copy()
        mean = self._mean(vm_pu)
        related = _related(vm_pu, mean)
        if self._now.shape[1]:
            self._sense(related[:, : self._n_tail])
            self._lead = self._now[:, -self._n_lead :]
        else:
            self._lead = np.repeat(related[:, :1], self._n_lead, axis=1)
        self._reference, self._now = mean[:, -1].copy(), related
        outside = (vm_pu < SAG_PU) | (vm_pu > SWELL_PU)
        self._flags[0] |= outside.any(axis=1)
        self._flags[1] = outside[:, -self._n_lead :].any(axis=1)

    def _sense(self, tail: Floats) -> None:
        """Pinst of the present piece; of the fifth, the severity of the window."""
        n = self._now.shape[1] * self._up // self._down
        pinst = np.zeros((self._n_signal, n), np.float32)
        record = np.concatenate((self._lead, self._now, tail), axis=1)
        moves = np.flatnonzero(record.max(axis=1) - record.min(axis=1) > STILL)
        if moves.size:
            pinst[moves] = self._sensation(record[moves])[:, -n - self._n_tail * self._up // self._down :][:, :n]
        self._pinst.append(pinst)
        if len(self._pinst) == PIECES_PER_PST:
            window = np.sort(np.concatenate(self._pinst, axis=1), axis=1)
            pst = np.array([severity_of_sorted(one) for one in window])
            self._pst.append(np.where(self._flags[0], np.nan, pst))
            self._pinst, self._flags[0] = [], self._flags[1]

    def _sensation(self, related: Floats) -> Floats:
        """Blocks 2 to 4 over records of shape (k, n): the ends are not to be used."""
        squared = 0.5 * related**2
        squared -= squared[:, -1:]
        bins = np.fft.rfft(squared, axis=1) * self._seen
        seen = np.fft.irfft(self._fitted(bins), self._n_fine, axis=1) * (self._n_fine / related.shape[1])
        level = np.fft.irfft(np.fft.rfft(seen**2, axis=1) * self._smooth, self._n_fine, axis=1)
        pinst: Floats = np.maximum(self._gain * level, 0.0) + self._ripple
        return pinst

    def _fitted(self, bins: Complexes) -> Complexes:
        """The spectrum up to the rate at which the sensation is squared."""
        kept = np.zeros((len(bins), self._n_fine // 2 + 1), dtype=np.complex128)
        n = min(bins.shape[1], kept.shape[1])
        kept[:, :n] = bins[:, :n]
        return kept

    def _mean(self, vm_pu: Floats) -> Floats:
        """Block 1: the mean that a voltage of shape (k, n) is related to, a first-order lag of 27.3 s."""
        powers = self._powers[: vm_pu.shape[1]]
        fed = np.cumsum(vm_pu * self._weights[: vm_pu.shape[1]], axis=1)
        mean: Floats = powers * (self._reference[:, None] + fed)
        return mean


def _related(vm_pu: Floats, mean: Floats) -> Floats:
    """Voltages over their mean, which keeps above 0 in a blackout."""
    related: Floats = vm_pu / np.maximum(mean, REFERENCE_MIN_PU)
    return related


def _whole(count: float, multiple: int) -> int:
    """Nearest multiple, at least one of it."""
    return max(1, round(count / multiple)) * multiple


def eye_response(f_hz: AnyFloats, lamp: str) -> Complexes:
    """Block 3 at each frequency: high pass of 0.05 Hz, Butterworth low pass of order 6, lamp and eye."""
    one = LAMP[lamp]
    s = 2j * math.pi * np.asarray(f_hz)
    lam, w1, w2, w3, w4 = (2.0 * math.pi * f for f in (one.lambda_hz, one.w1_hz, one.w2_hz, one.w3_hz, one.w4_hz))
    low = s / (2.0 * math.pi * one.f_low_pass_hz)
    response = s / (s + 2.0 * math.pi * 0.05)
    for k in (1, 3, 5):
        response = response / (low**2 + 2.0 * math.cos(math.pi * k / 12.0) * low + 1.0)
    eye = one.k * w1 * s / (s**2 + 2.0 * lam * s + w1**2)
    seen: Complexes = response * eye * (1.0 + s / w2) / ((1.0 + s / w3) * (1.0 + s / w4))
    return seen


def _band(f_hz: AnyFloats, step_s: float) -> Floats:
    """1 up to 0.44 of the record's rate, 0 from half of it on, smooth between: as the interpolation of `flicker`."""
    x = np.clip((f_hz * step_s - CARRIED) / (0.5 - CARRIED), 0.0, 1.0)
    band: Floats = 0.5 * (1.0 + np.cos(math.pi * x))
    return band


def _calibration(lamp: str) -> tuple[float, float]:
    """Gain at which the largest Pinst is 1 at the standard's point of 8.8 Hz, and what the carrier's ripple adds."""
    one = LAMP[lamp]
    at_hz = np.array([F_MOST_SEEN_HZ, 2.0 * one.f_line_hz])
    eye, carrier = np.abs(eye_response(at_hz, lamp))
    ripple = 1.0 / abs(1.0 + 2j * math.pi * MEMORY_TAU_S * 2.0 * F_MOST_SEEN_HZ)
    gain = 1.0 / (0.5 * (eye * one.d_percent / 200.0) ** 2 * (1.0 + ripple))
    return float(gain), float(gain * 0.5 * (0.5 * carrier) ** 2)
