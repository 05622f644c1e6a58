"""Efficiency over load as a scenario gives it, and the loss it stands for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class EfficiencyPoint(BaseModel):
    """Efficiency of a converter at one load."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    load: float = Field(gt=0, le=1.5, description="Output over rating [1]")
    eta: float = Field(gt=0, le=1, description="Output over input [1]")


def efficiency_points(pairs: Sequence[tuple[float, float]]) -> list[EfficiencyPoint]:
    """Points of (load, efficiency)."""
    return [EfficiencyPoint(load=load, eta=eta) for load, eta in pairs]


def check_rising(name: str, values: Sequence[float], unit: str = "load") -> None:
    """ValueError where the values of a table's first column do not rise."""
    if any(b <= a for a, b in itertools.pairwise(values)):
        raise ValueError(f"{name} needs points with rising {unit}")


def loss_coefficients(points: Sequence[EfficiencyPoint]) -> tuple[float, float, float]:
    """a0, a1, a2 of loss = a0 + a1 x + a2 x2 (all over the rating) through efficiency points.

    One point gives a proportional loss, two a constant and a proportional part, more a least-squares parabola
    (through the points where there are three).

    Raises
    ------
    ValueError
        The points ask for a loss that falls below zero or an input that does not rise with the output.
    """
    x = np.array([p.load for p in points])
    loss = x * (1 / np.array([p.eta for p in points]) - 1)
    if len(points) == 1:
        return 0.0, float(loss[0] / x[0]), 0.0
    powers = min(len(points), 3)
    fitted, *_ = np.linalg.lstsq(np.vander(x, powers, increasing=True), loss, rcond=None)
    a0, a1, a2 = (*(float(v) for v in fitted), 0.0)[:3]
    grid = np.linspace(0.0, 1.5, 151)
    if a0 < 0 or a2 < 0 or 1 + a1 <= 0 or np.any(a0 + a1 * grid + a2 * grid**2 < 0):
        raise ValueError(
            f"these points ask for a loss of {a0:.4f} + {a1:.4f} x + {a2:.4f} x2, which is not one of a converter: "
            "it must stay above zero and bend upward"
        )
    return a0, a1, a2


def check_efficiency(name: str, points: Sequence[EfficiencyPoint]) -> None:
    """ValueError where the loads of efficiency points do not rise, or no converter has such losses."""
    check_rising(name, [p.load for p in points])
    try:
        loss_coefficients(points)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def loss_in_mw(points: Sequence[EfficiencyPoint], rating_mw: float) -> tuple[float, float, float]:
    """The same for powers in MW: a0 [MW], a1 [1], a2 [1/MW]."""
    a0, a1, a2 = loss_coefficients(points)
    return a0 * rating_mw, a1, a2 / rating_mw
