"""More laws of the UPS over random scenarios: blocks, the offline optimum, the counter of transfers.

`COSIM_LAW_EXAMPLES` sets how many are drawn, a tenth of it for each.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from engine_cases import kinds, simulate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_ups_laws import GRID, STEP_S, scenarios

from cosim.ups.optimum import least_storage

pytestmark = pytest.mark.filterwarnings("ignore:datacenters.campus:UserWarning")

N_EXAMPLES = max(10, int(os.environ.get("COSIM_LAW_EXAMPLES", "500")) // 10)
every = settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@given(scenarios(), st.sampled_from([STEP_S, 0.35, 1.0, 4.0]))
@every
def test_no_random_result_depends_on_the_size_of_blocks(plain, max_block_s):
    whole, cut = simulate(plain), simulate(plain, max_block_s)
    for path, values in whole[0].items():
        assert np.array_equal(values, cut[0][path], equal_nan=values.dtype.kind == "f"), path
    assert whole[1] == cut[1]
    for path, value in whole[2].items():
        if path.startswith(("energy/", "ups/", "datacenter/")):
            assert value == cut[2][path], path


@given(scenarios())
@every
def test_no_random_controller_beats_the_optimum(plain):
    """Whatever holds the limits at every step needs at least the storage of the program that knows the future."""
    plain["events"] = []
    ups = plain["datacenters"]["campus"]["ups"]
    if ups["smoothing"]["controller"] in ("none", "trigger"):  # neither promises to hold them at every step
        ups["smoothing"]["controller"] = "ramp_limiter"
    rows, _, totals = simulate(plain)
    if totals["ups/campus/max_excess_mw"] > 0.0:
        return
    need, grid = (rows[path][1:].astype(float) for path in ("datacenter/campus/p_need_mw", GRID))
    stored = np.concatenate([[0.0], np.cumsum(grid - need)]) * STEP_S / 3600
    n = int(np.flatnonzero(stored >= 0.0)[-1])  # the optimum gives back what it takes: so does the run up to here
    if n < 2:
        return
    limits = {f"max_{way}_mw_per_s": ups[f"max_{way}_mw_per_s"] for way in ("ramp", "decline")}
    least = least_storage(need[:n], STEP_S, **limits)
    used = stored[: n + 1].max() - stored[: n + 1].min()
    # float32 rows: each step by 1e-7 of 4 MW, and its limit by as much
    assert used >= least.e_mwh - n * 1e-6 * STEP_S / 3600 * n


@st.composite
def counted(draw):
    """Deep dips of 0.3 s, outages among them, far enough apart for sites to return, and a counter with its window."""
    gaps = draw(st.lists(st.floats(1.2, 3.0), min_size=1, max_size=4))
    at_s = np.round(np.cumsum([1.0, *gaps]), 2).tolist()
    return at_s, draw(st.integers(2, 4)), draw(st.floats(1.5, 9.0)), draw(st.floats(0.0, 0.45))


@given(counted())
@every
def test_fewer_dips_than_the_count_lock_nobody_out_and_as_many_within_its_window_do(case):
    at_s, n, window_s, vm_pu = case
    spans = [at_s[k + n - 1] - at_s[k] for k in range(len(at_s) - n + 1)]
    if any(abs(span - window_s) < 0.1 for span in spans):
        return  # decided by how long each dip takes to be noticed
    site = {
        "load": {
            "accelerators": {"count": 512, "p_peak_w": 700, "p_idle_w": 90},
            "jobs": {"a": {"kind": "training", "iteration": [{"duration_s": 1, "utilization": 1}]}},
        },
        "facility": {"return_delay_s": 0.2},
        "ups": {
            "max_p_charge_mw": 4, "max_p_discharge_mw": 4, "max_e_mwh": 1.0,
            "max_ramp_mw_per_s": 1.0, "max_decline_mw_per_s": 1.0,
            "ride_through": {"counter": {"n": n, "window_s": window_s}},
        },
    }  # fmt: skip
    _, events, _ = simulate(
        {
            "schema": 1,
            "name": "counted",
            "time": {"duration_s": 16, "step_s": STEP_S},
            "log": {"step_s": STEP_S},
            "feeder": {"model": "case33bw"},
            "datacenters": {"a": {"bus": "5", **site}, "b": {"bus": "17", **site}},
            "events": [{"at_s": t, "kind": "dip_started", "vm_pu": vm_pu, "duration_s": 0.3} for t in at_s],
        }
    )
    locked = {element for _, kind, element, *_ in events if kind == "ups_locked_out"}
    assert locked == ({"a", "b"} if any(span < window_s for span in spans) else set())
    assert "load_shed" not in kinds(events)
