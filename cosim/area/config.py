"""What a scenario may say of the area behind the source: how its frequency follows what the feeder draws."""

from __future__ import annotations

import itertools
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LoadSheddingStep(_Strict):
    """One step of the area's under-frequency load shedding."""

    below_hz: float = Field(gt=0, description="Frequency below which it counts its time [Hz]")
    delay_s: float = Field(0.2, ge=0, description="Time below before it sheds [s]")
    p_mw: float = Field(gt=0, description="Load of the area that it sheds, for the rest of the run [MW]")


class AreaConfig(_Strict):
    """One-machine equivalent of the area: inertia, damping, governor, secondary control, load shedding.

    At start_s the area is in balance with what the source gives.
    """

    s_base_mva: float = Field(gt=0, description="Rating of its synchronous generation, base of H, D and R [MVA]")
    f_nominal_hz: float | None = Field(
        None, gt=0, description="Nominal frequency, which must be the feeder's; null: that one [Hz]"
    )
    inertia_s: float = Field(4.0, gt=0, description="H: kinetic energy at nominal speed over s_base_mva [s]")
    damping: float = Field(
        1.0, ge=0, description="D: power that load gives way by over s_base_mva, per pu frequency [1]"
    )
    droop: float | None = Field(0.05, gt=0, le=1, description="R of the governors; null: none acts [1]")
    governor_s: float = Field(0.5, gt=0.01, description="Lag of governors and turbines [s]")
    dead_band_hz: float = Field(0.036, ge=0, description="Governors do nothing within this of nominal [Hz]")
    max_up_mw: float | None = Field(None, ge=0, description="Most that governors add; null: any [MW]")
    max_down_mw: float | None = Field(None, ge=0, description="Most that governors take back; null: any [MW]")
    secondary_s: float | None = Field(
        None, gt=0, description="Time constant of the secondary control that brings it back; null: none [s]"
    )
    start_s: float = Field(0.0, ge=0, description="Until then its frequency is held at nominal [s]")
    shedding: list[LoadSheddingStep] = Field(
        default_factory=list, max_length=32, description="Under-frequency load shedding, highest frequency first"
    )

    @model_validator(mode="after")
    def _sheds_from_the_top(self) -> Self:
        levels = [step.below_hz for step in self.shedding]
        if any(b > a for a, b in itertools.pairwise(levels)):
            raise ValueError("shedding needs falling below_hz")
        return self


class FrequencyResponseConfig(_Strict):
    """How power answers the frequency: droop and synthetic inertia, on a measured and filtered frequency."""

    droop_mw_per_hz: float = Field(0.0, ge=0, description="Less drawn per Hz below nominal, more above [MW/Hz]")
    inertia_mw_s_per_hz: float = Field(
        0.0, ge=0, description="Less drawn per Hz/s of fall, more per Hz/s of rise [MW s/Hz]"
    )
    dead_band_hz: float = Field(0.036, ge=0, description="No droop within this of nominal [Hz]")
    max_p_mw: float | None = Field(None, gt=0, description="Most it answers with; null: what its owner can [MW]")
    measuring_s: float = Field(0.1, gt=0, le=10, description="Lag of the frequency measurement [s]")
