"""Full solves all over a cell of requests, which response surfaces are fitted to.

They start from one linearization, at the middle of the cell: solved in the order of the points, which jump all over it,
the usual rule would make a new one every few points, and that is most of what a large feeder's samples would cost.
"""

from __future__ import annotations

import itertools

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.kernel_newton import linearize_at
from cosim.feeder.network import Floats, Ints
from cosim.feeder.surface_basis import halton
from cosim.feeder.surface_outputs import Outputs

N_CHECKS = 40
"""Points beside the corners that are not fitted, by data center."""
AT_ONCE = 64
"""Requests solved before it is asked whether a phase is below its window, which calls the rest off."""
N_REPEATED = 24
"""Samples that are solved twice to see their noise."""


def requests_at(points: Floats, slope: Floats) -> Floats:
    """Requests [n, 2 d] at points of a cell, whose second coordinate is what Q has beyond slope P. [MW, Mvar]"""
    requests = points.copy()
    requests[:, 1::2] += slope * points[:, 0::2]
    return requests


def fit_points(box: Floats, n: int) -> Floats:
    """Halton points crowded towards the faces of the box, as polynomial fits want them."""
    u = halton(n, box.shape[0])
    spread: Floats = box.mean(axis=1) - 0.5 * np.ptp(box, axis=1) * np.cos(np.pi * u)
    return spread


def check_points(box: Floats) -> Floats:
    """Corners of the box and points all over it, none of them fitted."""
    n = box.shape[0]
    corners = np.array(list(itertools.product((0, 1), repeat=n)))
    u = np.vstack([corners, np.random.default_rng(1).random((N_CHECKS * n // 2, n))])
    spread: Floats = box[:, 0] + u * np.ptp(box, axis=1)
    return spread


def start_at(lab: FeederArrays, request: Floats) -> bool:
    """Linearize at the solution of a request [2 d], for the samples around it; whether it has one."""
    lab.port_p_mw[:], lab.port_q_mvar[:] = request[0::2], request[1::2]
    good = solve(lab) == ix.OK and bool(linearize_at(lab, lab.v.copy()))
    lab.flags[ix.DIRTY] = 1
    return good


class Samples:
    """Requests and what full solves say at them, as far as `solve` has been asked to.

    Parameters
    ----------
    lab : FeederArrays
    requests : array [n, 2 d]
        [MW, Mvar]
    watch_row : array [w]
    """

    def __init__(self, lab: FeederArrays, requests: Floats, watch_row: Ints) -> None:
        n, n_port = requests.shape[0], int(lab.site_ptr[-1])
        self.lab, self.requests, self.watch_row = lab, requests, watch_row
        self._outputs = Outputs.of(lab)
        n_pair = len(self._outputs.pair)
        self._at = np.cumsum([0, lab.totals.size, n_port, n_pair, lab.sensor.size, watch_row.size, lab.v.size])
        self.values = np.empty((n, self._at[-1]))
        """[n, o + w + 2 N] outputs of `SurfaceArrays`, magnitudes of watched nodes, voltages of all rows."""
        self.port = np.empty((n, n_port), np.complex128)
        """[n, m] voltages of the data centers' phases. [pu]"""

    def solve(self, which: range) -> bool:
        """Solve at some of the requests; whether all have a solution, with every phase inside its window."""
        parts = (which[at : at + AT_ONCE] for at in range(0, len(which), AT_ONCE))
        return all(self._solve_some(part) for part in parts)

    def _solve_some(self, which: range) -> bool:
        """The same for a few; what follows from the solutions is worked out for all of them together."""
        lab, values = self.lab, self.values[which.start : which.stop]
        totals, port_vm, between, sensed, vm, rows = (values[:, i:j] for i, j in itertools.pairwise(self._at.tolist()))
        solved = np.empty((2, len(which)))
        for k, request in enumerate(self.requests[which.start : which.stop]):
            lab.port_p_mw[:], lab.port_q_mvar[:] = request[0::2], request[1::2]
            lab.flags[ix.N_SPENT] = 0
            if solve(lab) != ix.OK:
                return False
            balance(lab)
            totals[k], sensed[k], rows[k] = lab.totals, lab.sensor.ravel(), lab.v
            solved[:, k] = lab.port_p_solved_mw.sum(), lab.port_q_solved_mvar.sum()
        _balance(totals, *solved)
        v = rows[:, 0::2] + 1j * rows[:, 1::2]
        a, b = lab.port_row[: self.port.shape[1]].T
        port = v[:, a] - np.where(b >= 0, v[:, b], 0.0)
        self.port[which.start : which.stop] = port
        port_vm[:] = np.abs(port) / lab.port_base[: port.shape[1]]
        between[:] = self._outputs.between(v)
        vm[:] = np.where(self.watch_row >= 0, np.abs(v[:, self.watch_row]), 0.0)
        return bool((port_vm > np.repeat(lab.port_v_min_pu, np.diff(lab.site_ptr))).all())


def _balance(totals: Floats, p_mw: Floats, q_mvar: Floats) -> None:
    """Have the source's power in totals [n, t] be what goes into all else, data centers' power [n] included.

    Metered, it is a current through the source's own large admittance, and on a feeder of 8,500 nodes a voltage's last
    digits are 1e-9 of it there: no polynomial could come closer. The rest is sums over currents that hardly cancel.
    """
    t = totals.T
    t[ix.P_SOURCE] = t[ix.P_LOAD] + t[ix.P_LOSS] - t[ix.P_GEN] + p_mw
    t[ix.Q_SOURCE] = t[ix.Q_LOAD] + t[ix.Q_LOSS] - t[ix.Q_GEN] + q_mvar


def units(values: Floats, lab: FeederArrays) -> Floats:
    """What a deviation of 1 means in each column: the feeder's power, a sensor's size, 1 pu."""
    unit = np.ones(values.shape[1])
    unit[: ix.N_TOTALS] = max(float(np.abs(values[:, : ix.N_TOTALS]).max()), 1e-6)
    at = Outputs.of(lab).first_sensor
    for k in range(lab.sensor.shape[0]):
        size = float(np.abs(values[:, at + 2 * k : at + 2 * k + 2]).max())
        unit[at + 2 * k : at + 2 * k + 2] = max(size, float(lab.sensor_least[k]), 1e-9)
    return unit


def noise_of_totals(samples: Samples, unit: Floats, most: float) -> Floats:
    """By how much totals differ when the last solves are repeated on the way back, up to `most`: [c], in units.

    No polynomial can be closer to them. It shows on feeders with short lines. Voltages get no such allowance.
    """
    noise = np.zeros(unit.size)
    last = slice(-1, -1 - N_REPEATED, -1)
    again = Samples(samples.lab, samples.requests[last], samples.watch_row)
    if again.solve(range(N_REPEATED)):
        off = np.abs(again.values - samples.values[last])[:, : ix.N_TOTALS] / unit[: ix.N_TOTALS]
        noise[: ix.N_TOTALS] = np.minimum(off.max(axis=0), most)
    return noise
