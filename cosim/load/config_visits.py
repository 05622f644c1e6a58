"""What a scenario may say of a load that goes from state to state: a semi-Markov process of utilization."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]

PROBABILITIES = [0.0, 0.03125, 0.125, 0.25, 0.5, 0.75, 0.875, 0.9375, 0.96875, 0.984375, 1.0]
"""Where quantiles are given: closer in the upper tail, which stays of loads that burst have."""
MAX_QUANTILES, MAX_STATES = 32, 64
SUM_ERROR = 0.01
"""By which chances that are printed with two digits may miss one; they are scaled to it. [1]"""


class StateConfig(BaseModel):
    """One state: each visit draws its utilization and its length, then the next state."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    utilization: Fraction | list[Fraction] = Field(
        description="Utilization U of a visit: one number, or its quantiles at `probabilities` [1]"
    )
    dwell_s: Annotated[float, Field(gt=0)] | list[Annotated[float, Field(gt=0)]] = Field(
        description="Length of a visit: one number, or its quantiles at `probabilities` [s]"
    )
    noise_factor: float = Field(1.0, ge=0, description="Factor on the noise of the job in this state [1]")
    next: dict[str, Fraction] = Field(
        {}, description="Chance of each state that may follow, by name; they sum to one; empty: the one listed next"
    )


def states_problem(states: Mapping[str, StateConfig], probabilities: list[float]) -> str | None:
    """All that is wrong with the states of a job, else None."""
    found = []
    if probabilities[0] != 0 or probabilities[-1] != 1 or any(b <= a for a, b in itertools.pairwise(probabilities)):
        found.append("probabilities must rise from 0 to 1")
    for name, state in states.items():
        found += _quantile_problems(name, state, len(probabilities))
        found += [
            f"state {name} has next state {other}; there are {', '.join(states)}"
            for other in state.next
            if other not in states
        ]
        total = math.fsum(state.next.values())
        if state.next and abs(total - 1) > SUM_ERROR:
            found.append(f"next of state {name} sums to {total:g}, not 1")
    return "; ".join(found) or None


def _quantile_problems(name: str, state: StateConfig, n: int) -> list[str]:
    found = []
    for key in ("utilization", "dwell_s"):
        values = getattr(state, key)
        if not isinstance(values, list):
            continue
        if len(values) != n:
            found.append(f"state {name} has {len(values)} quantiles of {key}; probabilities has {n}")
        if any(b < a for a, b in itertools.pairwise(values)):
            found.append(f"{key} of state {name}: quantiles may not fall")
    return found
