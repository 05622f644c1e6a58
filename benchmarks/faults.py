"""Factorizations of the feeder that a fault costs: when it comes, while it lasts, when it goes.

A data center in constant current below its window, faults of every type at up to 25 buses of six feeders, through
0.1 mohm to 2 ohm. Where there is no operating point beside a fault the data center's converters cease, as in the
advance loop, and the instant is solved once more; while it lasts ten more instants ask for other powers.

    python benchmarks/faults.py [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cosim.errors import InputError
from cosim.feeder import CompiledFeeder, FeederConfig, load_feeder
from cosim.feeder import arrays as ix
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.zero_sequence import ZeroSequenceConfig

SITES = {
    "case33bw": ("17", 1.0),
    "cigre_mv": ("Bus 11", 1.0),
    "ieee13": ("680", 1.0),
    "ieee34": ("890", 0.2),
    "ieee123": ("67", 1.4),
    "campus34": ("campus_a", 28.0),
}
"""Bus and active power of the data center. [MW]"""
TYPES = ("three_phase", "line_to_ground", "line_to_line", "double_line_to_ground")
R_OHM = (1e-4, 0.05, 0.5, 2.0)
MAX_BUSES = 25
V_MIN_PU = 0.85
LATER = np.linspace(1.05, 0.6, 10)
"""Powers of the instants behind a fault's first, of its own. [1]"""


class Cost(NamedTuple):
    """Factorizations and time of one fault."""

    has_point: bool
    at_start: int
    while_it_lasts: int
    at_end: int
    start_ms: float
    """CPU time from the fault to the end of its first instant."""


def faults(bus_names: tuple[str, ...]) -> Iterator[FaultConfig]:
    """Each bus and resistance, one type after the other."""
    k = 0
    for bus in bus_names[:: max(1, len(bus_names) // MAX_BUSES)]:
        for r_ohm in R_OHM:
            yield FaultConfig(bus=bus, type=TYPES[k % len(TYPES)], r_ohm=r_ohm)
            k += 1


def instant(compiled: CompiledFeeder, p_mw: float) -> bool:
    """Solve, without converters where there is no operating point with them; whether there was."""
    f = compiled.arrays
    f.port_p_mw[:], f.port_q_mvar[:], f.port_v_min_pu[:] = p_mw, 0.1 * p_mw, V_MIN_PU
    if solve_totals(compiled)[0] != ix.COLLAPSED:
        return True
    f.port_p_mw[:] = f.port_q_mvar[:] = 0.0
    if solve_totals(compiled)[0] == ix.COLLAPSED:
        raise SystemExit("no solution even without the data center")
    return False


def cost(compiled: CompiledFeeder, fault: FaultConfig, p_mw: float) -> Cost | None:
    """Of one fault never seen before; None where it cannot be there."""

    def made() -> int:
        return int(compiled.arrays.flags[ix.N_FACTORED])

    instant(compiled, p_mw)
    started = time.process_time()
    try:
        compiled.apply_fault("f", fault)
    except InputError:  # a phase that is not there, an ideal source
        return None
    has_point = instant(compiled, p_mw)
    start_ms, at_start = 1e3 * (time.process_time() - started), made()
    for part in LATER:
        instant(compiled, part * p_mw)
    lasted = made()
    compiled.clear_fault("f")
    cleared = made()
    instant(compiled, p_mw)
    return Cost(has_point, at_start, lasted - at_start, cleared + made() - cleared, start_ms)


def measured(model: str) -> dict[str, Any]:
    """Row of the table for one feeder."""
    port, p_mw = SITES[model]
    feeder = load_feeder(model)
    zero = ZeroSequenceConfig(trafo_vector_group="Dyn") if feeder.network.is_balanced else None
    compiled = CompiledFeeder(feeder.network, [port], FeederConfig(model=model, zero_sequence=zero))
    costs = [c for fault in faults(feeder.bus_names) if (c := cost(compiled, fault, p_mw)) is not None]
    whole = [c.at_start + c.while_it_lasts + c.at_end for c in costs]
    return {
        "feeder": model,
        "faults": len(costs),
        "without_point": sum(not c.has_point for c in costs),
        "mean_at_start": float(np.mean([c.at_start for c in costs])),
        "most_at_start": max(c.at_start for c in costs),
        "most_while_it_lasts": max(c.while_it_lasts for c in costs),
        "most_at_end": max(c.at_end for c in costs),
        "most_in_all": max(whole),
        "median_start_ms": float(np.median([c.start_ms for c in costs])),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for model in SITES:
        row = measured(model)
        if given.json:
            print(json.dumps(row))
            continue
        print(
            f"{model:10s} {row['faults']:4d} faults, {row['without_point']:3d} without an operating point; "
            f"{row['mean_at_start']:.2f} on average and {row['most_at_start']} at most at the start, "
            f"{row['most_while_it_lasts']} while it lasts, {row['most_at_end']} at the end, "
            f"{row['most_in_all']} in all; {row['median_start_ms']:.1f} ms to its first solution",
            flush=True,
        )


if __name__ == "__main__":
    main()
