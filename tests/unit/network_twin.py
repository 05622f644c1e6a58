"""The slow, readable twin of the unbalanced power flow: straight from the arrays of a `Network`.

Nothing here knows OpenDSS or cosim's kernels. Elements give currents by their admittances, with open
terminals eliminated; legs give currents by their law; Newton's method drives the current left over at
every node to zero. That residual, not the change of voltage, decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from cosim.feeder import network as nw
from cosim.feeder.network import Network


@dataclass
class TwinSolution:
    """Voltages of all nodes, and how far from zero the currents left over at them are, relative to those that meet."""

    v: np.ndarray
    residual: float


def solve_network(net: Network, v_start=None, max_iterations: int = 60) -> TwinSolution:
    """Power flow of a network as its arrays stand; de-energized nodes are zero."""
    n = net.node_vn_kv.size
    y = admittance_matrix(net)
    parts = element_parts(net)
    live = _fed(net, y)
    fixed = np.zeros(n, bool)
    fixed[net.source_node] = True
    free = np.flatnonzero(live & ~fixed)
    v = np.where(live, net.node_v if v_start is None else v_start, 0).astype(complex)
    v[net.source_node] = net.source_v
    best, best_v, worse = np.inf, v, 0
    for _ in range(max_iterations):
        left, size = residual(net, parts, v)
        norm = float(np.max(np.abs(left[free]) / np.maximum(size[free], 1e-12), initial=0.0))
        if norm < best:
            best, best_v, worse = norm, v.copy(), 0
        else:
            worse += 1
        if worse >= 3 or best < 1e-15:
            break
        v = v.copy()
        v[free] -= _newton_step(net, y, v, left, free)
    return TwinSolution(best_v, best)


def element_admittance(net: Network, e: int) -> np.ndarray:
    """Primitive admittance of an element with its open terminals eliminated. [pu]"""
    conductors = slice(net.el_ptr[e], net.el_ptr[e + 1])
    k = conductors.stop - conductors.start
    start = int(np.sum(np.diff(net.el_ptr[: e + 1]) ** 2))
    y = net.el_y[start : start + k * k].reshape(k, k).copy()
    if not net.el_in_service[e]:
        return np.zeros_like(y)
    mine = (net.switch_kind == nw.SWITCH_ELEMENT) & (net.switch_from == e) & ~net.switch_closed
    opened = np.isin(net.el_terminal[conductors], net.switch_to[mine])
    if opened.any():
        closed = ~opened
        reduced = np.zeros_like(y)
        inner = y[np.ix_(opened, opened)]
        reduced[np.ix_(closed, closed)] = y[np.ix_(closed, closed)] - y[np.ix_(closed, opened)] @ (
            np.linalg.pinv(inner) @ y[np.ix_(opened, closed)]
        )
        return reduced
    return y


def admittance_matrix(net: Network) -> sp.csr_matrix:
    """Admittance between all nodes, elements and shunts. [pu]"""
    n = net.node_vn_kv.size
    rows, columns, values = [], [], []
    for e in range(net.el_kind.size):
        node = net.el_node[net.el_ptr[e] : net.el_ptr[e + 1]]
        y = element_admittance(net, e)
        i, j = np.meshgrid(node, node, indexing="ij")
        there = (i >= 0) & (j >= 0) & (y != 0)
        rows.append(i[there])
        columns.append(j[there])
        values.append(y[there])
    rows.append(np.arange(n))
    columns.append(np.arange(n))
    values.append(net.node_y_shunt)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_matrix(entries, shape=(n, n))


def element_parts(net: Network) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nodes [n, k] and admittances [n, k, k] of all elements, by their number k of conductors; ground is node -1."""
    by_size: dict[int, list[int]] = {}
    for e, k in enumerate(np.diff(net.el_ptr)):
        by_size.setdefault(int(k), []).append(e)
    parts = []
    for rows in by_size.values():
        node = np.array([net.el_node[net.el_ptr[e] : net.el_ptr[e + 1]] for e in rows])
        parts.append((node, np.array([element_admittance(net, e) for e in rows])))
    return parts


def _fed(net: Network, y: sp.csr_matrix) -> np.ndarray:
    """Nodes that an element or a leg connects to a source: a neutral point may hang on its loads alone."""
    across = net.leg_node[(net.leg_node >= 0).all(axis=1)].T
    legs = sp.csr_matrix((np.ones(across.shape[1]), across), shape=y.shape)
    _, island = connected_components((abs(y) > 0) + (legs > 0), directed=False)
    return np.isin(island, island[net.source_node])


def leg_voltages(net: Network, v: np.ndarray) -> np.ndarray:
    grounded = np.append(v, 0)
    return grounded[net.leg_node[:, 0]] - grounded[net.leg_node[:, 1]]


def leg_powers(net: Network, m: np.ndarray) -> np.ndarray:
    """Power of every leg at voltage m across it, by the regions that `Network` describes. [MVA]"""
    s = net.inj_s_mva[net.leg_inj] * net.leg_share
    law = net.leg_shape.T
    p, q = np.zeros_like(m), np.zeros_like(m)
    inside = (m > law[nw.V_MIN]) & (m <= law[nw.V_MAX])
    low = m <= law[nw.V_LOW]
    line = ~low & (m <= law[nw.V_MIN])
    above = ~low & ~line & ~inside
    with np.errstate(all="ignore"):
        part = (m - law[nw.V_LOW]) / (law[nw.V_MIN] - law[nw.V_LOW])
        stays = np.where(law[nw.K_CUT] > 0, (1 + np.tanh(law[nw.K_CUT] * (m - law[nw.V_CUT]) / 2)) / 2, 1.0)
        for out, c0, c1, c2, ce, cx, c_low, c_line, c_min, c_max in (
            (p, nw.P_0, nw.P_1, nw.P_2, nw.P_E, nw.P_EXP, nw.P_LOW, nw.P_LINE, nw.P_MIN, nw.P_MAX),
            (q, nw.Q_0, nw.Q_1, nw.Q_2, nw.Q_E, nw.Q_EXP, nw.Q_LOW, nw.Q_LINE, nw.Q_MIN, nw.Q_MAX),
        ):
            current = law[c_line] + part * (law[c_min] * law[nw.V_MIN] - law[c_line])
            polynomial = law[c0] + law[c1] * m + law[c2] * m**2 + law[ce] * m ** law[cx]
            out[low] = (law[c_low] * m**2)[low]
            out[line] = (m * current)[line]
            out[inside] = polynomial[inside]
            out[above] = (law[c_max] * m**2)[above]
            out[~low] *= stays[~low]
    return s.real * p + 1j * s.imag * q


def leg_currents(net: Network, u: np.ndarray) -> np.ndarray:
    """Current of every leg at the voltage across it. [pu]"""
    m = np.abs(u)
    safe = np.where(m > 0, u, 1)
    return np.where(m > 0, np.conj(leg_powers(net, m) / safe), 0)


def residual(net: Network, parts, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Current left over at every node, and the sum of the magnitudes of those that meet there. [pu]

    Element by element, so that what enters one end of a switch of next to no impedance leaves the other; in the
    assembled matrix that is lost in the digits of the diagonal.
    """
    grounded = np.append(v, 0)
    left, size = np.append(net.node_y_shunt * v, 0), np.append(np.abs(net.node_y_shunt * v), 0)
    for node, y in parts:
        flows = y * grounded[node][:, None, :]
        np.add.at(left, node, flows.sum(axis=2))
        np.add.at(size, node, np.abs(flows).sum(axis=2))
    drawn = leg_currents(net, leg_voltages(net, v))
    for column, sign in ((0, 1), (1, -1)):
        np.add.at(left, net.leg_node[:, column], sign * drawn)
        np.add.at(size, net.leg_node[:, column], np.abs(drawn))
    return left[:-1], size[:-1]


def _newton_step(net: Network, y, v, left, free) -> np.ndarray:
    """Change of the free voltages that cancels the linearized residual; legs linearized by central differences."""
    n, k = v.size, free.size
    u = leg_voltages(net, v)
    h = 1e-6
    d_re = (leg_currents(net, u + h) - leg_currents(net, u - h)) / (2 * h)
    d_im = (leg_currents(net, u + 1j * h) - leg_currents(net, u - 1j * h)) / (2 * h)
    rows, columns, by_re, by_im = [], [], [], []
    for a, sign_a in ((0, 1), (1, -1)):
        for b, sign_b in ((0, 1), (1, -1)):
            there = (net.leg_node[:, a] >= 0) & (net.leg_node[:, b] >= 0)
            rows.append(net.leg_node[there, a])
            columns.append(net.leg_node[there, b])
            by_re.append(sign_a * sign_b * d_re[there])
            by_im.append(sign_a * sign_b * d_im[there])
    at = (np.concatenate(rows), np.concatenate(columns))
    j_re = (y + sp.csr_matrix((np.concatenate(by_re), at), shape=(n, n)))[free][:, free]
    j_im = (1j * y + sp.csr_matrix((np.concatenate(by_im), at), shape=(n, n)))[free][:, free]
    jacobian = sp.bmat([[j_re.real, j_im.real], [j_re.imag, j_im.imag]], format="csc")
    solved = splu(jacobian)
    rhs = np.concatenate([left[free].real, left[free].imag])
    x = solved.solve(rhs)
    x += solved.solve(rhs - jacobian @ x)
    return x[:k] + 1j * x[k:]


# -- the same network in another state


def with_loads(net: Network, factor: float) -> Network:
    """All loads (not generators) at a multiple of their power."""
    return replace(net, inj_s_mva=np.where(net.inj_kind == nw.LOAD, factor, 1.0) * net.inj_s_mva)


def with_sources(net: Network, factor: float) -> Network:
    """All emfs at a multiple."""
    return replace(net, source_v=factor * net.source_v)


def with_device(net: Network, device: int, state: int) -> Network:
    """One tap or bank in another state."""
    e = net.dev_el[device]
    k = net.el_ptr[e + 1] - net.el_ptr[e]
    sizes = np.diff(net.el_ptr)[net.dev_el] ** 2
    first = int(np.sum(np.diff(net.dev_ptr)[:device] * sizes[:device])) + state * k * k
    start = int(np.sum(np.diff(net.el_ptr[: e + 1]) ** 2))
    y = net.el_y.copy()
    y[start : start + k * k] = net.dev_y[first : first + k * k]
    states = net.dev_state.copy()
    states[device] = state
    return replace(net, el_y=y, dev_state=states)


def with_switch(net: Network, name: str, closed: bool) -> Network:
    """One switch operated."""
    states = net.switch_closed.copy()
    states[list(net.switch_name).index(name)] = closed
    return replace(net, switch_closed=states)


def with_lines(net: Network, in_service: np.ndarray) -> Network:
    """Lines in and out of service."""
    on = net.el_in_service.copy()
    on[net.el_kind == nw.LINE] = in_service
    return replace(net, el_in_service=on)


def with_open_laws(net: Network, vmin_pu: float) -> Network:
    """What the file leaves open said by a scenario: below `vmin_pu` the admittance that the law has there."""
    shape = net.leg_shape.copy()
    for k in np.flatnonzero(np.isnan(shape[:, nw.V_MIN])):
        law = shape[k]
        law[[nw.V_LOW, nw.V_MIN]] = vmin_pu
        if vmin_pu > 0:
            law[[nw.P_LOW, nw.P_MIN]] = (law[nw.P_0] + law[nw.P_1] * vmin_pu + law[nw.P_2] * vmin_pu**2) / vmin_pu**2
            law[[nw.Q_LOW, nw.Q_MIN]] = (law[nw.Q_0] + law[nw.Q_1] * vmin_pu + law[nw.Q_2] * vmin_pu**2) / vmin_pu**2
    return replace(net, leg_shape=shape)


def with_data_center(net: Network, nodes, s_mva: complex, v_min_pu: float = 0.0) -> Network:
    """A data center on some nodes in equal parts: constant power, below `v_min_pu` constant current in each."""
    n = len(nodes)
    law = np.zeros(nw.N_SHAPE)
    law[[nw.P_0, nw.Q_0]] = 1.0
    law[nw.V_MIN], law[nw.V_MAX] = v_min_pu, np.inf
    if v_min_pu > 0:
        law[[nw.P_LINE, nw.Q_LINE]] = 1 / v_min_pu
        law[[nw.P_MIN, nw.Q_MIN]] = 1 / v_min_pu**2
    return replace(
        net,
        inj_name=np.append(net.inj_name, "data center"),
        inj_kind=np.append(net.inj_kind, nw.STORAGE),
        inj_s_mva=np.append(net.inj_s_mva, s_mva),
        leg_inj=np.append(net.leg_inj, np.full(n, net.inj_kind.size)),
        leg_node=np.vstack([net.leg_node, np.column_stack([nodes, np.full(n, -1)])]),
        leg_share=np.append(net.leg_share, np.full(n, 1 / n)),
        leg_shape=np.vstack([net.leg_shape, np.tile(law, (n, 1))]),
    )
