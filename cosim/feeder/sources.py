"""The source behind a feeder as a scenario may change it: its impedance and its voltage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cosim.feeder.config import SourceConfig
from cosim.feeder.network import SOURCE, Complexes, Ints, Network


def set_points(net: Network, source: SourceConfig) -> Complexes:
    """Voltages of the sources, with the scenario's magnitude where it gives one. [pu]"""
    if source.vm_pu is None:
        return net.source_v.copy()
    turned: Complexes = source.vm_pu * np.exp(1j * np.angle(net.source_v))
    return turned


def is_behind_impedance(net: Network) -> bool:
    """Whether the network brings the impedance of its source along."""
    return bool(np.any(net.source_node != net.source_terminal))


def phase_impedance(net: Network, source: SourceConfig) -> complex:
    """Impedance of one row of the source: of all phases together, or of one. [pu on 1 MVA]"""
    return source.z_pu if net.is_balanced else 3.0 * source.z_pu


def put_behind_impedance(net: Network, z_pu: complex, emf: Complexes) -> Network:
    """The same network with each source behind an impedance of its own, phases not coupled.

    Parameters
    ----------
    net : Network
        With ideal sources, or with SOURCE elements, whose admittance is replaced.
    z_pu : complex
        Of each row. [pu on 1 MVA]
    emf : array [n_source]
        New set-points. [pu]
    """
    y = 1 / z_pu
    if is_behind_impedance(net):
        return replace(net, el_y=_replaced(net, y), source_v=emf)
    n, n_source, n_el = net.node_in_service.size, net.source_node.size, net.el_kind.size
    inner = n + np.arange(n_source)
    pair = np.column_stack([net.source_node, inner])
    added: dict[str, Any] = {
        "node_vn_kv": net.node_vn_kv[net.source_node],
        "node_in_service": net.node_in_service[net.source_node],
        "node_y_shunt": np.zeros(n_source, np.complex128),
        "node_v": emf,
        "el_kind": np.full(n_source, SOURCE, np.int64),
        "el_name": net.source_name,
        "el_in_service": np.ones(n_source, bool),
        "el_ptr": net.el_ptr[-1] + 2 * np.arange(1, n_source + 1),
        "el_node": pair.ravel(),
        "el_terminal": np.tile([0, 1], n_source),
        "el_y": np.tile(np.array([y, -y, -y, y]), n_source),
        "el_loading": np.zeros(2 * n_source),
    }
    if net.el_y0.size:
        added["el_y0"] = np.full(4 * n_source, np.nan, np.complex128)
    grown: dict[str, Any] = {k: np.concatenate([getattr(net, k), v]) for k, v in added.items()}
    assert grown["el_kind"].size == n_el + n_source
    return replace(net, **grown, source_node=inner, source_v=emf)


def moved_behind(
    net: Network, source: SourceConfig, points: Complexes, solved: Complexes, row: Ints, drawn: Complexes
) -> tuple[Network, Complexes]:
    """The network with its sources behind the scenario's impedance, and their emf.

    The emf is placed so that the terminals keep the voltage that they have.

    Parameters
    ----------
    net, source
    points : array [n_source]
        Present set-points, which stand where a source feeds nothing. [pu]
    solved : array [n_node]
        Voltages. [pu]
    row : array [n_node]
        Row of each node, -1 where it is de-energized.
    drawn : array [n_row]
        Currents that the network draws. [pu]
    """
    z, terminal = phase_impedance(net, source), row[net.source_terminal]
    emf = np.where(terminal >= 0, solved[net.source_terminal] + z * drawn[np.maximum(terminal, 0)], points)
    grown = put_behind_impedance(net, z, emf)
    if not is_behind_impedance(net):
        return replace(grown, node_v=np.concatenate([solved, emf])), emf
    start = solved.copy()
    start[net.source_node] = emf
    return replace(grown, node_v=start), emf


def _replaced(net: Network, y: complex) -> Complexes:
    """Primitive admittances with every SOURCE element's made of `y` between each outer conductor and its emf."""
    el_y, at = net.el_y.copy(), 0
    for e in range(net.el_kind.size):
        k = int(net.el_ptr[e + 1] - net.el_ptr[e])
        if net.el_kind[e] == SOURCE:
            half = np.eye(k // 2) * y
            el_y[at : at + k * k] = np.block([[half, -half], [-half, half]]).ravel()
        at += k * k
    return el_y
