"""Ride-through against its readable twin: random dips, blackouts, counters, generators, shedding, recharging."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from engine_cases import campus
from ride_twin import RideTwin

from cosim.engine.simulation import Simulation
from cosim.wiring import prepare

pytestmark = pytest.mark.twin

STEP_S, N_TICK = 0.05, 300
STEP_US = round(STEP_S * 1e6)
SEEDS = (4, 5, 12, 19, 31, 32, 37, 39)
"""Draws in which much happens."""
TOLD = ("ups_transferred", "ups_returned", "ups_locked_out", "ups_unlocked", "ups_empty", "generator_started",
        "generator_stopped", "load_shed", "load_restored", "cooling_lost", "cooling_returned")  # fmt: skip


COLUMNS = (
    "datacenter/campus/p_grid_mw",
    "ups/campus/p_mw",
    "ups/campus/soc",
    "datacenter/campus/p_unserved_mw",
    "ups/campus/mode",
)


def ticks(rng, low, high):
    return round(int(rng.integers(low, high)) * STEP_S, 6)


def disturbances(rng):
    """Dips and swells that do not overlap, of all depths, most of them short, now and then a loss of the source."""
    events, t_s = [], ticks(rng, 10, 30)
    while t_s < 0.8 * N_TICK * STEP_S:
        lasts_s = ticks(rng, 1, 6) if rng.random() < 0.6 else ticks(rng, 6, 60)
        depth = rng.choice([rng.uniform(0.0, 0.5), rng.uniform(0.5, 0.95), rng.uniform(1.12, 1.3)], p=[0.5, 0.4, 0.1])
        event = {"at_s": t_s, "kind": "dip_started", "vm_pu": float(depth), "duration_s": lasts_s}
        if rng.random() < 0.25:
            event = {"at_s": t_s, "kind": "source_lost", "duration_s": lasts_s}
        events.append(event)
        t_s = round(t_s + lasts_s + ticks(rng, 2, 50), 6)
    return events


def drawn(seed):
    rng = np.random.default_rng(seed)
    counter = {"n": int(rng.integers(1, 4)), "window_s": 8.0, "unlock_after_s": rng.choice([None, 1.5, 4.0])}
    ride = {"walk_in_mw_per_s": float(rng.choice([0.3, 0.8, 3.0]))} | (
        {"counter": counter} if rng.random() < 0.7 else {}
    )
    if rng.random() < 0.6:
        ride["low"] = [{"vm_pu": 0.55, "t_s": STEP_S}, {"vm_pu": 0.8, "t_s": ticks(rng, 2, 10)}]
        ride["high"] = [{"vm_pu": 1.1, "t_s": ticks(rng, 1, 8)}]
    ups = {
        "max_p_charge_mw": 0.8, "max_p_discharge_mw": float(rng.choice([0.9, 2.5])), "p_standby_mw": 0.01,
        "max_e_mwh": float(rng.choice([0.0006, 0.002, 0.01])), "soc_init": 0.8, "soc_target": 0.85, "soc_reserve": 0.5,
        "max_ramp_mw_per_s": 0.5, "max_decline_mw_per_s": 0.7, "eta_charge": 0.95, "eta_discharge": 0.93,
        "return_s": 5.0, "max_p_recharge_mw": 0.3, "smoothing": {"controller": "ramp_limiter"}, "ride_through": ride,
        "overload": {"factor": 1.6, "duration_s": 0.5} if seed % 2 else None,
        "self_discharge_per_h": [0.0, 20.0][seed % 2],
        "shedding": [{"soc": 0.75, "jobs": ["side"]}] if rng.random() < 0.5 else [],
    }  # fmt: skip
    generator = {"max_p_mw": 3, "start_after_s": 0.5, "start_s": 0.5, "retransfer_s": 1,
                 "pick_up_mw": 0.05 if seed % 2 else 0.5, "ramp_mw_per_s": 1.0}  # fmt: skip
    facility = {
        "rectifier": {"max_p_mw": 2.6}, "support": {"max_p_mw": 0.6}, "return_delay_s": ticks(rng, 2, 8),
        "detection_s": ticks(rng, 1, 3), "generator": generator if rng.random() < 0.5 else None,
        "restart_s": ticks(rng, 5, 40), "hold_up_s": 0.12, "cooling": {"drop_s": 2 * STEP_S},
    }  # fmt: skip
    iteration = [{"duration_s": 0.7, "utilization": 0.9}, {"duration_s": 0.4, "utilization": 0.3}]
    job = {"kind": "training", "cold_start": [], "iteration": iteration, "accelerators": 1024}
    load = {"accelerators": {"count": 2048, "p_peak_w": 700, "p_idle_w": 90}, "jobs": {"main": job, "side": job}}
    events = disturbances(rng)
    if "counter" in ride and rng.random() < 0.5:
        events.append({"at_s": round(N_TICK * STEP_S / 2, 6), "kind": "ups_unlocked", "datacenter": "campus"})
    return {
        "schema": 1, "name": "twin", "seed": seed,
        "time": {"duration_s": N_TICK * STEP_S, "step_s": STEP_S}, "log": {"step_s": STEP_S},
        "feeder": {"model": "case4gs", "max_dvm_pu": 0.0},
        "datacenters": {"campus": campus("0") | {"load": load, "facility": facility, "ups": ups}},
        "events": sorted(events, key=lambda e: e["at_s"]),
    }  # fmt: skip


def run(plain):
    config, feeder = prepare(plain)
    simulation = Simulation(config, feeder, config.folder)
    parts, events = {}, []
    for block in simulation.blocks():
        for path, rows in {"t_us": block.t_us, **block.columns}.items():
            parts.setdefault(path, []).append(rows.copy())
        events += block.events
    site = config.datacenters["campus"]
    twin = RideTwin(site.facility, site.ups, STEP_US, float(simulation.dc.sites[0]["e_bus_full"]))
    return {path: np.concatenate(rows) for path, rows in parts.items()}, events, twin


def test_sites_ride_through_as_their_readable_twins_do():
    reached = Counter()
    for seed in SEEDS:
        plain = drawn(seed)
        rows, events, twin = run(plain)
        found = twin_rows(plain, rows, twin)
        told = [(t, kind) for t, kind, *_ in events if kind in TOLD]
        assert twin.told == told, seed
        for name, own in zip(COLUMNS, found, strict=True):
            np.testing.assert_allclose(rows[name], own, rtol=0, atol=1e-12, err_msg=f"seed {seed}: {name}")
        reached.update(kind for _, kind in told)
    assert set(reached) == set(TOLD)  # the draws come to all of it
    assert min(reached.values()) >= 2, reached


def twin_rows(plain, rows, twin):
    """What the twin makes of the logged AI power and voltage, in the order of COLUMNS."""
    unlocked = {round(e["at_s"] * 1e6) for e in plain["events"] if e["kind"] == "ups_unlocked"}
    found = []
    p_ai, vm = rows["datacenter/campus/p_ai_mw"], rows["datacenter/campus/vm_pu"]
    for k, t_us in enumerate(rows["t_us"].tolist()):
        if t_us in unlocked:
            twin.unlock(t_us)
        found.append(twin.tick(t_us, float(p_ai[k]), float(vm[k])))
    return np.array(found).T
