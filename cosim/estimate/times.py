"""How long one step takes: compute, memory and communication, stage by stage.

A part of a stage is bound by what takes longest there; communication that is not hidden stands beside it. Floating
point operations after Narayanan et al., SC 2021, section 5.1: 6 N for each token of training (2 forward, 4 backward),
and 12 n_layer n_hidden sequence for attention.
"""

from __future__ import annotations

from dataclasses import dataclass

from cosim.estimate import constants as c
from cosim.estimate.memory import kept_bytes
from cosim.estimate.work import Work


@dataclass(frozen=True)
class Stage:
    """One stretch of a step. [s]"""

    name: str
    compute_s: float = 0.0
    memory_s: float = 0.0
    communication_s: float = 0.0
    wait_s: float = 0.0
    """Empty pipeline."""

    @property
    def duration_s(self) -> float:
        """All of it. [s]"""
        return self.compute_s + self.memory_s + self.communication_s + self.wait_s


def stages_of(work: Work) -> tuple[Stage, ...]:
    """Stages of one step in order; of decoding, one token for each sequence."""
    return _training(work) if work.trains else (_inference(work),)


def model_flops(work: Work) -> float:
    """Floating point operations that the model asks for in a step, on all accelerators. [1]"""
    weights, attention = _passes(work)
    model = work.model
    width = model.n_hidden if model.n_head is not None else 0
    context = work.sequence + (work.generate if work.phase == "decode" else 0)
    per_token = 2 * weights * model.active_parameters + 4 * attention * model.n_layer * width * context
    return float(per_token * work.n_token)


def _passes(work: Work) -> tuple[int, int]:
    """Passes through weights and attention, in units of a forward pass. LoRA has no gradients of its weights."""
    if not work.trains:
        return 1, 1
    return (2 if work.phase == "lora" else 3), 3


def _training(work: Work) -> tuple[Stage, ...]:
    flops = model_flops(work)
    rate = work.count * work.peak_flops * c.MATMUL_EFFICIENCY[work.precision]
    weights, _ = _passes(work)
    forward = flops / weights / rate
    backward = flops / rate - forward + (forward if work.recompute == "full" else 0.0)
    exchange = _tensor_exchange_s(work, work.micro_batch * work.sequence) * work.n_micro_batch
    again = 2 if work.recompute == "full" else 1
    empty = (work.pipeline - 1) / (work.n_micro_batch * work.interleave)
    out = []
    for name, compute, n in (("forward", forward, 1), ("backward", backward, again)):
        read = _read_s(work, n) * work.n_micro_batch
        busy = max(compute, read)
        bound = {"compute_s": compute} if compute >= read else {"memory_s": read}
        out.append(Stage(name, communication_s=n * exchange, wait_s=empty * (busy + n * exchange), **bound))
    return (*out, Stage("all_reduce", communication_s=_gradient_exchange_s(work)), _optimizer(work))


def _read_s(work: Work, times: int) -> float:
    """Reading the weights of one accelerator, for one micro-batch. [s]"""
    mine = work.model.n_parameter / (work.tensor * work.pipeline) * c.WEIGHT_BYTES
    return times * mine / (work.accelerator.memory_gb_per_s * 1e9 * c.MEMORY_EFFICIENCY)


def _taught(work: Work) -> float:
    """Parameters that are taught, on one accelerator. [1]"""
    model = work.model
    adapter = model.n_layer * c.ADAPTER_MATRICES * c.ADAPTER_RANK * model.n_hidden
    return (adapter if work.phase == "lora" else model.n_parameter) / (work.tensor * work.pipeline)


def _optimizer(work: Work) -> Stage:
    """Adam on the part of the state that is one replica's: read and write it, and the weights."""
    moved = _taught(work) * (2 * c.OPTIMIZER_BYTES + c.GRADIENT_BYTES + c.WEIGHT_BYTES) / work.data
    return Stage("optimizer", memory_s=moved / (work.accelerator.memory_gb_per_s * 1e9 * c.MEMORY_EFFICIENCY))


def _link_b_per_s(work: Work, group: int) -> float:
    """Bandwidth of one accelerator, one direction, to a group of that size. [B/s]"""
    link = work.accelerator.interconnect_gb_per_s
    inside = link / 2 if link is not None else work.network_gb_per_s
    return c.LINK_EFFICIENCY * 1e9 * (inside if group <= work.domain else work.network_gb_per_s)


def _tensor_exchange_s(work: Work, tokens: int) -> float:
    """Two all-reduces a layer, on the layers of one accelerator, in one pass (Shoeybi et al., 2019, Fig. 4). [s]"""
    if work.tensor == 1:
        return 0.0
    size = tokens * work.model.n_hidden * c.BYTES["bf16"]
    each = 2 * (work.tensor - 1) / work.tensor * size / _link_b_per_s(work, work.tensor)
    return 2 * work.model.n_layer / work.pipeline * max(each, c.ALL_REDUCE_LATENCY_S)


def _gradient_exchange_s(work: Work) -> float:
    """Reduce-scatter of gradients in FP32 and all-gather of weights, none of it hidden. [s]"""
    if work.data == 1:
        return 0.0
    moved = _taught(work) * (2 * c.GRADIENT_BYTES + c.WEIGHT_BYTES) * (work.data - 1) / work.data
    return moved / _link_b_per_s(work, work.count)


def _inference(work: Work) -> Stage:
    """One prefill of all prompts, or one token for all sequences; one after another through a pipeline."""
    split = work.tensor * work.pipeline
    replica_flops = model_flops(work) / work.data
    compute = replica_flops / (work.tensor * work.peak_flops * c.MATMUL_EFFICIENCY[work.precision])
    n_token = work.n_token // work.data
    touched = min(work.model.n_parameter, work.model.active_parameters * n_token)  # experts that some token asks for
    read = float(touched * c.BYTES[work.precision])
    if work.phase == "decode":
        read += kept_bytes(work, used=True) * work.local_batch
    memory = read / work.tensor / (work.accelerator.memory_gb_per_s * 1e9 * c.MEMORY_EFFICIENCY)
    exchange = _tensor_exchange_s(work, n_token) * work.pipeline
    bound = {"compute_s": compute / work.pipeline} if compute >= memory else {"memory_s": memory / work.pipeline}
    whole = max(compute, memory)
    wait = whole - whole / work.pipeline if split > work.tensor else 0.0
    return Stage(work.phase, communication_s=exchange, wait_s=wait, **bound)
