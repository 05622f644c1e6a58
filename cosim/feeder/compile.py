"""A feeder compiled for its data centers: arrays for the kernels, and the operations that change them."""

from __future__ import annotations

import cmath
import json
import math

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder import arrays as ix
from cosim.feeder.arrays import FeederArrays
from cosim.feeder.assembled import AssembledFeeder
from cosim.feeder.assembly import (
    as_pairs,
    device_y,
)
from cosim.feeder.faults import FaultConfig
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance
from cosim.feeder.legs import fast_columns
from cosim.feeder.machines import Held, machine_emf
from cosim.feeder.network import (
    Complexes,
    Floats,
    Ints,
)
from cosim.feeder.places import named, nodes_at
from cosim.feeder.sequences import phase_magnitudes

LEAST_EMF = 1e-9
"""Part of a source's voltage below which nothing is left of it: solutions go from dip to dip by their ratio. [1]"""


class CompiledFeeder(AssembledFeeder):
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

    def set_source(self, vm_factor: float = 1.0, va_shift_degree: float = 0.0) -> None:
        """Scale and turn the emf of every source (a voltage dip with a phase jump).

        Parameters
        ----------
        vm_factor : float
            What is left of the voltage; 0, or less than 1e-9, darkens the feeder until another call. [1]
        va_shift_degree : float
            Phase jump, positive ahead. [degree]
        """
        if not (math.isfinite(vm_factor) and vm_factor >= 0 and math.isfinite(va_shift_degree)):
            raise InputError(f"a source voltage of {vm_factor} times its own at {va_shift_degree} degrees")
        self._settle()
        f = self.arrays
        if vm_factor >= LEAST_EMF:
            dip = cmath.rect(vm_factor, math.radians(va_shift_degree))
            f.v[:] = as_pairs((f.v[0::2] + 1j * f.v[1::2]) * (dip / self._dip)).ravel()
            self._dip = dip
            self._put_emf(f)
        self._dark = vm_factor < LEAST_EMF
        self._energize()

    def lose_source(self) -> None:
        """Take all sources away: nothing is energized until `return_source`, whatever `set_source` says."""
        self._settle()
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
        self._settle()
        states[at] = closed
        self._rebuild()

    def apply_fault(self, name: str, config: FaultConfig) -> None:
        """Short-circuit a place until `clear_fault`.

        Parameters
        ----------
        name : str
            By which it is cleared.

        Raises
        ------
        InputError
            As `place_fault` does.
        """
        placed = self._faults.place(config)
        self._settle()
        if not self.fault_names and self.network.gen_node.size:  # they keep the emf that they have now
            solve(self.arrays)
            self._held = Held(machine_emf(self.network, self._top, self.arrays), self._node_voltages())
        self._faults.put(name, placed)
        self._rebuild()

    def clear_fault(self, name: str) -> None:
        """Take a fault away."""
        if name in self.fault_names:
            self._settle()
            self._faults.remove(name)
            held = None if self.fault_names else self._held
            if held is not None:
                self._held = None
            self._rebuild(None if held is None else held.v_node)

    @property
    def fault_names(self) -> tuple[str, ...]:
        """Faults that there are."""
        return tuple(self._faults.configs)

    def fault_current_a(self, name: str) -> Complexes:
        """Current into a fault at each of its phases at the last solution, zero where de-energized. [A]"""
        net, v = self.network, self._node_voltages() * self.arrays.flags[ix.SOURCE_ON]
        current = self._faults.current(name, v, self._switches, device_y(net, self._dev_state))
        kv = float(net.node_vn_kv[self._faults.node(name)])
        per_pu_a = 1e3 / (kv * math.sqrt(3.0) if net.is_balanced else kv)
        amperes: Complexes = per_pu_a * current
        return amperes

    def set_poles(self, conductors: Ints, closed: bool) -> None:
        """Open or close conductors of elements: poles of a breaker, a blown fuse.

        Parameters
        ----------
        conductors : array
            Indices into `Network.el_node`.
        closed : bool
        """
        if bool(np.all(self._is_cut[conductors] != closed)):
            return
        self._settle()
        self._is_cut[conductors] = not closed
        self._rebuild()

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
            self._settle()
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
        """Voltage at the last instant of a bus, of its lowest phase, or of one node; 0 where de-energized. [pu]"""
        if place in self.node_names:
            nodes = np.array([self.node_names.index(place)])
        else:
            nodes = nodes_at(self.network, place)
        rows = self.arrays.node_row[nodes]
        if (rows < 0).any():
            return 0.0
        if (shown := self._shown()) is None:
            return float(np.sqrt(self.arrays.vm2[rows].min()))
        v = shown.present_v()
        return float(np.sqrt((v[2 * rows] ** 2 + v[2 * rows + 1] ** 2).min()))

    def set_injection_q(self, name: str, q_mvar: float) -> None:
        """Give an injection another reactive power, consumption positive. [Mvar]"""
        k = named(self.injection_names, name, "injection")
        self._settle()
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
        self._settle()
        self._inj_s[k] = complex(p_mw, q)
        self._put_laws(self.arrays)

    def scale_load(self, name: str, factor: float) -> None:
        """Give a load `factor` times the power it started with, `load_scaling` included. [1]"""
        k = named(self.load_names, name, "load")
        if not (math.isfinite(factor) and factor >= 0):
            raise InputError(f"load {name}: factor={factor} must be finite and not negative")
        self._settle()
        self._inj_s[k] = complex(self._inj_s_start[k]) * factor
        self._put_laws(self.arrays)

    def set_injections(self, s_mva: Complexes) -> None:
        """Give every injection of the network, in its order, another power. [MVA]"""
        self._settle()
        self._inj_s[:] = s_mva
        self._put_laws(self.arrays)

    @property
    def injections(self) -> Complexes:
        """Present power of every injection at rated voltage, consumption positive. [MVA]"""
        return self._inj_s.copy()

    def phase_vm_pu(self) -> Floats:
        """Phases a, b, c at every named node of a balanced feeder, by the last full solution. [n_node, 3] [pu]"""
        v1 = self._node_voltages() * self.arrays.flags[ix.SOURCE_ON]
        phases = self._phase_map()
        if phases is None:
            return np.repeat(np.abs(v1)[: self.network.n_node, None], 3, axis=1)
        at = v1[phases.node]
        live = v1 != 0
        return phase_magnitudes(v1, live * (phases.v2 @ at), live * (phases.v0 @ at))[: self.network.n_node]

    def without_datacenters(self, part: float = 1.0) -> FeederArrays:
        """Arrays of their own in the present state, data centers at rest, to be solved.

        Parameters
        ----------
        part : float
            Of every load and generator of given power; a part is solved from no load upwards. [1]
        """
        lab = self.lab()
        lab.port_p_mw[:] = lab.port_q_mvar[:] = 0.0
        if part != 1.0:
            lab.leg_law[:] = self._legs.law(self.network, self._shape, part * self._inj_s)
            lab.leg_fast[:, : ix.F_SLOPE] = fast_columns(lab.leg_law)
            lab.flags[ix.COLD] = 1
        return lab

    # -- state

    def state(self) -> dict[str, np.ndarray]:
        """Copy of everything that depends on history, as plain arrays."""
        kept = {f"arrays.{k}": getattr(self.arrays, k).copy() for k in ix.STATE}
        return {
            "closed": self._closed.copy(),
            "line_on": self._line_on.copy(),
            "dev_state": self._dev_state.copy(),
            "is_cut": self._is_cut.copy(),
            "faults": np.frombuffer(self._faults_text().encode(), np.uint8),
            "inj_s": self._inj_s.copy(),
            "source": np.array([self._lost, self._dark, self._dip]),
            "held": np.zeros(0, np.complex128) if self._held is None else np.append(self._held.emf, self._held.v_node),
            **{f"surfaces.{k}": v for k, v in self._store.state().items()},
            **kept,
        }

    def _faults_text(self) -> str:
        return json.dumps({name: config.model_dump() for name, config in self._faults.configs.items()})

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
            self._is_cut[:] = state["is_cut"]
            faults = json.loads(state["faults"].tobytes().decode())
            for name in self.fault_names:
                self._faults.remove(name)
            for name, given in faults.items():
                self._faults.put(name, self._faults.place(FaultConfig(**given)))
            lost, dark, self._dip = state["source"].tolist()
            self._lost, self._dark = bool(lost), bool(dark)
            emf, v_node = np.split(state["held"], [self.network.gen_node.size])
            self._held = Held(emf, v_node) if v_node.size else None
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
            key = self._state_key()
            if self._store.was_present(key):
                self._entered = key, self._store.enter(key, self.arrays, self.watch_row, self._kin_key())
        except (KeyError, ValueError) as wrong:
            raise InputError(f"the stored state belongs to another feeder: {wrong}") from wrong


def solve_totals(compiled: CompiledFeeder) -> tuple[int, Floats]:
    """Solve as things stand; status and a copy of the totals."""
    status = int(solve(compiled.arrays))
    balance(compiled.arrays)
    return status, compiled.arrays.totals.copy()
