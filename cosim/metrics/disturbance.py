"""When the supply, not the load, made the numbers: outages, dips and transfers, from the events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import Floats, Log, column, has

SUPPLY_PAIRS = (
    ("source_lost", "source_returned"),
    ("dip_started", "dip_ended"),
    ("fault_applied", "fault_cleared"),
    ("window_left", "window_entered"),
)
"""Kinds of event between which the voltage is disturbed."""
SITE_PAIRS = (
    ("ups_transferred", "ups_returned"),
    ("load_shed", "load_restored"),
)
"""Kinds of event between which a site is off its supply, however good that may be by then."""
RECOVERY_S = 120.0
"""Longest that the walk-in of a UPS after its return counts as disturbance. [s]"""


Spans = list[tuple[float, float]]
"""Start and end of each. [s]"""


def dark_spans(log: Log) -> Spans:
    """Spans in which the servers of a site that shed its load draw nothing, whatever an event says by then.

    Parameters
    ----------
    log : Log
        Sites of which it lacks the power of IT have none.

    Returns
    -------
    list of (float, float)
        From the `load_shed` to the first row with power, or the log's end; of any site. [s]
    """
    found = []
    shed = log.events[log.events["kind"] == "load_shed"]
    for name in dict.fromkeys(map(str, shed["element"])):
        path = f"datacenter/{name}/p_it_mw"
        if not has(log, path):
            continue
        t_s, on = column(log, "t_s", np.float64), column(log, path) > 0.0
        for at_s in shed.loc[shed["element"] == name, "t_s"]:
            row = int(np.searchsorted(t_s, at_s))
            row += int(row < len(on) and on[row])  # the row of the instant itself may show what was before
            if row < len(on) and not on[row]:
                later = np.flatnonzero(on[row:])
                found.append((float(at_s), float(t_s[row + later[0]] if len(later) else t_s[-1])))
    return found


def disturbed_spans(events: Any, end_s: float, margin_s: float = 0.0, dark: Spans | None = None) -> Floats:
    """Spans of time in which the supply was disturbed.

    Parameters
    ----------
    events : DataFrame
        Columns t_s [s], kind, element, in order of time.
    end_s : float
        End of the run, which closes an open span. [s]
    margin_s : float
        Added after each span; one log step covers the row that still shows it. [s]
    dark : list of (float, float), optional
        Spans in which servers draw nothing, see `dark_spans`. [s]

    Returns
    -------
    ndarray, shape (m, 2)
        Start and end of disjoint spans, ascending. [s]
    """
    told = [*_all_paired(events, SUPPLY_PAIRS, end_s), *_of_sites(events, end_s), *(dark or [])]
    return _merged(told, margin_s)


def supply_spans(events: Any, end_s: float) -> Floats:
    """Those in which the voltage itself was disturbed, of the same form. [s]"""
    return _merged(_all_paired(events, SUPPLY_PAIRS, end_s), 0.0)


def site_spans(events: Any, end_s: float, dark: Spans | None = None) -> Floats:
    """Those in which a site was off its supply, dark or coming back, of the same form. [s]"""
    return _merged([*_of_sites(events, end_s), *(dark or [])], 0.0)


def _of_sites(events: Any, end_s: float) -> Spans:
    walk_ins = _walk_ins(events[events["kind"].isin(["ups_returned", "ups_released"])], end_s)
    return _all_paired(events, SITE_PAIRS, end_s) + walk_ins


def _all_paired(events: Any, pairs: tuple[tuple[str, str], ...], end_s: float) -> Spans:
    return [span for pair in pairs for span in _paired(events[events["kind"].isin(pair)], pair[0], end_s)]


def _merged(spans: Spans, margin_s: float) -> Floats:
    merged: list[list[float]] = []
    for from_s, to_s in sorted(spans):
        if merged and from_s <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], to_s + margin_s)
        else:
            merged.append([from_s, to_s + margin_s])
    return np.array(merged).reshape(-1, 2)


def _paired(chosen: Any, start: str, end_s: float) -> Spans:
    since: dict[str, float] = {}
    spans = []
    for t_s, kind, element in zip(chosen["t_s"], chosen["kind"], chosen["element"], strict=True):
        if kind == start:
            since.setdefault(str(element), float(t_s))
        elif str(element) in since:
            spans.append((since.pop(str(element)), float(t_s)))
    return spans + [(from_s, end_s) for from_s in since.values()]


def _walk_ins(chosen: Any, end_s: float) -> Spans:
    """From the return of each UPS to its next release, when the grid carries the load again."""
    spans = []
    rows = list(zip(chosen["t_s"], chosen["kind"], chosen["element"], strict=True))
    for i, (t_s, kind, element) in enumerate(rows):
        if kind == "ups_returned":
            released = (t for t, later, name in rows[i + 1 :] if later == "ups_released" and name == element)
            spans.append((float(t_s), min(float(next(released, end_s)), float(t_s) + RECOVERY_S)))
    return spans


def touches(start_s: Floats, end_s: Floats, spans: Floats) -> npt.NDArray[np.bool_]:
    """Which of the windows [start, end] touch any of the spans.

    Parameters
    ----------
    start_s, end_s : ndarray, shape (n,)
        Windows. [s]
    spans : ndarray, shape (m, 2)
        Disjoint spans, ascending. [s]
    """
    if len(spans) == 0:
        return np.zeros(len(start_s), dtype=np.bool_)
    nearest = np.searchsorted(spans[:, 1], start_s, side="left")
    reached = np.minimum(nearest, len(spans) - 1)
    hit: npt.NDArray[np.bool_] = (nearest < len(spans)) & (spans[reached, 0] <= end_s)
    return hit
