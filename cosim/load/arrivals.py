"""Requests as they come: drawn chunk by chunk, each from a generator named by seed, job and chunk, or replayed.

A unit-rate process runs in operational time m(t), the integral of lambda(t), and is carried back to time exactly
(lambda is piecewise linear). A chunk hands the next one what it must know: when the next arrival is due, in which state
each source is. So the requests of a job are a function of seed and name alone, and a run that goes on draws them again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cosim.csv_file import csv_rows
from cosim.errors import InputError, Problem
from cosim.load.config_serving import (
    ArrivalsConfig,
    GammaArrivals,
    ModulatedArrivals,
    PoissonArrivals,
    RecordedArrivals,
    SourceConfig,
    SurgeConfig,
    TokensConfig,
)
from cosim.units import US_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Requests = tuple[Ints, Ints, Ints]
"""Times [us], tokens in, tokens out of requests in order."""

CHUNK_REQUESTS = 8192
"""Requests that one chunk holds on average."""
MAX_CHUNK_S = 3600.0
REQUEST_COLUMNS = ("t_s", "tokens_in", "tokens_out")


class RateProfile:
    """lambda(t) as straight pieces between two times, and its integral m(t)."""

    def __init__(
        self, points: Sequence[tuple[float, float]], period_s: float | None, surges: Sequence[SurgeConfig] = ()
    ) -> None:
        self.t_s = np.array([t for t, _ in points])
        self.rate_per_s = np.array([r for _, r in points])
        self.period_s, self.surges = period_s, surges

    def base(self, t_s: Floats) -> Floats:
        """lambda(t) without surges. [1/s]"""
        found: Floats = np.interp(t_s, self.t_s, self.rate_per_s, period=self.period_s)
        return found

    def pieces(self, from_s: float, until_s: float) -> tuple[Floats, Floats, Floats]:
        """Edges [s], and lambda at the begin and end of each piece between them [1/s]."""
        inner = self.t_s
        if self.period_s is not None:
            laps = np.arange(math.floor(from_s / self.period_s), math.floor(until_s / self.period_s) + 1)
            inner = (self.t_s[None, :] + laps[:, None] * self.period_s).ravel()
        jumps = [t for surge in self.surges for t in (surge.at_s, surge.at_s + surge.duration_s)]
        edges = np.unique(np.concatenate((inner, jumps, (from_s, until_s))))
        edges = edges[(edges >= from_s) & (edges <= until_s)]
        middle = 0.5 * (edges[1:] + edges[:-1])
        factor = np.ones(len(middle))
        for surge in self.surges:
            factor[(middle >= surge.at_s) & (middle < surge.at_s + surge.duration_s)] *= surge.factor
        rate = self.base(edges)
        return edges, rate[:-1] * factor, rate[1:] * factor


class OperationalTime:
    """m(t) over one chunk, and back."""

    def __init__(self, pieces: tuple[Floats, Floats, Floats]) -> None:
        self.edges_s, self.begin, self.end = pieces
        self.span_s = np.diff(self.edges_s)
        self.at_edge = np.concatenate(((0.0,), np.cumsum(0.5 * (self.begin + self.end) * self.span_s)))

    @property
    def whole(self) -> float:
        """m over the chunk: arrivals expected in it. [1]"""
        return float(self.at_edge[-1])

    def forward(self, t_s: Floats) -> Floats:
        """m at times. [s] -> [1]"""
        i = np.clip(np.searchsorted(self.edges_s, t_s, "right") - 1, 0, len(self.span_s) - 1)
        x = t_s - self.edges_s[i]
        slope = (self.end[i] - self.begin[i]) / self.span_s[i]
        found: Floats = self.at_edge[i] + x * (self.begin[i] + 0.5 * slope * x)
        return found

    def back(self, m: Floats) -> Floats:
        """Times at which m is reached. [1] -> [s]"""
        i = np.clip(np.searchsorted(self.at_edge, m, "right") - 1, 0, len(self.span_s) - 1)
        y = np.maximum(m - self.at_edge[i], 0.0)
        slope = (self.end[i] - self.begin[i]) / self.span_s[i]
        root = np.sqrt(np.maximum(self.begin[i] ** 2 + 2.0 * slope * y, 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            x = np.where(y > 0.0, 2.0 * y / (self.begin[i] + root), 0.0)
        found: Floats = self.edges_s[i] + np.minimum(x, self.span_s[i])
        return found


class _Process(Protocol):
    """Draws the arrivals of one chunk after the other."""

    def draw(self, rng: np.random.Generator, clock: OperationalTime) -> Floats:
        """Times of the next chunk, in order. [s]"""


class _Poisson:
    def draw(self, rng: np.random.Generator, clock: OperationalTime) -> Floats:
        return clock.back(np.sort(rng.random(rng.poisson(clock.whole))) * clock.whole)


class _Gamma:
    """A renewal process; the first distance is the rest of one that is under way."""

    def __init__(self, cv: float) -> None:
        self.shape = 1.0 / cv**2
        self.due: float | None = None

    def draw(self, rng: np.random.Generator, clock: OperationalTime) -> Floats:
        if self.due is None:
            self.due = rng.gamma(self.shape + 1.0) / self.shape * rng.random()
        found = []
        at = self.due
        while at < clock.whole:
            n = int(clock.whole - at + 6.0 * math.sqrt((clock.whole - at) / self.shape) + 16.0)
            m = at + np.concatenate(((0.0,), np.cumsum(rng.gamma(self.shape, 1.0 / self.shape, n))))
            k = int(np.searchsorted(m, clock.whole))
            found.append(m[: min(k, n)])
            at = float(m[min(k, n)])
        self.due = at - clock.whole
        return clock.back(np.concatenate(found)) if found else np.zeros(0)


class _Modulated:
    """Sources with a state each; between two changes of state a source is Poisson."""

    def __init__(self, sources: Sequence[SourceConfig]) -> None:
        self.factor = [np.array([state.factor for state in source.states]) for source in sources]
        self.mean_s = [np.array([state.mean_s for state in source.states]) for source in sources]
        self.state = [-1] * len(sources)
        self.next_s = [0.0] * len(sources)

    def draw(self, rng: np.random.Generator, clock: OperationalTime) -> Floats:
        found = [self._one(rng, clock, k) for k in range(len(self.factor))]
        return np.sort(np.concatenate(found))

    def _one(self, rng: np.random.Generator, clock: OperationalTime, k: int) -> Floats:
        from_s, until_s = float(clock.edges_s[0]), float(clock.edges_s[-1])
        mean_s, n_state = self.mean_s[k], len(self.mean_s[k])
        if self.state[k] < 0:
            self.state[k] = int(rng.choice(n_state, p=mean_s / mean_s.sum()))
            self.next_s[k] = from_s + rng.exponential(mean_s[self.state[k]])
        states, ends = [np.array([self.state[k]])], [np.array([self.next_s[k]])]
        while ends[-1][-1] < until_s:
            n = int(1.2 * (until_s - ends[-1][-1]) / mean_s.mean()) + 16
            jumps = np.cumsum(rng.integers(1, n_state, n)) if n_state > 2 else np.arange(1, n + 1)
            states.append((states[-1][-1] + jumps) % n_state)
            ends.append(ends[-1][-1] + np.cumsum(rng.exponential(mean_s[states[-1]])))
        state, end_s = np.concatenate(states), np.concatenate(ends)
        last = int(np.searchsorted(end_s, until_s))
        self.state[k], self.next_s[k] = int(state[last]), float(end_s[last])
        m = clock.forward(np.concatenate(((from_s,), end_s[:last], (until_s,))))
        number = rng.poisson(self.factor[k][state[: last + 1]] * np.diff(m))
        spread = np.repeat(m[:-1], number) + rng.random(int(number.sum())) * np.repeat(np.diff(m), number)
        return clock.back(spread)


def draw_tokens(config: TokensConfig, z: Floats) -> Ints:
    """Numbers of tokens at standard normal scores, at least one."""
    if config.fixed is not None:
        tokens = np.full(len(z), float(config.fixed))
    elif config.median is not None:
        tokens = config.median * np.exp(config.sigma * z)
    else:
        from scipy.special import ndtr  # here: runs without it start faster

        assert config.quantiles is not None
        tokens = np.interp(ndtr(z), np.linspace(0.0, 1.0, len(config.quantiles)), config.quantiles)
    whole: Ints = np.clip(np.rint(tokens), 1, config.most).astype(np.int64)
    return whole


def mean_tokens(config: TokensConfig) -> float:
    """Their mean. [token]"""
    from scipy.special import ndtri

    return float(draw_tokens(config, ndtri((np.arange(4000) + 0.5) / 4000)).mean())


class DrawnRequests:
    """Requests of a drawn process, chunk after chunk."""

    def __init__(
        self,
        arrivals: PoissonArrivals | GammaArrivals | ModulatedArrivals,
        tokens: tuple[TokensConfig, TokensConfig],
        correlation: float,
        seed: int,
        name: str,
    ) -> None:
        points = [(point.t_s, point.rate_per_s) for point in arrivals.rate]
        self.profile = RateProfile(points, arrivals.period_s, arrivals.surges)
        self.process: _Process
        factor = 1.0
        if isinstance(arrivals, GammaArrivals):
            self.process = _Gamma(arrivals.cv)
        elif isinstance(arrivals, ModulatedArrivals):
            self.process = _Modulated(arrivals.sources)
            factor = sum(mean_factor(source) for source in arrivals.sources)
        else:
            self.process = _Poisson()
        most = factor * float(self.profile.rate_per_s.max()) * max([1.0, *(s.factor for s in arrivals.surges)])
        self.chunk_us = round(US_PER_S * min(MAX_CHUNK_S, max(1.0, CHUNK_REQUESTS / max(most, 1e-9))))
        self.tokens, self.correlation, self.seed, self.name = tokens, correlation, seed, name
        self.n_chunk = 0

    def next(self) -> tuple[Requests, int]:
        """Requests of the next chunk, and its end. [us]"""
        key = (*self.name.encode(), 256, self.n_chunk)
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))
        from_us, until_us = self.n_chunk * self.chunk_us, (self.n_chunk + 1) * self.chunk_us
        self.n_chunk += 1
        clock = OperationalTime(self.profile.pieces(from_us / US_PER_S, until_us / US_PER_S))
        t_us = np.floor(self.process.draw(rng, clock) * US_PER_S).astype(np.int64)
        t_us = np.clip(t_us, from_us, until_us - 1)
        z_in = rng.standard_normal(len(t_us))
        z_out = self.correlation * z_in + math.sqrt(1.0 - self.correlation**2) * rng.standard_normal(len(t_us))
        return (t_us, draw_tokens(self.tokens[0], z_in), draw_tokens(self.tokens[1], z_out)), until_us


def mean_factor(source: SourceConfig) -> float:
    """Mean over time of a source's factor. [1]"""
    whole = sum(state.mean_s for state in source.states)
    return sum(state.factor * state.mean_s for state in source.states) / whole


class ReplayedRequests:
    """Requests of a record, once or lap after lap."""

    def __init__(self, config: RecordedArrivals, folder: Path) -> None:
        path = folder / config.file
        t_s, self.tokens_in, self.tokens_out = read_requests(path)
        if self.tokens_out.min(initial=1) < 1:
            line = int(np.argmin(self.tokens_out)) + 2
            raise InputError(Problem("an answer has at least one token", value=0, file=str(path), line=line))
        self.t_us = np.rint((t_s - t_s[0]) / config.rate_factor * US_PER_S).astype(np.int64)
        self.repeat = config.repeat
        mean_us = int(self.t_us[-1]) // max(1, len(t_s) - 1)
        self.lap_us = int(self.t_us[-1]) + max(1, mean_us)
        self.n_lap = 0

    def next(self) -> tuple[Requests, int]:
        """Requests of the next lap, and its end. [us]"""
        if self.n_lap > 0 and not self.repeat:
            none = np.zeros(0, np.int64)
            return (none, none, none), 2**61
        t_us = self.t_us + self.n_lap * self.lap_us
        self.n_lap += 1
        return (t_us, np.maximum(self.tokens_in, 1), self.tokens_out), self.n_lap * self.lap_us


def read_requests(path: Path) -> tuple[Floats, Ints, Ints]:
    """A record of requests as it stands.

    Parameters
    ----------
    path : Path
        CSV (or CSV.gz) with a header: `t_s` [s], `tokens_in`, `tokens_out`; others are ignored. Times may repeat.

    Returns
    -------
    t_s, tokens_in, tokens_out : ndarray, shape (n,)

    Raises
    ------
    InputError
        Missing file or column, a field that is no finite number, time going back, negative tokens; with file and line.
    """
    file = str(path)
    requests: list[tuple[float, float, float]] = []
    with csv_rows(path, "these requests") as (header, rows):
        missing = [name for name in REQUEST_COLUMNS if name not in header]
        if missing:
            told = (
                f"looks for columns t_s [s], tokens_in, tokens_out in its first line; {', '.join(missing)} missing "
                f"from {', '.join(header) or 'nothing'}"
            )
            raise InputError(Problem(told, file=file, line=1))
        places = [header.index(name) for name in REQUEST_COLUMNS]
        for line, row in rows:
            requests.append(_request(row, places, requests[-1][0] if requests else -math.inf, file, line))
    if not requests:
        raise InputError(Problem("has no requests", file=file))
    table = np.array(requests)
    return table[:, 0], table[:, 1].astype(np.int64), table[:, 2].astype(np.int64)


def _request(row: list[str], places: list[int], before_s: float, file: str, line: int) -> tuple[float, float, float]:
    """One row, checked."""
    if len(row) <= max(places):
        raise InputError(Problem(f"has {len(row)} fields, too few", file=file, line=line))
    values = []
    for name, place in zip(REQUEST_COLUMNS, places, strict=True):
        try:
            value = float(row[place])
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (name != "t_s" and (value < 0 or value != round(value))):
            wanted = "a finite number" if name == "t_s" else "a whole number of at least 0"
            raise InputError(Problem(f"{name} is not {wanted}", value=row[place], file=file, line=line))
        values.append(value)
    if values[0] < before_s:
        raise InputError(
            Problem(f"t_s goes back from {before_s:g} to {values[0]:g}; sort the file by time", file=file, line=line)
        )
    return values[0], values[1], values[2]


def requests_of(
    arrivals: ArrivalsConfig,
    tokens: tuple[TokensConfig, TokensConfig] | None,
    correlation: float,
    *,
    seed: int,
    name: str,
    folder: Path,
) -> DrawnRequests | ReplayedRequests:
    """Where the requests of a job come from.

    Parameters
    ----------
    arrivals : ArrivalsConfig
    tokens : pair of TokensConfig, optional
        Of prompts and answers; a record has its own.
    correlation : float
        Of their normal scores. [1]
    seed : int
        As of the scenario.
    name : str
        Of the stream: `site/job/requests`.
    folder : Path
        Where a record's file name starts.
    """
    if isinstance(arrivals, RecordedArrivals):
        return ReplayedRequests(arrivals, folder)
    assert tokens is not None
    return DrawnRequests(arrivals, tokens, correlation, seed, name)


def draw_requests(source: DrawnRequests | ReplayedRequests, duration_s: float) -> Requests:
    """All requests before a time: times [us], tokens in, tokens out."""
    parts, until_us = [], 0
    while until_us < duration_s * US_PER_S:
        part, until_us = source.next()
        parts.append(part)
    t_us, tokens_in, tokens_out = (np.concatenate([part[i] for part in parts]) for i in range(3))
    n = int(np.searchsorted(t_us, duration_s * US_PER_S))
    return t_us[:n], tokens_in[:n], tokens_out[:n]
