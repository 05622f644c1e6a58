"""What a scenario may say of protection: the list `feeder.protection`."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cosim.feeder.protection.curves import (
    ARCING_S,
    K_LINK,
    LEAST_MULTIPLE,
    MELTING_SPREAD,
    T_LINK,
    CurveName,
    PointCurve,
    operate_time_s,
)


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OvercurrentElementConfig(_Config):
    """One overcurrent element: an inverse curve, and an instantaneous stage above it."""

    curve: CurveName = Field(description="Curve of IEC 60255-151 or IEEE C37.112, or a definite time")
    pickup_a: float = Field(gt=0, description="Primary current above which it counts [A]")
    time_dial: float = Field(gt=0, description="Time multiplier of the curve; of definite_time the time in s [1]")
    instantaneous_a: float | None = Field(
        None, gt=0, description="Primary current above which it trips at once; null: none [A]"
    )

    @model_validator(mode="after")
    def _stages_rise(self) -> Self:
        if self.instantaneous_a is not None and self.instantaneous_a <= self.pickup_a:
            raise ValueError(f"instantaneous_a={self.instantaneous_a:g} is not above pickup_a={self.pickup_a:g}")
        return self


def _as_id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Id = Annotated[str, BeforeValidator(_as_id), Field(min_length=1)]


class _Device(_Config):
    name: str = Field(min_length=1, max_length=64, description="Its name in the log")
    line: _Id | None = Field(None, description="Line at whose end it stands; or trafo")
    trafo: _Id | None = Field(None, description="Transformer at whose terminal it stands; or line")
    side: Literal["from", "to"] = Field("from", description="At the first terminal or the second")

    @model_validator(mode="after")
    def _stands_at_one_element(self) -> Self:
        if (self.line is None) == (self.trafo is None):
            raise ValueError("give exactly one of line and trafo")
        return self


class RelayConfig(_Device):
    """An overcurrent relay and its breaker, which opens all three poles and stays open."""

    kind: Literal["relay"]
    phase: OvercurrentElementConfig | None = Field(None, description="Element of each phase's current")
    ground: OvercurrentElementConfig | None = Field(None, description="Element of the phases' sum (3 I0)")
    breaker_s: float = Field(0.05, ge=0, le=10, description="From the relay's decision to interruption [s]")
    reset: Literal["instantaneous", "disk"] = Field(
        "instantaneous", description="How it falls back below pick-up: at once, or as the standard's disk does"
    )

    @model_validator(mode="after")
    def _has_an_element(self) -> Self:
        if self.phase is None and self.ground is None:
            raise ValueError("give phase, ground or both")
        return self


class RecloserConfig(_Device):
    """A three-pole recloser: fast shots, then slow ones, then lockout."""

    kind: Literal["recloser"]
    fast: OvercurrentElementConfig | None = Field(None, description="Element of the phases for fast shots")
    slow: OvercurrentElementConfig | None = Field(None, description="Element of the phases for slow shots")
    ground_fast: OvercurrentElementConfig | None = Field(None, description="Element of the phases' sum for fast shots")
    ground_slow: OvercurrentElementConfig | None = Field(None, description="Element of the phases' sum for slow shots")
    n_fast: int = Field(2, ge=0, le=10, description="Openings by the fast elements [1]")
    n_slow: int = Field(2, ge=0, le=10, description="Openings by the slow ones behind them; the last locks out [1]")
    open_s: list[Annotated[float, Field(gt=0)]] = Field(
        [0.5, 2.0, 5.0], description="Open intervals, one less than openings [s]"
    )
    reset_s: float = Field(30.0, gt=0, description="Closed without overcurrent until shots count anew [s]")
    opening_s: float = Field(0.05, ge=0, le=10, description="From the decision to interruption [s]")

    @model_validator(mode="after")
    def _is_a_sequence(self) -> Self:
        n = self.n_fast + self.n_slow
        if n == 0:
            raise ValueError("n_fast and n_slow are both 0: it would never open")
        if len(self.open_s) != n - 1:
            raise ValueError(f"open_s has {len(self.open_s)} intervals, {n} openings have {n - 1} between them")
        for count, element, name in ((self.n_fast, self.fast, "fast"), (self.n_slow, self.slow, "slow")):
            if count > 0 and element is None:
                raise ValueError(f"{name} is missing: n_{name}={count}")
        for fast, slow in ((self.fast, self.slow), (self.ground_fast, self.ground_slow)):
            if fast is not None and slow is not None and self.n_fast > 0 and self.n_slow > 0:
                _check_order(fast, slow)
        return self


def _check_order(fast: OvercurrentElementConfig, slow: OvercurrentElementConfig) -> None:
    """The fast curve must lie below the slow one at currents that both see."""
    for multiple in (LEAST_MULTIPLE, 2.0, 3.0, 5.0, 10.0, 20.0):
        i_a = multiple * max(fast.pickup_a, slow.pickup_a)
        quick = operate_time_s(fast.curve, fast.time_dial, i_a / fast.pickup_a)
        late = operate_time_s(slow.curve, slow.time_dial, i_a / slow.pickup_a)
        if quick > late:
            raise ValueError(f"the fast curve takes {quick:.3g} s at {i_a:.4g} A, the slow one {late:.3g} s only")


class SectionalizerConfig(_Device):
    """A three-pole switch that counts the openings of a recloser on its source side and opens in one of them."""

    kind: Literal["sectionalizer"]
    actuating_a: float = Field(
        gt=0, description="Current above which an interruption counts: less than the recloser trips at [A]"
    )
    ground_actuating_a: float | None = Field(
        None, gt=0, description="The same of the phases' sum (3 I0); null: phases alone [A]"
    )
    count: int = Field(2, ge=1, le=9, description="It opens in the interruption of this number [1]")
    dead_a: float = Field(1.0, gt=0, description="Current below which the line counts as interrupted [A]")
    opening_s: float = Field(0.1, ge=0, le=10, description="From that interruption to its own opening [s]")
    reset_s: float = Field(30.0, gt=0, description="From the last one counted until it counts anew [s]")

    @model_validator(mode="after")
    def _tells_overcurrent_from_none(self) -> Self:
        least = min(self.actuating_a, self.ground_actuating_a or self.actuating_a)
        if self.dead_a >= least:
            raise ValueError(f"dead_a={self.dead_a:g} is not below the current that it acts on, {least:g} A")
        return self


class FusePoint(_Config):
    """One point of a fuse's curve."""

    i_a: float = Field(gt=0, description="Current [A]")
    t_s: float = Field(gt=0, description="Time at this current [s]")


class FuseConfig(_Device):
    """A fuse in each phase: a link of a speed and rating, or the maker's points."""

    kind: Literal["fuse"]
    speed: Literal["k", "t"] | None = Field(None, description="Speed of the link, with rated_a; or melt")
    rated_a: float | None = Field(None, gt=0, description="Rated current of the link, with speed [A]")
    melt: list[FusePoint] | None = Field(
        None, min_length=2, description="Least melting time over current, straight in both logarithms; or speed"
    )
    clear: list[FusePoint] | None = Field(
        None,
        min_length=2,
        description="Total clearing time; null: 1.2 times the current of the least melting time, and an arc of 8.3 ms",
    )
    cooling_s: float = Field(
        60.0, gt=0, description="In which a link just short of melting is cold again without overcurrent [s]"
    )

    @model_validator(mode="after")
    def _has_a_curve(self) -> Self:
        if (self.speed is None) == (self.melt is None):
            raise ValueError("give exactly one of speed and melt")
        if (self.speed is None) != (self.rated_a is None):
            raise ValueError("speed and rated_a make one link: give both or none")
        for name in ("melt", "clear"):
            points: list[FusePoint] | None = getattr(self, name)
            if points and any(b.i_a <= a.i_a or b.t_s >= a.t_s for a, b in pairwise(points)):
                raise ValueError(f"{name} must list its points by rising i_a and falling t_s")
        if self.clear is not None:
            _check_clears_behind_melting(self)
        return self


def _check_clears_behind_melting(fuse: FuseConfig) -> None:
    melt, clear = fuse_curves(fuse)
    for i_a in (*melt.i_a, *clear.i_a):
        if clear.time_s(i_a) < melt.time_s(i_a):
            raise ValueError(
                f"clear takes {clear.time_s(i_a):.3g} s at {i_a:g} A, less than melt ({melt.time_s(i_a):.3g} s)"
            )


def fuse_curves(fuse: FuseConfig) -> tuple[PointCurve, PointCurve]:
    """Least melting and total clearing time of a fuse, both over current."""
    if fuse.melt is not None:
        melt = PointCurve.of([(p.i_a, p.t_s) for p in fuse.melt])
    else:
        melt = PointCurve.of(K_LINK if fuse.speed == "k" else T_LINK, per=fuse.rated_a or 1.0)
    if fuse.clear is not None:
        return melt, PointCurve.of([(p.i_a, p.t_s) for p in fuse.clear])
    return melt, melt.slower(MELTING_SPREAD, ARCING_S)


AnyConfig = RelayConfig | RecloserConfig | SectionalizerConfig | FuseConfig
DeviceConfig = Annotated[AnyConfig, Field(discriminator="kind")]
