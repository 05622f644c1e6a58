"""Cycles of a state of charge by the rainflow count of ASTM E1049-85 (2017), 5.4.4."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cosim.errors import InputError, Problem


class Cycle(NamedTuple):
    """One counted cycle of a state of charge."""

    depth: float
    """Range of the cycle: depth of discharge, 0 to 1."""
    mean: float
    """Middle of its extremes."""
    n_cycle: float
    """1 for a closed cycle, 0.5 for a half cycle of the residue."""
    start: int
    """Sample at which it begins."""
    end: int
    """Sample at which it ends."""


def rainflow_cycles(soc: npt.ArrayLike) -> list[Cycle]:
    """Count the cycles of a state of charge.

    Parameters
    ----------
    soc : array_like, shape (n,)
        State of charge, 0 to 1 (or any other quantity that cycles).

    Returns
    -------
    list of Cycle
        In the order in which the count closes them; none where the input never turns.

    Raises
    ------
    InputError
        The input is not a row of finite numbers.
    """
    import rainflow

    values = np.asarray(soc, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(Problem("must be one row of finite numbers", "soc"))
    turning = _turning(values)
    counted = rainflow.extract_cycles(values[turning].tolist())
    return [
        Cycle(float(depth), float(mean), float(count), int(turning[start]), int(turning[end]))
        for depth, mean, count, start, end in counted
    ]


def _turning(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Places of the first and last sample and of every turn between: what the count depends on."""
    if len(values) < 2:
        return np.arange(len(values))
    moved = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1))  # plateaus count once
    step = np.sign(np.diff(values[moved]))
    turns = np.flatnonzero(step[1:] != step[:-1]) + 1
    last = [len(moved) - 1] if len(moved) > 1 else []
    return np.asarray(moved[np.concatenate(([0], turns, last)).astype(np.intp)])
