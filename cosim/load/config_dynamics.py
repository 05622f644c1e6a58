"""What a scenario may say of how a job's power follows its commands (Eq. 7-9), and of its noise."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveSeconds = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EdgeConfig(_Strict):
    """Second-order response of power to a commanded edge (Eq. 9)."""

    omega_n_rad_per_s: float = Field(gt=0, description="Natural frequency of the power lag [rad/s]")
    zeta: float = Field(1.0, gt=0, description="Damping ratio of the power lag [1]")
    c_s: float = Field(0.0, description="C of Eq. 9, weight of dP/dt [s]")
    d_s2: float = Field(0.0, description="D of Eq. 9, weight of d2P/dt2 [s2]")


class DynamicsConfig(_Strict):
    """Eq. 7-9: how power follows a commanded edge, upward and downward."""

    up: EdgeConfig = Field(
        EdgeConfig(omega_n_rad_per_s=3400.0),
        description="Rising edges; the default rises 10-90 % in 1 ms, as an A100 does",
    )
    down: EdgeConfig = Field(
        EdgeConfig(omega_n_rad_per_s=134.0),
        description="Falling edges; the default falls 90-10 % in 25 ms, as an A100 does",
    )
    supply_tau_s: float = Field(0.005, ge=0, description="First-order lag of the server power supplies behind it [s]")


class NoiseConfig(_Strict):
    """Ornstein-Uhlenbeck fluctuation of the swing, common to all nodes and node by node."""

    std: float = Field(0.0, ge=0, le=0.3, description="Standard deviation common to all nodes, of the swing [1]")
    correlation_s: PositiveSeconds = Field(2.0, description="Correlation time of the common part [s]")
    node_std: float = Field(
        0.0, ge=0, le=1, description="Standard deviation of one node; falls with the root of their number [1]"
    )
    node_correlation_s: PositiveSeconds = Field(1.0, description="Correlation time of the node part [s]")
    step_s: PositiveSeconds = Field(0.1, description="Grid on which noise is drawn, linear in between [s]")
