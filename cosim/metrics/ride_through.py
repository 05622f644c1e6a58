"""What a series of dips took from the feeder's load, at one site or at all together, and how much was back when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cosim.metrics.log import AnyFloats, Floats, Log, blocks, column, has
from cosim.metrics.rating import datacenter_bus, sees_phase_to_phase
from cosim.metrics.window import rows_in

CLUSTER_S = 300.0
"""Dips that follow within this time belong to one disturbance. [s]"""
BEFORE_S = 10.0
"""The load before it is the mean over this time. [s]"""
AFTER_S = {"1s": 1.0, "1min": 60.0, "1h": 3600.0}
"""After the last dip has ended, how much is not back by then is asked for. [s]"""
BACK_SHARE = 0.9
"""The load counts as back with this part of what it was before. [1]"""


class LoadLoss(NamedTuple):
    """One disturbance: dips that follow one another."""

    start_s: float
    """Start of its first dip. [s]"""
    end_s: float
    """End of its last dip, or of the log where that lasts on. [s]"""
    n_dip: int
    vm_min_pu: float
    """Lowest voltage in it. [pu]"""
    before_mw: float
    """Mean power before it. [MW]"""
    lost_mw: float
    """That less the lowest power between its first dip and the end of what is looked at. [MW]"""
    not_returned_mw: dict[str, float]
    """What is missing so long after its last dip; without those that lie behind the end of the log. [MW]"""
    returned_after_s: float | None
    """From the end of its last dip until 90 % of the power before was back; None: not before the log's end. [s]"""

    def summary(self) -> dict[str, Any]:
        """Plain numbers; a load that did not come back has no `returned_after_s`."""
        numbers: dict[str, Any] = {
            "disturbance_t_s": self.start_s,
            "disturbance_end_s": self.end_s,
            "disturbance_n_dip": self.n_dip,
        }
        numbers |= {"before_mw": self.before_mw, "lost_mw": self.lost_mw, "returned_after_s": self.returned_after_s}
        return numbers | {f"not_returned_{after}_mw": p_mw for after, p_mw in self.not_returned_mw.items()}


def dips(vm_pu: AnyFloats, lowest_pu: AnyFloats, vm_min_pu: float) -> list[tuple[int, int]]:
    """Dips of a voltage that begin within the record.

    Parameters
    ----------
    vm_pu, lowest_pu : ndarray, shape (n,)
        Voltage of the rows, and the lowest since the row before. [pu]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]

    Returns
    -------
    list of (int, int)
        First row that tells of it, and the first from there on at which the voltage is back: the same one where the
        whole dip lies between two rows, n where it lasts to the end.
    """
    low = np.minimum(vm_pu, lowest_pu) < vm_min_pu
    change = np.diff(np.concatenate(([0], low.astype(np.int8), [0])))
    found = []
    for a, b in zip(np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True):
        back = b - 1 if vm_pu[b - 1] >= vm_min_pu else b
        if a > 0:
            found.append((a, back))
    return found


def load_losses(
    t_s: Floats,
    vm_pu: AnyFloats,
    p_mw: AnyFloats,
    step_s: float,
    vm_min_pu: float = 0.9,
    lowest_pu: AnyFloats | None = None,
) -> list[LoadLoss]:
    """Load lost in each disturbance of the voltage, and how much of it was back 1 s, 1 min and 1 h later.

    Parameters
    ----------
    t_s, vm_pu, p_mw : ndarray, shape (n,)
        Times [s], voltage [pu], power drawn from the feeder [MW].
    step_s : float
        Their distance. [s]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]
    lowest_pu : ndarray, shape (n,), optional
        Lowest voltage since the row before; not given: that of the rows. [pu]
    """
    lowest = vm_pu if lowest_pu is None else lowest_pu
    series: list[list[tuple[int, int]]] = []
    for dip in dips(vm_pu, lowest, vm_min_pu):
        if series and (dip[0] - series[-1][-1][1]) * step_s <= CLUSTER_S:
            series[-1].append(dip)
        else:
            series.append([dip])
    return [_loss(t_s, lowest, p_mw, step_s, group) for group in series]


def _loss(t_s: Floats, lowest_pu: AnyFloats, p_mw: AnyFloats, step_s: float, group: list[tuple[int, int]]) -> LoadLoss:
    """What one series of dips took."""
    a, b, n = group[0][0], group[-1][1], len(t_s)
    before_mw = float(np.mean(p_mw[max(0, a - rows_in(BEFORE_S, step_s)) : a], dtype=np.float64))
    at = {name: b + rows_in(later_s, step_s) for name, later_s in AFTER_S.items()}
    missing = {name: max(0.0, before_mw - float(p_mw[row])) for name, row in at.items() if row < n}
    last = max((row for row in at.values() if row < n), default=n - 1)
    back = np.flatnonzero(np.asarray(p_mw[b:]) >= BACK_SHARE * before_mw)
    return LoadLoss(
        start_s=float(t_s[a]),
        end_s=float(t_s[min(b, n - 1)]),
        n_dip=len(group),
        vm_min_pu=float(np.min(lowest_pu[a : b + 1])),
        before_mw=before_mw,
        lost_mw=max(0.0, before_mw - float(np.min(p_mw[a : last + 1]))),
        not_returned_mw=missing,
        returned_after_s=float(t_s[b + int(back[0])] - t_s[b]) if len(back) else None,
    )


@dataclass(frozen=True)
class SystemLoss:
    """The disturbance that took most from all data centers together."""

    loss: LoadLoss
    """Of the sum of their powers, instant by instant; a dip is one at any of them."""
    n_site: int
    locked_out: dict[str, float]
    """When each site was locked out from its feeder in it, by site. [s]"""
    unlocked: dict[str, float]
    """When those were let back, without those that were not. [s]"""

    def summary(self) -> dict[str, Any]:
        """Plain numbers; what never happened has no time."""
        return {
            "n_site": self.n_site,
            **self.loss.summary(),
            "n_locked_out": len(self.locked_out),
            "locked_out_t_s": min(self.locked_out.values(), default=None),
            "n_unlocked": len(self.unlocked),
            "unlocked_t_s": max(self.unlocked.values(), default=None),
        }


def system_loss(log: Log, lowest_pu: Mapping[str, AnyFloats], step_s: float) -> SystemLoss | None:
    """What all data centers together lost in their worst disturbance.

    The powers are summed before anything is taken of them: sites that fall at different times do not add up to more
    than ever was missing at once.

    Parameters
    ----------
    log : Log
    lowest_pu : mapping
        Lowest voltage of each data center since the row before, by name. [pu]
    step_s : float
        Log step. [s]

    Returns
    -------
    SystemLoss or None
        None where no voltage or power of a site is logged, or no dip ended in the run.
    """
    vm_pu, low_pu = np.full(log.n_rows, np.inf), np.full(log.n_rows, np.inf)
    p_mw, n_site = np.zeros(log.n_rows), 0
    for name, lowest in lowest_pu.items():
        seen = terminal_voltage(log, name)
        if seen is None or not has(log, f"datacenter/{name}/p_grid_mw"):
            continue
        vm_pu, low_pu, n_site = np.minimum(vm_pu, seen), np.minimum(low_pu, lowest), n_site + 1
        p_mw += column(log, f"datacenter/{name}/p_grid_mw", np.float64)
    if n_site == 0 or step_s <= 0.0:
        return None
    losses = load_losses(column(log, "t_s", np.float64), vm_pu, p_mw, step_s, lowest_pu=low_pu)
    if not losses:
        return None
    worst = max(losses, key=lambda loss: loss.lost_mw)
    later = [loss.start_s for loss in losses if loss.start_s > worst.start_s]
    locked = _first_by_site(log.events, "ups_locked_out", dict.fromkeys(lowest_pu, worst.start_s))
    locked = {name: t_s for name, t_s in locked.items() if not later or t_s < later[0]}
    return SystemLoss(worst, n_site, locked, _first_by_site(log.events, "ups_unlocked", locked))


def _first_by_site(events: Any, kind: str, since_s: Mapping[str, float]) -> dict[str, float]:
    """When a kind of event came first at each site, from a time of its own on. [s]"""
    found: dict[str, float] = {}
    told = events[events["kind"] == kind]
    for t_s, name in zip(told["t_s"], told["element"], strict=True):
        if t_s >= since_s.get(str(name), np.inf):
            found.setdefault(str(name), float(t_s))
    return found


class LowestAtTerminals:
    """Lowest voltage of each data center since the row before, from the rows of all nodes as they are walked through.

    Parameters
    ----------
    log : Log
    centers : sequence of str
        Its data centers.
    names : sequence of str
        Nodes of the log.
    """

    def __init__(self, log: Log, centers: Sequence[str], names: Sequence[str]) -> None:
        self._log, self._centers = log, centers
        places = {name: nodes_of(datacenter_bus(log.scenario, name), names) for name in centers}
        self._nodes = {k: v for k, v in places.items() if v and not sees_phase_to_phase(log.scenario, k)}
        self._parts: dict[str, list[AnyFloats]] = {name: [] for name in self._nodes}

    def update(self, vm_pu: AnyFloats) -> None:
        """Take in the lowest voltage of every node in the next intervals, shape (n, n_node). [pu]"""
        for name, nodes in self._nodes.items():
            self._parts[name].append(vm_pu[:, nodes].min(axis=1))

    def result(self) -> dict[str, AnyFloats]:
        """By data center, shape (n,); without those whose voltage is not logged. [pu]

        That of the rows; where its bus is logged with the extremes at every step, or an event tells of the facility
        leaving its voltage window, what lies between two rows is in it.
        """
        found = {}
        for name in self._centers:
            seen = terminal_voltage(self._log, name)
            if seen is not None:
                found[name] = self._lowest(name, np.array(seen))
        return found

    def _lowest(self, name: str, vm_pu: AnyFloats) -> AnyFloats:
        parts = self._parts.get(name)
        if parts:
            vm_pu = np.minimum(vm_pu, np.concatenate(parts))
        events = self._log.events
        told = events[(events["kind"] == "window_left") & (events["element"] == name)]
        rows = np.searchsorted(column(self._log, "t_s", np.float64), np.asarray(told["t_s"], np.float64))
        inside = rows < len(vm_pu)
        np.minimum.at(vm_pu, rows[inside], np.asarray(told["value"], vm_pu.dtype)[inside])
        return vm_pu


def nodes_of(place: str | None, names: Sequence[str]) -> list[int]:
    """Which of the logged nodes a data center stands at: its bus, or the phases of it that it has."""
    if place is None:
        return []
    bus, *phases = place.split(".")
    nodes = {place} if place in names else {f"{bus}.{phase}" for phase in phases or "123"}
    return [k for k, node in enumerate(names) if node in nodes]


def terminal_voltage(log: Log, name: str) -> AnyFloats | None:
    """Voltage at the terminals of a data center, shape (n,). [pu]"""
    path = f"datacenter/{name}/vm_pu"
    if has(log, path):
        vm_pu: AnyFloats = column(log, path)
        return vm_pu
    bus = datacenter_bus(log.scenario, name)
    if bus is None or not has(log, "bus/vm_pu") or bus not in log.names("bus"):
        return None
    names = list(log.names("bus"))
    place = names.index(bus)
    return np.concatenate([vm[:, place] for _, vm in blocks(log, "bus/vm_pu", len(names))])
