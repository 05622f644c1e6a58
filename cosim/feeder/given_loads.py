"""Loads as a caller gives them to a power flow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from cosim.errors import InputError, Problem


def checked_loads(loads: object) -> dict[str, tuple[float, float]]:
    """Loads as `Feeder.solve` takes them.

    Raises
    ------
    InputError
        With every one that is not two finite numbers by the id of a bus.
    """
    if not isinstance(loads, Mapping):
        raise InputError(Problem("must be a mapping of bus id to (p_mw, q_mvar)", path="loads", value=loads))
    found: dict[str, tuple[float, float]] = {}
    problems = []
    for bus, power in loads.items():
        path = f"loads.{bus}"
        is_pair = isinstance(power, (Sequence, np.ndarray)) and not isinstance(power, str) and len(power) == 2
        if not isinstance(bus, str):
            problems.append(Problem("a bus id is text", path=path, value=bus))
        elif not is_pair or not all(isinstance(x, Real) and not isinstance(x, bool) for x in power):
            problems.append(Problem("must be two numbers, (p_mw, q_mvar)", path=path, value=power))
        elif not all(map(math.isfinite, power)):
            problems.append(Problem("power must be finite", path=path, value=power))
        else:
            found[bus] = float(power[0]), float(power[1])
    if problems:
        raise InputError(problems)
    return found
