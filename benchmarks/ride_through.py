"""What a UPS, its ride-through and protection cost per step and data center while none of them acts.

A steady data center on IEEE 123 with the regulators at rest, solved on change: without a UPS, with one (trigger, ITIC
curve, counter, generator, shedding), and with two relays as well. The three runs take turns in one process, 10,000
steps each in random order (left to itself a run steps up to a million at a time), so that whatever slows the machine
down slows all of them; the CPU time of each turn less that of the run without a UPS beside it makes a pair. One process
gives the median of its pairs. Where a process lies in memory moves that by tens of ns, so several are started, and the
median over them is told with its interval of 95 % confidence. The first run once more, as a fourth, says what the
method itself finds where there is nothing.

    python benchmarks/ride_through.py [--processes 11] [--json]
    python benchmarks/ride_through.py --instructions      # counted by valgrind: the same on every machine
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cosim.engine.simulation import Simulation
from cosim.study.stopping import quantile_interval
from cosim.wiring import prepare

DURATION_S, STEP_S, TURN_S = 7200, 0.01, 100.0
SETTLED_S = 600
"""Time after which surfaces have been built, and turns count. [s]"""
COUNTED_S = 100
HASWELL = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+sse4.2,+lzcnt,+movbe",
    "OPENBLAS_CORETYPE": "Haswell",
}
"""Code that valgrind knows all instructions of."""
UPS = {
    "max_p_charge_mw": 1.0,
    "max_p_discharge_mw": 1.0,
    "max_e_mwh": 0.1,
    "max_ramp_mw_per_s": 1.0,
    "max_decline_mw_per_s": 1.0,
    "ride_through": {"curve": "itic", "counter": {"n": 3}},
    "shedding": [{"soc": 0.3, "jobs": ["steady"]}],
}
GENERATOR = {"max_p_mw": 2.0}
PHASE = {"curve": "iec_standard_inverse", "pickup_a": 2000.0, "time_dial": 0.2}
RELAYS = [
    {"kind": "relay", "name": f"r{i}", "line": line, "phase": PHASE} for i, line in enumerate(("51_151", "101_105"))
]
NOTHING = "no UPS"
VARIANTS: dict[str, tuple[bool, bool]] = {
    NOTHING: (False, False),
    "UPS and ride-through": (True, False),
    "UPS, ride-through and two relays": (True, True),
    "nothing (no UPS, once more)": (False, False),
}


def scenario(*, with_ups: bool, with_relays: bool) -> dict[str, Any]:
    site: dict[str, Any] = {
        "bus": "47",
        "load": {
            "accelerators": {"count": 512, "p_peak_w": 700, "p_idle_w": 90},
            "jobs": {
                "steady": {
                    "kind": "training",
                    "cold_start": [],
                    "iteration": [{"duration_s": 10, "utilization": 0.8}],
                }
            },
        },
    }
    if with_ups:
        site |= {"ups": UPS, "facility": {"generator": GENERATOR}}
    feeder: dict[str, Any] = {"model": "ieee123", "controls": {"mode": "frozen"}}
    if with_relays:
        feeder["protection"] = RELAYS
    return {
        "schema": 1,
        "name": "ride_through",
        "time": {"duration_s": DURATION_S, "step_s": STEP_S},
        "feeder": feeder,
        "datacenters": {"campus": site},
        "log": {"step_s": 60, "points": {"nodes": "none"}},
    }


def started(name: str) -> Simulation:
    """A run of one variant, ready to step."""
    with_ups, with_relays = VARIANTS[name]
    config, feeder = prepare(scenario(with_ups=with_ups, with_relays=with_relays))
    return Simulation(config, feeder, config.folder)


def added_ns() -> dict[str, float]:
    """What each variant adds to a step of the one without a UPS, by the median of the pairs of this process. [ns]"""
    n_step = TURN_S / STEP_S
    runs = {name: started(name).blocks(max_block_s=TURN_S) for name in VARIANTS}
    pairs: dict[str, list[float]] = {name: [] for name in VARIANTS}
    n_event = dict.fromkeys(VARIANTS, 0)
    for turn in range(round(DURATION_S / TURN_S)):
        taken_ns = {}
        for name in random.sample(list(VARIANTS), len(VARIANTS)):
            began_ns = time.process_time_ns()
            block = next(runs[name])
            taken_ns[name] = (time.process_time_ns() - began_ns) / n_step
            n_event[name] += len(block.events)
        if turn * TURN_S >= SETTLED_S:
            for name, ns in taken_ns.items():
                pairs[name].append(ns if name == NOTHING else ns - taken_ns[NOTHING])
    if max(n_event.values()) > 3:
        raise SystemExit(f"{n_event} events: something acted, so this measures something else")
    return {name: statistics.median(ns) for name, ns in pairs.items()}


def count() -> None:
    """Step every variant for a while between two marks that valgrind sees."""
    for name in VARIANTS:
        simulation = started(name)
        blocks = simulation.blocks(max_block_s=100.0)
        for end_s in (SETTLED_S, SETTLED_S + COUNTED_S):
            while simulation.now_us < end_s * 1e6:
                next(blocks)
            os.getppid()


def instructions() -> dict[str, float]:
    """Instructions a step of every variant, Python's between blocks included."""
    me, env = [sys.executable, __file__, "--count"], os.environ | HASWELL
    with tempfile.TemporaryDirectory() as folder:
        env["COSIM_CACHE_DIR"] = str(Path(os.environ.get("COSIM_CACHE_DIR", folder)).with_name("cosim-haswell"))
        subprocess.run(me, env=env, check=True)  # compiles
        tool = ["valgrind", "-q", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={folder}/count"]
        subprocess.run([*tool, *me], env=env, check=True)
        dumps = sorted(Path(folder).glob("count.*"), key=lambda path: int(path.suffix[1:]))
        totals = [int(re.search(r"^totals: (\d+)", path.read_text(), re.M)[1]) for path in dumps]  # type: ignore[index]
    if len(totals) != 2 * len(VARIANTS):
        raise SystemExit(f"{len(totals)} dumps of {2 * len(VARIANTS)}: something else called getppid")
    return {name: totals[2 * k + 1] / (COUNTED_S / STEP_S) for k, name in enumerate(VARIANTS)}


def measured(n_process: int) -> list[dict[str, Any]]:
    """A row for each variant, over several processes."""
    each = []
    for _ in range(n_process + 1):
        done = subprocess.run([sys.executable, __file__, "--one"], check=True, capture_output=True, text=True)
        each.append(json.loads(done.stdout))
    rows = []
    for name in VARIANTS:
        values = [one[name] for one in each[1:]]  # the first one compiles
        low, high = quantile_interval(np.array(values), 0.5, 0.95)
        rows.append({"case": name, "ns": statistics.median(values), "low_ns": low, "high_ns": high, "each_ns": values})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(added_ns()))
    elif given.count:
        count()
    elif given.instructions:
        found = instructions()
        for name, n in found.items():
            print(f"{name:34s} {n:6.0f} instructions a step, {n - found[NOTHING]:+6.0f}")
    else:
        for row in measured(given.processes):
            spread = f"{row['low_ns']:+.0f} to {row['high_ns']:+.0f} at 95 %"
            told = f"{row['case']:34s} {row['ns']:+6.0f} ns a step{'' if row['case'] == NOTHING else ' more'}, {spread}"
            print(json.dumps(row) if given.json else told)


if __name__ == "__main__":
    main()
