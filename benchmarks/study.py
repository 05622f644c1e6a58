"""Studies: runs a second against what single runs take, overhead and memory of workers, and what limits very many.

`python benchmarks/study.py` prints tables, with `--json` one line a measurement. `--runs 1000` is the full size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

STUDY = """\
schema: 1
kind: sweep
name: bench
scenario: quickstart_no_ups
set:
  time.duration_s: 600
  time.step_s: 0.01
  events: []
  feeder.model: case33bw
  datacenters.campus.bus: "5"
  datacenters.campus.load.accelerators.count: 1024
  datacenters.campus.load.p_base_mw: 0.197
grid:
  seed: {start: 1, stop: %d, n: %d}
metrics: [voltage, source]
"""


def written(folder: Path, n: int, extra: str = "") -> Path:
    path = folder / "bench.yaml"
    path.write_text(STUDY % (n, n) + extra)
    return path


def single_runs(study: Path, folder: Path, n: int) -> list[float]:
    """Compute time of single runs in one warm process, one after the other: simulation, log, metrics. [s]"""
    from cosim.metrics import summarize
    from cosim.study.study import Planned
    from cosim.wiring import run

    plan, took = Planned(study, folder / "none"), []
    for order in plan.orders(0, n + 2):
        started = time.perf_counter()
        with run(order.scenario, set=order.task.overrides, out=folder / "single.h5") as result:
            summarize(result)
        took.append(time.perf_counter() - started)
    return took[2:]


def executed(study: Path, folder: Path, n: int) -> list[float]:
    """The same as a worker does it, with its row put in place. [s]"""
    from cosim.study.execute import execute
    from cosim.study.study import Planned

    plan, took = Planned(study, folder / "executed"), []
    plan.runs.mkdir(parents=True)
    for order in plan.orders(0, n + 2):
        started = time.perf_counter()
        execute(order)
        took.append(time.perf_counter() - started)
    return took[2:]


def in_processes(kind: str, study: Path, folder: Path, n: int, n_process: int) -> float:
    """Median of `single_runs` or `executed` in some processes at once. [s]"""
    parts = []
    for k in range(n_process):
        (folder / f"{kind}{k}").mkdir()
        command = [sys.executable, __file__, "--part", kind, str(study), str(folder / f"{kind}{k}"), str(n)]
        parts.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return statistics.median(t for part in parts for t in json.loads(part.communicate()[0]))


class Memory(threading.Thread):
    """Largest resident memory of the workers below this process while it runs. [MB]"""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self.largest_mb, self._stopped = pid, 0.0, threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.5):
            for child in _workers(self._pid):
                self.largest_mb = max(self.largest_mb, _resident_mb(child))

    def stop(self) -> None:
        self._stopped.set()


def _workers(pid: int) -> list[int]:
    """Forks of the process in which a study loads what its workers need."""
    return [worker for child in _children(pid, b"forkserver") for worker in _children(child, b"")]


def _children(pid: int, called: bytes) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and called in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def whole_study(study: Path, out: Path, n_worker: int) -> tuple[float, float]:
    """Wall time of the command from its start to its page, and the largest worker. [s], [MB]"""
    command = [sys.executable, "-m", "cosim.cli", "study", str(study), "-o", str(out), "--workers", str(n_worker)]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--quiet"])
    memory = Memory(process.pid)
    memory.start()
    if process.wait() != 0:
        raise SystemExit("the study failed")
    memory.stop()
    return time.perf_counter() - started, memory.largest_mb


def speed(n: int, n_worker: int, say) -> None:
    from cosim.study.engine import warm_up
    from cosim.study.study import Planned

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = written(folder, n)
        warm_up(Planned(study, folder / "none").feeders())
        n_sample = max(10, min(n // 8, 40))
        before = in_processes("single", study, folder, n_sample, n_worker)
        wall_s, memory_mb = whole_study(study, folder / "out", n_worker)
        (folder / "again").mkdir()
        after = in_processes("single", study, folder / "again", n_sample, n_worker)
        single_s = 0.5 * (before + after)
        say("single run, all workers busy", single_s, "s", f"{before:.3f} before, {after:.3f} after the study")
        say("study", wall_s, "s", f"{n} runs on {n_worker} workers, start and page included")
        say("ratio, start and page included", single_s * n / n_worker / wall_s, "", "wanted: 0.9")
        say("memory of a worker", memory_mb, "MB", "largest resident size; wanted: under 500")
        execute_s = in_processes("executed", study, folder, n_sample, n_worker)
        say("overhead per run, of a worker", 1000 * (execute_s - after), "ms", "wanted: under 20")
        start_s = whole_study(written(folder, 2 * n_worker), folder / "small", n_worker)[0] - 2 * single_s
        say("start and page", start_s, "s", f"a study of {2 * n_worker} runs less their compute time")
        ratio = single_s * n / n_worker / (wall_s - start_s)
        say("ratio after start", ratio, "", "")
        overhead_s = (wall_s - start_s) * n_worker / n - single_s
        say("overhead per run, all included", 1000 * overhead_s, "ms", "worker time a run less a single run")


def fake_work(orders):
    """Rows of runs that take no time."""
    return [{"run": o.run, "status": "complete", "error": "", "metrics": {"voltage.vm_min_pu": 0.95}} for o in orders]


def scale(say, n_fake: int = 50) -> None:
    """What the scheduler, orders, packs and the summary take for each run, with many workers that do nothing."""
    from distributed import LocalCluster

    from cosim.study.engine import Pool
    from cosim.study.packs import read_packs, write_pack
    from cosim.study.places import Place
    from cosim.study.study import Planned
    from cosim.study.table import Listed, frame, kept_row, write_summary

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = Planned(written(folder, 20_000), folder / "out")
        started = time.perf_counter()
        orders = list(plan.orders(0, 1_000))
        say("orders", len(orders) / (time.perf_counter() - started), "1/s", "identity and check of each run")
        # In one process: what it takes is the scheduler's, the client's and the workers' own work, on one core.
        where = {"processes": False, "dashboard_address": None, "memory_limit": 0}
        with LocalCluster(n_workers=n_fake, threads_per_worker=1, **where) as cluster:
            for n_pack in (1, 20, 100):
                rows = []
                pool = Pool(Place(scheduler=cluster.scheduler_address), n_pack, fake_work)
                with pool:
                    pool.run(orders[:n_fake], lambda order, row: None)
                    started = time.perf_counter()
                    pool.run(orders, lambda order, row, kept=rows: kept.append(row))
                    rate = len(rows) / (time.perf_counter() - started)
                say(f"Dask, pack {n_pack}", rate, "runs/s", f"{n_fake} workers in one process, which share its core")
        files(folder, rows, orders, say, (write_pack, read_packs))
        config = plan.config
        listed = [Listed.of(order) for order in orders] * 20
        known = {row["run"]: kept_row(row, config) for row in rows}
        started = time.perf_counter()
        write_summary(folder, frame(listed, known, config))
        say("summary", len(listed) / (time.perf_counter() - started), "rows/s", f"{len(listed)} rows, CSV and Parquet")


def files(folder: Path, rows, orders, say, packs) -> None:
    """Folders of single runs against packs of a hundred."""
    write_pack, read_packs = packs
    runs = folder / "out" / "runs"
    runs.mkdir(parents=True)
    started = time.perf_counter()
    for k in range(0, len(rows), 100):
        write_pack(runs, rows[k : k + 100])
    say("rows into packs of 100", len(rows) / (time.perf_counter() - started), "rows/s", "on this machine's disk")
    started = time.perf_counter()
    found = read_packs(runs)
    say("rows read from packs", len(found) / (time.perf_counter() - started), "rows/s", "when a study goes on")
    from cosim.study.execute import ROW, done_row

    for row in rows[:1000]:
        (runs / row["run"]).mkdir()
        (runs / row["run"] / ROW).write_text(json.dumps(row))
    started = time.perf_counter()
    n_done = sum(done_row(order) is not None for order in orders[:1000])
    say("rows read from folders", n_done / (time.perf_counter() - started), "rows/s", "when a study goes on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("speed", "scale"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        kind, study, folder, n = asked.part
        measure = single_runs if kind == "single" else executed
        print(json.dumps(measure(Path(study), Path(folder), int(n))))
        return

    def say(what: str, value: float, unit: str, note: str) -> None:
        if asked.json:
            line = {"what": what, "value": value, "unit": unit, "note": note, "load": os.getloadavg()[0]}
            print(json.dumps(line), flush=True)
        else:
            print(f"{what:34} {value:12.4g} {unit:7} {note}", flush=True)

    if asked.only != "scale":
        speed(asked.runs, asked.workers, say)
    if asked.only != "speed":
        scale(say)
    say("load of the machine", os.getloadavg()[0], "", "mean of the last minute")


if __name__ == "__main__":
    main()
