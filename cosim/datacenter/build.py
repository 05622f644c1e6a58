"""From facility configs to the arrays that the data center kernel steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.area.build import fill_response
from cosim.converter.curve import loss_in_mw
from cosim.datacenter.config import CompositeConfig, ConverterConfig, FacilityConfig, GeneratorConfig
from cosim.datacenter.kernel import POINT, SITE, SiteArrays
from cosim.units import US_PER_S, to_us

DEFAULT_MARGIN = 1.25
"""Rating over the most the load can ask, where a converter's rating is left open."""


def _converter(config: ConverterConfig, most_mw: float) -> tuple[float, float, float, float]:
    """Rating [MW] and loss coefficients in MW."""
    rating_mw = config.max_p_mw if config.max_p_mw is not None else DEFAULT_MARGIN * max(most_mw, 1e-6)
    return rating_mw, *loss_in_mw(config.efficiency, rating_mw)


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
        for prefix, converter in (("rect", config.rectifier), ("sup", support)):
            coefficients = _converter(converter, most_mw[prefix])
            for field, value in zip(("max_mw", "a0", "a1", "a2"), coefficients, strict=True):
                record[f"{prefix}_{field}"] = value
            record[f"{prefix}_pf_first"] = len(points)
            record[f"{prefix}_pf_n"] = len(converter.displacement_factor)
            points += [(p.load, p.cos_phi) for p in converter.displacement_factor]
        record["v_min_pu"], record["v_trip_pu"] = config.v_min_pu, config.v_trip_pu
        record["e_bus_full"] = config.hold_up_s * most_mw["rect"]
        record["v_dc_min_pu"] = config.v_dc_min_pu
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
        _fill_cooling(record, config)
        fill_response(record, config.frequency)
        if config.composite is not None:
            _fill_composite(record, config.composite)
        if config.generator is not None:
            _fill_generator(record, config.generator)
        record["heat_mw"] = -1.0
        record["up"] = record["connected"] = record["rect_on"] = record["in_window"] = 1
        record["vm_pu"] = record["v_dc_pu"] = 1.0
    return SiteArrays(sites=sites, points=np.array(points, POINT))


def _fill_cooling(record: Any, config: FacilityConfig) -> None:
    cooling = config.cooling
    record["cool_drop_pu"] = config.v_trip_pu if cooling.v_drop_pu is None else cooling.v_drop_pu
    record["cool_drop_us"], record["cool_restart_us"] = to_us(cooling.drop_s), to_us(cooling.restart_s)
    record["cool_start_factor"], record["cool_start_us"] = cooling.start_factor, to_us(cooling.start_s)
    record["cool_limit_us"] = -1 if cooling.ride_through_s is None else to_us(cooling.ride_through_s)
    record["cool_on"], record["cool_began_us"] = 1, -record["cool_start_us"]
    record["cool_ok_us"] = record["cool_low_us"] = -1


def _fill_composite(record: Any, config: CompositeConfig) -> None:
    """It never trips as a whole: what the feeder does not give its own storage does."""
    record["comp_on"], record["v_trip_pu"] = 1, 0.0
    record["comp_start_pu"], record["comp_all_pu"] = config.v_start_pu, config.v_all_pu
    record["comp_part"], record["comp_us"] = config.cease_part, to_us(config.cease_delay_s)
    record["comp_back_pu"], record["comp_back_us"] = config.v_return_pu, to_us(config.return_delay_s)
    record["comp_back_part"], record["comp_ramp"] = config.return_part, 1.0 / config.return_s
    record["comp_low_us"] = record["comp_ok_us"] = -1


def _fill_generator(record: Any, config: GeneratorConfig) -> None:
    record["gen_max_mw"] = config.max_p_mw
    record["gen_after_us"], record["gen_start_us"] = to_us(config.start_after_s), to_us(config.start_s)
    record["gen_block_mw"] = config.pick_up_mw or config.max_p_mw
    record["gen_ramp"] = config.ramp_mw_per_s or config.max_p_mw / 20.0
    record["gen_retransfer_us"] = to_us(config.retransfer_s)
    record["gen_since_us"] = -1
