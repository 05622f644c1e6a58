"""The advance loop against a twin that says the same in plain Python: facility, UPS and feeder, tick by tick.

The twin is given the AI power and finds everything else; its power flow is that of `network_twin`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from chain_twin import Converter
from engine_cases import campus, scenario, simulate
from network_twin import solve_network, with_data_center, with_open_laws

from cosim.datacenter.config import FacilityConfig
from cosim.feeder import load_feeder
from cosim.ups.config import UpsConfig

pytestmark = pytest.mark.twin

STEP_S = 0.1
UPS = {
    "max_p_charge_mw": 0.25, "max_p_discharge_mw": 0.35, "max_e_mwh": 0.0004, "soc_init": 0.6, "soc_target": 0.6,
    "max_ramp_mw_per_s": 0.3, "max_decline_mw_per_s": 0.2, "window_s": 0.5, "p_standby_mw": 0.004,
    "eta_charge": 0.95, "eta_discharge": 0.9, "return_s": 30, "taper_s": 1.0, "release_hold_s": 0.4,
}  # fmt: skip
RATED = {"max_p_mw": 2.5}


class TwinUps:
    """Trigger, limits and energy as docs/ups.md tells them."""

    def __init__(self, config):
        self.c, self.soc, self.engaged, self.calm_s, self.past = config, config.soc_init, False, None, []

    def recharge(self):
        p = (self.c.soc_target - self.soc) * self.c.max_e_mwh * 3600 / self.c.return_s
        if p > 0:
            return min(p / self.c.eta_charge, self.c.max_p_charge_mw)
        return max(p * self.c.eta_discharge, -self.c.max_p_discharge_mw)

    def reference(self, wish, t_s):
        c = self.c
        before = self.past[-round(c.window_s / STEP_S)] if len(self.past) >= round(c.window_s / STEP_S) else None
        before = (self.past[0] if self.past else wish) if before is None else before
        last = self.past[-1] if self.past else wish
        low, high = before - c.max_decline_mw_per_s * c.window_s, before + c.max_ramp_mw_per_s * c.window_s
        if not self.engaged:
            if low <= wish <= high:
                return wish
            self.engaged, self.calm_s = True, None
        p = max(last - c.max_decline_mw_per_s * STEP_S, min(last + c.max_ramp_mw_per_s * STEP_S, wish))
        p = max(low, min(high, p))
        if abs(wish - p) > c.release_fraction * max(c.max_ramp_mw_per_s, c.max_decline_mw_per_s) * c.window_s:
            self.calm_s = None
        elif self.calm_s is None:
            self.calm_s = t_s
        elif t_s - self.calm_s >= c.release_hold_s - 1e-9 and low <= wish <= high:
            self.engaged = False
            return wish
        return p

    def limited(self, p, room_up, room_down):
        c, e = self.c, self.c.max_e_mwh * 3600
        most = min(c.max_p_charge_mw, max(0, c.soc_max - self.soc) * e / c.eta_charge / c.taper_s, max(0, room_up))
        least = min(
            c.max_p_discharge_mw, max(0, self.soc - c.soc_reserve) * e * c.eta_discharge / c.taper_s, max(0, room_down)
        )
        return max(-least, min(most, p))

    def hold(self, p, asked):
        self.past.append(asked)
        cell = p * self.c.eta_charge if p > 0 else p / self.c.eta_discharge
        self.soc += cell * STEP_S / 3600 / self.c.max_e_mwh


def twin_rows(p_ai, facility, ups):
    """Grid power, reactive power, UPS power and state of charge at every tick, before it holds."""
    rect, sup, cool = Converter(facility.rectifier), Converter(facility.support), facility.cooling
    per_heat = 1 / cool.chiller_cop + cool.tower_per_heat + cool.pumps_per_heat
    heat, out = p_ai[0], []
    for k, equip in enumerate(p_ai):
        dc = equip + cool.crac_per_heat * heat + ups.c.p_standby_mw
        support = sup.taken(per_heat * heat)
        wish = support + rect.taken(dc + ups.recharge())
        held = ups.reference(wish, k * STEP_S)
        p_ups = ups.limited(rect.given(held - support) - dc, rect.rating - dc, dc)
        grid = support + rect.taken(dc + p_ups)
        q = math.tan(math.acos(rect.cos_phi)) * (grid - support) + math.tan(math.acos(sup.cos_phi)) * support
        out.append((grid, q, p_ups, ups.soc))
        ups.hold(p_ups, grid)
        heat = equip + (heat - equip) * math.exp(-STEP_S / cool.time_constant_s)
    return np.array(out).T


def test_facility_and_ups_follow_their_twin():
    facility = {"rectifier": RATED, "support": {"max_p_mw": 0.5}}
    plain = scenario(
        18,
        time={"duration_s": 18, "step_s": STEP_S},
        feeder={"model": "case33bw", "max_dvm_pu": 0.0},
        datacenters={"campus": campus("5") | {"ups": UPS, "facility": facility}},
    )
    rows, events, _ = simulate(plain)
    p_ai = rows["datacenter/campus/p_ai_mw"]
    grid, q, p_ups, soc = twin_rows(p_ai, FacilityConfig.model_validate(facility), TwinUps(UpsConfig(**UPS)))
    kinds = {event[1] for event in events}
    assert {"ups_engaged", "ups_released", "ups_saturated"} <= kinds  # the case reaches what it is about
    assert np.abs(rows["datacenter/campus/p_grid_mw"] - grid).max() < 1e-9
    assert np.abs(rows["datacenter/campus/q_mvar"] - q).max() < 1e-9
    assert np.abs(rows["ups/campus/p_mw"] - p_ups).max() < 1e-9
    assert np.abs(rows["ups/campus/soc"] - soc).max() < 1e-9
    net = with_open_laws(load_feeder("case33bw").network, 0.7)
    place = list(net.bus_name).index("5")
    for k in (0, 60, 140):
        vm = np.abs(solve_network(with_data_center(net, [place], grid[k] + 1j * q[k], v_min_pu=0.85)).v)
        assert np.abs(rows["bus/vm_pu"][k] - vm[: rows["bus/vm_pu"].shape[1]]).max() < 1e-6
