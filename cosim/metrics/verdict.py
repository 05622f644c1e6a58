"""Each limit held against a log: passed, failed, or not seen, with value, margin, time and place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cosim.metrics import limits as lim
from cosim.metrics.case import Case, Seen, Verdict, centers_with, never_calm, seconds, too_coarse, too_short, verdict_of
from cosim.metrics.events import VoltageEvent
from cosim.metrics.limits import Limit
from cosim.metrics.log import blocks, column
from cosim.metrics.oscillation import mode, oscillation
from cosim.metrics.ramp import LargestRamp
from cosim.metrics.ride_through import site_load, terminal_voltage
from cosim.metrics.standards import demand_of, power_factor_of
from cosim.metrics.starts import start_notice
from cosim.metrics.terminal import (
    FLICKER_STEP_MAX_S,
    STEADY_STEP_MAX_S,
    largest_plt,
    largest_step,
    most_in_window,
    recoveries,
)
from cosim.metrics.thermal import hot_spot, loading
from cosim.metrics.window import fits


def judge(limits: Iterable[Limit], case: Case) -> list[Verdict]:
    """Hold every limit against a run, in their order."""
    return [_JUDGES[limit.kind](limit, case) for limit in limits]


def counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many passed, failed and were not seen."""
    return {status: sum(v.status == status for v in verdicts) for status in ("passed", "failed", "not_seen")}


def _mean_voltage(limit: lim.MeanVoltageLimit, case: Case) -> Verdict:
    mean = case.standards.mean.get(limit.window_s)
    if not case.names:
        return verdict_of(limit, "pu", limit.min_pu, [], "the log holds no voltage by node")
    if mean is None or mean.n_window == 0:
        why = too_short(case, limit.window_s) if fits(limit.window_s, case.step_s) else ""
        return verdict_of(limit, "pu", limit.min_pu, [], why or too_coarse(case, limit.window_s))
    low, high = int(mean.low_pu.argmin()), int(mean.high_pu.argmax())
    if not np.isfinite(mean.low_pu[low]):
        return verdict_of(limit, "pu", limit.min_pu, [], "no node had voltage")
    minutes = mean.outside_min[limit.min_pu, limit.max_pu]
    n_out = int((minutes > 0.0).sum())
    note = f"{n_out} of {len(minutes)} nodes outside, the longest for {minutes.max():.6g} min" if n_out else ""
    if mean.low_pu[low] - limit.min_pu <= limit.max_pu - mean.high_pu[high]:
        seen = Seen(float(mean.low_pu[low]), float(mean.low_t_s[low]), case.names[low], note)
        return verdict_of(limit, "pu", limit.min_pu, [seen], lowest=True)
    seen = Seen(float(mean.high_pu[high]), float(mean.high_t_s[high]), case.names[high], note)
    return verdict_of(limit, "pu", limit.max_pu, [seen])


def _rapid_change(limit: lim.RapidChangeLimit, case: Case) -> Verdict:
    seen = []
    for name, terminal in case.standards.terminal.items():
        if terminal.rvc is not None:
            large = [change for change in terminal.rvc if change.max_percent > limit.larger_than_percent]
            n, t_s = most_in_window([change.start_s for change in large], limit.window_s)
            most = max((change.max_percent for change in terminal.rvc), default=0.0)
            note = f"largest {most:.3g} %" if most else "no rapid change"
            seen.append(Seen(float(n), t_s if n else math.nan, name, note))
    why = "the log has no voltage at a data center"
    if case.standards.terminal and case.step_s > STEADY_STEP_MAX_S:
        why = too_coarse(case, STEADY_STEP_MAX_S)
    short = limit.max_n > 0 and case.duration_s < limit.window_s
    return verdict_of(
        limit, "changes", float(limit.max_n), seen, why, partial=too_short(case, limit.window_s) if short else ""
    )


def _step_change(limit: lim.StepChangeLimit, case: Case) -> Verdict:
    if not fits(limit.window_s, case.step_s):
        return verdict_of(limit, "%", limit.max_percent, [], too_coarse(case, limit.window_s))
    seen = []
    for name in case.standards.terminal:
        vm_pu = terminal_voltage(case.log, name)
        if vm_pu is not None:
            t_s = column(case.log, "t_s", np.float64)
            most, at_s = largest_step(t_s, vm_pu, limit.window_s, case.step_s, case.disturbed)
            seen.append(Seen(100.0 * most, at_s, name))
    return verdict_of(limit, "%", limit.max_percent, seen, "the log has no voltage at a data center")


def _left_out(n: int, n_window: int) -> str:
    return f"{n} of {n_window} windows of 10 minutes left out: a dip or swell in them"


def _flicker(limit: lim.FlickerLimit, case: Case) -> Verdict:
    unit = "Pst" if limit.term == "short" else "Plt"
    needed_s = 600.0 if limit.term == "short" else 7200.0
    points = case.standards.points
    if points.seen_hz > 0.0 and points.lamp == limit.lamp:
        return _flicker_at_points(limit, unit, needed_s, case)
    if case.step_s > FLICKER_STEP_MAX_S * (1.0 + 1e-9):
        return verdict_of(limit, unit, limit.max, [], too_coarse(case, FLICKER_STEP_MAX_S) + " (0.011 s to see 40 Hz)")
    seen = []
    for name, terminal in case.standards.terminal.items():
        pst = terminal.pst.get(limit.lamp, np.zeros(0))
        first_s = case.duration_s - 600.0 * len(pst)
        sees = f"sees fluctuations up to {terminal.flicker_hz:.3g} Hz"
        if np.isnan(pst).any():
            sees += f"; {_left_out(int(np.isnan(pst).sum()), len(pst))}"
        if limit.term == "short" and not np.isnan(pst).all():
            seen.append(Seen(float(np.nanmax(pst)), max(0.0, first_s + 600.0 * int(np.nanargmax(pst))), name, sees))
        plt = terminal.plt(limit.lamp) if limit.term == "long" else None
        if plt is not None:
            seen.append(Seen(plt[0], max(0.0, first_s + 600.0 * plt[1]), name, sees))
    why = "the log has no voltage at a data center"
    if case.standards.terminal:
        free = case.duration_s >= needed_s
        why = f"no {seconds(needed_s)} free of dips and swells" if free else too_short(case, needed_s)
    return verdict_of(limit, unit, limit.max, seen, why)


def _flicker_at_points(limit: lim.FlickerLimit, unit: str, needed_s: float, case: Case) -> Verdict:
    """Flicker of the nodes followed at the run's own step, whatever the log's."""
    points = case.standards.points
    seen = []
    for name, one in points.point.items():
        note = f"at the run's step of {seconds(points.step_s)}, sees fluctuations up to {points.seen_hz:.3g} Hz"
        left_out = int(np.isnan(one.pst).sum())
        if left_out:
            note += f"; {_left_out(left_out, len(one.pst))}"
        plt = largest_plt(one.pst) if limit.term == "long" else None
        if plt is not None:
            seen.append(Seen(plt[0], 600.0 * plt[1], name, note))
        if limit.term == "short" and np.isfinite(one.pst).any():
            seen.append(Seen(float(np.nanmax(one.pst)), 600.0 * int(np.nanargmax(one.pst)), name, note))
    free = case.duration_s >= needed_s
    why = f"no {seconds(needed_s)} free of dips and swells" if free else too_short(case, needed_s)
    return verdict_of(limit, unit, limit.max, seen, why)


def _ramp(limit: lim.RampLimit, case: Case) -> Verdict:
    if not fits(limit.window_s, case.step_s):
        return verdict_of(limit, "MW/min", limit.max_mw_per_min, [], too_coarse(case, limit.window_s))
    seen = []
    for name in centers_with(case, "p_grid_mw"):
        ramp = LargestRamp(limit.window_s, case.step_s, case.disturbed, limit.max_mw_per_min / 60.0)
        for t_s, p_mw in blocks(case.log, f"datacenter/{name}/p_grid_mw"):
            ramp.update(t_s, p_mw.reshape(len(t_s)))
        if ramp.n_window:
            direction = "up" if ramp.mw_per_s >= 0.0 else "down"
            above = f", {100.0 * ramp.n_above / ramp.n_window:.2g} % of the windows above" if ramp.n_above else ""
            seen.append(Seen(60.0 * abs(ramp.mw_per_s), ramp.t_s, name, direction + above))
    why = too_short(case, limit.window_s)
    if case.duration_s >= limit.window_s and centers_with(case, "p_grid_mw"):
        why = never_calm(limit.window_s)
    return verdict_of(limit, "MW/min", limit.max_mw_per_min, seen, why)


def _recovery(limit: lim.RecoveryLimit, case: Case) -> Verdict:
    if 2.0 * case.step_s > limit.max_s * (1.0 + 1e-9):
        return verdict_of(limit, "s", limit.max_s, [], too_coarse(case, 0.5 * limit.max_s))
    seen = []
    for name in centers_with(case, "p_grid_mw"):
        vm_pu = terminal_voltage(case.log, name)
        if vm_pu is None:
            continue
        lowest_pu = case.lowest_pu.get(name, vm_pu)
        if float(lowest_pu.min()) >= limit.vm_min_pu:
            continue
        t_s, load = column(case.log, "t_s", np.float64), case.loads.get(name)
        load = load or site_load(case.log, name, case.step_s)
        for one in recoveries(t_s, vm_pu, load, case.step_s, limit.vm_min_pu, limit.share, lowest_pu):
            note = "" if one.is_back else "not back before the end of the run"
            took_s = one.took_s if one.is_back else max(one.took_s, limit.max_s + case.step_s)
            seen.append(Seen(took_s, one.back_s, name, note))
    return verdict_of(limit, "s", limit.max_s, seen, f"no dip below {limit.vm_min_pu:g} pu ended in the run")


def _demand(limit: lim.DemandLimit, case: Case) -> Verdict:
    if not fits(limit.window_s, case.step_s):
        return verdict_of(limit, "MW", limit.max_mw, [], too_coarse(case, limit.window_s))
    found = {name: demand_of(case.log, name, case.step_s, limit.window_s) for name in case.datacenters}
    seen = [Seen(one.max_mw, one.t_s, name) for name, one in found.items() if one is not None]
    return verdict_of(limit, "MW", limit.max_mw, seen, too_short(case, limit.window_s))


def _power_factor(limit: lim.PowerFactorLimit, case: Case) -> Verdict:
    if not fits(limit.window_s, case.step_s):
        return verdict_of(limit, "", limit.min, [], too_coarse(case, limit.window_s))
    found = {name: power_factor_of(case.log, name, case.step_s, limit.window_s) for name in case.datacenters}
    seen = [
        Seen(one.lowest, one.lowest_t_s, name, "" if one.n_window else "over the whole run, which is shorter")
        for name, one in found.items()
        if one is not None
    ]
    return verdict_of(limit, "", limit.min, seen, "the log has no reactive power of a data center", lowest=True)


def _unbalance(limit: lim.UnbalanceLimit, case: Case) -> Verdict:
    if not fits(limit.window_s, case.step_s):
        return verdict_of(limit, "%", limit.max_percent, [], too_coarse(case, limit.window_s))
    found = case.standards.unbalance.get(limit.window_s)
    if found is None or not found.name:
        return verdict_of(limit, "%", limit.max_percent, [], "the log holds no three phases of a bus")
    if found.n_window == 0:
        return verdict_of(limit, "%", limit.max_percent, [], too_short(case, limit.window_s))
    worst = int(found.mean_percent.argmax())
    seen = Seen(float(found.mean_percent[worst]), float(found.mean_t_s[worst]), found.name[worst])
    return verdict_of(limit, "%", limit.max_percent, [seen])


def _magnitude_duration(limit: lim.MagnitudeDurationLimit, case: Case) -> Verdict:
    events = case.standards.events
    if events is None:
        return verdict_of(limit, "events", 0.0, [], "the log holds no voltage by node")
    exact = {name for name, point in case.standards.points.point.items() if point.is_whole}
    coarse = [event for event in events.dip if case.names[event.node] not in exact]
    followed = [event for event in events.dip if case.names[event.node] in exact]
    surely = [event for event in coarse if passes_curve(limit, event, 2.0 * case.step_s)]
    maybe = [event for event in coarse if passes_curve(limit, event, 0.0)]
    outside = [event for event in followed if passes_curve(limit, event, case.standards.points.half_cycle_s)]
    surely, maybe = surely + outside, maybe + outside
    note = f"{len(maybe)} of {len(coarse) + len(followed)} events"
    if surely:
        worst = max(surely, key=lambda e: (abs(1.0 - e.vm_pu), e.duration_s))
        lasted = seconds(worst.duration_s) if worst in outside else f"at most {seconds(worst.duration_s)}"
        note = f"worst {worst.category}: {worst.vm_pu:.3g} pu for {lasted}"
        return verdict_of(limit, "events", 0.0, [Seen(float(len(surely)), worst.start_s, case.names[worst.node], note)])
    if maybe:
        worst = max(maybe, key=lambda e: (abs(1.0 - e.vm_pu), e.duration_s))
        seen = Seen(0.0, worst.start_s, case.names[worst.node])
        partial = f"{note} may be outside: durations are known to two log steps of {seconds(case.step_s)}"
        return verdict_of(limit, "events", 0.0, [seen], partial=partial)
    return verdict_of(limit, "events", 0.0, [Seen(0.0, math.nan, "", f"{events.n_event} events")])


def passes_curve(limit: lim.MagnitudeDurationLimit, event: VoltageEvent, unsure_s: float) -> bool:
    """Whether for some step of the curve an event spends longer beyond its voltage than that allows.

    `unsure_s` is what is not sure of each stretch's duration: that much less counts.
    """
    steps = [(step.below_pu, step.max_s) for step in limit.sag if event.vm_pu < 1.0]
    steps += [(step.above_pu, step.max_s) for step in limit.swell if event.vm_pu >= 1.0]
    for level_pu, max_s in steps:
        beyond = event.beyond_level(level_pu)
        if beyond.n_stretch and (max_s == 0.0 or beyond.time_s - beyond.n_stretch * unsure_s > max_s):
            return True
    return False


_JUDGES: dict[str, Callable[[Any, Case], Verdict]] = {
    "mean_voltage": _mean_voltage,
    "rapid_change": _rapid_change,
    "step_change": _step_change,
    "flicker": _flicker,
    "ramp": _ramp,
    "oscillation": oscillation,
    "mode": mode,
    "recovery": _recovery,
    "demand": _demand,
    "power_factor": _power_factor,
    "unbalance": _unbalance,
    "loading": loading,
    "hot_spot": hot_spot,
    "magnitude_duration": _magnitude_duration,
    "start_notice": start_notice,
}
