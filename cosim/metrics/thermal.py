"""Loading of lines and transformers, and the hottest spot of transformers, against limits."""

from __future__ import annotations

import numpy as np

from cosim.metrics import limits as lim
from cosim.metrics.case import Case, Seen, Verdict, seconds, too_coarse, too_short, verdict_of
from cosim.metrics.window import fits

GROUPS = {"lines": ("line",), "transformers": ("trafo",), "all": ("line", "trafo")}
"""Groups of the log by what a limit is of."""
NO_LOADING = "the log holds no loadings: log.include has no lines or trafos"


def loading(limit: lim.LoadingLimit, case: Case) -> Verdict:
    """Largest rms loading of any window of the elements that the limit is of."""
    bound = limit.max_percent
    if not fits(limit.window_s, case.step_s):
        return verdict_of(limit, "%", bound, [], too_coarse(case, limit.window_s))
    seen, n_above, n_window, n_element = [], 0.0, 0, 0
    for group in GROUPS[limit.of]:
        found = case.equipment.loading.get(group, {}).get(limit.window_s)
        names = case.equipment.name.get(group, [])
        of = [k for k, name in enumerate(names) if not limit.only or name in limit.only]
        if found is None or not of:
            continue
        n_element += len(of)
        n_window = found.n_window
        if n_window:
            above = found.n_above[bound][of]
            n_above += float((above > 0.0).sum())
            worst = of[int(found.percent[of].argmax())]
            note = f"above for {seconds(above.max() * limit.window_s)} in all" if above.max() > 0.0 else ""
            seen.append(Seen(float(found.percent[worst]), float(found.t_s[worst]), names[worst], note))
    if not n_element:
        why = f"the log holds none of {', '.join(limit.only)}" if limit.only and case.equipment.loading else NO_LOADING
        return verdict_of(limit, "%", bound, [], why)
    verdict = verdict_of(limit, "%", bound, seen, too_short(case, limit.window_s))
    if verdict.status != "failed":
        return verdict
    return verdict.noting(f"{n_above:.0f} of {n_element} elements above")


def hot_spot(limit: lim.HotSpotLimit, case: Case) -> Verdict:
    """Highest temperature of the hottest spot of any transformer."""
    ageing, names = case.equipment.ageing, case.equipment.name.get("trafo", [])
    of = [k for k, name in enumerate(names) if not limit.only or name in limit.only]
    if ageing is None or not of:
        why = f"the log holds none of {', '.join(limit.only)}" if limit.only and names else "the log has no transformer"
        return verdict_of(limit, "degree C", limit.max_degree, [], why)
    worst = of[int(np.argmax(ageing.hot_spot_max_degree[of]))]
    note = f"ageing {ageing.factor[worst]:.3g} times the normal"
    seen = Seen(float(ageing.hot_spot_max_degree[worst]), float(ageing.hot_spot_max_t_s[worst]), names[worst], note)
    return verdict_of(limit, "degree C", limit.max_degree, [seen])
