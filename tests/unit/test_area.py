"""Frequency of the area: its kernel against exact solutions, what follows from it in a run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm

import cosim
from cosim.area.build import build_area
from cosim.area.config import AreaConfig, LoadSheddingStep
from cosim.area.kernel import hold_area, note_area
from cosim.errors import InputError
from cosim.events import AREA_LOAD_SHED, new_ring
from cosim.jit import njit
from cosim.wiring import prepare


@njit
def step_area(area, events, n_event, p_mw, dt_us, out):
    for k in range(out.size):
        note_area(area, p_mw[k], events, n_event, k * dt_us)
        out[k] = area.area[0].df_hz
        hold_area(area, p_mw[k], k * dt_us, dt_us)


def followed(config, p_mw, dt_us=10_000):
    area, (events, n_event) = build_area(config, 60.0), new_ring()
    out = np.zeros(len(p_mw))
    step_area(area, events, n_event, np.asarray(p_mw, float), dt_us, out)
    return out, area.area[0], events[: n_event[0]]


def exact(config, p_mw, dt_us=10_000):
    """States of the linear system (no dead band, no limits) by its matrix exponential over each step."""
    base = config.s_base_mva / 60.0
    m, b = 2 * config.inertia_s * base, config.damping * base
    k = base / config.droop if config.droop else 0.0
    ks = (k + b) / config.secondary_s if config.secondary_s else 0.0
    a = np.array([[-b / m, 1 / m, 1 / m], [-k / config.governor_s, -1 / config.governor_s, 0], [-ks, 0, 0]])
    whole = expm(np.block([[a, np.array([[-1 / m], [0], [0]])], [np.zeros((1, 4))]]) * dt_us * 1e-6)
    x, found = np.zeros(3), []
    for p in np.asarray(p_mw) - p_mw[0]:
        found.append(x[0])
        x = whole[:3, :3] @ x + whole[:3, 3] * p
    return np.array(found)


@pytest.mark.twin
@pytest.mark.parametrize("secondary_s", [None, 20.0])
@pytest.mark.parametrize("dt_us", [2_000, 10_000, 250_000])
def test_frequency_is_the_exact_solution_of_the_linear_system(secondary_s, dt_us):
    config = AreaConfig(s_base_mva=500, inertia_s=3.5, damping=1.2, dead_band_hz=0.0, secondary_s=secondary_s)
    n = min(40_000_000 // dt_us, 4000)
    p_mw = np.where(np.arange(n) * dt_us < 1_000_000, 80.0, 30.0) + np.sin(np.arange(n))
    found, _, _ = followed(config, p_mw, dt_us)
    assert np.max(np.abs(found - exact(config, p_mw, dt_us))) < 1e-8
    assert np.max(np.abs(found)) > 0.1


@pytest.mark.twin
def test_frequency_settles_where_the_area_characteristic_says():
    # Kundur 1994, section 11.1.3: df = -dP / beta, beta = 1/R + D in pu of the base and nominal frequency.
    config = AreaConfig(s_base_mva=1000, droop=0.05, damping=1.0, dead_band_hz=0.0)
    found, _, _ = followed(config, np.r_[0.0, np.full(3_000, 100.0)])
    assert found[-1] == pytest.approx(-0.1 / (1 / 0.05 + 1.0) * 60.0, rel=1e-9)


@pytest.mark.twin
def test_frequency_starts_to_fall_by_the_inertia_alone():
    config = AreaConfig(s_base_mva=1000, inertia_s=5.0)
    found, area, _ = followed(config, np.r_[0.0, np.full(5, 100.0)], 1_000)
    assert area["max_slope_hz_s"] == pytest.approx(0.1 * 60.0 / (2 * 5.0), rel=1e-3)  # dP f0 / (2 H S)
    assert found[2] == pytest.approx(-0.6e-3, rel=1e-3)


@pytest.mark.twin
def test_secondary_control_brings_the_frequency_back():
    config = AreaConfig(s_base_mva=1000, secondary_s=30.0)
    found, area, _ = followed(config, np.r_[0.0, np.full(20_000, 100.0)])
    assert abs(found[-1]) < 1e-3 < abs(found).max()
    assert area["p_secondary_mw"] == pytest.approx(100.0, rel=1e-2)


@pytest.mark.twin
def test_governors_rest_in_their_dead_band_and_stop_at_their_limits():
    quiet, area, _ = followed(
        AreaConfig(s_base_mva=1000, damping=100, dead_band_hz=0.036), np.r_[0.0, np.full(3000, 50.0)]
    )
    assert abs(quiet[-1]) == pytest.approx(50 / (100 * 1000 / 60), rel=1e-6)
    assert area["p_governor_mw"] == 0.0
    _, area, _ = followed(AreaConfig(s_base_mva=1000, max_up_mw=20.0), np.r_[0.0, np.full(6000, 100.0)])
    assert area["p_governor_mw"] == pytest.approx(20.0, rel=1e-6)


@pytest.mark.twin
def test_load_shedding_waits_its_delay_and_balances_the_area():
    steps = [LoadSheddingStep(below_hz=59.5, delay_s=0.1, p_mw=60.0), LoadSheddingStep(below_hz=58.0, p_mw=100.0)]
    config = AreaConfig(s_base_mva=1000, inertia_s=4.0, droop=None, damping=0.0, shedding=steps)
    found, area, events = followed(config, np.r_[0.0, np.full(400, 60.0)])
    slope = 60.0 * 60.0 / (2 * 4.0 * 1000)
    crossing_s = 0.01 + 0.5 / slope
    assert [int(kind) for kind in events["kind"]] == [AREA_LOAD_SHED]
    assert events["t_us"][0] * 1e-6 == pytest.approx(crossing_s + 0.1, abs=0.011)
    assert area["p_shed_mw"] == 60.0
    assert found[-1] == pytest.approx(-slope * (events["t_us"][0] * 1e-6 - 0.01), abs=1e-9)


def scenario(area=None, ups=None, frequency=None, step_s=0.01):
    iteration = [{"duration_s": 1000, "utilization": 1}]
    job = {"kind": "training", "iteration": iteration, "cold_start": [{"duration_s": 0.5, "utilization": 1}]}
    center = {
        "bus": "5",
        "load": {
            "accelerators": {"count": 4096, "p_peak_w": 700, "p_idle_w": 100},
            "jobs": {"j": {**job, "start_s": 0}},
        },
        "facility": {"frequency": frequency} if frequency else {},
    }
    return {
        "schema": 1,
        "name": "frequency",
        "time": {"duration_s": 40, "step_s": step_s},
        "feeder": {"model": "case33bw"},
        "source": {"area": {"s_base_mva": 100, "dead_band_hz": 0.0} | (area or {})},
        "datacenters": {"a": center | ({"ups": ups} if ups else {})},
        "events": [{"at_s": 20, "kind": "job_failed", "datacenter": "a", "job": "j"}],
        "log": {"step_s": 0.1},
    }


UPS = {
    "max_p_charge_mw": 3, "max_p_discharge_mw": 3, "max_e_mwh": 0.5, "max_ramp_mw_per_s": 100,
    "max_decline_mw_per_s": 100, "smoothing": {"controller": "none"}, "return_s": 1e6,
}  # fmt: skip


def ran(tmp_path, config, **how):
    with cosim.run(config, out=tmp_path / "f.h5", **how) as result:
        metrics = result.metrics | {"p_grid_mw": result.read("datacenter/a/p_grid_mw")}
        return result.read("source/f_hz"), result.read("source/p_mw"), metrics, result.read("t_s")


def test_failed_job_raises_the_frequency_as_its_power_says(tmp_path):
    f_hz, p_mw, metrics, t_s = ran(tmp_path, scenario())
    before, after = np.searchsorted(t_s, 19.9), -1
    beta = 100 / 60 * (1 / 0.05 + 1.0)  # settled: f0 - (p - p at the start) / beta
    for k in (before, after):
        assert f_hz[k] == pytest.approx(60.0 - (p_mw[k] - p_mw[0]) / beta, abs=3e-4)
    assert metrics["area"]["highest_hz"] >= f_hz.max()
    assert metrics["area"]["highest_t_s"] > 20.0


def test_droop_of_a_ups_shares_the_deviation_with_the_governors(tmp_path):
    f_alone, _, alone, _ = ran(tmp_path, scenario(ups=UPS))
    droop = UPS | {"frequency": {"droop_mw_per_hz": 40.0, "dead_band_hz": 0.0}}
    f_hz, p_mw, metrics, t_s = ran(tmp_path, scenario(ups=droop))
    k = np.searchsorted(t_s, 19.9)
    beta = 100 / 60 * (1 / 0.05 + 1.0)
    # what the area sees is what the source gives, the UPS's answer in it
    assert f_hz[k] == pytest.approx(60.0 - (p_mw[k] - p_mw[0]) / beta, abs=3e-4)
    given_mw = alone["p_grid_mw"][k] - metrics["p_grid_mw"][k]
    assert given_mw == pytest.approx(40.0 * (60.0 - f_hz[k]), rel=1e-3)
    assert abs(f_hz[k] - 60.0) < beta / (beta + 40.0) * abs(f_alone[k] - 60.0)  # and losses give way as well


def test_synthetic_inertia_of_a_ups_slows_the_first_fall(tmp_path):
    weak = {"inertia_s": 2.0}
    *_, alone, _ = ran(tmp_path, scenario(weak, ups=UPS))
    inertia = UPS | {"frequency": {"inertia_mw_s_per_hz": 15.0, "measuring_s": 0.05}}
    *_, with_ups, _ = ran(tmp_path, scenario(weak, ups=inertia))
    assert 60.0 - with_ups["area"]["lowest_hz"] < 0.9 * (60.0 - alone["area"]["lowest_hz"])


def test_servers_give_way_while_the_frequency_is_low(tmp_path):
    f_alone, p_alone, *_ = ran(tmp_path, scenario())
    f_hz, p_mw, metrics, t_s = ran(tmp_path, scenario(frequency={"droop_mw_per_hz": 10.0, "dead_band_hz": 0.0}))
    k = np.searchsorted(t_s, 19.9)
    assert p_mw[k] < p_alone[k] - 0.3
    assert f_hz[k] > f_alone[k]
    assert metrics["datacenter"]["a"]["e_throttled_mwh"] > 0


def test_frequency_does_not_depend_on_blocks(tmp_path):
    one, *_ = ran(tmp_path, scenario(ups=UPS))
    other, *_ = ran(tmp_path, scenario(ups=UPS), max_block_s=0.37)
    assert np.array_equal(one, other)


def test_answer_to_a_frequency_that_nothing_moves_is_refused(tmp_path):
    config = scenario(frequency={"droop_mw_per_hz": 10.0})
    del config["source"]
    with pytest.raises(InputError, match=r"source\.area"):
        cosim.run(config, out=tmp_path / "f.h5")


def test_frequency_is_held_until_the_area_starts(tmp_path):
    f_hz, _, _, t_s = ran(tmp_path, scenario({"start_s": 10.0}))
    assert np.all(f_hz[t_s <= 10.0] == 60.0)
    assert f_hz[np.searchsorted(t_s, 19.0)] == pytest.approx(60.0, abs=1e-3)
    assert f_hz.max() > 60.01


def test_area_whose_shedding_rises_is_refused():
    steps = [LoadSheddingStep(below_hz=58.0, p_mw=1.0), LoadSheddingStep(below_hz=59.0, p_mw=1.0)]
    with pytest.raises(ValueError, match="falling"):
        AreaConfig(s_base_mva=1.0, shedding=steps)
    assert math.isinf(build_area(AreaConfig(s_base_mva=1.0), 60.0).area[0]["max_up_mw"])


MASTER_50_HZ = """\
Clear
Set DefaultBaseFrequency=50
New Circuit.of50 bus1=head basekv=20 pu=1.0 phases=3 Mvasc3=500 Mvasc1=400
New Line.l bus1=head bus2=campus r1=0.2 x1=0.4 r0=0.6 x0=1.2 length=2 units=km
Set VoltageBases=[20]
CalcVoltageBases
Solve
"""


def on_50_hz(tmp_path, **area):
    (tmp_path / "of50.dss").write_text(MASTER_50_HZ)
    plain = scenario(area)
    plain["feeder"]["model"], plain["datacenters"]["a"]["bus"] = str(tmp_path / "of50.dss"), "campus"
    return plain | {"time": {"duration_s": 2, "step_s": 0.1}, "events": [], "log": {"step_s": 0.1}}


def test_area_behind_a_feeder_of_50_hz_starts_at_50_hz(tmp_path):
    f_hz, p_mw, metrics, _ = ran(tmp_path, on_50_hz(tmp_path))
    assert f_hz[0] == 50.0
    assert 49.0 < f_hz[-1] < 50.0
    step_mw = p_mw[1] - p_mw[0]
    slope = step_mw * 50.0 / (2 * 4.0 * 100.0)  # dP f0 / (2 H S)
    assert (f_hz[1] - f_hz[2]) / 0.1 == pytest.approx(slope, rel=0.2)
    assert metrics["area"]["max_slope_hz_per_s"] == pytest.approx(slope, rel=1e-6)


def test_area_of_another_frequency_than_its_feeder_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="one of 50 Hz: leave it out") as caught:
        prepare(on_50_hz(tmp_path, f_nominal_hz=60))
    assert [problem.path for problem in caught.value.problems] == ["source.area.f_nominal_hz"]
    with pytest.raises(InputError, match="must be below the feeder's 50 Hz") as caught:
        prepare(on_50_hz(tmp_path, shedding=[{"below_hz": 59.3, "p_mw": 1}]))
    assert [problem.path for problem in caught.value.problems] == ["source.area.shedding.0.below_hz"]
    config, feeder = prepare(on_50_hz(tmp_path, f_nominal_hz=50))
    assert config.source.area.f_nominal_hz == feeder.network.f_hz == 50.0
