"""Zero sequence of a balanced feeder: what its file says, and what a scenario says of elements without data.

Earth faults alone need it. docs/faults.md has the equations.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cosim.errors import InputError, Problem
from cosim.feeder.network import (
    IMPEDANCE,
    LINE,
    SOURCE,
    TRAFO,
    TRAFO3W_HV,
    TRAFO3W_LV,
    TRAFO3W_MV,
    Complexes,
    Network,
)
from cosim.feeder.topology import without

_GROUP: Final = re.compile(r"(D|YN|Y|ZN|Z)(d|yn|y|zn|z)\d*")
_GROUP_3W: Final = re.compile(r"(yn|y|d)\d*(yn|y|d)\d*(yn|y|d)\d*", re.IGNORECASE)
_LEGS: Final = (TRAFO3W_HV, TRAFO3W_MV, TRAFO3W_LV)
_NOUNS: Final = {LINE: "line", IMPEDANCE: "impedance", TRAFO: "transformer", TRAFO3W_HV: "three-winding transformer"}


class ZeroSequenceConfig(BaseModel):
    """Zero sequence of what the file of a balanced feeder gives no such data for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    r0_per_r: float = Field(3.0, gt=0, description="Resistance of lines over their positive-sequence one [1]")
    x0_per_x: float = Field(3.0, gt=0, description="Reactance of lines likewise [1]")
    b0_per_b: float = Field(0.6, ge=0, description="Charging of lines likewise [1]")
    trafo_vector_group: str | None = Field(
        None,
        description="Vector group of transformers without one in the file, with the impedance of their positive "
        "sequence; null: earth faults are refused where there is such a transformer",
    )
    trafo3w_vector_group: str | None = Field(
        None, description="The same of transformers of three windings, highest voltage first, as YNynd"
    )
    source_r0_per_r: float | None = Field(
        None, gt=0, description="Resistance of the source's impedance likewise; null: the file's, else 1 [1]"
    )
    source_x0_per_x: float | None = Field(
        None, gt=0, description="Reactance of it likewise; null: the file's, else 1 [1]"
    )

    @field_validator("trafo_vector_group")
    @classmethod
    def _is_a_vector_group(cls, value: str | None) -> str | None:
        if value is not None and windings(value) is None:
            raise ValueError(f"{value!r} is no vector group of two windings, as Dyn, YNd or YNyn are")
        return value

    @field_validator("trafo3w_vector_group")
    @classmethod
    def _is_a_vector_group_of_three(cls, value: str | None) -> str | None:
        if value is not None and windings_3w(value) is None:
            raise ValueError(f"{value!r} is no vector group of three windings (d, y, yn), as YNynd and YNd5d11 are")
        return value


def windings(group: str) -> tuple[str, str] | None:
    """Connections (d, y, yn, z, zn) of the two windings of a vector group; None where it is none."""
    found = _GROUP.fullmatch(group)
    return (found[1].lower(), found[2]) if found else None


def windings_3w(group: str) -> tuple[str, str, str] | None:
    """Connections (d, y, yn) of the windings of a vector group of three, hv, mv, lv; None where it is none."""
    found = _GROUP_3W.fullmatch(group)
    return (found[1].lower(), found[2].lower(), found[3].lower()) if found else None


def leg_y0(y: Complexes, kind: int, group: str, z0: complex | None = None) -> Complexes:
    """Zero-sequence primitive admittance of one leg of a transformer of three windings, hv to star or star to mv or lv.

    Its winding joins its terminal to the star where it is an earthed star, earths the star through its leakage where it
    is a delta, and leaves the leg without current where it is an open star.

    Parameters
    ----------
    y : array [2, 2]
        Of the positive sequence. [pu]
    kind : int
        TRAFO3W_HV, _MV or _LV.
    group : str
        Vector group of all three.
    z0 : complex, optional
        As `trafo_y0` takes it. [pu]
    """
    own = (windings_3w(group) or ("y", "y", "y"))[_LEGS.index(kind)]
    return trafo_y0(y, f"{own.upper()}yn" if kind == TRAFO3W_HV else f"YN{own}", z0)


def trafo_y0(
    y: Complexes, group: str, z0: complex | None = None, z_m: complex | None = None, part_hv: float = 0.5
) -> Complexes:
    """Zero-sequence primitive admittance of a transformer of two windings.

    An equivalent T: the leakage in two parts, between them the magnetizing branch to ground. An earthed star joins its
    terminal to the T, a delta ground, an open star nothing; an earthed zigzag is a shunt of its own.

    Parameters
    ----------
    y : array [2, 2]
        Of the positive sequence. [pu]
    group : str
        Vector group.
    z0 : complex, optional
        Leakage in the zero sequence, at the second terminal; default that of the positive sequence. [pu]
    z_m : complex, optional
        Magnetizing impedance there; default none. [pu]
    part_hv : float
        Part of the leakage on the first winding's side. [1]
    """
    turns = float(np.sqrt(abs(y[1, 1] / y[0, 0])))
    if z0 is None:
        series = turns * np.sqrt(complex(y[0, 1] * y[1, 0]))
        z0 = 1 / (series if (series * y[1, 1].conjugate()).real > 0 else -series)
    part_hv = min(max(part_hv, 1e-6), 1 - 1e-6)
    t = np.zeros((3, 3), np.complex128)
    t[2, 2] += 0 if z_m is None else 1 / z_m
    for at, (winding, leak) in enumerate(zip(windings(group) or ("y", "y"), (part_hv, 1 - part_hv), strict=True)):
        branch = 1 / (leak * z0)
        if winding == "zn":
            t[at, at] += 1 / z0
        elif winding in ("yn", "d"):
            t[2, 2] += branch
        if winding == "yn":
            t[at, at] += branch
            t[at, 2] -= branch
            t[2, at] -= branch
    inner = np.array([False, False, True])
    seen = without(t, inner)[:2, :2] if t[2, 2] != 0 else t[:2, :2]
    per_turn = np.array([1 / turns, 1.0])
    admittance: Complexes = seen * np.outer(per_turn, per_turn)
    return admittance


def two_port_y0(z0: complex, shunt0: complex) -> Complexes:
    """Pi section: series impedance, and the shunt admittance of each end. [pu]"""
    return np.array([[1 / z0 + shunt0, -1 / z0], [-1 / z0, 1 / z0 + shunt0]])


def zero_sequence_y(net: Network, config: ZeroSequenceConfig | None) -> Complexes:
    """Primitive admittances in the zero sequence, in the order of `Network.el_y`. [pu]

    Lines and transformers as the file has them, else by the ratios and the vector group of the scenario. Capacitor
    banks and extended wards are not earthed.

    Raises
    ------
    InputError
        Something in service has no data; path `type`, of the fault that asks.
    """
    y0 = net.el_y0.copy() if net.el_y0.size else np.full(net.el_y.size, np.nan, np.complex128)
    size = np.diff(net.el_ptr)
    start = np.concatenate([[0], np.cumsum(size**2)])
    lacking: dict[int, list[str]] = {}
    for e in np.flatnonzero(np.isnan(y0[start[:-1]]) | (net.el_kind == SOURCE)).tolist():
        span = slice(start[e], start[e + 1])
        found = _assumed(net, e, net.el_y[span].reshape(size[e], size[e]), config)
        if found is None and (net.el_in_service[e] or net.el_kind[e] == LINE):
            kind = int(net.el_kind[e])
            lacking.setdefault(TRAFO3W_HV if kind in _LEGS else kind, []).append(str(net.el_name[e]))
        y0[span] = 0 if found is None else found.ravel()
    if lacking:
        raise InputError(Problem(_told(lacking), path="type"))
    return y0


def _assumed(net: Network, e: int, y: Complexes, config: ZeroSequenceConfig | None) -> Complexes | None:
    """Admittance of an element that the file says nothing of; None where that cannot be assumed."""
    kind = int(net.el_kind[e])
    if kind == SOURCE:
        return _source_y0(net, e, y, config)
    if kind in (LINE, IMPEDANCE) and config is not None:
        z = -2 / (y[0, 1] + y[1, 0])
        charging = 0.5 * (y[0, 0] + y[0, 1] + y[1, 0] + y[1, 1])
        return two_port_y0(complex(config.r0_per_r * z.real, config.x0_per_x * z.imag), config.b0_per_b * charging)
    if kind == TRAFO and config is not None and config.trafo_vector_group is not None:
        return trafo_y0(y, config.trafo_vector_group)
    if kind in _LEGS and config is not None and config.trafo3w_vector_group is not None:
        return leg_y0(y, kind, config.trafo3w_vector_group)
    return None if kind in _NOUNS or kind in _LEGS else np.zeros_like(y)


def _source_y0(net: Network, e: int, y: Complexes, config: ZeroSequenceConfig | None) -> Complexes:
    """Impedance behind which a source stands, its neutral earthed."""
    row = np.flatnonzero(net.source_node == net.el_node[net.el_ptr[e] + 1])
    known = net.source_zero[int(row[0])] if net.source_zero.size and row.size else np.full(2, np.nan)
    r_ratio, x_ratio = np.where(np.isnan(known), 1.0, known).tolist()
    if config is not None:
        r_ratio, x_ratio = config.source_r0_per_r or r_ratio, config.source_x0_per_x or x_ratio
    z = 1 / complex(y[0, 0])
    return two_port_y0(complex(r_ratio * z.real, x_ratio * z.imag), 0j)


def _told(lacking: dict[int, list[str]]) -> str:
    """What has no zero-sequence data, and which key would give it."""
    named = []
    for kind, names in lacking.items():
        unique = list(dict.fromkeys(names))
        more = f" and {len(unique) - 3} more" if len(unique) > 3 else ""
        named.append(f"{_NOUNS[kind]} {', '.join(unique[:3])}{more}")
    keys = {TRAFO: "trafo_vector_group", TRAFO3W_HV: "trafo3w_vector_group"}
    wanted = " and ".join(key for kind, key in keys.items() if kind in lacking)
    where = f"give feeder.zero_sequence{f' with {wanted}' if wanted else ''}"
    return f"a fault to ground needs zero-sequence data, which the feeder lacks of {'; '.join(named)}: {where}"


def transposed(net: Network, el_y: Complexes) -> Complexes:
    """Primitive admittances in the negative sequence: those of the positive, turns of the phase turned back."""
    size = np.diff(net.el_ptr)
    start = (np.cumsum(size**2) - size**2)[size == 2]
    y = el_y.copy()
    y[start + 1], y[start + 2] = el_y[start + 2], el_y[start + 1]
    return y
