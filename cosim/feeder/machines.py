"""Voltage-controlled generators: at their P and |U| as in `runpp`; beside a fault an emf behind an impedance.

A synchronous machine keeps the flux of its field, so that for the time of a fault it acts as a constant emf E behind
its subtransient impedance z: U = E + z I, I into the machine (Kundur 1994, 13.3; IEC 60909-0). E is that of the instant
before the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.network import Complexes, Floats, Network
from cosim.feeder.topology import Topology


@dataclass
class Machine:
    """Generators at one free energized row, which act as one."""

    row: int
    p_mw: float
    vm_pu: float
    z: complex
    """Of all in parallel. [pu]"""
    members: list[int]
    """Generators of the network."""


def place_machines(net: Network, top: Topology) -> list[Machine]:
    """Voltage-controlled generators, one a free energized row."""
    found: dict[int, Machine] = {}
    for k, (node, p, vm) in enumerate(zip(net.gen_node, net.gen_p_mw, net.gen_vm_pu, strict=True)):
        row, z = int(top.node[node]), complex(net.gen_z[k])
        if not 0 <= row < top.n_free:
            continue
        if row in found:
            one = found[row]
            one.p_mw, one.vm_pu = one.p_mw + float(p), float(vm)
            one.z = one.z * z / (one.z + z) if one.z + z != 0 else 0j
            one.members.append(k)
        else:
            found[row] = Machine(row, float(p), float(vm), z, [k])
    return list(found.values())


def machine_laws(machines: Sequence[Machine], emf: Complexes | None) -> Floats:
    """Rows of `FeederArrays.port_law`; with emfs [n_gen] as these behind their impedances. [pu]"""
    law = np.zeros((len(machines), ix.N_PORT_LAW))
    for row, one in zip(law, machines, strict=True):
        row[[ix.PORT_GEN_P, ix.PORT_GEN_VM]] = one.p_mw, one.vm_pu
        if emf is not None and np.isfinite(emf[one.members[0]]):
            own = emf[one.members[0]]
            row[[ix.PORT_GEN_HELD, ix.PORT_GEN_EX, ix.PORT_GEN_EY]] = 1.0, own.real, own.imag
            row[[ix.PORT_GEN_R, ix.PORT_GEN_X]] = one.z.real, one.z.imag
    return law


@dataclass(frozen=True)
class Held:
    """What generators keep while there is a fault, and what solutions start from when it is gone."""

    emf: Complexes
    """[n_gen] behind each one's impedance, NaN where it was de-energized. [pu]"""
    v_node: Complexes
    """Voltage of every node of the network before. [pu]"""


def machine_emf(net: Network, top: Topology, f: FeederArrays) -> Complexes:
    """Emf behind each generator's impedance at the solution in f [n_gen], NaN where it is de-energized. [pu]"""
    emf = np.full(net.gen_node.size, np.nan, np.complex128)
    first = int(f.site_ptr[-1])
    for k, one in enumerate(place_machines(net, top), start=first):
        v = complex(f.v[2 * one.row], f.v[2 * one.row + 1])
        emf[one.members] = v - one.z * complex(f.current[2 * k], f.current[2 * k + 1])
    return emf
