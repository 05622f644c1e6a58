"""Several data centers at once: their currents against the twin, on gentle and on steep ground."""

from __future__ import annotations

import numpy as np
import pytest
from network_twin import solve_network, with_data_center, with_open_laws

from cosim.feeder import COLLAPSED, OK, FeederConfig, load_feeder, solve
from cosim.feeder.kernel_newton import linearize_at

pytestmark = pytest.mark.twin

AT = (5, 21, 24)


@pytest.fixture(scope="module")
def case33bw():
    return load_feeder("case33bw")


def twin_vm(feeder, s_mva):
    net = with_open_laws(feeder.network, 0.0)
    for node, s in zip(AT, s_mva, strict=True):
        net = with_data_center(net, [node], s)
    return np.abs(solve_network(net).v)


def test_three_data_centers_equal_the_twin_step_by_step(case33bw):
    """Small steps, a jump, generation, and powers at which sweeps over them would hardly contract."""
    compiled = case33bw.compile([str(k) for k in AT], FeederConfig(model="case33bw", vmin_pu=0.0))
    f = compiled.arrays
    f.port_v_min_pu[:] = 0.0
    steps = [(0.3, 0.3, 0.3), (0.31, 0.3, 0.29), (0.9, 0.2, 0.5), (-0.5, 0.0, 0.2), (3.0, 1.0, 3.0), (6.0, 2.0, 6.0)]
    for p_mw in steps:
        s = np.array(p_mw) * (1 + 0.2j)
        f.port_p_mw[:], f.port_q_mvar[:] = s.real, s.imag
        assert solve(f) == OK
        assert np.abs(np.sqrt(f.vm2[f.node_row]) - twin_vm(case33bw, s)).max() < 1e-9
        assert f.port_p_solved_mw == pytest.approx(s.real, abs=1e-9)


def test_three_data_centers_beyond_the_nose_collapse(case33bw):
    f = case33bw.compile([str(k) for k in AT], FeederConfig(model="case33bw", vmin_pu=0.0)).arrays
    f.port_v_min_pu[:] = 0.0
    f.port_p_mw[:] = 0.5
    assert solve(f) == OK
    f.port_p_mw[:] = 30.0
    assert solve(f) == COLLAPSED


def test_bound_of_the_sweeps_stands_beside_the_impedances_it_sums(case33bw):
    """At each base point: by how much currents of size 1 into all ports can move a port's voltage."""
    f = case33bw.compile([str(k) for k in AT], FeederConfig(model="case33bw", vmin_pu=0.0)).arrays
    for p_mw in (0.5, 3.0):
        f.port_p_mw[:] = p_mw
        assert solve(f) == OK
        linearize_at(f, f.v)
        at = f.port_row[:, 0]
        reach = [max(np.abs(f.response[:, 2 * i + e]).sum() for e in range(2)) for i in at]
        assert f.port_z[0::2, -1] == pytest.approx(reach, rel=1e-12)
        assert f.port_z[1::2, -1] == pytest.approx(reach, rel=1e-12)
