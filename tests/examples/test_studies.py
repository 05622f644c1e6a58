"""A study as a person runs it: killed in the middle, gone on with; its hosting capacity against pandapower."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

STUDY = [sys.executable, "-m", "cosim.cli", "study", "s.yaml", "--workers", "1", "--quiet", "-o"]
SWEEP = (
    "schema: 1\nname: s\nscenario: quickstart_no_ups\nkind: sweep\nset:\n  time.duration_s: 60\n  events: []\n"
    "grid:\n  seed: [1, 2, 3, 4, 5, 6]\n"
)
HOSTING = (
    "schema: 1\nname: s\nscenario: quickstart_no_ups\nkind: hosting_capacity\nbuses: [Bus 34, Bus 52]\n"
    "steady:\n  max_p_mw: 20\n  tolerance_mw: 0.02\n  power_factor: 1.0\n"
)


def test_killed_study_goes_on_to_the_same_summary(tmp_path):
    (tmp_path / "s.yaml").write_text(SWEEP)
    subprocess.run([*STUDY, "whole"], cwd=tmp_path, check=True, timeout=200)
    killed = subprocess.Popen([*STUDY, "cut"], cwd=tmp_path, start_new_session=True)
    runs = tmp_path / "cut" / "runs"
    until = time.monotonic() + 100
    while time.monotonic() < until and not (runs.is_dir() and any(runs.glob("[0-9a-f]*"))):
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    kept = {p.name: p.stat().st_ino for p in runs.glob("[0-9a-f]*")}
    assert 1 <= len(kept) < 6
    subprocess.run([*STUDY, "cut"], cwd=tmp_path, check=True, timeout=200)
    assert {name: (runs / name).stat().st_ino for name in kept} == kept
    assert (tmp_path / "cut/summary.csv").read_bytes() == (tmp_path / "whole/summary.csv").read_bytes()


@pytest.mark.validation
@pytest.mark.filterwarnings("ignore::DeprecationWarning:pandapower")
def test_hosting_capacity_is_where_pandapower_leaves_the_limits(tmp_path):
    import pandapower as pp
    import pandapower.networks as nw

    from cosim.study import Place, run_study

    (tmp_path / "s.yaml").write_text(HOSTING)
    table = run_study(tmp_path / "s.yaml", tmp_path / "d", place=Place(n_worker=0)).table

    def is_within(bus, p_mw):
        net = nw.mv_oberrhein()
        pp.create_load(net, net.bus.index[net.bus.name == bus][0], p_mw)
        pp.runpp(net, tolerance_mva=1e-8)
        loading = max(net.res_line.loading_percent.max(), net.res_trafo.loading_percent.max())
        return net.res_bus.vm_pu.min() >= 0.95 and net.res_bus.vm_pu.max() <= 1.05 and loading <= 100

    for bus, capacity in zip(table["bus"], table["capacity_mw"], strict=True):
        assert 0 < capacity < 20
        assert is_within(bus, capacity - 0.001)
        assert not is_within(bus, capacity + 0.021)
