"""Sentences about what became of the load: made-up logs with the answer known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_log import EVENT_COLUMNS, SyntheticLog

from cosim.metrics.analysis import analyse
from cosim.report.outcomes import outcomes
from cosim.report.panels import reduced, signals
from cosim.report.planning import planning_pairs

T_S = np.arange(0.0, 400.0, 0.5)
DIPS_S = (100.0, 110.0, 120.0)


def told(log):
    return [finding.text for finding in outcomes(log, analyse(log))]


def dipped_log(sites, away_s=200.0):
    """Sites of 10 MW that leave in the first of three dips for a time, one of them with 4 MW only."""
    low = np.any([(s <= T_S) & (s + 1.0 > T_S) for s in DIPS_S], axis=0)
    channels = {}
    for k, name in enumerate(sites):
        left = (DIPS_S[0] <= T_S) & (DIPS_S[0] + away_s > T_S)
        channels |= {
            f"datacenter/{name}/vm_pu": np.where(low, 0.4, 1.0),
            f"datacenter/{name}/p_grid_mw": np.where(left, 6.0 if k else 0.0, 10.0),
            f"datacenter/{name}/p_total_mw": np.full(T_S.size, 10.0),
        }
    return SyntheticLog(T_S, channels, scenario={"datacenters": {name: {"bus": "1"} for name in sites}})


def test_what_stood_dark_is_told():
    log = dipped_log(["a", "b"], away_s=0.0)
    log.metrics |= {
        "datacenter": {"a": {"down_s": 12.5, "without_cooling_s": 30.0}, "b": {"down_s": 0.0, "without_cooling_s": 45}},
    }
    assert told(log) == [
        "Servers are without power at a for 12.5 s in all.",
        "Cooling is off at a and b for 30 to 45 s each.",
    ]


def test_without_a_ups_nothing_is_drawn_where_nothing_feeds():
    """What a site needs is logged through an outage and a sag; on the page it is 0 in one, a gap in the other."""
    log, v = dipped_log(["a"]), np.ones(T_S.size)
    v[100:200], v[300:400] = 0.0, 0.85
    log.channels |= {
        "datacenter/a/p_need_mw": 20.0 + 0.001 * T_S,
        "ups/a/p_mw": np.zeros(T_S.size),
        "datacenter/a/vm_pu": v,
    }
    log.scenario["datacenters"]["a"]["facility"] = {"v_min_pu": 0.88}
    (curve,) = reduced(log, [one for one in signals(log, analyse(log)) if one.role == "need"], 1)
    need = (20.0 + 0.001 * T_S).astype(np.float32)
    assert (curve.values[100:200] == 0.0).all()
    assert np.isnan(curve.values[300:400]).all()
    fed = v > 0.88
    assert (curve.values[fed] == need[fed]).all()


@pytest.mark.parametrize(
    ("start_s", "p_mw", "said"),
    [
        (100.0, 6.0, "a gives 4 MW, in time; no IT work is held back."),
        (110.0, 6.0, " MW, 10 s late; no"),
        (100.0, 7.5, "a never stays under it, by up to 1.5 MW, and gives 2.5 MW; no IT work is held back."),
    ],
)
def test_call_is_told_with_what_it_got(start_s, p_mw, said):
    power = np.where(start_s > T_S, 10.0, np.maximum(p_mw, 10.0 - 1.0 * (T_S - start_s)))
    events = [(100.0, "demand_response_started", "a", 6.0, ""), (300.0, "demand_response_ended", "a", 6.0, "")]
    called = {"kind": "demand_response_started", "datacenter": "a", "at_s": 100.0, "p_mw": 6.0, "ramp_mw_per_s": 1.0}
    log = SyntheticLog(
        T_S,
        {"datacenter/a/p_grid_mw": power, "datacenter/a/p_total_mw": power},
        events=pd.DataFrame(events, columns=EVENT_COLUMNS),
        scenario={"datacenters": {"a": {"bus": "1"}}, "events": [called | {"duration_s": 200.0}]},
    )
    (text,) = told(log)
    assert text.startswith("Called down to 6 MW at 100 s, a ")
    assert said in text


def test_frequency_is_told_with_what_was_shed():
    log = dipped_log(["a"], away_s=0.0)
    log.metrics["area"] = {
        "lowest_hz": 59.3516, "lowest_t_s": 120.66, "highest_hz": 60.02, "highest_t_s": 150.0, "p_shed_mw": 20.0,
    }  # fmt: skip
    assert told(log) == [
        "Frequency of the area: lowest 59.352 Hz at 120.66 s; highest 60.020 Hz at 150 s; 20 MW of its load are shed."
    ]


def test_both_storages_of_a_hybrid_are_told_apart():
    one = {
        "soc_min": 0.6, "soc_max": 0.7, "e_charged_mwh": 0.5, "e_discharged_mwh": 0.4, "second_soc_min": 0.25,
        "second_soc_max": 0.75, "second_e_charged_mwh": 0.002, "second_e_discharged_mwh": 0.001,
    }  # fmt: skip
    (pairs,) = planning_pairs({"engine": {"ups": {"a": one, "b": {"soc_min": 0.1}}}})
    assert pairs.title == "Storages of the hybrid of a"
    assert pairs.rows == {
        "both": "charged 0.5 MWh, discharged 0.4 MWh",
        "first": "state of charge 60.0 to 70.0 %",
        "second": "state of charge 25.0 to 75.0 %, charged 2 kWh, discharged 1 kWh, the first's included",
    }
