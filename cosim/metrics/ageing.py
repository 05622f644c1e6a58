"""Hot spot and loss of life of transformers: IEEE C57.91-2011, clause 7."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from cosim.metrics.log import AnyFloats, Floats

AMBIENT_DEGREE = 30.0
"""Ambient temperature: the standard's 24 h average for a rating. [degree C]"""
REFERENCE_K = 383.0
"""Hottest spot of normal ageing, 110 degree C (65 degree C rise insulation). [K]"""
AGEING_K = 15_000.0
"""Of the Arrhenius law, eq. (2). [K]"""
NORMAL_LIFE_H = 180_000.0
"""Normal insulation life at 110 degree C, table 2. [h]"""


@dataclass(frozen=True)
class Thermal:
    """Thermal data of a transformer; the defaults are typical of ONAN units with 65 degree C average rise."""

    top_oil_rise_degree: float = 55.0
    """Top oil over ambient at rated load. [degree C]"""
    hot_spot_rise_degree: float = 25.0
    """Hottest spot over top oil at rated load: with the above 80 degree C over ambient. [degree C]"""
    loss_ratio: float = 5.0
    """Load over no-load loss at rated load, R."""
    n: float = 0.8
    m: float = 0.8
    """Exponents of ONAN cooling, table 4."""
    oil_tau_s: float = 3.0 * 3600.0
    """Time constant of top oil. [s]"""
    winding_tau_s: float = 300.0
    """Time constant of the winding. [s]"""


@dataclass(frozen=True)
class Ageing:
    """Ageing of k transformers; arrays have shape (k,)."""

    hot_spot_max_degree: Floats
    """Highest hottest-spot temperature. [degree C]"""
    hot_spot_max_t_s: Floats
    """When. [s]"""
    factor: Floats
    """Equivalent ageing factor, F_EQA of eq. (3): 1 is normal ageing."""
    life_lost_percent: Floats
    """Of normal insulation life, eq. (4). [%]"""


def ageing_factor(hot_spot_degree: Floats) -> Floats:
    """Ageing acceleration factor F_AA of eq. (2) at a hottest-spot temperature [degree C]; 1 at 110."""
    return np.exp(AGEING_K / REFERENCE_K - AGEING_K / (hot_spot_degree + 273.0))


class AgeingMeter:
    """Hottest spot and ageing of k transformers from their loading, block by block.

    Rises follow their ultimate values at each loading with one time constant each (eq. 8 to 16), from the
    state in which the first loading has stood for ever; ambient temperature is constant.

    Parameters
    ----------
    n_trafo : int
        Number of transformers k.
    step_s : float
        Log step. [s]
    thermal : Thermal
        Thermal data of all of them.
    ambient_degree : float
        Ambient temperature. [degree C]
    """

    def __init__(
        self,
        n_trafo: int,
        step_s: float,
        thermal: Thermal | None = None,
        ambient_degree: float = AMBIENT_DEGREE,
    ) -> None:
        self._thermal = Thermal() if thermal is None else thermal
        self._ambient = ambient_degree
        self._step_s = step_s
        self._state: dict[str, Floats] = {}
        self._max, self._t_max = np.full(n_trafo, -np.inf), np.zeros(n_trafo)
        self._sum, self._n_row = np.zeros(n_trafo), 0

    def update(self, t_s: Floats, loading_percent: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], loadings of shape (n, k) [%]."""
        if loading_percent.size == 0:
            return
        load = loading_percent.astype(np.float64) / 100.0
        data = self._thermal
        oil = data.top_oil_rise_degree * ((load**2 * data.loss_ratio + 1.0) / (data.loss_ratio + 1.0)) ** data.n
        winding = data.hot_spot_rise_degree * load ** (2.0 * data.m)
        hot_spot = self._ambient + self._lagged("oil", oil, data.oil_tau_s)
        hot_spot += self._lagged("winding", winding, data.winding_tau_s)
        row = hot_spot.argmax(axis=0)
        most = hot_spot[row, np.arange(hot_spot.shape[1])]
        more = most > self._max
        self._max, self._t_max = np.where(more, most, self._max), np.where(more, t_s[row], self._t_max)
        self._sum += ageing_factor(hot_spot).sum(axis=0)
        self._n_row += len(load)

    def _lagged(self, key: str, ultimate: Floats, tau_s: float) -> Floats:
        decay = math.exp(-self._step_s / tau_s)
        before = self._state.get(key, decay * ultimate[:1])
        lagged, self._state[key] = lfilter([1.0 - decay], [1.0, -decay], ultimate, axis=0, zi=before)
        return np.asarray(lagged)

    def result(self) -> Ageing:
        """The ageing so far."""
        factor = self._sum / max(self._n_row, 1)
        lasted_h = max(self._n_row - 1, 0) * self._step_s / 3600.0
        return Ageing(self._max, self._t_max, factor, 100.0 * factor * lasted_h / NORMAL_LIFE_H)
