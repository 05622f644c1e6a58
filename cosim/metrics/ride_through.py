"""What a series of dips took from the feeder's load, and how much of it was back when."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import rows_in

CLUSTER_S = 300.0
"""Dips that follow within this time belong to one disturbance. [s]"""
BEFORE_S = 10.0
"""The load before it is the mean over this time. [s]"""
AFTER_S = {"1s": 1.0, "1min": 60.0, "1h": 3600.0}
"""After the last dip has ended, how much is not back by then is asked for. [s]"""


class LoadLoss(NamedTuple):
    """One disturbance: dips that follow one another."""

    start_s: float
    """Start of its first dip. [s]"""
    n_dip: int
    before_mw: float
    """Mean power before it. [MW]"""
    lost_mw: float
    """That less the lowest power between its first dip and the end of what is looked at. [MW]"""
    not_returned_mw: dict[str, float]
    """What is missing so long after its last dip; without those that lie behind the end of the log. [MW]"""


def load_losses(
    t_s: Floats, vm_pu: AnyFloats, p_mw: AnyFloats, step_s: float, vm_min_pu: float = 0.9
) -> list[LoadLoss]:
    """Load lost in each disturbance of the voltage, and how much of it was back 1 s, 1 min and 1 h later.

    Parameters
    ----------
    t_s, vm_pu, p_mw : ndarray, shape (n,)
        Times [s], lowest voltage since the last row [pu], power drawn from the feeder [MW].
    step_s : float
        Their distance. [s]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]
    """
    low = np.asarray(vm_pu) < vm_min_pu
    change = np.diff(np.concatenate(([0], low.astype(np.int8), [0])))
    first, after = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    if len(first) == 0:
        return []
    breaks = np.flatnonzero((first[1:] - after[:-1]) * step_s > CLUSTER_S) + 1
    found = []
    for group in np.split(np.arange(len(first)), breaks):
        a, b = int(first[group[0]]), int(after[group[-1]])
        if a == 0 or b >= len(low):
            continue
        before_mw = float(np.mean(p_mw[max(0, a - rows_in(BEFORE_S, step_s)) : a], dtype=np.float64))
        at = {name: b + rows_in(later_s, step_s) for name, later_s in AFTER_S.items()}
        missing = {name: max(0.0, before_mw - float(p_mw[row])) for name, row in at.items() if row < len(low)}
        last = max((row for row in at.values() if row < len(low)), default=len(low) - 1)
        lost_mw = max(0.0, before_mw - float(np.min(p_mw[a : last + 1])))
        found.append(LoadLoss(float(t_s[a]), len(group), before_mw, lost_mw, missing))
    return found
