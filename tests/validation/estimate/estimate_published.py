"""Published throughputs that set MATMUL_EFFICIENCY. None is a run that the estimate is judged on."""

from __future__ import annotations

from cosim.estimate import work_of
from cosim.estimate.work import Work

NEMO = "NVIDIA NeMo Framework 24.12, Performance Benchmarks, pretraining at FP8 on H100"
# model, count, tensor (TP x CP), pipeline, interleave, batch, sequence, tokens per second and GPU
NEMO_ROWS = [
    ("Llama 2 7B", 8, 1, 1, 1, 128, 4096, 16934),
    ("Llama 2 13B", 16, 1, 4, 10, 128, 4096, 8715),
    ("Llama 2 70B", 64, 4, 4, 20, 128, 4096, 1728),
    ("Llama 3.1 8B", 8, 2, 1, 1, 128, 8192, 12273),
    ("Llama 3.1 70B", 64, 8, 4, 5, 128, 8192, 1524),
]


def fp8() -> list[tuple[Work, float]]:
    """Work and the time of a step that its throughput means. [s]"""
    out = []
    for model, count, tensor, pipeline, interleave, batch, sequence, rate in NEMO_ROWS:
        work = work_of(
            model, "H100 SXM", phase="training", count=count, tensor=tensor, pipeline=pipeline,
            interleave=interleave, batch=batch, sequence=sequence, precision="fp8", server="DGX H100",
        )  # fmt: skip
        out.append((work, batch * sequence / (rate * count)))
    return out


def bf16() -> list[tuple[Work, float]]:
    """Work and published time of a step. [s]"""
    gpt3 = work_of(
        "GPT-3 175B", "A100 SXM", phase="training", count=64, tensor=8, pipeline=8, interleave=3, batch=64,
        sequence=2048, server="DGX A100",
    )  # fmt: skip
    llama = work_of(
        "Llama 3.1 405B", "H100 SXM", phase="training", count=8192, tensor=8, pipeline=16, interleave=8, batch=2048,
        sequence=8192, server="DGX H100",
    )  # fmt: skip
    return [
        (gpt3, 13.75),  # Korthikanti et al., MLSys 2023, Table 5
        (llama, 2048 * 8192 * (6 * 405e9 + 12 * 126 * 16384 * 8192) / (8192 * 430e12)),  # arXiv:2407.21783, Table 4
    ]
