"""A pandapower network read into plain arrays, or refused by element and name.

Branch parameters (tap changers, T model, three windings) are taken from pandapower's own conversion,
run on a copy with every branch switch closed and every bus-bus switch open; switch states are then
applied by `topology`, so that they can change at run time without pandapower.
"""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from typing import Any

import numpy as np

from cosim.errors import InputError, PhysicsError, Problem
from cosim.feeder import network as nw
from cosim.feeder.devices import device_arrays
from cosim.feeder.extract_devices import capacitors, tap_changers
from cosim.feeder.extract_injections import injections, no_profiles, sources, unique_names
from cosim.feeder.extract_zero import zero_sequence
from cosim.feeder.network import Complexes, Floats, Network

SUPPORTED = frozenset(
    [
        "bus",
        "line",
        "trafo",
        "trafo3w",
        "impedance",
        "switch",
        "load",
        "sgen",
        "storage",
        "motor",
        "ward",
        "xward",
        "shunt",
        "gen",
        "ext_grid",
    ]
)
BRANCH_COLUMNS = ("r", "x", "b", "g", "r_asym", "x_asym", "g_asym", "b_asym", "tap", "shift")
SWITCH_R_PER_X = 2.0
"""Ratio that pandapower's runpp gives to the impedance of a bus-bus switch."""


def extract(net: Any) -> Network:
    """Arrays of a pandapower network as `runpp` sees it by default.

    Parameters
    ----------
    net : pandapowerNet
        Not changed.

    Raises
    ------
    InputError
        If an element in service is not supported, or no source is in service.
    PhysicsError
        If `runpp` finds no solution.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = copy.deepcopy(net)
        _refuse_unsupported(net)
        _run(net)
        solved = _solved_voltages(net)
        opened = _converted(net)
        return _arrays(net, opened, solved)


def _refuse_unsupported(net: Any) -> None:
    problems = []
    for table, frame in net.items():
        if table in SUPPORTED or table.startswith(("_", "res_")) or table == "controller":
            continue
        if not hasattr(frame, "columns") or "in_service" not in frame.columns:
            continue
        for index in frame.index[frame["in_service"].astype(bool)]:
            name = frame["name"].get(index) if "name" in frame.columns else None
            label = f"{name} (index {index})" if name else f"index {index}"
            problems.append(Problem(f"{table} {label} is not supported by the balanced feeder; take it out of service"))
    if problems:
        raise InputError(problems)
    alive = net.bus.index[net.bus.in_service]
    sources = net.ext_grid[net.ext_grid.in_service & net.ext_grid.bus.isin(alive)]
    slack = net.gen[net.gen.in_service & net.gen.slack.astype(bool) & net.gen.bus.isin(alive)]
    if sources.empty and slack.empty:
        raise InputError("the feeder has no source in service (ext_grid or slack generator)")


def _run(net: Any) -> None:
    import pandapower as pp

    for tolerance in (1e-9, 1e-8):
        try:
            pp.runpp(net, tolerance_mva=tolerance, max_iteration=50, numba=False, lightsim2grid=False)
        except pp.LoadflowNotConverged:
            continue
        except (UserWarning, ValueError) as wrong:
            raise InputError(f"pandapower refuses the feeder: {wrong}") from wrong
        return
    raise PhysicsError("the feeder as it stands has no power flow solution (pandapower's runpp finds none)")


def voltages_at_draw(net: Any, bus_vm_pu: Floats) -> Complexes:
    """Voltages that `runpp` finds if each load draws, as constant power, what it draws at `bus_vm_pu`.

    `runpp` averages the constant-current and constant-impedance shares of all loads at a bus and applies
    them to generation there too; a feeder whose loads keep their own shares can only be held to it so.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = copy.deepcopy(net)
        load = net.load
        vm = bus_vm_pu[net.bus.index.get_indexer(load.bus)]
        for power, which in (("p_mw", "p"), ("q_mvar", "q")):
            i, z = (load[f"const_{law}_{which}_percent"].to_numpy(float) / 100 for law in "iz")
            load[power] *= 1 - i - z + i * vm + z * vm**2
            load[[f"const_i_{which}_percent", f"const_z_{which}_percent"]] = 0.0
        _run(net)
        return _solved_voltages(net)


def _solved_voltages(net: Any) -> Complexes:
    """Voltage of every bus, star points and extended wards included; zero where de-energized. [pu]"""
    vm = [net.res_bus.vm_pu.to_numpy(float)]
    va = [net.res_bus.va_degree.to_numpy(float)]
    for table in ("xward", "trafo3w"):
        if len(net[table]):
            vm.append(net[f"res_{table}"].vm_internal_pu.to_numpy(float))
            va.append(net[f"res_{table}"].va_internal_degree.to_numpy(float))
    v = np.concatenate(vm) * np.exp(1j * np.radians(np.concatenate(va)))
    solved: Complexes = np.nan_to_num(v)
    return solved


def _converted(net: Any) -> Any:
    """A copy of a solved network, converted by pandapower under the options of that solution.

    Its branches are all connected and its buses all separate and in service; `_ppc` holds them all.
    """
    from pandapower.pd2ppc import _pd2ppc

    opened = copy.deepcopy(net)
    opened.switch = opened.switch.iloc[:0]
    opened.bus["in_service"] = True
    opened._ppc, _ = _pd2ppc(opened)
    return opened


def _arrays(net: Any, opened: Any, solved: Complexes) -> Network:
    position = {bus: k for k, bus in enumerate(net.bus.index)}
    n_bus, n_xward, n_trafo3w = len(net.bus), len(net.xward), len(net.trafo3w)
    internal = {"xward": n_bus + np.arange(n_xward), "trafo3w": n_bus + n_xward + np.arange(n_trafo3w)}

    def at(table: str, column: str = "bus") -> Any:
        return np.array([position[b] for b in net[table][column]], np.int64)

    vn_kv = np.concatenate(
        [
            net.bus.vn_kv.to_numpy(float),
            net.bus.vn_kv.reindex(net.xward.bus).to_numpy(float),
            net.bus.vn_kv.reindex(net.trafo3w.hv_bus).to_numpy(float),
        ]
    )
    in_service = np.concatenate([t.in_service.to_numpy(bool) for t in (net.bus, net.xward, net.trafo3w)])
    lookup = np.concatenate(
        [net.bus.index.to_numpy(), *[opened._pd2ppc_lookups["aux"].get(k, []) for k in ("xward", "trafo3w")]]
    ).astype(int)
    ppc_bus = opened._ppc["bus"][opened._pd2ppc_lookups["bus"][lookup]]
    from pandapower.pypower.idx_bus import BS, GS

    names = unique_names(net.bus)
    elements = _elements(net, opened, at, internal, vn_kv)
    banks, bank_elements = capacitors(net, unique_names(net.shunt), at("shunt"), vn_kv, elements["el_kind"].size)
    taps = tap_changers(net, elements, lambda moved: _two_ports(_converted(moved)))
    zero = zero_sequence(net, elements["el_y"].reshape(-1, 4))
    zero["el_y0"] = np.append(zero["el_y0"], np.zeros(bank_elements["el_y"].size))
    y_shunt = ppc_bus[:, GS] + 1j * ppc_bus[:, BS]
    np.subtract.at(y_shunt, bank_elements["el_node"], bank_elements["el_y"])
    return Network(
        is_balanced=True,
        f_hz=float(net.f_hz),
        bus_name=names,
        bus_xy=_coordinates(net),
        node_name=names,
        node_bus=np.arange(n_bus),
        node_phase=np.zeros(n_bus, np.int64),
        node_vn_kv=vn_kv,
        node_in_service=in_service,
        node_y_shunt=y_shunt,
        node_v=solved,
        **_with_banks(elements, bank_elements),
        **_switches(net, position),
        **injections(net, at),
        **sources(net, at, internal),
        **no_profiles(),
        **device_arrays(taps + banks),
        controls="",
        **zero,
    )


def _coordinates(net: Any) -> Floats:
    """Position of every bus from its GeoJSON point, NaN where there is none."""
    xy = np.full((len(net.bus), 2), np.nan)
    for k, text in enumerate(net.bus["geo"] if "geo" in net.bus.columns else []):
        if isinstance(text, str) and text:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                xy[k] = json.loads(text)["coordinates"][:2]
    return xy


def _with_banks(elements: dict[str, Any], banks: dict[str, Any]) -> dict[str, Any]:
    """Branches, and behind them capacitors of one conductor each."""
    both = {key: np.concatenate([elements[key], banks[key]]) for key in banks}
    n = banks["el_kind"].size
    return {**both, "el_ptr": np.concatenate([elements["el_ptr"], elements["el_ptr"][-1] + np.arange(1, n + 1)])}


def _elements(net: Any, opened: Any, at: Any, internal: dict[str, Any], vn_kv: Floats) -> dict[str, Any]:
    star = internal["trafo3w"]
    parts = [
        (nw.LINE, "line", at("line", "from_bus"), at("line", "to_bus")),
        (nw.TRAFO, "trafo", at("trafo", "hv_bus"), at("trafo", "lv_bus")),
        (nw.TRAFO3W_HV, "trafo3w", at("trafo3w", "hv_bus"), star),
        (nw.TRAFO3W_MV, "trafo3w", star, at("trafo3w", "mv_bus")),
        (nw.TRAFO3W_LV, "trafo3w", star, at("trafo3w", "lv_bus")),
        (nw.IMPEDANCE, "impedance", at("impedance", "from_bus"), at("impedance", "to_bus")),
        (nw.XWARD, "xward", at("xward"), internal["xward"]),
    ]
    kind = np.concatenate([np.full(len(net[t]), k, np.int64) for k, t, _, _ in parts])
    f_bus = np.concatenate([f for _, _, f, _ in parts]).astype(np.int64)
    t_bus = np.concatenate([t for _, _, _, t in parts]).astype(np.int64)
    loading = np.zeros((kind.size, 2))
    for k, _, f, t in parts:
        if k < nw.IMPEDANCE:
            loading[kind == k] = _loading(net, k, vn_kv[f], vn_kv[t])
    k = kind.size
    return {
        "el_kind": kind,
        "el_name": np.concatenate([unique_names(net[t]) for _, t, _, _ in parts]).astype(np.str_),
        "el_in_service": np.concatenate([net[t].in_service.to_numpy(bool) for _, t, _, _ in parts]),
        "el_ptr": 2 * np.arange(k + 1),
        "el_node": np.column_stack([f_bus, t_bus]).ravel(),
        "el_terminal": np.tile([0, 1], k),
        "el_y": _two_ports(opened).ravel(),
        "el_loading": loading.ravel(),
    }


def _two_ports(opened: Any) -> Complexes:
    """yff, yft, ytf, ytt of every branch of a converted network. [pu on 1 MVA]"""
    from pandapower.pypower import idx_brch

    rows = opened._ppc["branch"]
    column = {c: rows[:, getattr(idx_brch, "TAP" if c == "tap" else "SHIFT" if c == "shift" else f"BR_{c.upper()}")]
              for c in BRANCH_COLUMNS}  # fmt: skip
    c = {k: v.real.astype(float) for k, v in column.items()}
    ys_from = 1 / (c["r"] + 1j * c["x"])
    ys_to = 1 / (c["r"] + c["r_asym"] + 1j * (c["x"] + c["x_asym"]))
    yc_from = (c["g"] + 1j * c["b"]) / 2
    yc_to = (c["g"] + c["g_asym"] + 1j * (c["b"] + c["b_asym"])) / 2
    ratio = np.where(c["tap"] == 0, 1.0, c["tap"]) * np.exp(1j * np.radians(c["shift"]))
    y = np.column_stack(
        [
            (ys_from + yc_from) / np.abs(ratio) ** 2,
            -ys_from / np.conj(ratio),
            -ys_to / ratio,
            ys_to + yc_to,
        ]
    )
    return np.ascontiguousarray(y * float(opened.sn_mva))


def _loading(net: Any, kind: int, vn_from: Floats, vn_to: Floats) -> Floats:
    """Loading per current at both ends, as in pandapower's results. [percent/pu]"""
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == nw.LINE:
            line = net.line
            rated = (line.max_i_ka * line.df * line.parallel).to_numpy(float) * np.sqrt(3)
            each = [100 / (rated * vn_from), 100 / (rated * vn_to)]
        elif kind == nw.TRAFO:
            rated = (net.trafo.sn_mva * net.trafo.parallel * net.trafo.df).to_numpy(float)
            each = [
                100 * net.trafo.vn_hv_kv.to_numpy(float) / vn_from / rated,
                100 * net.trafo.vn_lv_kv.to_numpy(float) / vn_to / rated,
            ]
        else:
            side = {nw.TRAFO3W_HV: "hv", nw.TRAFO3W_MV: "mv", nw.TRAFO3W_LV: "lv"}[kind]
            outer = vn_from if side == "hv" else vn_to
            t3 = net.trafo3w
            own = 100 * t3[f"vn_{side}_kv"].to_numpy(float) / outer / t3[f"sn_{side}_mva"].to_numpy(float)
            each = [own, np.zeros_like(own)] if side == "hv" else [np.zeros_like(own), own]
    finite = np.column_stack(each)
    return np.where(np.isinf(finite), 1e300, finite)


def _switches(net: Any, position: dict[Any, int]) -> dict[str, Any]:
    n_line, n_trafo, n_trafo3w = len(net.line), len(net.trafo), len(net.trafo3w)
    row = {t: {i: k for k, i in enumerate(net[t].index)} for t in ("line", "trafo", "trafo3w")}
    kind, start, end, y = [], [], [], []
    for et, b, e, z_ohm in zip(net.switch.et, net.switch.bus, net.switch.element, net.switch.z_ohm, strict=True):
        y.append(0j)
        kind.append(nw.SWITCH_BUS if et == "b" else nw.SWITCH_ELEMENT)
        if et == "b":
            start.append(position[b])
            end.append(position[e])
            if z_ohm > 0:
                z = z_ohm * complex(SWITCH_R_PER_X, 1) / np.hypot(SWITCH_R_PER_X, 1)
                y[-1] = net.bus.vn_kv.at[b] ** 2 / z
        elif et == "l":
            start.append(row["line"][e])
            end.append(int(net.line.to_bus.at[e] == b))
        elif et == "t":
            start.append(n_line + row["trafo"][e])
            end.append(int(net.trafo.hv_bus.at[e] != b))
        else:
            sides = [side for side in ("hv", "mv", "lv") if net.trafo3w[f"{side}_bus"].at[e] == b]
            leg = ("hv", "mv", "lv").index(sides[0])
            start.append(n_line + n_trafo + leg * n_trafo3w + row["trafo3w"][e])
            end.append(int(leg > 0))
    return {
        "switch_name": unique_names(net.switch),
        "switch_kind": np.array(kind, np.int64),
        "switch_from": np.array(start, np.int64),
        "switch_to": np.array(end, np.int64),
        "switch_closed": net.switch.closed.to_numpy(bool),
        "switch_y": np.array(y, np.complex128),
    }
