"""Wear of a storage: lives worked by hand, noise that wears nothing, the count of every turn."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from synthetic_log import campus_log

from cosim.metrics import summarize
from cosim.metrics.cycles import rainflow_cycles
from cosim.metrics.wear import LIFE, CycleLife, wear
from cosim.report.show import render_show

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


def test_second_storage_of_a_hybrid_wears_by_its_own_cycles_and_kind():
    """600 s: the first makes no cycle, the second 60 full ones, of lithium a part of 60 / 5000 in 600 s."""
    log = campus_log(600.0)
    log.scenario["datacenters"]["campus"]["ups"] |= {
        "storage": "vrla",
        "second": {"storage": "lithium", "max_e_mwh": 0.1},
    }
    log.channels["ups/campus/soc"] = np.full(len(log.t_s), 0.5)
    log.channels["ups/campus/second_soc"] = 0.5 - 0.5 * np.cos(2 * np.pi * log.t_s / 10.0)
    found = summarize(log)["ups"]["campus"]
    assert (found["n_cycle"], found["life_years"]) == (0, LIFE["vrla"].calendar_years)
    assert (found["second_n_cycle"], found["second_max_depth"]) == (pytest.approx(60), pytest.approx(1.0))
    assert found["second_cycle_wear"] == pytest.approx(60 / 5000)
    years = 600.0 / YEAR_S / (60 / 5000)
    assert found["second_life_years"] == pytest.approx(1 / (1 / years + 1 / 15), rel=1e-6)
    told = StringIO()
    render_show(log, Console(file=told, width=500, no_color=True))
    assert "its cells would last 8 years, those of its second storage 0.00158 years" in told.getvalue()
    assert "second storage: years to end of life at this pace" in told.getvalue()


def test_wear_is_in_the_summary_by_the_kind_of_storage():
    log = campus_log(600.0)
    lithium = summarize(log)["ups"]["campus"]
    log.scenario["datacenters"]["campus"]["ups"]["storage"] = "vrla"
    vrla = summarize(log)["ups"]["campus"]
    assert vrla["n_cycle"] == lithium["n_cycle"] > 0
    assert vrla["life_years"] < lithium["life_years"] < LIFE["lithium"].calendar_years
