"""The compiled feeder as its kernels see it: one NamedTuple of arrays, of one type for every feeder.

Nodes are buses fused by ideal closed switches. The first `n` are free and stand in the order in which
they are eliminated; behind them come the nodes of ideal sources, whose voltage is given. Vectors over
nodes interleave real and imaginary part. All in pu on 1 MVA: a power in pu is one in MW.
Columns are packed into few arrays because every array costs compile time in every kernel.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OK: Final = 0
COLLAPSED: Final = 1
DEAD: Final = 2

# sizes
N_FREE, N_NODE, N_DC, N_PORT, N_LOAD, N_LOAD_FREE, N_BRANCH, N_LINE, N_TRAFO, N_TRAFO3W = range(10)
N_SIZES: Final = 10
# flags
DIRTY, COLD, SOURCE_ON, BOUND_READY, STATUS, SIGN, N_SOLVED, N_FACTORED, N_SPENT = range(9)
N_FLAGS: Final = 9
# params
VMIN_PU, SCALE_MW, EMF_FACTOR, EMF_SHIFT_RAD = range(4)
N_PARAMS: Final = 4
# totals
P_SOURCE, Q_SOURCE, P_LOAD, P_GEN, P_LOSS, P_SHUNT, Q_LOAD, Q_GEN, Q_LOSS = range(9)
N_TOTALS: Final = 9
# last_solvable
LS_FRACTION, LS_P_MW = range(2)
# columns of port_law: request or generator set-points
PORT_P, PORT_Q, PORT_V_MIN, PORT_GEN_P, PORT_GEN_VM = range(5)
# columns of port_last: request at the last solve, voltage per power [pu/MW], curvature of that [1/MW]
LAST_P, LAST_Q, SENSITIVITY, CURVATURE = range(4)
# columns of load_law: at constant power, at constant current, generation within, slope of the current
LOAD_P, LOAD_Q, LOAD_IP, LOAD_IQ, LOAD_GEN_P, LOAD_GEN_Q, LOAD_SLOPE = range(7)
N_LOAD_LAW: Final = 10
# columns of node_y: constant-impedance loads, shunts and wards
Z_P, Z_Q, SHUNT_P, SHUNT_Q = range(4)


class FeederArrays(NamedTuple):
    """Arrays of one compiled topology.

    Shapes: n free nodes, N all nodes, k entries below the diagonal, s sources, d data centers, m ports
    (data centers, then voltage-controlled generators), l nodes with loads, b branches.
    """

    sizes: Ints
    flags: Ints
    params: Floats
    """Least voltage of constant power [pu], the feeder's own power [MW], source factor [1], shift [rad]."""
    port_p_mw: Floats
    """[d] requested, consumption positive. [MW]"""
    port_q_mvar: Floats
    """[d] requested. [Mvar]"""
    port_v_min_pu: Floats
    """[d] below it the port draws constant current; 0 never. [pu]"""
    port_p_solved_mw: Floats
    """[d] drawn. [MW]"""
    port_q_solved_mvar: Floats
    """[d] drawn. [Mvar]"""
    port_vm_pu: Floats
    """[d] voltage, zero where de-energized. [pu]"""
    vm2: Floats
    """[N] squared voltage magnitude. [pu^2]"""
    totals: Floats
    """[9] p_source, q_source, p_load, p_gen, p_loss, p_shunt, q_load, q_gen, q_loss. [MW, Mvar]"""
    last_solvable: Floats
    """[2] after COLLAPSED: fraction of the way that is solvable; data center power there. [1, MW]"""
    bus_node: Ints
    """[n_bus] node of each named bus, -1 where de-energized."""
    port_node: Ints
    """[m] node of each port, -1 where de-energized."""
    port_law: Floats
    """[m, 5] power being tried, window, generator's power and voltage. [MW, Mvar, pu, MW, pu]"""
    port_last: Floats
    """[d, 4] request of the last solve, sensitivities there. [MW, Mvar, pu/MW, 1/MW]"""
    y: Floats
    """[n + 2 k, 2] admittance matrix: diagonal, entries below it, entries above it. [pu]"""
    block: Floats
    """[n + 2 k, 4] its factors with the loads' slopes, the diagonal inverted."""
    lu_ptr: Ints
    lu_row: Ints
    lu_target: Ints
    """Row of `block` that each product of the elimination is subtracted from."""
    tie_node: Ints
    """[t, 2] free node and source node of each admittance between such."""
    tie_y: Floats
    """[t, 2] that matrix entry. [pu]"""
    emf: Floats
    """[s, 2] emf of each source before a dip. [pu]"""
    source_node: Ints
    """[s] node at whose terminals the source is metered."""
    source_y: Floats
    """[s, 2] admittance between emf and that node; zero where ideal. [pu]"""
    load_node: Ints
    """[l] ascending, so that those at ideal sources come last."""
    load_law: Floats
    """[l, 10] p, q at constant power, p, q at constant current (at 1 pu, net of generation), generation's
    part of the former (positive), slope of the current at the base point. [MW, Mvar, pu]"""
    node_y: Floats
    """[N, 4] constant-impedance loads, shunts: power at 1 pu. [MW, Mvar]"""
    branch_node: Ints
    """[b, 2] nodes of each branch, -1 where the end is open."""
    branch_y: Floats
    """[b, 10] gff, bff, gft, bft, gtf, btf, gtt, btt; loading per current at both ends. [pu, percent/pu]"""
    v: Floats
    """[2 N] node voltages. [pu]"""
    u: Floats
    """[2 N] node voltages if the ports drew nothing, other loads as linearized. [pu]"""
    h: Floats
    """[2 n] what the linearization leaves of the load currents. [pu]"""
    v_base: Floats
    """[2 N] where the loads are linearized. [pu]"""
    current: Floats
    """[2 m] port currents, into the port. [pu]"""
    response: Floats
    """[2 m, 2 N] fall of node voltages per port current. [pu]"""
    rhs: Floats
    jac: Floats
    v_save: Floats
    current_save: Floats


STATE: Final = [
    "flags",
    "params",
    "port_p_mw",
    "port_q_mvar",
    "port_v_min_pu",
    "port_p_solved_mw",
    "port_q_solved_mvar",
    "port_vm_pu",
    "vm2",
    "totals",
    "last_solvable",
    "port_law",
    "port_last",
    "y",
    "block",
    "load_law",
    "node_y",
    "v",
    "u",
    "h",
    "v_base",
    "current",
    "response",
]
"""Fields whose value depends on history: what a checkpoint keeps."""


def empty_state(n_free: int, n_node: int, n_dc: int, n_port: int, n_block: int) -> dict[str, Any]:
    """Zeroed arrays of everything that is not the network itself."""
    z = np.zeros
    faces = ["port_p_mw", "port_q_mvar", "port_v_min_pu", "port_p_solved_mw", "port_q_solved_mvar", "port_vm_pu"]
    return {
        "flags": z(N_FLAGS, np.int64),
        **{k: z(n_dc) for k in faces},
        "port_last": z((n_dc, 4)),
        "vm2": z(n_node),
        "totals": z(N_TOTALS),
        "last_solvable": z(2),
        **{k: z(2 * n_node) for k in ("v", "u", "v_base", "v_save")},
        **{k: z(2 * n_free) for k in ("h", "rhs")},
        "current": z(2 * n_port),
        "current_save": z(2 * n_port),
        "block": z((n_block, 4)),
        "response": z((2 * n_port, 2 * n_node)),
        "jac": z((2 * n_port, 2 * n_port + 2)),
    }
