"""The flickermeter against the test points of IEC 61000-4-15 and the curve of IEC 61000-3-3 between them."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from cosim import flickermeter
from cosim.errors import InputError
from cosim.metrics.flicker import Flickermeter, band_hz, long_term_severity, short_term_severities

pytestmark = pytest.mark.validation

POINTS = Path("data/standards/iec61000_4_15_flicker_vectors.csv")
RATE_PER_MIN = [1, 2, 3, 5, 7, 10, 22, 39, 48, 68, 110, 176, 273, 375, 480, 585, 682, 796, 1020, 1200, 1390, 1620]
# IEEE 1453-2015, table A.1 (IEC 61000-3-3, figure 2, as numbers): changes [%] of rectangular form with Pst = 1.
CURVE = {
    "120V60Hz": "3.166 2.568 2.25 1.899 1.695 1.499 1.186 1.044 1.0 0.939 0.841 "
    "0.739 0.65 0.594 0.559 0.501 0.445 0.393 0.35 0.371 0.438 0.547",
    "230V50Hz": "2.724 2.211 1.95 1.64 1.459 1.29 1.02 0.906 0.87 0.81 0.725 "
    "0.64 0.56 0.5 0.48 0.42 0.37 0.32 0.28 0.29 0.34 0.402",
}


def sinusoidal(f_hz: float, d_percent: float, step_s: float, duration_s: float = 40.0) -> np.ndarray:
    t_s = np.arange(round(duration_s / step_s)) * step_s
    return 1.0 + d_percent / 200.0 * np.sin(2.0 * np.pi * f_hz * t_s)


def rectangular(f_hz: float, d_percent: float, step_s: float, duration_s: float = 720.0) -> np.ndarray:
    t_s = np.arange(round(duration_s / step_s)) * step_s
    return 1.0 + d_percent / 200.0 * np.where(np.mod(f_hz * t_s + 1e-9, 1.0) < 0.5, 1.0, -1.0)


def largest_pinst(vm_pu: np.ndarray, step_s: float, lamp: str) -> float:
    pinst = flickermeter(vm_pu, step_s, lamp).pinst
    return float(pinst[len(pinst) // 2 :].max())


def points(shared: Path, table: str) -> list[tuple[str, str, float, float, float]]:
    with (shared / POINTS).open() as file:
        return [
            (
                row["edition"],
                f"{row['v_rms']}V{row['f_line_hz']}Hz",
                float(row["modulation_hz"]),
                float(row["dV_over_V_percent"]),
                float(row["tolerance_pm"]),
            )
            for row in csv.DictReader(file)
            if row["table"] == table
        ]


def table_1(f_hz: float, d_percent: float, step_s: float, lamp: str) -> float:
    return largest_pinst(sinusoidal(f_hz, d_percent, step_s), step_s, lamp)


def table_5(f_hz: float, d_percent: float, step_s: float, lamp: str) -> float:
    return flickermeter(rectangular(f_hz, d_percent, step_s), step_s, lamp).pst


@pytest.mark.parametrize(("table", "measure", "step_s"), [
    ("Table 1", table_1, 0.001),
    ("Table 1", table_1, 0.01),
    ("Table 5", table_5, 0.001),
])  # fmt: skip
def test_flickermeter_meets_every_point_of_the_standard(shared, table, measure, step_s):
    """At the engine's usual step the sinusoidal ones only: edges of rectangular changes fall between its samples."""
    missed = []
    for edition, lamp, f_hz, d_percent, tolerance in points(shared, table):
        found = measure(f_hz, d_percent, step_s, lamp)
        if not abs(found - 1.0) <= tolerance:
            missed.append((edition, lamp, f_hz, found))
    assert missed == []


@pytest.mark.parametrize("lamp", ["120V60Hz", "230V50Hz"])
def test_flickermeter_between_the_points_of_table_1_follows_them(shared, lamp):
    mine = sorted((f, d) for edition, name, f, d, _ in points(shared, "Table 1") if name == lamp and "ed.2" in edition)
    f_hz, d_percent = (np.array(column) for column in zip(*mine, strict=True))
    between = np.exp(0.5 * (np.log(f_hz[1:-2]) + np.log(f_hz[:-3])))
    for f, d in zip(between, np.exp(np.interp(np.log(between), np.log(f_hz), np.log(d_percent))), strict=True):
        assert largest_pinst(sinusoidal(f, d, 0.002), 0.002, lamp) == pytest.approx(1.0, abs=0.08), f


@pytest.mark.parametrize("step_s", [0.001, 0.01])
@pytest.mark.parametrize("lamp", list(CURVE))
def test_flickermeter_reproduces_the_curve_of_equal_severity(lamp, step_s):
    for rate, d_percent in zip(RATE_PER_MIN, map(float, CURVE[lamp].split()), strict=True):
        found = flickermeter(rectangular(rate / 120.0, d_percent, step_s), step_s, lamp).pst
        assert found == pytest.approx(1.0, abs=0.05), rate


def test_flicker_severity_is_linear_in_the_change():
    small, large = (flickermeter(rectangular(0.5, d, 0.01, 600.0), 0.01).pst for d in (0.5, 1.5))
    assert large == pytest.approx(3.0 * small, rel=0.01)


def test_flickermeter_gives_the_same_block_by_block():
    vm_pu = rectangular(0.7, 1.0, 0.01, 120.0)
    whole = flickermeter(vm_pu, 0.01).pinst
    meter = Flickermeter(0.01)
    cuts = [0, 1, 5, 40, 41, 3000, 7001, len(vm_pu)]
    parts = [meter.update(vm_pu[a:b]) for a, b in itertools.pairwise(cuts)]
    assert np.concatenate([*parts, meter.finish()]) == pytest.approx(whole, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 7, 40_000])
def test_flicker_is_as_long_as_its_input(n):
    found = flickermeter(np.ones(n), 0.01)
    assert len(found.pinst) == n
    assert math.isnan(found.pst)


def test_flicker_of_a_steady_voltage_is_none():
    found = flickermeter(np.full(60_000, 0.97), 0.01)
    assert found.pinst.max() < 1e-3
    assert found.pst < 0.02


def test_flickermeter_says_which_step_it_needs():
    with pytest.raises(InputError, match=r"at most 0\.05 s .* \(8\.8 Hz\).* 0\.011 s .* 40 Hz") as wrong:
        flickermeter(np.ones(100), 0.1, "110V16Hz")
    assert len(wrong.value.problems) == 2
    assert band_hz(0.05) == pytest.approx(8.8)
    assert band_hz(0.001) == 40.0


def test_flickermeter_refuses_what_is_no_voltage():
    with pytest.raises(InputError, match="finite"):
        flickermeter([1.0, math.nan], 0.01)


def test_flicker_severities_are_those_of_ten_minute_windows():
    calm, restless = np.ones(60_000), rectangular(0.5, 2.0, 0.01, 600.0)
    found = flickermeter(np.concatenate((calm, restless, calm)), 0.01)
    each = short_term_severities(found.pinst, 0.01)
    assert len(each) == 3
    assert found.pst == each.max() == each[1]
    assert long_term_severity(each) == pytest.approx((np.sum(each**3) / 3.0) ** (1.0 / 3.0))
    assert math.isnan(long_term_severity([]))
