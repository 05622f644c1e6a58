"""Lamps, bounds and statistics of the flickermeter of IEC 61000-4-15 (ed. 2, 2010), for every way to run it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cosim.errors import InputError, Problem
from cosim.metrics.log import AnyFloats

F_MOST_SEEN_HZ = 8.8
"""Where the eye sees flicker best: a step must carry it. [Hz]"""
F_BAND_HZ = 40.0
"""Highest fluctuation of the standard's test points. [Hz]"""
CARRIED = 0.44
"""Frequency up to which the interpolation is flat, in steps: 0.5 is Nyquist's limit."""
REFERENCE_TAU_S = 27.3
"""Time constant of the voltage that the input is related to (10 to 90 % in one minute). [s]"""
REFERENCE_MIN_PU = 0.1
"""The input is related to no less than this: below it lies an interruption. [pu]"""
MEMORY_TAU_S = 0.3
"""Time constant of block 4. [s]"""


@dataclass(frozen=True)
class Lamp:
    """Filters of blocks 3 and 4 for one lamp and line frequency."""

    f_line_hz: float
    f_low_pass_hz: float
    """Cut-off of the Butterworth filter of order 6. [Hz]"""
    k: float
    lambda_hz: float
    w1_hz: float
    w2_hz: float
    w3_hz: float
    w4_hz: float
    d_percent: float
    """Change of voltage at 8.8 Hz, sinusoidal, at which the largest Pinst is 1 (table 1). [%]"""


_EYE_230 = (1.74802, 4.05981, 9.15494, 2.27979, 1.22535, 21.9)
_EYE_120 = (1.6357, 4.167375, 9.077169, 2.939902, 1.394468, 17.31512)
# 0.2503 and not 0.25: within the rounding of table 1, and the meter then also meets edition 1 at 1 Hz.
LAMP = {
    "120V60Hz": Lamp(60.0, 42.0, *_EYE_120, d_percent=0.321),
    "230V50Hz": Lamp(50.0, 35.0, *_EYE_230, d_percent=0.2503),
    "120V50Hz": Lamp(50.0, 35.0, *_EYE_120, d_percent=0.321),
    "230V60Hz": Lamp(60.0, 42.0, *_EYE_230, d_percent=0.2503),
}
LAMPS = tuple(LAMP)
"""Lamps and line frequencies that the meter knows."""

_SMOOTHED = (
    (0.0314, (0.1,)),
    (0.0525, (0.7, 1.0, 1.5)),
    (0.0657, (2.2, 3.0, 4.0)),
    (0.28, (6.0, 8.0, 10.0, 13.0, 17.0)),
    (0.08, (30.0, 50.0, 80.0)),
)
"""Weights of the levels of Pinst exceeded for so many percent of the time, smoothed (5.7.2)."""


def checked(step_s: float, lamp: str) -> Lamp:
    """The lamp, where its name is known and the step carries what the eye sees best; raises InputError."""
    problems = []
    if lamp not in LAMP:
        problems.append(Problem(f"unknown lamp; known: {', '.join(LAMPS)}", "lamp", lamp))
    if not (math.isfinite(step_s) and step_s > 0.0):
        problems.append(Problem("must be a positive time in seconds", "step_s", step_s))
    elif CARRIED / step_s < F_MOST_SEEN_HZ * (1.0 - 1e-9):
        problems.append(
            Problem(
                f"too coarse for flicker: it carries fluctuations up to {CARRIED / step_s:.3g} Hz; needed is at most "
                f"{CARRIED / F_MOST_SEEN_HZ:.3g} s for those that the eye sees best ({F_MOST_SEEN_HZ} Hz), and at "
                f"most {CARRIED / F_BAND_HZ:.3g} s for all up to {F_BAND_HZ:g} Hz",
                "step_s",
                step_s,
            )
        )
    if problems:
        raise InputError(problems)
    return LAMP[lamp]


def severity_of_sorted(pinst: AnyFloats) -> float:
    """The same of a window whose sensations stand in rising order."""
    place = np.array([1.0 - x / 100.0 for _, group in _SMOOTHED for x in group]) * (len(pinst) - 1)
    below = place.astype(np.int64)
    low, high = (pinst[np.minimum(below + k, len(pinst) - 1)].astype(np.float64) for k in (0, 1))
    levels = low + (place - below) * (high - low)
    total, first = 0.0, 0
    for weight, group in _SMOOTHED:
        total += weight * float(levels[first : first + len(group)].mean())
        first += len(group)
    return math.sqrt(total)
