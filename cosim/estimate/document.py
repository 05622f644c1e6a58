"""The scenario of an estimate: a training job whose iteration has the estimated stages, ready to run."""

from __future__ import annotations

import io
import math
from typing import Any

from ruamel.yaml import YAML

from cosim.errors import InputError, Problem
from cosim.estimate import constants as c
from cosim.estimate.estimating import Estimate
from cosim.estimate.powers import idle_w, server_w
from cosim.units import US_PER_S, W_PER_MW

PLACES = ((2.0, "case33bw", "1"), (15.0, "campus34", "campus_a"), (math.inf, "case39", "15"))
"""Feeder and bus for a peak up to so many megawatts: distribution, a campus, transmission. [MW]"""
SHORTEST_S = 1e-3
"""A stage shorter than this is left out. [s]"""


def scenario_yaml(found: Estimate) -> str:
    """YAML that `cosim run` accepts.

    Raises
    ------
    InputError
        The phase has no iteration (prefill, decode).
    """
    work = found.work
    if not work.trains:
        raise InputError(
            Problem(
                "is served request by request and has no iteration to write; give training, fine_tuning or lora",
                "phase",
                work.phase,
            )
        )
    peak_mw = found.site_mw(1.0)
    model, bus = next((model, bus) for most, model, bus in PLACES if peak_mw <= most)
    beside = server_w(0.0)
    document: dict[str, Any] = {
        "schema": 1,
        "name": f"estimate of {work.model.name} on {work.count} x {work.accelerator.name}",
        "description": (
            f"Estimated by cosim, not measured: {work.phase}, data {work.data} x tensor {work.tensor} x pipeline "
            f"{work.pipeline}, batch {work.batch}, sequence {work.sequence}, {work.precision}; step of "
            f"{found.step_s:.4g} s. Powers of an accelerator have its share of fans and supply losses."
        ),
        "seed": 1,
        "time": {"duration_s": 300, "step_s": 0.01},
        "feeder": {"model": model},
        "datacenters": {
            "site": {
                "bus": bus,
                "load": {
                    "accelerators": {
                        "count": work.count,
                        "p_peak_w": round(server_w(work.accelerator.p_max_w) - beside, 2),
                        "p_idle_w": round(server_w(idle_w(work.accelerator)) - beside, 2),
                        "per_node": min(work.domain, work.count),
                    },
                    "p_base_mw": round(beside * work.count / W_PER_MW, 6),
                    "jobs": {"train": _job(found)},
                },
            }
        },
    }
    yaml = YAML()
    yaml.width = 118
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return f"# Constants of the estimate: efficiency {c.MATMUL_EFFICIENCY[work.precision]:g} of the peak.\n" + (
        stream.getvalue()
    )


def _job(found: Estimate) -> dict[str, Any]:
    stages = [
        {
            "name": stage.name,
            "duration_s": round(stage.duration_s * US_PER_S) / US_PER_S,
            "utilization": round(found.u(stage), 4),
        }
        for stage in found.stages
        if stage.duration_s >= SHORTEST_S
    ]
    return {"kind": "training", "iteration": stages}
