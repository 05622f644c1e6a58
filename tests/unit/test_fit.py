"""Fitting a trace: input that is refused, and parameters of synthetic machines that are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cosim.errors import InputError
from cosim.fit.document import fit_yaml
from cosim.fit.edges import switched, timings
from cosim.fit.fitting import Fit, first_model
from cosim.fit.reading import Trace, load_trace
from cosim.fit.statistics import Row, compare, octaves, readable, signature, spectrum
from cosim.scenario import load_scenario


def write(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def rows(t_s):
    return [f"{t:g},{100 + i % 7}" for i, t in enumerate(t_s)]


@pytest.mark.parametrize(
    ("header", "t_s", "said"),
    [
        ("time,watts", range(200), "looks for a column t_s"),
        ("t_s,watts", range(200), "p_w, p_kw, p_mw"),
        ("t_s,p_w", [*range(100), *range(150, 250)], "gap of 51 s"),
        ("t_s,p_w", [*range(100), 99, *range(100, 200)], "times must rise"),
        ("t_s,p_w", [*range(100), 50, *range(101, 200)], "times must rise"),
        ("t_s,p_w", range(20), "at least 100"),
        ("t_s,p_w", range(1714000000000, 1714000200000, 1000), "milliseconds"),
        ("t_s;p_w", range(200), "semicolons"),
        ("t_s\tp_w", range(200), "tabs"),
    ],
)
def test_reading_refuses_wrong_traces_and_says_why(tmp_path, header, t_s, said):
    with pytest.raises(InputError, match=said) as caught:
        load_trace(write(tmp_path / "a.csv", header, rows(t_s)))
    assert caught.value.exit_code == 2


def test_reading_refuses_what_is_no_number(tmp_path):
    with pytest.raises(InputError, match="finite"):
        load_trace(write(tmp_path / "a.csv", "t_s,p_w", [*rows(range(150)), "150,nan"]))


def test_a_byte_order_mark_as_spreadsheets_write_it_is_no_part_of_a_name(tmp_path):
    plain = write(tmp_path / "a.csv", "t_s,p_w", rows(range(200)))
    marked = tmp_path / "b.csv"
    marked.write_text(plain.read_text(), encoding="utf-8-sig")
    assert np.array_equal(load_trace(marked).p_mw, load_trace(plain).p_mw)


def test_white_noise_on_a_meter_of_fifteen_minutes_has_its_density():
    f_hz, psd = spectrum(np.random.default_rng(4).normal(1, 0.1, 2000), 900.0)
    assert f_hz[-1] == pytest.approx(1 / 1800)
    assert psd[2:-1].mean() == pytest.approx(2 * 0.1**2 * 900, rel=0.1)  # 2 sigma^2 dt, one-sided


def test_units_of_columns_give_the_same_power(tmp_path):
    watts = load_trace(write(tmp_path / "a.csv", "t_s,p_w", rows(range(200))))
    kilowatts = load_trace(write(tmp_path / "b.csv", "t_s,p_kw", rows(range(200))))
    assert kilowatts.p_mw == pytest.approx(watts.p_mw * 1000)


def test_octaves_end_at_the_nyquist_frequency():
    assert octaves(1.0, 4000)[0] == (0.01, 0.02)
    assert octaves(1.0, 4000)[-1][1] == 0.5


def test_a_signal_fits_itself():
    p_mw = 1 + 0.1 * np.random.default_rng(1).standard_normal(4000)
    found = signature(p_mw, 1.0)
    assert all(row.holds and row.difference == 0 for row in compare(found, found, 1.0, 4000))


def iterations(period_s=11.3, every_n=12, eval_s=14.0, seed=3):
    """Iterations with a dip of 30 %, an evaluation of 14 s after every twelve, white noise of 0.5 %."""
    t_s, at_s, n = np.arange(3600.0), 0.0, 0
    p_mw = np.full(len(t_s), 1.0)
    while at_s < t_s[-1]:
        if n == every_n:
            p_mw[(t_s >= at_s) & (t_s < at_s + eval_s)] = 0.75
            at_s, n = at_s + eval_s, 0
        else:
            p_mw[(t_s >= at_s) & (t_s < at_s + 3.4)] = 0.7
            at_s, n = at_s + period_s, n + 1
    return Trace("synthetic.csv", 1.0, p_mw + 0.005 * np.random.default_rng(seed).standard_normal(len(t_s)))


def test_training_finds_period_and_evaluation_again():
    machine = first_model(iterations())
    assert machine.kind == "training"
    assert sum(level.duration_s for level in machine.main) == pytest.approx(11.3, rel=0.01)
    assert machine.evaluation.every_n == 12
    assert machine.evaluation.duration_s == pytest.approx(14, abs=1)
    assert machine.evaluation.p_mw == pytest.approx(0.75, abs=0.01)


def square(period_s, n, seed=1):
    """High for 70 % of each period, beginning low; a meter of 0.2 %."""
    low = (np.arange(n) + 0.5) / period_s % 1 < 0.3
    noise = 1 + 0.002 * np.random.default_rng(seed).standard_normal(n)
    return Trace("square.csv", 1.0, np.where(low, 0.3, 1.0) * noise)


def test_a_trace_that_ends_in_a_dip_has_not_stopped():
    for n in (300, 302, 306, 309):
        assert first_model(square(9.0, n)).stop_s is None
    stopped = square(9.0, 360)
    stopped.p_mw[300:] = 0.1
    assert first_model(stopped).stop_s == pytest.approx(300, abs=15)


def test_samples_that_always_fall_on_the_same_places_leave_edges_sharp():
    """An iteration of exactly ten samples: no stage lies between its two levels."""
    levels = np.array([level.p_mw for level in first_model(square(10.0, 1200)).main])
    assert np.all(np.minimum(np.abs(levels - 0.3), np.abs(levels - 1.0)) < 0.02)


def test_a_steady_trace_is_inference_and_keeps_its_mean():
    p_mw = 0.006 + 4e-6 * np.random.default_rng(5).standard_normal(1500)
    machine = first_model(Trace("steady.csv", 1.0, p_mw))
    assert machine.kind == "inference"
    mean = np.average([s.p_mw for s in machine.main], weights=[s.duration_s for s in machine.main])
    assert mean == pytest.approx(0.006, rel=1e-3)


def test_edges_find_their_own_lag_in_each_direction():
    """First-order-like edges of known 10-90 % time: a critically damped lag of omega takes 3.36 / omega."""
    dt_s, t_s = 0.0005, np.arange(0, 6, 0.0005)

    def lag(t, omega):
        t = np.maximum(t, 0)
        return 1 - np.exp(-omega * t) * (1 + omega * t)

    p_mw = 6e-5 + 1.4e-4 * (lag(t_s - 1, 336.0) - lag(t_s - 4, 84.0))
    p_mw += 5e-7 * np.random.default_rng(2).standard_normal(len(t_s))
    found = timings(p_mw, dt_s)
    assert found["rise"].rise_s == pytest.approx(0.010, rel=0.08)
    assert found["fall"].rise_s == pytest.approx(0.040, rel=0.05)
    machine = switched(Trace("edges.csv", dt_s, p_mw))
    for edge, omega in ((machine.up, 336.0), (machine.down, 84.0)):
        assert 3.36 / edge.omega_n_rad_per_s == pytest.approx(3.36 / omega, rel=0.15)
        assert edge.zeta == pytest.approx(1.0, abs=0.15)


def test_the_scenario_is_small_complete_and_as_long_as_the_trace(tmp_path):
    trace = iterations()
    machine = first_model(trace)
    text = fit_yaml(Fit(trace, machine, [], [], (math.nan, math.nan)))
    path = tmp_path / "fit.yaml"
    path.write_text(text)
    scenario = load_scenario(path)
    assert len(text) < 8000
    assert scenario.time.duration_s == len(trace.p_mw) - 1
    assert scenario.log.step_s == trace.dt_s


def test_table_is_in_the_unit_that_suits_the_machine():
    rows = [Row(name, 6e-3, 3e-3, -50.0, 2.0, "%") for name in ("mean [MW]", "0.01 to 0.02 Hz [MW2]", "period [s]")]
    shown = readable(rows, 0.0062)
    assert [row.name for row in shown] == ["mean [kW]", "0.01 to 0.02 Hz [kW2]", "period [s]"]
    assert [row.trace for row in shown] == pytest.approx([6.0, 6000.0, 6e-3])
    assert [row.difference for row in shown] == [-50.0] * 3
    assert readable(rows, 6.2) == rows
