"""What one accelerator must hold, and whether it can."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from cosim.errors import InputError, Problem
from cosim.estimate import constants as c
from cosim.estimate.work import Work

_B_PER_GB = 1e9


@dataclass(frozen=True)
class Memory:
    """Memory of the fullest accelerator by what is in it. [GB]"""

    weights_gb: float
    gradients_gb: float
    optimizer_gb: float
    activations_gb: float
    kv_cache_gb: float

    @property
    def total_gb(self) -> float:
        """All of it. [GB]"""
        return float(sum(getattr(self, field.name) for field in fields(self)))


def memory_of(work: Work) -> Memory:
    """What the fullest accelerator holds in a step of `work`."""
    return _training(work) if work.trains else _inference(work)


def usable_gb(work: Work) -> float:
    """What a framework can use of one accelerator's memory. [GB]"""
    return c.USABLE_MEMORY * work.accelerator.memory_gb


def refuse_what_does_not_fit(work: Work) -> Memory:
    """`memory_of`, or a refusal with the numbers.

    Raises
    ------
    InputError
        It does not fit; says by what, and which batch would.
    """
    held = memory_of(work)
    usable = usable_gb(work)
    if held.total_gb <= usable:
        return held
    parts = ", ".join(
        f"{field.name.removesuffix('_gb').replace('_', ' ')} {getattr(held, field.name):.1f}"
        for field in fields(held)
        if getattr(held, field.name) > 0
    )
    raise InputError(
        Problem(
            f"does not fit: {held.total_gb:.1f} GB ({parts}) of {usable:.1f} GB usable "
            f"({c.USABLE_MEMORY:.0%} of {work.accelerator.memory_gb:g} GB) on one {work.accelerator.name}; "
            + _way_out(work, held, usable),
            "micro_batch" if work.trains else "batch",
            work.micro_batch if work.trains else work.batch,
        )
    )


def _way_out(work: Work, held: Memory, usable: float) -> str:
    fixed = held.weights_gb + held.gradients_gb + held.optimizer_gb
    if fixed >= usable:
        return "the model alone is too large: raise tensor or pipeline"
    each = (held.total_gb - fixed) / (work.micro_batch if work.trains else work.local_batch)
    most = math.floor((usable - fixed) / each)
    if most < 1:
        return "not even one sequence fits: shorten it, raise tensor, or recompute"
    return f"at most {most} at once on one replica would"


def _training(work: Work) -> Memory:
    """Weights and gradients whole, optimizer state split over the replicas, activations of a full pipeline."""
    model = work.model
    mine = model.n_parameter / (work.tensor * work.pipeline)
    taught = _adapter(work) if work.phase == "lora" else mine
    tokens = work.micro_batch * work.sequence
    per_unit = float(c.RECOMPUTED_BYTES if work.recompute == "full" else c.ACTIVATION_BYTES)
    if work.phase == "lora" and work.recompute == "none":
        per_unit -= c.FROZEN_INPUT_BYTES
    layers = model.n_layer * min(work.n_micro_batch, work.pipeline) / work.pipeline
    activations = layers * tokens * model.n_hidden * per_unit
    if work.attention == "eager" and work.recompute == "none":
        activations += layers * _scores(work, work.micro_batch)
    if work.pipeline == 1:
        activations += tokens * model.n_vocabulary * c.LOGIT_BYTES
    return Memory(
        weights_gb=mine * c.WEIGHT_BYTES / _B_PER_GB,
        gradients_gb=taught * c.GRADIENT_BYTES / _B_PER_GB,
        optimizer_gb=taught * c.OPTIMIZER_BYTES / work.data / _B_PER_GB,
        activations_gb=activations / work.tensor / _B_PER_GB,
        kv_cache_gb=0.0,
    )


def _adapter(work: Work) -> float:
    """Parameters that LoRA teaches, on one accelerator. [1]"""
    model = work.model
    all_of_them = model.n_layer * c.ADAPTER_MATRICES * c.ADAPTER_RANK * model.n_hidden
    return all_of_them / (work.tensor * work.pipeline)


def _inference(work: Work) -> Memory:
    """Weights, keys and values (or states) of all sequences, activations of one layer, logits."""
    model = work.model
    split = work.tensor * work.pipeline
    sequences = work.local_batch
    tokens = sequences * (1 if work.phase == "decode" else work.sequence)
    activations = float(tokens * model.n_hidden * c.ACTIVATION_BYTES)
    if work.attention == "eager" and model.n_head is not None and work.phase == "prefill":
        activations += _scores(work, sequences)
    logits = tokens if work.cache == "contiguous" else sequences  # paged servers keep those of the last token
    activations += logits * model.n_vocabulary * c.BYTES["bf16"]
    return Memory(
        weights_gb=model.n_parameter * c.BYTES[work.precision] / split / _B_PER_GB,
        gradients_gb=0.0,
        optimizer_gb=0.0,
        activations_gb=activations / work.tensor / _B_PER_GB,
        kv_cache_gb=sequences * kept_bytes(work) / split / _B_PER_GB,
    )


def _scores(work: Work, sequences: int) -> float:
    """Attention scores of one layer where attention is not fused. [B]"""
    heads = work.model.n_head or 0
    return float(c.SCORE_BYTES * heads * work.sequence**2 * sequences)


def kept_bytes(work: Work, *, used: bool = False) -> float:
    """Keys and values (of a Mamba: states) that one sequence keeps in all layers, reserved or only used. [B]"""
    model = work.model
    if model.n_head is None:
        return float(2 * model.n_hidden * (c.STATE_SIZE + c.CONVOLUTION) * model.n_layer * c.BYTES["bf16"])
    tokens = work.sequence + work.generate
    share = 1.0 if used else c.CACHE_USE[work.cache]
    return model.kv_width * model.n_layer * c.BYTES["bf16"] * tokens / share
