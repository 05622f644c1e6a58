"""Clock and log of a run, empty."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosim.engine import kernel_log as kl
from cosim.engine.points import WAVE_INSTANTS, watched_names
from cosim.feeder.compile import CompiledFeeder

BLOCK_ROWS: Final = 1024
"""Rows of one block of the log."""


def new_clock(step_us: int, log_step_us: int, end_us: int, limits: NDArray[np.float64]) -> kl.ClockArrays:
    """Clock at t = 0; limits are those of change-driven solving, of voltages [pu] and of powers [MW]."""
    time = np.zeros(kl.N_TIME, np.int64)
    time[kl.STEP], time[kl.LOG_STEP], time[kl.T_END] = step_us, log_step_us, end_us
    return kl.ClockArrays(time=time, limits=limits, totals=np.zeros(kl.N_TOTAL))


def new_log(
    compiled: CompiledFeeder,
    n_site: int,
    n_queue: int,
    n_device: int,
    n_ring: int,
    fields: Collection[str],
    points: NDArray[np.int64],
) -> kl.LogArrays:
    """Empty log of one block, with room for `n_ring` full-rate samples; `points` are kept at every instant.

    `fields` are those that the log keeps: angles, flows, loadings and extremes that nobody asked for have no columns,
    so that they are not worked out.
    """
    n_phase = len(watched_names(compiled)[0])
    n_bus, n_line, n_trafo = compiled.watched.size, len(compiled.line_names), len(compiled.trafo_names)
    rows = BLOCK_ROWS
    n_wave = WAVE_INSTANTS if points.size else 0

    def block(width: int, field: str = "") -> NDArray[np.float32]:
        return np.zeros((rows, width if not field or field in fields else 0), np.float32)

    return kl.LogArrays(
        t_us=np.zeros(rows, np.int64),
        n_row=np.zeros(1, np.int64),
        scalars=np.zeros((rows, kl.FEEDER_COLUMNS + n_site * kl.SITE_COLUMNS)),
        serving=np.zeros((rows, n_queue * kl.SERVING_COLUMNS)),
        bus_vm=block(n_bus),
        bus_va=block(n_bus, "bus_va"),
        bus_min=block(n_bus, "bus_min"),
        bus_max=block(n_bus, "bus_max"),
        line_p=block(n_line, "line_p"),
        line_loading=block(n_line, "line_loading"),
        trafo_loading=block(n_trafo, "trafo_loading"),
        device=block(n_device),
        vm=np.zeros(n_bus),
        vm_min=np.full(n_bus if "bus_min" in fields else 0, np.inf),
        vm_max=np.zeros(n_bus if "bus_max" in fields else 0),
        lowest_vm=np.full(n_phase, np.inf),
        sag_us=np.zeros(n_phase, np.int64),
        longest_us=np.zeros(n_phase, np.int64),
        stretch_us=np.zeros(n_phase, np.int64),
        n_sag=np.zeros(n_phase, np.int64),
        ring_us=np.zeros(n_ring, np.int64),
        ring=np.zeros((n_ring, n_bus + n_site * kl.SAMPLE_COLUMNS if n_ring else 0), np.float32),
        n_ring=np.zeros(1, np.int64),
        wave_us=np.zeros(n_wave, np.int64),
        wave=np.zeros((n_wave, points.size)),
        wave_node=points,
        n_wave=np.zeros(1, np.int64),
        any_sag=np.zeros(1, np.int64),
        in_sag=np.zeros(1, np.int64),
    )
