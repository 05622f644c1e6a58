"""One balanced network as plain arrays: what is left of a feeder once its file was read.

Per unit on 1 MVA and the nominal voltage of each bus, so an admittance is in pu and a power
in pu is one in MW. Consumption is positive for injections; generation positive for gens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Names = NDArray[np.str_]

SCHEMA: Final = 3
"""Counts up whenever the meaning of a stored network changes."""

LINE, TRAFO, TRAFO3W_HV, TRAFO3W_MV, TRAFO3W_LV, IMPEDANCE, XWARD = range(7)
"""Kinds of branch, in the order in which they stand in the branch arrays."""

SWITCH_BUS, SWITCH_LINE, SWITCH_TRAFO, SWITCH_TRAFO3W = range(4)
"""Kinds of switch: between two buses, or at one end of a branch."""

LOAD, SGEN, STORAGE, MOTOR, WARD, XWARD_PQ = range(6)
"""Kinds of injection; loads come first, so load k is injection k."""


@dataclass(frozen=True)
class Network:
    """Arrays of one balanced network; rows of equal prefix belong together.

    Buses beyond `bus_name.size` are internal: star points of three-winding transformers and the
    voltage sources inside extended wards.
    """

    bus_name: Names
    """Unique ids of the named buses: the name where it is unique, else the index."""
    bus_vn_kv: Floats
    bus_in_service: Bools
    bus_y_shunt: Complexes
    """Shunts, wards and extended wards at the bus. [pu]"""
    bus_v: Complexes
    """Solved voltage of the network as it stands, zero where de-energized. [pu]"""

    branch_kind: Ints
    branch_from: Ints
    branch_to: Ints
    branch_in_service: Bools
    branch_y: Complexes
    """[n, 4]: yff, yft, ytf, ytt of the two-port. [pu]"""
    branch_loading: Floats
    """[n, 2]: loading per current at the from and the to end. [percent/pu]"""
    line_name: Names
    trafo_name: Names
    """Two-winding transformers, then three-winding ones."""

    switch_name: Names
    switch_kind: Ints
    switch_bus: Ints
    switch_element: Ints
    """The other bus, or the row of the branch."""
    switch_at_to: Bools
    """Whether the switch sits at the to end of its branch."""
    switch_closed: Bools
    switch_y: Complexes
    """Admittance of a closed bus-bus switch, zero where it is ideal. [pu]"""

    load_name: Names
    inj_kind: Ints
    inj_bus: Ints
    inj_s_mva: Complexes
    """Power at 1 pu, consumption positive, zero where out of service. [MVA]"""
    inj_share: Floats
    """[n, 4]: const-I share of P, const-Z share of P, const-I share of Q, const-Z share of Q."""

    source_bus: Ints
    source_v: Complexes
    """Set-point. [pu]"""
    gen_bus: Ints
    gen_p_mw: Floats
    gen_vm_pu: Floats

    @property
    def n_bus(self) -> int:
        """Number of named buses."""
        return int(self.bus_name.size)

    def save(self, file: IO[bytes]) -> None:
        """Write all arrays as one .npz."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: IO[bytes]) -> Network:
        """Read what `save` wrote.

        Raises
        ------
        KeyError, ValueError, OSError
            If the file is not whole.
        """
        with np.load(file, allow_pickle=False) as stored:
            return cls(**{f.name: stored[f.name] for f in fields(cls)})
