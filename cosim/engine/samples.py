"""Full-rate samples for a scenario's captures: how many are kept between two blocks, and how they are handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosim.engine.columns import Column
from cosim.engine.kernel_log import SAMPLE_COLUMNS, LogArrays
from cosim.errors import InputError, Problem
from cosim.feeder.compile import CompiledFeeder
from cosim.scenario.schema import CaptureConfig
from cosim.units import to_us

RING_BYTES: Final = 16 * 1024 * 1024
"""Size of the samples between two blocks, about. [byte]"""


def n_before(capture: CaptureConfig | None, step_us: int) -> int:
    """Samples that a capture may reach back for, instants between ticks among them."""
    return 0 if capture is None else to_us(capture.pre_s) // step_us + 64


def ring_size(capture: CaptureConfig | None, step_us: int, n_node: int, n_site: int) -> int:
    """Samples kept: those of `pre_s`, and room for what happens until Python takes them; 0 without captures."""
    if capture is None:
        return 0
    width = n_node + n_site * SAMPLE_COLUMNS
    return n_before(capture, step_us) + int(np.clip(RING_BYTES // (4 * width), 64, 4096))


def captured_places(capture: CaptureConfig, compiled: CompiledFeeder, nodes: Sequence[str]) -> list[int]:
    """Places of the captured nodes among the watched ones.

    Raises
    ------
    InputError
        A node that the scenario names is not among `log.nodes`.
    """
    if capture.nodes == "all":
        return list(range(len(nodes)))
    place = {name: k for k, name in enumerate(nodes)}
    wanted = list(dict.fromkeys(node for name in capture.nodes for node in compiled.nodes_of(name)))
    lacking = [node for node in wanted if node not in place]
    if lacking:
        raise InputError(Problem("must be among log.nodes to be captured", "log.capture.nodes", lacking[0]))
    return [place[node] for node in wanted]


def take_samples(
    log: LogArrays, columns: Sequence[Column], n_kept: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Samples since the last block and before it; the last `n_kept` stay for the next."""
    if log.ring_us.size == 0:
        return None
    n = int(log.n_ring[0])
    t_us = log.ring_us[:n].copy()
    samples = np.hstack([np.atleast_2d(log.ring[:n, c.index].T).T for c in columns])
    kept = min(n, n_kept)
    log.ring_us[:kept] = log.ring_us[n - kept : n].copy()
    log.ring[:kept] = log.ring[n - kept : n].copy()
    log.n_ring[0] = kept
    return t_us, samples
