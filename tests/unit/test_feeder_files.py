"""Naming a feeder, reading a file, the cache, and what a scenario may say."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.errors import InputError
from cosim.feeder import FeederConfig, SourceConfig, list_feeders, load_feeder
from cosim.feeder import cache as feeder_cache

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandapower as pp

WARM = """
import sys
from cosim.feeder import load_feeder
feeder = load_feeder("case33bw")
solution = feeder.solve({"17": (0.1, 0.0)})
assert solution.status == "ok"
heavy = [m for m in ("pandapower", "pandas", "scipy.sparse", "simbench") if m in sys.modules]
assert not heavy, heavy
"""


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(feeder_cache, "cache_dir", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def small_file(tmp_path):
    def write(p_mw=0.2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = pp.create_empty_network()
            a, b = pp.create_bus(net, 20.0, name="head"), pp.create_bus(net, 20.0, name="end")
            pp.create_ext_grid(net, a)
            pp.create_line(net, a, b, 1.0, "NAYY 4x50 SE")
            pp.create_load(net, b, p_mw, 0.1, name="village")
            path = tmp_path / "small.json"
            pp.to_json(net, str(path))
        return path

    return write


def test_feeder_file_is_read_and_its_change_noticed(own_cache, small_file):
    feeder = load_feeder(small_file())
    assert (feeder.name, feeder.bus_names, feeder.load_names) == ("small", ("head", "end"), ("village",))
    before = feeder.solve().vm_pu["end"]
    assert load_feeder(small_file()).solve().vm_pu["end"] == before
    assert load_feeder(small_file(0.4)).solve().vm_pu["end"] < before
    assert len(list((own_cache / "feeders").iterdir())) == 2


def test_feeder_cache_that_is_torn_is_rebuilt(own_cache, small_file):
    path = small_file()
    before = load_feeder(path).solve().node_vm_pu
    (entry,) = (own_cache / "feeders").iterdir()
    for torn in (b"", entry.read_bytes()[:200], b"not a zip file"):
        entry.write_bytes(torn)
        assert np.array_equal(load_feeder(path).solve().node_vm_pu, before)
        assert entry.stat().st_size > 1000


def test_feeder_works_without_a_writable_cache(tmp_path, small_file, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setattr(feeder_cache, "cache_dir", lambda: blocked)
    assert load_feeder(small_file()).solve().status == "ok"


def test_warm_feeder_imports_no_pandapower():
    load_feeder("case33bw")
    subprocess.run([sys.executable, "-c", WARM], check=True, env=os.environ)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("case33", "case33bw"),
        ("oberrhein", "mv_oberrhein"),
        ("IEEE13", "nearest: ieee13"),
        ("/no/such/file.json", "no such feeder file"),
    ],
)
def test_unknown_feeder_names_the_nearest(name, expected):
    with pytest.raises(InputError, match=expected):
        load_feeder(name)


def test_feeder_file_under_a_path_in_another_case_is_named(own_cache, tmp_path):
    (tmp_path / "Grid").mkdir()
    path = tmp_path / "Grid" / "Small.JSON"
    pp.to_json(pp.networks.case4gs(), path)
    assert load_feeder(path).bus_names
    for wrong in ("grid/small.json", "Grid/small.json"):
        with pytest.raises(InputError, match=f"no such feeder file; there is {path}"):
            load_feeder(tmp_path / wrong)


def test_file_that_is_no_network_is_refused(own_cache, tmp_path):
    path = tmp_path / "broken.json"
    for text in ("{", "[1, 2]", '{"a": 1}'):
        path.write_text(text)
        with pytest.raises(InputError, match="not a pandapower network"):
            load_feeder(path)


def test_feeder_list_holds_the_distribution_networks():
    known = list_feeders()
    assert {"case33bw", "cigre_mv", "cigre_mv_all", "cigre_lv", "mv_oberrhein", "lv_schutterwald"} <= set(known)
    assert known == sorted(known)


def test_feeder_names_the_nearest_bus_and_refuses_powers_that_are_not_finite():
    feeder = load_feeder("cigre_mv")
    with pytest.raises(InputError, match="Bus 5"):
        feeder.solve({"bus5": (1.0, 0.0)})
    with pytest.raises(InputError, match="finite"):
        feeder.solve({"Bus 5": (np.nan, 0.0)})


@pytest.mark.parametrize(
    "wrong", [{"load_scaling": -1}, {"load_scaling": float("nan")}, {"vmin_pu": 1.0}, {"max_dvm_pu": -1e-6}, {"x": 1}]
)
def test_feeder_config_refuses(wrong):
    with pytest.raises(ValidationError):
        FeederConfig(model="case33bw", **wrong)


@pytest.mark.parametrize("wrong", [{"s_sc_mva": 100.0}, {"x_over_r": 5.0}, {"vm_pu": float("inf")}, {"vm_pu": 0.0}])
def test_source_config_refuses(wrong):
    with pytest.raises(ValidationError):
        SourceConfig(**wrong)
