"""The event queue: a heap of (time, priority, sequence, event). Time is int64 microseconds."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from typing import Any

Event = dict[str, Any]
"""An event as the scenario writes it, by the same keys: kind, and what that kind needs."""

PRIORITY = {"dip_ended": 0, "source_returned": 0, "switch_closed": 0, "ups_in_service": 0, "controller": 2}
"""At one time, what ends comes first, then what starts (1), then controllers look."""


class EventQueue:
    """Heap of what is due; ties by priority, then by order of entry."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Event]] = []
        self._sequence = 0

    def push(self, t_us: int, event: Mapping[str, Any]) -> None:
        """Add an event due at t_us."""
        priority = PRIORITY.get(event["kind"], 1)
        heapq.heappush(self._heap, (t_us, priority, self._sequence, dict(event)))
        self._sequence += 1

    def next_us(self, default: int) -> int:
        """Time of the next event, `default` when there is none. [us]"""
        return self._heap[0][0] if self._heap else default

    def pop_due(self, t_us: int) -> Event | None:
        """Next event that is due at t_us, or None."""
        if self._heap and self._heap[0][0] <= t_us:
            return heapq.heappop(self._heap)[3]
        return None

    def state(self) -> str:
        """The whole queue as JSON."""
        return json.dumps({"sequence": self._sequence, "heap": self._heap})

    def restore(self, text: str) -> None:
        """Take back what `state` gave."""
        stored = json.loads(text)
        self._sequence = stored["sequence"]
        self._heap = [(t_us, priority, sequence, event) for t_us, priority, sequence, event in stored["heap"]]
        heapq.heapify(self._heap)
