"""Load shapes: what the profiles of a network say that its injections draw, from instant to instant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.config import FeederConfig
from cosim.feeder.network import LOAD, MOTOR, Complexes, Ints, Network
from cosim.units import S_PER_H, to_us

_COLUMN: Final = {"daily": 0, "yearly": 1, "duty": 2}
"""Column of `inj_profile`."""


class Driven(ABC):
    """What gives the injections of a network other powers from time to time."""

    @abstractmethod
    def powers(self, t_us: int) -> Complexes:
        """Power of every injection at an instant. [MVA]"""

    @abstractmethod
    def next_us(self, t_us: int) -> int:
        """The first instant after this one at which a power changes. [us]"""

    def follow(self, present: Complexes, before_us: int, t_us: int) -> Complexes:
        """Powers at an instant, given those present; what others have set since `before_us` stays as it is. [MVA]"""
        before, now = self.powers(before_us), self.powers(t_us)
        followed: Complexes = np.where(present.real == before.real, now.real, present.real) + 1j * np.where(
            present.imag == before.imag, now.imag, present.imag
        )
        return followed


class LoadShapes(Driven):
    """The shapes that a scenario follows.

    Point k of a shape, counted from 1, holds from k - 1/2 to k + 1/2 intervals, and the shape repeats, as in
    OpenDSS. What has no shape of the kind is constant.

    Parameters
    ----------
    network : Network
    config : FeederConfig
        Which shapes, the hour at t = 0, and the scaling of loads.

    Raises
    ------
    InputError
        Nothing in the network follows such a shape, or one has points at varying intervals.
    """

    def __init__(self, network: Network, config: FeederConfig) -> None:
        self._net = network
        self._row: Ints = network.inj_profile[:, _COLUMN[config.load_shapes]]
        self._start_us = to_us(config.start_h * S_PER_H)
        self._scale = np.where(np.isin(network.inj_kind, (LOAD, MOTOR)), config.load_scaling, 1.0)
        used = np.unique(self._row[self._row >= 0])
        problems = [
            Problem(f"shape {network.profile_name[p]} has no points at even intervals", "feeder.load_shapes")
            for p in used
            if network.profile_step_s[p] <= 0 or network.profile_ptr[p] == network.profile_ptr[p + 1]
        ]
        if used.size == 0:
            told = f"no load or generator of this feeder has a {config.load_shapes} shape"
            problems.append(Problem(told, "feeder.load_shapes", config.load_shapes))
        if problems:
            raise InputError(problems)
        self._step_us = {int(p): to_us(float(network.profile_step_s[p])) for p in used}

    def powers(self, t_us: int) -> Complexes:
        """Power of every injection at an instant, those without a shape as the network has them. [MVA]"""
        net = self._net
        s = net.inj_s_mva * self._scale
        for profile in self._step_us:
            at = int(net.profile_ptr[profile]) + self._point(profile, t_us)
            p, q = float(net.profile_p[at]), float(net.profile_q[at])
            rows = self._row == profile
            if net.profile_is_power[profile]:
                s[rows] = complex(p, q) * self._scale[rows]
            else:
                s[rows] = p * s[rows].real + 1j * q * s[rows].imag
        return s

    def next_us(self, t_us: int) -> int:
        """The first instant after this one at which a shape moves on. [us]"""
        return min(
            ((2 * self._interval(p, t_us) + 1) * step + 1) // 2 - self._start_us for p, step in self._step_us.items()
        )

    def _interval(self, profile: int, t_us: int) -> int:
        step = self._step_us[profile]
        return (2 * (t_us + self._start_us) + step) // (2 * step)

    def _point(self, profile: int, t_us: int) -> int:
        n = int(self._net.profile_ptr[profile + 1] - self._net.profile_ptr[profile])
        return (self._interval(profile, t_us) - 1) % n
