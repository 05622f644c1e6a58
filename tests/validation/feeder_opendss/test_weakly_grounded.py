"""A data center on a delta feeder whose source has a high zero-sequence impedance draws between its phases."""

from __future__ import annotations

import numpy as np
import pytest
from dss_reference import OpenDss
from place import Place

import cosim
from cosim.feeder.shipped import shipped_feeder


@pytest.mark.validation
@pytest.mark.parametrize("p_mw", [0.3, 1.0, 2.0])
def test_data_center_on_the_shipped_delta_feeder_is_the_delta_load_of_opendss(p_mw):
    # x0 = 10 kohm at the source: what draws to ground there collapses below 0.3 MW, what draws between phases does not.
    judge, place = OpenDss(shipped_feeder("ieee37")), Place("711", (1, 2, 3))
    judge.add_datacenter(place)
    judge.set_datacenter(place, p_mw, 0.2 * p_mw)
    assert np.any(judge.legs(place) < 0)
    assert judge.solve()
    solved = cosim.load_feeder("ieee37").solve({"711": (p_mw, 0.2 * p_mw)})
    assert solved.status == "ok"
    expected = dict(zip(judge.nodes, np.abs(judge.v_pu()), strict=True))
    off = max(abs(solved.vm_pu[name] - expected[name.lower()]) for name in solved.vm_pu.index)
    assert off < 1e-6
