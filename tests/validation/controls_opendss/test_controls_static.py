"""Static solutions: the same final taps and switched banks as OpenDSS's own control loop from the same start."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from opendss_peer import OpenDss, open_feeder
from small_circuits import draw, drawn_kind

from cosim.feeder.controls.settle import settle
from cosim.feeder.controls.specs import ControlSet

pytestmark = pytest.mark.validation

# Taps of the solutions that IEEE PES published with the feeders.
PUBLISHED = {
    "ieee13": (10, 8, 11),
    "ieee34": (12, 5, 5, 13, 11, 12),
    "ieee34_mod2": (12, 5, 5, 13, 11, 12),
    "ieee37": (7, 4),
    "ieee123": (7, -1, 0, -1, 8, 1, 5),
}


def starts(peer: OpenDss, published: tuple[int, ...]) -> list[dict[str, int]]:
    """As it stands, all neutral, all at the upper and the lower end, as published."""
    as_is = peer.states()
    taps = [spec.device for spec in peer.controls.regulators]
    several = [dict.fromkeys(taps, tap) for tap in (0, 16, -16)] + [dict(zip(taps, published, strict=True))]
    return [as_is] + [as_is | start for start in several]


@pytest.mark.parametrize("name", PUBLISHED)
def test_settled_taps_are_those_of_opendss(feeders, name):
    peer = open_feeder(feeders, name)
    n_changes = 0
    for start in starts(peer, PUBLISHED[name]):
        for loadmult in (0.3, 0.7, 1.0, 1.2):
            peer.run(f"set loadmult={loadmult}")
            expected = peer.settle(start)
            found = settle(peer.controls, peer.measure, start)
            assert found.is_settled
            assert found.states == expected, (start, loadmult)
            n_changes += len(found.changes)
    assert n_changes > 50


@pytest.mark.parametrize("loadmult", [0.3, 1.0])
def test_settled_taps_and_banks_of_8500_nodes_are_those_of_opendss(feeders, loadmult):
    peer = open_feeder(feeders, "ieee8500")
    assert len(peer.controls.regulators) == 12
    assert len(peer.controls.capacitors) == 9
    peer.run(f"set loadmult={loadmult}")
    start = peer.states()
    expected = peer.settle(start)
    found = settle(peer.controls, peer.measure, start)
    assert found.is_settled
    assert found.states == expected
    assert (loadmult == 1.0) or sum(found.states[spec.device] for spec in peer.controls.capacitors) < 9


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_settled_states_of_small_circuits_are_those_of_opendss(first):
    n_settled = 0
    for seed in range(first, first + 40):
        rng = np.random.default_rng(10**6 + seed)
        peer = OpenDss(*draw(seed, **drawn_kind(rng)))
        if peer.controls.refused or not peer.controls.all:
            continue
        hour = int(rng.integers(0, 24))
        start = {spec.device: int(rng.integers(spec.min_tap, spec.max_tap + 1)) for spec in peer.controls.regulators}
        start |= {spec.device: int(rng.integers(0, spec.n_steps + 1)) for spec in peer.controls.capacitors}
        found = settle(peer.controls, peer.measure, start, t_s=3600.0 * hour)
        if not found.is_settled:  # OpenDSS hunts as well, and its error ends the solution
            with pytest.raises(Exception, match="Max Control Iterations"):
                peer.settle(start, hour=hour)
            continue
        assert found.states == peer.settle(start, hour=hour), seed
        n_settled += 1
    assert n_settled > 15


def test_specs_survive_json(feeders):
    controls = open_feeder(feeders, "ieee8500").controls
    assert ControlSet.from_json(controls.to_json()) == controls
    assert dataclasses.is_dataclass(settle(ControlSet(), lambda _states, _powers: np.zeros(0, complex), {}))


def test_relay_voltage_is_the_winding_voltage_that_opendss_reports(feeders):
    # Without compensation the relay reads the winding's voltage over the PT ratio.
    for name in ("ieee13", "ieee37", "ieee123"):
        peer = open_feeder(feeders, name)
        for spec in peer.controls.regulators:
            peer.run(f"regcontrol.{spec.name}.r=0", f"regcontrol.{spec.name}.x=0")
        peer = _again(peer)
        for spec, value in zip(peer.controls.regulators, peer.read(), strict=True):
            peer.dss.Transformers.Name(spec.device)
            peer.dss.Transformers.Wdg(2)
            across = np.asarray(peer.dss.Transformers.WdgVoltages()).view(complex)[0]
            assert value == pytest.approx(across / spec.pt_ratio, abs=1e-6)


def _again(peer: OpenDss) -> OpenDss:
    from cosim.feeder.controls.from_dss import read_controls

    peer.controls = read_controls(peer.dss)
    return peer


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("new generator.g bus1=busd.1.2 phases=1 conn=delta kv=12.47 kw=100 model=3", "generator.g"),
        ("new pvsystem.pv bus1=busd kv=12.47 kva=100 pmpp=100 ~ new invcontrol.vv mode=voltvar", "invcontrol.vv"),
        ("new capcontrol.cf capacitor=bank element=line.b1 type=follow", "capcontrol.cf"),
    ],
)
def test_what_cannot_be_carried_is_named(command, named):
    peer = OpenDss(*draw(3, has_bank=True, regulator=False, capacitor=False), *command.split(" ~ "))
    assert [text.lower().split(":")[0] for text in peer.controls.refused] == [named]
