"""What a scenario may say of the AI load: accelerators, jobs by phase, dynamics (Eq. 5-17).

Equation numbers are those of "The Unseen AI Disruptions for Power Grids: LLM-Induced Transients".
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.load.config_dynamics import DynamicsConfig, NoiseConfig
from cosim.load.config_serving import (
    ArrivalsConfig,
    RatePoint,
    ReplicaConfig,
    TokenModel,
    TokensConfig,
    rate_problem,
)
from cosim.load.config_visits import MAX_QUANTILES, MAX_STATES, PROBABILITIES, StateConfig, states_problem
from cosim.load.mitigation import MitigationConfig
from cosim.load.weights import weights_problem

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
    already_running: bool = Field(
        False, description="It runs since before t = 0: its power is at its level then, not at idle; needs start_s: 0"
    )

    @model_validator(mode="after")
    def _has_one_share(self) -> Self:
        if self.already_running and self.start_s != 0:
            raise ValueError(f"already_running needs start_s: 0, not {self.start_s}")
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
    dip_jitter: float = Field(
        0.0, ge=0, le=1, description="Relative standard deviation of the depth of an iteration's dips [1]"
    )
    evaluation: InterruptConfig | None = Field(None, description="Periodic evaluation")
    checkpoint: InterruptConfig | None = Field(None, description="Periodic checkpoint")
    tokens_per_iteration: float | None = Field(
        None, gt=0, description="Tokens trained on in one iteration; null: unknown [1]"
    )
    cold_start: list[StageConfig] = Field(
        [StageConfig(name="initialization", duration_s=30.0, utilization=0.1)],
        description="What precedes the first iteration, also after a failure; where already_running, [] by default",
    )
    failure: FailureConfig = Field(FailureConfig(), description="Unplanned stops")
    straggler: StragglerConfig = Field(StragglerConfig(), description="Waits for a slow accelerator")

    @model_validator(mode="before")
    @classmethod
    def _began_before(cls, given: Any) -> Any:
        """A job that runs already is past its initialization."""
        if isinstance(given, dict) and given.get("already_running") is True and "cold_start" not in given:
            return given | {"cold_start": []}
        return given


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


class QueryClassConfig(_Strict):
    """Queries of one size s_j and complexity c_j, or of one number of tokens (Eq. 15-16)."""

    size: float | None = Field(None, gt=0, description="Size s_j, e.g. tokens of prompt and answer; or tokens [1]")
    complexity: float = Field(1.0, gt=0, description="Complexity c_j, relative to the reference model [1]")
    duration_s: PositiveSeconds | None = Field(
        None, description="Time one query is in service; null: by runtime_model [s]"
    )
    tokens_in: int | None = Field(
        None, ge=1, description="Tokens of the prompt, for energy_model, runtime_model; null: unknown"
    )
    tokens_out: int | None = Field(
        None, ge=1, description="Tokens of the answer, for energy_model, runtime_model; null: unknown"
    )
    prefill_share: Fraction | None = Field(
        None, description="Part of its energy above idle that reading the prompt takes; null: unknown [1]"
    )
    rate: list[RatePoint] = Field(min_length=1, description="Arrival rate lambda(t)")
    period_s: PositiveSeconds | None = Field(
        None, description="lambda(t) repeats with this period, e.g. 86400; null: held after its last point [s]"
    )

    @model_validator(mode="after")
    def _rate_goes_forward(self) -> Self:
        if problem := rate_problem(self.rate, self.period_s):
            raise ValueError(problem)
        return self


class InferenceConfig(_FleetJobConfig):
    """Inference (Eq. 15-16): B_j(t) queries in service, each drawing P_query(s_j, c_j) for its duration.

    P_query = p_query_w * (size / 1000) * complexity, the paper leaves the form open; or e(tokens) / r(tokens) times
    complexity, by models of energy and runtime fitted to profile data (`cosim fit --profile`).
    """

    kind: Literal["inference"]
    p_query_w: float | None = Field(
        None, gt=0, description="Power of a query of size 1000 and complexity 1, above idle; or energy_model [W]"
    )
    energy_model: TokenModel | None = Field(None, description="Energy of a query above idle by its tokens [J]")
    runtime_model: TokenModel | None = Field(None, description="Time a query is in service by its tokens [s]")
    classes: dict[str, QueryClassConfig] = Field(min_length=1, description="Query classes by name")
    step_s: PositiveSeconds = Field(0.1, description="Grid on which arrivals are drawn [s]")

    @model_validator(mode="after")
    def _queries_have_power_and_time(self) -> Self:
        if (self.p_query_w is None) == (self.energy_model is None):
            raise ValueError("give exactly one of p_query_w and energy_model")
        for name, query in self.classes.items():
            needed = [("size", query.size)] if self.energy_model is None else []
            if self.energy_model is not None or query.duration_s is None:
                needed += [("tokens_in", query.tokens_in), ("tokens_out", query.tokens_out)]
            if query.duration_s is None and self.runtime_model is None:
                needed += [("duration_s, or runtime_model", None)]
            if missing := [what for what, value in needed if value is None]:
                raise ValueError(f"class {name} needs {', '.join(missing)}")
            p_w, duration_s = self.query(query)
            if duration_s < self.step_s:
                raise ValueError(f"step_s={self.step_s:g} is above duration_s={duration_s:g} of class {name}")
            if p_w <= 0:
                raise ValueError(f"energy_model gives class {name} {p_w:g} W; its tokens lie outside the model")
        return self

    def query(self, query: QueryClassConfig) -> tuple[float, float]:
        """Power [W] and duration [s] of one query of a class."""
        tokens = (query.tokens_in or 0, query.tokens_out or 0)
        duration_s = query.duration_s
        if duration_s is None:
            assert self.runtime_model is not None
            duration_s = self.runtime_model.of(*tokens)
        if self.energy_model is None:
            assert self.p_query_w is not None
            return self.p_query_w * (query.size or 0.0) / 1000 * query.complexity, duration_s
        return self.energy_model.of(*tokens) * query.complexity / duration_s if duration_s > 0 else 0.0, duration_s


class ServingConfig(_FleetJobConfig):
    """Inference request by request: a queue before replicas with continuous batching.

    Its accelerators over those of a replica are the number of replicas; what is left over idles.
    """

    kind: Literal["serving"]
    replica: ReplicaConfig = Field(description="One copy of the model")
    arrivals: ArrivalsConfig = Field(description="When requests come")
    tokens_in: TokensConfig | None = Field(None, description="Tokens of prompts; null with arrivals of a record")
    tokens_out: TokensConfig | None = Field(None, description="Tokens of answers; null with arrivals of a record")
    tokens_correlation: float = Field(
        0.0, ge=-1, le=1, description="Correlation of both, of their normal scores (Gaussian copula) [1]"
    )
    queue_limit: int = Field(
        10_000, ge=0, le=10_000_000, description="Requests that may wait; more are turned away [1]"
    )
    timeout_s: PositiveSeconds | None = Field(None, description="A request that has waited so long leaves [s]")
    step_s: PositiveSeconds = Field(
        0.1, description="Cell over which power is a mean, and after which a cap slows replicas [s]"
    )

    @model_validator(mode="after")
    def _requests_have_tokens(self) -> Self:
        if self.weight is not None:
            raise ValueError("replicas cannot follow weight; give accelerators")
        tokens = (self.tokens_in, self.tokens_out)
        if self.arrivals.kind == "trace":
            if any(tokens):
                raise ValueError("arrivals of a record have their own tokens; leave out tokens_in and tokens_out")
            return self
        if not all(tokens):
            raise ValueError("tokens_in and tokens_out are missing")
        least = sum(t.fixed if t.fixed is not None else (t.quantiles or [1])[0] for t in tokens if t is not None)
        if least > self.replica.kv_tokens:
            raise ValueError(f"kv_tokens={self.replica.kv_tokens} of the replica holds no request of {least:g} tokens")
        return self


class SemiMarkovConfig(_FleetJobConfig):
    """A load that goes from state to state, each visit with a utilization and a length of its own: idle and bursts."""

    kind: Literal["semi_markov"]
    probabilities: list[Fraction] = Field(
        PROBABILITIES, min_length=2, max_length=MAX_QUANTILES, description="Where the states' quantiles are given [1]"
    )
    states: dict[str, StateConfig] = Field(
        min_length=1, max_length=MAX_STATES, description="States by name; the first one begins"
    )

    @model_validator(mode="after")
    def _states_follow_one_another(self) -> Self:
        if problem := states_problem(self.states, self.probabilities):
            raise ValueError(problem)
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


JobConfig = Annotated[
    TrainingConfig | FineTuningConfig | InferenceConfig | ServingConfig | SemiMarkovConfig | TraceConfig,
    Field(discriminator="kind"),
]


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
            least = job.replica.accelerators if isinstance(job, ServingConfig) else 1
            if (job.accelerators or self.accelerators.count) < least:
                raise ValueError(f"job {name} has fewer accelerators than one replica, {least}")
            has_cold_start = isinstance(job, TrainingConfig)
            if job.mitigation is not None and (problem := job.mitigation.beyond(self.accelerators, has_cold_start)):
                raise ValueError(f"mitigation of job {name}: {problem}")
        if problem := weights_problem(self):
            raise ValueError(problem)
        return self
