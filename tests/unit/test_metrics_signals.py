"""Windows, ramps and distributions, held to analytic signals and brute-force twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.metrics.disturbance import touches
from cosim.metrics.histogram import Histogram
from cosim.metrics.power import PowerMeter, held_level
from cosim.metrics.ramp import RampMeter, windows_for
from cosim.metrics.window import Ranges, SwingMeter, rates, rows_in, sliding_swing

signals = arrays(np.float64, st.integers(2, 60), elements=st.floats(-5, 5, allow_nan=False, allow_subnormal=False))


def fill(meter, t_s, values, block):
    """Feed a meter in blocks of rows."""
    for start in range(0, len(t_s), block):
        meter.update(t_s[start : start + block], values[start : start + block])
    return meter.result()


@given(signals, st.integers(1, 20))
def test_sliding_swing_is_that_of_every_window_by_brute_force(values, n_step):
    expected = [np.ptp(values[i : i + n_step + 1]) for i in range(max(len(values) - n_step, 0))]
    assert sliding_swing(values, n_step) == pytest.approx(expected)


@given(signals, st.integers(1, 20))
def test_held_level_is_the_maximum_of_every_window_by_brute_force(values, n_step):
    expected = [values[i : i + n_step + 1].max() for i in range(max(len(values) - n_step, 0))]
    assert held_level(values, n_step) == pytest.approx(expected)


@given(signals, st.integers(1, 9), st.integers(1, 12))
def test_swing_does_not_depend_on_how_the_log_is_read(values, n_step, block):
    t_s = np.arange(len(values)) * 1.0
    pair = np.column_stack((values, -2.0 * values))
    whole = fill(SwingMeter(2, 1.0, windows_s=(float(n_step),)), t_s, pair, len(values))
    cut = fill(SwingMeter(2, 1.0, windows_s=(float(n_step),)), t_s, pair, block)
    assert cut.within[n_step] == pytest.approx(whole.within[n_step])
    assert cut.at_s[n_step] == pytest.approx(whole.at_s[n_step])
    assert cut.peak_to_peak == pytest.approx(whole.peak_to_peak)


@given(signals, st.integers(1, 9), st.integers(1, 12))
def test_ramp_does_not_depend_on_how_the_log_is_read(values, n_step, block):
    t_s = np.arange(len(values)) * 0.5
    ramp = fill(RampMeter(0.5 * n_step, 0.5), t_s, values, block)
    expected = [(values[i + n_step] - values[i]) / (0.5 * n_step) for i in range(max(len(values) - n_step, 0))]
    assert ramp.max_ramp_mw_per_s == pytest.approx(max([0.0, *expected]))
    assert ramp.max_decline_mw_per_s == pytest.approx(-min([0.0, *expected]))


def test_ramp_of_a_sine_is_two_pi_f_times_its_amplitude():
    step_s, f_hz, amplitude_mw = 0.001, 0.5, 1.2
    t_s = np.arange(0.0, 20.0, step_s)
    p_mw = 3.0 + amplitude_mw * np.sin(2 * np.pi * f_hz * t_s)
    ramp = fill(RampMeter(step_s, step_s), t_s, p_mw, 1000)
    slope = 2 * np.pi * f_hz * amplitude_mw
    assert ramp.max_ramp_mw_per_s == pytest.approx(slope, rel=1e-5)
    assert ramp.max_decline_mw_per_s == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("percent", [50.0, 95.0, 99.0])
def test_ramp_percentiles_of_a_sine_follow_its_arcsine_law(percent):
    step_s, f_hz = 0.001, 0.5
    t_s = np.arange(0.0, 200.0, step_s)
    ramp = fill(RampMeter(step_s, step_s), t_s, np.sin(2 * np.pi * f_hz * t_s), 4096)
    # A thousand slopes to the rise: neighbours near the median differ by 0.3 %.
    # Where the sine rises, its slope 2 pi f cos(phi) exceeds cos(x) of its peak for a share x / (pi / 2).
    expected = 2 * np.pi * f_hz * np.cos((1.0 - percent / 100.0) * np.pi / 2)
    assert ramp.histogram.quantile_rising(percent / 100.0) == pytest.approx(expected, rel=3e-3)
    assert ramp.histogram.quantile_falling(percent / 100.0) == pytest.approx(expected, rel=3e-3)
    assert ramp.histogram.share_rising() == pytest.approx(0.5, abs=1e-3)


def test_window_mean_of_a_step_falls_with_the_width_of_the_window():
    t_s = np.arange(0.0, 100.0, 0.1)
    p_mw = np.where(t_s < 50.0, 1.0, 4.0)
    for window_s in (0.1, 1.0, 60.0):
        ramp = fill(RampMeter(window_s, 0.1), t_s, p_mw, 77)
        assert ramp.max_ramp_mw_per_s == pytest.approx(3.0 / window_s, rel=1e-9)
        assert ramp.max_decline_mw_per_s == 0.0


def test_swing_of_a_square_wave_is_twice_its_amplitude_once_the_window_sees_an_edge():
    t_s = np.arange(0.0, 600.0, 0.1)
    p_mw = 2.0 + 0.7 * np.sign(np.sin(2 * np.pi * t_s / 30.0 + 0.01))
    swing = fill(SwingMeter(1, 0.1), t_s, p_mw[:, None], 500)
    assert swing.peak_to_peak[0] == pytest.approx(1.4)
    assert swing.within[1.0][0] == pytest.approx(1.4)
    assert swing.within[60.0][0] == pytest.approx(1.4)


def test_swing_of_a_slow_ramp_is_its_slope_times_the_window():
    t_s = np.arange(0.0, 600.0, 0.1)
    swing = fill(SwingMeter(1, 0.1), t_s, (0.01 * t_s)[:, None], 999)
    assert swing.within[1.0][0] == pytest.approx(0.01)
    assert swing.within[60.0][0] == pytest.approx(0.6)


def test_swing_of_a_run_shorter_than_the_window_is_its_peak_to_peak():
    t_s = np.arange(0.0, 10.0, 0.1)
    swing = fill(SwingMeter(1, 0.1), t_s, np.sin(t_s)[:, None], 7)
    assert swing.within[60.0] == pytest.approx(swing.peak_to_peak)


def test_rounding_of_the_log_counts_as_standing_still():
    t_s = np.arange(0.0, 100.0, 0.1)
    noise = np.random.default_rng(1).standard_normal(len(t_s)) * 1e-7
    p_mw = (3.0 + noise).astype(np.float32)
    assert len(np.unique(p_mw)) > 1
    ramp = fill(RampMeter(0.1, 0.1), t_s, p_mw, 100)
    assert ramp.histogram.share_rising() < 0.01


@given(arrays(np.float64, st.integers(1, 300), elements=st.floats(-100, 100, allow_subnormal=False)))
def test_quantiles_lie_within_a_bin_of_those_of_the_sorted_values(values):
    histogram = Histogram()
    histogram.update(values)
    positive = np.sort(values[values >= 1e-9])
    for fraction in (0.01, 0.5, 0.95, 1.0):
        if len(positive) == 0:
            assert histogram.quantile_rising(fraction) == 0.0
            continue
        rank = max(1, int(np.ceil(fraction * len(positive))))
        assert histogram.quantile_rising(fraction) == pytest.approx(positive[rank - 1], rel=1.2e-3)
    assert histogram.n == len(values)


def test_density_of_a_normal_sample_is_the_bell_and_integrates_to_one():
    values = np.random.default_rng(3).normal(2.0, 0.5, 400_000)
    histogram = Histogram()
    for block in np.array_split(values, 13):
        histogram.update(block)
    edges = np.linspace(0.0, 4.0, 41)
    middle = 0.5 * (edges[1:] + edges[:-1])
    bell = np.exp(-0.5 * ((middle - 2.0) / 0.5) ** 2) / (0.5 * np.sqrt(2 * np.pi))
    assert histogram.density(edges) == pytest.approx(bell, abs=0.01)
    wide = np.linspace(values.min() - 1.0, values.max() + 1.0, 101)
    assert (histogram.density(wide) * np.diff(wide)).sum() == pytest.approx(1.0)
    cdf = histogram.cumulative(wide)
    assert np.all(np.diff(cdf) >= 0.0)
    assert (cdf[0], cdf[-1]) == (0.0, 1.0)


def test_energy_of_a_ramp_is_exact_and_peak_per_mean_is_two():
    t_s = np.arange(0.0, 3600.1, 1.0)
    power = fill(PowerMeter(1.0), t_s, 2.0 * t_s / 3600.0, 100)
    assert power.e_mwh == pytest.approx(1.0)
    assert power.mean_mw == pytest.approx(1.0)
    assert power.summary()["peak_per_mean"] == pytest.approx(2.0)


def test_energy_of_the_parts_is_that_of_the_whole():
    t_s = np.arange(0.0, 1000.0, 0.1)
    parts = np.abs(np.random.default_rng(0).standard_normal((3, len(t_s))))
    energies = [fill(PowerMeter(0.1), t_s, part, 777).e_mwh for part in parts]
    assert fill(PowerMeter(0.1), t_s, parts.sum(axis=0), 50).e_mwh == pytest.approx(sum(energies), rel=1e-12)


def test_idle_is_the_level_held_for_ten_seconds_and_not_a_dip_between_iterations():
    t_s = np.arange(0.0, 300.0, 0.1)
    p_mw = np.where(t_s % 10.0 < 8.0, 3.0, 0.5)
    p_mw[(t_s >= 100.0) & (t_s < 120.0)] = 1.0
    power = fill(PowerMeter(0.1), t_s, p_mw, 64)
    assert power.idle_mw == pytest.approx(1.0, rel=1e-3)
    assert power.min_mw == 0.5


def test_idle_is_not_the_zero_of_an_outage():
    t_s = np.arange(0.0, 300.0, 0.1)
    p_mw = np.where((t_s > 100.0) & (t_s < 150.0), 0.0, 2.0)
    assert fill(PowerMeter(0.1), t_s, p_mw, 64).idle_mw == pytest.approx(2.0, rel=1e-3)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=4),
    st.integers(0, 50),
    st.integers(0, 10),
)
def test_windows_touch_spans_as_by_comparing_each_pair(raw, start, width):
    taken, spans = -1, []
    for gap, length in raw:
        low = taken + 1 + gap
        spans.append((float(low), float(low + length)))
        taken = low + length
    expected = any(low <= start + width and start <= high for low, high in spans)
    found = touches(np.array([float(start)]), np.array([float(start + width)]), np.array(spans).reshape(-1, 2))
    assert found[0] == expected


@pytest.mark.parametrize("block", [7, 301])
def test_swing_without_an_undisturbed_window_is_not_told_and_without_movement_is_zero(block):
    """A disturbance from 2 s on leaves 20 windows of 1 s and none of 20 s; one that never moves swings by 0."""
    t_s = np.arange(301) * 0.1
    pair = np.column_stack((np.sin(t_s), np.full(301, 5.0)))
    swing = fill(SwingMeter(2, 0.1, np.array([[2.05, 99.0]]), windows_s=(1.0, 20.0)), t_s, pair, block)
    assert np.isnan(swing.undisturbed[20.0]).all()
    assert swing.undisturbed[1.0] == pytest.approx([np.ptp(np.sin(t_s[:11])), 0.0])
    assert swing.within[20.0] == pytest.approx([2.0, 0.0], abs=0.01)


def test_usual_windows_that_coincide_or_do_not_fit_are_passed_over():
    assert windows_for(0.1, 600.0) == (0.1, 1.0, 60.0, 600.0)
    assert windows_for(1.0, 599.0) == (1.0, 60.0)
    assert windows_for(0.1, 30.0) == (0.1, 1.0)
    assert windows_for(0.0, 0.0) == ()


def test_rates_take_the_true_distance_of_uneven_rows():
    assert rates(np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0, 5.0]), 1) == pytest.approx([1.0, 2.0])
    assert rows_in(0.1, 0.25) == 1


@pytest.mark.parametrize(
    ("spans", "n_row", "has"),
    [
        ([], 200, True),
        ([(20.0, 80.0)], 120, False),  # 20 s before it, 40 s behind it
        ([(20.0, 80.0)], 150, True),
        ([(5.0, 5.2)], 20, False),
        ([], 20, True),
    ],
)
@pytest.mark.parametrize("moves", [0.0, 1.0])
def test_a_swing_of_zero_is_told_from_no_undisturbed_window(spans, n_row, has, moves):
    t_s = np.arange(n_row, dtype=float)
    values = moves * np.random.default_rng(1).normal(size=(n_row, 1))
    meter = SwingMeter(1, 1.0, np.array(spans).reshape(-1, 2), (60.0,))
    for k in range(0, n_row, 7):
        meter.update(t_s[k : k + 7], values[k : k + 7])
    swing = meter.result()
    assert np.isnan(swing.undisturbed[60.0][0]) == (not has)
    assert (swing.undisturbed[60.0][0] > 0) == (has and moves > 0)


@pytest.mark.parametrize("n_step", [1, 7, 40, 200])
@pytest.mark.parametrize("block", [1, 31, 64, 150, 500])
def test_no_window_swings_by_more_than_its_bound(n_step, block):
    """Every window, in the block in which it ends; one much longer than the window leaves room for no other bound."""
    values = np.cumsum(np.random.default_rng(n_step).standard_normal((500, 6)), axis=0)
    ranges, swing = Ranges(200), sliding_swing(values, n_step)
    for start in range(0, 500, block):
        rows = values[start : start + block]
        low, high = ranges.update(rows)
        assert (low == rows.min(axis=0)).all()
        assert (high == rows.max(axis=0)).all()
        ending = swing[max(0, start - n_step) : max(0, start + len(rows) - n_step)]
        bound = ranges.bound(n_step)
        assert (bound >= ending.max(axis=0, initial=0.0)).all()
        reach = values[max(0, start - n_step - 63) : start + block]
        assert (bound <= np.ptp(reach, axis=0)).all()
