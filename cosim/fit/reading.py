"""Read a measured trace for a fit: checked, and brought to its own even interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.csv_file import csv_rows
from cosim.errors import InputError, Problem
from cosim.fit.telemetry import is_telemetry, read_telemetry
from cosim.load.trace import read_trace

Floats = NDArray[np.float64]

POWER_COLUMNS = ("p_w", "p_kw", "p_mw")
MIN_SAMPLES = 100
"""Fewer samples do not carry percentiles of one percent."""
MAX_GAP_INTERVALS = 10.0
"""A longer distance of samples, in median intervals, is a gap that must be cut out by hand."""


@dataclass(frozen=True)
class Trace:
    """Powers at even times from zero on."""

    name: str
    dt_s: float
    """Interval. [s]"""
    p_mw: Floats
    n_left_out: int = 0
    """Rows of the file that could not be used."""

    @property
    def duration_s(self) -> float:
        """Time from the first sample to one interval behind the last. [s]"""
        return self.dt_s * len(self.p_mw)

    def part(self, first: int, last: int) -> Trace:
        """Samples first to last - 1."""
        return Trace(self.name, self.dt_s, self.p_mw[first:last])


def load_trace(path: Path, *, repair: bool = False) -> Trace:
    """A trace file, checked and at its median interval (the nearest sample of each instant).

    Parameters
    ----------
    path : Path
        CSV or CSV.gz with `t_s` and one of `p_w`, `p_kw`, `p_mw`, or of a monitor (`cosim.fit.telemetry`).
    repair : bool
        Leave out rows that cannot be used; gaps up to `MAX_GAP_INTERVALS` then hold the nearest sample.

    Raises
    ------
    InputError
        Other columns, gaps, times that repeat or go back, values that are no finite numbers, too few samples, power
        below zero, or one that never changes.
    """
    file = str(path)
    monitored = _check_columns(path)
    t_s, p_mw, n_left_out = (read_telemetry if monitored else read_trace)(path, repair=repair)
    if len(t_s) < MIN_SAMPLES:
        raise InputError(Problem(f"has {len(t_s)} samples; a fit needs at least {MIN_SAMPLES}", file=file))
    steps = np.diff(t_s)
    median_s = float(np.median(steps))
    worst = int(np.argmax(steps))
    if steps[worst] > MAX_GAP_INTERVALS * median_s:
        raise InputError(
            Problem(
                f"has a gap of {steps[worst]:g} s after t_s = {t_s[worst]:g}, above {MAX_GAP_INTERVALS:g} times its "
                f"usual interval of {median_s:g} s; fit the part before it or the part behind it",
                file=file,
                line=None if monitored or n_left_out else worst + 2,
            )
        )
    if np.ptp(p_mw) == 0:
        raise InputError(Problem("power never changes: there is nothing to fit", value=float(p_mw[0]), file=file))
    return replace(_even(path.name, t_s - t_s[0], p_mw, median_s), n_left_out=n_left_out)


def _check_columns(path: Path) -> bool:
    """Say at once which columns are looked for and which are there; whether they are those of a monitor."""
    with csv_rows(path, "this trace") as (header, _):
        pass
    found = [name for name in POWER_COLUMNS if name in header]
    if "t_s" in header and len(found) == 1:
        return False
    if is_telemetry(header):
        return True
    raise InputError(
        Problem(
            "looks for a column t_s [s] and exactly one of p_w, p_kw, p_mw in its first line, or for timestamp, index "
            "and power.draw as nvidia-smi writes them; it has " + (", ".join(header) or "nothing"),
            file=str(path),
            line=1,
        )
    )


def _even(name: str, t_s: Floats, p_mw: Floats, median_s: float) -> Trace:
    """The nearest sample at every multiple of the interval, which is a whole number of microseconds."""
    digits = 6 if median_s < 0.1 else 3
    dt_s = max(1e-6, round(median_s, digits))
    grid = np.arange(int(t_s[-1] / dt_s + 0.5) + 1) * dt_s
    behind = np.clip(np.searchsorted(t_s, grid), 1, len(t_s) - 1)
    nearest = behind - (grid - t_s[behind - 1] < t_s[behind] - grid)
    return Trace(name, dt_s, p_mw[nearest])
