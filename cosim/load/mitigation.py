"""What an owner can do at the accelerators against swings: cap, floor, ramp limits, filler load, staggered start.

Floor, ramp limits and hold time are the settings of the power smoothing that accelerators offer since Blackwell
(NVIDIA, NVML API Reference Guide, "Power Smoothing": floor, ramp-up and ramp-down rate in W/s, ramp-down hysteresis).
"""

from __future__ import annotations

from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Fleet(Protocol):
    """Accelerators, as far as mitigation depends on them."""

    @property
    def p_idle_w(self) -> float:
        """Idle power of one. [W]"""

    @property
    def p_peak_w(self) -> float:
        """Largest power of one. [W]"""


class MitigationConfig(BaseModel):
    """Owner-side mitigation of one job; powers and rates are of one accelerator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    p_cap_w: float | None = Field(None, gt=0, description="Power cap; stages above it last longer [W]")
    p_floor_w: float | None = Field(
        None, gt=0, description="Power held for hold_s where the work asks for less; it never raises power [W]"
    )
    hold_s: float = Field(0.0, ge=0, description="How long the floor holds before power goes down further [s]")
    max_ramp_w_per_s: float | None = Field(None, gt=0, description="Limit of a rise; work waits for power [W/s]")
    max_decline_w_per_s: float | None = Field(None, gt=0, description="Limit of a fall; power without work [W/s]")
    p_filler_w: float | None = Field(
        None, gt=0, description="Filler load: lowest power between the first iteration and the end of the job [W]"
    )
    stagger_s: float = Field(
        0.0, ge=0, description="Groups start one after another over this time, before each cold start (training) [s]"
    )
    stagger_groups: int = Field(8, gt=1, le=64, description="Number of groups [1]")
    speed_exponent: float = Field(
        1 / 3, gt=0, le=1, description="Speed is (power given / power asked) to this, above idle [1]"
    )
    step_s: float = Field(0.01, ge=0.001, le=1, description="Grid on which a ramp moves [s]")

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        for name in ("p_floor_w", "p_filler_w"):
            value = getattr(self, name)
            if value is not None and self.p_cap_w is not None and value > self.p_cap_w:
                raise ValueError(f"{name}={value:g} is above p_cap_w={self.p_cap_w:g}")
        if self.hold_s > 0 and self.p_floor_w is None:
            raise ValueError(f"hold_s={self.hold_s:g} needs p_floor_w, the power to hold")
        if self.p_floor_w is not None and self.hold_s == 0:
            raise ValueError(f"p_floor_w={self.p_floor_w:g} needs hold_s above 0, the time to hold it")
        return self

    def beyond(self, fleet: Fleet, has_cold_start: bool) -> str | None:
        """What these accelerators or this job cannot do, else None."""
        if self.stagger_s > 0 and not has_cold_start:
            return f"stagger_s={self.stagger_s:g} is for training, which has a cold start"
        p_idle_w, p_peak_w = fleet.p_idle_w, fleet.p_peak_w
        for name in ("p_cap_w", "p_floor_w", "p_filler_w"):
            value = getattr(self, name)
            if value is not None and not p_idle_w < value <= p_peak_w:
                return f"{name}={value:g} must be above p_idle_w={p_idle_w:g} and at most p_peak_w={p_peak_w:g}"
        return None

    def speed(self, given: float, asked: float) -> float:
        """Speed of work that gets `given` of the `asked` power above idle, of its full speed. [1]"""
        return 1.0 if given >= asked else float((given / asked) ** self.speed_exponent)
