"""A delta with a grounded corner: what a data center draws there, against OpenDSS; what its voltages count as."""

from __future__ import annotations

import numpy as np
import opendssdirect
import pytest
from synthetic_log import SyntheticLog

from cosim.feeder import FeederConfig, load_feeder, solve
from cosim.metrics.analysis import analyse
from cosim.metrics.neutral import between_phases, is_displaced

MASTER = """\
clear
new circuit.c basekv=12.47 pu=1.0 bus1=src r1=0.1 x1=1 r0=0.1 x0=1
new line.l1 bus1=src bus2=mid length=1 r1=0.2 x1=0.4 r0=0.5 x0=1.2 c1=0 c0=0
new transformer.t phases=3 windings=2 xhl=4 ppm_antifloat=0 buses=(mid low) conns=(delta delta) kvs=(12.47 0.48)
~ kvas=(2000 2000) %rs=(0.5 0.5)
new reactor.corner phases=1 bus1=low.2 bus2=low.0 r=0.0001 x=0
new load.house bus1=low phases=3 conn=delta kv=0.48 kw=200 kvar=50
set voltagebases=[12.47 0.48]
calcvoltagebases
set tolerance=1e-12
solve
"""
P_MW, Q_MVAR = 0.6, 0.1


def test_data_center_behind_a_grounded_corner_draws_between_phases_as_a_delta_load_does(tmp_path):
    dss = opendssdirect.dss.NewContext()
    master = tmp_path / "master.dss"
    master.write_text(MASTER)
    compiled = load_feeder(master).compile(["low"], FeederConfig(model="master"))
    f = compiled.arrays
    f.port_p_mw[0], f.port_q_mvar[0], f.port_v_min_pu[0] = P_MW, Q_MVAR, 0.85
    assert solve(f) == 0
    dss.Basic.AllowForms(False)
    for line in MASTER.splitlines():
        if line.startswith("set voltagebases"):
            load = f"kw={1e3 * P_MW} kvar={1e3 * Q_MVAR} vminpu=0.5 vmaxpu=1.5"
            dss.Text.Command(f"new load.site bus1=low phases=3 conn=delta kv=0.48 {load}")
        dss.Text.Command(line)
    volts = dict(zip(map(str.lower, dss.Circuit.AllNodeNames()), dss.Circuit.AllBusMagPu(), strict=True))
    vm = np.sqrt(f.vm2[f.node_row])
    for name, found in zip(compiled.node_names, vm, strict=True):
        assert found == pytest.approx(volts[name], abs=1e-6), name
    assert volts["low.2"] < 1e-3
    assert f.port_vm_pu[0] == pytest.approx(0.99, abs=0.01)  # between phases, where a corner lies at ground


def log_of(between_pu, n=1501):
    """A bus whose corner 2 is grounded, its voltage between phases given, and a grounded one at 1 pu."""
    sound = np.exp(-2j * np.pi / 3 * np.arange(3))
    corner = sound - sound[1]
    v = np.concatenate([between_pu[:, None] * corner, np.tile(sound, (n, 1))], axis=1)
    names = [f"{bus}.{k}" for bus in ("corner", "sound") for k in (1, 2, 3)]
    channels = {"bus/vm_pu": np.abs(v), "bus/va_degree": np.degrees(np.angle(v))}
    channels |= {"bus/vm_min_pu": np.abs(v), "bus/vm_max_pu": np.abs(v)}
    return SyntheticLog(np.arange(n) * 0.1, channels, {"bus": names})


def test_nodes_of_a_grounded_corner_are_judged_between_phases():
    between = np.ones(1501)
    between[101:1101], between[1101:1301] = 0.85, 0.0
    found = analyse(log_of(between))
    voltage = found.voltage
    assert voltage.vm_min_pu == pytest.approx([0.85] * 3 + [1.0] * 3)
    assert voltage.vm_max_pu == pytest.approx([1.0] * 6)
    assert voltage.n_sag.tolist() == voltage.n_interruption.tolist() == [1, 1, 1, 0, 0, 0]
    assert voltage.interruption_s[:3] == pytest.approx(20.0)
    assert voltage.sag_s[:3] == pytest.approx(100.0)
    assert found.standards.events.category == {"undervoltage": 3, "temporary interruption": 3}


def test_a_neutral_counts_as_displaced_by_its_zero_sequence():
    """Grounded star; grounded corner; grounded middle of one winding (120 V, 120 V, 208 V of 240 V)."""
    star = np.exp(-2j * np.pi / 3 * np.arange(3))
    corner = star - star[1]
    middle = star - (star[0] + star[1]) / 2
    v = np.array([star, 1.04 * star + 0.03, corner, middle, star.conj(), corner.conj()])
    vm, va = np.abs(v), np.degrees(np.angle(v))
    assert is_displaced(vm, va).tolist() == [False, False, True, True, False, True]
    assert between_phases(vm, va)[[0, 2, 3]] == pytest.approx(1.0)
