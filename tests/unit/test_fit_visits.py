"""Traces that idle and burst: a planted process is found again, and its model holds on what it has not seen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cosim.fit.document import fit_yaml
from cosim.fit.fitting import Fit, structured
from cosim.fit.reading import Trace
from cosim.fit.refine import signature_of
from cosim.fit.statistics import compare, signature
from cosim.fit.visits import or_visits, visiting
from cosim.scenario import load_scenario

sys.path.insert(0, str(Path(__file__).parents[1] / "validation" / "fidelity"))
from bursty import bursty


def planted(n=20_000, seed=3):
    """Idle at 1 kW for gamma stays of mean 12 s, bursts of 3 to 5 kW of mean 6 s, AR(1) noise of 20 W."""
    rng = np.random.default_rng(seed)
    p_w, t = np.zeros(n), 0
    while t < n:
        for level, mean_s in ((1000.0, 12.0), (rng.uniform(3000, 5000), 6.0)):
            stay = 1 + round(rng.gamma(2, (mean_s - 1) / 2))
            p_w[t : t + stay] = level
            t += stay
    noise = np.zeros(n)
    kicks = rng.normal(0, 20 * np.sqrt(1 - 0.5**2), n)
    for i in range(1, n):
        noise[i] = 0.5 * noise[i - 1] + kicks[i]
    return Trace("planted.csv", 1.0, (p_w + noise) * 1e-6)


def test_levels_stays_and_noise_of_a_planted_process_are_found():
    machine = visiting(planted(), 2, directed=False)
    idle, burst = sorted(machine.states, key=lambda s: s.p_mw[0])

    def mean(quantiles):
        return np.trapezoid(quantiles, machine.probabilities)

    assert mean(idle.p_mw) == pytest.approx(1e-3, rel=0.01)
    assert mean(burst.p_mw) == pytest.approx(4e-3, rel=0.02)
    assert (burst.p_mw[0], burst.p_mw[-1]) == pytest.approx((3e-3, 5e-3), rel=0.03)
    assert mean(idle.dwell_s) == pytest.approx(12, rel=0.05)
    assert mean(burst.dwell_s) == pytest.approx(6, rel=0.05)
    assert idle.noise_mw == pytest.approx(2e-5, rel=0.25)  # of short visits part of it is in their mean
    assert machine.noise.slow_s == pytest.approx(-1 / np.log(0.5), rel=0.5)
    assert idle.next == ((machine.states.index(burst), 1.0),)


@pytest.mark.parametrize("directed", [False, True])
def test_a_model_of_visits_is_small_and_begins_where_the_trace_does(tmp_path, directed):
    trace = bursty("shot_noise")
    machine = visiting(trace, 12, directed=directed)
    path = tmp_path / "fit.yaml"
    path.write_text(fit_yaml(Fit(trace, machine, [], [], (np.nan, np.nan))))
    assert len(path.read_text()) < 8000
    assert load_scenario(path).log.step_s == trace.dt_s
    assert machine.states[0].p_mw[0] <= trace.p_mw[0] * 1.1
    assert machine.states[0].p_mw[-1] >= trace.p_mw[0] * 0.9


def test_what_structure_meets_is_not_taken_for_visits():
    trace = Trace("steady.csv", 1.0, 0.006 + 4e-6 * np.random.default_rng(5).standard_normal(1500))
    machine = structured(trace)
    assert or_visits(machine, trace) is machine


def test_a_start_is_no_state_to_come_back_to():
    """A coarse meter's steps, which noise cannot have, behind a start of three samples: misfit, and still no visits."""
    steps = 6.0 + 0.1 * (np.random.default_rng(3).random(600) < 0.3)
    steps[:3] = 2.7, 4.0, 5.8
    trace = Trace("start.csv", 1.0, steps * 1e-3)
    machine = structured(trace)
    assert or_visits(machine, trace) is machine


@pytest.mark.validation
def test_a_model_of_bursts_holds_on_the_half_it_has_not_seen():
    """Renewal bursts with heavy-tailed gaps: all rows but one of twelve, as the first half itself does."""
    trace = bursty("pareto_gaps")
    n = len(trace.p_mw) // 2
    half = trace.part(0, n)
    machine = or_visits(structured(half), half)
    assert machine.kind == "semi_markov"
    found = signature_of(machine, 0, n, (1, 2, 3, 4, 5), with_period=True)
    rows = compare(signature(trace.p_mw[n:], trace.dt_s), found, trace.dt_s, n)
    assert sum(row.holds for row in rows) >= len(rows) - 1, [row.name for row in rows if not row.holds]
