"""Power flow of one instant beside a fault or in a deep dip, on the factors of that state; numbers and arrays only.

There data centers draw constant current at voltages that hardly fix its angle, where Newton's method from the last
solution fails and a walk in steps would factorize at each. Here the linear network stays, and the ports alone are
followed up from no power, which costs small dense systems only; loads, next to impedances at such voltages, are
iterated around that. docs/faults.md has the equations.
"""

from __future__ import annotations

import math

from cosim.feeder.arrays import (
    N_ANEW,
    N_DC,
    N_FREE,
    N_GROUND_LEG,
    N_LEG,
    N_PORT,
    SIGN,
    STALE,
)
from cosim.feeder.kernel_legs import leg_remainders
from cosim.feeder.kernel_lu import copy_to
from cosim.feeder.kernel_newton import (
    MAX_ITERATIONS,
    MAX_JUMP_PU,
    REFRESH,
    SLOW,
    STEEP,
    improve_u,
    linearize,
    move_u,
    restart_u,
    set_request,
    set_v,
)
from cosim.feeder.kernel_ports import port_bound, port_norm, solve_ports
from cosim.jit import inner

DEEP_DIP = 0.5
"""Source voltage (0 while there is a fault) below which it is so, and converters cease for an instant in which they
find no operating point. [pu]"""
FIRST_STEP = 0.25
"""Part of the data centers' powers with which following them up begins. [1]"""
SHORTEST_PART = 2.0**-12
"""Following up ends at steps shorter than this part of their powers: one of them has no voltage left. [1]"""
MAX_ANEW = 1
"""Linearizations at the voltages of a fault or dip, beside the one that its state starts from."""


@inner
def ports_at(f, part, tol):
    """Solve the ports for a part of the data centers' powers.

    Returns
    -------
    float
        Determinant of the port equations or its sign, times that of the matrix: where only generators hold up heavy
        loads both are negative on the upper branch. 0 without a solution.
    """
    set_request(f, part, 0.0)
    n_dc_port = f.site_ptr[f.sizes[N_DC]]
    det = solve_ports(f.port_row, f.port_law, f.u, f.port_z, f.current, f.jac, n_dc_port, 1.0, tol, False)
    return det * f.flags[SIGN]


@inner
def is_certain(f):
    """Whether the ports have but one solution here: one data center in one phase, or currents that contract.

    f.v holds the voltages.
    """
    if f.sizes[N_PORT] == 1:
        return True
    if f.site_ptr[f.sizes[N_DC]] < f.sizes[N_PORT]:
        return False
    return port_bound(f.port_row, f.port_law, f.v, f.port_z) < 1.0 or (
        port_norm(f.port_row, f.port_law, f.v, f.port_z) < 1.0
    )


@inner
def moved_little(f):
    """Whether no port's voltage is further than MAX_JUMP_PU from where the saved currents have it."""
    for k in range(f.sizes[N_PORT]):
        x, y = 0.0, 0.0
        for a in range(2 * f.sizes[N_PORT]):
            step = f.current[a] - f.current_save[a]
            x += f.port_z[2 * k, a] * step
            y += f.port_z[2 * k + 1, a] * step
        if x * x + y * y > (MAX_JUMP_PU * f.port_base[k]) ** 2:
            return False
    return True


@inner
def follow_ports(f, tol, is_near):
    """Port currents on the linear network as it stands, of the solution that goes back to no power without a jump.

    Parameters
    ----------
    is_near : bool
        Whether the currents that are there are of such a solution on nearly this network.

    Returns
    -------
    tuple of float
        Part of the data centers' powers that has one, negative where not even generators have; the determinant of the
        port equations or its sign.
    """
    copy_to(f.current_save, f.current)
    det = ports_at(f, 1.0, tol)
    if det > 0.0:
        set_v(2 * f.sizes[N_FREE], f.u, f.response, f.current, f.v)
        if is_certain(f) or (is_near and moved_little(f)):
            return 1.0, det
    copy_to(f.current, f.current_save)
    for a in range(2 * f.site_ptr[f.sizes[N_DC]]):
        f.current[a] = 0.0
    det = ports_at(f, 0.0, tol)
    if not det > 0.0:
        return -1.0, 0.0
    done, step = 0.0, FIRST_STEP
    while done < 1.0:
        copy_to(f.current_save, f.current)
        part = min(1.0, done + step)
        found = ports_at(f, part, tol)
        if found > 0.0 and moved_little(f):
            done, det = part, found
            step *= 2.0
        else:
            copy_to(f.current, f.current_save)
            step *= 0.5
            if step < SHORTEST_PART:
                break
    return done, det


@inner
def is_regular(f):
    """Whether the matrix may be that of an upper branch: of a positive determinant, unless generators hold it up."""
    n_dc_port = f.site_ptr[f.sizes[N_DC]]
    return f.flags[SIGN] > 0 or (f.flags[SIGN] < 0 and n_dc_port < f.sizes[N_PORT])


@inner
def residual_of_loads(f):
    """What the loads draw at the voltages that the ports leave, into f.rhs; by how much that differs from f.h."""
    set_v(2 * f.sizes[N_FREE], f.u, f.response, f.current, f.v)
    n_ground, n_leg = f.sizes[N_GROUND_LEG], f.sizes[N_LEG]
    leg_remainders(f.leg_fast, f.leg_law, f.leg_row, f.leg_block, n_ground, n_leg, 1.0, f.v, f.rhs)
    residual = 0.0
    for i in range(2 * f.sizes[N_FREE]):
        residual += abs(f.rhs[i] - f.h[i])
    return residual


@inner
def solve_in_fault(f, tol, is_near):
    """Solve on the factors that are there, linearized anew once at most where the loads have left them too far.

    Parameters
    ----------
    is_near : bool
        Whether the last solution was of this network.

    Returns
    -------
    float
        Part of the data centers' powers that has a solution, 1 where solved; negative where none was found.
    """
    if not is_regular(f):
        return -1.0
    if not is_near:
        restart_u(f, 1.0)
    elif f.flags[STALE] > REFRESH:
        improve_u(f)
        f.flags[STALE] = 0
    before = math.inf
    for _ in range(MAX_ITERATIONS):
        part, det = follow_ports(f, tol, is_near)
        if part < 0.0:
            return -1.0
        residual = residual_of_loads(f)
        if not residual < 1e30:
            return -1.0
        may_anew = f.flags[N_ANEW] < MAX_ANEW
        is_done = residual <= tol
        if is_done and (det > STEEP or not may_anew):
            return part
        if may_anew and (is_done or residual > SLOW * before):
            if not linearize(f, 1.0) or not is_regular(f):
                return -1.0
            before = math.inf
        else:
            move_u(f)
            before = residual
        is_near = True
    return -1.0
