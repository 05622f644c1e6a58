"""Laws of legs: the kernel, the array form and a scalar twin say the same; slopes are slopes; no law jumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import constant_power, drawn_law, stretched

from cosim.feeder import network as nw
from cosim.feeder.kernel_legs import fast_factors, leg_factor_slopes, leg_factors
from cosim.feeder.legs import fast_columns, leg_powers
from cosim.jit import njit

pytestmark = pytest.mark.twin


@njit
def kernel_factors(fast, law, m2, quick, plain, slope):
    """Factors and slopes of every law at every voltage."""
    for k in range(law.shape[0]):
        for i in range(m2.size):
            quick[k, i, 0], quick[k, i, 1] = fast_factors(fast, law, k, m2[i])
            plain[k, i, 0], plain[k, i, 1] = leg_factors(law, k, m2[i])
            slope[k, i, 0], slope[k, i, 1] = leg_factor_slopes(law, k, m2[i])


def twin_power(law, m, s_mva):
    """What `Network.leg_shape` says, word by word."""

    def part(power, at_0, low, at_min, at_max, line):
        c0, c1, c2, ce, exponent = law[at_0 : at_0 + 5]
        if m <= law[nw.V_LOW] and m < law[nw.V_MIN]:
            return power * law[low] * m**2
        if m < law[nw.V_MIN]:
            along = (m - law[nw.V_LOW]) / (law[nw.V_MIN] - law[nw.V_LOW])
            drawn = power * m * (law[line] + along * (law[at_min] * law[nw.V_MIN] - law[line]))
        elif m > law[nw.V_MAX]:
            drawn = power * law[at_max] * m**2
        else:
            drawn = power * (c0 + c1 * m + c2 * m**2 + ce * m**exponent)
        if law[nw.K_CUT] > 0:
            drawn /= 1 + math.exp(-law[nw.K_CUT] * (m - law[nw.V_CUT]))
        return drawn

    p = part(s_mva.real, nw.P_0, nw.P_LOW, nw.P_MIN, nw.P_MAX, nw.P_LINE)
    return complex(p, part(s_mva.imag, nw.Q_0, nw.Q_LOW, nw.Q_MIN, nw.Q_MAX, nw.Q_LINE))


def with_power(law, s_mva):
    """A row of `FeederArrays.leg_law`."""
    row = law.copy()
    row[[nw.P_0, nw.P_1, nw.P_2, nw.P_E, nw.P_LOW, nw.P_MIN, nw.P_MAX, nw.P_LINE]] *= s_mva.real
    row[[nw.Q_0, nw.Q_1, nw.Q_2, nw.Q_E, nw.Q_LOW, nw.Q_MIN, nw.Q_MAX, nw.Q_LINE]] *= s_mva.imag
    row[[nw.V_MIN, nw.V_MAX]] **= 2
    return row


def evaluated(law, m2):
    quick, plain, slope = np.zeros((3, law.shape[0], m2.size, 2))
    kernel_factors(np.ascontiguousarray(np.hstack([fast_columns(law), np.zeros((law.shape[0], 4))])), law, m2, quick,
                   plain, slope)  # fmt: skip
    return quick, plain, slope


laws = st.builds(
    lambda seed, v_min, v_max, factor: stretched(drawn_law(np.random.default_rng(seed), v_min, v_max), factor),
    st.integers(0, 2**32),
    st.sampled_from([0.7, 0.85, 0.95]),
    st.sampled_from([1.05, 1.2, np.float64(1e3)]),
    st.sampled_from([1.0, 3**0.5]),
)
powers = st.builds(complex, st.floats(-5, 5), st.floats(-5, 5))


@given(laws, powers, st.lists(st.floats(1e-3, 2.2), min_size=1, max_size=12), st.sampled_from([0.0, 0.0, 40.0]))
def test_leg_law_of_the_kernel_is_that_of_the_twin_and_of_the_arrays(law, s_mva, voltages, k_cut):
    law[[nw.K_CUT, nw.V_CUT]] = k_cut, 0.6
    m = np.array([*voltages, law[nw.V_MIN], law[nw.V_LOW], min(law[nw.V_MAX], 2.0)])
    row = with_power(law, s_mva)[None]
    quick, plain, _ = evaluated(row, m**2)
    expected = np.array([twin_power(law, x, s_mva) for x in m])
    by_arrays = leg_powers(np.repeat(row, m.size, axis=0), m**2)
    size = abs(s_mva) * (1 + m**2) + 1e-9
    edge = np.isin(m, [law[nw.V_MIN], law[nw.V_LOW], law[nw.V_MAX]]) & (k_cut > 0)  # where one side has no contactor
    for found in (quick, plain):
        power = (found[0, :, 0] + 1j * found[0, :, 1]) * m**2
        assert np.all((np.abs(power - expected) < 1e-12 * size) | edge)
    assert np.all((np.abs(by_arrays - expected) < 1e-12 * size) | edge)


@given(laws, powers, st.floats(0.02, 2.0), st.sampled_from([0.0, 25.0]))
def test_leg_slopes_are_the_differences_of_their_law(law, s_mva, m, k_cut):
    law[[nw.K_CUT, nw.V_CUT]] = k_cut, 0.6
    h = 1e-4
    edges = law[[nw.V_LOW, nw.V_MIN, nw.V_MAX]]
    if np.abs(edges - m).min() < 1e-2:
        m = edges[np.abs(edges - m).argmin()] + 1e-2
    m2 = m * m + h * m * np.array([-2, -1, 0, 1, 2])
    _, plain, slope = evaluated(with_power(law, s_mva)[None], m2)
    f = plain[0]
    by_differences = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h * m)
    assert by_differences == pytest.approx(slope[0, 2], rel=1e-6, abs=1e-6 * abs(s_mva) / m**4)


@given(laws, powers)
def test_leg_law_has_no_jump_where_its_parts_meet(law, s_mva):
    for at in law[[nw.V_LOW, nw.V_MIN, nw.V_MAX]]:
        m2 = at**2 * np.array([1 - 1e-12, 1 + 1e-12])
        _, plain, _ = evaluated(with_power(law, s_mva)[None], m2)
        assert plain[0, 0] == pytest.approx(plain[0, 1], rel=1e-9, abs=1e-9 * abs(s_mva) + 1e-300)


@pytest.mark.parametrize("p_mw", [-1.0, 0.0, 2.5])
def test_leg_of_constant_power_is_asked_in_one_line_and_at_zero_voltage_too(p_mw):
    row = with_power(constant_power(V_MIN=0.0), complex(p_mw, 0.3))[None]
    quick, plain, slope = evaluated(row, np.array([0.0, 1e-40, 1.0]))
    assert np.isfinite(quick).all()
    assert np.isfinite(slope).all()
    assert quick[0, 2] == pytest.approx([p_mw, 0.3], rel=1e-15)
    assert np.array_equal(quick, plain)
