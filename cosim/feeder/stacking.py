"""Many records of small arrays as few long arrays: a checkpoint pays for every array it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

SHAPE = "/shape"
"""Ends the name of what tells the shapes; a first size of -1 means that a record lacks the array."""


def stacked(records: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """All records' arrays of one name behind one another, and their shapes [n, ndim] beside them.

    Parameters
    ----------
    records : sequence of mapping
        Arrays by name. Those of one name have one dtype and one number of dimensions; a record may lack some.
    """
    out: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for record in records for name in record):
        arrays = [record.get(name) for record in records]
        held = [array for array in arrays if array is not None]
        out[name] = np.concatenate([array.ravel() for array in held])
        out[name + SHAPE] = np.array([(-1,) * held[0].ndim if array is None else array.shape for array in arrays])
    return out


def unstacked(stored: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The records that `stacked` was given."""
    records: list[dict[str, np.ndarray]] = []
    for name in (name for name in stored if name + SHAPE in stored):
        shapes, first = stored[name + SHAPE].tolist(), 0
        records += [{} for _ in shapes[len(records) :]]
        for record, shape in zip(records, shapes, strict=True):
            if shape[0] >= 0:
                end = first + int(np.prod(shape))
                record[name] = stored[name][first:end].reshape(shape)
                first = end
    return records
