"""Read the event log that stands beside a trace, and find where it lies on the trace's clock.

A CSV with `key` and one of `t_s` (the trace's clock) and `time_ms` (a clock of its own, such as Unix time). Known keys
are those of MLPerf's logs: run, block, eval and checkpoint, each with _start and _stop; tracked_stats whose `value`
holds a step's timing; global_batch_size; `meta` of a block may hold samples_count.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cosim.errors import InputError, Problem, unreadable

Floats = NDArray[np.float64]
Spans = tuple[tuple[float, float], ...]

KINDS = ("run", "block", "eval", "checkpoint")
STEP_TIMING = "train_step_timing in s"
SEARCH_S = 30.0
"""How far a run may begin before or end behind its trace; less where evaluations come faster. [s]"""
EDGE_S = 4.0
"""Stretch behind each change between training and evaluation that may have a level of its own. [s]"""
MIN_EXPLAINED = 0.05
"""Part of the trace's variance that training, evaluation and outside must explain for the log to be its own. [1]"""


@dataclass(frozen=True)
class EventLog:
    """What a log says, on the trace's clock once it is aligned. [s]"""

    file: str
    run: tuple[float, float]
    blocks: Spans
    """Stretches of training between evaluations."""
    evaluations: Spans
    checkpoints: Spans
    n_steps: tuple[int, ...]
    """Iterations of each block; 0 where the log does not tell."""
    aligned: bool
    """Whether its times are the trace's."""
    explained: float = math.nan
    """Part of the trace's variance that training, evaluation and outside explain. [1]"""

    def moved(self, by_s: float) -> EventLog:
        """The same log at other times."""

        def at(spans: Spans) -> Spans:
            return tuple((a + by_s, b + by_s) for a, b in spans)

        return replace(
            self, run=at((self.run,))[0], blocks=at(self.blocks), evaluations=at(self.evaluations),
            checkpoints=at(self.checkpoints),
        )  # fmt: skip

    @property
    def iteration_s(self) -> float:
        """Usual time of an iteration, what it waits for included; nan where the log does not tell. [s]"""
        each = [(b - a) / n for (a, b), n in zip(self.blocks, self.n_steps, strict=True) if n > 0]
        return float(np.median(each[1:] or each)) if each else math.nan

    def until(self, end_s: float) -> EventLog:
        """What had happened by a time."""
        kept = [i for i, (a, _) in enumerate(self.blocks) if a < end_s]
        return replace(
            self,
            blocks=tuple(self.blocks[i] for i in kept),
            n_steps=tuple(self.n_steps[i] for i in kept),
            evaluations=tuple(span for span in self.evaluations if span[1] <= end_s),
            checkpoints=tuple(span for span in self.checkpoints if span[1] <= end_s),
        )


def load_events(path: Path) -> EventLog:
    """An event log, not aligned yet where it has a clock of its own.

    Raises
    ------
    InputError
        Other columns, times that are no numbers, no training in it, a start without its stop.
    """
    file = str(path)
    try:
        table = pd.read_csv(path)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise unreadable(error, file, "cannot read this event log") from None
    clocks = [name for name in ("t_s", "time_ms") if name in table]
    if "key" not in table or len(clocks) != 1:
        columns = ", ".join(map(str, table.columns))
        raise InputError(
            Problem(
                f"looks for columns key and one of t_s, time_ms in its first line, which has {columns}",
                file=file,
                line=1,
            )
        )
    t_s = pd.to_numeric(table[clocks[0]], errors="coerce") / (1000.0 if clocks[0] == "time_ms" else 1.0)
    if not np.isfinite(t_s).all():
        line = int(np.flatnonzero(~np.isfinite(t_s))[0]) + 2
        raise InputError(Problem(f"{clocks[0]} is not a finite number", file=file, line=line))
    key = table["key"].astype(str)
    spans = {kind: _spans(t_s, key, kind, file) for kind in KINDS}
    blocks = spans["block"] or spans["run"]
    if not blocks:
        raise InputError(Problem("has no run_start and run_stop, and no block_start and block_stop", file=file))
    run = (spans["run"] or ((blocks[0][0], blocks[-1][1]),))[0]
    return EventLog(
        file, run, blocks, spans["eval"], spans["checkpoint"], _steps(table, t_s, blocks), clocks[0] == "t_s"
    )


def _spans(t_s: pd.Series[float], key: pd.Series[str], kind: str, file: str) -> Spans:
    """Start and stop of each of a kind, in order; the last one may still be open."""
    starts = list(t_s[key == f"{kind}_start"])
    stops = list(t_s[key == f"{kind}_stop"])
    out = []
    for i, start in enumerate(starts):
        after = starts[i + 1] if i + 1 < len(starts) else math.inf
        ends = [stop for stop in stops if start <= stop <= after]
        if ends:
            out.append((float(start), float(ends[0])))
        elif after < math.inf:
            line = int(t_s.index[(key == f"{kind}_start") & (t_s == start)][0]) + 2
            raise InputError(Problem(f"{kind}_start has no {kind}_stop before the next one", file=file, line=line))
    return tuple(out)


def _steps(table: pd.DataFrame, t_s: pd.Series[float], blocks: Spans) -> tuple[int, ...]:
    """Iterations of each block: its step timings, else its samples over the global batch."""
    value = table["value"].astype(str) if "value" in table else pd.Series([""] * len(table))
    timed = t_s[value.str.contains(STEP_TIMING, regex=False)].to_numpy()
    if timed.size:
        return tuple(int(np.count_nonzero((timed > a) & (timed <= b + 0.001))) for a, b in blocks)
    batch = pd.to_numeric(value[table["key"] == "global_batch_size"], errors="coerce").dropna()
    if batch.empty or "meta" not in table:
        return (0,) * len(blocks)
    done = {round(float(t), 3): _samples(meta) for t, meta in zip(t_s, table["meta"], strict=True)
            if _samples(meta) is not None}  # fmt: skip
    out = []
    before = 0.0
    for _, stop in blocks:
        reached = done.get(round(stop, 3))
        out.append(0 if reached is None else round((reached - before) / float(batch.iloc[0])))
        before = reached if reached is not None else before
    return tuple(out)


def _samples(meta: Any) -> float | None:
    try:
        found = json.loads(str(meta))
    except ValueError:
        return None
    value = found.get("samples_count") if isinstance(found, dict) else None
    return float(value) if isinstance(value, int | float) else None


def align(log: EventLog, p_mw: Floats, dt_s: float) -> EventLog:
    """A log on the clock of a trace.

    The run is shifted, by whole intervals, to where levels explain most of the trace's variance: training,
    evaluation or checkpoint, what follows a change between them, outside. The first block, with the warm-up, and what
    precedes it are left out where there are more.

    Raises
    ------
    InputError
        They explain less than `MIN_EXPLAINED` anywhere: another run's log.
    """
    length_s = log.run[1] - log.run[0]
    end_s = len(p_mw) * dt_s
    if log.aligned:
        at_s = [log.run[0]]
    else:
        reach_s = SEARCH_S
        if len(log.evaluations) > 1:  # further, and the pattern would meet itself again
            reach_s = min(reach_s, 0.45 * float(np.median(np.diff([a for a, _ in log.evaluations]))))
        last = max(end_s - length_s, 0.0) + reach_s
        at_s = list(np.arange(math.floor(-reach_s / dt_s), math.ceil(last / dt_s) + 1) * dt_s)
    shares = [_explained(log.moved(t - log.run[0]), p_mw, dt_s) for t in at_s]
    best = int(np.argmax(shares))
    if shares[best] < MIN_EXPLAINED:
        raise InputError(
            Problem(
                f"its runs and evaluations explain {shares[best]:.1%} of the trace's variance at best, below "
                f"{MIN_EXPLAINED:.0%}: it is the log of another run, or its clock is not the trace's",
                file=log.file,
            )
        )
    return replace(log.moved(at_s[best] - log.run[0]), explained=shares[best], aligned=True)


def _explained(log: EventLog, p_mw: Floats, dt_s: float) -> float:
    """Part of the variance between the levels. [1]"""
    kind = labels(log, len(p_mw), dt_s)
    for number, spans in ((3, log.evaluations), (4, log.blocks[1:])):
        for begin, _ in spans:
            first = min(max(math.ceil(begin / dt_s), 0), len(kind))
            kind[first : first + max(1, round(EDGE_S / dt_s))] = number
    if len(log.blocks) > 1:
        kind[: min(max(math.ceil(log.blocks[0][1] / dt_s), 0), len(kind))] = 5
    judged = p_mw[kind != 5]
    within = sum(float(((x - x.mean()) ** 2).sum()) for k in range(5) if (x := p_mw[kind == k]).size)
    whole = float(((judged - judged.mean()) ** 2).sum()) if judged.size else 0.0
    return 1.0 - within / whole if whole > 0 else 0.0


def labels(log: EventLog, n: int, dt_s: float) -> NDArray[np.int64]:
    """What each sample is: 0 outside, 1 training, 2 evaluation or checkpoint; shape (n,)."""
    out = np.zeros(n, np.int64)
    for number, spans in ((1, log.blocks), (2, log.evaluations), (2, log.checkpoints)):
        for begin, end in spans:
            first, last = (min(max(math.ceil(t / dt_s), 0), n) for t in (begin, end))
            out[first:last] = number
    return out
