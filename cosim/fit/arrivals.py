"""Fit an arrival model to a record of requests: rate, burstiness at all scales, tokens and their correlation.

Burstiness is the index of dispersion of counts, IDC(T) = var N(T) / mean N(T) in windows of T. A rate that is modulated
by independent on-off sources of variance c_k and correlation time theta_k gives

    var N(T) = lambda T + sum_k c_k g(T, theta_k),    g(T, theta) = 2 (theta T - theta^2 (1 - exp(-T / theta)))

which is linear in c_k: non-negative least squares on a grid of theta, neighbours made one where that does as well. What
windows of T miss in a record of length L, (T / L)^2 var N(L), is in it. How much of the time sources are on leaves the
IDC as it is; it is chosen by the coefficient of variation of the distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.stats import rankdata

from cosim.errors import InputError, Problem
from cosim.fit.dispersion import STRETCH_S, Curves, dispersion, local_dispersion, stamp_interval_s, variation
from cosim.fit.simulate import SITE
from cosim.load.arrivals import DrawnRequests, draw_requests, read_requests
from cosim.load.config_serving import ArrivalsConfig, TokensConfig
from cosim.units import US_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JOB = "chat"
SCALES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Windows of the index of dispersion. [s]"""
THETAS_S = (0.02, 0.05, 0.15, 0.5, 1.5, 5.0, 15.0, 50.0, 150.0, 500.0)
"""Correlation times of which sources are chosen. [s]"""
LEAST_EXCESS = 0.05
"""A source that adds less than this to the index of dispersion at every scale is left out."""
MIN_REQUESTS = 200
MIN_WINDOWS = 10
"""A scale of which the record holds fewer windows is not judged."""
DAY_S, DAYS = 86_400.0, 1.95
MAX_POINTS = 24
"""Points of lambda(t) at most; they are `STRETCH_S` apart at least."""
LOCAL_SCALES_S = (1.0, 5.0, 20.0)
"""Windows of the index of dispersion about the mean of 150 s. [s]"""
DRIFT = 3.0
"""Index of dispersion at 100 s above which the rate is said to drift."""
SEEDS = tuple(range(101, 141))
"""Draws that the table is made of; none is fitted on."""
TUNING_SEEDS = tuple(range(11, 19))
N_QUANTILE = 101


@dataclass(frozen=True)
class Record:
    """Requests of a record from its first one on."""

    name: str
    t_s: Floats
    tokens_in: Ints
    tokens_out: Ints
    stamp_s: float
    """Stamps are multiples of this; 0 where they are fine. [s]"""

    @property
    def duration_s(self) -> float:
        """Time from the first to behind the last request. [s]"""
        return float(self.t_s[-1] + max(self.stamp_s, self.t_s[-1] / len(self.t_s)))

    def part(self, from_s: float, until_s: float) -> Record:
        """Requests of a stretch, its times from zero on."""
        chosen = (self.t_s >= from_s) & (self.t_s < until_s)
        return Record(
            self.name, self.t_s[chosen] - from_s, self.tokens_in[chosen], self.tokens_out[chosen], self.stamp_s
        )


@dataclass(frozen=True)
class Row:
    """One statistic of a record against draws of the model, of the same length and with the same stamps."""

    name: str
    trace: float
    simulation: float
    """Mean over the draws."""
    low: float
    high: float
    """5th and 95th percentile of the draws."""

    def as_dict(self) -> dict[str, float | str | bool]:
        """Plain numbers."""
        return {
            "name": self.name, "record": self.trace, "draws": self.simulation, "p5": self.low, "p95": self.high,
            "holds": bool(self.holds),
        }  # fmt: skip

    @property
    def holds(self) -> bool:
        """Whether the record could be one of the draws."""
        return self.low <= self.trace <= self.high


@dataclass(frozen=True)
class ArrivalFit:
    """A fitted arrival process and how well it does."""

    record: Record
    arrivals: dict[str, Any]
    """As `arrivals` of a serving job."""
    tokens: tuple[dict[str, Any], dict[str, Any]]
    correlation: float
    rows: list[Row]
    """Whole record against the model of the whole record."""
    held_out: list[Row]
    """Second half against the model of the first half."""
    first_half: dict[str, float]
    """The first half itself: how alike the halves are."""


def load_record(path: Path) -> Record:
    """A record of requests, checked.

    Raises
    ------
    InputError
        As `read_requests`; too few requests, or all at one time.
    """
    t_s, tokens_in, tokens_out = read_requests(path)
    if len(t_s) < MIN_REQUESTS:
        raise InputError(Problem(f"has {len(t_s)} requests; a fit needs at least {MIN_REQUESTS}", file=str(path)))
    if t_s[-1] - t_s[0] < MIN_WINDOWS * SCALES_S[0]:
        raise InputError(Problem(f"spans {t_s[-1] - t_s[0]:g} s, too little for a fit", file=str(path)))
    stamp_s = stamp_interval_s(t_s)
    t_s = t_s - t_s[0]
    if stamp_s:
        t_s = np.rint(t_s / stamp_s) * stamp_s
    return Record(path.name, t_s, tokens_in, tokens_out, stamp_s)


def _scales(record: Record) -> list[float]:
    """Scales that the record is long enough for; of coarse stamps whole multiples."""
    longest_s = record.duration_s / MIN_WINDOWS
    scales = [s for s in SCALES_S if s <= longest_s]
    if not record.stamp_s:
        return scales
    wanted = [record.stamp_s * round(s / record.stamp_s) for s in scales if s >= record.stamp_s]
    return sorted({s for s in [record.stamp_s, 2 * record.stamp_s, *wanted] if s <= longest_s})


def _profile(record: Record) -> tuple[dict[str, Any], float]:
    """lambda(t) as `rate` and `period_s`: a mean, or where the rate drifts up to 24 points; and their distance [s].

    Two days and more are laid over one another: a point each hour of the day.
    """
    duration_s = record.duration_s
    n = min(MAX_POINTS, int(duration_s / STRETCH_S))
    if n < 4 or dispersion(record.t_s, duration_s, SCALES_S[-1]) < DRIFT:
        rate = float(f"{len(record.t_s) / duration_s:.6g}")
        return {"rate": [{"t_s": 0.0, "rate_per_s": rate}]}, math.inf
    span_s = DAY_S if duration_s >= DAYS * DAY_S else duration_s
    counts, edges = np.histogram(record.t_s % span_s, n, (0.0, span_s))
    seen, _ = np.histogram((np.arange(100 * n) + 0.5) * duration_s / (100 * n) % span_s, n, (0.0, span_s))
    rates = counts / (seen * duration_s / (100 * n))
    centers = 0.5 * (edges[1:] + edges[:-1])
    points = [{"t_s": round(float(t), 1), "rate_per_s": float(f"{r:.6g}")} for t, r in zip(centers, rates, strict=True)]
    return {"rate": points} | ({"period_s": DAY_S} if span_s < duration_s else {}), span_s / n


def _rates(profile: dict[str, Any], duration_s: float) -> Floats:
    """lambda(t) at even times of a record. [1/s]"""
    t_s = np.linspace(0.0, duration_s, 20_001)
    points = [p["t_s"] for p in profile["rate"]], [p["rate_per_s"] for p in profile["rate"]]
    found: Floats = np.interp(t_s, *points, period=profile.get("period_s"))
    return found


def fit_process(record: Record) -> dict[str, Any]:
    """An arrival process with the record's rate and index of dispersion, as `arrivals` of a serving job."""
    duration_s, rate = record.duration_s, len(record.t_s) / record.duration_s
    scales = np.array(_scales(record))
    wanted = np.array([dispersion(record.t_s, duration_s, s) for s in scales])
    base, apart_s = _profile(record)
    if wanted.max() < 0.8:
        return {"kind": "gamma", "cv": float(f"{variation(record.t_s):.4g}")} | base
    lam = _rates(base, duration_s)
    plain = 1.0 - scales / duration_s + scales * lam.var() / rate
    gain = float((lam**2).mean()) / lam.mean() ** 2
    longest_s = min(apart_s / 2, duration_s / 10)
    thetas = [t for t in THETAS_S if record.stamp_s / 3 <= t <= longest_s]
    curves = Curves(scales, duration_s, rate / gain, wanted, plain)
    sources = curves.merged([(t, c) for t, c in zip(thetas, curves.weights(thetas), strict=True) if c > 0])
    spread = [(t, math.sqrt(c) / rate) for t, c in sources if np.max(curves.part(t) * c) > LEAST_EXCESS]
    return _tuned(record, base, spread) if spread else {"kind": "poisson"} | base


def _tuned(record: Record, base: dict[str, Any], sources: list[tuple[float, float]]) -> dict[str, Any]:
    """Sources on for such a part of the time that the distances of requests vary as the record's do."""
    whole = sum(sigma for _, sigma in sources)
    wanted = math.log(variation(record.t_s))
    best, least = {}, math.inf
    for share in (1.0, 0.9, 0.75, 0.6, 0.45, 0.3, 0.15):
        odds = min(1.0, share / whole)  # sqrt(p / (1 - p))
        model = {"kind": "modulated"} | base | {"sources": _sources(sources, odds)}
        draws = [drawn(model, _PLAIN_TOKENS, 0.0, record, seed)[0] for seed in TUNING_SEEDS]
        miss = abs(float(np.mean([math.log(variation(t)) for t in draws])) - wanted)
        if miss < least - 1e-3:
            best, least = model, miss
        if share <= whole and odds == 1.0:
            break
    return best


def _sources(sources: list[tuple[float, float]], odds: float) -> list[dict[str, Any]]:
    """On-off sources of relative spread sigma each; what is always there is shared by the first."""
    on = odds**2 / (1.0 + odds**2)
    floor = max(0.0, 1.0 - odds * sum(sigma for _, sigma in sources))
    found: list[dict[str, Any]] = []
    for theta_s, sigma in sources:
        low = floor if not found else 0.0
        high = low + sigma * odds / on
        states = [(low, theta_s / on), (high, theta_s / (1.0 - on))]
        found.append({"states": [{"factor": float(f"{f:.5g}"), "mean_s": float(f"{m:.5g}")} for f, m in states]})
    return found


_PLAIN_TOKENS = ({"fixed": 1}, {"fixed": 1})


def drawn(
    arrivals: dict[str, Any], tokens: tuple[dict[str, Any], dict[str, Any]], correlation: float, like: Record, seed: int
) -> tuple[Floats, Ints, Ints]:
    """Requests of a model, stamped as the record is: what a run of the scenario with this seed serves."""
    config: Any = TypeAdapter(ArrivalsConfig).validate_python(arrivals)
    pair = (TokensConfig.model_validate(tokens[0]), TokensConfig.model_validate(tokens[1]))
    source = DrawnRequests(config, pair, correlation, seed, f"{SITE}/{JOB}/requests")
    t_us, tokens_in, tokens_out = draw_requests(source, like.duration_s)
    t_s = t_us / US_PER_S
    if like.stamp_s:
        t_s = np.floor(t_s / like.stamp_s) * like.stamp_s
    return t_s, tokens_in, tokens_out


def fit_tokens(tokens: Ints) -> dict[str, Any]:
    """Their distribution by percentiles; the last one such that the mean of the uppermost percent is kept."""
    values = np.sort(np.maximum(tokens, 1)).astype(float)
    if values[0] == values[-1]:
        return {"fixed": int(values[0])}
    quantiles = np.quantile(values, np.linspace(0.0, 1.0, N_QUANTILE))
    top = values[int(len(values) * (1.0 - 1.0 / (N_QUANTILE - 1))) :]
    quantiles[-1] = max(quantiles[-2], 2.0 * top.mean() - quantiles[-2])
    return {"quantiles": [int(q) for q in np.rint(quantiles)]}


def fit_correlation(tokens_in: Ints, tokens_out: Ints) -> float:
    """Correlation of normal scores that gives a Gaussian copula the rank correlation of both. [1]"""
    if np.ptp(tokens_in) == 0 or np.ptp(tokens_out) == 0:
        return 0.0
    return float(f"{2.0 * math.sin(math.pi / 6.0 * rank_correlation(tokens_in, tokens_out)):.4f}")


def rank_correlation(tokens_in: Ints, tokens_out: Ints) -> float:
    """Spearman's. [1]"""
    return float(np.corrcoef(rankdata(tokens_in), rankdata(tokens_out))[0, 1])


def fit_arrivals(record: Record) -> ArrivalFit:
    """A model of the whole record; its statistics; and those of a model of the first half on the second."""
    half_s = record.duration_s / 2
    if record.stamp_s:
        half_s = record.stamp_s * round(half_s / record.stamp_s)
    first, second = record.part(0.0, half_s), record.part(half_s, record.duration_s)
    held_out: list[Row] = []
    itself: dict[str, float] = {}
    if min(len(first.t_s), len(second.t_s)) >= MIN_REQUESTS:
        held_out = _rows(second, *_model(first))
        itself = statistics(first, first.t_s, first.tokens_in, first.tokens_out)
    arrivals, tokens, correlation = _model(record)
    rows = _rows(record, arrivals, tokens, correlation)
    return ArrivalFit(record, arrivals, tokens, correlation, rows, held_out, itself)


def _model(record: Record) -> tuple[dict[str, Any], tuple[dict[str, Any], dict[str, Any]], float]:
    tokens = (fit_tokens(record.tokens_in), fit_tokens(record.tokens_out))
    return fit_process(record), tokens, fit_correlation(record.tokens_in, record.tokens_out)


def statistics(record: Record, t_s: Floats, tokens_in: Ints, tokens_out: Ints) -> dict[str, float]:
    """What the table compares, of requests over the length of a record."""
    duration_s = record.duration_s
    found = {"requests/s": len(t_s) / duration_s, "CV of distances": variation(t_s)}
    scales = [s for s in SCALES_S if s <= duration_s / MIN_WINDOWS]
    found |= {f"IDC {s:g} s": dispersion(t_s, duration_s, s) for s in scales}
    if duration_s >= MIN_WINDOWS * STRETCH_S:
        found |= {f"IDC {s:g} s, no drift": local_dispersion(t_s, duration_s, s) for s in LOCAL_SCALES_S}
    for name, tokens in (("in", tokens_in), ("out", tokens_out)):
        found[f"mean tokens {name}"] = float(tokens.mean())
        found[f"p99 tokens {name}"] = float(np.percentile(tokens, 99))
    if np.ptp(tokens_in) > 0 and np.ptp(tokens_out) > 0:
        found["rank correlation"] = rank_correlation(tokens_in, tokens_out)
    return found


def _rows(
    record: Record, arrivals: dict[str, Any], tokens: tuple[dict[str, Any], dict[str, Any]], correlation: float
) -> list[Row]:
    wanted = statistics(record, record.t_s, record.tokens_in, record.tokens_out)
    draws = [statistics(record, *drawn(arrivals, tokens, correlation, record, seed)) for seed in SEEDS]
    rows = []
    for name, value in wanted.items():
        values = np.array([draw[name] for draw in draws if name in draw])
        low, high = np.percentile(values, (5, 95))
        rows.append(Row(name, value, float(values.mean()), float(low), float(high)))
    return rows
