"""Voltages at every node during a fault against OpenDSS: every type, at every bus of the IEEE feeders, and along lines.

Loads are those of the file under the engine's own load model, taps and banks as the file leaves them. docs/faults.md
has the table; `python tests/validation/faults_opendss/test_faults_opendss.py` prints it, for every bus.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from fault_judge import FaultJudge, phases_of

from cosim.feeder import CompiledFeeder, Feeder, FeederConfig, load_feeder
from cosim.feeder import arrays as ix
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import N_PHASES, FaultConfig

pytestmark = [pytest.mark.validation]

MAX_DV_PU = 1e-6
MASTERS = {
    "ieee13": "13Bus/IEEE13Nodeckt.dss",
    "ieee34": "34Bus/ieee34Mod1.dss",
    "ieee37": "37Bus/ieee37.dss",
    "ieee123": "123Bus/IEEE123Master.dss",
}
EVERY = {"ieee13": 1, "ieee34": 3, "ieee37": 4, "ieee123": 9}
"""Of how many buses the tests take one."""
LINES = {"ieee13": "632670", "ieee34": "l5", "ieee37": "l5", "ieee123": "l7"}


def unzipped(name: str, archives: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archives / f"{name}.zip") as archive:
        archive.extractall(folder)
    return folder / MASTERS[name]


class Pair:
    """A feeder in cosim and in OpenDSS."""

    def __init__(self, master: Path) -> None:
        self.judge = FaultJudge(master)
        self.feeder: Feeder = load_feeder(master)
        self.compiled = CompiledFeeder(self.feeder.network, [], FeederConfig(model="judged"))
        self.judge.start(self.feeder.bus_names[-1])
        self.kv = self.feeder.network.node_vn_kv[: self.feeder.network.n_node]

    def difference_pu(self, fault: FaultConfig) -> float:
        """Largest deviation of a node's complex voltage during a fault. [pu]"""
        self.judge.put(fault, phases_of(fault))
        self.compiled.apply_fault("judged", fault)
        status, _ = solve_totals(self.compiled)
        assert status == ix.OK
        f = self.compiled.arrays
        v = f.v[0::2] + 1j * f.v[1::2]
        found = np.where(f.node_row >= 0, v[np.maximum(f.node_row, 0)], 0)
        self.compiled.clear_fault("judged")
        return float(np.abs(found - self.judge.voltages(self.feeder.node_names, self.kv)).max())

    def bus_faults(self, every: int = 1, **impedance: float) -> list[FaultConfig]:
        """Faults of each type, on the last phases there, at one of so many buses."""
        net, found = self.feeder.network, []
        for bus in range(0, len(self.feeder.bus_names), every):
            present = sorted(int(p) for p in net.node_phase[net.nodes_of_bus(bus)] if 1 <= p <= 3)
            for kind, n in N_PHASES.items():
                if len(present) >= n:
                    phases = "".join(map(str, present[-n:]))
                    found.append(FaultConfig(bus=self.feeder.bus_names[bus], type=kind, phases=phases, **impedance))
        return found


@pytest.fixture(scope="module", params=list(MASTERS))
def case(request, shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, Pair(unzipped(request.param, shared / "data" / "feeders" / "dss", folder))


def test_metallic_faults_leave_opendss_voltages(case):
    name, pair = case
    for fault in pair.bus_faults(EVERY[name]):
        assert pair.difference_pu(fault) < MAX_DV_PU, fault


def test_faults_through_an_impedance_leave_opendss_voltages(case):
    name, pair = case
    for fault in pair.bus_faults(3 * EVERY[name], r_ohm=0.5, x_ohm=0.2):
        assert pair.difference_pu(fault) < MAX_DV_PU, fault


def test_faults_through_a_common_ground_impedance_leave_opendss_voltages(case):
    name, pair = case
    for fault in pair.bus_faults(4 * EVERY[name], r_ohm=0.1, x_ohm=0.1):
        if fault.type in ("line_to_ground", "double_line_to_ground"):
            earthed = fault.model_copy(update={"r_ground_ohm": 2.0, "x_ground_ohm": 0.5})
            assert pair.difference_pu(earthed) < MAX_DV_PU, earthed


@pytest.mark.parametrize("position", [0.2, 0.75])
@pytest.mark.parametrize(("kind", "phases"), [("three_phase", "123"), ("line_to_ground", "2"), ("line_to_line", "13")])
def test_faults_along_a_line_leave_opendss_voltages(case, position, kind, phases):
    name, pair = case
    fault = FaultConfig(line=LINES[name], position=position, type=kind, phases=phases)
    try:
        assert pair.difference_pu(fault) < MAX_DV_PU
    finally:
        pair.judge.reset()
        pair.judge.start(pair.feeder.bus_names[-1])


def test_data_center_on_an_ungrounded_feeder_goes_on_between_phases_while_one_is_earthed(shared, tmp_path):
    feeder = load_feeder(unzipped("ieee37", shared / "data" / "feeders" / "dss", tmp_path))
    compiled = CompiledFeeder(feeder.network, ["711"], FeederConfig(model="ieee37"))
    compiled.arrays.port_p_mw[0], compiled.arrays.port_v_min_pu[0] = 0.3, 0.85
    solve_totals(compiled)
    before = float(compiled.arrays.port_vm_pu[0])
    compiled.apply_fault("f", FaultConfig(bus="711", type="line_to_ground", phases="a"))
    status, _ = solve_totals(compiled)
    assert status == ix.OK
    assert compiled.vm_pu("711.1") < 1e-3
    assert compiled.vm_pu("711.2") > 1.6  # the sound phases rise to the voltage between phases
    assert float(compiled.arrays.port_vm_pu[0]) == pytest.approx(before, abs=2e-3)


if __name__ == "__main__":
    import tempfile

    archives = Path(__file__).resolve().parents[4] / "shared" / "data" / "feeders" / "dss"
    for name in MASTERS:
        with tempfile.TemporaryDirectory() as folder:
            pair = Pair(unzipped(name, archives, Path(folder)))
            for kind in N_PHASES:
                faults = [fault for fault in pair.bus_faults() if fault.type == kind]
                worst = max(pair.difference_pu(fault) for fault in faults)
                print(f"| {name} | {kind} | {len(faults)} | {worst:.1e} |", flush=True)
