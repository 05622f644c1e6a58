"""Losses of transformers from their loading: what they lose idle, and what their windings lose at rated current."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.feeder.network import FIRST_NEUTRAL, TRAFO, TRAFO3W_HV, TRAFO3W_LV, TRAFO3W_MV, Complexes, Floats, Network
from cosim.metrics.accounts import LoadSquare
from cosim.units import S_PER_H


@dataclass(frozen=True)
class TrafoLoss:
    """Energy lost in each transformer over a run; all arrays have shape (k,)."""

    name: list[str]
    no_load_mwh: Floats
    load_mwh: Floats
    no_load_cost: float | None = None
    """Of all of them together. [currency]"""
    load_cost: float | None = None

    def summary(self) -> dict[str, float | None]:
        """Plain numbers of all of them."""
        costs = {} if self.no_load_cost is None else {"no_load_cost": self.no_load_cost, "load_cost": self.load_cost}
        return {"no_load_mwh": float(self.no_load_mwh.sum()), "load_mwh": float(self.load_mwh.sum()), **costs}


def trafo_loss(network: Network, names: list[str], square: LoadSquare) -> TrafoLoss:
    """Losses of transformers over a run, at nominal voltage.

    Parameters
    ----------
    network : Network
        The feeder.
    names : list of str
        Transformers of the log, those of the network in its order.
    square : LoadSquare
        Mean squares of their loadings. The loading is that of the worst winding: of a transformer whose
        phases differ, losses come out too high.
    """
    rated: dict[str, tuple[float, float]] = {}
    for e in np.flatnonzero(np.isin(network.el_kind, (TRAFO, TRAFO3W_HV, TRAFO3W_MV, TRAFO3W_LV))).tolist():
        name, of_leg = str(network.el_name[e]), rated_losses_mw(network, e)
        before = rated.get(name, (0.0, 0.0))
        rated[name] = (before[0] + of_leg[0], before[1] + of_leg[1])
    lasted_h = square.lasted_s / S_PER_H
    idle_mw, full_mw = (np.array([rated[name][k] for name in names]) for k in range(2))
    no_load, load = idle_mw * lasted_h, full_mw * square.mean * lasted_h
    if square.price is None or square.mean_priced is None:
        return TrafoLoss(names, no_load, load)
    return TrafoLoss(
        names,
        no_load,
        load,
        no_load_cost=float(no_load.sum()) * square.price,
        load_cost=float((full_mw * square.mean_priced).sum()) * lasted_h,
    )


def rated_losses_mw(network: Network, element: int) -> tuple[float, float]:
    """What a transformer loses idle at nominal voltage, and in its windings at a loading of 100 %. [MW]

    The open-circuit and the short-circuit test on its primitive admittance: one terminal is fed with balanced
    nominal voltage, the other conductors are left open, then short-circuited. The second is scaled to that loading;
    zero where the transformer has no rating.
    """
    rows = slice(int(network.el_ptr[element]), int(network.el_ptr[element + 1]))
    k = rows.stop - rows.start
    at = int(((network.el_ptr[1 : element + 1] - network.el_ptr[:element]) ** 2).sum())
    y = network.el_y[at : at + k * k].reshape(k, k)
    fed = network.el_terminal[rows] == 0
    v = _nominal(network, network.el_node[rows][fed])
    open_y = y[np.ix_(fed, fed)] - y[np.ix_(fed, ~fed)] @ np.linalg.pinv(y[np.ix_(~fed, ~fed)]) @ y[np.ix_(~fed, fed)]
    current = y[:, fed] @ v
    loading = float((np.abs(current) * network.el_loading[rows]).max(initial=0.0)) / 100.0
    idle_mw = max(0.0, float((v.conj() @ (open_y @ v)).real))
    shorted_mw = float((v.conj() @ current[fed]).real)
    rated = 0.0 < loading < 1e200  # an element without rating has a huge or no loading
    return idle_mw, max(0.0, shorted_mw / loading**2) if rated else 0.0


def _nominal(network: Network, nodes: np.ndarray) -> Complexes:  # type: ignore[type-arg]
    """Balanced nominal voltages of the nodes of one terminal, 0 at ground and at neutrals."""
    named = (nodes >= 0) & (nodes < network.n_node)
    phase = np.where(named, network.node_phase[np.where(named, nodes, 0)], np.where(nodes >= 0, 0, FIRST_NEUTRAL))
    v: Complexes = np.where(phase < FIRST_NEUTRAL, np.exp(-2j * np.pi / 3.0 * np.maximum(phase - 1, 0)), 0.0)
    return v
