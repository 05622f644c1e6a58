"""Laws that no UPS may break, over random loads, ratings, controllers, topologies and dips.

`COSIM_LAW_EXAMPLES` sets how many scenarios are drawn: 10,000 for a nightly run.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from engine_cases import simulate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore:datacenters.campus:UserWarning")
"""Random ratings are unwise more often than not."""
N_EXAMPLES = int(os.environ.get("COSIM_LAW_EXAMPLES", "500"))
STEP_S = 0.05
GRID = "datacenter/campus/p_grid_mw"
STEPS = (
    *("window_left", "window_entered", "ups_transferred", "ups_returned", "generator_started", "generator_stopped"),
    *("cooling_lost", "cooling_returned", "dip_started", "dip_ended", "source_lost", "source_returned"),
)
"""Behind these the feeder sees a step that no storage is meant to hide."""


@st.composite
def storages(draw):
    controller = draw(st.sampled_from(["trigger", "ramp_limiter", "filter", "predictive", "none"]))
    limit = draw(st.floats(0.05, 1.0))
    soc = sorted(draw(st.lists(st.floats(0.05, 0.95), min_size=5, max_size=5, unique=True)))
    ups = {
        "topology": draw(st.sampled_from(["dc_bus", "ac_dc"])),
        "max_p_charge_mw": draw(st.floats(0.1, 4.0)),
        "max_p_discharge_mw": draw(st.floats(0.1, 4.0)),
        "max_e_mwh": 10 ** draw(st.floats(-4, 0)),
        "eta_charge": draw(st.floats(0.8, 1.0)),
        "eta_discharge": draw(st.floats(0.8, 1.0)),
        "max_ramp_mw_per_s": limit,
        "max_decline_mw_per_s": draw(st.floats(0.05, 1.0)),
        "smoothing": {"controller": controller, "low_hz": draw(st.floats(0.01, 1.0)), "horizon_s": 4.0},
        "response_delay_s": draw(st.sampled_from([0.0, 0.0, 0.1])),
        "overload": draw(st.sampled_from([None, {"factor": 1.3, "duration_s": 1}])),
        "dc_converter": draw(st.sampled_from([None, [{"load": 0.2, "eta": 0.93}, {"load": 1.0, "eta": 0.97}]])),
        "self_discharge_per_h": draw(st.sampled_from([0.0, 2.0])),
        "taper_s": draw(st.sampled_from([0.01, 0.2, 2.0])),
        "soc_min": soc[0], "soc_reserve": soc[1], "soc_init": soc[2], "soc_target": soc[3], "soc_max": soc[4],
        "ride_through": draw(
            st.sampled_from([{}, {"curve": "itic"}, {"counter": {"n": 2, "window_s": 10}}, {"walk_in_mw_per_s": 0.5}])
        ),
    }  # fmt: skip
    if ups["topology"] == "ac_dc":
        ups["max_p_ac_mw"] = draw(st.floats(0.1, 4.0))
    else:
        second = {"max_p_mw": draw(st.floats(0.1, 2.0)), "max_e_mwh": 10 ** draw(st.floats(-5, -2)), "split_s": 1.0}
        ups["second"] = draw(st.sampled_from([None, second]))
    most = max(ups["max_p_charge_mw"], 1.3 * ups["max_p_discharge_mw"], ups.get("max_p_ac_mw", 0.0))
    spare = draw(st.sampled_from([None, 1.07, 1.5]))  # what the cells bear over the larger of the ratings alone
    ups["max_c_rate"] = None if spare is None else spare * most / ups["eta_discharge"] / ups["max_e_mwh"]
    if draw(st.sampled_from([False, False, True])):  # smoothing may use the last energy too
        ups["soc_reserve"] = ups["soc_min"]
    return ups


@st.composite
def disturbances(draw):
    kind = draw(st.sampled_from(["none", "dip", "dip", "blackout"]))
    if kind == "dip":
        return [
            {"at_s": t, "kind": "dip_started", "vm_pu": draw(st.floats(0.0, 0.95)), "duration_s": 0.3}
            for t in (4.0, 7.0)
        ]
    if kind == "blackout":
        return [{"at_s": 4.0, "kind": "source_lost", "duration_s": 3.0}]
    return []


@st.composite
def facilities(draw):
    generator = {"max_p_mw": 3, "start_after_s": 0.5, "start_s": 0.5, "retransfer_s": 1}
    generator |= draw(st.sampled_from([{}, {"pick_up_mw": 0.1, "ramp_mw_per_s": 0.2}]))
    return {
        "generator": draw(st.sampled_from([None, generator])),
        "rectifier": {"max_p_mw": draw(st.sampled_from([None, None, 0.6, 1.0]))},
        "return_delay_s": 0.2,
    }


@st.composite
def scenarios(draw):
    level, low = draw(st.floats(0.5, 1.0)), draw(st.floats(0.0, 0.5))
    busy_s, pause_s = draw(st.floats(0.3, 3.0)), draw(st.floats(0.2, 2.0))
    return {
        "schema": 1,
        "name": "law",
        "seed": draw(st.integers(0, 999)),
        "time": {"duration_s": 12, "step_s": STEP_S},
        "log": {"step_s": STEP_S},
        "feeder": {"model": "case4gs"},
        "datacenters": {
            "campus": {
                "bus": "2",
                "load": {
                    "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
                    "jobs": {
                        "train": {
                            "kind": "training",
                            "cold_start": [],
                            "iteration": [
                                {"duration_s": busy_s, "utilization": level},
                                {"duration_s": pause_s, "utilization": low},
                            ],
                        }
                    },
                },
                "facility": draw(facilities()),
                "ups": draw(storages()),
            }
        },
        "events": draw(disturbances()),
    }


def _hold_second(rows, ups, second):
    """Each storage of a hybrid within its own energy and rating."""
    p_second, fade = rows["ups/campus/second_p_mw"], 0.002 * 12 / 3600
    assert 0.05 - fade - 1e-9 <= rows["ups/campus/second_soc"].min()
    assert rows["ups/campus/second_soc"].max() <= 0.95 + 1e-9
    assert np.abs(p_second).max() <= second["max_p_mw"] + 1e-9
    p_first = rows["ups/campus/p_mw"] - p_second
    assert p_first.max() <= ups["max_p_charge_mw"] + 1e-9
    over = (ups["overload"] or {"factor": 1.0})["factor"]
    assert p_first.min() >= -over * ups["max_p_discharge_mw"] - 1e-9


def _hold_cells(rows, ups, fade):
    """State of charge within its levels, and what the cells give and take within their C-rate, of both buses."""
    soc = rows["ups/campus/soc"]
    assert soc.max() <= ups["soc_max"] + 1e-9
    assert soc.min() >= ups["soc_min"] - fade - 1e-9
    if ups["max_c_rate"] is not None and ups.get("second") is None:
        rate = np.diff(soc.astype(float)) / np.diff(rows["t_us"]) * 3.6e9
        rounding = 4e-7 / STEP_S * 3600  # rows are float32
        assert rate.max() <= ups["max_c_rate"] * (1 + 1e-6) + rounding
        assert rate.min() >= -ups["max_c_rate"] * (1 + 1e-6) - ups["self_discharge_per_h"] - rounding


def _hold_limits(rows, ups, settled_us):
    """Ramp and decline over every step, of the walk-in too, behind the last step that the feeder was told of."""
    change = np.diff(rows[GRID][rows["t_us"] > settled_us + 2e6 * STEP_S])
    walk_in = ups["ride_through"].get("walk_in_mw_per_s") or ups["max_ramp_mw_per_s"]
    ramp = max(ups["max_ramp_mw_per_s"], walk_in if settled_us else 0.0)
    assert change.max(initial=-np.inf) <= ramp * STEP_S + 1e-6
    assert change.min(initial=np.inf) >= -ups["max_decline_mw_per_s"] * STEP_S - 1e-6


@given(scenarios())
@settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_random_ups_breaks_a_law(plain):
    rows, events, totals = simulate(plain)
    ups = plain["datacenters"]["campus"]["ups"]
    soc, mode = rows["ups/campus/soc"], rows["ups/campus/mode"]
    fade = ups["self_discharge_per_h"] * 12 / 3600
    _hold_cells(rows, ups, fade)
    assert abs(totals["energy/balance_relative"]) < 1e-9
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9
    if second := ups.get("second"):
        _hold_second(rows, ups, second)
    kinds = [kind for _, kind, *_ in events]
    weak_rectifier = plain["datacenters"]["campus"]["facility"]["rectifier"]["max_p_mw"] is not None
    disturbed = bool(plain["events"]) or weak_rectifier
    if not disturbed:
        assert soc.min() >= min(ups["soc_reserve"], ups["soc_init"]) - fade - 1e-9  # the reserve is not for smoothing
    followed = totals["ups/campus/max_excess_mw"] == 0.0
    if followed and ups["smoothing"]["controller"] not in ("none", "trigger"):
        _hold_limits(rows, ups, max((t for t, kind, *_ in events if kind in STEPS), default=0))
    if not followed:
        assert "ups_saturated" in kinds  # said, with its size
    missed = rows["ups/campus/p_excess_mw"][rows["ups/campus/p_excess_mw"] > 0]
    if missed.size:
        assert totals["ups/campus/max_excess_mw"] >= missed.max()
    if "load_shed" in kinds:  # never with energy, power and time left
        at = next(t for t, kind, *_ in events if kind == "load_shed")
        row = min(np.searchsorted(rows["t_us"], at), soc.size - 1)
        asked = rows["datacenter/campus/p_it_mw"][: row + 1].max() * 1.1
        weak = ups["max_p_discharge_mw"] < asked
        slow = ups["response_delay_s"] > 0.0
        empty = soc[row] <= ups["soc_min"] + asked * STEP_S / 3600 / ups["max_e_mwh"] / ups["eta_discharge"] * 1.2
        assert weak or slow or empty or mode[row] == 4
