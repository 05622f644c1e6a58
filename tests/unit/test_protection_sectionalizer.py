"""Sectionalizers: what they count, when they open, what they need of a recloser, and whole sequences on a feeder."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import TRAINING, campus, kinds, scenario, simulate
from pydantic import ValidationError

from cosim.engine.simulation import Simulation
from cosim.errors import InputError
from cosim.feeder.protection.config import SectionalizerConfig
from cosim.feeder.protection.devices import make_device
from cosim.wiring import prepare

RECLOSER = {
    "name": "r1",
    "kind": "recloser",
    "line": "sw5",
    "fast": {"curve": "ieee_extremely_inverse", "pickup_a": 400, "time_dial": 0.05},
    "slow": {"curve": "ieee_extremely_inverse", "pickup_a": 400, "time_dial": 0.5},
    "n_fast": 2,
    "n_slow": 1,
    "open_s": [0.5, 1.0],
    "reset_s": 4,
}
SECTION = {"name": "s1", "kind": "sectionalizer", "line": "108_109", "actuating_a": 320, "count": 2, "reset_s": 6}
"""On the lateral of phase a at bus 108, behind the recloser."""
FAULT = {"kind": "fault_applied", "at_s": 2, "bus": "110", "type": "line_to_ground", "phases": "a"}
FOREVER_US = 10**9


def case(fault=FAULT, devices=(RECLOSER, SECTION), duration_s=14.0):
    feeder = {"model": "ieee123", "protection": list(devices)}
    load = {"accelerators": {"count": 256, "p_peak_w": 700, "p_idle_w": 90}, "jobs": {"pretrain": TRAINING}}
    site = campus("67", ups=False) | {"load": load}
    return scenario(duration_s, feeder=feeder, datacenters={"campus": site}, events=[fault])


def sequence(events):
    return [e for e in events if e[1].split("_")[0] in ("fault", "recloser", "sectionalizer")]


def test_section_of_a_lasting_fault_stays_dead_and_the_recloser_holds():
    rows, events, _ = simulate(case(FAULT | {"extinction_s": None}))
    found = sequence(events)
    assert kinds(found) == [
        "fault_applied",
        "recloser_opened",
        "sectionalizer_counted",
        "recloser_closed",
        "recloser_opened",
        "sectionalizer_counted",
        "sectionalizer_opened",
        "recloser_closed",
        "recloser_reset",
    ]
    opened, last, section, closed = found[4], found[5], found[6], found[7]
    assert 0 <= last[0] - opened[0] <= 10_000  # told at the step's end
    assert section[0] - opened[0] == 100_000  # its opening_s, without current
    assert closed[0] > section[0]
    config, feeder = prepare(case())
    names = list(Simulation(config, feeder, config.folder).compiled.node_names)
    vm = rows["bus/vm_pu"][-1]
    assert vm[names.index("110.1")] == 0.0
    assert vm[names.index("108.1")] > 0.9


def test_temporary_fault_is_counted_once_and_all_is_restored():
    rows, events, _ = simulate(case(), 0.3)
    found = sequence(events)
    assert kinds(found) == [
        "fault_applied",
        "recloser_opened",
        "sectionalizer_counted",
        "fault_cleared",
        "recloser_closed",
        "recloser_reset",
        "sectionalizer_reset",
    ]
    assert found[-1][0] - found[1][0] == 6_000_000
    assert rows["bus/vm_pu"][-1].min() > 0.9


def test_run_resumed_between_the_counts_gives_the_same_events():
    plain = case(FAULT | {"extinction_s": None})
    _, events, _ = simulate(plain)
    config, feeder = prepare(plain)
    first, told = Simulation(config, feeder, config.folder), []
    for block in first.blocks(0.05):
        told += block.events
        if "sectionalizer_counted" in kinds(told):
            break
    second = Simulation(config, feeder, config.folder)
    second.restore({k: np.array(v) for k, v in first.state().items()})
    told += [e for block in second.blocks() for e in block.events]
    assert told == events


@pytest.mark.parametrize(
    ("devices", "path", "told"),
    [
        ([SECTION], "feeder.protection.0.count", "no recloser stands on its source side"),
        (
            [SECTION | {"line": "sw1", "actuating_a": 900}, RECLOSER],
            "feeder.protection.0.count",
            "no recloser stands on its source side",
        ),
        ([RECLOSER, SECTION | {"count": 3}], "feeder.protection.1.count", "locks out with its opening 3"),
        ([RECLOSER, SECTION | {"opening_s": 1.5}], "feeder.protection.1.opening_s", "closes 1 s after its opening 2"),
        ([RECLOSER, SECTION | {"line": "nowhere"}], "feeder.protection.1.line", "no such line"),
        ([RECLOSER, SECTION | {"count": 0}], "feeder.protection.1.count", "at least 1"),
    ],
)
def test_sectionalizer_that_cannot_be_is_named_before_the_run(devices, path, told):
    with pytest.raises(InputError) as caught:
        prepare(case(devices=devices))
    assert any(p.path == path and told in p.message for p in caught.value.problems), caught.value.problems


def test_sectionalizer_above_its_recloser_is_warned_of():
    with pytest.warns(UserWarning, match="it may miss openings"):
        prepare(case(devices=[RECLOSER, SECTION | {"actuating_a": 500}]))


def device(**more):
    plain = {"name": "s", "kind": "sectionalizer", "line": "l", "actuating_a": 300, "count": 2, "reset_s": 10}
    return make_device(SectionalizerConfig.model_validate(plain | more), ("1", "2", "3"))


def told_by(own, currents):
    """Drive it through currents (time, largest phase current), each holding until the next; what it tells."""
    told = []
    for (t_us, i_a), (until_us, _) in zip(currents, [*currents[1:], (FOREVER_US, 0.0)], strict=True):
        told += [(t_us, o.kind) for o in own.look(t_us, [i_a, 0.2 * i_a, 0.0, 0.0])]
        while (due_us := own.next_us()) is not None and due_us < until_us:
            told += [(max(due_us, t_us), o.kind) for o in own.wake(max(due_us, t_us))]
    return told


def test_current_that_falls_to_load_is_no_interruption():
    assert told_by(device(), [(0, 100.0), (100_000, 900.0), (200_000, 80.0), (300_000, 0.0)]) == []


def test_current_back_before_it_is_open_blocks_it_until_the_next_interruption():
    currents = [(0, 900.0), (100_000, 0.0), (200_000, 900.0), (300_000, 0.0), (350_000, 900.0), (450_000, 0.0)]
    found = told_by(device(opening_s=0.1), currents)
    assert [kind.removeprefix("sectionalizer_") for _, kind in found] == [
        "counted",
        "counted",
        "blocked",
        "counted",
        "opened",
    ]
    assert found[-1][0] == 550_000


@pytest.mark.parametrize("seed", range(40))
def test_random_currents_are_counted_as_a_readable_twin_counts_them(seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(20_000, 4_000_000, 30)).tolist()
    currents = list(zip(times, rng.choice([0.0, 0.5, 120.0, 310.0, 2000.0], 30).tolist(), strict=True))
    count, opening_us = int(rng.integers(1, 4)), int(rng.integers(1, 20) * 100_000)
    own = device(count=count, opening_s=opening_us / 1e6, reset_s=5)
    assert told_by(own, currents) == twin(currents, count, opening_us, 5_000_000)


def twin(currents, count, opening_us, reset_us):
    """By the words of docs/faults.md, over the whole record at once."""
    told, n, resets_us, was_over, opens_us = [], 0, 0, False, None
    for (t_us, i_a), (until_us, _) in zip(currents, [*currents[1:], (FOREVER_US, 0.0)], strict=True):
        is_dead, is_over = i_a < 1.0, i_a > 300.0
        if opens_us is not None and not is_dead:
            told.append((t_us, "sectionalizer_blocked"))
            opens_us, n, resets_us, was_over = None, count - 1, t_us + reset_us, False
        elif opens_us is None and was_over and is_dead:
            n += 1
            told.append((t_us, "sectionalizer_counted"))
            resets_us, opens_us = t_us + reset_us, t_us + opening_us if n == count else None
        if opens_us is not None:
            if opens_us < until_us:
                return [*told, (opens_us, "sectionalizer_opened")]
        elif n > 0 and not is_over and resets_us < until_us:
            told.append((max(t_us, resets_us), "sectionalizer_reset"))
            n = 0
        was_over = is_over
    return told


@pytest.mark.parametrize("wrong", [{"dead_a": 300}, {"ground_actuating_a": 0.5}, {"count": 10}, {"actuating_a": 0}])
def test_settings_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(ValidationError):
        device(**wrong)
