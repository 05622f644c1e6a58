"""Rainflow cycles of a state of charge."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cosim import rainflow_cycles
from cosim.errors import InputError


@pytest.mark.validation
def test_rainflow_counts_the_example_of_astm_e1049():
    # ASTM E1049-85 (2017), figure 6: peaks and valleys A to I, and its table of counts.
    counts: Counter[float] = Counter()
    for cycle in rainflow_cycles([-2, 1, -3, 5, -1, 3, -4, 4, -2]):
        counts[cycle.depth] += cycle.n_cycle
    assert counts == {3.0: 0.5, 4.0: 1.5, 6.0: 0.5, 8.0: 1.0, 9.0: 0.5}


def test_rainflow_says_where_each_cycle_lies():
    soc = np.array([0.9, 0.9, 0.5, 0.6, 0.6, 0.4, 0.4, 0.9])
    inner = [cycle for cycle in rainflow_cycles(soc) if cycle.n_cycle == 1.0]
    assert [(cycle.start, cycle.end) for cycle in inner] == [(2, 3)]
    assert inner[0].depth == pytest.approx(0.1)
    assert inner[0].mean == pytest.approx(0.55)


def test_rainflow_does_not_depend_on_samples_between_turns():
    turns = np.array([0.9, 0.3, 0.8, 0.5, 0.95, 0.2, 0.7])
    fine = np.interp(np.linspace(0.0, 6.0, 601), np.arange(7), turns)
    coarse_count = [(round(c.depth, 9), c.n_cycle) for c in rainflow_cycles(turns)]
    assert [(round(c.depth, 9), c.n_cycle) for c in rainflow_cycles(fine)] == coarse_count


@pytest.mark.parametrize("soc", [[], [0.5], [0.5, 0.5, 0.5]])
def test_rainflow_finds_nothing_where_nothing_turns(soc):
    assert rainflow_cycles(soc) == []


def test_rainflow_refuses_what_is_no_record():
    with pytest.raises(InputError, match="finite"):
        rainflow_cycles([0.5, float("nan")])
