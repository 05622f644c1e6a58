"""Faults and protection in a run: what clears what, resuming inside a fault, states that return, wrong input."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import TRAINING, campus, kinds, scenario, simulate

from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.feeder import CompiledFeeder, FeederConfig, load_feeder
from cosim.feeder import arrays as ix
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.protection.config import FuseConfig, fuse_curves
from cosim.feeder.zero_sequence import ZeroSequenceConfig
from cosim.wiring import prepare

SITE = campus("67") | {
    "load": {
        "accelerators": {"count": 512, "p_peak_w": 700, "p_idle_w": 90},
        "p_base_mw": 0.1,
        "jobs": {"pretrain": TRAINING},
    }
}
FAST = {"curve": "ieee_extremely_inverse", "pickup_a": 400, "time_dial": 0.05}
SLOW = {"curve": "ieee_extremely_inverse", "pickup_a": 400, "time_dial": 3.0}
RECLOSER = {
    "name": "r1",
    "kind": "recloser",
    "line": "sw5",
    "fast": FAST,
    "slow": SLOW,
    "n_fast": 1,
    "n_slow": 2,
    "open_s": [0.5, 2.0],
    "reset_s": 8,
}
FUSE = {"name": "f1", "kind": "fuse", "line": "108_109", "speed": "t", "rated_a": 120}
"""On the lateral of phase a at bus 108, behind the recloser."""
LATERAL = {"kind": "fault_applied", "at_s": 5, "bus": "110", "type": "line_to_ground", "phases": "a"}


def case(events, protection=(), duration_s=20.0, **more):
    feeder = {"model": "ieee123", "protection": list(protection)}
    return scenario(duration_s, feeder=feeder, datacenters={"campus": SITE}, events=events, **more)


def protective(events):
    return [e for e in events if e[1].split("_")[0] in ("fault", "recloser", "fuse", "relay", "switch")]


def test_fast_shot_saves_the_fuse_from_a_temporary_fault():
    _, events, _ = simulate(case([LATERAL], [RECLOSER, FUSE]))
    assert kinds(protective(events)) == [
        "fault_applied",
        "recloser_opened",
        "fault_cleared",
        "recloser_closed",
        "recloser_reset",
    ]


def test_slow_shot_lets_the_fuse_blow_on_a_lasting_fault():
    _, events, _ = simulate(case([LATERAL | {"extinction_s": None}], [RECLOSER, FUSE]))
    found = protective(events)
    assert kinds(found) == ["fault_applied", "recloser_opened", "recloser_closed", "fuse_blown", "recloser_reset"]
    closed_us, blown = found[2][0], found[3]
    _, clearing = fuse_curves(FuseConfig.model_validate(FUSE))
    t_before = (found[1][0] - 5_000_000) / 1e6
    expected_s = clearing.time_s(blown[3]) - t_before + 0.5 / 60 * clearing.time_s(blown[3])
    # The melting of the fast shot is kept but for what cools in 0.5 s; the current of both shots is the same.
    assert (blown[0] - closed_us) / 1e6 == pytest.approx(expected_s, abs=2e-3)


def test_blown_fuse_leaves_the_lateral_dead_and_the_rest_supplied():
    rows, _, _ = simulate(case([LATERAL | {"extinction_s": None}], [RECLOSER, FUSE]))
    config, feeder = prepare(case([], []))
    names = list(Simulation(config, feeder, config.folder).compiled.node_names)
    vm = rows["bus/vm_pu"][-1]
    assert vm[names.index("110.1")] == 0.0
    assert vm[names.index("108.1")] > 0.9


def test_relay_clears_a_lasting_fault_for_good():
    relay = {"name": "b1", "kind": "relay", "line": "sw5", "phase": FAST, "breaker_s": 0.08}
    fault = LATERAL | {"bus": "105", "type": "three_phase", "phases": None, "extinction_s": None}
    _, events, _ = simulate(case([fault], [relay], 10))
    found = protective(events)
    assert kinds(found) == ["fault_applied", "relay_tripped", "switch_opened"]
    assert 80_000 - 10_000 <= found[2][0] - found[1][0] <= 80_000  # told at the first instant behind its decision


def test_line_fault_carries_current_from_both_ends_and_is_told_when_cleared():
    fault = {"kind": "fault_applied", "at_s": 2, "line": "108_109", "position": 0.4, "type": "line_to_ground"}
    _, events, _ = simulate(case([fault | {"duration_s": 0.1}], (), 4))
    cleared = next(e for e in events if e[1] == "fault_cleared")
    assert cleared[0] == 2_100_000
    assert 500 < cleared[3] < 5000


def test_results_do_not_depend_on_block_size_with_faults_and_protection():
    plain = case([LATERAL, LATERAL | {"at_s": 12, "extinction_s": None}], [RECLOSER, FUSE], 18)
    one, events_one, _ = simulate(plain)
    two, events_two, _ = simulate(plain, max_block_s=0.07)
    assert events_one == events_two
    for path, rows in one.items():
        np.testing.assert_array_equal(rows, two[path], err_msg=path)


@pytest.mark.parametrize("stop_us", [5_020_000, 5_300_000, 5_700_000, 6_500_000])
def test_run_resumed_inside_a_fault_gives_the_same_bits(stop_us):
    plain = case([LATERAL | {"extinction_s": None}], [RECLOSER, FUSE], 9)
    rows, events, _ = simulate(plain)
    config, feeder = prepare(plain)
    first = Simulation(config, feeder, config.folder)
    told = []
    for block in first.blocks(0.01):
        told += block.events
        if block.now_us >= stop_us:
            break
    second = Simulation(config, feeder, config.folder)
    second.restore({k: np.array(v) for k, v in first.state().items()})
    parts = []
    for block in second.blocks():
        told += block.events
        parts.append(block.columns["bus/vm_pu"].copy())
    assert told == events
    found = np.concatenate(parts)
    np.testing.assert_array_equal(found, rows["bus/vm_pu"][-len(found) :])


def test_returning_fault_costs_no_factorization():
    feeder = load_feeder("ieee123")
    compiled = CompiledFeeder(feeder.network, ["67"], FeederConfig(model="ieee123"))
    compiled.arrays.port_p_mw[0], compiled.arrays.port_v_min_pu[0] = 0.5, 0.85
    fault = FaultConfig(bus="60", type="three_phase", r_ohm=2.0)
    solve_totals(compiled)
    made = []
    for _ in range(2):
        for change in (lambda: compiled.apply_fault("f", fault), lambda: compiled.clear_fault("f")):
            change()
            before = int(compiled.arrays.flags[ix.N_FACTORED])
            assert solve_totals(compiled)[0] == ix.OK
            made.append((before, int(compiled.arrays.flags[ix.N_FACTORED]) - before))
    assert sum(map(sum, made[:2])) <= 2
    assert made[2:] == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("model", "port", "p_mw"),
    [
        ("ieee13", "680", 1.0),
        ("ieee34", "890", 0.2),
        ("ieee123", "67", 1.4),
        ("campus34", "campus_a", 28.0),
        ("case33bw", "17", 1.0),
        ("cigre_mv", "Bus 11", 1.0),
    ],
)
def test_bolted_faults_everywhere_have_a_solution_with_a_data_center_in_constant_current(model, port, p_mw):
    feeder = load_feeder(model)
    zero = ZeroSequenceConfig(trafo_vector_group="Dyn") if feeder.network.is_balanced else None
    compiled = CompiledFeeder(feeder.network, [port], FeederConfig(model=model, zero_sequence=zero))
    failed, ceased = [], []
    types = ["three_phase", "line_to_ground", "line_to_line"]
    for k, bus in enumerate(feeder.bus_names[:: max(1, len(feeder.bus_names) // 25)]):
        fault = FaultConfig(bus=bus, type=types[k % len(types)])
        compiled.arrays.port_p_mw[0], compiled.arrays.port_q_mvar[0] = p_mw, 0.1 * p_mw
        compiled.arrays.port_v_min_pu[0] = 0.85
        solve_totals(compiled)
        try:
            compiled.apply_fault("f", fault)
        except InputError:  # an ideal source, or a phase that is not there
            continue
        status, totals = solve_totals(compiled)
        if status == ix.COLLAPSED:  # converters cease then, as the advance loop has it
            compiled.arrays.port_p_mw[0] = compiled.arrays.port_q_mvar[0] = 0.0
            status, totals = solve_totals(compiled)
            ceased.append(float(compiled.arrays.port_vm_pu[0]))
        assert compiled.arrays.flags[ix.N_FACTORED] <= 2, (bus, fault.type)
        gap = totals[ix.P_SOURCE] + totals[ix.P_GEN] - totals[ix.P_LOAD] - totals[ix.P_LOSS]
        gap -= compiled.arrays.port_p_solved_mw.sum()
        if status == ix.COLLAPSED or abs(gap) > 1e-8 * max(1.0, abs(totals[ix.P_SOURCE])):
            failed.append((bus, fault.type, status, gap))
        compiled.clear_fault("f")
    assert failed == []
    assert max(ceased, default=0.0) < 0.5  # where it would transfer to storage anyway


@pytest.mark.parametrize(
    ("event", "path", "told"),
    [
        ({"bus": "6000", "type": "three_phase"}, "events.0.bus", "no such bus"),
        ({"bus": "110", "type": "line_to_ground", "phases": "b"}, "events.0.phases", "phase 2 is not there"),
        ({"bus": "110", "type": "three_phase"}, "events.0.type", "takes 3 phases"),
        ({"line": "nowhere", "position": 0.5, "type": "line_to_ground"}, "events.0.line", "no such line"),
        ({"line": "108_109", "type": "line_to_ground"}, "events.0", "position goes with line"),
        ({"bus": "110", "line": "108_109", "type": "line_to_ground"}, "events.0", "exactly one of bus and line"),
        ({"bus": "108", "type": "line_to_line", "phases": "abc"}, "events.0", "takes 2 phases"),
        ({"bus": "108", "type": "line_to_line", "r_ground_ohm": 1.0}, "events.0", "no path to ground"),
        ({"bus": "108", "type": "line_to_line", "r_ohm": 0.0}, "events.0", "below 1e-05 ohm"),
    ],
)
def test_fault_that_cannot_be_is_named_before_the_run(event, path, told):
    with pytest.raises(InputError) as caught:
        prepare(case([{"kind": "fault_applied", "at_s": 1} | event]))
    assert any(p.path.startswith(path) and told in p.message for p in caught.value.problems), caught.value


def test_overlapping_faults_at_one_place_are_named_before_the_run():
    lasting = LATERAL | {"duration_s": 2.0}
    for second in (lasting | {"at_s": 6}, {"kind": "fault_cleared", "at_s": 6, "bus": "110"}):
        with pytest.raises(InputError, match=r"lasts, until 7 s|ends by itself at 7 s"):
            prepare(case([lasting, second]))
    with pytest.raises(InputError, match="no fault at bus 110 to clear"):
        prepare(case([{"kind": "fault_cleared", "at_s": 6, "bus": "110"}]))
    prepare(case([lasting, lasting | {"at_s": 7}, lasting | {"at_s": 6, "bus": "108"}]))


@pytest.mark.parametrize(
    ("device", "path", "told"),
    [
        (RECLOSER | {"line": "nowhere"}, "feeder.protection.0.line", "no such line"),
        (RECLOSER | {"line": "135_35", "side": "up"}, "feeder.protection.0.side", "must be from or to"),
        (FUSE | {"speed": "x"}, "feeder.protection.0.speed", "must be k or t"),
    ],
)
def test_protection_that_cannot_be_is_named_before_the_run(device, path, told):
    with pytest.raises(InputError) as caught:
        prepare(case([], [device]))
    assert any(p.path.startswith(path) and told in p.message for p in caught.value.problems)


def test_device_without_a_source_side_is_named_before_the_run():
    tie = {"name": "r", "kind": "fuse", "line": "20", "speed": "t", "rated_a": 120}
    open_line = load_feeder("case33bw").network
    dead = open_line.el_name[np.flatnonzero(~open_line.el_in_service)]
    assert dead.size
    with pytest.raises(InputError, match="no source side"):
        prepare(scenario(feeder={"model": "case33bw", "protection": [tie | {"line": str(dead[0])}]}))


def test_pickup_below_the_load_current_is_warned_of():
    with pytest.warns(UserWarning, match="below the .* A of the feeder.s own load"):
        prepare(case([], [FUSE | {"line": "sw5", "rated_a": 10}]))


def test_fault_at_an_ideal_source_is_refused():
    with pytest.raises(InputError, match=r"source\.s_sc_mva"):
        prepare(scenario(events=[{"kind": "fault_applied", "at_s": 1, "bus": "0", "type": "three_phase"}]))


def test_shipped_recloser_scenario_tells_the_story_that_its_file_does():
    rows, events, _ = simulate("planning/campus34_recloser")
    assert kinds(protective(events)) == [
        "fault_applied",
        "recloser_opened",
        "fault_cleared",
        "recloser_closed",
        "recloser_reset",
        "fault_applied",
        "recloser_opened",
        "recloser_closed",
        "fuse_blown",
        "recloser_reset",
    ]
    assert "load_shed" not in kinds(events)
    assert rows["datacenter/hall_a/p_unserved_mw"].max() == 0.0


class Earther:
    """A controller that puts a fault somewhere."""

    period_s = 1.0

    def __init__(self, **fault):
        self.fault = fault

    def on_tick(self, view, t_s):
        return [{"kind": "fault_applied", "duration_s": 0.2, **self.fault}] if t_s == 2.0 else []


def test_controller_applies_a_fault_and_is_held_to_the_same_checks():
    config, feeder = prepare(case([], (), 4))

    def told(**fault):
        simulation = Simulation(config, feeder, config.folder, [Earther(**fault)])
        return [e for block in simulation.blocks() for e in block.events]

    found = protective(told(bus="110", type="line_to_ground"))
    assert [(e[0], e[1]) for e in found] == [(2_000_000, "fault_applied"), (2_200_000, "fault_cleared")]
    with pytest.raises(InputError, match=r"controllers\.0\.phases: phase 3 is not there"):
        told(bus="110", type="line_to_ground", phases="c")


def test_relay_forgets_what_it_had_seen_when_the_source_is_lost():
    slow = {"curve": "iec_standard_inverse", "pickup_a": 400, "time_dial": 0.3}
    relay = {"name": "b1", "kind": "relay", "line": "sw5", "phase": slow}
    fault = {"kind": "fault_applied", "at_s": 2, "bus": "105", "type": "three_phase", "extinction_s": None}
    lost = {"kind": "source_lost", "at_s": 2.5, "duration_s": 1.0}
    _, whole, _ = simulate(case([fault], [relay], 8))
    _, parted, _ = simulate(case([fault, lost], [relay], 8))
    first, second = (next(e[0] for e in events if e[1] == "relay_tripped") for events in (whole, parted))
    assert second - 3_500_000 == pytest.approx(first - 2_000_000, rel=0.02)


def test_fault_on_a_dead_part_does_nothing_until_that_is_supplied():
    events = [
        {"kind": "switch_opened", "at_s": 1, "switch": "sw5"},
        {"kind": "fault_applied", "at_s": 2, "bus": "105", "type": "three_phase", "duration_s": 3},
        {"kind": "switch_closed", "at_s": 4, "switch": "sw5"},
    ]
    _, found, _ = simulate(case(events, (), 6))
    left = [e[0] for e in found if e[1] == "window_left"]
    assert left == [4_000_000]
