"""Zero-sequence data of a pandapower network: columns of its tables, where they are filled."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.feeder.network import TRAFO3W_HV, TRAFO3W_LV, Complexes, Floats
from cosim.feeder.zero_sequence import leg_y0, trafo_y0, two_port_y0, windings, windings_3w


def zero_sequence(net: Any, y: Complexes) -> dict[str, Any]:
    """Fields `el_y0` and `source_zero` of `Network`.

    Columns mean what they mean to pandapower's `runpp_3ph`, those of three-winding transformers to its `calc_sc`. A
    transformer with a vector group but without `vk0_percent` has the leakage of its positive sequence.

    Parameters
    ----------
    net : pandapowerNet
    y : array [E, 4]
        Positive-sequence admittances of all branches: lines, transformers, then the rest. [pu]
    """
    y0 = np.full(y.shape, np.nan, np.complex128)
    y0[: len(net.line)] = _lines(net)
    for k, row in enumerate(net.trafo.to_dict("records")):
        at = len(net.line) + k
        group = row.get("vector_group")
        if isinstance(group, str) and windings(group) is not None:
            vn_lv_kv = float(net.bus.vn_kv.at[row["lv_bus"]])
            y0[at] = trafo_y0(y[at].reshape(2, 2), group, *_leakage(row, vn_lv_kv)).ravel()
    star = _star_leakages(net)
    for k, row in enumerate(net.trafo3w.to_dict("records")):
        group = row.get("vector_group")
        if not isinstance(group, str) or windings_3w(group) is None:
            continue
        for leg, kind in enumerate(range(TRAFO3W_HV, TRAFO3W_LV + 1)):
            at = len(net.line) + len(net.trafo) + leg * len(net.trafo3w) + k
            z0 = None if np.isnan(star[leg, k]) else complex(star[leg, k])
            y0[at] = leg_y0(y[at].reshape(2, 2), kind, group, z0).ravel()
    return {"el_y0": y0.ravel(), "source_zero": _sources(net)}


def _column(table: Any, name: str) -> Floats:
    """A column as numbers, NaN where it is not there or empty."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    values: Floats = table[name].to_numpy(float)
    return values


def _lines(net: Any) -> Complexes:
    """Pi sections; NaN without r0 or x0, no charging without c0. [pu]"""
    line = net.line
    if line.empty:
        return np.zeros((0, 4), np.complex128)
    base_ohm = net.bus.vn_kv.loc[line.from_bus].to_numpy(float) ** 2
    length, parallel = line.length_km.to_numpy(float), line.parallel.to_numpy(float)
    z0 = (_column(line, "r0_ohm_per_km") + 1j * _column(line, "x0_ohm_per_km")) * length / parallel / base_ohm
    z0[z0 == 0] = np.nan
    b0 = 2e-9 * np.pi * net.f_hz * np.nan_to_num(_column(line, "c0_nf_per_km")) * length * parallel * base_ohm
    return np.array([two_port_y0(z, 0.5j * b).ravel() for z, b in zip(z0, b0, strict=True)])


def _leakage(row: dict[str, Any], vn_bus_kv: float) -> tuple[complex | None, complex | None, float]:
    """Leakage and magnetizing impedance at the second terminal, part of the leakage at the first. [pu, pu, 1]"""

    def number(name: str) -> float:
        value = row.get(name)
        return float("nan") if value is None else float(value)

    vk0, vkr0 = number("vk0_percent"), number("vkr0_percent")
    if not vk0 > 0 or not 0 <= vkr0 <= vk0:
        return None, None, 0.5
    base = (float(row["vn_lv_kv"]) / vn_bus_kv) ** 2 / float(row["sn_mva"]) / float(row["parallel"])
    z0 = complex(vkr0, np.sqrt(vk0**2 - vkr0**2)) / 100 * base
    ratio, rx, part = number("mag0_percent") / 100, number("mag0_rx"), number("si0_hv_partial")
    rx = 0.0 if np.isnan(rx) else rx
    z_m = abs(z0) * ratio * complex(rx, 1.0) / abs(complex(rx, 1.0)) if ratio > 0 else None
    return z0, z_m, 0.5 if np.isnan(part) else part


def _star_leakages(net: Any) -> Complexes:
    """Leakage of the legs hv, mv, lv of every three-winding transformer at its outer bus; NaN without data. [3, n] [pu]

    Percentages are of pairs of windings (hv-mv, mv-lv, hv-lv), on the smaller rating of each, as pandapower's are.
    """
    t3, sides = net.trafo3w, ("hv", "mv", "lv")
    if t3.empty:
        return np.zeros((3, 0), np.complex128)
    sn = np.array([t3[f"sn_{side}_mva"].to_numpy(float) for side in sides])
    vk0, vkr0 = (np.array([_column(t3, f"{name}_{side}_percent") for side in sides]) for name in ("vk0", "vkr0"))
    with np.errstate(invalid="ignore"):
        known = (vk0 > 0) & (vkr0 >= 0) & (vkr0 <= vk0)
        pair = (vkr0 + 1j * np.sqrt(vk0**2 - vkr0**2)) / 100 / np.minimum(sn, np.roll(sn, -1, axis=0))
    hv_mv, mv_lv, lv_hv = np.where(known, pair, np.nan)
    star = 0.5 * np.array([hv_mv + lv_hv - mv_lv, hv_mv + mv_lv - lv_hv, mv_lv + lv_hv - hv_mv])
    ratio = [
        t3[f"vn_{side}_kv"].to_numpy(float) / net.bus.vn_kv.loc[t3[f"{side}_bus"]].to_numpy(float) for side in sides
    ]
    leakage: Complexes = star * np.array(ratio) ** 2
    return leakage


def _sources(net: Any) -> Floats:
    """Zero over positive sequence of the sources' impedances, resistance and reactance; NaN without data. [1]"""
    grid = net.ext_grid[net.ext_grid.in_service]
    x_ratio = _column(grid, "x0x_max")
    with np.errstate(divide="ignore", invalid="ignore"):
        r_ratio = _column(grid, "r0x0_max") * x_ratio / _column(grid, "rx_max")
    ratios = np.column_stack([r_ratio, x_ratio])
    ratios[~(np.isfinite(ratios) & (ratios > 0))] = np.nan
    n_slack = int((net.gen.in_service & net.gen.slack.astype(bool)).sum())
    return np.vstack([ratios, np.full((n_slack, 2), np.nan)])
