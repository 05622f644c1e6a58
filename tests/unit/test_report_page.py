"""The report page: whole, self-contained, escaped, within its budget, and drawn by a real browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from synthetic_log import EVENT_COLUMNS, SyntheticLog, campus_log

from cosim.errors import EnvironmentFailure
from cosim.metrics import analyse
from cosim.metrics.limits import load_limits
from cosim.report.page import write_report
from cosim.report.payload import MAX_EVENT, MAX_VALUE, Run, labels, payload
from cosim.report.series import Bucketer, quantized, rows_per_bucket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to draw the page")


def opened(path, fragment="", budget_ms=20_000):
    """Attributes of the page's root element after its script ran, and the whole document."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--virtual-time-budget={budget_ms}"]
    url = f"{path.as_uri()}{fragment}"
    done = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=180, check=True)
    tag = re.search(r"<html([^>]*)>", done.stdout)
    assert tag is not None
    return dict(re.findall(r'data-([\w-]+)="([^"]*)"', tag.group(1))), done.stdout


def data_of(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "page.html"
    write_report([campus_log()], out)
    return out


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "hour.html"
    write_report([campus_log(3600.0)], out)
    return out


class _Outside(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        wanted = {"src", "href"} if tag != "a" else set()
        self.found += [value for key, value in attrs if key in wanted]


def test_page_fetches_nothing(page):
    parser = _Outside()
    parser.feed(page.read_text(encoding="utf-8"))
    assert parser.found == []


def test_page_of_ten_minutes_at_100_ms_is_below_six_megabytes(page):
    assert page.stat().st_size < 6e6


@needs_browser
def test_page_draws_without_an_error(page):
    root, document = opened(page)
    assert "error" not in root
    assert root["ready"] == "1"
    assert int(root["points"]) > 1000
    assert document.count('class="main-svg"') >= 3


@needs_browser
def test_zoom_goes_down_to_the_rows_of_the_log(hour):
    whole, _ = opened(hour)
    closer, _ = opened(hour, "#t=1000,1060")
    assert float(whole["shown-rows"]) > 10
    assert float(closer["shown-rows"]) == 1
    assert (float(closer["from"]), float(closer["to"])) == (1000.0, 1060.0)


def with_script(path, script):
    """A copy of a page that runs one more script once it is drawn."""
    once = f"""<script>(function wait() {{
      if (!document.documentElement.dataset.ready) return setTimeout(wait, 50);
      {script}
    }})();</script>"""
    out = path.with_name("scripted.html")
    out.write_text(path.read_text(encoding="utf-8") + once, encoding="utf-8")
    return out


@needs_browser
def test_dragging_a_range_takes_finer_data_and_double_click_the_whole_again(hour):
    script = """const root = document.documentElement;
      Plotly.relayout("panels", {"xaxis.range[0]": 500, "xaxis.range[1]": 530});
      setTimeout(() => {
        root.dataset.dragged = [root.dataset.from, root.dataset.to, root.dataset.shownRows].join();
        Plotly.relayout("panels", {"xaxis.autorange": true});
      }, 1500);"""
    root, _ = opened(with_script(hour, script))
    assert root["dragged"] == "500,530,1"
    assert (float(root["from"]), float(root["to"])) == (0.0, 3600.0)


@needs_browser
def test_event_table_filters_by_kind_and_sorts(page):
    script = """const kind = document.getElementById("kind"); kind.value = "ups_engaged"; kind.onchange();
      document.querySelector('#events th[data-col="1"]').click();
      const rows = document.querySelectorAll("#events-body tr");
      document.documentElement.dataset.rows = rows.length;
      document.documentElement.dataset.top = rows[0].cells[0].textContent;
      document.documentElement.dataset.value = rows[0].cells[3].textContent;"""
    root, _ = opened(with_script(page, script))
    engaged = campus_log().events.query("kind == 'ups_engaged'")
    assert int(root["rows"]) == len(engaged)
    assert float(root["top"]) == pytest.approx(engaged["t_s"].max())
    assert root["value"].endswith(" MW/s")


@needs_browser
def test_overlay_of_two_runs_draws_and_shows_differences(tmp_path):
    without = campus_log(with_ups=False)
    without.attrs["scenario_name"] = "without"
    out = tmp_path / "two.html"
    write_report([campus_log(), without], out)
    root, document = opened(out)
    assert root.get("error") is None
    assert root["ready"] == "1"
    assert "without - synthetic" in document


@needs_browser
@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a & \"b\" 'c'"]
)
def test_hostile_names_stay_text(tmp_path, name):
    log = campus_log(60.0, name=name)
    log.attrs["scenario_name"] = name
    log.scenario["description"] = name
    log.scenario_yaml = name
    log.elements["bus"][0] = name
    log.events = pd.DataFrame([(1.0, "job_started", name, float("nan"), name)], columns=EVENT_COLUMNS)
    out = tmp_path / "hostile.html"
    write_report([log], out)
    text = out.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
    root, document = opened(out)
    assert root.get("error") is None
    assert root["ready"] == "1"
    assert "<img" not in re.sub(r"<script.*?</script>", "", document, flags=re.S)


@needs_browser
@pytest.mark.parametrize("n_row", [0, 1, 2])
def test_log_with_hardly_a_row_still_makes_a_page(tmp_path, n_row):
    log = campus_log(10.0)
    log.t_s = log.t_s[:n_row]
    log.channels = {path: values[:n_row] for path, values in log.channels.items()}
    log.status = "failed"
    out = tmp_path / "short.html"
    write_report([log], out)
    root, document = opened(out)
    assert root.get("error") is None
    assert root["ready"] == "1"
    assert "This run failed" in document


@needs_browser
def test_uneven_rows_keep_their_times(tmp_path):
    log = campus_log(60.0)
    log.t_s = np.delete(log.t_s, slice(100, 300))
    log.channels = {path: np.delete(values, slice(100, 300), axis=0) for path, values in log.channels.items()}
    out = tmp_path / "uneven.html"
    write_report([log], out)
    run = data_of(out)["runs"][0]
    t_s = np.frombuffer(base64.b64decode(run["grid"]["t_s"]), "<f8")
    assert t_s == pytest.approx(log.t_s)
    assert opened(out)[0]["ready"] == "1"


def test_page_never_holds_more_values_than_its_budget():
    for n_value in (10, MAX_VALUE, MAX_VALUE + 1, 12 * 864_000, 10**9):
        n_row = rows_per_bucket(n_value, MAX_VALUE)
        kept = n_value if n_row == 1 else 2 * n_value / n_row
        assert kept <= MAX_VALUE


def test_curves_in_the_page_are_the_log_within_a_quantum(page):
    log, data = campus_log(), data_of(page)
    one = next(s for s in data["series"] if s["role"] == "grid")
    values = one["lo"] + one["step"] * (np.frombuffer(base64.b64decode(one["q"]), "<i2").astype(float) + 32767)
    expected = log.channels["datacenter/campus/p_grid_mw"]
    assert np.abs(values - expected).max() <= 0.51 * np.ptp(expected) / 65534


def test_interruption_is_a_gap_in_the_voltage_and_not_a_zero(page):
    one = next(s for s in data_of(page)["series"] if s["role"] == "worst")
    q = np.frombuffer(base64.b64decode(one["q"]), "<i2")
    assert (q == -32768).sum() == 49
    assert one["lo"] > 0.1


@given(
    arrays(np.float32, st.integers(1, 200), elements=st.floats(-10, 10, width=32)),
    st.integers(1, 30),
    st.integers(1, 40),
)
def test_buckets_keep_every_extreme_however_the_log_is_read(values, n_row, block):
    bucketer = Bucketer(n_row, "both")
    for start in range(0, len(values), block):
        bucketer.update(values[start : start + block])
    kept = bucketer.result()
    if n_row == 1:
        assert kept == pytest.approx(values)
        return
    expected = [values[i : i + n_row] for i in range(0, len(values), n_row)]
    pairs = kept.reshape(-1, 2)
    assert len(pairs) == len(expected)
    assert pairs.min(axis=1) == pytest.approx(np.array([part.min() for part in expected]))
    assert pairs.max(axis=1) == pytest.approx(np.array([part.max() for part in expected]))


def test_gap_and_constant_survive_quantization():
    found = quantized(np.array([np.nan, 2.5, 2.5], np.float32))
    q = np.frombuffer(base64.b64decode(found["q"]), "<i2")
    assert q.tolist() == [-32768, -32767, -32767]
    assert (found["lo"], found["step"]) == (2.5, 0.0)


def test_page_of_very_many_events_keeps_the_rare_ones():
    chatter = [(0.001 * i, "ups_engaged", "campus", 1.0, "") for i in range(2 * MAX_EVENT)]
    log = campus_log(60.0)
    log.events = pd.DataFrame([*chatter, (50.0, "source_lost", "source", 0.0, "")], columns=EVENT_COLUMNS)
    found = analyse(log)
    data = payload([Run(log, found, {}, "a", "#000")])
    assert len(data["events"]) == MAX_EVENT
    assert data["n_event"] == 2 * MAX_EVENT + 1
    assert data["kinds"][data["events"][-1][2]] == "source_lost"


def test_labels_of_runs_of_one_scenario_differ():
    logs = [campus_log(1.0), campus_log(1.0)]
    assert labels(logs, ["a", "b"]) == ["synthetic (a)", "synthetic (b)"]
    assert len(set(labels(logs, ["", ""]))) == 2
    assert labels([SyntheticLog(np.zeros(0))], ["file"]) == ["file"]


def test_report_that_cannot_be_written_says_where(tmp_path):
    with pytest.raises(EnvironmentFailure, match="cannot write the report"):
        write_report([campus_log(10.0)], tmp_path / "missing" / "page.html")


def test_page_begins_with_the_verdicts_and_has_the_numbers_beside(tmp_path):
    out, numbers = tmp_path / "page.html", tmp_path / "page.metrics.json"
    write_report([campus_log(900.0)], out, load_limits(["interconnection"]), json_out=numbers)
    text = out.read_text(encoding="utf-8")
    assert text.index("Ramp of the facility over 1 min") < text.index("<h2>Over time</h2>")
    assert "illustrative of utility practice" in text
    (beside,) = json.loads(numbers.read_text())
    assert [one["name"] for one in beside["verdicts"]] == [limit.name for limit in load_limits(["interconnection"])]
    data = data_of(out)["standards"]
    assert data["curves"] == []
    assert data["limited"] == [[0.1, 20.0]]
    assert len(data["spectra"]) == 2


def test_page_draws_the_events_over_the_tolerance_curves(page):
    data = data_of(page)["standards"]
    stairs = {curve["name"]: list(zip(curve["x"], curve["y"], strict=True)) for curve in data["curves"]}
    assert (0.02, 0.7) in stairs["ITIC, sags"]
    assert (10.0, 0.9) in stairs["ITIC, sags"]
    assert (0.5, 1.1) in stairs["ITIC, swells"]
    assert (1.0, 0.9) in stairs["SEMI F47, sags"]
    (events,) = data["tolerance"]
    assert 0.0 in events["y"]  # the blackout
    assert len(events["x"]) == len(events["shorter"]) == len(events["text"])


def test_a_page_without_curves_and_events_has_no_empty_picture(tmp_path):
    calm = campus_log(200.0, blackout=False)
    calm.channels["bus/vm_min_pu"] = calm.channels["bus/vm_pu"] = np.ones_like(calm.channels["bus/vm_pu"])
    write_report([calm], tmp_path / "modes.html", load_limits(["modes"]))
    assert 'id="tolerance"' not in (tmp_path / "modes.html").read_text()
    assert data_of(tmp_path / "modes.html")["standards"]["limited"][0] == pytest.approx([0.15, 0.25])
    write_report([calm], tmp_path / "itic.html", load_limits(["itic_semi_f47"]))
    assert 'id="tolerance"' in (tmp_path / "itic.html").read_text()
