"""From UPS configs to the arrays that the UPS kernels step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.area.build import fill_response
from cosim.converter.curve import EfficiencyPoint, loss_in_mw
from cosim.units import US_PER_S, to_us
from cosim.ups import state as st
from cosim.ups.config import SecondStorageConfig, UpsConfig
from cosim.ups.curves import Curve
from cosim.ups.ride_config import RideThroughConfig
from cosim.ups.state import MWS_PER_MWH, RIDE, SHED, THRESHOLD, UPS, UpsArrays

_CONTROLLERS = {
    "none": st.NO_CONTROLLER,
    "trigger": st.TRIGGER,
    "ramp_limiter": st.RAMP_LIMITER,
    "filter": st.BAND_FILTER,
    "predictive": st.PREDICTIVE,
    "external": st.EXTERNAL,
}


@dataclass(frozen=True)
class SupplyLimits:
    """What of a facility decides when it leaves the feeder and comes back."""

    v_trip_pu: float
    v_return_pu: float
    return_delay_s: float
    detection_s: float


def build_ups(
    configs: Mapping[str, UpsConfig | None],
    supplies: Mapping[str, SupplyLimits],
    jobs: Sequence[tuple[str, str]],
    *,
    step_us: int,
    events: NDArray[Any],
    n_event: NDArray[np.int64],
) -> UpsArrays:
    """Arrays of every site's UPS at t = 0; a site without one has a record that is not present.

    Parameters
    ----------
    configs : mapping of str to UpsConfig or None
    supplies : mapping of str to SupplyLimits
        Of the same sites.
    jobs : sequence of (site, job)
        In kernel order, for what is shed.
    step_us : int
        Base step. [us]
    events, n_event : ndarray
        Ring in which the kernel notes its events.
    """
    units: Any = np.zeros(len(configs), UPS)
    rides: Any = np.zeros(len(configs), RIDE)
    thresholds: list[tuple[float, int, int, int]] = []
    sheds: list[tuple[float, int, float]] = []
    n_history = n_past = n_late = n_seen = 0
    for s, (name, config) in enumerate(configs.items()):
        record, ride = units[s], rides[s]
        _clear(record)
        if config is not None:
            _fill(record, config, step_us)
            record["shed_first"], own = len(sheds), _sheds(config, name, jobs, record["e_full"])
            record["shed_n"] = len(own)
            sheds += own
        record["hist_first"], record["past_first"], record["delay_first"] = n_history, n_past, n_late
        n_history, n_past = n_history + int(record["hist_n"]), n_past + int(record["past_n"])
        n_late += int(record["delay_n"])
        how = config.ride_through if config is not None else RideThroughConfig()
        ride["first"], ride["seen_first"] = len(thresholds), n_seen
        thresholds += _fill_ride(ride, how, supplies[name])
        n_seen += int(ride["count_n"])
    return UpsArrays(
        units=units,
        rides=rides,
        thresholds=np.array(thresholds, THRESHOLD),
        seen_us=np.zeros(n_seen, np.int64),
        sheds=np.array(sheds, SHED),
        history_mw=np.zeros(n_history),
        past_mw=np.zeros(n_past),
        late_mw=np.zeros(n_late),
        events=events,
        n_event=n_event,
    )


def _clear(record: Any) -> None:
    """A site without a UPS: histories of one, no loss, no cap, nothing told."""
    record["hist_n"] = record["past_n"] = record["ahead_n"] = 1
    record["eta_charge"] = record["eta_discharge"] = record["s2_eta_charge"] = record["s2_eta_discharge"] = 1.0
    record["cap_mw"] = record["cap_goal_mw"] = math.inf
    record["p_set_mw"] = math.nan


def _fill(record: Any, config: UpsConfig, step_us: int) -> None:
    full = config.max_e_mwh * MWS_PER_MWH
    record["present"] = record["in_service"] = 1
    record["topology"] = st.AC_DC if config.topology == "ac_dc" else st.DC_BUS
    record["max_charge_mw"], record["max_discharge_mw"] = config.max_p_charge_mw, config.max_p_discharge_mw
    rating = max(config.max_p_charge_mw, config.max_p_discharge_mw)
    record["max_ac_mw"] = config.max_p_ac_mw or rating
    record["max_recharge_mw"] = min(config.max_p_recharge_mw or math.inf, config.max_p_charge_mw)
    record["eta_charge"], record["eta_discharge"] = config.eta_charge, config.eta_discharge
    ac_key = "ac_converter" if config.ac_converter is not None else "dc_converter"
    for prefix, key, power in (("dc", "dc_converter", rating), ("ac", ac_key, record["max_ac_mw"])):
        for field, value in zip(("a0", "a1", "a2"), _losses(getattr(config, key), power), strict=True):
            record[f"{prefix}_{field}"] = value
    record["p_standby_mw"] = config.p_standby_mw
    record["p_self_mw"] = config.self_discharge_per_h * config.max_e_mwh
    record["over_factor"] = config.overload.factor if config.overload else 1.0
    record["over_us"] = to_us(config.overload.duration_s) if config.overload else 0
    record["e_full"] = full
    for field in ("min", "reserve", "target", "max"):
        record[f"e_{field}"] = getattr(config, f"soc_{field}") * full
    for field in ("e", "e_init", "e_lowest", "e_highest"):
        record[field] = config.soc_init * full
    record["release_hold_us"] = to_us(config.release_hold_s)
    record["return_s"] = config.return_s
    record["taper_s"] = max(config.taper_s, step_us / US_PER_S)
    record["gap_us"] = record["ac_gap_us"] = -1
    record["max_cell_mw"] = math.inf if config.max_c_rate is None else config.max_c_rate * config.max_e_mwh
    if config.second is not None:
        _fill_second(record, config.second)
    fill_response(record, config.frequency)
    _fill_smoothing(record, config, step_us)


def _fill_second(record: Any, config: SecondStorageConfig) -> None:
    full = config.max_e_mwh * MWS_PER_MWH
    record["s2_on"], record["s2_max_mw"], record["s2_e_full"] = 1, config.max_p_mw, full
    for field in ("min", "target", "max"):
        record[f"s2_e_{field}"] = getattr(config, f"soc_{field}") * full
    for field in ("s2_e", "s2_e_init", "s2_lowest", "s2_highest"):
        record[field] = config.soc_target * full
    record["s2_eta_charge"], record["s2_eta_discharge"] = config.eta_charge, config.eta_discharge
    record["s2_self_mw"] = config.self_discharge_per_h * config.max_e_mwh
    record["s2_split_s"], record["s2_return_s"] = config.split_s, config.return_s


def _fill_smoothing(record: Any, config: UpsConfig, step_us: int) -> None:
    smoothing = config.smoothing
    record["controller"] = _CONTROLLERS[smoothing.controller]
    record["ramp"], record["decline"] = config.max_ramp_mw_per_s, config.max_decline_mw_per_s
    walk_in = config.ride_through.walk_in_mw_per_s
    is_free = smoothing.controller == "none" and walk_in is None
    record["walk_in"] = math.inf if is_free else walk_in or config.max_ramp_mw_per_s
    record["hist_n"] = max(1, round(config.window_s * US_PER_S / step_us))
    record["window_s"] = record["hist_n"] * step_us / US_PER_S
    limit = max(config.max_ramp_mw_per_s, config.max_decline_mw_per_s)
    record["release_mw"] = config.release_fraction * limit * record["window_s"]
    record["omega_low"] = 2 * math.pi * smoothing.low_hz
    record["omega_high"] = 2 * math.pi * (smoothing.high_hz or 0.0)
    record["horizon_s"] = smoothing.horizon_s
    if smoothing.controller == "predictive":
        record["past_n"] = max(1, round((smoothing.period_s or smoothing.horizon_s) * US_PER_S / step_us))
        record["ahead_n"] = max(1, round(smoothing.horizon_s * US_PER_S / step_us))
    record["delay_us"] = to_us(config.response_delay_s)
    record["delay_n"] = -(-record["delay_us"] // step_us)


def _losses(points: list[EfficiencyPoint] | None, rating_mw: float) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0) if points is None else loss_in_mw(points, rating_mw)


def _sheds(
    config: UpsConfig, site: str, jobs: Sequence[tuple[str, str]], e_full: float
) -> list[tuple[float, int, float]]:
    """Energy left [MWs] and job of everything that is to be shed."""
    found = []
    for step in config.shedding:
        found += [(step.soc * e_full, list(jobs).index((site, name)), -1.0) for name in step.jobs]
    return found


def _fill_ride(ride: Any, config: RideThroughConfig, supply: SupplyLimits) -> list[tuple[float, int, int, int]]:
    """Fill a site's record; its thresholds."""
    curve: Curve = config.tolerance(supply.v_trip_pu)
    detection_us = to_us(supply.detection_s)
    found = [
        (p.vm_pu, max(to_us(p.t_s), detection_us), int(is_high), -1) for is_high, part in enumerate(curve) for p in part
    ]
    ride["detection_us"], ride["turned_us"] = detection_us, -1
    ride["n"] = len(found)
    ride["calm_low_pu"] = max((p.vm_pu for p in curve.low), default=0.0)
    ride["calm_high_pu"] = min((p.vm_pu for p in curve.high), default=math.inf)
    ride["v_return_pu"] = max(supply.v_return_pu, ride["calm_low_pu"])  # back only to what the curve bears for ever
    ride["return_delay_us"] = to_us(supply.return_delay_s)
    counter = config.counter
    ride["count_n"] = counter.n if counter else 0
    ride["count_window_us"] = to_us(counter.window_s) if counter else 0
    unlock_s = counter.unlock_after_s if counter else None
    ride["unlock_us"] = to_us(unlock_s) if unlock_s is not None else -1
    return found
