"""Commands as a person uses them, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import cosim

COSIM = [sys.executable, "-m", "cosim.cli"]


def cosim_(*arguments, cwd, check=None, **kwargs):
    done = subprocess.run(
        [*COSIM, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300, **kwargs
    )
    if check is not None:
        assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done


def datasets(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[...]}) if isinstance(item, h5py.Dataset) else None)
    return found


def assert_same_logs(a, b):
    first, second = datasets(a), datasets(b)
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert np.array_equal(values, second[name], equal_nan=values.dtype.kind == "f"), name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def quick(folder):
    cosim_("run", "quickstart", "-o", "q.h5", "--quiet", cwd=folder, check=0)
    return folder / "q.h5"


def test_quickstart_runs_shows_and_reports(quick, folder):
    shown = json.loads(cosim_("show", "q.h5", "--json", cwd=folder, check=0).stdout)
    assert shown["run"]["status"] == "complete"
    cosim_("report", "q.h5", cwd=folder, check=0)
    assert (folder / "q.html").stat().st_size > 1e6
    cosim_("report", "q.h5", "-o", "q.svg", cwd=folder, check=0)
    assert (folder / "q.svg").read_text().startswith("<svg")


def test_quickstart_feeder_is_inside_range_a_before_it_connects():
    """ANSI C84.1 range A: 0.95 to 1.05 pu."""
    vm = cosim.load_feeder("mv_oberrhein").solve().vm_pu
    energized = vm[vm > 0]
    assert energized.min() > 0.95
    assert energized.max() < 1.05


def test_quickstart_without_ups_differs_by_its_ups_only():
    with_ups = cosim.load_scenario("quickstart", overrides={"datacenters.campus.ups": None})
    without = cosim.load_scenario("quickstart_no_ups")
    assert with_ups.model_dump(exclude={"name", "description"}) == without.model_dump(exclude={"name", "description"})


def test_quickstart_job_is_shaped_by_the_measured_run(folder):
    """512 H100, MLPerf Training v4.0: mean 438 kW, oscillation 10.9 s.

    Its spread is 25.6 kW on the DC side, which the meters sample every 2 s node by node and hold, and 21.3 kW on the
    AC side, which they average as well; a mean over 2 s stands for the former.
    """
    overrides = {"events": [], "time.duration_s": 1600.0, "time.step_s": 0.1}
    overrides["datacenters.campus.load.jobs.pretrain.checkpoint"] = None
    with cosim.run("quickstart", set=overrides, out=folder / "shape.h5") as result:
        p_kw = result.read("datacenter/campus/p_ai_mw")[1000:] * 1000 / 8
    metered = np.convolve(p_kw, np.ones(20) / 20, "valid")[::10]
    assert metered.mean() == pytest.approx(438, rel=0.01)
    assert metered.std() == pytest.approx(25.6, rel=0.1)
    spectrum = np.abs(np.fft.rfft(metered - metered.mean()))
    period_s = 1 / np.fft.rfftfreq(metered.size, 1.0)[1:][np.argmax(spectrum[1:])]
    assert period_s == pytest.approx(10.9, rel=0.05)


LONG = """\
schema: 1
name: long
time:
  duration_s: 9000
feeder:
  model: case33bw
  max_dvm_pu: 1e-9
datacenters:
  campus:
    bus: 5
    load:
      accelerators: {count: 2048, p_peak_w: 700, p_idle_w: 90}
      jobs:
        pretrain:
          kind: training
          iteration:
            - {duration_s: 2, utilization: 1}
            - {duration_s: 0.7, utilization: 0.5}
          iteration_jitter: 0.02
          failure: {rate_per_node_hour: 0.01, restart_s: 30}
          noise: {std: 0.01, node_std: 0.05}
        serve:
          kind: inference
          start_s: null
          p_query_w: 300
          accelerators: 1
          classes:
            chat: {size: 1000, duration_s: 5, rate: [{t_s: 0, rate_per_s: 1}]}
    ups:
      max_p_charge_mw: 2
      max_p_discharge_mw: 3
      max_e_mwh: 0.1
      max_ramp_mw_per_s: 0.1
      max_decline_mw_per_s: 0.1
events:
  - {at_s: 1000.0005, kind: source_lost, duration_s: 4}
  - {at_s: 3000, kind: load_changed, load: 5, scale: 1.4}
  - {at_s: 5000, kind: switch_closed, switch: "line:35"}
  - {at_s: 7000, kind: dip_started, vm_pu: 0.6, duration_s: 0.066}
log: {step_s: 0.2}
"""


@pytest.fixture(scope="module")
def long_run(folder):
    text = LONG.replace("          accelerators: 1\n", "          weight: [{at_s: 0, weight: 0.0}]\n")
    (folder / "long.yaml").write_text(text)
    cosim_("run", "long.yaml", "-o", "whole.h5", "--quiet", cwd=folder, check=0)
    with cosim.open_result(folder / "whole.h5") as whole:  # most of what is resumed stands on surfaces
        assert whole.metrics["solver"]["n_surface"] > 0.8 * whole.metrics["solver"]["n_instant"]
    return folder / "whole.h5"


def stop_at(folder, out, fraction, number):
    """Start the long run and send it a signal once its log has come so far."""
    process = subprocess.Popen([*COSIM, "run", "long.yaml", "-o", out, "--quiet"], cwd=folder)
    path = folder / out
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
        if path.exists():
            try:
                with cosim.open_result(path) as result:
                    if result.n_rows and result.t_s[-1] >= fraction * 9000:
                        break
            except (OSError, cosim.CosimError):
                continue
    process.send_signal(number)
    return process.wait(timeout=60)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.8])
def test_kill_and_resume_give_the_same_log(long_run, folder, fraction):
    out = f"killed{fraction}.h5"
    assert stop_at(folder, out, fraction, signal.SIGKILL) == -signal.SIGKILL
    with cosim.open_result(folder / out) as killed:
        assert killed.status == "running"
        assert 0 < killed.n_rows < 45_001
    cosim_("run", "long.yaml", "-o", out, "--quiet", "--resume", cwd=folder, check=0)
    assert_same_logs(folder / out, long_run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_ends_whole_and_goes_on(long_run, folder, number):
    out = f"stopped{int(number)}.h5"
    assert stop_at(folder, out, 0.3, number) == 130
    with cosim.open_result(folder / out) as stopped:
        assert stopped.status == "interrupted"
    cosim_("run", "long.yaml", "-o", out, "--quiet", "--resume", cwd=folder, check=0)
    assert_same_logs(folder / out, long_run)


def test_resume_of_a_complete_run_does_nothing(long_run, folder):
    before = long_run.stat().st_mtime_ns
    cosim_("run", "long.yaml", "-o", "whole.h5", "--quiet", "--resume", cwd=folder, check=0)
    assert long_run.stat().st_mtime_ns == before


def test_resume_of_another_scenario_is_refused(long_run, folder):
    done = cosim_("run", "long.yaml", "-o", "whole.h5", "--resume", "--seed", "5", cwd=folder, check=2)
    assert "another scenario" in done.stderr


def test_xarray_opens_a_finished_log_plainly(quick):
    with xarray.open_dataset(quick, engine="h5netcdf", group="bus") as data:
        assert data["vm_pu"].dims == ("t_s", "name")
        assert float(data["vm_pu"].sel(name="Bus 34").isel(t_s=0)) > 0.9


def test_xarray_opens_a_live_and_a_killed_log(folder, long_run):
    process = subprocess.Popen([*COSIM, "run", "long.yaml", "-o", "live.h5", "--quiet"], cwd=folder)
    path = folder / "live.h5"
    live_rows = 0
    while process.poll() is None and not live_rows:
        time.sleep(0.05)
        if path.exists():
            try:
                with xarray.open_dataset(path, engine="h5netcdf", group="bus") as data:
                    live_rows = data.sizes["t_s"]
            except (OSError, KeyError):
                continue  # it met a flush
    assert live_rows > 0
    process.kill()
    process.wait()
    with cosim.open_result(path) as killed:
        assert killed.to_xarray("bus").sizes["t_s"] >= live_rows
    with xarray.open_dataset(path, engine="h5netcdf", group="bus") as data:
        assert data.sizes["t_s"] >= live_rows


def test_a_full_disk_keeps_what_was_written(folder, long_run):
    limit = 600_000
    code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    code += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nfrom cosim.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "long.yaml", "-o", "full.h5", "--quiet"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    with cosim.open_result(folder / "full.h5") as result:
        assert result.status != "complete"


def test_collapse_exits_with_3_and_keeps_the_log(folder):
    text = LONG.replace("count: 2048", "count: 40000").replace("duration_s: 9000", "duration_s: 100")
    text = re.sub(r"events:.*?log:", "log:", text, flags=re.S).replace("          accelerators: 1\n", "")
    text = text.replace("        serve:", "        never:").replace(
        "    ups:", "    facility: {v_min_pu: 0.01, v_trip_pu: 0.01}\n    ups:"
    )
    text = text.replace("          iteration_jitter", "          start_s: 50\n          iteration_jitter")
    (folder / "big.yaml").write_text(text)
    done = cosim_("run", "big.yaml", "-o", "big.h5", "--quiet", cwd=folder, check=3)
    assert "last solvable" in done.stderr
    with cosim.open_result(folder / "big.h5") as result:
        assert result.status == "collapsed"
        assert result.events["kind"].iloc[-1] == "collapsed"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "absent.yaml"], 2, "no such file"),
        (["show", "absent.h5"], 2, "absent.h5"),
        (["report", "long.yaml"], 2, "long.yaml"),
        (["run", "quickstart", "--set", "datacenters.campus.bos=3"], 2, "bus"),
        (["run", "quickstart", "-o", "no/such/folder/x.h5"], 2, "folder"),
        (["nonsense"], 2, "nonsense"),
        (["check", "quickstart", "--set", "datacenters.campus.bus=Bos 34"], 2, "Bus 34"),
    ],
)
def test_wrong_input_is_a_message_and_exit_code_2(long_run, folder, arguments, code, words):
    done = cosim_(*arguments, cwd=folder, check=code)
    assert words in done.stderr


def test_resolved_scenario_runs_to_the_same_bits(quick, folder):
    resolved = cosim_("check", "quickstart", "--resolve", cwd=folder, check=0).stdout
    (folder / "resolved.yaml").write_text(resolved)
    cosim_("run", "resolved.yaml", "-o", "r.h5", "--quiet", cwd=folder, check=0)
    assert_same_logs(folder / "r.h5", quick)


def test_warm_commands_import_neither_pandapower_nor_opendss(quick, folder):
    """Nor scipy.linalg before a response surface is built, whose scalar model is fitted with scipy.optimize."""
    plain = ["run", "quickstart", "-o", "i.h5", "--quiet", "--set", "time.duration_s=600"]
    code = f"import sys; sys.argv[1:] = {[*plain, '--set', 'feeder.surfaces=false']}\n"
    code += "from cosim.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "assert not {'pandapower', 'opendssdirect', 'pandas', 'scipy.linalg'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=120, env=os.environ)


def test_readme_names_commands_that_exist():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert "./quickstart.sh" in readme
    assert "./test.sh" in readme
