"""Totals of a run, accumulated at full step: energies, how exactly they close, extremes by bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.engine import kernel_log as kl
from cosim.engine.serving import serving_totals
from cosim.feeder.network import TAP
from cosim.load.counts import job_counts
from cosim.units import US_PER_DAY, US_PER_S

if TYPE_CHECKING:
    from cosim.engine.simulation import Simulation

_MWS_PER_MWH = 3600.0


def run_totals(sim: Simulation) -> dict[str, float | np.ndarray]:
    """Totals of a run so far, by path under `/metrics`; energies in MWh.

    The feeder balance is source + generation = loads (shunts among them) + losses + data centers, on the solved
    injections with losses summed over the branches.

    The facility balance is grid + external = equipment + CRAC + standby + support
    + conversion losses + UPS. `e_between_solves_mwh` is what change-driven solving left between the two.
    """
    out: dict[str, float | np.ndarray] = {}
    t = sim.clock.totals
    energy = {
        "e_source_mwh": t[kl.E_SOURCE],
        "e_generation_mwh": t[kl.E_GEN],
        "e_load_mwh": t[kl.E_LOAD],
        "e_shunt_mwh": t[kl.E_SHUNT],
        "e_loss_mwh": t[kl.E_LOSS],
        "e_datacenters_mwh": t[kl.E_PORTS],
    }
    out |= {f"energy/{name}": float(value) / _MWS_PER_MWH for name, value in energy.items()}
    given = t[kl.E_SOURCE] + t[kl.E_GEN]
    taken = t[kl.E_LOAD] + t[kl.E_LOSS] + t[kl.E_PORTS]
    out["energy/feeder_balance_relative"] = _relative(given - taken, abs(t[kl.E_SOURCE]) + abs(t[kl.E_GEN]))
    whole_gap, stored_all, ext_all = given - taken, 0.0, 0.0
    for name, site, unit, ride in zip(sim.sites, sim.dc.sites, sim.ups.units, sim.ups.rides, strict=True):
        totals, gap, stored = _site_totals(site, unit)
        out |= {f"datacenter/{name}/{key}": value for key, value in totals.items()}
        if unit["present"]:
            out |= {f"ups/{name}/{key}": value for key, value in _ups_totals(unit, ride).items()}
        whole_gap += gap
        stored_all += stored
        ext_all += float(site["e_ext"])
    out["energy/e_stored_mwh"] = stored_all / _MWS_PER_MWH
    out["energy/balance_relative"] = _relative(whole_gap, abs(given) + abs(ext_all))
    out["solver/n_instant"] = float(sim.clock.time[kl.N_INSTANT])
    out["solver/n_solve"] = float(sim.clock.time[kl.N_SOLVE])
    out["solver/n_surface"] = float(sim.clock.time[kl.N_SURFACE])
    counts = sim.compiled.surface_counts()
    out["solver/n_surface_check"] = counts["n_checked"]
    out["solver/n_surface_given_up"] = counts["n_refused"]
    out["solver/worst_surface_check_pu"] = counts["worst_check_pu"]
    out["solver/max_imbalance_mw"] = float(t[kl.MAX_IMBALANCE])
    out["solver/max_dvm_pu"] = float(sim.clock.limits[0])
    out["solver/largest_bound_pu"] = float(t[kl.MAX_BOUND])
    out |= _bus_totals(sim)
    out |= _device_totals(sim)
    out |= _area_totals(sim.area.area[0])
    out |= serving_totals(sim)
    return out | _jobs_totals(sim)


def _jobs_totals(sim: Simulation) -> dict[str, float]:
    """What every job did, how long it ran, and by how much a lasting step of its command shifts its energy."""
    out: dict[str, float] = {}
    for name, job in zip(sim.job_names, sim.load.jobs, strict=True):
        site, _, own = name.partition("/")
        counts = job_counts(sim.scenario.datacenters[site].load, own, job, sim.load.classes, sim.load.queues)
        out |= {f"job/{name}/{key}": value for key, value in counts.items()}
        out[f"job/{name}/run_s"] = float(job["run_us"]) / US_PER_S
        out[f"job/{name}/lost_s"] = float(job["lost_us"]) / US_PER_S
        out |= {f"job/{name}/{key}": value for key, value in _job_totals(job).items()}
        for way in ("up", "down"):
            edge = job[way]
            if edge["omega"] > 0:  # of a lasting step; Eq. 9 with the lag: C - 2 zeta / omega_n
                c_s = edge["k1"] + 2 * edge["zeta"] * (1 - edge["k0"]) / edge["omega"]
                shift_s = c_s - 2 * edge["zeta"] / edge["omega"] - edge["tau_s"]
                out[f"job/{name}/{way}_step_energy_shift_s"] = float(shift_s)
    return out


def _area_totals(area: Any) -> dict[str, float]:
    """Extremes of the area's frequency [Hz], when they were [s], and how fast it changed [Hz/s]."""
    if not area["present"]:
        return {}
    return {
        "area/lowest_hz": float(area["f0_hz"] + area["lowest_hz"]),
        "area/lowest_t_s": float(area["lowest_us"]) / US_PER_S,
        "area/highest_hz": float(area["f0_hz"] + area["highest_hz"]),
        "area/highest_t_s": float(area["highest_us"]) / US_PER_S,
        "area/max_slope_hz_per_s": float(area["max_slope_hz_s"]),
        "area/p_shed_mw": float(area["p_shed_mw"]),
    }


def _job_totals(job: Any) -> dict[str, float]:
    """What stragglers and its owner's mitigation cost a job in time, iterations and energy. [s, 1, MWh]"""
    n = float(job["n_done"])
    out: dict[str, float] = {}
    if job["wait_mean_us"] > 0:
        out["waited_s"] = float(job["waited_us"]) / US_PER_S
    if job["control_us"] > 0:
        delayed_s = float(job["delay_us"]) / US_PER_S
        worked_s = float(job["run_us"]) / US_PER_S - delayed_s
        out["delayed_s"] = delayed_s
        out["n_iteration_lost"] = n * delayed_s / worked_s if worked_s > 0 else 0.0
        out["e_without_work_mwh"] = float(job["e_extra"]) / _MWS_PER_MWH
        out["e_held_back_mwh"] = float(job["e_short"]) / _MWS_PER_MWH
    return out


def _relative(gap: float, whole: float) -> float:
    return float(gap / whole) if whole > 0 else float(gap)


def _site_totals(site: Any, unit: Any) -> tuple[dict[str, float], float, float]:
    """Energies of one data center [MWh], the gap of its balance and what its UPS stored [MWs]."""
    used = site["e_equip"] + site["e_crac"] + site["e_standby"] + site["e_sup_ac"] + site["e_rect_loss"]
    stored = _stored(unit)
    # what the UPS took from the bus is stored or lost, by its own books
    gap = site["e_grid"] + site["e_ext"] - used - (stored + unit["e_loss"])
    energies = {
        "e_total_mwh": site["e_grid"] + site["e_ext"],
        "e_grid_mwh": site["e_grid"],
        "e_external_mwh": site["e_ext"],
        "e_generator_mwh": site["e_gen"],
        "e_throttled_mwh": site["e_cut"],
        "e_ai_mwh": site["e_ai"],
        "e_it_mwh": site["e_equip"],
        "e_crac_mwh": site["e_crac"],
        "e_ups_standby_mwh": site["e_standby"],
        "e_support_mwh": site["e_sup"],
        "e_support_loss_mwh": site["e_sup_ac"] - site["e_sup"],
        "e_rectifier_loss_mwh": site["e_rect_loss"],
        "e_unserved_mwh": site["e_unserved"],
        "e_between_solves_mwh": site["e_grid"] - site["e_solved"],
    }
    out = {name: float(value) / _MWS_PER_MWH for name, value in energies.items()}
    consumed = site["e_grid"] + site["e_ext"] - stored
    out["pue"] = float(consumed / site["e_equip"]) if site["e_equip"] > 0 else 0.0
    out["p_max_mw"] = float(site["p_max_mw"])
    out["down_s"] = float(site["down_us"]) / US_PER_S
    out["without_cooling_s"] = float(site["warm_us"]) / US_PER_S
    out["balance_relative"] = _relative(float(gap), float(abs(site["e_grid"]) + abs(site["e_ext"])))
    return out, float(gap), stored


def _stored(unit: Any) -> float:
    """What both storages of a UPS hold more than at the start. [MWs]"""
    return float(unit["e"] - unit["e_init"] + unit["s2_e"] - unit["s2_e_init"])


def _second_totals(unit: Any) -> dict[str, float]:
    if not unit["s2_on"]:
        return {}
    full = float(unit["s2_e_full"])
    return {
        "second_e_charged_mwh": float(unit["s2_charged"]) / _MWS_PER_MWH,
        "second_e_discharged_mwh": float(unit["s2_discharged"]) / _MWS_PER_MWH,
        "second_soc_min": float(unit["s2_lowest"]) / full,
        "second_soc_max": float(unit["s2_highest"]) / full,
    }


def _ups_totals(unit: Any, ride: Any) -> dict[str, float]:
    full = float(unit["e_full"])
    return _second_totals(unit) | {
        "e_charged_mwh": float(unit["e_charged"]) / _MWS_PER_MWH,
        "e_discharged_mwh": float(unit["e_discharged"]) / _MWS_PER_MWH,
        "e_loss_mwh": float(unit["e_loss"]) / _MWS_PER_MWH,
        "e_stored_mwh": _stored(unit) / _MWS_PER_MWH,
        "soc_min": float(unit["e_lowest"]) / full,
        "soc_max": float(unit["e_highest"]) / full,
        "soc_end": float(unit["e"]) / full,
        "engaged_s": float(unit["engaged_us"]) / US_PER_S,
        "saturated_s": float(unit["saturated_us"]) / US_PER_S,
        "carrying_s": float(unit["carrying_us"]) / US_PER_S,
        "n_engaged": float(unit["n_engaged"]),
        "n_carried": float(unit["n_carried"]),
        "max_excess_mw": float(unit["max_excess_mw"]),
        "n_transfer": float(ride["n_transfer"]),
        "n_lockout": float(ride["n_lockout"]),
        "off_feeder_s": float(ride["off_us"]) / US_PER_S,
    }


def _bus_totals(sim: Simulation) -> dict[str, float | np.ndarray]:
    """Lowest voltage while energized and time in sag (below 0.9 pu) of every watched phase, at full step."""
    log = sim.log
    if not any(column.path.startswith("bus/") for column in sim.columns):  # so the log has no names for them
        lowest = log.lowest_vm[np.isfinite(log.lowest_vm)]
        return {
            "bus_extremes/lowest_vm_pu": float(lowest.min()) if lowest.size else 0.0,
            "bus_extremes/n_bus_with_sag": float((log.n_sag > 0).sum()),
            "bus_extremes/longest_sag_s": float(log.longest_us.max(initial=0)) / US_PER_S,
        }
    return {
        "bus/lowest_vm_pu": np.where(np.isfinite(log.lowest_vm), log.lowest_vm, 0.0),
        "bus/sag_s": log.sag_us / US_PER_S,
        "bus/longest_sag_s": log.longest_us / US_PER_S,
        "bus/n_sag": log.n_sag.astype(float),
    }


def _device_totals(sim: Simulation) -> dict[str, float | np.ndarray]:
    """Operations of every regulator and capacitor bank, and the range of taps; a move of several taps counts each."""
    counts = sim.desk.n_operations if sim.desk is not None else {}
    days = sim.now_us / US_PER_DAY
    out: dict[str, float | np.ndarray] = {}
    for d, (name, kind) in enumerate(zip(sim.compiled.device_names, sim.compiled.network.dev_kind, strict=True)):
        group = f"{'regulator' if kind == TAP else 'capacitor'}/{name.replace('/', '|')}"  # a slash would nest groups
        n = float(counts.get(name, 0))
        out[f"{group}/n_operation"] = n
        out[f"{group}/n_operation_per_day"] = n / days if days > 0 else 0.0
        position = "tap" if kind == TAP else "n_on"
        out[f"{group}/{position}_min"], out[f"{group}/{position}_max"] = sim.device_range[:, d].tolist()
    return out
