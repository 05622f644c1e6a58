"""From the area's config to the arrays that its kernel steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cosim.area.config import AreaConfig, FrequencyResponseConfig
from cosim.area.kernel import AREA, STEP, AreaArrays
from cosim.units import to_us


def build_area(config: AreaConfig | None, f_nominal_hz: float) -> AreaArrays:
    """Arrays of the area at t = 0, at nominal frequency; without a config of one whose frequency stays.

    Parameters
    ----------
    config : AreaConfig or None
    f_nominal_hz : float
        Of the feeder. [Hz]
    """
    area: Any = np.zeros(1, AREA)
    steps: list[tuple[float, int, float, int, int]] = []
    if config is not None:
        record = area[0]
        base = config.s_base_mva / f_nominal_hz
        record["present"], record["f0_hz"] = 1, f_nominal_hz
        record["start_us"] = to_us(config.start_s)
        record["m"], record["b"] = 2 * config.inertia_s * base, config.damping * base
        record["k"] = base / config.droop if config.droop is not None else 0.0
        if config.secondary_s is not None:
            record["k_secondary"] = (record["k"] + record["b"]) / config.secondary_s
        record["dead_hz"], record["governor_s"] = config.dead_band_hz, config.governor_s
        record["max_up_mw"] = math.inf if config.max_up_mw is None else config.max_up_mw
        record["max_down_mw"] = math.inf if config.max_down_mw is None else config.max_down_mw
        steps = [(s.below_hz, to_us(s.delay_s), s.p_mw, -1, 0) for s in config.shedding]
    return AreaArrays(area=area, steps=np.array(steps, STEP))


def fill_response(record: Any, config: FrequencyResponseConfig | None) -> None:
    """Put what answers the frequency into a record that has the fields of `RESPONSE`."""
    if config is None:
        return
    record["fr_on"] = 1
    record["fr_droop"], record["fr_inertia"] = config.droop_mw_per_hz, config.inertia_mw_s_per_hz
    record["fr_dead_hz"], record["fr_lag_us"] = config.dead_band_hz, config.measuring_s * 1e6
    record["fr_max_mw"] = math.inf if config.max_p_mw is None else config.max_p_mw
