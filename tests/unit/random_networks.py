"""Small unbalanced networks drawn at random: lines of one to three phases, wye and delta legs under all laws."""

from __future__ import annotations

import numpy as np

from cosim.feeder import network as nw
from cosim.feeder.network import Network

TURN = np.exp(-2j * np.pi / 3 * np.arange(3))


class Draft:
    """Elements and injections as they are added, with their names."""

    def __init__(self):
        self.nodes, self.elements, self.legs, self.powers = [], [], [], []

    def add_bus(self, bus, phases):
        first = len(self.nodes)
        self.nodes += [(bus, phase) for phase in phases]
        return dict(zip(phases, range(first, len(self.nodes)), strict=True))

    def add(self, kind, ends, y):
        """An element with one list of nodes a terminal."""
        self.elements.append((kind, ends, np.asarray(y, complex)))
        return len(self.elements) - 1

    def inject(self, s_mva, pairs, law):
        self.powers.append(s_mva)
        self.legs += [(len(self.powers) - 1, a, b, 1 / len(pairs), law) for a, b in pairs]


def constant_power(**columns):
    """A law: constant power inside the window, and what else is given."""
    law = np.zeros(nw.N_SHAPE)
    law[[nw.P_0, nw.Q_0]] = 1.0
    law[nw.V_MAX] = np.inf
    for name, value in columns.items():
        law[getattr(nw, name)] = value
    return law


def drawn_law(rng, v_min=0.8, v_max=1.3):
    """A continuous law: shares of power, current, impedance, an exponent; lines and admittances outside its window."""
    p, q = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4))
    law = np.zeros(nw.N_SHAPE)
    law[[nw.P_0, nw.P_1, nw.P_2, nw.P_E]], law[[nw.Q_0, nw.Q_1, nw.Q_2, nw.Q_E]] = p, q
    law[[nw.P_EXP, nw.Q_EXP]] = rng.uniform(0.3, 3.5, 2)
    law[nw.V_MIN], law[nw.V_MAX] = v_min, v_max
    law[nw.V_LOW] = v_min if rng.random() < 0.5 else rng.uniform(0.3, 0.6)
    inside = {k: law[k] + law[k + 1] * v_min + law[k + 2] * v_min**2 + law[k + 3] * v_min ** law[k + 4] for k in (0, 5)}
    above = {k: law[k] + law[k + 1] * v_max + law[k + 2] * v_max**2 + law[k + 3] * v_max ** law[k + 4] for k in (0, 5)}
    for k, low, at_min, at_max, line in (
        (nw.P_0, nw.P_LOW, nw.P_MIN, nw.P_MAX, nw.P_LINE),
        (nw.Q_0, nw.Q_LOW, nw.Q_MIN, nw.Q_MAX, nw.Q_LINE),
    ):
        law[at_min], law[at_max] = inside[k] / v_min**2, above[k] / v_max**2
        law[low] = law[at_min] if law[nw.V_LOW] == v_min else rng.uniform(0.5, 1.2)
        law[line] = law[low] * law[nw.V_LOW]
    return law


def line_admittance(rng, n, size_pu):
    """A line of n coupled phases with a little charging. [pu]"""
    mixed = rng.uniform(0.1, 0.3, (n, n))
    z = (np.diag(rng.uniform(0.8, 1.2, n)) + (mixed + mixed.T) / 2) * (0.4 + 1j) * size_pu
    y, charge = np.linalg.inv(z), 1j * 1e-3 * np.eye(n)
    return np.block([[y + charge, -y], [-y, y + charge]])


def drawn_network(rng, *, n_bus=6, meshed=False, load_mw=1.0, lateral=True, source_y=None) -> Network:
    """A tree of buses behind a three-phase source, perhaps with a loop; every bus has an injection.

    Parameters
    ----------
    source_y : complex, optional
        Admittance of the source; ideal without it. [pu]
    """
    draft = Draft()
    buses = [draft.add_bus("b0", (1, 2, 3))]
    for k in range(1, n_bus):
        above = int(rng.integers(0, k))
        phases = tuple(buses[above])
        if lateral and k > 2 and rng.random() < 0.4:
            phases = tuple(
                sorted(rng.choice(phases, size=int(rng.integers(1, len(phases) + 1)), replace=False).tolist())
            )
        own = draft.add_bus(f"b{k}", phases)
        ends = [[buses[above][p] for p in phases], list(own.values())]
        draft.add(nw.LINE, ends, line_admittance(rng, len(phases), rng.uniform(0.005, 0.02)))
        buses.append(own)
    if meshed:
        full = [bus for bus in buses[1:] if len(bus) == 3]
        draft.add(nw.LINE, [list(full[0].values()), list(full[-1].values())] if len(full) > 1 else
                  [list(buses[0].values()), list(full[0].values())], line_admittance(rng, 3, 0.02))  # fmt: skip
    for bus in buses[1:]:
        nodes = list(bus.values())
        s = load_mw * rng.uniform(0.05, 0.3) * complex(1, rng.uniform(-0.1, 0.6)) * len(nodes)
        delta = len(nodes) > 1 and rng.random() < 0.4
        pairs = (
            [(a, b) for a, b in zip(nodes, nodes[1:] + nodes[:1], strict=True)] if delta else [(a, -1) for a in nodes]
        )
        if len(nodes) == 2 and delta:
            pairs = pairs[:1]
        stretch = 3**0.5 if delta else 1.0
        draft.inject(s, pairs, stretched(drawn_law(rng), stretch))
    emf = rng.uniform(0.98, 1.05) * TURN * np.exp(1j * rng.uniform(-0.2, 0.2)) * rng.uniform(0.99, 1.01, 3)
    return network_of(draft, list(buses[0].values()), emf, source_y)


def stretched(law, factor):
    """The same law of a voltage `factor` times as large, as between two phases."""
    law = law.copy()
    for k in (nw.P_0, nw.Q_0):
        law[k + 1] /= factor
        law[k + 2] /= factor**2
        law[k + 3] /= factor ** law[k + 4]
    law[[nw.V_LOW, nw.V_MIN, nw.V_MAX]] *= factor
    law[[nw.P_LOW, nw.P_MIN, nw.P_MAX, nw.Q_LOW, nw.Q_MIN, nw.Q_MAX]] /= factor**2
    law[[nw.P_LINE, nw.Q_LINE]] /= factor
    return law


def network_of(draft, source_nodes, emf, source_y=None, devices=(), switches=()) -> Network:
    """The arrays of a draft.

    Parameters
    ----------
    devices : sequence of (name, kind, element, admittances of all states, present state)
    switches : sequence of (name, element, terminal, closed)
    """
    n_named = len(draft.nodes)
    elements = list(draft.elements)
    inner = list(range(n_named, n_named + len(emf))) if source_y is not None else list(source_nodes)
    if source_y is not None:
        eye = source_y * np.eye(len(emf))
        elements.append((nw.SOURCE, [list(source_nodes), inner], np.block([[eye, -eye], [-eye, eye]])))
    sizes = [sum(map(len, ends)) for _, ends, _ in elements]
    n_node = n_named + (len(emf) if source_y is not None else 0)
    node_v = np.array([TURN[p - 1] for _, p in draft.nodes] + ([*emf] if source_y is not None else []), complex)
    bus_names = list(dict.fromkeys(bus for bus, _ in draft.nodes))
    kind = np.array([k for k, _, _ in elements])
    y = [block for _, _, block in elements]
    for _, _, e, states, at in devices:
        y[e] = np.asarray(states[at], complex)
    none_i, none_f = np.zeros(0, np.int64), np.zeros(0)
    return Network(
        is_balanced=False,
        f_hz=60.0,
        bus_name=np.array(bus_names),
        bus_xy=np.full((len(bus_names), 2), np.nan),
        node_name=np.array([f"{bus}.{phase}" for bus, phase in draft.nodes]),
        node_bus=np.array([bus_names.index(bus) for bus, _ in draft.nodes]),
        node_phase=np.array([phase for _, phase in draft.nodes]),
        node_vn_kv=np.full(n_node, 7.2),
        node_in_service=np.ones(n_node, bool),
        node_y_shunt=np.zeros(n_node, complex),
        node_v=node_v,
        el_kind=kind,
        el_name=np.array([f"e{k}" for k in range(kind.size)]),
        el_in_service=np.ones(kind.size, bool),
        el_ptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        el_node=np.array([node for _, ends, _ in elements for end in ends for node in end]),
        el_terminal=np.array([t for _, ends, _ in elements for t, end in enumerate(ends) for _ in end]),
        el_y=np.concatenate([block.ravel() for block in y]),
        el_loading=np.zeros(sum(sizes)),
        switch_name=np.array([s[0] for s in switches], str),
        switch_kind=np.full(len(switches), nw.SWITCH_ELEMENT),
        switch_from=np.array([s[1] for s in switches], np.int64),
        switch_to=np.array([s[2] for s in switches], np.int64),
        switch_closed=np.array([s[3] for s in switches], bool),
        switch_y=np.zeros(len(switches), complex),
        inj_name=np.array([f"load{k}" for k in range(len(draft.powers))], str),
        inj_kind=np.full(len(draft.powers), nw.LOAD),
        inj_s_mva=np.array(draft.powers, complex),
        inj_profile=np.full((len(draft.powers), 3), -1),
        leg_inj=np.array([leg[0] for leg in draft.legs], np.int64),
        leg_node=np.array([leg[1:3] for leg in draft.legs], np.int64).reshape(-1, 2),
        leg_share=np.array([leg[3] for leg in draft.legs], float),
        leg_shape=np.array([leg[4] for leg in draft.legs]).reshape(-1, nw.N_SHAPE),
        profile_name=np.zeros(0, str),
        profile_step_s=none_f,
        profile_ptr=np.zeros(1, np.int64),
        profile_p=none_f,
        profile_q=none_f,
        profile_is_power=np.zeros(0, bool),
        source_name=np.array([f"source.{k + 1}" for k in range(len(emf))]),
        source_node=np.array(inner),
        source_terminal=np.array(source_nodes),
        source_v=np.array(emf, complex),
        gen_node=none_i,
        gen_p_mw=none_f,
        gen_vm_pu=none_f,
        dev_name=np.array([d[0] for d in devices], str),
        dev_kind=np.array([d[1] for d in devices], np.int64),
        dev_el=np.array([d[2] for d in devices], np.int64),
        dev_state=np.array([d[4] for d in devices], np.int64),
        dev_low=np.zeros(len(devices), np.int64),
        dev_value=np.concatenate([np.arange(len(d[3])) for d in devices] or [none_f]).astype(float),
        dev_ptr=np.concatenate([[0], np.cumsum([len(d[3]) for d in devices])]).astype(np.int64),
        dev_y=np.concatenate([np.asarray(y, complex).ravel() for d in devices for y in d[3]] or [none_f]).astype(
            complex
        ),
        controls="",
    )
