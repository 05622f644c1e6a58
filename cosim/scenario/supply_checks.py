"""Ratings of one site that contradict each other (problems), or that are only unwise (warnings).

What a facility draws is taken low here, without losses of its converters, so that nothing that works is refused.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

from cosim.datacenter.config import ConverterConfig
from cosim.errors import Problem
from cosim.scenario.events import DemandResponseStarted
from cosim.scenario.parts import Parts
from cosim.scenario.schema import DatacenterSite
from cosim.scenario.tree import Path

S_PER_H = 3600.0
W_PER_MW = 1e6

Found = tuple[Path, str, object]
"""Where in the site, what is wrong, and the value that is."""
Advice = tuple[str, str]
"""Where in the site, and what is unwise."""


def check_ratings(parts: Parts) -> Iterator[Problem]:
    """Contradictions of every site's ratings; warns of what is unwise."""
    for name, site in parts.datacenters.items():
        for keys, message, value in (*_generator_problems(site), *_shedding_problems(site)):
            yield parts.problem(("datacenters", name, *keys), message, value)
        advice = (_generator_advice, _storage_advice, _smoothing_advice, _rating_advice)
        for key, told in (found for of in advice for found in of(site)):
            warnings.warn(f"datacenters.{name}.{key}: {told}", UserWarning, stacklevel=2)
    _warn_of_empty_calls(parts)


def _warn_of_empty_calls(parts: Parts) -> None:
    """Warn of calls for demand response that ask for nothing, of sites whose peak is known."""
    for i, event in parts.events:
        if not isinstance(event, DemandResponseStarted):
            continue
        site = parts.datacenters.get(event.datacenter)
        if site is None or any(job.kind == "trace" for job in site.load.jobs.values()):
            continue
        most = peak_mva(site).real + (site.ups.max_p_charge_mw if site.ups is not None else 0.0)
        if event.p_mw >= most:
            told = f"{event.p_mw:g} MW are not below the {most:.4g} MW that {event.datacenter} draws at most"
            warnings.warn(f"events.{i}.p_mw: {told}: it asks for nothing", UserWarning, stacklevel=2)


def least_mw(site: DatacenterSite) -> float:
    """What a facility draws while all its accelerators idle and its cooling stands. [MW]"""
    return site.facility.support.p_fixed_mw + _it_mw(site, "p_idle_w")


def most_mw(site: DatacenterSite) -> float:
    """What a facility draws while all its accelerators are at their peak, cooling included; traces not. [MW]"""
    it_mw, cooling = _it_mw(site, "p_peak_w"), site.facility.cooling
    per_heat = 1.0 / cooling.chiller_cop + cooling.tower_per_heat + cooling.pumps_per_heat + cooling.crac_per_heat
    return site.facility.support.p_fixed_mw + it_mw * (1.0 + per_heat)


def peaks_mva(parts: Parts) -> dict[str, complex]:
    """What data centers draw at each bus at their peak. [MVA]"""
    found: dict[str, complex] = {}
    for name, site in parts.datacenters.items():
        found[parts.buses[name]] = found.get(parts.buses[name], 0j) + peak_mva(site)
    return found


def peak_mva(site: DatacenterSite) -> complex:
    """What a facility draws while all its accelerators are at their peak, storage at rest; traces not. [MVA]

    With the efficiency and displacement factor of the rated load.
    """
    cooling, rectifier, support = site.facility.cooling, site.facility.rectifier, site.facility.support
    it_mw = _it_mw(site, "p_peak_w")
    per_heat = 1.0 / cooling.chiller_cop + cooling.tower_per_heat + cooling.pumps_per_heat
    on_dc_mw = min(it_mw * (1.0 + cooling.crac_per_heat), rectifier.max_p_mw or math.inf)
    return _input_mva(rectifier, on_dc_mw) + _input_mva(support, support.p_fixed_mw + per_heat * it_mw)


def _input_mva(converter: ConverterConfig, p_mw: float) -> complex:
    """What a converter draws at its output, with the efficiency and displacement factor of its highest point. [MVA]"""
    p_in, cos_phi = p_mw / converter.efficiency[-1].eta, converter.displacement_factor[-1].cos_phi
    return complex(p_in, math.copysign(p_in * math.tan(math.acos(abs(cos_phi))), cos_phi))


def _it_mw(site: DatacenterSite, each_w: str) -> float:
    facility, fleet = site.facility, site.load.accelerators
    own_mw = facility.p_other_compute_mw + facility.p_network_gear_mw + facility.p_storage_mw + site.load.p_base_mw
    return own_mw + (fleet.count * getattr(fleet, each_w) / W_PER_MW if fleet is not None else 0.0)


def _generator_problems(site: DatacenterSite) -> Iterator[Found]:
    generator, least = site.facility.generator, least_mw(site)
    if generator is None:
        return
    if generator.max_p_mw < least:
        told = f"cannot even carry the facility with its accelerators idle, {least:.4g} MW: it would go dark again"
        yield ("facility", "generator", "max_p_mw"), told, generator.max_p_mw


def _shedding_problems(site: DatacenterSite) -> Iterator[Found]:
    if site.ups is None:
        return
    shed: dict[str, int] = {}
    for i, step in enumerate(site.ups.shedding):
        if step.soc <= site.ups.soc_min:
            told = f"is never reached: the storage is empty at soc_min={site.ups.soc_min:g} already"
            yield ("ups", "shedding", i, "soc"), told, step.soc
        for k, job in enumerate(step.jobs):
            if job in shed:
                told = f"{job} has gone already by shedding.{shed[job]}"
                yield ("ups", "shedding", i, "jobs", k), told, job
            shed.setdefault(job, i)


def _generator_advice(site: DatacenterSite) -> Iterator[Advice]:
    """What carries the servers until the generator is on, and whether it carries all of them then."""
    generator, ups = site.facility.generator, site.ups
    if generator is None:
        return
    if least_mw(site) <= generator.max_p_mw < most_mw(site):
        yield (
            "facility.generator.max_p_mw",
            f"{generator.max_p_mw:g} MW are less than the {most_mw(site):.4g} MW of all accelerators at their peak: "
            + ("storage gives the rest until it is empty" if ups is not None else "more than that goes dark"),
        )
    support_mw = _support_mw(site)
    if generator.pick_up_mw is not None and generator.pick_up_mw < support_mw and not _has_inverter(site):
        yield (
            "facility.generator.pick_up_mw",
            f"{generator.pick_up_mw:g} MW are less than the {support_mw:.4g} MW of support and cooling with "
            "accelerators idle: cooling waits for its ramp",
        )
    start_s = generator.start_after_s + generator.start_s
    if ups is None and start_s > site.facility.hold_up_s:
        yield (
            "facility.generator",
            f"takes {start_s:g} s to come and there is no ups: the servers go dark, and start again on it after "
            f"restart_s={site.facility.restart_s:g}",
        )
    elif ups is not None:
        held_s = (ups.soc_target - ups.soc_min) * ups.max_e_mwh * ups.eta_discharge * S_PER_H / _carried_mw(site)
        if held_s < start_s:
            yield (
                "ups.max_e_mwh",
                f"from soc_target to soc_min it carries idle accelerators for {held_s:.3g} s; the generator takes "
                f"{start_s:g} s to come",
            )


def _carried_mw(site: DatacenterSite) -> float:
    """Least that storage carries in a blackout. [MW]"""
    return max(_it_mw(site, "p_idle_w"), 1e-9)


def _support_mw(site: DatacenterSite) -> float:
    """Support and cooling with all accelerators idle. [MW]"""
    cooling = site.facility.cooling
    per_heat = 1.0 / cooling.chiller_cop + cooling.tower_per_heat + cooling.pumps_per_heat
    return site.facility.support.p_fixed_mw + per_heat * _it_mw(site, "p_idle_w")


def _has_inverter(site: DatacenterSite) -> bool:
    return site.ups is not None and site.ups.topology == "ac_dc"


def _storage_advice(site: DatacenterSite) -> Iterator[Advice]:
    ups = site.ups
    if ups is None:
        return
    if ups.topology == "ac_dc" and ups.max_p_ac_mw is None:
        most = max(ups.max_p_charge_mw, ups.max_p_discharge_mw)
        yield "ups.max_p_ac_mw", f"is not given: the inverter on the AC bus is taken for {most:g} MW"
    support_mw = _support_mw(site)
    if ups.topology == "ac_dc" and ups.max_p_ac_mw is not None and ups.max_p_ac_mw < support_mw:
        yield (
            "ups.max_p_ac_mw",
            f"{ups.max_p_ac_mw:g} MW are less than the {support_mw:.4g} MW of support and cooling with accelerators "
            "idle: a blackout stops them",
        )
    if ups.second is not None and ups.second.storage == ups.storage:
        yield "ups.second.storage", f"is {ups.storage} as the first: a hybrid is of a fast and an enduring kind"
    if ups.response_delay_s > site.facility.hold_up_s:
        yield (
            "ups.response_delay_s",
            f"{ups.response_delay_s:g} s are longer than facility.hold_up_s={site.facility.hold_up_s:g}: under full "
            "load a transfer loses the servers",
        )
    walk_in = ups.ride_through.walk_in_mw_per_s or ups.max_ramp_mw_per_s
    need_mwh = _it_mw(site, "p_idle_w") ** 2 / (2.0 * walk_in) / S_PER_H
    if need_mwh > (ups.soc_max - ups.soc_min) * ups.max_e_mwh:
        yield (
            "ups.ride_through.walk_in_mw_per_s",
            f"at {walk_in:g} MW/s the way back takes {need_mwh:.3g} MWh of storage with accelerators idle, more than "
            "it holds",
        )


def _smoothing_advice(site: DatacenterSite) -> Iterator[Advice]:
    """Keys of a controller that is not the one that smooths."""
    if site.ups is None:
        return
    for key, owner, value in site.ups.unused_keys():
        yield (
            f"ups.{key}",
            f"{value:g} does nothing: only the controller {owner} reads it, and smoothing.controller is "
            f"{site.ups.smoothing.controller}",
        )


def _rating_advice(site: DatacenterSite) -> Iterator[Advice]:
    rated, peak = site.facility.rectifier.max_p_mw, _it_mw(site, "p_peak_w")
    if rated is not None and rated < peak:
        yield (
            "facility.rectifier.max_p_mw",
            f"{rated:g} MW are less than the {peak:.4g} MW of all accelerators at their peak: "
            + ("storage gives the rest" if site.ups is not None else "the rest goes short"),
        )
