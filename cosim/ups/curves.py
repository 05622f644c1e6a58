"""Curves of tolerance by name: how long a supply bears a voltage before it leaves the feeder."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

CurveName = Literal["itic", "semi_f47"]


class Threshold(NamedTuple):
    """Voltages beyond `vm_pu` (below, or above where it is a swell) are borne for `t_s`."""

    vm_pu: float
    t_s: float


class Curve(NamedTuple):
    """Thresholds of sags, the lowest first, and of swells, the highest first."""

    low: tuple[Threshold, ...]
    high: tuple[Threshold, ...]


CURVES: dict[CurveName, Curve] = {
    # ITI (CBEMA) Curve Application Note, 2000: no interruption in function
    "itic": Curve(
        low=(Threshold(0.7, 0.02), Threshold(0.8, 0.5), Threshold(0.9, 10.0)),
        high=(Threshold(1.4, 0.001), Threshold(1.2, 0.003), Threshold(1.1, 0.5)),
    ),
    # SEMI F47-0706, required points; no swells in it
    "semi_f47": Curve(
        low=(Threshold(0.5, 0.0), Threshold(0.7, 0.2), Threshold(0.8, 0.5), Threshold(0.9, 1.0)), high=()
    ),
}
assert set(CURVES) == set(get_args(CurveName))
