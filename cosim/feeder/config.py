"""What a scenario may say of the feeder and of the source behind it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cosim.area.config import AreaConfig
from cosim.feeder.controls.config import ControlsConfig
from cosim.feeder.protection.config import DeviceConfig
from cosim.feeder.zero_sequence import ZeroSequenceConfig


def _mode_alone(value: object) -> object:
    """`controls: frozen` is short for `controls: {mode: frozen}`."""
    return {"mode": value} if isinstance(value, str) else value


class FeederConfig(BaseModel):
    """The feeder: which network, how loaded, and how closely it is solved."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(
        description="Name of a shipped, pandapower or SimBench network, or the path of an OpenDSS .dss master or of a "
        "pandapower .json file",
        min_length=1,
    )
    dss_root: str | None = Field(
        None, min_length=1, description="Folder that a .dss may read in; null: the folder above that of its master"
    )
    load_scaling: float = Field(
        1.0, ge=0, description="Factor on every load and motor of the feeder, not on generation [1]"
    )
    max_dvm_pu: float = Field(
        1e-6, ge=0, description="Voltage error that change-driven solving may make; 0 solves every tick [pu]"
    )
    max_dp_mw: float = Field(
        0.001,
        ge=0,
        description="Change of a data center's power that change-driven solving may leave out of the flows [MW]",
    )
    controls: Annotated[ControlsConfig, BeforeValidator(_mode_alone)] = Field(
        ControlsConfig(),
        description="Regulators, capacitor banks, inverters and generators: whether they act, and further ones",
    )
    protection: list[DeviceConfig] = Field(
        [], description="Relays, reclosers, sectionalizers and fuses, each at an end of a line or transformer"
    )
    coordination_interval_s: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Least time from a protective device's interruption to the decision of the next one towards the "
        "source; less of it at some current is warned of [s]",
    )
    zero_sequence: ZeroSequenceConfig | None = Field(
        None,
        description="Zero sequence of what a balanced feeder's file has no such data for; null: faults to ground are "
        "refused where something lacks them",
    )
    load_shapes: Literal["none", "daily", "yearly", "duty"] = Field(
        "none", description="Shapes of the network that its loads and generators follow, where it has any"
    )
    profile: str | None = Field(
        None,
        min_length=1,
        description="CSV that drives the loads instead: t_s, and factors in a column scale (of every load) or named as "
        "a load",
    )
    start_h: float = Field(0, ge=0, le=8784, description="Hour of load shapes, profile and time controls at t = 0 [h]")
    surfaces: bool = Field(
        True,
        description="Answer instants at which only data centers moved from polynomials that are held to full solves",
    )
    vmin_pu: float = Field(
        0.7,
        ge=0,
        lt=1,
        description="Constant-power loads become constant impedance below, continuous there; 0 never [pu]",
    )

    @model_validator(mode="after")
    def _devices_have_own_names(self) -> Self:
        names = [device.name for device in self.protection]
        if twins := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"protection has two devices of the name {twins[0]}")
        return self

    @model_validator(mode="after")
    def _one_drives_the_loads(self) -> Self:
        if self.profile is not None and self.load_shapes != "none":
            raise ValueError("profile is given, and load_shapes drive the loads already: give one of them")
        return self


class SourceConfig(BaseModel):
    """The source behind the feeder: ideal as it stands in the network, or behind an impedance."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    vm_pu: float | None = Field(
        None, gt=0, le=2, description="Voltage set-point instead of the one in the network [pu]"
    )
    s_sc_mva: float | None = Field(None, gt=0, description="Short-circuit power of each source; with x_over_r [MVA]")
    x_over_r: float | None = Field(
        None, gt=0, description="Reactance over resistance of the source impedance; with s_sc_mva [1]"
    )
    area: AreaConfig | None = Field(
        None, description="Area behind it, whose frequency follows what it gives; null: frequency stays"
    )

    @model_validator(mode="after")
    def _impedance_is_whole(self) -> Self:
        if (self.s_sc_mva is None) != (self.x_over_r is None):
            raise ValueError("s_sc_mva and x_over_r make one impedance: give both or none")
        return self

    @property
    def z_pu(self) -> complex:
        """Source impedance, zero where the source is ideal. [pu on 1 MVA]"""
        if self.s_sc_mva is None or self.x_over_r is None:
            return 0j
        return complex(1.0, self.x_over_r) / abs(complex(1.0, self.x_over_r)) / self.s_sc_mva
