"""A balanced network as a list of pi branches, from the tables pandapower itself solves.

power-grid-model and OpenDSS have their own transformer models; given these branches they solve the very equations
of `runpp`, so their answers can be held to it digit by digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PiNetwork:
    """Per unit on 1 MVA. A branch is an ideal transformer (ratio, at its first bus) and a symmetric pi."""

    bus: np.ndarray
    """pandapower's index of each bus."""
    vn_kv: np.ndarray
    source: int
    """Position of the ideal source."""
    vm_source_pu: float
    s_mva: np.ndarray
    """Complex constant-power consumption of each bus, without the data centers. [MVA]"""
    ends: np.ndarray
    """[branches, 2] positions."""
    z_pu: np.ndarray
    y_pu: np.ndarray
    """Whole shunt of each pi."""
    ratio: np.ndarray
    shift_rad: np.ndarray

    @property
    def is_plain(self) -> np.ndarray:
        """Branches without a transformer."""
        a, b = self.ends.T
        return (self.ratio == 1.0) & (self.shift_rad == 0.0) & (self.vn_kv[a] == self.vn_kv[b])


def pi_network(net: Any) -> PiNetwork:
    """Branches of a network without switches that has constant-power loads and one ideal source."""
    import pandapower as pp
    from pandapower.pypower import idx_brch, idx_bus

    pp.runpp(net, tolerance_mva=1e-8)
    ppc = net._ppc
    base = ppc["baseMVA"]
    row = net._pd2ppc_lookups["bus"][net.bus.index.to_numpy()]
    position = np.full(len(ppc["bus"]), -1)
    position[row] = np.arange(row.size)
    branch = ppc["branch"][ppc["branch"][:, idx_brch.BR_STATUS].real == 1]
    asymmetric = branch[:, [idx_brch.BR_R_ASYM, idx_brch.BR_X_ASYM, idx_brch.BR_G_ASYM, idx_brch.BR_B_ASYM]]
    shunts = ppc["bus"][:, [idx_bus.GS, idx_bus.BS]]
    if np.any(asymmetric != 0) or np.any(shunts != 0) or np.unique(row).size != row.size or len(net.ext_grid) != 1:
        raise ValueError("the network holds more than symmetric pi branches, loads and one source")
    ends = position[branch[:, :2].real.astype(int)]
    ratio = branch[:, idx_brch.TAP].real
    vn_kv = ppc["bus"][row, idx_bus.BASE_KV].real
    return PiNetwork(
        bus=net.bus.index.to_numpy(),
        vn_kv=vn_kv,
        source=net.bus.index.get_loc(net.ext_grid.bus.iloc[0]),
        vm_source_pu=float(net.ext_grid.vm_pu.iloc[0]),
        s_mva=ppc["bus"][row, idx_bus.PD].real + 1j * ppc["bus"][row, idx_bus.QD].real,
        ends=ends,
        z_pu=(branch[:, idx_brch.BR_R].real + 1j * branch[:, idx_brch.BR_X].real) / base,
        y_pu=(branch[:, idx_brch.BR_G].real + 1j * branch[:, idx_brch.BR_B].real) * base,
        ratio=np.where(ratio == 0.0, 1.0, ratio),
        shift_rad=np.radians(branch[:, idx_brch.SHIFT].real),
    )
