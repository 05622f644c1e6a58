"""Arrivals against the laws of their processes; records as they stand; tokens by their distributions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from cosim.errors import InputError
from cosim.load.arrivals import OperationalTime, RateProfile, draw_requests, read_requests, requests_of
from cosim.load.config_serving import ArrivalsConfig, SurgeConfig, TokensConfig

FLAT = [{"t_s": 0, "rate_per_s": 5.0}]


def drawn(arrivals, duration_s, tokens_in=None, tokens_out=None, correlation=0.0, seed=1, name="a/b/requests"):
    config = TypeAdapter(ArrivalsConfig).validate_python(arrivals)
    tokens = tuple(TokensConfig.model_validate(t or {"fixed": 1}) for t in (tokens_in, tokens_out))
    source = requests_of(config, tokens, correlation, seed=seed, name=name, folder=Path())
    return draw_requests(source, duration_s)


def counts(t_us, window_s, duration_s):
    return np.bincount((t_us / 1e6 / window_s).astype(int), minlength=round(duration_s / window_s))


def test_poisson_arrivals_have_exponential_distances_and_their_rate():
    t_us, *_ = drawn({"kind": "poisson", "rate": FLAT}, 20_000)
    steps = np.diff(t_us) / 1e6
    assert len(t_us) == pytest.approx(100_000, abs=4 * math.sqrt(100_000))
    assert stats.kstest(steps, stats.expon(scale=0.2).cdf).pvalue > 1e-3


def test_arrivals_follow_lambda_of_t_its_period_and_its_surges():
    """Counts in windows against the integral of the piecewise linear rate; chi-square of 60 windows."""
    rate = [{"t_s": 0, "rate_per_s": 2.0}, {"t_s": 30, "rate_per_s": 20.0}, {"t_s": 50, "rate_per_s": 0.0}]
    surges = [{"at_s": 45.0, "duration_s": 20.0, "factor": 2.5}]
    runs = [drawn({"kind": "poisson", "rate": rate, "period_s": 60, "surges": surges}, 120, seed=s)[0]
            for s in range(300)]  # fmt: skip
    found = sum(counts(t_us, 2.0, 120) for t_us in runs) / len(runs)
    t = (np.arange(120_000) + 0.5) / 1000
    lam = np.interp(t, [0, 30, 50], [2.0, 20.0, 0.0], period=60) * np.where((t >= 45) & (t < 65), 2.5, 1.0)
    wanted = lam.reshape(60, 2000).mean(axis=1) * 2.0
    chi2 = (300 * (found - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum()
    assert stats.chi2.sf(chi2, 60) > 1e-3


def test_operational_time_goes_there_and_back():
    profile = RateProfile([(0, 1.0), (7, 4.0), (9, 0.0)], 12.0, [SurgeConfig(at_s=5, duration_s=9, factor=3.0)])
    clock = OperationalTime(profile.pieces(3.0, 31.0))
    m = np.linspace(0, clock.whole, 1000)
    assert np.abs(clock.forward(clock.back(m)) - m).max() < 1e-9


@pytest.mark.parametrize("cv", [0.4, 2.5])
def test_gamma_arrivals_have_their_cv_and_a_long_run_dispersion_of_its_square(cv):
    """Renewal theory: IDC(T) goes to cv^2; the first distance is that of a process long under way."""
    t_us, *_ = drawn({"kind": "gamma", "cv": cv, "rate": FLAT}, 40_000)
    steps = np.diff(t_us)
    assert steps.std() / steps.mean() == pytest.approx(cv, rel=0.03)
    n = counts(t_us, 50.0, 40_000)
    assert n.mean() == pytest.approx(250, rel=0.02)
    assert n.var() / n.mean() == pytest.approx(cv**2, rel=0.15)
    first = [drawn({"kind": "gamma", "cv": cv, "rate": FLAT}, 30, seed=s)[0][0] / 1e6 for s in range(500)]
    assert np.mean(first) == pytest.approx(0.2 * (1 + cv**2) / 2, rel=0.2)


def test_modulated_arrivals_have_the_dispersion_of_their_states():
    """IDC(T) = 1 + 2 c (theta T - theta^2 (1 - exp(-T/theta))) / (lambda T), c the variance of the rate."""
    source = {"states": [{"factor": 0.2, "mean_s": 6.0}, {"factor": 2.6, "mean_s": 3.0}]}
    t_us, *_ = drawn({"kind": "modulated", "rate": FLAT, "sources": [source]}, 90_000)
    p, theta = 1 / 3, 2.0
    mean = 5 * (0.2 * (1 - p) + 2.6 * p)
    c = (5 * 2.4) ** 2 * p * (1 - p)
    for T in (0.5, 5.0, 50.0):
        n = counts(t_us, T, 90_000)
        wanted = 1 + 2 * c * (theta * T - theta**2 * (1 - math.exp(-T / theta))) / (mean * T)
        assert n.mean() / T == pytest.approx(mean, rel=0.02)
        assert n.var() / n.mean() == pytest.approx(wanted, rel=0.08), T


def test_three_states_share_time_by_their_sojourns():
    states = [{"factor": f, "mean_s": m} for f, m in ((0.0, 2.0), (1.0, 3.0), (4.0, 5.0))]
    t_us, *_ = drawn({"kind": "modulated", "rate": FLAT, "sources": [{"states": states}]}, 60_000)
    assert len(t_us) / 60_000 == pytest.approx(5 * (1 * 0.3 + 4 * 0.5), rel=0.02)


def test_requests_depend_on_seed_and_name_alone():
    model = {"kind": "gamma", "cv": 3, "rate": FLAT}
    short, long = drawn(model, 100)[0], drawn(model, 5000)[0]
    assert np.array_equal(short, long[: len(short)])
    assert not np.array_equal(drawn(model, 100, name="a/c/requests")[0], short)
    assert not np.array_equal(drawn(model, 100, seed=2)[0], short)


def test_tokens_follow_their_distributions_and_correlation():
    """Lognormal by Kolmogorov and Smirnov; quantiles; Spearman of a Gaussian copula 6/pi asin(rho/2)."""
    _, t_in, t_out = drawn(
        {"kind": "poisson", "rate": FLAT}, 10_000, {"median": 800, "sigma": 0.9},
        {"quantiles": [10, 50, 100, 400], "most": 300}, 0.6,
    )  # fmt: skip
    assert stats.kstest(t_in, stats.lognorm(0.9, scale=800).cdf).statistic < 0.01
    assert t_out.max() == 300
    assert np.quantile(t_out, [1 / 3, 0.5]) == pytest.approx([50, 75], rel=0.03)
    assert stats.spearmanr(t_in, t_out).statistic == pytest.approx(6 / math.pi * math.asin(0.3), abs=0.02)


def test_a_record_is_replayed_faster_and_again(tmp_path):
    file = tmp_path / "r.csv"
    file.write_text("who,t_s,tokens_in,tokens_out\nx,5,10,1\nx,5,0,2\ny,9,30,3\n")
    model = {"kind": "trace", "file": str(file), "rate_factor": 2, "repeat": True}
    t_us, t_in, t_out = drawn(model, 5)
    assert t_us.tolist() == [0, 0, 2_000_000, 3_000_000, 3_000_000]
    assert t_in.tolist() == [10, 1, 30, 10, 1]
    assert t_out.tolist() == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time,tokens_in,tokens_out\n1,2,3\n", "looks for columns t_s .*; t_s missing from time, tokens_in"),
        ("t_s,tokens_in,tokens_out\n1,2,3\n0.5,2,3\n", ":3: t_s goes back from 1 to 0.5"),
        ("t_s,tokens_in,tokens_out\n1,2.5,3\n", ":2: tokens_in is not a whole number"),
        ("t_s,tokens_in,tokens_out\nnan,2,3\n", ":2: t_s is not a finite number"),
        ("t_s,tokens_in,tokens_out\n1,2,-3\n", "tokens_out is not a whole number of at least 0"),
        ("t_s,tokens_in,tokens_out\n1,2\n", "has 2 fields"),
        ("t_s,tokens_in,tokens_out\n", "has no requests"),
    ],
)
def test_bad_records_are_refused_with_file_and_line(tmp_path, text, why):
    file = tmp_path / "r.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=why):
        read_requests(file)
