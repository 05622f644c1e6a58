"""What a scenario may say of a Bi-way UPS (Fig. 18 of the paper, top: on the DC bus)."""

from __future__ import annotations

import itertools
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class UpsConfig(BaseModel):
    """Bi-way UPS on the DC bus. Consumption positive: p_mw > 0 charges.

    Between soc_reserve and soc_max it smooths; down to soc_min it carries the IT load.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    topology: Literal["dc_bus"] = Field("dc_bus", description="Where it connects (Fig. 18)")
    max_p_charge_mw: float = Field(gt=0, description="Charging rating at the DC bus [MW]")
    max_p_discharge_mw: float = Field(gt=0, description="Discharging rating at the DC bus [MW]")
    max_e_mwh: float = Field(gt=0, description="Energy of the storage, full to empty [MWh]")
    eta_charge: float = Field(0.975, gt=0, le=1, description="Stored over taken from the bus [1]")
    eta_discharge: float = Field(0.975, gt=0, le=1, description="Given to the bus over taken from storage [1]")
    p_standby_mw: float = Field(0.0, ge=0, description="Own consumption while in service, P_UPS_IT of Eq. 4 [MW]")
    soc_init: float = Field(0.7, ge=0, le=1, description="State of charge at the start [1]")
    soc_min: float = Field(0.05, ge=0, le=1, description="End of charge [1]")
    soc_reserve: float = Field(0.4, ge=0, le=1, description="Kept for ride-through; smoothing stops there [1]")
    soc_target: float = Field(0.7, ge=0, le=1, description="State of charge it returns to [1]")
    soc_max: float = Field(0.95, ge=0, le=1, description="Full [1]")
    max_ramp_mw_per_s: float = Field(gt=0, description="Grid-side ramp above which it engages [MW/s]")
    max_decline_mw_per_s: float = Field(gt=0, description="Grid-side decline above which it engages, > 0 [MW/s]")
    window_s: float = Field(1.0, gt=0, le=60, description="Window over which ramp and decline are measured [s]")
    release_fraction: float = Field(
        0.2, gt=0, lt=1, description="Releases when the load is this part of limit x window from the grid side [1]"
    )
    release_hold_s: float = Field(2.0, ge=0, description="... and has been for this long [s]")
    return_s: float = Field(600.0, gt=0, description="Time constant of the return to soc_target [s]")
    taper_s: float = Field(
        2.0, gt=0, description="Smoothing power tapers so that room left lasts at least this long [s]"
    )

    @model_validator(mode="after")
    def _levels_are_ordered(self) -> Self:
        order = ("soc_min", "soc_reserve", "soc_target", "soc_max")
        for low, high in itertools.pairwise(order):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low}={getattr(self, low):g} is above {high}={getattr(self, high):g}")
        if self.soc_init > self.soc_max:
            raise ValueError(f"soc_init={self.soc_init:g} is above soc_max={self.soc_max:g}")
        if self.soc_init < self.soc_min:
            raise ValueError(f"soc_init={self.soc_init:g} is below soc_min={self.soc_min:g}")
        return self
