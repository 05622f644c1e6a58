"""A hybrid of two storages: the split is a filter's, energies close, the first is spared, either helps the other."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import UPS, campus, scenario, simulate
from scipy.signal import lfilter

import cosim
from cosim.errors import InputError

SECOND = {"max_p_mw": 2.0, "max_e_mwh": 0.02, "split_s": 2.0, "return_s": 1e9, "self_discharge_per_h": 0.0}
STEP_S = 0.01


def case(second=None, duration_s=60, events=(), **ups):
    config = UPS | {"smoothing": {"controller": "ramp_limiter"}, "max_e_mwh": 0.3} | ups
    if second is not None:
        config["second"] = second
    return scenario(
        duration_s, datacenters={"campus": campus() | {"ups": config}}, events=list(events), log={"step_s": STEP_S}
    )


def test_second_storage_takes_what_a_low_pass_leaves_over():
    rows, _, _ = simulate(case(SECOND))
    p_mw, second_mw = rows["ups/campus/p_mw"], rows["ups/campus/second_p_mw"]
    a = np.exp(-STEP_S / 2.0)
    slow = np.concatenate([[0.0], lfilter([1 - a], [1, -a], p_mw)[:-1]])  # follows after the instant, as it is held
    assert np.max(np.abs(second_mw)) > 0.3
    assert second_mw == pytest.approx(p_mw - slow, abs=1e-9)


def test_grid_sees_no_difference_while_neither_is_at_a_limit():
    with_second, _, _ = simulate(case(SECOND | {"eta_charge": 0.975, "eta_discharge": 0.975}))
    alone, _, _ = simulate(case())
    here, there = (rows["datacenter/campus/p_grid_mw"] for rows in (with_second, alone))
    assert here == pytest.approx(there, abs=2e-3)  # the first's charge differs a little, and so does its return


def test_first_storage_is_spared_the_fast_cycles():
    rows, _, totals = simulate(case(SECOND, duration_s=200))
    alone, _, _ = simulate(case(duration_s=200))
    first_mw = rows["ups/campus/p_mw"] - rows["ups/campus/second_p_mw"]
    turns = [np.sum(np.abs(np.diff(p))) for p in (first_mw, alone["ups/campus/p_mw"])]
    assert turns[0] < 0.3 * turns[1]
    assert np.sum(np.abs(first_mw)) < 0.95 * np.sum(np.abs(alone["ups/campus/p_mw"]))
    assert totals["ups/campus/second_e_charged_mwh"] > 0


def test_energies_of_a_hybrid_close_through_dips_and_blackouts():
    events = [
        {"at_s": 10, "kind": "dip_started", "vm_pu": 0.4, "duration_s": 1},
        {"at_s": 30, "kind": "source_lost", "duration_s": 5},
    ]
    _, _, totals = simulate(case(SECOND | {"return_s": 20.0, "self_discharge_per_h": 0.5}, events=events))
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9
    assert abs(totals["energy/balance_relative"]) < 1e-9


def test_second_storage_adds_its_rating_in_a_blackout():
    lost = [{"at_s": 10, "kind": "source_lost", "duration_s": 2}]
    small = {"max_p_charge_mw": 0.5, "max_p_discharge_mw": 0.8}
    rows, events, _ = simulate(case(SECOND | {"max_p_mw": 1.5}, 20, lost, **small))
    inside = (rows["t_us"] > 10_050_000) & (rows["t_us"] < 11_900_000)
    assert rows["ups/campus/p_mw"][inside].min() < -1.0  # more than the first has
    assert "load_shed" not in [kind for _, kind, *_ in events]
    _, events, _ = simulate(case(None, 20, lost, **small))
    assert "load_shed" in [kind for _, kind, *_ in events]


def test_second_storage_returns_to_its_target_by_way_of_the_first():
    rows, _, _ = simulate(case(SECOND | {"return_s": 15.0, "max_e_mwh": 0.005}, duration_s=200))
    assert abs(np.mean(rows["ups/campus/second_soc"][-5000:]) - 0.5) < 0.15


def test_second_storage_off_the_dc_bus_is_refused(tmp_path):
    with pytest.raises(InputError, match="topology=dc_bus"):
        cosim.run(case(SECOND, topology="ac_dc"), out=tmp_path / "a.h5")
