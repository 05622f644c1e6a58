"""Hosting capacity of the IEEE 123-node feeder against trying every size: 0.05 MW apart, one power flow for each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cosim.errors import PhysicsError
from cosim.study import Place, run_study

BUSES = ("1", "51", "60", "66", "610")
STEP_MW, MAX_MW = 0.05, 4.0
STUDY = (
    "schema: 1\nname: s\nscenario: ieee123_training\nkind: hosting_capacity\nbuses: ['1', '51', '60', '66', '610']\n"
    "steady:\n  max_p_mw: 4\n  tolerance_mw: 0.01\n  max_loading_percent: null\n"
)


def is_within(feeder, bus, p_mw):
    """Whether every node is within 0.95 to 1.05 pu, regulators at rest."""
    try:
        solved = feeder.solve({bus: (p_mw, p_mw * math.tan(math.acos(0.98)))}, controls=True)
    except PhysicsError:
        return False
    vm = solved.vm_pu[solved.vm_pu > 0]
    return solved.status == "ok" and bool(vm.min() >= 0.95 and vm.max() <= 1.05)


@pytest.mark.slow
@pytest.mark.validation
def test_hosting_capacity_of_ieee123_is_that_of_trying_every_size(tmp_path):
    from cosim.feeder.feeder import load_feeder

    (tmp_path / "s.yaml").write_text(STUDY)
    table = run_study(tmp_path / "s.yaml", tmp_path / "d", place=Place(n_worker=0)).table.set_index("bus")
    feeder = load_feeder("ieee123")
    sizes = np.arange(0, MAX_MW + STEP_MW / 2, STEP_MW)
    for bus in BUSES:
        held = [is_within(feeder, bus, float(size)) for size in sizes]
        first_bad = held.index(False)
        found = table.loc[bus, "capacity_mw"]
        assert first_bad > 0
        print(f"{bus}: {sizes[first_bad - 1]:.2f} MW by every size, {found:.3f} MW by the study")
        assert sizes[first_bad - 1] - 0.01 <= found <= sizes[first_bad]
