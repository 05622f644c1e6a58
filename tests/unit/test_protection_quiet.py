"""Currents that surely stay below every pick-up are not worked out: the same trips at the same instants."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import TRAINING, campus, kinds, scenario
from without_jit import needs_jit

from cosim.engine.simulation import Simulation
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.kernel_surface import SLOT
from cosim.feeder.surface_packing import Packing
from cosim.wiring import prepare

pytestmark = needs_jit("surfaces held to full solves")

LATE = TRAINING | {"start_s": 20.0}
"""A second job: at the head of the feeder 254 to 277 A become up to 361 A."""


def relay(name, pickup_a, dial=0.05, **at):
    phase = {"curve": "iec_very_inverse", "time_dial": dial, "pickup_a": pickup_a}
    return {"kind": "relay", "name": name, "phase": phase, "reset": "disk"} | (at or {"line": "0"})


def case(*relays):
    load = {"accelerators": {"count": 4096, "p_peak_w": 700, "p_idle_w": 90}, "p_base_mw": 0.3}
    jobs = {"early": TRAINING | {"accelerators": 1024}, "late": LATE | {"accelerators": 3072}}
    site = campus("1", ups=False, load=load | {"jobs": jobs})
    return scenario(40, feeder={"model": "case33bw", "protection": relays}, datacenters={"campus": site})


def started(*relays):
    config, feeder = prepare(case(*relays))
    return Simulation(config, feeder, config.folder)


def run(*relays):
    """Events, rows of the voltages, and what each surface had to work out."""
    events, vm = [], []
    for block in started(*relays).blocks(3.0):
        events += block.events
        vm.append(block.columns["bus/vm_pu"].copy())
    return events, np.concatenate(vm)


@pytest.mark.parametrize(("pickup_a", "dial"), [(300.0, 0.1), (335.0, 0.005)])
@pytest.mark.filterwarnings("ignore:feeder.protection")  # under load, or never
def test_quiet_currents_change_no_trip(monkeypatch, pickup_a, dial):
    n_wanted, found = Packing._n_wanted, []

    def noted(self, *fit):
        found.append(n_wanted(self, *fit) < self._n_out)
        return n_wanted(self, *fit)

    relays = (
        relay("trips", pickup_a, dial),
        relay("never", 1e4, line="1"),
        relay("late", 310.0, dial=5.0, line="0", side="to"),
    )
    monkeypatch.setattr(Packing, "_n_wanted", noted)
    events, vm = run(*relays)
    assert any(found)
    assert not all(found)
    monkeypatch.setattr(Packing, "_n_wanted", lambda self, *_: self._n_out)
    plain_events, plain_vm = run(*relays)
    assert "relay_tripped" in kinds(events)
    assert events == plain_events
    np.testing.assert_array_equal(vm, plain_vm)


def test_current_is_left_out_just_where_full_solves_stay_below_its_pickup():
    """Over every cell: left out at pick-ups 15 % above the largest current of full solves, never at one below it."""
    simulation = started(relay("never", 1e4))
    for _ in simulation.blocks():
        pass
    held, lab = simulation.compiled.surfaces, simulation.compiled.lab()
    cells = held.arrays.cell[:3]
    assert (cells[:, SLOT] >= 0).all()
    for c, (slot, *_) in enumerate(cells):
        most_a, rng = 0.0, np.random.default_rng(c)
        box = held.arrays.box[c]
        for u in [*np.ndindex(2, 2), *rng.random((60, 2))]:
            p_mw, rest = box[:, 0] + np.array(u) * np.ptp(box, axis=1)
            lab.port_p_mw[0], lab.port_q_mvar[0] = p_mw, rest + held.arrays.slope[c, 0] * p_mw
            assert solve(lab) == 0
            balance(lab)
            most_a = max(most_a, float(np.hypot(*lab.sensor.T).max()))
        fit = held.arrays.weight[slot], held.arrays.out[slot]
        for times, is_left_out in ((1.15, True), (1.0, False), (0.99, False)):
            held._packing._pickup[:] = times * most_a
            assert (held._packing._n_wanted(*fit) < held.n_out) == is_left_out
