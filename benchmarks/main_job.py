"""What the main job costs: start-up, first run, an hour, a day. `python benchmarks/main_job.py [--json] [--day]`.

Every figure is of a fresh process, start included. Medians of `--repeat` runs; quote ratios, absolute times only to
plan: machines differ and drift.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = """\
schema: 1
name: hour
time:
  duration_s: {duration_s}
  step_s: 0.01
feeder:
  model: case33bw
datacenters:
  campus:
    bus: 5
    load:
      accelerators:
        count: 2048
        p_peak_w: 700
        p_idle_w: 90
      p_base_mw: 0.4
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
            every_s: 129
            duration_s: 13
            utilization: 0.84
          noise:
            std: 0.003
            node_std: 0.02
    ups:
      max_p_charge_mw: 2
      max_p_discharge_mw: 3
      max_e_mwh: 0.15
      max_ramp_mw_per_s: 0.333
      max_decline_mw_per_s: 0.333
log:
  step_s: 0.1
"""


SECOND = ["--set", "time.duration_s=1"]


def timed(arguments: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall time of a fresh process [s] and its largest resident memory [MB]."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "cosim.cli", *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


FIRST_BLOCK = """\
import gc, os, sys, time
gc.set_threshold(100_000)  # this, plugins and without_blas: as the command does
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
from cosim.jit import without_blas
without_blas()
import cosim
def tell(words, now_s, end_s):
    if now_s > 0:
        print(time.time() - float(os.environ["STARTED"]))
        os._exit(0)
cosim.run(sys.argv[1], out=sys.argv[2], progress=tell, max_block_s=0.01)
"""


def to_first_block(scenario: Path, out: str, env: dict[str, str]) -> float:
    """Time from the start of a process to the first stepped block of its run [s]."""
    env = env | {"STARTED": repr(time.time())}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_BLOCK, str(scenario), out], env=env, capture_output=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON a measurement")
    parser.add_argument("--day", action="store_true", help="also 24 h, and 1 h for the ratio of memory")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    rows: list[dict[str, float | str]] = []

    def note(what: str, value: float, unit: str, target: str) -> None:
        rows.append({"what": what, "value": round(value, 3), "unit": unit, "target": target})
        text = json.dumps(rows[-1]) if options.json else f"{what:58s} {value:9.2f} {unit:4s} target {target}"
        print(text, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        hour, day = Path(folder) / "hour.yaml", Path(folder) / "day.yaml"
        hour.write_text(JOB.format(duration_s=3600))
        day.write_text(JOB.format(duration_s=86400))
        out = str(Path(folder) / "out.h5")
        env = os.environ | {"COSIM_CACHE_DIR": str(Path(folder) / "cache")}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles the sources
        took, memory = timed(["run", str(hour), "-o", out], env)
        note("first run on a fresh cache: 1 h at 10 ms, 33 buses", took, "s", "< 60")
        note("its memory, compilation included", memory, "MB", "")
        memories = []
        for what, arguments, target in (
            ("warm run: 1 h at 10 ms, 33 buses, log 100 ms", ["run", str(hour), "-o", out], "< 3"),
            ("cosim --help", ["--help"], "< 0.5"),
            ("cosim check", ["check", str(hour)], "< 1"),
            ("run of 1 simulated second, process end included", ["run", str(hour), "-o", out, *SECOND], ""),
        ):
            runs = [timed(arguments, env) for _ in range(options.repeat)]
            memories.append(runs[0][1])
            note(what, statistics.median(took for took, _ in runs), "s", target)
        starts = [to_first_block(hour, out, env) for _ in range(options.repeat)]
        note("start of a run, to its first stepped block", statistics.median(starts), "s", "< 1")
        note("memory of the warm run of 1 h", memories[0], "MB", "< 600")
        if options.day:
            took, memory = timed(["run", str(day), "-o", out], env)
            note("24 h at 10 ms", took, "s", "")
            note("memory of the run of 24 h", memory, "MB", "< 600, flat")


if __name__ == "__main__":
    main()
