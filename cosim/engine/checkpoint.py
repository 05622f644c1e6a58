"""State of a run as named arrays, and back. A checkpoint is those bytes, nothing computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCKS = frozenset(
    {
        "scalars",
        "serving",
        "bus_vm",
        "bus_va",
        "bus_min",
        "bus_max",
        "line_p",
        "line_loading",
        "trafo_loading",
        "device",
    }
    | {"t_us", "n_row", "wave_us", "wave", "wave_node", "n_wave"}
)
"""Fields of `LogArrays` that are empty between two blocks."""
_CONSTANT = frozenset(
    {"samples", "stages", "segments", "weights", "points", "draws", "first_draw", "events", "n_event"}
    | {"feed", "tables", "states", "quantiles"}
)
"""Fields that are the scenario's, or drawn again from their names, or empty between two blocks."""


def store_arrays(**rooms: Any) -> dict[str, NDArray[Any]]:
    """Copies of every array of the rooms whose value depends on what happened."""
    return {
        f"{room}/{field}": np.array(array)
        for room, arrays in rooms.items()
        for field, array in arrays.items()
        if field not in _CONSTANT and not (room == "log" and field in _BLOCKS)
    }


def restore_arrays(stored: Mapping[str, NDArray[Any]], **rooms: Any) -> None:
    """Write the stored bytes back into the rooms' own arrays."""
    for room, arrays in rooms.items():
        for field, array in arrays.items():
            key = f"{room}/{field}"
            if key in stored:
                array[...] = stored[key].view(array.dtype).reshape(array.shape)
