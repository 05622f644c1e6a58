"""Metrics of a run in one flat row, and limits held to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cosim.errors import InputError
from cosim.report.tables import flat
from cosim.scenario.fields import nearest
from cosim.study.bisection import Verdict


def metrics_row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and words of a summary (`cosim.summarize`) by dotted path; those of single buses are left out."""
    return {".".join(path): value for path, value in flat(summary) if isinstance(value, int | float | str)}


def hold_to_limits(metrics: Mapping[str, Any], limits: Mapping[str, Mapping[str, float | None]]) -> Verdict:
    """Whether a run is within limits, and which it passes by most, relative to the limit.

    Raises
    ------
    InputError
        The run has no such metric; names the nearest.
    """
    worst, worst_name = -math.inf, ""
    for name, limit in limits.items():
        value = metrics.get(name)
        if isinstance(value, str) or value is None:
            raise InputError(f"limits.{name}: the run has no such number; {nearest(name, metrics)}")
        for bound, sign in ((limit.get("max"), 1), (limit.get("min"), -1)):
            if bound is None:
                continue
            passed = sign * (value - bound) / (abs(bound) or 1.0)
            if passed > worst:
                worst, worst_name = passed, name
    facts = {name: metrics[name] for name in limits}
    return Verdict(not worst > 0, worst_name, "", facts)
