"""The paper's numbers figure by figure, and how cosim's are taken from its runs and its estimate."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import cosim
from cosim.errors import InputError
from cosim.estimate import Estimate, estimate, work_of

ROOT = Path(__file__).resolve().parents[3]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One number of the paper."""

    where: str
    quantity: str
    unit: str
    paper: float
    ours: Callable[[], float]
    within: float
    """Largest difference that the test allows, relative to the paper's number; for `least`, unused."""
    least: bool = False
    """The paper says no number but at least (or more than) this."""
    printed: str = ""
    """The paper's words, where they are no plain number."""


@functools.cache
def power_w(name: str) -> tuple[Floats, float]:
    """Servers' power at each row of the log, and the distance of rows. [W, s]"""
    with tempfile.TemporaryDirectory() as folder:
        result = cosim.run(ROOT / "scenarios" / "paper" / f"{name}.yaml", out=Path(folder) / "run.h5")
        site = next(iter(result.metrics["datacenter"]))
        p_w = np.array(result.to_xarray(f"datacenter/{site}")["p_ai_mw"], dtype=float) * 1e6
        step_s = float(result.t_s[1] - result.t_s[0])
        result.close()
    return p_w, step_s


def part(name: str, from_s: float, until_s: float) -> Floats:
    """Power between two times. [W]"""
    p_w, step_s = power_w(name)
    return p_w[round(from_s / step_s) : round(until_s / step_s)]


def of(name: str, function: Callable[[Floats], float], scale: float = 1.0) -> Callable[[], float]:
    """A statistic of a whole run."""
    return lambda: float(function(power_w(name)[0])) * scale


def largest(name: str, sign: int) -> Callable[[], float]:
    """Largest rise (+1) or fall (-1) between two rows. [W]"""
    return lambda: float((sign * np.diff(power_w(name)[0])).max())


def length_s(name: str) -> float:
    """Length of a run. [s]"""
    p_w, step_s = power_w(name)
    return (p_w.size - 1) * step_s


def energies_kj(name: str, window_s: float) -> Floats:
    """Energy of one test after another, each of a given length. [kJ]"""
    p_w, step_s = power_w(name)
    n = round(window_s / step_s)
    whole = p_w[: p_w.size // n * n].reshape(-1, n)
    return np.asarray(whole.sum(axis=1) * step_s / 1e3)


def surges(name: str, above_w: float = 150.0) -> tuple[int, float]:
    """Number of stretches above a power, and their mean length. [1, s]"""
    p_w, step_s = power_w(name)
    high = p_w > above_w
    n = int(np.count_nonzero(high[1:] & ~high[:-1]))
    return n, float(np.count_nonzero(high)) * step_s / max(n, 1)


def levels(name: str, from_s: float, until_s: float) -> tuple[float, float]:
    """Low and high level of fine-tuning without its evaluations: 10th and 99th percentile above 100 W. [W]"""
    p_w = part(name, from_s, until_s)
    kept = p_w[p_w > 100]
    return float(np.percentile(kept, 10)), float(np.percentile(kept, 99))


def stage_w(name: str, number: int) -> float:
    """Median power of a stage of case study 5, stages 5 s apart. [W]"""
    from cosim.scenario import load_scenario

    config = load_scenario(ROOT / "scenarios" / "paper" / f"{name}.yaml")
    stages = next(iter(next(iter(config.datacenters.values())).load.jobs.values())).stages
    begin = sum(stage.duration_s for stage in stages[: 2 * number])
    return float(np.median(part(name, begin + 1, begin + stages[2 * number].duration_s)))


TABLE_VI = {
    "mamba-2.8B": ({1: 16.86, 2: 17.60, 4: 18.23, 8: 19.50, 16: 22.07, 32: 26.27, 64: 33.51},
                   {1: 5, 2: 6, 4: 6, 8: 7, 16: 9, 32: 12, 64: 18}),
    "GPT-Neo 2.7B": ({1: 44.15, 2: 44.43, 4: 52.07}, {1: 7, 2: 9, 4: 13}),
}  # fmt: skip
"""Processing time [s] and GPU memory [GB] by batch; what is not there ran out of memory."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


def of_batch(model: str, batch: int, phase: str = "prefill") -> Estimate | None:
    """Estimate of case study 5 (prompts of 1024, 100 tokens added); None where it does not fit."""
    try:
        return estimate(
            work_of(
                model, "RX 7900 XTX", phase=phase, count=1, batch=batch, sequence=1024, generate=100,
                attention="eager", cache="contiguous",
            )
        )  # fmt: skip
    except InputError:
        return None


def _memory(model: str, batch: int) -> Callable[[], float]:
    def ours() -> float:
        found = of_batch(model, batch)
        return float("nan") if found is None else found.memory.total_gb

    return ours


BERT, GPT2, NANO = "bert_supercloud", "gpt2_124m_rtx4090", "nanogpt_rx7900xtx"
TUNE, CHAT, NANO_CHAT, BATCH = (
    "gpt2_medium_finetuning", "gpt2_medium_inference", "nanogpt_inference", "mamba_gpt_neo_batches",
)  # fmt: skip

FIGURES = [
    Figure("Fig. 6", "BERT, peak", "kW", 48.70, of(BERT, np.max, 1e-3), 0.03),
    Figure("Fig. 6", "BERT, mean", "kW", 17.80, of(BERT, np.mean, 1e-3), 0.02),
    Figure("Fig. 6", "BERT, standard deviation", "kW", 12.39, of(BERT, np.std, 1e-3), 0.03),
    Figure("Fig. 6", "BERT, length", "days", 4, lambda: length_s(BERT) / 86400, 0.001),
    Figure("Fig. 7", "BERT, share of the time below the mean", "1", 0.5,
           of(BERT, lambda p: np.mean(p < p.mean())), 0, least=True,
           printed="often operates at much lower power levels"),
    Figure("Fig. 7", "BERT, share of the time below 50 kW", "1", 1.0, of(BERT, lambda p: np.mean(p < 50e3)), 0.001,
           printed="action threshold at 50 kW"),
    Figure("Fig. 8", "BERT, share of 10 s changes below 1 kW", "1", 0.5,
           of(BERT, lambda p: np.mean(np.abs(np.diff(p)) < 1e3)), 0, least=True,
           printed="tends to favor more gradual transitions or stable states"),
    Figure("Fig. 9", "GPT-2 124M, mean", "W", 414, of(GPT2, np.mean), 0.01),
    Figure("Fig. 9", "GPT-2 124M, maximum", "W", 461, of(GPT2, np.max), 0.01),
    Figure("Fig. 9", "GPT-2 124M, standard deviation", "W", 113.7, of(GPT2, np.std), 0.02),
    Figure("Fig. 9", "GPT-2 124M, length", "h", 22, lambda: length_s(GPT2) / 3600, 0.001),
    Figure("Fig. 10", "GPT-2 124M, drops in 1 s", "W", 320, largest(GPT2, -1), 0.05, printed="about 320"),
    Figure("Fig. 10", "GPT-2 124M, ramps in 1 s", "W", 350, largest(GPT2, 1), 0.05, printed="350"),
    Figure("Fig. 11", "nanoGPT, lowest (2nd percentile)", "W", 50, of(NANO, lambda p: np.percentile(p, 2)), 0.05,
           printed="approximately 50"),
    Figure("Fig. 11", "nanoGPT, highest", "W", 250, of(NANO, np.max), 0.05, printed="250"),
    Figure("Fig. 12", "nanoGPT, drops in 1 s", "W", 150, largest(NANO, -1), 0.05, printed="about 150"),
    Figure("Fig. 12", "nanoGPT, ramps in 1 s", "W", 130, largest(NANO, 1), 0.05),
    Figure("Fig. 13", "fine-tuning, low level, warm-up", "W", 250, lambda: levels(TUNE, 350, 1700)[0], 0.10,
           printed="approximately 250"),
    Figure("Fig. 13", "fine-tuning, high level, warm-up", "W", 330, lambda: levels(TUNE, 350, 1700)[1], 0.05),
    Figure("Fig. 13", "fine-tuning, low level, decay", "W", 250, lambda: levels(TUNE, 1700, 3100)[0], 0.10,
           printed="approximately 250"),
    Figure("Fig. 13", "fine-tuning, high level, decay", "W", 330, lambda: levels(TUNE, 1700, 3100)[1], 0.05),
    Figure("Fig. 13", "fine-tuning, spread of warm-up over that of decay", "1", 1,
           lambda: float(part(TUNE, 350, 1700).std() / part(TUNE, 1700, 3100).std()), 0, least=True,
           printed="decay slightly more consistent"),
    Figure("Fig. 13", "fine-tuning, lowest at evaluations, below the peak by", "W", 300,
           lambda: float(np.ptp(part(TUNE, 400, 3090))), 0, least=True, printed="drops to near 0 W"),
    Figure("Fig. 13", "fine-tuning, initial surge over set-up", "1", 2,
           lambda: float(part(TUNE, 2, 9).mean() / part(TUNE, 20, 340).mean()), 0, least=True,
           printed="initial spike followed by a period of low power"),
    Figure("Fig. 14", "nanoGPT inference, peak", "W", 300, of(NANO_CHAT, np.max), 0.02, printed="approximately 300"),
    Figure("Fig. 14", "nanoGPT inference, standard deviation", "W", 50, of(NANO_CHAT, np.std), 0.10,
           printed="about 50"),
    Figure("Fig. 15", "GPT-2 medium inference, peak", "W", 300, of(CHAT, np.max), 0.02, printed="approximately 300"),
    Figure("Fig. 15", "GPT-2 medium inference, standard deviation", "W", 50, of(CHAT, np.std), 0.10,
           printed="about 50"),
    Figure("Fig. 14, 15", "most energy of a test of 25 s", "kJ", 1.57,
           lambda: float(np.percentile(energies_kj(CHAT, 25), 99)), 0.25, printed="at most 1.57, see below"),
    Figure("Fig. 14, 15", "surges of nanoGPT over those of GPT-2, number", "1", 1,
           lambda: surges(NANO_CHAT)[0] / surges(CHAT)[0], 0, least=True, printed="more frequent"),
    Figure("Fig. 14, 15", "length of a surge of GPT-2 over nanoGPT's", "1", 1,
           lambda: surges(CHAT)[1] / surges(NANO_CHAT)[1], 0, least=True, printed="shorter"),
    Figure("Fig. 16", "GPT-Neo, power at batch 4 over batch 1", "1", 1,
           lambda: stage_w(BATCH, 5) / stage_w(BATCH, 1), 0, least=True, printed="steadily rising peaks"),
    Figure("Fig. 16", "growth to batch 4, GPT-Neo over Mamba", "1", 1,
           lambda: (stage_w(BATCH, 5) / stage_w(BATCH, 1)) / (stage_w(BATCH, 4) / stage_w(BATCH, 0)), 0, least=True,
           printed="Mamba's increases more gradually"),
    *[Figure("Table VI", f"{model}, memory at batch {batch}", "GB", gb, _memory(model, batch), 0.1 + 0.5 / gb)
      for model, (_, memory) in TABLE_VI.items() for batch, gb in memory.items()],
    *[Figure("Table VI", f"{model}, first batch out of memory", "1",
             next(b for b in BATCHES if b not in memory),
             functools.partial(lambda m: float(next(b for b in BATCHES if of_batch(m, b) is None)), model), 0)
      for model, (_, memory) in TABLE_VI.items()],
    Figure("III-C", "utilization, pre-training (GPT-2 124M), mean over 450 W", "1", 0.9,
           of(GPT2, lambda p: p.mean() / 450), 0, least=True, printed="often approaches 1"),
    Figure("III-C", "utilization, fine-tuning, mean over 355 W", "1", 0.8,
           lambda: float(part(TUNE, 350, 3100).mean() / 355), 0.125, printed="averaging between 0.7 to 0.9"),
    Figure("III-C", "utilization, inference, range over 300 W", "1", 0.9,
           of(CHAT, lambda p: np.ptp(p) / 300), 0, least=True, printed="the entire range from 0 to 1"),
    Figure("III-A", "peak/average, training (GPT-2 124M)", "1", 461 / 414, of(GPT2, lambda p: p.max() / p.mean()), 0.02,
           printed="close to 1; 461/414 = 1.11"),
    Figure("III-A", "peak/average, BERT", "1", 48.70 / 17.80, of(BERT, lambda p: p.max() / p.mean()), 0.03,
           printed="close to 1; 48.70/17.80 = 2.74, see below"),
]  # fmt: skip


def slower(model: str, batch: int) -> float:
    """Measured processing time over the roofline's: a prefill and 100 tokens. [1]"""
    first, token = of_batch(model, batch), of_batch(model, batch, "decode")
    assert first is not None
    assert token is not None
    return TABLE_VI[model][0][batch] / (first.step_s + 100 * token.step_s)
