"""Ride-through: curves, counter and lockout, generator, topologies, cooling, shedding, delay, overload."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import UPS, campus, kinds, scenario, simulate

from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.ups.config import UpsConfig
from cosim.ups.curves import CURVES
from cosim.wiring import prepare

GRID, AI = "datacenter/campus/p_grid_mw", "datacenter/campus/p_ai_mw"
FINE = {"log": {"step_s": 0.01}}
BIG = {"max_e_mwh": 0.5, "soc_init": 0.9, "soc_target": 0.9}
BLACKOUT = [{"at_s": 20.0, "kind": "source_lost", "duration_s": 20.0}]


def dips(times_s, vm_pu=0.3, duration_s=0.06):
    return [{"at_s": t, "kind": "dip_started", "vm_pu": vm_pu, "duration_s": duration_s} for t in times_s]


def site(facility=None, **ups):
    own = {**UPS, **BIG, **ups}
    if own.get("topology") == "ac_dc":
        own.setdefault("max_p_ac_mw", max(own["max_p_charge_mw"], own["max_p_discharge_mw"]))
    return {"campus": campus(facility=facility or {}) | {"ups": own}}


def times(events, kind):
    return [t / 1e6 for t, k, *_ in events if k == kind]


def test_curves_are_the_published_ones(shared):
    rows = np.loadtxt(shared / "data/standards/itic_2000_curve.csv", delimiter=",", skiprows=1, dtype=str)
    lower = [(float(v) / 100, float(t)) for curve, t, v in rows if curve.startswith("lower")]
    for v_pu, t_s in CURVES["itic"].low:  # beyond a threshold is borne until the boundary reaches it
        assert (v_pu, t_s) in [(v, t) for v, t in lower]
    upper = [(float(v) / 100, float(t)) for curve, t, v in rows if curve.startswith("upper")]
    for v_pu, t_s in CURVES["itic"].high:  # above a threshold is borne until the boundary comes down to it
        assert min(t for v, t in upper if v <= v_pu) >= t_s
    points = np.loadtxt(shared / "data/standards/semi_f47_points.csv", delimiter=",", skiprows=1, dtype=str)
    required = {float(left) / 100: float(t) for _, kind, t, left in points if kind == "required"}
    for v_pu, t_s in required.items():
        deeper = [borne for threshold, borne in CURVES["semi_f47"].low if v_pu < threshold]
        assert min(deeper) >= t_s  # at the point itself a supply must hold for its time


@pytest.mark.parametrize(
    ("vm_pu", "duration_s", "transfers"), [(0.6, 0.018, 0), (0.6, 0.05, 1), (0.75, 0.4, 0), (0.75, 0.7, 1)]
)
def test_a_curve_decides_whether_a_dip_transfers(vm_pu, duration_s, transfers):
    own = site({"v_trip_pu": 0.3, "v_min_pu": 0.9}, ride_through={"curve": "itic"})
    own["campus"]["bus"] = "1"  # next to the source
    plain = scenario(
        40, events=dips([20.0], vm_pu, duration_s), datacenters=own, time={"duration_s": 40, "step_s": 0.001}
    )
    _, events, _ = simulate(plain)
    assert kinds(events).count("ups_transferred") == transfers


def test_a_dip_that_is_borne_comes_back_at_once():
    ride = {"low": [{"vm_pu": 0.9, "t_s": 0.2}]}
    rows, events, _ = simulate(scenario(40, events=dips([20.0]), datacenters=site(ride_through=ride), **FINE))
    before, after = rows[GRID][1995:1999].mean(), rows[GRID][2012:2020].mean()
    assert "ups_transferred" not in kinds(events)
    assert rows[GRID][2003] < 0.2 * before
    assert after == pytest.approx(before, rel=0.1)
    assert rows["datacenter/campus/p_unserved_mw"].max() == 0.0


@pytest.mark.parametrize(("at_s", "locked"), [([20, 24], 0), ([20, 24, 28], 1), ([20, 24, 35], 1), ([20, 40, 81], 0)])
def test_three_within_the_window_lock_out_and_two_do_not(at_s, locked):
    ride = {"counter": {"n": 3, "window_s": 60}}
    _, events, totals = simulate(scenario(100, events=dips(at_s), datacenters=site(ride_through=ride)))
    assert totals["ups/campus/n_lockout"] == locked
    assert kinds(events).count("ups_locked_out") == locked
    if locked:
        assert times(events, "ups_locked_out")[0] == pytest.approx(at_s[2], abs=0.03)
        assert not [t for t in times(events, "ups_returned") if t > at_s[2]]


def test_a_locked_out_site_comes_back_when_somebody_lets_it():
    ride = {"counter": {"n": 2, "window_s": 60}}
    events = [*dips([20, 25]), {"at_s": 40.0, "kind": "ups_unlocked", "datacenter": "campus"}]
    rows, found, _ = simulate(scenario(60, events=events, datacenters=site(ride_through=ride)))
    away = (rows["t_us"] > 25_200_000) & (rows["t_us"] < 40_000_000)
    support = rows["datacenter/campus/p_support_mw"][away]
    assert np.abs(rows[GRID][away] - support).max() < 1e-9  # its cooling stays on the feeder
    assert times(found, "ups_returned")[-1] == pytest.approx(40.0, abs=0.02)


def test_walk_in_follows_its_own_ramp():
    ride = {"walk_in_mw_per_s": 0.05}
    rows, _, _ = simulate(scenario(90, events=BLACKOUT, datacenters=site(ride_through=ride), **FINE))
    back = (rows["t_us"] >= 40_700_000) & (rows["t_us"] <= 50_000_000)
    slope = np.diff(rows[GRID][back][::100])
    assert slope.max() == pytest.approx(0.05, rel=0.05)


def test_a_generator_takes_the_whole_site_and_hands_it_back():
    generator = {"max_p_mw": 4, "start_after_s": 2, "start_s": 5, "retransfer_s": 10}
    rows, events, totals = simulate(
        scenario(90, events=BLACKOUT, datacenters=site({"generator": generator})), max_block_s=3
    )
    (started,) = times(events, "generator_started")
    (stopped,) = times(events, "generator_stopped")
    assert started == pytest.approx(27.0, abs=0.03)
    assert stopped == pytest.approx(50.0, abs=0.03)
    on = (rows["t_us"] > 27_100_000) & (rows["t_us"] < 49_900_000)
    assert rows["datacenter/campus/p_generator_mw"][on].min() > 0.9 * rows["datacenter/campus/p_need_mw"][on].min()
    assert np.abs(rows[GRID][on]).max() == 0.0
    assert rows["datacenter/campus/p_support_mw"][on].min() > 0.0
    assert rows[AI][on].min() > 0.3
    assert totals["datacenter/campus/down_s"] == 0.0
    assert abs(totals["energy/balance_relative"]) < 1e-9


def test_a_generator_carries_the_island_behind_an_open_switch():
    """The line before its bus opens for 40 s: the feeder is dead there, the site goes on by itself, and returns."""
    switch = [{"at_s": t, "kind": k, "switch": "line:4"} for t, k in ((20, "switch_opened"), (60, "switch_closed"))]
    generator = {"max_p_mw": 4, "start_after_s": 2, "start_s": 5, "retransfer_s": 10}
    rows, events, totals = simulate(scenario(90, events=switch, datacenters=site({"generator": generator})))
    assert times(events, "generator_started") == [pytest.approx(27.0, abs=0.03)]
    assert times(events, "generator_stopped") == [pytest.approx(70.0, abs=0.03)]
    alone = (rows["t_us"] > 20_050_000) & (rows["t_us"] < 59_900_000)
    assert rows["datacenter/campus/vm_pu"][alone].max() == 0.0
    assert rows["datacenter/campus/p_unserved_mw"][alone].max() == 0.0
    assert np.abs(rows[GRID][alone]).max() == 0.0
    assert rows["datacenter/campus/p_ai_mw"][alone].min() > 0.3
    assert totals["datacenter/campus/down_s"] == 0.0
    assert rows["datacenter/campus/vm_pu"][-1] > 0.9
    assert abs(totals["energy/balance_relative"]) < 1e-9


def test_ac_dc_carries_the_cooling_too_and_dc_bus_does_not():
    for topology, support in (("dc_bus", 0.0), ("ac_dc", 0.1)):
        rows, events, totals = simulate(scenario(60, events=BLACKOUT, datacenters=site(topology=topology)))
        during = (rows["t_us"] > 20_050_000) & (rows["t_us"] < 39_900_000)
        assert (rows["datacenter/campus/p_support_mw"][during] > support).all() == (topology == "ac_dc")
        assert totals["datacenter/campus/down_s"] == 0.0
        assert ("cooling_lost" in kinds(events)) == (topology == "dc_bus")
        assert totals["datacenter/campus/without_cooling_s"] == (pytest.approx(20, abs=0.1) if support == 0 else 0.0)
        assert abs(totals["energy/balance_relative"]) < 1e-9


def test_cooling_restarts_late_with_a_starting_excess_and_its_loss_shuts_it_down():
    cooling = {"restart_s": 8, "start_factor": 2.0, "start_s": 4, "ride_through_s": 15}
    rows, events, _ = simulate(scenario(60, events=BLACKOUT, datacenters=site({"cooling": cooling})))
    assert times(events, "load_shed")[0] == pytest.approx(35.0, abs=0.03)  # 15 s without cooling
    cooling["ride_through_s"] = 100
    rows, events, _ = simulate(scenario(80, events=BLACKOUT, datacenters=site({"cooling": cooling})))
    assert times(events, "cooling_returned")[0] == pytest.approx(48.0, abs=0.03)
    support = rows["datacenter/campus/p_support_mw"]
    at, later = np.searchsorted(rows["t_us"], [48_100_000, 53_000_000])
    assert support[at] > 1.7 * support[later]


def test_jobs_go_by_priority_and_come_back():
    own = site(max_e_mwh=0.02, soc_init=0.9, soc_target=0.9, shedding=[{"soc": 0.7, "jobs": ["pretrain"]}])
    rows, events, totals = simulate(scenario(90, events=BLACKOUT, datacenters=own))
    assert {"load_shed", "job_stopped", "load_restored"} <= set(kinds(events))
    soc = rows["ups/campus/soc"][np.searchsorted(rows["t_us"], times(events, "load_shed")[0] * 1e6)]
    assert soc == pytest.approx(0.7, abs=0.01)
    assert totals["datacenter/campus/down_s"] == 0.0
    assert rows[AI][-1] > 0.9


@pytest.mark.filterwarnings("ignore:.*response_delay_s.* are longer than:UserWarning")
def test_a_response_slower_than_the_hold_up_loses_the_load():
    quick, _, kept = simulate(scenario(40, events=BLACKOUT, datacenters=site(response_delay_s=0.01), **FINE))
    assert kept["datacenter/campus/down_s"] == 0.0
    lowest = quick["datacenter/campus/v_dc_pu"].min()
    served = quick["datacenter/campus/p_it_mw"][2000] * 1.02 + UPS["p_standby_mw"]
    missing = quick["datacenter/campus/p_unserved_mw"][2000]
    assert missing == pytest.approx(served + quick["ups/campus/p_mw"][1999], rel=0.1)  # it goes on giving what it gave
    full = (0.3 + 2048 * 700e-6) * 1.02 + UPS["p_standby_mw"]  # 20 ms of it down to 0.8 pu; 10 ms are missing
    assert lowest == pytest.approx(np.sqrt(1 - (1 - 0.8**2) * 0.01 * missing / (0.02 * full)), rel=0.005)
    _, events, lost = simulate(scenario(40, events=BLACKOUT[:1], datacenters=site(response_delay_s=0.1)))
    assert lost["datacenter/campus/down_s"] > 0.0
    assert "load_shed" in kinds(events)


@pytest.mark.filterwarnings("ignore:.*response_delay_s.* are longer than:UserWarning")
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
@pytest.mark.parametrize("controller", ["trigger", "ramp_limiter"])
def test_a_late_response_passes_the_limits_for_no_longer_than_its_delay(topology, controller):
    delay_s, ramp = 0.1, UPS["max_ramp_mw_per_s"]
    load = {
        "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
        "jobs": {"pretrain": {"kind": "training", "iteration": [{"duration_s": 1, "utilization": 1}],
                              "cold_start": [], "dynamics": {"supply_tau_s": 0}}},
    }  # fmt: skip
    event = {"at_s": 20.0, "kind": "job_failed", "datacenter": "campus", "job": "pretrain"}
    own = site(topology=topology, response_delay_s=delay_s, smoothing={"controller": controller}, max_p_charge_mw=3.0)
    own["campus"]["load"] = load
    rows, _, totals = simulate(scenario(40, events=[event], datacenters=own, **FINE))
    grid, n = rows[GRID], 100
    assert totals["ups/campus/max_excess_mw"] > 0.5  # it was late, and said so
    late = np.abs(np.diff(grid)) / 0.01 > ramp + 1e-6
    at_s = rows["t_us"][1:][late & (rows["t_us"][1:] > 15_000_000)] / 1e6
    assert at_s.min() >= 20.0 - 1e-9
    assert at_s.max() <= 20.0 + delay_s + 0.02 + 0.05  # the job's own edge lasts 50 ms, each moment of it is late alike
    level = grid[2000 + 20 : 2000 + 20 + n]
    assert np.abs(np.diff(level)).max() <= ramp * 0.01 + 1e-9  # after that it walks down as if nothing had been late
    assert level[0] > 0.9 * grid[1990]


def test_blocks_and_a_resumed_run_give_the_same_bits():
    ups = {
        "smoothing": {"controller": "predictive", "horizon_s": 5},
        "response_delay_s": 0.01,
        "ride_through": {"curve": "itic", "counter": {"n": 2, "window_s": 30, "unlock_after_s": 15}},
        "shedding": [{"soc": 0.898, "jobs": ["pretrain"]}],
        "overload": {"factor": 1.2, "duration_s": 5},
    }
    generator = {"max_p_mw": 4, "start_after_s": 4, "start_s": 2, "retransfer_s": 3, "pick_up_mw": 1.0}
    plain = scenario(60, events=dips([20, 23.0043]), datacenters=site({"generator": generator}, **ups))
    whole, events, totals = simulate(plain)
    cut, cut_events, cut_totals = simulate(plain, max_block_s=0.37)
    assert {"ups_locked_out", "ups_unlocked", "generator_started", "load_shed"} <= set(kinds(events))
    assert events == cut_events
    assert all(np.array_equal(whole[path], cut[path]) for path in whole)
    assert totals["datacenter/campus/e_generator_mwh"] == cut_totals["datacenter/campus/e_generator_mwh"]
    config, feeder = prepare(plain)
    first, rows = Simulation(config, feeder, config.folder), []
    for block in first.blocks(1.0):
        rows.append(block.columns[GRID].copy())
        if block.now_us >= 24_500_000:
            break
    second = Simulation(config, feeder, config.folder)
    second.restore(first.state())
    rows += [block.columns[GRID].copy() for block in second.blocks()]
    assert np.array_equal(np.concatenate(rows), whole[GRID])


def test_steps_of_1_and_10_ms_agree_within_two_steps_of_the_coarser():
    """A voltage is found in one instant and acted on in the next: each may be a step late."""
    ride = {"curve": "itic", "counter": {"n": 2, "window_s": 60}}
    generator = {"max_p_mw": 4, "start_after_s": 2, "start_s": 3}
    found = {}
    for step_s in (0.001, 0.01):
        plain = scenario(
            40, time={"duration_s": 40, "step_s": step_s}, log={"step_s": 0.1}, events=dips([20, 22.5]),
            datacenters=site({"generator": generator}, ride_through=ride),
        )  # fmt: skip
        found[step_s] = simulate(plain)
    wanted = ("ups_transferred", "ups_locked_out", "ups_returned", "generator_started")
    fine, coarse = ([(t, k) for t, k, *_ in found[s][1] if k in wanted] for s in (0.001, 0.01))
    assert [k for _, k in fine] == [k for _, k in coarse]
    assert max(abs(a - b) for (a, _), (b, _) in zip(fine, coarse, strict=True)) <= 2 * 10_000
    soc = [found[s][0]["ups/campus/soc"][-1] for s in (0.001, 0.01)]
    assert abs(soc[0] - soc[1]) < 0.02 * 2.0 * 3 / 3600 / BIG["max_e_mwh"]  # three edges, so late, of 2 MW each


def test_what_happens_in_a_dip_does_not_depend_on_the_step():
    """Timers of the voltage are met at their exact time, and what is drawn until then is the same power for as long."""
    ride = {"low": [{"vm_pu": 0.5, "t_s": 0.0}, {"vm_pu": 0.8, "t_s": 0.043}], "counter": {"n": 3, "window_s": 60}}
    events = [*dips([20.03], 0.3, 0.057), *dips([24.2], 0.65, 0.042), *dips([28.2], 0.65, 0.3), *dips([33.7], 0.3, 0.2)]
    found = []
    for step_s in (0.001, 0.01, 0.1):
        plain = scenario(
            38, time={"duration_s": 38, "step_s": step_s}, log={"step_s": 0.1}, events=events,
            datacenters=site({"v_trip_pu": 0.4}, ride_through=ride),
        )  # fmt: skip
        _, told, totals = simulate(plain)
        found.append([(t, k) for t, k, *_ in told if k in ("ups_transferred", "ups_locked_out")])
        assert totals["datacenter/campus/down_s"] == 0.0
    assert found[0] == [
        (20_040_000, "ups_transferred"),
        (28_243_000, "ups_transferred"),
        (33_710_000, "ups_locked_out"),
        (33_710_000, "ups_transferred"),
    ]
    assert found[1] == found[2] == found[0]


def test_detection_decides_how_long_a_dip_draws_constant_current():
    for detection_s, ticks in ((0.0, 1), (0.01, 10), (0.025, 25)):
        plain = scenario(
            21, time={"duration_s": 21, "step_s": 0.001}, log={"step_s": 0.001}, events=dips([20.5], 0.3, 0.2),
            datacenters=site({"detection_s": detection_s}),
        )  # fmt: skip
        rows, _, _ = simulate(plain)
        dip = (rows["t_us"] >= 20_500_000) & (rows["t_us"] < 20_700_000)
        drawn = rows[GRID][dip] > 0.3 * 0.5 * rows[GRID][20_499]
        assert drawn[:ticks].all()
        assert not drawn[ticks:].any()
        assert rows["datacenter/campus/p_unserved_mw"].max() == 0.0


def test_an_overload_lasts_as_long_as_it_may():
    ups = {"max_p_discharge_mw": 0.7, "overload": {"factor": 2.5, "duration_s": 5}}
    rows, events, _ = simulate(scenario(40, events=BLACKOUT, datacenters=site(**ups)))
    assert (rows["ups/campus/p_mw"][210:240] < -0.7).all()
    assert times(events, "load_shed")[0] == pytest.approx(25.0, abs=0.5)


@pytest.mark.parametrize(
    ("ups", "words"),
    [
        ({"ride_through": {"low": [{"vm_pu": 0.8, "t_s": 1}, {"vm_pu": 0.7, "t_s": 2}]}}, "must rise in vm_pu"),
        ({"ride_through": {"low": [{"vm_pu": 1.2, "t_s": 1}], "high": [{"vm_pu": 1.1, "t_s": 1}]}}, "curves cross"),
        ({"ride_through": {"curve": "itic", "low": [{"vm_pu": 0.8, "t_s": 1}]}}, "not both"),
        ({"storage": "vrla", "max_e_mwh": 0.01}, "max_c_rate"),
        ({"max_p_ac_mw": 2}, "needs topology ac_dc"),
        ({"topology": "ac_dc", "storage": "lithium", "max_e_mwh": 0.2, "max_p_ac_mw": 5}, "max_p_ac_mw: 5 is 25.64"),
        ({"smoothing": {"controller": "filter", "low_hz": 2, "high_hz": 1}}, "is not above low_hz"),
        ({"shedding": [{"soc": 0.2, "jobs": ["a"]}, {"soc": 0.4, "jobs": ["a"]}]}, "must fall in soc"),
    ],
)
def test_settings_that_contradict_are_named_before_the_run(ups, words):
    with pytest.raises(InputError, match=words):
        prepare(scenario(datacenters={"campus": campus() | {"ups": {**UPS, **ups}}}))


def test_a_storage_kind_sets_what_is_not_given():
    flywheel = UpsConfig(storage="flywheel", **UPS)
    assert flywheel.self_discharge_per_h == 2.4
    assert UpsConfig(storage="vrla", **{**UPS, "max_e_mwh": 1.0}).eta_charge == 0.90
    assert UpsConfig(storage="vrla", **{**UPS, "max_e_mwh": 1.0, "eta_charge": 0.8}).eta_charge == 0.8
