"""Records of controls and of overcurrent devices, which the kernel walks through."""

from __future__ import annotations

import numpy as np

REGULATOR, CAPACITOR, SAMPLED, OVERCURRENT = range(4)
FIXED, AVG, MAX, MIN = range(4)
BY_VOLTAGE, BY_CURRENT, BY_KVAR, BY_POWER_FACTOR, BY_TIME = range(5)
FORWARD_ONLY, REGULATE, NEUTRAL, COGENERATION, COGENERATION_NEUTRAL = range(5)

NEVER_US = 2**63 - 1
LONG_AGO_US = -(2**61)
DAY_US = 86_400_000_000

CONTROL = np.dtype(
    [
        ("kind", "i8"), ("live", "i8"), ("device", "i8"),
        # first sensor and number of sensors by role
        ("relay", "i8"), ("n_phase", "i8"), ("winding", "i8"), ("line", "i8"), ("reverse", "i8"),
        ("power_v", "i8"), ("power_i", "i8"), ("n_power", "i8"), ("voltage", "i8"), ("n_voltage", "i8"),
        ("current", "i8"), ("n_current", "i8"), ("override", "i8"), ("n_override", "i8"), ("supply", "i8"),
        # regulator: voltages at the relay [V], times [us]
        ("is_plain", "i8"), ("low2", "f8"), ("high2", "f8"),
        ("v_set", "f8"), ("half_band", "f8"), ("v_limit", "f8"), ("v_per_tap", "f8"), ("raises", "i8"),
        ("min_tap", "i8"), ("max_tap", "i8"), ("ratio_neutral", "f8"), ("ratio_per_tap", "f8"),
        ("delay_us", "i8"), ("tap_delay_us", "i8"), ("is_inverse", "i8"), ("select", "i8"), ("z_v", "f8"),
        ("min_supply", "f8"), ("mode", "i8"), ("rev_threshold_kw", "f8"), ("rev_delay_us", "i8"),
        ("rev_v_set", "f8"), ("rev_half_band", "f8"), ("rev_z_v", "f8"),
        # capacitor: settings in the unit of its kind
        ("by", "i8"), ("on", "f8"), ("off", "f8"), ("delay_off_us", "i8"), ("dead_us", "i8"), ("n_steps", "i8"),
        ("min_q", "f8"), ("min_q_step", "f8"), ("select_i", "i8"), ("select_o", "i8"), ("v_min", "f8"), ("v_max", "f8"),
        ("on_us", "i8"), ("off_us", "i8"), ("clock_us", "i8"),
        # sampled control
        ("period_us", "i8"), ("v_now", "f8"), ("q_mvar", "f8"),
        # overcurrent device: relay, n_phase its phases and current, n_current its ground current above; low2 and high2
        # their least pick-ups squared [A^2]; pending: in action; v_now: sum by which a change is told; acted_us: when
        # state
        ("position", "i8"), ("pending", "i8"), ("due_us", "i8"), ("reversed", "i8"), ("rev_due_us", "i8"),
        ("opened_us", "i8"), ("edge_us", "i8"), ("forced", "i8"), ("n_operations", "i8"), ("acted_us", "i8"),
        # to be done now: +1 or -1 tap or step (1: sample), and a regulator that changes its direction
        ("due", "i8"), ("turns", "i8"),
    ]
)  # fmt: skip
"""One control: settings, state (position: its tap, or steps on), and what is to be done now."""
