"""Controls in the loop act when their timers are over, whatever the step."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import simulate

from cosim.errors import InputError

MASTER = """Clear
New Circuit.c bus1=src basekv=12.47 pu=0.97 phases=3 Mvasc3=400 Mvasc1=300
New Transformer.reg phases=3 windings=2 buses=(src reg) conns=(wye wye) kvs=(12.47 12.47) kvas=(9000 9000) xhl=1
New Line.l bus1=reg bus2=end phases=3 r1=0.1 x1=0.3 r0=0.3 x0=0.9 length=1
New Load.a bus1=end phases=3 kv=12.47 kw=1200 pf=0.95
{more}
Set VoltageBases=[12.47]
CalcVoltageBases
Solve
"""
REGULATOR = "New RegControl.r transformer=reg winding=2 vreg=122 band=2 ptratio=60 delay=20.25 tapdelay=2"
STEPS_S = (1.0, 0.5, 0.01)


def case(folder, more, step_s, duration_s, **feeder):
    master = folder / "m.dss"
    master.write_text(MASTER.format(more=more))
    return {
        "schema": 1,
        "name": "case",
        "time": {"duration_s": duration_s, "step_s": step_s},
        "feeder": {"model": str(master)} | feeder,
        "datacenters": {},
        "log": {"step_s": 1.0},
    }


@pytest.mark.parametrize("step_s", STEPS_S)
def test_taps_come_at_the_delay_and_then_every_tap_delay(tmp_path, step_s):
    """A dip of 0.04 pu, 4.8 V behind the PT, and taps of 0.75 V."""
    plain = case(tmp_path, REGULATOR, step_s, 50)
    plain["events"] = [{"at_s": 10.0, "kind": "dip_started", "vm_pu": 0.93, "duration_s": 39}]
    for max_block_s in (None, 3.0):
        _, events, _ = simulate(plain, max_block_s)
        taps = [t / 1e6 for t, kind, *_ in events if kind == "tap_changed"]
        assert len(taps) >= 4
        np.testing.assert_allclose(taps, 30.25 + 2.0 * np.arange(len(taps)), atol=1e-6)


def test_an_inverter_answers_at_the_pace_of_its_samples_and_not_of_the_step(tmp_path):
    """Every second it goes exp(-1 s / tau) of the way, tau = 5 s / ln 10: 90 % in 5 s (IEEE 1547-2018, category B)."""
    more = "New Generator.g bus1=end phases=3 kv=12.47 kw=1000 kvar=0 model=1"
    found = []
    for step_s in STEPS_S:
        plain = case(tmp_path, more, step_s, 30, controls={"inverters": {"iv": {"sgen": "g", "sn_mva": 3}}})
        plain["events"] = [{"at_s": 9.5, "kind": "dip_started", "vm_pu": 0.93, "duration_s": 20}]
        rows, *_ = simulate(plain)
        q = rows["source/q_mvar"][np.searchsorted(rows["t_us"], [9_000_000, 10_000_000, 15_000_000, 29_000_000])]
        found.append(q)
        assert (q[2] - q[1]) / (q[3] - q[1]) == pytest.approx(0.9, abs=0.03)
    np.testing.assert_allclose(found, np.broadcast_to(found[0], (3, 4)), atol=1e-6)


def test_log_has_what_an_inverter_generates(tmp_path):
    """At rest Q is that of IEEE 1547-2018's category B at its voltage, what the source gives less; dark, nothing."""
    more = "New Generator.g bus1=end phases=3 kv=12.47 kw=1000 kvar=0 model=1"
    plain = case(tmp_path, more, 0.1, 65, controls={"inverters": {"iv": {"sgen": "g", "sn_mva": 3}}})
    plain["events"] = [{"at_s": 60.0, "kind": "source_lost", "duration_s": 2}]
    rows, *_ = simulate(plain)
    vm_pu = rows["bus/vm_pu"][59, -3:].mean()  # the three phases of the last bus
    curve = np.interp(vm_pu, [0.92, 0.98, 1.02, 1.08], [0.44, 0.0, 0.0, -0.44])
    assert 0.01 < curve < 0.43
    assert rows["inverter/q_mvar"].shape == (66, 1)
    assert rows["inverter/q_mvar"][59, 0] == pytest.approx(3 * curve, abs=2e-5)
    np.testing.assert_allclose(rows["inverter/p_mw"][:60, 0], 1.0, rtol=1e-6)
    moved_mvar = rows["source/q_mvar"][0] - rows["source/q_mvar"][59]
    gained_mvar = rows["inverter/q_mvar"][59, 0] - rows["inverter/q_mvar"][0, 0]
    assert moved_mvar == pytest.approx(gained_mvar, rel=0.05)  # but for what the lines' reactances take
    assert rows["inverter/q_mvar"][61, 0] == rows["inverter/p_mw"][61, 0] == 0.0
    assert "generator/q_mvar" not in rows


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("regulators", {"r": {"frozen": True}, "added": {"trafo": "reg"}}),
        ("capacitors", {"added": {"capacitor": "c", "v_on_pu": 0.97, "v_off_pu": 1.03}}),
    ],
)
def test_control_of_a_bus_without_a_phase_is_named_before_the_run(tmp_path, kind, given):
    more = f"{REGULATOR}\nNew Reactor.n phases=1 bus1=neutral.4 bus2=end.1 kv=7.2 kvar=1\n"
    more += "New Capacitor.c bus1=end phases=3 kv=12.47 kvar=300"
    given["added"]["bus"] = "neutral"
    with pytest.raises(InputError) as caught:
        simulate(case(tmp_path, more, 1.0, 5, controls={kind: given}))
    (problem,) = caught.value.problems
    assert problem.path == f"feeder.controls.{kind}.added.bus"
    assert "no phase" in problem.message


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"min_tap": 5, "max_tap": 2}, "max_tap", "must be above min_tap=5"),
        ({"min_tap": 5, "max_tap": 5}, "max_tap", "must be above min_tap=5"),
        ({"max_tap": -16}, "max_tap", "must be above min_tap=-16"),
        ({"min_tap": 16}, "min_tap", "must be below max_tap=16"),
    ],
)
@pytest.mark.parametrize(("name", "own"), [("r", {}), ("added", {"trafo": "reg"})])
def test_tap_limits_that_leave_no_tap_to_make_are_named_by_their_field(tmp_path, name, own, given, field, told):
    plain = case(tmp_path, REGULATOR, 1.0, 5, controls={"regulators": {name: own | given}})
    with pytest.raises(InputError) as caught:
        simulate(plain)
    (problem,) = caught.value.problems
    assert problem.path == f"feeder.controls.regulators.{name}.{field}"
    assert told in problem.message
