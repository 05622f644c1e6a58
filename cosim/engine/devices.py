"""What a run logs of its feeder's devices: taps, steps switched on, and powers of what holds a voltage by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.arrays import SOURCE_ON
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.controls.desk import ControlDesk
from cosim.feeder.network import STEP, TAP, Network


@dataclass(frozen=True)
class LoggedDevices:
    """Elements of the log's `device` columns and their places there: devices of the network, then powers P, then Q."""

    names: Mapping[str, Sequence[str]]
    """Elements of each group of the log."""
    rows: Mapping[str, Sequence[int]]
    """Columns of each channel."""
    injection: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of the network: what inverters and voltage-regulated generators set."""
    node: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where each stands."""

    @classmethod
    def of(cls, network: Network, desk: ControlDesk | None) -> LoggedDevices:
        """Those of a network, and of the controls that live in it."""
        names: dict[str, list[str]] = {}
        rows: dict[str, list[int]] = {}
        for group, channel, kind in (("regulator", "tap", TAP), ("capacitor", "n_on", STEP)):
            here = np.flatnonzero(network.dev_kind == kind).tolist()
            names[group], rows[f"{group}/{channel}"] = [str(network.dev_name[d]) for d in here], here
        groups = {"inverter": [], "generator": []} if desk is None else {
            "inverter": [spec.injection for spec in desk.controls.inverters],
            "generator": [spec.injection for spec in desk.controls.generators],
        }  # fmt: skip
        first, n = len(network.dev_name), sum(map(len, groups.values()))
        for group, injections in groups.items():
            names[group] = injections
            rows[f"{group}/p_mw"] = list(range(first, first + len(injections)))
            rows[f"{group}/q_mvar"] = [n + row for row in rows[f"{group}/p_mw"]]
            first += len(injections)
        known = {str(name): k for k, name in enumerate(network.inj_name)}
        injection = np.array([known[name] for group in groups.values() for name in group], np.int64)
        node = [int(network.leg_node[network.leg_inj == k][0, 0]) for k in injection]
        return cls(names, rows, injection, np.array(node, np.int64))

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(map(len, self.rows.values()))

    def values(self, compiled: CompiledFeeder) -> NDArray[np.float64]:
        """Taps, steps on, then power generated as it is set, 0 without voltage. [1, 1, MW, Mvar]"""
        if not self.injection.size:
            return compiled.device_values()
        is_live = (compiled.arrays.node_row[self.node] >= 0) & (compiled.arrays.flags[SOURCE_ON] == 1)
        generated = np.where(is_live, 0.0 - compiled.injections[self.injection], 0.0)
        return np.concatenate([compiled.device_values(), generated.real, generated.imag])
