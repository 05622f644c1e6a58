"""From the states of a semi-Markov load to rows of the kernel's arrays."""

from __future__ import annotations

import itertools
from typing import Any

from cosim.load.config import SemiMarkovConfig
from cosim.units import to_us


def add_states(job: Any, config: SemiMarkovConfig, states: list[tuple[Any, ...]], quantiles: list[float]) -> int:
    """Append the states of a job and their quantiles; return the shortest length of a visit. [us]

    Chances of the next state are kept as running sums, quantiles of what is one number as that number throughout.
    """
    names = list(config.states)
    n = len(config.probabilities)
    job["state_first"], job["n_state"], job["state"] = len(states), len(names), -1
    job["probability_first"], job["n_probability"] = len(quantiles), n
    quantiles += config.probabilities
    shortest_us = 2**62
    for i, state in enumerate(config.states.values()):
        follow = state.next or {names[(i + 1) % len(names)]: 1.0}
        total = sum(follow.values())
        first = len(quantiles)
        levels = state.utilization if isinstance(state.utilization, list) else n * [state.utilization]
        stays = state.dwell_s if isinstance(state.dwell_s, list) else n * [state.dwell_s]
        chances = itertools.accumulate(follow.get(other, 0.0) / total for other in names)
        quantiles += [*levels, *stays, *chances]
        states.append((first, first + n, first + 2 * n, state.noise_factor))
        shortest_us = min(shortest_us, to_us(stays[0]))
    return max(1, shortest_us)


def highest(config: SemiMarkovConfig, spread: float) -> float:
    """Most that a visit draws with noise of `spread` of its power, over the job's swing, at least 1. [1]"""
    tops = ((s.utilization[-1] if isinstance(s.utilization, list) else s.utilization, s.noise_factor)
            for s in config.states.values())  # fmt: skip
    return max(1.0, *(u * (1 + spread * factor) for u, factor in tops))
