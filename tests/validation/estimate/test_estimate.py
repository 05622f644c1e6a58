"""The roofline against published throughputs, measured runs and published memory; it refuses what does not fit."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from estimate_measured import RUNS, estimated, measured, metered_dip_kw
from estimate_published import bf16, fp8

from cosim import cli
from cosim.errors import InputError
from cosim.estimate import estimate, work_of
from cosim.estimate.memory import memory_of
from cosim.estimate.times import model_flops, stages_of
from cosim.scenario import load_scenario

ROOT = Path(__file__).resolve().parents[3]

# Table VI of the paper: GPU memory [GB] by batch, None where it ran out (24 GB RX 7900 XTX, prompts of 1024).
TABLE_VI = {
    "mamba-2.8B": {1: 5, 2: 6, 4: 6, 8: 7, 16: 9, 32: 12, 64: 18, 128: None},
    "GPT-Neo 2.7B": {1: 7, 2: 9, 4: 13, 8: None, 16: None, 32: None, 64: None, 128: None},
}


def step_s(work):
    return sum(stage.duration_s for stage in stages_of(work))


@pytest.mark.validation
@pytest.mark.parametrize("rows", [fp8(), bf16()], ids=["fp8", "bf16"])
def test_efficiency_is_that_of_published_throughputs(rows):
    ratios = [step_s(work) / published_s for work, published_s in rows]
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(1, abs=0.02)
    assert max(ratios) < 1.2
    assert min(ratios) > 0.8


@pytest.mark.validation
def test_flops_are_those_of_megatron():
    """Narayanan et al., SC 2021, Eq. 3 without recomputation: 72 B s l h^2 (1 + s / 6h + V / 12lh), B s tokens."""
    work = work_of("GPT-3 175B", "A100 SXM", count=64, tensor=8, pipeline=8, batch=64, sequence=2048)
    h, n_layer, s, words = 12288, 96, 2048, 50257
    wanted = 72 * 64 * s * n_layer * h**2 * (1 + s / (6 * h) + words / (12 * n_layer * h))
    assert model_flops(work) == pytest.approx(wanted, rel=0.01)


@pytest.mark.validation
@pytest.mark.parametrize(
    ("name", "step", "power"),
    [
        ("GPT-3 175B, 512 H100", (0.05, 0.16), (-0.02, 0.07)),
        ("Llama 2 70B LoRA, 64 H100", (-0.14, 0.0), (-0.02, 0.08)),
        ("Llama 2 70B LoRA, 8 H100", (-0.06, 0.04), (-0.05, 0.03)),
    ],
)
def test_measured_runs_are_estimated_as_the_docs_say(shared, name, step, power):
    found, seen = estimated(name), measured(shared, name)
    assert step[0] < found.step_s / seen.step_s - 1 < step[1]
    assert power[0] < found.parts.total_mw * 1e3 / seen.mean_kw - 1 < power[1]


@pytest.mark.validation
def test_dip_of_gpt3_is_the_worst_case_and_not_twice_what_was_metered(shared):
    name = "GPT-3 175B, 512 H100"
    assert 1.0 < metered_dip_kw(estimated(name)) / measured(shared, name).dip_kw < 1.6


@pytest.mark.validation
@pytest.mark.parametrize("model", TABLE_VI)
def test_memory_of_inference_is_that_of_table_vi(model):
    for batch, gb in TABLE_VI[model].items():
        asked = {"phase": "prefill", "count": 1, "batch": batch, "sequence": 1024, "generate": 100}
        work = work_of(model, "RX 7900 XTX", **asked, attention="eager", cache="contiguous")
        if gb is None:
            with pytest.raises(InputError, match=r"does not fit: .*of 21\.6 GB usable"):
                estimate(work)
        else:
            assert abs(estimate(work).memory.total_gb - gb) < 0.5 + 0.1 * gb  # printed to a whole GB


@pytest.mark.validation
def test_memory_of_training_is_that_of_zero():
    """Rajbhandari et al., SC 2020, section 3.1: 16 bytes a parameter; the optimizer's 12 split over 64 replicas."""
    alone = memory_of(work_of("GPT-2 XL", "A100 SXM", count=1, batch=1, sequence=128))
    states = alone.weights_gb + alone.gradients_gb + alone.optimizer_gb
    assert states == pytest.approx(24, rel=0.01)  # "at least 24 GB for 1.5B parameters"
    many = memory_of(work_of("GPT-2 XL", "A100 SXM", count=64, batch=64, sequence=128))
    assert many.optimizer_gb == pytest.approx(alone.optimizer_gb / 64)


@pytest.mark.validation
def test_memory_of_activations_is_that_of_korthikanti():
    """s b h L (34 + 5 a s / h) / t bytes with one pipeline stage (Eq. 2, sequence parallel), plus logits here."""
    asked = {"count": 8, "tensor": 8, "batch": 1, "sequence": 2048, "attention": "eager"}
    held = memory_of(work_of("GPT-3 175B", "A100 SXM", **asked))
    wanted = 2048 * 12288 * 96 * (34 + 5 * 96 * 2048 / 12288) / 8 / 1e9
    logits = 2048 * 50257 * 6 / 8 / 1e9
    assert held.activations_gb == pytest.approx(wanted + logits, rel=1e-9)


def test_decoding_is_bound_by_memory_and_prefill_by_compute():
    asked = {"count": 8, "tensor": 8, "batch": 8, "sequence": 2048}
    decode = estimate(work_of("Llama 3.1 70B", "H200 SXM", phase="decode", **asked))
    prefill = estimate(work_of("Llama 3.1 70B", "H200 SXM", phase="prefill", **asked))
    assert decode.bound_s["memory"] > 5 * decode.bound_s["compute"]
    assert prefill.bound_s["compute"] > 5 * prefill.bound_s["memory"]
    assert prefill.parts.total_mw > 1.3 * decode.parts.total_mw  # Splitwise: prompts draw near TDP, tokens half


def test_more_replicas_deepen_no_dip_but_communication_does():
    """The dip is the exchange of gradients: none on one replica, and longer where the network is slower."""
    asked = {"batch": 64, "sequence": 2048, "tensor": 8, "pipeline": 8}
    one = estimate(work_of("GPT-3 175B", "H100 SXM", count=64, **asked))
    four = estimate(work_of("GPT-3 175B", "H100 SXM", count=256, **asked))
    assert "all_reduce" not in [s.name for s in one.stages if s.duration_s > 0]
    assert one.dip_mw < 0.1 * four.dip_mw


def test_power_by_part_adds_up_and_lies_between_idle_and_peak():
    found = estimated("GPT-3 175B, 512 H100")
    assert found.parts.total_mw == pytest.approx(found.site_mw(found.mean_u), rel=1e-12)
    assert found.idle_mw < found.parts.total_mw < found.site_mw(1.0)
    assert sum(found.bound_s.values()) == pytest.approx(found.step_s, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 7}, r"count: is not data 1 x tensor 8 x pipeline 1 = 8 accelerators"),
        ({"count": 16, "batch": 3}, r"batch: is no multiple of data 2 x micro_batch 1"),
        ({"phase": "serving"}, r"phase: is one of training, fine_tuning, lora, prefill, decode"),
        ({"sequence": 0}, r"sequence: is at least 1"),
        ({"accelerator": "A100 SXM", "precision": "fp8"}, r"precision: A100 SXM has no FP8 peak"),
        ({"accelerator": "H1000"}, r"no such accelerator .*H100 SXM"),
        ({"phase": "decode", "sequence": 200_000}, r"sequence: Llama 3.1 70B has a context of 131072"),
        ({"phase": "decode", "batch": 4096, "sequence": 8192}, r"does not fit.*kv cache.*at most \d+ at once"),
        ({"phase": "training"}, r"does not fit.*weights.*gradients.*optimizer.*the model alone is too large"),
    ],
)
def test_what_cannot_be_is_refused_with_the_numbers(change, message):
    asked = {"accelerator": "H100 SXM", "phase": "prefill", "count": 8, "tensor": 8, "batch": 8, "sequence": 2048}
    asked |= change
    accelerator = asked.pop("accelerator")
    with pytest.raises(InputError, match=message):
        estimate(work_of("Llama 3.1 70B", accelerator, **asked))


def answer(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["cosim", "estimate", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


SMALL = ("Llama 3.1 8B", "--accelerator", "H100 SXM", "--count", 16, "--tensor", 4, "--batch", 32, "--sequence", 4096)


def test_command_writes_a_scenario_that_draws_what_it_says(monkeypatch, capsys, tmp_path):
    out = tmp_path / "estimate.yaml"
    code, text, _ = answer(monkeypatch, capsys, *SMALL, "--json", "-o", out)
    assert code == 0
    found = json.loads(text)
    load = load_scenario(out).datacenters["site"].load
    fleet, stages = load.accelerators, load.jobs["train"].iteration
    mean_u = np.average([s.utilization for s in stages], weights=[s.duration_s for s in stages])
    p_mw = load.p_base_mw + fleet.count * 1e-6 * (fleet.p_idle_w + (fleet.p_peak_w - fleet.p_idle_w) * mean_u)
    assert p_mw == pytest.approx(found["power"]["total_mw"], rel=0.005)
    assert sum(s.duration_s for s in stages) == pytest.approx(found["step_s"], rel=0.005)
    assert [s.name for s in stages][:3] == ["forward", "backward", "all_reduce"]


def test_command_prints_a_table_and_refuses_to_write_a_prefill(monkeypatch, capsys, tmp_path):
    code, text, _ = answer(monkeypatch, capsys, *SMALL)
    assert code == 0
    assert all(word in text for word in ("backward", "all_reduce", "activations", "swing when it stops"))
    code, _, err = answer(monkeypatch, capsys, *SMALL, "--phase", "prefill", "-o", tmp_path / "x.yaml")
    assert code == 2
    assert "has no iteration to write" in err


@pytest.mark.validation
def test_docs_have_the_table_of_measured_runs():
    text = (ROOT / "docs" / "estimate.md").read_text()
    for name in RUNS:
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} | step"))
        assert float(re.split(r" *\| *", row)[4]) == pytest.approx(estimated(name).step_s, rel=0.01)
