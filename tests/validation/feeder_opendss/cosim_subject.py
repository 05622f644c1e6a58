"""cosim as it is held to its judges. All that depends on its interface stands here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from place import Place

NOSE_RELATIVE = 1e-5
"""A nose is searched to this part of itself."""


class Subject:
    """A feeder in cosim."""

    def __init__(self, feeder: Any) -> None:
        self.feeder = feeder
        self.place: Place | None = None
        self.compiled: Any = None

    @classmethod
    def of_master(cls, master: Path) -> Subject:
        """An OpenDSS feeder."""
        import cosim

        return cls(cosim.load_feeder(str(master)))

    @classmethod
    def of_net(cls, net: Any) -> Subject:
        """A pandapower network."""
        from cosim.feeder import from_pandapower

        return cls(from_pandapower(net))

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of its nodes."""
        names = self.feeder.node_names
        return tuple(names if self.feeder.network.is_balanced else (name.lower() for name in names))

    def _solution(self, place: Place | None, p_mw: float, q_mvar: float) -> Any:
        from cosim.feeder import FeederConfig
        from cosim.feeder.feeder import solution_of

        if self.compiled is None or place != self.place:
            ports = [] if place is None else [place.name]
            self.compiled = self.feeder.compile(ports, FeederConfig(model=self.feeder.name, vmin_pu=0.0))
            self.place = place
        if place is not None:
            self.compiled.arrays.port_v_min_pu[:] = 0.0
            self.compiled.arrays.port_p_mw[0], self.compiled.arrays.port_q_mvar[0] = p_mw, q_mvar
        return solution_of(self.compiled)

    def v_pu(self, place: Place | None = None, p_mw: float = 0.0, q_mvar: float = 0.0) -> dict[str, complex] | None:
        """Complex voltage by node with a data center drawing a power; None where cosim says collapse. [pu]"""
        solution = self._solution(place, p_mw, q_mvar)
        if solution.status != "ok":
            return None
        v = solution.node_vm_pu * np.exp(1j * np.radians(solution.node_va_degree))
        return dict(zip(self.node_names, v.tolist(), strict=True))

    def nose_mw(self, place: Place, tan_phi: float, near_mw: float) -> float:
        """Largest power that cosim solves, by bisection from a bracket around a guess. [MW]"""
        low, high = 0.99 * near_mw, 1.01 * near_mw
        while low > 0.01 * near_mw and not self._solves(place, low, tan_phi):
            low, high = 0.9 * low, low
        while high < 100 * near_mw and self._solves(place, high, tan_phi):
            low, high = high, 1.1 * high
        while high - low > NOSE_RELATIVE * near_mw:
            middle = (low + high) / 2
            if self._solves(place, middle, tan_phi):
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def _solves(self, place: Place, p_mw: float, tan_phi: float) -> bool:
        return bool(self._solution(place, p_mw, p_mw * tan_phi).status == "ok")
