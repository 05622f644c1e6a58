"""Fault recorder: which instants around events are kept at full rate, and how they stand in the log.

The engine keeps a ring of samples, one row an instant, that reaches back at least `pre_s` before its last return to
Python. At each return it hands the ring and the events found to a `CaptureDesk`, which cuts captures out of it; the
recorder writes each under `/capture/<n>` as soon as it is complete (`capture_file`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cosim.record.channels import Channel
from cosim.units import to_us

Event = tuple[int, str, str, float, str]
"""Time [us], kind, element, value, detail."""


class CaptureRules(Protocol):
    """What `log.capture` of a scenario says."""

    @property
    def pre_s(self) -> float:
        """Kept before the first event. [s]"""

    @property
    def post_s(self) -> float:
        """Kept after the last event. [s]"""

    @property
    def max_s(self) -> float:
        """Longest capture. [s]"""

    @property
    def max_n(self) -> int:
        """Most captures of a run."""

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of event that start one."""


@dataclass(frozen=True)
class Capture:
    """Every instant around one event, or around several that follow closely."""

    t_us: NDArray[np.int64]
    """[n] times, rising. [us]"""
    values: NDArray[np.float32]
    """[n, width] what the channels hold, one behind the other."""
    trigger: Event
    """The event that started it."""
    n_event: int = 1
    """Events that started and prolonged it."""
    is_cut: bool = False
    """It reached its longest duration, or the run ended, before all was over."""


@dataclass
class _Open:
    """A capture under way."""

    from_us: int
    until_us: int
    trigger: Event
    kept_us: int
    """Time of the last sample kept. [us]"""
    last_us: int
    """Time of the last event. [us]"""
    n_event: int = 1
    t_us: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[NDArray[np.float32]] = field(default_factory=list)


class CaptureDesk:
    """Cuts captures out of what the engine hands over.

    A capture begins `pre_s` before the event that starts it and ends `post_s` after the last event of its kinds, but
    `max_s` after it began at the latest; an event behind that starts another, which does not overlap it.

    Parameters
    ----------
    rules : CaptureRules
    width : int
        Values of a sample.
    """

    def __init__(self, rules: CaptureRules, width: int) -> None:
        self._pre_us, self._post_us, self._max_us = to_us(rules.pre_s), to_us(rules.post_s), to_us(rules.max_s)
        self._max_n, self._kinds, self._width = rules.max_n, frozenset(rules.kinds), width
        self._open: _Open | None = None
        self._done_us = -1
        self.n_started = 0
        """Captures begun so far, the one under way included."""
        self.n_missed = 0
        """Events that found `max_n` captures made."""

    def take(
        self, t_us: NDArray[np.int64], values: NDArray[np.floating[Any]], events: Iterable[Event]
    ) -> list[Capture]:
        """Take in what happened since the last call; return the captures that it completes.

        Parameters
        ----------
        t_us : ndarray of int64, shape (n,)
            Times of the samples, rising: every instant since the last call, before them those of the last `pre_s` at
            least, as far as the run has any. Instants handed over before are known again by their time. [us]
        values : ndarray, shape (n, width)
            The samples.
        events : iterable of (t_us, kind, element, value, detail)
            Events since the last call; kinds that start no capture are passed over.

        Returns
        -------
        list of Capture
            In order of time; copies, so that the ring may be written on.

        Raises
        ------
        ValueError
            Samples of another width: a fault of the caller.
        """
        if values.shape != (len(t_us), self._width):
            raise ValueError(f"samples of shape {values.shape}, expected {(len(t_us), self._width)}")
        done: list[Capture] = []
        for event in sorted((e for e in events if e[1] in self._kinds), key=lambda e: e[0]):
            if self._open is not None and event[0] > self._open.until_us:
                done.append(self._closed(t_us, values))
            self._note(event)
        if self._open is not None and len(t_us):
            if t_us[-1] >= self._open.until_us:
                done.append(self._closed(t_us, values))
            else:
                self._keep(self._open, t_us, values)
        return done

    def _note(self, event: Event) -> None:
        """Prolong the capture under way by an event, or start one."""
        t_us, held = event[0], self._open
        if held is not None:
            held.n_event, held.last_us = held.n_event + 1, t_us
            held.until_us = min(t_us + self._post_us, held.from_us + self._max_us)
        elif self.n_started >= self._max_n:
            self.n_missed += 1
        elif t_us > self._done_us:
            from_us = max(t_us - self._pre_us, self._done_us + 1)
            until_us = min(t_us + self._post_us, from_us + self._max_us)
            self._open = _Open(from_us, until_us, event, kept_us=from_us - 1, last_us=t_us)
            self.n_started += 1

    @staticmethod
    def _keep(held: _Open, t_us: NDArray[np.int64], values: NDArray[np.floating[Any]]) -> None:
        """Copy the samples of the capture under way that were not kept before."""
        first = int(np.searchsorted(t_us, held.kept_us, side="right"))
        last = int(np.searchsorted(t_us, held.until_us, side="right"))
        if last > first:
            held.t_us.append(np.array(t_us[first:last], np.int64))
            held.values.append(np.array(values[first:last], np.float32))
            held.kept_us = int(t_us[last - 1])

    def _closed(self, t_us: NDArray[np.int64], values: NDArray[np.floating[Any]]) -> Capture:
        ended, self._open = self._open, None
        assert ended is not None
        self._keep(ended, t_us, values)
        self._done_us = ended.until_us
        return self._capture(ended, is_cut=ended.until_us < ended.last_us + self._post_us)

    def _capture(self, ended: _Open, is_cut: bool) -> Capture:
        t_us = np.concatenate([np.zeros(0, np.int64), *ended.t_us])
        values = np.concatenate([np.zeros((0, self._width), np.float32), *ended.values])
        return Capture(t_us, values, ended.trigger, ended.n_event, is_cut)

    def finish(self) -> list[Capture]:
        """The capture under way, cut by the end of the run; none where none is."""
        ended, self._open = self._open, None
        return [] if ended is None else [self._capture(ended, is_cut=True)]

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything it must remember, for a checkpoint."""
        facts: dict[str, Any] = {"n_started": self.n_started, "n_missed": self.n_missed, "done_us": self._done_us}
        held = self._open
        if held is None:
            return {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
        facts["open"] = [held.from_us, held.until_us, held.trigger, held.kept_us, held.last_us, held.n_event]
        kept = self._capture(held, is_cut=False)
        return {
            "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
            "t_us": kept.t_us,
            "values": kept.values,
        }

    def restore(self, stored: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave."""
        facts = json.loads(np.asarray(stored["facts"]).tobytes())
        self.n_started, self.n_missed, self._done_us = facts["n_started"], facts["n_missed"], facts["done_us"]
        self._open = None
        if "open" in facts:
            from_us, until_us, trigger, kept_us, last_us, n_event = facts["open"]
            self._open = _Open(
                from_us,
                until_us,
                _event(*trigger),
                kept_us,
                last_us,
                n_event,
                [np.asarray(stored["t_us"])],
                [np.asarray(stored["values"])],
            )


def _event(t_us: int, kind: str, element: str, value: float, detail: str) -> Event:
    return t_us, kind, element, value, detail


def width_of(channels: Sequence[Channel]) -> int:
    """Values of a sample: those of all channels, one behind the other."""
    return sum(int(np.prod(channel.row_shape)) for channel in channels)
