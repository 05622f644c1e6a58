"""Metrics and report of logs on disk, as a run writes them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from synthetic_log import campus_log, write_log

from cosim.metrics import summarize
from cosim.record.result import open_result
from cosim.report import panels
from cosim.report.page import write_report
from cosim.report.panels import N_LOOK
from cosim.report.show import show_json


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    out = tmp_path_factory.mktemp("log") / "run.h5"
    log = campus_log(120.0)
    log.metrics = {"energy": {"e_source_mwh": 1.5}}
    write_log(log, out)
    return log, out


def _leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def test_summary_of_the_file_is_that_of_the_arrays(recorded):
    log, out = recorded
    with open_result(out) as result:
        found = dict(_leaves(summarize(result)))
    for path, value in _leaves(summarize(log)):
        assert found[path] == (pytest.approx(value) if isinstance(value, float) else value)


def test_engine_totals_stand_in_the_summary(recorded):
    with open_result(recorded[1]) as result:
        assert summarize(result)["engine"]["energy"]["e_source_mwh"] == 1.5


def test_page_of_the_file_names_it_and_its_provenance(recorded, tmp_path):
    with open_result(recorded[1]) as result:
        write_report([result], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<td>run</td>" in text
    assert "log_wall_s" in text


class _Counted:
    """A log that counts the rows read of each channel."""

    def __init__(self, log):
        self.log, self.n_read = log, Counter()

    def __getattr__(self, name):
        return getattr(self.log, name)

    def read(self, path, start=None, stop=None):
        values = self.log.read(path, start, stop)
        self.n_read[path] += len(values)
        return values


def test_page_walks_once_through_what_is_as_wide_as_the_feeder(tmp_path):
    """But for the rows in which it looks for the line that swings most."""
    log = campus_log(120.0)
    vm_pu = log.channels["bus/vm_min_pu"]
    lowest = np.where(vm_pu < 0.1, np.inf, vm_pu).min(axis=0).tolist()
    log.metrics = {"bus": {name: {"lowest_vm_pu": pu} for name, pu in zip(log.names("bus"), lowest, strict=True)}}
    for name, site in log.scenario["datacenters"].items():  # as every run logs it
        place = log.names("bus").index(str(site["bus"]))
        log.channels[f"datacenter/{name}/vm_pu"] = log.channels["bus/vm_pu"][:, place]
    counted = _Counted(log)
    write_report([counted], tmp_path / "page.html")
    wide = {path: n for path, n in counted.n_read.items() if path.startswith(("bus/", "line/"))}
    assert {"bus/vm_pu", "bus/vm_min_pu", "line/p_mw"} <= set(wide)
    for path, n in wide.items():
        assert n == log.n_rows + (N_LOOK if path == "line/p_mw" else 0), path


def test_page_is_the_same_whatever_was_foreseen(recorded, tmp_path, monkeypatch):
    """Nothing foreseen, all nodes and lines foreseen: pages equal to the last byte."""
    log = recorded[0]
    rows = {path: log.channels[path].shape[1] for path in ("bus/vm_min_pu", "bus/vm_pu", "line/p_mw")}
    every = [
        (path, pick(i)) for path, n in rows.items() for i in range(n) for pick in (panels._Column, panels._Energized)
    ]
    for name, wanted in (("own", panels.foreseen(log)), ("none", []), ("all", every)):
        monkeypatch.setattr("cosim.report.page.foreseen", lambda _log, wanted=wanted: wanted)
        write_report([log], tmp_path / f"{name}.html")
    pages = {name: (tmp_path / f"{name}.html").read_bytes() for name in ("own", "none", "all")}
    assert pages["own"] == pages["none"] == pages["all"]


@pytest.mark.parametrize("status", ["collapsed", "interrupted", "failed"])
def test_log_that_ended_early_says_so_in_json(tmp_path, status):
    log = campus_log(20.0)
    log.status = status
    write_log(log, tmp_path / "early.h5")
    with open_result(tmp_path / "early.h5") as result:
        assert f'"status": "{status}"' in show_json(result)
