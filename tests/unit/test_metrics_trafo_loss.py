"""Losses of transformers from their admittance against pandapower's and OpenDSS's own."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

import cosim
from cosim.feeder.network import TRAFO
from cosim.metrics.accounts import LoadSquare, SquareMeter
from cosim.metrics.trafo_loss import rated_losses_mw, trafo_loss


def square_of(loading_percent, lasted_s=3600.0):
    return LoadSquare(lasted_s, (np.asarray(loading_percent) / 100.0) ** 2)


@pytest.mark.validation
@pytest.mark.filterwarnings("ignore:tap_dependency_table:DeprecationWarning")
def test_losses_of_transformers_are_those_of_pandapower():
    """Idle losses go with the square of the voltage, which is 1.0 +- 0.05 there."""
    net = pn.mv_oberrhein()
    pp.runpp(net)
    feeder = cosim.load_feeder("mv_oberrhein")
    found = trafo_loss(feeder.network, list(feeder.trafo_names), square_of(net.res_trafo.loading_percent))
    assert found.no_load_mwh.sum() == pytest.approx(net.trafo.pfe_kw.sum() * 1e-3, rel=0.1)
    lost_mwh = found.no_load_mwh + found.load_mwh
    assert lost_mwh == pytest.approx(net.res_trafo.pl_mw.to_numpy(), rel=0.1)


@pytest.mark.validation
def test_rated_losses_are_those_that_opendss_was_given(tmp_path):
    """2 MVA with 0.3 % idle and 1.2 % load losses, delta to wye; 100 kVA of one phase with 0.5 and 2 %.

    OpenDSS's loading is relative to its normal rating, 1.1 times the nameplate: load losses at 100 % are 1.21 times.
    """
    master = tmp_path / "two.dss"
    master.write_text(
        "clear\nnew circuit.two basekv=12.47 bus1=a\n"
        "new transformer.t3 phases=3 buses=(a b) conns=(delta wye) kvs=(12.47 0.48) kvas=(2000 2000) xhl=6 "
        "%noloadloss=0.3 %loadloss=1.2\n"
        "new transformer.t1 phases=1 buses=(a.1 c.1) kvs=(7.2 0.24) kvas=(100 100) xhl=3 %noloadloss=0.5 %loadloss=2\n"
        "new load.l3 bus1=b kv=0.48 kw=100\nnew load.l1 phases=1 bus1=c.1 kv=0.24 kw=10\n"
        "set voltagebases=[12.47 0.48 0.416]\ncalcvoltagebases\nsolve\n"
    )
    network = cosim.load_feeder(str(master)).network
    rated = {str(network.el_name[e]): rated_losses_mw(network, e) for e in np.flatnonzero(network.el_kind == TRAFO)}
    assert rated["t3"] == pytest.approx((2.0 * 0.003, 1.21 * 2.0 * 0.012), rel=0.02)
    assert rated["t1"] == pytest.approx((0.1 * 0.005, 1.21 * 0.1 * 0.02), rel=0.02)


def test_load_losses_go_with_the_square_of_the_loading_and_cost_what_it_costs_then():
    """By hand: loading 100 % for an hour at 40, then 50 % for an hour at 80."""
    from cosim.scenario.accounts import Series

    t_s = np.arange(7201.0)
    loading = np.where(t_s < 3600, 100.0, 50.0)[:, None]
    meter = SquareMeter(1, Series([0.0, 3600.0], [40.0, 80.0]))
    for rows in (slice(0, 100), slice(100, 5000), slice(5000, None)):
        meter.update(t_s[rows], loading[rows])
    square = meter.result()
    assert square.mean[0] == pytest.approx((1.0 + 0.25) / 2, rel=1e-3)
    assert square.price == pytest.approx(60.0)
    assert square.mean_priced[0] == pytest.approx((40.0 + 0.25 * 80.0) / 2, rel=1e-3)
    network = cosim.load_feeder("mv_oberrhein").network
    (name,) = network.el_name[network.el_kind == TRAFO][:1]
    idle_mw, full_mw = rated_losses_mw(network, int(np.flatnonzero(network.el_kind == TRAFO)[0]))
    found = trafo_loss(network, [str(name)], square)
    assert found.load_cost == pytest.approx(full_mw * (40.0 + 20.0), rel=1e-3)
    assert found.no_load_cost == pytest.approx(idle_mw * 2 * 60.0)
