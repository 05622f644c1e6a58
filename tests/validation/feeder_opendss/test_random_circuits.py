"""A few circuits drawn at random, alone and with a data center; the module has the command for many."""

from __future__ import annotations

import pytest
from random_circuits import SAME_PU, worst


@pytest.mark.parametrize("seed", range(6))
def test_a_circuit_drawn_at_random_stands_where_opendss_stands(seed, tmp_path):
    assert worst(seed, tmp_path / "drawn.dss")[0] < SAME_PU
