"""Large starts as the grid sees them: announced how long ahead, what came, how fast, and how late."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cosim.metrics.case import Case, Seen, Verdict, seconds, verdict_of
from cosim.metrics.limits import StartNoticeLimit
from cosim.metrics.log import Floats, Log, column, has

BEFORE_S = 10.0
"""What comes is counted from the mean power over this time before the start. [s]"""
SETTLED_S = 600.0
"""So long after a start its power is looked at, if nothing else happens to a job of the site. [s]"""
MINUTE_S = 60.0
_DUE = re.compile(r"due at t = (\S+) s")
_NEXT = ("job_started", "job_stopped", "job_failed", "load_shed", "ups_transferred")
"""Kinds of event after which the power of a site is no longer that of one start."""


class Start(NamedTuple):
    """One start of a job, but for those at the start of the log and restarts after a failure or an outage."""

    job: str
    t_s: float
    """When it started. [s]"""
    rise_mw: float
    """Largest power from the feeder after it less the mean before. [MW]"""
    ramp_mw_per_min: float
    """Its largest rise within any minute. [MW/min]"""
    announced_mw: float | None
    """Rise that was announced; None without an announcement. [MW]"""
    notice_s: float
    """How long ahead of the time it was due it was announced; 0: not at all. [s]"""
    late_s: float
    """How long after that time it came: it was held, or the site had no power. [s]"""

    def summary(self) -> dict[str, Any]:
        """Plain values."""
        return self._asdict()


def starts_of(log: Log, name: str) -> list[Start]:
    """Every start at one data center.

    Parameters
    ----------
    log : Log
    name : str
        The data center.

    Returns
    -------
    list of Start
        In order of time; none where the log lacks its power from the feeder.
    """
    path = f"datacenter/{name}/p_grid_mw"
    if log.n_rows < 2 or not has(log, path) or not (log.events["kind"] == "job_started").any():
        return []
    t_s, p_mw = column(log, "t_s", np.float64), column(log, path, np.float64)
    element = log.events["element"]
    mine = log.events[(element == name) | element.str.startswith(f"{name}/")]
    ends = mine.loc[mine["kind"].isin(_NEXT), "t_s"].to_numpy(np.float64)
    found = []
    for at_s, job, told in _noted(mine, name, float(t_s[0])):
        until_s = min([*ends[ends > at_s], at_s + SETTLED_S])
        first = max(int(np.searchsorted(t_s, at_s)), 1)
        last = min(max(int(np.searchsorted(t_s, until_s)), first + 1), len(t_s))
        if first < len(t_s):
            rise_mw, ramp_mw_per_min = _risen(t_s, p_mw, first, last)
            found.append(Start(job, at_s, rise_mw, ramp_mw_per_min, *told))
    return found


def _noted(events: Any, site: str, begin_s: float) -> Iterator[tuple[float, str, tuple[float | None, float, float]]]:
    """Starts among the events of a site: time [s], job; MW announced or None, how long ahead and how late [s].

    A job starts again that failed (so does every one that runs when the site goes dark), or that the site stopped to
    spare its storage: at a `load_shed` of its power. Any other start is one, whatever happened to the site.
    """
    announced: dict[str, tuple[float, float, float]] = {}
    due: dict[str, float] = {}
    again: set[str] = set()
    shed = {(row.t_s, row.value) for row in events[events["kind"] == "load_shed"].itertuples()}
    columns = (events[column] for column in ("t_s", "kind", "element", "value", "detail"))
    for t_s, kind, element, value, detail in zip(*columns, strict=True):
        job = str(element).removeprefix(f"{site}/")
        if kind == "start_announced":
            announced[job] = float(t_s), _due_s(str(detail), float(t_s)), float(value)
        elif kind == "start_held":
            due.setdefault(job, float(t_s))
        elif kind == "job_failed" or (kind == "job_stopped" and (t_s, value) in shed):
            again.add(job)
        elif kind == "job_stopped":
            again.discard(job)
        elif kind == "job_started":
            told_s, due_s, p_mw = announced.pop(job, (None, float(t_s), None))
            due_s = due.pop(job, due_s)
            if job not in again and t_s > begin_s:
                yield float(t_s), job, (p_mw, 0.0 if told_s is None else due_s - told_s, float(t_s) - due_s)
            again.discard(job)


def _due_s(detail: str, told_s: float) -> float:
    """When a start is due by its announcement, as the event has it; without that when it is told. [s]"""
    found = _DUE.search(detail)
    return float(found[1]) if found else told_s


def _risen(t_s: Floats, p_mw: Floats, first: int, last: int) -> tuple[float, float]:
    """Largest power of the rows from first to last less the mean before [MW], and their largest rise in a minute."""
    import pandas as pd  # which only a run with starts needs

    before = slice(min(int(np.searchsorted(t_s, t_s[first] - BEFORE_S)), first - 1), first)
    rise_mw = float(p_mw[first:last].max() - p_mw[before].mean())
    begin = int(np.searchsorted(t_s, t_s[first] - MINUTE_S))
    seen = pd.Series(p_mw[begin:last], pd.to_timedelta(t_s[begin:last], unit="s"))
    risen = seen - seen.rolling(f"{MINUTE_S:g}s", closed="both").min()
    return rise_mw, float(risen.iloc[first - begin :].max())


def start_notice(limit: StartNoticeLimit, case: Case) -> Verdict:
    """Whether starts above a size were announced long enough ahead."""
    large = [
        (name, one)
        for name in case.datacenters
        for one in starts_of(case.log, name)
        if max(one.rise_mw, one.announced_mw or 0.0) > limit.larger_than_mw
    ]
    seen = []
    for name, one in large:
        told = "without notice"
        if one.announced_mw is not None:
            told = f"announced with {one.announced_mw:.4g} MW {seconds(one.notice_s)} ahead"
        short_s = limit.notice_s - one.notice_s
        told += f", {seconds(short_s)} short" if short_s > 0.0 else ""
        note = f"{one.rise_mw:.4g} MW came, {told}"
        seen.append(Seen(one.notice_s, one.t_s, f"{name}/{one.job}", note))
    n_short = sum(one.value < limit.notice_s for one in seen)
    if n_short > 1:
        seen = [one._replace(note=f"{one.note}; {n_short} of {len(seen)} such starts") for one in seen]
    why = f"no start above {limit.larger_than_mw:g} MW in the run"
    return verdict_of(limit, "s", limit.notice_s, seen, why, lowest=True)
