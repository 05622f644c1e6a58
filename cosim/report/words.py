"""Numbers in words: units, rounding, the headline findings of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cosim.metrics.analysis import Analysis, DataCenter
from cosim.metrics.log import Floats, Log
from cosim.metrics.rating import datacenter_bus
from cosim.metrics.voltage import RANGE_A_MIN_PU, Voltage, VoltageExtremes, noun

MINUTE_S = 60.0
"""Window of the swings that findings tell of. [s]"""

_UNITS = (
    ("_mw_per_s", "MW/s"),
    ("_g_per_kwh", "g/kWh"),
    ("_per_mw_pu", "pu/MW"),
    ("_per_mvar_pu", "pu/Mvar"),
    ("_kg", "kg"),
    ("_mva", "MVA"),
    ("_mwh", "MWh"),
    ("_mw", "MW"),
    ("_mvar", "Mvar"),
    ("_pu", "pu"),
    ("_percent", "%"),
    ("_degree", "degree"),
    ("_s", "s"),
)

STATUS = {
    "running": "This run is still being written, or was killed; the numbers cover what is there.",
    "collapsed": "This run ended early: no power flow solution exists beyond its last row.",
    "interrupted": "This run was interrupted; the numbers cover what was written. Resume it with --resume.",
    "failed": "This run failed; the numbers cover what was written.",
}
"""What to say of a run that is not complete."""


@dataclass(frozen=True)
class Finding:
    """One sentence about a run."""

    text: str
    t_s: float | None = None
    """When it happened, where it has a time. [s]"""


def split_unit(key: str) -> tuple[str, str]:
    """Name and unit of a metric's key: `max_ramp_mw_per_s` gives `max ramp` and `MW/s`."""
    for ending, unit in _UNITS:
        if key.endswith(ending) and len(key) > len(ending):
            return key[: -len(ending)].replace("_", " "), unit
    return key.replace("_", " "), ""


def number(value: float, digits: int = 4) -> str:
    """A number to so many significant digits, without an exponent between 1e-4 and 1e6."""
    if value == 0:
        return "0"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e6):
        return str(int(value))
    if 10.0**digits <= abs(value) < 1e6:
        return f"{value:.0f}"
    if 1e-4 <= abs(value) < 10.0**digits:
        return f"{value:.{digits}g}"
    return f"{value:.{digits - 1}e}"


def measure(value: float, unit: str) -> str:
    """A number to the digits that its unit has: voltages to 1e-4 pu, percentages not below 0.001."""
    if unit == "pu":
        return f"{value:.4f}"
    if unit == "%" and 0.0 < abs(value) < 1e-3:
        return "<0.001" if value > 0.0 else ">-0.001"
    return number(value)


def energy(e_mwh: float) -> str:
    """An energy in MWh, a small one in kWh; less than 1 Wh is none."""
    if abs(e_mwh) >= 0.01:
        return f"{number(e_mwh)} MWh"
    return f"{number(1e3 * e_mwh)} kWh" if abs(e_mwh) >= 1e-6 else "0"


def count(n: float) -> str:
    """How many: from a million on in millions."""
    return f"{n / 1e6:,.4g} million" if n >= 1e6 else f"{n:.0f}"


def times(n: float, total_s: float) -> str:
    """How often, and how long in all; without a number where nothing begins or ends it."""
    if n == 0:
        return f"for {number(total_s)} s" if total_s > 0 else "never"
    return f"{'once' if n == 1 else f'{n:.0f} times'}, {number(total_s)} s"


def named(kind: str, name: str) -> str:
    """An element in words: `bus 17`, and not `bus bus 17` where the name says it already."""
    return name if name.lower().startswith(kind) else f"{kind} {name}"


def at_time(t_s: float) -> str:
    """A time in words, beyond a quarter of an hour also as h:mm:ss."""
    text = f"t = {number(t_s, 6)} s"
    if t_s < 900.0:
        return text
    whole = int(t_s)
    return f"{text} ({whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d})"


def status_note(log: Log, found: Analysis) -> str | None:
    """What to say at the top of a run that is not complete."""
    note = STATUS.get(log.status)
    return None if note is None else f"{note} Last row: t = {number(found.end_s, 6)} s."


def findings(log: Log, found: Analysis) -> list[Finding]:
    """The few sentences that a reader should see first."""
    said: list[Finding] = []
    if found.voltage is not None:
        said += _voltage(log, found, found.voltage)
    elif found.extremes is not None:
        said.append(_extremes(found.extremes))
    for name, part in found.datacenter.items():
        said += _datacenter(name, part, with_ups=name in found.ups)
    said += _flow(found)
    for name, storage in found.ups.items():
        text = (
            f"UPS {name}: state of charge {100 * storage.soc_min:.1f} to {100 * storage.soc_max:.1f} %, "
            f"{number(storage.e_charged_mwh + storage.e_discharged_mwh, 3)} MWh in and out"
        )
        saturated = storage.spells.get("saturated")
        if saturated is not None and saturated.n:
            text += f"; could not hold its limit {times(saturated.n, saturated.total_s)} in all"
        if storage.wear is not None:
            text += f"; if all time were like this run, its cells would last {number(storage.wear.life_years, 2)} years"
        said.append(Finding(text + "."))
    return said


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
        text += f"spell is {number(longest, 3)} s (ANSI range A itself is of 10 minute means)."
    else:
        text += f". All {int(voltage.energized.sum())} {logged} stay above {RANGE_A_MIN_PU} pu (ANSI range A)."
    said.append(Finding(text, float(voltage.t_min_s[worst])))
    out = int(voltage.interrupted.sum())
    if out:
        longest = float(voltage.interruption_longest_s[voltage.interrupted].max())
        said.append(
            Finding(f"{out} of {len(voltage.name)} {logged} are interrupted, the longest for {number(longest, 3)} s.")
        )
    return said


def _at_datacenter(voltage: Voltage, name: str, place: str | None) -> str:
    """Lowest voltage of the nodes of a data center, and how long one of them was interrupted; empty if not logged."""
    if place is None:
        return ""
    bus, *phases = place.split(".")
    nodes = {place} if place in voltage.name else {f"{bus}.{phase}" for phase in phases or "123"}
    rows = [k for k, node in enumerate(voltage.name) if node in nodes and voltage.energized[k]]
    if not rows:
        return ""
    told = f"; at {name} ({named('bus', place)}) {voltage.vm_min_pu[rows].min():.4f} pu"
    out_s = float(voltage.interruption_s[rows].max())
    return f"{told}, and interrupted for {number(out_s, 3)} s" if out_s > 0 else told


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


def _datacenter(name: str, part: DataCenter, with_ups: bool) -> list[Finding]:
    need, grid = part.power.get("need", part.power.get("total")), part.power.get("grid")
    if need is None:
        return []
    text = f"{name} needs {number(need.mean_mw, 3)} MW on average and {number(need.peak_mw, 3)} MW at its peak"
    swing = part.swing.get("need") or part.swing.get("grid")
    calm_mw = float(swing.undisturbed[MINUTE_S][0]) if swing is not None and MINUTE_S in swing.within else None
    if calm_mw is not None and math.isnan(calm_mw):
        text += "; no minute is free of disturbances of its supply"
    elif calm_mw is not None:
        text += f", and swings by {number(calm_mw, 3)} MW within a minute"
        if with_ups and "grid" in part.swing and grid is not None:
            seen = float(part.swing["grid"].undisturbed[MINUTE_S][0])
            text += f"; behind its UPS the feeder sees {number(seen, 3)} MW"
    out = grid if grid is not None and grid.export_peak_mw > 0.0 else None
    if out is not None:
        text += f"; it gives up to {number(out.export_peak_mw, 3)} MW to the feeder"
    total = part.power.get("total")
    if total is not None and part.e_external_mwh > 0.0:
        text += f"; its own generation gives {number(part.e_external_mwh, 3)} of {number(total.e_mwh, 3)} MWh"
    if part.e_unserved_mwh > 0.0:
        text += f"; {number(part.e_unserved_mwh, 3)} MWh are not served"
    said = [Finding(text + ".", need.peak_t_s)]
    ramps = part.ramp.get("need") or part.ramp.get("grid")
    window_s = 1.0 if not ramps or 1.0 in ramps else min(ramps)  # at rows further apart, one of them
    if ramps and math.isfinite(ramps[window_s].undisturbed_max_ramp_mw_per_s):
        ramp = ramps[window_s]
        text = f"Fastest change of {name} over {window_s:g} s: "
        text += f"+{number(ramp.undisturbed_max_ramp_mw_per_s, 3)} and "
        text += f"-{number(ramp.undisturbed_max_decline_mw_per_s, 3)} MW/s"
        if with_ups and "grid" in part.ramp:
            seen_ramp = part.ramp["grid"][window_s]
            text += f"; with UPS +{number(seen_ramp.undisturbed_max_ramp_mw_per_s, 3)} and "
            text += f"-{number(seen_ramp.undisturbed_max_decline_mw_per_s, 3)} MW/s"
        said.append(Finding(text + " (outages and dips aside).", ramp.max_ramp_t_s))
    return said


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
    """What the second run changes against the first, in one sentence; empty if nothing compares."""
    parts = []
    if first.voltage is not None and other.voltage is not None:
        low = [voltage.vm_min_pu[voltage.energized].min(initial=9.0) for voltage in (first.voltage, other.voltage)]
        if max(low) < 9.0:
            parts.append(f"lowest voltage {low[0]:.4f} to {low[1]:.4f} pu")
    swings = [swing for swing in (first.source_swing, other.source_swing) if swing and MINUTE_S in swing.within]
    if len(swings) == 2:
        moved = [float(swing.undisturbed[MINUTE_S][0]) for swing in swings]
    if len(swings) == 2 and not any(map(math.isnan, moved)):
        parts.append(f"swing of the source within a minute {number(moved[0], 3)} to {number(moved[1], 3)} MW")
    for name in first.datacenter.keys() & other.datacenter.keys():
        ramps = [part.datacenter[name].ramp.get("grid", {}) for part in (first, other)]
        for window_s in sorted(ramps[0].keys() & ramps[1].keys()):
            fast = [ramp[window_s].undisturbed_max_ramp_mw_per_s for ramp in ramps]
            if window_s < 1.0 or not all(map(math.isfinite, fast)):
                continue
            parts.append(
                f"fastest {window_s:g} s ramp of {name} on the feeder {number(fast[0], 3)} to {number(fast[1], 3)} MW/s"
            )
            break
    return f"From {labels[0]} to {labels[1]}: {'; '.join(parts)}." if parts else ""
