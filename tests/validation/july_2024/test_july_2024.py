"""July 2024 against what the incident review says happened, and the measures against their purpose.

NERC, Incident Review "Considering Simultaneous Voltage-Sensitive Load Reductions" (2025): about 1,500 MW lost after six
dips in 82 s, still away an hour later, because counters kept it away.
"""

from __future__ import annotations

import pytest
from measures import MEASURES, figures

pytestmark = pytest.mark.validation


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("july")
    names = list(MEASURES)
    short = {"time.duration_s": 300}  # back within a minute, or not at all
    runs = {0: {}, 2: short, 6: short}
    return {i: figures(folder, names[i], MEASURES[names[i]] | more)[0] for i, more in runs.items()}


def test_about_1500_mw_leave_and_are_away_an_hour_later(found):
    was = found[0]
    assert was["lost_mw"] == pytest.approx(1500, rel=0.1)
    assert was["not_back_1h"] == pytest.approx(was["before_mw"], rel=1e-6)
    assert was["n_lockout"] == 6
    assert was["down_s"] == 0.0  # storage, then generators carried IT all the time


def test_without_the_counter_the_load_is_back_within_a_minute(found):
    assert found[2]["n_lockout"] == 0
    assert found[2]["n_transfer"] == 36
    assert found[2]["not_back_1min"] < 0.1 * found[2]["before_mw"]


def test_a_curve_that_bears_the_dips_leaves_nothing_behind(found):
    assert found[6]["n_transfer"] == 0
    assert found[6]["not_back_1s"] < 0.1 * found[6]["before_mw"]
