"""What a load or generator of OpenDSS draws at which voltage, as a row of `leg_shape`.

Every law is first written in pu of the element's own rated voltage, as OpenDSS's documentation has
it (Dugan, Montenegro, "Reference Guide: The Open Distribution System Simulator", Load and Generator
objects), then turned to pu of its node by `in_node_pu`. What the guide leaves open (the straight line
between Vlowpu and Vminpu, the admittances outside the window) was worked out by experiment; the test
that repeats the experiment is tests/unit/test_dss_laws.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from cosim.feeder import network as nw
from cosim.feeder.network import Floats

PQ, Z, MOTOR, CVR, CURRENT, FIXED_Q, FIXED_X, ZIPV = range(1, 9)
"""Models of OpenDSS loads."""
GEN_PQ, GEN_Z, GEN_PV, GEN_FIXED_Q, GEN_FIXED_X, GEN_USER, GEN_LIMITED = range(1, 8)
"""Models of OpenDSS generators."""
CUT_PER_PU: Final = 1000.0
"""Steepness of the drop-out of a ZIPV load: its factor is (1 + tanh(500 (m - cut))) / 2."""


def load_law(
    model: int,
    v_low: float,
    v_min: float,
    v_max: float,
    exponents: tuple[float, float] = (1.0, 2.0),
    zipv: Sequence[float] = (),
    q_scale: float = 1.0,
) -> Floats:
    """Law of a load in pu of its rated voltage.

    Parameters
    ----------
    model : int
        1 to 8, as OpenDSS counts.
    v_low, v_min, v_max : float
        Vlowpu, Vminpu, Vmaxpu. [pu]
    exponents : tuple
        CVRwatts and CVRvars of model 4. [1]
    zipv : sequence
        Z, I, P shares of active, then of reactive power, and the voltage of drop-out, for model 8. [1], [pu]
    q_scale : float
        Reactive power below Vlowpu over that of the models whose reactive power is fixed (6 and 7), which
        load multipliers reach only there. [1]
    """
    law = np.zeros(nw.N_SHAPE)
    if model == Z:
        return _at_any_voltage(law, nw.P_2, nw.Q_2)
    v_min = max(v_min, v_low)
    law[[nw.V_LOW, nw.V_MIN, nw.V_MAX]] = v_low, v_min, max(v_max, v_min)
    law[[nw.P_LOW, nw.Q_LOW]] = 1.0
    law[[nw.P_LINE, nw.Q_LINE]] = v_low
    below = 1 / v_min**2 if v_min > 0 else 0.0
    above = 1 / v_max**2 if v_max > 0 else 1.0
    law[[nw.P_MIN, nw.Q_MIN]] = below
    law[[nw.P_MAX, nw.Q_MAX]] = above
    if model == MOTOR:
        law[[nw.P_0, nw.Q_2]] = 1.0
    elif model == CVR:
        law[[nw.P_E, nw.Q_E]] = 1.0
        law[[nw.P_EXP, nw.Q_EXP]] = exponents
    elif model == CURRENT:
        law[[nw.P_1, nw.Q_1]] = 1.0
        law[[nw.P_MIN, nw.Q_MIN]] = 1 / v_min if v_min > 0 else 0.0
        law[[nw.P_MAX, nw.Q_MAX]] = 1 / v_max if v_max > 0 else 1.0
    elif model in (FIXED_Q, FIXED_X):
        law[nw.P_0] = law[nw.Q_0 if model == FIXED_Q else nw.Q_2] = 1.0
        # A constant admittance on either side, so its current is a straight line through the origin.
        law[nw.P_LINE], law[nw.Q_LINE] = below * v_low, v_low
        law[[nw.Q_MIN, nw.Q_MAX]] = 1.0
        law[nw.Q_LOW] = q_scale
    elif model == ZIPV:
        _zipv(law, zipv, v_low, v_min, v_max)
    else:
        law[[nw.P_0, nw.Q_0]] = 1.0
    return law


def _zipv(law: Floats, zipv: Sequence[float], v_low: float, v_min: float, v_max: float) -> None:
    inverse_min = 1 / v_min if v_min > 0 else 0.0
    inverse_max = 1 / v_max if v_max > 0 else 1.0
    for shares, terms, line, low_end, high_end in (
        (zipv[0:3], (nw.P_2, nw.P_1, nw.P_0), nw.P_LINE, nw.P_MIN, nw.P_MAX),
        (zipv[3:6], (nw.Q_2, nw.Q_1, nw.Q_0), nw.Q_LINE, nw.Q_MIN, nw.Q_MAX),
    ):
        z, i, p = shares
        law[list(terms)] = z, i, p
        law[line] = (z + i + p) * v_low
        law[low_end] = z + i * inverse_min + p * inverse_min**2
        law[high_end] = z + i * inverse_max + p * inverse_max**2
    if zipv[6] > 0:
        law[[nw.V_CUT, nw.K_CUT]] = zipv[6], CUT_PER_PU


def generator_law(model: int, v_min: float, v_max: float, y_scale: float = 1.0) -> Floats:
    """Law of a generator, or of an inverter that does not limit its current, in pu of its rated voltage.

    Parameters
    ----------
    model : int
        1, 2, 4 or 5, as OpenDSS counts.
    v_min, v_max : float
        Vminpu, Vmaxpu. [pu]
    y_scale : float
        Factor of OpenDSS on every admittance: a third in single-phase delta, where it divides by three
        but does not rate the voltage line to ground. [1]
    """
    law = np.zeros(nw.N_SHAPE)
    if model == GEN_Z:
        return _at_any_voltage(law, nw.P_2, nw.Q_2, y_scale)
    law[[nw.V_LOW, nw.V_MIN, nw.V_MAX]] = v_min, v_min, max(v_max, v_min)
    below = y_scale / v_min**2 if v_min > 0 else y_scale
    above = y_scale / v_max**2 if v_max > 0 else y_scale
    law[[nw.P_LOW, nw.P_MIN, nw.P_MAX]] = below, below, above
    law[nw.P_0] = 1.0
    if model in (GEN_FIXED_Q, GEN_FIXED_X):
        law[[nw.Q_LOW, nw.Q_MIN, nw.Q_MAX]] = y_scale
        if model == GEN_FIXED_Q:
            law[nw.Q_0] = 1.0
        else:
            law[nw.Q_2] = y_scale
    else:
        law[[nw.Q_LOW, nw.Q_MIN, nw.Q_MAX]] = below, below, above
        law[nw.Q_0] = 1.0
    return law


def limited_law(v_min: float, q_sign: float = 1.0) -> Floats:
    """Law of constant power whose current stays at that of Vminpu below it.

    Parameters
    ----------
    v_min : float
        Vminpu. [pu]
    q_sign : float
        -1 for generators of model 7, whose reactive power OpenDSS turns round once current is limited. [1]
    """
    law = np.zeros(nw.N_SHAPE)
    law[[nw.P_0, nw.Q_0]] = 1.0
    law[[nw.V_MIN, nw.V_MAX]] = v_min, np.inf
    if v_min > 0:
        law[[nw.P_LINE, nw.P_MIN]] = 1 / v_min, 1 / v_min**2
        law[[nw.Q_LINE, nw.Q_MIN]] = q_sign / v_min, q_sign / v_min**2
    return law


def _at_any_voltage(law: Floats, p_term: int, q_term: int, factor: float = 1.0) -> Floats:
    law[[p_term, q_term]] = factor
    law[nw.V_MAX] = np.inf
    return law


def in_node_pu(law: Floats, rated_pu: float) -> Floats:
    """The same law with voltages in pu of the node.

    Parameters
    ----------
    rated_pu : float
        Rated voltage of the element in pu of its node's nominal voltage.
    """
    turned = law.copy()
    turned[[nw.V_LOW, nw.V_MIN, nw.V_MAX, nw.V_CUT]] *= rated_pu
    turned[[nw.P_1, nw.Q_1, nw.P_LINE, nw.Q_LINE, nw.K_CUT]] /= rated_pu
    turned[[nw.P_2, nw.Q_2, nw.P_LOW, nw.P_MIN, nw.P_MAX, nw.Q_LOW, nw.Q_MIN, nw.Q_MAX]] /= rated_pu**2
    turned[nw.P_E] /= rated_pu ** turned[nw.P_EXP]
    turned[nw.Q_E] /= rated_pu ** turned[nw.Q_EXP]
    return turned


def factors(law: Floats, vm_pu: float) -> tuple[float, float]:
    """Active and reactive power at a voltage over those at rated voltage.

    Parameters
    ----------
    vm_pu : float
        Voltage across. [pu]
    """
    m = vm_pu
    if m <= law[nw.V_LOW]:
        return float(law[nw.P_LOW] * m**2), float(law[nw.Q_LOW] * m**2)
    if m <= law[nw.V_MIN]:
        part = (m - law[nw.V_LOW]) / (law[nw.V_MIN] - law[nw.V_LOW])
        p = m * (law[nw.P_LINE] + part * (law[nw.P_MIN] * law[nw.V_MIN] - law[nw.P_LINE]))
        q = m * (law[nw.Q_LINE] + part * (law[nw.Q_MIN] * law[nw.V_MIN] - law[nw.Q_LINE]))
    elif m > law[nw.V_MAX]:
        p, q = law[nw.P_MAX] * m**2, law[nw.Q_MAX] * m**2
    else:
        p = law[nw.P_0] + law[nw.P_1] * m + law[nw.P_2] * m**2 + law[nw.P_E] * m ** law[nw.P_EXP]
        q = law[nw.Q_0] + law[nw.Q_1] * m + law[nw.Q_2] * m**2 + law[nw.Q_E] * m ** law[nw.Q_EXP]
    stays = (1 + np.tanh(law[nw.K_CUT] * (m - law[nw.V_CUT]) / 2)) / 2 if law[nw.K_CUT] > 0 else 1.0
    return float(p * stays), float(q * stays)
