"""Unbalanced faults on a balanced feeder in a run: what each phase sees, what clears them, wrong input.

Voltages and currents themselves are held to OpenDSS in tests/validation/faults_opendss/test_balanced_phases.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import campus, kinds, scenario, simulate

from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.feeder import CompiledFeeder, FeederConfig, SourceConfig, load_feeder
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.sequences import TO_PHASES
from cosim.feeder.zero_sequence import ZeroSequenceConfig
from cosim.scenario import load_scenario
from cosim.scenario.feeder_checks import check_against_feeder
from cosim.wiring import prepare

FEEDER = {"model": "case33bw", "zero_sequence": {"trafo_vector_group": "Dyn"}}
SOURCE = {"s_sc_mva": 150, "x_over_r": 6}
EARTH = {"kind": "fault_applied", "at_s": 5, "bus": "4", "type": "line_to_ground", "phases": "b", "duration_s": 0.15}
GROUND = {"curve": "definite_time", "pickup_a": 100, "time_dial": 0.2}
PHASE = {"curve": "definite_time", "pickup_a": 1500, "time_dial": 0.2}


def case(events, duration_s=8.0, feeder=FEEDER, **more):
    return scenario(duration_s, feeder=feeder, source=SOURCE, events=list(events), log={"step_s": 0.01}, **more)


def compiled_with(zero=None, port="5"):
    config = FeederConfig(model="case33bw", zero_sequence=zero or ZeroSequenceConfig())
    compiled = CompiledFeeder(load_feeder("case33bw").network, [port], config, SourceConfig(**SOURCE))
    compiled.arrays.port_p_mw[0], compiled.arrays.port_v_min_pu[0] = 1.0, 0.85
    return compiled


@pytest.mark.twin
@pytest.mark.parametrize("kind", ["line_to_ground", "line_to_line", "double_line_to_ground"])
def test_kernel_spreads_the_sequences_over_phases_as_complex_algebra_does(kind):
    compiled = compiled_with()
    compiled.arrays.port_across[0] = 1
    compiled.apply_fault("f", FaultConfig(bus="12", type=kind, phases="abc"[: 1 if kind == "line_to_ground" else 2]))
    solve_totals(compiled)
    f, row = compiled.arrays, compiled.arrays.node_row
    expected = compiled.phase_vm_pu()
    np.testing.assert_allclose(np.sqrt(f.vm2[row]), expected.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(np.sqrt(f.vm2_high[row]), expected.max(axis=1), atol=1e-12)
    phases = compiled._phase_map()
    v1 = compiled._node_voltages()
    v012 = np.array([phases.v0[5] @ v1[phases.node], v1[5], phases.v2[5] @ v1[phases.node]])
    v_abc = TO_PHASES @ v012
    between = np.abs(v_abc - np.roll(v_abc, -1)) / np.sqrt(3)
    np.testing.assert_allclose(f.port_phase_pu[0], between, atol=1e-12)
    assert f.port_vm_pu[0] == pytest.approx(between.min(), abs=1e-12)


def test_log_holds_the_lowest_phase_of_a_bus_and_all_phases_of_the_data_center():
    rows, events, totals = simulate(case([EARTH]))
    at = np.flatnonzero((rows["t_us"] >= 5_000_000) & (rows["t_us"] < 5_150_000))
    bus = rows["bus/vm_pu"][at, 5]
    phases = np.stack([rows[f"datacenter/campus/vm_{p}_pu"] for p in "abc"], axis=-1)
    np.testing.assert_array_equal(phases[: at[0]], np.repeat(rows["datacenter/campus/vm_pu"][: at[0], None], 3, axis=1))
    assert (phases[at].argmin(axis=1) == 1).all()  # the faulted phase
    np.testing.assert_allclose(bus, phases[at].min(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(rows["datacenter/campus/vm_pu"][at], phases[at].min(axis=1))
    assert rows["bus/vm_max_pu"][at, 5].min() >= phases[at].max(axis=1).min() - 1e-6 > 0.9
    assert bus.max() < 0.2
    assert "ups_transferred" in kinds(events)
    assert totals["solver/max_imbalance_mw"] < 1e-8


def test_behind_a_delta_an_earth_fault_is_a_shallower_dip():
    shallow = campus(facility={"v_sensed": "phase_to_phase"})
    plain, _, _ = simulate(case([EARTH]))
    rows, events, _ = simulate(case([EARTH], datacenters={"campus": shallow}))
    least = [r["datacenter/campus/vm_pu"].min() for r in (plain, rows)]
    assert least[0] < 0.2
    assert least[1] > 0.5  # a solidly earthed phase leaves 1/sqrt(3) between it and the others
    assert "ups_transferred" not in kinds(events)


def test_between_the_phases_of_an_unbalanced_feeder_the_lowest_pair_counts():
    compiled = CompiledFeeder(load_feeder("ieee13").network, ["671"], FeederConfig(model="ieee13"))
    compiled.arrays.port_p_mw[0] = 0.3
    compiled.arrays.port_across[0] = 1
    compiled.apply_fault("f", FaultConfig(bus="675", type="line_to_ground", phases="b", r_ohm=0.2))
    solve_totals(compiled)
    v = compiled._node_voltages()[compiled._port_nodes[0]]
    expected = np.abs(v - np.roll(v, -1)).min() / np.sqrt(3)
    assert compiled.arrays.port_vm_pu[0] == pytest.approx(expected, abs=1e-12)
    assert np.abs(v).min() < 0.5 * expected


@pytest.mark.parametrize("bus", ["611", "671.1.3"])
def test_voltage_between_phases_needs_all_three(bus):
    site = campus(bus, facility={"v_sensed": "phase_to_phase"})
    with pytest.raises(InputError, match=r"it stands at \d of three phases"):
        prepare(scenario(feeder={"model": "ieee13"}, datacenters={"campus": site}))


def test_there_is_no_neutral_to_connect_to():
    nodes = [f"b.{k}" for k in range(1, 5)]
    for bus, told in (("b", []), ("b.1.2.3", []), ("b.1.2.3.4", ["b.4 is a neutral"])):
        site = campus(bus, ups=False, facility={"v_sensed": "phase_to_phase"})
        config = load_scenario(scenario(feeder={"model": "ieee13"}, datacenters={"campus": site}))
        found = check_against_feeder(config, ["b"], (), (), (), nodes)
        assert [problem.path for problem in found] == ["datacenters.campus.bus"] * len(told)
        assert all(what in problem.message for what, problem in zip(told, found, strict=True))


def test_line_to_line_fault_needs_no_zero_sequence_and_leaves_the_third_phase():
    fault = EARTH | {"type": "line_to_line", "phases": "ac"}
    rows, _, _ = simulate(case([fault], feeder={"model": "case33bw"}))
    at = np.flatnonzero(rows["t_us"] == 5_100_000)[0]
    a, b, c = (rows[f"datacenter/campus/vm_{p}_pu"][at] for p in "abc")
    before = rows["datacenter/campus/vm_pu"][at - 20]
    assert b == pytest.approx(before, rel=0.06)
    assert max(a, c) < 0.62 * before


@pytest.mark.parametrize(("element", "trips"), [("ground", True), ("phase", False)])
def test_ground_element_clears_an_earth_fault_that_the_phases_do_not_show(element, trips):
    fault = {k: v for k, v in EARTH.items() if k != "duration_s"} | {"bus": "17", "r_ground_ohm": 15.0}
    relay = {"name": "r", "kind": "relay", "line": "0", element: GROUND if element == "ground" else PHASE}
    _, events, _ = simulate(case([fault], feeder=FEEDER | {"protection": [relay]}))
    assert ("relay_tripped" in kinds(events)) == trips
    if trips:
        tripped = next(e for e in events if e[1] == "relay_tripped")
        assert tripped[4].startswith("ground")
        _, events, _ = simulate(case([fault | {"duration_s": 0.05}]))
        cleared = next(e for e in events if e[1] == "fault_cleared")
        assert tripped[3] == pytest.approx(
            cleared[3], rel=2e-3
        )  # all of it flows in at the head; the load moves between


def test_run_resumed_inside_an_unbalanced_fault_gives_the_same_bits():
    plain = case([EARTH | {"duration_s": 1.0}], 7.0)
    rows, events, _ = simulate(plain)
    config, feeder = prepare(plain)
    first, told = Simulation(config, feeder, config.folder), []
    for block in first.blocks(0.05):
        told += block.events
        if block.now_us >= 5_400_000:
            break
    second = Simulation(config, feeder, config.folder)
    second.restore({k: np.array(v) for k, v in first.state().items()})
    kept: dict[str, list] = {"bus/vm_pu": [], "bus/vm_max_pu": [], "datacenter/campus/vm_c_pu": []}
    for block in second.blocks():
        told += block.events
        for path, parts in kept.items():
            parts.append(block.columns[path].copy())
    assert told == events
    for path, parts in kept.items():
        found = np.concatenate(parts)
        np.testing.assert_array_equal(found, rows[path][-len(found) :], err_msg=path)


@pytest.mark.parametrize(
    ("feeder", "event", "path", "told"),
    [
        ({"model": "case33bw"}, {}, "events.0.type", "lacks of line .*: give feeder.zero_sequence"),
        ({"model": "cigre_mv", "zero_sequence": {}}, {"bus": "Bus 11"}, "events.0.type", "with trafo_vector_group"),
        ({"model": "ieee13", "zero_sequence": {}}, {"bus": "671"}, "feeder.zero_sequence", "for balanced feeders"),
        (FEEDER | {"zero_sequence": {"trafo_vector_group": "Dq"}}, {}, "feeder.zero_sequence", "no vector group"),
        (FEEDER | {"zero_sequence": {"r0_per_r": 0}}, {}, "feeder.zero_sequence.r0_per_r", "above 0"),
    ],
    ids=["lines", "transformer", "unbalanced", "group", "ratio"],
)
def test_zero_sequence_that_is_not_there_is_named_before_the_run(feeder, event, path, told):
    site = campus(event.get("bus", "5"))
    plain = scenario(feeder=feeder, datacenters={"campus": site}, events=[EARTH | event])
    with pytest.raises(InputError, match=told) as caught:
        prepare(plain)
    assert any(p.path.startswith(path) for p in caught.value.problems), caught.value.problems


def test_an_unbalanced_fault_along_a_line_beside_another_comes_and_goes_and_balances_close():
    along = {"kind": "fault_applied", "at_s": 4, "line": "7", "position": 0.5, "type": "line_to_line", "duration_s": 2}
    _, events, totals = simulate(case([along, EARTH]))
    faults = [kind for kind in kinds(events) if kind.startswith("fault")]
    assert faults == ["fault_applied", "fault_applied", "fault_cleared", "fault_cleared"]
    assert abs(totals["energy/feeder_balance_relative"]) < 1e-9
