"""Buses whose neutral is not at ground, as behind a delta with a grounded corner: voltages between phases there."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from cosim.metrics.log import AnyFloats, Floats, Log, blocks, has
from cosim.metrics.unbalance import three_phase_buses
from cosim.metrics.voltage_mean import MeanVoltageMeter

DISPLACED = 0.25
"""Zero over positive sequence in a run's first row above which ground is no neutral of a bus: 1 with a grounded corner
of a delta, 0.5 with the middle of one of its windings grounded, a few per cent on a grounded feeder. [1]"""


def between_phases(vm_pu: AnyFloats, va_degree: AnyFloats) -> Floats:
    """Voltage of each of three phases to the next over sqrt 3, shape (..., 3); of the nominal one to ground. [pu]"""
    phasor = vm_pu * np.exp(1j * np.radians(va_degree.astype(np.float64)))
    voltage: Floats = np.abs(phasor - np.roll(phasor, -1, axis=-1)) / math.sqrt(3.0)
    return voltage


class DisplacedNeutral:
    """Nodes of such buses, and what stands in for their voltages to ground.

    Parameters
    ----------
    log : Log
        Without angles, or magnitudes beside them, there are none.
    names : list of str
        Nodes.
    """

    def __init__(self, log: Log, names: list[str]) -> None:
        self._log, self._n = log, len(names)
        self._columns: npt.NDArray[np.int64] = np.zeros((0, 3), np.int64)
        buses = three_phase_buses(names)
        if buses and has(log, "bus/vm_pu") and has(log, "bus/va_degree") and log.n_rows:
            columns = np.array(list(buses.values()), dtype=np.int64)
            vm, va = (log.read(path, 0, 1).reshape(-1)[columns] for path in ("bus/vm_pu", "bus/va_degree"))
            self._columns = columns[is_displaced(vm, va)]

    @property
    def nodes(self) -> npt.NDArray[np.int64]:
        """Their places in `names`."""
        return self._columns.ravel()

    def blocks(self, path: str) -> Iterator[tuple[Floats, AnyFloats]]:
        """As `blocks` gives a channel of magnitudes, those of such nodes between phases at the rows. [pu]"""
        row = 0
        for t_s, vm_pu in blocks(self._log, path, self._n):
            yield t_s, self.judged(vm_pu, row)
            row += len(t_s)

    def judged(self, vm_pu: AnyFloats, row: int) -> AnyFloats:
        """The same of the rows from number `row` on, shape (n, n_node)."""
        if not self._columns.size:
            return vm_pu
        span = (row, row + len(vm_pu))
        vm, va = (self._log.read(path, *span)[:, self._columns] for path in ("bus/vm_pu", "bus/va_degree"))
        replaced = vm_pu.copy()
        replaced[:, self._columns] = between_phases(vm, va)
        return replaced


class MeansShown:
    """Mean voltages, shown the rows of `bus/vm_pu`."""

    def __init__(self, neutral: DisplacedNeutral, meters: Iterable[MeanVoltageMeter]) -> None:
        self._neutral, self._meters, self._row = neutral, list(meters), 0

    def update(self, t_s: Floats, vm_pu: AnyFloats) -> None:
        """Take in the next rows: times of shape (n,) [s], magnitudes of shape (n, n_node) [pu]."""
        judged = self._neutral.judged(vm_pu, self._row)
        self._row += len(t_s)
        for meter in self._meters:
            meter.update(t_s, judged)


def is_displaced(vm_pu: AnyFloats, va_degree: AnyFloats) -> npt.NDArray[np.bool_]:
    """Of each row of three phases, whether their neutral is away from ground; shape (n,)."""
    phasor = vm_pu * np.exp(1j * np.radians(va_degree.astype(np.float64)))
    turn = np.array([cmath.rect(1.0, 2.0 * math.pi * k / 3.0) for k in range(3)])
    positive = np.maximum(np.abs(phasor @ turn), np.abs(phasor @ turn.conj()))
    away: npt.NDArray[np.bool_] = np.abs(phasor.sum(axis=-1)) > DISPLACED * positive
    return away
