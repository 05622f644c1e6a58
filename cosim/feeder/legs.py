"""Injections of a network as the legs that the kernels see: gathered by place and law, sorted, with their powers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder import network as nw
from cosim.feeder.network import Bools, Complexes, Floats, Ints, Network
from cosim.feeder.topology import Topology

_P_COLUMNS = [nw.P_0, nw.P_1, nw.P_2, nw.P_E, nw.P_LOW, nw.P_MIN, nw.P_MAX, nw.P_LINE]
_Q_COLUMNS = [nw.Q_0, nw.Q_1, nw.Q_2, nw.Q_E, nw.Q_LOW, nw.Q_MIN, nw.Q_MAX, nw.Q_LINE]
_LIMITS = [nw.V_LOW, nw.V_MIN, nw.V_MAX, nw.P_EXP, nw.Q_EXP, nw.V_CUT, nw.K_CUT]


@dataclass(frozen=True)
class Legs:
    """Legs of one topology; those at the same rows and under the same law are one."""

    row: Ints
    """[l, 2] as in `FeederArrays.leg_row`."""
    block: Ints
    n_ground: int
    n_free: int
    group: Ints
    """[legs of the network] its leg here, -1 where it is dead."""
    limits: Floats
    """[l, 7] columns `_LIMITS`, voltages not yet squared."""

    def law(self, net: Network, shape: Floats, inj_s_mva: Complexes) -> Floats:
        """Law of every leg for the given powers of the injections. [MW, Mvar, pu]"""
        law = np.zeros((self.row.shape[0], nw.N_SHAPE))
        live = self.group >= 0
        power = (inj_s_mva[net.leg_inj] * net.leg_share)[live]
        for part, columns in ((power.real, _P_COLUMNS), (power.imag, _Q_COLUMNS)):
            for column in columns:
                np.add.at(law[:, column], self.group[live], part * shape[live, column])
        law[:, _LIMITS] = self.limits
        law[:, [nw.V_MIN, nw.V_MAX]] **= 2
        return law


def fast_columns(law: Floats) -> Floats:
    """First four columns of `FeederArrays.leg_fast`."""
    special = np.any(law[:, [nw.P_1, nw.P_2, nw.P_E, nw.Q_1, nw.Q_2, nw.Q_E, nw.K_CUT]] != 0, axis=1)
    fast = law[:, [nw.P_0, nw.Q_0, nw.V_MIN, nw.V_MAX]].copy()
    fast[:, ix.F_MIN] = np.maximum(fast[:, ix.F_MIN], 1e-30)
    fast[special, ix.F_MIN] = np.inf
    return fast


def shapes(net: Network, vmin_pu: float) -> Floats:
    """Laws of the network's legs, `vmin_pu` put where they leave the least voltage of constant power open."""
    shape = net.leg_shape.copy()
    is_open = np.isnan(shape[:, nw.V_MIN])
    shape[is_open, nw.V_LOW] = shape[is_open, nw.V_MIN] = vmin_pu
    if vmin_pu > 0:
        v = vmin_pu
        for c0, c1, c2, at in ((nw.P_0, nw.P_1, nw.P_2, nw.P_MIN), (nw.Q_0, nw.Q_1, nw.Q_2, nw.Q_MIN)):
            shape[is_open, at] = shape[is_open, c0] / v**2 + shape[is_open, c1] / v + shape[is_open, c2]
            shape[is_open, at - 1] = shape[is_open, at]  # P_LOW, Q_LOW stand just before
    return shape


def build_legs(net: Network, top: Topology, shape: Floats, wanted: Bools) -> Legs:
    """Place the wanted ones of the network's legs on the rows of a topology."""
    row = np.where(net.leg_node >= 0, top.node[net.leg_node], -1)
    dead = ~wanted | ((net.leg_node >= 0) & (row < 0)).any(axis=1) | (row[:, 0] == row[:, 1])
    given = row >= top.n_free
    flipped = given[:, 0] & ~given[:, 1] & (row[:, 1] >= 0)
    row[flipped] = row[flipped][:, ::-1]
    place = np.where(row[:, 0] >= top.n_free, 2, np.where(row[:, 1] >= 0, 1, 0))
    own = np.where(shape[:, [nw.P_E, nw.Q_E]].any(axis=1), np.arange(row.shape[0]), -1)
    key = np.column_stack([place, row, own, shape[:, _LIMITS]])[~dead]
    unique, inverse = np.unique(key, axis=0, return_inverse=True)
    group = np.full(row.shape[0], -1, np.int64)
    group[~dead] = inverse.ravel()
    rows = unique[:, 1:3].astype(np.int64)
    return Legs(
        row=rows,
        block=_blocks(rows, top),
        n_ground=int(np.sum(unique[:, 0] == 0)),
        n_free=int(np.sum(unique[:, 0] < 2)),
        group=group,
        limits=np.ascontiguousarray(unique[:, 4:]),
    )


def _blocks(row: Ints, top: Topology) -> Ints:
    block = np.full((row.shape[0], 4), -1, np.int64)
    free = (row >= 0) & (row < top.n_free)
    block[free[:, 0], 0] = row[free[:, 0], 0]
    both = free.all(axis=1)
    a, b = row[both].T
    block[both, 1], block[both, 2], block[both, 3] = top.pattern.entry(a, b), top.pattern.entry(b, a), b
    return block


def leg_powers(law: Floats, m2: Floats) -> Complexes:
    """Power of every leg at squared voltages: the array form of `kernel_legs.leg_factors`. [MVA]"""
    m2 = np.maximum(m2, 1e-30)
    vm, low, high = np.sqrt(m2), law[:, nw.V_LOW], np.sqrt(law[:, nw.V_MIN])
    t = np.clip((vm - low) / np.maximum(high - low, 1e-300), 0, 1)
    on = np.where(law[:, nw.K_CUT] > 0, 1 / (1 + np.exp(-law[:, nw.K_CUT] * (vm - law[:, nw.V_CUT]))), 1.0)
    parts = []
    for c0, c1, c2, ce, exp, at_low, line, at_min, at_max in (
        (nw.P_0, nw.P_1, nw.P_2, nw.P_E, nw.P_EXP, nw.P_LOW, nw.P_LINE, nw.P_MIN, nw.P_MAX),
        (nw.Q_0, nw.Q_1, nw.Q_2, nw.Q_E, nw.Q_EXP, nw.Q_LOW, nw.Q_LINE, nw.Q_MIN, nw.Q_MAX),
    ):
        inside = law[:, c0] + law[:, c1] * vm + law[:, c2] * m2 + law[:, ce] * vm ** law[:, exp]
        between = (law[:, line] + t * (law[:, at_min] * high - law[:, line])) * vm
        above = np.where(m2 > law[:, nw.V_MAX], law[:, at_max] * m2, inside)
        power = np.where(m2 < law[:, nw.V_MIN], between, above) * on
        parts.append(np.where((m2 < law[:, nw.V_MIN]) & (vm <= low), law[:, at_low] * m2, power))
    power_mva: Complexes = parts[0] + 1j * parts[1]
    return power_mva
