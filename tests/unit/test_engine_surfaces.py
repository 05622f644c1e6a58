"""Runs on response surfaces: the same as solving every instant, and the same bits however they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import TRAINING, campus, scenario
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.engine.simulation import Simulation
from cosim.engine.totals import run_totals
from cosim.feeder import OK, solve, surfaces
from cosim.feeder.kernel_surface import N_REFUSED, SOONEST_CHECK
from cosim.wiring import prepare

LINE_35 = "line:35"
EVENTS = [
    {"at_s": 8.0, "kind": "dip_started", "vm_pu": 0.93, "duration_s": 6.0},
    {"at_s": 18.003, "kind": "dip_started", "vm_pu": 0.6, "duration_s": 0.0501},
    {"at_s": 24.0, "kind": "switch_closed", "switch": LINE_35},
    {"at_s": 32.0, "kind": "source_lost", "duration_s": 2.0},
    {"at_s": 40.0, "kind": "load_changed", "load": "5", "scale": 1.4},
    {"at_s": 48.0, "kind": "switch_opened", "switch": LINE_35},
    {"at_s": 52.0, "kind": "load_changed", "load": "5", "scale": 1.0},
]
SMALL = {
    "accelerators": {"count": 400, "p_peak_w": 700, "p_idle_w": 90},
    "p_base_mw": 0.05,
    "jobs": {"pretrain": TRAINING},
}
THREE = {name: campus(bus, ups=False, load=SMALL) for name, bus in (("annex", "20"), ("campus", "5"), ("lab", "23"))}
NO_CHANGE_LEFT_OUT = {"max_dvm_pu": 1e-12, "max_dp_mw": 0.0}


def stepped(plain, max_block_s=None, controllers=()):
    """Rows by path, events and totals; voltages of all nodes at every return to Python, in full precision."""
    config, feeder = prepare(plain)
    return run(Simulation(config, feeder, config.folder, controllers), max_block_s)


def run(simulation, max_block_s=None):
    parts, events, seen = {}, [], {}
    for block in simulation.blocks(max_block_s):
        for path, rows in {"t_us": block.t_us, **block.columns}.items():
            parts.setdefault(path, []).append(rows.copy())
        events += block.events
        seen[block.now_us] = simulation.log.vm.copy()
    return {path: np.concatenate(rows) for path, rows in parts.items()}, events, run_totals(simulation), seen


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def untouched(events):
    return [(t_us, kind, element) for t_us, kind, element, *_ in events]


@pytest.mark.parametrize("centers", [{"campus": campus()}, THREE], ids=["one", "three"])
def test_run_on_surfaces_equals_solving_every_instant(centers):
    """Through a shallow and a deep dip, a blackout, switches and load steps."""
    plain = scenario(60 if len(centers) == 1 else 120, datacenters=centers, events=EVENTS)
    on = {"model": "case33bw", **NO_CHANGE_LEFT_OUT}
    rows, events, totals, seen = stepped(plain | {"feeder": on}, 0.01)
    full, full_events, full_totals, full_seen = stepped(plain | {"feeder": on | {"max_dvm_pu": 0.0}}, 0.01)
    assert full_totals["solver/n_surface"] == 0
    assert totals["solver/n_surface"] > 0.5 * totals["solver/n_instant"]
    assert totals["solver/n_surface_given_up"] == 0
    assert untouched(events) == untouched(full_events)
    common = sorted(seen.keys() & full_seen.keys())
    assert len(common) > 0.9 * totals["solver/n_instant"]
    assert max(np.abs(seen[t] - full_seen[t]).max() for t in common) < 1e-9
    for name in centers:
        assert np.abs(rows[f"datacenter/{name}/vm_pu"] - full[f"datacenter/{name}/vm_pu"]).max() < 1e-9
        assert np.abs(rows[f"datacenter/{name}/p_grid_mw"] - full[f"datacenter/{name}/p_grid_mw"]).max() < 1e-8
    for key in ("e_source_mwh", "e_load_mwh", "e_loss_mwh", "e_datacenters_mwh"):
        assert totals[f"energy/{key}"] == pytest.approx(full_totals[f"energy/{key}"], rel=1e-8)
    assert abs(totals["energy/feeder_balance_relative"]) < 1e-9
    assert np.abs(totals["bus/lowest_vm_pu"] - full_totals["bus/lowest_vm_pu"]).max() < 1e-9


@pytest.fixture(scope="module")
def whole():
    return stepped(scenario(60, events=EVENTS))


@given(st.floats(0.01, 60))
@settings(max_examples=6)
def test_block_size_changes_no_bit_on_surfaces(whole, max_block_s):
    rows, events, totals, _ = stepped(scenario(60, events=EVENTS), max_block_s)
    assert whole[2]["solver/n_surface"] > 3000
    assert same(rows, whole[0])
    assert events == whole[1]
    assert same(totals, whole[2])


class Remembers:
    """A controller that notes what it sees and loads its site by it, so that a wrong look shows in the run."""

    period_s = 0.7

    def __init__(self):
        self.seen = []

    def on_tick(self, view, t_s):
        self.seen.append(view.vm_pu("5"))
        return [{"kind": "load_changed", "load": "7", "p_mw": 0.1 + (self.seen[-1] * 1e6) % 0.1}] if t_s > 20 else []

    def state(self):
        return np.array(self.seen).tobytes()

    def restore(self, state):
        self.seen = np.frombuffer(state).tolist()


@pytest.mark.parametrize("stop_s", [5.6, 6.0, 11.9, 30.0, 33.0, 38.5, 50.4, 53.0])
@pytest.mark.parametrize("controlled", [False, True])
def test_resumed_run_finds_its_surfaces_again(stop_s, controlled):
    """Stopped in the base state, in a dip, with another switch closed, in a blackout, and after a load came back."""
    plain = scenario(60, events=EVENTS)
    config, feeder = prepare(plain)

    def fresh():
        return Simulation(config, feeder, config.folder, [Remembers()] if controlled else [])

    def drive(simulation, until_s=None):
        out, events = {}, []
        for block in simulation.blocks(0.05 if until_s else None):
            for path, rows in {"t_us": block.t_us, **block.columns}.items():
                out.setdefault(path, []).append(rows.copy())
            events += block.events
            if until_s is not None and block.now_us >= until_s * 1e6:
                break
        return {path: np.concatenate(rows) for path, rows in out.items()}, events

    never = fresh()
    rows, events = drive(never)
    stopped = fresh()
    first_rows, first_events = drive(stopped, stop_s)
    resumed = fresh()
    resumed.restore(stopped.state())
    rest_rows, rest_events = drive(resumed)
    assert first_events + rest_events == events
    for path, values in rows.items():
        assert np.array_equal(np.concatenate([first_rows[path], rest_rows[path]]), values), path
    assert same(run_totals(resumed), run_totals(never))
    if controlled:
        assert resumed.controllers[0].seen == never.controllers[0].seen


def test_controller_sees_the_voltage_of_the_last_instant():
    """Also where an event of the same time has changed the feeder before it looks."""

    class Looks(Remembers):
        period_s = 0.01

        def on_tick(self, view, t_s):
            self.seen.append(view.vm_pu("5"))
            return []

    looks = Looks()
    plain = scenario(30, events=EVENTS[:3], feeder={"model": "case33bw", **NO_CHANGE_LEFT_OUT}, log={"step_s": 0.01})
    rows, _, totals, _ = stepped(plain, controllers=[looks])
    assert totals["solver/n_surface"] > 1000
    logged = rows["bus/vm_pu"][:, 5][rows["t_us"] % 10_000 == 0][: len(looks.seen)]
    off_tick = np.isin(np.arange(len(looks.seen)), [1800, 1805])  # behind instants at 18.003 s and 18.0531 s
    assert np.abs(np.array(looks.seen) - logged)[~off_tick].max() < 1e-7


def test_wrong_surface_is_found_by_the_check_and_given_up(monkeypatch):
    """One magnitude of the cell that the run ends up in is off by 1e-7 pu."""
    fit_cell, made = surfaces.fit_cell, []

    def spoilt(lab, box, slope, watch_row):
        fits = fit_cell(lab, box, slope, watch_row)
        if fits and simulation.now_us > 10_000_000 and not made:
            magnitude = fits[0].modes[:, simulation.compiled.surfaces.n_out + 12]
            magnitude *= 1 + 1e-7
            made.append(simulation.now_us)
        return fits

    monkeypatch.setattr(surfaces, "fit_cell", spoilt)
    plain = scenario(40, feeder={"model": "case33bw", **NO_CHANGE_LEFT_OUT}, events=[])
    config, feeder = prepare(plain)
    simulation = Simulation(config, feeder, config.folder)
    given_up_at, worst_after, told = None, 0.0, []
    lab = feeder.compile(["5"], config.feeder)
    for block in simulation.blocks(0.1):
        told += [event for event in block.events if event[1] == "surface_given_up"]
        if given_up_at is None and simulation.compiled.surfaces.n_refused:
            given_up_at = block.now_us
        if given_up_at is not None and block.now_us > given_up_at:
            f = lab.arrays
            f.port_p_mw[:], f.port_q_mvar[:] = (
                simulation.compiled.arrays.port_p_mw,
                simulation.compiled.arrays.port_q_mvar,
            )
            assert solve(f) == OK
            worst_after = max(worst_after, np.abs(np.sqrt(f.vm2[f.node_row]) - simulation.log.vm).max())
    assert given_up_at is not None
    assert given_up_at - made[0] <= 1.2 * SOONEST_CHECK * 10_000
    assert 1e-9 < run_totals(simulation)["solver/worst_surface_check_pu"] < 1e-5
    assert simulation.compiled.surfaces.arrays.info[N_REFUSED] == 1
    assert worst_after < 1e-9
    [(told_us, _, element, value, detail)] = told
    assert given_up_at - 100_000 <= told_us <= given_up_at
    assert (element, detail) == ("feeder", "off a full solve; allowed 1e-09 pu")
    assert value == run_totals(simulation)["solver/worst_surface_check_pu"]


def test_behind_an_event_surfaces_are_held_to_the_solve_that_it_takes():
    """Those of the state before a dip, spoilt while it lasts, are given up at the first instant behind it."""
    dip = {"at_s": 12.0, "kind": "dip_started", "vm_pu": 0.95, "duration_s": 0.05}
    config, feeder = prepare(scenario(15, events=[dip]))
    simulation = Simulation(config, feeder, config.folder)
    blocks = simulation.blocks(0.01)
    while simulation.now_us < 12_000_000:
        next(blocks)
    before = simulation.compiled.surfaces
    assert before.is_present
    next(blocks)
    next(blocks)
    assert simulation.compiled.surfaces is not before
    before.arrays.watch[:, 0] += 1e-7
    while simulation.now_us <= 12_050_000:
        assert before.n_refused == 0
        next(blocks)
    assert simulation.compiled.surfaces is before
    assert before.n_refused == 1


CONTROLLED = {"model": "ieee13"}


@pytest.fixture(scope="module")
def regulated():
    return regulated_run()


def regulated_run(max_block_s=None, duration_s=240):
    site = campus("671", ups=False)
    site["load"] = site["load"] | {"accelerators": {"count": 1500, "p_peak_w": 700, "p_idle_w": 90}}
    events = [{"at_s": 60.0, "kind": "dip_started", "vm_pu": 0.97, "duration_s": 90}]
    plain = scenario(duration_s, feeder=CONTROLLED, datacenters={"campus": site}, events=events)
    return stepped(plain, max_block_s)


def test_regulators_move_and_surfaces_answer_in_between(regulated):
    _, events, totals, _ = regulated
    moves = [event for event in events if event[1] == "tap_changed"]
    assert len(moves) > 4
    assert totals["solver/n_surface"] > 0.5 * totals["solver/n_instant"]
    assert totals["solver/n_surface_given_up"] == 0
    assert abs(totals["energy/feeder_balance_relative"]) < 1e-9


@pytest.mark.parametrize("max_block_s", [0.03, 1.7, 33.0])
def test_block_size_changes_no_bit_while_controls_move(regulated, max_block_s):
    rows, events, totals, _ = regulated_run(max_block_s)
    assert same(rows, regulated[0])
    assert events == regulated[1]
    assert same(totals, regulated[2])
