"""Tap changers and capacitor banks: how often they operated, and between which positions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cosim.metrics.log import Log, has
from cosim.units import S_PER_DAY

EVENT_OF = {"regulator": "tap_changed", "capacitor": "capacitor_switched"}
"""Event that each kind of device makes when it operates."""
_CHANNEL = {"regulator": "regulator/tap", "capacitor": "capacitor/n_on"}


@dataclass(frozen=True)
class Operations:
    """One device over a run."""

    n_operation: int
    n_operation_per_day: float
    position_min: float
    position_max: float
    position_end: float
    """Tap counted from neutral, or steps on."""


def operations(log: Log, duration_s: float) -> dict[str, dict[str, Operations]]:
    """Operations of every `regulator` and `capacitor` of a log, by name.

    Every operation is an event, so none between two rows is missed.

    Parameters
    ----------
    log : Log
    duration_s : float
        Simulated time that the log covers. [s]
    """
    found: dict[str, dict[str, Operations]] = {}
    for kind, path in _CHANNEL.items():
        if not has(log, path):
            continue
        first = log.read(path, 0, 1)
        if not len(first):
            continue
        seen = {name: [float(value)] for name, value in zip(log.names(kind), first[0], strict=True)}
        table, count = log.events, Counter[str]()
        for what, element, value in zip(table["kind"], table["element"], table["value"], strict=True):
            if str(what) == EVENT_OF[kind] and str(element) in seen:
                seen[str(element)].append(float(value))
                count[str(element)] += 1
        days = duration_s / S_PER_DAY
        found[kind] = {
            name: Operations(count[name], count[name] / days if days > 0 else 0.0, min(v), max(v), v[-1])
            for name, v in seen.items()
        }
    return found
