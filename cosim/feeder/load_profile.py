"""A load profile: a CSV that drives the loads of any feeder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from cosim.csv_file import csv_rows, finite
from cosim.errors import InputError, Problem
from cosim.feeder.config import FeederConfig
from cosim.feeder.load_shapes import Driven
from cosim.feeder.network import LOAD, MOTOR, Complexes, Floats, Network
from cosim.feeder.places import in_case
from cosim.units import S_PER_H, to_us

SCALE: Final = "scale"
"""Column that drives every load without a column of its own."""


class LoadProfile(Driven):
    """Factors on the powers of loads and generators, row by row of a CSV.

    Columns are `t_s`, rising, and `scale` (of every load), one named as a load or generator, or several. A row holds
    until the next one; behind the last one, which holds for the median interval, the file starts anew.

    Parameters
    ----------
    network : Network
    config : FeederConfig
        Name of the file, the hour in it at t = 0, and the scaling of loads.
    folder : Path
        Where the name starts.

    Raises
    ------
    InputError
        The file cannot be read, a column names what is not there, a field is no finite number from 0 on, or time goes
        back; with file and line.
    """

    def __init__(self, network: Network, config: FeederConfig, folder: Path) -> None:
        path = folder / str(config.profile)
        header, t_s, values = _read(path)
        is_load = np.isin(network.inj_kind, (LOAD, MOTOR))
        names = [str(name) for name in network.inj_name]
        header = [name if name == SCALE else in_case(names, name) or name for name in header]
        lacking = [name for name in header if name != SCALE and name not in names]
        if lacking or not header:
            told = f"the feeder has no load {lacking[0]}" if lacking else f"needs a column {SCALE}, or a load's name"
            raise InputError(Problem(told, path="feeder.profile", file=str(path), line=1))
        column = np.where(is_load & (SCALE in header), header.index(SCALE) if SCALE in header else -1, -1)
        for k, name in enumerate(header):
            if name != SCALE:
                column[names.index(name)] = k
        self._s_mva: Complexes = network.inj_s_mva * np.where(is_load, config.load_scaling, 1.0)
        self._column, self._values = column, values
        self._edge_us = np.array([to_us(float(t)) for t in t_s - t_s[0]], np.int64)
        self._period_us = to_us(float(t_s[-1] - t_s[0] + np.median(np.diff(t_s))))
        self._start_us = to_us(config.start_h * S_PER_H)

    def powers(self, t_us: int) -> Complexes:
        """Power of every injection at an instant, those without a column as the network has them. [MVA]"""
        factors = np.append(self._values[self._row(t_us)], 1.0)
        powers: Complexes = self._s_mva * factors[self._column]
        return powers

    def next_us(self, t_us: int) -> int:
        """The first instant after this one at which a row begins. [us]"""
        k, clock_us = self._row(t_us) + 1, (t_us + self._start_us) % self._period_us
        edge_us = int(self._edge_us[k]) if k < self._edge_us.size else self._period_us
        return t_us + edge_us - clock_us

    def _row(self, t_us: int) -> int:
        clock_us = (t_us + self._start_us) % self._period_us
        return int(np.searchsorted(self._edge_us, clock_us, side="right")) - 1


def _read(path: Path) -> tuple[list[str], Floats, Floats]:
    """Names and factors of all columns but `t_s`, and that one. [s]"""
    file = str(path)
    times: list[float] = []
    values: list[list[float]] = []
    with csv_rows(path, "this profile") as (header, rows):
        if header.count("t_s") != 1 or len(set(header)) < len(header):
            raise InputError(Problem("needs one column t_s in its first line, no name twice", file=file, line=1))
        place = header.index("t_s")
        for line, row in rows:
            if len(row) != len(header):
                raise InputError(Problem(f"has {len(row)} fields, not {len(header)}", file=file, line=line))
            numbers = [_factor(text, name, file, line) for text, name in zip(row, header, strict=True)]
            t_s = numbers.pop(place)
            if times and t_s <= times[-1]:
                told = f"t_s goes from {times[-1]:g} to {t_s:g}; times must rise"
                raise InputError(Problem(told, file=file, line=line))
            times.append(t_s)
            values.append(numbers)
    if len(times) < 2:
        raise InputError(Problem("needs at least two rows", file=file))
    header.remove("t_s")
    return header, np.array(times), np.array(values)


def _factor(text: str, column: str, file: str, line: int) -> float:
    value = finite(text, column, file, line)
    if value < 0:
        raise InputError(Problem(f"{column} is not a finite number from 0 on", value=text, file=file, line=line))
    return value
