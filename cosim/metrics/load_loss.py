"""What a disturbance, one dip or dips that follow one another, took from a load, and how much was back when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cosim.metrics.away import AFTER_S, DIP_PU, FELT_SHARE, Away, SiteLoad, loads_away
from cosim.metrics.log import AnyFloats, Floats

CLUSTER_S = 300.0
"""Dips that follow within this time belong to one disturbance. [s]"""


class LoadLoss(NamedTuple):
    """One disturbance: dips that follow one another."""

    start_s: float
    """Start of its first dip. [s]"""
    end_s: float
    """End of its last dip, or of the log where that lasts on. [s]"""
    n_dip: int
    """Those that took something or found the load away; where none did, all."""
    vm_min_pu: float
    """Lowest voltage in it. [pu]"""
    before_mw: float
    """Mean power before it. [MW]"""
    lost_mw: float
    """Most that was missing of that because of it. [MW]"""
    not_returned_mw: dict[str, float]
    """What stayed away for so long after a dip's end, of the dip of which that is most. [MW]"""
    returned_after_s: float | None
    """From the end of a dip until 90 % of the power before was back, the longest; None: not before the end. [s]"""
    missing_mws: float = 0.0
    """Energy that was missing. [MWs]"""
    is_seen: bool = True
    """False where its dips lie between rows too far apart to show what they took: `lost_mw` is the least it can be."""

    def summary(self) -> dict[str, Any]:
        """Plain numbers; a load that did not come back has no `returned_after_s`."""
        numbers: dict[str, Any] = {
            "disturbance_t_s": self.start_s,
            "disturbance_end_s": self.end_s,
            "disturbance_n_dip": self.n_dip,
            "before_mw": self.before_mw,
            "lost_mw" if self.is_seen else "lost_at_least_mw": self.lost_mw,
            "returned_after_s": self.returned_after_s,
        }
        return numbers | {f"not_returned_{after}_mw": p_mw for after, p_mw in self.not_returned_mw.items()}


def load_losses(
    t_s: Floats,
    vm_pu: AnyFloats,
    load: AnyFloats | Sequence[SiteLoad],
    step_s: float,
    vm_min_pu: float = DIP_PU,
    lowest_pu: AnyFloats | None = None,
) -> list[LoadLoss]:
    """Load lost in each disturbance of the voltage, and how much of it stayed away for 1 s, 1 min and 1 h.

    Dips that were felt and follow within 300 s are one disturbance, and so are those that were not. Each dip is counted
    by itself (see `loads_away`) and the worst told, so that a later one makes no earlier one smaller.

    Parameters
    ----------
    t_s, vm_pu : ndarray, shape (n,)
        Times [s], voltage [pu].
    load : ndarray, shape (n,), or sequence of SiteLoad
        Power drawn from the feeder [MW], or the sites that draw it.
    step_s : float
        Distance of the rows. [s]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]
    lowest_pu : ndarray, shape (n,), optional
        Lowest voltage since the row before; not given: that of the rows. [pu]
    """
    sites = [SiteLoad(load)] if isinstance(load, np.ndarray) else load
    lowest = vm_pu if lowest_pu is None else lowest_pu
    groups: list[list[Away]] = []
    every = loads_away(t_s, vm_pu, sites, step_s, vm_min_pu, lowest, series_s=CLUSTER_S)
    for wanted in (True, False):
        mine = [one for one in every if one.is_felt == wanted]
        for k, one in enumerate(mine):
            if k and (one.dips[0][0] - mine[k - 1].dips[-1][1]) * step_s <= CLUSTER_S:
                groups[-1].append(one)
            else:
                groups.append([one])
    return [_together(t_s, lowest, group) for group in sorted(groups, key=lambda group: group[0].dips[0])]


def worst_of(losses: Sequence[LoadLoss]) -> LoadLoss:
    """The disturbance for which most energy was missing; of equal ones the first."""
    return max(losses, key=lambda loss: (loss.missing_mws, loss.lost_mw))


def _together(t_s: Floats, lowest_pu: AnyFloats, group: list[Away]) -> LoadLoss:
    """One disturbance of what its dips took."""
    a, b, n = group[0].dips[0][0], group[-1].dips[-1][1], len(t_s)
    lost_mw, before_mw = max(one.lost_mw for one in group), group[0].before_mw
    away_s = [None if one.back is None else float(t_s[one.back] - t_s[one.dips[0][1]]) for one in group]
    return LoadLoss(
        start_s=float(t_s[a]),
        end_s=float(t_s[min(b, n - 1)]),
        n_dip=sum(one.n_dip for one in group),
        vm_min_pu=float(np.min(lowest_pu[a : b + 1])),
        before_mw=before_mw,
        lost_mw=lost_mw,
        not_returned_mw=_stayed(group),
        returned_after_s=None if None in away_s else max(one for one in away_s if one is not None),
        missing_mws=sum(one.missing_mws for one in group),
        is_seen=all(one.is_seen for one in group) or lost_mw >= (1.0 - FELT_SHARE) * before_mw,
    )


def _stayed(group: list[Away]) -> dict[str, float]:
    """What stayed away for so long after any of the dips; not told where a dip near the log's end may yet have more."""
    told = {}
    for name in AFTER_S:
        known = [one.stayed_mw[name] for one in group if name in one.stayed_mw]
        yet_mw = max((one.unknown_mw.get(name, 0.0) for one in group), default=0.0)
        if known and yet_mw <= max(known):
            told[name] = max(known)
    return told
