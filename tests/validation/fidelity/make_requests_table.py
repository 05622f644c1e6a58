"""Print how models of the first half of bursty requests meet the second; SHARED may be given, the data's folder."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from bursty_requests import KINDS, requests

from cosim.fit.arrivals import Record, drawn, fit_process, load_record, statistics

ROOT = Path(__file__).resolve().parents[3]
RECORDS = ("azure2023_conv.csv.gz", "mooncake_conversation_trace.csv.gz")
SHOWN = ("IDC 1 s", "IDC 20 s", "IDC 100 s", "CV of distances")
SEEDS = tuple(range(101, 121))
NEAR = math.log(1.3)
PLAIN = ({"fixed": 1}, {"fixed": 1})


def halves(record: Record) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Statistics of the second half, of the first, and medians of draws of the model of the first."""
    half_s = record.duration_s / 2
    if record.stamp_s:
        half_s = record.stamp_s * round(half_s / record.stamp_s)
    first, second = record.part(0.0, half_s), record.part(half_s, record.duration_s)
    model = fit_process(first)
    draws = [statistics(second, *drawn(model, PLAIN, 0.0, second, seed)) for seed in SEEDS]
    found = [statistics(x, x.t_s, x.tokens_in, x.tokens_out) for x in (second, first)]
    names = [name for name in found[0] if "token" not in name and "rank" not in name]
    medians = {name: float(np.median([draw[name] for draw in draws])) for name in names}
    return {name: found[0][name] for name in names}, found[1], medians


def main() -> None:
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared"
    records = [requests(kind) for kind in KINDS] + [
        load_record(shared / "data" / "arrivals" / name) for name in RECORDS
    ]
    total = np.zeros(3, int)
    print("| requests | " + " | ".join(f"{name}: second half, first, model" for name in SHOWN) + " |")
    for record in records:
        second, first, model = halves(record)
        print(f"| {record.name}, {len(record.t_s)} | ", end="")
        print(" | ".join(f"{second[k]:.3g}, {first[k]:.3g}, {model[k]:.3g}" for k in SHOWN if k in second), "|")
        near = [[abs(math.log(other[k] / second[k])) < NEAR for k in second] for other in (model, first)]
        total += (sum(near[0]), sum(near[1]), len(second))
    print(
        f"within 30 % of the second half: {total[0]} of the model, {total[1]} of the first half itself, of {total[2]}"
    )


if __name__ == "__main__":
    main()
