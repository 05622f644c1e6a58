"""Hosting capacity by power flow: the regulators that come to rest are those of the scenario."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import campus, scenario

from cosim.feeder import load_feeder
from cosim.scenario import load_scenario
from cosim.study.schema import SteadySize
from cosim.study.steady import SteadyBus

REGULATED = """\
clear
new circuit.reg basekv=12.47 pu=1.0 phases=3 bus1=src mvasc3=200 mvasc1=200
new transformer.t phases=3 windings=2 buses=(src a) kvs=(12.47 12.47) kvas=(8000 8000) xhl=1 %loadloss=0.1
new regcontrol.r transformer=t winding=2 vreg={volts} band=2 ptratio=60 delay=15
new line.l bus1=a bus2=b r1=0.4 x1=0.8 r0=0.8 x0=2 length=4 units=km normamps=400
new load.d bus1=b kv=12.47 kw=900 pf=0.95
set voltagebases=[12.47]
calcvoltagebases
solve
"""


def lowest_pu(master, controls, at_rest=True):
    """Lowest voltage with nothing and with 3 MW at the end of the line."""
    model = {"model": str(master), "controls": controls}
    config = load_scenario(scenario(2, feeder=model, datacenters={"campus": campus("b", ups=False)}))
    limits = SteadySize(max_p_mw=8, max_loading_percent=None, controls=at_rest)
    bus = SteadyBus(load_feeder(master), config, "b", limits)
    return [bus.judge(p_mw).facts["vm_min_pu"] for p_mw in (0.0, 3.0)]


def test_set_point_of_the_scenario_counts_as_one_of_the_file_would(tmp_path):
    low, high = (tmp_path / f"f{volts}.dss" for volts in (120, 124))
    for path, volts in ((low, 120), (high, 124)):
        path.write_text(REGULATED.format(volts=volts))
    raised = lowest_pu(low, {"regulators": {"r": {"v_set_pu": 124 / 120}}})
    assert raised == pytest.approx(lowest_pu(high, {}), abs=1e-9)
    assert min(np.subtract(raised, lowest_pu(low, {}))) > 0.01  # two taps and more
    frozen = lowest_pu(low, {"mode": "frozen"})
    assert frozen == lowest_pu(low, {}, at_rest=False)
    assert frozen == lowest_pu(low, {"regulators": {"r": {"frozen": True}}})
    assert frozen[1] < lowest_pu(low, {})[1]  # which goes up under 3 MW


@pytest.mark.parametrize("v_set_pu", [0.97, 1.03])
def test_tap_changer_that_only_the_scenario_has_comes_to_rest_in_its_band(v_set_pu):
    name, feeder = "HV/MV Transformer 0", load_feeder("mv_oberrhein")
    ltc = {"trafo": name, "v_set_pu": v_set_pu, "bandwidth_pu": 0.02}
    model = {"model": "mv_oberrhein", "controls": {"regulators": {"ltc": ltc}}}
    config = load_scenario(scenario(2, feeder=model, datacenters={"campus": campus("Bus 51", ups=False)}))
    bus = SteadyBus(feeder, config, "Bus 51", SteadySize(max_p_mw=8, max_loading_percent=None))
    bus.judge(2.0)
    element = np.flatnonzero(feeder.network.el_name == name)[0]
    secondary = feeder.network.el_node[feeder.network.el_ptr[element] + 1]
    assert bus._compiled.vm_pu(feeder.node_names[secondary]) == pytest.approx(v_set_pu, abs=0.01)
