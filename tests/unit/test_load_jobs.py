"""Jobs as the kernel steps them, against a readable twin, the paper's equations and published statistics."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from without_jit import needs_jit

from cosim.errors import InputError
from cosim.load import kernel
from cosim.load.build import LoadBuilder
from cosim.load.config import LoadConfig
from cosim.load.draws import CHUNK, Stream, draw_chunk

pytestmark = pytest.mark.twin
MANY_STEPS = needs_jit("hundreds of thousands of steps")

FLEET = {"count": 800, "p_peak_w": 700.0, "p_idle_w": 100.0}
SWING_MW = 800 * 600e-6
IDLE_MW = 800 * 100e-6
SHARP = {"up": {"omega_n_rad_per_s": 3400.0}, "down": {"omega_n_rad_per_s": 3400.0}, "supply_tau_s": 0.0}
ITERATION = [
    {"name": "forward", "duration_s": 0.31, "utilization": 0.9},
    {"name": "backward", "duration_s": 0.6, "utilization": 1.0},
    {"name": "all_reduce", "duration_s": 0.12, "utilization": 0.4},
]


def load_of(*jobs, base_mw=0.0, step_us=10_000, seed=1, fleet=FLEET, folder=Path()):
    config = LoadConfig.model_validate(
        {"accelerators": fleet, "p_base_mw": base_mw, "jobs": {f"job{i}": job for i, job in enumerate(jobs)}}
    )
    return LoadBuilder({"site": config}, step_us=step_us, seed=seed, folder=folder).build()


def power(load_and_book, duration_s, step_us=10_000):
    load, book = load_and_book
    out = []
    for k in range(round(duration_s * 1e6 / step_us) + 1):
        book.turn_to(k * step_us)
        kernel.step_load(load, k * step_us)
        out.append(load.p_ai_mw[0])
        load.n_event[0] = 0
    return np.array(out)


def training(**more):
    return {"kind": "training", "iteration": ITERATION, "cold_start": [], "dynamics": SHARP} | more


def twin_utilization(duration_s, every_n, jitter, dip, seed):
    """Edges (time, utilization) of a training job, written as one would say it."""
    draws = draw_chunk(seed, Stream("site/job0/jitter", "normal", 1, lambda _: 0), 0)
    depths = draw_chunk(seed, Stream("site/job0/dip", "normal", 1, lambda _: 0), 0)
    top = max(stage["utilization"] for stage in ITERATION)
    t_us, n, edges = 0, 0, []
    since = 0
    while t_us < duration_s * 1e6:
        scale = min(max(1 + jitter * draws[n], 0.2), 5.0) if jitter else 1.0
        depth = max(1 + dip * depths[n], 0.0) if dip else 1.0
        n += 1
        for stage in ITERATION:
            edges.append((t_us, max(top - depth * (top - stage["utilization"]), 0.0)))
            t_us += round(round(stage["duration_s"] * 1e6) * scale)
        since += 1
        if since >= every_n:
            edges.append((t_us, 0.25))
            t_us += 1_500_000
            since = 0
    return edges


@pytest.mark.parametrize(("jitter", "dip"), [(0.0, 0.0), (0.05, 0.0), (0.05, 0.6)])
def test_training_follows_its_twin_edge_by_edge(jitter, dip):
    evaluation = {"every_iterations": 4, "duration_s": 1.5, "utilization": 0.25}
    job = training(iteration_jitter=jitter, dip_jitter=dip, evaluation=evaluation)
    got = power(load_of(job, base_mw=0.2), 30)
    edges = twin_utilization(30, 4, jitter, dip, 1)
    times = np.array([t for t, _ in edges])
    levels = np.array([u for _, u in edges])
    ticks = np.arange(got.size) * 10_000
    wanted = 0.2 + IDLE_MW + SWING_MW * levels[np.searchsorted(times, ticks, "right") - 1]
    settled = np.min(np.abs(ticks[:, None] - times[None, :]) + 1e9 * (ticks[:, None] < times[None, :]), axis=1) > 6000
    assert settled.sum() > 0.9 * got.size
    assert np.abs(got - wanted)[settled].max() < 1e-6


@pytest.mark.parametrize("tau_s", [0.0, 0.02])
def test_a_job_that_runs_already_stands_at_its_level_at_once(tau_s):
    """Eq. 6 at the first instant, and then the same power as of one whose lag has long arrived."""
    steady = [{"duration_s": 5, "utilization": 0.8}]
    lag = {"up": {"omega_n_rad_per_s": 3.0}, "supply_tau_s": tau_s}
    job = training(iteration=steady, dynamics=lag)
    got = power(load_of(job | {"already_running": True}, base_mw=0.2), 4)
    assert np.abs(got - (0.2 + IDLE_MW + 0.8 * SWING_MW)).max() < 1e-9
    assert power(load_of(job, base_mw=0.2), 4)[0] == pytest.approx(0.2 + IDLE_MW)


def test_power_at_a_time_does_not_depend_on_the_step():
    job = training(iteration_jitter=0.02, noise={"std": 0.02, "node_std": 0.1}, dynamics={"supply_tau_s": 0.02})
    fine = power(load_of(job, step_us=1_000), 12, step_us=1_000)[::10]
    base = power(load_of(job), 12)
    coarse = power(load_of(job, step_us=1_000_000), 12, step_us=1_000_000)
    assert np.abs(fine - base).max() < 1e-9
    assert np.abs(base[::100] - coarse).max() < 1e-9


def test_weights_share_the_fleet_and_idle_power_counts_once():
    """Eq. 17: two halves at full utilization draw the peak of the whole fleet."""
    full = {"kind": "training", "cold_start": [], "iteration": [{"duration_s": 1, "utilization": 1.0}]}
    got = power(load_of(full | {"accelerators": 400}, full | {"accelerators": 400}, base_mw=0.3), 5)
    assert got[-1] == pytest.approx(0.3 + 800 * 700e-6, rel=1e-12)


def test_weight_schedule_scales_the_swing():
    job = training(iteration=[{"duration_s": 1, "utilization": 1.0}])
    job["weight"] = [{"at_s": 0, "weight": 0.25}, {"at_s": 3, "weight": 0.75}]
    got = power(load_of(job), 5)
    assert got[250] == pytest.approx(IDLE_MW + 0.25 * SWING_MW, rel=1e-9)
    assert got[450] == pytest.approx(IDLE_MW + 0.75 * SWING_MW, rel=1e-9)


def test_another_job_does_not_change_the_first_ones_draws():
    noisy = training(accelerators=400, iteration_jitter=0.05, noise={"std": 0.05})
    alone = power(load_of(noisy), 20) - IDLE_MW
    load, book = load_of(noisy, noisy | {"start_s": None})
    beside = power((load, book), 20) - IDLE_MW
    assert np.array_equal(alone, beside)


def test_fine_tuning_keeps_the_stages_of_appendix_a():
    """0-350 s set-up, 350-1700 warm-up, 1700-3100 decay, 3100-3200 shutdown, then idle; evaluations near idle."""
    got = (power(load_of({"kind": "fine_tuning"}, step_us=100_000), 3300, step_us=100_000) - IDLE_MW) / SWING_MW
    t_s = np.arange(got.size) * 0.1
    level = {name: got[(t_s > a) & (t_s < b)] for name, a, b in
             [("surge", 1, 9), ("setup", 11, 349), ("warm", 351, 1699), ("decay", 1701, 3099), ("shut", 3102, 3199),
              ("idle", 3202, 3300)]}  # fmt: skip
    assert level["surge"].mean() > 4 * level["setup"].mean()
    assert level["warm"].max() > 0.9 and level["warm"].min() < 0.05  # noqa: PT018
    assert level["warm"].std() > level["decay"].std()  # more erratic, as the paper says
    assert level["decay"].mean() > 0.75
    assert level["shut"].max() < 0.05
    assert np.abs(level["idle"]).max() < 1e-9


def test_fine_tuning_alternates_between_one_and_beta():
    """Eq. 14."""
    stage = {"name": "x", "duration_s": 60, "utilization": 0.8, "beta": 0.5, "high_s": 3, "low_s": 2}
    job = {"kind": "fine_tuning", "stages": [stage], "evaluation": None, "dynamics": SHARP}
    got = (power(load_of(job), 50) - IDLE_MW) / SWING_MW
    assert got[250] == pytest.approx(0.8, abs=1e-9)
    assert got[450] == pytest.approx(0.4, abs=1e-9)


@MANY_STEPS
def test_queries_in_service_are_poisson():
    """Eq. 16 for queries held for their duration: M/G/infinity, mean and variance lambda d."""
    rate, duration = 30.0, 4.0
    job = {
        "kind": "inference", "p_query_w": 1.0, "step_s": 0.1, "dynamics": SHARP,
        "classes": {"a": {"size": 1000, "duration_s": duration, "rate": [{"t_s": 0, "rate_per_s": rate}]}},
    }  # fmt: skip
    load, book = load_of(job, step_us=100_000)
    got = (power((load, book), 40_000, step_us=100_000)[1000:] - IDLE_MW) * 1e6
    spaced = got[::80]  # further apart than a service: independent samples
    n = spaced.size
    mean = rate * duration
    assert spaced.mean() == pytest.approx(mean, abs=4 * math.sqrt(mean / n))
    assert spaced.var() == pytest.approx(mean, rel=4 * math.sqrt(2 / n))


@MANY_STEPS
def test_arrivals_follow_lambda_of_t():
    job = {
        "kind": "inference", "p_query_w": 1.0, "step_s": 0.1, "dynamics": SHARP,
        "classes": {"a": {"size": 1000, "duration_s": 1.0, "period_s": 100,
                          "rate": [{"t_s": 0, "rate_per_s": 0}, {"t_s": 50, "rate_per_s": 200}]}},
    }  # fmt: skip
    got = (power(load_of(job, step_us=100_000), 10_000, step_us=100_000)[:-1] - IDLE_MW) * 1e6
    profile = got.reshape(-1, 1000)[1:].mean(axis=0)
    assert profile[500] == pytest.approx(199, rel=0.05)
    assert profile[250] == pytest.approx(98, rel=0.05)
    assert profile[5] < 5


@MANY_STEPS
def test_noise_has_its_spread_and_correlation():
    job = training(iteration=[{"duration_s": 1, "utilization": 1.0}], noise={"std": 0.05, "correlation_s": 2.0})
    got = power(load_of(job, step_us=100_000), 40_000, step_us=100_000)[100:]
    relative = (got - IDLE_MW) / SWING_MW - 1
    n_independent = relative.size * 0.1 / (2 * 2.0)
    assert relative.std() == pytest.approx(0.05, rel=4 / math.sqrt(2 * n_independent))
    lag = np.corrcoef(relative[:-20], relative[20:])[0, 1]
    assert lag == pytest.approx(math.exp(-1), abs=4 / math.sqrt(n_independent))


def test_node_noise_falls_with_the_root_of_the_nodes():
    job = training(iteration=[{"duration_s": 1, "utilization": 1.0}], noise={"node_std": 0.2})
    small = load_of(job, fleet=FLEET | {"count": 8})[0].jobs["node_sigma"][0]
    large = load_of(job, fleet=FLEET | {"count": 800})[0].jobs["node_sigma"][0]
    assert small == pytest.approx(0.2)
    assert large == pytest.approx(0.02)


@MANY_STEPS
def test_failures_come_at_their_rate_and_jobs_restart():
    """Poisson per node-hour: 100 nodes at 0.36 1/h fail every 100 s of running on average."""
    job = training(failure={"rate_per_node_hour": 0.36, "restart_s": 5})
    load, book = load_of(job, step_us=100_000)
    power((load, book), 20_000, step_us=100_000)
    n = int(load.jobs["n_fail"][0]) - 1
    wanted = load.jobs["run_us"][0] / 1e8
    assert n == pytest.approx(wanted, abs=4 * math.sqrt(wanted))
    assert load.jobs["lost_us"][0] == pytest.approx(n * 5e6, abs=5e6)


@MANY_STEPS
def test_stragglers_come_at_their_rate_and_all_wait_at_their_level():
    """100 nodes at 3.6 waits per node-hour: one in ten iterations of 1 s, of 2 s on average, at U = 0.25."""
    straggler = {"rate_per_node_hour": -36 * math.log(0.9), "mean_wait_s": 2.0, "utilization": 0.25}
    job = training(iteration=[{"duration_s": 1.0, "utilization": 1.0}], straggler=straggler)
    load, book = load_of(job, step_us=100_000)
    got = (power((load, book), 20_000, step_us=100_000) - IDLE_MW) / SWING_MW
    n = int(load.jobs["n_cycle"][0])
    n_wait = np.count_nonzero((got[1:] < 0.3) & (got[:-1] > 0.9))
    lost_s = load.jobs["waited_us"][0] / 1e6
    assert n + lost_s == pytest.approx(20_000, abs=10)
    assert lost_s == pytest.approx(0.1 * n * 2.0, rel=4 * math.sqrt(2 / (0.1 * n)))
    assert n_wait == pytest.approx(0.1 * n * math.exp(-0.05 / 2), rel=0.08)  # the shortest fall between two rows
    assert np.median(got[got < 0.3]) == pytest.approx(0.25, abs=1e-9)


def test_a_failed_job_drops_to_idle_within_milliseconds():
    load, _book = load_of(training(iteration=[{"duration_s": 1, "utilization": 1.0}], dynamics={}), step_us=1_000)
    for k in range(1000):
        kernel.step_load(load, k * 1000)
    kernel.fail(load, 0, 999_000)
    for k in range(1000, 1080):
        kernel.step_load(load, k * 1000)
    assert (load.p_ai_mw[0] - IDLE_MW) / SWING_MW < 0.01


def test_dynamics_that_undershoot_below_zero_are_refused():
    wild = {"down": {"omega_n_rad_per_s": 20.0, "zeta": 0.05}}
    with pytest.raises(InputError, match="undershoot a full drop"):
        load_of(training(dynamics=wild))


def test_draws_are_a_function_of_seed_name_and_chunk():
    stream = Stream("site/a", "normal", 1, lambda _: 0)
    other = Stream("site/b", "normal", 1, lambda _: 0)
    assert np.array_equal(draw_chunk(3, stream, 7), draw_chunk(3, stream, 7))
    assert not np.array_equal(draw_chunk(3, stream, 7), draw_chunk(3, other, 7))
    assert not np.array_equal(draw_chunk(3, stream, 7), draw_chunk(3, stream, 8))
    assert draw_chunk(3, stream, 0).shape == (CHUNK,)


def write_trace(path, rows, header="t_s,p_kw"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path.name


def trace_job(name, **more):
    return {"kind": "trace", "file": name} | more


def test_trace_is_held_scaled_and_repeated(tmp_path):
    name = write_trace(tmp_path / "a.csv", ["0,100", "1,200", "2,400"])
    built = load_of(trace_job(name, scale=10, repeat=True), fleet=None, folder=tmp_path, step_us=500_000)
    got = power(built, 4, step_us=500_000)
    assert got == pytest.approx([1, 1, 2, 2, 4, 4, 1, 1, 2])


def test_trace_may_be_joined_linearly(tmp_path):
    name = write_trace(tmp_path / "a.csv", ["0,100", "1,200"])
    got = power(load_of(trace_job(name, hold="linear"), fleet=None, folder=tmp_path), 2)
    assert got[50] == pytest.approx(0.15)
    assert got[150] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,1", "2,1", "1,1"], "times must rise"),
        (["0,1", "1,nan"], "not a finite number"),
        (["0,1", "1,1", "2,1", "3,1", "60,1"], "gap of 57 s"),
        (["0,1", "1,-5"], "below zero"),
        (["0,1"], "at least two samples"),
    ],
)
def test_bad_traces_are_refused_with_their_line(tmp_path, rows, message):
    name = write_trace(tmp_path / "a.csv", rows)
    with pytest.raises(InputError, match=message):
        load_of(trace_job(name), fleet=None, folder=tmp_path)


@pytest.mark.validation
def test_measured_gpt3_trace_keeps_its_energy_and_ramp(shared):
    """512 H100 (MLPerf Training v4.0): 415.14 kWh, largest 1 s steps +82 and -65 kW."""
    folder = shared / "data/power_traces"
    job = trace_job("smc_gpt3_175b_64n_run1_aggregate_1s.csv", column="ac_kw")
    load, book = load_of(job, fleet=None, folder=folder, step_us=1_000_000)
    got = power((load, book), 3600, step_us=1_000_000)
    n = load.samples.size
    assert got[:n].sum() / 3600 * 1000 == pytest.approx(415.14, rel=1e-3)
    steps = np.diff(got[:n]) * 1000
    assert steps.max() == pytest.approx(82, abs=1)
    assert steps.min() == pytest.approx(-65, abs=1)


def test_a_job_that_outruns_its_random_draws_is_refused():
    """A millionth of a second an iteration, jittered, at a step of a second."""
    hasty = training(iteration=[{"duration_s": 1e-6, "utilization": 1.0}], iteration_jitter=0.1)
    with pytest.raises(InputError, match="too often for a step of 1 s"):
        load_of(hasty, step_us=1_000_000)


def test_a_failed_inference_job_comes_back_after_its_restart_time():
    job = {
        "kind": "inference", "p_query_w": 100.0, "dynamics": SHARP,
        "classes": {"a": {"size": 1000, "duration_s": 1.0, "rate": [{"t_s": 0, "rate_per_s": 50}]}},
    }  # fmt: skip
    load, book = load_of(job, step_us=100_000)
    power((load, book), 10, step_us=100_000)
    kernel.fail(load, 0, 10_000_000)
    levels = {}
    for t_s in (20, 100, 129, 140):
        book.turn_to(t_s * 1_000_000)
        kernel.step_load(load, t_s * 1_000_000)
        levels[t_s] = load.p_ai_mw[0] - IDLE_MW
    assert levels[20] == levels[100] == levels[129] == 0.0
    assert levels[140] > 0.0


def test_a_job_that_runs_already_is_past_its_default_cold_start():
    job = training(iteration=[{"duration_s": 5, "utilization": 0.8}])
    del job["cold_start"]
    cold = {"already_running": True, "cold_start": [{"duration_s": 60, "utilization": 0.3}]}
    for more, u in (({}, 0.1), ({"already_running": True}, 0.8), (cold, 0.3)):
        assert power(load_of(job | more, base_mw=0.2), 4)[-1] == pytest.approx(0.2 + IDLE_MW + u * SWING_MW)
