"""The study's page: the map stands on the feeder's own connections, and a browser draws every picture."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import networkx as nx
import numpy as np
import pytest

from cosim.feeder.feeder import load_feeder
from cosim.study import Place, run_study
from cosim.study.feeder_map import bus_graph, map_figure, tree_places

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_bus_graph_of_ieee123_is_the_feeder_as_published():
    # 123 nodes and the regulators' buses hang together as a tree; only the two open switches' far ends are cut off.
    feeder = load_feeder("ieee123")
    graph = bus_graph(feeder.network)
    named = list(feeder.bus_names)
    assert nx.has_path(graph, named.index("150"), named.index("610"))
    assert nx.has_path(graph, named.index("150"), named.index("300"))
    assert not graph.has_edge(named.index("54"), named.index("94"))
    assert not graph.has_edge(named.index("151"), named.index("300"))
    assert graph.has_edge(named.index("13"), named.index("152"))


def test_tree_puts_no_two_buses_on_one_place_and_feeds_to_the_right():
    graph = nx.balanced_tree(3, 4)
    at = tree_places(graph, [0])
    assert len(set(at.values())) == graph.number_of_nodes()
    assert all(abs(at[a][0] - at[b][0]) == 1 for a, b in graph.edges)
    assert at[0][1] == pytest.approx(np.mean([at[k][1] for k in (1, 2, 3)]))


def test_map_shows_the_value_of_each_bus_of_a_study():
    figure = map_figure(load_feeder("case33bw"), {"5": 1.5, "17": 0.5}, "capacity [MW]")
    assert sorted(figure["data"][2]["text"]) == ["17: 0.5", "5: 1.5"]
    assert len(figure["data"][1]["x"]) == 31


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to draw the page")
def test_browser_draws_every_picture_of_a_page(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "schema: 1\nname: s\nscenario: quickstart_no_ups\nkind: hosting_capacity\nbuses: [Bus 34, Bus 52]\n"
        "steady: {max_p_mw: 20, tolerance_mw: 0.5}\n"
    )
    page = run_study(tmp_path / "s.yaml", tmp_path / "d", place=Place(n_worker=0)).folder / "study.html"
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    figures = json.loads(found.group(1))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    drawn = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=180, check=True).stdout
    assert len(figures) == 2
    assert drawn.count('class="plot-container plotly"') == len(figures)
