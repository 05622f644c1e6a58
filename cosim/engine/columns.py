"""What the log holds: every column of a row, its place in the kernel's block, its unit and meaning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cosim.engine.kernel_log import FEEDER_COLUMNS, SAMPLE_COLUMNS, SITE_COLUMNS, LogArrays
from cosim.scenario.schema import QUANTITIES

Rows = NDArray[Any]

_FEEDER = (
    ("source/p_mw", "MW", "Power of the source, into the feeder"),
    ("source/q_mvar", "Mvar", "Reactive power of the source, into the feeder"),
    ("source/p_mean_mw", "MW", "Mean of source/p_mw since the last row"),
    ("feeder/p_loss_mw", "MW", "Losses of lines and transformers"),
    ("source/f_hz", "Hz", "Frequency of the area behind the source"),
)
_SITE = (
    ("datacenter/{}/p_ai_mw", "MW", "AI workload, P_AI of Eq. 5 with its dynamics"),
    ("datacenter/{}/p_it_mw", "MW", "IT equipment: servers, network gear, storage"),
    ("datacenter/{}/p_support_mw", "MW", "Supporting infrastructure at the AC bus (Eq. 3)"),
    ("datacenter/{}/p_total_mw", "MW", "Grid plus external power (Eq. 1), UPS included"),
    ("datacenter/{}/p_grid_mw", "MW", "Power from the feeder, UPS included"),
    ("datacenter/{}/p_need_mw", "MW", "Power from the feeder if the UPS did nothing"),
    ("datacenter/{}/q_mvar", "Mvar", "Reactive power from the feeder"),
    ("datacenter/{}/p_external_mw", "MW", "External sources (Eq. 1)"),
    ("datacenter/{}/p_unserved_mw", "MW", "DC bus demand that nothing serves"),
    ("datacenter/{}/pue", "1", "Power usage effectiveness, stored power not counted"),
    ("datacenter/{}/p_total_mean_mw", "MW", "Mean of p_total_mw since the last row"),
    ("datacenter/{}/p_grid_mean_mw", "MW", "Mean of p_grid_mw since the last row"),
    ("datacenter/{}/p_ai_mean_mw", "MW", "Mean of p_ai_mw since the last row"),
    ("datacenter/{}/vm_pu", "pu", "Voltage at its bus"),
    ("datacenter/{}/v_dc_pu", "pu", "Voltage of its DC bus: below 1 while its own energy fills a gap"),
    ("datacenter/{}/p_generator_mw", "MW", "Standby generator, part of p_external_mw"),
    ("datacenter/{}/p_throttled_mw", "MW", "IT power held back under a cap"),
    ("ups/{}/p_mw", "MW", "Power at the DC bus, charging positive"),
    ("ups/{}/p_ac_mw", "MW", "Power at the AC bus, charging positive; 0 with the topology dc_bus"),
    ("ups/{}/soc", "1", "State of charge"),
    ("ups/{}/mode", "1", "0 idle, 1 smoothing, 2 carrying, 3 out of service, 4 empty"),
    ("ups/{}/p_excess_mw", "MW", "What the UPS could not smooth"),
    ("ups/{}/second_p_mw", "MW", "Power of its second storage, part of p_mw, charging positive"),
    ("ups/{}/second_soc", "1", "State of charge of its second storage; soc is that of the first"),
    ("datacenter/{}/vm_a_pu", "pu", "Voltage of phase a at its bus; behind a delta that between a and b"),
    ("datacenter/{}/vm_b_pu", "pu", "Voltage of phase b at its bus; behind a delta that between b and c"),
    ("datacenter/{}/vm_c_pu", "pu", "Voltage of phase c at its bus; behind a delta that between c and a"),
)
_PHASES = ("vm_a_pu", "vm_b_pu", "vm_c_pu")
assert len(_FEEDER) == FEEDER_COLUMNS
assert len(_SITE) == SITE_COLUMNS
_SAMPLE = (
    ("datacenter/{}/vm_pu", "pu", "Voltage at its bus, of its lowest phase"),
    ("datacenter/{}/p_grid_mw", "MW", "Power from the feeder, UPS included"),
    ("datacenter/{}/q_mvar", "Mvar", "Reactive power from the feeder"),
    ("datacenter/{}/p_it_mw", "MW", "IT equipment: servers, network gear, storage"),
    ("ups/{}/p_mw", "MW", "Power at the DC bus, charging positive"),
    ("ups/{}/soc", "1", "State of charge"),
)
assert len(_SAMPLE) == SAMPLE_COLUMNS
_ELEMENTS = (
    ("bus/vm_pu", "bus_vm", "pu", "Voltage"),
    ("bus/va_degree", "bus_va", "degree", "Voltage angle"),
    ("bus/vm_min_pu", "bus_min", "pu", "Lowest voltage since the last row, at full step"),
    ("bus/vm_max_pu", "bus_max", "pu", "Highest voltage since the last row, at full step"),
    ("neutral/vm_pu", "bus_vm", "pu", "Voltage"),
    ("neutral/va_degree", "bus_va", "degree", "Voltage angle"),
    ("neutral/vm_max_pu", "bus_max", "pu", "Highest voltage since the last row, at full step"),
    ("line/p_mw", "line_p", "MW", "Power into the line at its from bus"),
    ("line/loading_percent", "line_loading", "percent", "Current over rating"),
    ("trafo/loading_percent", "trafo_loading", "percent", "Current over rating, the worst winding"),
    ("regulator/tap", "device", "1", "Tap, counted from neutral"),
    ("capacitor/n_on", "device", "1", "Steps switched on"),
    ("inverter/p_mw", "device", "MW", "Active power that a volt-var inverter generates, as set"),
    ("inverter/q_mvar", "device", "Mvar", "Reactive power that a volt-var inverter generates, as set"),
    ("generator/p_mw", "device", "MW", "Active power of a voltage-regulated generator, as set"),
    ("generator/q_mvar", "device", "Mvar", "Reactive power of a voltage-regulated generator, as set"),
)


@dataclass(frozen=True)
class Column:
    """One dataset of the log and where its rows come from."""

    path: str
    unit: str
    description: str
    names: tuple[str, ...] | None
    """Elements of a (time, element) dataset; None for one value a row."""
    source: str
    """Field of `LogArrays`."""
    index: NDArray[np.int64] | slice | int
    """Column, or columns, of that field; a slice where they stand side by side, so that none is copied."""
    reduce: Callable[[Rows], Rows] | None = None
    """From the rows of those columns to one value a row; None: they stand as they are."""
    labels: tuple[str, ...] | None = None
    """Names that whole numbers of this column point to."""

    @property
    def dtype(self) -> Literal["f4", "f8", "i4"]:
        """Type in the log: single precision for the wide ones."""
        if self.labels is not None:
            return "i4"
        return "f8" if self.names is None and self.reduce is None else "f4"

    def rows(self, log: LogArrays, n: int) -> Rows:
        """First n rows of this column."""
        block: Rows = getattr(log, self.source)[:n]
        rows: Rows = block if self.reduce is not None else block[:, self.index]
        return rows if self.reduce is None else self.reduce(rows)


def lowest(vm_pu: Rows) -> Rows:
    """Smallest voltage of each row above zero; 0 where there is none. [pu]"""
    rows: Rows = np.where(vm_pu > 0, vm_pu, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isinf(rows), 0.0, rows)


def lowest_node(vm_pu: Rows) -> Rows:
    """Which it is; -1 where there is none."""
    return np.where((vm_pu > 0).any(axis=1), np.where(vm_pu > 0, vm_pu, np.inf).argmin(axis=1), -1)


def highest(vm_pu: Rows) -> Rows:
    """Largest voltage of each row. [pu]"""
    rows: Rows = vm_pu.max(axis=1, initial=0)
    return rows


def highest_node(vm_pu: Rows) -> Rows:
    """Which it is; -1 where no node has voltage."""
    return np.where((vm_pu > 0).any(axis=1), vm_pu.argmax(axis=1), -1)


_EXTREMES = (
    ("bus_extremes/vm_min_pu", "bus_min", "pu", "Lowest voltage of all energized nodes since the last row", lowest),
    ("bus_extremes/vm_min_node", "bus_min", "1", "Node of vm_min_pu: its place in name, -1 for none", lowest_node),
    ("bus_extremes/vm_max_pu", "bus_max", "pu", "Highest voltage of all nodes since the last row", highest),
    ("bus_extremes/vm_max_node", "bus_max", "1", "Node of vm_max_pu: its place in name, -1 for none", highest_node),
)


def extremes(names: Sequence[str]) -> list[Column]:
    """Columns that hold of all nodes the lowest and the highest, and where."""
    return [
        Column(path, unit, text, None, field, 0, reduce, tuple(names) if path.endswith("_node") else None)
        for path, field, unit, text, reduce in _EXTREMES
        if names
    ]


def sample_columns(
    sites: Sequence[str], with_ups: Sequence[str], phases: Sequence[str], neutrals: Sequence[str], picked: Sequence[int]
) -> list[Column]:
    """What a full-rate sample holds: voltages of picked ones of the watched nodes, then each site's.

    The watched nodes are the phases and behind them the neutrals.
    """
    nodes, columns = (*phases, *neutrals), []
    for path, places in (
        ("vm_pu", [i for i in picked if i < len(phases)]),
        ("neutral/vm_pu", [i for i in picked if i >= len(phases)]),
    ):
        if places:
            names = tuple(nodes[i] for i in places)
            columns.append(Column(path, "pu", "Voltage", names, "ring", np.array(places, np.int64)))
    for s, site in enumerate(sites):
        for i, (path, unit, text) in enumerate(_SAMPLE):
            if not path.startswith("ups/") or site in with_ups:
                place = len(nodes) + s * SAMPLE_COLUMNS + i
                columns.append(Column(path.format(site), unit, text, None, "ring", place))
    return columns


def log_columns(
    sites: Sequence[str],
    with_ups: Sequence[str],
    elements: Mapping[str, Sequence[str]],
    wanted: Mapping[str, Sequence[str] | None],
    rows: Mapping[str, Sequence[int]],
    quantities: Collection[str] = QUANTITIES,
    with_area: bool = False,
    with_second: Collection[str] = (),
    with_phases: bool = False,
) -> list[Column]:
    """Every column of the log.

    Parameters
    ----------
    sites, with_ups : sequence of str
        Data centers in kernel order, and those that have a UPS.
    elements : mapping
        Names of all `bus` (nodes that are phases), `neutral`, `line`, `trafo`, `regulator`, `capacitor`, `inverter` and
        `generator` in kernel order.
    wanted : mapping
        Names to log of each; None for all.
    rows : mapping
        Columns of channels that share a field of `LogArrays` with another; others stand in the order of their names.
    quantities : collection of str
        What to log of buses, lines and transformers, as `log.quantities` has it.
    with_area : bool
        Whether the area behind the source has a frequency.
    with_second : collection of str
        Data centers whose UPS has a second storage.
    with_phases : bool
        Whether the phases of a balanced feeder may differ.
    """
    columns = [
        Column(path, unit, text, None, "scalars", i)
        for i, (path, unit, text) in enumerate(_FEEDER)
        if with_area or not path.endswith("f_hz")
    ]
    for s, site in enumerate(sites):
        for i, (path, unit, text) in enumerate(_SITE):
            holders = with_second if "/second_" in path else with_ups
            if path.startswith("ups/") and site not in holders:
                continue
            if path.endswith(_PHASES) and not with_phases:
                continue
            place = FEEDER_COLUMNS + s * SITE_COLUMNS + i
            columns.append(Column(path.format(site), unit, text, None, "scalars", place))
    for path, field, unit, text in _ELEMENTS:
        kind, quantity = path.split("/")
        asked = f"line_{quantity}" if path == "line/p_mw" else quantity
        if asked in QUANTITIES and asked not in quantities:
            continue
        names = list(elements[kind])
        chosen = wanted.get(kind)
        pick = range(len(names)) if chosen is None else [names.index(name) for name in chosen]
        if pick:
            picked = tuple(names[i] for i in pick)
            index = _side_by_side([rows[path][i] for i in pick] if path in rows else list(pick))
            columns.append(Column(path, unit, text, picked, field, index))
    return columns


def _side_by_side(places: list[int]) -> NDArray[np.int64] | slice:
    """Places of columns, as a slice where they follow one another."""
    first, n = places[0], len(places)
    return slice(first, first + n) if places == list(range(first, first + n)) else np.array(places, np.int64)
