"""Edges that overshoot, creep or undershoot: closed forms, timed as a fit is judged."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.fit.edge_shapes import further, undershoot, unit_step
from cosim.fit.edges import compare_edges, switched
from cosim.fit.machine import Edge
from cosim.fit.reading import Trace
from cosim.fit.refine import simulated

DT_S = 0.001


def steps(t_up, t_down, beyond=0.0, slow_s=0.1, beyond_down=0.0):
    """Load of 65 to 300 W switched every 1.2 s; edges with an exponential part beyond their level."""
    t_s = np.arange(0, 5.8, DT_S)
    p = np.zeros(len(t_s))
    for at_s, sign, fast_s, part in ((1, 1, t_up, beyond), (2.2, -1, t_down, beyond_down), (3.4, 1, t_up, beyond),
                                     (4.6, -1, t_down, beyond_down)):  # fmt: skip
        t = np.maximum(t_s - at_s, 0)
        edge = 1 - (1 + part) * np.exp(-t / fast_s) + part * np.exp(-t / slow_s)
        p += sign * np.where(t > 0, edge, 0)
    noise = np.random.default_rng(4).normal(0, 0.4, len(t_s))
    return Trace("edges.csv", DT_S, (65 + 235 * p + noise) * 1e-6)


@pytest.mark.parametrize(
    "trace",
    [
        steps(0.0002, 0.02, beyond=0.25, slow_s=0.05),
        steps(0.004, 0.02, beyond=0.4, slow_s=0.03),
        steps(0.004, 0.02, beyond=-0.15, slow_s=0.3),
        steps(0.02, 0.01, beyond_down=0.12, slow_s=0.06),
    ],
    ids=["at_once_and_over", "over", "creeps", "undershoots"],
)
def test_edges_with_a_slow_part_keep_their_time_and_overshoot(trace):
    machine = switched(trace)
    rows = compare_edges(trace.p_mw, simulated(machine, 0, len(trace.p_mw), (1,))[0], DT_S)
    assert len(rows) == 4
    assert [row.name for row in rows if not row.holds] == []


def test_undershoot_of_two_poles_and_a_zero_is_that_of_the_closed_form():
    """1 - exp(-t/T1) (1 + b) + b exp(-t/T2) is highest where both slopes cancel."""
    fast_s, slow_s, part = 0.004, 0.05, 0.3
    t_s = np.log((1 + part) * slow_s / (part * fast_s)) / (1 / fast_s - 1 / slow_s)
    highest = 1 - (1 + part) * np.exp(-t_s / fast_s) + part * np.exp(-t_s / slow_s)
    omega = 1 / np.sqrt(fast_s * slow_s)
    plain = Edge(omega, 0.5 * (fast_s + slow_s) * omega, slow_s)
    edge = further(plain, part)
    assert unit_step(np.array([t_s]), omega, edge.zeta, edge.c_s)[0] == pytest.approx(highest, rel=1e-9)
    assert undershoot(edge) == pytest.approx(highest - 1, rel=1e-3)
    assert undershoot(plain) == pytest.approx(0, abs=1e-9)
