"""Largest fault currents that checks hold curves to, against OpenDSS's own fault study of a circuit without loads."""

from __future__ import annotations

import numpy as np
import opendssdirect as dss
import pytest

from cosim.feeder import load_feeder
from cosim.feeder.linear_network import LinearNetwork

pytestmark = [pytest.mark.validation]

CIRCUIT = """clear
new circuit.c basekv=115 mvasc3=1500 mvasc1=1200
new transformer.t phases=3 windings=2 buses=(sourcebus, a) conns=(delta, wye) kvs=(115, 12.47)
~ kvas=(12000, 12000) xhl=9 %loadloss=0.6
new linecode.main nphases=3 r1=0.19 x1=0.38 r0=0.45 x0=1.2 c1=3 c0=1.5 units=km
new linecode.side nphases=1 r1=0.6 x1=0.8 r0=0.6 x0=0.8 c1=2 c0=2 units=km
new line.ab bus1=a bus2=b linecode=main length=4 units=km
new line.bc bus1=b bus2=c linecode=main length=6 units=km
new line.bd bus1=b.2 bus2=d.2 linecode=side length=3 units=km
set voltagebases=[115, 12.47]
calcv
solve
"""


def test_largest_fault_currents_are_those_of_opendss(tmp_path):
    master = tmp_path / "master.dss"
    master.write_text(CIRCUIT)
    feeder = load_feeder(master)
    linear = LinearNetwork(feeder.network)
    dss.Text.Command(f"redirect {master}")
    sound = {}
    for bus in ("a", "b", "c", "d"):
        dss.Circuit.SetActiveBus(bus)
        sound[bus] = np.array(dss.Bus.VMagAngle())[0::2]
    dss.Text.Command("solve mode=faultstudy")
    found = {}
    for bus, v in sound.items():
        found[bus] = linear.fault_a(feeder.network.nodes_of_bus(feeder.bus_names.index(bus)))
        dss.Circuit.SetActiveBus(bus)
        z = np.array(dss.Bus.ZscMatrix()).view(complex).reshape(v.size, v.size)
        of_all, of_one = np.abs(np.array(dss.Bus.Isc()).view(complex)).max(), np.abs(v / np.diag(z)).max()
        assert found[bus] == pytest.approx(max(of_all, of_one), rel=1e-5), bus
    assert found["a"] > found["b"] > found["c"] > 500  # A
