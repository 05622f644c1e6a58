"""Sensors of controls as sums over the voltages of rows alone: currents through elements are folded in."""

from __future__ import annotations

import numpy as np

from cosim.feeder.controls.arrays import SensorRows
from cosim.feeder.fault_set import PhaseMap
from cosim.feeder.network import Complexes, Floats, Ints
from cosim.feeder.topology import Elements, ranges


def sensor_pattern(
    rows: SensorRows | None, elements: Elements, row_of_node: Ints, phases: PhaseMap | None = None
) -> dict[str, np.ndarray]:
    """Arrays `sensor_ptr`, `sensor_row` of `FeederArrays`, and empty values.

    Parameters
    ----------
    rows : SensorRows or None
    elements : Elements
        In the order of the network, as the switches leave them; nodes of the network.
    row_of_node : array
        -1 where de-energized.
    phases : PhaseMap, optional
        Other sequences of a balanced feeder, whose currents phase currents hold too.
    """
    if rows is None:
        ptr, row = np.zeros(1, np.int64), np.zeros(0, np.int64)
    else:
        place, node, _ = _spread(rows, elements, phases)
        order = np.argsort(place, kind="stable")
        ptr = np.searchsorted(place[order], np.arange(rows.n_sensor + 1)).astype(np.int64)
        row = np.maximum(np.where(node >= 0, row_of_node[node], 0), 0)[order].astype(np.int64)
    return {
        "sensor_ptr": ptr,
        "sensor_row": row,
        "sensor_coef": np.zeros((row.size, 2)),
        "sensor": np.zeros((ptr.size - 1, 2)),
        "sensor_least": np.zeros(0) if rows is None else rows.least_sizes,
        "sensor_pickup": np.zeros(0) if rows is None else rows.pickups,
    }


def n_always_read(rows: SensorRows | None) -> int:
    """Number of sensors, from the first on, that are read at every instant: those of controls."""
    return 0 if rows is None else int(np.count_nonzero(rows.pickups == 0))


def sensor_coefficients(
    rows: SensorRows | None, elements: Elements, row_of_node: Ints, phases: PhaseMap | None = None
) -> Floats:
    """Array `sensor_coef` of `FeederArrays` for the present admittances of the elements."""
    if rows is None:
        return np.zeros((0, 2))
    place, node, coef = _spread(rows, elements, phases)
    coef = np.where((node >= 0) & (row_of_node[node] >= 0), coef, 0)[np.argsort(place, kind="stable")]
    return np.stack([coef.real, coef.imag], axis=-1)


def _spread(rows: SensorRows, elements: Elements, phases: PhaseMap | None) -> tuple[Ints, Ints, Complexes]:
    """Sensor, node (-1 at ground or open) and coefficient of every term."""
    own = _positive(rows, elements)
    if phases is None or rows.cond_20.size == 0:
        return own
    m = phases.node.size
    place = np.repeat(np.repeat(np.arange(rows.n_sensor), np.diff(rows.cond_ptr)), m)
    coef = rows.cond_20[:, :1] * phases.i2[rows.cond] + rows.cond_20[:, 1:] * phases.i0[rows.cond]
    coef += rows.cond_factor[:, None] * phases.i1[rows.cond]
    other = place, np.tile(phases.node, rows.cond.size), coef.ravel()
    return tuple(np.concatenate(both) for both in zip(own, other, strict=True))  # type: ignore[return-value]


def _positive(rows: SensorRows, elements: Elements) -> tuple[Ints, Ints, Complexes]:
    """The terms of the network's own nodes: of the positive sequence where it is balanced."""
    n = rows.n_sensor
    at_node = np.repeat(np.arange(n), np.diff(rows.node_ptr))
    at_cond = np.repeat(np.arange(n), np.diff(rows.cond_ptr))
    owner = np.searchsorted(elements.ptr, rows.cond, side="right") - 1
    size = elements.size[owner]
    others = ranges(elements.ptr[owner], size)
    entries = ranges(elements.y_ptr[owner] + (rows.cond - elements.ptr[owner]) * size, size)
    is_open = np.repeat(elements.node[rows.cond] < 0, size)
    through = np.where(is_open, 0, np.repeat(rows.cond_factor, size) * elements.y[entries])
    return (
        np.concatenate([at_node, np.repeat(at_cond, size)]),
        np.concatenate([rows.node, elements.node[others]]),
        np.concatenate([rows.node_factor, through]),
    )
