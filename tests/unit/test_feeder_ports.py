"""Several data centers at once: their currents against the twin, on gentle and on steep ground."""

from __future__ import annotations

import numpy as np
import pytest
from network_twin import solve_network, with_data_center, with_open_laws

from cosim.feeder import COLLAPSED, OK, FeederConfig, load_feeder, solve

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
