"""What a scenario may say of requests and of what serves them: arrivals, tokens, replicas, energy of a query."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

MAX_TOKENS = 10_000_000
"""No prompt and no answer is longer. [token]"""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RatePoint(_Strict):
    """Arrival rate at one time; linear in between."""

    t_s: Seconds = Field(description="Time [s]")
    rate_per_s: float = Field(ge=0, description="Arrival rate lambda [1/s]")


def rate_problem(rate: list[RatePoint], period_s: float | None) -> str | None:
    """What is wrong with the points of lambda(t), else None."""
    times = [point.t_s for point in rate]
    if any(b <= a for a, b in itertools.pairwise(times)):
        return "rate needs points with rising t_s"
    if period_s is not None and times[-1] > period_s:
        return f"rate has a point at t_s={times[-1]:g}, after period_s={period_s:g}"
    return None


class SurgeConfig(_Strict):
    """An event that brings more requests, or fewer."""

    at_s: Seconds = Field(description="When it begins [s]")
    duration_s: PositiveSeconds = Field(description="How long it lasts [s]")
    factor: float = Field(ge=0, description="Factor on lambda meanwhile [1]")


class _RateConfig(_Strict):
    rate: list[RatePoint] = Field(min_length=1, description="Arrival rate lambda(t)")
    period_s: PositiveSeconds | None = Field(
        None, description="lambda(t) repeats with this period, e.g. 86400; null: held after its last point [s]"
    )
    surges: list[SurgeConfig] = Field([], description="Events that multiply lambda(t)")

    @model_validator(mode="after")
    def _rate_goes_forward(self) -> Self:
        if problem := rate_problem(self.rate, self.period_s):
            raise ValueError(problem)
        return self


class PoissonArrivals(_RateConfig):
    """Arrivals of a Poisson process with lambda(t)."""

    kind: Literal["poisson"]


class GammaArrivals(_RateConfig):
    """Arrivals of a renewal process: gamma distributed distances, in time stretched by lambda(t)."""

    kind: Literal["gamma"]
    cv: float = Field(gt=0, le=100, description="Coefficient of variation of a distance; 1 is Poisson [1]")


class StateConfig(_Strict):
    """One state of a source of a Markov-modulated Poisson process."""

    factor: float = Field(ge=0, description="Rate of the source while in it, over lambda(t) [1]")
    mean_s: PositiveSeconds = Field(description="Mean sojourn, exponential [s]")


class SourceConfig(_Strict):
    """A source that goes from state to state; from each, all others are equally likely to come next."""

    states: list[StateConfig] = Field(min_length=2, max_length=16, description="Its states")


class ModulatedArrivals(_RateConfig):
    """Arrivals of a Markov-modulated Poisson process: lambda(t) times the sum of its sources' factors."""

    kind: Literal["modulated"]
    sources: list[SourceConfig] = Field(min_length=1, max_length=16, description="Independent sources")


class RecordedArrivals(_Strict):
    """Arrivals of a record: a CSV with t_s, tokens_in and tokens_out."""

    kind: Literal["trace"]
    file: str = Field(min_length=1, description="CSV, relative to the scenario file")
    rate_factor: float = Field(1.0, gt=0, description="It is replayed this much faster [1]")
    repeat: bool = Field(False, description="Start again at the end; else nothing comes any more")


ArrivalsConfig = Annotated[
    PoissonArrivals | GammaArrivals | ModulatedArrivals | RecordedArrivals, Field(discriminator="kind")
]


class TokensConfig(_Strict):
    """Number of tokens; give one of fixed, median (with sigma) and quantiles."""

    fixed: int | None = Field(None, ge=1, le=MAX_TOKENS, description="Always so many [token]")
    median: float | None = Field(None, ge=1, le=MAX_TOKENS, description="Median of a lognormal distribution [token]")
    sigma: float = Field(0.0, ge=0, le=5, description="Standard deviation of its logarithm [1]")
    quantiles: list[float] | None = Field(
        None, min_length=2, max_length=200,
        description="Values at even probabilities from 0 to 1, linear in between [token]",
    )  # fmt: skip
    most: int = Field(MAX_TOKENS, ge=1, le=MAX_TOKENS, description="Longer ones are cut to this [token]")

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if sum(form is not None for form in (self.fixed, self.median, self.quantiles)) != 1:
            raise ValueError("give exactly one of fixed, median and quantiles")
        if self.quantiles and (self.quantiles[0] < 0 or any(b < a for a, b in itertools.pairwise(self.quantiles))):
            raise ValueError("quantiles must be at least 0 and must not fall")
        return self


class BatchPoint(_Strict):
    """Utilization of a replica that decodes so many requests together; linear in between."""

    batch: int = Field(ge=1, description="Requests decoded together [1]")
    utilization: Fraction = Field(description="Utilization U of the replica's accelerators [1]")


class ReplicaConfig(_Strict):
    """One copy of the model, on one or several accelerators, with continuous batching."""

    accelerators: int = Field(gt=0, description="Accelerators of one replica [1]")
    max_batch: int = Field(gt=0, le=4096, description="Requests in it at most [1]")
    kv_tokens: int = Field(gt=0, le=10**9, description="Tokens its KV cache holds; a request reserves all of its own")
    prefill_tokens_per_s: float = Field(gt=0, description="Speed of prefill, bound by computing [token/s]")
    prefill: Literal["mixed", "alone"] = Field(
        "mixed",
        description="mixed: all prompts that wait, together with a decode step (in-flight batching); alone: one after "
        "the other while decoding rests",
    )
    step_s: PositiveSeconds = Field(description="Decode step: part that does not depend on what is in it [s]")
    step_per_request_s: Seconds = Field(0.0, description="Decode step: more for each request in it [s]")
    step_per_token_s: Seconds = Field(0.0, description="Decode step: more for each token in the KV cache [s]")
    prefill_utilization: Fraction = Field(1.0, description="Utilization U in prefill [1]")
    decode_utilization: list[BatchPoint] = Field(
        [BatchPoint(batch=1, utilization=0.45), BatchPoint(batch=64, utilization=0.75)],
        min_length=1,
        description="Utilization U in decoding, by batch",
    )
    prefill_exponent: Fraction = Field(
        0.5, description="Under a cap prefill slows to (allowed share of the swing)^this [1]"
    )
    decode_exponent: Fraction = Field(0.33, description="The same of decoding, which memory binds [1]")

    @model_validator(mode="after")
    def _batches_rise(self) -> Self:
        batches = [point.batch for point in self.decode_utilization]
        if any(b <= a for a, b in itertools.pairwise(batches)):
            raise ValueError("decode_utilization needs points with rising batch")
        return self


class TokenModel(_Strict):
    """e(tin, tout) = a0 tin + a1 tout + a2 tin tout of one query, in J or s."""

    a0: float = Field(description="For each token of the prompt")
    a1: float = Field(description="For each token of the answer")
    a2: float = Field(0.0, description="For each pair of both")

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """Its value for one query."""
        return self.a0 * tokens_in + self.a1 * tokens_out + self.a2 * tokens_in * tokens_out
