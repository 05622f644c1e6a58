"""The YAML of a fitted machine: complete, runnable, a model and not a recording."""

from __future__ import annotations

from cosim.errors import CosimError
from cosim.fit.as_load import load_dict
from cosim.fit.as_yaml import as_yaml
from cosim.fit.fitting import Fit
from cosim.fit.simulate import SITE
from cosim.units import US_PER_S

MAX_BYTES = 8000
"""Larger than this it would be a recording."""
SMALL_MW = 2.0
"""Peak up to which the head of case33bw (a feeder of 3.7 MW) carries the machine. [MW]"""


def fit_yaml(fit: Fit) -> str:
    """The scenario of a fit.

    Returns
    -------
    str
        YAML that `cosim run` accepts; its `p_ai_mw` has a row at every instant of the trace.

    Raises
    ------
    CosimError
        The model is larger than `MAX_BYTES`; a bug, since every list in it is bounded.
    """
    machine = fit.machine
    n = len(fit.trace.p_mw)
    dt_s = machine.dt_s
    document = {
        "schema": 1,
        "name": _name(fit.trace.name),
        "description": (
            f"Fitted by cosim to {fit.trace.name}: {n} samples, {dt_s:g} s apart, mean {fit.trace.p_mw.mean():.6g} MW. "
            "Accelerators are equivalents of 0.85 kW at the wall; their number changes no power."
        ),
        "seed": 1,
        "time": {"duration_s": round((n - 1) * dt_s * US_PER_S) / US_PER_S, "step_s": dt_s},
        "feeder": {"model": _feeder(machine.top_mw), "max_dp_mw": max(0.001, round(0.02 * machine.top_mw, 3))},
        "datacenters": {SITE: {"bus": _bus(machine.top_mw), "load": load_dict(machine)}},
        "log": {"step_s": dt_s, "nodes": "extremes"},
    }
    return checked_size(as_yaml(document))


def checked_size(text: str) -> str:
    """The text, unless it is larger than a model.

    Raises
    ------
    CosimError
        It takes more than `MAX_BYTES`.
    """
    if len(text.encode()) > MAX_BYTES:
        raise CosimError(f"the fitted scenario takes {len(text.encode())} bytes, more than the {MAX_BYTES} of a model")
    return text


def _feeder(top_mw: float) -> str:
    return "case33bw" if top_mw <= SMALL_MW else "campus34"


def _bus(top_mw: float) -> int | str:
    return 1 if top_mw <= SMALL_MW else "campus_a"


def _name(file: str) -> str:
    return "fit of " + file.removesuffix(".gz").removesuffix(".csv")
