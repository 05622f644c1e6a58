"""What a log holds by `log.nodes` and `log.quantities`; extremes are those of the wide datasets they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from engine_cases import campus, scenario

import cosim
from cosim.engine.columns import highest, highest_node, lowest, lowest_node
from cosim.errors import InputError
from cosim.wiring import prepare

EVENTS = [
    {"at_s": 2.02, "kind": "dip_started", "vm_pu": 0.6, "duration_s": 0.05},
    {"at_s": 5.0, "kind": "source_lost", "duration_s": 2.0},
]


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("logs"), {}
    for nodes in ("all", "extremes"):
        plain = scenario(20, events=EVENTS, log={"nodes": nodes}, datacenters={"campus": campus("17")})
        found[nodes] = cosim.run(plain, out=folder / f"{nodes}.h5")
    yield found
    for log in found.values():
        log.close()


def test_extremes_are_those_of_the_wide_log(logs):
    wide, few = logs["all"], logs["extremes"]
    low, high, names = wide.read("bus/vm_min_pu"), wide.read("bus/vm_max_pu"), wide.names("bus")
    assert "bus/vm_pu" not in few.paths()
    assert few.names("bus_extremes") == names
    alive = np.where(low > 0, low, np.inf)
    some = np.isfinite(alive).any(axis=1)
    assert 0 < some.sum() < len(some)  # a blackout leaves none
    np.testing.assert_array_equal(few.read("bus_extremes/vm_min_pu")[some], alive.min(axis=1)[some])
    np.testing.assert_array_equal(few.read("bus_extremes/vm_min_node")[some], alive.argmin(axis=1)[some])
    np.testing.assert_array_equal(few.read("bus_extremes/vm_max_pu"), high.max(axis=1))
    dark = ~some
    assert set(few.read("bus_extremes/vm_min_node")[dark]) == {-1}
    assert set(few.read("bus_extremes/vm_min_pu")[dark]) == {0.0}


def test_everything_else_of_the_run_is_the_same(logs):
    wide, few = logs["all"], logs["extremes"]
    for path in set(wide.paths()) & set(few.paths()):
        np.testing.assert_array_equal(wide.read(path), few.read(path))
    left_out = {"bus/vm_pu", "bus/va_degree", "bus/vm_min_pu", "bus/vm_max_pu"}
    assert set(wide.paths()) - set(few.paths()) == left_out


def test_extremes_open_in_xarray_with_the_names_they_point_to(logs):
    with xr.open_dataset(logs["extremes"].path, engine="h5netcdf", group="bus_extremes") as data:
        low = data.isel(t_s=0)
        assert data["vm_min_node"].attrs["points_to"] == "name"
        assert str(data["name"].values[int(low["vm_min_node"])]) == "17"


def test_show_and_report_tell_the_lowest_voltage_from_the_extremes(logs, tmp_path):
    from cosim.metrics import summarize
    from cosim.report.page import write_report

    wide, few = (summarize(logs[kind])["voltage"] for kind in ("all", "extremes"))
    for key in ("worst_bus", "vm_min_pu", "t_min_s"):
        assert few[key] == wide[key]
    write_report([logs["extremes"]], tmp_path / "page.html")
    assert "lowest of all buses" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("chosen", "held"),
    [
        ([], set()),
        (["vm_min_pu", "line_p_mw"], {"bus/vm_min_pu", "line/p_mw"}),
        (["loading_percent"], {"line/loading_percent"}),
        (["va_degree"], {"bus/va_degree"}),
    ],
)
def test_quantities_choose_what_is_logged_of_elements(tmp_path, logs, chosen, held):
    """And are the same as in a log of all of them, through a dip."""
    from cosim.metrics import summarize

    plain = scenario(2.4, events=EVENTS[:1], log={"quantities": chosen}, datacenters={"campus": campus("17")})
    with cosim.run(plain, out=tmp_path / "a.h5") as log:
        for path in held:
            np.testing.assert_array_equal(log.read(path), logs["all"].read(path)[:25])
        wide = {path for path in log.paths() if path.split("/")[0] in ("bus", "line", "trafo")}
        assert wide == held
        assert summarize(log)["run"]["n_row"] == 25


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"quantities": ["vm"]}, "log.quantities.0: must be"),
        ({"quantities": ["vm_pu", "vm_pu"]}, "names vm_pu twice"),
        ({"nodes": "extreme"}, "must be all, extremes, or a list of ids"),
        ({"lines": "extremes"}, "must be all, or a list of ids"),
        ({"capture": {"kinds": ["source_lots"]}}, "no such kind of event; nearest: source_lost"),
        ({"capture": {"pre_s": 6, "post_s": 6}}, "what one event takes"),
        ({"capture": {"nodes": ["99"]}}, "log.capture.nodes.0: the feeder has no such bus"),
    ],
)
def test_wrong_choices_are_refused(log, words):
    plain = scenario(2, log=log)
    with pytest.raises(InputError, match=words):
        prepare(plain)


def test_extremes_of_nothing_are_none():
    dead = np.zeros((2, 3), np.float32)
    assert (list(lowest(dead)), list(lowest_node(dead))) == ([0, 0], [-1, -1])
    assert (list(highest(dead)), list(highest_node(dead))) == ([0, 0], [-1, -1])
