"""One walk through a log: every metric of the run, as objects that tables and figures draw on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.metrics.accounts import Accounts, LoadSquare, SquareMeter, accounts_of, series_of
from cosim.metrics.ageing import Ageing, AgeingMeter
from cosim.metrics.case import Case, Verdict
from cosim.metrics.disturbance import dark_spans, disturbed_spans
from cosim.metrics.events import VoltageEventMeter, VoltageEvents, known_of
from cosim.metrics.limits import Limit, load_limits
from cosim.metrics.loading import Equipment, loading_meters
from cosim.metrics.log import AnyFloats, Floats, Log, blocks, has, log_step_s, members, time_span_s, total
from cosim.metrics.neutral import DisplacedNeutral, MeansShown
from cosim.metrics.overload import Overload, OverloadMeter
from cosim.metrics.points import Points, points_of
from cosim.metrics.power import EnergyMeter, Power, PowerMeter, energy_of
from cosim.metrics.ramp import Ramp, RampMeter, windows_for
from cosim.metrics.rating import FleetRating, fleet_rating, storage_energy_mwh, storage_kind, utilization
from cosim.metrics.ride_through import Loads, LowestAtTerminals, dipped_loads, system_loss
from cosim.metrics.standards import (
    Standards,
    UnbalanceReader,
    demand_of,
    mean_meters,
    power_factor_of,
    spectra_of,
    terminal_of,
)
from cosim.metrics.storage import SATURATION_HOLD_S, Storage, StorageMeter, event_spells, exactly, with_second
from cosim.metrics.verdict import judge
from cosim.metrics.voltage import Voltage, VoltageExtremes, VoltageMeter, extremes_of, sag_totals, with_points
from cosim.metrics.window import Swing, SwingMeter
from cosim.metrics.work import Work, work_of
from cosim.units import S_PER_H

POWERS = ("ai", "it", "total", "need", "grid")
"""Powers of a data center: `/datacenter/<name>/p_<power>_mw`."""
RAMPED = ("ai", "need", "grid")
"""Those whose rates of change and swings are taken."""
_SPELLS = {
    "engaged": ("ups_engaged", "ups_released"),
    "saturated": ("ups_saturated", "ups_recovered"),
    "transferred": ("ups_transferred", "ups_returned"),
}


@dataclass(frozen=True)
class DataCenter:
    """Metrics of one data center."""

    power: dict[str, Power]
    """By power: ai, it, total, need, grid."""
    ramp: dict[str, dict[float, Ramp]]
    """By power, then by window width. [s]"""
    swing: dict[str, Swing]
    """By power. [MW]"""
    rating: FleetRating | None
    """Ratings of the accelerators; None where the scenario gives none."""
    gpu_utilization: float | None
    """Mean utilization that the power implies, 0 to 1; None without ratings."""
    e_unserved_mwh: float
    """Energy of the load that was not served. [MWh]"""
    e_external_mwh: float
    """Energy from external sources. [MWh]"""

    e_stored_mwh: float = 0.0
    """Energy that its UPS holds more at the end than at the start. [MWh]"""
    work: dict[str, Work] = field(default_factory=dict)
    """What its jobs did and what that took, by job; empty where the run has not ended."""

    @property
    def pue(self) -> float | None:
        """Energy of the facility, less what was stored, over energy of IT (paper, section III-A 3).

        None without energy of IT.
        """
        total, it = self.power.get("total"), self.power.get("it")
        if total is None or it is None or it.e_mwh <= 0.0:
            return None
        return (total.e_mwh - self.e_stored_mwh) / it.e_mwh


@dataclass(frozen=True)
class Analysis:
    """Every metric of one run. A part whose channels the log lacks is None or empty."""

    step_s: float
    """Log step. [s]"""
    start_s: float
    """Time of the first row. [s]"""
    end_s: float
    """Time of the last row. [s]"""
    n_row: int
    """Rows in the log."""
    disturbed: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    """Spans in which the supply was disturbed, shape (m, 2). [s]"""
    voltage: Voltage | None = None
    voltage_swing: Swing | None = None
    extremes: VoltageExtremes | None = None
    """Of a log that holds them in place of all nodes."""
    line_name: list[str] = field(default_factory=list)
    line_swing: Swing | None = None
    line_loading_percent: Floats | None = None
    """Largest loading of each line. [%]"""
    line_overload: Overload | None = None
    """Time of each line above its rating, of the rows."""
    trafo_overload: Overload | None = None
    trafo_name: list[str] = field(default_factory=list)
    trafo_loading_percent: Floats | None = None
    """Largest loading of each transformer. [%]"""
    trafo_ageing: Ageing | None = None
    """Hot spot and loss of life of each transformer."""
    trafo_square: LoadSquare | None = None
    """Mean squares of their loadings, which their losses follow."""
    accounts: Accounts = field(default_factory=Accounts)
    """What energy emits and costs."""
    source: Power | None = None
    source_swing: Swing | None = None
    source_ramp: dict[float, Ramp] = field(default_factory=dict)
    e_loss_mwh: float | None = None
    """Losses of the feeder. [MWh]"""
    datacenter: dict[str, DataCenter] = field(default_factory=dict)
    ups: dict[str, Storage] = field(default_factory=dict)
    standards: Standards = field(default_factory=Standards)
    limits: tuple[Limit, ...] = ()
    """Limits that the verdicts are about."""
    verdicts: list[Verdict] = field(default_factory=list)

    def lines_by_swing(self) -> list[int]:
        """Indices of the lines, the one with the largest peak to peak first."""
        if self.line_swing is None:
            return []
        return [int(i) for i in np.argsort(-self.line_swing.peak_to_peak, kind="stable")]


def analyse(log: Log, limits: Sequence[Limit] | None = None) -> Analysis:
    """Take every metric of a log, channel by channel in blocks of rows, and hold limits against them.

    Parameters
    ----------
    log : Log
        A result, finished or not; channels that it lacks are passed over.
    limits : sequence of Limit, optional
        Limits, e.g. from `cosim.metrics.limits.load_limits`; without them those that ship and apply by default.

    Returns
    -------
    Analysis
        Metrics; memory does not grow with the length of the run.
    """
    wanted = load_limits() if limits is None else tuple(limits)
    if log.n_rows == 0:
        return Analysis(step_s=0.0, start_s=0.0, end_s=0.0, n_row=0)
    step_s, noted, (start_s, end_s) = log_step_s(log), log.events, time_span_s(log)
    span = _Span(log, step_s, end_s - start_s, disturbed_spans(noted, end_s, step_s, dark_spans(log)))
    ups = {name: _storage(log, name, noted, (start_s, end_s)) for name in members(log, "ups")}
    source, source_ramp = span.power("source/p", ramped=True)
    names, centers = _names(log, "bus"), members(log, "datacenter")
    means, points = mean_meters(wanted, len(names), step_s), points_of(log)
    angles = UnbalanceReader(log, names, wanted, step_s)
    neutral, lowest = DisplacedNeutral(log, names), LowestAtTerminals(log, centers, names)
    voltage, events = _voltage(log, names, neutral, lowest, points)
    lowest_pu = lowest.result()
    loads = dipped_loads(log, lowest_pu, step_s)
    voltage_swing = span.swing("bus/vm_pu", len(names), [angles.update, MeansShown(neutral, means.values()).update])
    standards = Standards(
        mean={window_s: meter.result() for window_s, meter in means.items()} if voltage_swing is not None else {},
        events=events,
        unbalance=angles.result(),
        points=points,
        **_of_sites(span, centers, wanted, lowest_pu, loads),
    )
    equipment, found = _equipment(span, wanted)
    case = Case(log, step_s, span.duration_s, span.disturbed, names, centers, standards, equipment, lowest_pu, loads)
    return Analysis(
        step_s=step_s,
        start_s=start_s,
        end_s=end_s,
        n_row=log.n_rows,
        disturbed=span.disturbed,
        voltage=voltage,
        voltage_swing=voltage_swing,
        extremes=_extremes(log),
        **found,
        accounts=accounts_of(log, centers),
        source=source,
        source_swing=span.swing("source/p_mw", 1),
        source_ramp=source_ramp,
        e_loss_mwh=energy_of(log, "feeder/p_loss_mw"),
        datacenter={name: _datacenter(span, name, ups.get(name)) for name in centers},
        ups=ups,
        standards=standards,
        limits=wanted,
        verdicts=judge(wanted, case),
    )


def _of_sites(
    span: _Span, centers: Sequence[str], limits: Sequence[Limit], lowest_pu: Mapping[str, AnyFloats], loads: Loads
) -> dict[str, Any]:
    """Those metrics of standards that are of data centers, all or by name; what the log does not tell is left out."""
    log, step_s = span.log, span.step_s
    seen = [(name, lowest_pu.get(name), loads.get(name)) for name in centers]
    terminals = {name: terminal_of(log, name, limits, step_s, low_pu, load) for name, low_pu, load in seen}
    return {
        "system_loss": system_loss(log, lowest_pu, step_s, loads),
        "terminal": {name: one for name, one in terminals.items() if one is not None},
        "spectrum": {name: kinds for name in centers if (kinds := spectra_of(log, name, step_s, span.disturbed))},
        "demand": {name: mw for name in centers if (mw := demand_of(log, name, step_s)) is not None},
        "power_factor": {name: pf for name in centers if (pf := power_factor_of(log, name, step_s)) is not None},
    }


def _equipment(span: _Span, limits: Sequence[Limit]) -> tuple[Equipment, dict[str, Any]]:
    """What limits ask of lines and transformers; and swing, loading, overload, ageing and squares of their load."""
    log, lines, trafos = span.log, _names(span.log, "line"), _names(span.log, "trafo")
    over_line, over_trafo = (OverloadMeter(len(names), span.step_s) for names in (lines, trafos))
    ageing, square = AgeingMeter(len(trafos), span.step_s), SquareMeter(len(trafos), series_of(log, "price"))
    heat_line, heat_trafo = (loading_meters(limits, len(names), span.step_s) for names in (lines, trafos))
    of_line = _largest(log, "line", [over_line.update, *(meter.update for meter in heat_line.values())])
    more = [ageing.update, square.update, over_trafo.update, *(meter.update for meter in heat_trafo.values())]
    of_trafo = _largest(log, "trafo", more)
    aged = ageing.result() if of_trafo is not None else None
    heats = [("line", heat_line, of_line), ("trafo", heat_trafo, of_trafo)]
    loading = {k: {w: m.result() for w, m in heat.items()} for k, heat, seen in heats if seen is not None}
    return Equipment({"line": lines, "trafo": trafos}, loading, aged), {
        "line_name": lines,
        "line_swing": span.swing("line/p_mw", len(lines)),
        "line_loading_percent": of_line,
        "line_overload": over_line.result(),
        "trafo_name": trafos,
        "trafo_loading_percent": of_trafo,
        "trafo_overload": over_trafo.result(),
        "trafo_ageing": aged,
        "trafo_square": square.result(),
    }


def _names(log: Log, group: str) -> list[str]:
    held = any(p.lstrip("/").split("/")[0] == group for p in log.paths())
    return [str(name) for name in log.names(group)] if held else []


def voltage_paths(log: Log) -> tuple[str | None, str | None]:
    """Channels that tell the lowest and the highest voltage of every bus best; None where the log has none."""
    held = [path for path in ("bus/vm_min_pu", "bus/vm_pu", "bus/vm_max_pu") if has(log, path)]
    return (held[0], held[-1]) if held else (None, None)


def _extremes(log: Log) -> VoltageExtremes | None:
    paths = [f"bus_extremes/{name}" for name in ("vm_min_pu", "vm_min_node", "vm_max_pu", "vm_max_node")]
    if not all(has(log, path) for path in paths):
        return None
    low_pu, low_node, high_pu, high_node = (log.read(path).reshape(log.n_rows) for path in paths)
    t_s = np.asarray(log.read("t_s"), dtype=np.float64)
    return extremes_of(list(log.names("bus_extremes")), t_s, (low_pu, low_node), (high_pu, high_node))


def _voltage(
    log: Log, names: list[str], neutral: DisplacedNeutral, terminals: LowestAtTerminals, points: Points
) -> tuple[Voltage | None, VoltageEvents | None]:
    """Voltage record and events of all nodes; `terminals` are shown the same rows."""
    low, high = voltage_paths(log)
    if not names or low is None or high is None:
        return None, None
    meter, events = VoltageMeter(names), VoltageEventMeter()
    for path in dict.fromkeys((low, high)):
        for t_s, vm_pu in neutral.blocks(path):
            if path == low:
                meter.update_low(t_s, vm_pu)
                events.update_low(t_s, vm_pu)
                terminals.update(vm_pu)
            if path == high:
                meter.update_high(t_s, vm_pu)
                events.update_high(t_s, vm_pu)
    sags = sag_totals(log, names)
    known = known_of(points.point, names, sags, neutral.nodes)
    exact = {k: point.event for k, point in known.point.items()}
    voltage = with_points(meter.result(sags, neutral.nodes), exact)
    return voltage, events.result(voltage.energized, known)


def _largest(log: Log, group: str, also: Sequence[Callable[[Floats, AnyFloats], None]] = ()) -> Floats | None:
    n_column = len(_names(log, group))
    path = f"{group}/loading_percent"
    if n_column == 0 or not has(log, path):
        return None
    largest = np.zeros(n_column)
    for t_s, values in blocks(log, path, n_column):
        largest = np.maximum(largest, values.reshape(-1, n_column).max(axis=0, initial=0.0))
        for update in also:
            update(t_s, values.reshape(-1, n_column))
    return largest


@dataclass(frozen=True)
class _Span:
    """A log with what every meter of it needs: its step and the disturbances of its supply."""

    log: Log
    step_s: float
    duration_s: float
    disturbed: Floats

    def swing(self, path: str, n_column: int, also: Sequence[Callable[[Floats, AnyFloats], None]] = ()) -> Swing | None:
        """Swings of the columns of a channel; `also` are shown the same rows, so that they are read once."""
        if n_column == 0 or not has(self.log, path):
            return None
        meter = SwingMeter(n_column, self.step_s, self.disturbed)
        for t_s, values in blocks(self.log, path, n_column):
            meter.update(t_s, values.reshape(len(t_s), n_column))
            for update in also:
                update(t_s, values.reshape(len(t_s), n_column))
        return meter.result()

    def power(self, stem: str, ramped: bool) -> tuple[Power | None, dict[float, Ramp]]:
        """Metrics of the power `<stem>_mw`, and its ramps by window width where they are wanted."""
        path = f"{stem}_mw"
        if not has(self.log, path):
            return None, {}
        widths_s = windows_for(self.step_s, self.duration_s) if ramped else ()
        level = PowerMeter(self.step_s)
        ramps = [RampMeter(w, self.step_s, self.disturbed) for w in widths_s]
        for t_s, p_mw in blocks(self.log, path):
            level.update(t_s, p_mw.reshape(len(t_s)))
            for ramp in ramps:
                ramp.update(t_s, p_mw.reshape(len(t_s)))
        peak_mw = total(self.log, path.replace("p_grid_mw", "p_max_mw")) if path.endswith("/p_grid_mw") else None
        return level.result(energy_of(self.log, path), peak_mw), {ramp.window_s: ramp.result() for ramp in ramps}


def _datacenter(span: _Span, name: str, storage: Storage | None) -> DataCenter:
    power: dict[str, Power] = {}
    ramp: dict[str, dict[float, Ramp]] = {}
    swing: dict[str, Swing] = {}
    for kind in POWERS:
        level, ramps = span.power(f"datacenter/{name}/p_{kind}", ramped=kind in RAMPED)
        if level is not None:
            power[kind] = level
            ramp |= {kind: ramps} if ramps else {}
        moved = span.swing(f"datacenter/{name}/p_{kind}_mw", 1) if kind in RAMPED else None
        swing |= {kind: moved} if moved else {}
    log = span.log
    rating = fleet_rating(log.scenario, name)
    stored_mwh = storage.e_stored_mwh if storage is not None else 0.0
    return DataCenter(
        power=power,
        ramp=ramp,
        swing=swing,
        rating=rating,
        gpu_utilization=_utilization(span, name, rating),
        e_unserved_mwh=energy_of(log, f"datacenter/{name}/p_unserved_mw") or 0.0,
        e_external_mwh=energy_of(log, f"datacenter/{name}/p_external_mw") or 0.0,
        e_stored_mwh=stored_mwh,
        work=work_of(log, name, power["total"].e_mwh - stored_mwh if "total" in power else None),
    )


def _utilization(span: _Span, name: str, rating: FleetRating | None) -> float | None:
    """Mean utilization over time, from the means of the intervals where the log holds them."""
    means, path = f"datacenter/{name}/p_ai_mean_mw", f"datacenter/{name}/p_ai_mw"
    of_means = has(span.log, means)
    path = means if of_means else path
    if rating is None or rating.tdp_mw <= rating.idle_mw or not has(span.log, path):
        return None
    meter = EnergyMeter(of_means)
    for t_s, p_mw in blocks(span.log, path):
        meter.update(t_s, utilization(p_mw.reshape(len(t_s)), rating))
    lasted_h = span.duration_s / S_PER_H
    return meter.e_mwh / lasted_h if lasted_h > 0.0 else None


def _storage(log: Log, name: str, events: Any, span_s: tuple[float, float]) -> Storage:
    meter, end_s = StorageMeter(), span_s[1]
    if has(log, f"ups/{name}/p_mw"):
        for t_s, p_mw in blocks(log, f"ups/{name}/p_mw"):
            meter.update_power(t_s, p_mw.reshape(len(t_s)))
    if has(log, f"ups/{name}/p_excess_mw"):
        for _, p_excess_mw in blocks(log, f"ups/{name}/p_excess_mw"):
            meter.update_excess(p_excess_mw.ravel())
    if has(log, f"ups/{name}/soc"):
        for _, soc in blocks(log, f"ups/{name}/soc"):
            meter.update_soc(soc.ravel())
    if has(log, f"ups/{name}/mode"):
        for t_s, mode in blocks(log, f"ups/{name}/mode"):
            meter.update_mode(t_s, mode.reshape(len(t_s)))
    spells = {kind: event_spells(events, name, *pair, end_s) for kind, pair in _SPELLS.items()}
    spells["saturated"] = event_spells(events, name, *_SPELLS["saturated"], end_s, hold_s=SATURATION_HOLD_S)
    lasted_s = end_s - span_s[0]
    worn = meter.wear(lasted_s, storage_kind(log.scenario, name))
    first = meter.result(storage_energy_mwh(log.scenario, name), spells, worn)
    return exactly(with_second(first, log, name, lasted_s), log, name)
