"""Read a measured power trace: a CSV with `t_s` and a power column whose name ends in its unit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.csv_file import Faults, csv_rows, number
from cosim.errors import InputError, Problem
from cosim.load.config import TraceConfig

_TO_MW = {"_w": 1e-6, "_kw": 1e-3, "_mw": 1.0}
MAX_UNIX_S = 1e11
"""Unix time in seconds stays below this until the year 5138; in milliseconds it has passed it in 1973. [s]"""


def _unit(column: str) -> float | None:
    return next((factor for suffix, factor in _TO_MW.items() if column.endswith(suffix)), None)


def _power_column(header: list[str], wanted: str | None, file: str) -> str:
    if wanted is not None:
        if wanted not in header:
            raise InputError(Problem(f"no column {wanted}; the file has {', '.join(header)}", file=file, line=1))
        if _unit(wanted) is None:
            raise InputError(Problem(f"column {wanted} does not end in its unit: _w, _kw or _mw", file=file, line=1))
        return wanted
    found = [name for name in ("p_w", "p_kw", "p_mw") if name in header]
    if len(found) != 1:
        raise InputError(
            Problem(
                f"needs one power column p_w, p_kw or p_mw, or name one as column; it has {', '.join(header)}",
                file=file,
                line=1,
            )
        )
    return found[0]


def read_trace(
    path: Path, column: str | None = None, *, repair: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Times and powers of a trace file as they stand in it.

    Parameters
    ----------
    path : Path
        CSV (or CSV.gz) with a header; `t_s` rising strictly. [s]
    column : str, optional
        Power column, its unit the suffix; default the one of p_w, p_kw, p_mw.
    repair : bool
        Leave out rows that cannot be used instead of refusing the file.

    Returns
    -------
    t_s, p_mw : ndarray, shape (n,)
        Times [s] and powers [MW].
    n_left_out : int
        Rows that were left out.

    Raises
    ------
    InputError
        Missing file, missing column, time not in seconds; fields that are no finite numbers, power below zero, times
        that repeat or go back: all kinds at once, with file, lines and counts.
    """
    file = str(path)
    faults = Faults(file)
    times: list[float] = []
    powers: list[float] = []
    with csv_rows(path, "this trace") as (header, rows):
        if "t_s" not in header:
            raise InputError(Problem("needs a column t_s in its first line", file=file, line=1))
        power = _power_column(header, column, file)
        i_t, i_p = header.index("t_s"), header.index(power)
        for line, row in rows:
            fault = _fault(row, (i_t, i_p), (header[i_t], power), len(header), times)
            if fault is not None:
                faults.add(fault[0], line, fault[1])
                continue
            times.append(float(row[i_t]))
            powers.append(float(row[i_p]))
            if abs(times[-1]) > MAX_UNIX_S:
                told = "t_s is in seconds; this looks like Unix time in milliseconds or less"
                raise InputError(Problem(told, value=times[-1], file=file, line=line))
    if faults.found and not repair:
        raise InputError(faults.problems("`cosim fit --repair` leaves such rows out, a trace job needs them mended"))
    if len(times) < 2:
        raise InputError(Problem("needs at least two samples", file=file))
    return np.array(times), np.array(powers) * (_unit(power) or 1.0), faults.n


def _fault(
    row: list[str], at: tuple[int, int], names: tuple[str, str], n_column: int, times: list[float]
) -> tuple[str, object] | None:
    """What is wrong with a row, and the value it has there."""
    if len(row) <= max(at):
        return f"fewer fields than the {n_column} of the first line", len(row)
    for i, name in zip(at, names, strict=True):
        if not row[i].strip():
            return f"{name} is empty", row[i]
        if math.isnan(number(row[i])):
            return f"{name} is not a finite number", row[i]
    t_s = float(row[at[0]])
    if times and t_s <= times[-1]:
        return f"t_s {'repeats' if t_s == times[-1] else 'goes back'}; times must rise", t_s
    if float(row[at[1]]) < 0:
        return "power is below zero", float(row[at[1]])
    return None


def trace_samples(config: TraceConfig, folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Samples of a trace job as they drive the site: from zero on, scaled, with Eq. 9's C and D applied.

    Returns
    -------
    t_s, p_mw : ndarray, shape (n,)
        Times from 0 [s], powers [MW].
    period_s : float
        Length of one pass: the last time plus one median interval. [s]
    """
    path = folder / config.file
    t_s, p_mw, _ = read_trace(path, config.column)
    steps = np.diff(t_s)
    median = float(np.median(steps))
    limit = config.max_gap_s if config.max_gap_s is not None else 10 * median
    worst = int(np.argmax(steps))
    if steps[worst] > limit:
        raise InputError(
            Problem(
                f"has a gap of {steps[worst]:g} s after t_s = {t_s[worst]:g}, above {limit:g} s; fill it, or allow it "
                "with max_gap_s",
                file=str(path),
                line=worst + 2,
            )
        )
    factor = config.scale
    if config.scale_to_mean_mw is not None:
        factor = config.scale_to_mean_mw * (t_s[-1] - t_s[0]) / float(np.sum(p_mw[:-1] * steps))
    p_mw = p_mw * factor
    if config.c_s or config.d_s2:
        slope = np.gradient(p_mw, t_s)
        p_mw = p_mw + config.c_s * slope + config.d_s2 * np.gradient(slope, t_s)
        if p_mw.min() < 0:
            raise InputError(Problem("c_s and d_s2 take the trace's power below zero", file=str(path)))
    return t_s - t_s[0], p_mw, float(t_s[-1] - t_s[0] + median)
