"""From a piece of work to its estimate: memory, times and powers together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cosim.estimate.memory import Memory, refuse_what_does_not_fit, usable_gb
from cosim.estimate.powers import Parts, accelerator_w, idle_w, parts_of, server_w, utilization
from cosim.estimate.times import Stage, model_flops, stages_of
from cosim.estimate.work import Work
from cosim.units import W_PER_MW


@dataclass(frozen=True)
class Estimate:
    """What a step takes and draws."""

    work: Work
    memory: Memory
    stages: tuple[Stage, ...]

    @property
    def step_s(self) -> float:
        """Duration of one step; of decoding, time per output token. [s]"""
        return sum(stage.duration_s for stage in self.stages)

    @property
    def bound_s(self) -> dict[str, float]:
        """The step by what bounds it. [s]"""
        kinds = ("compute", "memory", "communication", "wait")
        return {kind: sum(getattr(stage, f"{kind}_s") for stage in self.stages) for kind in kinds}

    @property
    def model_flops_utilization(self) -> float:
        """Operations the model asks for over the peak's (MFU). [1]"""
        return model_flops(self.work) / (self.work.count * self.work.peak_flops * self.step_s)

    @property
    def tokens_per_s(self) -> float:
        """Tokens that all accelerators together get through. [1/s]"""
        return self.work.n_token / self.step_s

    def u(self, stage: Stage) -> float:
        """Utilization U of Eq. 6 in a stage. [1]"""
        return utilization(self.work.accelerator, stage)

    @property
    def mean_u(self) -> float:
        """Utilization over a step. [1]"""
        return sum(self.u(stage) * stage.duration_s for stage in self.stages) / self.step_s

    def site_mw(self, u: float) -> float:
        """Servers of all accelerators at a utilization, at their input. [MW]"""
        return server_w(accelerator_w(self.work.accelerator, u)) * self.work.count / W_PER_MW

    @property
    def idle_mw(self) -> float:
        """Servers of idle accelerators. [MW]"""
        return self.site_mw(0.0)

    @property
    def parts(self) -> Parts:
        """Mean power by part."""
        return parts_of(self.work, self.mean_u)

    @property
    def stop_swing_mw(self) -> float:
        """Power that goes when the job stops: mean less idle. [MW]"""
        return self.parts.total_mw - self.idle_mw

    @property
    def dip_mw(self) -> float:
        """Depth of the communication dip in each step: highest less lowest stage of 1 % of the step or more. [MW]"""
        lasting = [self.site_mw(self.u(s)) for s in self.stages if s.duration_s >= 0.01 * self.step_s]
        return max(lasting) - min(lasting)

    def summary(self) -> dict[str, Any]:
        """Every figure, as plain numbers; keys end in their unit."""
        work = self.work
        return {
            "model": work.model.name,
            "accelerator": work.accelerator.name,
            "phase": work.phase,
            "count": work.count,
            "parallelism": {"data": work.data, "tensor": work.tensor, "pipeline": work.pipeline},
            "batch": work.batch,
            "micro_batch": work.micro_batch,
            "sequence": work.sequence,
            "precision": work.precision,
            "memory": asdict(self.memory) | {"total_gb": self.memory.total_gb, "usable_gb": usable_gb(work)},
            "step_s": self.step_s,
            "bound": {f"{kind}_s": value for kind, value in self.bound_s.items()},
            "stages": [
                {"name": s.name, "duration_s": s.duration_s, "u": self.u(s), "p_mw": self.site_mw(self.u(s))}
                for s in self.stages
            ],
            "model_flops_utilization": self.model_flops_utilization,
            "tokens_per_s": self.tokens_per_s,
            "mean_u": self.mean_u,
            "power": asdict(self.parts) | {"total_mw": self.parts.total_mw, "idle_mw": self.idle_mw},
            "accelerator_idle_w": idle_w(work.accelerator),
            "stop_swing_mw": self.stop_swing_mw,
            "dip_mw": self.dip_mw,
        }


def estimate(work: Work) -> Estimate:
    """Estimate a piece of work.

    Raises
    ------
    InputError
        It does not fit the accelerators' memory; with the numbers.
    """
    return Estimate(work, refuse_what_does_not_fit(work), stages_of(work))
