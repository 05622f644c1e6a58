"""From UPS configs to the arrays that the UPS kernel steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.units import US_PER_S, to_us
from cosim.ups.config import UpsConfig
from cosim.ups.kernel import MWS_PER_MWH, UPS, UpsArrays


def build_ups(
    configs: Mapping[str, UpsConfig | None], *, step_us: int, events: NDArray[Any], n_event: NDArray[np.int64]
) -> UpsArrays:
    """Arrays of every site's UPS at t = 0; a site without one has a record that is not present.

    Parameters
    ----------
    configs : mapping of str to UpsConfig or None
    step_us : int
        Base step. [us]
    events, n_event : ndarray
        Ring in which the kernel notes its events.
    """
    units: Any = np.zeros(len(configs), UPS)
    n_history = 0
    for record, config in zip(units, configs.values(), strict=True):
        record["hist_first"], record["hist_n"] = n_history, 1
        record["eta_charge"] = record["eta_discharge"] = 1.0
        if config is not None:
            _fill(record, config)
            record["taper_s"] = max(config.taper_s, step_us / US_PER_S)
            record["hist_n"] = max(1, round(config.window_s * US_PER_S / step_us))
            record["window_s"] = record["hist_n"] * step_us / US_PER_S
            limit = max(config.max_ramp_mw_per_s, config.max_decline_mw_per_s)
            record["release_mw"] = config.release_fraction * limit * record["window_s"]
        n_history += int(record["hist_n"])
    return UpsArrays(units=units, history_mw=np.zeros(n_history), events=events, n_event=n_event)


def _fill(record: Any, config: UpsConfig) -> None:
    full = config.max_e_mwh * MWS_PER_MWH
    record["present"] = record["in_service"] = 1
    record["max_charge_mw"], record["max_discharge_mw"] = config.max_p_charge_mw, config.max_p_discharge_mw
    record["eta_charge"], record["eta_discharge"] = config.eta_charge, config.eta_discharge
    record["p_standby_mw"] = config.p_standby_mw
    record["e_full"] = full
    for field in ("min", "reserve", "target", "max"):
        record[f"e_{field}"] = getattr(config, f"soc_{field}") * full
    for field in ("e", "e_init", "e_lowest", "e_highest"):
        record[field] = config.soc_init * full
    record["ramp"], record["decline"] = config.max_ramp_mw_per_s, config.max_decline_mw_per_s
    record["release_hold_us"] = to_us(config.release_hold_s)
    record["return_s"], record["taper_s"] = config.return_s, config.taper_s
