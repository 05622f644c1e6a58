"""Where the outputs of response surfaces stand: totals, voltages at the data centers, sensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.network import Complexes, Floats, Ints


@dataclass(frozen=True)
class Outputs:
    """Outputs of the surfaces of one state of a feeder, as `SurfaceArrays` describes them."""

    pair: Ints
    """[b, 2] rows of phases between which data centers sense a voltage."""
    sensed: Ints
    """[d, 2] first and end of the outputs whose lowest is the voltage of each data center."""
    first_sensor: int
    size: int

    @classmethod
    def of(cls, f: FeederArrays) -> Outputs:
        """Outputs for the data centers and sensors of a feeder."""
        pairs, sensed = [np.zeros((0, 2), np.int64)], []
        at = ix.N_TOTALS + int(f.site_ptr[-1])
        for k, (first, end) in enumerate(zip(f.site_ptr[:-1], f.site_ptr[1:], strict=True)):
            if f.port_across[k] == 1 and end - first == 3:  # as `read_site` has it
                rows = f.port_row[first:end, 0]
                pairs.append(np.column_stack([rows, np.roll(rows, -1)]))
                sensed.append((at, at + 3))
                at += 3
            else:
                sensed.append((ix.N_TOTALS + first, ix.N_TOTALS + end))
        sensed_by_site = np.array(sensed, np.int64).reshape(-1, 2)
        return cls(np.vstack(pairs), sensed_by_site, at, at + 2 * f.sensor.shape[0])

    def between(self, v: Complexes) -> Floats:
        """Voltages between the phases of `pair` for those of all rows [.., N], of the nominal one between them. [pu]"""
        across: Floats = np.abs(v[..., self.pair[:, 0]] - v[..., self.pair[:, 1]]) / np.sqrt(3.0)
        return across
