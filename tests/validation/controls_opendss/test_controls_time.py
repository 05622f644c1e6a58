"""Controls in time against OpenDSS's mode TIME, step by step on a load that swings.

Where the kernel differs, the twin of its rules plus four defects of OpenDSS (`controls_twin`) gives OpenDSS's taps one
for one, and without them the kernel's: the difference is those defects and nothing else.
"""

from __future__ import annotations

import numpy as np
import pytest
from controls_twin import Twin
from opendss_peer import OpenDss, moves_at_own_instants, moves_of_kernel, moves_of_opendss, moves_of_twin, open_feeder
from small_circuits import draw, drawn_kind

pytestmark = pytest.mark.validation
STEP_US = 1_000_000


def swinging_load(n_steps: int, slow_s: float, fast_s: float) -> np.ndarray:
    t = np.arange(n_steps)
    return 0.6 + 0.6 * np.sin(t / slow_s) ** 2 + 0.05 * np.sin(t / fast_s)


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_kernel_taps_when_opendss_does(feeders, name):
    loads = swinging_load(900, 300, 7)
    peer = open_feeder(feeders, name)
    start = peer.states()
    expected = moves_of_opendss(open_feeder(feeders, name), start, loads, STEP_US)
    assert len(expected) > 20
    assert moves_of_kernel(peer, start, loads, STEP_US) == expected


def test_kernel_differs_from_opendss_only_by_forgotten_actions(feeders):
    # With 30 s of delay behind 15 s the second regulators re-enter their band and leave it again within a tap delay.
    loads = swinging_load(200, 300, 7)
    name = "ieee34_mod2"
    start = open_feeder(feeders, name).states()
    expected = moves_of_opendss(open_feeder(feeders, name), start, loads, STEP_US)
    peer = open_feeder(feeders, name)
    of_kernel = moves_of_kernel(peer, start, loads, STEP_US)
    assert of_kernel != expected
    for like_opendss, moves in ((True, expected), (False, of_kernel)):
        twin = Twin(peer.controls, dict(start), like_opendss)
        assert sorted(moves_of_twin(peer, twin, loads, STEP_US)) == sorted(moves)


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_kernel_and_opendss_act_alike_on_small_circuits(first):
    n_alike, n_moves = 0, 0
    for seed in range(first, first + 20):
        rng = np.random.default_rng(10**6 + seed)
        commands = draw(seed, **drawn_kind(rng))
        peer = OpenDss(*commands)
        if peer.controls.refused or not peer.controls.all:
            continue
        start = {spec.device: int(rng.integers(-4, 5)) for spec in peer.controls.regulators}
        start |= {spec.device: int(rng.integers(0, spec.n_steps + 1)) for spec in peer.controls.capacitors}
        loads = 0.5 + 0.5 * np.sin(np.arange(240) / rng.uniform(20, 80) + rng.uniform(0, 6))
        expected = moves_of_opendss(OpenDss(*commands), start, loads, STEP_US)
        of_kernel = moves_of_kernel(peer, start, loads, STEP_US)
        n_moves += len(expected)
        if sorted(of_kernel) == sorted(expected):
            n_alike += 1
            continue
        for like_opendss, moves in ((True, expected), (False, of_kernel)):
            twin = Twin(peer.controls, dict(start), like_opendss)
            assert sorted(moves_of_twin(peer, twin, loads, STEP_US)) == sorted(moves), (seed, like_opendss)
    assert n_alike >= 10
    assert n_moves > 100


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_instants_made_where_timers_run_out_give_the_taps_of_small_steps(feeders, name):
    # Loads step now and then: the kernel is asked there and where a timer runs out, OpenDSS every quarter of a second.
    step_us = 250_000
    loads = np.repeat([1.0, 0.4, 1.0, 0.8], 400)
    changes = [(step_us, 1.0), (401 * step_us, 0.4), (801 * step_us, 1.0), (1201 * step_us, 0.8)]
    start = open_feeder(feeders, name).states()
    expected = moves_of_opendss(open_feeder(feeders, name), start, loads, step_us)
    found = moves_at_own_instants(open_feeder(feeders, name), start, changes)
    assert len(expected) >= 20
    assert [move for move in found if move[0] <= loads.size * step_us] == expected
