"""What a plan asks beyond the log: the feeder at the point of interconnection, and the least storage there could be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cosim.errors import CosimError
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.feeder import Feeder
from cosim.metrics.analysis import Analysis
from cosim.metrics.interconnection import Interconnection, interconnection
from cosim.metrics.log import Floats, Log, column, has
from cosim.metrics.model import feeder_of
from cosim.metrics.rating import datacenter_bus
from cosim.metrics.storage import Storage
from cosim.metrics.trafo_loss import TrafoLoss, trafo_loss
from cosim.ups.optimum import least_storage

MAX_ROW = 20_000
"""Steps of the optimum's linear program: some five seconds."""
MAX_SOLVE_S = 15.0
"""Longest time that each of its two programs may take. [s]"""
MAX_STEP_S = 1.0
"""Coarsest step of the optimum; of a longer run it is not told. [s]"""
_NO_MODEL = "the feeder's model cannot be read from here"


@dataclass(frozen=True)
class Distance:
    """Storage that a controller used, and the least with which any could have held the same limits on the same load."""

    controller: str
    e_mwh: float
    """Largest less smallest energy stored. [MWh]"""
    p_mw: float
    """Largest power of the storage, charging or discharging. [MW]"""
    least_e_mwh: float
    """Least energy, of a storage without losses. [MWh]"""
    least_p_mw: float
    """Least power with that energy. [MW]"""
    step_s: float
    """Step of the linear program; where it is coarser than the log's, the least is a lower bound. [s]"""

    def summary(self) -> dict[str, Any]:
        """Plain numbers, with ratios where there is something to divide by."""
        numbers = {**vars(self)}
        if self.least_e_mwh > 0.0:
            numbers["e_over_least"] = self.e_mwh / self.least_e_mwh
        if self.least_p_mw > 0.0:
            numbers["p_over_least"] = self.p_mw / self.least_p_mw
        return numbers


@dataclass(frozen=True)
class Planning:
    """What a plan asks beyond the log; of what is missing, why."""

    interconnection: dict[str, Interconnection] = field(default_factory=dict)
    """By data center."""
    trafo_loss: TrafoLoss | None = None
    optimum: dict[str, Distance] = field(default_factory=dict)
    """By UPS."""
    why_not: dict[str, str] = field(default_factory=dict)
    """`interconnection`, `interconnection.<name>`, `optimum.<name>`: why it is not told."""

    def summary(self) -> dict[str, Any]:
        """Plain values; what is empty is left out."""
        found: dict[str, Any] = {
            "interconnection": {name: interconnection_summary(one) for name, one in self.interconnection.items()},
            "trafo_loss": None if self.trafo_loss is None else self.trafo_loss.summary(),
            "optimum": {name: one.summary() for name, one in self.optimum.items()},
            "not_told": self.why_not,
        }
        return {key: value for key, value in found.items() if value}


def interconnection_summary(one: Interconnection) -> dict[str, Any]:
    """Plain values; a short-circuit power without bound is left out."""
    return {**vars(one), "rejection_rise_pu": one.rejection_rise_pu}


def plan(log: Log, found: Analysis) -> Planning:
    """What needs the feeder's model, which is read from the cache or its file.

    Parameters
    ----------
    log : Log
    found : Analysis
        Its metrics.
    """
    why_not: dict[str, str] = {}
    feeder = feeder_of(log)
    points: dict[str, Interconnection] = {}
    losses = None
    if feeder is None:
        why_not |= {"interconnection": _NO_MODEL} if found.datacenter else {}
    else:
        losses = _trafo_loss(feeder, found)
        for name in found.datacenter:
            try:
                points[name] = _interconnection(log, found, feeder, name)
            except CosimError as error:
                why_not[f"interconnection.{name}"] = str(error)
    return Planning(points, losses, why_not=why_not)


def with_optimum(planning: Planning, log: Log, found: Analysis) -> Planning:
    """The same with the distance of each UPS's controller to the offline optimum: seconds for each."""
    optimum: dict[str, Distance] = {}
    why_not = dict(planning.why_not)
    for name, storage in found.ups.items():
        told = _distance(log, found, name, storage)
        if isinstance(told, Distance):
            optimum[name] = told
        elif told:
            why_not[f"optimum.{name}"] = told
    return replace(planning, optimum=optimum, why_not=why_not)


def _interconnection(log: Log, found: Analysis, feeder: Feeder, name: str) -> Interconnection:
    """The feeder at a data center's bus, with its largest power from the grid at its mean power factor."""
    scenario, part = log.scenario, found.datacenter[name]
    grid = part.power.get("grid") or part.power.get("total")
    p_mw = max(grid.peak_mw, 0.0) if grid is not None else 0.0
    factor = found.standards.power_factor.get(name)
    cos = min(max(factor.mean, 0.1), 1.0) if factor is not None else 1.0
    q_mvar = math.copysign(p_mw * math.tan(math.acos(cos)), _mean_q_mvar(log, name))
    source = SourceConfig.model_validate(scenario["source"]) if scenario.get("source") else None
    config = FeederConfig.model_validate({k: scenario["feeder"][k] for k in _KEPT if k in scenario["feeder"]})
    return interconnection(feeder, str(datacenter_bus(scenario, name)), p_mw, q_mvar, source, config)


_KEPT = ("model", "load_scaling")
"""What of a scenario's feeder the network without its controls depends on."""


def _mean_q_mvar(log: Log, name: str) -> float:
    path = f"datacenter/{name}/q_mvar"
    return float(np.mean(log.read(path, 0, 10_000))) if has(log, path) else 1.0


def _trafo_loss(feeder: Feeder, found: Analysis) -> TrafoLoss | None:
    known = set(feeder.trafo_names)
    if found.trafo_square is None or not found.trafo_name or not known.issuperset(found.trafo_name):
        return None
    return trafo_loss(feeder.network, found.trafo_name, found.trafo_square)


def _distance(log: Log, found: Analysis, name: str, storage: Storage) -> Distance | str:
    """How far a UPS's controller is from the offline optimum, else why that is not told."""
    ups: Mapping[str, Any] = ((log.scenario.get("datacenters") or {}).get(name) or {}).get("ups") or {}
    controller = str((ups.get("smoothing") or {}).get("controller", "trigger"))
    limits = [ups.get(key) for key in ("max_ramp_mw_per_s", "max_decline_mw_per_s")]
    path = f"datacenter/{name}/p_need_mw"
    if controller == "none" or None in limits or storage.max_e_mwh is None or not has(log, path) or log.n_rows < 3:
        return ""
    if len(found.disturbed):
        return "the supply was disturbed: the optimum knows of smoothing only"
    n = -(-log.n_rows // MAX_ROW)
    step_s = n * found.step_s
    if n > 1 and step_s > MAX_STEP_S:
        most_s = MAX_ROW * max(MAX_STEP_S, found.step_s)
        return f"too long: a run of {found.end_s - found.start_s:.6g} s, solved in seconds are {most_s:.6g} s"
    ramp, decline = (float(limit or 0.0) for limit in limits)
    need = _means(column(log, path, np.float64), n)
    try:
        optimum = least_storage(
            need, step_s, max_ramp_mw_per_s=ramp, max_decline_mw_per_s=decline, max_solve_s=MAX_SOLVE_S
        )
    except TimeoutError as error:
        return f"the optimum was {error}"
    used_mwh = (storage.soc_max - storage.soc_min) * storage.max_e_mwh
    if storage.second_e_mwh > 0.0:  # the range of what both hold together, not the sum of their ranges
        parts = ((storage.max_e_mwh, "soc"), (storage.second_e_mwh, "second_soc"))
        used_mwh = float(np.ptp(sum(e * column(log, f"ups/{name}/{soc}", np.float64) for e, soc in parts)))
    used_mw = max(storage.max_p_charge_mw, storage.max_p_discharge_mw)
    return Distance(controller, used_mwh, used_mw, optimum.e_mwh, optimum.p_mw, step_s)


def _means(p_mw: Floats, n: int) -> Floats:
    """Means of `n` rows each: whatever holds the limits on the rows does so on these, so they need no more storage."""
    whole = len(p_mw) // n * n
    means: Floats = p_mw[:whole].reshape(-1, n).mean(axis=1)
    return means
