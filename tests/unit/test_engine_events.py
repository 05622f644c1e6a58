"""Scheduled events do to the run what they say, held against the feeder solved on its own."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import campus, kinds, scenario, simulate

import cosim
from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.feeder import load_feeder
from cosim.observers import Points
from cosim.scenario import resolve
from cosim.wiring import _recorder, _state, prepare

P = "datacenter/campus/"
EMPTY = {"datacenters": {}}
TIGHT = {"model": "case33bw", "max_dvm_pu": 0.0}


def at(rows, t_s, path):
    return rows[path][np.searchsorted(rows["t_us"], round(t_s * 1e6))]


def alone(feeder, rows, t_s):
    """Voltages of the feeder with the data center's logged power, solved by the feeder room alone."""
    power = float(at(rows, t_s, P + "p_grid_mw")), float(at(rows, t_s, P + "q_mvar"))
    return np.array(feeder.solve({"5": power}).node_vm_pu)


def test_logged_voltages_are_the_feeders_own_solution():
    rows, _, _ = simulate(scenario(10, feeder=TIGHT))
    feeder = load_feeder("case33bw")
    for t_s in (0.0, 3.3, 7.7, 10.0):
        assert np.abs(at(rows, t_s, "bus/vm_pu") - alone(feeder, rows, t_s)).max() < 1e-6


def test_load_changed_moves_the_feeders_load():
    events = [
        {"at_s": 2.0, "kind": "load_changed", "load": "0", "p_mw": 0.5},
        {"at_s": 4.0, "kind": "load_changed", "load": "0", "scale": 1.0},
        {"at_s": 6.0, "kind": "load_changed", "load": "0", "scale": 2.0},
    ]
    _, found, _ = simulate(scenario(8, events=events, feeder=TIGHT))
    assert kinds(found).count("load_changed") == 3
    config, feeder = prepare(scenario(8, events=events, feeder=TIGHT))
    simulation = Simulation(config, feeder, config.folder)
    simulation.queue._heap.clear()
    load_mw = []
    for event in (None, *events):
        if event:
            if event.get("scale") is not None:
                simulation.compiled.scale_load("0", event["scale"])
            else:
                simulation.compiled.set_load("0", event["p_mw"])
        simulation.clock.time[1] = simulation.clock.time[0] + 10_000
        next(simulation.blocks(0.01))
        load_mw.append(simulation.compiled.arrays.totals[2])
    base = load_mw[0]
    assert load_mw == pytest.approx([base, base + 0.4, base, base + 0.1], abs=1e-6)  # load 0 of case33bw: 0.1 MW


def test_a_switched_line_takes_its_part_dark_and_back():
    events = [
        {"at_s": 2.0, "kind": "switch_opened", "switch": "line:17"},
        {"at_s": 5.0, "kind": "switch_closed", "switch": "line:17"},
    ]
    rows, found, _ = simulate(scenario(8, events=events))
    dark = at(rows, 3.0, "bus/vm_pu") == 0
    assert 0 < dark.sum() < 33
    assert (at(rows, 1.0, "bus/vm_pu") > 0).all()
    assert (at(rows, 6.0, "bus/vm_pu") > 0).all()
    assert {"switch_opened", "switch_closed"} <= set(kinds(found))


def test_a_tie_closed_meshes_the_feeder():
    events = [{"at_s": 2.0, "kind": "switch_closed", "switch": "line:35"}]
    rows, _, totals = simulate(scenario(8, events=events))
    radial, _, _ = simulate(scenario(8))
    assert at(rows, 3.0, "bus/vm_pu").min() > at(radial, 3.0, "bus/vm_pu").min() + 0.001
    assert np.array_equal(at(rows, 1.9, "bus/vm_pu"), at(radial, 1.9, "bus/vm_pu"))
    assert abs(totals["energy/balance_relative"]) < 1e-9


def test_a_dip_scales_the_source():
    events = [{"at_s": 2.0, "kind": "dip_started", "vm_pu": 0.95, "duration_s": 2.0}]
    rows, _, _ = simulate(scenario(6, events=events))
    assert at(rows, 3.0, "bus/vm_pu")[0] == pytest.approx(0.95, abs=1e-6)
    assert at(rows, 5.0, "bus/vm_pu")[0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("depth", [0.0, 0.02, 0.1, 0.3, 0.5, 0.7])
def test_no_dip_however_deep_ends_the_run(depth):
    events = [{"at_s": 2.0, "kind": "dip_started", "vm_pu": depth, "duration_s": 0.066}]
    rows, found, totals = simulate(scenario(40, events=events, datacenters={"campus": campus("17")}))
    assert "collapsed" not in kinds(found)
    assert rows["t_us"][-1] == 40_000_000
    assert rows[P + "p_grid_mw"][-1] > 0.5
    assert rows[P + "p_unserved_mw"].max() == 0.0
    assert abs(totals["energy/balance_relative"]) < 1e-9


def test_a_dip_during_a_blackout_does_not_end_it():
    events = [
        {"at_s": 2.0, "kind": "source_lost", "duration_s": 4.0},
        {"at_s": 3.0, "kind": "dip_started", "vm_pu": 0.9, "duration_s": 1.0},
    ]
    rows, _, _ = simulate(scenario(8, events=events))
    for t_s in (2.5, 3.5, 4.5, 5.5):
        assert at(rows, t_s, "bus/vm_pu").max() == 0.0
    assert at(rows, 7.0, "bus/vm_pu").max() > 0.9


class Cap:
    """A controller that stops the job when the site passes a power, and remembers it."""

    period_s = 1.0

    def __init__(self):
        self.stopped = 0

    def on_tick(self, view, t_s):
        if view.p_grid_mw("campus") > 1.5 and not self.stopped:
            self.stopped = 1
            assert view.vm_pu("5") > 0.8
            return [{"kind": "job_stopped", "datacenter": "campus", "job": "pretrain"}]
        return ()

    def state(self):
        return bytes([self.stopped])

    def restore(self, state):
        self.stopped = state[0]


def test_a_controller_acts_through_events():
    config, feeder = prepare(scenario(20))
    simulation = Simulation(config, feeder, config.folder, [Cap()])
    events = [event for block in simulation.blocks() for event in block.events]
    stops = [t for t, kind, *_ in events if kind == "job_stopped"]
    assert len(stops) == 1
    assert stops[0] % 1_000_000 == 0


def test_a_controllers_unknown_action_is_refused():
    class Wrong(Cap):
        def on_tick(self, view, t_s):
            return [{"kind": "make_coffee"}]

    config, feeder = prepare(scenario(5))
    simulation = Simulation(config, feeder, config.folder, [Wrong()])
    with pytest.raises(InputError, match=r"controllers\.0\.kind: no such kind"):
        list(simulation.blocks())


def test_a_feeder_without_data_centers_runs_too():
    rows, _, totals = simulate(scenario(5, **EMPTY))
    assert np.abs(rows["bus/vm_pu"][0] - np.array(load_feeder("case33bw").solve().node_vm_pu)).max() < 1e-6
    assert totals["solver/n_solve"] == 1


def test_a_job_stopped_behind_its_last_stage_ends():
    tuning = {"kind": "fine_tuning", "stop_s": 8.0, "stages": [{"name": "x", "duration_s": 5, "utilization": 0.5}]}
    load = {"accelerators": {"count": 100, "p_peak_w": 700, "p_idle_w": 90}, "jobs": {"tune": tuning}}
    rows, events, _ = simulate(scenario(12, datacenters={"campus": {"bus": "5", "load": load}}))
    assert rows["t_us"][-1] == 12_000_000
    assert kinds(events).count("job_stopped") == 1


@pytest.mark.parametrize("max_block_s", [None, 60.0, 7.0])
def test_noise_finer_than_the_step_does_not_depend_on_blocks(max_block_s):
    """Draws are turned to by chunks of 4,096; a step of 1 s spans ten of them."""
    plain = scenario(900, time={"duration_s": 900, "step_s": 1.0}, log={"step_s": 1.0})
    whole, _, _ = simulate(plain)
    rows, _, _ = simulate(plain, max_block_s=max_block_s)
    assert np.array_equal(rows[P + "p_ai_mw"], whole[P + "p_ai_mw"])
    fine, _, _ = simulate(scenario(900, time={"duration_s": 900, "step_s": 0.1}, log={"step_s": 1.0}))
    assert np.abs(fine[P + "p_ai_mw"] - whole[P + "p_ai_mw"]).max() < 1e-9


def test_a_dip_that_stops_converters_gives_no_energy_away():
    weak = campus("17", ups=False, facility={"v_min_pu": 0.1, "v_trip_pu": 0.1, "v_return_pu": 0.9})
    events = [{"at_s": 3.0, "kind": "dip_started", "vm_pu": 0.4, "duration_s": 0.5}]
    _, _, totals = simulate(scenario(8, events=events, datacenters={"campus": weak}))
    assert abs(totals["energy/balance_relative"]) < 1e-9
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9


def test_servers_wait_for_the_rectifier_to_return():
    quick = campus(ups=False, facility={"restart_s": 0.1, "return_delay_s": 2.0})
    events = [{"at_s": 3.0, "kind": "source_lost", "duration_s": 1.0}]
    _, found, _ = simulate(scenario(12, events=events, datacenters={"campus": quick}))
    assert kinds(found).count("load_shed") == 1
    assert kinds(found).count("load_restored") == 1


def test_a_controller_without_state_runs_but_cannot_resume():
    class Blind:
        period_s = 1.0

        def on_tick(self, view, t_s):
            return ()

    config, feeder = prepare(scenario(3))
    simulation = Simulation(config, feeder, config.folder, [Blind()])
    list(simulation.blocks())
    stored = simulation.state()
    with pytest.raises(InputError, match="cannot be resumed"):
        Simulation(config, feeder, config.folder, [Blind()]).restore(stored)


def test_more_than_the_rectifier_can_give_is_an_event():
    small = campus(ups=False, facility={"rectifier": {"max_p_mw": 1.0}})
    with pytest.warns(UserWarning, match="1 MW are less than the 1.734 MW of all accelerators"):
        _, found, _ = simulate(scenario(8, datacenters={"campus": small}))
    assert "limit_exceeded" in kinds(found)


def test_kernels_have_one_signature_whatever_the_scenario():
    from cosim.engine.advance import advance
    from cosim.feeder.kernel import solve

    simulate(scenario(1))
    simulate(scenario(1, feeder={"model": "cigre_mv"}, datacenters={"a": campus("Bus 3"), "b": campus("Bus 9")}))
    for kernel in (advance, solve):
        assert len(kernel.signatures) == 1


def test_jobs_that_events_start_may_not_outweigh_the_fleet():
    load = campus()["load"]
    load = load | {"jobs": {"pretrain": load["jobs"]["pretrain"], "late": load["jobs"]["pretrain"] | {"start_s": None}}}
    late = {"at_s": 2.0, "kind": "job_started", "datacenter": "campus", "job": "late"}
    stop = {"at_s": 1.0, "kind": "job_stopped", "datacenter": "campus", "job": "pretrain"}
    with pytest.raises(InputError, match="weights sum to 2 at t = 2 s"):
        prepare(scenario(5, events=[late], datacenters={"campus": campus(load=load)}))
    prepare(scenario(5, events=[stop, late], datacenters={"campus": campus(load=load)}))


def test_a_controller_that_raises_leaves_a_whole_log(tmp_path):
    class Broken:
        period_s = 10.0

        def on_tick(self, view, t_s):
            if t_s > 25:
                raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        cosim.run(scenario(60), out=tmp_path / "a.h5", controllers=[Broken()])
    with cosim.open_result(tmp_path / "a.h5") as result:
        assert result.status == "failed"
        assert result.t_s[-1] == pytest.approx(29.9, abs=0.11)


@pytest.mark.parametrize("ups", [True, False])
@pytest.mark.parametrize("kind", ["dip_started", "source_lost"])
def test_a_net_exporter_balances_through_a_dip_and_a_blackout(ups, kind):
    """On-site generation above the need: what nobody takes is curtailed, never lost or stored from a dead bus."""
    exporter = campus(ups=ups, facility={"external": {"profile": [{"t_s": 0, "p_mw": 6.0}]}})
    event = {"at_s": 5.0, "kind": kind, "duration_s": 4.0} | ({"vm_pu": 0.6} if kind == "dip_started" else {})
    rows, _, totals = simulate(scenario(20, events=[event], datacenters={"campus": exporter}))
    assert abs(totals["energy/balance_relative"]) < 1e-9
    assert abs(totals["datacenter/campus/balance_relative"]) < 1e-9
    if kind == "source_lost":
        dark = rows[P + "vm_pu"] == 0
        assert rows[P + "p_external_mw"][dark].max() == 0.0


class Acts:
    """A controller that asks for the given actions at the given seconds."""

    period_s = 1.0

    def __init__(self, *asked):
        self.asked = asked

    def on_tick(self, view, t_s):
        return [action for at_s, action in self.asked if at_s == t_s]

    def state(self):
        return b""

    def restore(self, state):
        pass


def acted(*asked, **more):
    """Rows at whole seconds and events of a run with a controller that asks for something."""
    config, feeder = prepare(scenario(20, log={"step_s": 0.1}, **more))
    simulation = Simulation(config, feeder, config.folder, [Acts(*asked)])
    return [event for block in simulation.blocks() for event in block.events]


DIP = {"kind": "dip_started", "vm_pu": 0.8, "duration_s": 5}


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"kind": "make_coffee"}, r"controllers\.0\.kind: no such kind"),
        ({"kind": "dip_ended"}, r"controllers\.0\.kind: no such kind; nearest: dip_started"),
        ({"kind": "job_stopped", "datacenter": "campus", "job": "pretain"}, "no such job; nearest: pretrain"),
        ({"kind": "job_stopped", "datacenter": "kampus", "job": "x"}, "no such data center; nearest: campus"),
        ({"kind": "switch_opened", "switch": "line:77"}, "the feeder has no such switch; nearest"),
        ({"kind": "load_changed", "load": "nobody", "scale": 1}, "the feeder has no such load"),
        ({"kind": "load_changed", "load": "5", "scale": -1}, r"controllers\.0\.scale: must be at least 0"),
        ({"kind": "dip_started", "vm_pu": 0.8}, r"controllers\.0\.duration_s: is missing"),
        ({"kind": "source_lost", "at_s": 3}, "leave out at_s"),
        ("source_lost", "a mapping with kind"),
    ],
)
def test_a_controllers_wrong_action_is_told_as_a_scenarios_is(action, words):
    with pytest.raises(InputError, match=words):
        acted((2.0, action))


def test_a_controllers_dip_within_a_dip_is_refused():
    with pytest.raises(InputError, match=r"controllers\.0: dip_started at t = 4 s: begins while the dip lasts, until"):
        acted((2.0, DIP), (4.0, DIP))
    events = acted((2.0, DIP), (8.0, DIP))
    assert [t for t, kind, *_ in events if kind == "dip_ended"] == [7_000_000, 13_000_000]


def test_a_dip_of_the_scenario_within_a_controllers_is_refused():
    with pytest.raises(InputError, match="begins while the dip lasts, until 7 s"):
        acted((2.0, DIP), events=[{"at_s": 4.0, **DIP}])


def test_a_controller_may_not_return_what_is_not_out():
    with pytest.raises(InputError, match="there is no loss of the source to end"):
        acted((2.0, {"kind": "source_returned"}))
    with pytest.raises(InputError, match="ends by itself"):
        acted((2.0, {"kind": "source_lost", "duration_s": 5}), (4.0, {"kind": "source_returned"}))
    with pytest.raises(InputError, match="begins while the outage of the UPS of campus lasts"):
        acted(*[(t, {"kind": "ups_out_of_service", "datacenter": "campus"}) for t in (2.0, 3.0)])
    events = acted((2.0, {"kind": "source_lost"}), (4.0, {"kind": "source_returned"}))
    assert "source_returned" in kinds(events)


def test_a_controller_that_asks_for_an_unknown_bus_is_told_the_nearest():
    class Asks(Acts):
        def on_tick(self, view, t_s):
            view.vm_pu("55")

    config, feeder = prepare(scenario(5))
    with pytest.raises(InputError, match=r"no such bus; nearest: 5, .*'55'"):
        list(Simulation(config, feeder, config.folder, [Asks()]).blocks())


def test_what_lasts_survives_a_checkpoint():
    config, feeder = prepare(scenario(20, log={"step_s": 0.1}))
    first = Simulation(config, feeder, config.folder, [Acts((2.0, DIP))])
    blocks = first.blocks(1.0)
    while next(blocks).now_us < 3_000_000:
        pass
    second = Simulation(config, feeder, config.folder, [Acts((4.0, DIP))])
    second.restore(first.state())
    with pytest.raises(InputError, match="begins while the dip lasts, until 7 s"):
        list(second.blocks())


def test_resuming_without_the_controllers_is_refused_and_leaves_the_checkpoint(tmp_path):
    out, plain = tmp_path / "a.h5", scenario(400)
    config, feeder = prepare(plain)
    simulation = Simulation(config, feeder, config.folder, [Acts()])
    points = Points(config, simulation)
    recorder = _recorder(out, resolve(config), config, simulation, None, points, resume=False)
    for block in simulation.blocks(100.0):
        recorder.append(block.t_us, block.columns)
        points.take(block)
        if block.now_us >= 200_000_000:
            break
    recorder.checkpoint(_state(simulation, None, points))
    recorder.finish("interrupted")
    for given, words in (([], "had 1 controllers, this one has 0"), ([Acts(), Acts()], "this one has 2")):
        with pytest.raises(InputError, match=words):
            cosim.run(plain, out=out, resume=True, controllers=given)
    with cosim.run(plain, out=out, resume=True, controllers=[Acts()]) as result:
        assert (result.status, result.n_rows) == ("complete", 4001)
