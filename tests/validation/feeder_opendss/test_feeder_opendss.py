"""Feeders against OpenDSS: a fast part of what `make_table.py` writes to docs/validation.md.

The judge is held first: its spread from published tables, its nose against bisection on its own convergence. Then
cosim is held to it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from continuation import nose
from cosim_subject import Subject
from dss_cases import CASES, Case, write_case
from dss_reference import OpenDss
from holding import difference_pu, find_nose, hold_place, tan_phi
from place import Place
from placement import ten_places
from published import spread_pu

pytestmark = [pytest.mark.validation]

MAX_DV_PU = 1e-6
MAX_NOSE = 1e-3
FAST = [case for case in CASES if case.archive not in ("ieee8500", "ieee_europeanLV")]
WITH_DATACENTER = {
    "ieee13-file": (Place("680", (1, 2, 3)), Place("646", (2, 3)), Place("652", (1,))),
    "ieee34_mod1-settled": (Place("890", (1, 2, 3)), Place("838", (2,))),
    "ieee123-settled": (Place("67", (1, 2, 3)), Place("114", (1,))),
}


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.id == name)


@pytest.fixture
def master(shared, tmp_path):
    """Function that unzips a case and returns its master."""
    return lambda case: write_case(case, shared / "data" / "feeders" / "dss", tmp_path / case.id)


def test_nose_of_a_single_line_is_the_textbook_one():
    # A source of 1 pu behind x = 0.1 pu, unity power factor: p = E^2 / (2 x), at E / sqrt(2).
    found = nose(lambda current: 1.0 - 0.1j * current, 1, 0.0)
    assert found.p_mw == pytest.approx(5.0, rel=1e-6)
    assert found.vm_pu[0] == pytest.approx(np.sqrt(0.5), rel=1e-3)


@pytest.mark.parametrize("power_factor", [1.0, 0.98, -0.98])
def test_nose_of_a_single_line_follows_the_power_factor(power_factor):
    # p = E^2 / (2 x) cos(phi) / (1 + sin(phi)).
    sin, cos = np.sin(np.arctan(tan_phi(power_factor))), abs(power_factor)
    found = nose(lambda current: 1.0 - 0.1j * current, 1, tan_phi(power_factor))
    assert found.p_mw == pytest.approx(5.0 * cos / (1 + sin), rel=1e-6)


def test_current_of_a_power_lies_on_the_upper_branch():
    found = nose(lambda current: 1.0 - 0.1j * current, 1, 0.0)
    current = found.current_at(3.0)[0]
    voltage = 1.0 - 0.1j * current
    assert voltage * np.conj(current) == pytest.approx(3.0, rel=1e-8)
    assert abs(voltage) == pytest.approx(np.sqrt((1 + np.sqrt(1 - 4 * 0.3**2)) / 2), rel=1e-8)


def test_nose_agrees_with_bisection_on_the_judges_convergence(master):
    judge = OpenDss(master(case_of("ieee13-file")))
    place = Place("680", (1, 2, 3))
    judge.add_port(place)
    judge.add_datacenter(place)
    top = find_nose(judge, place, 1.0)

    def solves(p_mw: float) -> bool:
        judge.set_datacenter(place, 0.0, 0.0)
        assert judge.solve()
        for part in np.linspace(0.5, 1.0, 11):
            judge.set_datacenter(place, part * p_mw, 0.0)
            if not judge.solve():
                return False
        return True

    low, high = 0.99 * top.p_mw, 1.01 * top.p_mw
    assert solves(low)
    assert not solves(high)
    while high - low > 3e-4 * top.p_mw:
        middle = (low + high) / 2
        low, high = (middle, high) if solves(middle) else (low, middle)
    assert (low + high) / 2 == pytest.approx(top.p_mw, rel=MAX_NOSE)


@pytest.mark.parametrize("case", [case for case in CASES if case.published], ids=lambda case: case.id)
def test_judge_is_within_its_known_spread_of_the_published_table(case, master, shared):
    judge = OpenDss(master(case))
    found = dict(zip(judge.nodes, judge.v_pu().tolist(), strict=True))
    spread, where, n = spread_pu(case, shared / "data" / "feeders" / "published", found)
    assert n > 30
    assert spread <= case.published_spread_pu, where


def test_places_are_ten_and_hold_all_kinds_of_bus(master):
    places = ten_places(OpenDss(master(case_of("ieee123-settled"))))
    assert len(set(places)) == 10
    assert {len(place.phases) for place in places} == {1, 2, 3}


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.id)
def test_feeder_reproduces_opendss(case, master):
    path = master(case)
    judge = OpenDss(path)
    found = Subject.of_master(path).v_pu()
    assert found is not None
    repeats, _ = judge.repeatability_pu()
    off, where = difference_pu(judge, found)
    assert off < max(MAX_DV_PU, 2 * repeats), where


@pytest.mark.parametrize("case", [case for case in CASES if case.published], ids=lambda case: case.id)
def test_feeder_is_within_the_spread_of_the_published_table(case, master, shared):
    found = Subject.of_master(master(case)).v_pu()
    assert found is not None
    spread, where, _ = spread_pu(case, shared / "data" / "feeders" / "published", found)
    assert spread <= case.published_spread_pu, where


@pytest.mark.parametrize("name", WITH_DATACENTER)
@pytest.mark.parametrize("power_factor", [1.0, -0.98])
def test_feeder_with_a_datacenter_reproduces_opendss_up_to_the_nose(name, power_factor, master):
    path: Path = master(case_of(name))
    judge, subject = OpenDss(path), Subject.of_master(path)
    for place in WITH_DATACENTER[name]:
        judge.add_port(place)
        judge.add_datacenter(place)
        held = hold_place(judge, subject, place, power_factor, (0.4, 0.95))
        assert not held.not_solved
        assert held.max_dv_pu is not None
        assert held.max_dv_pu < MAX_DV_PU, held.max_dv_at
        assert held.nose_error is not None
        assert abs(held.nose_error) < MAX_NOSE, place
