"""Connections and models that the IEEE feeders do not have, each as a circuit of a few lines.

Every circuit is solved by OpenDSS and by the twin from the arrays that cosim read, at the state of the
master, at 0.4 and 1.3 times the load and with the source at 0.8 pu.
"""

from __future__ import annotations

import numpy as np
import pytest
from oracle import Oracle
from unit import network_twin as twin

from cosim.feeder.dss import read_dss

SAME_VOLTAGE_PU = 1e-8

HEAD = "Clear\nNew Circuit.small basekv=12.47 bus1=src pu=1.02 mvasc3=200 mvasc1=180\n"
LINE = "New Line.main bus1=src bus2=a length=2 units=km r1=0.2 x1=0.4 r0=0.5 x0=1.2 c1=10 c0=5\n"
TAIL = "Set VoltageBases=[12.47 4.16 0.48 0.416 0.208]\nCalcVoltageBases\nSolve\n"

CIRCUITS = {
    "center-tapped transformer with 120/240 V loads": """
        New Transformer.ct phases=1 windings=3 buses=[a.1.0 s.1.0 s.0.2] kvs=[7.2 0.12 0.12] kvas=[25 25 25]
        ~ xhl=2.04 xht=2.04 xlt=1.36 %rs=[0.6 1.2 1.2] %imag=0.5 %noloadloss=0.2
        New Line.triplex phases=2 bus1=s.1.2 bus2=h.1.2 length=0.03 units=km
        ~ rmatrix=[1.5 | 0.4 1.5] xmatrix=[0.9 | 0.5 0.9] cmatrix=[0 | 0 0]
        New Load.one bus1=h.1.0 phases=1 kv=0.12 kw=4 pf=0.95
        New Load.two bus1=h.0.2 phases=1 kv=0.12 kw=2 pf=0.9
        New Load.both bus1=h.1.2 phases=1 kv=0.24 kw=5 pf=0.97 conn=delta
        New Load.shared bus1=h.1.2 phases=2 kv=0.208 kw=3 pf=0.97""",
    "open-delta regulators": """
        New Transformer.ra phases=1 buses=[a.1.2 b.1.2] conns=[delta delta] kvs=[12.47 12.47] kvas=[5000 5000] xhl=1
        New Transformer.rc phases=1 buses=[a.3.2 b.3.2] conns=[delta delta] kvs=[12.47 12.47] kvas=[5000 5000] xhl=1
        New RegControl.ra transformer=ra winding=2 vreg=122 band=2 ptratio=103.9
        New RegControl.rc transformer=rc winding=2 vreg=122 band=2 ptratio=103.9
        New Reactor.jumper phases=1 bus1=a.2 bus2=b.2 r=0.0001 x=0
        New Load.d bus1=b phases=3 conn=delta kv=12.47 kw=1500 pf=0.9
        New Load.s bus1=b.1.2 phases=1 conn=delta kv=12.47 kw=300 pf=0.9""",
    "delta-delta with antifloat": """
        New Transformer.dd phases=3 buses=[a l] conns=[delta delta] kvs=[12.47 0.48] kvas=[500 500] xhl=4 ppm=10
        New Load.u bus1=l.1.2 phases=1 conn=delta kv=0.48 kw=60 pf=0.9
        New Load.t bus1=l phases=3 conn=delta kv=0.48 kw=200 pf=0.95 model=4""",
    "zigzag grounding by single-phase units": """
        New Transformer.z1 phases=1 buses=[a.1.4 a.4.2] kvs=[4.16 4.16] kvas=[500 500] xhl=3
        New Transformer.z2 phases=1 buses=[a.2.5 a.5.3] kvs=[4.16 4.16] kvas=[500 500] xhl=3
        New Transformer.z3 phases=1 buses=[a.3.6 a.6.1] kvs=[4.16 4.16] kvas=[500 500] xhl=3
        New Reactor.n phases=3 bus1=a.4.5.6 bus2=a.0.0.0 r=5 x=2
        New Load.t bus1=a phases=3 kv=12.47 kw=600 pf=0.95""",
    "scott connection": """
        New Transformer.teaser phases=1 buses=[a.1.4 m.1.0] kvs=[10.8 0.48] kvas=[500 500] xhl=3
        New Transformer.main phases=1 windings=3 buses=[a.2.4 a.4.3 m.2.0] kvs=[6.235 6.235 0.48]
        ~ kvas=[250 250 500] xhl=3 xht=4 xlt=3
        New Load.m1 bus1=m.1 phases=1 kv=0.48 kw=200 pf=0.9
        New Load.m2 bus1=m.2 phases=1 kv=0.48 kw=150 pf=0.9""",
    "three windings": """
        New Transformer.w3 phases=3 windings=3 buses=[a m l] conns=[delta wye delta] kvs=[12.47 4.16 0.48]
        ~ kvas=[3000 2000 1000] xhl=6 xht=9 xlt=5 %rs=[0.5 0.6 0.7] %imag=1 %noloadloss=0.3
        New Load.m bus1=m phases=3 kv=4.16 kw=1200 pf=0.9 model=2
        New Load.l bus1=l phases=3 conn=delta kv=0.48 kw=500 pf=0.9 model=5""",
    "autotransformer": """
        New AutoTrans.at phases=3 buses=[a m] conns=[series wye] kvs=[12.47 4.16] kvas=[3000 3000] xhx=5
        New Load.m bus1=m phases=3 kv=4.16 kw=1200 pf=0.9""",
    "stiff source and short switches": """
        New Line.s1 phases=3 bus1=src bus2=s switch=yes r1=1e-6 r0=1e-6 x1=1e-6 x0=1e-6 c1=0 c0=0 length=1
        New Line.s2 phases=3 bus1=s bus2=t r1=1e-6 r0=1e-6 x1=1e-6 x0=1e-6 c1=0 c0=0
        New Transformer.dy phases=3 buses=[t l] conns=[delta wye] kvs=[12.47 0.208] kvas=[500 500] xhl=4
        New Line.s3 phases=3 bus1=l bus2=m r1=1e-6 r0=1e-6 x1=1e-6 x0=1e-6 c1=0 c0=0
        New Line.sec phases=3 bus1=m bus2=n geometry=sec length=10 units=ft
        New Load.m bus1=n.1 phases=1 kv=0.12 kw=30 pf=0.9
        New Load.n bus1=n.2.3 phases=1 kv=0.208 kw=30 pf=0.9""",
    "duplicate names": """
        Set AllowDuplicates=yes
        New Line.d bus1=a bus2=b length=1 units=km
        New Line.d bus1=b bus2=c length=2 units=km
        New Load.d bus1=b phases=3 kv=12.47 kw=300 pf=0.9
        New Load.d bus1=c phases=3 kv=12.47 kw=500 pf=0.9 model=5""",
    "transformer with neutral impedance": """
        New Transformer.yy phases=3 buses=[a.1.2.3.4 l.1.2.3.4] conns=[wye wye] kvs=[12.47 0.48] kvas=[500 500] xhl=4
        New Reactor.nh phases=1 bus1=a.4 r=3 x=1
        New Reactor.nl phases=1 bus1=l.4 r=0.1 x=0.02
        New Load.u bus1=l.1.4 phases=1 kv=0.277 kw=40 pf=0.9
        New Load.v bus1=l.2.4 phases=1 kv=0.277 kw=10 pf=0.9""",
    "transformer with rneut": """
        New Transformer.yy phases=3 buses=[a l] conns=[wye wye] kvs=[12.47 0.48] kvas=[500 500] xhl=4
        ~ wdg=2 rneut=0.4 xneut=0.1
        New Load.u bus1=l.1 phases=1 kv=0.277 kw=40 pf=0.9""",
    "two-phase delta load": """
        New Load.open bus1=a.1.2.3 phases=2 conn=delta kv=12.47 kw=800 pf=0.9
        New Load.one bus1=a.3.1 phases=1 conn=delta kv=12.47 kw=300 pf=0.95 model=5""",
    "ungrounded wye load with neutral node": """
        New Load.n bus1=a.1.2.3.4 phases=3 kv=12.47 kw=900 pf=0.9
        New Load.u bus1=a.1.4 phases=1 kv=7.2 kw=100 pf=0.9 model=2
        New Reactor.neutral phases=1 bus1=a.4 r=4 x=2""",
    "wye load with rneut to a node": """
        New Load.n bus1=a.1.2.3.4 phases=3 kv=12.47 kw=900 pf=0.9 rneut=25 xneut=5
        New Load.u bus1=a.1.4 phases=1 kv=7.2 kw=100 pf=0.9 model=2
        New Reactor.neutral phases=1 bus1=a.4 r=4 x=2""",
    "reactors in series, in parallel and to ground": """
        New Reactor.series phases=3 bus1=a bus2=b r=0.4 x=1.5
        New Reactor.parallel phases=3 bus1=b kv=12.47 kvar=300 parallel=yes rp=4000
        New Reactor.delta phases=3 bus1=b conn=delta kv=12.47 kvar=200
        New Reactor.seq phases=3 bus1=b bus2=c z1=[0.2 0.5] z2=[0.2 0.4] z0=[0.6 1.3]
        New Load.t bus1=c phases=3 kv=12.47 kw=900 pf=0.9""",
    "ungrounded wye, delta and series capacitors": """
        New Capacitor.floating phases=3 bus1=a.1.2.3 bus2=a.4.4.4 kv=12.47 kvar=450
        New Capacitor.delta phases=3 bus1=a conn=delta kv=12.47 kvar=300 numsteps=3
        New Capacitor.series phases=3 bus1=a bus2=b xl=0 kvar=[90000] kv=12.47
        New Capacitor.one phases=1 bus1=b.2 kv=7.2 kvar=100 r=1 xl=3
        New Load.t bus1=b.1 phases=1 kv=7.2 kw=500 pf=0.8
        New Load.n bus1=b.2 phases=1 kv=7.2 kw=300 pf=0.8""",
    "capacitor with steps off and one switched off at its terminal": """
        New Capacitor.steps phases=3 bus1=a kv=12.47 kvar=600 numsteps=4 states=[1 1 0 0]
        New Capacitor.off phases=3 bus1=a kv=12.47 kvar=300
        New Capacitor.odd phases=3 bus1=a kv=12.47 kvar=300 numsteps=3 states=[0 1 0]
        New Load.t bus1=a phases=3 kv=12.47 kw=900 pf=0.8
        Open Capacitor.off 1""",
    "single-phase lateral behind an open terminal": """
        New Line.lateral phases=1 bus1=a.2 bus2=b.2 length=3 units=mi r1=0.3 x1=0.6 r0=0.3 x0=0.6 c1=9 c0=9
        New Line.beyond phases=1 bus1=b.2 bus2=c.2 length=1 units=mi r1=0.3 x1=0.6 r0=0.3 x0=0.6 c1=9 c0=9
        New Line.tie phases=3 bus1=a bus2=d length=4 units=mi r1=0.3 x1=0.6 r0=0.5 x0=1.6 c1=9 c0=4
        New Line.some phases=3 bus1=a bus2=e length=4 units=mi r1=0.3 x1=0.6 r0=0.5 x0=1.6 c1=9 c0=4
        New Load.l bus1=c.2 phases=1 kv=7.2 kw=200 pf=0.9
        New Load.m bus1=a phases=3 kv=12.47 kw=200 pf=0.9
        New Load.e bus1=e phases=3 kv=12.47 kw=200 pf=0.9
        Open Line.tie 2
        Open Line.some 1 3
        Open Line.beyond 2""",
    "transformers that stand open": """
        New Transformer.dy phases=3 buses=[a l] conns=[delta wye] kvs=[12.47 0.48] kvas=[500 500] xhl=4 %imag=1
        New Transformer.yd phases=3 buses=[a m] conns=[wye delta] kvs=[12.47 0.48] kvas=[500 500] xhl=4 %imag=1
        New Load.l bus1=a phases=3 kv=12.47 kw=100 pf=0.9
        Open Transformer.dy 2
        Open Transformer.yd 1""",
    "generators in wye and delta": """
        New Generator.w bus1=a phases=3 kv=12.47 kw=900 pf=0.95
        New Generator.d bus1=a phases=3 conn=delta kv=12.47 kw=300 kvar=-100
        New Generator.one bus1=a.2 phases=1 kv=7.2 kw=200 pf=1 model=2
        New Generator.off bus1=a phases=3 kv=12.47 kw=900 dispmode=loadlevel dispvalue=1e9
        New PVSystem.pv bus1=a phases=3 kv=12.47 kva=400 pmpp=350 irradiance=0.9 pf=0.98
        New Storage.st bus1=a phases=3 kv=12.47 kwrated=200 kwhrated=800 state=charging
        New Storage.idle bus1=a phases=3 kv=12.47 kwrated=200 kwhrated=800
        New Load.t bus1=a phases=3 kv=12.47 kw=900 pf=0.9""",
    "names in several cases, nodes 1.2.3.0 and 1.2.3.4": """
        New Line.X bus1=A.1.2.3 bus2=Bus_X.1.2.3 length=1 units=km r1=0.2 x1=0.4 r0=0.5 x0=1.2 c1=0 c0=0
        New Load.t bus1=BUS_x.1.2.3.0 phases=3 kv=12.47 kw=300 pf=0.9
        New Load.T2 bus1=bus_X.1.2.3.4 phases=3 kv=12.47 kw=300 pf=0.9
        New Load.T3 bus1=bus_X.4 phases=1 kv=7.2 kw=50 pf=0.9 model=2""",
    "disabled elements": """
        New Line.off bus1=a bus2=gone length=1 units=km enabled=no
        New Load.off bus1=a phases=3 kv=12.47 kw=9000 enabled=no
        New Load.gone bus1=gone phases=3 kv=12.47 kw=10 enabled=no
        New Capacitor.off bus1=a phases=3 kv=12.47 kvar=9000 enabled=no
        New Vsource.off bus1=a phases=3 basekv=12.47 enabled=no
        New Load.on bus1=a phases=3 kv=12.47 kw=300 pf=0.9""",
    "units and like": """
        New LineCode.c nphases=3 r1=0.3 x1=0.6 r0=0.6 x0=1.8 c1=11 c0=4 units=mi
        New Line.u1 bus1=a bus2=b linecode=c length=3000 units=ft
        New Line.u2 bus1=b bus2=c linecode=c length=0.8 units=km
        New Line.u3 like=u2 bus1=c bus2=d
        New Line.u4 bus1=d bus2=e geometry=g length=2 units=kft
        New Load.t1 bus1=e phases=3 kv=12.47 kw=300 pf=0.9 model=5
        New Load.t2 like=t1 bus1=c kw=500""",
    "cables by geometry": """
        New Line.cn bus1=a bus2=b geometry=ug length=1 units=mi
        New Line.ts phases=1 bus1=b.3 bus2=c.3 geometry=tsg length=0.5 units=mi
        New Load.b bus1=b phases=3 kv=12.47 kw=900 pf=0.9
        New Load.c bus1=c.3 phases=1 kv=7.2 kw=200 pf=0.9""",
    "a fault and two sources": """
        New Line.far bus1=a bus2=b length=6 units=km r1=0.2 x1=0.4 r0=0.5 x0=1.2 c1=10 c0=5
        New Vsource.second bus1=b basekv=12.47 pu=1.0 angle=-3 r1=0.1 x1=1 r0=0.2 x0=2 phases=3
        New Vsource.third bus1=b.2 basekv=7.2 pu=1.0 angle=237 phases=1 r1=1 x1=9
        New Vsource.unequal bus1=b basekv=12.47 pu=1.0 angle=-2 z1=[1 9] z2=[2 7] z0=[3 20]
        New Fault.f bus1=a.2 phases=1 r=20
        New Load.b bus1=b phases=3 kv=12.47 kw=900 pf=0.9""",
    "switch lines under a switch control": """
        New Line.sw bus1=a bus2=b switch=yes
        New Line.sc bus1=b bus2=c length=1 units=km
        New SwtControl.s switchedobj=Line.sc switchedterm=1 action=close
        New Fuse.f monitoredobj=Line.sw switchedobj=Line.sw
        New Load.c bus1=c phases=3 kv=12.47 kw=900 pf=0.9""",
    "six phases": """
        New Line.six phases=6 bus1=a.1.2.3.1.2.3 bus2=b.1.2.3.4.5.6 length=1 units=km
        ~ r1=0.3 x1=0.6 r0=0.5 x0=1.5 c1=0 c0=0
        New Load.u bus1=b.1.2.3 phases=3 kv=12.47 kw=700 pf=0.9
        New Load.v bus1=b.4.5.6 phases=3 kv=12.47 kw=200 pf=0.9""",
    "no voltage bases": """
        New Transformer.t phases=3 buses=[a l] conns=[delta wye] kvs=[12.47 0.48] kvas=[500 500] xhl=4
        New Load.l bus1=l phases=3 kv=0.48 kw=300 pf=0.9""",
}

DATA = """
New WireData.w gmr=0.0244 diam=0.721 rac=0.306 normamps=530 runits=mi radunits=in gmrunits=ft
New LineGeometry.g nconds=4 nphases=3 reduce=yes
~ cond=1 wire=w x=-4 h=28 units=ft
~ cond=2 wire=w x=-1.5 h=28 units=ft
~ cond=3 wire=w x=3 h=28 units=ft
~ cond=4 wire=w x=0 h=24 units=ft
New LineGeometry.sec nconds=4 nphases=3 reduce=yes units=in
~ cond=1 wire=w x=-2.1 h=50
~ cond=2 wire=w x=0 h=48
~ cond=3 wire=w x=2.1 h=50
~ cond=4 wire=w x=0 h=52
New CNData.cn runits=mi radunits=in gmrunits=ft diastrand=0.0641 gmrstrand=0.00208 rstrand=14.8722 k=13
~ epsr=2.3 inslayer=0.220 diains=1.060 diacable=1.290 rac=0.4100 gmrac=0.0171 diam=0.567
New LineGeometry.ug nconds=3 nphases=3 units=ft
~ cond=1 cncable=cn x=-0.5 h=-4
~ cond=2 cncable=cn x=0 h=-4
~ cond=3 cncable=cn x=0.5 h=-4
New TSData.ts runits=mi radunits=in gmrunits=ft diashield=0.88 tapelayer=0.005 tapelap=20
~ epsr=2.3 inslayer=0.220 diains=0.82 diacable=1.06 rac=0.97 gmrac=0.0111 diam=0.368
New WireData.n gmr=0.01113 diam=0.368 rac=0.592 runits=mi radunits=in gmrunits=ft
New LineGeometry.tsg nconds=2 nphases=1 units=ft reduce=yes
~ cond=1 tscable=ts x=0 h=-4
~ cond=2 wire=n x=0.25 h=-4
"""


@pytest.fixture(params=CIRCUITS)
def circuit(request, tmp_path):
    tail = "Solve\n" if request.param == "no voltage bases" else TAIL
    text = HEAD + DATA + LINE + "\n".join(line.strip() for line in CIRCUITS[request.param].splitlines()) + "\n" + tail
    master = tmp_path / "small.dss"
    master.write_text(text)
    return master


def _worst(net, oracle, changed):
    """Largest difference of node voltages [pu] between OpenDSS and the twin, which starts from afar."""
    there = oracle.solve()
    far = net.node_v * (1 + 0.02 * np.cos(np.arange(net.node_v.size)))
    solved = twin.solve_network(changed, far)
    theirs = np.array([there[name] for name in net.node_name]) / (1e3 * net.node_vn_kv[: net.n_node])
    return np.abs(solved.v[: net.n_node] - theirs).max()


@pytest.mark.validation
def test_small_circuit_stands_as_in_opendss(circuit):
    net = read_dss(circuit)
    assert _worst(net, Oracle(circuit), net) < SAME_VOLTAGE_PU


@pytest.mark.validation
@pytest.mark.parametrize("factor", [0.4, 1.3])
def test_small_circuit_follows_its_loads_as_in_opendss(circuit, factor):
    net, oracle = read_dss(circuit), Oracle(circuit)
    oracle.scale_loads(factor)
    assert _worst(net, oracle, twin.with_loads(net, factor)) < SAME_VOLTAGE_PU


@pytest.mark.validation
def test_small_circuit_follows_its_sources_as_in_opendss(circuit):
    net, oracle = read_dss(circuit), Oracle(circuit)
    oracle.scale_sources(0.8)
    assert _worst(net, oracle, twin.with_sources(net, 0.8)) < SAME_VOLTAGE_PU


@pytest.mark.validation
def test_small_circuit_operates_every_switch_as_opendss_does(circuit):
    net = read_dss(circuit)
    for k, name in enumerate(net.switch_name):
        e = net.switch_from[k]
        oracle, closed = Oracle(circuit), not net.switch_closed[k]
        class_name = "Line" if "." not in name else str(name).partition(".")[0]
        oracle.command(f"{'Close' if closed else 'Open'} {class_name}.{net.el_name[e]} {net.switch_to[k] + 1}")
        assert _worst(net, oracle, twin.with_switch(net, name, closed)) < SAME_VOLTAGE_PU, name
