"""Serving jobs in a whole run: the same bits however it is cut, logs that add up, a cap that shows in latency."""

from __future__ import annotations

import numpy as np
import pytest

import cosim
from cosim.engine.serving import percentile_s
from cosim.engine.simulation import Simulation
from cosim.engine.totals import run_totals
from cosim.load.kernel_queue import BINS_PER_DECADE, LEAST_BIN_US, N_BIN
from cosim.wiring import prepare

REPLICA = {
    "accelerators": 8, "max_batch": 32, "kv_tokens": 100_000, "prefill_tokens_per_s": 20_000.0, "step_s": 0.02,
    "step_per_request_s": 5e-4, "step_per_token_s": 1e-8,
}  # fmt: skip
CALL = {
    "at_s": 40, "kind": "demand_response_started", "datacenter": "campus", "p_mw": 0.08, "duration_s": 60,
    "ramp_mw_per_s": 0.02,
}  # fmt: skip


def scenario(events=(), duration_s=120, **job):
    return {
        "schema": 1, "name": "serving", "time": {"duration_s": duration_s, "step_s": 0.05},
        "feeder": {"model": "case33bw"},
        "datacenters": {
            "campus": {
                "bus": 5,
                "load": {
                    "accelerators": {"count": 192, "p_peak_w": 1000, "p_idle_w": 100},
                    "jobs": {
                        "chat": {
                            "kind": "serving", "accelerators": 128, "replica": REPLICA,
                            "arrivals": {
                                "kind": "modulated", "rate": [{"t_s": 0, "rate_per_s": 48}],
                                "sources": [{"states": [{"factor": 0.7, "mean_s": 5}, {"factor": 1.3, "mean_s": 5}]}],
                            },
                            "tokens_in": {"median": 500, "sigma": 0.8}, "tokens_out": {"median": 150, "sigma": 0.7},
                            "timeout_s": 30,
                        }
                        | job,
                        "code": {
                            "kind": "serving", "accelerators": 64, "replica": REPLICA, "start_s": 7.03, "stop_s": 90.0,
                            "arrivals": {"kind": "gamma", "cv": 3, "rate": [{"t_s": 0, "rate_per_s": 10}]},
                            "tokens_in": {"fixed": 1500}, "tokens_out": {"median": 20, "sigma": 0.5}, "step_s": 0.2,
                        },
                    },
                },
            }
        },
        "events": list(events), "log": {"step_s": 0.5},
    }  # fmt: skip


def simulate(plain, max_block_s=None, cut_s=None):
    """Rows, events, totals; with `cut_s` stored there and gone on in a fresh simulation."""
    config, feeder = prepare(plain)
    sim = Simulation(config, feeder, config.folder)
    parts, events = [], []
    blocks = sim.blocks(max_block_s)
    for block in blocks:
        parts.append({path: np.array(rows) for path, rows in block.columns.items()})
        events += block.events
        if cut_s is not None and block.now_us >= cut_s * 1e6:
            stored = sim.state()
            blocks.close()
            sim = Simulation(config, feeder, config.folder)
            sim.restore(stored)
            for rest in sim.blocks(max_block_s):
                parts.append({path: np.array(rows) for path, rows in rest.columns.items()})
                events += rest.events
            break
    return {path: np.concatenate([part[path] for part in parts]) for path in parts[0]}, events, run_totals(sim)


EVENTS = [CALL, {"at_s": 20.0, "kind": "job_failed", "datacenter": "campus", "job": "code"},
          {"at_s": 50.01, "kind": "source_lost", "duration_s": 0.5}]  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return simulate(scenario(EVENTS))


@pytest.mark.parametrize(("max_block_s", "cut_s"), [(0.31, None), (7.0, 33.0), (1.0, 61.0)])
def test_serving_does_not_depend_on_blocks_or_a_resume(whole, max_block_s, cut_s):
    rows, events, totals = simulate(scenario(EVENTS), max_block_s, cut_s)
    assert rows.keys() == whole[0].keys()
    for path, values in rows.items():
        assert np.array_equal(values, whole[0][path]), path
    assert events == whole[1]
    for path, value in totals.items():
        assert np.array_equal(value, whole[2][path]), path


def test_rows_add_up_to_the_totals(whole):
    rows, _, totals = whole
    for name, kinds in (("campus/chat", 120.0), ("campus/code", None)):
        assert rows[f"serving/{name}/n_arrived"].sum() == totals[f"serving/{name}/n_arrived"]
        if kinds:
            tokens = (rows[f"serving/{name}/tokens_per_s"][1:] * 0.5).sum()
            assert tokens == pytest.approx(totals[f"serving/{name}/tokens_out"], rel=1e-9)
    chat = {key.rpartition("/")[2]: value for key, value in totals.items() if key.startswith("serving/campus/chat/")}
    gone = chat["n_turned_away"] + chat["n_timed_out"] + chat["n_too_long"] + chat["n_lost"]
    assert chat["n_arrived"] == chat["n_done"] + gone + chat["n_left"]
    assert chat["n_lost"] > 0  # the source was lost


def test_prefill_decode_and_idle_sum_to_the_energy_of_the_job(whole):
    """Under a call, with a failed job and a lost source; of the accelerators and of what they took from the site."""
    _, _, totals = whole
    for name in ("chat", "code"):
        stem = f"serving/campus/{name}/"
        found = {key.removeprefix(stem): value for key, value in totals.items() if key.startswith(stem)}
        parts = [found[f"e_{part}_mwh"] for part in ("prefill", "decode", "idle")]
        assert min(parts) > 0.0
        assert sum(parts) == pytest.approx(found["e_mwh"], rel=1e-9)
        assert found["idle_share"] == pytest.approx(parts[2] / found["e_mwh"], rel=1e-12)
        assert found["e_prefill_per_token_in_j"] * found["tokens_in"] == pytest.approx(parts[0] * 3.6e9, rel=1e-9)
        assert found["e_decode_per_token_out_j"] * found["tokens_out"] == pytest.approx(parts[1] * 3.6e9, rel=1e-9)
        job = {key: totals[f"job/campus/{name}/e_{key}mwh"] for key in ("", "prefill_", "decode_")}
        assert job["prefill_"] + job["decode_"] == pytest.approx(job[""], rel=1e-9)
        assert job["prefill_"] / job[""] == pytest.approx(parts[0] / (parts[0] + parts[1]), rel=1e-9)


def test_a_cap_shows_its_price_in_latency():
    """Of one draw of arrivals, with and without a call: less energy, the same requests, longer waits."""
    _, _, free = simulate(scenario())
    _, _, capped = simulate(scenario([CALL]))
    stem = "serving/campus/chat/"
    assert capped[stem + "n_arrived"] == free[stem + "n_arrived"]
    assert free[stem + "capped_s"] == 0.0
    assert 50 <= capped[stem + "capped_s"] <= 64
    assert "ttft_p99_capped_s" not in {key.removeprefix(stem) for key in free}
    assert capped[stem + "tpot_p50_capped_s"] > 1.2 * free[stem + "tpot_p50_s"]
    assert capped[stem + "ttft_p99_s"] > 3 * free[stem + "ttft_p99_s"]
    assert capped[stem + "e_mwh"] < free[stem + "e_mwh"]
    assert capped["datacenter/campus/e_throttled_mwh"] > 0


def test_energy_of_jobs_and_idle_accelerators_is_that_of_the_site():
    """P_AI over the run is what its two jobs draw, idle power among it, but for the lag of supplies."""
    plain = scenario()
    del plain["datacenters"]["campus"]["load"]["jobs"]["code"]["stop_s"]
    _, _, totals = simulate(plain)
    jobs = sum(totals[f"serving/campus/{name}/e_mwh"] for name in ("chat", "code"))
    idle_mwh = 64 * 100e-6 * 7.03 / 3600  # of the second one before its start
    assert jobs + idle_mwh == pytest.approx(totals["datacenter/campus/e_ai_mwh"], rel=2e-3)


def test_throughput_is_bound_by_the_step_of_a_full_batch():
    """Under more requests than they can serve, replicas give max_batch tokens a step, less the time of prefill."""
    job = {
        "arrivals": {"kind": "poisson", "rate": [{"t_s": 0, "rate_per_s": 400}]}, "tokens_in": {"fixed": 200},
        "tokens_out": {"fixed": 300}, "timeout_s": None,
    }  # fmt: skip
    _, _, totals = simulate(scenario(duration_s=240, **job))
    step_s = 0.02 + 32 * 5e-4 + 1e-8 * 32 * (200 + 150)
    per_request_s = 200 / 20_000 + 299 * step_s / 32
    assert totals["serving/campus/chat/requests_per_s"] == pytest.approx(16 / per_request_s, rel=0.06)
    assert totals["serving/campus/chat/utilization"] > 0.6


def test_percentiles_of_the_histogram_are_within_a_bin():
    rng = np.random.default_rng(2)
    times_us = 1e5 * rng.lognormal(0, 1.5, 40_000)
    k = (BINS_PER_DECADE * np.log10(times_us / LEAST_BIN_US)).astype(int)
    counts = np.bincount(np.clip(k, 0, N_BIN - 1), minlength=N_BIN)
    for p in (50, 90, 99):
        assert percentile_s(counts, p) == pytest.approx(np.percentile(times_us, p) * 1e-6, rel=0.02)


def test_show_tells_latencies_and_what_was_lost(tmp_path, capsys):
    from rich.console import Console

    from cosim.report.show import render_show, show_json

    busy = {"kind": "poisson", "rate": [{"t_s": 0, "rate_per_s": 90}]}
    with cosim.run(scenario([CALL], queue_limit=5, arrivals=busy), out=tmp_path / "a.h5") as result:
        render_show(result, Console(width=160))
        text = capsys.readouterr().out
        assert '"ttft_p99_capped_s"' in show_json(result)
        assert result.to_xarray(group="serving/campus/chat") is not None
    assert "Serving, chat of campus" in text
    assert "time to first token under a cap" in text
    assert "turned away" in text


def test_report_draws_queues_and_first_tokens(tmp_path):
    from cosim.metrics.analysis import Analysis
    from cosim.report.panels import signals

    with cosim.run(scenario(duration_s=20), out=tmp_path / "a.h5") as result:
        found = signals(result, Analysis(step_s=0.5, start_s=0.0, end_s=20.0, n_row=41))
    drawn = {(signal.panel, signal.label) for signal in found if signal.panel in ("requests", "ttft")}
    assert ("requests", "campus: chat, waiting") in drawn
    assert ("ttft", "campus: code, mean since the last row") in drawn
    assert len(drawn) == 6
