"""The one-line picture: a tree that reaches every energized bus, each in its own place; the PDF."""

from __future__ import annotations

import networkx as nx
import pandapower.networks as pn
import pytest
from pandapower.topology import create_nxgraph

import cosim
from cosim.errors import EnvironmentFailure
from cosim.report import pdf
from cosim.report.oneline import places, tree


def test_tree_of_case33bw_has_the_depths_that_networkx_finds():
    network = cosim.load_feeder("case33bw").network
    parents, roots = tree(network)
    at = places(parents, roots)
    net = pn.case33bw()
    depth = nx.single_source_shortest_path_length(nx.Graph(create_nxgraph(net)), int(net.ext_grid.bus[0]))
    names = network.bus_name.tolist()
    assert {names[bus]: d for bus, (d, _) in at.items()} == {str(bus): d for bus, d in depth.items()}
    assert len(set(at.values())) == len(at)


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
