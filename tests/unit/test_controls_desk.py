"""The desk with a plain power flow: what controls given in a scenario do to a small feeder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from controls_network import PlainFeeder, small_network

from cosim.errors import InputError
from cosim.feeder.controls import kernel
from cosim.feeder.controls.config import ControlsConfig
from cosim.feeder.controls.desk import ControlDesk, next_instant_s, positions
from cosim.feeder.controls.from_config import apply_config
from cosim.feeder.controls.settle import settle
from cosim.feeder.controls.specs import ControlSet


def configured(network, **sections):
    return apply_config(ControlsConfig.model_validate(sections), network)


LTC = {"ltc": {"trafo": "t1", "v_set_pu": 1.02, "bandwidth_pu": 0.02, "delay_s": 30, "tap_delay_s": 5}}
AVR_LIMITS = {"max_q_mvar": 1, "min_q_mvar": -1, "gain_mvar_per_pu_s": 1}
BANK = {"bank": {"capacitor": "c1", "v_on_pu": 0.97, "v_off_pu": 1.04, "delay_s": 10, "dead_time_s": 300}}


def run_to(feeder, desk, until_s: float, from_s: float = 0.0) -> list[tuple[float, str, float]]:
    """From instant to instant as timers run out."""
    events, t_us = [], round(from_s * 1e6)
    while t_us <= until_s * 1e6:
        feeder.fill(desk)
        while kernel.watch(desk.ctl, desk.values, t_us):
            events += [(t_us / 1e6, event.kind, event.value) for event in desk.act(feeder, t_us)]
            feeder.fill(desk)
        due_us = int(kernel.next_due_us(desk.ctl, -1))
        if due_us == kernel.NEVER_US:
            break
        assert due_us > t_us
        t_us = due_us
    return events


def vm(feeder, bus: int) -> float:
    v, _ = feeder.solve()
    return float(np.mean(np.abs(v[feeder.net.node_bus == bus])))


@pytest.mark.parametrize("tap_on_hv", [True, False])
@pytest.mark.parametrize("phases", [(), (1, 2, 3)])
def test_tap_changer_brings_its_bus_into_the_band(tap_on_hv, phases):
    network = small_network(tap_on_hv=tap_on_hv, phases=phases)
    feeder = PlainFeeder(network)
    desk = ControlDesk(configured(network, regulators=LTC), network)
    assert vm(feeder, 1) < 1.01
    events = run_to(feeder, desk, 3600.0)
    assert abs(vm(feeder, 1) - 1.02) <= 0.01
    assert [t for t, _, _ in events] == [30.0 + 5.0 * k for k in range(len(events))]
    assert {kind for _, kind, _ in events} == {"tap_changed"}
    assert events[-1][2] * (1 if not tap_on_hv else -1) > 0
    assert desk.n_operations == {"t1": len(events)}
    assert desk.positions == {"t1": events[-1][2]}
    assert feeder.states["t1"] == events[-1][2] + 8


def test_static_solution_ends_where_time_does():
    network = small_network()
    controls = configured(network, regulators=LTC, capacitors=BANK)
    feeder = PlainFeeder(network)
    desk = ControlDesk(controls, network)

    def measure(states, _powers):
        feeder.states = {"t1": states["t1"] + 8, "c1": states["c1"]}
        return desk.rows.values(*feeder.solve())

    found = settle(controls, measure, positions(controls, network))
    assert found.is_settled
    feeder.states = {"t1": 8, "c1": 0}
    run_to(feeder, desk, 3600.0)
    assert desk.positions == found.states


def test_bank_switches_by_voltage_and_waits_for_its_discharge():
    network = small_network(n_steps=1)
    feeder = PlainFeeder(network)
    desk = ControlDesk(configured(network, capacitors=BANK), network)
    feeder.s_mva["d1"] = 20.0 + 8.0j
    assert run_to(feeder, desk, 60.0) == [(10.0, "capacitor_switched", 1.0)]
    feeder.s_mva["d1"], feeder.source_pu = -10.0 + 0j, 1.08
    assert run_to(feeder, desk, 120.0, from_s=60.0) == [(70.0, "capacitor_switched", 0.0)]
    feeder.s_mva["d1"], feeder.source_pu = 20.0 + 8.0j, 1.0
    assert run_to(feeder, desk, 3600.0, from_s=80.0) == [(380.0, "capacitor_switched", 1.0)]
    assert desk.n_operations == {"c1": 3}


def test_events_say_who_and_why():
    network = small_network()
    feeder = PlainFeeder(network)
    desk = ControlDesk(configured(network, regulators=LTC, capacitors=BANK), network)
    feeder.s_mva["d1"] = 20.0 + 8.0j
    details = []
    for t_us in (0, 10_000_000, 30_000_000):
        feeder.fill(desk)
        if kernel.watch(desk.ctl, desk.values, t_us):
            details += [(event.element, event.detail) for event in desk.act(feeder, t_us)]
    assert ("c1", "on, 1 of 2, by voltage of bank") in details
    assert ("t1", "from 0 to -1, ratio 0.9875 pu, by ltc") in details


def test_inverter_comes_to_its_curve_within_its_response_time():
    network = small_network()
    feeder = PlainFeeder(network)
    inverter = {"sgen": "g1", "sn_mva": 5.0}
    desk = ControlDesk(configured(network, inverters={"pv": inverter}), network)
    feeder.source_pu, feeder.s_mva["d1"] = 1.07, 1.0 + 0j
    v_before = vm(feeder, 2)
    assert next_instant_s(desk) == 1.0
    assert run_to(feeder, desk, 120.0) == []
    v_end, generated = vm(feeder, 2), -feeder.s_mva["g1"].imag
    assert v_end < v_before - 0.002
    assert generated == pytest.approx(-0.44 * (v_end - 1.02) / 0.06 * 5.0, rel=1e-3)


def test_inverter_lag_covers_90_percent_in_the_response_time():
    from cosim.feeder.controls.desk import next_q_mvar

    network = small_network()
    spec = configured(network, inverters={"pv": {"sgen": "g1", "sn_mva": 1.0}}).inverters[0]
    q_mvar = 0.0
    for _ in range(5):  # samples of 1 s, IEEE 1547-2018 category B: 5 s
        q_mvar = next_q_mvar(spec, 1.10, q_mvar)
    assert q_mvar == pytest.approx(-0.9 * 0.44)
    # The points of the standard's table.
    for v, q in ((0.9, 0.44), (0.92, 0.44), (0.95, 0.22), (0.98, 0.0), (1.02, 0.0), (1.05, -0.22), (1.2, -0.44)):
        settled = 0.0
        for _ in range(200):
            settled = next_q_mvar(spec, v, settled)
        assert settled == pytest.approx(q, abs=1e-12)


def test_generator_holds_its_voltage_within_its_limits():
    network = small_network()
    feeder = PlainFeeder(network)
    generator = {"sgen": "g1", "v_set_pu": 1.0, "min_q_mvar": -2, "max_q_mvar": 6, "gain_mvar_per_pu_s": 100}
    controls = configured(network, generators={"gen": generator})
    desk = ControlDesk(controls, network)
    run_to(feeder, desk, 30.0)
    assert vm(feeder, 2) == pytest.approx(1.0, abs=1e-5)
    feeder.s_mva["d1"] = 30.0 + 12.0j
    run_to(feeder, desk, 60.0, from_s=30.0)
    assert feeder.s_mva["g1"].imag == -6.0
    assert vm(feeder, 2) < 1.0


def test_static_solution_brings_inverters_and_generators_to_rest():
    network = small_network()
    pv = {"sgen": "g1", "sn_mva": 40.0}  # so large that its slope exceeds that of the feeder
    avr = {"sgen": "g1", "v_set_pu": 1.01, "min_q_mvar": -5, "max_q_mvar": 5, "gain_mvar_per_pu_s": 50}
    for section in ({"inverters": {"pv": pv}}, {"generators": {"avr": avr}}):
        controls = configured(network, **section, regulators=LTC)
        feeder = PlainFeeder(network)
        feeder.source_pu = 1.05
        desk = ControlDesk(controls, network)

        def measure(states, powers, feeder=feeder, desk=desk):
            feeder.states = {"t1": states["t1"] + 8, "c1": 0}
            feeder.set_injection_q("g1", -powers["g1"])
            return desk.rows.values(*feeder.solve())

        found = settle(controls, measure, positions(controls, network))
        assert found.is_settled
        v, q = vm(feeder, 2), found.powers["g1"]
        if "inverters" in section:
            assert q == pytest.approx(np.interp(v, [0.92, 0.98, 1.02, 1.08], [17.6, 0, 0, -17.6]), abs=1e-5)
        else:
            assert v == pytest.approx(1.01, abs=1e-8) or abs(q) == 5


def test_desk_goes_on_from_a_checkpoint():
    network = small_network()
    controls = configured(network, regulators=LTC)
    feeder, desk = PlainFeeder(network), ControlDesk(controls, network)
    whole = run_to(feeder, desk, 3600.0)
    first = PlainFeeder(network)
    desk = ControlDesk(controls, network)
    events = run_to(first, desk, 32.0)
    later = ControlDesk(controls, network)
    later.restore(desk.state())
    assert events + run_to(first, later, 3600.0, from_s=33.0) == whole
    assert later.n_operations == {"t1": len(whole)}


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"regulators": {"a": {"trafo": "t2"}}}, "feeder.controls.regulators.a.trafo"),
        ({"regulators": {"a": {}}}, "feeder.controls.regulators.a.trafo"),
        ({"regulators": {"a": {"trafo": "t1", "bus": "ends"}}}, "feeder.controls.regulators.a.bus"),
        ({"regulators": {"a": {"trafo": "t1", "max_tap": 9}}}, "feeder.controls.regulators.a.max_tap"),
        (
            {"capacitors": {"a": {"capacitor": "c2", "v_on_pu": 0.9, "v_off_pu": 1}}},
            "feeder.controls.capacitors.a.capacitor",
        ),
        ({"capacitors": {"a": {"capacitor": "c1"}}}, "feeder.controls.capacitors.a.v_on_pu"),
        ({"inverters": {"a": {"sgen": "d1", "sn_mva": 1}}}, "feeder.controls.inverters.a.sgen"),
    ],
)
def test_wrong_controls_are_named_by_field(sections, path):
    with pytest.raises(InputError) as caught:
        configured(small_network(), **sections)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_what_the_scenario_gives_changes_only_that_of_the_file():
    network = small_network()
    own = configured(network, regulators=LTC, capacitors=BANK)
    filed = type(network)(**{**network.__dict__, "controls": own.to_json()})
    changed = configured(filed, regulators={"ltc": {"v_set_pu": 1.0}}, capacitors={"bank": {"frozen": True}})
    before, after = own.regulators[0].model_dump(), changed.regulators[0].model_dump()
    assert {key for key in before if before[key] != after[key]} == {"v_set_v"}
    assert changed.capacitors == ()
    assert configured(filed, mode="frozen") == ControlSet()
    assert json.loads(own.to_json())["regulators"][0]["name"] == "ltc"


@pytest.mark.parametrize(
    ("sections", "path", "told"),
    [
        ({"regulators": {"more": {"trafo": "t1"}}}, "regulators.more.trafo", "more would move t1, which ltc moves"),
        (
            {"regulators": {"ltc": {"frozen": True}, "a": {"trafo": "t1"}, "b": {"trafo": "t1"}}},
            "regulators.b.trafo",
            "b would move t1, which a moves",
        ),
        (
            {"capacitors": {"more": BANK["bank"]}},
            "capacitors.more.capacitor",
            "more would move c1, which bank moves",
        ),
        (
            {
                "inverters": {"volt_var": {"sgen": "g1", "sn_mva": 1}},
                "generators": {"avr": {"sgen": "g1", "v_set_pu": 1} | AVR_LIMITS},
            },
            "generators.avr.sgen",
            "avr would move g1, which volt_var moves",
        ),
    ],
    ids=["file's regulator", "two regulators", "bank", "sgen"],
)
def test_two_controls_of_one_device_are_refused_by_both_names(sections, path, told):
    network = small_network()
    own = configured(network, regulators=LTC, capacitors=BANK)
    filed = type(network)(**{**network.__dict__, "controls": own.to_json()})
    with pytest.raises(InputError, match=told) as caught:
        configured(filed, **sections)
    assert [problem.path for problem in caught.value.problems] == [f"feeder.controls.{path}"]
    configured(filed, regulators={"ltc": {"frozen": True}, "instead": {"trafo": "t1"}})


def test_controls_that_cannot_be_carried_are_refused_unless_frozen():
    network = small_network()
    filed = type(network)(**{**network.__dict__, "controls": ControlSet(refused=("InvControl.x: no",)).to_json()})
    with pytest.raises(InputError, match=r"InvControl\.x: no"):
        configured(filed)
    assert configured(filed, mode="frozen") == ControlSet()
