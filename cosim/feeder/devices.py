"""Tap changers and switched capacitors as a network holds them: an admittance for every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.feeder.network import Complexes, Floats


@dataclass(frozen=True)
class Device:
    """One device and its states."""

    name: str
    kind: int
    element: int
    low: int
    state: int
    value: Floats
    y: Complexes
    """[n_state, entries]"""


def device_arrays(devices: Sequence[Device]) -> dict[str, Any]:
    """The `dev_*` arrays of a network."""
    return {
        "dev_name": np.array([d.name for d in devices], np.str_),
        "dev_kind": np.array([d.kind for d in devices], np.int64),
        "dev_el": np.array([d.element for d in devices], np.int64),
        "dev_state": np.array([d.state for d in devices], np.int64),
        "dev_low": np.array([d.low for d in devices], np.int64),
        "dev_value": np.concatenate([np.zeros(0), *(d.value for d in devices)]),
        "dev_ptr": np.concatenate([[0], np.cumsum([d.value.size for d in devices])]).astype(np.int64),
        "dev_y": np.concatenate([np.zeros(0, np.complex128), *(d.y.ravel() for d in devices)]),
    }
