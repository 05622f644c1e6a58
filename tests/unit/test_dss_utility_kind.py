"""Masters of the kind that utilities and EPRI distribute: what they use is carried, and stands where OpenDSS stands.

Written anew with the commands and classes of EPRI's test circuits and of the IEEE North American low-voltage network:
lines by geometry (wires, concentric neutrals, a reduced neutral), allocated loads by transformer rating, normalized
shapes from a file, a meter with peak currents, center-tapped services, parallel cables between delta-wye transformers,
abbreviated commands, a Solve inside and monitors behind it.
"""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import InputError
from cosim.feeder import load_feeder

MASTER = """\
Clear
Set DefaultBaseFrequency=60

New Circuit.utility bus1=SourceBus pu=1.05  basekV=115 mvasc3=20000 mvasc1=20000

Redirect  wires.dss
New Loadshape.LS_PhaseA npts=4 interval=1 mult=(file=shape.txt) action=normalize
New GrowthShape.Default npts=1 year=0 mult=1
Redirect  lines.dss
Redirect  loads.dss
redirect  AllocationFactors.Txt  !!! as of the last allocation

Set voltagebases=[115,12.47,0.48,0.208]   ! Allowable voltage bases for this problem
Calcv
set maxiter=100
set maxcontroliter=100
New Energymeter.head element=line.fdr terminal=1 option=R action=C PhaseVolt=yes peakcurrent=[272.4, 243.4, 272.0]
Buscoords  buscoords.dss
BatchEdit Load..* Vminpu=0.85
Solve

redirect monitors.dss
"""
FILES = {
    "wires.dss": """\
New WireData.397 gmr=0.0277 rac=0.0477 diam=0.806 gmrunits=ft radunits=in runits=kft normamps=594
new CNData.1000 gmrac=0.04683 rac=0.1214 diam=1.124 gmrunits=ft runits=mi radunits=in normamps=615
~ diacable=2.08 k=21 gmrstrand=0.00417 rstrand=0.1809 diastrand=0.1285
~ inslayer=0.25 diains=1.64
new LineSpacing.buried nconds=3 nphases=3 units=in x=[0,3,6] h=[-48,-48,-48]
new LineSpacing.duct nconds=4 nphases=3 units=in x=[-2.1213,0,2.1213,0] h=[50.1213,48,50.1213,52.2426]
New LineGeometry.over nconds=4 nphases=3 reduce=y
~ cond=1 wire=397 x=-4 h=28 units=ft
~ cond=2 wire=397 x=-1 h=28 units=ft
~ cond=3 wire=397 x=3 h=28 units=ft
~ cond=4 wire=397 x=0 h=24 units=ft
new LineGeometry.Pri nconds=3 nphases=3 spacing=buried cncables=[1000 1000 1000]
new LineGeometry.Sec nconds=4 nphases=3 reduce=y spacing=duct wires=[397 397 397 397]
New Linecode.triplex nphases=2 units=kft rmatrix=[0.2 | 0.05 0.2] xmatrix=[0.1 | 0.04 0.1] cmatrix=[0 | 0 0]
New Linecode.busbar nphases=3 r1=1e-6 r0=1e-6 x1=1e-6 x0=1e-6 c1=0 c0=0
New XfmrCode.ct phases=1 windings=3 kvs=[7.2 .12 .12] kvas=[25 25 25] xhl=2.04 xht=2.04 xlt=1.36 %rs=[0.6 1.2 1.2]
""",
    "lines.dss": """\
New Transformer.SubXFMR Phases=3 Windings=2 Xhl=10.63 wdg=1 conn=delta bus=SourceBus kV=115 kVA=25000 wdg=2 bus=lsb
~ kV=12.47 kVA=25000 conn=wye mintap=0.9 maxtap=1.1 sub=yes
~ %noloadloss=0.18 !assumed
~ %Rs = (0.12,0.12)
~ emergHkva = 75000
New Regcontrol.reg transformer=SubXFMR  winding=2   vreg=123.0 band=3 ptratio=60 ctprim=700
~ R=7 X=0 enabled=True delay=45
New line.fdr bus1=lsb bus2=1 linecode=busbar phases=3 length=1 units=ft
New Line.1 bus1=1 bus2=2 geometry=over length=2 units=mi
New Line.2 bus1=2.1.2.3 bus2=3.1.2.3 geometry=pri length=2500 units=ft
New Line.3 bus1=2.2 bus2=4.2 phases=1 r1=.3 x1=.4 r0=.5 x0=1.2 c1=3 c0=2 length=.5
New Transformer.t4 xfmrcode=ct buses=[4.2.0 5.1.0 5.0.2]
New Line.service bus1=5.1.2 bus2=6.1.2 linecode=triplex length=100 units=ft
New Transformer.t3 buses=[3,7] kvs=[12.47,0.208] kvas=[1000,1000] conns=[d,w] xhl=5 %loadloss=0.5
New Transformer.t5 buses=[3,7b] kvs=[12.47,0.208] kvas=[1000,1000] conns=[d,w] xhl=5 %loadloss=0.5
new Line.136 bus1=7.1.2.3 bus2=7b.1.2.3 phases=3 length=30 units=ft geometry=Sec
  new Line.136_2 bus1=7.1.2.3 bus2=7b.1.2.3 phases=3 length=30 units=ft geometry=Sec
New capacitor.CP bus1=3 kV=12.47 kvar=1200 conn=wye
New capcontrol.CP capacitor=CP element=Line.2 type=voltage ptratio=60 OnSetting=118 OffSetting=126 delay=75
""",
    "loads.dss": """\
New Load.a phases=1 bus1=6.1.2 kv=.208 XfkVA=25 allocationfactor=.4 pf=.97 model=4 CVRwatts=.8 CVRvars=3
~ yearly=LS_PhaseA status=variable
New Load.b phases=1 bus1=7.1.2 conn=d kv=0.208 kw=113.68 pf=0.84
New Load.c phases=1 bus1=7b.1 conn=w kv=0.120 kw=13.31 pf=0.95
New Load.d phases=3 bus1=2 kv=12.47 kw=2500 pf=.95 model=5 daily=default
New Load.e phases=3 bus1=3 kv=12.47 kw=500 kvar=100 model=8 zipv=(.5 .3 .2 .4 .4 .2 .7)
New Generator.pv bus1=3 kv=12.47 kw=300 pf=1 model=1
New PVSystem.roof phases=3 bus1=7 kv=.208 kva=100 pmpp=90 irradiance=.8 pf=1
""",
    "AllocationFactors.Txt": "Load.a.AllocationFactor=0.5312\n",
    "shape.txt": "0.5\n0.8\n1.0\n0.7\n",
    "buscoords.dss": "1, 0, 0\n2, 5, 5\n3, 6 6\n",
    "monitors.dss": """\
New monitor.m1 element=line.1 terminal=1 mode=0 Residual=yes
New monitor.taps element=Transformer.SubXFMR terminal=2 mode=2
""",
}


@pytest.fixture
def write(tmp_path):
    """Writes the circuit, some file of it with more behind it; gives the path of its master."""

    def written(**more):
        (tmp_path / "master.dss").write_text(MASTER + more.pop("master", ""))
        for name, text in FILES.items():
            (tmp_path / name).write_text(text + more.get(name.split(".")[0], ""))
        return tmp_path / "master.dss"

    return written


def engine_voltages(master):
    """What the engine itself finds where the master leaves it, controls frozen. [pu]"""
    from opendssdirect import dss

    engine = dss.NewContext()
    engine.Text.Command(f'compile "{master}"')
    if engine.Solution.Mode() != 0:  # another one would close what fuses opened
        engine.Solution.Mode(0)
    engine.Solution.Convergence(1e-11)
    engine.Solution.SolveNoControl()
    return dict(zip(engine.Circuit.AllNodeNames(), np.asarray(engine.Circuit.AllBusMagPu()).tolist(), strict=True))


def test_what_distributed_circuits_use_is_carried(write):
    master = write()
    feeder, expected = load_feeder(str(master)), engine_voltages(master)
    found = feeder.solve({}).vm_pu
    assert set(found.index) == set(expected)
    assert max(abs(found[name] - vm) for name, vm in expected.items()) < 1e-9
    assert {"subxfmr", "cp"} <= set(feeder.network.dev_name.tolist())
    assert feeder.solve({"7": (0.05, 0.01)}).vm_pu["7.1"] < found["7.1"]


def test_what_a_fuse_of_the_masters_own_solve_cut_off_is_dead_and_read(write):
    """A fuse of 1 A opens in the Solve; what is left behind it are round-off currents that no law explains."""
    master = write(lines="New Fuse.f monitoredobj=line.3 monitoredterm=1\n")
    expected = engine_voltages(master)
    assert expected["6.1"] < 1e-9
    found = load_feeder(str(master)).solve({}).vm_pu
    assert found["6.1"] == found["4.2"] == 0.0
    assert found["7.1"] == pytest.approx(expected["7.1"], abs=1e-7)


REPORTS = """\
New monitor.m2 element=line.2 mode=1 ppolar=no
sample
Set Demandinterval=true DIVerbose=true overloadreport=yes   ! study of a year
Set tracecontrol=y
BatchEdit Regcontrol..* debugtrace=yes ! for the vendor
Generator.pv.debugtrace=true
edit Regcontrol.reg  debugt=(yes) band=3
set trapezoidal=yes
makebuslist
interpolate
AllocateLoads
Set mode=daily stepsize=1h number=2
Solve
"""
OFF = "debugt", "tracecontrol", "demandinterval", "sample"
OTHER_CASE = {"wires.dss": "WIRES.DSS", "lines.dss": "Lines.DSS", "shape.txt": "SHAPE.txt", "buscoords.dss": "Xy.dss"}


def test_reports_stay_off_and_names_in_another_case_are_found(write):
    """Where OpenDSS stands with the reports taken out, and no file is written beside the user's own."""
    quiet = [line for line in REPORTS.splitlines(True) if not any(word in line.lower() for word in OFF)]
    expected = engine_voltages(write(master="".join(quiet)))
    master = write(master=REPORTS)
    for name, other in OTHER_CASE.items():
        (master.parent / name).rename(master.parent / other)
    text = master.read_text()
    master.write_text(text.replace("buscoords.dss", "XY.dss").replace("monitors.dss", "monitors"))
    before = {path: path.read_bytes() for path in master.parents[1].rglob("*") if path.is_file()}
    found = load_feeder(str(master))
    assert {path: path.read_bytes() for path in master.parents[1].rglob("*") if path.is_file()} == before
    assert found.network.bus_xy[found.bus_names.index("2")].tolist() == [5.0, 5.0]
    solved = found.solve({}).vm_pu
    assert max(abs(solved[name] - vm) for name, vm in expected.items()) < 1e-9


def test_what_the_engine_says_of_a_copy_names_the_users_own_file(write):
    master = write(lines="New Line.bad bus1=1 bus2=9 geometry=nosuch\n", master=REPORTS)
    with pytest.raises(InputError) as refused:
        load_feeder(str(master))
    [problem] = refused.value.problems
    assert problem.file == str(master.parent / "lines.dss")
    assert problem.line == (FILES["lines.dss"] + "\n").count("\n")


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("lines", "select regcontrol.reg\n~ debugtrace=yes\n", "debugtrace"),
        ("monitors", "export monitor m1\n", "export"),
        ("loads", "Redirect More_Loads.dss\n", "More_Loads.dss"),
        ("wires", "Distribute kw=100 how=proportional\n", "take the line out"),
        ("loads", "New UPFC.u bus1=3 bus2=8\n", "upfc"),
    ],
)
def test_what_is_not_carried_is_refused_by_name(write, name, line, said):
    """With the file and, where a script's line is at fault, the line."""
    master = write(**{name: line})
    with pytest.raises(InputError) as refused:
        load_feeder(str(master))
    told = str(refused.value).lower()
    assert said.lower() in told
    if "UPFC" not in line:
        number = (FILES[f"{name}.dss"] + line).count("\n")
        assert f"{name}.dss" in told
        assert str(number) in told
