"""Distributions that a study draws values from, as its YAML has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Number(_Strict):
    whole: bool = Field(False, description="Draws are rounded to whole numbers")


class Uniform(_Number):
    """Any value between two, equally likely."""

    kind: Literal["uniform"]
    min: float = Field(description="Lowest value")
    max: float = Field(description="Highest value")

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min={self.min:g} must be below max={self.max:g}")
        return self


class LogUniform(_Number):
    """Any magnitude between two, equally likely."""

    kind: Literal["log_uniform"]
    min: float = Field(gt=0, description="Lowest value")
    max: float = Field(gt=0, description="Highest value")

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min={self.min:g} must be below max={self.max:g}")
        return self


class Normal(_Number):
    """A normal distribution, cut off where bounds are given."""

    kind: Literal["normal"]
    mean: float = Field(description="Mean of the distribution before it is cut")
    std: float = Field(gt=0, description="Standard deviation before it is cut")
    min: float | None = Field(None, description="Lowest value; null: none")
    max: float | None = Field(None, description="Highest value; null: none")

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        low = float("-inf") if self.min is None else self.min
        high = float("inf") if self.max is None else self.max
        if low >= high:
            raise ValueError(f"min={low:g} must be below max={high:g}")
        if low > self.mean + 8 * self.std or high < self.mean - 8 * self.std:
            raise ValueError("mean is over eight std outside min and max: hardly anything is left of it")
        return self


class Triangular(_Number):
    """A lowest, a most likely and a highest value."""

    kind: Literal["triangular"]
    min: float = Field(description="Lowest value")
    mode: float = Field(description="Most likely value")
    max: float = Field(description="Highest value")

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if not self.min <= self.mode <= self.max or self.min == self.max:
            raise ValueError(f"mode={self.mode:g} must be from min={self.min:g} to max={self.max:g}, and these differ")
        return self


class Choice(_Strict):
    """One of some values."""

    kind: Literal["choice"]
    values: list[Any] = Field(min_length=1, description="What is drawn from")
    weights: list[Annotated[float, Field(ge=0)]] | None = Field(None, description="How often each; null: equally")

    @model_validator(mode="after")
    def _weighs_each(self) -> Self:
        if self.weights is not None and (len(self.weights) != len(self.values) or not sum(self.weights) > 0):
            raise ValueError("weights needs one weight a value, with a sum above 0")
        return self


Distribution = Annotated[Uniform | LogUniform | Normal | Triangular | Choice, Field(discriminator="kind")]
