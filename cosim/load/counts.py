"""What jobs have done: iterations, tokens, queries, and the energy above idle that it took."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from cosim.load.config import InferenceConfig, LoadConfig, QueryClassConfig, ServingConfig, TrainingConfig

_MWS_PER_MWH = 3600.0

_SERVED = {"n_request": "n_done", "n_token_in": "in_done", "n_token_out": "out_done"}

Counts = dict[str, float]
"""Of one job: `n_<what>` counts what it did, `e_mwh` is its energy above idle, `e_<part>_mwh` are parts of that.

Metrics ask for no more: whatever else a job counts (`n_request`) shows as energy per piece of it.
"""


def job_counts(config: LoadConfig, name: str, job: Any, classes: Any, queues: Any) -> Counts:
    """Counts of one job so far.

    Parameters
    ----------
    config : LoadConfig
        Load of its data center.
    name : str
        The job.
    job : record
        Its state, of `cosim.load.state.JOB`.
    classes : ndarray
        Query classes of all jobs, of `cosim.load.state.CLASS`.
    queues : ndarray
        Queues of all serving jobs, of `cosim.load.state.QUEUE`.
    """
    counts = {"e_mwh": float(job["e_mws"]) / _MWS_PER_MWH}
    one = config.jobs[name]
    if isinstance(one, TrainingConfig):
        counts["n_iteration"] = float(job["n_done"])
        if one.tokens_per_iteration is not None:
            counts["n_token"] = counts["n_iteration"] * one.tokens_per_iteration
    elif isinstance(one, InferenceConfig):
        first = int(job["class_first"])
        served = [float(n) for n in classes["n_served"][first : first + int(job["n_class"])]]
        counts |= _inference(one, counts["e_mwh"], list(zip(one.classes.values(), served, strict=True)))
    elif isinstance(one, ServingConfig):
        counts |= _serving(counts["e_mwh"], queues[int(job["queue"])])
    return counts


def _inference(config: InferenceConfig, e_mwh: float, served: list[tuple[QueryClassConfig, float]]) -> Counts:
    """Queries and tokens, and what of the energy went into prefill and decode, where every class tells."""
    counts = {"n_query": sum(n for _, n in served)}
    for way in ("in", "out"):
        tokens = [getattr(query, f"tokens_{way}") for query, _ in served]
        if _known(tokens):
            counts[f"n_token_{way}"] = sum(n * each for (_, n), each in zip(served, tokens, strict=True))
    shares = [query.prefill_share for query, _ in served]
    weights = [n * math.prod(config.query(query)) for query, n in served]
    if _known(shares) and sum(weights) > 0.0:
        share = sum(w * s for w, s in zip(weights, shares, strict=True) if s is not None) / sum(weights)
        counts |= {"e_prefill_mwh": share * e_mwh, "e_decode_mwh": (1.0 - share) * e_mwh}
    return counts


def _serving(e_mwh: float, q: Any) -> Counts:
    """Requests and tokens served to their end; the energy, split as what the queue asked for and was given."""
    counts = {key: float(q[field]) for key, field in _SERVED.items()}
    e_mws = float(q["e_prefill"] + q["e_decode"])
    if e_mws > 0.0:
        share = float(q["e_prefill"]) / e_mws
        counts |= {"e_prefill_mwh": share * e_mwh, "e_decode_mwh": (1.0 - share) * e_mwh}
    return counts


def _known(values: Iterable[float | None]) -> bool:
    return all(value is not None for value in values)
