"""A multi-grounded four-wire feeder: its neutrals supply nobody, so nothing that speaks of supply counts them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from engine_cases import campus, scenario

import cosim
from cosim.errors import InputError
from cosim.feeder import Feeder, load_feeder
from cosim.feeder.base_case import lowest_in_file
from cosim.report.captures import capture_rows
from cosim.report.show import show_json
from cosim.scenario import load_scenario
from cosim.scenario.names import FeederNames
from cosim.study.schema import SteadySize
from cosim.study.steady import hosting_capacity
from cosim.wiring import prepare

MASTER = """\
clear
new circuit.four basekv=12.47 pu=1.03 phases=3 bus1=src mvasc3=500 mvasc1=400
new reactor.gs phases=1 bus1=src.4 bus2=src.0 r=0.01 x=0
new linecode.w nphases=4 rmatrix=(0.4|0.1 0.4|0.1 0.1 0.4|0.1 0.1 0.1 0.6)
~ xmatrix=(0.9|0.4 0.9|0.4 0.4 0.9|0.4 0.4 0.4 1) units=km
new line.l1 phases=4 bus1=src.1.2.3.4 bus2=b1.1.2.3.4 linecode=w length=3 units=km normamps=400
new line.l2 phases=4 bus1=b1.1.2.3.4 bus2=b2.1.2.3.4 linecode=w length=3 units=km normamps=400
new reactor.g1 phases=1 bus1=b1.4 bus2=b1.0 r=5 x=0
new load.a bus1=b2.1.2.3.4 phases=3 kv=12.47 kw=900 pf=0.95
new load.b bus1=b2.1.4 phases=1 kv=7.2 kw=300 pf=0.95
{more}
set voltagebases=[12.47]
calcvoltagebases
set tolerance=1e-10
solve
"""
NEUTRALS = ["src.4", "b1.4", "b2.4"]
PHASES = [f"{bus}.{phase}" for bus in ("src", "b1", "b2") for phase in (1, 2, 3)]


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    path = tmp_path_factory.mktemp("four") / "four.dss"
    path.write_text(MASTER.format(more=""))
    return path


@pytest.fixture(scope="module")
def logs(master):
    """One run with a fault a to ground at its middle, logged by node, at every step, and by extremes."""
    fault = {"at_s": 1, "kind": "fault_applied", "bus": "b1", "type": "line_to_ground", "phases": "a"}
    event = fault | {"r_ohm": 2, "duration_s": 0.05}
    capture = {"pre_s": 0.1, "post_s": 0.1, "nodes": "all"}
    chosen = {
        "all": {"nodes": "all", "capture": capture},
        "steps": {"nodes": "all", "step_s": 0.01},
        "extremes": {"nodes": "extremes"},
        "named": {"nodes": ["b1.4", "b1", "b2.1"]},
    }
    found = {
        name: cosim.run(case(master, events=[event], log=log), out=master.parent / f"{name}.h5")
        for name, log in chosen.items()
    }
    yield found
    for log in found.values():
        log.close()


def case(master, bus="b2", **more):
    site = campus(bus, ups=False)
    return scenario(2, feeder={"model": str(master)}, datacenters={"campus": site}, **more)


def phasors(more=""):
    """Voltages by node of an engine of its own. [pu]"""
    from opendssdirect import dss

    engine = dss.NewContext()
    for line in MASTER.format(more=more).splitlines():
        engine.Text.Command(line)
    volts = np.array(engine.Circuit.AllBusVolts()).view(complex)
    return dict(zip(engine.Circuit.AllNodeNames(), volts / (12470 / math.sqrt(3)), strict=True))


def opendss(more=""):
    """Their magnitudes. [pu]"""
    return {node: abs(v) for node, v in phasors(more).items()}


def test_lowest_voltage_of_a_solution_is_that_of_a_phase(master):
    solved, expected = load_feeder(master).solve(), opendss()
    assert set(solved.vm_pu.index) == set(PHASES)
    assert set(solved.neutral_vm_pu.index) == set(NEUTRALS)
    for node, vm_pu in {**solved.vm_pu, **solved.neutral_vm_pu}.items():
        assert vm_pu == pytest.approx(expected[node], abs=1e-7)
    assert solved.vm_pu.min() == pytest.approx(min(expected[node] for node in PHASES), abs=1e-7)


def test_load_between_phase_and_neutral_has_the_voltage_across_both(master):
    v = phasors()
    across = {f"b2.{k}": abs(v[f"b2.{k}"] - v["b2.4"]) for k in (1, 2, 3)}
    node, vm_pu = lowest_in_file(load_feeder(master).network)
    assert vm_pu == pytest.approx(min(across.values()), abs=1e-7)  # not over sqrt 3, as between phases
    assert node == min(across, key=across.__getitem__)


def test_hosting_capacity_ends_where_a_phase_leaves_its_band(master):
    config = load_scenario(case(master))
    limits = SteadySize(max_p_mw=8, tolerance_mw=0.001, max_loading_percent=None)
    row = hosting_capacity(load_feeder(master), config, "b2", limits)
    q_mvar = row["capacity_mw"] * math.tan(math.acos(limits.power_factor))
    each = f"kv={12.47 / math.sqrt(3)} kw={1e3 * row['capacity_mw'] / 3} kvar={1e3 * q_mvar / 3} vminpu=0.5"
    site = [f"new load.site{k} phases=1 bus1=b2.{k} model=1 {each}" for k in (1, 2, 3)]
    found = opendss("\n".join(site))
    assert row["limited_at"] in PHASES
    assert min(found[node] for node in PHASES) == pytest.approx(0.95, abs=1e-4)
    assert min(PHASES, key=found.__getitem__) == row["limited_at"]


def test_log_holds_neutrals_beside_phases(logs):
    wide = logs["all"]
    assert wide.names("bus") == PHASES
    assert wide.names("neutral") == NEUTRALS
    assert logs["named"].names("bus") == ["b1.1", "b1.2", "b1.3", "b2.1"]
    assert logs["named"].names("neutral") == ["b1.4"]
    place = NEUTRALS.index("b1.4")
    for path in ("neutral/vm_pu", "neutral/va_degree", "neutral/vm_max_pu"):
        np.testing.assert_array_equal(logs["named"].read(path)[:, 0], wide.read(path)[:, place])
    every = logs["steps"].read("neutral/vm_pu")
    np.testing.assert_array_equal(wide.read("neutral/vm_max_pu").max(axis=0), every.max(axis=0))
    assert every[:, place].max() > 0.1  # what once was counted as a sag of a node at 0 V


def test_sags_and_extremes_are_those_of_phases(logs):
    wide, few = logs["all"], logs["extremes"]
    low, high = wide.read("bus/vm_min_pu"), wide.read("bus/vm_max_pu")
    assert few.names("bus_extremes") == PHASES
    np.testing.assert_array_equal(few.read("bus_extremes/vm_min_pu"), low.min(axis=1))
    np.testing.assert_array_equal(few.read("bus_extremes/vm_max_pu"), high.max(axis=1))
    assert few.metrics["bus_extremes"]["lowest_vm_pu"] == pytest.approx(low.min(), abs=1e-7)
    assert "neutral" not in few.paths()
    assert set(wide.metrics["bus"]) == set(PHASES)
    every, at = logs["steps"].read("bus/vm_pu"), logs["steps"].t_s
    in_sag = (every >= 0.1) & (every < 0.9)
    for k, node in enumerate(PHASES):
        n_sag = int((np.diff(in_sag[:, k].astype(int), prepend=0) == 1).sum())
        assert wide.metrics["bus"][node]["n_sag"] == n_sag
        assert wide.metrics["bus"][node]["sag_s"] == pytest.approx(0.01 * in_sag[:, k].sum(), abs=1e-6)
    assert in_sag.any()
    assert at[in_sag.any(axis=1)].min() == pytest.approx(1.0)


def test_nothing_said_of_a_run_is_about_a_neutral(logs):
    for name in ("all", "extremes"):
        text = show_json(logs[name])
        assert not [node for node in NEUTRALS if f'"{node}"' in text]
    (capture,) = logs["all"].captures
    (row,) = capture_rows(logs["all"])
    assert row.node in PHASES
    assert capture.names("neutral/vm_pu") == NEUTRALS
    assert dict(capture.to_xarray()["neutral/vm_pu"].sizes)["neutral"] == 3


def test_bus_of_which_only_the_neutral_has_voltage_is_dead(master):
    feeder = load_feeder(master)
    off = np.isin(feeder.node_names, ["b2.1", "b2.2", "b2.3"])
    network = replace(feeder.network, node_v=np.where(np.append(off, [False] * 3), 0, feeder.network.node_v))
    assert FeederNames.of(Feeder("four", network)).dead_buses == {"b2"}


@pytest.mark.parametrize("place", ["b2.1.4", "b2.4"])
def test_no_data_center_and_no_point_stands_at_a_neutral(master, place):
    points = {"points": {"nodes": [place]}}
    with pytest.raises(InputError) as told:
        prepare(case(master, place, log=points))
    assert [p.path for p in told.value.problems] == ["datacenters.campus.bus", "log.points.nodes.0"]
    assert all("b2.4 is a neutral" in p.message for p in told.value.problems)
    with pytest.raises(InputError, match="a neutral"):
        load_feeder(master).solve({place: (0.3, 0.1)})


DOUBLE = """\
clear
new circuit.double basekv=12.47 pu=1.03 phases=3 bus1=src mvasc3=500 mvasc1=400
new line.up phases=3 bus1=src.1.2.3 bus2=pole.1.2.3 length=1 units=km
new line.low phases=3 bus1=src.1.2.3 bus2=pole.4.5.6 length=8 units=km
new load.up bus1=pole.1.2.3 phases=3 kv=12.47 kw=100
new load.low bus1=pole.4.5.6 phases=3 kv=12.47 kw=1500 pf=0.95
set voltagebases=[12.47]
calcvoltagebases
solve
"""


def test_a_second_circuit_on_the_same_poles_is_no_neutral(tmp_path):
    (tmp_path / "double.dss").write_text(DOUBLE)
    solution = load_feeder(tmp_path / "double.dss").solve({"pole": (0.5, 0.1)})
    assert solution.neutral_vm_pu.empty
    assert solution.vm_pu.idxmin() in ("pole.4", "pole.5", "pole.6")  # behind eight times the line
    with pytest.raises(InputError, match="nodes from 4 on"):
        load_feeder(tmp_path / "double.dss").solve({"pole.4.5.6": (0.5, 0.1)})
