"""What a scenario may say of a Bi-way UPS (Fig. 18 of the paper: on the DC bus, or on the AC and the DC bus)."""

from __future__ import annotations

import itertools
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.area.config import FrequencyResponseConfig
from cosim.converter.curve import EfficiencyPoint, check_efficiency, loss_in_mw
from cosim.ups.ride_config import RideThroughConfig, SheddingStep


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StorageKind(NamedTuple):
    """Typical figures of one kind of storage, which a scenario may replace one by one."""

    eta_charge: float
    eta_discharge: float
    max_c_rate: float
    """Largest power over energy, charging or discharging. [1/h]"""
    self_discharge_per_h: float
    """Part of the full energy that is lost in an hour. [1/h]"""


StorageName = Literal["lithium", "vrla", "flywheel", "supercapacitor"]
STORAGE: dict[StorageName, StorageKind] = {
    # UPS-grade lithium cells: 5 min of full load is usual, 95 % round trip
    "lithium": StorageKind(0.975, 0.975, 20.0, 0.0),
    # valve-regulated lead-acid: high-rate 5 min discharge, 80 to 85 % round trip
    "vrla": StorageKind(0.90, 0.92, 12.0, 0.0),
    # 15 s at full power is usual; bearings, windage and vacuum take about 1 % of the power rating, all the time
    "flywheel": StorageKind(0.97, 0.97, 240.0, 2.4),
    # seconds at full power; leaks away over weeks
    "supercapacitor": StorageKind(0.98, 0.98, 3600.0, 0.002),
}
"""Orders of magnitude from vendors' data sheets and the EPRI-DOE handbook of energy storage (2003), for want of
better ones; a study gives its own."""


class SmoothingConfig(_Strict):
    """The controller that smooths the grid side."""

    controller: Literal["trigger", "ramp_limiter", "filter", "predictive", "external", "none"] = Field(
        "trigger",
        description="trigger (the paper's), ramp_limiter (always on), filter (takes a band), predictive (with a "
        "horizon), external (follows ups_reference actions), none",
    )
    low_hz: float = Field(0.02, gt=0, le=100, description="filter: slower than this the grid side follows [Hz]")
    high_hz: float | None = Field(
        None, gt=0, le=1000, description="filter: faster than this it passes; null: it takes all that is fast [Hz]"
    )
    horizon_s: float = Field(60.0, gt=0, le=3600, description="predictive: looks this far ahead [s]")
    period_s: float | None = Field(
        None, gt=0, le=3600, description="predictive: the need of so long ago is its forecast; null: horizon_s [s]"
    )

    @model_validator(mode="after")
    def _bands_are_ordered(self) -> Self:
        if self.high_hz is not None and self.high_hz <= self.low_hz:
            raise ValueError(f"high_hz={self.high_hz:g} is not above low_hz={self.low_hz:g}")
        if self.period_s is not None and self.period_s < self.horizon_s:
            raise ValueError(f"period_s={self.period_s:g} is below horizon_s={self.horizon_s:g}: it knows no more")
        return self


class OverloadConfig(_Strict):
    """What it may give above its rating, and for how long, while it carries the load."""

    factor: float = Field(1.25, gt=1, le=3, description="Discharging power over max_p_discharge_mw [1]")
    duration_s: float = Field(
        60.0, gt=0, le=3600, description="For this long in all; back after as long below its rating without a break [s]"
    )


class SecondStorageConfig(_Strict):
    """A second, fast storage on the DC bus: a hybrid of two, of which the first is spared what is fast."""

    storage: StorageName = Field(
        "supercapacitor",
        description="Kind; where given it sets the defaults of eta_*, max_c_rate, self_discharge_per_h",
    )
    max_p_mw: float = Field(gt=0, description="Rating, charging and discharging, on top of the first's [MW]")
    max_e_mwh: float = Field(gt=0, description="Its energy, full to empty [MWh]")
    max_c_rate: float | None = Field(
        None, gt=0, description="Largest power at the cells over energy; a named storage sets it; null: any [1/h]"
    )
    split_s: float = Field(10.0, gt=0, le=3600, description="It takes what is faster than this time constant [s]")
    return_s: float = Field(
        30.0, gt=0, description="Time constant of its return to soc_target, by way of the first [s]"
    )
    eta_charge: float = Field(0.98, gt=0, le=1, description="Stored over taken from the bus [1]")
    eta_discharge: float = Field(0.98, gt=0, le=1, description="Given to the bus over taken from storage [1]")
    self_discharge_per_h: float = Field(0.002, ge=0, description="Part of the full energy lost in an hour [1/h]")
    soc_min: float = Field(0.05, ge=0, le=1, description="Empty [1]")
    soc_target: float = Field(0.5, ge=0, le=1, description="State of charge at the start and that it returns to [1]")
    soc_max: float = Field(0.95, ge=0, le=1, description="Full [1]")

    @model_validator(mode="before")
    @classmethod
    def _take_defaults_of_its_kind(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("storage") not in STORAGE:
            return data
        return STORAGE[data["storage"]]._asdict() | data

    @model_validator(mode="after")
    def _levels_are_ordered(self) -> Self:
        if not self.soc_min <= self.soc_target <= self.soc_max:
            raise ValueError(f"soc_target={self.soc_target:g} is not between soc_min and soc_max")
        _check_c_rate("max_p_mw", self.max_p_mw, self.max_p_mw / self.eta_discharge, self)
        return self


def _check_c_rate(name: str, p_mw: float, p_cell_mw: float, storage: SecondStorageConfig | UpsConfig) -> None:
    """Refuse a rating p_mw at which the cells have p_cell_mw, more than they bear.

    Raises
    ------
    ValueError
    """
    rate = p_cell_mw / storage.max_e_mwh
    if storage.max_c_rate is not None and rate > storage.max_c_rate * (1 + 1e-9):
        raise ValueError(
            f"{name}={p_mw:g} is {rate:.4g} times max_e_mwh={storage.max_e_mwh:g} an hour at the cells, above "
            f"max_c_rate={storage.max_c_rate:g}: give it more energy, or another storage"
        )


class UpsConfig(_Strict):
    """Bi-way UPS. Consumption positive: p_mw > 0 charges.

    Between soc_reserve and soc_max it smooths; down to soc_min it carries the load.
    """

    topology: Literal["dc_bus", "ac_dc"] = Field(
        "dc_bus", description="Where it connects (Fig. 18): dc_bus carries IT; ac_dc smooths on the AC bus, carries all"
    )
    storage: StorageName = Field(
        "lithium", description="Kind; where given it sets the defaults of eta_*, max_c_rate, self_discharge_per_h"
    )
    max_p_charge_mw: float = Field(gt=0, description="Charging rating at the bus it smooths on [MW]")
    max_p_discharge_mw: float = Field(gt=0, description="Discharging rating at each bus [MW]")
    max_p_ac_mw: float | None = Field(
        None, gt=0, description="ac_dc: rating of the inverter on the AC bus; null: the larger of the other two [MW]"
    )
    max_e_mwh: float = Field(
        gt=0, description="Energy of the storage, full to empty; vrla: that of its runtime, by the maker's table [MWh]"
    )
    max_c_rate: float | None = Field(
        None, gt=0, description="Largest power at the cells over energy; a named storage sets it; null: any [1/h]"
    )
    eta_charge: float = Field(0.975, gt=0, le=1, description="Stored over taken from the converter [1]")
    eta_discharge: float = Field(0.975, gt=0, le=1, description="Given to the converter over taken from storage [1]")
    dc_converter: list[EfficiencyPoint] | None = Field(
        None,
        min_length=1,
        description="DC/DC converter, efficiency over load; null: within eta_charge, eta_discharge",
    )
    ac_converter: list[EfficiencyPoint] | None = Field(
        None, min_length=1, description="ac_dc: inverter on the AC bus, efficiency over load; null: as dc_converter"
    )
    p_standby_mw: float = Field(0.0, ge=0, description="Own consumption while in service, P_UPS_IT of Eq. 4 [MW]")
    self_discharge_per_h: float = Field(0.0, ge=0, description="Part of the full energy lost in an hour [1/h]")
    overload: OverloadConfig | None = Field(None, description="Above its rating for a while; null: never")
    response_delay_s: float = Field(0.0, ge=0, le=10, description="From a command, or a gap, to its power [s]")
    soc_init: float = Field(0.7, ge=0, le=1, description="State of charge at the start [1]")
    soc_min: float = Field(0.05, ge=0, le=1, description="End of charge [1]")
    soc_reserve: float = Field(0.4, ge=0, le=1, description="Kept for ride-through; smoothing stops there [1]")
    soc_target: float = Field(0.7, ge=0, le=1, description="State of charge it returns to [1]")
    soc_max: float = Field(0.95, ge=0, le=1, description="Full [1]")
    max_ramp_mw_per_s: float = Field(gt=0, description="Ramp that the grid side shall not pass [MW/s]")
    max_decline_mw_per_s: float = Field(gt=0, description="Decline that the grid side shall not pass, > 0 [MW/s]")
    window_s: float = Field(
        1.0, gt=0, le=60, description="trigger: window over which ramp and decline are measured [s]"
    )
    release_fraction: float = Field(
        0.2, gt=0, lt=1, description="trigger: releases when the load is this part of limit x window off [1]"
    )
    release_hold_s: float = Field(2.0, ge=0, description="trigger: ... and has been for this long [s]")
    smoothing: SmoothingConfig = Field(default_factory=SmoothingConfig, description="Smoothing controller")
    second: SecondStorageConfig | None = Field(
        None, description="dc_bus: a second, fast storage beside the first, a hybrid of two; null: none"
    )
    frequency: FrequencyResponseConfig | None = Field(
        None, description="Answer to the frequency of source.area, above smoothing and its limits; null: none"
    )
    return_s: float = Field(600.0, gt=0, description="Time constant of the return to soc_target [s]")
    max_p_recharge_mw: float | None = Field(
        None, gt=0, description="Most power of that return while charging; null: max_p_charge_mw [MW]"
    )
    taper_s: float = Field(
        2.0, gt=0, description="Smoothing power tapers so that room left lasts at least this long [s]"
    )
    ride_through: RideThroughConfig = Field(
        default_factory=RideThroughConfig, description="Transfer, lockout and return"
    )
    shedding: list[SheddingStep] = Field(
        default_factory=list, max_length=32, description="Jobs shed by priority while the site is on storage"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_defaults_of_its_kind(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("storage") not in STORAGE:
            return data
        return STORAGE[data["storage"]]._asdict() | data

    @model_validator(mode="after")
    def _levels_are_ordered(self) -> Self:
        order = ("soc_min", "soc_reserve", "soc_target", "soc_max")
        for low, high in itertools.pairwise(order):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low}={getattr(self, low):g} is above {high}={getattr(self, high):g}")
        if self.second is not None and self.topology != "dc_bus":
            raise ValueError("second is a storage on the DC bus: it needs topology=dc_bus")
        if self.soc_init > self.soc_max:
            raise ValueError(f"soc_init={self.soc_init:g} is above soc_max={self.soc_max:g}")
        if self.soc_init < self.soc_min:
            raise ValueError(f"soc_init={self.soc_init:g} is below soc_min={self.soc_min:g}")
        return self

    @model_validator(mode="after")
    def _ratings_fit_together(self) -> Self:
        for name in ("max_p_ac_mw", "ac_converter"):
            if self.topology == "dc_bus" and getattr(self, name) is not None:
                raise ValueError(f"{name} needs topology ac_dc: on the DC bus there is no inverter")
        for name in ("dc_converter", "ac_converter"):
            points = getattr(self, name)
            if points is not None:
                check_efficiency(name, points)
        self._check_cells()
        socs = [step.soc for step in self.shedding]
        if any(b > a for a, b in itertools.pairwise(socs)):
            raise ValueError("shedding must fall in soc: what goes first stands first")
        return self

    def _check_cells(self) -> None:
        """Refuse ratings, at the buses, at which the cells would have more than they bear."""
        charge, discharge, ac = self.max_p_charge_mw, self.max_p_discharge_mw, self.max_p_ac_mw
        rating = max(charge, discharge)
        _check_c_rate("max_p_charge_mw", charge, charge * self.eta_charge, self)
        p_cell_mw = self._from_cells(discharge, self.dc_converter, rating)
        _check_c_rate("max_p_discharge_mw", discharge, p_cell_mw, self)
        if ac is not None:
            p_cell_mw = self._from_cells(ac, self.ac_converter or self.dc_converter, ac)
            _check_c_rate("max_p_ac_mw", ac, p_cell_mw, self)
        if self.overload is not None and self.max_c_rate is not None:
            p_cell_mw = self._from_cells(self.overload.factor * discharge, self.dc_converter, rating)
            if p_cell_mw > self.max_c_rate * self.max_e_mwh * (1 + 1e-9):
                raise ValueError(
                    f"overload.factor={self.overload.factor:g} takes {p_cell_mw / self.max_e_mwh:.4g} times max_e_mwh="
                    f"{self.max_e_mwh:g} an hour from cells that bear max_c_rate={self.max_c_rate:g}"
                )

    def _from_cells(self, p_mw: float, converter: list[EfficiencyPoint] | None, rating_mw: float) -> float:
        """What leaves the cells while a bus is given p_mw. [MW]"""
        a0 = a1 = a2 = 0.0
        if converter is not None:
            a0, a1, a2 = loss_in_mw(converter, rating_mw)
        return (p_mw + a0 + p_mw * (a1 + a2 * p_mw)) / self.eta_discharge

    def unused_keys(self) -> list[tuple[str, str, float]]:
        """Keys that only another controller reads and that are not at their default: path, that controller, value."""
        found = []
        for owner, where, names in _OWNED:
            part: BaseModel = self if not where else self.smoothing
            for name in names:
                value = getattr(part, name)
                if owner != self.smoothing.controller and value != type(part).model_fields[name].default:
                    found.append((where + name, owner, value))
        return found


_OWNED = (
    ("trigger", "", ("window_s", "release_fraction", "release_hold_s")),
    ("filter", "smoothing.", ("low_hz", "high_hz")),
    ("predictive", "smoothing.", ("horizon_s", "period_s")),
)
"""Keys that one controller alone reads: its name, where they stand, theirs."""
