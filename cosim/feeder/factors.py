"""What a feeder keeps of a state of its switches, devices and faults, so that its return costs no factorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cosim.feeder.network import Complexes, Floats

FACTORS_BYTES: Final = 128 * 1024 * 1024
"""Memory that factorizations of states seen before may take. [byte]"""


@dataclass(frozen=True)
class Factors:
    """What depends on the states of switches and devices alone: the matrix and its factors at the base point."""

    y: Floats
    row_sum: Floats
    el_sum: Floats
    zone_sum_y: Floats
    ties: Complexes
    el_y: Floats
    block: Floats
    response: Floats
    port_z: Floats
    slopes: Floats
    sensor_coef: Floats
    sequence: Floats
    sign: int

    @property
    def n_bytes(self) -> int:
        """Memory it takes. [byte]"""
        return sum(a.nbytes for a in (self.y, self.ties, self.el_y, self.block, self.response, self.slopes))
