"""State of a UPS's storage over a run: charge, throughput, modes, saturation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np

from cosim.metrics.log import AnyFloats, Floats, Log, column, has, total
from cosim.metrics.power import EnergyMeter
from cosim.metrics.rating import second_energy_mwh, second_kind
from cosim.metrics.wear import LIFE, Wear, wear

SATURATION_HOLD_S = 1.0
"""A limit must be held for this long before `ups_recovered`: the end of a spell lies so far behind the breach. [s]"""


class Mode(IntEnum):
    """What the UPS does, as `/ups/<name>/mode` holds it."""

    IDLE = 0
    SMOOTHING = 1
    CARRYING = 2
    OUT_OF_SERVICE = 3
    EMPTY = 4


@dataclass(frozen=True)
class Spells:
    """Spells between a starting and an ending kind of event of one element."""

    n: int
    """Number of spells."""
    total_s: float
    """Their total duration; one still open lasts to the end of the run. [s]"""
    longest_s: float
    """Duration of the longest. [s]"""
    max_value: float
    """Largest value of the starting events, in their unit; 0 if there is none."""


def event_spells(events: Any, element: str, start: str, end: str, end_s: float, hold_s: float = 0.0) -> Spells:
    """Pair the events of one element into spells.

    Parameters
    ----------
    events : DataFrame
        Columns t_s [s], kind, element, value.
    element : str
        Name of the element.
    start, end : str
        Kinds that open and close a spell, e.g. `ups_saturated` and `ups_recovered`.
    end_s : float
        End of the run, which closes an open spell. [s]
    hold_s : float
        By so much the ending event comes after the spell's end. [s]
    """
    since_s: float | None = None
    lasted: list[float] = []
    largest = 0.0
    chosen = events[(events["element"] == element) & events["kind"].isin([start, end])]
    for t_s, kind, value in zip(chosen["t_s"], chosen["kind"], chosen["value"], strict=True):
        if kind == start:
            since_s = float(t_s) if since_s is None else since_s
            largest = max(largest, abs(float(value)))
        elif since_s is not None:
            lasted.append(max(0.0, float(t_s) - hold_s - since_s))
            since_s = None
    if since_s is not None:
        lasted.append(end_s - since_s)
    return Spells(len(lasted), sum(lasted), max(lasted, default=0.0), largest)


@dataclass(frozen=True)
class Storage:
    """What one UPS did over a run."""

    soc_min: float
    """Lowest state of charge, 0 to 1."""
    soc_max: float
    """Highest state of charge, 0 to 1."""
    soc_start: float
    """State of charge of the first row."""
    soc_end: float
    """State of charge of the last row."""
    e_charged_mwh: float
    """Energy taken from the DC bus. [MWh]"""
    e_discharged_mwh: float
    """Energy given to the DC bus. [MWh]"""
    max_p_charge_mw: float
    """Largest charging power. [MW]"""
    max_p_discharge_mw: float
    """Largest discharging power, as a positive number. [MW]"""
    max_excess_mw: float
    """Largest power that it should have smoothed and could not. [MW]"""
    mode_s: dict[Mode, float]
    """Time in each mode. [s]"""
    spells: dict[str, Spells] = field(default_factory=dict)
    """Engaged, saturated, transferred: from the events."""
    max_e_mwh: float | None = None
    """Energy of the storage, full to empty; None where the scenario does not give it. [MWh]"""
    second_e_mwh: float = 0.0
    """Energy of a second storage; states of charge are those of the first. [MWh]"""
    wear: Wear | None = None
    """What its cycles took of its life, of a hybrid that of the first; None without a logged state of charge."""
    second_wear: Wear | None = None
    """The same of a hybrid's second storage, by its own kind."""
    second_soc_gained: float = 0.0
    """State of charge that the second has more at the end than at the start. [1]"""
    e_gained_mwh: float | None = None
    """Energy that the storage holds more at the end than at the start, by the engine; None where unknown. [MWh]"""

    @property
    def equivalent_cycles(self) -> float | None:
        """Energy discharged over the storage's energy."""
        return self.e_discharged_mwh / (self.max_e_mwh + self.second_e_mwh) if self.max_e_mwh else None

    @property
    def e_stored_mwh(self) -> float:
        """Energy that the storage holds more at the end than at the start. [MWh]"""
        if self.e_gained_mwh is not None:
            return self.e_gained_mwh
        gained = (self.soc_end - self.soc_start) * (self.max_e_mwh or 0.0) + self.second_soc_gained * self.second_e_mwh
        return gained if np.isfinite(gained) else 0.0

    def summary(self) -> dict[str, float]:
        """Plain numbers."""
        numbers = {
            "soc_min": self.soc_min,
            "soc_max": self.soc_max,
            "soc_range": self.soc_max - self.soc_min,
            "soc_start": self.soc_start,
            "soc_end": self.soc_end,
            "e_charged_mwh": self.e_charged_mwh,
            "e_discharged_mwh": self.e_discharged_mwh,
            "e_throughput_mwh": self.e_charged_mwh + self.e_discharged_mwh,
            "max_p_charge_mw": self.max_p_charge_mw,
            "max_p_discharge_mw": self.max_p_discharge_mw,
            "max_excess_mw": self.max_excess_mw,
        }
        if self.equivalent_cycles is not None:
            numbers["equivalent_cycles"] = self.equivalent_cycles
        numbers |= vars(self.wear) if self.wear is not None else {}
        second = vars(self.second_wear) if self.second_wear is not None else {}
        numbers |= {f"second_{key}": value for key, value in second.items()}
        for name, spells in self.spells.items():
            numbers[f"n_{name}"] = float(spells.n)
            numbers[f"{name}_s"] = spells.total_s
        if "saturated" in self.spells:
            numbers["saturated_longest_s"] = self.spells["saturated"].longest_s
            numbers["saturated_excess_max_mw"] = self.spells["saturated"].max_value
        for mode, lasted_s in self.mode_s.items():
            numbers[f"mode_{mode.name.lower()}_s"] = lasted_s
        return numbers


class StorageMeter:
    """Charge, throughput and modes of one UPS, block by block."""

    def __init__(self) -> None:
        self._charged, self._discharged = EnergyMeter(of_means=False), EnergyMeter(of_means=False)
        self._max_charge_mw, self._max_discharge_mw, self._max_excess_mw = 0.0, 0.0, 0.0
        self._soc = [np.inf, -np.inf, np.nan, np.nan]
        self._soc_rows: list[AnyFloats] = []
        self._mode_s = dict.fromkeys(Mode, 0.0)
        self._last_s: float | None = None

    def update_power(self, t_s: Floats, p_mw: AnyFloats) -> None:
        """Take in rows: times [s] and power at the DC bus, charging positive [MW], shape (n,)."""
        self._charged.update(t_s, np.maximum(p_mw, 0.0))
        self._discharged.update(t_s, np.maximum(-p_mw, 0.0))
        self._max_charge_mw = max(self._max_charge_mw, float(p_mw.max(initial=0.0)))
        self._max_discharge_mw = max(self._max_discharge_mw, float((-p_mw).max(initial=0.0)))

    def update_excess(self, p_excess_mw: AnyFloats) -> None:
        """Take in rows of the power that could not be smoothed, of either sign [MW], shape (n,)."""
        self._max_excess_mw = max(self._max_excess_mw, float(np.abs(p_excess_mw).max(initial=0.0)))

    def update_soc(self, soc: AnyFloats) -> None:
        """Take in rows of the state of charge, 0 to 1, shape (n,)."""
        if len(soc) == 0:
            return
        self._soc_rows.append(soc)
        low, high, first, _ = self._soc
        first = float(soc[0]) if np.isnan(first) else first
        self._soc = [min(low, float(soc.min())), max(high, float(soc.max())), first, float(soc[-1])]

    def update_mode(self, t_s: Floats, mode: AnyFloats) -> None:
        """Take in rows: times [s] and mode, shape (n,); a mode counts for the interval its row ends."""
        if len(t_s) == 0:
            return
        width_s = np.diff(t_s, prepend=t_s[0] if self._last_s is None else self._last_s)
        self._last_s = float(t_s[-1])
        for code in Mode:
            self._mode_s[code] += float(width_s[np.asarray(mode) == code].sum())

    def wear(self, lasted_s: float, kind: str) -> Wear | None:
        """Wear so far of a storage of some kind, over a time. [s]"""
        rows = np.concatenate(self._soc_rows) if self._soc_rows else np.zeros(0)
        return wear(rows, lasted_s, LIFE[kind]) if kind in LIFE else None

    def result(
        self,
        max_e_mwh: float | None = None,
        spells: dict[str, Spells] | None = None,
        worn: Wear | None = None,
    ) -> Storage:
        """The record so far, with the storage's energy [MWh], the events' spells and its wear where known."""
        low, high, first, last = self._soc
        return Storage(
            soc_min=low,
            soc_max=high,
            soc_start=first,
            soc_end=last,
            e_charged_mwh=self._charged.e_mwh,
            e_discharged_mwh=self._discharged.e_mwh,
            max_p_charge_mw=self._max_charge_mw,
            max_p_discharge_mw=self._max_discharge_mw,
            max_excess_mw=self._max_excess_mw,
            mode_s=self._mode_s,
            spells=spells or {},
            max_e_mwh=max_e_mwh,
            wear=worn,
        )


_EXACT = ("e_charged_mwh", "e_discharged_mwh", "soc_min", "soc_max", "soc_end", "max_excess_mw")


def with_second(storage: Storage, log: Log, name: str, lasted_s: float) -> Storage:
    """A UPS with what the rows tell of its second storage over a time [s]: the same where it has none."""
    kind, path = second_kind(log.scenario, name), f"ups/{name}/second_soc"
    if kind not in LIFE or not has(log, path):
        return storage
    soc = column(log, path)
    gained = float(soc[-1]) - float(soc[0]) if len(soc) else 0.0
    return replace(storage, second_wear=wear(soc, lasted_s, LIFE[kind]), second_soc_gained=gained)


def exactly(storage: Storage, log: Log, name: str) -> Storage:
    """What the rows tell of a UPS, with the engine's totals at full step in place of what they only approach."""
    known: dict[str, Any] = {key: value for key in _EXACT if (value := total(log, f"ups/{name}/{key}")) is not None}
    spells = dict(storage.spells)
    for kind in ("engaged", "saturated"):
        lasted_s = total(log, f"ups/{name}/{kind}_s")
        if lasted_s is not None and kind in spells:
            spells[kind] = replace(spells[kind], total_s=lasted_s)
    gained_mwh = total(log, f"ups/{name}/e_stored_mwh")
    second_mwh = second_energy_mwh(log.scenario, name)
    return replace(storage, **known, spells=spells, e_gained_mwh=gained_mwh, second_e_mwh=second_mwh)
