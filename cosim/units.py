"""Unit conversions, each named once. Time is int64 microseconds everywhere inside the engine."""

from __future__ import annotations

US_PER_S = 1_000_000
S_PER_H = 3600.0
W_PER_MW = 1e6
KW_PER_MW = 1e3
US_PER_H = US_PER_S * 3600
US_PER_DAY = 24 * US_PER_H


def to_us(t_s: float) -> int:
    """Seconds to whole microseconds, rounded to the nearest. [s] -> [us]."""
    return round(t_s * US_PER_S)
