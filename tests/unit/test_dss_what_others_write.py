"""What circuits of others hold that once stopped the reading: each written anew, held to OpenDSS on its own terms."""

from __future__ import annotations

import numpy as np
import pytest
from opendssdirect import dss as engine

from cosim.errors import InputError
from cosim.feeder import FeederConfig, load_feeder
from cosim.feeder.checks import warn_of_left_out
from cosim.feeder.dss.scan import scan

SAME_PU = 1e-6
CIRCUIT = """\
Clear
New Circuit.other basekv=12.47 bus1=src pu=1.02 mvasc3=200 mvasc1=150
New Line.l bus1=src bus2=b length=3
New Load.a bus1=b kv=12.47 kw=3000 kvar=1500
{elements}
Set VoltageBases=[12.47 0.48]
CalcV
Solve
{after}
"""


def _written(folder, elements="", after="", name="other.dss"):
    master = folder / name
    master.write_text(CIRCUIT.format(elements=elements, after=after))
    return master


def _opendss_volts(master):
    """Voltages to ground of every node, controls frozen where the master leaves them. [V]"""
    dss = engine.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{master}"')
    dss.Text.Command("set controlmode=off tolerance=1e-10 maxiterations=1000")
    dss.Text.Command("solve")
    assert dss.Solution.Converged()
    volts = np.asarray(dss.Circuit.YNodeVArray()).view(complex)
    return dict(zip((name.lower() for name in dss.Circuit.YNodeOrder()), volts, strict=True))


def _cosim_volts(master):
    feeder = load_feeder(master)
    found = feeder.solve()
    assert found.status == "ok"
    kv = feeder.network.node_vn_kv[: feeder.network.n_node]
    v = 1e3 * kv * found.node_vm_pu * np.exp(1j * np.radians(found.node_va_degree))
    return dict(zip(found.node_names, v, strict=True))


PV = (
    "New XYCurve.vv npts=4 xarray=(0.92 0.97 0.99 1.08) yarray=(1 0 0 -1)\n"
    "New PVSystem.pv bus1=b kv=12.47 kva=1500 pmpp=900\n"
    "New InvControl.ic derlist=[pvsystem.pv] mode=voltvar vvc_curve1=vv"
)


def test_inverters_under_a_control_stay_where_it_left_them_and_live_controls_are_refused(tmp_path):
    master = _written(tmp_path, PV)
    feeder, expected = load_feeder(master), _opendss_volts(master)
    q_mvar = -feeder.network.inj_s_mva[feeder.network.inj_name == "pv"].imag.item()
    assert abs(q_mvar) > 0.1  # the control has moved it
    found = _cosim_volts(master)
    assert max(abs(found[node] - v) for node, v in expected.items()) < SAME_PU * 7200
    with pytest.raises(InputError, match=r"InvControl\.ic"):
        feeder.solve(controls=True)


def test_what_a_network_leaves_out_is_told_once_for_all_of_a_kind(tmp_path):
    fuses = "\n".join(f"New Fuse.f{k} monitoredobj=Line.l ratedcurrent=1000" for k in range(5))
    feeder = load_feeder(_written(tmp_path, f"{PV}\n{fuses}"))
    with pytest.warns(UserWarning, match="feeder.model") as told:
        warn_of_left_out(feeder.network, FeederConfig(model="other"))
    assert [str(w.message) for w in told] == [
        "feeder.model: Fuse.f0, Fuse.f1, Fuse.f2 and 2 more: does not act",
        "feeder.model: InvControl.ic: does not act; the powers that it sets stay as the file leaves them",
    ]


def test_generator_that_holds_a_voltage_no_longer_does_where_controls_are_frozen(tmp_path):
    network = load_feeder(_written(tmp_path, "New Generator.g bus1=b kv=12.47 kw=100 model=3")).network
    with pytest.warns(UserWarning, match=r"keep the reactive power of the file's solution: g"):
        warn_of_left_out(network, FeederConfig(model="other", controls="frozen"))


def test_allocated_loads_stand_where_loads_written_so_do(tmp_path):
    """OpenDSS keeps old admittances of allocated loads where voltage bases are worked out behind: amperes off."""
    sized = "New Load.x bus1=b.1 phases=1 kv=7.2 {size} pf=0.9"
    meter = "New EnergyMeter.m element=Line.l terminal=1 peakcurrent=[230 180 190]"
    by_size = sized.format(size="xfkva=500 allocationfactor=0.4")
    allocated = _written(tmp_path, f"{by_size}\n{meter}", "AllocateLoads\nCalcV\nSolve")
    network = load_feeder(allocated).network
    p_kw, a_kw = (1e3 * network.inj_s_mva[network.inj_name == name].real.item() for name in ("x", "a"))
    assert a_kw != pytest.approx(3000) or p_kw != pytest.approx(180)  # something was allocated
    written = _written(tmp_path, sized.format(size=f"kw={p_kw!r}"), name="written.dss")
    expected, found = _opendss_volts(written), _cosim_volts(allocated)
    assert max(abs(found[node] - v) for node, v in expected.items()) < SAME_PU * 7200


def test_windings_that_hardly_touch_ground_do_not_stop_the_reading(tmp_path):
    """OpenDSS's voltages to ground never stand still there to a tighter tolerance than its own; between phases they do.

    The judge is the same circuit with the engine's usual leak to ground, 1e5 times as large.
    """
    floating = (
        "Edit Vsource.source basekv=115 r1=0 x1=0.001 r0=0 x0=0.001\n"
        "New Transformer.sub buses=[src m] conns=[delta wye] kvs=[115 12.47] kvas=[27500 27500] xhl=10\n"
        "Edit Line.l bus1=m bus2=b\n"
        "New Transformer.t buses=[b.1.2.3.4 d] conns=[wye delta] kvs=[12.47 0.48] kvas=[75 75] xhl=5.75 ppm={ppm}\n"
        "New Transformer.u buses=[b.1.2.3.5 e] conns=[wye delta] kvs=[12.47 0.48] kvas=[75 75] xhl=5.75 ppm={ppm}\n"
        "New Generator.g bus1=d kv=0.48 kw=100 pf=0.9 kva=250 conn=delta\n"
        "New Generator.h bus1=e kv=0.48 kw=100 pf=0.9 kva=250 conn=delta"
    )
    found = _cosim_volts(_written(tmp_path, floating.format(ppm="0.00001")))
    expected = _opendss_volts(_written(tmp_path, floating.format(ppm="1"), name="grounded.dss"))
    for bus, volt in (("b", 7200), ("d", 277), ("e", 277)):
        for one, other in ((1, 2), (2, 3), (3, 1)):
            between = [v[f"{bus}.{one}"] - v[f"{bus}.{other}"] for v in (found, expected)]
            assert abs(between[0] - between[1]) < SAME_PU * volt


@pytest.mark.parametrize("last", ["miniterations=1", "sampleenergymeters=no miniterations=2 "])
def test_the_end_of_a_set_is_not_the_option_that_would_follow(tmp_path, last):
    master = _written(tmp_path, after=f"set mode=snap controlmode=static {last}")
    assert scan(master).files == (master,)


def test_an_element_that_cannot_be_carried_is_named_with_the_line_that_defines_it(tmp_path):
    (tmp_path / "more.dss").write_text("! sources\nNew Isource.i bus1=b amps=1\n~ angle=0\n")
    master = _written(tmp_path, 'New "IndMach012.m" bus1=b kv=12.47\nRedirect more.dss')
    with pytest.raises(InputError) as refused:
        load_feeder(master)
    assert [(p.message.split()[0], p.file, p.line) for p in refused.value.problems] == [
        ("Isource.i", str(tmp_path / "more.dss"), 2),
        ("IndMach012.m", str(master), 5),
    ]
    with pytest.raises(InputError, match=r"other\.dss:2: Vsource\.source: bus1 must be live"):
        load_feeder(_written(tmp_path, "Edit Vsource.source bus2=b"))
