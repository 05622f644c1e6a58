"""A load that goes from state to state: against a readable twin, renewal theory, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from test_load_jobs import IDLE_MW, MANY_STEPS, SHARP, SWING_MW, load_of, power

from cosim.errors import InputError
from cosim.load.config import LoadConfig
from cosim.load.config_visits import PROBABILITIES
from cosim.load.draws import Stream, draw_chunk

pytestmark = pytest.mark.twin

STATES = {
    "idle": {"utilization": 0.1, "dwell_s": [0.4, 0.5, 1.0, 4.0], "next": {"busy": 0.75, "full": 0.25}},
    "busy": {"utilization": [0.3, 0.35, 0.5, 0.6], "dwell_s": [0.2, 0.3, 0.5, 2.5], "next": {"idle": 0.5, "full": 0.5}},
    "full": {"utilization": 1.0, "dwell_s": 0.7, "next": {"idle": 1.0}},
}
AT = [0.0, 0.2, 0.8, 1.0]


def job(**more):
    return {"kind": "semi_markov", "probabilities": AT, "states": STATES, "dynamics": SHARP} | more


def visits(duration_s, seed):
    """Edges (time [us], utilization) as one would say it."""
    draws = iter(draw_chunk(seed, Stream("site/job0/visit", "uniform", 1, lambda _: 0), 0))
    names, t_us, name, out = list(STATES), 0, None, []

    def drawn(value, share):
        return float(np.interp(share, AT, value)) if isinstance(value, list) else value

    while t_us <= duration_s * 1e6:
        which, level, stay = next(draws), next(draws), next(draws)
        if name is None:
            name = names[0]
        else:
            sums = np.cumsum([STATES[name]["next"].get(other, 0.0) for other in names])
            name = names[int(np.searchsorted(sums, which, side="right"))]
        out.append((t_us, drawn(STATES[name]["utilization"], level)))
        t_us += round(drawn(STATES[name]["dwell_s"], stay) * 1e6)
    return out


def test_visits_follow_their_twin_edge_by_edge():
    p_mw = power(load_of(job(already_running=True), seed=3), 60.0)
    edges = visits(60.0, seed=3)
    t_us = np.arange(len(p_mw)) * 10_000
    k = np.searchsorted([t for t, _ in edges], t_us, side="right") - 1
    begin = np.array([t for t, _ in edges])[k]
    settled = t_us - begin >= 5_000  # an edge of 3400 rad/s is over
    wanted = IDLE_MW + SWING_MW * np.array([u for _, u in edges])[k]
    assert settled.mean() > 0.9
    np.testing.assert_allclose(p_mw[settled], wanted[settled], atol=2e-5 * SWING_MW)


def test_power_at_a_time_does_not_depend_on_the_step():
    fine = power(load_of(job(), seed=4), 90.0)
    coarse = power(load_of(job(), seed=4, step_us=1_000_000), 90.0, 1_000_000)
    np.testing.assert_allclose(coarse, fine[::100], atol=1e-9)


@MANY_STEPS
def test_time_shares_are_those_of_a_semi_markov_process():
    """Long-run share of a state: pi_k m_k / sum, pi the stationary chain of visits, m mean stays (Ross, 1996)."""
    chain = np.array([[0, 0.75, 0.25], [0.5, 0, 0.5], [1, 0, 0]])
    values, vectors = np.linalg.eig(chain.T)
    pi = np.real(vectors[:, np.argmax(np.real(values))])
    mean_s = np.array([np.trapezoid(STATES[name]["dwell_s"], AT) for name in ("idle", "busy")] + [0.7])
    share = pi * mean_s / (pi * mean_s).sum()
    u = np.array([0.1, np.trapezoid(STATES["busy"]["utilization"], AT), 1.0])
    p_mw = power(load_of(job(), seed=5, step_us=100_000), 8000.0, step_us=100_000)
    assert ((p_mw - IDLE_MW) / SWING_MW).mean() == pytest.approx(share @ u, rel=0.02)
    assert (p_mw > IDLE_MW + 0.8 * SWING_MW).mean() == pytest.approx(share[2], rel=0.05)


def test_noise_of_a_state_is_its_own():
    states = {
        "quiet": {"utilization": 0.5, "dwell_s": 400.0, "noise_factor": 0.0},
        "loud": {"utilization": 0.5, "dwell_s": 1e6, "noise_factor": 2.0},
    }
    noise = {"std": 0.01, "correlation_s": 0.1, "step_s": 0.5}
    p_mw = power(load_of(job(states=states, noise=noise, already_running=True), step_us=500_000), 1600.0, 500_000)
    swing = (p_mw - IDLE_MW) / (0.5 * SWING_MW)
    assert swing[:799] == pytest.approx(1.0, abs=1e-9)
    assert swing[801:].std() == pytest.approx(0.02, rel=0.1)


def test_a_power_cap_cuts_visits():
    p_mw = power(load_of(job(mitigation={"p_cap_w": 400})), 60.0)
    assert p_mw.max() == pytest.approx(800 * 400e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"probabilities": [0.0, 0.5, 0.4, 1.0]}, "probabilities must rise from 0 to 1"),
        ({"probabilities": PROBABILITIES}, "state idle has 4 quantiles of dwell_s; probabilities has 11"),
        ({"states": {"a": {"utilization": [1, 0.5, 0.6, 1], "dwell_s": 1}}}, "quantiles may not fall"),
        ({"states": {"a": {"utilization": 1, "dwell_s": 1, "next": {"b": 1}}}}, "next state b; there are a"),
        ({"states": {"a": {"utilization": 1, "dwell_s": 1, "next": {"a": 0.5}}}}, "sums to 0.5, not 1"),
        ({"states": {"a": {"utilization": 1, "dwell_s": 0}}}, "greater than 0"),
        ({"states": {}}, "at least 1 item"),
    ],
)
def test_states_that_are_no_process_are_refused(change, said):
    fleet = {"count": 8, "p_peak_w": 700, "p_idle_w": 100}
    with pytest.raises(ValueError, match=said):
        LoadConfig.model_validate({"accelerators": fleet, "jobs": {"chat": job(**change)}})


def test_visits_shorter_than_draws_can_follow_are_refused():
    states = {"a": {"utilization": 1, "dwell_s": 1e-6}, "b": {"utilization": 0, "dwell_s": 1e-6}}
    with pytest.raises(InputError, match="too often for a step"):
        load_of(job(states=states), step_us=1_000_000)
