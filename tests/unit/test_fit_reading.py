"""What `cosim fit` reads: traces with bad cells, and what monitors of accelerators write."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from cosim.errors import InputError
from cosim.fit.reading import load_trace

BEGIN = datetime.datetime(2024, 5, 1, 23, 59, 0)


def nvidia_smi(powers_w, *, step_s=1.0, late_s=0.037, units=True):
    """As `nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -l 1` writes: GPUs in turn, a little apart."""
    lines = ["timestamp, index, power.draw [W]"]
    for k, row in enumerate(powers_w):
        for gpu, p_w in enumerate(row):
            at = BEGIN + datetime.timedelta(seconds=k * step_s + gpu * late_s)
            text = at.strftime("%Y/%m/%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"
            lines.append(f"{text}, {gpu}, {p_w:.2f}{' W' if units else ''}")
    return lines


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("units", [True, False])
def test_gpus_of_nvidia_smi_are_summed(tmp_path, units):
    powers_w = np.random.default_rng(1).uniform(60, 700, (150, 4)).round(2)  # across midnight
    trace = load_trace(write(tmp_path / "smi.csv", nvidia_smi(powers_w, units=units)))
    assert trace.dt_s == 1.0
    assert trace.p_mw[:149] * 1e6 == pytest.approx(powers_w.sum(axis=1)[:149])


def test_columns_of_amd_smi_are_summed(tmp_path):
    lines = ["timestamp,gpu,socket_power", *(f"{1714600000 + k},{g},{300 + k + g}" for k in range(120) for g in (0, 1))]
    trace = load_trace(write(tmp_path / "amd.csv", lines))
    assert trace.p_mw * 1e6 == pytest.approx(601 + 2 * np.arange(120))


def test_gpus_without_a_number_are_refused_with_their_kinds_and_lines(tmp_path):
    lines = nvidia_smi(np.full((150, 2), 300.0) + np.arange(150)[:, None])
    lines[20] = lines[20].rsplit(",", 1)[0] + ", [N/A]"
    lines[31] = "yesterday" + lines[31][23:]
    lines[52:52] = lines[:1]  # the monitor was started again: no fault
    with pytest.raises(InputError) as caught:
        load_trace(write(tmp_path / "smi.csv", lines))
    told = str(caught.value)
    assert "smi.csv:21: power is no number of watts (got ' [N/A]')" in told
    assert "smi.csv:32: timestamp is no time" in told
    assert "--repair" in told
    assert load_trace(tmp_path / "smi.csv", repair=True).n_left_out == 2


def test_several_gpus_without_their_index_are_told_to_query_it(tmp_path):
    lines = [line.replace(", index", "") for line in nvidia_smi(np.full((120, 2), 300.0), late_s=0.0)]
    lines = [lines[0], *(line[:23] + line[26:] for line in lines[1:])]
    with pytest.raises(InputError, match="query timestamp,index,power"):
        load_trace(write(tmp_path / "smi.csv", lines))


def test_a_gpu_that_falls_silent_is_named(tmp_path):
    lines = nvidia_smi(np.full((150, 2), 300.0))
    kept = [line for i, line in enumerate(lines) if not (80 < i < 140 and ", 1, " in line)]
    with pytest.raises(InputError, match="accelerator 1 says nothing for 3"):
        load_trace(write(tmp_path / "smi.csv", kept))


def bad_trace():
    rows = [f"{k},{100 + k % 7}" for k in range(300)]
    rows[10], rows[11] = "10,", "11,nan"
    rows[50], rows[51], rows[52] = "50,n/a", "50.0", "51,-3"
    rows[70], rows[90] = "69,104", "40,101"
    return ["t_s,p_w", *rows]


def test_every_kind_of_bad_row_is_told_at_once(tmp_path):
    path = write(tmp_path / "a.csv", bad_trace())
    with pytest.raises(InputError) as caught:
        load_trace(path)
    told = str(caught.value).splitlines()
    for part in (
        "a.csv:12: p_w is empty", "a.csv:13: p_w is not a finite number in 2 rows: lines 13, 52",
        "a.csv:53: fewer fields",
        "a.csv:54: power is below zero (got -3.0)", "a.csv:72: t_s repeats", "a.csv:92: t_s goes back",
    ):  # fmt: skip
        assert any(part in line for line in told), part
    assert len(told) == 6


def test_repair_leaves_bad_rows_out_and_keeps_the_others(tmp_path):
    trace = load_trace(write(tmp_path / "a.csv", bad_trace()), repair=True)
    assert trace.n_left_out == 7
    assert len(trace.p_mw) == 300
    good = np.setdiff1d(np.arange(300), [10, 11, 50, 51, 52, 70, 90])
    assert trace.p_mw[good] * 1e6 == pytest.approx(100 + good % 7)


def test_a_long_gap_is_refused_even_with_repair(tmp_path):
    rows = [f"{k},{100 + k % 7}" for k in range(300) if not 100 <= k < 120]
    with pytest.raises(InputError, match="gap of 21 s"):
        load_trace(write(tmp_path / "a.csv", ["t_s,p_w", *rows]), repair=True)
