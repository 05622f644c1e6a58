"""A composite large load: what ceases at which voltage, what comes back, and that energies close."""

from __future__ import annotations

import numpy as np
import pytest

import cosim
from cosim.errors import InputError

COMPOSITE = {
    "v_start_pu": 0.8, "v_all_pu": 0.6, "cease_part": 0.9, "cease_delay_s": 0.02, "v_return_pu": 0.9,
    "return_delay_s": 1.0, "return_part": 0.5, "return_s": 4.0,
}  # fmt: skip


def scenario(events, **composite):
    iteration = [{"duration_s": 1000, "utilization": 1}]
    job = {"kind": "training", "iteration": iteration, "cold_start": [{"duration_s": 0.1, "utilization": 1}]}
    return {
        "schema": 1,
        "name": "composite",
        "time": {"duration_s": 30},
        "feeder": {"model": "case33bw"},
        "datacenters": {
            "a": {
                "bus": "2",
                "load": {
                    "accelerators": {"count": 1024, "p_peak_w": 700, "p_idle_w": 100},
                    "jobs": {"j": job},
                },
                "facility": {"composite": COMPOSITE | composite},
            }
        },
        "events": events,
        "log": {"step_s": 0.01},
    }


def dip(vm_pu, at_s=5.0, duration_s=0.2):
    return {"at_s": at_s, "kind": "dip_started", "vm_pu": vm_pu, "duration_s": duration_s}


def ran(tmp_path, config):
    with cosim.run(config, out=tmp_path / "c.h5") as result:
        columns = {key: result.read(f"datacenter/a/{key}") for key in ("p_grid_mw", "p_need_mw", "vm_pu", "p_it_mw")}
        return columns | {"t_s": result.read("t_s")}, result.metrics, result.events


def share_off(columns, at_s):
    k = np.searchsorted(columns["t_s"], at_s)
    return 1.0 - columns["p_grid_mw"][k] / columns["p_need_mw"][k]


@pytest.mark.parametrize("vm_pu", [0.85, 0.75, 0.7, 0.3, 0.05])
def test_part_that_ceases_follows_the_voltage(tmp_path, vm_pu):
    columns, metrics, _ = ran(tmp_path, scenario([dip(vm_pu)]))
    inside = (columns["t_s"] > 5.015) & (columns["t_s"] < 5.19)  # from when its delay is over
    lowest = columns["vm_pu"][inside].min()
    expected = 0.9 * float(np.clip((0.8 - lowest) / 0.2, 0.0, 1.0))
    assert share_off(columns, 5.6) == pytest.approx(expected, abs=1e-6)  # voltage is back, its delay not over
    assert columns["p_it_mw"][columns["t_s"] > 1].min() > 0.7  # its own storage carries it
    assert abs(metrics["datacenter"]["a"]["balance_relative"]) < 1e-9
    assert abs(metrics["energy"]["balance_relative"]) < 1e-9


def test_shorter_than_its_delay_nothing_ceases(tmp_path):
    columns, *_ = ran(tmp_path, scenario([dip(0.3, duration_s=0.04)], cease_delay_s=0.1))
    assert share_off(columns, 5.2) == 0.0


def test_half_comes_back_on_its_ramp_and_the_rest_when_it_is_let(tmp_path):
    unlocked = {"at_s": 20.0, "kind": "ups_unlocked", "datacenter": "a"}
    columns, _, events = ran(tmp_path, scenario([dip(0.3), unlocked]))
    assert share_off(columns, 6.1) == pytest.approx(0.9, abs=1e-6)
    # from 1 s after the dip a quarter of the load comes back each second, down to 0.45
    assert share_off(columns, 7.2) == pytest.approx(0.9 - 0.25 * 1.0, abs=0.01)
    assert share_off(columns, 12.0) == pytest.approx(0.45, abs=1e-9)
    assert share_off(columns, 29.0) == 0.0
    assert {"ups_transferred", "ups_returned", "ups_unlocked"} <= set(events["kind"])


def test_composite_beside_a_ups_is_refused(tmp_path):
    config = scenario([])
    limits = {"max_ramp_mw_per_s": 1, "max_decline_mw_per_s": 1}
    config["datacenters"]["a"]["ups"] = {"max_p_charge_mw": 1, "max_p_discharge_mw": 1, "max_e_mwh": 1} | limits
    with pytest.raises(InputError, match="composite takes the place of the UPS"):
        cosim.run(config, out=tmp_path / "c.h5")
