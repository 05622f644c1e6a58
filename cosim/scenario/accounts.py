"""What energy from the grid emits and costs: a constant, points, or a CSV, read by the metrics of a log."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.csv_file import csv_rows, finite
from cosim.errors import InputError, Problem

MAX_POINTS = 20_000
"""Points of a series within a run."""


class Series(NamedTuple):
    """A quantity that holds from each time until the next, the first also before it."""

    t_s: list[float]
    """Rising times. [s]"""
    value: list[float]
    period_s: float | None = None
    """It repeats with this period; None: the last value goes on. [s]"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a log keeps them."""
        return self._asdict()


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CarbonPoint(_Strict):
    """Carbon intensity from one time on."""

    t_s: float = Field(ge=0, description="Time from which it holds [s]")
    g_per_kwh: float = Field(ge=0, description="Carbon intensity [g/kWh]")


class PricePoint(_Strict):
    """Price of energy from one time on."""

    t_s: float = Field(ge=0, description="Time from which it holds [s]")
    per_mwh: float = Field(description="Price, in the currency [1/MWh]")


class _Account(_Strict):
    """One of a constant, points and a file."""

    quantity: ClassVar[str]

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in (self.quantity, "profile", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {self.quantity}, profile and file")
        profile, period_s = getattr(self, "profile"), getattr(self, "period_s")  # noqa: B009
        times = [point.t_s for point in profile or ()]
        if profile is not None and (not times or any(b <= a for a, b in itertools.pairwise(times))):
            raise ValueError("profile needs points with rising t_s")
        if period_s is not None and times and times[-1] >= period_s:
            raise ValueError(f"profile has a point at t_s={times[-1]:g}, not before period_s={period_s:g}")
        return self

    def series(self, folder: FilePath, until_s: float) -> Series:
        """What a run of this length sees of it.

        Raises
        ------
        InputError
            The file cannot be read, with file and line, or has too many points in the run.
        """
        told: Mapping[str, Any] = dict(self)
        if told[self.quantity] is not None:
            return Series([0.0], [float(told[self.quantity])])
        if told["profile"] is not None:
            points = [(point.t_s, float(getattr(point, self.quantity))) for point in told["profile"]]
        else:
            points = list(_read(folder / told["file"], self.quantity, told["period_s"]))
        if told["period_s"] is None:
            points = [point for point in points if point[0] < until_s] or points[:1]
        if len(points) > MAX_POINTS:
            raise InputError(
                Problem(f"has {len(points)} points within the run; {MAX_POINTS} are allowed", "file", told["file"])
            )
        return Series([t_s for t_s, _ in points], [value for _, value in points], told["period_s"])


class CarbonConfig(_Account):
    """Carbon intensity of energy from the grid; the metrics tell what each data center emits."""

    quantity: ClassVar[str] = "g_per_kwh"
    g_per_kwh: float | None = Field(None, ge=0, description="Constant carbon intensity [g/kWh]")
    profile: list[CarbonPoint] | None = Field(None, description="Intensity by time, each until the next")
    file: str | None = Field(None, min_length=1, description="CSV with t_s and g_per_kwh, each until the next")
    period_s: float | None = Field(
        None, gt=0, description="profile or file repeat with this period, e.g. 86400; null: the last value goes on [s]"
    )


class PriceConfig(_Account):
    """Price of energy; the metrics tell what each data center, the feeder's and its transformers' losses cost."""

    quantity: ClassVar[str] = "per_mwh"
    currency: str = Field("USD", min_length=1, max_length=10, description="Currency, a label")
    per_mwh: float | None = Field(None, description="Constant price [1/MWh]")
    profile: list[PricePoint] | None = Field(None, description="Price by time, each until the next")
    file: str | None = Field(None, min_length=1, description="CSV with t_s and per_mwh, each until the next")
    period_s: float | None = Field(
        None, gt=0, description="profile or file repeat with this period, e.g. 86400; null: the last value goes on [s]"
    )


Account = Literal["carbon", "price"]


def _read(path: FilePath, column: str, period_s: float | None) -> Iterator[tuple[float, float]]:
    """Times and values of a CSV, checked as the points of a profile are."""
    file, last_s = str(path), -math.inf
    with csv_rows(path, "this series") as (header, rows):
        if not {"t_s", column} <= set(header):
            raise InputError(Problem(f"needs columns t_s and {column} in its first line", file=file, line=1))
        places = [header.index(name) for name in ("t_s", column)]
        for line, row in rows:
            fields = [row[place] if place < len(row) else "" for place in places]
            t_s, value = (finite(text, name, file, line) for text, name in zip(fields, ("t_s", column), strict=True))
            if not last_s < t_s or t_s < 0.0 or (period_s is not None and t_s >= period_s):
                bound = "" if period_s is None else f" and stay below period_s = {period_s:g}"
                raise InputError(Problem(f"times must rise from 0 on{bound}", value=t_s, file=file, line=line))
            if column == "g_per_kwh" and value < 0.0:
                raise InputError(Problem("must not be negative", column, value, file, line))
            last_s = t_s
            yield t_s, value
    if last_s < 0.0:
        raise InputError(Problem("holds no point", file=file))
