"""Captures as `cosim show` and the report page tell of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from cosim.record.capture import Capture
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder
from cosim.record.result import open_result
from cosim.report.captures import N_NODE, capture_rows
from cosim.report.page import write_report
from cosim.report.show import render_show

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NODES = tuple(f"n{i}" for i in range(20))
CHANNELS = (
    Channel("vm_pu", "pu", NODES),
    Channel("datacenter/campus/p_total_mw", "MW"),
    Channel("ups/campus/p_mw", "MW"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log with two captures: a dip of 50 ms that is deepest at n19, seen at 1 ms, and a cut one."""
    out = tmp_path_factory.mktemp("captured") / "a.h5"
    recorder = Recorder.create(
        out,
        (Channel("bus/vm_pu", "pu", NODES),),
        scenario_yaml="schema: 1\nname: captured\n",
        scenario_name="captured",
        seed=1,
        cosim_version="0.1.0",
    )
    recorder.append(np.arange(100) * 100_000, {"bus/vm_pu": np.ones((100, 20))})
    for k, at_us in enumerate((3_000_000, 7_000_000)):
        t_us = np.arange(at_us - 100_000, at_us + 500_000, 1000)
        dip = ((t_us >= at_us) & (t_us < at_us + 50_000))[:, None]
        vm_pu = 1.0 - dip * np.linspace(0.2, 0.4, 20)
        power = np.where(dip[:, 0], 0.0, 3.0 + 0.01 * np.sin(t_us / 5e3))
        values = np.column_stack([vm_pu, power, 3.0 - power]).astype(np.float32)
        trigger = (at_us, "dip_started", "<b>source</b>", 0.6, "")
        recorder.capture(Capture(t_us, values, trigger, 1 + k, bool(k)), CHANNELS)
    recorder.finish("complete")
    with open_result(out) as result:
        yield result


def test_rows_tell_when_where_and_how_deep(log):
    first, second = capture_rows(log)
    assert (first.number, first.kind, first.trigger_s, first.node) == (1, "dip_started", 3.0, "n19")
    assert (first.from_s, first.until_s, first.n_instant) == (2.9, 3.499, 600)
    assert first.vm_min_pu == pytest.approx(0.6)
    assert (first.is_cut, second.is_cut) == (False, True)


def test_show_lists_captures(log):
    console = Console(file=StringIO(), width=160, no_color=True)
    render_show(log, console)
    text = console.file.getvalue()
    assert "Captures" in text
    assert re.search(r"2 +dip_started +<b>source</b> +7 +6\.9 +7\.499 +600 +0\.6000 +n19 +cut", text)


def test_page_holds_every_capture_and_of_its_nodes_the_lowest(log, tmp_path):
    write_report([log], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))
    assert len(data["captures"]) == 2
    curves = data["captures"][0]["curves"]
    assert [c["label"] for c in curves if c["unit"] == "pu"] == [f"n{i}" for i in range(20 - N_NODE, 20)]
    assert "<b>source" not in text


def test_page_of_a_log_without_captures_has_no_such_section(tmp_path):
    from synthetic_log import campus_log

    write_report([campus_log(60.0)], tmp_path / "page.html")
    assert "<h2>Captures" not in (tmp_path / "page.html").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to draw the page")
def test_page_draws_a_capture_at_every_instant(log, tmp_path):
    page = tmp_path / "page.html"
    write_report([log], page)
    check = "<script>addEventListener('load',()=>setTimeout(()=>{const d=document.getElementById('capture').data;"
    check += "document.documentElement.dataset.drawn=JSON.stringify([d.length,d[0].x.length,d[0].x[0],"
    check += "Math.min(...d[7].y).toFixed(3),document.getElementById('capture-choice').length])},3000))</script>"
    page.write_text(page.read_text().replace("</body>", check + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    tag = re.search(r"<html([^>]*)>", done.stdout).group(1)
    assert "data-error" not in tag
    assert 'data-ready="1"' in tag
    assert 'data-drawn="[10,600,-0.1,&quot;0.600&quot;,2]"' in tag
