"""The compiled feeder as its kernels see it: one bundle of arrays, of one type for every feeder.

Rows stand for nodes (buses, or buses and phases) fused by ideal closed switches. The first `n` are free
and stand in the order in which they are eliminated; behind them come those of given voltage (ideal
sources, and the emf of sources behind an impedance). Vectors over rows interleave real and imaginary
part. All in pu on 1 MVA: a power in pu is one in MW. Columns are packed into few arrays because every
array costs compile time in every kernel.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cosim.bundle import Bundle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OK: Final = 0
COLLAPSED: Final = 1
DEAD: Final = 2

# sizes
(N_FREE, N_ROW, N_DC, N_PORT, N_LEG, N_GROUND_LEG, N_ELEMENT, N_PASSIVE, N_LINE, N_TRAFO,
 N_CONTROL_SENSOR) = range(11)  # fmt: skip
N_SIZES: Final = 11
# flags
(DIRTY, COLD, SOURCE_ON, BOUND_READY, STATUS, SIGN, N_SOLVED, N_FACTORED, N_SPENT, STALE, N_FURTHER,
 N_MOVES, N_ANEW, N_READ, READ_ALL) = range(15)  # fmt: skip
# N_READ: sensors, from the first on, brought up to date at this instant; READ_ALL: 1 while a protective device acts
N_FLAGS: Final = 15
# params
SCALE_MW, EMF_FACTOR = range(2)
N_PARAMS: Final = 2
# totals
P_SOURCE, Q_SOURCE, P_LOAD, P_GEN, P_LOSS, P_SHUNT, Q_LOAD, Q_GEN, Q_LOSS = range(9)
N_TOTALS: Final = 9
# last_solvable
LS_FRACTION, LS_P_MW, LS_OWN = range(3)
N_LAST_SOLVABLE: Final = 3
# columns of port_law: power being tried and window, or a generator's set-points; beside a fault (PORT_GEN_HELD 1) the
# emf behind its subtransient impedance instead
(PORT_P, PORT_Q, PORT_V_MIN, PORT_GEN_P, PORT_GEN_VM, PORT_GEN_HELD, PORT_GEN_EX, PORT_GEN_EY, PORT_GEN_R,
 PORT_GEN_X) = range(10)  # fmt: skip
N_PORT_LAW: Final = 10
# columns of site_last: request at the last solve, voltage per power [pu/MW], curvature of that [1/MW]
LAST_P, LAST_Q, SENSITIVITY, CURVATURE = range(4)
# columns of leg_fast: what most legs need at most instants, in one cache line; V_MIN and V_MAX squared. Legs that are
# more than a constant power have an empty window here, so that leg_law is asked.
F_P, F_Q, F_MIN, F_MAX, F_SLOPE = range(5)
N_FAST: Final = 8


class FeederArrays(Bundle):
    """Arrays of one compiled topology.

    Shapes: n free rows, N all rows, k entries below the diagonal, s sources, d data centers, m ports (each
    data center's nodes, then voltage-controlled generators), l legs, e elements with K conductors.
    """

    sizes: Ints
    flags: Ints
    params: Floats
    """The feeder's own power [MW]; source factor, 0 while there is a fault [1]."""
    port_p_mw: Floats
    """[d] requested, consumption positive. [MW]"""
    port_q_mvar: Floats
    """[d] requested. [Mvar]"""
    port_v_min_pu: Floats
    """[d] below it each phase draws constant current; 0 never. [pu]"""
    port_p_solved_mw: Floats
    """[d] drawn. [MW]"""
    port_q_solved_mvar: Floats
    """[d] drawn. [Mvar]"""
    port_vm_pu: Floats
    """[d] voltage of the lowest phase (of its nominal one) or, with `port_across`, the lowest between two; zero where
    de-energized. [pu]"""
    vm2: Floats
    """[N] squared voltage magnitude, of the lowest phase of a whole bus. [pu^2]"""
    totals: Floats
    """[9] p_source, q_source, p_load, p_gen, p_loss, p_shunt, q_load, q_gen, q_loss. [MW, Mvar]"""
    last_solvable: Floats
    """[3] after COLLAPSED: fraction of the requests that is solvable; data center power there; fraction of the feeder's
    own loads that is solvable without any, 1 where they are not what fails. [1, MW, 1]"""
    node_row: Ints
    """[n_node] row of each named node, -1 where de-energized."""
    site_ptr: Ints
    """[d + 1] ports of data center k are site_ptr[k]:site_ptr[k + 1], one a phase."""
    site_last: Floats
    """[d, 4] request of the last solve, sensitivities there. [MW, Mvar, pu/MW, 1/MW]"""
    port_row: Ints
    """[m, 2] rows of each port, the second -1 to ground; the first -1 where de-energized."""
    port_base: Floats
    """[m] nominal voltage of the port: 1, between phases sqrt(3). [pu]"""
    port_law: Floats
    """[m, 10] power being tried, window, generator's power and voltage; whether it is an emf behind an impedance now,
    and these. [MW, Mvar, pu, MW, pu, 1, pu, pu, pu, pu]"""
    port_z: Floats
    """[2 m, 2 m + 1] response of the ports' voltages to their currents: `response` at their rows; last the greater
    of the sums of absolute values over the two rows of each port. [pu]"""
    y: Floats
    """[n + 2 k, 2] admittance matrix: diagonal, entries below it, entries above it. [pu]"""
    row_sum: Floats
    """[n, 2] sum of each row of it, summed with more digits. [pu]"""
    block: Floats
    """[n + 2 k, 4] its factors with the loads' slopes, the diagonal inverted."""
    lu_ptr: Ints
    lu_row: Ints
    lu_target: Ints
    """Row of `block` that each product of the elimination is subtracted from."""
    zone_ptr: Ints
    zone_row: Ints
    """Rows of each floating zone: behind ungrounded windings only, without a path to ground of any weight."""
    zone_sum_ptr: Ints
    zone_sum_row: Ints
    zone_sum_y: Floats
    """[.., 2] sum over the zone's rows of each column of the matrix, summed with more digits. [pu]"""
    tie: Floats
    """[2 n] currents that the given voltages drive into the free rows. [pu]"""
    emf: Floats
    """[s, 2] given voltages at present, a dip included. [pu]"""
    leg_row: Ints
    """[l, 2] rows; legs to ground first (second row -1), then those between two rows; -1 also at dead rows."""
    leg_block: Ints
    """[l, 4] places of (a, a), (a, b), (b, a), (b, b) in `block`, -1 where there is none."""
    leg_fast: Floats
    """[l, 8] constant power, window, slope of its current at the base point. [MW, Mvar, pu^2, pu]"""
    leg_law: Floats
    """[l, 23] law of each leg as in `Network.leg_shape`, times its power; V_MIN and V_MAX squared. [MW, Mvar, pu]"""
    gen_row: Ints
    """[g, 2] rows of the legs of given generation, which leg_law holds among the others."""
    gen_law: Floats
    row_shunt: Floats
    """[N, 2] shunts that count as load: power at 1 pu. [MW, Mvar]"""
    el_ptr: Ints
    el_row: Ints
    """[K] row of each conductor, -1 at ground or open. Sources' impedances come last (from `N_PASSIVE` on)."""
    el_first: Ints
    """[e] conductors of the first terminal."""
    el_y_ptr: Ints
    el_y: Floats
    """[.., 2] primitive admittances, row by row. [pu]"""
    el_sum: Floats
    """[K, 2] sum of each of their rows, summed with more digits. [pu]"""
    el_loading: Floats
    """[K] [percent/pu]"""
    trafo_el: Ints
    """[.., 2] row of the transformer in the log, element."""
    sensor_ptr: Ints
    sensor_row: Ints
    sensor_coef: Floats
    """[.., 2] what each row's voltage counts in a sensor, in its own unit per pu."""
    sensor: Floats
    """[.., 2] values of the sensors of controls, real and imaginary."""
    sensor_least: Floats
    """Size that surfaces hold a sensor's deviation against where its own is smaller."""
    sensor_pickup: Floats
    """Magnitude up to which no protective device asks for a sensor; 0 for the first ones, which are always read."""
    v: Floats
    """[2 N] voltages. [pu]"""
    u: Floats
    """[2 N] voltages if the ports drew nothing, other loads as linearized. [pu]"""
    h: Floats
    """[2 n] what the linearization leaves of the load currents. [pu]"""
    v_base: Floats
    """[2 N] where the loads are linearized. [pu]"""
    current: Floats
    """[2 m] port currents, into the port. [pu]"""
    response: Floats
    """[2 m, 2 N] fall of voltages per port current. [pu]"""
    sequence_row: Ints
    """[m] rows whose voltages drive the other sequences of a balanced feeder: ends of its faults; -1 de-energized."""
    sequence: Floats
    """[N, m, 4] negative- and zero-sequence voltage of every row per voltage of each of these; none without them."""
    vm2_high: Floats
    """[N] squared magnitude of the highest phase where `sequence` holds something; `vm2` is the lowest then. [pu^2]"""
    port_phase_pu: Floats
    """[d, 3] voltages of the phases at each data center, or between them, likewise. [pu]"""
    port_across: Ints
    """[d] 1 where the data center stands behind a delta, and sees the voltages between phases."""
    rhs: Floats
    work: Floats
    product: Floats
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
    "site_last",
    "port_law",
    "port_z",
    "y",
    "row_sum",
    "zone_sum_y",
    "block",
    "tie",
    "emf",
    "leg_fast",
    "leg_law",
    "gen_law",
    "el_y",
    "el_sum",
    "sensor_coef",
    "sensor",
    "v",
    "u",
    "h",
    "v_base",
    "current",
    "response",
    "vm2_high",
    "port_phase_pu",
    "port_across",
]
"""Fields whose value depends on history: what a checkpoint keeps."""


def empty_state(n_free: int, n_row: int, n_dc: int, n_port: int, n_block: int) -> dict[str, Any]:
    """Zeroed arrays of everything that is not the network itself."""
    z = np.zeros
    faces = ["port_p_mw", "port_q_mvar", "port_v_min_pu", "port_p_solved_mw", "port_q_solved_mvar", "port_vm_pu"]
    return {
        "flags": z(N_FLAGS, np.int64),
        **{k: z(n_dc) for k in faces},
        "site_last": z((n_dc, 4)),
        "vm2": z(n_row),
        "vm2_high": z(n_row),
        "port_phase_pu": z((n_dc, 3)),
        "port_across": z(n_dc, np.int64),
        "totals": z(N_TOTALS),
        "last_solvable": z(N_LAST_SOLVABLE),
        **{k: z(2 * n_row) for k in ("v", "u", "v_base", "v_save")},
        **{k: z(2 * n_free) for k in ("h", "rhs", "work", "product", "tie")},
        "current": z(2 * n_port),
        "current_save": z(2 * n_port),
        "block": z((n_block, 4)),
        "port_z": z((2 * n_port, 2 * n_port + 1)),
        "response": z((2 * n_port, 2 * n_row)),
        "jac": z((2 * n_port, 2 * n_port + 2)),
    }
