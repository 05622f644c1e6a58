"""Random streams, each a pure function of (seed, name, index): no generator state, so nothing to lose on resume.

A stream's draws come in chunks; chunk c of stream s is drawn by a generator seeded with SeedSequence(seed,
spawn_key = bytes of the name and c). So adding an entity redraws nobody else, and any draw can be made again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cosim.load.feed import Feed

CHUNK = 4096
"""Draws in one chunk."""
KEPT = 128
"""Chunks without parameters that are kept: 4 MB."""


@dataclass(frozen=True)
class Stream:
    """One stream: what it draws, how far the kernel is, and how fast it can go."""

    name: str
    kind: str
    """`normal`, `exponential`, `uniform` or `poisson`."""
    min_interval_us: int
    """Shortest simulated time between two draws. [us]"""
    index: Callable[[int], int]
    """From the time [us] to the first draw still needed."""
    mean: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None
    """Means of the draws of given indices, for `poisson`."""


def draw_chunk(seed: int, stream: Stream, chunk: int) -> NDArray[np.float64]:
    """Draws chunk * CHUNK to (chunk + 1) * CHUNK of a stream, shape (CHUNK,)."""
    if stream.kind != "poisson":
        return _standard(seed, stream.name, stream.kind, chunk)
    assert stream.mean is not None
    indices = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
    return _generator(seed, stream.name, chunk).poisson(stream.mean(indices)).astype(np.float64)


@functools.lru_cache(KEPT)
def _standard(seed: int, name: str, kind: str, chunk: int) -> NDArray[np.float64]:
    """Draws without parameters; kept, since a fit asks for the same ones hundreds of times. Read only."""
    rng = _generator(seed, name, chunk)
    found = rng.random(CHUNK) if kind == "uniform" else (
        rng.standard_normal(CHUNK) if kind == "normal" else rng.standard_exponential(CHUNK)
    )  # fmt: skip
    found.flags.writeable = False
    return found


def _generator(seed: int, name: str, chunk: int) -> np.random.Generator:
    key = (*name.encode(), 256, chunk)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


class DrawBook:
    """Keeps a window of two chunks of every stream before the kernel."""

    def __init__(self, seed: int, streams: list[Stream]) -> None:
        self.seed = seed
        self.streams = streams
        self.draws = np.zeros((len(streams), 2 * CHUNK))
        self.first = np.full(len(streams), -1, np.int64)
        self._feeds: list[tuple[Feed, Any, NDArray[Any]]] = []

    def join(self, feeds: list[Feed], queues: NDArray[Any], feed: NDArray[Any]) -> None:
        """Take in the requests of serving jobs; `queues` and `feed` are the kernel's."""
        ends = (queues["feed_first"] + queues["feed_max"]).tolist()
        parts = [feed[first:end] for first, end in zip(queues["feed_first"].tolist(), ends, strict=True)]
        self._feeds = list(zip(feeds, queues, parts, strict=True))

    @property
    def known_us(self) -> int:
        """The kernel may go up to here before `turn_to` is called again. [us]"""
        reach = (feed.known_us - int(feed.job["query_step_us"]) - feed.step_us for feed, _, _ in self._feeds)
        return min(reach, default=2**62)

    @property
    def max_block_us(self) -> int:
        """Longest stretch the kernel may go before `turn_to` is called again. [us]"""
        return min((s.min_interval_us * (CHUNK - 8) for s in self.streams), default=2**62)

    def turn_to(self, t_us: int) -> None:
        """Bring every window to where the kernel stands at t_us."""
        for s, stream in enumerate(self.streams):
            chunk = stream.index(t_us) // CHUNK
            if self.first[s] != chunk * CHUNK:
                self.draws[s, :CHUNK] = draw_chunk(self.seed, stream, chunk)
                self.draws[s, CHUNK:] = draw_chunk(self.seed, stream, chunk + 1)
                self.first[s] = chunk * CHUNK
        for feed, queue, part in self._feeds:
            feed.fill(queue, part, t_us)
