"""Digits below 1e-8 pu: cosim is held to OpenDSS's own equations, solved in extended precision."""

from __future__ import annotations

import numpy as np
import pytest
from cosim_subject import Subject
from dss_cases import CASES, write_case
from dss_reference import OpenDss
from own_equations import OwnEquations

pytestmark = [pytest.mark.validation]

PROMISED_PU = 1e-9


@pytest.mark.parametrize("name", ["ieee13-file", "ieee34_mod1-settled", "ieee37-file", "ieee123-settled"])
def test_cosim_solves_the_engines_own_equations_closer_than_the_engine(name, shared, tmp_path):
    """Where a delta hides nodes from ground the engine itself is further off than cosim may be."""
    case = next(case for case in CASES if case.id == name)
    master = write_case(case, shared / "data" / "feeders" / "dss", tmp_path)
    judge, found = OpenDss(master), Subject.of_master(master).v_pu()
    theirs, solved = judge.v_pu(), OwnEquations(judge.dss).solved()
    exact = np.array([solved[node] for node in judge.nodes]) / judge.volt
    off = float(np.abs(np.array([found[node] for node in judge.nodes]) - exact).max())
    assert off < PROMISED_PU
    assert off < np.abs(theirs - exact).max() < 1e-8


def test_equations_are_the_engines():
    """Two resistors: what is refined is Ohm's law to the last digit, from a solution that is spoilt."""
    from opendssdirect.OpenDSSDirect import OpenDSSDirect

    dss = OpenDSSDirect(prefer_lists=False).NewContext()
    for line in (
        "clear",
        "new circuit.c bus1=a phases=1 basekv=1 r1=1 x1=0 r0=1 x0=0",
        "new reactor.r bus1=a phases=1 r=3 x=0",
        "set mode=snapshot controlmode=off",
        "solve",
    ):
        dss.Text.Command(line)
    into = dss.YMatrix.VVector()
    into[2], into[3] = 17.0, -4.0
    assert abs(OwnEquations(dss).solved()["a.1"]) == pytest.approx(750.0, abs=1e-10)
