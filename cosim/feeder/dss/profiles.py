"""Load shapes of a circuit as profiles of fixed interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.feeder import network as nw
from cosim.feeder.dss.engine import Engine
from cosim.feeder.dss.injections import Injection
from cosim.feeder.network import Floats


@dataclass(frozen=True)
class Profile:
    """Points of one shape; without any where its interval varies, which is refused once it is used."""

    name: str
    step_s: float
    p: Floats
    q: Floats
    is_power: bool


def profile_arrays(engine: Engine, injections: Sequence[Injection]) -> dict[str, Any]:
    """The `profile_*` arrays of a network, and `inj_profile`: only shapes that an injection follows.

    Point k of a shape, counted from 1, is the engine's multiplier from k - 1/2 to k + 1/2 intervals, and
    the shape repeats. Shapes of actual power are in MW, consumption positive.
    """
    profiles: list[Profile] = []
    row_of: dict[tuple[str, float, int], int] = {}
    rows = np.full((len(injections), 3), -1, np.int64)
    for k, injection in enumerate(injections):
        for column, shape in enumerate(injection.shapes):
            if not shape:
                continue
            key = _variant(engine, shape, injection)
            if key not in row_of:
                row_of[key] = len(profiles)
                profiles.append(_read(engine, *key))
            rows[k, column] = row_of[key]
    points = [p.p for p in profiles] or [np.zeros(0)]
    points_q = [p.q for p in profiles] or [np.zeros(0)]
    return {
        "inj_profile": rows,
        "profile_name": np.array([p.name for p in profiles], np.str_),
        "profile_step_s": np.array([p.step_s for p in profiles]),
        "profile_ptr": np.concatenate([[0], np.cumsum([p.p.size for p in profiles])]).astype(np.int64),
        "profile_p": np.concatenate(points),
        "profile_q": np.concatenate(points_q),
        "profile_is_power": np.array([p.is_power for p in profiles], bool),
    }


def _variant(engine: Engine, shape: str, injection: Injection) -> tuple[str, float, int]:
    """Shape, power factor and sign: all that tells two profiles of one shape apart."""
    engine.dss.LoadShape.Name(shape)
    if not engine.dss.LoadShape.UseActual():
        return shape, 1.0, 1
    sign = 1 if injection.kind == nw.LOAD else -1
    return shape, (injection.power_factor if _is_absent(engine.dss.LoadShape.QMult()) else 1.0), sign


def _read(engine: Engine, name: str, power_factor: float, sign: int) -> Profile:
    shape = engine.dss.LoadShape
    shape.Name(name)
    is_power = bool(shape.UseActual())
    label = name if (power_factor, sign) == (1.0, 1) else f"{name} ({'generated, ' * (sign < 0)}pf {power_factor:.12g})"
    step_s = 3600 * float(shape.HrInterval())
    if step_s <= 0:
        return Profile(label, 0.0, np.zeros(0), np.zeros(0), is_power)
    p = np.asarray(shape.PMult(), float)
    q_given = shape.QMult()
    if not _is_absent(q_given):
        q = np.asarray(q_given, float)
    elif is_power:
        q = p * np.sqrt(1 / power_factor**2 - 1) * np.sign(power_factor)
    else:
        q = p
    scale = sign / 1e3 if is_power else 1.0
    return Profile(label, step_s, p * scale, q * scale, is_power)


def _is_absent(values: Any) -> bool:
    """Whether the engine has no reactive points: it then answers with nothing or a lone zero."""
    points = np.asarray(values, float)
    return points.size <= 1 and not points.any()
