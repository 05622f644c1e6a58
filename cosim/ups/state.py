"""What the UPS kernels read and write: one record of storage and one of ride-through for each site."""

from __future__ import annotations

import numpy as np

from cosim.area.kernel import RESPONSE
from cosim.bundle import Bundle

IDLE, SMOOTHING, CARRYING, OUT_OF_SERVICE, EMPTY = range(5)
"""Modes in the log."""
DC_BUS, AC_DC = range(2)
"""Topologies of Fig. 18."""
NO_CONTROLLER, TRIGGER, RAMP_LIMITER, BAND_FILTER, PREDICTIVE, EXTERNAL = range(6)
"""Smoothing controllers."""
MWS_PER_MWH = 3600.0

UPS = np.dtype(
    [
        # parameters: powers at the DC or AC bus [MW], energies [MWs], times [us]; losses a0 + a1 p + a2 p^2
        ("present", "i8"), ("topology", "i8"), ("max_charge_mw", "f8"), ("max_discharge_mw", "f8"), ("max_ac_mw", "f8"),
        ("e_full", "f8"), ("eta_charge", "f8"), ("eta_discharge", "f8"), ("p_standby_mw", "f8"), ("p_self_mw", "f8"),
        ("dc_a0", "f8"), ("dc_a1", "f8"), ("dc_a2", "f8"), ("ac_a0", "f8"), ("ac_a1", "f8"), ("ac_a2", "f8"),
        ("over_factor", "f8"), ("over_us", "i8"), ("max_recharge_mw", "f8"), ("max_cell_mw", "f8"),
        ("e_min", "f8"), ("e_reserve", "f8"), ("e_target", "f8"), ("e_max", "f8"),
        ("controller", "i8"), ("ramp", "f8"), ("decline", "f8"), ("window_s", "f8"), ("release_mw", "f8"),
        ("release_hold_us", "i8"), ("return_s", "f8"), ("taper_s", "f8"), ("walk_in", "f8"),
        ("hist_first", "i8"), ("hist_n", "i8"), ("omega_low", "f8"), ("omega_high", "f8"), ("horizon_s", "f8"),
        ("past_first", "i8"), ("past_n", "i8"), ("ahead_n", "i8"), ("delay_us", "i8"), ("delay_first", "i8"),
        ("delay_n", "i8"), ("shed_first", "i8"), ("shed_n", "i8"),
        ("s2_on", "i8"), ("s2_max_mw", "f8"), ("s2_e_full", "f8"), ("s2_e_min", "f8"), ("s2_e_max", "f8"),
        ("s2_e_target", "f8"), ("s2_eta_charge", "f8"), ("s2_eta_discharge", "f8"), ("s2_self_mw", "f8"),
        ("s2_split_s", "f8"), ("s2_return_s", "f8"),
        # what it has of the frequency, and what it gives for it [MW]
        *RESPONSE, ("p_fr_mw", "f8"),
        # state
        ("in_service", "i8"), ("e", "f8"), ("hist_at", "i8"), ("engaged", "i8"), ("walking", "i8"),
        ("carrying", "i8"), ("empty", "i8"), ("calm_us", "i8"), ("gap_us", "i8"), ("over_used_us", "i8"),
        ("over_calm_us", "i8"), ("late_on", "i8"),
        ("ac_gap_us", "i8"), ("p_gap_mw", "f8"), ("p_ac_gap_mw", "f8"),
        ("p_prev_mw", "f8"), ("t_prev_us", "i8"), ("primed", "i8"), ("p_wish_mw", "f8"),
        ("low_1", "f8"), ("low_2", "f8"), ("high_1", "f8"), ("high_2", "f8"), ("past_sum", "f8"), ("past_k", "i8"),
        ("past_gap_mw", "f8"), ("p_set_mw", "f8"), ("p_late_mw", "f8"), ("p_prompt_mw", "f8"),
        ("saturated", "i8"), ("held_us", "i8"), ("excess_mw", "f8"),
        ("cap_mw", "f8"), ("cap_goal_mw", "f8"), ("cap_ramp", "f8"), ("cap_us", "i8"), ("n_shed", "i8"),
        ("s2_e", "f8"), ("s2_low_mw", "f8"),
        # this instant
        ("s2_p_mw", "f8"), ("p_ref_mw", "f8"), ("p_mw", "f8"), ("p_ac_mw", "f8"), ("p_cell_mw", "f8"),
        # over the run [MWs, us]
        ("e_charged", "f8"), ("e_discharged", "f8"), ("e_loss", "f8"), ("e_init", "f8"), ("e_lowest", "f8"),
        ("e_highest", "f8"), ("saturated_us", "i8"), ("engaged_us", "i8"), ("carrying_us", "i8"), ("n_engaged", "i8"),
        ("max_excess_mw", "f8"), ("n_carried", "i8"),
        ("s2_e_init", "f8"), ("s2_charged", "f8"), ("s2_discharged", "f8"), ("s2_lowest", "f8"), ("s2_highest", "f8"),
    ]
)  # fmt: skip
"""One UPS: parameters, state, what it does this instant, and its totals."""

RIDE = np.dtype(
    [
        # parameters: voltages [pu], times [us]
        ("first", "i8"), ("n", "i8"), ("calm_low_pu", "f8"), ("calm_high_pu", "f8"),
        ("v_return_pu", "f8"), ("return_delay_us", "i8"), ("detection_us", "i8"),
        ("count_n", "i8"), ("count_window_us", "i8"), ("unlock_us", "i8"), ("seen_first", "i8"),
        # state
        ("low", "i8"), ("turned_us", "i8"),
        ("timing", "i8"), ("beyond", "i8"), ("v_ok_us", "i8"), ("n_seen", "i8"), ("locked", "i8"), ("locked_us", "i8"),
        ("transferred_us", "i8"),
        # over the run
        ("n_transfer", "i8"), ("n_lockout", "i8"), ("off_us", "i8"),
    ]
)  # fmt: skip
"""When one site leaves the feeder, and when it comes back."""

THRESHOLD = np.dtype([("v_pu", "f8"), ("t_us", "i8"), ("is_high", "i8"), ("since_us", "i8")])
"""Voltages beyond v_pu are borne for t_us; since_us: since when it has been beyond, -1 while it is not."""

SHED = np.dtype([("e", "f8"), ("job", "i8"), ("p_mw", "f8")])
"""At this energy left [MWs] the job of that number is shed, -1 or its power when it was [MW]; the first to go first."""


class UpsArrays(Bundle):
    """Everything the UPS kernels read and write; one record a site, `present` = 0 where it has none."""

    units: np.ndarray  # UPS
    rides: np.ndarray  # RIDE
    thresholds: np.ndarray  # THRESHOLD, site by site
    seen_us: np.ndarray  # i8: when the last disturbances were counted, site by site
    sheds: np.ndarray  # SHED, unit by unit
    history_mw: np.ndarray  # f8: grid-side power of the last window, unit by unit
    past_mw: np.ndarray  # f8: need over the last period, unit by unit
    late_mw: np.ndarray  # f8: commands that the response delay still holds back, unit by unit
    events: np.ndarray  # EVENT
    n_event: np.ndarray  # i8 (1,)
