"""pandapower as the other side of a comparison, and how far a compiled feeder is from it."""

from __future__ import annotations

import copy
import warnings

import numpy as np

from cosim.feeder import balance, observe, solve
from cosim.feeder.arrays import OK, P_LOSS, P_SOURCE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandapower as pp

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
    vm = np.where(f.node_row >= 0, np.sqrt(f.vm2[f.node_row]), 0.0)
    va = np.zeros(len(compiled.bus_names))
    line_p, line_loading = np.zeros((2, len(compiled.line_names)))
    trafo_loading = np.zeros(len(compiled.trafo_names))
    observe(f, f.v, f.node_row, va, line_p, line_loading, trafo_loading)
    trafos = np.concatenate([net.res_trafo.loading_percent, net.res_trafo3w.loading_percent])
    losses = sum(net[f"res_{t}"].pl_mw.sum() for t in ("line", "trafo", "trafo3w", "impedance"))
    if "p_from_mw" in net.res_switch:
        losses += np.nansum(net.res_switch.p_from_mw + net.res_switch.p_to_mw)
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
