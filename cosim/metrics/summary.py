"""All metrics of a run as one nested dict of plain numbers and strings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.metrics.analysis import Analysis, DataCenter, analyse
from cosim.metrics.calls import calls_of
from cosim.metrics.log import Log
from cosim.metrics.ramp import Ramp
from cosim.metrics.standards import summary as standards_summary
from cosim.metrics.starts import starts_of
from cosim.metrics.verdict import counted
from cosim.metrics.voltage import (
    INTERRUPTION_PU,
    RANGE_A_MAX_PU,
    RANGE_A_MIN_PU,
    SAG_PU,
    SWELL_PU,
    Voltage,
)
from cosim.metrics.window import Swing

if TYPE_CHECKING:
    from cosim.metrics.planning import Planning

N_LINE = 5
"""Most affected lines that a summary names."""


def summarize(log: Log, analysis: Analysis | None = None, planning: Planning | None = None) -> dict[str, Any]:
    """Every metric of a run.

    Parameters
    ----------
    log : Log
        The result.
    analysis : Analysis, optional
        Its metrics, where they were taken before.
    planning : Planning, optional
        What `cosim.metrics.planning.plan` found beyond the log.

    Returns
    -------
    dict
        Nested dict of floats, ints, strings and lists of such; keys end in their unit. What cannot
        be computed (a channel the log lacks, a ratio without a denominator) is left out, so the
        dict holds no NaN and no infinity. `docs/metrics.md` defines each entry.
    """
    found = analyse(log) if analysis is None else analysis
    summary: dict[str, Any] = {"run": _run(log, found)}
    if found.voltage is not None:
        summary["voltage"] = _voltage(found.voltage, found.voltage_swing)
    elif found.extremes is not None:
        summary["voltage"] = vars(found.extremes)
    summary |= _feeder(found)
    if found.datacenter:
        summary["datacenter"] = {
            name: _datacenter(part, with_ups=name in found.ups) for name, part in found.datacenter.items()
        }
    for name in found.datacenter:
        if calls := calls_of(log, name):
            summary["datacenter"][name]["calls"] = [call._asdict() for call in calls]
        if starts := starts_of(log, name):
            summary["datacenter"][name]["starts"] = [start.summary() for start in starts]
    if found.ups:
        summary["ups"] = {name: part.summary() for name, part in found.ups.items()}
    if (lost := found.standards.system_loss) is not None:
        summary["system"] = lost.summary()
    names = found.voltage.name if found.voltage is not None else []
    standards = standards_summary(found.standards, names)
    if standards:
        summary["standards"] = standards
    if found.datacenter or names:  # of a log without either nothing is seen
        summary["verdicts"] = [verdict.summary() for verdict in found.verdicts]
        summary["verdict"] = counted(found.verdicts)
    accounts = found.accounts.summary()
    if accounts:
        summary["accounts"] = accounts
    if planning is not None and (planned := planning.summary()):
        summary["planning"] = planned
    if log.metrics:
        summary["engine"] = dict(log.metrics)
    plain: dict[str, Any] = _plain(summary)
    return plain


def _feeder(found: Analysis) -> dict[str, Any]:
    """Source, losses, lines and transformers."""
    summary: dict[str, Any] = {}
    if found.source is not None:
        summary["source"] = found.source.summary() | {
            "swing": _one_swing(found.source_swing, 0),
            "ramp": _ramps(found.source_ramp),
        }
    if found.e_loss_mwh is not None:
        summary["feeder"] = {"e_loss_mwh": found.e_loss_mwh}
    if found.line_swing is not None:
        summary["lines"] = _lines(found, found.line_swing)
    if found.trafo_loading_percent is not None and found.trafo_name:
        summary["trafos"] = [_trafo(found, i) for i in range(len(found.trafo_name))]
    if overloads := _overloads(found):
        summary["overloads"] = overloads
    return summary


def _run(log: Log, found: Analysis) -> dict[str, Any]:
    about = {key: log.attrs[key] for key in ("scenario_name", "seed", "cosim_version") if key in log.attrs}
    kinds = [str(kind) for kind in log.events["kind"]]
    return about | {
        "status": log.status,
        "start_s": found.start_s,
        "end_s": found.end_s,
        "duration_s": found.end_s - found.start_s,
        "log_step_s": found.step_s,
        "n_row": found.n_row,
        "disturbed_s": float((found.disturbed[:, 1] - found.disturbed[:, 0]).sum()),
        "n_event": len(kinds),
        "events": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


def _voltage(voltage: Voltage, swing: Swing | None) -> dict[str, Any]:
    worst = voltage.worst()
    summary: dict[str, Any] = {
        "limits": {
            "interruption_pu": INTERRUPTION_PU,
            "sag_pu": SAG_PU,
            "range_a_min_pu": RANGE_A_MIN_PU,
            "range_a_max_pu": RANGE_A_MAX_PU,
            "swell_pu": SWELL_PU,
        },
        "n_bus": len(voltage.name),
        "n_bus_never_energized": int((~voltage.energized).sum()),
        "n_bus_below_range_a": int((voltage.below_range_a_s > 0).sum()),
        "n_bus_with_sag": int((voltage.n_sag > 0).sum()),
        "n_bus_with_interruption": int(voltage.interrupted.sum()),
        "n_bus_with_swell": int((voltage.n_swell > 0).sum()),
    }
    if worst is not None:
        summary |= {"worst_bus": voltage.name[worst]} | {
            key: value for key, value in bus_summary(voltage, worst).items() if key in ("vm_min_pu", "t_min_s")
        }
    summary["bus"] = {
        name: bus_summary(voltage, i) | _one_swing(swing, i, "_pu") for i, name in enumerate(voltage.name)
    }
    return summary


def bus_summary(voltage: Voltage, i: int) -> dict[str, Any]:
    """Voltage record of bus number `i` as plain numbers; one that never had voltage has no extremes."""
    numbers: dict[str, Any] = {}
    if voltage.energized[i]:
        low = float(voltage.vm_min_pu[i])
        numbers = {
            "vm_min_pu": low,
            "t_min_s": float(voltage.t_min_s[i]),
            "vm_max_pu": float(voltage.vm_max_pu[i]),
            "t_max_s": float(voltage.t_max_s[i]),
        }
        if low < SAG_PU:
            numbers["sag_depth_pu"] = 1.0 - low
    return numbers | {
        "n_sag": int(voltage.n_sag[i]),
        "sag_s": float(voltage.sag_s[i]),
        "sag_longest_s": float(voltage.sag_longest_s[i]),
        "n_below_range_a": int(voltage.n_below_range_a[i]),
        "below_range_a_s": float(voltage.below_range_a_s[i]),
        "below_range_a_longest_s": float(voltage.below_range_a_longest_s[i]),
        "above_range_a_s": float(voltage.above_range_a_s[i]),
        "n_swell": int(voltage.n_swell[i]),
        "swell_s": float(voltage.swell_s[i]),
        "n_interruption": int(voltage.n_interruption[i]),
        "interruption_s": float(voltage.interruption_s[i]),
        "interruption_longest_s": float(voltage.interruption_longest_s[i]),
    }


def _one_swing(swing: Swing | None, i: int, unit: str = "_mw") -> dict[str, float]:
    if swing is None:
        return {}
    numbers = {f"peak_to_peak{unit}": float(swing.peak_to_peak[i])}
    for window_s, within in swing.within.items():
        numbers[f"swing_{window_s:g}s{unit}"] = float(within[i])
        numbers[f"swing_{window_s:g}s_t_s"] = float(swing.at_s[window_s][i])
        numbers[f"undisturbed_swing_{window_s:g}s{unit}"] = float(swing.undisturbed[window_s][i])
    return numbers


def _lines(found: Analysis, swing: Swing) -> list[dict[str, Any]]:
    """The most affected lines, the one with the largest peak to peak first."""
    rows = []
    for i in found.lines_by_swing()[:N_LINE]:
        row: dict[str, Any] = {"name": found.line_name[i]} | _one_swing(swing, i)
        row |= {"min_p_mw": float(swing.low[i]), "max_p_mw": float(swing.high[i])}
        if found.line_loading_percent is not None:
            row["max_loading_percent"] = float(found.line_loading_percent[i])
        rows.append(row)
    return rows


def _overloads(found: Analysis) -> list[dict[str, Any]]:
    """Lines and transformers that carried more than their rating, the one that did so longest first."""
    rows = []
    for kind, names, loading, over in (
        ("line", found.line_name, found.line_loading_percent, found.line_overload),
        ("trafo", found.trafo_name, found.trafo_loading_percent, found.trafo_overload),
    ):
        if loading is None or over is None:
            continue
        for i in np.flatnonzero(over.total_s > 0.0).tolist():
            row = {"kind": kind, "name": names[i], "overload_s": float(over.total_s[i])}
            row |= {"overload_longest_s": float(over.longest_s[i]), "max_loading_percent": float(loading[i])}
            rows.append(row)
    return sorted(rows, key=lambda row: -row["overload_s"])


def _trafo(found: Analysis, i: int) -> dict[str, Any]:
    assert found.trafo_loading_percent is not None
    row: dict[str, Any] = {"name": found.trafo_name[i], "max_loading_percent": float(found.trafo_loading_percent[i])}
    if found.trafo_ageing is not None:
        row["hot_spot_max_degree"] = float(found.trafo_ageing.hot_spot_max_degree[i])
        row["ageing_factor"] = float(found.trafo_ageing.factor[i])
        row["life_lost_percent"] = float(found.trafo_ageing.life_lost_percent[i])
    return row


def _ramps(ramps: dict[float, Ramp]) -> dict[str, dict[str, float]]:
    return {f"{window_s:g}s": ramp.summary() for window_s, ramp in ramps.items()}


def _datacenter(part: DataCenter, with_ups: bool) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "tdp_mw": part.rating.tdp_mw if part.rating else None,
        "gpu_utilization": part.gpu_utilization,
        "pue": part.pue,
        "e_unserved_mwh": part.e_unserved_mwh,
        "e_external_mwh": part.e_external_mwh,
        "power": {kind: power.summary() for kind, power in part.power.items()},
        "work": {name: work.summary() for name, work in part.work.items()} or None,
        "swing": {kind: _one_swing(swing, 0) for kind, swing in part.swing.items()},
        "ramp": {kind: _ramps(ramps) for kind, ramps in part.ramp.items()},
    }
    if with_ups and {"need", "grid"} <= set(part.ramp):
        summary["ups_effect"] = ups_effect(part)
    return summary


def ups_effect(part: DataCenter) -> dict[str, dict[str, float]]:
    """Fastest rise and fall without the UPS (p_need) and with it (p_grid), and their ratio, by window.

    Only windows that touch no disturbance of the supply count: an outage takes the grid side to
    zero and back, whatever the UPS does.
    """
    effect = {}
    for window_s, without in part.ramp["need"].items():
        with_ups = part.ramp["grid"][window_s]
        numbers = {
            "ramp_without_mw_per_s": without.undisturbed_max_ramp_mw_per_s,
            "ramp_with_mw_per_s": with_ups.undisturbed_max_ramp_mw_per_s,
            "decline_without_mw_per_s": without.undisturbed_max_decline_mw_per_s,
            "decline_with_mw_per_s": with_ups.undisturbed_max_decline_mw_per_s,
        }
        for kind in ("ramp", "decline"):
            if numbers[f"{kind}_without_mw_per_s"] > 0.0:
                numbers[f"{kind}_ratio"] = numbers[f"{kind}_with_mw_per_s"] / numbers[f"{kind}_without_mw_per_s"]
        effect[f"{window_s:g}s"] = numbers
    return effect


def _plain(value: Any) -> Any:
    """The value in Python's own types, without what is None, NaN or infinite."""
    if isinstance(value, Mapping):
        items = ((str(key), _plain(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not None}
    if isinstance(value, list | tuple | np.ndarray):
        return [item for item in map(_plain, value) if item is not None]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
