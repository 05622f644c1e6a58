"""Every distribution network of pandapower, and SimBench grids, against `pandapower.runpp`.

Tolerance: 1e-6 pu for voltages (design, section 7); flows and loadings to 1e-6 of the largest.
"""

from __future__ import annotations

import pytest
from feeder_peer import check, deviations, run_pandapower, with_far_data_center

from cosim.feeder import FeederConfig, from_pandapower
from cosim.feeder.names import list_feeders, make_net

PREFIXES = ("case33bw", "cigre_mv", "cigre_lv", "mv_", "kerber_", "kb_", "dickert_", "synthetic_", "lv_")
NAMED = [name for name in list_feeders() if name.startswith(PREFIXES)]
SIMBENCH = [
    "1-MV-rural--0-sw", "1-MV-semiurb--0-sw", "1-MV-urban--0-sw", "1-MV-comm--0-sw",
    "1-LV-rural1--0-sw", "1-LV-rural2--0-sw", "1-LV-rural3--0-sw",
    "1-LV-semiurb4--0-sw", "1-LV-semiurb5--0-sw", "1-LV-urban6--0-sw",
]  # fmt: skip


@pytest.mark.validation
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*NAMED, *SIMBENCH])
def test_feeder_reproduces_pandapower(name):
    net = make_net(name)
    feeder = from_pandapower(net)
    config = FeederConfig(model=name, vmin_pu=0.0)
    full = run_pandapower(net)
    check(deviations(feeder.compile([], config), full))

    light = run_pandapower(net, scaling=0.05)
    check(deviations(feeder.compile([], config.model_copy(update={"load_scaling": 0.05})), light))

    bus, p_mw, q_mvar, far = with_far_data_center(net, full)
    compiled = feeder.compile([feeder.bus_names[net.bus.index.get_loc(bus)]], config)
    compiled.arrays.port_p_mw[0], compiled.arrays.port_q_mvar[0] = p_mw, q_mvar
    check(deviations(compiled, far))


@pytest.mark.validation
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["case14", "case39", "case118", "case300", "cigre_hv", "example_multivoltage"])
def test_feeder_with_generators_reproduces_pandapower(name):
    net = make_net(name)
    feeder = from_pandapower(net)
    full = run_pandapower(net)
    compiled = feeder.compile([feeder.bus_names[-1]], FeederConfig(model=name, vmin_pu=0.0))
    check(deviations(compiled, full))
    compiled.arrays.port_p_mw[0], compiled.arrays.port_q_mvar[0] = 0.02, 0.004
    check(deviations(compiled, run_pandapower(net, net.bus.index[-1], 0.02, 0.004)))
