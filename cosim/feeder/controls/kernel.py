"""Controls in time: who has left its band since when, and who is due now.

Called at every instant with the sensors' values of that instant. A control that wants to act picks up; it falls back
when the cause is gone, and is due when its delay has run out. Values hold until the next instant: where a timer runs
out before it (`next_due_us`) the loop makes an instant there, and asks once more for that time with the values that
held until then; who is due has acted when that instant is solved.
"""

from __future__ import annotations

import numpy as np

from cosim.feeder.controls.records import (
    AVG,
    BY_CURRENT,
    BY_KVAR,
    BY_TIME,
    BY_VOLTAGE,
    CAPACITOR,
    COGENERATION_NEUTRAL,
    DAY_US,
    FORWARD_ONLY,
    MAX,
    MIN,
    NEUTRAL,
    NEVER_US,
    OVERCURRENT,
    REGULATE,
    REGULATOR,
    SAMPLED,
)
from cosim.jit import inner, njit


@njit
def watch(ctl, sensors, t_us):
    """Let every control look at its sensors.

    Parameters
    ----------
    ctl : array of CONTROL
    sensors : array of float [n, 2]
        Real and imaginary parts; the last ones, of overcurrent devices, may be left out where these are as at the last
        instant or surely below their pick-ups.
    t_us : int
        This instant, never before the last one. [us]

    Returns
    -------
    bool
        Whether some control is to act now: `due` or `turns` of its record says what. Whoever acts calls `acted` or
        `turned`, solves the power flow and asks again at the same instant.
    """
    is_due = False
    for k in range(ctl.size):
        c = ctl[k]
        if c.live == 0:
            continue
        if c.kind == REGULATOR:
            if c.is_plain == 1 and c.due_us == NEVER_US and c.min_tap <= c.position <= c.max_tap:
                re, im = sensors[c.relay, 0], sensors[c.relay, 1]
                if c.low2 <= re * re + im * im <= c.high2:
                    continue
            is_due |= _watch_regulator(c, sensors, t_us)
        elif c.kind == CAPACITOR:
            is_due |= _watch_capacitor(c, sensors, t_us)
        elif c.kind == OVERCURRENT:
            if c.relay >= sensors.shape[0]:
                break  # nor do those behind it have a sensor here
            is_due |= _watch_overcurrent(c, sensors, t_us)
        elif t_us >= c.due_us:
            c.v_now = _size(sensors, c.voltage, c.n_voltage, AVG)
            c.due = 1
            is_due = True
    return is_due


@inner
def has_news(ctl, n_read):
    """Whether some control has to look: not where all are overcurrent devices whose sensors were left out."""
    return ctl.size > 0 and (ctl[0].kind != OVERCURRENT or ctl[0].relay < n_read)


@njit
def next_due_us(ctl, after_us):
    """Earliest time behind after_us at which a timer runs out or the clock switches, if nothing else changes. [us]

    NEVER_US where there is none.
    """
    first_us = NEVER_US
    for k in range(ctl.size):
        c = ctl[k]
        if c.live == 1:
            for due_us in (c.due_us, c.rev_due_us, c.edge_us):
                if due_us > after_us:
                    first_us = min(first_us, due_us)
    return first_us


@njit
def acted(ctl, k, t_us):
    """Control k has made the tap or step that was due at t_us."""
    c = ctl[k]
    step = c.due
    c.due = 0
    c.acted_us = t_us
    if c.kind == SAMPLED:
        c.due_us = (t_us // c.period_us + 1) * c.period_us
        return
    low = c.min_tap if c.kind == REGULATOR else 0
    high = c.max_tap if c.kind == REGULATOR else c.n_steps
    if c.position >= high if step > 0 else c.position <= low:  # another control of this device was faster
        _fall_back(c)
        return
    c.position += step
    c.n_operations += 1
    if c.kind == REGULATOR:
        c.pending -= step
        c.due_us = NEVER_US if c.pending == 0 else t_us + c.tap_delay_us
        return
    c.pending = 0
    c.due_us = NEVER_US
    c.forced = 0
    if step < 0 and c.position == 0:
        c.opened_us = t_us


@njit
def turned(ctl, k):
    """Control k has changed its direction."""
    c = ctl[k]
    c.turns = 0
    c.reversed = 1 - c.reversed
    c.rev_due_us = NEVER_US
    if c.reversed == 1 and (c.mode == NEUTRAL or c.mode == COGENERATION_NEUTRAL):
        c.pending = 0
        c.due_us = NEVER_US


@inner
def _size2(sensors, i):
    re = sensors[i, 0]
    im = sensors[i, 1]
    return re * re + im * im


@inner
def _size(sensors, first, n, select):
    """One magnitude of n sensors."""
    if select == AVG:
        total = 0.0
        for i in range(first, first + n):
            total += np.sqrt(_size2(sensors, i))
        return total / n
    found2 = _size2(sensors, first)
    for i in range(first + 1, first + n):
        size2 = _size2(sensors, i)
        if (select == MAX and size2 > found2) or (select == MIN and size2 < found2):
            found2 = size2
    return np.sqrt(found2)


@inner
def _power(c, sensors):
    """Active and reactive power into the monitored terminal. [kW, kvar]"""
    p = 0.0
    q = 0.0
    for n in range(c.n_power):
        v = c.power_v + n
        i = c.power_i + n
        p += sensors[v, 0] * sensors[i, 0] + sensors[v, 1] * sensors[i, 1]
        q += sensors[v, 1] * sensors[i, 0] - sensors[v, 0] * sensors[i, 1]
    return p, q


# Regulators ----------------------------------------------------------------------------------------------------------


@inner
def _fall_back(c):
    c.pending = 0
    c.due_us = NEVER_US
    return False


@inner
def _watch_regulator(c, sensors, t_us):
    if c.mode != FORWARD_ONLY and _is_to_turn(c, sensors, t_us):
        c.turns = 1
        if c.reversed == 0 and (c.mode == NEUTRAL or c.mode == COGENERATION_NEUTRAL):
            return True  # no further tap away from neutral
    return _watch_taps(c, sensors, t_us) or c.turns == 1


@inner
def _watch_taps(c, sensors, t_us):
    if c.reversed == 1 and (c.mode == NEUTRAL or c.mode == COGENERATION_NEUTRAL):
        return _watch_neutral(c, t_us)
    phase = _phase(c, sensors)
    v = _relay_v(c, sensors, phase)
    if v < c.min_supply:
        return _fall_back(c)
    if not c.min_tap <= c.position <= c.max_tap:  # into its range first, whatever the voltage
        c.pending = (c.max_tap if c.position > c.max_tap else c.min_tap) - c.position
        if c.due_us == NEVER_US:
            c.due_us = t_us + c.delay_us
        return _is_tap_due(c, t_us)
    is_backwards = c.reversed == 1 and c.mode == REGULATE
    if is_backwards:
        v /= c.ratio_neutral + c.position * c.ratio_per_tap  # the source is on the other side
    boost = (c.rev_v_set if c.reversed == 1 else c.v_set) - v
    is_outside = abs(boost) > (c.rev_half_band if c.reversed == 1 else c.half_band)
    if c.v_limit > 0.0:
        local = np.sqrt(_size2(sensors, c.winding + phase))
        if local > c.v_limit:
            boost = c.v_limit - local
            is_outside = True
    if not is_outside:
        return _fall_back(c)
    c.pending = int(np.rint(boost / c.v_per_tap)) * (-1 if is_backwards else c.raises)
    if c.due_us == NEVER_US:
        if not _can_move(c):
            return False
        c.due_us = t_us + _pick_up_delay_us(c, abs(c.v_set - v))
    return _is_tap_due(c, t_us)


@inner
def _is_to_turn(c, sensors, t_us):
    """Whether power has flowed the other way for the delay."""
    p, _q = _power(c, sensors)
    turns = -p > c.rev_threshold_kw if c.reversed == 1 else p > c.rev_threshold_kw
    if not turns:
        c.rev_due_us = NEVER_US
        return False
    if c.rev_due_us == NEVER_US:
        c.rev_due_us = t_us + c.rev_delay_us
    return t_us >= c.rev_due_us


@inner
def _watch_neutral(c, t_us):
    if c.due_us == NEVER_US:
        c.pending = int(np.rint((1.0 - c.ratio_neutral) / c.ratio_per_tap - c.position))
        if not _can_move(c):
            return False
        c.due_us = t_us + c.tap_delay_us
    return _is_tap_due(c, t_us)


@inner
def _phase(c, sensors):
    """Phase that is held."""
    found = 0
    if c.n_phase > 1:
        for i in range(1, c.n_phase):
            size2 = _size2(sensors, c.winding + i)
            best2 = _size2(sensors, c.winding + found)
            if (c.select == MAX and size2 > best2) or (c.select == MIN and size2 < best2):
                found = i
    return found


@inner
def _relay_v(c, sensors, phase):
    if c.line >= 0:
        z_v = c.rev_z_v if c.reversed == 1 else c.z_v
        drop_v = z_v * np.sqrt(_size2(sensors, c.line + phase))
        return abs(np.sqrt(_size2(sensors, c.winding + phase)) - drop_v)
    return np.sqrt(_size2(sensors, (c.reverse if c.reversed == 1 else c.relay) + phase))


@inner
def _can_move(c):
    return (c.pending > 0 and c.position < c.max_tap) or (c.pending < 0 and c.position > c.min_tap)


@inner
def _pick_up_delay_us(c, deviation):
    if c.is_inverse == 0 or c.half_band <= 0.0 or deviation <= 0.0:
        return c.delay_us
    return int(np.rint(c.delay_us / min(10.0, deviation / c.half_band)))


@inner
def _is_tap_due(c, t_us):
    if t_us < c.due_us:
        return False
    if not _can_move(c):
        c.due_us = NEVER_US
        return False
    c.due = 1 if c.pending > 0 else -1
    return True


# Capacitors ----------------------------------------------------------------------------------------------------------


@inner
def _watch_capacitor(c, sensors, t_us):
    if c.by == BY_TIME and t_us >= c.edge_us:
        day_us = (t_us + c.clock_us) % DAY_US
        to_on_us = (c.on_us - day_us - 1) % DAY_US + 1
        to_off_us = (c.off_us - day_us - 1) % DAY_US + 1
        c.edge_us = t_us + min(to_on_us, to_off_us)
    wish = _wanted_step(c, sensors, t_us)
    if wish == 0:
        return _fall_back(c)
    if c.due_us == NEVER_US or c.pending != wish:
        c.pending = wish
        if wish > 0:
            c.due_us = max(t_us, c.opened_us + c.dead_us) + c.delay_us
        else:
            c.due_us = t_us + c.delay_off_us
    if t_us < c.due_us:
        return False
    c.due = wish
    return True


@inner
def _wanted_step(c, sensors, t_us):
    if c.supply >= 0 and _size2(sensors, c.supply) < c.min_supply * c.min_supply:
        return 0
    c.forced = 0
    if c.override >= 0:
        v2 = (
            _size2(sensors, c.override)
            if c.n_override == 1
            else _size(sensors, c.override, c.n_override, c.select_o) ** 2
        )
        if (c.position == 0 and v2 < c.v_min * c.v_min) or (c.position > 0 and v2 > c.v_max * c.v_max):
            c.forced = 1
            return 1 if c.position == 0 else -1
    if c.by == BY_TIME:
        return _by_the_clock(c, t_us)
    if c.by == BY_VOLTAGE:
        x = _size(sensors, c.voltage, c.n_voltage, c.select)
        adds, drops = x < c.on, x > c.off
    elif c.by == BY_CURRENT:
        x = _size(sensors, c.current, c.n_current, c.select_i)
        adds, drops = x > c.on, x < c.off
    else:
        p, q = _power(c, sensors)
        if c.by == BY_KVAR:
            adds, drops = q > c.on, q < c.off
        else:
            x = _power_factor(p, q)
            adds = x < c.on and q > (c.min_q_step if c.position > 0 else c.min_q)
            drops = x > c.off
    if c.position > 0 and drops:
        return -1
    return 1 if c.position < c.n_steps and adds else 0


@inner
def _power_factor(p, q):
    """From 0 to 2: lagging below 1, leading above."""
    s = np.sqrt(p * p + q * q)
    factor = abs(p) / s if s > 0.0 else 1.0
    return 2.0 - factor if q < 0.0 else factor


@inner
def _by_the_clock(c, t_us):
    day_us = (t_us + c.clock_us) % DAY_US
    if c.off_us > c.on_us:
        is_on = c.on_us <= day_us < c.off_us
        is_off = not is_on
    else:
        is_on = day_us >= c.on_us
        is_off = c.off_us <= day_us < c.on_us
    if c.position > 0 and is_off:
        return -1
    return 1 if c.position < c.n_steps and is_on else 0


# Overcurrent devices -------------------------------------------------------------------------------------------------


@inner
def _watch_overcurrent(c, sensors, t_us):
    """Whether a current is above its pick-up, or the device in action, and the currents are others than last told."""
    is_awake = c.pending == 1
    told = 0.0
    for i in range(c.n_phase):
        size2 = _size2(sensors, c.relay + i)
        is_awake |= size2 > c.low2
        told += (i + 1) * size2
    for i in range(c.n_current):
        size2 = _size2(sensors, c.current + i)
        is_awake |= size2 > c.high2
        told += 0.5 * size2
    if not is_awake or told == c.v_now:
        return False
    c.v_now = told
    c.acted_us = t_us
    c.due = 1
    return True
