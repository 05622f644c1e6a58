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
SITES = {"ieee13": "671", "ieee123": "67", "mv_oberrhein": "Bus 51"}
"""A bus for the data center of a part that has none, by feeder."""


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """A part over a small scenario; a master file of the reader's own is IEEE 13, else the feeder is IEEE 123."""
    feeder = {"model": "ieee123"} | part.get("feeder", {})
    if feeder["model"].endswith(".dss"):
        feeder["model"] = "ieee13"
    site = campus(SITES[feeder["model"]], ups=False)
    base = {"schema": 1, "name": "part", "time": {"duration_s": 600}}
    return base | part | {"feeder": feeder, "datacenters": {"campus": site | part.get("datacenters", {}).get("campus", {})}}


def test_pages_have_examples():
    assert len(BLOCKS) >= 10


@pytest.mark.parametrize("text", BLOCKS)
def test_example_of_the_pages_passes_the_checks(text, tmp_path):
    path, plain = tmp_path / "example.yaml", yaml.safe_load(text)
    if "limits" in plain:
        path.write_text(text)
        assert len(load_limits([str(path)])) == len(plain["limits"])
        return
    path.write_text(text if "schema" in plain else yaml.safe_dump(whole(plain)))
    prepare(path)
