"""Devices opened and closed by command: by the name of their switch, line or their own; each begins anew."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import TRAINING, campus, kinds, scenario, simulate
from test_protection_devices import PHASES, recloser, relay, run

from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.feeder.protection.config import FuseConfig, SectionalizerConfig
from cosim.feeder.protection.devices import make_device
from cosim.wiring import prepare

FUSE = FuseConfig(name="f", kind="fuse", line="l", speed="t", rated_a=40)
SECTION = SectionalizerConfig(name="s", kind="sectionalizer", line="l", actuating_a=200, count=1)
LATE_S = 60.0
"""When a device is closed again, long after it has opened for good. [s]"""


def told(device, current_of, until_s, start_s=0.0):
    """(time since the start [s], kind) of what a device does from a start on."""
    shifted = run(device, lambda t: current_of(t - start_s) if t >= start_s else [0.0] * 4, start_s + until_s)
    return [(t - start_s, operation.kind) for t, operation in shifted]


@pytest.mark.parametrize(
    ("config", "closes"),
    [(relay(), "switch_closed"), (recloser(), "recloser_closed"), (FUSE, "fuse_replaced")],
)
def test_device_closed_by_command_acts_as_one_that_has_never_acted(config, closes):
    """A fault that stays, each time: the whole sequence comes again, to the microsecond."""

    def fault(t):
        return [900.0] * 3 + [0.0]

    device = make_device(config, PHASES)
    first = told(device, fault, 12)
    assert first
    (done,) = device.closed(round(LATE_S * 1e6))
    assert (done.kind, done.closes, done.poles) == (closes, True, (0, 1, 2))
    assert device.closed(round(LATE_S * 1e6)) == []
    again = told(device, fault, 12, LATE_S)
    assert [kind for _, kind in again] == [kind for _, kind in first]
    assert [t for t, _ in again] == pytest.approx([t for t, _ in first], abs=2e-6)


def test_sectionalizer_closed_by_command_counts_anew():
    def interrupted(t):
        return [500.0] * 3 + [0.0] if t < 0.2 else [0.0] * 4

    device = make_device(SECTION, PHASES)
    first = told(device, interrupted, 1)
    assert first[-1][1] == "sectionalizer_opened"
    assert [o.kind for o in device.closed(round(LATE_S * 1e6))] == ["sectionalizer_closed"]
    again = told(device, interrupted, 1, LATE_S)
    assert [kind for _, kind in again] == [kind for _, kind in first]
    assert [t for t, _ in again] == pytest.approx([t for t, _ in first], abs=2e-6)


@pytest.mark.parametrize("config", [relay(), recloser(), FUSE, SECTION])
def test_device_opened_by_command_stays_open(config):
    device = make_device(config, PHASES)
    (first, *_) = device.opened(1_000_000)
    assert first.poles == (0, 1, 2)
    assert not first.closes
    assert device.opened(2_000_000) == []
    assert device.next_us() is None
    assert not device.is_awake
    assert device.closed(3_000_000)[0].closes


FAST = {"curve": "ieee_extremely_inverse", "pickup_a": 400, "time_dial": 0.05}
RELAY = {"name": "b1", "kind": "relay", "line": "sw5", "phase": FAST, "breaker_s": 0.08}
LINK = {"name": "f1", "kind": "fuse", "line": "108_109", "speed": "t", "rated_a": 120}


def case(events, protection, duration_s):
    site = campus("1", ups=False)
    site["load"] = {"accelerators": {"count": 8, "p_peak_w": 700, "p_idle_w": 90}, "jobs": {"pretrain": TRAINING}}
    return scenario(
        duration_s,
        feeder={"model": "ieee123", "protection": protection},
        datacenters={"campus": site},
        events=events,
        log={"step_s": 0.1},
    )


def closing(at_s, switch, kind="switch_closed"):
    return {"kind": kind, "at_s": at_s, "switch": switch}


FAULT = {"kind": "fault_applied", "at_s": 1, "bus": "105", "type": "three_phase", "duration_s": 2}


@pytest.mark.parametrize("name", ["sw5", "line:sw5", "b1"])
def test_closing_restores_what_a_relay_has_opened_and_a_fault_that_stays_trips_it_again(name):
    events = [FAULT, closing(2, name), closing(4, name)]
    rows, found, _ = simulate(case(events, [RELAY], 5))
    protective = [e for e in found if e[1].split("_")[0] in ("relay", "switch")]
    own = [(e[0], e[1]) for e in protective if e[2] == "b1"]
    assert [kind for _, kind in own] == ["relay_tripped", "switch_opened", "switch_closed"] * 2
    assert own[2][0] == 2_000_000
    first_us, again_us = own[0][0] - 1_000_000, own[3][0] - 2_000_000
    assert again_us == pytest.approx(first_us, rel=0.02)
    assert len([e for e in protective if e[2] == name and e[1] == "switch_closed"]) == 2
    config, feeder = prepare(case([], [RELAY], 5))
    at = list(Simulation(config, feeder, config.folder).compiled.node_names).index("105.1")
    vm = rows["bus/vm_pu"][:, at]
    assert vm[35] == 0.0  # at 3.5 s, the fault gone
    assert vm[-1] == pytest.approx(vm[5], abs=1e-5)  # as before the fault


def test_blown_link_is_replaced_by_the_name_of_its_line_or_its_own_and_nothing_else_moves():
    lateral = FAULT | {"bus": "110", "type": "line_to_ground", "phases": "a"}
    events = [lateral, closing(2, "line:108_109"), closing(4, "f1"), closing(4.5, "f1")]
    _, found, _ = simulate(case(events, [LINK], 5))
    protective = [(e[0], e[1], e[2]) for e in found if e[1].split("_")[0] in ("fuse", "switch")]
    assert [(kind, name) for _, kind, name in protective] == [
        ("fuse_blown", "f1"),
        ("switch_closed", "line:108_109"),
        ("fuse_replaced", "f1"),
        ("fuse_blown", "f1"),
        ("fuse_replaced", "f1"),
        ("switch_closed", "f1"),  # told, though it stands closed already
    ]


def test_command_within_a_checkpoint_gives_the_same_bits():
    plain = case([FAULT, closing(2, "b1"), closing(3.2, "b1", "switch_opened"), closing(4, "line:sw5")], [RELAY], 5)
    rows, events, _ = simulate(plain)
    config, feeder = prepare(plain)
    first, second = (Simulation(config, feeder, config.folder) for _ in range(2))
    seen = []
    for block in first.blocks(0.05):
        seen += block.events
        if block.now_us >= 3_500_000:
            break
    second.restore({k: np.array(v) for k, v in first.state().items()})
    parts = []
    for block in second.blocks():
        seen += block.events
        parts.append(block.columns["bus/vm_pu"].copy())
    assert seen == events
    assert kinds(events)[-1] == "switch_closed"
    tail = np.concatenate(parts)
    np.testing.assert_array_equal(tail, rows["bus/vm_pu"][-len(tail) :])


def test_device_names_are_checked_before_the_run():
    with pytest.raises(InputError, match="the feeder has no such switch"):
        prepare(case([closing(2, "b2")], [RELAY], 5))
