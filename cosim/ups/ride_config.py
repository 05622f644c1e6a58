"""What a scenario may say of ride-through: when a site leaves the feeder, and when it comes back."""

from __future__ import annotations

import itertools
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.ups.curves import CURVES, Curve, CurveName, Threshold

MAX_COUNT = 16
"""Most disturbances that a counter may wait for."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TolerancePoint(_Strict):
    """A voltage and how long what lies beyond it is borne."""

    vm_pu: float = Field(gt=0, le=2, description="Threshold [pu]")
    t_s: float = Field(ge=0, le=3600, description="Voltages beyond it are borne for this long [s]")


class CounterConfig(_Strict):
    """Counts disturbances that the curve does not bear; too many within the window lock the site out."""

    n: int = Field(3, ge=1, le=MAX_COUNT, description="So many lock it out [1]")
    window_s: float = Field(60.0, gt=0, description="... within this time [s]")
    unlock_after_s: float | None = Field(
        None, ge=0, description="It comes back by itself after this; null: only by a ups_unlocked event [s]"
    )


class RideThroughConfig(_Strict):
    """Transfer to storage by a curve of tolerance, a counter with lockout, and the way back."""

    curve: CurveName | None = Field(
        None,
        description="Curve of tolerance by name; null: the points of low and high, without any at once below v_trip_pu",
    )
    low: list[TolerancePoint] = Field(
        default_factory=list, max_length=8, description="Own points for sags, rising in voltage and in time"
    )
    high: list[TolerancePoint] = Field(
        default_factory=list, max_length=8, description="Own points for swells, falling in voltage and rising in time"
    )
    counter: CounterConfig | None = Field(None, description="Counter with lockout; null: every dip is a new one")
    walk_in_mw_per_s: float | None = Field(
        None, gt=0, description="Ramp of the grid side on the way back; null: max_ramp_mw_per_s [MW/s]"
    )

    def tolerance(self, v_trip_pu: float) -> Curve:
        """The curve this stands for, where the rectifier stops below v_trip_pu."""
        if self.curve is not None:
            return CURVES[self.curve]
        low = tuple(Threshold(p.vm_pu, p.t_s) for p in self.low) or (Threshold(v_trip_pu, 0.0),)
        return Curve(low, tuple(Threshold(p.vm_pu, p.t_s) for p in self.high))

    @model_validator(mode="after")
    def _is_one_curve(self) -> Self:
        if self.curve is not None and (self.low or self.high):
            raise ValueError("give curve or points of your own (low, high), not both")
        low, high = [(p.vm_pu, p.t_s) for p in self.low], [(-p.vm_pu, p.t_s) for p in self.high]
        for name, points in (("low", low), ("high", high)):
            for (v0, t0), (v1, t1) in itertools.pairwise(points):
                if v1 <= v0 or t1 < t0:
                    order = "rise" if name == "low" else "fall"
                    raise ValueError(
                        f"{name} must {order} in vm_pu and rise in t_s, the deepest first: {abs(v0):g} pu for {t0:g} s "
                        f"is followed by {abs(v1):g} pu for {t1:g} s"
                    )
        if self.low and self.high and self.low[-1].vm_pu >= self.high[-1].vm_pu:
            raise ValueError(
                f"the curves cross: sags begin at {self.low[-1].vm_pu:g} pu, swells at {self.high[-1].vm_pu:g} pu"
            )
        for name, own, sign in (("low", self.low, 1.0), ("high", self.high, -1.0)):
            if own and sign * (own[-1].vm_pu - 1.0) > 0:
                raise ValueError(f"{name} does not bear nominal voltage: it begins at {own[-1].vm_pu:g} pu")
        return self


class SheddingStep(_Strict):
    """Jobs that go when a site on storage is down to a state of charge."""

    soc: float = Field(gt=0, le=1, description="At this state of charge [1]")
    jobs: list[str] = Field(min_length=1, description="Names of the jobs that are shed, restarted after the return")
