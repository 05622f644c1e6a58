"""A small feeder with devices, and a plain power flow that moves them: for tests of controls."""

from __future__ import annotations

import numpy as np

from cosim.feeder import network as nw
from cosim.feeder.network import Network

TAPS = np.arange(-8, 9)
RATIO_PER_TAP = 0.0125
BANK_MVAR = 2.0


def small_network(*, tap_on_hv: bool = True, n_steps: int = 2, phases: tuple[int, ...] = ()) -> Network:
    """110/20 kV transformer, a line, and at its end a load, a capacitor bank and a generator.

    Without phases it is balanced; with them each phase is a circuit of its own, the bank and transformer ganged.
    """
    n_phase = max(1, len(phases))
    share = n_phase  # per phase a third of the power, on a third of the base
    buses = ("hv", "lv", "end")
    names = [f"{bus}.{phase}" if phases else bus for bus in buses for phase in (phases or (0,))]
    node = {name: row for row, name in enumerate(names)}
    rows = {bus: [node[name] for name in names if name.split(".")[0] == bus] for bus in buses}
    kv = {"hv": 110.0, "lv": 20.0, "end": 20.0}
    z_trafo, z_line = (0.004 + 0.12j) / 25 * share, (0.5 + 0.6j) * 3 / 20**2 * share

    def two_port(y: complex, ratio: float) -> np.ndarray:
        a, b = (ratio, 1.0) if tap_on_hv else (1.0, ratio)
        eye = np.eye(n_phase)
        return np.block([[y / a**2 * eye, -y / (a * b) * eye], [-y / (a * b) * eye, y / b**2 * eye]])

    trafo = [two_port(1 / z_trafo, 1 + RATIO_PER_TAP * tap) for tap in TAPS]
    bank = [np.eye(n_phase) * 1j * BANK_MVAR * step / n_steps / share for step in range(n_steps + 1)]
    y = [trafo[8], two_port(1 / z_line, 1.0), bank[0]]
    el_node = [*rows["hv"], *rows["lv"], *rows["lv"], *rows["end"], *rows["end"]]
    el_terminal = np.concatenate([np.repeat([0, 1], n_phase), np.repeat([0, 1], n_phase), np.zeros(n_phase)])
    shape = np.zeros((2 * n_phase, nw.N_SHAPE))
    empty_i, empty_f = np.zeros(0, np.int64), np.zeros(0)
    return Network(
        is_balanced=not phases,
        f_hz=60.0,
        bus_name=np.array(buses),
        bus_xy=np.full((3, 2), np.nan),
        node_name=np.array(names),
        node_bus=np.repeat([0, 1, 2], n_phase),
        node_phase=np.tile(phases or (0,), 3),
        node_vn_kv=np.array([kv[name.split(".")[0]] for name in names]) / (3**0.5 if phases else 1.0),
        node_in_service=np.ones(len(names), bool),
        node_y_shunt=np.zeros(len(names), complex),
        node_v=np.ones(len(names), complex),
        el_kind=np.array([nw.TRAFO, nw.LINE, nw.CAPACITOR]),
        el_name=np.array(["t1", "l1", "c1"]),
        el_in_service=np.ones(3, bool),
        el_ptr=np.array([0, 2, 4, 5]) * n_phase,
        el_node=np.array(el_node),
        el_terminal=el_terminal.astype(np.int64),
        el_y=np.concatenate([part.ravel() for part in y]).astype(complex),
        el_loading=np.zeros(len(el_node)),
        switch_name=np.array([], str),
        switch_kind=empty_i,
        switch_from=empty_i,
        switch_to=empty_i,
        switch_closed=np.zeros(0, bool),
        switch_y=np.zeros(0, complex),
        inj_name=np.array(["d1", "g1"]),
        inj_kind=np.array([nw.LOAD, nw.SGEN]),
        inj_s_mva=np.array([8.0 + 3.0j, -2.0 + 0j]),
        inj_profile=np.full((2, 3), -1),
        leg_inj=np.repeat([0, 1], n_phase),
        leg_node=np.array([[row, -1] for row in rows["end"] * 2]),
        leg_share=np.full(2 * n_phase, 1 / n_phase),
        leg_shape=shape,
        profile_name=np.array([], str),
        profile_step_s=empty_f,
        profile_ptr=np.zeros(1, np.int64),
        profile_p=empty_f,
        profile_q=empty_f,
        profile_is_power=np.zeros(0, bool),
        source_name=np.array(["s"]),
        source_node=np.array(rows["hv"][:1]),
        source_terminal=np.array(rows["hv"][:1]),
        source_v=np.ones(1, complex),
        gen_node=empty_i,
        gen_p_mw=empty_f,
        gen_vm_pu=empty_f,
        dev_name=np.array(["t1", "c1"]),
        dev_kind=np.array([nw.TAP, nw.STEP]),
        dev_el=np.array([0, 2]),
        dev_state=np.array([8, 0]),
        dev_low=np.array([-8, 0]),
        dev_value=np.concatenate([1 + RATIO_PER_TAP * TAPS, BANK_MVAR * np.arange(n_steps + 1) / n_steps]),
        dev_ptr=np.array([0, 17, 17 + n_steps + 1]),
        dev_y=np.concatenate([part.ravel() for part in (*trafo, *bank)]).astype(complex),
        controls="",
    )


class PlainFeeder:
    """Moves devices and injections of a network and solves it by repetition."""

    def __init__(self, network: Network):
        self.net = network
        self.states = {str(name): int(state) for name, state in zip(network.dev_name, network.dev_state, strict=True)}
        self.s_mva = {str(name): complex(s) for name, s in zip(network.inj_name, network.inj_s_mva, strict=True)}
        self.source_pu = 1.0

    def set_device(self, name: str, state: int) -> None:
        self.states[name] = state

    def set_injection_q(self, name: str, q_mvar: float) -> None:
        self.s_mva[name] = self.s_mva[name].real + 1j * q_mvar

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Voltages of nodes and currents of conductors. [pu]"""
        net, n = self.net, self.net.n_node
        blocks = self._blocks()
        y = np.zeros((n, n), complex)
        for row, block in enumerate(blocks):
            nodes = net.el_node[net.el_ptr[row] : net.el_ptr[row + 1]]
            y[np.ix_(nodes, nodes)] += block
        held = np.flatnonzero(net.node_bus == 0)
        free = np.flatnonzero(net.node_bus != 0)
        v = np.exp(-2j * np.pi / 3 * np.maximum(net.node_phase - 1, 0)) * self.source_pu
        for _ in range(200):
            i = np.zeros(n, complex)
            for leg, inj in enumerate(net.leg_inj):
                node = net.leg_node[leg, 0]
                i[node] -= np.conj(self.s_mva[str(net.inj_name[inj])] * net.leg_share[leg] / v[node])
            found = np.linalg.solve(y[np.ix_(free, free)], i[free] - y[np.ix_(free, held)] @ v[held])
            change, v[free] = np.abs(found - v[free]).max(), found
            if change < 1e-12:
                break
        else:
            raise AssertionError("the plain power flow does not converge")
        flows = [block @ v[net.el_node[net.el_ptr[k] : net.el_ptr[k + 1]]] for k, block in enumerate(blocks)]
        return v, np.concatenate(flows)

    def _blocks(self) -> list[np.ndarray]:
        net = self.net
        sizes = np.diff(net.el_ptr)
        first = np.concatenate([[0], np.cumsum(sizes**2)])
        blocks = [net.el_y[first[k] : first[k + 1]].reshape(sizes[k], sizes[k]) for k in range(3)]
        at = 0
        for device, name in enumerate(net.dev_name):
            k, n_state = net.dev_el[device], net.dev_ptr[device + 1] - net.dev_ptr[device]
            mine = at + self.states[str(name)] * sizes[k] ** 2
            blocks[k] = net.dev_y[mine : mine + sizes[k] ** 2].reshape(sizes[k], sizes[k])
            at += n_state * sizes[k] ** 2
        return blocks

    def fill(self, desk) -> None:
        """Solve and write the desk's sensor values."""
        values = desk.rows.values(*self.solve())
        desk.values[:, 0], desk.values[:, 1] = values.real, values.imag
