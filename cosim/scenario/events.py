"""Scheduled events: what a scenario may say happens, and when. Kinds are past tense, as in the log."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cosim.feeder.faults import FaultConfig


def _as_id(value: object) -> object:
    """An id is text; a whole number is taken for its digits, since YAML reads `bus: 5` as one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        raise ValueError("must be an id; put it in quotes so that its digits stay as they are")
    return value


ElementId = Annotated[str, BeforeValidator(_as_id), Field(min_length=1)]
"""Id of a bus, line, switch, load, data center or job: text; a whole number is taken as text."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at_s: float = Field(ge=0, description="Time it happens, at most time.duration_s [s]")


class _JobEvent(_Event):
    datacenter: ElementId = Field(description="Name of the data center")
    job: ElementId = Field(description="Name of the job in its load")


class JobStarted(_JobEvent):
    """A job starts, from cold; a large one may be announced to the grid before."""

    kind: Literal["job_started"]
    notice_s: float | None = Field(
        None, gt=0, description="The site announces the start to the grid so long ahead; null: it does not [s]"
    )
    p_mw: float | None = Field(
        None,
        gt=0,
        description="Rise of its power from the feeder that it announces; null: what the job at its highest stage and "
        "the facility around it take, cooling settled [MW]",
    )

    @model_validator(mode="after")
    def _is_announced_within_the_run(self) -> Self:
        if self.p_mw is not None and self.notice_s is None:
            raise ValueError("p_mw is what a notice announces; give notice_s")
        if self.notice_s is not None and self.notice_s > self.at_s:
            raise ValueError(f"notice_s={self.notice_s:.12g} reaches back before the run, at_s={self.at_s:.12g}")
        return self


class JobStopped(_JobEvent):
    """A job stops for good, or until it is started again."""

    kind: Literal["job_stopped"]


class JobFailed(_JobEvent):
    """An unplanned stop: the job falls to idle and restarts after its restart time."""

    kind: Literal["job_failed"]


class LoadChanged(_Event):
    """A load of the feeder changes; give one of p_mw and scale."""

    kind: Literal["load_changed"]
    load: ElementId = Field(description="Id of the load in the feeder")
    p_mw: float | None = Field(None, description="New active power; or scale [MW]")
    q_mvar: float | None = Field(None, description="New reactive power, with p_mw; null: stays [Mvar]")
    scale: float | None = Field(None, ge=0, description="Factor on the power in the feeder's file; or p_mw [1]")

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if (self.p_mw is None) == (self.scale is None):
            raise ValueError("give exactly one of p_mw and scale")
        if self.scale is not None and self.q_mvar is not None:
            raise ValueError("q_mvar goes with p_mw; scale takes reactive power along")
        return self


class DipStarted(_Event):
    """The source voltage dips (or swells) and comes back."""

    kind: Literal["dip_started"]
    vm_pu: float = Field(ge=0, le=1.5, description="Retained voltage, of the source's own; above 1 a swell [pu]")
    duration_s: float = Field(gt=0, description="Until the voltage is back [s]")
    va_degree: float = Field(0.0, ge=-180, le=180, description="Phase jump while it lasts [degree]")


class SourceLost(_Event):
    """The source goes black."""

    kind: Literal["source_lost"]
    duration_s: float | None = Field(None, gt=0, description="Until it returns; null: a source_returned event [s]")


class SourceReturned(_Event):
    """The source comes back after a source_lost without duration."""

    kind: Literal["source_returned"]


class _SwitchEvent(_Event):
    switch: ElementId = Field(
        description="Id of a switch of the feeder, line:ID for a whole line, or name of a device of feeder.protection"
    )


class SwitchOpened(_SwitchEvent):
    """A switch opens."""

    kind: Literal["switch_opened"]


class SwitchClosed(_SwitchEvent):
    """A switch closes, and what protection has opened there with it: it begins anew, a blown fuse is replaced."""

    kind: Literal["switch_closed"]


class FaultApplied(FaultConfig, _Event):
    """A short circuit at a bus or along a line; it goes out after its duration, or once its place lies dead."""

    kind: Literal["fault_applied"]
    duration_s: float | None = Field(
        None, gt=0, description="Until it is gone; null: protection or a fault_cleared event ends it [s]"
    )
    extinction_s: float | None = Field(
        0.2,
        gt=0,
        description="Without duration: it goes out when its place has been dead for so long; null: never, a permanent "
        "fault [s]",
    )


class FaultCleared(_Event):
    """A fault without duration is repaired or removed; give its bus or line."""

    kind: Literal["fault_cleared"]
    bus: ElementId | None = Field(None, description="Bus of the fault; or line")
    line: ElementId | None = Field(None, description="Line of the fault; or bus")

    @model_validator(mode="after")
    def _is_at_one_place(self) -> Self:
        if (self.bus is None) == (self.line is None):
            raise ValueError("give exactly one of bus and line")
        return self

    @property
    def place(self) -> str:
        """As `FaultConfig.place`."""
        return f"bus {self.bus}" if self.bus is not None else f"line {self.line}"


class UpsOutOfService(_Event):
    """A UPS drops out."""

    kind: Literal["ups_out_of_service"]
    datacenter: ElementId = Field(description="Name of the data center")
    duration_s: float | None = Field(None, gt=0, description="Until it is back; null: a ups_in_service event [s]")


class UpsInService(_Event):
    """A UPS is back after a ups_out_of_service without duration."""

    kind: Literal["ups_in_service"]
    datacenter: ElementId = Field(description="Name of the data center")


class UpsUnlocked(_Event):
    """Somebody lets a site back that its counter has locked out."""

    kind: Literal["ups_unlocked"]
    datacenter: ElementId = Field(description="Name of the data center")


class UpsReference(_Event):
    """The grid-side power that a UPS with the controller external shall hold, within its limits of ramp and decline."""

    kind: Literal["ups_reference"]
    datacenter: ElementId = Field(description="Name of the data center")
    p_mw: float | None = Field(description="Power from the feeder; null: whatever the facility asks [MW]")


class DemandResponseStarted(_Event):
    """The utility calls: the site's power from the feeder stays under a cap, by storage first, then by throttling."""

    kind: Literal["demand_response_started"]
    datacenter: ElementId = Field(description="Name of the data center")
    p_mw: float = Field(ge=0, description="Cap of its power from the feeder [MW]")
    duration_s: float = Field(gt=0, description="Until the call ends [s]")
    ramp_mw_per_s: float = Field(
        1e6, gt=0, description="The cap comes down, and goes, at this ramp; down no faster than the UPS may [MW/s]"
    )


class StartHoldStarted(_Event):
    """The utility allows no start of a job at a site; those due meanwhile wait until it ends."""

    kind: Literal["start_hold_started"]
    datacenter: ElementId = Field(description="Name of the data center")
    duration_s: float = Field(gt=0, description="Until starts are allowed again [s]")


Event = Annotated[
    JobStarted
    | JobStopped
    | JobFailed
    | LoadChanged
    | DipStarted
    | SourceLost
    | SourceReturned
    | SwitchOpened
    | SwitchClosed
    | FaultApplied
    | FaultCleared
    | UpsOutOfService
    | UpsInService
    | UpsUnlocked
    | UpsReference
    | DemandResponseStarted
    | StartHoldStarted,
    Field(discriminator="kind"),
]
