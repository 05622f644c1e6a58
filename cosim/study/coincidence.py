"""Steps of several campuses on one area: how often two meet, and how hard the sum of all steps then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Series = np.ndarray[Any, np.dtype[np.float64]]


def step_times(p_mw: Series, n_window: int, min_step_mw: float) -> tuple[np.ndarray[Any, Any], Series]:
    """Where a power steps: the largest change over a window, one for each time it passes the threshold.

    Changes over the window that pass the threshold one after the other with the same sign, with no gap longer than
    the window, are one step; it stands where the power moves most from one row to the next.

    Parameters
    ----------
    p_mw : ndarray, (n_row,)
        Power. [MW]
    n_window : int
        Rows that the window is long.
    min_step_mw : float
        Smallest change that is a step. [MW]

    Returns
    -------
    rows : ndarray of int
        First row behind each step's largest jump.
    step_mw : ndarray
        Its size, signed. [MW]
    """
    change = p_mw[n_window:] - p_mw[:-n_window]
    rows, steps = [], []
    for sign in (1, -1):
        hits = np.flatnonzero(sign * change >= min_step_mw)
        for group in np.split(hits, np.flatnonzero(np.diff(hits) > n_window) + 1):
            if group.size:
                start = group[0]
                jumps = sign * np.diff(p_mw[start : group[-1] + n_window + 1])
                rows.append(start + int(np.argmax(jumps)) + 1)
                steps.append(sign * (sign * change[group]).max())
    order = np.argsort(rows, kind="stable")
    return np.array(rows, dtype=np.int64)[order], np.array(steps)[order]


def coincidence(powers_mw: Mapping[str, Series], step_s: float, window_s: float, min_step_mw: float) -> dict[str, Any]:
    """How often and how hard the steps of some powers meet.

    Parameters
    ----------
    powers_mw : mapping
        Power of each campus, equally long. [MW]
    step_s : float
        Time between two rows. [s]
    window_s : float
        Two steps of different campuses this close meet; sizes are changes over this time. [s]
    min_step_mw : float
        Smallest change that is a step. [MW]

    Returns
    -------
    dict
        `n_step`; `n_met`, those with a step of another campus within the window; `share_met`; `share_met_independent`,
        the share that independent campuses with as many steps at random times would have; `max_together`, campuses
        in the fullest window; `n_group`, windows with steps of two or more; for up and down:
        `max_step_*_mw` of the sum of all powers, `sum_of_max_*_mw` of each one's own largest, and `factor_*`, the
        former over the latter (1: the worst of all at once).
    """
    n_window = round(window_s / step_s)
    found = {name: step_times(p_mw, n_window, min_step_mw)[0] for name, p_mw in powers_mw.items()}
    n_row = len(next(iter(powers_mw.values())))
    return {**_meetings(list(found.values()), n_window, n_row), **_sizes(powers_mw, n_window)}


def _meetings(rows: Sequence[np.ndarray[Any, Any]], n_window: int, n_row: int) -> dict[str, Any]:
    n_step, n_met, expected = sum(r.size for r in rows), 0, 0.0
    for k, own in enumerate(rows):
        others = [r for j, r in enumerate(rows) if j != k]
        near = np.zeros(own.size, dtype=bool)
        for other in others:
            near |= np.searchsorted(other, own + n_window, "right") > np.searchsorted(other, own - n_window, "left")
        n_met += int(near.sum())
        # Of n steps at random times none is within +- a window of a given one with (1 - share of the time)^n.
        share = min((2 * n_window + 1) / n_row, 1.0)
        expected += own.size * (1 - (1 - share) ** sum(r.size for r in others))
    groups, together = _groups(rows, n_window)
    return {
        "n_step": n_step,
        "n_met": n_met,
        "share_met": n_met / n_step if n_step else 0.0,
        "share_met_independent": expected / n_step if n_step else 0.0,
        "max_together": together,
        "n_group": groups,
    }


def _groups(rows: Sequence[np.ndarray[Any, Any]], n_window: int) -> tuple[int, int]:
    """Windows in which steps of two or more campuses stand, one after the other, and the most campuses in one."""
    who = np.concatenate([np.full(r.size, k) for k, r in enumerate(rows)])
    when = np.concatenate(rows)
    order = np.argsort(when, kind="stable")
    who, when = who[order], when[order]
    n_group, most, next_free = 0, int(bool(when.size)), -math.inf
    for start, end in enumerate(np.searchsorted(when, when + n_window, "right")):
        together = len(set(who[start:end].tolist()))
        most = max(most, together)
        if together > 1 and when[start] > next_free:
            n_group, next_free = n_group + 1, when[end - 1]
    return n_group, most


def _sizes(powers_mw: Mapping[str, Series], n_window: int) -> dict[str, float]:
    changes = [p[n_window:] - p[:-n_window] for p in powers_mw.values()]
    whole, found = np.sum(changes, axis=0), {}
    for name, sign in (("up", 1.0), ("down", -1.0)):
        largest = max(float((sign * whole).max()), 0.0)
        alone = sum(max(float((sign * change).max()), 0.0) for change in changes)
        found[f"max_step_{name}_mw"] = largest
        found[f"sum_of_max_{name}_mw"] = alone
        found[f"factor_{name}"] = largest / alone if alone else 0.0
    return found


def coincidence_row(log: Path, names: Sequence[str], window_s: float, min_step_mw: float) -> dict[str, Any]:
    """`coincidence` of a run's log, on what each campus draws from the grid, by the names of the summary's columns."""
    from cosim.record.result import open_result

    with open_result(log) as result:
        powers = {name: np.asarray(result.read(f"datacenter/{name}/p_grid_mw"), dtype=float) for name in names}
        t_us = result.t_us
    step_s = float(np.median(np.diff(t_us))) / 1e6
    found = coincidence(powers, step_s, window_s, min_step_mw)
    return {f"coincidence.{key}": value for key, value in found.items()}
