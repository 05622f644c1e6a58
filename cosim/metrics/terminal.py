"""Voltage and load at the terminals of one data center: rapid changes, flicker, recovery after dips.

These look at one column of the log as a whole: 4 bytes a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from cosim.metrics.away import SiteLoad, loads_away
from cosim.metrics.disturbance import touches
from cosim.metrics.flicker import N_PST_PER_PLT, PST_WINDOW_S, Flickermeter, band_hz, short_term_severities
from cosim.metrics.load_loss import LoadLoss, load_losses, worst_of
from cosim.metrics.log import AnyFloats, Floats
from cosim.metrics.voltage import SAG_PU, SWELL_PU
from cosim.metrics.window import rows_in, sliding_swing

STEADY_S = 1.0
"""A voltage is steady if its readings stay near their mean for so long: IEC 61000-4-30, 5.11. [s]"""
RVC_MIN_PU = 0.01
"""Departure from that mean with which a rapid change begins. [pu]"""
STEADY_STEP_MAX_S = 0.25
"""Coarsest step that sees the second before and after a change: four readings. [s]"""
FLICKER_STEP_MAX_S = 0.05
"""Coarsest step that carries 8.8 Hz. [s]"""
FLAG_LEAD_S = 30.0
"""A dip so long before a 10-minute window still shows in its flicker. [s]"""
_BLOCK = 1 << 16


class RapidChange(NamedTuple):
    """One rapid voltage change."""

    start_s: float
    duration_s: float
    max_percent: float
    """Largest departure from the mean of the second before it. [% of nominal]"""
    steady_percent: float
    """Difference of the steady means after and before it. [% of nominal]"""


def rapid_changes(t_s: Floats, vm_pu: AnyFloats, step_s: float) -> list[RapidChange]:
    """Rapid voltage changes of one voltage: IEC 61000-4-30, 5.11, on readings in place of half-cycle rms.

    The voltage is steady where all readings of the last second lie within 1 % of their mean. Between two steady
    spells lies a change; one that leads below 0.9 or above 1.1 pu, or back from there, belongs to a sag or swell.

    Parameters
    ----------
    t_s, vm_pu : ndarray, shape (n,)
        Times [s] and voltages [pu].
    step_s : float
        Their distance, at most 0.25 s. [s]

    Returns
    -------
    list of RapidChange
        In order of time.
    """
    n = rows_in(STEADY_S, step_s)
    if len(vm_pu) <= n:
        return []
    unsteady = np.concatenate(
        [_unsteady(vm_pu[i : i + _BLOCK + n - 1], n) for i in range(0, len(vm_pu) - n + 1, _BLOCK)]
    )
    change = np.diff(unsteady, prepend=np.int8(0), append=np.int8(0))
    found = []
    for a, b in zip(np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True):
        if a == 0 or b >= len(unsteady):
            continue  # the record does not hold what was before, or after
        before, after = (float(np.mean(vm_pu[k : k + n], dtype=np.float64)) for k in (a - 1, b))
        first, last = a + n - 1, b  # the first reading that departs; the first of the steady second after it
        spell = vm_pu[first : max(last, first) + 1].astype(np.float64)
        if min(spell.min(), before, after) < SAG_PU or max(spell.max(), before, after) > SWELL_PU:
            continue
        most = float(np.abs(spell - before).max())
        lasted_s = max(float(t_s[max(last, first)] - t_s[first]), 0.0)
        found.append(RapidChange(float(t_s[first]), lasted_s, 100.0 * most, 100.0 * abs(after - before)))
    return found


def _unsteady(vm_pu: AnyFloats, n: int) -> npt.NDArray[np.int8]:
    """1 for each span of `n` rows, from its first row on, with a reading that departs from its mean."""
    v = vm_pu.astype(np.float64)
    total = np.concatenate(([0.0], np.cumsum(v)))
    mean = (total[n:] - total[:-n]) / n
    inside = slice(n // 2, n // 2 + len(mean))
    high, low = maximum_filter1d(v, n)[inside], minimum_filter1d(v, n)[inside]
    departs: npt.NDArray[np.int8] = (np.maximum(high - mean, mean - low) > RVC_MIN_PU).astype(np.int8)
    return departs


def most_in_window(start_s: list[float], window_s: float) -> tuple[int, float]:
    """Most events in any window of the given width, and when that window starts. [s]"""
    times = np.asarray(start_s, dtype=np.float64)
    if len(times) == 0:
        return 0, 0.0
    count = np.searchsorted(times, times + window_s, side="left") - np.arange(len(times))
    most = int(count.argmax())
    return int(count[most]), float(times[most])


class Recovery(NamedTuple):
    """How a load came back after one dip."""

    back_s: float
    """When the voltage was back. [s]"""
    took_s: float
    """From then until the load was back, whatever dips came in between; until the end where it was not. [s]"""
    is_back: bool
    lost_mw: float
    """Most that was missing of the power before the dip because of it. [MW]"""
    is_seen: bool = True
    """Whether the rows are close enough to tell what it took and how long that was away."""


def recoveries(
    t_s: Floats,
    vm_pu: AnyFloats,
    load: SiteLoad,
    step_s: float,
    vm_min_pu: float = 0.9,
    share: float = 0.9,
    lowest_pu: AnyFloats | None = None,
) -> list[Recovery]:
    """How a load came back after each dip of its voltage, as `loads_away` counts it.

    A load that the next dip finds not back yet has not come back from this one: its time goes on, and the load that
    the next one is held against is still that before the first.

    Parameters
    ----------
    t_s, vm_pu : ndarray, shape (n,)
        Times [s], voltage at the terminals [pu].
    load : SiteLoad
        The load there.
    step_s : float
        Their distance. [s]
    vm_min_pu : float
        Voltage below which a dip lies. [pu]
    share : float
        Share of the mean power over the 10 s before the dip.
    lowest_pu : ndarray, shape (n,), optional
        Lowest voltage since the row before; not given: that of the rows. [pu]

    Returns
    -------
    list of Recovery
        One for each dip that ends within the record and found the load on, or not back from a dip that had.
    """
    found = []
    for one in loads_away(t_s, vm_pu, [load], step_s, vm_min_pu, lowest_pu, share):
        until = len(t_s) - 1 if one.back is None else one.back
        for _, b in one.dips:
            if b < len(t_s) and one.before_mw > 0.0:
                took_s = max(0.0, float(t_s[until] - t_s[b]))
                found.append(Recovery(float(t_s[b]), took_s, one.back is not None, one.lost_mw, one.is_seen))
    return sorted(found)


def largest_plt(pst: Floats) -> tuple[float, int] | None:
    """Largest cubic mean of twelve severities in a row, and the first's number; None without two clear hours."""
    if len(pst) < N_PST_PER_PLT:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(pst**3, N_PST_PER_PLT).mean(axis=1)
    if np.isnan(windows).all():
        return None
    worst = int(np.nanargmax(windows))
    return float(np.cbrt(windows[worst])), worst


@dataclass(frozen=True)
class Terminal:
    """What the voltage at the terminals of one data center did."""

    rvc: list[RapidChange] | None
    """Rapid voltage changes; None where the log step is too coarse."""
    pst: dict[str, Floats]
    """Short-term severities by lamp; NaN where a dip, swell or interruption flags the 10 minutes (IEC 61000-4-30);
    empty where the log step is too coarse or the run too short."""
    flicker_hz: float
    """Highest fluctuation that flicker sees at this step, 0 where none. [Hz]"""
    recovery: list[Recovery]
    """How its load came back after dips below 0.9 pu."""
    losses: list[LoadLoss]
    """What each series of dips took, and what stayed away for 1 s, 1 min and 1 h."""

    def plt(self, lamp: str) -> tuple[float, int] | None:
        """Largest cubic mean of twelve severities in a row, and the first's number; None without two clear hours."""
        return largest_plt(self.pst.get(lamp, np.zeros(0)))

    def summary(self) -> dict[str, object]:
        """Plain numbers."""
        numbers: dict[str, object] = {}
        if self.rvc is not None:
            numbers["n_rvc"] = len(self.rvc)
            if self.rvc:
                worst = max(self.rvc, key=lambda change: change.max_percent)
                numbers |= {
                    "rvc_max_percent": worst.max_percent,
                    "rvc_max_t_s": worst.start_s,
                    "rvc_steady_percent": max(change.steady_percent for change in self.rvc),
                    "rvc_most_per_h": most_in_window([change.start_s for change in self.rvc], 3600.0)[0],
                }
        for lamp, pst in self.pst.items():
            if not np.isnan(pst).all():
                numbers[f"pst_max_{lamp}"] = float(np.nanmax(pst))
            if np.isnan(pst).any():
                numbers[f"n_pst_flagged_{lamp}"] = int(np.isnan(pst).sum())
            plt = self.plt(lamp)
            if plt is not None:
                numbers[f"plt_max_{lamp}"] = plt[0]
        if self.flicker_hz > 0.0:
            numbers["flicker_seen_hz"] = self.flicker_hz
        if self.losses:
            numbers |= worst_of(self.losses).summary()
        if self.recovery:
            numbers |= {
                "n_dip": len(self.recovery),
                "n_dip_not_recovered": sum(not one.is_back for one in self.recovery),
            }
        if self.recovery and all(one.is_seen for one in self.recovery):
            numbers["recovery_max_s"] = max(one.took_s for one in self.recovery)
            numbers["lost_max_mw"] = max(one.lost_mw for one in self.recovery)
        return numbers


def terminal(
    t_s: Floats,
    vm_pu: AnyFloats,
    lowest_pu: AnyFloats,
    load: SiteLoad | None,
    step_s: float,
    lamps: tuple[str, ...],
) -> Terminal:
    """Take the metrics of one terminal.

    Parameters
    ----------
    t_s, vm_pu, lowest_pu : ndarray, shape (n,)
        Times [s], voltage [pu], the lowest since the last row [pu].
    load : SiteLoad or None
        The load there; None where it is not logged.
    step_s : float
        Their distance. [s]
    lamps : tuple of str
        Lamps of the flickermeter.
    """
    sees_flicker = 0.0 < step_s <= FLICKER_STEP_MAX_S * (1.0 + 1e-9)
    pst = {lamp: severities(vm_pu, step_s, lamp) for lamp in lamps if sees_flicker}
    return Terminal(
        rvc=rapid_changes(t_s, vm_pu, step_s) if 0.0 < step_s <= STEADY_STEP_MAX_S else None,
        pst=pst,
        flicker_hz=band_hz(step_s) if sees_flicker else 0.0,
        recovery=recoveries(t_s, vm_pu, load, step_s, lowest_pu=lowest_pu) if load is not None else [],
        losses=load_losses(t_s, vm_pu, [load], step_s, lowest_pu=lowest_pu) if load is not None else [],
    )


def severities(vm_pu: AnyFloats, step_s: float, lamp: str) -> Floats:
    """Short-term severities of the whole 10 minutes, counted back from the end; NaN where a dip or swell flags them.

    A dip within the 30 s before a window flags it, too: the meter's reference has not come back yet.
    """
    pst = short_term_severities(_pinst(vm_pu, step_s, lamp), step_s)
    n, lead = rows_in(PST_WINDOW_S, step_s), rows_in(FLAG_LEAD_S, step_s)
    flagged = (np.asarray(vm_pu) < SAG_PU) | (np.asarray(vm_pu) > SWELL_PU)
    for i in range(len(pst)):
        start = len(flagged) - (len(pst) - i) * n
        if flagged[max(0, start - lead) : start + n].any():
            pst[i] = np.nan
    return pst


def _pinst(vm_pu: AnyFloats, step_s: float, lamp: str) -> Floats:
    """Instantaneous flicker sensation; of a record shorter than a severity needs, nothing."""
    if len(vm_pu) * step_s < PST_WINDOW_S:
        return np.zeros(0)
    meter, size = Flickermeter(step_s, lamp), 1 << 15
    parts = [meter.update(vm_pu[i : i + size].astype(np.float64)) for i in range(0, len(vm_pu), size)]
    return np.concatenate([*parts, meter.finish()])


def largest_step(
    t_s: Floats, vm_pu: AnyFloats, window_s: float, step_s: float, disturbed: Floats
) -> tuple[float, float]:
    """Largest change of voltage within a window that touches no disturbance [pu], and when it starts [s]."""
    n = rows_in(window_s, step_s)
    worst = (0.0, 0.0)
    for start in range(0, max(len(vm_pu) - n, 0), _BLOCK):
        rows = slice(start, start + _BLOCK + n)
        swing, t = sliding_swing(vm_pu[rows], n), t_s[rows]
        calm: npt.NDArray[np.bool_] = ~touches(t[: len(swing)], t[n : n + len(swing)], disturbed)
        most = int(np.where(calm, swing, -1.0).argmax())
        if calm[most] and swing[most] > worst[0]:
            worst = (float(swing[most]), float(t[most]))
    return worst
