# mypy: ignore-errors
"""Phases of a balanced feeder while it has an unbalanced fault: from its positive sequence and what that drives."""

from __future__ import annotations

import math

from cosim.feeder.arrays import N_DC, N_ROW
from cosim.jit import inner

HALF_ROOT = math.sqrt(0.75)
"""Imaginary part of a turn by a third. [1]"""


@inner
def other_sequences(f, i):
    """Negative- and zero-sequence voltage of row i: real and imaginary parts. [pu]"""
    x2, y2, x0, y0 = 0.0, 0.0, 0.0, 0.0
    for k in range(f.sequence_row.size):
        j = f.sequence_row[k]
        if j < 0:
            continue
        x, y, a = f.v[2 * j], f.v[2 * j + 1], f.sequence[i, k]
        x2 += a[0] * x - a[1] * y
        y2 += a[0] * y + a[1] * x
        x0 += a[2] * x - a[3] * y
        y0 += a[2] * y + a[3] * x
    return x2, y2, x0, y0


@inner
def phases_of(f, i):
    """Squared magnitudes of phases a, b and c of row i. [pu^2]"""
    x1, y1 = f.v[2 * i], f.v[2 * i + 1]
    x2, y2, x0, y0 = other_sequences(f, i)
    x, y = x0 - 0.5 * (x1 + x2), y0 - 0.5 * (y1 + y2)
    dx, dy = HALF_ROOT * (y1 - y2), HALF_ROOT * (x2 - x1)
    a = (x0 + x1 + x2) ** 2 + (y0 + y1 + y2) ** 2
    return a, (x + dx) ** 2 + (y + dy) ** 2, (x - dx) ** 2 + (y - dy) ** 2


@inner
def between_phases(f, i):
    """Squared magnitudes between a and b, b and c, c and a of row i, of a third of the square of the nominal. [pu^2]"""
    x1, y1 = f.v[2 * i], f.v[2 * i + 1]
    x2, y2, _, _ = other_sequences(f, i)
    # (V_a - V_b) / sqrt(3) is V1 turned by 30 degrees ahead plus V2 turned back; the others follow by thirds of a turn.
    ahead_x, ahead_y = HALF_ROOT * x1 - 0.5 * y1, HALF_ROOT * y1 + 0.5 * x1
    back_x, back_y = HALF_ROOT * x2 + 0.5 * y2, HALF_ROOT * y2 - 0.5 * x2
    x, y = -0.5 * (ahead_x + back_x), -0.5 * (ahead_y + back_y)
    dx, dy = HALF_ROOT * (ahead_y - back_y), HALF_ROOT * (back_x - ahead_x)
    ab = (ahead_x + back_x) ** 2 + (ahead_y + back_y) ** 2
    return ab, (x + dx) ** 2 + (y + dy) ** 2, (x - dx) ** 2 + (y - dy) ** 2


@inner
def spread_phases(f):
    """Lowest and highest phase of every row into vm2 and vm2_high, phases at every data center into port_phase_pu."""
    for i in range(f.sizes[N_ROW]):
        a, b, c = phases_of(f, i)
        f.vm2[i] = min(a, b, c)
        f.vm2_high[i] = max(a, b, c)
    for s in range(f.sizes[N_DC]):
        i = f.port_row[f.site_ptr[s], 0]
        if i < 0:
            f.port_phase_pu[s, :] = 0.0
            continue
        a, b, c = between_phases(f, i) if f.port_across[s] == 1 else phases_of(f, i)
        f.port_phase_pu[s, 0], f.port_phase_pu[s, 1], f.port_phase_pu[s, 2] = math.sqrt(a), math.sqrt(b), math.sqrt(c)
        f.port_vm_pu[s] = math.sqrt(min(a, b, c))
