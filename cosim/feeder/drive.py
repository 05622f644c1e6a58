"""What drives the loads and generators of a feeder in time: the load shapes of its own file, or a CSV.

Both are points that hold until the next one and repeat. Point k of a load shape of n points, counted from 1, holds
from k - 1/2 to k + 1/2 intervals, and point n before the first of them: the engine's own index, `round(t / interval)`
with 0 for n, which a run that starts at t = 0 meets first.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem, unreadable
from cosim.feeder.config import FeederConfig
from cosim.feeder.network import LOAD, MOTOR, Bools, Complexes, Floats, Ints, Network
from cosim.units import to_us

_COLUMN: Final = {"daily": 0, "yearly": 1, "duty": 2}
"""Columns of `Network.inj_profile`."""
SCALE: Final = "scale"
"""Column of a profile that drives every load without a column of its own."""


@dataclass(frozen=True)
class Series:
    """Injections that change at the same times."""

    edge_us: Ints
    """Time in the period from which each point holds, ascending; the last one holds before the first."""
    period_us: int
    injection: Ints
    p: Floats
    """[n_injection, n_point] factor on active power, or power [MW]."""
    q: Floats
    is_power: Bools
    """[n_injection] whether p and q are powers."""

    def point(self, clock_us: int) -> int:
        """Point that holds; -1, the last one, before the first edge."""
        return int(np.searchsorted(self.edge_us, clock_us % self.period_us, side="right")) - 1

    def until_next_us(self, clock_us: int) -> int:
        """Time until the next point. [us]"""
        in_period = clock_us % self.period_us
        k = self.point(clock_us) + 1
        edge = int(self.edge_us[k]) if k < self.edge_us.size else self.period_us + int(self.edge_us[0])
        return edge - in_period


class Drive:
    """Powers of all injections in time.

    Parameters
    ----------
    series : sequence of Series
    s_mva : array
        Power of every injection without any factor. [MVA]
    start_s : float
        Place in the series at t = 0. [s]
    keeps_q : array of bool
        Injections whose reactive power a control sets.
    power_scale : array
        Factor on injections whose series is a power, `load_scaling`. [1]
    """

    def __init__(
        self, series: Sequence[Series], s_mva: Complexes, start_s: float, keeps_q: Bools, power_scale: Floats
    ) -> None:
        self.series = list(series)
        self._s_mva, self._start_us = s_mva.copy(), to_us(start_s)
        self._keeps_q, self._power_scale = keeps_q, power_scale
        self._factor = np.ones(s_mva.size)
        self._is_free = np.zeros(s_mva.size, bool)

    def powers(self, t_us: int, present: Complexes) -> Complexes:
        """Power of every injection at a time; what nothing drives keeps its present one. [MVA]"""
        s = present.copy()
        for series in self.series:
            k, of = series.point(t_us + self._start_us), series.injection
            p, q = series.p[:, k], series.q[:, k]
            given = np.where(series.is_power, (p + 1j * q) * self._power_scale[of], 0)
            scaled = self._s_mva[of].real * p + 1j * (self._s_mva[of].imag * q)
            wanted = np.where(series.is_power, given, scaled) * self._factor[of]
            wanted = np.where(self._keeps_q[of], wanted.real + 1j * present[of].imag, wanted)
            s[of] = np.where(self._is_free[of], present[of], wanted)
        return s

    def next_us(self, t_us: int) -> int:
        """Time of the next change. [us]"""
        return t_us + min(series.until_next_us(t_us + self._start_us) for series in self.series)

    def scale(self, injection: int, factor: float) -> None:
        """Multiply what drives an injection. [1]"""
        self._factor[injection], self._is_free[injection] = factor, False

    def release(self, injection: int) -> None:
        """Let an injection be: something else gave it a power."""
        self._is_free[injection] = True

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that changes, for a checkpoint."""
        return {"factor": self._factor.copy(), "is_free": self._is_free.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take back what `state` gave."""
        self._factor[:], self._is_free[:] = state["factor"], state["is_free"]


def make_drive(
    network: Network, config: FeederConfig, folder: Path, s_mva: Complexes, controlled: Sequence[str] = ()
) -> Drive | None:
    """What the scenario says that drives the injections; None where nothing does.

    Parameters
    ----------
    network : Network
    config : FeederConfig
    folder : Path
        Where `config.profile` starts.
    s_mva : array
        Power of every injection at factor one, `load_scaling` included. [MVA]
    controlled : sequence of str
        Injections whose reactive power a control sets.

    Raises
    ------
    InputError
        Shapes that the feeder does not have, or whose interval varies; a profile that cannot be read or names a load
        that is not there.
    """
    if config.profile is not None:
        series = read_profile(folder / config.profile, network)
    elif config.load_shapes != "none":
        series = series_of_shapes(network, config.load_shapes)
    else:
        return None
    scale = np.where(np.isin(network.inj_kind, (LOAD, MOTOR)), config.load_scaling, 1.0)
    return Drive(series, s_mva, 3600.0 * config.start_h, np.isin(network.inj_name, list(controlled)), scale)


def series_of_shapes(network: Network, which: Literal["daily", "yearly", "duty"]) -> list[Series]:
    """The load shapes of a network for one kind of time.

    Raises
    ------
    InputError
        The network has none, or one of a varying interval.
    """
    rows = network.inj_profile[:, _COLUMN[which]]
    used = np.unique(rows[rows >= 0])
    if used.size == 0:
        has = [name for name, column in _COLUMN.items() if np.any(network.inj_profile[:, column] >= 0)]
        told = f"no load of the feeder follows a {which} shape; it has {', '.join(has) or 'no shapes at all'}"
        raise InputError(Problem(told, path="feeder.load_shapes", value=which))
    varying = [str(network.profile_name[row]) for row in used if network.profile_step_s[row] <= 0]
    if varying:
        told = f"the interval of shape {varying[0]} varies; give it points of one interval"
        raise InputError(Problem(told, path="feeder.load_shapes", value=which))
    groups: dict[tuple[float, int], list[int]] = {}
    for row in used.tolist():
        n = int(network.profile_ptr[row + 1] - network.profile_ptr[row])
        groups.setdefault((float(network.profile_step_s[row]), n), []).append(row)
    found = []
    for (step_s, n), members in groups.items():
        injection = np.flatnonzero(np.isin(rows, members))
        points = network.profile_ptr[rows[injection]][:, None] + np.arange(n)
        found.append(
            Series(
                edge_us=np.array([to_us(step_s * (k + 0.5)) for k in range(n)], np.int64),
                period_us=to_us(step_s * n),
                injection=injection,
                p=network.profile_p[points],
                q=network.profile_q[points],
                is_power=network.profile_is_power[rows[injection]],
            )
        )
    return found


def read_profile(path: Path, network: Network) -> list[Series]:
    """A profile from a CSV: `t_s` rising, and factors on the powers of loads.

    Each row holds until the next one; behind the last one, which holds for the median interval, it starts anew.

    Raises
    ------
    InputError
        No file, a column that no load has, a field that is no finite number, time going back; with file and line.
    """
    header, t_s, values = _read_csv(path)
    names = [str(name) for name in network.inj_name]
    loads = [k for k in range(len(names)) if network.inj_kind[k] in (LOAD, MOTOR)]
    place = {name: k for k, name in reversed(list(enumerate(names)))}
    columns = [name for name in header if name != "t_s"]
    lacking = [name for name in columns if name != SCALE and name not in place]
    if lacking or not columns:
        told = f"the feeder has no load {lacking[0]}" if lacking else "needs a column scale, or one named as a load"
        raise InputError(Problem(told, path="feeder.profile", file=str(path), line=1))
    own = [place[name] for name in columns if name != SCALE]
    rest = [k for k in loads if k not in set(own)] if SCALE in columns else []
    which = [columns.index(names[k]) for k in own] + [columns.index(SCALE)] * len(rest) if columns else []
    factors = values[:, which].T
    period_s = float(t_s[-1] - t_s[0] + np.median(np.diff(t_s)))
    return [
        Series(
            edge_us=np.array([to_us(float(t)) for t in t_s - t_s[0]], np.int64),
            period_us=to_us(period_s),
            injection=np.array(own + rest, np.int64),
            p=factors,
            q=factors,
            is_power=np.zeros(len(own) + len(rest), bool),
        )
    ]


def _read_csv(path: Path) -> tuple[list[str], Floats, Floats]:
    """Header, times [s], and the other columns, of a CSV with `t_s`."""
    file = str(path)
    times: list[float] = []
    values: list[list[float]] = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            if header.count("t_s") != 1 or len(set(header)) < len(header):
                raise InputError(Problem("needs one column t_s in its first line, no name twice", file=file, line=1))
            place = header.index("t_s")
            for row in reader:
                if not row:
                    continue
                line = reader.line_num
                if len(row) != len(header):
                    raise InputError(Problem(f"has {len(row)} fields, not {len(header)}", file=file, line=line))
                numbers = [_number(text, name, file, line) for text, name in zip(row, header, strict=True)]
                t_s = numbers.pop(place)
                if times and t_s <= times[-1]:
                    told = f"t_s goes from {times[-1]:g} to {t_s:g}; times must rise"
                    raise InputError(Problem(told, file=file, line=line))
                times.append(t_s)
                values.append(numbers)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(error, file, "cannot read this profile") from None
    if len(times) < 2:
        raise InputError(Problem("needs at least two rows", file=file))
    return header, np.array(times), np.array(values)


def _number(text: str, column: str, file: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (column != "t_s" and value < 0):
        raise InputError(Problem(f"{column} is not a finite number from 0 on", value=text, file=file, line=line))
    return value
