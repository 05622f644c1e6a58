"""Eq. 7-9: the lag kernel against scipy's matrix exponential and against measured edges."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from cosim.load.kernel_lag import EDGE, advance_lag, read_power, set_edge, transition

pytestmark = pytest.mark.twin

OMEGAS = st.floats(0.5, 4000)
ZETAS = st.floats(0.05, 4)


def edge_of(omega, zeta=1.0, c_s=0.0, d_s2=0.0, tau_s=0.0, step_s=0.01):
    record = np.zeros(1, EDGE)
    set_edge(record[0], omega, zeta, c_s, d_s2, tau_s, step_s)
    return record[0]


def generator(omega, zeta, c_s, d_s2, tau_s):
    """The same cascade as one linear system in (x, v, y) driven by a constant u, with u as fourth state."""
    a = np.zeros((4, 4))
    a[0, 1] = 1.0
    a[1] = [-(omega**2), -2 * zeta * omega, 0.0, omega**2]
    p_dyn = np.array([1 - d_s2 * omega**2, c_s - 2 * zeta * omega * d_s2, 0.0, d_s2 * omega**2])
    if tau_s > 0:
        a[2] = p_dyn / tau_s
        a[2, 2] -= 1 / tau_s
    return a, p_dyn


@given(OMEGAS, ZETAS, st.floats(0, 0.5))
def test_transition_equals_matrix_exponential(omega, zeta, dt_s):
    wanted = expm(np.array([[0.0, 1.0], [-(omega**2), -2 * zeta * omega]]) * dt_s)
    got = np.array(transition(omega, zeta, dt_s)).reshape(2, 2)
    scale = np.array([[1.0, 1 / omega], [omega, 1.0]])
    assert np.abs((got - wanted) / scale).max() < 1e-9


@given(st.floats(1, 500), ZETAS, st.floats(-0.02, 0.02), st.floats(-1e-5, 1e-5), st.floats(0.001, 0.2))
def test_lag_with_eq9_and_supply_equals_matrix_exponential(omega, zeta, c_s, d_s2, tau_s):
    edge = edge_of(omega, zeta, c_s, d_s2, tau_s)
    a, _ = generator(omega, zeta, c_s, d_s2, float(edge["tau_s"]))
    state = np.array([0.3, 5.0, 0.7, 2.0])
    wanted = expm(a * 0.01) @ state
    got = advance_lag(edge, *state[:3], state[3], 10_000, 10_000)
    assert got[0] == pytest.approx(wanted[0], abs=1e-9)
    assert got[1] == pytest.approx(wanted[1], abs=1e-7 * omega)
    assert got[2] == pytest.approx(wanted[2], abs=1e-6)


@given(st.floats(1, 500), ZETAS, st.floats(0.001, 0.1), st.integers(1, 9_999))
def test_split_step_ends_where_the_whole_one_does(omega, zeta, tau_s, cut_us):
    edge = edge_of(omega, zeta, 0.004, 1e-6, tau_s)
    whole = advance_lag(edge, 0.2, 1.0, 0.4, 1.0, 10_000, 10_000)
    first = advance_lag(edge, 0.2, 1.0, 0.4, 1.0, cut_us, 10_000)
    second = advance_lag(edge, *first, 1.0, 10_000 - cut_us, 10_000)
    assert second == pytest.approx(whole, rel=1e-9, abs=1e-9 * omega)


def test_without_supply_lag_power_is_eq9_of_the_states():
    omega, zeta, c_s, d_s2 = 20.0, 0.6, 0.01, 2e-4
    edge = edge_of(omega, zeta, c_s, d_s2)
    x, v, _ = advance_lag(edge, 0.0, 0.0, 0.0, 1.0, 30_000, 10_000)
    a = omega**2 * (1.0 - x) - 2 * zeta * omega * v
    assert read_power(edge, x, v, 0.0, 1.0) == pytest.approx(x + c_s * v + d_s2 * a, rel=1e-12)


def test_d_feeds_an_edge_straight_through():
    omega, d_s2 = 30.0, 4e-4
    edge = edge_of(omega, 0.7, 0.0, d_s2)
    assert read_power(edge, 0.0, 0.0, 0.0, 1.0) == pytest.approx(d_s2 * omega**2)


@given(st.floats(20, 200), st.floats(0.3, 1.5), st.floats(0, 0.02), st.floats(0, 1e-4))
def test_a_lasting_step_shifts_energy_by_c_minus_two_zeta_over_omega(omega, zeta, c_s, d_s2):
    step_s, n = 0.0005, 4_000
    edge = edge_of(omega, zeta, c_s, d_s2, 0.0, step_s)
    x = v = y = 0.0
    gap = 0.0
    for k in range(n):
        p = read_power(edge, x, v, y, 1.0)
        gap += (p - 1.0) * step_s * (0.5 if k == 0 else 1.0)  # trapezoid; it has settled at the far end
        if k and abs(p - 1.0) + abs(v) < 1e-13:
            break
        x, v, y = advance_lag(edge, x, v, y, 1.0, 500, 500)
    assert gap == pytest.approx(c_s - 2 * zeta / omega, abs=2e-4)


@pytest.mark.validation
def test_default_edges_match_a_measured_a100(shared):
    """A100 under a step load: up within 1 ms, down 10-90 % in 25 ms (in-line meter, 0.205 ms)."""
    with gzip.open(shared / "data/power_traces/A100_step_pmd.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    power = np.array([float(row["pmd_w"]) for row in rows])
    times = np.array([float(row["t_ms"]) for row in rows])
    step_s = float(np.median(np.diff(times))) * 1e-3
    smooth = np.convolve(power, np.ones(5) / 5, "same")
    on = np.flatnonzero(np.convolve(power, np.ones(51) / 51, "same") > 130.0)
    first, last = on[0], on[-1]
    high = np.median(power[last - 2000 : last - 500])
    low = np.median(power[last + 2000 : last + 6000])
    around = np.arange(last - 300, last + 300)
    t90 = around[smooth[around] > low + 0.9 * (high - low)][-1] * step_s
    t10 = around[(around * step_s > t90) & (smooth[around] < low + 0.1 * (high - low))][0] * step_s
    measured_fall_s = t10 - t90
    rise = np.arange(first - 300, first + 300)
    before = np.median(power[first - 2000 : first - 500])
    jump = power[rise[1:]] - power[rise[:-1]]
    assert jump.max() > 0.3 * (high - before)  # most of the rise within one sample of 0.2 ms
    edge = edge_of(134.0, 1.0, tau_s=0.0, step_s=0.0002)
    x, v, y, times_down = 1.0, 0.0, 0.0, []
    for k in range(1000):
        times_down.append((k * 0.0002, x))
        x, v, y = advance_lag(edge, x, v, y, 0.0, 200, 200)
    fall_s = next(t for t, p in times_down if p < 0.1) - next(t for t, p in times_down if p < 0.9)
    assert fall_s == pytest.approx(measured_fall_s, rel=0.3)
