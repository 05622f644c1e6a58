"""Draw a fitted machine's power from the load kernel, as a run of the scenario would log it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.fit.kernel import run_load
from cosim.load.build import LoadBuilder
from cosim.load.config import LoadConfig
from cosim.units import US_PER_S

Floats = NDArray[np.float64]
SITE = "site"
"""Name of the data center in fitted scenarios: random streams are named by it."""


def draw_powers(load: LoadConfig, n: int, dt_s: float, seeds: Sequence[int]) -> list[Floats]:
    """`p_ai_mw` at n instants from t = 0 on, for each seed.

    Parameters
    ----------
    load : LoadConfig
        The machine.
    n : int
        Instants.
    dt_s : float
        Their distance, a whole number of microseconds. [s]
    seeds : sequence of int
        As of the scenario.

    Returns
    -------
    list of ndarray, shape (n,)
        Exactly what `cosim.run` logs at those instants with these seeds. [MW]
    """
    step_us = round(dt_s * US_PER_S)
    builder = LoadBuilder({SITE: load}, step_us=step_us, seed=0, folder=Path())
    fresh = builder.jobs.copy()  # the kernel moves the builder's own jobs
    found = []
    for seed in seeds:
        builder.jobs[:] = fresh
        builder.seed = seed
        arrays, book = builder.build()
        p_mw = np.zeros(n)
        block = int(max(1, min(n, book.max_block_us // step_us - 1)))
        for first in range(0, n, block):
            book.turn_to(first * step_us)
            run_load(arrays, first, min(block, n - first), step_us, p_mw)
        found.append(p_mw)
    return found
