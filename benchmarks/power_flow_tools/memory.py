"""The physical limit: how fast this machine takes a log into memory."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

LARGE_BYTES = 256_000_000
"""Beyond any cache."""
RUNS = 5


@dataclass(frozen=True)
class Bandwidth:
    """Rates of sequential writes from one thread. [GB/s]"""

    warm: float
    """Into memory that was touched before and does not fit the caches."""
    cached: float
    """Into one block buffer, over and over."""
    first_touch: float
    """Into fresh pages."""


def _rate(buffer: np.ndarray, times: int) -> float:
    started = time.process_time()  # what others keep busy does not count
    for k in range(times):
        buffer.fill(float(k))
    return times * buffer.nbytes / (time.process_time() - started) / 1e9


def measure(block_bytes: int) -> Bandwidth:
    """Medians of some runs.

    Parameters
    ----------
    block_bytes : int
        Size of the buffer a block of the log is written to.
    """
    first = []
    for _ in range(RUNS):
        buffer = np.empty(LARGE_BYTES // 8)
        first.append(_rate(buffer, 1))
    warm = statistics.median(_rate(buffer, 1) for _ in range(RUNS))
    block = np.zeros(max(1, block_bytes // 8))
    cached = statistics.median(_rate(block, max(1, LARGE_BYTES // block.nbytes)) for _ in range(RUNS))
    return Bandwidth(warm, cached, statistics.median(first))
