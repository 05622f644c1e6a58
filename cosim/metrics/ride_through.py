"""What a disturbance took from all data centers together, and the voltage and load of each that tell so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.metrics.away import BACK_SHARE, BEFORE_S, DIP_PU, SiteLoad, dips
from cosim.metrics.load_loss import LoadLoss, load_losses, worst_of
from cosim.metrics.log import AnyFloats, Floats, Log, blocks, column, has
from cosim.metrics.rating import datacenter_bus, sees_phase_to_phase
from cosim.metrics.window import rows_in

ANSWERS = ("ups_transferred", "ups_locked_out", "load_shed", "cooling_lost")
"""Kinds of event by which a data center answers a dip with less power from the feeder."""
Loads = Mapping[str, SiteLoad]
"""Loads of data centers by name."""


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


def system_loss(
    log: Log, lowest_pu: Mapping[str, AnyFloats], step_s: float, loads: Loads | None = None
) -> SystemLoss | None:
    """What all data centers together lost in their worst disturbance.

    What is missing is summed row by row before anything is taken of it: sites that fall at different times do not add
    up to more than ever was missing at once.

    Parameters
    ----------
    log : Log
    lowest_pu : mapping
        Lowest voltage of each data center since the row before, by name. [pu]
    step_s : float
        Log step. [s]
    loads : mapping, optional
        Loads that have been read already, by data center.

    Returns
    -------
    SystemLoss or None
        None where no voltage or power of a site is logged, or no dip began in the run.
    """
    vm_pu, low_pu = np.full(log.n_rows, np.inf), np.full(log.n_rows, np.inf)
    names = [name for name in lowest_pu if has(log, f"datacenter/{name}/p_grid_mw")]
    for name in names:
        seen = terminal_voltage(log, name)
        if seen is not None:
            vm_pu, low_pu = np.minimum(vm_pu, seen), np.minimum(low_pu, lowest_pu[name])
    if not names or step_s <= 0.0 or not dips(vm_pu, low_pu, DIP_PU):
        return None
    every = [(loads or {}).get(name) or site_load(log, name, step_s) for name in names]
    losses = load_losses(column(log, "t_s", np.float64), vm_pu, every, step_s, lowest_pu=low_pu)
    most = worst_of(losses)
    later = [loss.start_s for loss in losses if loss.start_s > most.start_s]
    locked = _first_by_site(log.events, "ups_locked_out", dict.fromkeys(names, most.start_s))
    locked = {name: t_s for name, t_s in locked.items() if not later or t_s < later[0]}
    return SystemLoss(most, len(names), locked, _first_by_site(log.events, "ups_unlocked", locked))


def dipped_loads(log: Log, lowest_pu: Mapping[str, AnyFloats], step_s: float) -> Loads:
    """Loads, by name, of the data centers whose lowest voltage since the row before [pu] has a dip at any row."""
    dipped = [name for name, low_pu in lowest_pu.items() if float(low_pu.min(initial=np.inf)) < DIP_PU]
    return {name: site_load(log, name, step_s) for name in dipped if has(log, f"datacenter/{name}/p_grid_mw")}


def site_load(log: Log, name: str, step_s: float) -> SiteLoad:
    """Load of a data center whose power is logged.

    Parameters
    ----------
    log : Log
    name : str
        The data center.
    step_s : float
        Log step. [s]
    """
    mine = log.events[log.events["element"] == name]
    t_s, asked = column(log, "t_s", np.float64), f"datacenter/{name}/p_it_mw"
    told = mine[mine["kind"].isin(ANSWERS)]
    answered = [(at_s, _took_until(mine, at_s, kind)) for at_s, kind in zip(told["t_s"], told["kind"], strict=True)]
    return SiteLoad(
        p_mw=column(log, f"datacenter/{name}/p_grid_mw"),
        it_mw=_asked(column(log, asked), t_s, mine, step_s) if has(log, asked) else None,
        cap_mw=_caps(mine, t_s),
        answered_s=np.array(answered, np.float64).reshape(-1, 2),
        left_s=mine.loc[mine["kind"] == "window_left", "t_s"].to_numpy(np.float64),
    )


def _took_until(events: Any, at_s: float, kind: str) -> float:
    """When an answer took the last of the load: servers without cooling run on for a while. [s]"""
    if kind != "cooling_lost":
        return at_s
    later = events[events["t_s"] > at_s]
    back_s = later.loc[later["kind"] == "cooling_returned", "t_s"].min()
    shed_s = later.loc[(later["kind"] == "load_shed") & ~(later["t_s"] > back_s), "t_s"]
    return float(shed_s.max()) if len(shed_s) else at_s


def _asked(it_mw: AnyFloats, t_s: Floats, events: Any, step_s: float) -> AnyFloats:
    """Power that IT asks for by itself: where it was shed, until it is back, what it drew before. [MW]"""
    for shed_s in events.loc[events["kind"] == "load_shed", "t_s"]:
        row = int(np.searchsorted(t_s, shed_s))
        before = it_mw[max(0, row - rows_in(BEFORE_S, step_s)) : row]
        if len(before) == 0:
            continue
        on = it_mw[row:] >= BACK_SHARE * before.mean()
        fallen = int(np.argmin(on)) if not on.all() else len(on)
        back = fallen + int(np.argmax(on[fallen:])) if on[fallen:].any() else len(on)
        it_mw[row : row + back] = before.mean()
    return it_mw


def _caps(events: Any, t_s: Floats) -> Floats | None:
    """Power that a site is called down to at each row, infinite without a call; None where it never is. [MW]"""
    calls = events[events["kind"].isin(["demand_response_started", "demand_response_ended"])]
    if not len(calls):
        return None
    cap_mw = np.full(len(t_s), np.inf)
    for at_s, kind, p_mw in zip(calls["t_s"], calls["kind"], calls["value"], strict=True):
        cap_mw[int(np.searchsorted(t_s, at_s)) :] = p_mw if kind == "demand_response_started" else np.inf
    return cap_mw


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
