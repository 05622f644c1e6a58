"""What the frequency of a weak area does when a large load stops or starts, and scipy's solution of the same equations.

All runs are `planning/weak_area` with other settings; `swing` takes nothing from cosim but the power of the source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

import cosim

F0_HZ, S_MVA, H_S, D, R, T_G_S, T_S_S, DEAD_HZ = 60.0, 400.0, 3.0, 1.0, 0.05, 0.8, 60.0, 0.036
"""Of the area: the scenario's but for its rating, 400 MVA instead of 600."""
AT_S, END_S, START_S = 125.0, 240.0, 121.0
"""When the load stops or starts, when the run ends, and from when on the frequency is free. [s]"""
ROCOF_S = 0.5
"""Window of the rate of change of frequency, as ENTSO-E has it. [s]"""
SHEDDING = ((59.5, 0.2, 20.0), (59.3, 0.2, 20.0), (59.0, 0.2, 20.0))
"""Steps of under-frequency load shedding: below [Hz], for [s], load [MW]."""

UPS, SERVERS = "datacenters.campus.ups", "datacenters.campus.facility"
ALONE = {UPS: None}
SMOOTHING = {f"{UPS}.frequency": None}
STARTS = {"events": [], "datacenters.campus.load.jobs.train.start_s": AT_S}
SHEDS = {
    "source.area.shedding": [{"below_hz": below, "delay_s": delay, "p_mw": p} for below, delay, p in SHEDDING],
}
ANSWER = {f"{UPS}.smoothing.controller": "none", f"{UPS}.return_s": 1e6}
DROOP = {f"{UPS}.frequency.inertia_mw_s_per_hz": 0.0}
INERTIA = {f"{UPS}.frequency.droop_mw_per_hz": 0.0}
GIVE_WAY = {f"{SERVERS}.frequency": {"droop_mw_per_hz": 50.0, "inertia_mw_s_per_hz": 20.0}}
SLOW = {"datacenters.campus.load.jobs.train.mitigation": {"max_ramp_w_per_s": 20.0}}

STOP, START = "job fails", "job starts"
CASES: dict[tuple[str, str], dict[str, Any]] = {
    (STOP, "nobody answers"): ALONE,
    (STOP, "UPS: droop of 50 MW/Hz"): ANSWER | DROOP,
    (STOP, "UPS: synthetic inertia of 20 MW s/Hz"): ANSWER | INERTIA,
    (STOP, "UPS: both"): ANSWER,
    (STOP, "UPS: ramps of 0.5 MW/s"): SMOOTHING,
    (STOP, "UPS: ramps and both, as shipped"): {},
    (START, "nobody answers"): STARTS | ALONE,
    (START, "load shedding"): STARTS | ALONE | SHEDS,
    (START, "load shedding, servers give way: both"): STARTS | ALONE | SHEDS | GIVE_WAY,
    (START, "load shedding, UPS: both"): STARTS | ANSWER | SHEDS,
    (START, "load shedding, servers rise by 1.2 MW/s"): STARTS | ALONE | SHEDS | SLOW,
    (START, "load shedding, UPS: ramps and both"): STARTS | SHEDS,
}


def run(changes: dict[str, Any], out: Path, end_s: float = END_S) -> dict[str, Any]:
    """Figures of one run, its frequency and the power of the source at every step."""
    common = {
        "time.duration_s": end_s, "log.step_s": 0.01, "source.area.start_s": START_S, "source.area.s_base_mva": S_MVA,
    }  # fmt: skip
    with cosim.run("planning/weak_area", set=common | changes, out=out) as result:
        events, t_s, f_hz = result.events, result.t_s, result.read("source/f_hz")
        found = {
            "t_s": t_s, "f_hz": f_hz, "p_mw": result.read("source/p_mw"),
            "shed_mw": result.metrics["area"]["p_shed_mw"],
            "shed_at_s": events.loc[events["kind"] == "area_load_shed", "t_s"].to_numpy(),
            "site_mw": result.read("datacenter/campus/p_grid_mw"),
        }  # fmt: skip
    after, window = t_s >= AT_S, round(ROCOF_S / 0.01)
    worst = np.flatnonzero(after)[np.argmax(np.abs(f_hz[after] - F0_HZ))]
    change = f_hz[after][window:] - f_hz[after][:-window]
    return found | {
        "worst_hz": f_hz[worst], "worst_s": t_s[worst] - AT_S, "rocof": change[np.argmax(np.abs(change))] / ROCOF_S,
    }  # fmt: skip


def swing(t_s: np.ndarray, p_mw: np.ndarray, steps: Any = ()) -> tuple[np.ndarray, list[float]]:
    """Frequency [Hz] under a power that holds from each time to the next, and when load was shed [s]; by scipy.

    Kundur 1994, 11.1: M f' = p_g + p_s + p_shed - (p - p_0) - B f and so on, DOP853 to 1e-12.
    """
    m, b, k = 2 * H_S * S_MVA / F0_HZ, D * S_MVA / F0_HZ, S_MVA / F0_HZ / R
    state, shed, below_since = np.zeros(3), 0.0, [np.inf] * len(steps)
    done, f_hz, p0 = [False] * len(steps), np.full(t_s.size, F0_HZ), 0.0
    shed_at: list[float] = []
    for n in range(t_s.size - 1):
        if t_s[n] <= START_S + 1e-9:
            p0 = p_mw[n]
        f_hz[n] = F0_HZ + state[0]
        for i, (below, delay, mw) in enumerate(steps):
            below_since[i] = min(below_since[i], t_s[n]) if f_hz[n] < below else np.inf
            if not done[i] and t_s[n] - below_since[i] >= delay - 1e-9:
                done[i], shed = True, shed + mw
                shed_at.append(float(t_s[n]))
        rest = shed - (p_mw[n] - p0)

        def slopes(_: float, x: np.ndarray, rest: float = rest) -> list[float]:
            beyond = np.sign(x[0]) * max(0.0, abs(x[0]) - DEAD_HZ)
            return [(x[1] + x[2] + rest - b * x[0]) / m, (-k * beyond - x[1]) / T_G_S, -(k + b) / T_S_S * x[0]]

        if t_s[n] >= START_S - 1e-9:
            state = solve_ivp(slopes, (t_s[n], t_s[n + 1]), state, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    f_hz[-1] = F0_HZ + state[0]
    return f_hz, shed_at
