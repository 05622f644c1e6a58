"""Every YAML example of the pages passes the checks: a whole one as it stands, a part laid over a small scenario."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_cases import campus

from cosim.metrics.limits import load_limits
from cosim.wiring import prepare

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(text, id=f"{page.stem}-{k}")
    for page in PAGES
    for k, text in enumerate(re.findall(r"^```ya?ml\n(.*?)^```", page.read_text(), re.S | re.M), 1)
]
SITES = {"ieee123": "67", "mv_oberrhein": "Bus 51"}
"""A bus for the data center of a part that has none, by feeder; 671 of the reader's own."""
OWN = """\
clear
new circuit.own basekv=12.47
new loadshape.day npts=24 interval=1 mult=(1 1 1 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2 2 2)
new line.l bus1=sourcebus bus2=671 length=1 units=km
new load.d bus1=671 kv=12.47 kw=900 daily=day
set voltagebases=[12.47]
calcvoltagebases
solve
"""
"""Stands for a master file that the reader has."""


def whole(part: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A part over a small scenario, whose master file, where it names one, is written; else the feeder is IEEE 123."""
    feeder = {"model": "ieee123"} | part.get("feeder", {})
    if feeder["model"].endswith(".dss"):
        (folder / feeder["model"]).parent.mkdir(parents=True)
        (folder / feeder["model"]).write_text(OWN)
    site = campus(SITES.get(feeder["model"], "671"), ups=False) | part.get("datacenters", {}).get("campus", {})
    base = {"schema": 1, "name": "part", "time": {"duration_s": 600}}
    return base | part | {"feeder": feeder, "datacenters": {"campus": site}}


def test_pages_have_examples():
    assert len(BLOCKS) >= 10


@pytest.mark.parametrize("text", BLOCKS)
def test_example_of_the_pages_passes_the_checks(text, tmp_path):
    path, plain = tmp_path / "example.yaml", yaml.safe_load(text)
    if "limits" in plain:
        path.write_text(text)
        assert len(load_limits([str(path)])) == len(plain["limits"])
        return
    path.write_text(text if "schema" in plain else yaml.safe_dump(whole(plain, tmp_path)))
    prepare(path)
