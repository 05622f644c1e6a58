"""The event queue: a heap of (time, priority, sequence, event). Time is int64 microseconds."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from typing import Any

from cosim.scenario.timeline import priority
from cosim.units import US_PER_S

Event = dict[str, Any]
"""An event as the scenario writes it, by the same keys: kind, and what that kind needs."""


class EventQueue:
    """Heap of what is due; ties by priority, then by order of entry. Also what lasts, so that it ends but once."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Event]] = []
        self._sequence = 0
        self._lasting: dict[str, int | None] = {}

    def push(self, t_us: int, event: Mapping[str, Any]) -> None:
        """Add an event due at t_us."""
        heapq.heappush(self._heap, (t_us, priority(event["kind"]), self._sequence, dict(event)))
        self._sequence += 1

    def next_us(self, default: int) -> int:
        """Time of the next event, `default` when there is none. [us]"""
        return self._heap[0][0] if self._heap else default

    def pop_due(self, t_us: int) -> Event | None:
        """Next event that is due at t_us, or None."""
        if self._heap and self._heap[0][0] <= t_us:
            return heapq.heappop(self._heap)[3]
        return None

    def begin(self, what: str, until_us: int | None) -> None:
        """Note that something lasts from now on: a dip, an outage of the source or of a UPS.

        Parameters
        ----------
        what : str
            What it is, in the words of a message.
        until_us : int or None
            When it ends by itself; None: when `end` says so. [us]

        Raises
        ------
        ValueError
            It lasts already.
        """
        if what in self._lasting:
            raise ValueError(f"begins while {self._still(what)}")
        self._lasting[what] = until_us

    def end(self, what: str, t_us: int) -> None:
        """Note that it is over.

        Raises
        ------
        ValueError
            There is none, or it ends by itself later.
        """
        if what not in self._lasting:
            raise ValueError(f"there is no {what} to end at this time")
        until_us = self._lasting[what]
        if until_us is not None and t_us < until_us:
            raise ValueError(f"{self._still(what)} and ends by itself; leave out that duration_s to end it otherwise")
        del self._lasting[what]

    def until_us(self, what: str) -> int | None:
        """When something that lasts ends by itself; None where it does not last, or nothing ends it. [us]"""
        return self._lasting.get(what)

    def _still(self, what: str) -> str:
        until_us = self._lasting[what]
        return f"the {what} lasts" + (f", until {until_us / US_PER_S:.12g} s," if until_us is not None else "")

    def n_of(self, kind: str) -> int:
        """How many events of a kind are due."""
        return sum(event["kind"] == kind for *_, event in self._heap)

    def state(self) -> str:
        """The whole queue as JSON."""
        return json.dumps({"sequence": self._sequence, "heap": self._heap, "lasting": self._lasting})

    def restore(self, text: str) -> None:
        """Take back what `state` gave."""
        stored = json.loads(text)
        self._sequence = stored["sequence"]
        self._heap = [(t_us, rank, sequence, event) for t_us, rank, sequence, event in stored["heap"]]
        heapq.heapify(self._heap)
        self._lasting = stored["lasting"]
