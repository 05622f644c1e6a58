"""The point of interconnection against pandapower's short-circuit calculation, power flow, and OpenDSS."""

from __future__ import annotations

import math

import pandapower as pp
import pandapower.networks as pn
import pandapower.shortcircuit as sc
import pytest

import cosim
from cosim.errors import PhysicsError
from cosim.feeder.config import SourceConfig
from cosim.metrics.interconnection import interconnection

S_SC_MVA, X_OVER_R = 100.0, 5.0


@pytest.mark.validation
@pytest.mark.parametrize("bus", [5, 17, 32])
def test_short_circuit_power_is_that_of_pandapower(bus):
    # IEC 60909 multiplies the source's voltage, and so its impedance, by c: taken out on both sides.
    net = pn.case33bw()
    c = 1.1
    net.ext_grid["s_sc_max_mva"], net.ext_grid["rx_max"] = c * S_SC_MVA, 1.0 / X_OVER_R
    net.line["c_nf_per_km"] = 0.0
    sc.calc_sc(net, case="max", bus=bus, lv_tol_percent=10)
    expected = float(net.res_bus_sc.skss_mw.loc[bus]) / c
    found = interconnection(
        cosim.load_feeder("case33bw"), str(bus), 0.1, 0.0, SourceConfig(s_sc_mva=S_SC_MVA, x_over_r=X_OVER_R)
    )
    assert found.s_sc_mva == pytest.approx(expected, rel=2e-3)


@pytest.mark.validation
def test_slopes_and_load_rejection_are_those_of_pandapower():
    def vm_pu(p_mw, q_mvar):
        net = pn.case33bw()
        pp.create_load(net, 17, p_mw, q_mvar)
        pp.runpp(net, tolerance_mva=1e-10)
        return net.res_bus.vm_pu

    found = interconnection(cosim.load_feeder("case33bw"), "17", 0.5, 0.1)
    d = 1e-3
    assert found.vm_pu == pytest.approx(vm_pu(0.5, 0.1).loc[17], abs=1e-8)
    assert found.dv_per_mw_pu == pytest.approx((vm_pu(0.5 + d, 0.1).loc[17] - found.vm_pu) / d, rel=1e-4)
    assert found.dv_per_mvar_pu == pytest.approx((vm_pu(0.5, 0.1 + d).loc[17] - found.vm_pu) / d, rel=1e-4)
    gone = vm_pu(0.0, 0.0)
    assert found.rejection_vm_pu == pytest.approx(gone.loc[17], abs=1e-8)
    assert found.rejection_max_pu == pytest.approx(gone.max(), abs=1e-8)


@pytest.mark.validation
def test_short_circuit_power_of_an_unbalanced_feeder_is_that_of_opendss(shared, tmp_path):
    import zipfile

    from dss import DSS

    archive = next((shared / "data/feeders/dss").glob("ieee13*.zip"))
    zipfile.ZipFile(archive).extractall(tmp_path)
    master = next(path for path in tmp_path.rglob("*.dss") if "Nodeckt" in path.name)
    engine = DSS.NewContext()
    engine.Text.Command = f'redirect "{master}"'
    engine.Text.Command = "batchedit load..* enabled=no"  # OpenDSS counts loads into the impedance
    engine.Text.Command = "solve mode=faultstudy"
    engine.ActiveCircuit.SetActiveBus("671")
    r, x = engine.ActiveCircuit.ActiveBus.Zsc1[:2]
    kv = math.sqrt(3.0) * engine.ActiveCircuit.ActiveBus.kVBase
    found = interconnection(cosim.load_feeder(str(master)), "671", 0.1)
    assert found.s_sc_mva == pytest.approx(kv**2 / math.hypot(r, x), rel=0.03)


def test_a_load_beyond_the_nose_is_refused():
    with pytest.raises(PhysicsError, match="no solution with 500 MW"):
        interconnection(cosim.load_feeder("case33bw"), "17", 500.0)
