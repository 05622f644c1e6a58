"""Voltage unbalance of the buses whose three phases are logged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.window import rows_in

SAMPLE_S = 1.0
"""One row a second is taken. [s]"""
_ALIVE_PU = 0.1


@dataclass(frozen=True)
class Unbalance:
    """Negative over positive sequence voltage; arrays have shape (n_bus,)."""

    name: list[str]
    window_s: float
    n_window: int
    mean_percent: Floats
    """Largest mean over a window. [%]"""
    mean_t_s: Floats
    """Start of that window. [s]"""
    max_percent: Floats
    """Largest reading. [%]"""


def three_phase_buses(names: list[str]) -> dict[str, tuple[int, int, int]]:
    """Columns of phases 1, 2 and 3 of the buses that have all of them: `671.1`, `671.2`, `671.3`."""
    place = {name: i for i, name in enumerate(names)}
    stems = dict.fromkeys(name[:-2] for name in names if name.endswith(".1"))
    return {
        stem: (place[f"{stem}.1"], place[f"{stem}.2"], place[f"{stem}.3"])
        for stem in stems
        if f"{stem}.2" in place and f"{stem}.3" in place
    }


def unbalance_percent(vm_pu: AnyFloats, va_degree: AnyFloats) -> Floats:
    """Negative over positive sequence of phase voltages, shape (..., 3); 0 where a phase is dead. [%]

    In the precision of what comes in: of a log's single one, to 2e-5 %, which its angles are known to.
    """
    kind = vm_pu.dtype.type
    angle = va_degree * kind(math.pi / 180.0)
    re, im = vm_pu * np.cos(angle), vm_pu * np.sin(angle)
    # a V_b + a^2 V_c and its counterpart share their sums and differences; a = -1/2 + j sqrt(3)/2
    half, high = kind(0.5), kind(math.sqrt(0.75))
    re_sum, im_sum = re[..., 0] - half * (re[..., 1] + re[..., 2]), im[..., 0] - half * (im[..., 1] + im[..., 2])
    re_gap, im_gap = high * (re[..., 1] - re[..., 2]), high * (im[..., 1] - im[..., 2])
    positive2 = np.asarray((re_sum - im_gap) ** 2 + (im_sum + re_gap) ** 2, np.float64)
    negative2 = np.asarray((re_sum + im_gap) ** 2 + (im_sum - re_gap) ** 2, np.float64)
    alive = (vm_pu[..., 0] >= _ALIVE_PU) & (vm_pu[..., 1] >= _ALIVE_PU) & (vm_pu[..., 2] >= _ALIVE_PU)
    square = np.divide(negative2, positive2, out=np.zeros_like(positive2), where=alive & (positive2 > 0.0))
    ratio: Floats = 100.0 * np.sqrt(square)
    return ratio


class UnbalanceMeter:
    """Unbalance of all three-phase buses, one row a second, means over consecutive windows, block by block.

    Parameters
    ----------
    names : list of str
        Nodes, `bus.phase`.
    window_s : float
        Averaging window. [s]
    step_s : float
        Log step. [s]
    """

    def __init__(self, names: list[str], window_s: float, step_s: float) -> None:
        buses = three_phase_buses(names)
        self.name = list(buses)
        self._columns: npt.NDArray[np.int64] = np.array(list(buses.values()), dtype=np.int64).reshape(-1, 3)
        self._every = rows_in(SAMPLE_S, step_s)
        self._n = rows_in(window_s, step_s * self._every)
        self._window_s = self._n * self._every * step_s
        n = len(self.name)
        self._skip, self._held, self._n_window, self._start_s = 0, 0, 0, 0.0
        self._sum, self._mean, self._t, self._max = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)

    def update(self, t_s: Floats, vm_pu: AnyFloats, va_degree: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], magnitudes [pu] and angles [degree] of shape (n, n_node)."""
        rows = np.arange(self._skip, len(t_s), self._every)
        self._skip = (self._skip - len(t_s)) % self._every
        if len(rows) == 0:
            return
        shape, columns = (len(rows), len(self.name), 3), self._columns.ravel()
        vm, va = (np.take(values[rows], columns, axis=1).reshape(shape) for values in (vm_pu, va_degree))
        ratio = unbalance_percent(vm, va)
        self._max = np.maximum(self._max, ratio.max(axis=0))
        first = 0
        while first < len(rows):
            stop = min(len(rows), first + self._n - self._held)
            if self._held == 0:
                self._start_s = float(t_s[rows[first]])
            self._sum += ratio[first:stop].sum(axis=0)
            self._held += stop - first
            first = stop
            if self._held == self._n:
                mean = self._sum / self._n
                higher = mean > self._mean
                self._mean, self._t = np.where(higher, mean, self._mean), np.where(higher, self._start_s, self._t)
                self._n_window += 1
                self._held, self._sum = 0, np.zeros_like(self._sum)

    def result(self) -> Unbalance:
        """The unbalance so far."""
        return Unbalance(self.name, self._window_s, self._n_window, self._mean, self._t, self._max)
