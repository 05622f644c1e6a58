"""What a scenario may say of a data center's electrical and thermal chain (Eq. 1-5)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.area.config import FrequencyResponseConfig
from cosim.converter.curve import EfficiencyPoint, check_efficiency, check_rising, efficiency_points

Megawatts = Annotated[float, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DisplacementPoint(_Strict):
    """Displacement factor at one load; positive lags (draws reactive power), negative leads."""

    load: float = Field(ge=0, le=1.5, description="Input over rating [1]")
    cos_phi: float = Field(ge=-1, le=1, description="Displacement factor, signed: > 0 lags, < 0 leads [1]")

    @model_validator(mode="after")
    def _is_not_zero(self) -> Self:
        if abs(self.cos_phi) < 0.1:
            raise ValueError(f"cos_phi={self.cos_phi:g} must be at least 0.1 in magnitude")
        return self


class ConverterConfig(_Strict):
    """A conversion stage: its loss is a0 + a1 x + a2 x2 of its rating over load x, through the points given."""

    max_p_mw: float | None = Field(
        None, gt=0, description="Rated output; null: 1.25 times what the load can ask of it [MW]"
    )
    efficiency: list[EfficiencyPoint] = Field(
        min_length=1, description="Efficiency over load: one point (proportional loss), two, or three and more"
    )
    displacement_factor: list[DisplacementPoint] = Field(
        min_length=1, description="Displacement factor over load, linear in between; distortion is not in it"
    )

    @model_validator(mode="after")
    def _points_rise(self) -> Self:
        check_efficiency("efficiency", self.efficiency)
        check_rising("displacement_factor", [p.load for p in self.displacement_factor])
        return self


class RectifierConfig(ConverterConfig):
    """AC/DC stage of Eq. 4. Defaults: a modern double-conversion class rectifier."""

    efficiency: list[EfficiencyPoint] = Field(
        default_factory=lambda: efficiency_points([(0.1, 0.90), (0.5, 0.965), (1.0, 0.96)]),
        min_length=1,
        description="Efficiency over load: one point (proportional loss), two, or three and more",
    )
    displacement_factor: list[DisplacementPoint] = Field(
        default_factory=lambda: [DisplacementPoint(load=1.0, cos_phi=0.99)],
        min_length=1,
        description="Displacement factor over load, linear in between; distortion is not in it",
    )


class SupportConfig(ConverterConfig):
    """Supporting infrastructure of Eq. 3, fixed parts, behind its AC/AC stage."""

    efficiency: list[EfficiencyPoint] = Field(
        default_factory=lambda: efficiency_points([(1.0, 0.98)]),
        min_length=1,
        description="Efficiency over load: one point (proportional loss), two, or three and more",
    )
    displacement_factor: list[DisplacementPoint] = Field(
        default_factory=lambda: [DisplacementPoint(load=1.0, cos_phi=0.93)],
        min_length=1,
        description="Displacement factor over load, linear in between; distortion is not in it",
    )
    p_ahu_mw: Megawatts = Field(0.0, description="Air handling units [MW]")
    p_humidifiers_mw: Megawatts = Field(0.0, description="Humidifiers [MW]")
    p_bms_mw: Megawatts = Field(0.0, description="Building management system [MW]")
    p_lighting_mw: Megawatts = Field(0.0, description="Lighting [MW]")
    p_office_mw: Megawatts = Field(0.0, description="Offices [MW]")
    p_ups_infra_mw: Megawatts = Field(0.0, description="UPS of the infrastructure [MW]")
    p_network_infra_mw: Megawatts = Field(0.0, description="Network of the infrastructure [MW]")

    @property
    def p_fixed_mw(self) -> float:
        """Sum of the fixed parts of Eq. 3. [MW]"""
        return (
            self.p_ahu_mw + self.p_humidifiers_mw + self.p_bms_mw + self.p_lighting_mw
            + self.p_office_mw + self.p_ups_infra_mw + self.p_network_infra_mw
        )  # fmt: skip


class CoolingConfig(_Strict):
    """Cooling that follows the heat of IT with a thermal lag: chillers, tower, pumps (Eq. 3), CRAC (Eq. 4)."""

    chiller_cop: float = Field(6.0, gt=0, description="Heat moved per chiller power [1]")
    tower_per_heat: float = Field(0.02, ge=0, description="Cooling tower power per heat [1]")
    pumps_per_heat: float = Field(0.02, ge=0, description="Pump power per heat [1]")
    crac_per_heat: float = Field(0.02, ge=0, description="CRAC (or CDU) power per heat, on the IT bus [1]")
    time_constant_s: float = Field(240.0, gt=0, description="Thermal lag from heat to cooling power [s]")
    v_drop_pu: float | None = Field(
        None, ge=0, le=1, description="Contactors of its motors drop out below it; null: facility.v_trip_pu [pu]"
    )
    drop_s: float = Field(0.01, ge=0, le=10, description="... once that has lasted so long, half a cycle [s]")
    restart_s: float = Field(0.0, ge=0, description="From its supply back to its motors' start [s]")
    start_factor: float = Field(1.0, ge=1, le=8, description="Power of starting motors over running ones [1]")
    start_s: float = Field(5.0, gt=0, description="That excess fades out in this time [s]")
    ride_through_s: float | None = Field(
        None, gt=0, description="Without cooling IT shuts down after this; null: heat never sheds it [s]"
    )


class GeneratorConfig(_Strict):
    """Standby generator behind a transfer switch: it carries the facility while the site is off the feeder."""

    max_p_mw: float = Field(gt=0, description="Rating [MW]")
    start_after_s: float = Field(3.0, ge=0, description="From loss of the supply to the start command [s]")
    start_s: float = Field(10.0, ge=0, description="From the start command until it takes load [s]")
    pick_up_mw: float | None = Field(None, gt=0, description="First block of load it takes; null: its rating [MW]")
    ramp_mw_per_s: float | None = Field(
        None, gt=0, description="More load it takes each second after that; null: max_p_mw in 20 s [MW/s]"
    )
    retransfer_s: float = Field(60.0, ge=0, description="Voltage must have been back for so long before return [s]")

    @model_validator(mode="after")
    def _block_fits(self) -> Self:
        if self.pick_up_mw is not None and self.pick_up_mw > self.max_p_mw:
            raise ValueError(f"pick_up_mw={self.pick_up_mw:g} is above max_p_mw={self.max_p_mw:g}")
        return self


class CompositeConfig(_Strict):
    """Part of a large load that leaves the feeder in a dip, and what of it comes back, whatever does that behind it.

    The parameters of the electronic part of composite load models (WECC, NERC): in place of UPS, hold-up and generator.
    """

    v_start_pu: float = Field(0.75, gt=0, le=1.2, description="Below it a part ceases, more the lower [pu]")
    v_all_pu: float = Field(0.65, gt=0, le=1.2, description="At and below it the whole of cease_part [pu]")
    cease_part: float = Field(1.0, ge=0, le=1, description="Largest part that ceases [1]")
    cease_delay_s: float = Field(0.02, ge=0, description="Time below v_start_pu before it ceases [s]")
    v_return_pu: float = Field(0.9, gt=0, le=1.2, description="Voltage from which it comes back [pu]")
    return_delay_s: float = Field(0.5, ge=0, description="Time above that before it comes back [s]")
    return_part: float = Field(
        1.0, ge=0, le=1, description="Part of that which comes back by itself; the rest waits for ups_unlocked [1]"
    )
    return_s: float = Field(1.0, gt=0, description="Time in which the whole load would come back [s]")

    @model_validator(mode="after")
    def _voltages_are_ordered(self) -> Self:
        if self.v_all_pu > self.v_start_pu:
            raise ValueError(f"v_all_pu={self.v_all_pu:g} is above v_start_pu={self.v_start_pu:g}")
        if self.v_return_pu < self.v_start_pu:
            raise ValueError(f"v_return_pu={self.v_return_pu:g} is below v_start_pu={self.v_start_pu:g}")
        return self


class ExternalPoint(_Strict):
    """Power of the external sources at one time; linear in between."""

    t_s: float = Field(ge=0, description="Time [s]")
    p_mw: float = Field(ge=0, description="Generation [MW]")


class ExternalConfig(_Strict):
    """External sources of Eq. 1 (PV, gas engine) on the facility's AC bus; they stop with the grid."""

    profile: list[ExternalPoint] = Field(min_length=1, description="Generation over time")
    period_s: float | None = Field(
        None, gt=0, description="The profile repeats with this period; null: held after its last point [s]"
    )
    e_s: float = Field(
        0.0, description="E of Eq. 7, weight of dP_external/dt; 0 as Eq. 1 passes changes on already [s]"
    )

    @model_validator(mode="after")
    def _profile_goes_forward(self) -> Self:
        times = [point.t_s for point in self.profile]
        check_rising("profile", times, "t_s")
        if self.period_s is not None and times[-1] > self.period_s:
            raise ValueError(f"profile has a point at t_s={times[-1]:g}, after period_s={self.period_s:g}")
        return self


class FacilityConfig(_Strict):
    """Electrical and thermal chain of one data center (Eq. 1-5)."""

    p_other_compute_mw: Megawatts = Field(0.0, description="P_Other_Compute of Eq. 5 [MW]")
    p_network_gear_mw: Megawatts = Field(0.0, description="P_NetworkGear of Eq. 4 [MW]")
    p_storage_mw: Megawatts = Field(0.0, description="P_Storage of Eq. 4: disks, not batteries [MW]")
    rectifier: RectifierConfig = Field(default_factory=RectifierConfig, description="AC/DC stage of Eq. 4")
    support: SupportConfig = Field(default_factory=SupportConfig, description="Eq. 3")
    cooling: CoolingConfig = Field(default_factory=CoolingConfig, description="Cooling and its lag")
    external: ExternalConfig | None = Field(None, description="P_External of Eq. 1")
    generator: GeneratorConfig | None = Field(None, description="Standby generator; null: none")
    composite: CompositeConfig | None = Field(
        None, description="In a dip it behaves as this composite load, without a UPS of its own; null: as its parts do"
    )
    frequency: FrequencyResponseConfig | None = Field(
        None, description="Servers give way when the frequency of source.area is low; null: never"
    )
    v_sensed: Literal["phase_to_ground", "phase_to_phase"] = Field(
        "phase_to_ground",
        description="Its voltage: of the lowest phase of its bus, or of the lowest two phases against one another, as "
        "behind a delta-star transformer of its own that the feeder does not have",
    )
    v_min_pu: float = Field(
        0.85, gt=0, le=1, description="Below it the facility draws constant current instead of power [pu]"
    )
    v_trip_pu: float = Field(
        0.5, gt=0, le=1, description="Below it the rectifier stops and storage, if any, carries IT [pu]"
    )
    detection_s: float = Field(
        0.01, ge=0, le=1, description="A dip is noticed after so long, and so is the voltage's return: half a cycle [s]"
    )
    v_return_pu: float = Field(0.88, gt=0, le=1, description="Voltage at which the rectifier starts again [pu]")
    return_delay_s: float = Field(0.5, ge=0, description="Time the voltage must have been back before that [s]")
    hold_up_s: float = Field(0.02, ge=0, description="The DC bus carries the whole load for so long by itself [s]")
    v_dc_min_pu: float = Field(0.8, gt=0, lt=1, description="Voltage of the DC bus at which that is used up [pu]")
    restart_s: float = Field(120.0, ge=0, description="From voltage back to the jobs' cold start, after a trip [s]")

    @model_validator(mode="after")
    def _voltages_are_ordered(self) -> Self:
        if self.v_trip_pu > self.v_min_pu:
            raise ValueError(f"v_trip_pu={self.v_trip_pu:g} is above v_min_pu={self.v_min_pu:g}")
        if self.v_return_pu < self.v_trip_pu:
            raise ValueError(f"v_return_pu={self.v_return_pu:g} is below v_trip_pu={self.v_trip_pu:g}")
        return self

    @model_validator(mode="after")
    def _composite_stands_alone(self) -> Self:
        if self.composite is not None and self.generator is not None:
            raise ValueError("composite takes the place of the generator: give one of them")
        return self
