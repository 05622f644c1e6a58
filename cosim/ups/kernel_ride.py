"""Ride-through: when a site leaves the feeder, how often it has, and when it may come back.

A voltage that has just changed is known after the time that its detection takes, half a cycle; until then the site
goes on as before.

A curve of tolerance is a set of thresholds, each with the time for which a voltage beyond it is borne. Disturbances
that the curve does not bear are counted, also while the site is off the feeder: after `count_n` of them within the
window the site stays on storage until somebody lets it back.
"""

from __future__ import annotations

from cosim.events import UPS_LOCKED_OUT, UPS_UNLOCKED
from cosim.jit import inner, njit
from cosim.ring import emit

NEVER_US = 2**63 - 1


@inner
def note_voltage(ups, s, vm_pu, v_trip_pu, t_us):
    """Start and stop the timers of every threshold, and those of either way, by the voltage found at t_us. [pu]"""
    ride = ups.rides[s]
    if (vm_pu < v_trip_pu) == (ride.low == 1):
        ride.turned_us = -1
    elif ride.turned_us < 0:
        ride.turned_us = t_us
    if vm_pu < ride.v_return_pu or vm_pu > ride.calm_high_pu:
        ride.v_ok_us = -1
    elif ride.v_ok_us < 0:
        ride.v_ok_us = t_us
    if ride.timing == 0 and ride.calm_low_pu <= vm_pu <= ride.calm_high_pu:
        return
    ride.timing = 0
    for k in range(ride.first, ride.first + ride.n):
        threshold = ups.thresholds[k]
        is_beyond = vm_pu > threshold.v_pu if threshold.is_high == 1 else vm_pu < threshold.v_pu
        if not is_beyond:
            threshold.since_us = -1
        else:
            ride.timing = 1
            if threshold.since_us < 0:
                threshold.since_us = t_us


@inner
def detect(ups, s, t_us):
    """Take notice of a voltage that has long enough been on the other side of where the rectifier stops."""
    ride = ups.rides[s]
    if ride.turned_us >= 0 and t_us - ride.turned_us >= ride.detection_us:
        ride.low = 1 - ride.low
        ride.turned_us = -1


@inner
def next_due_us(ups, s, t_us):
    """When the next running timer of the voltage is over, later than t_us; NEVER_US without one. [us]"""
    ride = ups.rides[s]
    due_us = NEVER_US
    if ride.turned_us >= 0 and ride.turned_us + ride.detection_us > t_us:
        due_us = ride.turned_us + ride.detection_us
    if ride.timing == 1:
        for k in range(ride.first, ride.first + ride.n):
            threshold = ups.thresholds[k]
            if threshold.since_us >= 0 and threshold.since_us + threshold.t_us > t_us:
                due_us = min(due_us, threshold.since_us + threshold.t_us)
    return due_us


@inner
def is_borne(ups, s, t_us):
    """Whether the curve still bears the voltage; one it newly does not is counted, and may lock the site out."""
    ride = ups.rides[s]
    if ride.timing == 0:
        ride.beyond = 0
        return True
    beyond = 0
    for k in range(ride.first, ride.first + ride.n):
        threshold = ups.thresholds[k]
        if threshold.since_us >= 0 and t_us - threshold.since_us >= threshold.t_us:
            beyond = 1
    if beyond == 1 and ride.beyond == 0 and ride.count_n > 0:
        _count(ups, s, t_us)
    ride.beyond = beyond
    return beyond == 0


@inner
def _count(ups, s, t_us):
    """Count a disturbance; lock the site out where there are too many within the window."""
    ride = ups.rides[s]
    ups.seen_us[ride.seen_first + ride.n_seen % ride.count_n] = t_us
    ride.n_seen += 1
    if ride.n_seen < ride.count_n or ride.locked == 1:
        return
    oldest_us = ups.seen_us[ride.seen_first + ride.n_seen % ride.count_n]
    if t_us - oldest_us <= ride.count_window_us:
        ride.locked = 1
        ride.locked_us = t_us
        ride.n_lockout += 1
        emit(ups.events, ups.n_event, t_us, UPS_LOCKED_OUT, s, float(ride.count_n))


@njit
def unlock(ups, s, t_us):
    """Let the site back; counting starts anew."""
    ride = ups.rides[s]
    if ride.locked == 1:
        ride.locked = 0
        ride.n_seen = 0
        emit(ups.events, ups.n_event, t_us, UPS_UNLOCKED, s, (t_us - ride.locked_us) * 1e-6)


@inner
def may_return(ups, s, delay_us, t_us):
    """Whether the voltage has been back for long enough, and nothing keeps the site off the feeder."""
    ride = ups.rides[s]
    if ride.locked == 1 and ride.unlock_us >= 0 and t_us - ride.locked_us >= ride.unlock_us:
        unlock(ups, s, t_us)
    return ride.locked == 0 and ride.v_ok_us >= 0 and t_us - ride.v_ok_us >= delay_us
