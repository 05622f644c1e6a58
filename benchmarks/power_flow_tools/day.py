"""A day on IEEE 123 through the command line: what the whole program costs, start included.

Steps of 10 ms, all nodes logged every 100 ms; the data center trains behind its UPS and falls near idle in its
evaluations, which is what moves the regulators.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from power_flow_tools.works import WORKS, opendss_master

BUS = "67"
DAY_S = 86_400
HOUR_S = 3_600
MAX_S, MAX_MB = 60.0, 800.0
FLAT = 1.1
"""A day may take so much of the memory of an hour."""

SCENARIO = """\
schema: 1
name: day on ieee123
time:
  duration_s: {duration_s}
  step_s: 0.01
feeder:
  model: {model}
  controls: true
datacenters:
  campus:
    bus: {bus}
    load:
      accelerators:
        count: 1024
        p_peak_w: 700
        p_idle_w: 90
      p_base_mw: 0.15
      jobs:
        pretrain:
          kind: training
          iteration:
            - duration_s: 9.5
              utilization: 1.0
            - duration_s: 1.4
              utilization: 0.6
          iteration_jitter: 0.01
          evaluation:
            every_s: 1290
            duration_s: 130
            utilization: 0.3
          noise:
            std: 0.003
            node_std: 0.02
    ups:
      max_p_charge_mw: 0.7
      max_p_discharge_mw: 1
      max_e_mwh: 0.05
      max_ramp_mw_per_s: 0.1
      max_decline_mw_per_s: 0.1
log:
  step_s: 0.1
  nodes: all
"""


@dataclass(frozen=True)
class Spent:
    """What one process took."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def spent_by(arguments: list[str], env: dict[str, str]) -> Spent:
    """Run `cosim` in a fresh process.

    Raises
    ------
    SystemExit
        If it fails; its message stands on stderr.
    """
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "cosim.cli", *arguments], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"cosim {' '.join(arguments)} failed with exit code {process.returncode}")
    wall = time.perf_counter() - started
    return Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def tap_changes(result: Path) -> int:
    """How often a tap changed."""
    import cosim

    events = cosim.open_result(result).events
    return int((events["kind"] == "tap_changed").sum())


def profile_day(json_file: str | None) -> None:
    """A run of a second compiles, one of an hour is the measure of memory, then the day; print figures and targets."""
    rows = []

    def note(what: str, value: float, unit: str, target: str) -> None:
        rows.append({"what": what, "value": round(value, 3), "unit": unit, "target": target})
        print(f"{what:66s} {value:9.2f} {unit:5s} target {target}", flush=True)

    with tempfile.TemporaryDirectory(prefix="power_flow_day_") as name:
        folder = Path(name)
        master = opendss_master(WORKS["ieee123"], folder / "feeder")
        scenario, out = folder / "day.yaml", folder / "out.h5"
        scenario.write_text(SCENARIO.format(duration_s=DAY_S, model=master, bus=BUS))
        run = ["run", str(scenario), "-o", str(out), "--set"]
        env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        spent_by([*run, "time.duration_s=1"], env)
        hour = spent_by([*run, f"time.duration_s={HOUR_S}"], env)
        day = spent_by([*run, f"time.duration_s={DAY_S}"], env)
        note("24 h at 10 ms on IEEE 123, all nodes every 100 ms", day.wall_s, "s", f"< {MAX_S:.0f}")
        note("its time on one core", day.cpu_s, "s", "")
        note("its memory", day.memory_mb, "MB", f"< {MAX_MB:.0f}")
        note("its memory over that of 1 h", day.memory_mb / hour.memory_mb, "1", f"< {FLAT}, flat")
        note("tap changes", tap_changes(out), "1", "> 0")
        note("size of its log", out.stat().st_size / 1e6, "MB", "")
    if json_file:
        Path(json_file).write_text("".join(json.dumps(row) + "\n" for row in rows))
