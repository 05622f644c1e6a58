"""Wear of a storage: lives worked by hand, noise that wears nothing, the count of every turn."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_log import campus_log

from cosim.metrics import summarize
from cosim.metrics.cycles import rainflow_cycles
from cosim.metrics.wear import LIFE, CycleLife, wear

YEAR_S = 8766 * 3600.0


def swings(depth, n, low=0.4):
    return np.tile([low, low + depth], n + 1)[: 2 * n + 1]


def test_one_full_cycle_a_day_lasts_its_cycles_and_no_longer_than_its_calendar():
    """3,652.5 full cycles at one a day are ten years; with a calendar of ten years, five."""
    soc = swings(1.0, 365, low=0.0)
    found = wear(soc, 365 * 86400.0, CycleLife(3652.5, 1.0, 1e9))
    assert found.n_cycle == pytest.approx(365)
    assert found.cycle_wear == pytest.approx(365 / 3652.5)
    assert found.life_years == pytest.approx(10.0, rel=1e-6)
    assert wear(soc, 365 * 86400.0, CycleLife(3652.5, 1.0, 10.0)).life_years == pytest.approx(5.0, rel=1e-6)


def test_shallow_cycles_wear_by_their_depth_to_the_exponent():
    life = CycleLife(1000.0, 1.5, 1e9)
    deep, shallow = (wear(swings(depth, 100), YEAR_S, life).cycle_wear for depth in (0.4, 0.1))
    assert deep / shallow == pytest.approx(4.0**1.5)


def test_a_storage_at_rest_lives_its_calendar():
    found = wear(np.full(1000, 0.7), YEAR_S, LIFE["lithium"])
    assert found.n_cycle == 0
    assert found.life_years == LIFE["lithium"].calendar_years


def test_noise_of_readings_wears_nothing_and_hides_no_cycle():
    noise = 2e-5 * np.random.default_rng(1).standard_normal(20_000)
    slow = 0.6 + 0.2 * np.sin(np.arange(20_000) * 2 * np.pi / 2000)
    found = wear(slow + noise, YEAR_S, LIFE["lithium"])
    assert found.n_cycle == pytest.approx(10, abs=0.5)
    assert found.max_depth == pytest.approx(0.4, abs=2e-4)


def test_wear_is_that_of_every_turn_counted():
    soc = np.clip(0.5 + np.cumsum(0.003 * np.random.default_rng(2).standard_normal(5000)), 0.0, 1.0)
    life = LIFE["vrla"]
    every = sum(cycle.n_cycle * cycle.depth**life.exponent for cycle in rainflow_cycles(soc)) / life.n_full
    assert wear(soc, YEAR_S, life).cycle_wear == pytest.approx(every, rel=1e-3)


def test_wear_is_in_the_summary_by_the_kind_of_storage():
    log = campus_log(600.0)
    lithium = summarize(log)["ups"]["campus"]
    log.scenario["datacenters"]["campus"]["ups"]["storage"] = "vrla"
    vrla = summarize(log)["ups"]["campus"]
    assert vrla["n_cycle"] == lithium["n_cycle"] > 0
    assert vrla["life_years"] < lithium["life_years"] < LIFE["lithium"].calendar_years
