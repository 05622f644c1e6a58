"""Which signals of a run a report draws, panel by panel."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.metrics.analysis import Analysis, voltage_paths
from cosim.metrics.log import AnyFloats, Log, has, members, total
from cosim.metrics.log import column as whole
from cosim.metrics.rating import datacenter_bus, window_pu
from cosim.metrics.ride_through import terminal_voltage
from cosim.metrics.voltage import INTERRUPTION_PU
from cosim.report.gleaner import Gleaner
from cosim.report.series import Bucketer, Mode, Pick, reduce_channel
from cosim.report.words import named

PANELS = {
    "voltage": "Voltage [pu]",
    "devices": "Taps, steps on",
    "regulated": "Regulated voltage [pu]",
    "power": "Facility power [MW]",
    "ups": "UPS power, charging > 0 [MW]",
    "flow": "Source and line power [MW]",
    "frequency": "Frequency [Hz]",
    "requests": "Requests waiting, in replicas",
    "ttft": "Time to first token [s]",
}
"""Panels from top to bottom."""


N_LOOK, N_GUESS = 48, 4
"""Rows in which the line that swings most is looked for, and how many lines are foreseen."""
MAX_DEVICE = 16
"""Regulators and capacitor banks in their panel, those first that come first in the network."""


@dataclass(frozen=True)
class Signal:
    """A curve: where it comes from and how it is drawn."""

    panel: str
    role: str
    """What it is, which chooses colour and dash: worst, site, low, high, need, grid, ai, ups, soc, tap, ..."""
    label: str
    path: str
    pick: Pick
    mode: Mode = "both"
    n_column: int = 1
    fed: str | None = None
    """Data center whose voltage it needs: 0 without any, a gap below its window; None: none."""


@dataclass
class Curve:
    """A signal reduced to what the page holds."""

    signal: Signal
    values: AnyFloats
    unit: str = field(default="")


def signals(log: Log, found: Analysis) -> list[Signal]:
    """Signals to draw: those among the usual ones that the log holds."""
    devices = _devices(log)
    chosen = _voltage(log, found) + devices + _regulated(log, found, [signal.label for signal in devices])
    for name in found.datacenter:
        for kind, label in (("ai", "AI servers"), ("need", "without UPS"), ("grid", "from the feeder")):
            path = f"datacenter/{name}/p_{kind}_mw"
            if has(log, path) and (kind != "need" or name in found.ups):
                fed = name if kind == "need" else None  # without a UPS nothing is drawn where nothing feeds
                chosen.append(Signal("power", kind, f"{name}: {label}", path, _only, fed=fed))
    for name in found.ups:
        for quantity, role, label in (("p_mw", "ups", "power"), ("soc", "soc", "state of charge")):
            if has(log, f"ups/{name}/{quantity}"):
                chosen.append(Signal("ups", role, f"{name}: {label}", f"ups/{name}/{quantity}", _only))
    if has(log, "source/p_mw"):
        chosen.append(Signal("flow", "source", "source", "source/p_mw", _only))
    if has(log, "source/f_hz"):
        chosen.append(Signal("frequency", "frequency", "area behind the source", "source/f_hz", _only))
    lines = found.lines_by_swing()
    if lines:
        label = named("line", found.line_name[lines[0]])
        chosen.append(Signal("flow", "line", label, "line/p_mw", _Column(lines[0]), n_column=len(found.line_name)))
    return chosen + _serving(log)


def _serving(log: Log) -> list[Signal]:
    """Queue, batch and time to first token of each serving job."""
    curves = (
        ("requests", "waiting", "n_waiting"),
        ("requests", "running", "n_running"),
        ("ttft", "ttft", "ttft_mean_s"),
    )
    words = {"waiting": "waiting", "running": "in replicas", "ttft": "mean since the last row"}
    paths = [path for path in log.paths() if path.strip("/").startswith("serving/")]
    jobs = list(dict.fromkeys(path.strip("/").rpartition("/")[0] for path in paths))
    return [
        Signal(panel, role, f"{job.removeprefix('serving/').replace('/', ': ')}, {words[role]}", f"{job}/{name}", _only)
        for job in jobs
        for panel, role, name in curves
    ]


def _voltage(log: Log, found: Analysis) -> list[Signal]:
    if found.extremes is not None:
        return _extremes(log, found)
    low, high = voltage_paths(log)
    if found.voltage is None or low is None or high is None:
        return []
    names, n = found.voltage.name, len(found.voltage.name)
    chosen = [
        Signal("voltage", "low", "lowest of all buses", low, _lowest, "low", n),
        Signal("voltage", "high", "highest of all buses", high, _highest, "high", n),
    ]
    sites = {name: datacenter_bus(log.scenario, name) for name in found.datacenter}
    worst = found.voltage.worst()
    if worst is not None:
        label = f"{named('bus', names[worst])}, lowest of the run"
        label += "".join(f", {name}" for name, bus in sites.items() if bus == names[worst])
        chosen.append(Signal("voltage", "worst", label, low, _Energized(worst), n_column=n))
    for name, bus in sites.items():
        if bus not in names:
            chosen += _terminal(log, name, "voltage")
        elif names.index(bus) != worst:
            pick = _Energized(names.index(bus))
            chosen.append(Signal("voltage", "site", f"{name} at {named('bus', bus)}", low, pick, n_column=n))
    return chosen


def _terminal(log: Log, name: str, panel: str) -> list[Signal]:
    """Voltage that a data center sees, of its lowest phase."""
    path, bus = f"datacenter/{name}/vm_pu", datacenter_bus(log.scenario, name)
    label = f"{name} at {named('bus', bus)}" if bus is not None else name
    return [Signal(panel, "site", label, path, _alive)] if has(log, path) else []


def _regulated(log: Log, found: Analysis, devices: list[str]) -> list[Signal]:
    """Voltage where the regulators drawn hold it, and at the terminals of data centers."""
    held, names = _held_nodes(log), found.voltage.name if found.voltage is not None else []
    nodes = [node for node in dict.fromkeys(held[name] for name in devices if name in held) if node in names]
    if not nodes or not has(log, "bus/vm_pu"):
        return []
    chosen = [
        Signal("regulated", "held", named("bus", node), "bus/vm_pu", _Energized(names.index(node)), n_column=len(names))
        for node in nodes
    ]
    return chosen + [signal for name in found.datacenter for signal in _terminal(log, name, "regulated")]


def _held_nodes(log: Log) -> dict[str, str]:
    """Node that each regulator reads, by name; empty where the log does not tell."""
    provenance: dict[str, Any] = getattr(log, "provenance", {})
    try:
        told = json.loads(str(provenance.get("regulated_nodes") or "{}"))
    except json.JSONDecodeError:
        return {}
    return {str(name): str(node) for name, node in told.items()} if isinstance(told, dict) else {}


def _devices(log: Log) -> list[Signal]:
    """Tap of each regulator and steps on of each capacitor bank that moved; of all where none did."""
    moved = {
        str(element)
        for kind, element in zip(log.events["kind"], log.events["element"], strict=True)
        if kind in ("tap_changed", "capacitor_switched")
    }
    found = []
    for group, path, role in (("regulator", "regulator/tap", "tap"), ("capacitor", "capacitor/n_on", "step")):
        if has(log, path):
            names = list(log.names(group))
            found += [
                (name, Signal("devices", role, name, path, _Column(i), n_column=len(names)))
                for i, name in enumerate(names)
            ]
    shown = [signal for name, signal in found if name in moved] or [signal for _, signal in found]
    return shown[:MAX_DEVICE]


def _extremes(log: Log, found: Analysis) -> list[Signal]:
    """What a log tells that holds extremes in place of all nodes; the voltage of each data center is its own."""
    chosen = [
        Signal("voltage", "low", "lowest of all buses", "bus_extremes/vm_min_pu", _alive, "low"),
        Signal("voltage", "high", "highest of all buses", "bus_extremes/vm_max_pu", _alive, "high"),
    ]
    for name in found.datacenter:
        chosen += _terminal(log, name, "voltage")
    return chosen


def foreseen(log: Log) -> list[tuple[str, Pick]]:
    """Channel and pick of the curves over all nodes and lines that a page will draw, before its metrics are known.

    The node with the lowest voltage is known of a run that has ended; the line that swings most is looked for among a
    few rows.
    """
    low, high = voltage_paths(log)
    if log.n_rows == 0 or low is None or high is None:
        return []
    names, sites = list(log.names("bus")), members(log, "datacenter")
    wanted: list[tuple[str, Pick]] = [(low, _lowest), (high, _highest)]
    shown = {names.index(bus) for name in sites if (bus := datacenter_bus(log.scenario, name)) in names}
    lowest_pu = [total(log, f"bus/{name.replace('/', '_')}/lowest_vm_pu") or math.inf for name in names]
    wanted += [(low, _Energized(i)) for i in sorted(shown | {int(np.argmin(lowest_pu))})]
    wanted += [("bus/vm_pu", _Energized(names.index(node))) for node in set(_held_nodes(log).values()) & set(names)]
    if has(log, "line/p_mw"):
        starts = np.linspace(0, log.n_rows - 1, N_LOOK).astype(int).tolist()
        rows = np.concatenate([log.read("line/p_mw", start, start + 1) for start in starts])
        wanted += [("line/p_mw", _Column(i)) for i in np.argsort(-np.ptp(rows, axis=0))[:N_GUESS].tolist()]
    return wanted


def reduced(log: Log, wanted: list[Signal], n_row: int) -> list[Curve]:
    """The signals in buckets of `n_row` rows; each channel is walked through once, those gleaned before not again."""
    values: dict[int, Any] = {}
    for i, signal in enumerate(wanted):
        column = _fed(log, signal)
        if column is None and isinstance(log, Gleaner):
            column = log.gleaned(signal.path, signal.pick)
        if column is not None:
            bucketer = Bucketer(n_row, signal.mode)
            bucketer.update(column)
            values[i] = bucketer.result()
    missing = [i for i in range(len(wanted)) if i not in values]
    for path in dict.fromkeys(wanted[i].path for i in missing):
        places = [i for i in missing if wanted[i].path == path]
        picks = [(wanted[i].pick, wanted[i].mode) for i in places]
        found = reduce_channel(log, path, picks, wanted[places[0]].n_column, n_row)
        values |= dict(zip(places, found, strict=True))
    return [Curve(signal, values[i]) for i, signal in enumerate(wanted)]


def _fed(log: Log, signal: Signal) -> AnyFloats | None:
    """A signal that needs a voltage, row by row; None where it needs none or always has it."""
    vm_pu = None if signal.fed is None else terminal_voltage(log, signal.fed)
    if signal.fed is None or vm_pu is None:
        return None
    low_pu = window_pu(log.scenario, signal.fed)
    if float(vm_pu.min(initial=np.inf)) >= low_pu:
        return None
    values = np.where(vm_pu < low_pu, np.nan, whole(log, signal.path))
    return np.where(vm_pu < INTERRUPTION_PU, 0.0, values)


def _only(rows: AnyFloats) -> AnyFloats:
    return rows.reshape(len(rows))


def _alive(rows: AnyFloats) -> AnyFloats:
    values = rows.reshape(len(rows))
    return np.where(values < INTERRUPTION_PU, np.nan, values)


@dataclass(frozen=True)
class _Column:
    """One column of a channel; equal to any other that picks the same."""

    i: int

    def __call__(self, rows: AnyFloats) -> AnyFloats:
        return rows[:, self.i]


@dataclass(frozen=True)
class _Energized(_Column):
    """The same while it has voltage."""

    def __call__(self, rows: AnyFloats) -> AnyFloats:
        column = rows[:, self.i]
        return np.where(column < INTERRUPTION_PU, np.nan, column)


def _lowest(rows: AnyFloats) -> AnyFloats:
    low: AnyFloats = rows.min(axis=1)
    some = np.flatnonzero(low < INTERRUPTION_PU)
    if some.size:
        low[some] = np.where(rows[some] < INTERRUPTION_PU, np.inf, rows[some]).min(axis=1)
    return np.where(np.isinf(low), np.nan, low)


def _highest(rows: AnyFloats) -> AnyFloats:
    high: AnyFloats = rows.max(axis=1)
    return np.where(high < INTERRUPTION_PU, np.nan, high)
