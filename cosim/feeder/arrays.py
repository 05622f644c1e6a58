"""The compiled feeder as its kernels see it: one NamedTuple of arrays, of one type for every feeder.

Nodes are buses fused by ideal closed switches. The first `n` are free and stand in the order in which
they are eliminated; behind them come the nodes of ideal sources, whose voltage is given. Vectors over
nodes interleave real and imaginary part. All in pu on 1 MVA: a power in pu is one in MW.
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
DIRTY, COLD, SOURCE_ON, BOUND_READY, STATUS, SIGN, N_SOLVED, N_FACTORED = range(8)
N_FLAGS: Final = 8
# totals
P_SOURCE, Q_SOURCE, P_LOAD, P_GEN, P_LOSS, P_SHUNT, Q_LOAD, Q_GEN, Q_LOSS = range(9)
N_TOTALS: Final = 9
# last_solvable
LS_FRACTION, LS_P_MW = range(2)
# source
EMF_FACTOR, EMF_SHIFT_RAD = range(2)


class FeederArrays(NamedTuple):
    """Arrays of one compiled topology. Shapes: n free nodes, N all nodes, d data centers, m ports."""

    sizes: Ints
    flags: Ints
    params: Floats
    """vmin_pu of constant-power loads [pu]; scale of the feeder's own power [MW]."""
    # ports: d data centers, then voltage-controlled generators
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
    port_node: Ints
    """[m] node of each port, -1 where de-energized."""
    gen_p_mw: Floats
    """[m] given power of a generator, generation positive (zero for data centers). [MW]"""
    gen_vm_pu: Floats
    """[m] set-point of a generator. [pu]"""
    # results
    vm2: Floats
    """[N] squared voltage magnitude. [pu^2]"""
    totals: Floats
    """p_source, q_source, p_load, p_gen, p_loss, p_shunt, q_load, q_gen, q_loss. [MW, Mvar]"""
    last_solvable: Floats
    """After COLLAPSED: fraction of the way that is solvable; data center power there. [1, MW]"""
    # network
    bus_node: Ints
    """[n_bus] node of each named bus, -1 where de-energized."""
    y_diag: Floats
    """[n, 2] conductance and susceptance. [pu]"""
    y_low: Floats
    """[k, 2] entry (row, column) below the diagonal."""
    y_up: Floats
    """[k, 2] entry (column, row) above the diagonal."""
    lu_ptr: Ints
    lu_row: Ints
    lu_target: Ints
    """Where each product of the elimination goes."""
    tie_node: Ints
    """[t, 2] free node and source of each admittance towards a source."""
    tie_y: Floats
    """[t, 2] that admittance. [pu]"""
    emf: Floats
    """[2 s] emf of each source before a dip. [pu]"""
    source: Floats
    """Factor on the emf [1] and its shift [rad]."""
    source_node: Ints
    """[s] node at whose terminals the source is metered."""
    source_y: Floats
    """[s, 2] admittance between emf and that node; zero where ideal. [pu]"""
    load_node: Ints
    load_s: Floats
    """[l, 4] p, q at constant power, p, q at constant current, net of generation. [MW, Mvar at 1 pu]"""
    load_gen: Floats
    """[l, 2] the part of p, q at constant power that is generation (positive). [MW, Mvar]"""
    load_z: Floats
    """[N, 2] constant-impedance loads. [MW, Mvar at 1 pu]"""
    shunt: Floats
    """[N, 2] shunts and wards. [MW, Mvar at 1 pu]"""
    branch_node: Ints
    """[b, 2] nodes of each branch, -1 where the end is open."""
    branch_y: Floats
    """[b, 8] two-port admittances gff, bff, gft, bft, gtf, btf, gtt, btt. [pu]"""
    branch_loading: Floats
    """[b, 2] [percent/pu]"""
    # state
    v: Floats
    """[2 N] node voltages. [pu]"""
    u: Floats
    """[2 N] node voltages if the ports drew nothing, other loads as linearized. [pu]"""
    h: Floats
    """[2 n] what the linearization leaves of the load currents. [pu]"""
    current: Floats
    """[2 m] port currents, into the port. [pu]"""
    d_load: Floats
    """[l, 4] slope of each load's current at the base point. [pu]"""
    lu_diag: Floats
    lu_low: Floats
    lu_up: Floats
    response: Floats
    """[2 m, 2 N] fall of node voltages per port current. [pu]"""
    v_base: Floats
    """[2 N] where the loads are linearized. [pu]"""
    p_last: Floats
    """[d] request of the last solve. [MW]"""
    q_last: Floats
    sens: Floats
    """[d, 2] voltage per change of port power [pu/MW]; curvature of that [1/MW]."""
    # work
    rhs: Floats
    jac: Floats
    port_x: Floats
    p_try: Floats
    q_try: Floats
    v_save: Floats
    current_save: Floats


STATE: Final = (
    "flags port_p_mw port_q_mvar port_v_min_pu port_p_solved_mw port_q_solved_mvar port_vm_pu vm2 totals "
    "last_solvable y_diag emf source load_s load_z params v u h current d_load lu_diag lu_low lu_up "
    "response v_base p_last q_last sens"
).split()
"""Fields whose value depends on history: what a checkpoint keeps."""


def empty_state(n_free: int, n_node: int, n_dc: int, n_port: int, n_load: int, n_lu: int) -> dict[str, Any]:
    """Zeroed arrays of everything that is not the network itself."""
    z = np.zeros
    return {
        "flags": z(N_FLAGS, np.int64),
        **{k: z(n_dc) for k in ("port_p_mw", "port_q_mvar", "port_v_min_pu")},
        **{k: z(n_dc) for k in ("port_p_solved_mw", "port_q_solved_mvar", "port_vm_pu")},
        **{k: z(n_dc) for k in ("p_last", "q_last", "p_try", "q_try")},
        "vm2": z(n_node),
        "totals": z(N_TOTALS),
        "last_solvable": z(2),
        **{k: z(2 * n_node) for k in ("v", "u", "v_base", "v_save")},
        **{k: z(2 * n_free) for k in ("h", "rhs")},
        "current": z(2 * n_port),
        "current_save": z(2 * n_port),
        "d_load": z((n_load, 4)),
        "lu_diag": z((n_free, 4)),
        "lu_low": z((n_lu, 4)),
        "lu_up": z((n_lu, 4)),
        "response": z((2 * n_port, 2 * n_node)),
        "sens": z((n_dc, 2)),
        "jac": z((2 * n_port, 2 * n_port + 1)),
        "port_x": z(2 * n_port),
    }
