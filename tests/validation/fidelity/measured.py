"""The measured traces as `cosim fit` reads them: a CSV with t_s and p_w or p_kw each."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

FOLDER = "data/power_traces"
SMC = "MLPerf Training v4.0, SMC; Apache-2.0"
NVIDIA = "MLPerf Inference v4.1, NVIDIA, wall power; Apache-2.0"
STEPS = "GPU_Power_Benchmark, external meter; MIT"
TRACES = {
    "gpt3_ac": ("GPT-3 175B on 512 H100, AC", "smc_gpt3_175b_64n_run1", SMC),
    "gpt3_dc": ("GPT-3 175B on 512 H100, DC", "smc_gpt3_175b_64n_run1", SMC),
    "lora64_ac": ("LoRA of Llama-2-70B on 64 H100, AC", "smc_llama2_70b_lora_8n", SMC),
    "lora8_ac": ("LoRA of Llama-2-70B on 8 H100, AC", "smc_llama2_70b_lora_1n", SMC),
    "llama_server": ("8 x H200, Llama-2-70B, Server", "h200x8_llama2-70b-99_Server", NVIDIA),
    "llama_offline": ("8 x H200, Llama-2-70B, Offline", "h200x8_llama2-70b-99_Offline", NVIDIA),
    "gptj_server": ("8 x H200, GPT-J, Server", "h200x8_gptj-99_Server", NVIDIA),
    "a100_step": ("A100, load switched every 6 s", "A100_step", STEPS),
    "rtx3090_step": ("RTX 3090, load switched every 6 s", "3090_step", STEPS),
}
"""Name: title, file stem, source."""


def write_csv(name: str, shared: Path, folder: Path) -> Path:
    """One trace as a CSV; serving traces from power_begin to power_end of their window."""
    stem = TRACES[name][1]
    source = shared / FOLDER
    if name.endswith(("_ac", "_dc")):
        rows = pd.read_csv(source / f"{stem}_aggregate_1s.csv")
        table = pd.DataFrame({"t_s": rows.t_s, "p_kw": rows[f"{name[-2:]}_kw"]})
    elif name.endswith("_step"):
        rows = pd.read_csv(source / f"{stem}_pmd.csv.gz")
        table = pd.DataFrame({"t_s": rows.t_ms / 1000, "p_w": rows.pmd_w})
    else:
        rows = pd.read_csv(source / f"{stem}_wallpower.csv.gz")
        window = json.loads((source / f"{stem}_window.json").read_text())
        begin, end = (
            pd.to_datetime(window[key], format="%m-%d-%Y %H:%M:%S.%f") for key in ("power_begin", "power_end")
        )
        time = pd.to_datetime(rows.time)
        inside = (time >= begin) & (time <= end)
        t_s = (time[inside] - time[inside].iloc[0]).dt.total_seconds()
        table = pd.DataFrame({"t_s": t_s, "p_w": rows.watts[inside]})
    path = folder / f"{name}.csv"
    table.to_csv(path, index=False)
    return path
