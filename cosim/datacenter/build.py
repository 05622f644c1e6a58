"""From facility configs to the arrays that the data center kernel steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosim.datacenter.config import ConverterConfig, EfficiencyPoint, FacilityConfig
from cosim.datacenter.kernel import POINT, SITE, SiteArrays
from cosim.errors import InputError, Problem
from cosim.units import US_PER_S, to_us

DEFAULT_MARGIN = 1.25
"""Rating over the most the load can ask, where a converter's rating is left open."""


def loss_coefficients(points: Sequence[EfficiencyPoint]) -> tuple[float, float, float]:
    """a0, a1, a2 of loss = a0 + a1 x + a2 x2 (all over the rating) through efficiency points.

    One point gives a proportional loss, two a constant and a proportional part, more a least-squares parabola
    (through the points where there are three).

    Raises
    ------
    ValueError
        The points ask for a loss that falls below zero or an input that does not rise with the output.
    """
    x = np.array([p.load for p in points])
    loss = x * (1 / np.array([p.eta for p in points]) - 1)
    if len(points) == 1:
        return 0.0, float(loss[0] / x[0]), 0.0
    powers = min(len(points), 3)
    fitted, *_ = np.linalg.lstsq(np.vander(x, powers, increasing=True), loss, rcond=None)
    a0, a1, a2 = (*(float(v) for v in fitted), 0.0)[:3]
    grid = np.linspace(0.0, 1.5, 151)
    if a0 < 0 or a2 < 0 or 1 + a1 <= 0 or np.any(a0 + a1 * grid + a2 * grid**2 < 0):
        raise ValueError(
            f"these points ask for a loss of {a0:.4f} + {a1:.4f} x + {a2:.4f} x2, which is not one of a converter: "
            "it must stay above zero and bend upward"
        )
    return a0, a1, a2


def _converter(config: ConverterConfig, most_mw: float, where: str) -> tuple[float, float, float, float]:
    """Rating [MW] and loss coefficients in MW."""
    rating_mw = config.max_p_mw if config.max_p_mw is not None else DEFAULT_MARGIN * max(most_mw, 1e-6)
    try:
        a0, a1, a2 = loss_coefficients(config.efficiency)
    except ValueError as error:
        raise InputError(Problem(str(error), path=f"{where}.efficiency")) from None
    return rating_mw, a0 * rating_mw, a1, a2 / rating_mw


def build_sites(
    facilities: Mapping[str, FacilityConfig], p_ai_most_mw: Mapping[str, float], p_standby_mw: Mapping[str, float]
) -> SiteArrays:
    """Arrays of every data center at t = 0.

    Parameters
    ----------
    facilities : mapping of str to FacilityConfig
    p_ai_most_mw : mapping of str to float
        The most each site's AI load can draw. [MW]
    p_standby_mw : mapping of str to float
        Own consumption of each site's UPS. [MW]
    """
    sites: Any = np.zeros(len(facilities), SITE)
    points: list[tuple[float, float]] = []
    for record, (name, config) in zip(sites, facilities.items(), strict=True):
        where = f"datacenters.{name}.facility"
        cooling, support = config.cooling, config.support
        equip_mw = p_ai_most_mw[name] + config.p_other_compute_mw + config.p_network_gear_mw + config.p_storage_mw
        record["cooling_per_heat"] = 1 / cooling.chiller_cop + cooling.tower_per_heat + cooling.pumps_per_heat
        record["crac_per_heat"] = cooling.crac_per_heat
        record["cooling_tau_us"] = cooling.time_constant_s * US_PER_S
        record["p_fixed_mw"] = support.p_fixed_mw
        record["p_other_mw"] = config.p_other_compute_mw
        record["p_network_mw"] = config.p_network_gear_mw
        record["p_storage_mw"] = config.p_storage_mw
        most_mw = {
            "rect": equip_mw * (1 + cooling.crac_per_heat) + p_standby_mw[name],
            "sup": support.p_fixed_mw + record["cooling_per_heat"] * equip_mw,
        }
        for prefix, converter, key in (("rect", config.rectifier, "rectifier"), ("sup", support, "support")):
            coefficients = _converter(converter, most_mw[prefix], f"{where}.{key}")
            for field, value in zip(("max_mw", "a0", "a1", "a2"), coefficients, strict=True):
                record[f"{prefix}_{field}"] = value
            record[f"{prefix}_pf_first"] = len(points)
            record[f"{prefix}_pf_n"] = len(converter.displacement_factor)
            points += [(p.load, p.cos_phi) for p in converter.displacement_factor]
        for field in ("v_min_pu", "v_trip_pu", "v_return_pu"):
            record[field] = getattr(config, field)
        record["return_delay_us"] = to_us(config.return_delay_s)
        record["hold_up_us"] = to_us(config.hold_up_s)
        record["restart_us"] = to_us(config.restart_s)
        if config.external is not None:
            record["ext_period_us"] = period_us = to_us(config.external.period_s or 0.0)
            record["ext_e_s"] = config.external.e_s
            profile = [(float(to_us(p.t_s)), p.p_mw) for p in config.external.profile]
            if period_us:  # linear across the wrap as well
                (t0_us, first_mw), (t1_us, last_mw) = profile[0], profile[-1]
                profile = [(t1_us - period_us, last_mw), *profile, (t0_us + period_us, first_mw)]
            record["ext_first"], record["ext_n"] = len(points), len(profile)
            points += profile
        record["heat_mw"] = -1.0
        record["up"] = record["connected"] = record["in_window"] = 1
        record["v_ok_us"], record["short_us"], record["vm_pu"] = 0, -1, 1.0
    return SiteArrays(sites=sites, points=np.array(points, POINT))
