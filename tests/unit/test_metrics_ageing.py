"""Hot spot and loss of life of transformers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from synthetic_log import campus_log

from cosim.metrics import summarize
from cosim.metrics.ageing import AgeingMeter, Thermal, ageing_factor


@pytest.mark.validation
@pytest.mark.parametrize(
    ("hot_spot_degree", "factor"),
    # IEEE C57.91-2011, table 1 (65 degree C rise)
    [(80, 0.0358), (90, 0.1156), (100, 0.3499), (110, 1.0), (120, 2.7089), (130, 6.9842), (140, 17.1995)],
)
def test_ageing_factor_is_that_of_the_standards_table(hot_spot_degree, factor):
    assert float(ageing_factor(np.array(float(hot_spot_degree)))) == pytest.approx(factor, rel=0.003)


def test_a_day_at_rated_load_and_30_degree_is_normal_ageing():
    meter = AgeingMeter(2, 60.0)
    meter.update(60.0 * np.arange(1441.0), np.tile([100.0, 0.0], (1441, 1)))
    found = meter.result()
    assert found.hot_spot_max_degree[0] == pytest.approx(110.0)
    assert found.factor[0] == pytest.approx(1.0)
    assert found.life_lost_percent[0] == pytest.approx(100.0 * 24.0 / 180_000.0)
    assert found.hot_spot_max_degree[1] == pytest.approx(30.0 + 55.0 * (1.0 / 6.0) ** 0.8)


def test_rises_follow_a_step_of_load_with_their_time_constants():
    thermal = Thermal(hot_spot_rise_degree=0.0)
    loading = np.r_[0.0, np.full(180, 120.0)][:, None]  # three hours at 1.2 times rated load
    whole, cut = AgeingMeter(1, 60.0, thermal), AgeingMeter(1, 60.0, thermal)
    t_s = 60.0 * np.arange(181.0)
    whole.update(t_s, loading)
    for part in np.split(np.arange(181), [1, 2, 90]):
        cut.update(t_s[part], loading[part])
    idle = 55.0 * (1.0 / 6.0) ** 0.8
    ultimate = 55.0 * ((1.44 * 5.0 + 1.0) / 6.0) ** 0.8
    expected = 30.0 + ultimate - (ultimate - idle) * math.exp(-1.0)
    assert whole.result().hot_spot_max_degree[0] == pytest.approx(expected, rel=1e-9)
    assert cut.result().hot_spot_max_t_s[0] == whole.result().hot_spot_max_t_s[0] == t_s[-1]
    assert cut.result().factor[0] == pytest.approx(whole.result().factor[0], rel=1e-12)


def test_summary_tells_the_ageing_of_each_transformer():
    log = campus_log(60.0, with_ups=False, blackout=False)
    log.elements["trafo"] = ["main"]
    log.channels["trafo/loading_percent"] = np.full((len(log.t_s), 1), 100.0, dtype=np.float32)
    (row,) = summarize(log)["trafos"]
    assert row["hot_spot_max_degree"] == pytest.approx(110.0)
    assert row["ageing_factor"] == pytest.approx(1.0)
    assert row["life_lost_percent"] == pytest.approx(100.0 * 60.0 / 3600.0 / 180_000.0)
