"""What a fit is judged by: level, spread, extremes, ramps, period, spectrum."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from cosim.units import US_PER_S

Floats = NDArray[np.float64]

F_MIN_HZ = 0.01
"""Lowest frequency at which spectra are compared. [Hz]"""
MIN_SEGMENT = 8
"""Least samples of a segment of Welch's method: the interval of a billing meter is too long for `F_MIN_HZ`."""
LINE = 13.0
"""Power of a line over its surroundings; white noise of 1,250 samples passes it once in 300 signals. [1]"""
RAMP_S = 1.0
"""Window of the change whose percentiles are compared, or the interval of the trace where that is longer. [s]"""


@dataclass(frozen=True)
class Target:
    """How near the simulation must come."""

    limit: float
    unit: str
    """`%` of the trace's value, or `dB`."""


TARGETS = {
    "mean": Target(2, "%"),
    "std": Target(10, "%"),
    "peak": Target(5, "%"),
    "p01": Target(5, "%"),
    "ramp_p01": Target(15, "%"),
    "ramp_p99": Target(15, "%"),
    "period": Target(3, "%"),
    "band": Target(3, "dB"),
}
"""The targets of the project's fidelity section."""


@dataclass(frozen=True)
class Signature:
    """The judged statistics of one signal."""

    mean: float
    std: float
    peak: float
    p01: float
    ramp_p01: float
    ramp_p99: float
    period_s: float
    """Strongest period; nan where no line stands out. [s]"""
    bands_mw2: tuple[float, ...]
    """Power in octaves from `F_MIN_HZ` on, the last one cut at the Nyquist frequency. [MW2]"""


@dataclass(frozen=True)
class Row:
    """One line of the table: trace, simulation, difference, target."""

    name: str
    trace: float
    simulation: float
    difference: float
    target: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the difference is within the target."""
        return abs(self.difference) <= self.target

    def shown_in(self, unit: str, per_mw: float) -> Row:
        """The same in another unit of power, of which per_mw make 1 MW."""
        factor = per_mw**2 if "[MW2]" in self.name else per_mw if "[MW]" in self.name else 1.0
        name = self.name.replace("[MW", f"[{unit}")
        return replace(self, name=name, trace=factor * self.trace, simulation=factor * self.simulation)

    def as_dict(self) -> dict[str, object]:
        """For JSON; what is not finite becomes null."""
        found = {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in asdict(self).items()}
        return {**found, "holds": self.holds}


def power_unit(most_mw: float) -> tuple[str, float]:
    """Unit in which a machine of this largest power reads well, and how many make 1 MW."""
    return ("MW", 1.0) if most_mw >= 1 else ("kW", 1e3) if most_mw >= 1e-3 else ("W", 1e6)


def readable(rows: list[Row], most_mw: float) -> list[Row]:
    """Lines of the table in the unit of `power_unit`."""
    return [row.shown_in(*power_unit(most_mw)) for row in rows]


def octaves(dt_s: float, n: int) -> list[tuple[float, float]]:
    """Bands that a signal of n samples resolves: at least four lines in each. [Hz]"""
    nyquist = 0.5 / dt_s
    low = F_MIN_HZ
    while low < 4 / (n * dt_s) * (1 - 1e-9):
        low *= 2
    edges = []
    while low < nyquist * (1 - 1e-9):
        edges.append((low, min(2 * low, nyquist)))
        low *= 2
    return edges


def spectrum(p_mw: Floats, dt_s: float) -> tuple[Floats, Floats]:
    """Welch spectrum with at least four lines in the lowest octave. [Hz], [MW2/Hz]"""
    wanted = max(2 ** math.ceil(math.log2(4 / (F_MIN_HZ * dt_s))), MIN_SEGMENT)
    f_hz, psd = signal.welch(p_mw, 1 / dt_s, nperseg=min(wanted, len(p_mw)), detrend="constant")
    return f_hz, psd


def strongest_period(p_mw: Floats, dt_s: float) -> float:
    """Period of the strongest line of the spectrum, nan where nothing stands out of its surroundings. [s]

    The periodogram is smoothed over about 1/500 of its length; a line counts where it has `LINE` times the power of
    the median within an octave around it. Periods longer than a tenth of the signal are not looked for.
    """
    n = len(p_mw)
    window = signal.windows.hann(n, sym=False)
    power = np.abs(np.fft.rfft((p_mw - p_mw.mean()) * window)) ** 2
    f_hz = np.fft.rfftfreq(n, dt_s)
    width = max(3, n // 1000 * 2 + 1)
    smooth = np.convolve(power, np.hanning(width + 2)[1:-1], "same")
    first = max(int(np.searchsorted(f_hz, 10 / (n * dt_s))), 1)
    if first >= len(f_hz) - 2:
        return math.nan
    k = first + int(np.argmax(smooth[first:]))
    around = (f_hz > f_hz[k] / 1.5) & (f_hz < f_hz[k] * 1.5)
    if k <= first or smooth[k] < LINE * np.median(smooth[around]):
        return math.nan
    near = slice(max(k - width, 1), k + width + 1)
    return float(np.sum(power[near]) / np.sum(power[near] * f_hz[near]))


def ramp(p_mw: Floats, dt_s: float) -> Floats:
    """Changes over `RAMP_S`, or over one interval where that is longer. [MW]"""
    lag = max(1, round(RAMP_S / dt_s))
    return p_mw[lag:] - p_mw[:-lag]


def signature(p_mw: Floats, dt_s: float, *, with_period: bool = True) -> Signature:
    """All judged statistics of a signal."""
    f_hz, psd = spectrum(p_mw, dt_s)
    df_hz = f_hz[1] - f_hz[0]
    bands = tuple(
        float(psd[(f_hz >= low * (1 - 1e-9)) & (f_hz < high * (1 - 1e-9))].sum() * df_hz)
        for low, high in octaves(dt_s, len(p_mw))
    )
    changes = ramp(p_mw, dt_s)
    down, up = np.percentile(changes, [1, 99])
    return Signature(
        mean=float(p_mw.mean()),
        std=float(p_mw.std()),
        peak=float(p_mw.max()),
        p01=float(np.percentile(p_mw, 1)),
        ramp_p01=float(down),
        ramp_p99=float(up),
        period_s=strongest_period(p_mw, dt_s) if with_period else math.nan,
        bands_mw2=bands,
    )


def median_signature(found: list[Signature]) -> Signature:
    """Element-wise median over several draws of the same machine."""
    columns = {
        name: float(np.median([getattr(s, name) for s in found]))
        for name in ("mean", "std", "peak", "p01", "ramp_p01", "ramp_p99", "period_s")
    }
    bands = np.median([s.bands_mw2 for s in found], axis=0)
    return Signature(**columns, bands_mw2=tuple(bands.tolist()))


def compare(trace: Signature, simulation: Signature, dt_s: float, n: int) -> list[Row]:
    """The table of a fit, level by level and band by band."""
    rows = []
    unit_s = f"{max(RAMP_S, dt_s):g} s"
    names = {
        "mean": "mean [MW]", "std": "standard deviation [MW]", "peak": "peak [MW]", "p01": "1st percentile [MW]",
        "ramp_p01": f"1st percentile of the {unit_s} change [MW]",
        "ramp_p99": f"99th percentile of the {unit_s} change [MW]",
    }  # fmt: skip
    for key, name in names.items():
        a, b = getattr(trace, key), getattr(simulation, key)
        rows.append(_percent(name, a, b, TARGETS[key].limit))
    if math.isfinite(trace.period_s):
        rows.append(_percent("dominant period [s]", trace.period_s, simulation.period_s, TARGETS["period"].limit))
    for (low, high), a, b in zip(octaves(dt_s, n), trace.bands_mw2, simulation.bands_mw2, strict=True):
        level = 10 * math.log10(max(b, 1e-300) / max(a, 1e-300))
        rows.append(Row(f"{low:g} to {high:g} Hz [MW2]", a, b, level, TARGETS["band"].limit, "dB"))
    return rows


def _percent(name: str, trace: float, simulation: float, limit: float) -> Row:
    difference = 100 * (simulation - trace) / abs(trace) if trace else math.inf * (simulation - trace or 1.0)
    return Row(name, trace, simulation, difference, limit, "%")


def whole_us(t_s: float) -> float:
    """A time as whole microseconds. [s]"""
    return round(t_s * US_PER_S) / US_PER_S
