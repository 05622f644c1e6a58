"""What became of the load, in sentences: it left and came back, went dark, was called, moved the frequency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cosim.metrics.analysis import Analysis
from cosim.metrics.calls import Call, calls_of
from cosim.metrics.log import Log
from cosim.metrics.ride_through import load_losses
from cosim.metrics.standards import column, terminal_voltage
from cosim.report.words import Finding, number

LEAST_SHARE = 0.02
"""Of the load before a disturbance: what leaves less is not told. [1]"""
N_NAMED = 3
"""So many data centers are named; more are counted."""
_AFTER = {"1s": "1 s", "1min": "1 min", "1h": "1 h"}


def outcomes(log: Log, found: Analysis) -> Iterator[Finding]:
    """The sentences, most of them only where something happened.

    Parameters
    ----------
    log : Log
    found : Analysis
        Its metrics.
    """
    yield from _losses(log, found)
    yield from _engine(log.metrics, found)
    for name in found.datacenter:
        for call in calls_of(log, name):
            yield Finding(_called(name, call), call.start_s)
    if area := log.metrics.get("area"):
        yield Finding(_frequency(area))


def _losses(log: Log, found: Analysis) -> Iterator[Finding]:
    """MW that left the feeder in the largest disturbance, and how much of it was away how long."""
    hit = [
        name
        for name, one in found.standards.terminal.items()
        if any(loss.lost_mw > LEAST_SHARE * loss.before_mw for loss in one.losses)
    ]
    if not hit:
        return
    p_mw = sum(column(log, f"datacenter/{name}/p_grid_mw", np.float64) for name in hit)
    low = [vm_pu for name in hit if (vm_pu := terminal_voltage(log, name)) is not None]
    t_s = column(log, "t_s", np.float64)
    losses = load_losses(t_s, np.min(low, axis=0), p_mw, found.step_s)
    if not losses:
        return
    loss = max(losses, key=lambda one: one.lost_mw)
    text = (
        f"{_who(hit)} {'leaves' if len(hit) == 1 else 'leave'} the feeder with {number(loss.lost_mw)} of "
        f"{number(loss.before_mw)} MW when the voltage fails at t = {number(loss.start_s, 6)} s"
        + (f", {loss.n_dip} times" if loss.n_dip > 1 else "")
    )
    away = ", ".join(f"{number(mw)} MW after {_AFTER[after]}" for after, mw in loss.not_returned_mw.items())
    yield Finding(text + (f"; not back once it has returned: {away}." if away else "."), loss.start_s)


def _engine(metrics: Mapping[str, Any], found: Analysis) -> Iterator[Finding]:
    """What stood without power or cooling, and which UPS were locked out."""
    centers = {name: one for name, one in metrics.get("datacenter", {}).items() if name in found.datacenter}
    for key, what in (("down_s", "Servers are without power"), ("without_cooling_s", "Cooling is off")):
        spans = {name: float(one[key]) for name, one in centers.items() if one.get(key, 0.0) > 0.0}
        if spans:
            yield Finding(f"{what} at {_who(list(spans))} for {_span(list(spans.values()))} s in all.")
    locked = [name for name, one in metrics.get("ups", {}).items() if one.get("n_lockout", 0.0) > 0.0]
    if locked:
        yield Finding(f"Locked out by the count of transfers, off the feeder until let back: {_who(locked)}.")


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
