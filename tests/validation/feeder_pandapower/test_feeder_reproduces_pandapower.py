"""Every distribution network of pandapower, and SimBench grids, against `pandapower.runpp`.

Tolerance: 1e-6 pu for voltages (design, section 7); flows and loadings to 1e-6 of the largest.
"""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

from cosim.feeder import FeederConfig, balance, from_pandapower, observe, solve
from cosim.feeder.arrays import OK, P_LOSS, P_SOURCE
from cosim.feeder.names import list_feeders, make_net

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandapower as pp

PREFIXES = ("case33bw", "cigre_mv", "cigre_lv", "mv_", "kerber_", "kb_", "dickert_", "synthetic_", "lv_")
NAMED = [name for name in list_feeders() if name.startswith(PREFIXES)]
SIMBENCH = [
    "1-MV-rural--0-sw", "1-MV-semiurb--0-sw", "1-MV-urban--0-sw", "1-MV-comm--0-sw",
    "1-LV-rural1--0-sw", "1-LV-rural2--0-sw", "1-LV-rural3--0-sw",
    "1-LV-semiurb4--0-sw", "1-LV-semiurb5--0-sw", "1-LV-urban6--0-sw",
]  # fmt: skip
DATA_CENTER_SHARE = 0.25
"""Size of the far-end data center against the load of the feeder. [1]"""


def run_pandapower(net, bus=None, p_mw=0.0, q_mvar=0.0, scaling=1.0):
    net = copy.deepcopy(net)
    net.load["scaling"] *= scaling
    net.motor["scaling"] *= scaling
    if bus is not None:
        pp.create_load(net, bus, p_mw, q_mvar)
    for tolerance in (1e-10, 1e-9, 1e-8):
        try:
            pp.runpp(net, tolerance_mva=tolerance, numba=False, lightsim2grid=False)
        except pp.LoadflowNotConverged:
            continue
        return net
    return None


def deviations(compiled, net):
    """Largest differences to solved pandapower results: voltage [pu], angle [degree], flows [relative]."""
    f = compiled.arrays
    assert solve(f) == OK
    balance(f)
    vm, va = np.zeros((2, len(compiled.bus_names)))
    line_p, line_loading = np.zeros((2, len(compiled.line_names)))
    trafo_loading = np.zeros(len(compiled.trafo_names))
    observe(f, vm, va, line_p, line_loading, trafo_loading)
    trafos = np.concatenate([net.res_trafo.loading_percent, net.res_trafo3w.loading_percent])
    losses = sum(net[f"res_{t}"].pl_mw.sum() for t in ("line", "trafo", "trafo3w", "impedance"))
    scale_mw = np.abs(net.res_line.p_from_mw).max()
    return {
        "vm_pu": np.abs(vm - np.nan_to_num(net.res_bus.vm_pu)).max(),
        "va_degree": np.abs(va - np.nan_to_num(net.res_bus.va_degree)).max(),
        "line_p": np.abs(line_p - np.nan_to_num(net.res_line.p_from_mw)).max() / scale_mw,
        "line_loading": _relative(line_loading, np.nan_to_num(net.res_line.loading_percent)),
        "trafo_loading": _relative(trafo_loading, np.nan_to_num(trafos)),
        "loss": abs(f.totals[P_LOSS] - losses) / max(abs(losses), 1e-3 * scale_mw),
        "source": abs(f.totals[P_SOURCE] - net.res_ext_grid.p_mw.sum()) / scale_mw,
    }


def _relative(found, expected):
    known = expected < 1e100
    return np.abs(found - expected)[known].max(initial=0) / max(expected[known].max(initial=0), 1e-9)


def with_far_data_center(net, full):
    """Bus with the lowest voltage, a data center there, half as large until pandapower solves it."""
    bus = full.res_bus.vm_pu.idxmin()
    p_mw = DATA_CENTER_SHARE * (net.load.p_mw * net.load.scaling).sum()
    while (solved := run_pandapower(net, bus, p_mw, 0.2 * p_mw)) is None:
        p_mw /= 2
    return bus, p_mw, 0.2 * p_mw, solved


def check(deviation):
    assert deviation["vm_pu"] < 1e-6
    assert deviation["va_degree"] < 1e-4
    assert max(v for k, v in deviation.items() if k not in ("vm_pu", "va_degree")) < 1e-6


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
