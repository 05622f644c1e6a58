"""What became of the load, in sentences: it went dark, was called, moved the frequency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cosim.metrics.analysis import Analysis
from cosim.metrics.calls import Call, calls_of
from cosim.metrics.log import Log
from cosim.report.words import Finding, number

N_NAMED = 3
"""So many data centers are named; more are counted."""


def outcomes(log: Log, found: Analysis) -> Iterator[Finding]:
    """The sentences, most of them only where something happened.

    Parameters
    ----------
    log : Log
    found : Analysis
        Its metrics.
    """
    yield from _engine(log.metrics, found)
    for name in found.datacenter:
        for call in calls_of(log, name):
            yield Finding(_called(name, call), call.start_s)
    if area := log.metrics.get("area"):
        yield Finding(_frequency(area))


def _engine(metrics: Mapping[str, Any], found: Analysis) -> Iterator[Finding]:
    """What stood without power or cooling."""
    centers = {name: one for name, one in metrics.get("datacenter", {}).items() if name in found.datacenter}
    for key, what in (("down_s", "Servers are without power"), ("without_cooling_s", "Cooling is off")):
        spans = {name: float(one[key]) for name, one in centers.items() if one.get(key, 0.0) > 0.0}
        if spans:
            each = "each" if len(spans) > 1 else "in all"
            yield Finding(f"{what} at {_who(list(spans))} for {_span(list(spans.values()))} s {each}.")


def _who(names: list[str]) -> str:
    if len(names) > N_NAMED:
        return f"{len(names)} data centers"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _span(values: list[float]) -> str:
    least, most = number(min(values), 3), number(max(values), 3)
    return least if least == most else f"{least} to {most}"


def _called(name: str, call: Call) -> str:
    """What a call for demand response asked and got, how late, and at what price of work."""
    text = f"Called down to {number(call.cap_mw)} MW at {number(call.start_s, 6)} s, {name} "
    if call.late_s is None:
        text += f"never stays under it, by up to {number(call.over_mw, 3)} MW, and gives {number(call.delivered_mw)} MW"
    else:
        late = "in time" if call.late_s == 0.0 else f"{number(call.late_s, 3)} s late"
        text += f"gives {number(call.delivered_mw)} MW, {late}"
    held = call.e_throttled_mwh
    return f"{text}; {f'{number(held, 3)} MWh of IT work are' if held > 0 else 'no IT work is'} held back."


def _frequency(area: Mapping[str, float]) -> str:
    """Extremes of the area's frequency and their times, and what was shed."""
    text = "; ".join(
        f"{way} {area[f'{way}_hz']:.3f} Hz at {number(area[f'{way}_t_s'], 6)} s" for way in ("lowest", "highest")
    )
    shed = area.get("p_shed_mw", 0.0)
    return f"Frequency of the area: {text}; {f'{number(shed)} MW of its load are' if shed else 'no load is'} shed."
