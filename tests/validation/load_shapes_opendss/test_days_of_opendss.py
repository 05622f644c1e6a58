"""Load shapes in a run against OpenDSS's own modes: IEEE 123 through a day, taps and banks as they stand."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import opendssdirect
import pytest

import cosim

pytestmark = pytest.mark.validation

TOLERANCE_PU = 1e-6
STEP_S = 421
"""A prime, so that no step falls on the middle between two points, where the engine rounds to the even one. [s]"""
N_STEP = 205
SHAPES = """
redirect IEEE123Master.dss
new loadshape.hourly npts=24 interval=1 mult=({hourly}) qmult=({hourly_q})
new loadshape.quarter npts=96 interval=0.25 mult=({quarter})
new loadshape.metered npts=48 interval=0.5 mult=({metered}) useactual=yes
batchedit load..*a {kind}=hourly
batchedit load..*b {kind}=quarter
load.s1a.{kind}=metered
load.s76a.status=fixed
load.s48.{kind}=hourly
new generator.pv bus1=67 kv=4.16 kw=300 pf=0.95 model=1 {kind}=quarter
set maxcontroliter=100
solve
"""


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("ieee123")
    with zipfile.ZipFile(shared / "data" / "feeders" / "dss" / "ieee123.zip") as archive:
        archive.extractall(path)
    return path / "123Bus"


def master_with_shapes(folder: Path, kind: str) -> Path:
    rng = np.random.default_rng(7)

    def points(n: int, low: float, high: float) -> str:
        return " ".join(f"{x:.4f}" for x in rng.uniform(low, high, n))

    text = SHAPES.format(
        kind=kind,
        hourly=points(24, 0.3, 1.2),
        hourly_q=points(24, 0.2, 1.3),
        quarter=points(96, 0.3, 1.1),
        metered=points(48, 5, 60),
    )
    master = folder / f"{kind}.dss"
    master.write_text(text)
    return master


def day_of_opendss(master: Path, mode: str) -> tuple[list[str], np.ndarray]:
    """Magnitude of every node after each step. [V]"""
    dss = opendssdirect.dss.NewContext()
    dss.Basic.AllowForms(False)
    dss.Basic.AllowChangeDir(False)
    commands = (
        f'compile "{master}"',
        "set tolerance=1e-10 maxiterations=200 maxcontroliter=100",
        "solve mode=snapshot",
        f"set mode={mode} stepsize={STEP_S}s number=1 hour=0 sec=0",
        "set controlmode=off",  # behind the mode, which sets it anew
    )
    for command in commands:
        dss.Text.Command(command)
    rows = []
    for _ in range(N_STEP):
        dss.Text.Command("solve")
        rows.append(np.abs(np.asarray(dss.Circuit.YNodeVArray()).view(complex)))
    return [str(name).lower() for name in dss.Circuit.YNodeOrder()], np.array(rows)


@pytest.mark.parametrize("kind", ["daily", "yearly", "duty"])
def test_run_follows_load_shapes_as_opendss_does(folder, tmp_path, kind):
    master = master_with_shapes(folder, kind)
    names, volts = day_of_opendss(master, kind)
    feeder = cosim.load_feeder(master)
    scenario = {
        "schema": 1,
        "name": kind,
        "time": {"duration_s": STEP_S * N_STEP, "step_s": STEP_S},
        "feeder": {"model": str(master), "controls": "frozen", "load_shapes": kind},
        "log": {"step_s": STEP_S},
    }
    with cosim.run(scenario, out=tmp_path / "day.h5") as result:
        rows, nodes = result.read("bus/vm_pu"), result.names("bus")
    kv = dict(zip(feeder.network.node_name.tolist(), feeder.network.node_vn_kv.tolist(), strict=False))
    expected = {name: volts[:, k] / (1e3 * kv[name]) for k, name in enumerate(names) if name in kv}
    assert rows.shape[0] == N_STEP + 1
    assert np.ptp(rows[1:], axis=0).max() > 0.01
    for k, node in enumerate(nodes):
        if node in expected:
            np.testing.assert_allclose(rows[1:, k], expected[node], rtol=0, atol=TOLERANCE_PU)
