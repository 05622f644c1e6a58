"""What a UPS, its ride-through and protection cost per step and data center while none of them acts.

A steady data center on IEEE 123 with the regulators at rest, solved on change: without a UPS, with one (trigger, ITIC
curve, counter, generator, shedding), and with two relays as well. Steps are the same; the runs take turns, and the
medians of their CPU times are set against one another.

    python benchmarks/ride_through.py [--repeats 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from cosim.engine.simulation import Simulation
from cosim.wiring import prepare

DURATION_S, STEP_S = 3600, 0.01
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
VARIANTS: dict[str, tuple[bool, bool]] = {
    "no UPS": (False, False),
    "UPS and ride-through": (True, False),
    "UPS, ride-through and two relays": (True, True),
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


def loop_s(plain: dict[str, Any]) -> float:
    """CPU time of the advance loop of one run. [s]"""
    config, feeder = prepare(plain)
    simulation = Simulation(config, feeder, config.folder)
    started = time.process_time()
    n_event = sum(len(block.events) for block in simulation.blocks())
    taken = time.process_time() - started
    if n_event > 3:
        raise SystemExit(f"{n_event} events: something acted, so this measures something else")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cases = {name: scenario(with_ups=ups, with_relays=relays) for name, (ups, relays) in VARIANTS.items()}
    for plain in cases.values():
        loop_s(plain)  # compiles, reads the feeder
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(given.repeats):
        for name, plain in cases.items():
            times[name].append(loop_s(plain))
    n_step = DURATION_S / STEP_S
    least = statistics.median(times["no UPS"])
    for name, taken in times.items():
        median = statistics.median(taken)
        row = {
            "case": name,
            "ns_per_step": 1e9 * median / n_step,
            "added_ns_per_step": 1e9 * (median - least) / n_step,
            "added_fastest_ns_per_step": 1e9 * (min(taken) - min(times["no UPS"])) / n_step,
            "ratio": median / least,
            "fastest_s": min(taken),
            "slowest_s": max(taken),
        }
        if given.json:
            print(json.dumps(row))
        else:
            print(
                f"{name:34s} {row['ns_per_step']:6.0f} ns a step, {row['added_ns_per_step']:+6.0f} ns by medians "
                f"({row['ratio']:.2f} times), {row['added_fastest_ns_per_step']:+6.0f} ns by the fastest; "
                f"{min(taken):.3f} to {max(taken):.3f} s"
            )


if __name__ == "__main__":
    main()
