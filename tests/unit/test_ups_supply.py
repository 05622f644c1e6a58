"""What feeds a site: each case is told by its own arithmetic, none by another run of the same code."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import UPS, campus, kinds, scenario, simulate

SITE, STORAGE = "datacenter/campus/", "ups/campus/"
GRID = SITE + "p_grid_mw"
FINE = {"log": {"step_s": 0.01}}
STEADY = {
    "accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90},
    "jobs": {
        "pretrain": {
            "kind": "training",
            "cold_start": [],
            "already_running": True,
            "iteration": [{"duration_s": 1, "utilization": 1}],
        }
    },
}
BIG = {"max_p_charge_mw": 3.0, "max_e_mwh": 0.5, "soc_init": 0.8, "soc_target": 0.8}


def site(facility=None, **ups):
    return {"campus": campus(facility=facility or {}, load=STEADY) | {"ups": {**UPS, **BIG, **ups}}}


def lost(at_s, duration_s):
    return {"at_s": at_s, "kind": "source_lost", "duration_s": duration_s}


def times(events, kind):
    return [t / 1e6 for t, k, *_ in events if k == kind]


@pytest.mark.parametrize("controller", ["ramp_limiter", "filter", "predictive", "trigger"])
@pytest.mark.parametrize("walk_in", [None, 0.4])
def test_a_job_that_fails_in_a_walk_in_leaves_the_feeder_at_the_decline_limit(controller, walk_in):
    own = site(smoothing={"controller": controller}, ride_through={"walk_in_mw_per_s": walk_in})
    events = [lost(20, 1), {"at_s": 24.0, "kind": "job_failed", "datacenter": "campus", "job": "pretrain"}]
    rows, _, totals = simulate(scenario(40, events=events, datacenters=own, **FINE))
    after = rows[GRID][(rows["t_us"] >= 23_500_000) & (rows["t_us"] < 28_000_000)]
    assert after[0] - after[-1] > 0.1 or controller in ("filter", "predictive")  # slower
    change = after[100:] - after[:-100] if controller == "trigger" else np.diff(after) * 100
    assert change.min() >= -UPS["max_decline_mw_per_s"] - 1e-6
    assert totals["ups/campus/max_excess_mw"] < 1e-6


@pytest.mark.filterwarnings("ignore:.*are less than the 1.759 MW:UserWarning")
@pytest.mark.parametrize(("generator_mw", "sheds"), [(0.8, True), (4.0, False)])
def test_jobs_are_shed_beside_a_generator_that_is_too_small_only(generator_mw, sheds):
    generator = {"max_p_mw": generator_mw, "start_after_s": 1, "start_s": 4, "retransfer_s": 5}
    own = site({"generator": generator}, max_e_mwh=0.02, shedding=[{"soc": 0.5, "jobs": ["pretrain"]}])
    rows, events, _ = simulate(scenario(90, events=[lost(20, 40)], datacenters=own, **FINE))
    soc = dict(zip((rows["t_us"] / 1e6).round(2).tolist(), rows[STORAGE + "soc"].tolist(), strict=True))
    (started,) = times(events, "generator_started")
    assert soc[round(started, 2)] > 0.5
    shed = times(events, "load_shed")
    assert len(shed) == sheds
    if sheds:
        assert started < shed[0] < 60.0
        assert soc[round(shed[0], 2)] == pytest.approx(0.5, abs=0.01)
    assert "ups_empty" not in kinds(events)


@pytest.mark.parametrize(("rating_mw", "cools"), [(0.6, True), (0.1, False)])
def test_an_inverter_too_small_for_the_cooling_plant_drops_it(rating_mw, cools):
    own = site({"cooling": {"ride_through_s": 10}}, topology="ac_dc", max_p_ac_mw=rating_mw)
    rows, events, _ = simulate(scenario(60, events=[lost(20, 30)], datacenters=own))
    needs_mw = rows[SITE + "p_support_mw"][rows["t_us"] < 19_000_000].max()
    assert (rating_mw > needs_mw) == cools
    assert times(events, "cooling_lost") == ([] if cools else [pytest.approx(20.01)])
    assert times(events, "load_shed") == ([] if cools else [pytest.approx(30.01, abs=0.011)])


def test_both_converters_together_take_no_more_than_the_cells_bear():
    ups = {"max_p_charge_mw": 2.0, "max_p_discharge_mw": 2.0, "max_p_ac_mw": 2.0, "max_e_mwh": 0.2, "max_c_rate": 11.0}
    facility = {"support": {"p_lighting_mw": 1.5}}
    rows, _, _ = simulate(scenario(40, events=[lost(20, 10)], datacenters=site(facility, topology="ac_dc", **ups)))
    during = (rows["t_us"] > 20_100_000) & (rows["t_us"] < 29_900_000)
    dc_mw, ac_mw = -rows[STORAGE + "p_mw"][during], -rows[STORAGE + "p_ac_mw"][during]
    cells_mw = (dc_mw + ac_mw) / 0.95  # lithium, discharging
    assert cells_mw.max() == pytest.approx(11.0 * 0.2, rel=0.05)
    assert np.abs(np.diff(rows[STORAGE + "soc"][during]) / np.diff(rows["t_us"][during]) * 3.6e9).max() <= 11.0 + 1e-6
    assert ac_mw.min() > 0.2
    assert rows[SITE + "p_unserved_mw"].max() == 0.0  # IT goes first


@pytest.mark.filterwarnings("ignore:.*response_delay_s.* are longer than:UserWarning")
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
def test_for_its_response_delay_a_storage_gives_what_it_gave(topology):
    """It is holding back a start of 1.5 MW when the source goes."""
    late = {"pretrain": STEADY["jobs"]["pretrain"] | {"already_running": False, "start_s": 17.0}}
    own = site({"hold_up_s": 1.0}, topology=topology, response_delay_s=0.3)
    own["campus"]["load"] = STEADY | {"jobs": late}
    if topology == "ac_dc":
        own["campus"]["ups"]["max_p_ac_mw"] = 3.0
    rows, _, _ = simulate(scenario(25, events=[lost(20, 4)], datacenters=own, **FINE))
    at = rows["t_us"] / 1e6
    given = -rows[STORAGE + ("p_ac_mw" if topology == "ac_dc" else "p_mw")]
    before = given[at < 19.995][-1]
    assert before > 0.4
    held = given[(at > 20.015) & (at < 20.28)]
    if topology == "dc_bus":
        np.testing.assert_allclose(held, before, atol=0.02)
        assert rows[SITE + "p_unserved_mw"][(at > 20.015) & (at < 20.28)].min() > 0.1
    else:  # the AC bus takes no more than its support
        assert held.max() <= before + 1e-9
        assert -rows[STORAGE + "p_mw"][(at > 20.015) & (at < 20.28)].max() == 0.0
    assert rows[SITE + "p_unserved_mw"][(at > 20.35) & (at < 23.9)].max() == 0.0


def test_the_support_bus_of_ac_dc_waits_for_the_response_too():
    own = site({"hold_up_s": 1.0}, topology="ac_dc", max_p_ac_mw=3.0, response_delay_s=0.2)
    rows, _, _ = simulate(scenario(25, events=[lost(20, 4)], datacenters=own, **FINE))
    at, support = rows["t_us"] / 1e6, rows[SITE + "p_support_mw"]
    assert support[(at > 20.015) & (at < 20.185)].max() < 0.02
    assert support[(at > 20.25) & (at < 23.9)].min() > 0.02


def test_a_generator_stays_off_while_the_feeder_feeds_the_site():
    """0.87 pu is above the window's floor of 0.85, below where a site that had left would come back (0.88)."""
    rows, events, _ = simulate(
        scenario(60, datacenters=site({"generator": {"max_p_mw": 4}}), events=[
            {"at_s": 20.0, "kind": "dip_started", "vm_pu": 0.953, "duration_s": 30.0}]))  # fmt: skip
    during = (rows["t_us"] > 20_100_000) & (rows["t_us"] < 49_900_000)
    vm_pu = rows[SITE + "vm_pu"][during]
    assert 0.85 < vm_pu.min() <= vm_pu.max() < 0.88
    assert not {"generator_started", "ups_transferred"} & set(kinds(events))
    assert rows[GRID][during].min() > 0.5


@pytest.mark.parametrize("step_s", [0.001, 0.01, 0.1])
def test_contactors_drop_out_once_the_dip_has_lasted(step_s):
    events = [
        {"at_s": t, "kind": "dip_started", "vm_pu": 0.3, "duration_s": d} for t, d in ((4.003, 0.004), (8.003, 0.05))
    ]
    plain = scenario(12, time={"duration_s": 12, "step_s": step_s}, log={"step_s": 0.1}, events=events)
    found = [simulate(plain | {"datacenters": site({"cooling": {"drop_s": drop_s}})})[1] for drop_s in (0.01, 0.045)]
    assert times(found[0], "cooling_lost") == [pytest.approx(8.013)]
    assert times(found[1], "cooling_lost") == [pytest.approx(8.048)]


@pytest.mark.parametrize("step_s", [0.01, 0.1])
def test_an_overload_that_is_used_up_ends(step_s):
    """1.05 times its rating for 3 s, then the rating: the DC bus makes up for the rest until it is empty."""
    facility = {"hold_up_s": 0.05}
    rated = UPS | BIG | {"max_p_discharge_mw": 1.4}
    plain = scenario(
        40, time={"duration_s": 40, "step_s": step_s}, log={"step_s": step_s}, events=[lost(20, 20)],
        datacenters=site(facility, **rated, overload={"factor": 1.25, "duration_s": 3.0}),
    )  # fmt: skip
    rows, events, _ = simulate(plain)
    given = -rows[STORAGE + "p_mw"]
    asked = given[rows["t_us"] == 21_000_000][0]
    assert 1.04 < asked / 1.4 < 1.25
    full_mw = 2048 * 700e-6 * 1.02 + UPS["p_standby_mw"]
    (shed,) = times(events, "load_shed")
    assert shed == pytest.approx(20.0 + 3.0 + 0.05 * full_mw / (asked - 1.4), abs=0.02 + 2 * step_s)
    assert given[rows["t_us"] > (shed + step_s) * 1e6].max() < 0.1


def test_an_overload_comes_back_after_as_long_below_the_rating_without_a_break():
    """2 s of 4 used, 3 s of rest, 2 s used, all used up: 3 s of rest were too short; 5 s are not."""
    for rest_s, sheds in ((3.0, 1), (5.0, 0)):
        events = [lost(10, 2), lost(12 + rest_s, 2.5)]
        ride = {"walk_in_mw_per_s": 1000.0}
        own = site(
            {"return_delay_s": 0.0, "detection_s": 0.0}, max_p_discharge_mw=1.4, ride_through=ride,
            smoothing={"controller": "none"}, overload={"factor": 1.25, "duration_s": 4.0},
        )  # fmt: skip
        _, told, _ = simulate(scenario(24, events=events, datacenters=own))
        assert kinds(told).count("load_shed") == sheds, rest_s


def test_cells_bear_smoothing_on_one_bus_and_carrying_on_the_other_together():
    """A rectifier below the load: the DC bus takes the rest from the cells while the inverter holds the ramp back."""
    late = {"pretrain": STEADY["jobs"]["pretrain"] | {"already_running": False, "start_s": 5.0}}
    ups = {
        "max_p_discharge_mw": 1.2, "max_p_ac_mw": 1.2, "max_p_charge_mw": 1.0, "max_e_mwh": 0.2, "max_c_rate": 7.0,
        "soc_reserve": 0.1, "max_ramp_mw_per_s": 0.005, "smoothing": {"controller": "ramp_limiter"},
    }  # fmt: skip
    own = site({"rectifier": {"max_p_mw": 0.6}}, topology="ac_dc", **ups)
    own["campus"]["load"] = STEADY | {"jobs": late}
    with pytest.warns(UserWarning, match="0.6 MW are less than"):
        rows, events, totals = simulate(scenario(20, events=[], datacenters=own, **FINE))
    busy = (rows["t_us"] > 7_000_000) & (rows["t_us"] < 19_000_000)
    dc_mw, ac_mw = -rows[STORAGE + "p_mw"][busy], -rows[STORAGE + "p_ac_mw"][busy]
    assert dc_mw.min() > 0.8
    np.testing.assert_allclose((dc_mw + ac_mw) / 0.975, 7.0 * 0.2, rtol=1e-9)
    soc = rows[STORAGE + "soc"][busy].astype(float)
    assert -(soc[-1] - soc[0]) * 3600 / (np.ptp(rows["t_us"][busy]) / 1e6) == pytest.approx(7.0, rel=1e-6)
    assert rows[SITE + "p_unserved_mw"].max() == 0.0  # IT goes first, what is missing of the ramp is told
    assert "ups_saturated" in kinds(events)
    assert totals["ups/campus/max_excess_mw"] > 0.1


@pytest.mark.filterwarnings("ignore:.*response_delay_s.* are longer than:UserWarning")
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
@pytest.mark.parametrize("delay_s", [0.004, 0.1, 1.0])
def test_a_return_knows_nothing_of_what_was_asked_before_the_outage(topology, delay_s):
    """A walk-in behind an outage rises at its ramp and no faster, however late the storage answers."""
    own = site({"hold_up_s": 2.0}, topology=topology, response_delay_s=delay_s)
    if topology == "ac_dc":
        own["campus"]["ups"]["max_p_ac_mw"] = 3.0
    rows, events, totals = simulate(scenario(32, events=[lost(20, 5)], datacenters=own, **FINE))
    (back,) = times(events, "ups_returned")
    after = rows[GRID][rows["t_us"] >= round(back * 1e6)]
    start = rows[GRID][rows["t_us"] < round(back * 1e6)][-1]  # support, on the feeder already
    assert after[0] - start < 0.05  # the rectifier's idling, and a step of the ramp
    assert np.diff(after).max() <= UPS["max_ramp_mw_per_s"] * 0.01 + 1e-9
    assert after[300] > start + 0.3
    late_mw = UPS["max_ramp_mw_per_s"] * max(delay_s, 0.01)
    assert totals["ups/campus/max_excess_mw"] == pytest.approx(late_mw)  # of a ramp, and told


def test_service_begins_with_what_is_asked_then():
    """Commands from before it left the service are not carried out once it is back."""
    late = {"pretrain": STEADY["jobs"]["pretrain"] | {"already_running": False, "start_s": 5.0}}
    out = {"at_s": 6.0, "kind": "ups_out_of_service", "datacenter": "campus", "duration_s": 6.0}
    own = site({"hold_up_s": 2.0}, response_delay_s=0.5)
    own["campus"]["load"] = STEADY | {"jobs": late}
    rows, _, _ = simulate(scenario(14, events=[out], datacenters=own, **FINE))
    assert rows[STORAGE + "p_mw"][590] < -0.5  # it held the start back
    back = rows["t_us"] > 12_000_000
    assert np.abs(np.diff(rows[GRID][back])).max() <= UPS["max_ramp_mw_per_s"] * 0.01


@pytest.mark.filterwarnings("ignore:.*pick_up_mw.*cooling waits for its ramp:UserWarning")
@pytest.mark.parametrize("topology", ["dc_bus", "ac_dc"])
def test_a_generator_below_the_support_load_does_not_feed_a_part_of_the_cooling(topology):
    """Its block is 0.02 MW and grows by 0.01 MW/s; motors get all they ask, or drop out and are told."""
    generator = {
        "max_p_mw": 4, "start_after_s": 1, "start_s": 1, "pick_up_mw": 0.02, "ramp_mw_per_s": 0.01, "retransfer_s": 1,
    }  # fmt: skip
    cooling = {"ride_through_s": 8}
    own = site({"generator": generator, "cooling": cooling}, topology=topology)
    if topology == "ac_dc":
        own["campus"]["ups"]["max_p_ac_mw"] = 1.0
    rows, events, totals = simulate(scenario(70, events=[lost(20, 45)], datacenters=own))
    (started,) = times(events, "generator_started")
    support, ac = rows[SITE + "p_support_mw"], -rows[STORAGE + "p_ac_mw" if topology == "ac_dc" else STORAGE + "p_mw"]
    generated = rows[SITE + "p_generator_mw"]
    on = (rows["t_us"] > (started + 0.1) * 1e6) & (rows["t_us"] < (started + 5) * 1e6)
    asked = support[rows["t_us"] == 19_000_000][0]
    assert asked > 0.3
    if topology == "ac_dc":  # its inverter gives what the generator does not
        np.testing.assert_allclose(support[on], asked, rtol=1e-3)
        np.testing.assert_allclose(ac[on] + generated[on], support[on], atol=1e-9)
        assert not {"cooling_lost", "load_shed"} & set(kinds(events))
    else:
        assert times(events, "cooling_lost") == [pytest.approx(20.01)]
        assert times(events, "load_shed") == [pytest.approx(28.01, abs=0.011)]
        assert support[on].max() < 0.02
        (cools,) = times(events, "cooling_returned")
        row = int(np.searchsorted(rows["t_us"], cools * 1e6 + 1))
        able = 0.02 + 0.01 * (rows["t_us"][row] / 1e6 - started)
        assert support[row] == pytest.approx(able, rel=0.05)  # as soon as the generator can
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9
    assert abs(totals["energy/balance_relative"]) < 1e-9
