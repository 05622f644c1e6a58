"""`Feeder.solve(controls=True)`: taps, banks and voltages of OpenDSS's own control loop, on cosim's own power flow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from opendss_peer import MASTERS, open_feeder

from cosim.errors import InputError
from cosim.feeder.feeder import Feeder, load_feeder
from cosim.feeder.network import Network

pytestmark = pytest.mark.validation

# The engine and cosim solve to residuals of 1e-9; stiff circuits keep some of it.
TOLERANCE_PU = 1e-8


def voltages(peer, network: Network) -> dict[str, float]:
    """Magnitudes that the engine finds with its devices as they stand. [pu]"""
    peer.run("set controlmode=off", "solve")
    v = np.abs(np.asarray(peer.dss.Circuit.YNodeVArray()).view(complex))
    names = [str(name).lower() for name in peer.dss.Circuit.YNodeOrder()]
    volts = dict(zip(names, v, strict=True))
    kv = dict(zip(network.node_name.tolist(), network.node_vn_kv.tolist(), strict=False))
    return {name: volts[name] / (1e3 * kv[name]) for name in kv if name in volts}


@pytest.mark.parametrize("start", ["as_is", "neutral"])
@pytest.mark.parametrize("name", MASTERS)
def test_settled_feeder_stands_as_opendss_leaves_it(feeders, name, start):
    peer = open_feeder(feeders, name)
    archive, master = MASTERS[name]
    feeder = load_feeder(feeders / archive / master)
    states = peer.states()
    if start == "neutral":
        states |= {spec.device: 0 for spec in peer.controls.regulators}
    expected = peer.settle(states)
    solution = standing(feeder, states).solve(controls=True)
    assert {**solution.taps, **solution.steps_on}.items() >= expected.items()
    peer.set_states(expected)
    found = solution.vm_pu
    for node, vm_pu in voltages(peer, feeder.network).items():
        assert found[node] == pytest.approx(vm_pu, abs=TOLERANCE_PU)


def standing(feeder: Feeder, states: dict[str, int]) -> Feeder:
    """The feeder with its devices at these taps and steps."""
    net = feeder.network
    low = dict(zip(net.dev_name.tolist(), net.dev_low.tolist(), strict=True))
    at = [states.get(name, low[name] + state) - low[name] for name, state in zip(low, net.dev_state, strict=True)]
    return replace(feeder, network=replace(net, dev_state=np.array(at, np.int64)))


def test_controls_of_a_feeder_hold_its_voltage_with_a_further_load(feeders):
    feeder = load_feeder(feeders / "ieee123" / "123Bus" / "IEEE123Master.dss")
    load = {"67": (1.0, 0.2)}
    frozen, live = feeder.solve(load), feeder.solve(load, controls=True)
    assert live.taps != frozen.taps
    assert live.vm_pu["67.1"] > frozen.vm_pu["67.1"]


def test_controls_of_a_feeder_without_any_are_refused():
    with pytest.raises(InputError, match="no controls to run"):
        load_feeder("case33bw").solve(controls=True)
