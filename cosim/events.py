"""Event kinds and the ring in which they are noted. Kinds are past tense, the same in YAML and log."""

from __future__ import annotations

import numpy as np

KINDS = (
    "job_started",
    "job_stopped",
    "job_failed",
    "load_changed",
    "dip_started",
    "dip_ended",
    "source_lost",
    "source_returned",
    "switch_opened",
    "switch_closed",
    "ups_engaged",
    "ups_released",
    "ups_saturated",
    "ups_recovered",
    "ups_transferred",
    "ups_returned",
    "ups_empty",
    "ups_out_of_service",
    "ups_in_service",
    "window_left",
    "window_entered",
    "load_shed",
    "load_restored",
    "limit_exceeded",
    "collapsed",
    "ups_locked_out",
    "ups_unlocked",
    "generator_started",
    "generator_stopped",
    "cooling_lost",
    "cooling_returned",
    "demand_response_started",
    "demand_response_ended",
    "fault_applied",
    "fault_cleared",
    "relay_tripped",
    "recloser_opened",
    "recloser_closed",
    "recloser_locked_out",
    "recloser_reset",
    "fuse_blown",
    "fuse_damaged",
    "area_load_shed",
    "surface_given_up",
    "sectionalizer_counted",
    "sectionalizer_opened",
    "sectionalizer_blocked",
    "sectionalizer_reset",
    "start_announced",
    "start_hold_started",
    "start_hold_ended",
    "start_held",
    "fuse_replaced",
    "sectionalizer_closed",
)

(
    JOB_STARTED, JOB_STOPPED, JOB_FAILED, LOAD_CHANGED, DIP_STARTED, DIP_ENDED, SOURCE_LOST, SOURCE_RETURNED,
    SWITCH_OPENED, SWITCH_CLOSED, UPS_ENGAGED, UPS_RELEASED, UPS_SATURATED, UPS_RECOVERED, UPS_TRANSFERRED,
    UPS_RETURNED, UPS_EMPTY, UPS_OUT_OF_SERVICE, UPS_IN_SERVICE, WINDOW_LEFT, WINDOW_ENTERED, LOAD_SHED,
    LOAD_RESTORED, LIMIT_EXCEEDED, COLLAPSED, UPS_LOCKED_OUT, UPS_UNLOCKED,
    GENERATOR_STARTED, GENERATOR_STOPPED, COOLING_LOST, COOLING_RETURNED, DEMAND_RESPONSE_STARTED,
    DEMAND_RESPONSE_ENDED, FAULT_APPLIED, FAULT_CLEARED, RELAY_TRIPPED, RECLOSER_OPENED,
    RECLOSER_CLOSED, RECLOSER_LOCKED_OUT, RECLOSER_RESET, FUSE_BLOWN, FUSE_DAMAGED, AREA_LOAD_SHED, SURFACE_GIVEN_UP,
    SECTIONALIZER_COUNTED, SECTIONALIZER_OPENED, SECTIONALIZER_BLOCKED, SECTIONALIZER_RESET,
    START_ANNOUNCED, START_HOLD_STARTED, START_HOLD_ENDED, START_HELD, FUSE_REPLACED, SECTIONALIZER_CLOSED,
) = range(len(KINDS))  # fmt: skip

UNITS = {
    "MW": ("job_started", "job_stopped", "job_failed", "load_shed", "load_restored", "limit_exceeded", "collapsed",
           "ups_saturated", "generator_started", "cooling_lost", "demand_response_started", "demand_response_ended",
           "area_load_shed", "start_announced", "start_held"),
    "MW/s": ("ups_engaged",),
    "pu": ("dip_started", "dip_ended", "window_left", "window_entered", "ups_transferred", "surface_given_up"),
    "s": ("ups_unlocked", "generator_stopped", "cooling_returned", "start_hold_started", "start_hold_ended"),
    "ohm": ("fault_applied",),
    "A": ("fault_cleared", "relay_tripped", "fuse_blown", "sectionalizer_blocked"),
}  # fmt: skip
"""Kinds by the unit of their value; that of all others is 1, or differs from event to event."""

EVENT = np.dtype([("t_us", "i8"), ("kind", "i8"), ("element", "i8"), ("value", "f8")])
"""One noted event: time [us], index into KINDS, index of the job or data center, value in the kind's unit."""


def new_ring(size: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Empty ring of `size` events, and its fill count in an array of one."""
    return np.zeros(size, EVENT), np.zeros(1, np.int64)
