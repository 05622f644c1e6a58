"""A feeder compiled for its data centers: arrays for the kernels, and the operations that change them."""

from __future__ import annotations

import cmath
import difflib
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.errors import InputError, PhysicsError, Problem
from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays, empty_state
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.controls.arrays import SensorRows
from cosim.feeder.kernel import linearize_at, solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.legs import build_legs, fast_columns, leg_powers, shapes
from cosim.feeder.network import (
    LINE,
    LOAD,
    MOTOR,
    N_SHAPE,
    SGEN,
    SOURCE,
    TRAFO,
    TRAFO3W_HV,
    TRAFO3W_LV,
    Complexes,
    Floats,
    Ints,
    Network,
)
from cosim.feeder.sensors import sensor_coefficients, sensor_pattern
from cosim.feeder.sources import is_behind_impedance, phase_impedance, put_behind_impedance, set_points
from cosim.feeder.surface_store import SurfaceStore
from cosim.feeder.surfaces import Surfaces
from cosim.feeder.topology import Elements, Topology, apply_switches, build_topology

_LINE_SWITCH = "line:"
FACTORS_BYTES = 128 * 1024 * 1024
"""Memory that factorizations of states seen before may take. [byte]"""


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


def nodes_at(network: Network, place: str) -> Ints:
    """Nodes of a place: all phases of a bus, or those of `bus.1.3`; neutrals (from 4 on) only where named.

    Raises
    ------
    InputError
        If the feeder lacks the bus or the phase.
    """
    names = tuple(network.bus_name.tolist())
    if place in names or network.is_balanced:
        nodes = network.nodes_of_bus(named(names, place, "bus"))
        live = nodes[network.node_phase[nodes] < 4]
        return live if live.size else nodes
    bus, _, phases = place.lower().partition(".")
    nodes = network.nodes_of_bus(named(names, bus, "bus"))
    present = network.node_phase[nodes].astype(str).tolist()
    wanted = phases.split(".")
    lacking = [p for p in wanted if p not in present]
    if lacking or len(set(wanted)) < len(wanted):
        what = f"no phase {lacking[0]}" if lacking else "no phase twice"
        raise InputError(Problem(f"bus {bus} has {what}; it has {', '.join(present)}", value=place))
    picked: Ints = nodes[[present.index(p) for p in wanted]]
    return picked


@dataclass(frozen=True)
class Factors:
    """What depends on the states of switches and devices alone: the matrix and its factors at the base point."""

    y: Floats
    row_sum: Floats
    el_sum: Floats
    zone_sum_y: Floats
    ties: Complexes
    el_y: Floats
    block: Floats
    response: Floats
    port_z: Floats
    slopes: Floats
    sensor_coef: Floats
    sign: int

    @property
    def n_bytes(self) -> int:
        """Memory it takes. [byte]"""
        return sum(a.nbytes for a in (self.y, self.ties, self.el_y, self.block, self.response, self.slopes))


class CompiledFeeder:
    """A feeder ready for the advance loop.

    `arrays` is what the kernels work on; it is replaced (never resized) by `set_switch` and by
    `restore`, and kept by everything else. Every method that changes something marks it dirty, so
    `change_bound` is infinite until the next `solve`.

    The matrix is linearized at one base point, the voltages of the network as it stands with its loads as
    they stand, so that a factorization is a function of switch and device states alone and is kept for
    their return. Where it contracts too slowly `solve` makes one of its own.

    Parameters
    ----------
    network : Network
    ports : sequence of str
        Place of each data center: a bus, or some of its phases (`671.1.3`).
    config, source : optional
        Defaults: the network as it stands behind its own sources.

    Raises
    ------
    InputError
        If a port's bus does not exist or no source is in service.
    PhysicsError
        If the feeder alone has no solution (only checked where the source gets another impedance).
    """

    def __init__(
        self,
        network: Network,
        ports: Sequence[str],
        config: FeederConfig | None = None,
        source: SourceConfig | None = None,
    ) -> None:
        self.config = config or FeederConfig(model="feeder")
        source = source or SourceConfig()
        self.port_names = tuple(ports)
        self._take(network, set_points(network, source))
        if source.z_pu:
            self._take(*self._behind_impedance(source))

    def _take(self, network: Network, emf: Complexes) -> None:
        """Start from a network, as it stands."""
        net = self.network = network
        self.bus_names: tuple[str, ...] = tuple(net.bus_name.tolist())
        self.node_names: tuple[str, ...] = tuple(net.node_name.tolist())
        self.line_names: tuple[str, ...] = tuple(net.el_name[net.el_kind == LINE].tolist())
        trafos = [net.el_name[net.el_kind == kind] for kind in (TRAFO, TRAFO3W_HV)]
        self.trafo_names: tuple[str, ...] = tuple(np.concatenate(trafos).tolist())
        self.load_names: tuple[str, ...] = tuple(net.inj_name[net.inj_kind == LOAD].tolist())
        self.injection_names: tuple[str, ...] = tuple(net.inj_name.tolist())
        self.device_names: tuple[str, ...] = tuple(net.dev_name.tolist())
        lines = tuple(_LINE_SWITCH + name for name in self.line_names)
        self.switch_names: tuple[str, ...] = tuple(net.switch_name.tolist()) + lines
        self._port_nodes = [nodes_at(net, place) for place in self.port_names]
        self._shape = shapes(net, self.config.vmin_pu)
        self._closed = net.switch_closed.copy()
        self._line_on = net.el_in_service[net.el_kind == LINE].copy()
        self._dev_state = net.dev_state.copy()
        scaled = np.isin(net.inj_kind, (LOAD, MOTOR))
        self._inj_s_start = net.inj_s_mva * np.where(scaled, self.config.load_scaling, 1.0)
        self._inj_s = self._inj_s_start.copy()
        self._lost = self._dark = False
        self._set_points, self._dip = emf, 1.0 + 0j
        self._seen: dict[bytes, Topology] = {}
        self._factors: OrderedDict[bytes, Factors] = OrderedDict()
        self.watched = np.arange(net.n_node)
        self._sensors: SensorRows | None = None
        self.arrays = self._build(net.node_v)
        self._store = SurfaceStore(self.lab, self.config.surfaces and self.config.max_dvm_pu > 0)
        self._entered: tuple[bytes, Surfaces] | None = None

    # -- building

    def _topology(self) -> Topology:
        key = self._switch_key()
        if key not in self._seen:
            self._seen[key] = build_topology(self.network, self._closed, self._line_on, self._device_y())
        return self._seen[key]

    def _switch_key(self) -> bytes:
        return np.packbits(np.concatenate([self._closed, self._line_on])).tobytes()

    def _device_y(self) -> Complexes:
        """Primitive admittances of the network with every device in its present state. [pu]"""
        net = self.network
        y = net.el_y.copy()
        size = np.diff(net.el_ptr)
        start = np.concatenate([[0], np.cumsum(size**2)])
        at = 0
        for d in range(net.dev_el.size):
            e, n_state = int(net.dev_el[d]), int(net.dev_ptr[d + 1] - net.dev_ptr[d])
            entries = int(size[e]) ** 2
            first = at + int(self._dev_state[d]) * entries
            y[start[e] : start[e + 1]] = net.dev_y[first : first + entries]
            at += n_state * entries
        return y

    def _build(self, v_node: Complexes) -> FeederArrays:
        """Arrays of the present topology, starting from the given voltage of every node."""
        net, top = self.network, self._topology()
        if top.source_row.size == 0:
            raise InputError("the feeder has no source in service (ext_grid or slack generator)")
        self._top = top
        is_gen = (net.inj_kind == SGEN)[net.leg_inj]
        self._legs = build_legs(net, top, self._shape, np.ones(is_gen.size, bool))
        self._gens = build_legs(net, top, self._shape, is_gen)
        gens = self._generators(top)
        n_dc, el = len(self._port_nodes), top.elements
        port_row, port_base, site_ptr = self._ports(top, [g[0] for g in gens])
        state = empty_state(top.n_free, top.n_row, n_dc, port_base.size, top.n_free + 2 * top.pattern.row.size)
        port_law = np.zeros((port_base.size, 5))
        port_law[site_ptr[-1] :, [ix.PORT_GEN_P, ix.PORT_GEN_VM]] = np.array([g[1:] for g in gens]).reshape(-1, 2)
        zone_sums = top.zone_sums(el.y)
        params = np.zeros(ix.N_PARAMS)
        params[ix.EMF_FACTOR] = abs(self._dip)
        state["flags"][[ix.DIRTY, ix.SOURCE_ON]] = 1
        arrays = FeederArrays(
            sizes=self._sizes(top, port_base.size),
            params=params,
            node_row=top.node[: net.n_node].copy(),
            site_ptr=site_ptr,
            port_row=port_row,
            port_base=port_base,
            port_law=port_law,
            y=np.zeros((top.n_free + 2 * top.pattern.row.size, 2)),
            row_sum=np.zeros((top.n_free, 2)),
            zone_row=top.zones[0],
            zone_ptr=top.zones[1],
            zone_sum_ptr=zone_sums[0],
            zone_sum_row=zone_sums[1],
            zone_sum_y=np.zeros((zone_sums[1].size, 2)),
            lu_ptr=top.pattern.ptr,
            lu_row=top.pattern.row,
            lu_target=top.pattern.target,
            emf=np.zeros((top.source_row.size, 2)),
            leg_row=self._legs.row,
            leg_block=self._legs.block,
            leg_fast=np.zeros((self._legs.row.shape[0], ix.N_FAST)),
            leg_law=np.zeros((self._legs.row.shape[0], N_SHAPE)),
            gen_row=self._gens.row,
            gen_law=np.zeros((self._gens.row.shape[0], N_SHAPE)),
            row_shunt=_as_pairs(np.conj(top.shunt)),
            el_ptr=el.ptr,
            el_row=el.node,
            el_first=np.add.reduceat(np.append(el.terminal == 0, False), el.ptr[:-1]).astype(np.int64),
            el_y_ptr=el.y_ptr,
            el_y=np.zeros((el.y.size, 2)),
            el_sum=np.zeros((el.node.size, 2)),
            el_loading=el.loading,
            trafo_el=self._trafo_elements(el),
            **sensor_pattern(self._sensors, self._switched(), top.node),
            **state,
        )
        self._start_from(arrays, v_node)
        self._put_laws(arrays)
        self._put_factors(arrays)
        self._put_emf(arrays)
        self._start_generators(arrays)
        return arrays

    def _ports(self, top: Topology, gens: list[int]) -> tuple[Ints, Floats, Ints]:
        """Rows, nominal voltage and start of the ports of data centers, then generators.

        A data center draws from each phase to ground, or between phases where nothing holds the neutral: at two or
        three phases of a floating zone.
        """
        rows, base, count = [], [], []
        floating = set(top.zones[0].tolist())
        for nodes in self._port_nodes:
            at = top.node[nodes]
            if at.size > 1 and floating.issuperset(at.tolist()):
                ends = np.column_stack([at, np.roll(at, -1)])[: 3 if at.size == 3 else 1]
                base += [math.sqrt(3.0)] * len(ends)
            else:
                ends = np.column_stack([at, np.full(at.size, -1)])
                base += [1.0] * len(ends)
            rows.append(ends)
            count.append(len(ends))
        rows.append(np.column_stack([gens, np.full(len(gens), -1)]).reshape(-1, 2))
        base += [1.0] * len(gens)
        return np.vstack(rows).astype(np.int64), np.array(base), np.cumsum([0, *count]).astype(np.int64)

    def set_sensors(self, rows: SensorRows) -> None:
        """Have these sensors of controls evaluated with every solution, in `arrays.sensor`."""
        self._sensors = rows
        self._factors.clear()
        self._rebuild()
        self._entered = None

    def _sizes(self, top: Topology, n_port: int) -> Ints:
        kind = top.elements.kind
        sizes = np.zeros(ix.N_SIZES, np.int64)
        sizes[ix.N_FREE], sizes[ix.N_ROW] = top.n_free, top.n_row
        sizes[ix.N_DC], sizes[ix.N_PORT] = len(self._port_nodes), n_port
        sizes[ix.N_LEG], sizes[ix.N_GROUND_LEG] = self._legs.n_free, self._legs.n_ground
        sizes[ix.N_ELEMENT], sizes[ix.N_PASSIVE] = kind.size, int(np.sum(kind != SOURCE))
        sizes[ix.N_LINE], sizes[ix.N_TRAFO] = int(np.sum(kind == LINE)), len(self.trafo_names)
        return sizes

    def _trafo_elements(self, el: Elements) -> Ints:
        """Row in the log and element of every transformer, the legs of a three-winding one in one row."""
        two = np.flatnonzero(el.kind == TRAFO)
        legs = [np.flatnonzero(el.kind == kind) for kind in range(TRAFO3W_HV, TRAFO3W_LV + 1)]
        rows = [np.arange(two.size), *(two.size + np.arange(leg.size) for leg in legs)]
        return np.column_stack([np.concatenate(rows), np.concatenate([two, *legs])]).astype(np.int64)

    def _generators(self, top: Topology) -> list[tuple[int, float, float]]:
        """Voltage-controlled generators (row, P, |U|), one per free energized row."""
        net, found = self.network, dict[int, tuple[int, float, float]]()
        for node, p, vm in zip(net.gen_node, net.gen_p_mw, net.gen_vm_pu, strict=True):
            row = int(top.node[node])
            if 0 <= row < top.n_free:
                found[row] = (row, found.get(row, (0, 0.0))[1] + float(p), float(vm))
        return list(found.values())

    def _start_from(self, f: FeederArrays, v_node: Complexes) -> None:
        """Start voltages by node; without a value somewhere, start from no load instead."""
        v, cold = self._rows_from(v_node)
        f.flags[ix.COLD] = int(cold)
        f.v[:] = _as_pairs(v).ravel()
        f.u[:] = f.v

    def _rows_from(self, v_node: Complexes) -> tuple[Complexes, bool]:
        """Voltages by row from those by node, 1 where there is none; whether a free row lacks one."""
        top = self._top
        v = np.zeros(top.n_row, np.complex128)
        known = (top.node >= 0) & (v_node != 0)
        v[top.node[known]] = v_node[known]
        cold = bool(np.any(v[: top.n_free] == 0))
        v[v == 0] = 1.0
        return v, cold

    def _start_generators(self, f: FeederArrays) -> None:
        first = f.site_ptr[-1]
        if f.port_row.shape[0] > first:
            v = f.v[0::2] + 1j * f.v[1::2]
            f.current[2 * first :] = _as_pairs(-self._drawn_currents(f, v)[f.port_row[first:, 0]]).ravel()

    def _put_laws(self, f: FeederArrays) -> None:
        """Laws of the legs for the present powers; their slopes stay."""
        f.leg_law[:] = self._legs.law(self.network, self._shape, self._inj_s)
        f.leg_fast[:, : ix.F_SLOPE] = fast_columns(f.leg_law)
        f.gen_law[:] = self._gens.law(self.network, self._shape, self._inj_s)
        scale = float(np.abs(self._inj_s.real).sum() + np.abs(self._inj_s.imag).sum())
        f.params[ix.SCALE_MW] = max(scale + float(np.abs(self.network.gen_p_mw).sum()), 1e-6)
        f.flags[ix.DIRTY] = 1

    def _put_factors(self, f: FeederArrays) -> None:
        """Matrix and factors of the present states, made once and kept for their return."""
        key = self._switch_key() + self._dev_state.tobytes()
        if key in self._factors:
            self._factors.move_to_end(key)
        else:
            self._factors[key] = self._made_factors(f)
            while len(self._factors) > 1 and sum(x.n_bytes for x in self._factors.values()) > FACTORS_BYTES:
                self._factors.popitem(last=False)
        kept = self._factors[key]
        f.y[:], f.el_y[:], f.block[:] = kept.y, kept.el_y, kept.block
        f.row_sum[:], f.el_sum[:], f.zone_sum_y[:] = kept.row_sum, kept.el_sum, kept.zone_sum_y
        f.response[:], f.port_z[:] = kept.response, kept.port_z
        f.sensor_coef[:] = kept.sensor_coef
        f.leg_fast[:, ix.F_SLOPE :] = kept.slopes
        f.v_base[:] = _as_pairs(self._rows_from(self.network.node_v)[0]).ravel()
        f.flags[ix.SIGN] = kept.sign
        f.flags[ix.DIRTY] = 1
        self._ties = kept.ties

    def _switched(self) -> Elements:
        """Elements as switches and devices leave them, in the order and with the nodes of the network."""
        return apply_switches(self.network, self._closed, self._line_on, self._device_y())

    def _made_factors(self, f: FeederArrays) -> Factors:
        """Factors at the base point, made in the arrays f."""
        elements = self._switched()
        ordered = elements.sorted_by_kind()
        y, ties = self._top.matrix(ordered.y)
        row_sum, el_sum = self._top.sums(ordered.y)
        f.y[:], f.row_sum[:] = _as_pairs(y), _as_pairs(row_sum)
        f.zone_sum_y[:] = _as_pairs(self._top.zone_sums(ordered.y)[2])
        law = f.leg_law.copy()
        f.leg_law[:] = self._legs.law(self.network, self._shape, self._inj_s_start)
        linearize_at(f, _as_pairs(self._rows_from(self.network.node_v)[0]).ravel())
        slopes = f.leg_fast[:, ix.F_SLOPE :].copy()
        f.leg_law[:] = law
        return Factors(
            y=f.y.copy(),
            row_sum=f.row_sum.copy(),
            el_sum=_as_pairs(el_sum),
            zone_sum_y=f.zone_sum_y.copy(),
            ties=ties,
            el_y=_as_pairs(ordered.y),
            block=f.block.copy(),
            response=f.response.copy(),
            port_z=f.port_z.copy(),
            slopes=slopes,
            sensor_coef=sensor_coefficients(self._sensors, elements, self._top.node),
            sign=int(f.flags[ix.SIGN]),
        )

    # -- surfaces

    def watch(self, nodes: Ints) -> None:
        """Choose the nodes whose magnitudes surfaces give at every step; all of them at first."""
        self.watched = nodes
        self._store = SurfaceStore(self.lab, self.config.surfaces and self.config.max_dvm_pu > 0)
        self._entered = None

    @property
    def watch_row(self) -> Ints:
        """Row of every watched node in the present topology, -1 where de-energized."""
        rows: Ints = self.arrays.node_row[self.watched]
        return rows

    @property
    def surfaces(self) -> Surfaces:
        """Response surfaces of the present state of switches, devices, loads and source."""
        key = b"".join(
            [self._switch_key(), self._dev_state.tobytes(), self._inj_s.tobytes(), np.complex128(self._dip).tobytes()]
        )
        if self._entered is None or self._entered[0] != key:
            self._entered = key, self._store.enter(key, self.arrays, self.watch_row)
        return self._entered[1]

    def build_surface(self) -> None:
        """Build the surface that the loop asked for."""
        self._store.build_wanted(self.surfaces)

    def surface_counts(self) -> dict[str, float]:
        """How often surfaces answered, were checked and were given up; the largest deviation seen [pu]."""
        return self._store.counts()

    def lab(self) -> FeederArrays:
        """Arrays of their own in the present state, on its factors, for sampling what does not touch the run."""
        f = self.arrays
        own = [*ix.STATE, "rhs", "work", "product", "jac", "v_save", "current_save"]
        lab = f._replace(**{k: getattr(f, k).copy() for k in own})
        self._put_factors(lab)
        lab.v[:] = lab.u[:] = _as_pairs(self._rows_from(self.network.node_v)[0]).ravel()
        lab.current[:] = 0.0
        self._start_generators(lab)
        lab.flags[[ix.COLD, ix.STALE]] = 0
        return lab

    def _put_emf(self, f: FeederArrays) -> None:
        emf = self._set_points[self._top.source_row] * self._dip
        f.emf[:] = _as_pairs(emf)
        f.tie[:] = _as_pairs(-self._ties @ emf).ravel()
        f.params[ix.EMF_FACTOR] = abs(self._dip)
        f.flags[ix.DIRTY] = 1

    def _behind_impedance(self, source: SourceConfig) -> tuple[Network, Complexes]:
        """The network with its sources behind the scenario's impedance.

        The emf is placed so that the terminals keep the voltage they have without a data center.
        """
        f, net = self.arrays, self.network
        if int(solve(f)) == ix.COLLAPSED:
            raise PhysicsError(
                "the feeder has no power flow solution even without a data center: "
                f"it carries {f.last_solvable[ix.LS_FRACTION]:.0%} of its load; lower feeder.load_scaling"
            )
        v = f.v[0::2] + 1j * f.v[1::2]
        terminal = self._top.node[net.source_terminal]
        z = phase_impedance(net, source)
        at = np.maximum(terminal, 0)
        emf = np.where(terminal >= 0, v[at] + z * self._drawn_currents(f, v)[at], self._set_points)
        solved = self._node_voltages()
        inner = net.source_node if is_behind_impedance(net) else None
        grown = put_behind_impedance(net, z, emf)
        start = np.concatenate([solved, emf]) if inner is None else solved
        if inner is not None:
            start[inner] = emf
        return _with_start(grown, start), emf

    def _drawn_currents(self, f: FeederArrays, v: Complexes) -> Complexes:
        """Current that elements (sources' impedances aside), shunts and legs draw from each row. [pu]"""
        el, top = self._top.elements, self._top
        drawn: Complexes = np.conj(f.row_shunt[:, 0] + 1j * f.row_shunt[:, 1]) * v
        v_end = np.where(el.node >= 0, v[np.maximum(el.node, 0)], 0)
        y = f.el_y[:, 0] + 1j * f.el_y[:, 1]
        for e in np.flatnonzero(el.kind != SOURCE):
            span = slice(el.ptr[e], el.ptr[e + 1])
            k = el.ptr[e + 1] - el.ptr[e]
            into = y[el.y_ptr[e] : el.y_ptr[e + 1]].reshape(k, k) @ v_end[span]
            live = el.node[span] >= 0
            np.add.at(drawn, el.node[span][live], into[live])
        row = self._legs.row
        across = v[row[:, 0]] - np.where(row[:, 1] >= 0, v[np.maximum(row[:, 1], 0)], 0)
        current = np.conj(leg_powers(f.leg_law, np.abs(across) ** 2) / across)
        np.add.at(drawn, row[:, 0], current)
        np.add.at(drawn, row[row[:, 1] >= 0, 1], -current[row[:, 1] >= 0])
        assert drawn.size == top.n_row
        return drawn

    # -- operating

    def _node_voltages(self) -> Complexes:
        """Last voltage of every node, internal ones included; zero where there is none. [pu]"""
        v = self.arrays.v[0::2] + 1j * self.arrays.v[1::2]
        solved: Complexes = np.where(self._top.node >= 0, v[np.maximum(self._top.node, 0)], 0)
        return solved

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
        if vm_factor > 0:
            dip = cmath.rect(vm_factor, math.radians(va_shift_degree))
            f.v[:] = _as_pairs((f.v[0::2] + 1j * f.v[1::2]) * (dip / self._dip)).ravel()
            self._dip = dip
            self._put_emf(f)
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
        old, v_node = self.arrays, self._node_voltages()
        self.arrays = self._build(v_node)
        for field in ("port_p_mw", "port_q_mvar", "port_v_min_pu"):
            getattr(self.arrays, field)[:] = getattr(old, field)
        self.arrays.flags[ix.SOURCE_ON] = old.flags[ix.SOURCE_ON]

    def set_device(self, name: str, state: int) -> None:
        """Move a tap changer or a capacitor bank to a state, counted from 0.

        Raises
        ------
        InputError
            If the feeder lacks the device or the device the state.
        """
        d = named(self.device_names, name, "tap changer or capacitor bank")
        n_state = int(self.network.dev_ptr[d + 1] - self.network.dev_ptr[d])
        if not 0 <= state < n_state:
            raise InputError(Problem(f"{name} has states 0 to {n_state - 1}", value=state))
        if int(self._dev_state[d]) != state:
            self._dev_state[d] = state
            self._put_factors(self.arrays)
            self._put_emf(self.arrays)

    def device_state(self, name: str) -> int:
        """Present state of a device, counted from 0."""
        return int(self._dev_state[named(self.device_names, name, "tap changer or capacitor bank")])

    def device_values(self) -> Floats:
        """Tap of every tap changer, steps on of every capacitor bank."""
        values: Floats = (self.network.dev_low + self._dev_state).astype(float)
        return values

    def device_value(self, name: str) -> float:
        """What the state means: number of a tap, or steps switched on."""
        d = named(self.device_names, name, "tap changer or capacitor bank")
        return float(self.network.dev_low[d] + self._dev_state[d])

    def nodes_of(self, place: str) -> list[str]:
        """Names of the nodes of a place: one node, or those of a bus or of some of its phases."""
        if place in self.node_names:
            return [place]
        return [self.node_names[k] for k in nodes_at(self.network, place)]

    def vm_pu(self, place: str) -> float:
        """Voltage of a bus, of its lowest phase, or of one node; 0 where de-energized. [pu]"""
        if place in self.node_names:
            nodes = np.array([self.node_names.index(place)])
        else:
            nodes = nodes_at(self.network, place)
        rows = self.arrays.node_row[nodes]
        if (rows < 0).any() or self.arrays.flags[ix.SOURCE_ON] == 0:
            return 0.0
        v = self.surfaces.present_v() if self.surfaces.is_present else self.arrays.v
        return float(np.sqrt((v[2 * rows] ** 2 + v[2 * rows + 1] ** 2).min()))

    def set_injection_q(self, name: str, q_mvar: float) -> None:
        """Give an injection another reactive power, consumption positive. [Mvar]"""
        k = named(self.injection_names, name, "injection")
        self._inj_s[k] = complex(self._inj_s[k].real, q_mvar)
        self._put_laws(self.arrays)

    def set_load(self, name: str, p_mw: float, q_mvar: float | None = None) -> None:
        """Give a load another power (at rated voltage, consumption positive; `load_scaling` does not apply).

        Without `q_mvar` its reactive power stays.
        """
        k = named(self.load_names, name, "load")
        q = float(self._inj_s[k].imag) if q_mvar is None else q_mvar
        if not (math.isfinite(p_mw) and math.isfinite(q)):
            raise InputError(f"load {name}: p_mw={p_mw}, q_mvar={q} must be finite")
        self._inj_s[k] = complex(p_mw, q)
        self._put_laws(self.arrays)

    def scale_load(self, name: str, factor: float) -> None:
        """Give a load `factor` times the power it started with, `load_scaling` included. [1]"""
        k = named(self.load_names, name, "load")
        if not (math.isfinite(factor) and factor >= 0):
            raise InputError(f"load {name}: factor={factor} must be finite and not negative")
        self._inj_s[k] = complex(self._inj_s_start[k]) * factor
        self._put_laws(self.arrays)

    @property
    def injections(self) -> Complexes:
        """Present power of every injection of the network, in its order. [MVA]"""
        return self._inj_s.copy()

    def set_injections(self, s_mva: Complexes) -> None:
        """Give every injection of the network, in its order, another power. [MVA]"""
        self._inj_s[:] = s_mva
        self._put_laws(self.arrays)

    # -- state

    def state(self) -> dict[str, np.ndarray]:
        """Copy of everything that depends on history, as plain arrays."""
        kept = {f"arrays.{k}": getattr(self.arrays, k).copy() for k in ix.STATE}
        return {
            "closed": self._closed.copy(),
            "line_on": self._line_on.copy(),
            "dev_state": self._dev_state.copy(),
            "inj_s": self._inj_s.copy(),
            "source": np.array([self._lost, self._dark, self._dip]),
            **{f"surfaces.{k}": v for k, v in self._store.state().items()},
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
            self._dev_state[:], self._inj_s[:] = state["dev_state"], state["inj_s"]
            lost, dark, self._dip = state["source"].tolist()
            self._lost, self._dark = bool(lost), bool(dark)
            self.arrays = self._build(self.network.node_v)
            for k in ix.STATE:
                own, kept = getattr(self.arrays, k), state[f"arrays.{k}"]
                if own.shape != kept.shape:
                    raise ValueError(k)
                own[...] = kept
            prefix = "surfaces."
            stored = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
            self._store.restore(stored, self.arrays, self.watch_row)
            self._entered = None
        except (KeyError, ValueError) as wrong:
            raise InputError(f"the stored state belongs to another feeder: {wrong}") from wrong


def _with_start(net: Network, v_node: Complexes) -> Network:
    from dataclasses import replace

    return replace(net, node_v=v_node)


def _as_pairs(z: Complexes) -> Floats:
    """Complex numbers as a last axis of real and imaginary part."""
    return np.stack([z.real, z.imag], axis=-1)


def solve_totals(compiled: CompiledFeeder) -> tuple[int, Floats]:
    """Solve as things stand; status and a copy of the totals."""
    status = int(solve(compiled.arrays))
    balance(compiled.arrays)
    return status, compiled.arrays.totals.copy()
