"""What jobs count, against their schedules written down by hand and the engine's own energy."""

from __future__ import annotations

import pytest

import cosim

FLEET = {"count": 1000, "p_peak_w": 700.0, "p_idle_w": 100.0}
TRAINING = {
    "kind": "training",
    "accelerators": 500,
    "cold_start": [{"duration_s": 5.0, "utilization": 0.1}],
    "iteration": [{"duration_s": 1.5, "utilization": 1.0}, {"duration_s": 0.5, "utilization": 0.3}],
    "checkpoint": {"every_iterations": 10, "duration_s": 3.0, "utilization": 0.0},
    "tokens_per_iteration": 4e6,
}


def chat(rate_per_s, **more):
    one = {"size": 1000, "duration_s": 4.0, "rate": [{"t_s": 0, "rate_per_s": rate_per_s}]}
    return {"kind": "inference", "accelerators": 500, "p_query_w": 50.0, "classes": {"short": one | more}}


def counted(tmp_path, jobs, duration_s=60.0, events=()):
    scenario = {
        "schema": 1,
        "name": "counts",
        "time": {"duration_s": duration_s, "step_s": 0.01},
        "feeder": {"model": "case33bw"},
        "datacenters": {"dc": {"bus": "5", "load": {"accelerators": FLEET, "p_base_mw": 0.05, "jobs": jobs}}},
        "events": list(events),
    }
    with cosim.run(scenario, out=tmp_path / "counts.h5") as result:
        return result.metrics


def test_training_counts_whole_iterations_between_its_checkpoints(tmp_path):
    """5 s cold start, then 20 s for ten iterations and 3 s for a checkpoint: two rounds end at 51 s, four more fit."""
    job = counted(tmp_path, {"a": TRAINING})["job"]["dc"]["a"]
    assert job["n_iteration"] == 24
    assert job["n_token"] == 24 * 4e6


def test_training_does_not_count_the_iteration_that_a_failure_breaks_off(tmp_path):
    """Failed at 10 s, in its third iteration; restart after 20 s, cold until 35 s, twelve iterations less 3 s."""
    failed = {"at_s": 10.5, "kind": "job_failed", "datacenter": "dc", "job": "a"}
    job = TRAINING | {"failure": {"restart_s": 20.0}}
    assert counted(tmp_path, {"a": job}, events=[failed])["job"]["dc"]["a"]["n_iteration"] == 2 + 10


def test_energies_of_jobs_and_of_what_idles_sum_to_that_of_the_servers(tmp_path):
    found = counted(tmp_path, {"a": TRAINING, "b": chat(100.0)})
    jobs = found["job"]["dc"]
    idle_mwh = (1000 * 100e-6 + 0.05) * 60.0 / 3600.0
    total = jobs["a"]["e_mwh"] + jobs["b"]["e_mwh"] + idle_mwh
    assert total == pytest.approx(found["datacenter"]["dc"]["e_ai_mwh"], rel=1e-9)


def test_inference_counts_queries_that_were_served_and_their_tokens(tmp_path):
    """Poisson arrivals of 100/s: those of the first 56 s are done after 60 s, within four standard deviations."""
    job = counted(tmp_path, {"b": chat(100.0, tokens_in=700, tokens_out=300, prefill_share=0.2)})["job"]["dc"]["b"]
    assert job["n_query"] == pytest.approx(5600, abs=4 * 5600**0.5)
    assert job["n_token_in"] == 700 * job["n_query"]
    assert job["n_token_out"] == 300 * job["n_query"]
    assert job["e_prefill_mwh"] == pytest.approx(0.2 * job["e_mwh"])
    assert job["e_prefill_mwh"] + job["e_decode_mwh"] == pytest.approx(job["e_mwh"])


def test_inference_without_tokens_in_its_scenario_counts_queries_only(tmp_path):
    job = counted(tmp_path, {"b": chat(100.0, tokens_in=700)})["job"]["dc"]["b"]
    assert "n_token_out" not in job
    assert "e_prefill_mwh" not in job
