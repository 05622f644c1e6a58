"""Several jobs in one trace, long periods, ripple and noise: known machines are found again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cosim.fit import structure as st
from cosim.fit.as_load import load_config
from cosim.fit.edges import switched, timings
from cosim.fit.fitting import first_model
from cosim.fit.phase import tracked
from cosim.fit.reading import Trace
from cosim.fit.refine import simulated
from cosim.fit.regimes import in_sequence, regimes
from cosim.fit.ripple import RIPPLE, noise_of
from cosim.fit.statistics import strongest_period


def iterations(duration_s, period_s, low_s, high_mw, low_mw, *, dt_s=1.0, jitter=0.01, dip=0.0, noise=0.005, seed=3):
    """Iterations that begin with a low stretch, their durations and depths as drawn, white noise of the high level."""
    rng = np.random.default_rng(seed)
    t_s, at_s = np.arange(0, duration_s, dt_s), 0.0
    p_mw = np.full(len(t_s), high_mw)
    while at_s < duration_s:
        p_mw[(t_s >= at_s) & (t_s < at_s + low_s)] = high_mw - (high_mw - low_mw) * (1 + dip * rng.standard_normal())
        at_s += period_s * (1 + jitter * rng.standard_normal())
    return p_mw + noise * high_mw * rng.standard_normal(len(t_s))


@pytest.mark.parametrize(("period_s", "high_mw"), [(17.0, 0.7), (11.3, 0.85), (17.0, 1.0)])
def test_two_regimes_are_cut_where_they_meet(period_s, high_mw):
    """Another period, another level, or both."""
    other = iterations(2000, period_s, 5, high_mw, 0.6 * high_mw)
    p_mw = np.concatenate([iterations(1500, 11.3, 3.4, 1.0, 0.7), other])
    (a, b), (c, d) = regimes(p_mw, 1.0)
    assert (a, d) == (0, 3500)
    assert b == c == pytest.approx(1500, abs=20)
    for first, last, wanted_s in ((a, b, 11.3), (c, d, period_s)):
        machine = first_model(Trace("part.csv", 1.0, p_mw[first:last]))
        assert machine.period_s == pytest.approx(wanted_s, rel=0.02)


def test_one_regime_with_start_idle_and_interrupts_is_not_cut():
    p_mw = iterations(3000, 11.3, 3.4, 1.0, 0.7)
    p_mw[:400] = 0.2
    p_mw[1000:1040] = p_mw[2000:2040] = 0.4
    assert len(regimes(p_mw, 1.0)) == 1


def test_jobs_in_sequence_draw_their_own_levels_over_one_floor():
    parts = [iterations(600, 11.3, 3.4, 1.0, 0.7), iterations(600, 17.3, 5, 0.7, 0.4)]
    trace = Trace("a.csv", 1.0, np.concatenate(parts))
    machine = in_sequence([first_model(Trace("part.csv", 1.0, p)) for p in parts], [0, 600], trace, 0.3)
    load = load_config(machine)
    assert [job.stop_s for job in load.jobs.values()] == [599.5, None]
    p_mw = simulated(machine, 0, 1200, (1,))[0]
    for k, part in enumerate(parts):
        got = p_mw[600 * k + 2 : 600 * (k + 1)]
        assert got.mean() == pytest.approx(part.mean(), rel=0.01)
        assert np.percentile(got, [10, 90]) == pytest.approx(np.percentile(part, [10, 90]), rel=0.03)


def test_two_periods_at_once_are_two_jobs():
    p_mw = iterations(3000, 11.3, 3.4, 0.5, 0.35) + iterations(3000, 7.1, 2.0, 0.4, 0.25, seed=4)
    jobs = list(first_model(Trace("sum.csv", 1.0, p_mw)).jobs)
    assert sorted(job.period_s for job in jobs) == pytest.approx([7.1, 11.3], rel=0.02)
    swings = {round(job.period_s): np.ptp([s.p_mw for s in job.main]) for job in jobs}
    assert swings == pytest.approx({7: 0.15, 11: 0.15}, rel=0.2)


def test_three_periods_at_once_are_three_jobs():
    jobs = ((11.3, 3.4, 1.0), (17.9, 4.5, 0.8), (29.3, 5.9, 0.9))
    parts = [
        iterations(3600, period_s, low_s, high, 0.5 * high, noise=0, seed=seed)
        for seed, (period_s, low_s, high) in enumerate(jobs)
    ]
    p_mw = sum(parts) + 0.01 * np.random.default_rng(9).standard_normal(3600)
    machine = first_model(Trace("three.csv", 1.0, p_mw))
    found = sorted(job.period_s for job in machine.jobs)
    assert found == pytest.approx([period_s for period_s, _, _ in jobs], rel=0.01)


def test_one_job_with_harmonics_and_interrupts_stays_one():
    p_mw = iterations(3000, 11.3, 3.4, 1.0, 0.7)
    p_mw[::150] = 0.75
    assert first_model(Trace("one.csv", 1.0, p_mw)).beside == ()


@pytest.mark.validation
def test_a_sum_of_measured_runs_is_two_jobs_and_each_alone_is_one(shared):
    """GPT-3 on 512 H100: the AC side, and the DC side read 1.62 times as slow; both have a line at 10.93 s (SMC)."""
    table = pd.read_csv(shared / "data" / "power_traces" / "smc_gpt3_175b_64n_run1_aggregate_1s.csv")
    ac, dc = (table[f"{side}_kw"].to_numpy()[200:3200] / 1000 for side in ("ac", "dc"))
    slow = np.interp(np.arange(3000) / 1.62, np.arange(3000), dc[::-1])
    jobs = list(first_model(Trace("sum.csv", 1.0, ac + 0.8 * slow)).jobs)
    assert sorted(job.period_s for job in jobs) == pytest.approx([10.93, 1.62 * 10.93], rel=0.03)
    for alone in (ac, dc):
        assert len(list(first_model(Trace("one.csv", 1.0, alone)).jobs)) == 1


@pytest.mark.parametrize(("n", "period_s"), [(480, 1500.0), (480, 4800.0), (480, 7000.0)])
def test_long_cycles_on_a_meter_of_one_minute_are_found(n, period_s):
    """19, 6 and 4.1 cycles of a trace."""
    p_mw = iterations(60.0 * n, period_s, 0.3 * period_s, 1.0, 0.6, dt_s=60.0, jitter=0.02)
    machine = first_model(Trace("minute.csv", 60.0, p_mw))
    assert machine.kind == "training"
    assert machine.period_s == pytest.approx(period_s, rel=0.04)


def test_noise_alone_has_no_period():
    rng = np.random.default_rng(0)
    assert sum(np.isfinite(strongest_period(rng.standard_normal(1000), 1.0)) for _ in range(200)) <= 3
    walk = np.cumsum(rng.standard_normal((50, 1000)), axis=1)
    assert sum(np.isfinite(st.periodicity(1000 + x, 1.0)) for x in walk) <= 3


def test_a_phase_is_followed_through_another_period():
    rng = np.random.default_rng(5)
    ends = np.cumsum(11.3 * (1 + 0.03 * rng.standard_normal(300)))
    t_s = np.arange(0.0, 3000.0)
    p_mw = 1 - 0.3 * (np.interp(t_s, ends, np.arange(300)) % 1 < 0.3) - 0.2 * (t_s / 7.1 % 1 < 0.3)
    found = tracked(p_mw, 1.0, 11.3)
    assert found.period_s == pytest.approx(np.diff(ends).mean(), rel=0.005)
    assert found.jitter == pytest.approx(0.03, rel=0.35)
    drift = found.onsets[10:200] - ends[10:200] - np.median(found.onsets[10:200] - ends[10:200])
    assert np.median(np.abs(drift - 11.3 * np.round(drift / 11.3))) < 1.0


def test_spread_of_depth_is_found():
    p_mw = iterations(3000, 11.3, 3.4, 1.0, 0.7, dip=0.25)
    cycles = st.cycles(p_mw, 1.0, 11.3)
    assert st.dip_spread(p_mw, 1.0, cycles) == pytest.approx(0.25, rel=0.25)


def test_the_stop_of_a_run_is_told_from_a_low_level():
    p_mw = 6e-3 + 5e-6 * np.random.default_rng(1).standard_normal(2000)
    assert st.before_stop(p_mw) == 2000
    stopped = p_mw.copy()
    stopped[1993:] = [5.9e-3, 5.9e-3, 5.0e-3, 4.8e-3, 4.7e-3, 4.7e-3, 4.7e-3]
    assert st.before_stop(stopped) == 1993
    stopped[1500:] = 4.7e-3  # a quarter of the trace is a level, not an edge
    assert st.before_stop(stopped) == 2000


def test_noise_of_two_known_processes_is_found():
    rng, dt_s, n = np.random.default_rng(6), 0.001, 60_000
    x = np.zeros(n)
    for std, tau_s in ((2e-6, 0.03), (1e-6, 0.0002)):
        phi, kick = np.exp(-dt_s / tau_s), rng.standard_normal(n)
        y = np.zeros(n)
        for k in range(1, n):
            y[k] = phi * y[k - 1] + std * np.sqrt(1 - phi**2) * kick[k]
        x += y
    found = noise_of([x], dt_s, 0.2)
    assert (found.slow_std, found.fast_std) == pytest.approx((2e-6, 1e-6), rel=0.15)
    assert found.slow_s == pytest.approx(0.03, rel=0.3)


@pytest.mark.validation
def test_a100_pulses_at_idle_and_is_quiet_at_load(shared):
    """By the meter beside the card (GPU_Power_Benchmark): 77 dips a second of some 5 of 65 W; 1.9 W spread at 200 W."""
    rows = pd.read_csv(shared / "data" / "power_traces" / "A100_step_pmd.csv.gz")
    machine = switched(Trace("a100.csv", 0.000205, rows.pmd_w.to_numpy() / 1e6))
    ripple = [job for job in machine.beside if job.name == RIPPLE]
    assert len(ripple) == 3
    for job in (ripple[0], ripple[2]):
        assert 1 / job.period_s == pytest.approx(77, rel=0.04)
        assert 4e-6 < np.ptp([s.p_mw for s in job.main]) < 10e-6
    assert len(ripple[1].main) == 1
    assert ripple[1].main[0].p_mw * ripple[1].noise.fast_std == pytest.approx(1.9e-6, rel=0.25)


@pytest.mark.parametrize("dt_s", [0.0002, 0.001, 0.005])
@pytest.mark.parametrize("n_rise", [3, 6, 15])
def test_edges_of_few_samples_keep_their_time(dt_s, n_rise):
    """A critically damped lag of omega takes 3.36 / omega from 10 to 90 %; the fall is half as fast."""
    t_s, omega = np.arange(0, 6, dt_s), 3.36 / (n_rise * dt_s)

    def lag(t, omega):
        t = np.maximum(t, 0)
        return 1 - np.exp(-omega * t) * (1 + omega * t)

    p_mw = 6e-5 + 1.4e-4 * (lag(t_s - 1 - 0.3 * dt_s, omega) - lag(t_s - 4 - 0.7 * dt_s, omega / 2))
    p_mw += 5e-7 * np.random.default_rng(2).standard_normal(len(t_s))
    machine = switched(Trace("edges.csv", dt_s, p_mw))
    assert machine.up.omega_n_rad_per_s == pytest.approx(omega, rel=0.1)
    assert machine.down.omega_n_rad_per_s == pytest.approx(omega / 2, rel=0.06)
    wanted, found = timings(p_mw, dt_s), timings(simulated(machine, 0, len(p_mw), (1,))[0], dt_s)
    for name in ("rise", "fall"):
        assert found[name].rise_s == pytest.approx(wanted[name].rise_s, rel=0.05)
