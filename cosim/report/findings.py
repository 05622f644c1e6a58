"""The few sentences about a run that a reader should see first."""

from __future__ import annotations

import math

import numpy as np

from cosim.metrics.analysis import Analysis
from cosim.metrics.log import Floats, Log
from cosim.metrics.rating import datacenter_bus
from cosim.metrics.ride_through import ANSWERS, SystemLoss, nodes_of
from cosim.metrics.voltage import RANGE_A_MIN_PU, Voltage, VoltageExtremes, noun
from cosim.report.site_findings import MINUTE_S, site_findings, start_findings, storage_findings
from cosim.report.words import Finding, at_time, named, number

DEAD_PU = 1e-3
"""Below it there is no voltage at all. [pu]"""
TELLING = 10.0
"""A single dip's length is told from so many log steps on, of which it is known to one."""


def headline(log: Log, found: Analysis) -> Finding | None:
    """What all data centers together lost in their worst disturbance, and how much of it was back when.

    None where no dip was followed by anything at a data center: what is missing then is their own swing.
    """
    lost = found.standards.system_loss
    if lost is None:
        return None
    loss, events = lost.loss, log.events
    t_s = np.asarray(events["t_s"], np.float64)
    inside = (t_s >= loss.start_s - found.step_s) & (t_s <= loss.end_s)
    if not events["kind"][inside].isin(("window_left", *ANSWERS)).any():
        return None
    what, when = "dip" if loss.vm_min_pu > DEAD_PU else "outage", f"at {at_time(loss.start_s)}"
    if loss.n_dip > 1:
        span = f"from t = {number(loss.start_s, 6)} to {number(loss.end_s, 6)} s"
        what, when = f"{what}s", span if loss.end_s > loss.start_s else f"by {at_time(loss.end_s)}"
    elif loss.end_s - loss.start_s >= TELLING * found.step_s:
        what += f" of {number(loss.end_s - loss.start_s, 3)} s"
    of = "the data center" if lost.n_site == 1 else f"{lost.n_site} data centers"
    return Finding(f"{loss.n_dip} {what} {when} took {_taken(lost, of, found)}", loss.start_s)


def _taken(told: SystemLoss, of: str, found: Analysis) -> str:
    """What was taken, and when it was back; what lies between rows too far apart is told not to be seen."""
    loss = told.loss
    unseen = "" if loss.is_seen else f", rows are {number(found.step_s)} s apart"
    if loss.lost_mw == 0.0 and loss.is_seen:
        return f"nothing of {number(loss.before_mw)} MW of {of} off the feeder."
    lost = number(loss.lost_mw) if loss.is_seen else f"at least {number(loss.lost_mw)}"
    text = f"{lost if loss.lost_mw else 'an unknown part'} of {number(loss.before_mw)} MW of {of} off the feeder"
    text += "" if loss.lost_mw else ": not seen"
    missing = [f"{number(p_mw)} MW {_AFTER[after]}" for after, p_mw in loss.not_returned_mw.items()]
    return f"{text}{unseen}{'; not returned: ' if missing else ''}{', '.join(missing)}. {_returned(told, found)}"


_AFTER = {"1s": "after 1 s", "1min": "after 1 min", "1h": "after 1 h"}


def _returned(lost: SystemLoss, found: Analysis) -> str:
    """How many sites were locked out, and when the load was back."""
    end, told = f"the end of the run at {at_time(found.end_s)}", []
    if lost.locked_out:
        n, first_s = len(lost.locked_out), min(lost.locked_out.values())
        told.append(f"{n} of {lost.n_site} sites locked out, from t = {number(first_s, 6)} s on")
        told.append(
            f"{len(lost.unlocked)} let back by {at_time(max(lost.unlocked.values()))}"
            if lost.unlocked
            else f"none let back before {end}"
        )
    after_s = lost.loss.returned_after_s
    if after_s is not None and not lost.loss.is_seen:
        told.append(f"90 % of the load back less than {number(after_s + found.step_s)} s after the voltage")
    elif after_s is not None:
        longest = "at the longest " if lost.loss.n_dip > 1 else ""
        told.append(f"90 % of the load back {longest}{number(after_s)} s after the voltage")
    elif lost.unlocked or not lost.locked_out:
        told.append(f"90 % of the load not back before {end}")
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."


def findings(log: Log, found: Analysis) -> list[Finding]:
    """The few sentences that a reader should see first."""
    said: list[Finding] = []
    if found.voltage is not None:
        said += _voltage(log, found, found.voltage)
    elif found.extremes is not None:
        said.append(_extremes(found.extremes))
    return said + site_findings(found) + start_findings(log, found) + _flow(found) + storage_findings(found)


def _voltage(log: Log, found: Analysis, voltage: Voltage) -> list[Finding]:
    said = []
    worst = voltage.worst()
    if worst is None:
        return [Finding("No bus had voltage at any time.")]
    text = f"Lowest voltage {voltage.vm_min_pu[worst]:.4f} pu at {named('bus', voltage.name[worst])}"
    text += f", {at_time(float(voltage.t_min_s[worst]))}"
    text += ", interruptions aside" if voltage.interrupted.any() else ""
    for name in found.datacenter:
        text += _at_datacenter(voltage, name, datacenter_bus(log.scenario, name))
    n_below, logged = int((voltage.below_range_a_s > 0).sum()), f"logged {noun(voltage.name)}"
    if n_below:
        longest = float(voltage.below_range_a_longest_s.max())
        text += f". {n_below} of {len(voltage.name)} {logged} fall below {RANGE_A_MIN_PU} pu at times, the longest "
        text += f"for at most {number(longest, 3)} s (ANSI range A itself is of 10 minute means)."
    else:
        text += f". All {int(voltage.energized.sum())} {logged} stay above {RANGE_A_MIN_PU} pu (ANSI range A)."
    said.append(Finding(text, float(voltage.t_min_s[worst])))
    out = int(voltage.interrupted.sum())
    if out:
        longest = int(np.where(voltage.interrupted, voltage.interruption_longest_s, -1.0).argmax())
        lasted = _lasted(float(voltage.interruption_longest_s[longest]), bool(voltage.is_followed[longest]))
        said.append(Finding(f"{out} of {len(voltage.name)} {logged} are interrupted, the longest for {lasted}."))
    return said


def _at_datacenter(voltage: Voltage, name: str, place: str | None) -> str:
    """Lowest voltage of the nodes of a data center, and how long one of them was interrupted; empty if not logged."""
    rows = [k for k in nodes_of(place, voltage.name) if voltage.energized[k]]
    if place is None or not rows:
        return ""
    told = f"; at {name} ({named('bus', place)}) {voltage.vm_min_pu[rows].min():.4f} pu"
    longest = max(rows, key=lambda k: float(voltage.interruption_s[k]))
    out_s = float(voltage.interruption_s[longest])
    lasted = _lasted(out_s, bool(voltage.is_followed[longest]))
    return f"{told}, and interrupted for {lasted}" if out_s > 0 else told


def _lasted(lasted_s: float, is_followed: bool) -> str:
    """A duration in words; one that only rows tell is an upper bound."""
    return f"{'' if is_followed else 'at most '}{number(lasted_s, 3)} s"


def _extremes(found: VoltageExtremes) -> Finding:
    if found.worst_bus is None:
        return Finding("No bus had voltage at any time.")
    text = f"Lowest voltage {found.vm_min_pu:.4f} pu at {named('bus', found.worst_bus)}, {at_time(found.t_min_s)}"
    if found.below_range_a_s > 0.0:
        below_s = number(found.below_range_a_s, 3)
        text += f"; for {below_s} s some bus is below {RANGE_A_MIN_PU} pu (ANSI range A)."
    else:
        text += f". All {found.n_bus} buses stay above {RANGE_A_MIN_PU} pu (ANSI range A)."
    return Finding(text, found.t_min_s)


def _flow(found: Analysis) -> list[Finding]:
    swing = found.source_swing
    if swing is None:
        return []
    within, at_s = "in the whole run", 0.0
    moved_mw: Floats = swing.peak_to_peak
    if MINUTE_S in swing.within:
        within, moved_mw, at_s = "within a minute", swing.undisturbed[MINUTE_S], float(swing.at_s[MINUTE_S][0])
        if math.isnan(moved_mw[0]):
            within, moved_mw = "within a minute, disturbances of the supply included", swing.within[MINUTE_S]
    text = f"The source swings by {number(float(moved_mw[0]), 3)} MW {within}"
    lines = found.lines_by_swing()
    if lines and found.line_swing is not None:
        line_mw = found.line_swing.undisturbed.get(MINUTE_S, found.line_swing.peak_to_peak)
        if math.isnan(line_mw[lines[0]]):
            line_mw = found.line_swing.within[MINUTE_S]
        text += f", {named('line', found.line_name[lines[0]])} by {number(float(line_mw[lines[0]]), 3)} MW"
    if found.source is not None and found.source.export_peak_mw > 0.0:
        text += f"; it takes up to {number(found.source.export_peak_mw, 3)} MW back"
    return [Finding(text + ".", at_s), *_loading(found)]


def _loading(found: Analysis) -> list[Finding]:
    """What line or transformer is loaded most, and how many carry more than their rating."""
    rated = [
        (float(percent), float(over_s), named(kind, name))
        for kind, names, loading, over in (
            ("line", found.line_name, found.line_loading_percent, found.line_overload),
            ("transformer", found.trafo_name, found.trafo_loading_percent, found.trafo_overload),
        )
        if loading is not None and over is not None
        for name, percent, over_s in zip(names, loading, over.total_s, strict=True)
    ]
    percent, over_s, name = max(rated, default=(0.0, 0.0, ""))
    if percent < 1.0:  # a feeder without ratings has next to none
        return []
    n_over = sum(one[1] > 0.0 for one in rated)
    if n_over == 0:
        return [Finding(f"No line and no transformer is above its rating; highest loading {percent:.0f} % on {name}.")]
    are = "is above its rating" if n_over == 1 else "are above their rating"
    text = f"{n_over} of {len(rated)} lines and transformers {are}; highest loading {percent:.0f} %"
    return [Finding(f"{text} on {name}, overloaded for {number(over_s, 3)} s.")]


def comparison(first: Analysis, other: Analysis, labels: tuple[str, str]) -> str:
    """What the second run changes against the first, in one sentence; empty if nothing compares or differs."""
    pairs: list[tuple[str, str, str, str]] = []
    if first.voltage is not None and other.voltage is not None:
        low = [voltage.vm_min_pu[voltage.energized].min(initial=9.0) for voltage in (first.voltage, other.voltage)]
        if max(low) < 9.0:
            pairs.append(("lowest voltage", f"{low[0]:.4f}", f"{low[1]:.4f}", "pu"))
    swings = [swing for swing in (first.source_swing, other.source_swing) if swing and MINUTE_S in swing.within]
    moved = [float(swing.undisturbed[MINUTE_S][0]) for swing in swings]
    if len(moved) == 2 and not any(map(math.isnan, moved)):
        pairs.append(("swing of the source within a minute", number(moved[0], 3), number(moved[1], 3), "MW"))
    losses = [lost.loss for run in (first, other) if (lost := run.standards.system_loss) is not None]
    if len(losses) == 2 and all(one.is_seen for one in losses):
        pairs.append(("load lost", number(losses[0].lost_mw), number(losses[1].lost_mw), "MW"))
        for after, words in _AFTER.items():
            still = [number(one.not_returned_mw[after]) for one in losses if after in one.not_returned_mw]
            if len(still) == 2:
                pairs.append((f"not returned {words}", still[0], still[1], "MW"))
    pairs += _ramps(first, other)
    parts = [f"{what} {a} to {b} {unit}" for what, a, b, unit in pairs if a != b]
    return f"From {labels[0]} to {labels[1]}: {'; '.join(parts)}." if parts else ""


def _ramps(first: Analysis, other: Analysis) -> list[tuple[str, str, str, str]]:
    """Fastest rises on the feeder of both runs, those that are alike once for all their data centers."""
    found: dict[tuple[float, str, str], list[str]] = {}
    for name in first.datacenter:
        ramps = [run.datacenter[name].ramp.get("grid", {}) for run in (first, other) if name in run.datacenter]
        for window_s in sorted(ramps[0].keys() & ramps[-1].keys() if len(ramps) == 2 else ()):
            fast = [ramp[window_s].undisturbed_max_ramp_mw_per_s for ramp in ramps]
            if window_s >= 1.0 and all(map(math.isfinite, fast)):
                found.setdefault((window_s, number(fast[0], 3), number(fast[1], 3)), []).append(name)
                break
    return [
        (f"fastest {window_s:g} s ramp of {', '.join(names)} on the feeder", a, b, "MW/s")
        for (window_s, a, b), names in found.items()
    ]
