"""Spectrum of a power by Welch's method, and what lies in each band of frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import signal

from cosim.metrics.disturbance import touches
from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import rows_in

SEGMENT_S = 100.0
"""Length of a segment, hence a resolution of 0.01 Hz. [s]"""
BANDS_HZ = ((0.01, 0.1), (0.1, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 5.0), (5.0, 20.0))
"""Bands of oscillation. [Hz]"""
TOP_MIN_HZ = 0.05
"""Below it a peak is a matter of the run's length, not of an oscillation. [Hz]"""
STEP_MAX_S = 2.0
"""Coarsest step that sees anything of the bands that matter: up to 0.2 Hz. [s]"""
SEEN = 0.8
"""Share of Nyquist's frequency up to which a band counts as seen."""
_BLOCK_SEGMENTS = 16


@dataclass(frozen=True)
class Band:
    """What lies in one band."""

    from_hz: float
    to_hz: float
    rms_mw: float
    """Rms over the run. [MW]"""
    worst_rms_mw: float
    """Rms of the worst segment. [MW]"""
    worst_t_s: float
    """Start of that segment. [s]"""
    is_whole: bool
    """Whether the log step sees all of the band."""


@dataclass(frozen=True)
class Spectrum:
    """Power spectral density of one power."""

    f_hz: Floats
    psd_mw2_per_hz: Floats
    """Mean over the segments. [MW2/Hz]"""
    n_segment: int
    segment_s: float
    mean_mw: float
    """Mean power over the segments. [MW]"""
    band: list[Band]
    """Bands of which the log sees something."""
    dominant_hz: float
    """Frequency of the highest peak of the density within the bands, at or above 0.05 Hz. [Hz]"""
    persistence: float
    """Share of segments whose own highest peak lies within two bins of it, 0 to 1."""
    top_hz: Floats
    """Highest peak of each segment, shape (n_segment,). [Hz]"""

    @property
    def seen_hz(self) -> float:
        """Frequency up to which the log sees. [Hz]"""
        return SEEN * float(self.f_hz[-1])

    def summary(self) -> dict[str, object]:
        """Plain numbers."""
        return {
            "dominant_hz": self.dominant_hz,
            "persistence": self.persistence,
            "seen_hz": self.seen_hz,
            "n_segment": self.n_segment,
            "band": {
                f"{band.from_hz:g}_to_{band.to_hz:g}_hz": {
                    "rms_mw": band.rms_mw,
                    "rms_percent": 100.0 * band.rms_mw / self.mean_mw if self.mean_mw > 0.0 else None,
                    "worst_rms_mw": band.worst_rms_mw,
                    "worst_t_s": band.worst_t_s,
                    "seen_share": 1.0 if band.is_whole else self._share(band),
                }
                for band in self.band
            },
        }

    def _share(self, band: Band) -> float:
        return (min(self.seen_hz, band.to_hz) - band.from_hz) / (band.to_hz - band.from_hz)


class SpectrumMeter:
    """Welch's method (Hann, half overlap, mean removed), block by block: as `scipy.signal.welch` of the whole.

    Segments that touch a disturbance of the supply are left out.

    Parameters
    ----------
    step_s : float
        Log step. [s]
    disturbed : ndarray, shape (m, 2), optional
        Disjoint spans of time in which the supply was disturbed. [s]
    bands_hz : tuple of (float, float)
        Bands. [Hz]
    segment_s : float
        Length of a segment. [s]
    """

    def __init__(
        self,
        step_s: float,
        disturbed: Floats | None = None,
        bands_hz: tuple[tuple[float, float], ...] = BANDS_HZ,
        segment_s: float = SEGMENT_S,
    ) -> None:
        self._step_s = step_s
        self._disturbed = np.zeros((0, 2)) if disturbed is None else disturbed
        self._n = rows_in(segment_s, step_s)
        self._hop = self._n - self._n // 2
        self._bands = bands_hz
        self._f_hz: Floats = np.fft.rfftfreq(self._n, step_s).astype(np.float64)
        self._psd = np.zeros(len(self._f_hz))
        self._tops: list[Floats] = []
        self._worst = [(0.0, 0.0)] * len(bands_hz)
        self._n_segment, self._mean_sum = 0, 0.0
        self._t_s, self._p = np.zeros(0), np.zeros(0)

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power [MW], both of shape (n,)."""
        self._t_s = np.concatenate((self._t_s, t_s))
        self._p = np.concatenate((self._p, p_mw.astype(np.float64)))
        n_segment = (len(self._p) - self._n) // self._hop + 1
        for first in range(0, max(n_segment, 0), _BLOCK_SEGMENTS):
            n = min(_BLOCK_SEGMENTS, n_segment - first)
            rows = slice(first * self._hop, (first + n - 1) * self._hop + self._n)
            self._segments(self._t_s[rows], self._p[rows])
        if n_segment > 0:
            self._t_s, self._p = self._t_s[n_segment * self._hop :], self._p[n_segment * self._hop :]

    def _segments(self, t_s: Floats, p_mw: Floats) -> None:
        starts = np.arange(0, len(p_mw) - self._n + 1, self._hop)
        calm = ~touches(t_s[starts], t_s[starts + self._n - 1], self._disturbed)
        if not calm.any():
            return
        _, _, psd = signal.spectrogram(
            p_mw, 1.0 / self._step_s, "hann", self._n, self._n - self._hop, detrend="constant", mode="psd"
        )
        psd, start_s = psd[:, calm], t_s[starts[calm]]
        means = np.lib.stride_tricks.sliding_window_view(p_mw, self._n)[starts[calm]].mean(axis=1)
        self._psd += psd.sum(axis=1)
        self._n_segment += psd.shape[1]
        self._mean_sum += float(means.sum())
        self._tops.append(self._top(psd))
        for i, (low, high) in enumerate(self._bands):
            rms = np.sqrt(self._inside(low, high) @ psd * self._f_hz[1])
            worst = int(rms.argmax())
            if rms[worst] > self._worst[i][0]:
                self._worst[i] = (float(rms[worst]), float(start_s[worst]))

    def _inside(self, low_hz: float, high_hz: float) -> Floats:
        """Which frequencies count for a band: its lower edge belongs to it, its upper to the next."""
        return ((self._f_hz >= low_hz - 1e-9) & (self._f_hz < high_hz - 1e-9)).astype(np.float64)

    def _top(self, psd: Floats) -> Floats:
        low_hz = max(TOP_MIN_HZ, min(low for low, _ in self._bands))
        first = max(1, int(np.searchsorted(self._f_hz, low_hz - 1e-9)))
        inner, peak = psd[first:-1], psd[first:-1] >= psd[first - 1 : -2]
        peak &= inner > psd[first + 1 :]
        top: Floats = self._f_hz[first:-1][np.where(peak, inner, -1.0).argmax(axis=0)]
        return top

    def result(self) -> Spectrum | None:
        """The spectrum so far; None where no whole segment is free of disturbances."""
        if self._n_segment == 0 or len(self._f_hz) < 8:
            return None
        psd = self._psd / self._n_segment
        dominant = float(self._top(psd[:, None])[0])
        tops = np.concatenate(self._tops)
        seen_hz = SEEN * float(self._f_hz[-1])
        bands = [
            Band(
                low,
                high,
                math.sqrt(float(self._inside(low, high) @ psd) * float(self._f_hz[1])),
                *self._worst[i],
                is_whole=high <= seen_hz * (1.0 + 1e-9),
            )
            for i, (low, high) in enumerate(self._bands)
            if low < seen_hz
        ]
        return Spectrum(
            f_hz=self._f_hz,
            psd_mw2_per_hz=psd,
            n_segment=self._n_segment,
            segment_s=self._n * self._step_s,
            mean_mw=self._mean_sum / self._n_segment,
            band=bands,
            dominant_hz=dominant,
            persistence=float((np.abs(tops - dominant) <= 2.5 * self._f_hz[1]).mean()),
            top_hz=tops,
        )
