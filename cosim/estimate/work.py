"""What an estimate is asked for: model, phase, parallelism, batch, accelerators; checked before anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cosim.catalog import Accelerator, Model, find_accelerator, find_model, find_server
from cosim.errors import InputError, Problem
from cosim.estimate import constants as c

TRAINING = ("training", "fine_tuning", "lora")
PHASES = (*TRAINING, "prefill", "decode")
CHOICES = {
    "phase": PHASES,
    "precision": ("bf16", "fp8"),
    "recompute": ("none", "full"),
    "attention": ("fused", "eager"),
    "cache": ("paged", "contiguous"),
}


@dataclass(frozen=True)
class Work:
    """One model at work on a number of accelerators.

    `batch` counts sequences of all replicas together, `micro_batch` those that go through one pipeline at once;
    `sequence` is the length of one, `generate` what is added to it at inference. [tokens]
    """

    model: Model
    accelerator: Accelerator
    phase: str
    count: int
    data: int
    tensor: int
    pipeline: int
    interleave: int
    batch: int
    micro_batch: int
    sequence: int
    generate: int
    precision: str
    recompute: str
    attention: str
    cache: str
    domain: int
    """Accelerators that share the fast link."""
    network_gb_per_s: float
    """For one accelerator, one direction."""

    @property
    def trains(self) -> bool:
        """Whether it has a backward pass."""
        return self.phase in TRAINING

    @property
    def n_micro_batch(self) -> int:
        """Micro-batches that one pipeline works through in a step."""
        return self.batch // (self.data * self.micro_batch)

    @property
    def local_batch(self) -> int:
        """Sequences of one replica."""
        return self.batch // self.data

    @property
    def n_token(self) -> int:
        """Tokens that all replicas together work on in a step."""
        return self.batch * (1 if self.phase == "decode" else self.sequence)

    @property
    def peak_flops(self) -> float:
        """Dense peak of one accelerator at the precision of its matmuls. [1/s]"""
        a = self.accelerator
        return 1e12 * float((a.peak_fp8_tflops or 0.0) if self.precision == "fp8" else a.peak_fp16_tflops)


def work_of(model: str, accelerator: str, **given: Any) -> Work:
    """A checked `Work` from names of the catalog.

    Parameters
    ----------
    model, accelerator : str
        Names in the catalog.
    **given
        Fields of `Work`, and `server`, a name of the catalog, for `domain` and `network_gb_per_s`. `count` is needed;
        `data` follows from it where it is not given.

    Raises
    ------
    InputError
        Every field that cannot be so, in one answer.
    """
    found_model, found_accelerator = find_model(model), find_accelerator(accelerator)
    server = find_server(given["server"]) if given.get("server") else None
    network = server.network_gb_per_s if server is not None else None
    fields: dict[str, Any] = {
        "phase": "training", "tensor": 1, "pipeline": 1, "interleave": 1, "batch": 1, "micro_batch": 1,
        "sequence": found_model.n_context or 2048, "generate": 0, "precision": "bf16", "recompute": "none",
        "attention": "fused", "cache": "paged",
    }  # fmt: skip
    fields |= {key: value for key, value in given.items() if value is not None and key != "server"}
    problems = [*_wrong_words(fields), *_wrong_counts(fields)]
    if not problems:
        problems = _wrong_split(fields)
    if fields["precision"] == "fp8" and found_accelerator.peak_fp8_tflops is None:
        problems.append(Problem(f"{found_accelerator.name} has no FP8 peak in the catalog", "precision", "fp8"))
    if problems:
        raise InputError(problems)
    work = Work(
        model=found_model,
        accelerator=found_accelerator,
        domain=server.n_accelerator if server is not None else c.TYPICAL_DOMAIN,
        network_gb_per_s=network or c.TYPICAL_NETWORK_GB_PER_S,
        **fields,
    )
    context = found_model.n_context
    if not work.trains and context is not None and work.sequence + work.generate > context:
        raise InputError(
            Problem(f"{found_model.name} has a context of {context}", "sequence", work.sequence + work.generate)
        )
    return work


def _wrong_words(fields: dict[str, Any]) -> list[Problem]:
    return [
        Problem(f"is one of {', '.join(allowed)}", key, fields[key])
        for key, allowed in CHOICES.items()
        if fields[key] not in allowed
    ]


def _wrong_counts(fields: dict[str, Any]) -> list[Problem]:
    counts = ("count", "tensor", "pipeline", "interleave", "batch", "micro_batch", "sequence")
    wrong = [Problem("is at least 1", key, fields.get(key)) for key in counts if int(fields.get(key) or 0) < 1]
    if fields["generate"] < 0:
        wrong.append(Problem("is at least 0", "generate", fields["generate"]))
    return wrong


def _wrong_split(fields: dict[str, Any]) -> list[Problem]:
    """Fill in `data`; what does not divide."""
    replica = fields["tensor"] * fields["pipeline"]
    fields.setdefault("data", max(1, fields["count"] // replica))
    if fields["data"] * replica != fields["count"]:
        shown = f"data {fields['data']} x tensor {fields['tensor']} x pipeline {fields['pipeline']}"
        return [Problem(f"is not {shown} = {fields['data'] * replica} accelerators", "count", fields["count"])]
    each = fields["data"] * fields["micro_batch"]
    if fields["batch"] % each:
        text = f"is no multiple of data {fields['data']} x micro_batch {fields['micro_batch']} = {each} sequences"
        return [Problem(text, "batch", fields["batch"])]
    return []
