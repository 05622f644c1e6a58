"""Calls for demand response: what a site gave, how late it was, and what that took from its work."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cosim.metrics.log import Log, column, has

BEFORE_S = 60.0
"""What a site gives is counted from its mean power over this time before the call. [s]"""
SLACK = 0.005
"""A cap counts as held up to this part of the power before the call above it. [1]"""
ROUNDING_MW = 1e-9
"""[MW]"""
ROUNDING_S = 1e-6
"""[s]"""
S_PER_H = 3600.0


class Call(NamedTuple):
    """One call, from its start to its end or that of the log."""

    start_s: float
    """[s]"""
    cap_mw: float
    """Power from the feeder that the site was called down to. [MW]"""
    before_mw: float
    """Mean power from the feeder before the call. [MW]"""
    delivered_mw: float
    """`before_mw` less the mean power from when the cap had come down to the end of the call. [MW]"""
    late_s: float | None
    """From when the cap had come down to when the power stayed under it; 0 in time, None: never. [s]"""
    over_mw: float
    """Most that the power was above the cap after it had come down. [MW]"""
    e_throttled_mwh: float
    """Energy of IT work held back during the call. [MWh]"""


def calls_of(log: Log, name: str) -> list[Call]:
    """Every call of one data center.

    Parameters
    ----------
    log : Log
    name : str
        The data center.

    Returns
    -------
    list of Call
        In order of time. How late a site is counts from the ramp of the call, where the scenario has it: from the
        power of the last row up to the call down to the cap, as the cap itself comes down.
    """
    noted = log.events
    told = noted[noted["element"] == name]
    starts = told[told["kind"] == "demand_response_started"]
    path = f"datacenter/{name}/p_grid_mw"
    if len(starts) == 0 or not has(log, path):
        return []
    ends = told.loc[told["kind"] == "demand_response_ended", "t_s"].to_numpy()
    t_s, p_mw = column(log, "t_s", np.float64), column(log, path, np.float64)
    cut = f"datacenter/{name}/p_throttled_mw"
    cut_mw = column(log, cut, np.float64) if has(log, cut) else np.zeros_like(p_mw)
    found = []
    for start_s, cap_mw in zip(starts["t_s"], starts["value"], strict=True):
        later = ends[ends > start_s]
        end_s = float(later[0]) if later.size else float(t_s[-1])
        before = (t_s >= start_s - BEFORE_S) & (t_s < start_s)
        if not before.any():
            continue
        before_mw = float(p_mw[before].mean())
        called_mw = p_mw[int(np.searchsorted(t_s, start_s + ROUNDING_S, side="right")) - 1]  # a cap starts from it
        due_s = start_s + max(0.0, called_mw - cap_mw) / _ramp(log, name, start_s)
        found.append(_call(t_s, p_mw, cut_mw, (float(start_s), min(due_s, end_s), end_s), float(cap_mw), before_mw))
    return found


def _ramp(log: Log, name: str, start_s: float) -> float:
    """Ramp of a call; infinite where the scenario does not hold it: a controller called. [MW/s]"""
    for event in log.scenario.get("events", ()):
        about: tuple[Any, ...] = (event.get("kind"), event.get("datacenter"))
        if about == ("demand_response_started", name) and abs(event["at_s"] - start_s) < ROUNDING_S:
            return float(event["ramp_mw_per_s"])
    return float("inf")


def _excess(p_mw: Any, cap_mw: float) -> float:
    """Most above the cap; what rounding leaves is none. [MW]"""
    most_mw = float(np.max(p_mw, initial=-np.inf)) - cap_mw
    return most_mw if most_mw > ROUNDING_MW else 0.0


def _call(t_s: Any, p_mw: Any, cut_mw: Any, span: tuple[float, float, float], cap_mw: float, before_mw: float) -> Call:
    start_s, due_s, end_s = span
    during = (t_s >= start_s) & (t_s <= end_s)
    held = (t_s > due_s) & (t_s < end_s)
    over = held & (p_mw > cap_mw + SLACK * before_mw)
    after = t_s[held]
    late_s: float | None = 0.0
    if over.any():
        last = float(t_s[over][-1])
        rest = after[after > last]
        late_s = float(rest[0]) - due_s if rest.size else None
    spent = float(np.trapezoid(cut_mw[during], t_s[during])) / S_PER_H if during.sum() > 1 else 0.0
    return Call(
        start_s=start_s,
        cap_mw=cap_mw,
        before_mw=before_mw,
        delivered_mw=before_mw - float(p_mw[held].mean()) if held.any() else 0.0,
        late_s=late_s,
        over_mw=_excess(p_mw[held], cap_mw),
        e_throttled_mwh=spent,
    )
