"""Wear of a storage by its cycles and its years: how long it lasts if it goes on as in the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from cosim.metrics.cycles import rainflow_cycles
from cosim.metrics.log import AnyFloats
from cosim.units import S_PER_H

LEAST_DEPTH = 1e-4
"""Shallower turns are passed over: ten thousand of them wear less than one cycle of a hundredth."""
_H_PER_YEAR = 8766.0


class CycleLife(NamedTuple):
    """Cycles that a kind of storage bears until it holds 80 % of its energy: n_full depth^-exponent; and its years."""

    n_full: float
    """Full cycles."""
    exponent: float
    """1: the energy passed through counts, whatever the depth; above 1: shallow cycles wear less."""
    calendar_years: float
    """Life without cycles."""


LIFE = {
    "lithium": CycleLife(5_000.0, 1.5, 15.0),
    "vrla": CycleLife(300.0, 1.2, 8.0),
    "flywheel": CycleLife(100_000.0, 1.0, 20.0),
    "supercapacitor": CycleLife(1_000_000.0, 1.0, 15.0),
}
"""Typical of manufacturers' data at 25 degree C, illustrative: put in those of your cells."""


@dataclass(frozen=True)
class Wear:
    """What the cycles of a run took of a storage's life."""

    n_cycle: float
    """Cycles by the rainflow count, half ones as a half, those shallower than 0.0001 left out."""
    max_depth: float
    """Deepest of them, 0 to 1."""
    cycle_wear: float
    """Part of the life by cycles that the run took (Palmgren, Miner)."""
    life_years: float
    """Years to end of life if it goes on so, calendar included."""


def wear(soc: AnyFloats, lasted_s: float, life: CycleLife) -> Wear | None:
    """Wear by the cycles of a state of charge.

    Parameters
    ----------
    soc : ndarray, shape (n,)
        State of charge, 0 to 1.
    lasted_s : float
        Time from its first to its last value. [s]
    life : CycleLife
        What the storage bears.

    Returns
    -------
    Wear or None
        None of a run without length.
    """
    if len(soc) < 2 or lasted_s <= 0.0 or not np.isfinite(soc).all():
        return None
    tops, _ = find_peaks(soc, prominence=LEAST_DEPTH)
    bottoms, _ = find_peaks(-soc, prominence=LEAST_DEPTH)
    turns = np.unique(np.concatenate(([0], tops, bottoms, [len(soc) - 1])))
    cycles = [cycle for cycle in rainflow_cycles(soc[turns].astype(np.float64)) if cycle.depth >= LEAST_DEPTH]
    worn = sum(cycle.n_cycle * cycle.depth**life.exponent for cycle in cycles) / life.n_full
    per_year = worn * _H_PER_YEAR * S_PER_H / lasted_s
    return Wear(
        n_cycle=sum(cycle.n_cycle for cycle in cycles),
        max_depth=max((cycle.depth for cycle in cycles), default=0.0),
        cycle_wear=worn,
        life_years=1.0 / (per_year + 1.0 / life.calendar_years),
    )
