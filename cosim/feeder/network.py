"""One network as plain arrays: what is left of a feeder once its file was read.

A network is nodes, elements between them, and injections. Balanced feeders have one node a bus;
unbalanced ones one node a bus and phase (`671.2`), neutral points included. An **element** (line,
transformer, capacitor, reactor, source impedance) is a primitive admittance matrix over its
conductors, each of which ends at a node or at ground; so every winding connection there is enters
alike, and losses, flows and faults need nothing else. An **injection** (load, generator) draws its
power in legs: between two nodes, or one node and ground, under a law of the voltage across.

Per unit on 1 MVA and the nominal voltage of each node, so an admittance is in pu and a power in pu
is one in MW. The nominal voltage is line to line where a node is a whole bus, line to ground where
it is a phase. Consumption is positive for injections; generation positive for gens.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Names = NDArray[np.str_]


LINE, TRAFO, TRAFO3W_HV, TRAFO3W_MV, TRAFO3W_LV, IMPEDANCE, XWARD, CAPACITOR, REACTOR, SOURCE = range(10)
"""Kinds of element."""

SWITCH_BUS, SWITCH_ELEMENT = range(2)
"""Kinds of switch: between two nodes, or at one terminal of an element."""

LOAD, SGEN, STORAGE, MOTOR, WARD, XWARD_PQ = range(6)
"""Kinds of injection; loads come first, so load k is injection k. SGEN is every generator of given power."""

# Columns of leg_shape. With m = |U| in pu of the leg's node, an injection of p + jq draws in its leg, times its share,
#   up to V_LOW:            p P_LOW m^2  +  j q Q_LOW m^2
#   from V_LOW to V_MIN:    p m I_P(m)  +  j q m I_Q(m): currents that go in a straight line in m, I_P from P_LINE
#                           at V_LOW to P_MIN V_MIN at V_MIN, I_Q from Q_LINE to Q_MIN V_MIN
#   above V_MIN, to V_MAX:  p (P_0 + P_1 m + P_2 m^2 + P_E m^P_EXP)  +  j q (Q_0 + Q_1 m + Q_2 m^2 + Q_E m^Q_EXP)
#   above V_MAX:            p P_MAX m^2  +  j q Q_MAX m^2
# and above V_LOW all of it times 1 / (1 + exp(-K_CUT (m - V_CUT))) where K_CUT > 0: contactors that drop out.
# V_LOW = V_MIN where there is no line between; V_MIN = 0 and V_MAX = inf where the law holds at any voltage.
# V_MIN = NaN leaves it to the scenario (`feeder.vmin_pu`), with the admittance at V_MIN below.
(P_0, P_1, P_2, P_E, P_EXP, Q_0, Q_1, Q_2, Q_E, Q_EXP, V_LOW, V_MIN, V_MAX,
 P_LOW, P_MIN, P_MAX, Q_LOW, Q_MIN, Q_MAX, P_LINE, Q_LINE, V_CUT, K_CUT) = range(23)  # fmt: skip
N_SHAPE: Final = 23

FIRST_NEUTRAL: Final = 4
"""Number of a node from which on it is a neutral, as `bus.4` of a four-wire line; phases are 1, 2 and 3."""
MOST_NEUTRAL_PU: Final = 0.5
"""With more voltage than this in the network as it stands such a node is no neutral. [pu]"""

TAP, STEP = range(2)
"""Kinds of device: a transformer winding with taps, a capacitor bank with steps."""


@dataclass(frozen=True)
class Network:
    """Arrays of one network; fields of equal prefix belong together.

    Nodes beyond `node_name.size` are internal: star points of three-winding transformers, voltage
    sources inside extended wards, and the emf of sources behind an impedance.
    """

    is_balanced: bool
    """One node a bus; else one a phase, and `bus_name` is not `node_name`."""
    f_hz: float
    """Frequency for which its impedances are. [Hz]"""
    bus_name: Names
    bus_xy: Floats
    """[n_bus, 2]: coordinates for a picture, NaN where there are none."""

    node_name: Names
    """Unique ids of the named nodes: a bus where balanced, else `bus.phase`."""
    node_bus: Ints
    """Bus of each named node."""
    node_phase: Ints
    """0 for a whole bus, else 1, 2, 3, and FIRST_NEUTRAL upwards for neutrals and a second circuit's phases."""
    node_vn_kv: Floats
    """Of every node, internal ones included: line to line where balanced, else line to ground."""
    node_in_service: Bools
    node_y_shunt: Complexes
    """Shunts that count as load: pandapower's shunts and wards; elements otherwise. [pu]"""
    node_v: Complexes
    """Solved voltage of the network as it stands, zero where de-energized. [pu]"""

    el_kind: Ints
    el_name: Names
    """Unique within its kind; the three legs of a three-winding transformer share one."""
    el_in_service: Bools
    el_ptr: Ints
    """[E + 1]: conductors of element e are `el_ptr[e]:el_ptr[e + 1]`, those of its first terminal first."""
    el_node: Ints
    """[K] node of each conductor, -1 at ground."""
    el_terminal: Ints
    """[K] terminal of each conductor, from 0."""
    el_y: Complexes
    """Primitive admittances, row by row, one element behind the other (k * k entries each). [pu]"""
    el_loading: Floats
    """[K] loading per current of each conductor, 0 without a rating. [percent/pu]"""

    switch_name: Names
    switch_kind: Ints
    switch_from: Ints
    """SWITCH_BUS: a node. SWITCH_ELEMENT: the element."""
    switch_to: Ints
    """SWITCH_BUS: the other node. SWITCH_ELEMENT: the terminal."""
    switch_closed: Bools
    switch_y: Complexes
    """Admittance of a closed SWITCH_BUS, zero where it is ideal. [pu]"""

    inj_name: Names
    """Unique within its kind."""
    inj_kind: Ints
    inj_s_mva: Complexes
    """Power at rated voltage, consumption positive, zero where out of service. [MVA]"""
    inj_profile: Ints
    """[n_inj, 3]: row of `profile_name` for daily, yearly and duty time, -1 without one."""
    leg_inj: Ints
    """[L] injection of each leg, ascending."""
    leg_node: Ints
    """[L, 2] nodes, the second -1 at ground; both of one nominal voltage."""
    leg_share: Floats
    """[L] part of the injection's power. [1]"""
    leg_shape: Floats
    """[L, N_SHAPE] law of the voltage across."""

    profile_name: Names
    profile_step_s: Floats
    profile_ptr: Ints
    profile_p: Floats
    """Factors on active power (or powers in MW where `profile_is_power`), step after step."""
    profile_q: Floats
    """The same for reactive power."""
    profile_is_power: Bools

    source_name: Names
    source_node: Ints
    """Nodes of given voltage: named ones of ideal sources, internal ones behind a SOURCE element."""
    source_terminal: Ints
    """Node at which each is metered: its own, or the outer one of its SOURCE element."""
    source_v: Complexes
    """Set-point. [pu]"""
    gen_node: Ints
    """Voltage-controlled generators, balanced ones only."""
    gen_p_mw: Floats
    gen_vm_pu: Floats

    dev_name: Names
    dev_kind: Ints
    dev_el: Ints
    """Element whose admittance a state of the device is."""
    dev_state: Ints
    """State in which the network stands, counted from 0."""
    dev_low: Ints
    """TAP: number of the tap of state 0 (taps count from neutral); STEP: 0, and a state is the number of steps on."""
    dev_value: Floats
    """TAP: ratio of every state [pu]; STEP: rated power of every state [Mvar]; one device behind the other."""
    dev_ptr: Ints
    """[D + 1] into `dev_value`."""
    dev_y: Complexes
    """Primitive admittance of the element in every state, states and devices one behind the other. [pu]"""

    controls: str
    """What moves the devices, as JSON of `cosim.feeder.controls`; empty without any."""

    notes: Names = field(default_factory=lambda: np.zeros(0, np.str_))
    """What its file holds that the network does not follow, a sentence each."""

    el_y0: Complexes = field(default_factory=lambda: np.zeros(0, np.complex128))
    """Zero-sequence admittances of a balanced network in the order of `el_y`, NaN where its file has no data. [pu]"""
    source_zero: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    """[n_source, 2] zero over positive sequence of sources' impedances, resistance and reactance, NaN likewise. [1]"""

    gen_z: Complexes = field(default_factory=lambda: np.zeros(0, np.complex128))
    """Subtransient impedance of every voltage-controlled generator; 0 holds its voltage beside a fault too. [pu]"""
    gen_z_assumed: Bools = field(default_factory=lambda: np.zeros(0, bool))
    """Whether its file has no reactance, so that a usual one was taken."""

    @property
    def n_node(self) -> int:
        """Number of named nodes."""
        return int(self.node_name.size)

    @property
    def is_neutral(self) -> Bools:
        """[n_node] whether a named node is a neutral: near ground by design, it supplies nobody and has no limits.

        A node from 4 on that has voltage as the network stands is a phase of a second circuit on the same poles.
        """
        neutral: Bools = (self.node_phase >= FIRST_NEUTRAL) & (np.abs(self.node_v[: self.n_node]) < MOST_NEUTRAL_PU)
        return neutral

    def nodes_of_bus(self, bus: int) -> Ints:
        """Named nodes of a bus, in the order of their phases."""
        rows = np.flatnonzero(self.node_bus == bus)
        ordered: Ints = rows[np.argsort(self.node_phase[rows], kind="stable")]
        return ordered

    def save(self, file: IO[bytes]) -> None:
        """Write all arrays as one .npz."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        np.savez(file, **arrays)

    @classmethod
    def load(cls, file: IO[bytes]) -> Network:
        """Read what `save` wrote.

        Raises
        ------
        KeyError, ValueError, OSError
            If the file is not whole.
        """
        with np.load(file, allow_pickle=False) as stored:
            read = {f.name: stored[f.name] for f in fields(cls)}
        read |= {name: kind(read[name]) for name, kind in (("is_balanced", bool), ("f_hz", float), ("controls", str))}
        return cls(**read)
