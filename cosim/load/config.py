"""What a scenario may say of the AI load: accelerators, jobs by phase, dynamics (Eq. 5-17).

Equation numbers are those of "The Unseen AI Disruptions for Power Grids: LLM-Induced Transients".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.load.mitigation import MitigationConfig

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AcceleratorsConfig(_Strict):
    """The fleet of identical accelerators (Eq. 6: N, P_peak, and the idle power beside it)."""

    count: int = Field(gt=0, description="Number of accelerators N [1]")
    p_peak_w: float = Field(gt=0, description="Power of one accelerator at full utilization, near its TDP [W]")
    p_idle_w: float = Field(ge=0, description="Power of one idle accelerator [W]")
    per_node: int = Field(8, gt=0, description="Accelerators in one node [1]")

    @model_validator(mode="after")
    def _idle_is_below_peak(self) -> Self:
        if self.p_idle_w > self.p_peak_w:
            raise ValueError(f"p_idle_w={self.p_idle_w:g} is above p_peak_w={self.p_peak_w:g}")
        return self


class EdgeConfig(_Strict):
    """Second-order response of power to a commanded edge (Eq. 9)."""

    omega_n_rad_per_s: float = Field(gt=0, description="Natural frequency of the power lag [rad/s]")
    zeta: float = Field(1.0, gt=0, description="Damping ratio of the power lag [1]")
    c_s: float = Field(0.0, description="C of Eq. 9, weight of dP/dt [s]")
    d_s2: float = Field(0.0, description="D of Eq. 9, weight of d2P/dt2 [s2]")


class DynamicsConfig(_Strict):
    """Eq. 7-9: how power follows a commanded edge, upward and downward."""

    up: EdgeConfig = Field(
        EdgeConfig(omega_n_rad_per_s=3400.0),
        description="Rising edges; the default rises 10-90 % in 1 ms, as an A100 does",
    )
    down: EdgeConfig = Field(
        EdgeConfig(omega_n_rad_per_s=134.0),
        description="Falling edges; the default falls 90-10 % in 25 ms, as an A100 does",
    )
    supply_tau_s: float = Field(0.005, ge=0, description="First-order lag of the server power supplies behind it [s]")


class NoiseConfig(_Strict):
    """Ornstein-Uhlenbeck fluctuation of the swing, common to all nodes and node by node."""

    std: float = Field(0.0, ge=0, le=0.3, description="Standard deviation common to all nodes, of the swing [1]")
    correlation_s: PositiveSeconds = Field(2.0, description="Correlation time of the common part [s]")
    node_std: float = Field(
        0.0, ge=0, le=1, description="Standard deviation of one node; falls with the root of their number [1]"
    )
    node_correlation_s: PositiveSeconds = Field(1.0, description="Correlation time of the node part [s]")
    step_s: PositiveSeconds = Field(0.1, description="Grid on which noise is drawn, linear in between [s]")


class StageConfig(_Strict):
    """A stretch of constant utilization, e.g. forward or all_reduce."""

    name: str = Field("", description="What runs; a label")
    duration_s: PositiveSeconds = Field(description="Duration [s]")
    utilization: Fraction = Field(description="Utilization U of the job's accelerators [1]")


class InterruptConfig(_Strict):
    """An evaluation or a checkpoint between two iterations; give one of every_s, every_iterations."""

    every_s: PositiveSeconds | None = Field(None, description="Due when this long has passed since the last [s]")
    every_iterations: int | None = Field(None, gt=0, description="Due after so many iterations [1]")
    duration_s: PositiveSeconds = Field(description="Duration [s]")
    utilization: Fraction = Field(description="Utilization meanwhile [1]")

    @model_validator(mode="after")
    def _has_one_period(self) -> Self:
        if (self.every_s is None) == (self.every_iterations is None):
            raise ValueError("give exactly one of every_s and every_iterations")
        return self


class FailureConfig(_Strict):
    """Unplanned stops: a Poisson process per node-hour (Llama 3: 419 in 54 days on 2,048 nodes: 1.6e-4)."""

    rate_per_node_hour: float = Field(0.0, ge=0, description="Failures per node and hour of running [1/h]")
    restart_s: float = Field(120.0, ge=1, description="From the failure to the cold start that follows [s]")


class StragglerConfig(_Strict):
    """Iterations in which all accelerators wait for a slow one at the end: a Poisson process per node-hour."""

    rate_per_node_hour: float = Field(0.0, ge=0, description="Waits per node and hour of running [1/h]")
    mean_wait_s: PositiveSeconds = Field(2.0, description="Mean of a wait, exponentially distributed [s]")
    utilization: Fraction = Field(0.3, description="Utilization of those that wait [1]")


class WeightPoint(_Strict):
    """From at_s on the job has this share of the fleet."""

    at_s: Seconds = Field(description="Time from which the weight holds [s]")
    weight: Fraction = Field(description="Weight w(t) of Eq. 17 [1]")


class _JobConfig(_Strict):
    start_s: Seconds | None = Field(0.0, description="Start; null waits for a job_started event [s]")
    stop_s: Seconds | None = Field(None, description="Stop; null runs to the end [s]")

    @model_validator(mode="after")
    def _stops_after_it_starts(self) -> Self:
        if self.stop_s is not None and self.start_s is not None and self.stop_s <= self.start_s:
            raise ValueError(f"stop_s={self.stop_s:g} is not after start_s={self.start_s:g}")
        return self


class _FleetJobConfig(_JobConfig):
    accelerators: int | None = Field(
        None, gt=0, description="Accelerators of the job; its weight of Eq. 17 follows; null: all of them"
    )
    weight: list[WeightPoint] | None = Field(
        None, description="Weight w(t) of Eq. 17 as a schedule, instead of accelerators"
    )
    dynamics: DynamicsConfig = Field(DynamicsConfig(), description="Eq. 7-9")
    noise: NoiseConfig = Field(NoiseConfig(), description="Fluctuation of the swing")
    mitigation: MitigationConfig | None = Field(None, description="What the owner does at the accelerators; null: none")

    @model_validator(mode="after")
    def _has_one_share(self) -> Self:
        if self.accelerators is not None and self.weight is not None:
            raise ValueError("give accelerators or weight, not both")
        if self.weight is not None:
            times = [point.at_s for point in self.weight]
            if not times or any(b <= a for a, b in itertools.pairwise(times)):
                raise ValueError("weight needs points with rising at_s")
        return self


class TrainingConfig(_FleetJobConfig):
    """Synchronous training (Eq. 11-12): every accelerator of the job swings together."""

    kind: Literal["training"]
    iteration: list[StageConfig] = Field(
        min_length=1, description="Stages of one iteration in order: forward, backward, all_reduce, optimizer"
    )
    iteration_jitter: float = Field(
        0.0, ge=0, le=0.2, description="Relative standard deviation of an iteration's duration [1]"
    )
    evaluation: InterruptConfig | None = Field(None, description="Periodic evaluation")
    checkpoint: InterruptConfig | None = Field(None, description="Periodic checkpoint")
    cold_start: list[StageConfig] = Field(
        [StageConfig(name="initialization", duration_s=30.0, utilization=0.1)],
        description="What precedes the first iteration, also after a failure",
    )
    failure: FailureConfig = Field(FailureConfig(), description="Unplanned stops")
    straggler: StragglerConfig = Field(StragglerConfig(), description="Waits for a slow accelerator")


class FineTuningStageConfig(_Strict):
    """One stage of Appendix A: utilization times alpha(t), which alternates between 1 and beta (Eq. 14)."""

    name: str = Field(description="What runs; a label")
    duration_s: PositiveSeconds = Field(description="Duration of the stage [s]")
    utilization: Fraction = Field(description="Utilization while alpha = 1 [1]")
    beta: Fraction = Field(0.8, description="alpha in the low stretches, below 1 [1]")
    high_s: PositiveSeconds = Field(4.0, description="Length of a stretch with alpha = 1 [s]")
    low_s: Seconds = Field(1.0, description="Length of a stretch with alpha = beta; 0: none [s]")
    jitter: float = Field(0.0, ge=0, le=0.2, description="Relative standard deviation of those lengths [1]")
    evaluates: bool = Field(True, description="Whether evaluations interrupt this stage")


def _appendix_a() -> list[FineTuningStageConfig]:
    """Stages of the paper's Appendix A and Fig. 13: 0-350, 350-1700, 1700-3100, 3100-3200 s.

    Levels are read off Fig. 13 against the 355 W of the RX 7900 XTX (Table V): 250 to 330 W.
    """
    stage = FineTuningStageConfig
    return [
        stage(name="loading", duration_s=10, utilization=0.6, low_s=0, evaluates=False),
        stage(name="set_up", duration_s=340, utilization=0.1, low_s=0, evaluates=False),
        stage(name="warm_up", duration_s=1350, utilization=0.92, beta=0.72, high_s=4, low_s=2, jitter=0.2),
        stage(name="decay", duration_s=1400, utilization=0.9, beta=0.82, high_s=4, low_s=2, jitter=0.1),
        stage(name="shutdown", duration_s=100, utilization=0.03, low_s=0, evaluates=False),
    ]


class FineTuningConfig(_FleetJobConfig):
    """Fine-tuning (Eq. 13-14) in the stages of Appendix A."""

    kind: Literal["fine_tuning"]
    stages: list[FineTuningStageConfig] = Field(
        default_factory=_appendix_a, min_length=1, description="Stages in order; default: Appendix A"
    )
    evaluation: InterruptConfig | None = Field(
        InterruptConfig(every_s=150, duration_s=12, utilization=0.02),
        description="Periodic evaluation: a drop to near idle",
    )
    checkpoint: InterruptConfig | None = Field(None, description="Periodic checkpoint")
    failure: FailureConfig = Field(FailureConfig(), description="Unplanned stops")


class RatePoint(_Strict):
    """Arrival rate at one time; linear in between."""

    t_s: Seconds = Field(description="Time [s]")
    rate_per_s: float = Field(ge=0, description="Arrival rate lambda [1/s]")


class QueryClassConfig(_Strict):
    """Queries of one size s_j and complexity c_j (Eq. 15-16)."""

    size: float = Field(gt=0, description="Size s_j, e.g. tokens of prompt and answer [1]")
    complexity: float = Field(1.0, gt=0, description="Complexity c_j, relative to the reference model [1]")
    duration_s: PositiveSeconds = Field(description="Time one query is in service [s]")
    rate: list[RatePoint] = Field(min_length=1, description="Arrival rate lambda(t)")
    period_s: PositiveSeconds | None = Field(
        None, description="lambda(t) repeats with this period, e.g. 86400; null: held after its last point [s]"
    )

    @model_validator(mode="after")
    def _rate_goes_forward(self) -> Self:
        times = [point.t_s for point in self.rate]
        if any(b <= a for a, b in itertools.pairwise(times)):
            raise ValueError("rate needs points with rising t_s")
        if self.period_s is not None and times[-1] > self.period_s:
            raise ValueError(f"rate has a point at t_s={times[-1]:g}, after period_s={self.period_s:g}")
        return self


class InferenceConfig(_FleetJobConfig):
    """Inference (Eq. 15-16): B_j(t) queries in service, each drawing P_query(s_j, c_j) for its duration.

    P_query = p_query_w * (size / 1000) * complexity; the paper leaves the form open.
    """

    kind: Literal["inference"]
    p_query_w: float = Field(gt=0, description="Power of a query of size 1000 and complexity 1, above idle [W]")
    classes: dict[str, QueryClassConfig] = Field(min_length=1, description="Query classes by name")
    step_s: PositiveSeconds = Field(0.1, description="Grid on which arrivals are drawn [s]")

    @model_validator(mode="after")
    def _queries_outlast_the_grid(self) -> Self:
        for name, query in self.classes.items():
            if query.duration_s < self.step_s:
                raise ValueError(f"step_s={self.step_s:g} is above duration_s={query.duration_s:g} of class {name}")
        return self


class TraceConfig(_JobConfig):
    """A measured power trace (CSV with t_s and p_w, p_kw or p_mw) in place of a model."""

    kind: Literal["trace"]
    file: str = Field(min_length=1, description="CSV, relative to the scenario file")
    column: str | None = Field(None, description="Power column; null: the one of p_w, p_kw, p_mw (or *_kw) there")
    scale: float = Field(1.0, gt=0, description="Factor on the power [1]")
    scale_to_mean_mw: float | None = Field(None, gt=0, description="Mean power to scale to, instead [MW]")
    hold: Literal["previous", "linear"] = Field("previous", description="Between samples")
    repeat: bool = Field(False, description="Start again at the end; else hold the last sample")
    max_gap_s: float | None = Field(
        None, gt=0, description="Longest allowed distance of samples; null: 10 times the median [s]"
    )
    c_s: float = Field(0.0, description="C of Eq. 9 by central differences of the trace [s]")
    d_s2: float = Field(0.0, description="D of Eq. 9 by central differences of the trace [s2]")


JobConfig = Annotated[TrainingConfig | FineTuningConfig | InferenceConfig | TraceConfig, Field(discriminator="kind")]


class LoadConfig(_Strict):
    """AI load of one data center."""

    accelerators: AcceleratorsConfig | None = Field(
        None, description="The fleet; may be null where every job is a trace"
    )
    p_base_mw: float = Field(
        0.0, ge=0, description="P_base of Eq. 11-17, counted once: what servers draw beside accelerators [MW]"
    )
    jobs: dict[str, JobConfig] = Field(min_length=1, description="Jobs by name")

    @model_validator(mode="after")
    def _fleet_carries_the_jobs(self) -> Self:
        fleet = {name: job for name, job in self.jobs.items() if not isinstance(job, TraceConfig)}
        if fleet and self.accelerators is None:
            raise ValueError(f"accelerators is missing, but job {next(iter(fleet))} needs it")
        if self.accelerators is None:
            return self
        for name, job in fleet.items():
            if job.accelerators is not None and job.accelerators > self.accelerators.count:
                raise ValueError(
                    f"accelerators={job.accelerators} of job {name} is above count={self.accelerators.count}"
                )
            if job.mitigation is not None and (problem := _mitigation_problem(self.accelerators, job)):
                raise ValueError(f"mitigation of job {name}: {problem}")
        if problem := weights_problem(self):
            raise ValueError(problem)
        return self


def _mitigation_problem(fleet: AcceleratorsConfig, job: _FleetJobConfig) -> str | None:
    """What these accelerators or this job cannot do, else None."""
    assert job.mitigation is not None
    if job.mitigation.stagger_s > 0 and not isinstance(job, TrainingConfig):
        return f"stagger_s={job.mitigation.stagger_s:g} is for training, which has a cold start"
    return job.mitigation.beyond(fleet.p_idle_w, fleet.p_peak_w)


def job_weight(load: LoadConfig, job: _FleetJobConfig, t_s: float) -> float:
    """Weight w(t) of Eq. 17 that a running job has. [1]"""
    if job.weight is not None:
        return next((p.weight for p in reversed(job.weight) if p.at_s <= t_s), 0.0)
    assert load.accelerators is not None
    return 1.0 if job.accelerators is None else job.accelerators / load.accelerators.count


def heaviest(load: LoadConfig, switched: Iterable[tuple[float, str, bool]] = ()) -> tuple[float, float]:
    """Time and size of the largest sum of weights of jobs that run together.

    Parameters
    ----------
    load : LoadConfig
    switched : iterable of (float, str, bool)
        Times [s] at which events start (True) or stop a job, beside its own start_s and stop_s.

    Returns
    -------
    at_s, weight : float
        First time of the largest sum [s], and that sum [1].
    """
    jobs = {name: job for name, job in load.jobs.items() if not isinstance(job, TraceConfig)}
    changes = [change for change in switched if change[1] in jobs]
    for name, job in jobs.items():
        if job.start_s is not None:
            changes.append((job.start_s, name, True))
        if job.stop_s is not None:
            changes.append((job.stop_s, name, False))
    times = {at_s for at_s, _, _ in changes} | {p.at_s for job in jobs.values() for p in job.weight or ()}
    running: set[str] = set()
    waiting = sorted(changes, key=lambda change: (change[0], change[2]))
    best = (0.0, 0.0)
    for t_s in sorted(times):
        while waiting and waiting[0][0] <= t_s:
            _, name, starts = waiting.pop(0)
            (running.add if starts else running.discard)(name)
        total = sum(job_weight(load, jobs[name], t_s) for name in running)
        if total > best[1]:
            best = (t_s, total)
    return best


def weights_problem(load: LoadConfig, switched: Iterable[tuple[float, str, bool]] = ()) -> str | None:
    """What is wrong where jobs together ask for more than the fleet, else None."""
    at_s, weight = heaviest(load, switched)
    return f"jobs: their weights sum to {weight:.3g} at t = {at_s:g} s, above 1" if weight > 1 + 1e-9 else None
