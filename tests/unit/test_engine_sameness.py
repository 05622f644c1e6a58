"""The same scenario gives the same bits, however the run is cut, logged, or surrounded."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import TRAINING, UPS, campus, kinds, scenario, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

EVENTS = [
    {"at_s": 11.0, "kind": "job_failed", "datacenter": "campus", "job": "pretrain"},
    {"at_s": 17.003, "kind": "dip_started", "vm_pu": 0.7, "duration_s": 0.0501},
    {"at_s": 20.0, "kind": "job_started", "datacenter": "campus", "job": "pretrain"},
    {"at_s": 25.0, "kind": "source_lost", "duration_s": 3.3},
]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def whole():
    return simulate(scenario(events=EVENTS))


@given(st.floats(0.01, 50))
@settings(max_examples=8)
def test_block_size_changes_no_bit(whole, max_block_s):
    rows, events, totals = simulate(scenario(events=EVENTS), max_block_s=max_block_s)
    assert same(rows, whole[0])
    assert events == whole[1]
    assert same(totals, whole[2])


@pytest.mark.parametrize("max_block_s", [0.01, 0.37, 7.0])
def test_block_size_changes_no_bit_under_mitigation_and_stragglers(max_block_s):
    job = TRAINING | {
        "mitigation": {
            "p_cap_w": 650, "p_floor_w": 500, "hold_s": 0.4, "max_ramp_w_per_s": 900, "max_decline_w_per_s": 700,
            "p_filler_w": 300, "stagger_s": 2, "stagger_groups": 4,
        },
        "straggler": {"rate_per_node_hour": 2.0, "mean_wait_s": 0.6},
    }  # fmt: skip
    site = campus()
    site["load"] = site["load"] | {"jobs": {"pretrain": job}}
    plain = scenario(events=EVENTS, datacenters={"campus": site})
    rows, events, totals = simulate(plain)
    again_rows, again_events, again_totals = simulate(plain, max_block_s=max_block_s)
    assert totals["job/campus/pretrain/delayed_s"] > 1
    assert totals["job/campus/pretrain/waited_s"] > 0
    assert same(rows, again_rows)
    assert events == again_events
    assert same(totals, again_totals)


def test_another_log_interval_gives_identical_rows_at_common_times(whole):
    rows, _, totals = simulate(scenario(events=EVENTS, log={"step_s": 0.5}))
    spread = {"vm_min_pu", "vm_max_pu"}
    for path, values in rows.items():
        if path.rpartition("/")[2] in spread or "mean" in path:
            continue
        assert np.array_equal(values, whole[0][path][::5]), path
    assert np.array_equal(rows["bus/vm_min_pu"][1:], whole[0]["bus/vm_min_pu"][1:].reshape(80, 5, -1).min(axis=1))
    assert same(totals, whole[2])


def test_a_ups_does_not_change_the_load():
    """Without a dip or blackout, which only the one with a UPS would ride through."""
    rows, _, _ = simulate(scenario(events=EVENTS[:1], datacenters={"campus": campus(ups=False)}))
    with_ups, _, _ = simulate(scenario(events=EVENTS[:1]))
    path = "datacenter/campus/p_ai_mw"
    assert np.array_equal(rows[path], with_ups[path])


def test_a_second_data_center_does_not_change_the_first_ones_load(whole):
    both = {"annex": campus("20"), "campus": campus()}
    rows, _, _ = simulate(scenario(events=EVENTS, datacenters=both))
    assert np.array_equal(rows["datacenter/campus/p_ai_mw"], whole[0]["datacenter/campus/p_ai_mw"])
    assert not np.array_equal(rows["datacenter/annex/p_ai_mw"], rows["datacenter/campus/p_ai_mw"])


def test_seed_changes_the_load(whole):
    rows, _, _ = simulate(scenario(events=EVENTS), seed=2)
    assert not np.array_equal(rows["datacenter/campus/p_ai_mw"], whole[0]["datacenter/campus/p_ai_mw"])


@pytest.mark.parametrize("step_s", [0.001, 0.1, 1.0])
def test_load_at_a_time_does_not_depend_on_the_step(step_s):
    plain = scenario(20, datacenters={"campus": campus(ups=False)})
    base, _, _ = simulate(plain | {"log": {"step_s": 1.0}})
    rows, _, _ = simulate(plain | {"log": {"step_s": 1.0}, "time": {"duration_s": 20, "step_s": step_s}})
    path = "datacenter/campus/p_ai_mw"
    assert np.abs(rows[path] - base[path]).max() < 1e-9


def test_change_driven_solving_stays_within_its_stated_bound():
    exact, _, _ = simulate(scenario(feeder={"model": "case33bw", "max_dvm_pu": 0.0}))
    for bound in (1e-6, 1e-5, 1e-4):
        feeder = {"model": "case33bw", "max_dvm_pu": bound, "max_dp_mw": 1.0}
        rows, _, totals = simulate(scenario(feeder=feeder))
        worst = np.abs(rows["bus/vm_pu"].astype(float) - exact["bus/vm_pu"]).max()
        assert worst <= bound + 1e-7  # the log keeps float32
        assert totals["solver/largest_bound_pu"] <= bound
        assert totals["solver/n_solve"] < totals["solver/n_instant"]


@given(
    st.sampled_from(["5", "17", "32", "0"]),
    st.booleans(),
    st.integers(0, 1000),
    st.sampled_from([0.0, 1e-6, 1e-4]),
    st.sampled_from(["case33bw", "cigre_mv", "cigre_mv_all", "example_multivoltage"]),
)
@settings(max_examples=12)
def test_energy_balance_closes(bus, ups, seed, bound, model):
    if model.startswith("cigre"):
        bus = f"Bus {int(bus) % 12 + 1}"
    elif model != "case33bw":
        bus = "Bus MV1"
    plain = scenario(
        datacenters={"campus": campus(bus, ups=ups)},
        feeder={"model": model, "max_dvm_pu": bound, "max_dp_mw": bound},
        events=EVENTS,
    )
    rows, _, totals = simulate(plain, seed=seed)
    assert abs(totals["energy/feeder_balance_relative"]) < 1e-9
    assert abs(totals["energy/balance_relative"]) < 1e-9
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9
    grid = totals["datacenter/campus/e_grid_mwh"]
    if bound == 0.0:
        assert abs(totals["datacenter/campus/e_between_solves_mwh"]) < 1e-9 * abs(grid)
    mean = rows["datacenter/campus/p_grid_mean_mw"][1:].mean()  # 400 rows of 0.1 s: means of the whole run
    assert mean * 40 / 3600 == pytest.approx(grid, rel=1e-9)


def test_events_are_told_in_order(whole):
    times = [event[0] for event in whole[1]]
    assert times == sorted(times)
    found = kinds(whole[1])
    for kind in ("job_failed", "dip_started", "dip_ended", "source_lost", "ups_transferred", "source_returned"):
        assert kind in found
    at = {event[1]: event[0] for event in whole[1]}
    assert at["dip_ended"] - at["dip_started"] == 50_100


def test_a_short_dip_between_rows_shows_in_the_extremes(whole):
    rows = whole[0]
    k = np.searchsorted(rows["t_us"], 17_060_000)
    assert rows["bus/vm_pu"][k].min() > 0.85
    assert rows["bus/vm_min_pu"][k].max() < 0.75


def test_ups_settings_alone_leave_the_solution_of_the_feeder(whole):
    weak = {**UPS, "max_ramp_mw_per_s": 1e3, "max_decline_mw_per_s": 1e3}
    plain = scenario(datacenters={"campus": campus() | {"ups": weak}})
    rows, events, _ = simulate(plain)
    assert "ups_engaged" not in kinds(events)
    need, grid = rows["datacenter/campus/p_need_mw"], rows["datacenter/campus/p_grid_mw"]
    assert np.abs(need - grid).max() < 0.05  # its standby and return to target only
