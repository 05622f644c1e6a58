"""Tap changers and switched shunts of a pandapower network as devices: what a control may move.

A transformer is a device where it has a tap changer of several positions and stands at one of them. A shunt is one
where it is a pure capacitor; it enters as an element then and not as a shunt of its bus. Everything else stands as it
does in its file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from cosim.feeder import network as nw
from cosim.feeder.devices import Device
from cosim.feeder.network import Complexes, Floats

_SAME: Final = 1e-12
"""Relative difference of admittances that come from one conversion."""

TwoPorts = Callable[[Any], Complexes]
"""From a network to yff, yft, ytf, ytt of every branch, in the order of its elements. [pu]"""


# Tap changers --------------------------------------------------------------------------------------------------------


def tap_changers(net: Any, arrays: dict[str, Any], two_ports: TwoPorts) -> list[Device]:
    """Transformers whose taps can be moved.

    Parameters
    ----------
    net : pandapowerNet
        Solved; its tap positions are changed and put back.
    arrays : dict
        The `el_*` arrays of the network.
    two_ports : callable
        pandapower's own conversion.
    """
    ranges = {table: _tap_ranges(net[table]) for table in ("trafo", "trafo3w")}
    n_state = max((high - low + 1 for found in ranges.values() for low, high in found.values()), default=0)
    if n_state == 0:
        return []
    kept = {table: net[table].tap_pos.copy() for table in ranges}
    ladders = []
    for j in range(n_state):
        for table, found in ranges.items():
            for index, (low, high) in found.items():
                net[table].loc[index, "tap_pos"] = min(low + j, high)
        ladders.append(two_ports(net))
    for table, tap_pos in kept.items():
        net[table]["tap_pos"] = tap_pos
    ladder = np.stack(ladders)
    devices: list[Device] = []
    for table, found in ranges.items():
        for index, (low, high) in found.items():
            name = _free_name(arrays, table, list(net[table].index).index(index), devices)
            device = _tap_device(net[table].loc[index], name, low, high, arrays, ladder)
            if device is not None:
                devices.append(device)
    return devices


def _tap_ranges(frame: Any) -> dict[Any, tuple[int, int]]:
    """Lowest and highest position of every tap changer that stands at a position of its own, by index."""
    if frame.empty:
        return {}
    limits = frame[["tap_min", "tap_max", "tap_pos", "tap_neutral"]].astype(float)
    whole = np.isfinite(limits).all(axis=1) & (limits.round() == limits).all(axis=1)
    inside = (limits.tap_min < limits.tap_max) & limits.tap_pos.between(limits.tap_min, limits.tap_max)
    usable = limits[whole & inside & frame.in_service.astype(bool)]
    return {index: (int(row.tap_min), int(row.tap_max)) for index, row in usable.iterrows()}


def _free_name(arrays: dict[str, Any], table: str, place: int, devices: list[Device]) -> str:
    kind = nw.TRAFO if table == "trafo" else nw.TRAFO3W_HV
    name = str(arrays["el_name"][arrays["el_kind"] == kind][place])
    return f"{table}:{name}" if name in {d.name for d in devices} else name


def _tap_device(row: Any, name: str, low: int, high: int, arrays: dict[str, Any], ladder: Complexes) -> Device | None:
    """The tap changer of a transformer; None where its taps move nothing, or more than one branch."""
    kinds = [nw.TRAFO] if "mv_bus" not in row.index else [nw.TRAFO3W_HV, nw.TRAFO3W_MV, nw.TRAFO3W_LV]
    own_name = name.removeprefix("trafo3w:")
    legs = [int(np.flatnonzero((arrays["el_kind"] == kind) & (arrays["el_name"] == own_name))[0]) for kind in kinds]
    n = high - low + 1
    far = np.abs(ladder[1:n, legs] - ladder[0, legs]).max(axis=(0, 2)) > _SAME * np.abs(ladder[0, legs]).max(axis=1)
    moved = [leg for leg, is_far in zip(legs, far, strict=True) if is_far]
    if len(moved) != 1:
        return None
    y = ladder[:n, moved[0]]
    state, neutral = int(row.tap_pos) - low, int(row.tap_neutral)
    stands = arrays["el_y"].reshape(-1, 4)[moved[0]]
    if np.abs(y[state] - stands).max() > _SAME * np.abs(stands).max():
        return None
    return Device(name, nw.TAP, moved[0], low - neutral, state, _ratios(y, row, neutral - low), y)


def _ratios(y: Complexes, row: Any, neutral: int) -> Floats:
    """Ratio of the tapped winding in every state, 1 at neutral, by the voltage of the other side at no load. [pu]"""
    gain = np.abs(y[:, 2] / y[:, 3])  # V_to / V_from, its to side open
    at_neutral = gain[min(max(neutral, 0), gain.size - 1)]
    ratios: Floats = at_neutral / gain if row.tap_side == "hv" else gain / at_neutral  # hv: at its from side
    return ratios


# Capacitors ----------------------------------------------------------------------------------------------------------


def capacitors(
    net: Any, names: nw.Names, bus: nw.Ints, vn_kv: Floats, first: int
) -> tuple[list[Device], dict[str, Any]]:
    """Shunts that are capacitors, as devices; and the `el_*` arrays of their elements.

    Parameters
    ----------
    net : pandapowerNet
    names, bus : array
        Id and bus of every shunt.
    vn_kv : array
        Nominal voltage of every node.
    first : int
        Number of elements before these.
    """
    shunt = net.shunt
    tabled = shunt["step_dependency_table"].fillna(False).astype(bool) if "step_dependency_table" in shunt else False
    step, most = shunt.step.to_numpy(float), shunt.max_step.to_numpy(float)
    is_bank = (shunt.in_service & (shunt.p_mw == 0) & (shunt.q_mvar < 0) & ~tabled).to_numpy(bool)
    is_bank &= (step == np.round(step)) & (step >= 0) & (step <= most) & (most >= 1)
    devices: list[Device] = []
    for place in np.flatnonzero(is_bank):
        per_step = -float(shunt.q_mvar.iloc[place])
        here = per_step * (vn_kv[bus[place]] / float(shunt.vn_kv.iloc[place])) ** 2
        steps: Floats = np.arange(int(most[place]) + 1, dtype=float)
        name, element = str(names[place]), first + len(devices)
        y = 1j * here * steps[:, None]
        devices.append(Device(name, nw.STEP, element, 0, int(step[place]), per_step * steps, y.astype(np.complex128)))
    at = bus[is_bank]
    return devices, {
        "el_kind": np.full(at.size, nw.CAPACITOR, np.int64),
        "el_name": names[is_bank],
        "el_in_service": np.ones(at.size, bool),
        "el_node": at,
        "el_terminal": np.zeros(at.size, np.int64),
        "el_y": np.array([d.y[d.state, 0] for d in devices], np.complex128),
        "el_loading": np.zeros(at.size),
    }
