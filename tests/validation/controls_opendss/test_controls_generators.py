"""Generators that hold a voltage (model 3) against OpenDSS, which does so in its power flow: same voltages live."""

from __future__ import annotations

import numpy as np
import pytest
from opendss_peer import OpenDss

from cosim.feeder.controls.from_dss import read_controls
from cosim.feeder.feeder import load_feeder

pytestmark = pytest.mark.validation

SAME_PU = 1e-6
CIRCUIT = """\
Clear
New Circuit.held basekv=12.47 bus1=s pu={source_pu} mvasc3=200 mvasc1=150
New Line.l bus1=s bus2=b length=6
New Line.m bus1=b bus2=c length=2
New Load.a bus1=c.1 phases=1 kv=7.2 kw=700 kvar=300 vminpu=0.6
New Load.b bus1=c.2 phases=1 kv=7.2 kw=300 kvar=300 vminpu=0.6
New Generator.g kva=5000 kw=500 model=3 pvfactor=0.05 {generator}
{second}
Set VoltageBases=[12.47]
CalcV
Set MaxIterations=5000 Tolerance=1e-9
Solve
"""
WYE = "bus1=b kv=12.47 vpu=1.0 maxkvar=3000 minkvar=-3000"
SECOND = "New Generator.h bus1=c kv=12.47 kw=200 kva=900 model=3 pvfactor=0.05 vpu=0.995 maxkvar=2500 minkvar=-2500"
DATACENTER = "New Load.dc bus1=c kv=12.47 kw=1500 kvar=400 vminpu=0.1 vlowpu=0.05"


@pytest.mark.parametrize(
    ("generator", "source_pu", "second", "moves"),
    [
        (WYE, 1.0, "", True),
        (f"{WYE} conn=delta", 1.0, "", True),
        ("bus1=b.1 phases=1 kv=7.2 vpu=1.01 maxkvar=3000 minkvar=-3000", 1.0, "", True),
        ("bus1=b.1.2 phases=2 kv=12.47 vpu=1.0 maxkvar=3000 minkvar=-3000", 1.0, "", True),
        ("bus1=b kv=12.47 vpu=1.02 maxkvar=300 minkvar=-300", 1.0, "", False),
        (WYE, 0.8, "", False),
        (WYE, 1.0, SECOND, True),
    ],
    ids=["wye", "delta", "one phase", "two phases", "at its limit", "at its limit in a dip", "two"],
)
def test_held_voltage_with_a_data_center_is_that_of_opendss(tmp_path, generator, source_pu, second, moves):
    master = tmp_path / "held.dss"
    master.write_text(CIRCUIT.format(generator=generator, source_pu=source_pu, second=second))
    peer = OpenDss(f'compile "{master}"')
    feeder = load_feeder(master)
    for commands, loads in (((), {}), ((DATACENTER,), {"c": (1.5, 0.4)})):
        peer.run(*commands, "set controlmode=off maxiterations=5000 tolerance=1e-10", "solve")
        assert peer.dss.Solution.Converged()
        names = [name.lower() for name in peer.dss.Circuit.YNodeOrder()]
        vm_pu = np.abs(np.asarray(peer.dss.Circuit.YNodeVArray()).view(complex)) / (12470 / 3**0.5)
        found = feeder.solve(loads, controls=True).vm_pu
        assert max(abs(found[name] - vm) for name, vm in zip(names, vm_pu, strict=True)) < SAME_PU
    frozen = feeder.solve(loads).vm_pu
    assert (max(abs(frozen[name] - vm) for name, vm in zip(names, vm_pu, strict=True)) > 1e-3) == moves


def test_generator_that_swings_in_the_iteration_of_opendss_stands_where_smaller_steps_bring_it(tmp_path):
    """`PVFactor` says how far an iteration of OpenDSS moves a generator: no part of what the circuit is."""
    swings, calm = tmp_path / "swings.dss", tmp_path / "calm.dss"
    text = CIRCUIT.format(generator=WYE, source_pu=1.0, second="")
    calm.write_text(text)
    swings.write_text(text.replace("pvfactor=0.05", "pvfactor=50").replace("MaxIterations=5000", "MaxIterations=15"))
    alone = OpenDss(f'compile "{swings}"')
    assert not alone.dss.Solution.Converged()
    found, expected = load_feeder(swings).solve(), load_feeder(calm).solve()
    assert found.node_vm_pu == pytest.approx(expected.node_vm_pu, abs=SAME_PU)


def test_held_voltage_of_a_delta_between_two_phases_is_refused(tmp_path):
    master = tmp_path / "held.dss"
    generator = "bus1=b.1.2 phases=1 conn=delta kv=12.47 maxkvar=100 minkvar=-100"
    master.write_text(CIRCUIT.format(generator=generator, source_pu=1.0, second=""))
    assert "Generator.g: model 3" in read_controls(OpenDss(f'compile "{master}"').dss).refused[0]
