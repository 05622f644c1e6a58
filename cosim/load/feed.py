"""Brings requests before the kernel: a window of the arrivals to come, filled again at the start of each block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem
from cosim.load.arrivals import DrawnRequests, ReplayedRequests
from cosim.load.state import MAIN
from cosim.units import US_PER_S

AHEAD_US = 86_400 * US_PER_S
"""No more is drawn ahead of the kernel than this; rare requests would be drawn for years else. [us]"""
NOTHING = np.zeros(0, np.int64)


class Feed:
    """The window of one serving job."""

    def __init__(self, source: DrawnRequests | ReplayedRequests, job: Any, *, step_us: int, where: str) -> None:
        self.source, self.job, self.step_us, self.where = source, job, step_us, where
        self.parts = (NOTHING, NOTHING, NOTHING)
        self.n = -1
        self.drawn_us = 0
        self.known_us = 0

    def fill(self, queue: Any, feed: NDArray[Any], t_us: int) -> None:
        """Give the kernel at t_us the next arrivals; `known_us` is how far they reach.

        Parameters
        ----------
        queue : record of QUEUE
        feed : array of REQUEST, shape (feed_max,)
        t_us : int
            Where the kernel stands: a base step behind at most. [us]

        Raises
        ------
        InputError
            More arrivals in one step than the window holds.
        """
        runs = self.job["mode"] == MAIN
        from_us = int(queue["done_us"]) if runs else max(0, t_us - self.step_us)
        if self._holds(queue, from_us, t_us, runs):
            return
        self._drop(from_us)
        parts = [self.parts]
        n = len(self.parts[0])
        while n < len(feed) and self.drawn_us < max(from_us, t_us) + AHEAD_US:
            part, self.drawn_us = self.source.next()
            parts.append(part)
            n += len(part[0])
        self.parts = tuple(np.concatenate([part[i] for part in parts]) for i in range(3))  # type: ignore[assignment]
        self._drop(from_us)
        n = min(len(feed), len(self.parts[0]))
        for name, values in zip(("t_us", "tokens_in", "tokens_out"), self.parts, strict=True):
            feed[name][:n] = values[:n]
        self.n = n
        queue["n_feed"], queue["i_feed"] = n, 0
        self.known_us = int(self.parts[0][n]) if n < len(self.parts[0]) else self.drawn_us
        if self.known_us < t_us + 2 * (self.step_us + int(self.job["query_step_us"])):
            raise InputError(
                Problem(
                    f"more than {len(feed)} requests come within two steps at t = {t_us / US_PER_S:g} s; shorten "
                    "step_s of this job, or time.step_s, or make several jobs of it",
                    path=self.where,
                )
            )

    def _holds(self, queue: Any, from_us: int, t_us: int, runs: bool) -> bool:
        """Whether the window is the kernel's and far from its end; after a resume it is another one's."""
        if int(queue["n_feed"]) != self.n:
            return False
        taken, i = int(queue["i_feed"]), int(np.searchsorted(self.parts[0][: self.n], from_us))
        is_far = self.n - i >= int(queue["feed_max"]) // 2 or self.known_us >= t_us + AHEAD_US // 2
        return is_far and (taken == i if runs else taken <= i)

    def _drop(self, from_us: int) -> None:
        """Forget what the kernel has taken."""
        i = int(np.searchsorted(self.parts[0], from_us))
        if i:
            self.parts = tuple(part[i:] for part in self.parts)  # type: ignore[assignment]
