"""A feeder compiled for its data centers: arrays for the kernels, and the operations that change them."""

from __future__ import annotations

import cmath
import difflib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.errors import InputError, PhysicsError, Problem
from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays, empty_state
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.network import LINE, LOAD, MOTOR, SGEN, TRAFO, TRAFO3W_HV, Complexes, Floats, Network
from cosim.feeder.topology import Topology, build_topology

_LINE_SWITCH = "line:"


def named(names: tuple[str, ...], name: str, what: str) -> int:
    """Position of a name.

    Raises
    ------
    InputError
        If the feeder lacks it; names the nearest ones.
    """
    try:
        return names.index(name)
    except ValueError:
        near = difflib.get_close_matches(str(name), names, 3, 0.5) or list(names[:3])
        hint = f"; nearest: {', '.join(near)}" if near else f"; it has no {what}"
        raise InputError(Problem(f"the feeder has no such {what}{hint}", value=name)) from None


class CompiledFeeder:
    """A feeder ready for the advance loop.

    `arrays` is what the kernels work on; it is replaced (never resized) by `set_switch` and by
    `restore`, and kept by everything else. Every method that changes something marks it dirty, so
    `change_bound` is infinite until the next `solve`.

    Parameters
    ----------
    network : Network
    ports : sequence of str
        Bus of each data center.
    config, source : optional
        Defaults: the network as it stands behind its own ideal sources.

    Raises
    ------
    InputError
        If a port's bus does not exist or no source is in service.
    PhysicsError
        If the feeder alone has no solution (only checked where the source has an impedance).
    """

    def __init__(
        self,
        network: Network,
        ports: Sequence[str],
        config: FeederConfig | None = None,
        source: SourceConfig | None = None,
    ) -> None:
        self.network = network
        self.config = config or FeederConfig(model="feeder")
        self.source = source or SourceConfig()
        self.bus_names: tuple[str, ...] = tuple(network.bus_name.tolist())
        self.line_names: tuple[str, ...] = tuple(network.line_name.tolist())
        self.trafo_names: tuple[str, ...] = tuple(network.trafo_name.tolist())
        self.load_names: tuple[str, ...] = tuple(network.load_name.tolist())
        lines = tuple(_LINE_SWITCH + name for name in self.line_names)
        self.switch_names: tuple[str, ...] = tuple(network.switch_name.tolist()) + lines
        self.port_names = tuple(ports)
        self._port_bus = np.array([named(self.bus_names, b, "bus") for b in ports], np.int64)
        self._closed = network.switch_closed.copy()
        self._line_on = network.branch_in_service[network.branch_kind == LINE].copy()
        scaled = np.isin(network.inj_kind, (LOAD, MOTOR))
        self._inj_s_start = network.inj_s_mva * np.where(scaled, self.config.load_scaling, 1.0)
        self._inj_s = self._inj_s_start.copy()
        self._lost = self._dark = False
        self._emf = _set_points(network, self.source)
        self._seen: dict[bytes, Topology] = {}
        self._z = 0j
        self.arrays = self._build(network.bus_v)
        if self.source.z_pu:
            self._put_behind_impedance()

    # -- building

    def _topology(self) -> Topology:
        key = np.packbits(np.concatenate([self._closed, self._line_on])).tobytes()
        if key not in self._seen:
            self._seen[key] = build_topology(self.network, self._closed, self._line_on, self._z)
        return self._seen[key]

    def _build(self, v_bus: Complexes) -> FeederArrays:
        """Arrays of the present topology, starting from the given voltage of every bus."""
        net, top = self.network, self._topology()
        if top.source_row.size == 0:
            raise InputError("the feeder has no source in service (ext_grid or slack generator)")
        self._top = top
        gens = self._generators(top)
        load = self._loads(top)
        n_dc, n_load = self._port_bus.size, load["load_node"].size
        n_port = n_dc + len(gens)
        state = empty_state(top.n_free, top.n_node, n_dc, n_port, top.y.size)
        law = np.zeros((n_port, 5))
        law[n_dc:, [ix.PORT_GEN_P, ix.PORT_GEN_VM]] = np.array([g[1:] for g in gens]).reshape(-1, 2)
        sizes = np.zeros(ix.N_SIZES, np.int64)
        sizes[ix.N_FREE], sizes[ix.N_NODE] = top.n_free, top.n_node
        sizes[ix.N_DC], sizes[ix.N_PORT] = n_dc, n_port
        sizes[ix.N_LOAD] = n_load
        sizes[ix.N_LOAD_FREE] = int(np.sum(load["load_node"] < top.n_free))
        sizes[ix.N_BRANCH] = top.branch_y.shape[0]
        sizes[ix.N_LINE] = int(np.sum(net.branch_kind == LINE))
        sizes[ix.N_TRAFO] = int(np.sum(net.branch_kind == TRAFO))
        sizes[ix.N_TRAFO3W] = int(np.sum(net.branch_kind == TRAFO3W_HV))
        state["flags"][[ix.DIRTY, ix.SOURCE_ON]] = 1
        arrays = FeederArrays(
            sizes=sizes,
            port_node=np.concatenate([top.node[self._port_bus], [g[0] for g in gens]]).astype(np.int64),
            port_law=law,
            bus_node=top.node[: net.n_bus].copy(),
            lu_ptr=top.lu_ptr,
            lu_row=top.lu_row,
            lu_target=top.lu_target,
            tie_node=top.tie_node,
            tie_y=_pairs(top.tie_y),
            emf=_pairs(self._emf[top.source_row]),
            source_node=top.source_node,
            source_y=_pairs(np.full(top.source_row.size, 1 / self._z if self._z else 0j)),
            branch_node=top.branch_node,
            branch_y=np.hstack([_pairs(top.branch_y).reshape(-1, 8), top.branch_loading]),
            **load,
            **state,
        )
        self._start_from(arrays, v_bus)
        return arrays

    def _start_from(self, f: FeederArrays, v_bus: Complexes) -> None:
        """Start voltages by bus; without a value somewhere, start from no load instead."""
        top = self._top
        v = np.zeros(top.n_node, np.complex128)
        known = (top.node >= 0) & (v_bus != 0)
        v[top.node[known]] = v_bus[known]
        f.flags[ix.COLD] = int(np.any(v[: top.n_free] == 0))
        v[v == 0] = 1.0
        f.v[:] = _pairs(v).ravel()
        f.v_base[:] = f.v
        n_dc = f.sizes[ix.N_DC]
        f.current[2 * n_dc :] = _pairs(-drawn_currents(f, top, v)[f.port_node[n_dc:]]).ravel()

    def _generators(self, top: Topology) -> list[tuple[int, float, float]]:
        """Voltage-controlled generators (node, P, |U|), one per free energized node."""
        net, found = self.network, dict[int, tuple[int, float, float]]()
        for bus, p, vm in zip(net.gen_bus, net.gen_p_mw, net.gen_vm_pu, strict=True):
            node = int(top.node[bus])
            if 0 <= node < top.n_free:
                found[node] = (node, found.get(node, (0, 0.0))[1] + float(p), float(vm))
        return list(found.values())

    def _loads(self, top: Topology) -> dict[str, Any]:
        """Injections gathered per node by voltage law, and the diagonal with the constant impedances."""
        net = self.network
        node = top.node[net.inj_bus]
        live = node >= 0
        share = net.inj_share
        p, q = self._inj_s.real, self._inj_s.imag
        sums = np.zeros((8, top.n_node))
        columns = [
            p * (1 - share[:, 0] - share[:, 1]),
            q * (1 - share[:, 2] - share[:, 3]),
            p * share[:, 0],
            q * share[:, 2],
            p * share[:, 1],
            q * share[:, 3],
            np.where(net.inj_kind == SGEN, -p, 0.0),
            np.where(net.inj_kind == SGEN, -q, 0.0),
        ]
        for total, column in zip(sums, columns, strict=True):
            np.add.at(total, node[live], column[live])
        for bus, gen_p in zip(net.gen_bus, net.gen_p_mw, strict=True):
            at = top.node[bus]
            if at >= top.n_free:  # at an ideal source: its own power, the source holds the voltage
                sums[[0, 6], at] += [-gen_p, gen_p]
        used = np.flatnonzero(np.any(sums[[0, 1, 2, 3, 6, 7]] != 0, axis=0))
        y = top.y.copy()
        y[: top.n_free] += (sums[4] - 1j * sums[5])[: top.n_free]
        scale = float(np.abs(sums).sum() + np.abs(net.gen_p_mw).sum())
        law = np.zeros((used.size, ix.N_LOAD_LAW))
        law[:, :6] = sums[[0, 1, 2, 3, 6, 7]][:, used].T
        return {
            "load_node": used.astype(np.int64),
            "load_law": law,
            "node_y": np.column_stack([sums[4], sums[5], top.shunt.real, -top.shunt.imag]),
            "y": _pairs(y),
            "params": np.array([self.config.vmin_pu, max(scale, 1e-6), 1.0, 0.0]),
        }

    def _put_behind_impedance(self) -> None:
        """Place the emf so that the terminals keep the voltage they have without a data center."""
        f = self.arrays
        status = solve(f)
        if status == ix.COLLAPSED:
            raise PhysicsError(
                "the feeder has no power flow solution even without a data center: "
                f"it carries {f.last_solvable[ix.LS_FRACTION]:.0%} of its load; lower feeder.load_scaling"
            )
        v = f.v[0::2] + 1j * f.v[1::2]
        at_source = drawn_currents(f, self._top, v)[self._top.source_node]
        self._emf = self._emf.copy()
        self._emf[self._top.source_row] += self.source.z_pu * at_source
        v_bus = self._bus_voltages()
        self._z = self.source.z_pu
        self._seen.clear()
        self.arrays = self._build(v_bus)

    # -- operating

    def _bus_voltages(self) -> Complexes:
        """Last voltage of every bus, internal ones included; zero where there is none. [pu]"""
        v = self.arrays.v[0::2] + 1j * self.arrays.v[1::2]
        return np.where(self._top.node >= 0, v[np.maximum(self._top.node, 0)], 0)

    def set_source(self, vm_factor: float = 1.0, va_shift_degree: float = 0.0) -> None:
        """Scale and turn the emf of every source (a voltage dip with a phase jump).

        Parameters
        ----------
        vm_factor : float
            What is left of the voltage; 0 darkens the feeder until another call. [1]
        va_shift_degree : float
            Phase jump, positive ahead. [degree]
        """
        if not (math.isfinite(vm_factor) and vm_factor >= 0 and math.isfinite(va_shift_degree)):
            raise InputError(f"a source voltage of {vm_factor} times its own at {va_shift_degree} degrees")
        f = self.arrays
        if vm_factor > 0 and f.params[ix.EMF_FACTOR] > 0:
            turn = math.radians(va_shift_degree) - f.params[ix.EMF_SHIFT_RAD]
            ratio = cmath.rect(vm_factor / f.params[ix.EMF_FACTOR], turn)
            f.v[:] = _pairs((f.v[0::2] + 1j * f.v[1::2]) * ratio).ravel()
        if vm_factor > 0:
            f.params[ix.EMF_FACTOR] = vm_factor
            f.params[ix.EMF_SHIFT_RAD] = math.radians(va_shift_degree)
        self._dark = vm_factor == 0
        self._energize()

    def lose_source(self) -> None:
        """Take all sources away: nothing is energized until `return_source`, whatever `set_source` says."""
        self._lost = True
        self._energize()

    def return_source(self) -> None:
        """Bring the sources back, at the voltage that `set_source` gave last."""
        self._lost = False
        self._energize()

    def _energize(self) -> None:
        self.arrays.flags[ix.SOURCE_ON] = int(not (self._lost or self._dark))
        self.arrays.flags[ix.DIRTY] = 1

    def set_switch(self, name: str, closed: bool) -> None:
        """Open or close a switch; `line:NAME` takes a whole line out of or into service."""
        k = named(self.switch_names, name, "switch")
        n_switch = self._closed.size
        states, at = (self._closed, k) if k < n_switch else (self._line_on, k - n_switch)
        if bool(states[at]) == closed:
            return
        states[at] = closed
        self._rebuild()

    def _rebuild(self) -> None:
        old, v_bus = self.arrays, self._bus_voltages()
        self.arrays = self._build(v_bus)
        for field in ("port_p_mw", "port_q_mvar", "port_v_min_pu"):
            getattr(self.arrays, field)[:] = getattr(old, field)
        self.arrays.params[ix.EMF_FACTOR :] = old.params[ix.EMF_FACTOR :]
        self.arrays.flags[ix.SOURCE_ON] = old.flags[ix.SOURCE_ON]

    def set_load(self, name: str, p_mw: float, q_mvar: float | None = None) -> None:
        """Give a load another power (at 1 pu, consumption positive; `load_scaling` does not apply).

        Without `q_mvar` its reactive power stays.
        """
        k = named(self.load_names, name, "load")
        q = float(self._inj_s[k].imag) if q_mvar is None else q_mvar
        if not (math.isfinite(p_mw) and math.isfinite(q)):
            raise InputError(f"load {name}: p_mw={p_mw}, q_mvar={q} must be finite")
        self._set_injection(k, complex(p_mw, q))

    def scale_load(self, name: str, factor: float) -> None:
        """Give a load `factor` times the power it started with, `load_scaling` included. [1]"""
        k = named(self.load_names, name, "load")
        if not (math.isfinite(factor) and factor >= 0):
            raise InputError(f"load {name}: factor={factor} must be finite and not negative")
        self._set_injection(k, complex(self._inj_s_start[k]) * factor)

    def _set_injection(self, k: int, s_mva: complex) -> None:
        self._inj_s[k] = s_mva
        fresh = self._loads(self._top)
        same = np.array_equal(fresh["load_node"], self.arrays.load_node)
        if not same:
            self._rebuild()
            return
        for field in ("load_law", "node_y", "y"):
            getattr(self.arrays, field)[:] = fresh[field]
        self.arrays.params[ix.SCALE_MW] = fresh["params"][ix.SCALE_MW]
        self.arrays.flags[ix.DIRTY] = 1

    # -- state

    def state(self) -> dict[str, np.ndarray]:
        """Copy of everything that depends on history, as plain arrays."""
        kept = {f"arrays.{k}": getattr(self.arrays, k).copy() for k in ix.STATE}
        return {
            "closed": self._closed.copy(),
            "line_on": self._line_on.copy(),
            "inj_s": self._inj_s.copy(),
            "lost_dark": np.array([self._lost, self._dark]),
            **kept,
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` kept; the next solve gives the same bits.

        Raises
        ------
        InputError
            If the state is another feeder's.
        """
        try:
            self._closed[:], self._line_on[:] = state["closed"], state["line_on"]
            self._inj_s[:] = state["inj_s"]
            self._lost, self._dark = (bool(x) for x in state["lost_dark"])
            self.arrays = self._build(self.network.bus_v)
            for k in ix.STATE:
                own, kept = getattr(self.arrays, k), state[f"arrays.{k}"]
                if own.shape != kept.shape:
                    raise ValueError(k)
                own[...] = kept
        except (KeyError, ValueError) as wrong:
            raise InputError(f"the stored state belongs to another feeder: {wrong}") from wrong


def _set_points(net: Network, source: SourceConfig) -> Complexes:
    """Voltage of every source. [pu]"""
    if source.vm_pu is None:
        return net.source_v
    return net.source_v / np.abs(net.source_v) * source.vm_pu


def drawn_currents(f: FeederArrays, top: Topology, v: Complexes) -> Complexes:
    """Current that branches, shunts and loads draw from each node, ports aside. [pu]"""
    drawn = np.zeros(top.n_node, np.complex128)
    ends = np.where(top.branch_node >= 0, v[np.maximum(top.branch_node, 0)], 0)
    for end in (0, 1):
        there = top.branch_node[:, end] >= 0
        current = (top.branch_y[:, 2 * end : 2 * end + 2] * ends).sum(axis=1)
        np.add.at(drawn, top.branch_node[there, end], current[there])
    at_1pu = f.node_y[:, ix.Z_P] + f.node_y[:, ix.SHUNT_P] - 1j * (f.node_y[:, ix.Z_Q] + f.node_y[:, ix.SHUNT_Q])
    drawn += at_1pu * v
    u = v[f.load_node]
    p, q, ip, iq = f.load_law[:, : ix.LOAD_GEN_P].T
    power = (p + 1j * q) / np.maximum(1, (f.params[ix.VMIN_PU] / np.abs(u)) ** 2) + (ip + 1j * iq) * np.abs(u)
    drawn[f.load_node] += np.conj(power / u)
    return drawn


def _pairs(z: Complexes) -> Floats:
    """Complex numbers as a last axis of real and imaginary part."""
    return np.stack([z.real, z.imag], axis=-1)


def solve_totals(compiled: CompiledFeeder) -> tuple[int, Floats]:
    """Solve as things stand; status and a copy of the totals."""
    status = int(solve(compiled.arrays))
    balance(compiled.arrays)
    return status, compiled.arrays.totals.copy()
