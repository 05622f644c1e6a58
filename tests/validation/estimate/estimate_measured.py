"""Measured runs beside their estimates: MLPerf Training v4.0, SMC, H100 at 700 W."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cosim.estimate import Estimate, estimate, work_of

# The parallel split is that of the reference configuration of the same size (MLPerf Training v4.0: GPT-3 64 nodes
# tensor 4, pipeline 8, micro-batch 2; LoRA 8 nodes tensor 4 x context 2, one node tensor 4); a context split is taken
# as tensor.
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT-3 175B, 512 H100": (
        "smc_gpt3_175b_64n_run1", "GPT-3 175B",
        {"phase": "training", "count": 512, "tensor": 4, "pipeline": 8, "interleave": 6, "batch": 2048,
         "micro_batch": 2, "sequence": 2048},
    ),
    "Llama 2 70B LoRA, 64 H100": (
        "smc_llama2_70b_lora_8n", "Llama 2 70B",
        {"phase": "lora", "count": 64, "tensor": 8, "batch": 8, "sequence": 8192},
    ),
    "Llama 2 70B LoRA, 8 H100": (
        "smc_llama2_70b_lora_1n", "Llama 2 70B",
        {"phase": "lora", "count": 8, "tensor": 4, "batch": 8, "sequence": 8192},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What the log and the meters say of one run."""

    step_s: float
    mean_kw: float
    """Servers between evaluations, behind the first."""
    highest_kw: float
    dip_kw: float
    """Median less 1st percentile between evaluations, as metered every 2 s and node by node."""


def estimated(name: str) -> Estimate:
    """The estimate of one run."""
    _, model, given = RUNS[name]
    return estimate(work_of(model, "H100 SXM", precision="fp8", server="DGX H100", **given))


METER_S = 2.005
"""Interval at which the meters read each node, not all at once (shared/data/README.md). [s]"""


def metered_dip_kw(found: Estimate) -> float:
    """The dip as those meters would show it: nodes read in turn, held, summed; median less 1st percentile. [kW]"""
    ends = np.cumsum([stage.duration_s for stage in found.stages])
    kw = np.array([found.site_mw(found.u(stage)) * 1e3 for stage in found.stages])
    n_node = found.work.count // found.work.domain
    seen = np.zeros(3000)
    for node in range(n_node):
        phase_s = METER_S * node / n_node
        read_s = np.floor((np.arange(seen.size) - phase_s) / METER_S) * METER_S + phase_s
        seen += kw[np.searchsorted(ends, read_s % found.step_s, "right").clip(max=len(kw) - 1)] / n_node
    return float(np.median(seen) - np.percentile(seen, 1))


def measured(shared: Path, name: str) -> Measured:
    """The same from the traces."""
    stem, _, given = RUNS[name]
    folder = shared / "data" / "power_traces"
    power = pd.read_csv(folder / f"{stem}_aggregate_1s.csv")
    events = pd.read_csv(folder / f"{stem}_events.csv")
    start_ms = pd.read_csv(folder / f"{stem}_power.csv.gz", usecols=["time_ms"])["time_ms"].min()
    at_s = {kind: (events[events.key == kind].time_ms.to_numpy() - start_ms) / 1e3
            for kind in ("block_start", "block_stop", "eval_start", "eval_stop")}  # fmt: skip
    inside = np.zeros(len(power), bool)
    for begin in at_s["block_start"][1:]:  # the first has the warm-up
        ends = at_s["block_stop"][at_s["block_stop"] > begin]
        end = ends[0] if ends.size else power.t_s.max()
        inside |= ((power.t_s > begin + 5) & (power.t_s < end - 3)).to_numpy()
    kw = power.ac_kw[inside]
    return Measured(
        _step_s(events, given), float(kw.mean()), float(kw.max()), float(kw.median() - np.percentile(kw, 1))
    )


def _step_s(events: pd.DataFrame, given: dict[str, Any]) -> float:
    """Logged step time, or batch over logged throughput [samples/s] of the last whole block."""
    stats = events[events.key == "tracked_stats"].value.astype(str)
    steps = stats.str.extract(r"train_step_timing in s\W+([\d.]+)")[0].dropna().astype(float)
    if len(steps):
        return float(steps.median())
    rates = stats.str.extract(r"throughput\W+([\d.]+)")[0].dropna().astype(float)
    return float(given["batch"] / rates.iloc[-1])
