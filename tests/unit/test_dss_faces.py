"""A .dss where users meet it: `load_feeder`, the cache, a scenario, the command line."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys

import pytest

from cosim.errors import InputError
from cosim.feeder import cache as feeder_cache
from cosim.feeder import load_feeder
from cosim.feeder.dss.scan import scan
from cosim.feeder.network import Network
from cosim.scenario import FeederNames, check_against_feeder, feeder_names, load_scenario

MASTER = """\
clear
new circuit.small basekv=12.47 pu=1.0 phases=3
redirect lines.dss
new load.village bus1=b phases=3 kv=12.47 kw=300 pf=0.95
new load.house bus1=c.2 phases=1 kv=7.2 kw=50
set voltagebases=[12.47]
calcvoltagebases
solve
"""
LINES = """\
new line.ab bus1=sourcebus bus2=b length=1 units=km r1=0.2 x1=0.4 r0=0.6 x0=1.2
new line.bc bus1=b.2 bus2=c.2 phases=1 length=1 units=km r1=0.3 x1=0.5 r0=0.3 x0=0.5
"""
SCENARIO = """\
schema: 1
name: dss
time:
  duration_s: 1
feeder:
  model: grid/Master.DSS
"""


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(feeder_cache, "cache_dir", lambda: tmp_path / "cache")


@pytest.fixture
def master(tmp_path):
    folder = tmp_path / "area" / "grid"
    folder.mkdir(parents=True)
    (folder / "lines.dss").write_text(LINES)
    (folder / "Master.DSS").write_text(MASTER)
    return folder / "Master.DSS"


@pytest.fixture
def scenario(master):
    path = master.parents[1] / "run.yaml"
    path.write_text(SCENARIO)
    return path


def key(master):
    return feeder_cache.content_key(str(master), scan(master))


def test_dss_feeder_is_read_by_path_with_its_nodes(own_cache, master):
    feeder = load_feeder(master)
    assert feeder.name == "Master"
    assert feeder.bus_names == ("sourcebus", "b", "c")
    assert [node for node in feeder.node_names if node.startswith("c.")] == ["c.2"]


def test_dss_feeder_comes_from_the_cache_as_it_went_in(own_cache, master, monkeypatch):
    first = load_feeder(master).network
    monkeypatch.setattr("cosim.feeder.feeder._read_dss", lambda _: pytest.fail("read again"))
    again = load_feeder(master).network
    for field in dataclasses.fields(Network):
        assert repr(getattr(first, field.name)) == repr(getattr(again, field.name))


def test_dss_cache_key_is_that_of_every_file_and_of_no_place(master, tmp_path):
    before = key(master)
    shutil.copytree(master.parent, tmp_path / "elsewhere" / "grid")
    assert key(tmp_path / "elsewhere" / "grid" / "Master.DSS") == before
    (master.parent / "lines.dss").write_text(LINES + "\n")
    assert key(master) != before
    (master.parent / "lines.dss").write_text(LINES)
    (master.parent / "unused.dss").write_text("new load.x")
    assert key(master) == before


def test_dss_that_writes_is_refused_though_its_network_is_cached(own_cache, master):
    load_feeder(master)
    (master.parent / "lines.dss").write_text(LINES + "save circuit dir=out\n")
    with pytest.raises(InputError) as refused:
        load_feeder(master)
    (problem,) = refused.value.problems
    assert (problem.file, problem.line) == (str(master.parent / "lines.dss"), 3)
    assert not (master.parent / "out").exists()


def test_scenario_takes_a_dss_from_its_own_folder(own_cache, scenario, master, monkeypatch):
    monkeypatch.chdir("/")
    config = load_scenario(scenario, names_of=feeder_names)
    assert config.feeder_source == str(master)


def test_scenario_places_problems_of_a_script_in_the_script(own_cache, scenario, master):
    (master.parent / "lines.dss").write_text("export voltages\n" + LINES + "redirect lost.dss\n")
    with pytest.raises(InputError) as refused:
        load_scenario(scenario, {"seed": -1}, names_of=feeder_names)
    first, *others = refused.value.problems
    assert first.path == "seed"
    assert [(p.file, p.line) for p in others] == [(str(master.parent / "lines.dss"), k) for k in (1, 4)]


@pytest.mark.parametrize(
    ("overrides", "path", "words"),
    [
        ({"feeder.model": "grid/Lost.dss"}, "feeder.model", "no such file"),
        ({"feeder.dss_root": "nowhere"}, "feeder.dss_root", "no such folder"),
        ({"feeder.dss_root": "."}, "", "leads out"),
    ],
)
def test_scenario_dss_and_its_root_must_be_there(own_cache, scenario, master, overrides, path, words):
    (master.parent / "lines.dss").write_text("redirect ../../codes.dss\n" + LINES)
    (master.parents[2] / "codes.dss").write_text("! none\n")
    with pytest.raises(InputError) as refused:
        load_scenario(scenario, overrides, names_of=feeder_names)
    found = {p.path: p.message for p in refused.value.problems}
    assert words in found[path]


PLACES = FeederNames(("650", "671", "c"), (), (), (), ("650.1", "650.2", "650.3", "671.1", "671.2", "671.3", "c.2"))


@pytest.mark.parametrize("place", ["671", "671.1", "671.1.3", "c.2", "c"])
def test_scenario_names_a_bus_or_some_of_its_phases(scenario, place):
    config = load_scenario(scenario, {"log.nodes": [place]})
    assert check_against_feeder(config, PLACES.buses, (), (), (), PLACES.nodes) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("672", "no such bus; nearest: 671"),
        ("672.1", "no such bus"),
        ("c.1", "bus c has no phase 1; it has 2"),
        ("671.1.4", "bus 671 has no phase 4; it has 1, 2, 3"),
        ("671.1.1", "twice"),
    ],
)
def test_scenario_phase_that_a_bus_lacks_is_named(scenario, place, words):
    config = load_scenario(scenario, {"log.nodes": [place]})
    (problem,) = check_against_feeder(config, PLACES.buses, (), (), (), PLACES.nodes)
    assert problem.path == "log.nodes.0"
    assert words in problem.message


def cosim(tmp_path, *arguments):
    command = [sys.executable, "-m", "cosim.cli", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)


def test_command_line_widens_the_root(scenario, master, tmp_path):
    (master.parent / "lines.dss").write_text("redirect ../../codes.dss\n" + LINES)
    (tmp_path / "codes.dss").write_text("! none\n")
    refused = cosim(tmp_path, "check", str(scenario))
    assert refused.returncode == 2
    assert f"{master.parent / 'lines.dss'}:1: leads out" in refused.stderr
    assert "Traceback" not in refused.stderr
    passed = cosim(tmp_path, "check", str(scenario), "--dss-root", ".")
    assert passed.returncode == 0, passed.stderr
    assert "3 buses" in passed.stdout
