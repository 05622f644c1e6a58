"""The least storage with which any controller could have held the limits on a load: an offline optimum.

It knows the whole load beforehand. Least energy first, then least power with that energy, each a linear program
(HiGHS through scipy), so the optimum is proven and not searched for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_SLACK = 1e-6
"""By this part the second program may pass the energy that the first one found. [1]"""


@dataclass(frozen=True)
class Optimum:
    """Least storage on the AC bus, and the grid side that needs no more."""

    e_mwh: float
    """Energy between its fullest and its emptiest. [MWh]"""
    p_mw: float
    """Largest power, charging or discharging. [MW]"""
    p_grid_mw: Floats
    """Grid side, shape (n,). [MW]"""
    e_stored_mwh: Floats
    """Energy stored at each instant, above its lowest, shape (n,). [MWh]"""


def least_storage(
    p_need_mw: npt.ArrayLike,
    step_s: float,
    *,
    max_ramp_mw_per_s: float,
    max_decline_mw_per_s: float,
    max_solve_s: float = np.inf,
) -> Optimum:
    """Least energy, then least power, that holds ramp and decline of the grid side on this load.

    The storage loses nothing: with losses a linear program would charge and discharge at once to burn power.

    Parameters
    ----------
    p_need_mw : array_like, shape (n,)
        Power that the facility needs from the feeder, held over each step. [MW]
    step_s : float
        Step. [s]
    max_ramp_mw_per_s, max_decline_mw_per_s : float
        Limits of the grid side. [MW/s]
    max_solve_s : float
        Longest time that each of the two programs may take. [s]

    Returns
    -------
    Optimum
        The storage ends at least as full as it began; the grid side begins anywhere.

    Raises
    ------
    ValueError
        Fewer than two values.
    TimeoutError
        Not solved in that time.
    """
    need = np.asarray(p_need_mw, np.float64)
    if need.ndim != 1 or need.size < 2:
        raise ValueError("p_need_mw must hold two values or more")
    program = _Program(need, step_s, max_ramp_mw_per_s, max_decline_mw_per_s)
    program.max_solve_s = max_solve_s
    least_mws = program.solve(energy=1.0, power=0.0)[program.energy]
    found = program.solve(energy=0.0, power=1.0, most_mws=float(least_mws) * (1 + _SLACK) + 1e-9)
    n = need.size
    stored = found[n : 2 * n + 1]
    return Optimum(
        e_mwh=float(least_mws) / 3600.0,
        p_mw=float(found[program.power]),
        p_grid_mw=need + found[:n],
        e_stored_mwh=stored[:-1] / 3600.0,
    )


class _Program:
    """Variables: power of the storage p (n) [MW], energy e (n + 1) [MWs], its range E and the largest power P."""

    max_solve_s = np.inf

    def __init__(self, need: Floats, step_s: float, ramp: float, decline: float) -> None:
        from scipy import sparse

        n = need.size
        self.n, self.energy, self.power, self.width = n, 2 * n + 1, 2 * n + 2, 2 * n + 3
        eye = sparse.identity(n, format="csr")
        grows = sparse.eye(n, n + 1, k=1) - sparse.eye(n, n + 1)
        self.equal = sparse.hstack([-step_s * eye, grows, _zero(n, 2)]).tocsr()
        change = (sparse.eye(n - 1, n, k=1) - sparse.eye(n - 1, n)).tocsr()
        moves = sparse.hstack([change, _zero(n - 1, n + 3)])
        steps = np.diff(need)
        inside = sparse.hstack([_zero(n + 1, n), sparse.identity(n + 1), -np.ones((n + 1, 1)), _zero(n + 1, 1)])
        charges = sparse.hstack([eye, _zero(n, n + 2), -np.ones((n, 1))])
        gives = sparse.hstack([-eye, _zero(n, n + 2), -np.ones((n, 1))])
        full = sparse.csr_matrix(([1.0, -1.0], ([0, 0], [n, 2 * n])), shape=(1, self.width))
        self.below = sparse.vstack([moves, -moves, inside, charges, gives, full]).tocsr()
        self.at_most = np.concatenate([ramp * step_s - steps, decline * step_s + steps, np.zeros(3 * n + 2)])

    def solve(self, *, energy: float, power: float, most_mws: float = np.inf) -> Floats:
        """Least of the weighted sum of energy and power, with at most this energy."""
        from scipy.optimize import linprog

        cost = np.zeros(self.width)
        cost[self.energy], cost[self.power] = energy, power
        bounds = np.tile([0.0, np.inf], (self.width, 1))
        bounds[: self.n, 0] = -np.inf
        bounds[self.energy, 1] = most_mws
        options = {"time_limit": self.max_solve_s} if np.isfinite(self.max_solve_s) else {}
        found = linprog(
            cost, self.below, self.at_most, self.equal, np.zeros(self.n), bounds=bounds, method="highs", options=options
        )
        if found.status == 1:
            raise TimeoutError(f"not solved in {self.max_solve_s:g} s")
        if not found.success:  # it always has a solution: a grid side that stands still
            raise RuntimeError(f"linear program of the least storage: {found.message}")
        values: Floats = found.x
        return values


def _zero(rows: int, columns: int) -> object:
    from scipy import sparse

    return sparse.csr_matrix((rows, columns))
