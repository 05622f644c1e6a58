"""The experiment behind the laws of loads and generators: one of each at a source swept from 0.2 to 1.5 pu.

At every voltage OpenDSS solves, and the current that it gives the element must be the one that the leg's
law gives at the same voltages.
"""

from __future__ import annotations

import network_twin as twin
import numpy as np
import pytest

from cosim.errors import InputError
from cosim.feeder.dss import read_dss
from cosim.feeder.dss.engine import Engine

SWEEP_PU = np.concatenate([np.linspace(0.201, 1.503, 27), [0.4999, 0.5001, 0.9499, 0.9501, 1.0499, 1.0501]])
SAME_CURRENT = 1e-9
"""Difference allowed, relative to the current at rated power."""

CIRCUIT = """Clear
New Circuit.sweep bus1=src basekv=12.47 pu=1 mvasc3=1e9 mvasc1=1e9
{element}
Set VoltageBases=[12.47]
CalcVoltageBases
Solve
"""
NODES = {(1, "wye"): "src.1", (2, "wye"): "src.1.2", (3, "wye"): "src", (1, "delta"): "src.1.2",
         (2, "delta"): "src.1.2.3", (3, "delta"): "src"}  # fmt: skip
CONNECTIONS = list(NODES)


def _element(class_name, phases, connection, text):
    kv = 7.2 if (phases, connection) == (1, "wye") else 12.47
    bus = NODES[phases, connection]
    return f"New {class_name}.x phases={phases} bus1={bus} conn={connection} kv={kv} {text}"


def _worst_difference(tmp_path, element, commands=()):
    """Largest difference of currents over the sweep, relative to the current at rated power."""
    master = tmp_path / "sweep.dss"
    master.write_text(CIRCUIT.format(element=element))
    net = read_dss(master)
    engine = Engine(master)
    dss = engine.dss
    dss.Solution.ControlMode(-1)
    dss.Solution.MaxIterations(1000)
    dss.Solution.Convergence(1e-12)
    for command in commands:
        dss.Text.Command(command)
    v_base = 1e3 * net.node_vn_kv[: net.n_node]
    order = [list(net.node_name).index(name.lower()) for name in dss.Circuit.YNodeOrder()]
    rated = np.abs(net.inj_s_mva[0]) / net.leg_node.shape[0]
    worst = 0.0
    for pu in SWEEP_PU:
        dss.Vsources.First()
        dss.Vsources.PU(pu)
        dss.Solution.Solve()
        v = np.zeros(net.node_vn_kv.size, complex)
        v[order] = engine.node_volts()
        v[: net.n_node] /= v_base
        drawn = twin.leg_currents(net, twin.leg_voltages(net, v))
        total = np.zeros(net.n_node + 1, complex)
        np.add.at(total, net.leg_node[:, 0], drawn)
        np.add.at(total, net.leg_node[:, 1], -drawn)
        engine.activate(str(dss.Circuit.AllElementNames()[1]))
        node = np.asarray(dss.CktElement.NodeRef()) - 1
        theirs = np.zeros(net.n_node + 1, complex)
        to_ours = np.append(order, net.n_node)
        np.add.at(theirs, to_ours[node], engine.currents())
        theirs[:-1] *= v_base / 1e6
        worst = max(worst, np.abs(theirs - total)[:-1].max() / rated)
    return worst


LOADS = {
    "constant power": "model=1",
    "constant power, wide": "model=1 vminpu=0.7 vmaxpu=1.2 vlowpu=0.3",
    "constant power, no minimum": "model=1 vminpu=0 vmaxpu=1.3",
    "constant power, low above minimum": "model=1 vminpu=0.8 vlowpu=0.9",
    "constant impedance": "model=2",
    "motor": "model=3",
    "exponents": "model=4 cvrwatts=0.8 cvrvars=3.1 vminpu=0.6",
    "exponents by default": "model=4",
    "exponents, cubic": "model=4 cvrwatts=1.3 cvrvars=3 vminpu=0.6",
    "constant current": "model=5",
    "constant current, wide": "model=5 vminpu=0.7 vmaxpu=1.2",
    "fixed reactive power": "model=6",
    "fixed reactance": "model=7 vminpu=0.8",
    "zipv": "model=8 zipv=[0.3 0.2 0.5 0.4 0.5 0.1 0]",
    "zipv with drop-out": "model=8 zipv=[0.3 0.2 0.5 0.4 0.5 0.1 0.82]",
    "zipv that does not sum to one": "model=8 zipv=[0.9 -1.1 1.3 3.0 -4.0 1.5 0.85] vminpu=0.7",
}


@pytest.mark.parametrize(("phases", "connection"), CONNECTIONS)
@pytest.mark.parametrize("law", LOADS)
def test_load_draws_what_opendss_gives_it(tmp_path, law, phases, connection):
    element = _element("Load", phases, connection, f"kw=100 kvar=40 {LOADS[law]}")
    assert _worst_difference(tmp_path, element) < SAME_CURRENT


@pytest.mark.parametrize("model", [1, 6, 7])
def test_load_multiplier_reaches_what_opendss_multiplies(tmp_path, model):
    """Fixed reactive power is multiplied below Vlowpu only."""
    element = _element("Load", 3, "wye", f"kw=100 kvar=40 model={model}\nSet LoadMult=0.6")
    assert _worst_difference(tmp_path, element) < SAME_CURRENT


@pytest.mark.parametrize("status", ["variable", "fixed", "exempt"])
@pytest.mark.parametrize("growth", [0, 3])
def test_load_status_and_growth_multiply_as_in_opendss(tmp_path, status, growth):
    element = _element(
        "Load", 3, "wye", f"kw=100 kvar=40 status={status}\nSet LoadMult=0.6\nSet Year={growth} %growth=4"
    )
    assert _worst_difference(tmp_path, element) < SAME_CURRENT


GENERATORS = {
    "constant power": "model=1",
    "constant power, narrow": "model=1 vminpu=0.97 vmaxpu=1.03",
    "constant power, no minimum": "model=1 vminpu=0",
    "constant impedance": "model=2",
    "fixed reactive power": "model=4",
    "fixed reactance": "model=5",
    "current limited": "model=7",
    "current limited, wide": "model=7 vminpu=0.7",
}


@pytest.mark.parametrize(("phases", "connection"), CONNECTIONS)
@pytest.mark.parametrize("law", GENERATORS)
def test_generator_delivers_what_opendss_gives_it(tmp_path, law, phases, connection):
    element = _element("Generator", phases, connection, f"kw=100 kvar=40 {GENERATORS[law]}\nSet GenMult=0.7")
    assert _worst_difference(tmp_path, element) < SAME_CURRENT


@pytest.mark.parametrize(("phases", "connection"), CONNECTIONS)
@pytest.mark.parametrize("law", ["", "limitcurrent=yes vminpu=0.8", "model=2", "vminpu=0.8 vmaxpu=1.2"])
def test_pv_system_delivers_what_opendss_gives_it(tmp_path, law, phases, connection):
    element = _element("PVSystem", phases, connection, f"kva=120 pmpp=100 irradiance=0.8 pf=0.9 {law}")
    assert _worst_difference(tmp_path, element) < SAME_CURRENT


@pytest.mark.parametrize(("phases", "connection"), CONNECTIONS)
@pytest.mark.parametrize("state", ["idling", "charging", "discharging"])
def test_storage_draws_what_opendss_gives_it(tmp_path, state, phases, connection):
    element = _element("Storage", phases, connection, f"kwrated=100 kwhrated=500 %stored=60 state={state}")
    assert _worst_difference(tmp_path, element) < SAME_CURRENT


@pytest.mark.parametrize(
    ("element", "said"),
    [
        (_element("Generator", 3, "wye", "kw=100 balanced=yes model=7"), r"Generator\.x: balanced=yes"),
        (_element("PVSystem", 3, "wye", "kva=100 pmpp=90 balanced=yes"), r"PVSystem\.x: balanced=yes"),
        (_element("Storage", 3, "wye", "kwrated=100 limitcurrent=yes"), r"Storage\.x: LimitCurrent=yes"),
        (_element("Load", 3, "wye", "kw=100 kvar=9\nOpen Load.x 1 2"), r"Load\.x: stands open in some phases only"),
    ],
)
def test_model_without_a_law_is_refused_by_name(tmp_path, element, said):
    master = tmp_path / "refused.dss"
    master.write_text(CIRCUIT.format(element=element))
    with pytest.raises(InputError, match=said):
        read_dss(master)
