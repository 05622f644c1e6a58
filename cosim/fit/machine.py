"""The model that a fit fills in, in megawatts and seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cosim.load.config_visits import PROBABILITIES


@dataclass(frozen=True)
class Level:
    """A stretch of constant power."""

    duration_s: float
    p_mw: float
    name: str = ""


@dataclass(frozen=True)
class Interrupt:
    """An evaluation or a checkpoint: how often, how long, at which power."""

    every_s: float
    duration_s: float
    p_mw: float
    every_n: int | None = None
    """Iterations between two, instead of every_s."""


@dataclass(frozen=True)
class Edge:
    """Eq. 9 in one direction."""

    omega_n_rad_per_s: float
    zeta: float = 1.0
    c_s: float = 0.0
    d_s2: float = 0.0


@dataclass(frozen=True)
class Noise:
    """Two Ornstein-Uhlenbeck fluctuations, relative to the power above the floor."""

    slow_std: float = 0.0
    slow_s: float = 20.0
    fast_std: float = 0.0
    fast_s: float = 1.0


@dataclass(frozen=True)
class State:
    """What a semi-Markov load visits: quantiles of power and length at the machine's `probabilities`."""

    p_mw: tuple[float, ...]
    dwell_s: tuple[float, ...]
    noise_mw: float
    """Standard deviation within a visit."""
    next: tuple[tuple[int, float], ...]
    """States that may follow, by number, and their chances."""


@dataclass(frozen=True)
class Machine:
    """What drew the trace."""

    kind: Literal["training", "fine_tuning", "inference", "semi_markov"]
    dt_s: float
    duration_s: float
    floor_mw: float
    """Power of the idle machine (U = 0)."""
    start: tuple[Level, ...] = ()
    """What precedes the regular part, in order."""
    main: tuple[Level, ...] = ()
    """One iteration; for inference the levels of the whole trace."""
    states: tuple[State, ...] = ()
    """Instead, of a semi-Markov load; the trace begins in the first."""
    probabilities: tuple[float, ...] = tuple(PROBABILITIES)
    """Of the quantiles of its states."""
    end: tuple[Level, ...] = ()
    """What follows the regular part, in order (fine-tuning)."""
    end_s: float | None = None
    """When it begins."""
    stop_s: float | None = None
    jitter: float = 0.0
    dip: float = 0.0
    """Relative spread of the depth of an iteration's dips (training)."""
    evaluation: Interrupt | None = None
    checkpoint: Interrupt | None = None
    noise: Noise = field(default_factory=Noise)
    query_mw: float = 0.0
    """Power of one query in service (inference)."""
    query_s: float = 1.0
    """Its duration."""
    up: Edge | None = None
    down: Edge | None = None
    supply_tau_s: float | None = None
    name: str = ""
    """Of its job; its kind where empty."""
    begin_s: float = 0.0
    """When its job starts."""
    beside: tuple[Machine, ...] = ()
    """Further jobs of the site, at the same time or one after another; what they draw adds up (their floor is 0)."""

    @property
    def jobs(self) -> Iterator[Machine]:
        """This one and those beside it."""
        yield self
        yield from self.beside

    def changed(self, **what: Any) -> Machine:
        """A copy with other values."""
        return replace(self, **what)

    @property
    def period_s(self) -> float:
        """Time of one iteration, or of one pass through its levels. [s]"""
        return sum(level.duration_s for level in self.main)

    @property
    def top_mw(self) -> float:
        """Power of this job alone at U = 1, above that of its floor."""
        levels = [level.p_mw for level in (*self.start, *self.main, *self.end)]
        levels += [i.p_mw for i in (self.evaluation, self.checkpoint) if i is not None]
        levels += [state.p_mw[-1] for state in self.states]
        top = max(levels)
        if self.kind == "inference":
            swing = top - self.floor_mw  # of queries in service, which are Poisson, none may be cut
            top += max(0.15 * swing, 5 * (self.query_mw * swing) ** 0.5)
        return max(top, self.floor_mw * (1 + 1e-6) + 1e-12)

    @property
    def swing_mw(self) -> float:
        """Most that its jobs draw together above the floor."""
        jobs = list(self.jobs)
        return max(
            sum(m.top_mw - m.floor_mw for m in jobs if m.begin_s <= at.begin_s < (m.stop_s or float("inf")))
            for at in jobs
        )
