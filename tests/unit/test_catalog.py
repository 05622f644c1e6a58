"""Catalog: the paper's tables as printed, sources everywhere, plausible units, plain errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cosim import cli
from cosim.catalog import (
    find_accelerator,
    find_component,
    find_model,
    find_server,
    list_accelerators,
    list_components,
    list_models,
    list_servers,
    p_rest_w,
)
from cosim.catalog.entries import AcceleratorFile, ModelFile, ServerFile, key
from cosim.catalog.loader import read_file
from cosim.errors import InputError

# Table V of the paper: maximum power [W], memory [GB], its bandwidth [GB/s], FP32 [TFLOPS], year.
# Its one column for the V100 gives 15.7 TFLOPS and 2017; those are the SXM2 module's.
TABLE_V = [
    ("V100 SXM2", 300, 32, 900, 15.7, 2017),
    ("V100 PCIe", 250, 32, 900, None, 2017),
    ("V100S PCIe", 250, 32, 1134, None, None),
    ("A40", 300, 48, 696, 37.4, 2020),
    ("RTX 4090", 450, 24, 1008, 82.58, 2022),
    ("RX 7900 XTX", 355, 24, 960, 61.42, 2022),
]

# Table IV of the paper: parameters [1e6], layers, hidden size, attention heads, context length.
TABLE_IV = [
    ("GPT-2 Small", 124, 12, 768, 12, 1024),
    ("GPT-2 Medium", 355, 24, 1024, 16, 1024),
    ("GPT-2 Large", 774, 36, 1280, 20, 1024),
    ("GPT-2 XL", 1500, 48, 1600, 25, 1024),
    ("nanoGPT-124M", 124, 12, 768, 12, None),
    ("mamba-130M", 130, 24, 768, None, 2048),
    ("mamba-370M", 370, 48, 1024, None, 2048),
    ("mamba-790M", 790, 48, 1536, None, 2048),
    ("mamba-1.4B", 1400, 48, 2048, None, 2048),
    ("mamba-2.8B", 2800, 64, 2560, None, 2048),
    ("GPT-Neo 125M", 125, 12, 768, 12, 2048),
    ("GPT-Neo 1.3B", 1300, 24, 2048, 16, 2048),
    ("GPT-Neo 2.7B", 2700, 32, 2560, 20, 2048),
    ("GPT-NeoX 20B", 20000, 44, 6144, 64, 2048),
]

# Table I of the paper.
TABLE_I = [
    ("GPU", 400, 700, "W"),
    ("CPU", 200, 400, "W"),
    ("memory", 30, 80, "W"),
    ("cooling", 0.10, 0.20, "1"),
    ("power supply", 0.90, 0.96, "1"),
]

ENTRIES = [*list_accelerators(), *list_models(), *list_servers(), *list_components()]


@pytest.mark.validation
@pytest.mark.parametrize(("name", "p_max_w", "memory_gb", "gb_per_s", "fp32", "year"), TABLE_V)
def test_accelerators_are_those_of_table_v(name, p_max_w, memory_gb, gb_per_s, fp32, year):
    found = find_accelerator(name)
    assert (found.p_max_w, found.memory_gb, found.memory_gb_per_s) == (p_max_w, memory_gb, gb_per_s)
    assert fp32 in (None, found.peak_fp32_tflops)
    assert year in (None, found.release_year)
    assert "Table V" in found.source


@pytest.mark.validation
@pytest.mark.parametrize(("name", "millions", "n_layer", "n_hidden", "n_head", "n_context"), TABLE_IV)
def test_models_are_those_of_table_iv(name, millions, n_layer, n_hidden, n_head, n_context):
    found = find_model(name)
    assert found.n_parameter == millions * 10**6
    assert (found.n_layer, found.n_hidden, found.n_head, found.n_context) == (n_layer, n_hidden, n_head, n_context)
    assert "Table IV" in found.source


def test_models_of_table_iv_come_first_and_only_they_cite_it():
    names = [row[0] for row in TABLE_IV]
    assert [model.name for model in list_models()][: len(names)] == names
    assert [model.name for model in list_models() if "Table IV" in model.source] == names


@pytest.mark.validation
@pytest.mark.parametrize(("name", "low", "high", "unit"), TABLE_I)
def test_components_are_those_of_table_i(name, low, high, unit):
    found = find_component(name)
    assert (found.low, found.high, found.unit) == (low, high, unit)
    assert "Table I" in found.source


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_names_a_source(entry):
    assert any(word in entry.source for word in ("Paper, Table", "data", "brief", "User Guide", "arXiv:"))


@pytest.mark.parametrize("found", list_accelerators(), ids=lambda found: found.name)
def test_accelerator_figures_agree_in_their_units(found):
    # W against kW, GB/s against TB/s, TFLOPS against PFLOPS or sparse peaks: each is off by more than these bounds.
    assert 200 <= found.p_max_w <= 1500
    assert 16 <= found.memory_gb <= 300
    assert 10 <= found.memory_gb_per_s / found.memory_gb <= 60, "reads of the whole memory in a second"
    assert 0.3 <= found.peak_fp16_tflops / found.p_max_w <= 3, "TFLOPS per watt"
    if found.peak_fp32_tflops is not None:
        assert 1.9 <= found.peak_fp16_tflops / found.peak_fp32_tflops <= 17
    if found.peak_fp8_tflops is not None:
        assert 1 <= found.peak_fp8_tflops / found.peak_fp16_tflops <= 2.1
    assert 30 <= found.interconnect_gb_per_s <= 2000
    assert 2017 <= found.release_year <= 2026


def of_gated_transformer(m, n_expert=1):
    """Untied embedding and head; per layer the projections of q, k, v, o and three of the feed-forward part."""
    attention = m.n_hidden * (2 * m.n_hidden + m.kv_width)
    return 2 * m.n_vocabulary * m.n_hidden + m.n_layer * (attention + 3 * n_expert * m.n_hidden * m.n_ffn)


OPEN = [m for m in list_models() if m.n_kv_head is not None and m.n_active_parameter is None]


@pytest.mark.parametrize("found", OPEN, ids=lambda found: found.name)
def test_parameters_of_open_models_follow_from_their_shape(found):
    assert found.n_parameter == pytest.approx(of_gated_transformer(found), rel=2e-4)  # norms and biases are left


def test_mixture_has_eight_experts_and_two_at_work():
    found = find_model("Mixtral 8x7B")
    assert found.n_parameter == pytest.approx(of_gated_transformer(found, 8), rel=2e-4)
    assert found.active_parameters == pytest.approx(of_gated_transformer(found, 2), rel=0.005)


def test_kv_width_is_that_of_grouped_and_latent_attention():
    assert find_model("GPT-3 175B").kv_width == 2 * 12288
    assert find_model("Llama 3.1 70B").kv_width == 2 * 8 * 128
    assert find_model("DeepSeek-V3").kv_width == 512 + 64
    assert find_model("mamba-2.8B").kv_width == 0


@pytest.mark.parametrize("found", [m for m in list_models() if m.n_kv_head is None and m.n_kv_width is None],
                         ids=lambda found: found.name)  # fmt: skip
def test_model_parameters_follow_from_its_shape(found):
    # A layer of a transformer has 12 d^2 parameters, one of Mamba 6 d^2; then the embedding of about 50,000 tokens.
    per_layer = 6 if found.n_head is None else 12
    n_parameter = per_layer * found.n_layer * found.n_hidden**2 + found.n_vocabulary * found.n_hidden
    assert found.n_parameter == pytest.approx(n_parameter, rel=0.08)


@pytest.mark.parametrize("server", list_servers(), ids=lambda server: server.name)
def test_server_has_room_for_its_accelerators(server):
    accelerator = find_accelerator(server.accelerator)
    assert accelerator.name == server.accelerator
    assert accelerator.release_year <= server.release_year
    assert 0.2 < p_rest_w(server) / server.p_max_w < 0.6


def test_dgx_h100_is_that_of_its_datasheet():
    server = find_server("DGX H100")
    assert (server.n_accelerator, server.p_max_w, p_rest_w(server)) == (8, 10200, 4600)


@pytest.mark.parametrize("spelling", ["H100 SXM", "h100 sxm", "h100_sxm", "H100-SXM"])
def test_a_name_is_found_however_it_is_spelt(spelling):
    assert find_accelerator(spelling).name == "H100 SXM"


def test_an_unknown_name_answers_with_the_nearest():
    with pytest.raises(InputError, match=r"no such accelerator in the catalog; nearest: .*H100 SXM.*got 'H100'"):
        find_accelerator("H100")
    with pytest.raises(InputError, match=r"no such model.*GPT-2 Medium"):
        find_model("gpt2-medum")
    with pytest.raises(InputError, match=r"no such server.*DGX B200"):
        find_server("DGX-B20")


def test_a_name_far_from_all_answers_with_every_one():
    with pytest.raises(InputError, match=r"known: DGX A100, DGX H100, DGX H200, DGX B200, GB200 NVL72"):
        find_server("qqqqqq")


GOOD = """\
accelerators:
  - {name: X 1, vendor: V, architecture: A, release_year: 2020, p_max_w: 300, p_idle_w: null, memory_gb: 32,
     memory_gb_per_s: 900, peak_fp32_tflops: 15, peak_fp16_tflops: 120, peak_fp8_tflops: null,
     interconnect_gb_per_s: 300, source: X 1 datasheet}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("p_max_w: 300", "p_max_w: -300", r"accelerators\.X 1\.p_max_w: .*greater than 0.*-300"),
        ("p_max_w: 300", "p_max_w: 300 W", r"accelerators\.X 1\.p_max_w: .*number"),
        ("p_max_w: 300", "p_max_w: .nan", r"accelerators\.X 1\.p_max_w: .*finite"),
        ("p_max_w: 300", "p_max_kw: 300", r"(?s)p_max_w: Field required.*p_max_kw: Extra"),
        (", source: X 1 datasheet", "", r"X 1\.source: Field required"),
        ("p_idle_w: null", "p_idle_w: 50", r"p_idle_w and p_idle_source come together"),
        ("p_idle_w: null", "p_idle_w: 300, p_idle_source: S", r"p_idle_w=300 is not below p_max_w=300"),
        ("accelerators:", "models:", r"(?s)accelerators: Field required.*models: Extra"),
        ("vendor: V", "name: X 2", r"cannot be read: (?s:.)*duplicate key"),
    ],
)
def test_a_wrong_file_is_refused_with_place_and_value(tmp_path: Path, old, new, message):
    path = tmp_path / "accelerators.yaml"
    path.write_text(GOOD)
    assert read_file(path, AcceleratorFile).accelerators[0].p_max_w == 300
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_file(path, AcceleratorFile)
    assert all(problem.file == str(path) for problem in caught.value.problems)


def test_a_name_given_twice_is_refused(tmp_path: Path):
    path = tmp_path / "accelerators.yaml"
    path.write_text(GOOD + GOOD.removeprefix("accelerators:\n").replace("X 1", "x-1"))
    with pytest.raises(InputError, match="accelerators: x-1 is there twice"):
        read_file(path, AcceleratorFile)


@pytest.mark.parametrize("kind", [AcceleratorFile, ModelFile, ServerFile])
def test_a_missing_file_is_refused(tmp_path: Path, kind):
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "none.yaml", kind)


def test_keys_tell_close_names_apart():
    assert key("mamba-1.4B") != key("mamba-14B")
    assert len({key(entry.name) for entry in ENTRIES}) == len(ENTRIES)


def answer(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Exit code, output and messages of `cosim catalog`."""
    monkeypatch.setattr(sys, "argv", ["cosim", "catalog", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_command_prints_accelerators_as_json(monkeypatch, capsys):
    code, out, _ = answer(monkeypatch, capsys, "accelerators", "--json")
    entries = json.loads(out)
    assert code == 0
    assert [entry["name"] for entry in entries] == [found.name for found in list_accelerators()]
    assert all(entry["source"] for entry in entries)


def test_command_prints_every_kind_as_json(monkeypatch, capsys):
    for what in ("models", "feeders", "scenarios"):
        assert isinstance(json.loads(answer(monkeypatch, capsys, what, "--json")[1]), list)
    servers = json.loads(answer(monkeypatch, capsys, "servers", "--json")[1])
    assert list(servers) == ["servers", "components"]


def test_command_prints_a_line_for_each_entry_with_units_and_source(monkeypatch, capsys):
    for what, entries in (("accelerators", list_accelerators()), ("models", list_models())):
        code, out, _ = answer(monkeypatch, capsys, what)
        header, *lines = out.splitlines()
        assert code == 0
        assert "[" in header
        assert header.split()[-1] == "source"
        assert len(lines) == len(entries)
        assert all(entry.name in line and entry.source in line for entry, line in zip(entries, lines, strict=True))


def test_command_refuses_what_it_does_not_have(monkeypatch, capsys):
    code, _, err = answer(monkeypatch, capsys, "gpus")
    assert code == 2
    assert "known: accelerators, models, servers, feeders, scenarios" in err
