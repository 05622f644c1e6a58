"""Metrics and report of logs on disk, as a run writes them."""

from __future__ import annotations

import pytest
from synthetic_log import campus_log, write_log

from cosim.metrics import summarize
from cosim.record.result import open_result
from cosim.report.page import write_report
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


@pytest.mark.parametrize("status", ["collapsed", "interrupted", "failed"])
def test_log_that_ended_early_says_so_in_json(tmp_path, status):
    log = campus_log(20.0)
    log.status = status
    write_log(log, tmp_path / "early.h5")
    with open_result(tmp_path / "early.h5") as result:
        assert f'"status": "{status}"' in show_json(result)
