"""The one-line picture: a tree that reaches every energized bus, each in its own place; the PDF."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pandapower.networks as pn
import pytest
from pandapower.topology import create_nxgraph
from synthetic_log import SyntheticLog

import cosim
from cosim.errors import EnvironmentFailure
from cosim.metrics import analyse
from cosim.report import pdf
from cosim.report.oneline import oneline_section, places, tree
from cosim.report.payload import Run


def test_tree_of_case33bw_has_the_depths_that_networkx_finds():
    network = cosim.load_feeder("case33bw").network
    parents, roots = tree(network)
    at = places(parents, roots)
    net = pn.case33bw()
    depth = nx.single_source_shortest_path_length(nx.Graph(create_nxgraph(net)), int(net.ext_grid.bus[0]))
    names = network.bus_name.tolist()
    assert {names[bus]: d for bus, (d, _) in at.items()} == {str(bus): d for bus, d in depth.items()}
    assert len(set(at.values())) == len(at)


def test_labels_stand_on_the_row_of_their_square_and_meet_nothing():
    """Six data centers in six rows one below another: the picture of July 2024."""
    scenarios = files("cosim") / "_shipped" / "scenarios"
    folder = Path(str(scenarios)) if scenarios.is_dir() else Path(__file__).parents[2] / "scenarios"
    sites = {f"campus_{i}": {"bus": f"c{i}"} for i in range(1, 7)}
    model = {"model": str(folder / "incidents" / "region230.dss")}
    nodes = [f"{bus}.{phase}" for bus in ("grid", "west", "east", "c1") for phase in "123"]
    rows = np.tile(np.linspace(0.9, 1.0, len(nodes)), (3, 1))
    log = SyntheticLog(np.arange(3.0), {"bus/vm_pu": rows}, {"bus": nodes}, {"feeder": model, "datacenters": sites})
    picture = oneline_section(Run(log, analyse(log), {}, "", ""))
    number = r"([\d.]+)"
    texts = re.findall(rf'<text x="{number}" y="{number}"(?: text-anchor="(\w+)")?>(.*?)</text>', picture)
    squares = re.findall(rf'<rect x="{number}" y="{number}" width="14"', picture)
    wires = re.findall(rf'<path d="M{number} {number}V{number}H{number}"/>', picture)
    assert len(squares) == 6
    assert len(texts) == 8  # the source, the lowest voltage, the sites
    boxes = []
    for x, y, anchor, text in texts:
        left = float(x) - (6.6 * len(text) if anchor == "end" else 0.0)
        boxes.append((left, float(y) - 9.0, left + 6.6 * len(text), float(y) + 2.0))
    for a, b in combinations(boxes, 2):
        assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])
    for x0, y0, y1, x1 in (tuple(map(float, wire)) for wire in wires):
        for left, top, right, bottom in boxes:
            assert not (top < y1 < bottom and min(x0, x1) < right and left < max(x0, x1))
            assert not (left < x0 < right and min(y0, y1) < bottom and top < max(y0, y1))
    on_row = [abs(float(text[1]) - 4.0 - 7.0 - float(square[1])) < 2.0 for text in texts for square in squares]
    assert sum(on_row) == 6


@pytest.mark.parametrize("model", ["ieee123", "mv_oberrhein"])
def test_every_bus_of_a_real_feeder_has_its_own_place(model):
    network = cosim.load_feeder(model).network
    at = places(*tree(network))
    energized = {int(bus) for bus, v in zip(network.node_bus, network.node_v, strict=False) if abs(v) > 0.0}
    assert energized <= set(at)
    assert len(set(at.values())) == len(at)


def test_a_pdf_without_a_browser_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda _: None)
    with pytest.raises(EnvironmentFailure, match="print it from any browser"):
        pdf.write_pdf(tmp_path / "a.html", tmp_path / "a.pdf")


@pytest.mark.skipif(not any(map(pdf.shutil.which, pdf.BROWSERS)), reason="no Chromium here to print")
def test_a_page_is_printed_whole(tmp_path):
    (tmp_path / "a.html").write_text("<h1>A page</h1>")
    pdf.write_pdf(tmp_path / "a.html", tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes()[:5] == b"%PDF-"
