"""Unbalanced faults on a balanced feeder: every phase at every bus against OpenDSS's circuit of three phases.

Two transformers of different connections between three voltages, lines with charging, loads as impedances: both sides
are linear, so that nothing but the model could differ. docs/faults.md has the table;
`python tests/validation/faults_opendss/test_balanced_phases.py` prints it.
"""

from __future__ import annotations

import numpy as np
import pytest
from balanced_circuit import BUSES, S_SC_MVA, VMIN_PU, X_OVER_R, PhaseCircuit, pandapower_net

from cosim.feeder import CompiledFeeder, FeederConfig, SourceConfig, from_pandapower
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.protection.config import RelayConfig
from cosim.feeder.protection.desk import ProtectionDesk

pytestmark = [pytest.mark.validation]

MAX_DV_PU = 1e-6
_ELEMENT = {"curve": "definite_time", "pickup_a": 400, "time_dial": 0.1}
RELAY = {"name": "r", "kind": "relay", "line": "m1", "phase": _ELEMENT, "ground": _ELEMENT}
"""Currents of its phases and 3 I0 are compared too."""
GROUPS = [
    {"t1": "Dyn", "t2": "Dyn"},  # earthed at 20 kV and 400 V
    {"t1": "YNd", "t2": "Dyn"},  # 20 kV held to ground by the charging of its lines only
    {
        "t1": "YNyn",
        "t2": "Yyn",
    },  # zero sequence passes from 110 to 20 kV, none into 400 V, held by its cable's charging
]
FAULTS = [
    ("line_to_ground", "a", 1e-4, 0.0),
    ("line_to_ground", "c", 0.5, 2.0),
    ("line_to_line", "bc", 1e-4, 0.0),
    ("line_to_line", "ab", 0.3, 0.0),
    ("double_line_to_ground", "bc", 1e-4, 0.0),
    ("double_line_to_ground", "ca", 0.2, 1.0),
    ("three_phase", None, 0.1, 0.0),
]


class Pair:
    """The network in cosim and in OpenDSS."""

    def __init__(self, groups, law="impedance"):
        self.feeder = from_pandapower(pandapower_net(groups, law))
        source = SourceConfig(s_sc_mva=S_SC_MVA, x_over_r=X_OVER_R)
        self.compiled = CompiledFeeder(self.feeder.network, [], FeederConfig(model="pair", vmin_pu=VMIN_PU), source)
        relay = RelayConfig.model_validate(RELAY)
        self.compiled.set_sensors(ProtectionDesk([relay], self.compiled.network).rows)
        self.circuit = PhaseCircuit(groups, complex(*self.compiled.arrays.emf[0]), law)

    def deviation(self, *faults: dict) -> float:
        """Largest difference between voltages of phases, and between currents of the relay in parts of 1 kA. [pu]"""
        for k, fault in enumerate(faults):
            config = FaultConfig(**fault)
            self.compiled.apply_fault(f"f{k}", config)
            self._put(config.bus or self.circuit.cut(config.line, config.position), config)
        solve_totals(self.compiled)
        found = dict(zip(self.feeder.bus_names, self.compiled.phase_vm_pu(), strict=True))
        sensor = self.compiled.arrays.sensor
        found_ka = np.hypot(sensor[:, 0], sensor[:, 1]) / 1e3
        for k in range(len(faults)):
            self.compiled.clear_fault(f"f{k}")
        expected, expected_ka = self.circuit.magnitudes(), self.circuit.currents_ka(RELAY["line"])
        self.circuit.clear()
        self.lowest = min(float(v.min()) for v in expected.values())
        currents = float(np.abs(found_ka - expected_ka).max())
        return max(currents, *(float(np.abs(found[bus] - expected[bus]).max()) for bus in BUSES))

    def _put(self, at, config):
        phases = ["abc".index(p) + 1 for p in config.phases or "abc"]
        if config.type == "line_to_line":
            self.circuit.branch(f"{at}.{phases[0]}", f"{at}.{phases[1]}", config.z_ohm)
            return
        joint = "joint.1" if config.z_ground_ohm else f"{at}.0"
        for p in phases:
            self.circuit.branch(f"{at}.{p}", joint, config.z_ohm)
        if config.z_ground_ohm:
            self.circuit.branch("joint.1", "joint.0", config.z_ground_ohm)


def faults_at(**place):
    return [
        {"type": kind, "phases": phases, "r_ohm": r, "x_ohm": 0.0 if r < 1e-3 else 0.4 * r, "r_ground_ohm": z, **place}
        for kind, phases, r, z in FAULTS
    ]


@pytest.fixture(scope="module", params=GROUPS, ids=lambda groups: "-".join(groups.values()))
def pair(request):
    return Pair(request.param)


def test_phase_voltages_without_a_fault_are_those_of_opendss(pair):
    solve_totals(pair.compiled)
    found = dict(zip(pair.feeder.bus_names, pair.compiled.phase_vm_pu(), strict=True))
    for bus, expected in pair.circuit.magnitudes().items():
        np.testing.assert_allclose(found[bus], expected, atol=MAX_DV_PU, err_msg=bus)


@pytest.mark.parametrize("bus", list(BUSES))
def test_phase_voltages_with_a_fault_at_a_bus_are_those_of_opendss(pair, bus):
    for fault in faults_at(bus=bus):
        assert pair.deviation(fault) < MAX_DV_PU, fault


@pytest.mark.parametrize(
    "second",
    [
        {"bus": "mv4", "type": "line_to_ground", "phases": "b"},  # across the country: two phases, two places
        {"bus": "lv2", "type": "line_to_line", "phases": "ca", "r_ohm": 0.01},
        {"bus": "mv2", "type": "three_phase", "r_ohm": 2.0, "r_ground_ohm": 5.0},
    ],
    ids=["second_earth_fault", "behind_a_delta", "three_phase"],
)
def test_phase_voltages_with_two_faults_at_a_time_are_those_of_opendss(pair, second):
    first = {"bus": "mv3", "type": "line_to_ground", "phases": "a", "r_ohm": 0.2}
    assert pair.deviation(first, second) < MAX_DV_PU


@pytest.mark.parametrize(("groups", "position"), [(GROUPS[0], 0.3), (GROUPS[1], 0.85)], ids=["earthed", "isolated"])
def test_phase_voltages_with_a_fault_along_a_line_are_those_of_opendss(groups, position):
    own = Pair(groups)
    for fault in faults_at(line="m2", position=position):
        assert own.deviation(fault) < MAX_DV_PU, fault


@pytest.mark.parametrize("groups", GROUPS[:2], ids=["earthed", "isolated"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"bus": "mv4", "type": "line_to_ground", "phases": "b"}, {"line": "m2", "position": 0.3}),
        ({"line": "m1", "position": 0.6, "type": "line_to_ground", "phases": "c"}, {"line": "m2", "position": 0.8}),
        ({"line": "m1", "position": 0.6, "type": "three_phase", "r_ohm": 3.0}, {"bus": "mv2"}),
    ],
    ids=["line_beside_bus", "two_lines", "three_phase_on_a_line"],
)
def test_phase_voltages_with_faults_along_lines_beside_others_are_those_of_opendss(groups, first, second):
    """Currents of the relay included, on the faulted line m1 too."""
    own = Pair(groups)
    for kind, phases in (("line_to_ground", "a"), ("line_to_line", "ab")):
        fault = {"type": kind, "phases": phases, "r_ohm": 0.2, **second}
        assert own.deviation({"r_ohm": 0.1, **first}, fault) < MAX_DV_PU, fault
    assert own.deviation({"r_ohm": 0.1, **first}) < MAX_DV_PU


def main() -> None:
    """Print the tables of docs/faults.md."""
    for groups in GROUPS:
        pair = Pair(groups)
        for kind in dict.fromkeys(k for k, *_ in FAULTS):
            worst = max(pair.deviation(f) for bus in BUSES for f in faults_at(bus=bus) if f["type"] == kind)
            print("-".join(groups.values()), kind, f"{worst:.1e}")
    for r_ohm in (5.0, 10.0, 20.0):  # loads of given power between each two phases, cosim's of all three together
        for kind, phases in (("line_to_ground", "a"), ("line_to_line", "bc"), ("double_line_to_ground", "ab")):
            pair = Pair(GROUPS[0], "power")
            fault = {"bus": "mv3", "type": kind, "phases": phases, "r_ohm": r_ohm}
            print("given power", kind, r_ohm, f"{pair.deviation(fault):.1e}, lowest {pair.lowest:.2f} pu")


if __name__ == "__main__":
    main()
