"""Nose load by continuation in the current of the load, with the network as a black box.

A network answers the current that a load draws at its terminals with the voltage there. That answer is smooth and has
one value well past the nose, where the answer to a power has two or none. So the curve of power over current is
followed from no load on the upper branch, by arc length, until the power turns back: its maximum is the nose. No
Jacobian of the network is needed but the impedance seen from the terminals, measured by small changes of the current.

The unknowns are the currents of the phases and the power; each phase draws an equal part of the power at its own
voltage: V_k conj(I_k) = p (1 + j tan phi) / m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

Response = Callable[[np.ndarray], np.ndarray]
"""Currents drawn by the phases of a load -> voltages there; raises NoSolution where it has none. [pu]"""

NEWTON_STEPS = 20
CHORD_STEPS = 4
RESIDUAL = 1e-9
"""Of the powers, relative to the power of the step. [1]"""
STEPS = 1_000
FRESH_BELOW = 0.8
"""Where the power rises slower than this part of its first slope, the impedance is measured at every point. [1]"""
STRAIGHT = 0.98
"""Cosine of the angle that the curve may turn by in one step longer than SHORT. [1]"""
SHORT = 0.005
"""Step that is short enough for any bend, relative to the same arc length as FINEST. [1]"""
FINEST = 1e-4
"""Smallest step, relative to the arc length at which the power turns if the network were linear. [1]"""


class NoSolution(Exception):
    """The network or the corrector did not converge."""


class Curve:
    """Power over current of one load, followed from no load.

    Parameters
    ----------
    respond : Response
        Currents on 1 MVA a phase. [pu]
    n_phase : int
    tan_phi : float
        Reactive over active power, lagging positive.
    """

    def __init__(self, respond: Response, n_phase: int, tan_phi: float) -> None:
        self.respond, self.m = respond, n_phase
        self.unit = (1 + 1j * tan_phi) / n_phase
        self.n_answers = 0
        self.v0 = self.ask(np.zeros(n_phase, complex))
        self.z = np.zeros((2 * n_phase, 2 * n_phase))
        self.measure_z(np.zeros(2 * n_phase), self.v0, 1e-6)
        z_abs = float(np.linalg.norm(self.z, 2))
        self.i_scale = float(np.min(np.abs(self.v0))) / (2 * z_abs)
        """Current at which the voltage of a linear network has fallen by half. [pu]"""
        self.p_scale = self.i_scale * float(np.mean(np.abs(self.v0))) * n_phase / 2
        self.measure_z(np.zeros(2 * n_phase), self.v0)

    def ask(self, current: np.ndarray) -> np.ndarray:
        """Voltages at a current."""
        self.n_answers += 1
        return self.respond(current)

    def measure_z(self, x: np.ndarray, v: np.ndarray, size: float | None = None) -> None:
        """Fall of voltage per current around a point, real 2m x 2m, by forward differences."""
        size = 1e-4 * self.i_scale if size is None else size
        for k in range(2 * self.m):
            moved = x.copy()
            moved[k] += size
            self.z[:, k] = -_real(self.ask(_complex(moved)) - v) / size

    def equations(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residual of the powers and its Jacobian in (currents, power)."""
        m, current = self.m, _complex(x[:-1])
        r = v * np.conj(current) - x[-1] * self.unit
        jac = np.zeros((2 * m, 2 * m + 1))
        for k in range(2 * m):
            di = np.zeros(m, complex)
            di[k % m] = 1.0 if k < m else 1j
            dv = _complex(-self.z[:, k])
            jac[:, k] = _real(dv * np.conj(current) + v * np.conj(di))
        jac[:, -1] = -_real(np.full(m, self.unit))
        return _real(r), jac

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Dimensionless coordinates in which arc length is measured."""
        return x / np.r_[np.full(2 * self.m, self.i_scale), self.p_scale]

    def correct(self, guess: np.ndarray, normal: np.ndarray, at: float) -> tuple[np.ndarray, np.ndarray]:
        """Point of the curve where `normal . scaled(x) = at`, by Newton with the measured impedance."""
        x = guess.copy()
        row = self.scaled(normal)
        for k in range(NEWTON_STEPS):
            v = self.ask(_complex(x[:-1]))
            if k >= CHORD_STEPS:  # a load left its law on the way: the impedance measured before is not that here
                self.measure_z(x[:-1], v)
            r, jac = self.equations(x, v)
            gap = float(row @ x) - at
            if np.max(np.abs(r)) < RESIDUAL * max(abs(x[-1]), 1e-3 * self.p_scale) and abs(gap) < 1e-12:
                return x, v
            x = x - np.linalg.solve(np.vstack([jac, row]), np.r_[r, gap])
            if not np.all(np.isfinite(x)) or np.max(np.abs(self.scaled(x))) > 1e3:
                break
        raise NoSolution("the corrector does not converge")

    def tangent(self, x: np.ndarray, v: np.ndarray, along: np.ndarray) -> np.ndarray:
        """Unit direction of the curve in scaled coordinates, forward with respect to `along`."""
        _, jac = self.equations(x, v)
        scale = np.r_[np.full(2 * self.m, self.i_scale), self.p_scale]
        row = np.vstack([jac * scale / self.p_scale, along])
        found = np.linalg.solve(row, np.r_[np.zeros(2 * self.m), 1.0])
        return found / np.linalg.norm(found)

    def orientation(self, x: np.ndarray, v: np.ndarray, t: np.ndarray) -> float:
        """Sign that stays along one curve and changes where another is reached across a branching point."""
        _, jac = self.equations(x, v)
        scale = np.r_[np.full(2 * self.m, self.i_scale), self.p_scale]
        return float(np.linalg.slogdet(np.vstack([jac * scale / self.p_scale, t])).sign)

    def step(self, x: np.ndarray, t: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
        """Point of the curve one arc length ahead."""
        scale = np.r_[np.full(2 * self.m, self.i_scale), self.p_scale]
        return self.correct(x + length * t * scale, t, float(t @ self.scaled(x)) + length)


@dataclass
class Nose:
    """The largest power of a load on the upper branch."""

    p_mw: float
    vm_pu: np.ndarray
    """Voltages of its phases there. [pu]"""
    curve: Curve
    path: list[np.ndarray]
    """Points (currents, power) from no load to the nose."""

    def current_at(self, p_mw: float) -> np.ndarray:
        """Currents that draw a power on the upper branch. [pu]

        Raises
        ------
        NoSolution
            Where the corrector does not converge, as it may close to the nose.
        """
        powers = [x[-1] for x in self.path]
        k = max(1, int(np.searchsorted(powers, p_mw)))
        before, after = self.path[k - 1], self.path[k]
        guess = before + (after - before) * (p_mw - before[-1]) / (after[-1] - before[-1])
        self.curve.measure_z(before[:-1], self.curve.ask(_complex(before[:-1])))  # it was measured last at the nose
        level = np.zeros(guess.size)
        level[-1] = 1.0
        x, _ = self.curve.correct(guess, level, p_mw / self.curve.p_scale)
        return _complex(x[:-1])


def nose(respond: Response, n_phase: int, tan_phi: float) -> Nose:
    """Largest power that a load can draw on the way up from no load.

    Parameters
    ----------
    respond : Response
        The network without the load.
    n_phase : int
        Phases of the load; each draws an equal part.
    tan_phi : float
        Reactive over active power, lagging positive.

    Raises
    ------
    NoSolution
        Where the curve cannot be followed to its maximum.
    """
    curve = Curve(respond, n_phase, tan_phi)
    x, v = np.zeros(2 * n_phase + 1), curve.v0
    t = np.zeros(2 * n_phase + 1)
    t[-1] = 1.0
    t = curve.tangent(x, v, t)
    length, path, steepest, turn = 0.1, [x], t[-1], curve.orientation(x, v, t)
    for _ in range(STEPS):
        try:
            ahead, v_ahead = curve.step(x, t, length)
        except NoSolution:
            length /= 2
            if length < FINEST:
                raise
            continue
        if t[-1] < FRESH_BELOW * steepest:
            curve.measure_z(ahead[:-1], v_ahead)
        t_ahead = curve.tangent(ahead, v_ahead, t)
        crossed = curve.orientation(ahead, v_ahead, t_ahead) != turn
        if (t @ t_ahead < STRAIGHT and length > SHORT) or (crossed and length > FINEST):  # a bend, or another branch
            length /= 2
            curve.measure_z(x[:-1], v)
            continue
        if t_ahead[-1] <= 0.0:
            return _refined(curve, path, t, length)
        x, v, t = ahead, v_ahead, t_ahead
        path.append(x)
        length = min(1.3 * length, 0.15)
    raise NoSolution(f"no nose within {STEPS} steps")


def _refined(curve: Curve, path: list[np.ndarray], t: np.ndarray, length: float) -> Nose:
    """Maximum of the power between a point before the nose and one behind it."""
    x = path[-1]
    best = minimize_scalar(
        lambda s: -curve.step(x, t, s)[0][-1], bounds=(0.0, length), method="bounded", options={"xatol": 2e-3 * length}
    )
    top, v = curve.step(x, t, float(best.x))
    return Nose(float(top[-1]), np.abs(v), curve, [*path, top])


def _complex(x: np.ndarray) -> np.ndarray:
    half = x.size // 2
    return x[:half] + 1j * x[half:]


def _real(z: np.ndarray) -> np.ndarray:
    return np.r_[z.real, z.imag]
