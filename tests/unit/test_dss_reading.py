"""What reading a master promises beside the voltages: errors with their place, one engine each, nothing moved."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import network_twin as twin
import numpy as np
import pytest

from cosim.errors import InputError, PhysicsError
from cosim.feeder import network as nw
from cosim.feeder.dss import read_dss
from cosim.feeder.network import Network

FEEDER = """Clear
New Circuit.small basekv=12.47 bus1=src pu=1.03
New Line.a bus1=src bus2=a length=4 units=km r1=0.3 x1=0.6 r0=0.6 x0=1.5 c1=9 c0=4 normamps=200
New Line.sw bus1=a bus2=b switch=yes
New Transformer.reg phases=3 buses=[b c] kvs=[12.47 12.47] kvas=[5000 5000] xhl=1
New RegControl.reg transformer=reg winding=2 vreg=122 band=2 ptratio=60
New Transformer.low phases=3 buses=[c l] conns=[delta wye] kvs=[12.47 0.48] kvas=[500 500] xhl=4
New Line.tie bus1=c bus2=d length=1 units=km
New Capacitor.cap bus1=c kv=12.47 kvar=300 numsteps=2 states=[1 0]
New Capacitor.off bus1=c kv=12.47 kvar=300
New Loadshape.day npts=4 interval=6 mult=[0.5 0.7 1.0 0.6]
New Loadshape.kw npts=2 sinterval=1800 mult=[40 90] useactual=yes
New Loadshape.uneven npts=3 interval=0 hour=[0 5 24] mult=[1 0.5 0.7]
New Load.one bus1=l kv=0.48 kw=300 pf=0.9 daily=day
New Load.two bus1=c.1 phases=1 kv=7.2 kw=200 pf=0.95 yearly=kw duty=uneven
New Load.fixed bus1=c.2 phases=1 kv=7.2 kw=200 pf=0.95 status=fixed daily=day
New Generator.g bus1=c phases=3 kv=12.47 kw=100 pf=1 daily=kw
New Relay.r monitoredobj=Line.a
Set VoltageBases=[12.47 0.48]
CalcVoltageBases
Solve
Open Line.tie 1
Open Capacitor.off 1
SetBusXY bus=src x=1 y=2
"""


def _written(tmp_path, text, name="feeder.dss"):
    master = tmp_path / name
    master.write_text(text)
    return master


@pytest.fixture
def feeder(tmp_path):
    return _written(tmp_path, FEEDER)


def _same(a: Network, b: Network) -> bool:
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name), equal_nan=_is_float(a, f.name)) for f in fields(a)
    )


def _is_float(net, name):
    return isinstance(getattr(net, name), np.ndarray) and getattr(net, name).dtype.kind in "fc"


# -- what is wrong, and where


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("New Line.b bus1=src bus2=b lengthh=1", r'feeder\.dss:4: OpenDSS: .*"lengthh"'),
        ("New Line.b bus1=src bus2=b linecode=none", r"feeder\.dss:4: OpenDSS: Line\.b\.LineCode.*none"),
        ("Redirect absent.dss", r"feeder\.dss:4: OpenDSS: Redirect file not found.*absent\.dss"),
        ("Nonsense here", r"feeder\.dss:4: OpenDSS: Unknown Command"),
        ("New RegControl.r transformer=none winding=2", r"feeder\.dss:4: OpenDSS: .*RegControl"),
    ],
)
def test_error_in_the_master_names_file_and_line(tmp_path, line, said):
    master = _written(
        tmp_path, f"Clear\nNew Circuit.x basekv=12.47 bus1=src\nNew Load.l bus1=src kv=12.47\n{line}\nSolve\n"
    )
    with pytest.raises(InputError, match=said):
        read_dss(master)


def test_error_in_a_redirected_file_names_that_file(tmp_path):
    _written(tmp_path, "! loads\nNew Load.l bus1=src kw=oops=3\n", "loads.dss")
    master = _written(tmp_path, "Clear\nNew Circuit.x basekv=12.47 bus1=src\nRedirect loads.dss\nSolve\n")
    with pytest.raises(InputError, match=r"loads\.dss:2"):
        read_dss(master)


def test_missing_master_and_master_without_a_circuit_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such OpenDSS file"):
        read_dss(tmp_path / "absent.dss")
    with pytest.raises(InputError, match="defines no circuit"):
        read_dss(_written(tmp_path, "! nothing\n"))


def test_all_elements_that_cannot_be_carried_are_named_at_once(tmp_path):
    text = (
        FEEDER + "New Isource.i bus1=c amps=1\nNew IndMach012.m bus1=c kv=12.47\n"
        "New PVSystem.p bus1=c kv=12.47\nNew UPFC.u bus1=c bus2=d\n"
    )
    with pytest.raises(InputError) as refused:
        read_dss(_written(tmp_path, text))
    assert [str(p).split(": ")[1].split()[0] for p in refused.value.problems] == [
        "Isource.i",
        "UPFC.u",
        "IndMach012.m",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Set LoadModel=Admittance", "LoadModel=Admittance"),
        ("Set CktModel=Positive", "CktModel=Positive"),
        ("Edit Vsource.source bus2=c", r"Vsource\.source: bus1 must be live and bus2 grounded"),
        ("Edit Vsource.source enabled=no", "no voltage source"),
        ("Edit Load.one CVRcurve=day model=4", r"Load\.one: CVRcurve"),
    ],
)
def test_setting_that_cannot_be_carried_is_refused(tmp_path, line, said):
    with pytest.raises(InputError, match=said):
        read_dss(_written(tmp_path, FEEDER + line + "\n"))


def test_feeder_without_a_solution_is_told_apart_from_wrong_input(tmp_path):
    heavy = "New Load.heavy bus1=a phases=3 kv=12.47 kw=90000 pf=0.9 vminpu=0.01 vlowpu=0.005\n"
    with pytest.raises(PhysicsError, match="no power flow solution"):
        read_dss(_written(tmp_path, FEEDER.replace("Set VoltageBases", heavy + "Set VoltageBases")))


# -- one engine each


def test_two_feeders_read_in_turns_are_those_read_alone(tmp_path, feeder):
    other = _written(tmp_path, FEEDER.replace("kw=300", "kw=250").replace("small", "other"), "other.dss")
    alone = read_dss(feeder), read_dss(other)
    inside = []

    def read_the_other_meanwhile(_):
        inside.append(read_dss(other))
        return ""

    outside = read_dss(feeder, read_the_other_meanwhile)
    assert _same(outside, alone[0])
    assert _same(inside[0], alone[1])
    assert not np.array_equal(alone[0].node_v, alone[1].node_v)


def test_reading_leaves_the_process_as_it_was(feeder):
    from opendssdirect import dss

    before = Path.cwd(), dss.Basic.AllowChangeDir(), dss.Basic.AllowEditor(), dss.Basic.NumCircuits()
    read_dss(feeder)
    assert (Path.cwd(), dss.Basic.AllowChangeDir(), dss.Basic.AllowEditor(), dss.Basic.NumCircuits()) == before


def test_reading_leads_the_engine_back_to_where_the_master_left_it(feeder):
    seen = []

    def state(dss):
        dss.Transformers.Name("reg")
        dss.Transformers.Wdg(2)
        found = [dss.Transformers.Tap()]
        for bank in ("cap", "off"):
            dss.Capacitors.Name(bank)
            dss.Circuit.SetActiveElement(f"Capacitor.{bank}")
            found.append((dss.Capacitors.States(), dss.CktElement.IsOpen(1, 0)))
        dss.Circuit.SetActiveElement("Line.tie")
        return [*found, dss.CktElement.IsOpen(1, 0), dss.Solution.ControlMode()]

    def remember(dss):
        seen.append((dss, state(dss)))
        return "kept"

    net = read_dss(feeder, remember)
    dss, before = seen[0]
    assert state(dss) == before
    assert net.controls == "kept"


# -- what is in a network


def test_network_survives_its_file(feeder):
    net, file = read_dss(feeder), io.BytesIO()
    net.save(file)
    file.seek(0)
    assert _same(Network.load(file), net)


def test_master_that_does_not_solve_is_solved_with_its_controls(tmp_path, feeder):
    unsolved = read_dss(_written(tmp_path, FEEDER.replace("Solve\n", ""), "unsolved.dss"))
    solved = read_dss(_written(tmp_path, FEEDER.replace("Solve\n", "") + "Solve\n", "solved.dss"))
    assert read_dss(feeder).dev_state[0] != 16
    assert np.array_equal(unsolved.dev_state, solved.dev_state)


def test_master_whose_controls_did_not_settle_is_read_to_its_end(tmp_path):
    """OpenDSS itself only warns there, and goes on."""
    text = FEEDER.replace("vreg=122", "vreg=112").replace("Solve\n", "Set MaxControlIter=1\nSolve\n/* left\nout */\n")
    net = read_dss(_written(tmp_path, text))
    assert np.isfinite(net.bus_xy[list(net.bus_name).index("src")]).all()
    assert list(net.switch_name) == ["sw", "tie"]


def test_master_without_a_solve_keeps_its_taps_whatever_its_controls_want(tmp_path):
    rival = "New RegControl.rival transformer=reg winding=2 vreg=112 band=2 ptratio=60\n"
    text = FEEDER.replace("New Loadshape.day", rival + "New Loadshape.day")
    net = read_dss(_written(tmp_path, text.replace("Solve\n", "")))
    assert net.notes.tolist() == ["Relay.r: does not act"]
    assert net.dev_low[0] + net.dev_state[0] == 0
    assert np.isfinite(net.node_v).all()


@pytest.mark.parametrize("mode", ["daily", "duty", "yearly"])
def test_master_that_runs_through_a_day_leaves_loads_at_their_own_power(tmp_path, mode):
    """Shapes drive them from there; taps and banks stay where the day left them."""
    text = FEEDER.replace("pf=1 daily=kw", "pf=1 daily=day")
    run = read_dss(_written(tmp_path, text + f"Set Mode={mode} Number=3 StepSize=1h\nSolve\n", "day.dss"))
    snapshot = read_dss(_written(tmp_path, text))
    assert np.array_equal(run.inj_s_mva, snapshot.inj_s_mva)
    assert twin.solve_network(run).residual < 1e-14


def test_controls_stay_where_the_master_left_them(tmp_path):
    net = read_dss(_written(tmp_path, FEEDER + "Edit Transformer.reg wdg=2 tap=0.95\n"))
    assert net.dev_value[net.dev_ptr[0] + net.dev_state[0]] == pytest.approx(0.95, abs=1e-12)
    assert net.dev_low[0] + net.dev_state[0] == -8


def test_tap_off_the_ladder_is_kept(tmp_path):
    net = read_dss(_written(tmp_path, FEEDER + "Edit Transformer.reg wdg=2 tap=1.0123\n"))
    ratio = net.dev_value[net.dev_ptr[0] : net.dev_ptr[1]]
    assert ratio[net.dev_state[0]] == 1.0123
    assert np.diff(ratio) == pytest.approx(0.00625, abs=1e-12)
    assert ratio[0] >= 0.9
    assert ratio[-1] <= 1.1


def test_devices_are_windings_under_control_and_banks(feeder):
    net = read_dss(feeder)
    assert list(net.dev_name) == ["reg", "cap", "off"]
    assert list(net.dev_kind) == [nw.TAP, nw.STEP, nw.STEP]
    assert list(np.diff(net.dev_ptr)) == [33, 3, 2]
    assert list(net.dev_state[1:]) == [1, 0]
    assert list(net.dev_value[net.dev_ptr[1] :]) == pytest.approx([0, 0.15, 0.3, 0, 0.3])


def test_device_state_is_the_admittance_of_its_element(feeder):
    net = read_dss(feeder)
    for device in range(net.dev_name.size):
        there = twin.with_device(net, device, int(net.dev_state[device]))
        assert np.array_equal(there.el_y, net.el_y)


def test_switches_are_switch_lines_and_open_terminals(feeder):
    net = read_dss(feeder)
    found = {
        str(name): (str(net.el_name[net.switch_from[k]]), int(net.switch_to[k]), bool(net.switch_closed[k]))
        for k, name in enumerate(net.switch_name)
    }
    assert found == {"sw": ("sw", 0, True), "tie": ("tie", 0, False)}


UNNAMED_BASES = """Clear
New Circuit.european basekv=33 bus1=src
New Line.a bus1=src bus2=a length=1 units=km
New Transformer.t buses=[a b] conns=[delta wye] kvs=[33 11] kvas=[5000 5000] xhl=8
New Line.b bus1=b bus2=c length=1 units=km
New Transformer.d buses=[c l] conns=[delta wye] kvs=[11.5 0.4] kvas=[500 500] xhl=4
New Transformer.s phases=1 buses=[c.1 h.1] kvs=[6.351 0.24] kvas=[50 50] xhl=2
New Load.l bus1=l kv=0.4 kw=100
"""


def test_master_without_base_voltages_has_those_that_the_engine_picks_from_the_right_list(tmp_path):
    bare = read_dss(_written(tmp_path, UNNAMED_BASES + "Solve\n", "bare.dss"))
    named = "Set VoltageBases=[33 11 0.4 0.4157]\nCalcVoltageBases\nSolve\n"
    told = read_dss(_written(tmp_path, UNNAMED_BASES + named, "told.dss"))
    assert bare.bus_name.tolist() == told.bus_name.tolist()
    assert bare.node_vn_kv == pytest.approx(told.node_vn_kv, rel=1e-3)


def test_bus_behind_an_open_switch_has_the_nominal_voltage_of_its_line(feeder):
    net = read_dss(feeder)
    assert net.node_vn_kv[list(net.node_name).index("d.2")] == pytest.approx(12.47 / np.sqrt(3))
    assert abs(net.node_v[list(net.node_name).index("d.2")]) < 1e-6


def test_profiles_are_those_that_loads_follow(feeder):
    net = read_dss(feeder)
    row = {str(name): k for k, name in enumerate(net.profile_name)}
    points = {name: net.profile_p[net.profile_ptr[k] : net.profile_ptr[k + 1]] for name, k in row.items()}
    assert net.profile_step_s[row["day"]] == 6 * 3600
    assert list(points["day"]) == [0.5, 0.7, 1.0, 0.6]
    of_two, of_g = row["kw (pf 0.95)"], row["kw (generated, pf 1)"]
    assert net.profile_is_power[of_two]
    assert list(points["kw (pf 0.95)"]) == [0.04, 0.09]
    assert list(points["kw (generated, pf 1)"]) == [-0.04, -0.09]
    q = net.profile_q[net.profile_ptr[of_two] : net.profile_ptr[of_two + 1]]
    assert q == pytest.approx(np.tan(np.arccos(0.95)) * np.array([0.04, 0.09]))
    inj = {str(name): k for k, name in enumerate(net.inj_name)}
    # Daily is yearly and duty too where those are not given, as in OpenDSS.
    assert list(net.inj_profile[inj["one"]]) == [row["day"]] * 3
    assert list(net.inj_profile[inj["two"]]) == [-1, of_two, row["uneven"]]
    assert list(net.inj_profile[inj["fixed"]]) == [-1, -1, -1]
    assert list(net.inj_profile[inj["g"]][[0, 2]]) == [of_g, of_g]


def test_profile_of_varying_interval_has_no_points(feeder):
    net = read_dss(feeder)
    k = list(net.profile_name).index("uneven")
    assert net.profile_step_s[k] == 0
    assert net.profile_ptr[k] == net.profile_ptr[k + 1]


def test_loading_is_that_of_opendss(feeder):
    """Of every element over its first terminal; the engine rates no other winding."""
    kept = []
    net = read_dss(feeder, lambda dss: kept.append(dss) or "")
    dss = kept[0]
    for e, name in enumerate(net.el_name):
        if net.el_kind[e] not in (nw.LINE, nw.TRAFO):
            continue
        conductors = slice(net.el_ptr[e], net.el_ptr[e + 1])
        node = net.el_node[conductors]
        v = np.append(net.node_v, 0)[node]
        current = np.abs(twin.element_admittance(net, e) @ v)
        first = net.el_terminal[conductors] == 0
        percent = (current * net.el_loading[conductors])[first].max()
        dss.Circuit.SetActiveElement(f"{'Line' if net.el_kind[e] == nw.LINE else 'Transformer'}.{name}")
        amps = np.asarray(dss.CktElement.CurrentsMagAng())[0::2][: dss.CktElement.NumPhases()]
        assert percent == pytest.approx(100 * amps.max() / dss.CktElement.NormalAmps(), rel=1e-6, abs=1e-6)


def test_notes_say_what_is_left_out(feeder):
    assert read_dss(feeder).notes.tolist() == ["Relay.r: does not act"]
