"""A feeder assembled for its data centers: the arrays of its present state, factors and surfaces kept by state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from cosim.errors import InputError, PhysicsError
from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays, empty_state
from cosim.feeder.assembly import (
    as_pairs,
    count_sizes,
    device_y,
    drawn_currents,
    element_arrays,
    floating_rows,
    phase_factors,
    phase_rows,
    place_ports,
    ungrounded_sites,
)
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.controls.arrays import SensorRows
from cosim.feeder.factors import FACTORS_BYTES, Factors
from cosim.feeder.fault_set import FaultSet, PhaseMap
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_newton import linearize_at
from cosim.feeder.legs import build_legs, fast_columns, shapes
from cosim.feeder.machines import Held, machine_laws, place_machines
from cosim.feeder.network import LINE, LOAD, MOTOR, N_SHAPE, SGEN, TRAFO, TRAFO3W_HV, Complexes, Ints, Network
from cosim.feeder.places import phases_at
from cosim.feeder.sensors import n_always_read, sensor_coefficients, sensor_pattern
from cosim.feeder.sequences import SwitchState
from cosim.feeder.sources import moved_behind, set_points
from cosim.feeder.surface_store import SurfaceStore
from cosim.feeder.surfaces import Surfaces
from cosim.feeder.topology import Elements, States, Topology, apply_switches, build_topology
from cosim.feeder.topology_fault import faulted_topology

_LINE_SWITCH = "line:"


class AssembledFeeder:
    """Arrays of a feeder in the present state of its switches, devices, loads and source, and its surfaces.

    The matrix is linearized at one base point, the voltages of the network as it stands with its loads as
    they stand, so that a factorization is a function of switch and device states alone and is kept for
    their return. Where it contracts too slowly `solve` makes one of its own.
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
        self._port_nodes = [phases_at(net, place) for place in self.port_names]
        self._shape = shapes(net, self.config.vmin_pu)
        self._closed = net.switch_closed.copy()
        self._line_on = net.el_in_service[net.el_kind == LINE].copy()
        self._dev_state = net.dev_state.copy()
        scaled = np.isin(net.inj_kind, (LOAD, MOTOR))
        self._inj_s_start = net.inj_s_mva * np.where(scaled, self.config.load_scaling, 1.0)
        self._inj_s = self._inj_s_start.copy()
        self._faults = FaultSet(net, self.config.zero_sequence, self._inj_s_start)
        self._is_cut = np.zeros(net.el_node.size, bool)
        self._lost = self._dark = False
        self._set_points, self._dip = emf, 1.0 + 0j
        self._seen: dict[bytes, Topology] = {}
        self._factors: OrderedDict[bytes, Factors] = OrderedDict()
        self.watched = np.arange(net.n_node)
        self._sensors: SensorRows | None = None
        self._weak: frozenset[int] = frozenset()
        self._held: Held | None = None
        self.arrays = self._build(net.node_v)
        if weak := ungrounded_sites(self.arrays):
            self._weak = weak
            self._factors.clear()
            self.arrays = self._build(net.node_v)
        self._store = SurfaceStore(self.lab, self.config.surfaces and self.config.max_dvm_pu > 0)
        self._entered: tuple[bytes, Surfaces] | None = None

    # -- building

    def _topology(self, with_faults: bool = True) -> Topology:
        key = self._switch_key(with_faults)
        if key not in self._seen:
            states = self._states(with_faults)
            faulted = with_faults and len(self._faults) > 0
            self._seen[key] = faulted_topology(self._topology(False), states) if faulted else build_topology(*states)
        return self._seen[key]

    def _switch_key(self, with_faults: bool = True) -> bytes:
        """Equal for equal states of switches, poles and faults."""
        return self._switches.key + (self._faults.key if with_faults else b"")

    @property
    def _switches(self) -> SwitchState:
        return SwitchState(self._closed, self._line_on, self._is_cut if self._is_cut.any() else None)

    def _states(self, with_faults: bool = True) -> States:
        """What `build_topology` and `apply_switches` take."""
        y, switches = device_y(self.network, self._dev_state), self._switches
        y, shunts = self._faults.applied(switches, y) if with_faults else (y, [])
        return self.network, switches.closed, switches.line_on, y, switches.is_cut, shunts

    def _phase_map(self) -> PhaseMap | None:
        """Negative and zero sequence of a balanced feeder; None without an unbalanced fault."""
        return self._faults.phase_map(self._switches, device_y(self.network, self._dev_state))

    def _build(self, v_node: Complexes) -> FeederArrays:
        """Arrays of the present topology, starting from the given voltage of every node."""
        net, top = self.network, self._topology()
        if top.source_row.size == 0:
            raise InputError("the feeder has no source in service (ext_grid or slack generator)")
        self._top = top
        is_gen = (net.inj_kind == SGEN)[net.leg_inj]
        self._legs = build_legs(net, top, self._shape, np.ones(is_gen.size, bool))
        self._gens = build_legs(net, top, self._shape, is_gen)
        gens = place_machines(net, top)
        n_dc, el = len(self._port_nodes), top.elements
        starts = [gen.row for gen in gens]
        floating = floating_rows(top, self._topology(with_faults=False) if len(self._faults) else top)
        port_row, port_base, site_ptr = place_ports(top, self._port_nodes, starts, floating, self._weak)
        state = empty_state(top.n_free, top.n_row, n_dc, port_base.size, top.n_free + 2 * top.pattern.row.size)
        phases = self._phase_map()
        port_law = np.zeros((port_base.size, ix.N_PORT_LAW))
        port_law[site_ptr[-1] :] = machine_laws(gens, None if self._held is None else self._held.emf)
        zone_sums = top.zone_sums(el.y)
        params = np.zeros(ix.N_PARAMS)
        params[ix.EMF_FACTOR] = self._least_factor()
        state["flags"][[ix.DIRTY, ix.SOURCE_ON]] = 1
        arrays = FeederArrays(
            sizes=count_sizes(top, self._legs, n_dc, port_base.size, n_always_read(self._sensors)),
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
            row_shunt=as_pairs(np.conj(top.shunt)),
            **element_arrays(el),
            **sensor_pattern(self._sensors, self._switched(), top.node, phases),
            **phase_rows(phases, top),
            **state,
        )
        self._start_from(arrays, v_node)
        self._put_laws(arrays)
        self._put_factors(arrays)
        self._put_emf(arrays)
        self._start_generators(arrays)
        return arrays

    def set_sensors(self, rows: SensorRows) -> None:
        """Have these sensors of controls evaluated with every solution, in `arrays.sensor`."""
        self._sensors = rows
        self._factors.clear()
        self._rebuild()
        self._entered = None

    def _start_from(self, f: FeederArrays, v_node: Complexes) -> None:
        """Start voltages by node; without a value somewhere, start from no load instead."""
        v, cold = self._rows_from(v_node)
        f.flags[ix.COLD] = int(cold)
        f.v[:] = as_pairs(v).ravel()
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
            f.current[2 * first :] = as_pairs(-drawn_currents(f, self._top.elements, v)[f.port_row[first:, 0]]).ravel()

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
        f.sequence[:] = kept.sequence
        f.row_sum[:], f.el_sum[:], f.zone_sum_y[:] = kept.row_sum, kept.el_sum, kept.zone_sum_y
        f.response[:], f.port_z[:] = kept.response, kept.port_z
        f.sensor_coef[:] = kept.sensor_coef
        f.leg_fast[:, ix.F_SLOPE :] = kept.slopes
        f.v_base[:] = as_pairs(self._rows_from(self.network.node_v)[0]).ravel()
        f.flags[ix.SIGN] = kept.sign
        f.flags[ix.N_SPENT] = 0
        f.flags[ix.DIRTY] = 1
        self._ties = kept.ties

    def _switched(self) -> Elements:
        """Elements as switches and devices leave them, in the order and with the nodes of the network."""
        return apply_switches(*self._states())

    def _made_factors(self, f: FeederArrays) -> Factors:
        """Factors at the base point, made in the arrays f."""
        elements = self._switched()
        ordered = elements.sorted_by_kind()
        y, ties = self._top.matrix(ordered.y)
        row_sum, el_sum = self._top.sums(ordered.y)
        f.y[:], f.row_sum[:] = as_pairs(y), as_pairs(row_sum)
        f.zone_sum_y[:] = as_pairs(self._top.zone_sums(ordered.y)[2])
        law = f.leg_law.copy()
        f.leg_law[:] = self._legs.law(self.network, self._shape, self._inj_s_start)
        linearize_at(f, as_pairs(self._rows_from(self.network.node_v)[0]).ravel())
        slopes = f.leg_fast[:, ix.F_SLOPE :].copy()
        f.leg_law[:] = law
        phases = self._phase_map()
        return Factors(
            y=f.y.copy(),
            row_sum=f.row_sum.copy(),
            el_sum=as_pairs(el_sum),
            zone_sum_y=f.zone_sum_y.copy(),
            ties=ties,
            el_y=as_pairs(ordered.y),
            block=f.block.copy(),
            response=f.response.copy(),
            port_z=f.port_z.copy(),
            slopes=slopes,
            sensor_coef=sensor_coefficients(self._sensors, elements, self._top.node, phases),
            sequence=phase_factors(phases, self._top),
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
        key = self._state_key()
        if self._entered is None or self._entered[0] != key:
            if len(self._faults):  # too short for polynomials to pay
                self._entered = key, Surfaces(self.arrays, self.watch_row, enabled=False)
            else:
                self._entered = key, self._store.enter(key, self.arrays, self.watch_row, self._kin_key())
        return self._entered[1]

    def _state_key(self) -> bytes:
        return b"".join([self._kin_key(), self._dev_state.tobytes(), self._inj_s.tobytes()])

    def _kin_key(self) -> bytes:
        """Start of the keys of all states that differ in taps, banks and loads only."""
        return self._switch_key() + np.complex128(self._dip).tobytes()

    def _shown(self) -> Surfaces | None:
        """Surfaces that gave the voltages of the last instant."""
        return self._entered[1] if self._entered is not None and self._entered[1].is_present else None

    def build_surface(self) -> None:
        """Build the surface that the loop asked for."""
        self._store.build_wanted(self.surfaces)

    def _settle(self) -> None:
        """Before a change: take over the voltages of the last instant where a surface gave them."""
        if (shown := self._shown()) is not None:
            v = self.arrays.v
            v[:] = shown.present_v()
            self.arrays.vm2[:] = v[0::2] ** 2 + v[1::2] ** 2
            shown.leave()

    def surface_counts(self) -> dict[str, float]:
        """How often surfaces answered, were checked and were given up; the largest deviation seen [pu]."""
        return self._store.counts()

    def lab(self) -> FeederArrays:
        """Arrays of their own in the present state, on its factors, for sampling what does not touch the run."""
        f = self.arrays
        own = [*ix.STATE, "rhs", "work", "product", "jac", "v_save", "current_save"]
        lab = f.replaced(**{k: getattr(f, k).copy() for k in own})
        self._put_factors(lab)
        lab.v[:] = lab.u[:] = as_pairs(self._rows_from(self.network.node_v)[0]).ravel()
        lab.current[:] = 0.0
        self._start_generators(lab)
        lab.flags[[ix.COLD, ix.STALE, ix.N_MOVES]] = 0
        lab.flags[[ix.SOURCE_ON, ix.N_FURTHER]] = 1  # polynomials of samples with noise would need more terms
        return lab

    def _put_emf(self, f: FeederArrays) -> None:
        emf = self._set_points[self._top.source_row] * self._dip
        f.emf[:] = as_pairs(emf)
        f.tie[:] = as_pairs(-self._ties @ emf).ravel()
        f.params[ix.EMF_FACTOR] = self._least_factor()
        f.flags[ix.N_ANEW], f.flags[ix.DIRTY] = 0, 1

    def _least_factor(self) -> float:
        """What the source's voltage is multiplied by; 0 while there is a fault, beside which nothing is sure. [1]"""
        return 0.0 if len(self._faults) else abs(self._dip)

    def _behind_impedance(self, source: SourceConfig) -> tuple[Network, Complexes]:
        """The network with its sources behind the scenario's impedance, and their emf."""
        f, net = self.arrays, self.network
        if int(solve(f)) == ix.COLLAPSED:
            raise PhysicsError(
                "the feeder has no power flow solution even without a data center: "
                f"it carries {f.last_solvable[ix.LS_OWN]:.0%} of its load; lower feeder.load_scaling"
            )
        v = f.v[0::2] + 1j * f.v[1::2]
        drawn = drawn_currents(f, self._top.elements, v)
        return moved_behind(net, source, self._set_points, self._node_voltages(), self._top.node, drawn)

    def _node_voltages(self) -> Complexes:
        """Last voltage of every node, internal ones included; zero where there is none. [pu]"""
        v = self.arrays.v[0::2] + 1j * self.arrays.v[1::2]
        solved: Complexes = np.where(self._top.node >= 0, v[np.maximum(self._top.node, 0)], 0)
        return solved

    def _rebuild(self, v_node: Complexes | None = None) -> None:
        """Arrays of the present states; solutions start from the last voltages or those given. [pu]"""
        old = self.arrays
        v_node = self._node_voltages() if v_node is None else v_node
        vm2 = np.where(old.node_row >= 0, old.vm2[old.node_row], 0.0)
        self.arrays = self._build(v_node)
        live = self.arrays.node_row >= 0
        self.arrays.vm2[self.arrays.node_row[live]] = vm2[live]
        for field in ("port_p_mw", "port_q_mvar", "port_v_min_pu", "port_across"):
            getattr(self.arrays, field)[:] = getattr(old, field)
        self.arrays.flags[ix.SOURCE_ON] = old.flags[ix.SOURCE_ON]
