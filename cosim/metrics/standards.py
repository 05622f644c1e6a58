"""What the standards ask of a log beyond levels and swings: means, events, flicker, spectra, demand, unbalance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.metrics.away import SiteLoad
from cosim.metrics.demand import DEMAND_S, DemandMeter, PowerFactor, PowerFactorMeter
from cosim.metrics.events import VoltageEvents
from cosim.metrics.lamps import LAMPS
from cosim.metrics.limits import FlickerLimit, Limit, MeanVoltageLimit, UnbalanceLimit
from cosim.metrics.log import AnyFloats, Floats, Log, blocks, column, has
from cosim.metrics.points import Points
from cosim.metrics.ride_through import SystemLoss, terminal_voltage
from cosim.metrics.spectrum import STEP_MAX_S, Spectrum, SpectrumMeter
from cosim.metrics.terminal import Terminal, largest_plt, terminal
from cosim.metrics.unbalance import Unbalance, UnbalanceMeter, three_phase_buses
from cosim.metrics.voltage_mean import MeanVoltage, MeanVoltageMeter

MEAN_S = 600.0
"""Averaging window of mean voltages and unbalance where no limit says another. [s]"""
SPECTRA = ("need", "grid")
"""Powers whose spectra are taken."""


@dataclass(frozen=True)
class Demand:
    """Largest demand of one data center."""

    max_mw: float
    t_s: float
    """Start of its window. [s]"""


@dataclass(frozen=True)
class Standards:
    """Metrics that limits of standards are held against. A part whose channels the log lacks is None or empty."""

    mean: dict[float, MeanVoltage] = field(default_factory=dict)
    """By averaging window. [s]"""
    events: VoltageEvents | None = None
    unbalance: dict[float, Unbalance] = field(default_factory=dict)
    """By averaging window. [s]"""
    terminal: dict[str, Terminal] = field(default_factory=dict)
    """By data center."""
    spectrum: dict[str, dict[str, Spectrum]] = field(default_factory=dict)
    """By data center, then by power: need, grid."""
    demand: dict[str, Demand] = field(default_factory=dict)
    """By data center: 15 minutes; of a shorter run none."""
    power_factor: dict[str, PowerFactor] = field(default_factory=dict)
    """By data center, over 15 minutes."""
    system_loss: SystemLoss | None = None
    """What all data centers together lost in their worst disturbance."""
    points: Points = field(default_factory=Points)
    """Nodes followed at every step of the run."""


def mean_meters(limits: Iterable[Limit], n_node: int, step_s: float) -> dict[float, MeanVoltageMeter]:
    """A meter for each averaging window that limits ask for, with their ranges."""
    ranges: dict[float, list[tuple[float, float]]] = {}
    for limit in limits:
        if isinstance(limit, MeanVoltageLimit):
            ranges.setdefault(limit.window_s, []).append((limit.min_pu, limit.max_pu))
    return {
        window_s: MeanVoltageMeter(n_node, window_s, step_s, mine)
        for window_s, mine in (ranges or {MEAN_S: []}).items()
        if window_s >= step_s
    }


class UnbalanceReader:
    """Unbalance by averaging window, shown the rows of `bus/vm_pu` and reading the angles beside them.

    Without three phases of any bus in the log, or without angles, it has nothing to tell.
    """

    def __init__(self, log: Log, names: list[str], limits: Iterable[Limit], step_s: float) -> None:
        self._log, self._row = log, 0
        self._meters: dict[float, UnbalanceMeter] = {}
        if three_phase_buses(names) and has(log, "bus/va_degree"):
            windows = {limit.window_s for limit in limits if isinstance(limit, UnbalanceLimit)} or {MEAN_S}
            self._meters = {window_s: UnbalanceMeter(names, window_s, step_s) for window_s in windows}

    def update(self, t_s: Floats, vm_pu: AnyFloats) -> None:
        """Take in the next rows: times of shape (n,) [s], magnitudes of shape (n, n_node) [pu]."""
        if not self._meters:
            return
        va_degree = self._log.read("bus/va_degree", self._row, self._row + len(t_s))
        self._row += len(t_s)
        for meter in self._meters.values():
            meter.update(t_s, vm_pu, va_degree)

    def result(self) -> dict[float, Unbalance]:
        """Unbalance so far."""
        return {window_s: meter.result() for window_s, meter in self._meters.items()}


def terminal_of(
    log: Log, name: str, limits: Iterable[Limit], step_s: float, lowest_pu: AnyFloats | None, load: SiteLoad | None
) -> Terminal | None:
    """Rapid changes, flicker and recovery of its load at one data center; None where the log lacks its voltage."""
    vm_pu = terminal_voltage(log, name)
    if vm_pu is None or lowest_pu is None:
        return None
    lamps: dict[str, None] = {limit.lamp: None for limit in limits if isinstance(limit, FlickerLimit)}
    return terminal(column(log, "t_s", np.float64), vm_pu, lowest_pu, load, step_s, tuple(lamps) or LAMPS[:1])


def spectra_of(log: Log, name: str, step_s: float, disturbed: Floats) -> dict[str, Spectrum]:
    """Spectra of the power of one data center, without and with its UPS."""
    found = {}
    for kind in SPECTRA:
        path = f"datacenter/{name}/p_{kind}_mw"
        if 0.0 < step_s <= STEP_MAX_S and has(log, path):
            meter = SpectrumMeter(step_s, disturbed)
            for t_s, p_mw in blocks(log, path):
                meter.update(t_s, p_mw.reshape(len(t_s)))
            spectrum = meter.result()
            if spectrum is not None:
                found[kind] = spectrum
    return found


def demand_of(log: Log, name: str, step_s: float, window_s: float = DEMAND_S) -> Demand | None:
    """Largest demand of one data center; None where the run is shorter than the window."""
    means, rows = (f"datacenter/{name}/p_grid{kind}_mw" for kind in ("_mean", ""))
    path = means if has(log, means) else rows
    if not has(log, path) or step_s <= 0.0:
        return None
    meter = DemandMeter(window_s, step_s)
    for t_s, p_mw in blocks(log, path):
        meter.update(t_s, p_mw.reshape(len(t_s)))
    return None if meter.max_mw is None else Demand(meter.max_mw, meter.t_s)


def power_factor_of(log: Log, name: str, step_s: float, window_s: float = DEMAND_S) -> PowerFactor | None:
    """Displacement power factor of one data center."""
    active, reactive = f"datacenter/{name}/p_grid_mw", f"datacenter/{name}/q_mvar"
    if not has(log, active) or not has(log, reactive) or step_s <= 0.0:
        return None
    meter = PowerFactorMeter(window_s, step_s)
    for (t_s, p_mw), (_, q_mvar) in zip(blocks(log, active), blocks(log, reactive), strict=True):
        meter.update(t_s, p_mw.reshape(len(t_s)), q_mvar.reshape(len(t_s)))
    return meter.result()


def summary(found: Standards, names: list[str]) -> dict[str, Any]:
    """Plain numbers; nodes by name where there is something to tell."""
    numbers: dict[str, Any] = {}
    if found.mean:
        numbers["mean_voltage"] = {f"{mean.window_s:g}s": _mean(mean, names) for mean in found.mean.values()}
    if found.events is not None:
        numbers["voltage_events"] = {
            "n_event": found.events.n_event,
            "category": {key.replace(" ", "_"): n for key, n in sorted(found.events.category.items())},
            "sarfi": found.events.sarfi,
        }
    if found.unbalance:
        numbers["unbalance"] = {f"{one.window_s:g}s": _unbalance(one) for one in found.unbalance.values()}
    if found.points.point:
        numbers["points"] = _points(found.points)
    for key in ("terminal", "spectrum", "demand", "power_factor"):
        parts = {name: _plain(part) for name, part in getattr(found, key).items()}
        if parts:
            numbers[key] = parts
    return numbers


def _points(points: Points) -> dict[str, Any]:
    """Worst severities, events and extremes of each node, and flicker relative to the node that has most."""
    numbers: dict[str, Any] = {"lamp": points.lamp, "flicker_seen_hz": points.seen_hz, "step_s": points.step_s}
    worst = ("", 0.0)
    for name, one in points.point.items():
        mine: dict[str, Any] = {"n_sag": one.n_sag, "n_swell": one.n_swell}
        mine |= {key: getattr(one, key) for key in ("rms_min_pu", "rms_max_pu") if getattr(one, key) is not None}
        if one.event:
            mine["event_longest_s"] = max(lasted_s for _, lasted_s, _ in one.event)
        if np.isfinite(one.pst).any():
            mine["pst_max"] = float(np.nanmax(one.pst))
            worst = max(worst, (name, mine["pst_max"]), key=lambda pair: pair[1])
        plt = largest_plt(one.pst)
        if plt is not None:
            mine["plt_max"] = plt[0]
        numbers[name] = mine
    if worst[0]:
        for name, ratio in points.transfer(worst[0]).items():
            numbers[name]["pst_over_worst"] = ratio
        numbers["worst"] = worst[0]
    return numbers


def _plain(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: one.summary() for name, one in part.items()}
    return part.summary() if hasattr(part, "summary") else vars(part)


def _mean(mean: MeanVoltage, names: list[str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {"n_window": mean.n_window}
    for (low, high), minutes in mean.outside_min.items():
        outside = {names[i]: float(minutes[i]) for i in np.argsort(-minutes, kind="stable") if minutes[i] > 0.0}
        numbers[f"outside_{low:g}_to_{high:g}_min"] = outside
    return numbers


def _unbalance(one: Unbalance) -> dict[str, Any]:
    if not one.name:
        return {}
    worst = int(one.max_percent.argmax())
    return {
        "n_bus": len(one.name),
        "worst_bus": one.name[worst],
        "max_percent": float(one.max_percent[worst]),
        "mean_max_percent": float(one.mean_percent.max()),
    }
