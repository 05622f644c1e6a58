"""Fits of requests and of query profiles: what is planted is found, what is measured is met, bad files are refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from ruamel.yaml import YAML
from scipy import stats

import cosim
from cosim.errors import InputError
from cosim.fit.arrivals import Record, drawn, fit_arrivals, fit_process, load_record
from cosim.fit.arrivals_document import arrivals_json, arrivals_yaml, render_arrivals
from cosim.fit.command import fit_and_say
from cosim.fit.dispersion import dispersion, stamp_interval_s
from cosim.fit.profile import fit_profile, fit_tokens_model
from cosim.scenario import load_scenario, resolve

sys.path.insert(0, str(Path(__file__).parents[1] / "validation" / "fidelity"))
from bursty_requests import KINDS, requests

QUIET = Console(quiet=True)
IDC_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def of_log(result, scale_s):
    """Index of dispersion of counts of what a run served, from its log of 0.1 s."""
    n = result.read("serving/site/chat/n_arrived")
    upto = np.concatenate(((0.0,), np.cumsum(n[:-1])))
    k = round(scale_s / 0.1)
    windows = upto[k:] - upto[:-k]
    return windows.var() / windows.mean()


@pytest.mark.validation
def test_fitted_chat_requests_have_the_measured_dispersion_in_the_log_of_a_run(shared, tmp_path):
    """Azure 2023 (CC BY 4.0), 19,366 requests: 1.4 at 1 s and 16 at 60 s where Poisson has 1; a run within 15 %."""
    record = load_record(shared / "data" / "arrivals" / "azure2023_conv.csv.gz")
    assert dispersion(record.t_s, record.duration_s, 1.0) == pytest.approx(1.4, abs=0.05)
    assert dispersion(record.t_s, record.duration_s, 60.0) == pytest.approx(16, abs=1)
    text = arrivals_yaml(fit_arrivals(record))
    assert len(text.encode()) < 8000
    (tmp_path / "fit.yaml").write_text(text)
    found = []
    for seed in (1, 2, 3):
        with cosim.run(tmp_path / "fit.yaml", seed=seed, out=tmp_path / f"{seed}.h5") as result:
            found.append([of_log(result, s) for s in IDC_S])
    wanted = [dispersion(record.t_s, record.duration_s, s) for s in IDC_S]
    assert np.mean(found, axis=0) == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("kind", ["hawkes", "modulated", "gamma_gaps", "sessions", "batches"])
def test_draws_are_as_bursty_as_requests_of_other_processes(kind):
    """Branching, Markov-modulated, renewal, sessions, batches: index of dispersion at 0.1 to 50 s within a quarter."""
    record = requests(next(one for one in KINDS if one.__name__ == kind))
    model = fit_process(record)
    draws = [drawn(model, ({"fixed": 1}, {"fixed": 1}), 0.0, record, seed)[0] for seed in range(1, 9)]
    for scale_s in (0.1, 1.0, 5.0, 20.0, 50.0):
        found = np.mean([dispersion(t_s, record.duration_s, scale_s) for t_s in draws])
        assert found == pytest.approx(dispersion(record.t_s, record.duration_s, scale_s), rel=0.25), scale_s


@pytest.mark.validation
def test_a_model_of_requests_waits_as_the_record_does(shared, tmp_path):
    """The fitted scenario, and the same replicas before the record itself: latencies within 10 %, energy within 3 %."""
    file = shared / "data" / "arrivals" / "azure2023_conv.csv.gz"
    (tmp_path / "fit.yaml").write_text(arrivals_yaml(fit_arrivals(load_record(file))))
    drawn = resolve(load_scenario(tmp_path / "fit.yaml"))
    plain = YAML(typ="safe", pure=True).load(drawn)
    chat = plain["datacenters"]["site"]["load"]["jobs"]["chat"]
    del chat["tokens_in"], chat["tokens_out"], chat["tokens_correlation"]
    chat["arrivals"] = {"kind": "trace", "file": str(file)}
    found = []
    for scenario in (tmp_path / "fit.yaml", plain):
        with cosim.run(scenario, out=tmp_path / "a.h5") as result:
            found.append(result.metrics["serving"]["site"]["chat"])
    model, record = found
    assert record["n_arrived"] == 19_366
    for kind in ("ttft", "tpot", "latency"):
        for percent in (50, 90, 99):
            key = f"{kind}_p{percent}_s"
            assert model[key] == pytest.approx(record[key], rel=0.1), key
    assert model["e_per_token_j"] == pytest.approx(record["e_per_token_j"], rel=0.03)


@pytest.mark.validation
def test_fitted_requests_with_coarse_stamps_compare_through_the_stamps(shared):
    """Mooncake (Apache-2.0), stamps of 3 s: the dispersion that coarse stamps make is in the draws as well."""
    fit = fit_arrivals(load_record(shared / "data" / "arrivals" / "mooncake_conversation_trace.csv.gz"))
    assert fit.record.stamp_s == pytest.approx(3.0, rel=1e-3)
    rows = {row.name: row for row in fit.rows}
    assert rows["CV of distances"].trace == pytest.approx(3.0, abs=0.05)
    for name, row in rows.items():
        if name.startswith("IDC"):
            assert row.simulation == pytest.approx(row.trace, rel=0.25), name
    assert rows["IDC 0.1 s"].trace > 10


@pytest.mark.validation
@pytest.mark.parametrize("record", ["azure2023_conv", "mooncake_conversation_trace"])
def test_burstiness_of_the_first_half_is_that_of_the_second_but_for_drift(shared, record):
    """Rate and lambda(t) of the halves differ; about the mean of each 150 s the index agrees within 15 %."""
    fit = fit_arrivals(load_record(shared / "data" / "arrivals" / f"{record}.csv.gz"))
    rows = {row.name: row for row in fit.held_out if "no drift" in row.name}
    assert len(rows) == 3
    for name, row in rows.items():
        assert row.simulation == pytest.approx(row.trace, rel=0.15), name


def code_like(seed, stamp_s=0.0):
    """Bursts between silences: a code-completion service, CV about 10, IDC about 150 at 60 s."""
    rng = np.random.default_rng(seed)
    now, parts = 0.0, []
    while now < 3600:
        on, off = rng.exponential(25), rng.exponential(45)
        parts.append(now + rng.random(rng.poisson(on * 7 * rng.gamma(2, 0.5))) * on)
        now += on + off
    t_s = np.sort(np.concatenate(parts))
    if stamp_s:
        t_s = np.floor(t_s / stamp_s) * stamp_s
    n = len(t_s)
    return Record("code", t_s - t_s[0], rng.integers(1, 4000, n), rng.geometric(0.03, n), stamp_interval_s(t_s))


@pytest.mark.parametrize("stamp_s", [0.0, 3.0])
def test_bursts_between_silences_are_fitted(stamp_s):
    fit = fit_arrivals(code_like(0, stamp_s))
    assert fit.record.stamp_s == pytest.approx(stamp_s)
    rows = {row.name: row for row in fit.rows}
    assert rows["CV of distances"].trace > 9
    assert rows["CV of distances"].simulation == pytest.approx(rows["CV of distances"].trace, rel=0.25)
    for name, row in rows.items():
        if name.startswith("IDC"):
            assert row.simulation == pytest.approx(row.trace, rel=0.15), name
    assert len(arrivals_yaml(fit).encode()) < 8000


def test_poisson_and_regular_requests_are_not_made_bursty():
    rng = np.random.default_rng(4)
    ones = np.ones(9000, int)
    poisson = np.cumsum(rng.exponential(0.2, 9000))
    assert fit_arrivals(Record("p", poisson - poisson[0], ones, ones, 0.0)).arrivals["kind"] == "poisson"
    regular = np.cumsum(rng.gamma(9, 0.2 / 9, 9000))
    found = fit_arrivals(Record("r", regular - regular[0], ones, ones, 0.0)).arrivals
    assert found["kind"] == "gamma"
    assert found["cv"] == pytest.approx(1 / 3, rel=0.03)


def test_two_days_become_the_hours_of_a_day():
    """lambda(t) = 1 + 0.6 sin: laid over one another, met within 7 % at each hour."""
    rng = np.random.default_rng(5)
    t = np.sort(rng.random(172_800) * 172_800)
    wave = 1 + 0.6 * np.sin(2 * np.pi * t / 86_400)
    t = t[rng.random(len(t)) < wave / 1.6]
    ones = np.ones(len(t), int)
    found = fit_process(Record("day", t - t[0], ones, ones, 0.0))
    assert found["period_s"] == 86_400
    assert len(found["rate"]) == 24
    for point in found["rate"]:
        wanted = (1 + 0.6 * math.sin(2 * math.pi * point["t_s"] / 86_400)) / 1.6
        assert point["rate_per_s"] == pytest.approx(wanted, rel=0.07)


@pytest.mark.parametrize(
    ("flags", "code"),
    [(["--arrivals", "--profile"], 2), (["--arrivals", "--report", "x.html"], 2), (["--arrivals"], 0)],
)
def test_fit_command_takes_requests(tmp_path, monkeypatch, flags, code):
    monkeypatch.chdir(tmp_path)
    t_s = np.cumsum(np.random.default_rng(1).exponential(0.2, 1500))
    Path("r.csv").write_text("\n".join(["t_s,tokens_in,tokens_out", *(f"{t:.4f},10,20" for t in t_s)]))
    ran = subprocess.run([sys.executable, "-m", "cosim.cli", "fit", "r.csv", *flags], capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr
    assert Path("r.fit.yaml").exists() == (code == 0)


def test_fit_of_requests_prints_both_tables_and_json(capsys):
    fit = fit_arrivals(code_like(1))
    render_arrivals(fit, Console(width=100))
    text = capsys.readouterr().out
    assert "Model of the first half against the second half" in text
    assert "IDC 100 s" in text
    found = json.loads(arrivals_json(fit))
    assert {row["name"] for row in found["whole"]} >= {"IDC 0.1 s", "IDC 100 s", "mean tokens in"}


@pytest.mark.parametrize(
    ("rows", "why"),
    [(["1,2,3"] * 50, "a fit needs at least 200"), (["1,2,3"] * 300, "too little for a fit")],
)
def test_records_that_cannot_be_fitted_are_refused(tmp_path, rows, why):
    (tmp_path / "r.csv").write_text("\n".join(["t_s,tokens_in,tokens_out", *rows]))
    with pytest.raises(InputError, match=why):
        fit_and_say(tmp_path / "r.csv", None, QUIET, kind="arrivals", json=False, report=None)


# Published: Wilkins, Keshav, Mortier, workload-based energy models; slides, table of R2, F and p.
SLIDES = [
    ("Falcon (7B)", 0.964, 681.2, 2.53e-55), ("Falcon (40B)", 0.972, 904.5, 1.78e-60),
    ("Llama-2 (7B)", 0.973, 942.3, 3.76e-61), ("Llama-2 (13B)", 0.972, 887.8, 3.60e-60),
    ("Llama-2 (70B)", 0.976, 1022, 6.66e-62), ("Mistral (7B)", 0.975, 997.0, 1.70e-61),
    ("Mixtral (8x7B)", 0.980, 1238, 4.97e-65),
]  # fmt: skip


@pytest.mark.validation
@pytest.mark.parametrize(("model", "r2", "f", "p"), SLIDES)
def test_a_fit_as_good_as_a_published_one_has_its_f_and_p(model, r2, f, p):
    """Queries planted with the published R2 (uncentred, three terms, no constant): F and p come out as printed.

    77 or 78 degrees of freedom are what the printed F and p have in common; R2 is printed to three digits.
    """
    best = math.inf
    for free in (77, 78):
        rng = np.random.default_rng(3)
        tokens_in, tokens_out = rng.integers(8, 2048, (2, free + 3)).astype(float)
        terms = np.column_stack((tokens_in, tokens_out, tokens_in * tokens_out))
        clean = terms @ [0.3, 4.0, 1e-3]
        noise = rng.standard_normal(free + 3)
        noise -= terms @ np.linalg.lstsq(terms, noise, rcond=None)[0]
        exact_r2 = 3 * f / (3 * f + free)
        assert exact_r2 == pytest.approx(r2, abs=0.0009)
        noise *= math.sqrt((1 - exact_r2) / exact_r2 * (clean @ clean) / (noise @ noise))
        fit = fit_tokens_model(tokens_in, tokens_out, clean + noise, "J")
        assert fit.a == pytest.approx((0.3, 4.0, 1e-3), rel=1e-6)
        assert (fit.r2, fit.f) == pytest.approx((exact_r2, f), rel=1e-9)
        best = min(best, abs(math.log(fit.p_f / p)))
    assert best < 0.06  # F is printed to four digits: its last one moves p by that much


def test_least_squares_equal_those_by_normal_equations():
    """Coefficients, standard errors and p values by the textbook, on noisy queries."""
    rng = np.random.default_rng(9)
    t_in, t_out = rng.integers(10, 3000, (2, 60)).astype(float)
    y = 0.2 * t_in + 3 * t_out + 2e-4 * t_in * t_out + 200 * rng.standard_normal(60)
    fit = fit_tokens_model(t_in, t_out, y, "J")
    x = np.column_stack((t_in, t_out, t_in * t_out))
    inverse = np.linalg.inv(x.T @ x)
    a = inverse @ x.T @ y
    left = y - x @ a
    error = np.sqrt(left @ left / 57 * np.diag(inverse))
    assert fit.a == pytest.approx(a, rel=1e-6)
    assert fit.error == pytest.approx(error, rel=1e-6)
    assert fit.p == pytest.approx(2 * stats.t.sf(np.abs(a / error), 57), rel=1e-4)
    assert fit.r2 == pytest.approx(1 - left @ left / (y @ y), rel=1e-12)


def profile_csv(folder: Path) -> Path:
    rng = np.random.default_rng(2)
    rows = ["tokens_in,tokens_out,energy_j,runtime_s"]
    for t_in in (32, 128, 512, 2048):
        for t_out in (16, 64, 256, 1024):
            energy, runtime = (
                0.3 * t_in + 6 * t_out + 4e-4 * t_in * t_out,
                1e-4 * t_in + 0.02 * t_out + 1e-6 * t_in * t_out,
            )
            rows.append(f"{t_in},{t_out},{energy * rng.normal(1, 0.01):.6g},{runtime * rng.normal(1, 0.01):.6g}")
    (folder / "p.csv").write_text("\n".join(rows))
    return folder / "p.csv"


def test_a_fitted_profile_is_the_power_of_a_query(tmp_path):
    """The scenario written runs, and a query in it draws e / r for r, on a grid of 0.1 s."""
    fit_and_say(profile_csv(tmp_path), tmp_path / "fit.yaml", QUIET, kind="profile", json=False, report=None)
    scenario = load_scenario(tmp_path / "fit.yaml")
    job = scenario.datacenters["site"].load.jobs["queries"]
    query = job.classes["median"]
    fit = fit_profile(tmp_path / "p.csv")
    energy_j = job.energy_model.of(query.tokens_in, query.tokens_out)
    assert energy_j == pytest.approx(0.3 * 320 + 6 * 160 + 4e-4 * 320 * 160, rel=0.02)
    power_w, runtime_s = job.query(query)
    assert power_w * runtime_s == pytest.approx(energy_j)
    assert fit.energy.r2 > 0.99
    with cosim.run(tmp_path / "fit.yaml", out=tmp_path / "a.h5", set={"time.duration_s": 300}) as result:
        p_mw = result.read("datacenter/site/p_ai_mw")
    idle_mw = scenario.datacenters["site"].load.accelerators.count * 100e-6
    mean_w = (p_mw[300:].mean() - idle_mw) * 1e6
    assert mean_w == pytest.approx(query.rate[0].rate_per_s * energy_j, rel=0.08)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tokens_in,tokens_out\n1,2\n", "looks for columns tokens_in, tokens_out and energy_j"),
        ("tokens_in,tokens_out,energy_j\n1,2,3\n", "at least 6"),
        ("tokens_in,tokens_out,energy_j\n1,2,0\n", ":2: energy_j is not a number above 0"),
        ("tokens_in,tokens_out,energy_j\n" + "1,2,3\n" * 8, "does not tell the three terms apart"),
    ],
)
def test_profiles_that_cannot_be_fitted_are_refused(tmp_path, text, why):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=why):
        fit_and_say(tmp_path / "p.csv", None, QUIET, kind="profile", json=False, report=None)
