"""Laws of legs that bend inside a cell: which part each is in, and laws drawn out beyond the ends of a part."""

from __future__ import annotations

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.legs import fast_columns
from cosim.feeder.network import (
    P_0,
    P_1,
    P_2,
    P_E,
    P_LINE,
    P_LOW,
    P_MAX,
    P_MIN,
    Q_0,
    Q_1,
    Q_2,
    Q_E,
    Q_LINE,
    Q_LOW,
    Q_MAX,
    Q_MIN,
    V_LOW,
    V_MAX,
    V_MIN,
    Floats,
    Ints,
)

FAR_PU = 10.0
"""A voltage that no leg reaches, to which the parts of laws are drawn out. [pu]"""
LAW_POWERS = [P_0, P_1, P_2, P_E, P_LOW, P_MAX, Q_0, Q_1, Q_2, Q_E, Q_LOW, Q_MAX]


def across2(lab: FeederArrays, v: Floats) -> Floats:
    """Squared voltage across every leg, for voltages [n, 2 N]. [pu^2]"""
    a, b = lab.leg_row[:, 0], lab.leg_row[:, 1]
    x = v[:, 2 * a] - np.where(b >= 0, v[:, 2 * b], 0.0)
    y = v[:, 2 * a + 1] - np.where(b >= 0, v[:, 2 * b + 1], 0.0)
    squared: Floats = x * x + y * y
    return squared


def parts_of_law(lab: FeederArrays, v: Floats) -> Ints:
    """Part of its law that every leg is in, for voltages [n, 2 N]: 0 low, 1 on the line, 2 in its window, 3 above."""
    m, law = across2(lab, v), lab.leg_law
    part = np.where(m > law[:, V_MAX], 3, 2)
    part = np.where(m < law[:, V_MIN], np.where(np.sqrt(m) <= law[:, V_LOW], 0, 1), part)
    same = law[:, LAW_POWERS].any(axis=1)
    return np.where(same, part, 2)


def draw_out(lab: FeederArrays, legs: Ints, part: Ints) -> Floats:
    """Let each leg keep to one part of its law at any voltage; the voltages between which that is its own. [pu]"""
    law = lab.leg_law
    guard = np.zeros((legs.size, 2))
    for k, (leg, own) in enumerate(zip(legs.tolist(), part.tolist(), strict=True)):
        low, high, top = law[leg, V_LOW], np.sqrt(law[leg, V_MIN]), np.sqrt(law[leg, V_MAX])
        guard[k] = ((0.0, low), (low, high), (high, top), (top, np.inf))[own]
        if own == 0:
            law[leg, [V_LOW, V_MIN]] = FAR_PU, FAR_PU**2
        elif own == 1:
            for line, at_min in ((P_LINE, P_MIN), (Q_LINE, Q_MIN)):
                slope = (law[leg, at_min] * high - law[leg, line]) / (high - low)
                law[leg, line] -= low * slope
                law[leg, at_min] = law[leg, line] / FAR_PU + slope
            law[leg, [V_LOW, V_MIN]] = 0.0, FAR_PU**2
        else:
            law[leg, [V_LOW, V_MIN, V_MAX]] = 0.0, 0.0, np.inf if own == 2 else -1.0
    put_law(lab, law)
    return guard


def put_law(lab: FeederArrays, law: Floats) -> None:
    """Have the legs follow these laws."""
    lab.leg_law[:] = law
    lab.leg_fast[:, : ix.F_SLOPE] = fast_columns(law)
    lab.flags[ix.DIRTY] = 1
