"""What a scenario may say of a feeder's controls: `feeder.controls`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

CATEGORY_B_CURVE = ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))
"""IEEE 1547-2018, default volt-var settings of category B: voltage [pu], generated reactive power per rated kVA."""
CATEGORY_B_RESPONSE_S = 5.0
"""IEEE 1547-2018, default open loop response time of volt-var, category B. [s]"""


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RegulatorConfig(_Config):
    """A regulator or load tap changer; under the name of one in the feeder's file, only what is given changes."""

    trafo: str | None = Field(None, min_length=1, description="Transformer whose taps it moves; not for the file's own")
    bus: str | None = Field(
        None, min_length=1, description="Bus that it holds; without it the second terminal of the transformer"
    )
    v_set_pu: float | None = Field(None, gt=0.5, lt=1.5, description="Voltage that it holds; 1 if not given [pu]")
    bandwidth_pu: float | None = Field(
        None, gt=0, lt=0.5, description="Full width of the band; two taps if not given [pu]"
    )
    delay_s: float | None = Field(None, ge=0, description="From leaving the band to the first tap; 30 if not given [s]")
    tap_delay_s: float | None = Field(
        None, ge=0, description="From one tap to the next while still outside; 2 if not given [s]"
    )
    min_tap: int | None = Field(None, description="Lowest tap, counted from neutral; as built if not given")
    max_tap: int | None = Field(None, description="Highest tap, counted from neutral; as built if not given")
    frozen: bool = Field(False, description="The tap stays where it is")


class CapacitorConfig(_Config):
    """A voltage control of a capacitor bank; under the name of one in the feeder's file, only what is given changes."""

    capacitor: str | None = Field(None, min_length=1, description="Bank that it switches; not for the file's own")
    bus: str | None = Field(None, min_length=1, description="Bus that it watches; without it the bank's own")
    v_on_pu: float | None = Field(None, gt=0, description="A step is switched on below this voltage [pu]")
    v_off_pu: float | None = Field(None, gt=0, description="A step is switched off above this voltage [pu]")
    delay_s: float | None = Field(None, ge=0, description="From the condition to switching on; 15 if not given [s]")
    delay_off_s: float | None = Field(
        None, ge=0, description="From the condition to switching off; as delay_s if not given [s]"
    )
    dead_time_s: float | None = Field(
        None, ge=0, description="For discharge, from off to on again; 300 if not given [s]"
    )
    frozen: bool = Field(False, description="The bank stays as it is")

    @model_validator(mode="after")
    def _leaves_a_band(self) -> Self:
        if self.v_on_pu is not None and self.v_off_pu is not None and self.v_on_pu >= self.v_off_pu:
            raise ValueError(f"v_on_pu={self.v_on_pu} is not below v_off_pu={self.v_off_pu}")
        return self


class InverterConfig(_Config):
    """Volt-var function of a generator of the feeder; by default that of IEEE 1547-2018, category B."""

    sgen: str = Field(min_length=1, description="Generator of given power whose reactive power it sets")
    sn_mva: float = Field(gt=0, description="Rated apparent power, to which the curve refers [MVA]")
    curve: tuple[tuple[float, float], ...] = Field(
        CATEGORY_B_CURVE, min_length=2, description="(voltage [pu], generated reactive power per sn_mva), ascending"
    )
    response_s: float = Field(CATEGORY_B_RESPONSE_S, gt=0, description="Open loop response time: to 90 % of a step [s]")
    period_s: float = Field(1.0, gt=0, description="Interval at which it acts [s]")
    max_q_mvar: float | None = Field(None, ge=0, description="Limit beside the curve [Mvar]")


class GeneratorConfig(_Config):
    """Voltage regulator of a generator of the feeder."""

    sgen: str = Field(min_length=1, description="Generator of given power whose reactive power it sets")
    v_set_pu: float = Field(gt=0.5, lt=1.5, description="Voltage that it holds at its terminals [pu]")
    min_q_mvar: float = Field(description="Lowest reactive power, generation positive [Mvar]")
    max_q_mvar: float = Field(description="Highest reactive power, generation positive [Mvar]")
    gain_mvar_per_pu_s: float = Field(
        gt=0, description="Change of reactive power per deviation of voltage and time [Mvar/pu/s]"
    )
    period_s: float = Field(0.1, gt=0, description="Interval at which it acts [s]")


class ControlsConfig(_Config):
    """Whether controls act, those of the file changed, and further ones, each under its name."""

    mode: Literal["live", "frozen"] = Field(
        "live", description="live: controls act in time; frozen: taps, banks and reactive powers stay"
    )
    clock_h: float = Field(0.0, ge=0, lt=24, description="Time of day at which the run starts, for time controls [h]")
    regulators: dict[str, RegulatorConfig] = Field(
        default_factory=dict, description="Regulators and load tap changers by name"
    )
    capacitors: dict[str, CapacitorConfig] = Field(
        default_factory=dict, description="Controls of capacitor banks by name"
    )
    inverters: dict[str, InverterConfig] = Field(default_factory=dict, description="Volt-var functions by name")
    generators: dict[str, GeneratorConfig] = Field(
        default_factory=dict, description="Voltage regulators of generators by name"
    )
