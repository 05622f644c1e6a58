"""How much a feeder carries, alone and with loads given to it: against the nose of two buses, which has a formula."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest
from engine_cases import campus, kinds, scenario, simulate

import cosim
from cosim.errors import PhysicsError
from cosim.feeder import Feeder, FeederConfig, from_pandapower, load_feeder
from cosim.feeder.base_case import LOWEST_PU, base_case, lowest_in_file
from cosim.wiring import prepare

Z_OHM, KV, S_MVA = 2.0 + 3.0j, 20.0, 3.0 + 1.0j
MASTER = """\
Clear
New Circuit.down basekv=12.47
New Line.l bus1=sourcebus bus2=b r1=10 x1=20
New Load.z bus1=b kv=12.47 kw=500000 kvar=250000 vminpu=0.1
Set VoltageBases=[12.47]
CalcVoltageBases
Solve
"""


def nose(s_mva, z_pu=Z_OHM / KV**2, e_pu=1.0):
    """By how much a constant power behind an impedance may be multiplied before it has no solution.

    With U the voltage, |U|^2 = w solves w^2 - (e^2 - 2 Re(z S*)) w + |z S|^2 = 0.
    """
    drop = z_pu * np.conj(s_mva)
    return e_pu**2 / (2 * (drop.real + abs(drop)))


@pytest.fixture(scope="module")
def two_buses():
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = (pp.create_bus(net, KV, name=name) for name in ("head", "end"))
    pp.create_ext_grid(net, a)
    pp.create_line_from_parameters(net, a, b, 1.0, Z_OHM.real, Z_OHM.imag, 0.0, 1.0)
    pp.create_load(net, b, S_MVA.real, S_MVA.imag)
    return from_pandapower(net)


def test_collapse_tells_the_last_solvable_load(two_buses):
    alone = replace(two_buses.network, inj_s_mva=0 * two_buses.network.inj_s_mva)
    solution = Feeder("alone", alone).solve({"end": (90.0, 30.0)})
    assert solution.status == "collapsed"
    last = solution.last_solvable
    assert last.fraction == pytest.approx(nose(90 + 30j), rel=1e-5)
    assert last.p_mw == pytest.approx(90 * last.fraction, rel=1e-9)
    assert last.feeder_fraction == 1.0
    assert Feeder("alone", alone).solve({"end": (10.0, 3.0)}).last_solvable is None


def test_collapse_of_the_feeder_itself_is_told_apart_from_that_of_its_loads(two_buses):
    heavy = replace(two_buses.network, inj_s_mva=50 * two_buses.network.inj_s_mva)
    last = Feeder("heavy", heavy).solve({"end": (1.0, 0.0)}).last_solvable
    assert last.feeder_fraction == pytest.approx(nose(50 * S_MVA), rel=1e-5)
    assert last.fraction == last.p_mw == 0.0


@pytest.mark.parametrize(("bus", "power"), [("675", (60.0, 20.0)), ("652", (9.0, 3.0))])
def test_collapse_with_controls_is_a_solution_that_says_so(bus, power):
    feeder = load_feeder("ieee13")
    live, frozen = feeder.solve({bus: power}, controls=True), feeder.solve({bus: power})
    assert live.status == frozen.status == "collapsed"
    assert live.last_solvable == frozen.last_solvable
    assert live.taps == frozen.taps  # no state before the one without a solution
    fraction = live.last_solvable.fraction
    for factor, status in ((0.999, "ok"), (1.001, "collapsed")):
        p_mw, q_mvar = (factor * fraction * x for x in power)
        assert feeder.solve({bus: (p_mw, q_mvar)}).status == status


@pytest.mark.parametrize("vmin_pu", [0.0, 0.7])
def test_base_case_carries_its_load_up_to_the_nose_or_the_least_voltage(two_buses, vmin_pu):
    """Constant power has its nose; where loads become impedances below 0.7 pu, the voltage falls below what is run."""

    def compiled(scaling):
        return two_buses.compile(["end"], FeederConfig(model="two", vmin_pu=vmin_pu, load_scaling=scaling))

    scaling = 3 * nose(S_MVA)
    case = base_case(compiled(scaling))
    assert case.told
    assert case.node == "end"
    if vmin_pu == 0.0:
        assert case.part * scaling == pytest.approx(nose(S_MVA), rel=2e-3)
    else:
        v = 1 / (1 + Z_OHM / KV**2 * np.conj(case.part * scaling * S_MVA) / vmin_pu**2)
        assert abs(v) == pytest.approx(LOWEST_PU, rel=2e-3)
    assert base_case(compiled(0.9 * case.part * scaling)).told == ""


def down(tmp_path):
    (tmp_path / "down.dss").write_text(MASTER)
    site = campus("b", ups=False)
    site["load"] = site["load"] | {"p_base_mw": 7.0}
    return scenario(0.1, feeder={"model": str(tmp_path / "down.dss")}, datacenters={"campus": site})


def test_run_of_a_feeder_that_is_down_by_itself_says_so_and_blames_no_data_center(tmp_path):
    part = nose(500 + 250j, (10 + 20j) / 12.47**2)
    with pytest.warns(UserWarning, match=r"b\.\d is at 0\.01\d+ pu in the feeder as its file has it") as told:
        config, feeder = prepare(down(tmp_path))
    assert len(told) == 1
    assert base_case(feeder.compile(["b"], config.feeder)).part == pytest.approx(part, rel=0.01)  # its source is stiff
    blamed = r"feeder itself carries 0\.003\d+ of its own load.*mend the feeder"
    with pytest.raises(PhysicsError, match=blamed) as ended, pytest.warns(UserWarning, match="as its file has it"):
        cosim.run(down(tmp_path), out=tmp_path / "d.h5")
    assert "lower the data center" not in str(ended.value)
    with cosim.open_result(tmp_path / "d.h5") as result:
        assert result.events["detail"].iloc[-1].startswith("b.")
        assert result.events["detail"].iloc[-1].endswith("of its own load")


def test_load_scaling_beyond_what_the_feeder_carries_is_told_before_the_run():
    heavy = scenario(0.1, feeder={"model": "case33bw", "load_scaling": 12}, datacenters={"campus": campus(ups=False)})
    with pytest.warns(UserWarning, match=r"at t = 0 s .* pu without data centers: the feeder itself carries 0\.\d+ of"):
        simulate(heavy)


def test_source_too_weak_for_the_feeder_is_told_by_the_check():
    """case33bw draws 4.37 MVA."""
    for s_sc_mva, is_told in ((8.6, True), (9.0, False)):
        plain = scenario(source={"s_sc_mva": s_sc_mva, "x_over_r": 10})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            prepare(plain)
        assert any("are less than 2 times the 4.37 MVA" in str(one.message) for one in told) == is_told


def test_collapse_under_a_data_center_tells_what_it_would_draw():
    site = campus(ups=False, facility={"v_min_pu": 0.01, "v_trip_pu": 0.01})
    site["load"] = site["load"] | {"p_base_mw": 40.0}
    _, events, _ = simulate(scenario(0.1, datacenters={"campus": site}))
    assert kinds(events)[-1] == "collapsed"
    value, detail = events[-1][3:]
    asked = float(detail.split()[1])
    fraction = float(detail.split("last solvable ")[1].split("%")[0]) / 100
    assert 0 < fraction < 1
    assert value == pytest.approx(fraction * asked, rel=2e-3)


def test_a_load_at_an_open_phase_and_a_delta_off_its_ground_are_no_low_voltage(tmp_path):
    """A phase behind an open pole has what the others induce in it; a delta has a grounded corner."""
    (tmp_path / "odd.dss").write_text(
        "Clear\nNew Circuit.odd basekv=12.47\nNew Line.l bus1=sourcebus bus2=b r1=0.1 x1=0.3 c1=10 c0=5 length=5\n"
        "New Load.z bus1=b kv=12.47 kw=300\nNew Load.open bus1=b.2 phases=1 kv=7.2 kw=50\n"
        "New Transformer.t windings=2 buses=(sourcebus low) conns=(wye delta) kvs=(12.47 0.48) kvas=(500 500) xhl=4\n"
        "New Reactor.corner bus1=low.2 phases=1 r=0.0001 x=0.0001\nNew Load.d bus1=low kv=0.48 kw=200 conn=delta\n"
        "Set VoltageBases=[12.47 0.48]\nCalcVoltageBases\nOpen Line.l 1 2\nSolve\n"
    )
    feeder = load_feeder(tmp_path / "odd.dss")
    vm = feeder.solve().vm_pu
    assert vm["low.2"] < 0.01
    assert lowest_in_file(feeder.network)[1] > 0.9
    case = base_case(feeder.compile(["low"]))
    assert (case.told, case.part) == ("", 1.0)
    assert case.vm_pu > 0.9
