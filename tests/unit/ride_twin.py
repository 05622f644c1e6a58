"""Ride-through in plain Python, by the words of docs/ups.md: what a site does, tick by tick, of the voltage it finds.

It is given the AI power and the voltage of every tick and finds everything else. Every time in it is a whole number of
ticks; the UPS is on the DC bus, its controller the ramp limiter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from chain_twin import Converter

from cosim.datacenter.config import FacilityConfig
from cosim.ups.config import UpsConfig

OFF, STARTING, ON = "off", "starting", "on"


@dataclass
class RideTwin:
    """One site; powers in MW, energies in MWs, times in us."""

    facility: FacilityConfig
    ups: UpsConfig
    step_us: int
    e_bus: float
    """Energy of its DC bus above its least voltage."""
    told: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self):
        f, u = self.facility, self.ups
        self.rect, self.sup = Converter(f.rectifier), Converter(f.support)
        self.dt = self.step_us / 1e6
        self.e_full = u.max_e_mwh * 3600
        self.e = u.soc_init * self.e_full
        low, high = u.ride_through.tolerance(f.v_trip_pu)
        detection = round(f.detection_s * 1e6)
        self.detection = detection
        self.curve = [(p.vm_pu, False, max(round(p.t_s * 1e6), detection)) for p in low]
        self.curve += [(p.vm_pu, True, max(round(p.t_s * 1e6), detection)) for p in high]
        self.v_return = max([f.v_return_pu, *(p.vm_pu for p in low)])
        self.v_high = min([math.inf, *(p.vm_pu for p in high)])
        self.since: dict[int, int] = {}
        self.v_ok, self.v_low, self.low, self.turned = None, None, False, None
        self.v_drop = f.v_trip_pu if f.cooling.v_drop_pu is None else f.cooling.v_drop_pu
        self.connected = self.rect_on = self.up = self.cool = True
        self.beyond = self.locked = self.walking = self.engaged = self.carrying = self.empty = False
        self.counted: list[int] = []
        self.locked_at = self.trip_at = 0
        self.gen, self.gen_since = OFF, None
        self.heat = self.before = None
        self.sup_ac = self.used = 0.0
        self.n_shed = 0
        self.over_used = self.over_calm = 0
        self.fades = u.self_discharge_per_h * u.max_e_mwh

    def tell(self, t, kind):
        self.told.append((t, kind))

    # -- before the power flow, by the voltage of the last tick

    def decide(self, t):
        if self.turned is not None and t - self.turned >= self.detection:
            self.low, self.turned = not self.low, None
        is_beyond = any(t - since >= self.curve[k][2] for k, since in self.since.items())
        if is_beyond and not self.beyond:
            self.count(t)
        self.beyond = is_beyond
        if self.connected and is_beyond:
            self.connected = False
            self.tell(t, "ups_transferred")
        elif not self.connected and not is_beyond and self.may_return(t):
            self.come_back(t)
        self.run_generator(t)
        self.rect_on = self.gen == ON or (self.connected and not self.low)
        self.run_cooling(t)
        self.shed(t)
        if not self.up:
            back = self.gen_since if self.gen == ON else self.v_ok
            waited = back is not None and t - max(back, self.trip_at) >= round(self.facility.restart_s * 1e6)
            if self.rect_on and waited:
                self.up = True
                self.tell(t, "load_restored")

    def count(self, t):
        counter = self.ups.ride_through.counter
        if counter is None:
            return
        self.counted.append(t)
        within = len(self.counted) >= counter.n and t - self.counted[-counter.n] <= counter.window_s * 1e6
        if within and not self.locked:
            self.locked, self.locked_at = True, t
            self.tell(t, "ups_locked_out")

    def unlock(self, t):
        if self.locked:
            self.locked, self.counted = False, []
            self.tell(t, "ups_unlocked")

    def may_return(self, t):
        delay = round(self.facility.return_delay_s * 1e6)
        if self.gen == ON:
            delay = max(delay, round(self.facility.generator.retransfer_s * 1e6))
        counter = self.ups.ride_through.counter
        by_itself = counter is not None and counter.unlock_after_s is not None
        if self.locked and by_itself and t - self.locked_at >= counter.unlock_after_s * 1e6:
            self.unlock(t)
        return not self.locked and self.v_ok is not None and t - self.v_ok >= delay

    def come_back(self, t):
        if self.gen == ON:
            self.tell(t, "generator_stopped")
        self.connected, self.gen, self.gen_since = True, OFF, None
        self.walking, self.engaged = True, False
        self.before = self.sup_ac + self.rect.taken(0.0)
        self.tell(t, "ups_returned")

    def run_generator(self, t):
        g = self.facility.generator
        if g is None or self.gen == ON:
            return
        if self.connected and not self.low:
            self.gen, self.gen_since = OFF, None
            return
        if self.gen_since is None:
            self.gen_since = t
        if self.gen == OFF and t - self.gen_since >= round(g.start_after_s * 1e6):
            self.gen, self.gen_since = STARTING, t
        if self.gen == STARTING and t - self.gen_since >= round(g.start_s * 1e6):
            self.gen, self.gen_since, self.connected = ON, t, False
            self.tell(t, "generator_started")

    def run_cooling(self, t):
        dropped = self.v_low is not None and t - self.v_low >= round(self.facility.cooling.drop_s * 1e6)
        runs = not dropped
        if self.gen == ON:  # all of it, or none
            runs = self.sup.taken(self.per_heat() * (self.heat or 0.0)) <= self.generated(t) + 1e-9
        if runs != self.cool:
            self.tell(t, "cooling_returned" if runs else "cooling_lost")
        self.cool = runs

    def per_heat(self):
        cool = self.facility.cooling
        return 1 / cool.chiller_cop + cool.tower_per_heat + cool.pumps_per_heat

    def generated(self, t):
        g = self.facility.generator
        return min(g.max_p_mw, g.pick_up_mw + g.ramp_mw_per_s * (t - self.gen_since) / 1e6)

    def shed(self, t):
        levels = [step.soc * self.e_full for step in self.ups.shedding for _ in step.jobs]
        if self.carrying:
            while self.n_shed < len(levels) and self.e <= levels[self.n_shed]:
                self.n_shed += 1
                self.tell(t, "load_shed")
        elif self.n_shed > 0 and self.connected and self.rect_on and self.up and not self.walking:
            self.n_shed = 0
            self.tell(t, "load_restored")

    # -- what it asks of the feeder, what comes, what the storage gives

    def tick(self, t, p_ai, v):
        """Grid power, UPS power, energy before it is held, unserved power, at this tick."""
        self.decide(t)
        f = self.facility
        equip = p_ai if self.up else 0.0
        self.heat = equip if self.heat is None else self.heat
        dc = equip + (f.cooling.crac_per_heat * self.heat if self.up else 0.0) + self.ups.p_standby_mw
        supplied = self.gen == ON or not self.low
        self.sup_ac = self.sup.taken(self.per_heat() * self.heat if self.cool else 0.0) if supplied else 0.0
        asked, ups, external = 0.0, 0.0, 0.0
        if self.gen == ON:
            ups = max(0.0, min(self.recharge(), max(0.0, self.rect.rating - dc)))
            external = min(self.generated(t), self.sup_ac + self.rect.taken(min(dc + ups, self.rect.rating)))
        elif self.rect_on:
            ups = self.smooth(dc)
            asked = self.sup_ac + self.rect.taken(min(dc + ups, self.rect.rating))
        else:
            asked = self.sup_ac
        inside = v >= f.v_min_pu
        comes = asked if inside or self.gen == ON else asked * v / f.v_min_pu
        dc_in = min(dc + ups, self.rect.rating) if self.rect_on else 0.0
        if self.gen == ON or not inside:
            self.sup_ac = min(self.sup_ac, max(0.0, comes + external))
            dc_in = self.rect.given(max(0.0, comes + external - self.sup_ac))
        alone = not inside or not self.rect_on or self.gen == ON
        if alone or dc_in < dc + ups:
            ups = self.carry(t, dc_in - dc)
        short = dc + ups - dc_in
        unserved = short if short > 1e-9 else 0.0
        row = comes, ups, self.e / self.e_full, unserved
        self.carrying = alone and ups < 0.0
        self.find_voltage(t, v)
        self.watch_bus(t, unserved)
        self.mode = 4 if self.empty else 2 if self.carrying else 1 if self.engaged else 0
        row = (*row, self.mode)
        self.hold(asked, ups, unserved, equip)
        return row

    def find_voltage(self, t, v):
        self.v_low = (t if self.v_low is None else self.v_low) if v < self.v_drop else None
        turned = (v < self.facility.v_trip_pu) != self.low
        self.turned = (t if self.turned is None else self.turned) if turned else None
        is_ok = self.v_return <= v <= self.v_high
        self.v_ok = (t if self.v_ok is None else self.v_ok) if is_ok else None
        for k, (v_curve, is_swell, _) in enumerate(self.curve):
            if v > v_curve if is_swell else v < v_curve:
                self.since.setdefault(k, t)
            else:
                self.since.pop(k, None)

    def watch_bus(self, t, unserved):
        if unserved == 0.0 or not self.up:
            self.used = 0.0
        elif self.used >= self.e_bus * (1 - 1e-9) and self.used > 0.0:
            self.used, self.up, self.trip_at = 0.0, False, t
            self.tell(t, "load_shed")

    def hold(self, asked, ups, unserved, equip):
        if not (self.connected and not self.rect_on):
            self.before = asked
        self.e += (ups * self.ups.eta_charge if ups > 0 else ups / self.ups.eta_discharge) * self.dt
        self.e -= min(self.fades * self.dt, max(0.0, self.e))
        self.used += unserved * self.dt
        self.use_overload(-ups)
        if self.e > self.ups.soc_min * self.e_full + 0.01 * self.e_full:
            self.empty = False
        heat = equip if self.up else 0.0
        self.heat = heat + (self.heat - heat) * math.exp(-self.dt / self.facility.cooling.time_constant_s)

    # -- storage

    def use_overload(self, given):
        over, rating = self.ups.overload, self.ups.max_p_discharge_mw
        if over is None:
            return
        if given > rating:
            self.over_used, self.over_calm = self.over_used + self.step_us, 0
        elif given >= rating * (1 - 1e-9):
            self.over_calm = 0
        elif self.over_used > 0:
            self.over_calm += self.step_us
            if self.over_calm >= round(over.duration_s * 1e6):
                self.over_used = self.over_calm = 0

    def recharge(self):
        cell = (self.ups.soc_target * self.e_full - self.e) / self.ups.return_s + self.fades
        if cell > 0:
            return min(cell / self.ups.eta_charge, self.ups.max_p_recharge_mw or math.inf, self.ups.max_p_charge_mw)
        return max(cell * self.ups.eta_discharge, -self.ups.max_p_discharge_mw)

    def smooth(self, dc):
        u, room = self.ups, self.rect.rating - dc
        wish = self.sup_ac + self.rect.taken(dc + min(self.recharge(), max(0.0, room)))
        if self.before is None:
            self.before = wish
        rise, fall = u.max_ramp_mw_per_s * self.dt, u.max_decline_mw_per_s * self.dt
        if self.walking:
            rise = (u.ride_through.walk_in_mw_per_s or u.max_ramp_mw_per_s) * self.dt
        held = max(self.before - fall, min(self.before + rise, wish))
        if self.walking:
            self.walking = held < wish
        else:
            self.engaged = abs(held - wish) > 1e-6
        floor = u.soc_min if self.walking else u.soc_reserve
        taper = max(u.taper_s, self.dt)
        most = min(u.max_p_charge_mw, max(0.0, u.soc_max * self.e_full - self.e) / taper / u.eta_charge, max(0, room))
        least = min(u.max_p_discharge_mw, max(0.0, self.e - floor * self.e_full) / taper * u.eta_discharge, dc)
        return max(-least, min(most, self.rect.given(held - self.sup_ac) - dc))

    def carry(self, t, wish):
        u = self.ups
        if wish >= 0:
            room = max(0.0, u.soc_max * self.e_full - self.e) / self.dt / u.eta_charge
            return min(wish, u.max_p_charge_mw, room)
        left = max(0.0, self.e - u.soc_min * self.e_full) / self.dt * u.eta_discharge
        if left < -wish and not self.empty:
            self.empty = True
            self.tell(t, "ups_empty")
        rating = u.max_p_discharge_mw
        if u.overload is not None and self.over_used < round(u.overload.duration_s * 1e6):
            rating *= u.overload.factor
        return max(wish, -min(rating, left))
