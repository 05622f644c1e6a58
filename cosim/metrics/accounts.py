"""What energy emits and costs: powers weighed by the carbon intensity and the price of their hour."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cosim.metrics.log import AnyFloats, Floats, Log, blocks, has
from cosim.metrics.power import energy_of
from cosim.scenario.accounts import Account, CarbonConfig, PriceConfig, Series
from cosim.units import S_PER_H


@dataclass(frozen=True)
class Weighed:
    """An energy and the mean of a series over it."""

    e_mwh: float
    mean: float
    """Mean of the series, weighed by the power. [g/kWh, or currency/MWh]"""

    @property
    def total(self) -> float:
        """Energy times that mean: g/kWh of MWh give kg. [kg, or currency]"""
        return self.e_mwh * self.mean


@dataclass(frozen=True)
class Accounts:
    """What the energy of a run emits and costs; empty where the scenario does not tell intensity or price."""

    carbon: dict[str, Weighed] = field(default_factory=dict)
    """Energy from the grid of each data center, with g/kWh."""
    currency: str = ""
    cost: dict[str, Weighed] = field(default_factory=dict)
    """Energy from the grid of each data center, with its price per MWh."""
    loss_cost: Weighed | None = None
    """Losses of the feeder, its transformers among them, with the price per MWh."""

    def summary(self) -> dict[str, Any]:
        """Plain numbers."""
        found: dict[str, Any] = {}
        if self.carbon:
            found["carbon"] = {
                name: {"e_grid_mwh": one.e_mwh, "carbon_g_per_kwh": one.mean, "carbon_kg": one.total}
                for name, one in self.carbon.items()
            }
        if self.cost or self.loss_cost is not None:
            found["currency"] = self.currency
            found["cost"] = {name: _cost(one) for name, one in self.cost.items()}
        if self.loss_cost is not None:
            found["loss"] = _cost(self.loss_cost)
        return found


def _cost(one: Weighed) -> dict[str, float]:
    return {"e_mwh": one.e_mwh, "price_per_mwh": one.mean, "cost": one.total}


def series_of(log: Log, key: Account) -> Series | None:
    """Carbon intensity (`carbon`) or price (`price`) over a run; None where its scenario tells none.

    A run keeps what it read of a file beside its log, so the file need not be there.
    """
    provenance: Mapping[str, Any] = getattr(log, "provenance", {})
    kept = provenance.get(f"{key}_series")
    if kept is not None:
        return Series(**json.loads(str(kept)))
    told = log.scenario.get(key)
    if not told or told.get("file"):
        return None
    config = CarbonConfig.model_validate(told) if key == "carbon" else PriceConfig.model_validate(told)
    return config.series(Path(), math.inf)


class SeriesIntegral:
    """Integral of a series from 0 on."""

    def __init__(self, series: Series) -> None:
        first = np.concatenate(([0.0], series.t_s[1:])) if series.t_s[0] > 0.0 else np.asarray(series.t_s, np.float64)
        self._period_s = series.period_s
        self._value = np.asarray(series.value, np.float64)
        self._t_s = np.concatenate((first, [series.period_s if series.period_s else max(1e12, 2.0 * first[-1])]))
        self._sum = np.concatenate(([0.0], np.cumsum(self._value * np.diff(self._t_s))))

    def __call__(self, t_s: Floats) -> Floats:
        """Integral from 0 to each time, shape (n,). [unit of the series times s]"""
        laps = np.floor(t_s / self._period_s) if self._period_s else np.zeros(len(t_s))
        inside = t_s - laps * (self._period_s or 0.0)
        return np.asarray(laps * self._sum[-1] + np.interp(inside, self._t_s, self._sum), np.float64)

    def means(self, t_s: Floats, before_s: float) -> Floats:
        """Mean of the series over the interval that ends at each time, the first beginning at `before_s`."""
        edges = np.concatenate(([before_s], t_s))
        width_s = np.diff(edges)
        mean: Floats = np.diff(self(edges)) / np.where(width_s > 0.0, width_s, 1.0)
        return mean


class WeighMeter:
    """Energy of a power, and the same weighed by a series, block by block.

    Parameters
    ----------
    series : Series
    of_means : bool
        True if each row holds the mean over the interval that ends with it; else the trapezoidal rule.
    """

    def __init__(self, series: Series, of_means: bool) -> None:
        self._integral, self._of_means = SeriesIntegral(series), of_means
        self._last: tuple[float, float] | None = None
        self._e_mwh, self._weighed = 0.0, 0.0

    def update(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power [MW], both of shape (n,)."""
        if len(t_s) == 0:
            return
        p = p_mw.astype(np.float64)
        last_s, last_mw = self._last if self._last is not None else (float(t_s[0]), float(p[0]))
        level = p if self._of_means else 0.5 * (p + np.concatenate(([last_mw], p[:-1])))
        e_mwh = level * np.diff(t_s, prepend=last_s) / S_PER_H
        self._e_mwh += float(e_mwh.sum())
        self._weighed += float(np.dot(e_mwh, self._integral.means(t_s, last_s)))
        self._last = (float(t_s[-1]), float(p[-1]))

    def result(self, e_mwh: float | None = None) -> Weighed:
        """What was taken in; with the engine's energy at full step where that is known. [MWh]"""
        mean = self._weighed / self._e_mwh if self._e_mwh != 0.0 else 0.0
        return Weighed(self._e_mwh if e_mwh is None else e_mwh, mean)


def accounts_of(log: Log, centers: Sequence[str]) -> Accounts:
    """Carbon and cost of each data center's energy from the grid, cost of the feeder's losses."""
    carbon, cost = (
        {name: _weighed(log, f"datacenter/{name}/p_grid_mw", key) for name in centers} for key in ("carbon", "price")
    )
    return Accounts(
        carbon={name: one for name, one in carbon.items() if one is not None},
        currency=str((log.scenario.get("price") or {}).get("currency", "")),
        cost={name: one for name, one in cost.items() if one is not None},
        loss_cost=_weighed(log, "feeder/p_loss_mw", "price"),
    )


def _weighed(log: Log, path: str, account: Account) -> Weighed | None:
    """Energy of a power channel with the mean of a series over it; None where either is not there."""
    series, mean_path = series_of(log, account), path.replace("_mw", "_mean_mw")
    of_means = has(log, mean_path)
    if series is None or not (of_means or has(log, path)):
        return None
    meter = WeighMeter(series, of_means)
    for t_s, p_mw in blocks(log, mean_path if of_means else path):
        meter.update(t_s, p_mw.reshape(len(t_s)))
    return meter.result(energy_of(log, path))


class SquareMeter:
    """Mean square of k loadings, and the same weighed by a price, block by block: load losses follow it.

    Parameters
    ----------
    n_column : int
        Number of loadings k.
    series : Series or None
        Price by time.
    """

    def __init__(self, n_column: int, series: Series | None) -> None:
        self._integral = SeriesIntegral(series) if series is not None else None
        self._sum, self._priced = np.zeros(n_column), np.zeros(n_column)
        self._start_s: float | None = None
        self._last_s = 0.0
        self._last: Floats = np.zeros(n_column)

    def update(self, t_s: Floats, loading_percent: AnyFloats) -> None:
        """Take in rows: times of shape (n,) [s], loadings of shape (n, k) [%]."""
        if len(t_s) == 0:
            return
        square = (loading_percent.astype(np.float64) / 100.0) ** 2
        if self._start_s is None:
            self._start_s = self._last_s = float(t_s[0])
            self._last = square[0]
        width_s = np.diff(t_s, prepend=self._last_s)
        level = 0.5 * (square + np.concatenate((self._last[None, :], square[:-1])))
        self._sum += width_s @ level
        if self._integral is not None:
            self._priced += (width_s * self._integral.means(t_s, self._last_s)) @ level
        self._last_s, self._last = float(t_s[-1]), square[-1]

    def result(self) -> LoadSquare | None:
        """What was taken in; None without rows."""
        if self._start_s is None or self._last_s <= self._start_s:
            return None
        lasted_s = self._last_s - self._start_s
        if self._integral is None:
            return LoadSquare(lasted_s, self._sum / lasted_s)
        price = float(self._integral.means(np.array([self._last_s]), self._start_s)[0])
        return LoadSquare(lasted_s, self._sum / lasted_s, price, self._priced / lasted_s)


@dataclass(frozen=True)
class LoadSquare:
    """How loaded transformers were."""

    lasted_s: float
    mean: Floats
    """Mean square of each one's loading, shape (k,), 1 at its rating."""
    price: float | None = None
    """Mean price over the time. [currency/MWh]"""
    mean_priced: Floats | None = None
    """Mean of square times price, shape (k,). [currency/MWh]"""
