"""Shares of the fleet: what jobs that run together ask for (w(t) of Eq. 17)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cosim.units import W_PER_MW

if TYPE_CHECKING:
    from cosim.load.config import LoadConfig


def job_weight(load: LoadConfig, job: Any, t_s: float) -> float:
    """Weight w(t) of Eq. 17 that a running job has. [1]"""
    if job.weight is not None:
        return next((p.weight for p in reversed(job.weight) if p.at_s <= t_s), 0.0)
    assert load.accelerators is not None
    return 1.0 if job.accelerators is None else job.accelerators / load.accelerators.count


def heaviest(load: LoadConfig, switched: Iterable[tuple[float, str, bool]] = ()) -> tuple[float, float]:
    """Time and size of the largest sum of weights of jobs that run together.

    Parameters
    ----------
    load : LoadConfig
    switched : iterable of (float, str, bool)
        Times [s] at which events start (True) or stop a job, beside its own start_s and stop_s.

    Returns
    -------
    at_s, weight : float
        First time of the largest sum [s], and that sum [1].
    """
    jobs = {name: job for name, job in load.jobs.items() if job.kind != "trace"}
    changes = [change for change in switched if change[1] in jobs]
    for name, job in jobs.items():
        if job.start_s is not None:
            changes.append((job.start_s, name, True))
        if job.stop_s is not None:
            changes.append((job.stop_s, name, False))
    times = {at_s for at_s, _, _ in changes} | {p.at_s for job in jobs.values() for p in job.weight or ()}
    running: set[str] = set()
    waiting = sorted(changes, key=lambda change: (change[0], change[2]))
    best = (0.0, 0.0)
    for t_s in sorted(times):
        while waiting and waiting[0][0] <= t_s:
            _, name, starts = waiting.pop(0)
            (running.add if starts else running.discard)(name)
        total = sum(job_weight(load, jobs[name], t_s) for name in running)
        if total > best[1]:
            best = (t_s, total)
    return best


def weights_problem(load: LoadConfig, switched: Iterable[tuple[float, str, bool]] = ()) -> str | None:
    """What is wrong where jobs together ask for more than the fleet, else None."""
    at_s, weight = heaviest(load, switched)
    return f"jobs: their weights sum to {weight:.3g} at t = {at_s:g} s, above 1" if weight > 1 + 1e-9 else None


def highest_mw(load: LoadConfig, name: str, t_s: float) -> float:
    """Power above idle that a job settles at in its highest stage, under its owner's cap (Eq. 6). [MW]

    Of a job without stages (inference, serving, states) that of all its accelerators at full utilization; 0 of a trace.
    """
    job, fleet = load.jobs[name], load.accelerators
    if job.kind == "trace" or fleet is None:
        return 0.0
    u = 1.0
    if job.kind == "training":
        u = max(stage.utilization for stage in job.iteration)
    elif job.kind == "fine_tuning":
        u = max(stage.utilization for stage in job.stages)
    p_w = u * (fleet.p_peak_w - fleet.p_idle_w)
    if job.mitigation is not None and job.mitigation.p_cap_w is not None:
        p_w = min(p_w, job.mitigation.p_cap_w - fleet.p_idle_w)
    return fleet.count * job_weight(load, job, t_s) * p_w / W_PER_MW
