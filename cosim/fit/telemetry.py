"""Read what monitors of accelerators write: one row an accelerator and instant, summed over the accelerators.

Known are the CSV of `nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -l 1`, with units or without, and
of `amd-smi metric --power --csv --watch 1` (timestamp, gpu, socket_power).
"""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.csv_file import Faults, csv_rows, number
from cosim.errors import InputError, Problem
from cosim.units import W_PER_MW

Floats = NDArray[np.float64]

TIME = "timestamp"
DEVICES = ("index", "gpu", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id")
POWERS = ("power.draw", "power.draw.average", "power.draw.instant", "socket_power")
"""Columns of power in the order in which they are taken; a unit in brackets may follow. [W]"""
MAX_GAP_INTERVALS = 10.0


def is_telemetry(header: list[str]) -> bool:
    """Whether the columns are those of such a monitor."""
    return TIME in _plain(header) and any(name in _plain(header) for name in POWERS)


def read_telemetry(path: Path, *, repair: bool) -> tuple[Floats, Floats, int]:
    """Power of all accelerators of a file together.

    Parameters
    ----------
    path : Path
        The monitor's CSV.
    repair : bool
        Leave out rows that cannot be used.

    Returns
    -------
    t_s, p_mw : ndarray, shape (n,)
        Even times from zero on, at the median interval of one accelerator, while all of them report [s]; the sum of
        what each last said [MW].
    n_left_out : int
        Rows that were left out.

    Raises
    ------
    InputError
        Rows without a time or a power, times that repeat or go back, all kinds at once; an accelerator with gaps.
    """
    faults = Faults(str(path))
    with csv_rows(path, "this trace") as (header, rows):
        names = _plain(header)
        i_t = names.index(TIME)
        i_p = names.index(next(name for name in POWERS if name in names))
        i_d = next((names.index(name) for name in DEVICES if name in names), None)
        series: dict[str, tuple[list[float], list[float]]] = {}
        for line, row in rows:
            if _plain(row)[:1] == names[:1]:  # a monitor that was started again
                continue
            fault = _take(row, i_t, i_p, i_d, series)
            if fault is not None:
                faults.add(fault[0], line, fault[1])
    if i_d is None and any("repeats" in kind for kind in faults.found):
        raise InputError(
            Problem("has several rows of one time and no column index: query timestamp,index,power.draw",
                    file=str(path), line=1)
        )  # fmt: skip
    if faults.found and not repair:
        raise InputError(faults.problems("`cosim fit --repair` leaves such rows out"))
    if not series or min(len(t) for t, _ in series.values()) < 2:
        raise InputError(Problem("needs at least two samples of each accelerator", file=str(path)))
    t_s, p_mw = _summed(series, str(path))
    return t_s, p_mw, faults.n


def _plain(header: list[str]) -> list[str]:
    """Names without their units, in lower case."""
    return [re.sub(r"\s*[\[(].*", "", name).strip().lower() for name in header]


def _take(
    row: list[str], i_t: int, i_p: int, i_d: int | None, series: dict[str, tuple[list[float], list[float]]]
) -> tuple[str, object] | None:
    """Add a row to its accelerator's samples, or say what is wrong with it and what it says there."""
    if len(row) <= max(i_t, i_p, i_d or 0):
        return "fewer fields than the first line", len(row)
    t_s, p_w = _seconds(row[i_t].strip()), number(re.sub(r"\s*[wW]$", "", row[i_p].strip()))
    if math.isnan(t_s):
        return "timestamp is no time", row[i_t]
    if math.isnan(p_w) or p_w < 0:
        return "power is no number of watts", row[i_p]
    times, powers = series.setdefault(row[i_d].strip() if i_d is not None else "", ([], []))
    if times and t_s <= times[-1]:
        return f"timestamp of one accelerator {'repeats' if t_s == times[-1] else 'goes back'}", row[i_t].strip()
    times.append(t_s)
    powers.append(p_w)
    return None


def _seconds(text: str) -> float:
    """A timestamp, ISO 8601 or with slashes or Unix time, in seconds; nan where it is none."""
    value = number(text)
    if math.isfinite(value):
        return value
    try:
        at = datetime.datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return math.nan
    return at.replace(tzinfo=at.tzinfo or datetime.UTC).timestamp()


def _summed(series: dict[str, tuple[list[float], list[float]]], file: str) -> tuple[Floats, Floats]:
    """The sum of what each accelerator last said, from the last one's first sample to the first one's last."""
    steps = [np.diff(t) for t, _ in series.values()]
    dt_s = max(round(float(np.median(np.concatenate(steps))), 3), 1e-3)
    for (name, (times, _)), step in zip(series.items(), steps, strict=True):
        worst = int(np.argmax(step))
        if step[worst] > MAX_GAP_INTERVALS * dt_s:
            at_s = times[worst] - min(t[0] for t, _ in series.values())
            told = f"accelerator {name or 'of this file'} says nothing for {step[worst]:g} s at {at_s:g} s"
            raise InputError(Problem(f"{told}; fit the part before it or the part behind it", file=file))
    begin, end = max(t[0] for t, _ in series.values()), min(t[-1] for t, _ in series.values())
    if end - begin < 2 * dt_s:
        raise InputError(Problem("its accelerators do not report at the same time", file=file))
    t_s: Floats = np.arange(int((end - begin) / dt_s + 1e-6) + 1, dtype=np.float64) * dt_s
    total = np.zeros(len(t_s))
    for times, powers in series.values():
        at = np.searchsorted(np.array(times), begin + t_s + 0.5 * dt_s, side="right") - 1
        total += np.array(powers)[at]
    return t_s, total / W_PER_MW
