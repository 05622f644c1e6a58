"""A log with what was measured of it, and how one limit's findings become a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from cosim.metrics.away import SiteLoad
from cosim.metrics.limits import Limit
from cosim.metrics.loading import Equipment
from cosim.metrics.log import AnyFloats, Floats, Log, has
from cosim.metrics.standards import Standards

Status = Literal["passed", "failed", "not_seen"]


@dataclass(frozen=True)
class Verdict:
    """One limit held against one run."""

    name: str
    title: str
    status: Status
    unit: str = ""
    value: float | None = None
    """Worst that was measured."""
    limit: float | None = None
    margin: float | None = None
    """Room left up to the limit, in its unit; below zero by how much it is passed."""
    t_s: float | None = None
    """When it was worst. [s]"""
    where: str = ""
    """Node, element or data center where it was worst."""
    note: str = ""
    """Why it is not seen, or what more there is to say."""
    source: str = ""
    measured: str = ""

    def noting(self, text: str) -> Verdict:
        """The same with more to say."""
        return replace(self, note="; ".join(one for one in (text, self.note) if one))

    def summary(self) -> dict[str, Any]:
        """Plain values; what is unknown is left out."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


class Seen(NamedTuple):
    """What one limit finds at one place."""

    value: float
    t_s: float
    """When; NaN where nothing happened. [s]"""
    where: str
    note: str = ""


@dataclass(frozen=True)
class Case:
    """A log with what was measured of it."""

    log: Log
    step_s: float
    duration_s: float
    disturbed: Floats
    names: list[str]
    """Nodes of the log."""
    datacenters: list[str]
    standards: Standards
    equipment: Equipment = field(default_factory=Equipment)
    lowest_pu: Mapping[str, AnyFloats] = field(default_factory=dict)
    """Lowest voltage of each data center since the row before, by name. [pu]"""
    loads: Mapping[str, SiteLoad] = field(default_factory=dict)
    """Loads of those that had a dip, by name."""


def verdict_of(
    limit: Limit, unit: str, bound: float, seen: list[Seen], why: str = "", lowest: bool = False, partial: str = ""
) -> Verdict:
    """Verdict from what was seen: the worst counts. `partial` says what is not seen, where that could still fail."""
    about: dict[str, Any] = {
        "name": limit.name,
        "title": limit.title,
        "source": limit.source,
        "measured": limit.measured,
    }
    if not seen:
        return Verdict(**about, status="not_seen", unit=unit, limit=bound, note=why or "the log has no data center")
    worst = min(seen, key=lambda one: one.value) if lowest else max(seen, key=lambda one: one.value)
    margin = worst.value - bound if lowest else bound - worst.value
    status: Status = "failed" if margin < 0.0 else "not_seen" if partial else "passed"
    note = "; ".join(text for text in (worst.note, partial if status != "failed" else "") if text)
    return Verdict(**about, status=status, unit=unit, value=worst.value, limit=bound, margin=margin,
                   t_s=None if math.isnan(worst.t_s) else worst.t_s, where=worst.where, note=note)  # fmt: skip


def seconds(value: float) -> str:
    """A time in words."""
    return f"{value:.6g} s"


def too_coarse(case: Case, needed_s: float) -> str:
    """Why a log with rows too far apart tells nothing, and which step it would need."""
    return f"too coarse: the log step is {seconds(case.step_s)}, needed is at most {seconds(needed_s)}"


def too_short(case: Case, needed_s: float) -> str:
    """Why a run too short tells nothing, and which length it would need."""
    return f"too short: the run lasts {seconds(case.duration_s)}, needed are {seconds(needed_s)}"


def never_calm(needed_s: float) -> str:
    """Why a run tells nothing of what is judged outside disturbances."""
    return f"no {seconds(needed_s)} without a disturbance of the supply"


def centers_with(case: Case, quantity: str) -> list[str]:
    """Data centers of which the log holds a quantity."""
    return [name for name in case.datacenters if has(case.log, f"datacenter/{name}/{quantity}")]
