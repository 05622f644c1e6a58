"""Ratings that a resolved scenario gives of a data center."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.metrics.log import AnyFloats
from cosim.units import W_PER_MW


@dataclass(frozen=True)
class FleetRating:
    """Ratings of the accelerators of one data center and what their servers draw beside them."""

    tdp_mw: float
    """Sum of the accelerators' rated power, N P_peak of Eq. 6. [MW]"""
    idle_mw: float
    """Sum of their idle power. [MW]"""
    base_mw: float
    """P_base of Eq. 11-17. [MW]"""


def fleet_rating(scenario: Mapping[str, Any], name: str) -> FleetRating | None:
    """Ratings of a data center's accelerators; None where the scenario gives none (a measured trace)."""
    load = _datacenter(scenario, name).get("load") or {}
    fleet = load.get("accelerators")
    if not fleet:
        return None
    count = float(fleet["count"])
    return FleetRating(
        tdp_mw=count * float(fleet["p_peak_w"]) / W_PER_MW,
        idle_mw=count * float(fleet["p_idle_w"]) / W_PER_MW,
        base_mw=float(load.get("p_base_mw") or 0.0),
    )


def storage_energy_mwh(scenario: Mapping[str, Any], name: str) -> float | None:
    """Energy of a data center's storage, full to empty, of a hybrid that of the first; None without a UPS. [MWh]"""
    ups = _datacenter(scenario, name).get("ups") or {}
    return float(ups["max_e_mwh"]) if ups.get("max_e_mwh") else None


def second_energy_mwh(scenario: Mapping[str, Any], name: str) -> float:
    """Energy of a hybrid's second storage; 0 where there is none. [MWh]"""
    return float(((_datacenter(scenario, name).get("ups") or {}).get("second") or {}).get("max_e_mwh") or 0.0)


def storage_kind(scenario: Mapping[str, Any], name: str) -> str:
    """Kind of a data center's storage, as `ups.storage` has it; lithium where it does not say."""
    return str((_datacenter(scenario, name).get("ups") or {}).get("storage") or "lithium")


def second_kind(scenario: Mapping[str, Any], name: str) -> str | None:
    """Kind of a hybrid's second storage, a supercapacitor where it does not say; None where there is none."""
    second = (_datacenter(scenario, name).get("ups") or {}).get("second")
    return None if second is None else str(second.get("storage") or "supercapacitor")


def window_pu(scenario: Mapping[str, Any], name: str) -> float:
    """Lower end of a data center's voltage window; 0.9 where the scenario does not say. [pu]"""
    return float((_datacenter(scenario, name).get("facility") or {}).get("v_min_pu") or 0.9)


def datacenter_bus(scenario: Mapping[str, Any], name: str) -> str | None:
    """Bus of a data center; None where the scenario does not say."""
    bus = _datacenter(scenario, name).get("bus")
    return None if bus is None else str(bus)


def sees_phase_to_phase(scenario: Mapping[str, Any], name: str) -> bool:
    """Whether the voltages to ground of its bus are not what a data center sees."""
    facility: Mapping[str, Any] = _datacenter(scenario, name).get("facility") or {}
    return facility.get("v_sensed") == "phase_to_phase"


def utilization(p_ai_mw: AnyFloats, rating: FleetRating) -> AnyFloats:
    """GPU utilization that the power implies: Eq. 6 solved for U, not below 0.

    Parameters
    ----------
    p_ai_mw : ndarray
        Power of the AI accelerators' servers. [MW]
    rating : FleetRating
        Ratings; peak must lie above idle.

    Returns
    -------
    ndarray
        (P - P_base - P_idle) / (P_peak - P_idle), 0 to 1, above 1 in an excursion above the rating.
    """
    used: AnyFloats = (p_ai_mw - rating.base_mw - rating.idle_mw) / (rating.tdp_mw - rating.idle_mw)
    return np.maximum(used, 0.0)


def _datacenter(scenario: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    datacenters = scenario.get("datacenters") or {}
    found: Mapping[str, Any] = datacenters.get(name) or {}
    return found
