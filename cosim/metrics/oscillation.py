"""Oscillations of the power drawn against limits: rms in a band, and modes of the power system."""

from __future__ import annotations

import math

from cosim.metrics import limits as lim
from cosim.metrics.case import Case, Seen, Verdict, centers_with, never_calm, too_coarse, too_short, verdict_of
from cosim.metrics.log import blocks
from cosim.metrics.spectrum import SEEN, SEGMENT_S, STEP_MAX_S, TOP_MIN_HZ, Spectrum, SpectrumMeter


def oscillation(limit: lim.OscillationLimit, case: Case) -> Verdict:
    """Rms in the band of the worst segment, over mean power."""
    segment_s = max(SEGMENT_S, 4.0 / limit.from_hz)
    whole_s = SEEN * 0.5 / limit.to_hz
    if case.step_s > STEP_MAX_S or 2.0 * case.step_s * limit.from_hz >= SEEN:
        return verdict_of(limit, "%", limit.max_percent, [], too_coarse(case, whole_s))
    if case.duration_s < segment_s:
        return verdict_of(limit, "%", limit.max_percent, [], too_short(case, segment_s))
    seen = []
    for name in centers_with(case, "p_grid_mw"):
        found = _spectrum_of(case, name, ((limit.from_hz, limit.to_hz),), segment_s)
        if found is not None and found.band and found.mean_mw > 0.0:
            band = found.band[0]
            note = f"strongest at {found.dominant_hz:.3g} Hz"
            seen.append(Seen(100.0 * band.worst_rms_mw / found.mean_mw, band.worst_t_s, name, note))
    partial = ""
    if case.step_s > whole_s * (1.0 + 1e-9):
        partial = f"{too_coarse(case, whole_s)}; seen up to {SEEN * 0.5 / case.step_s:.3g} Hz"
    why = never_calm(segment_s)
    return verdict_of(limit, "%", limit.max_percent, seen, why, partial=partial)


def mode(limit: lim.ModeLimit, case: Case) -> Verdict:
    """Distance of the strongest oscillation from a mode, where the band around it holds enough to matter."""
    low_hz, high_hz = limit.f_hz - 0.5 * limit.width_hz, limit.f_hz + 0.5 * limit.width_hz
    needed_s, segment_s = SEEN * 0.5 / high_hz, max(SEGMENT_S, 4.0 / low_hz, 4.0 / limit.width_hz)
    if case.step_s > min(needed_s, STEP_MAX_S) * (1.0 + 1e-9):
        return verdict_of(limit, "Hz", 0.5 * limit.width_hz, [], too_coarse(case, min(needed_s, STEP_MAX_S)))
    if case.duration_s < segment_s:
        return verdict_of(limit, "Hz", 0.5 * limit.width_hz, [], too_short(case, segment_s))
    seen = []
    for name in centers_with(case, "p_grid_mw"):
        bands = ((low_hz, high_hz), (high_hz, math.inf))  # peaks are looked for from the lowest band on
        found = _spectrum_of(case, name, ((TOP_MIN_HZ, low_hz), *bands) if low_hz > TOP_MIN_HZ else bands, segment_s)
        band = next((one for one in found.band if one.from_hz == low_hz), None) if found is not None else None
        if found is None or band is None or found.mean_mw <= 0.0:
            continue
        percent = 100.0 * band.rms_mw / found.mean_mw
        share = float(((found.top_hz >= low_hz) & (found.top_hz <= high_hz)).mean())
        note = f"strongest at {found.dominant_hz:.3g} Hz; in the band {percent:.2g} % of mean power, and the strongest "
        note += f"{100.0 * share:.0f} % of the time"
        away_hz = abs(found.dominant_hz - limit.f_hz)
        if percent < limit.min_percent:  # whatever peaks there is too small to matter
            away_hz = max(away_hz, 0.5 * limit.width_hz)
        seen.append(Seen(away_hz, band.worst_t_s, name, note))
    why = never_calm(segment_s)
    return verdict_of(limit, "Hz", 0.5 * limit.width_hz, seen, why, lowest=True)


def _spectrum_of(case: Case, name: str, bands_hz: tuple[tuple[float, float], ...], segment_s: float) -> Spectrum | None:
    meter = SpectrumMeter(case.step_s, case.disturbed, bands_hz, segment_s)
    for t_s, p_mw in blocks(case.log, f"datacenter/{name}/p_grid_mw"):
        meter.update(t_s, p_mw.reshape(len(t_s)))
    return meter.result()
