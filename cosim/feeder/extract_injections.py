"""Loads, generators and sources of a pandapower network as arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from cosim.feeder import network as nw
from cosim.feeder.network import Bools, Complexes, Floats

USUAL_XDSS_PU: Final = 0.2
"""Subtransient reactance of a synchronous machine whose file has none: Kundur 1994, table 4.2, has 0.12 to 0.25 for
turbogenerators and 0.2 to 0.35 for hydraulic ones. [1]"""
USUAL_COS_PHI: Final = 0.85
"""Power factor by which a rating follows from a power. [1]"""


def injections(net: Any, at: Any) -> dict[str, Any]:
    """The `inj_*` and `leg_*` arrays; `at` gives the nodes of a table."""
    from pandapower.build_bus import _get_motor_pq

    parts: list[tuple[int, str, Any, Any]] = []
    for kind, table, sign in ((nw.LOAD, "load", 1), (nw.SGEN, "sgen", -1), (nw.STORAGE, "storage", 1)):
        scale = (net[table].scaling * net[table].in_service).to_numpy(float) * sign
        parts.append((kind, table, column(net, table, "p_mw") * scale, column(net, table, "q_mvar") * scale))
    if len(net.motor):
        p, q = _get_motor_pq(net)
        parts.append((nw.MOTOR, "motor", p, q))
    for kind, table in ((nw.WARD, "ward"), (nw.XWARD_PQ, "xward")):
        on = net[table].in_service.to_numpy(float)
        parts.append((kind, table, column(net, table, "ps_mw") * on, column(net, table, "qs_mvar") * on))
    kinds = np.concatenate([np.full(len(p), k, np.int64) for k, _, p, _ in parts])
    n = kinds.size
    return {
        "inj_name": np.concatenate([unique_names(net[t]) for _, t, _, _ in parts]).astype(np.str_),
        "inj_kind": kinds,
        "inj_s_mva": np.concatenate([p + 1j * q for _, _, p, q in parts]).astype(np.complex128),
        "inj_profile": np.full((n, 3), -1, np.int64),
        "leg_inj": np.arange(n),
        "leg_node": np.column_stack(
            [np.concatenate([at(t) for _, t, _, _ in parts]).astype(np.int64), np.full(n, -1, np.int64)]
        ),
        "leg_share": np.ones(n),
        "leg_shape": _shapes(net, n),
    }


def _shapes(net: Any, n: int) -> Floats:
    """Constant power but for the shares that loads have; V_MIN is left to the scenario (NaN)."""
    shape = np.zeros((n, nw.N_SHAPE))
    shape[:, [nw.P_0, nw.Q_0]] = 1.0
    for law, (p_column, q_column) in (("i", (nw.P_1, nw.Q_1)), ("z", (nw.P_2, nw.Q_2))):
        for power, place, rest in (("p", p_column, nw.P_0), ("q", q_column, nw.Q_0)):
            share = column(net, "load", f"const_{law}_{power}_percent") / 100
            shape[: len(net.load), place] = share
            shape[: len(net.load), rest] -= share
    shape[:, [nw.V_LOW, nw.V_MIN]] = np.nan
    shape[:, nw.V_MAX] = np.inf
    return shape


def sources(net: Any, at: Any, internal: dict[str, Any]) -> dict[str, Any]:
    """The `source_*` and `gen_*` arrays; `internal` has the inner node of every xward."""
    grid_on: Bools = net.ext_grid.in_service.to_numpy(bool)
    gen_on: Bools = net.gen.in_service.to_numpy(bool)
    slack = gen_on & net.gen.slack.to_numpy(bool)
    held = gen_on & ~slack
    xward_on: Bools = net.xward.in_service.to_numpy(bool)
    angle = np.radians(column(net, "ext_grid", "va_degree"))
    grid_v = (column(net, "ext_grid", "vm_pu") * np.exp(1j * angle))[grid_on]
    p = column(net, "gen", "p_mw") * column(net, "gen", "scaling")
    names = unique_names(net.ext_grid), unique_names(net.gen)
    at_source = np.concatenate([at("ext_grid")[grid_on], at("gen")[slack]]).astype(np.int64)
    z, is_assumed = machine_impedances(net, held)
    n_xward = int(xward_on.sum())
    return {
        "gen_z": np.concatenate([z, np.zeros(n_xward)]),
        "gen_z_assumed": np.concatenate([is_assumed, np.zeros(n_xward, bool)]),
        "source_name": np.concatenate([names[0][grid_on], names[1][slack]]).astype(np.str_),
        "source_node": at_source,
        "source_terminal": at_source,
        "source_v": np.concatenate([grid_v, column(net, "gen", "vm_pu")[slack]]).astype(np.complex128),
        "gen_node": np.concatenate([at("gen")[held], internal["xward"][xward_on]]).astype(np.int64),
        "gen_p_mw": np.concatenate([p[held], np.zeros(int(xward_on.sum()))]),
        "gen_vm_pu": np.concatenate([column(net, "gen", "vm_pu")[held], column(net, "xward", "vm_pu")[xward_on]]),
    }


def machine_impedances(net: Any, held: Bools) -> tuple[Complexes, Bools]:
    """Subtransient impedance of the generators that hold a voltage [pu of 1 MVA], and whether a usual one was taken.

    `xdss_pu` on `sn_mva` and `vn_kv`, and `rdss_ohm`, as pandapower's short-circuit calculation takes them. Without a
    rating that of the power at USUAL_COS_PHI or of the largest reactive power; without a reactance USUAL_XDSS_PU.
    """
    frame = net.gen[held]

    def read(name: str) -> Floats:
        values: Floats = frame[name].to_numpy(float) if name in frame.columns else np.full(len(frame), np.nan)
        return values

    bus_kv = net.bus.vn_kv.loc[frame.bus].to_numpy(float)
    power = np.abs(read("p_mw")) / USUAL_COS_PHI
    most_q = np.nan_to_num(np.abs(read("max_q_mvar")), posinf=0.0)
    rated = np.where(read("sn_mva") > 0, read("sn_mva"), np.maximum(np.maximum(power, most_q), 1.0))
    own_kv = np.where(read("vn_kv") > 0, read("vn_kv"), bus_kv)
    x_pu, r_ohm = read("xdss_pu"), np.nan_to_num(read("rdss_ohm"))
    is_assumed: Bools = ~(x_pu > 0)
    x = np.where(is_assumed, USUAL_XDSS_PU, x_pu) / rated * (own_kv / bus_kv) ** 2
    z: Complexes = r_ohm / bus_kv**2 + 1j * x
    return z, is_assumed


def no_profiles() -> dict[str, Any]:
    """A pandapower network has no load shapes that this reads."""
    return {
        "profile_name": np.array([], np.str_),
        "profile_step_s": np.zeros(0),
        "profile_ptr": np.zeros(1, np.int64),
        "profile_p": np.zeros(0),
        "profile_q": np.zeros(0),
        "profile_is_power": np.zeros(0, bool),
    }


def unique_names(frame: Any) -> nw.Names:
    """Unique ids: the name where it is there, unique and no other row's index, else the index."""
    labels = [str(i) for i in frame.index]
    names = [_text(n) for n in frame["name"]] if "name" in frame.columns else [""] * len(labels)
    count: dict[str, int] = {}
    for n in names:
        count[n] = count.get(n, 0) + 1
    taken = set(labels)
    ids = [
        n if n and count[n] == 1 and (n == label or n not in taken) else label
        for n, label in zip(names, labels, strict=True)
    ]
    return np.array(ids, np.str_)


def _text(name: Any) -> str:
    return "" if name is None or name != name else str(name).strip()


def column(net: Any, table: str, name: str) -> Floats:
    """A column of a table as numbers."""
    values: Floats = net[table][name].to_numpy(float)
    return values
