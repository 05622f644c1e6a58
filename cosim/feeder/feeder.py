"""A feeder by name or path, on its own: its parts, one power flow, or compiled for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.errors import InputError, PhysicsError
from cosim.feeder.cache import cached
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.given_loads import checked_loads
from cosim.feeder.names import check_name, is_dss, is_path, make_net
from cosim.feeder.network import (
    LINE,
    LOAD,
    P_1,
    P_2,
    Q_1,
    Q_2,
    STEP,
    TAP,
    TRAFO,
    TRAFO3W_HV,
    Bools,
    Complexes,
    Floats,
    Network,
)
from cosim.feeder.shipped import shipped_feeder

if TYPE_CHECKING:
    import pandas as pd

    from cosim.feeder.arrays import FeederArrays
    from cosim.feeder.compile import CompiledFeeder
    from cosim.feeder.controls.specs import ControlSet
    from cosim.feeder.dss.scan import Scan

MAX_DEVIATION_PU = 1e-6
"""How far the compiled feeder may be from pandapower's own solution of it. [pu]"""


@dataclass(frozen=True)
class LastSolvable:
    """How far a power flow that collapsed can be solved on the way from no load."""

    fraction: float
    """Of the loads given to `Feeder.solve`, all raised together; 0 where not even the feeder alone is solvable. [1]"""
    p_mw: float
    """What they draw there. [MW]"""
    feeder_fraction: float
    """Of the feeder's own loads and generation, solvable without any given; 1 where these are not what fails. [1]"""


class _Collapsed(Exception):
    """A state that controls came to has no solution."""


@dataclass(frozen=True)
class Solution:
    """One power flow.

    `vm_pu` and `va_degree` are of buses or phases; neutrals, near 0 V by design, stand in `neutral_vm_pu`, so that
    `vm_pu.min()` is the lowest voltage that anyone is supplied with.
    """

    status: str
    """ok, collapsed (no solution exists; the values are the last solvable ones on the way) or dead."""
    node_names: tuple[str, ...]
    """Buses where balanced, else `bus.phase`, neutrals included."""
    node_vm_pu: Floats
    """Magnitudes in the order of `node_names`, zero where de-energized. [pu]"""
    node_va_degree: Floats
    node_is_neutral: Bools
    p_source_mw: float
    q_source_mvar: float
    p_load_mw: float
    """What the feeder's loads and shunts and those given to `Feeder.solve` draw: source + gen = load + loss. [MW]"""
    p_gen_mw: float
    p_loss_mw: float
    taps: Mapping[str, int] = field(default_factory=dict)
    """Tap of every tap changer, counted from neutral."""
    steps_on: Mapping[str, int] = field(default_factory=dict)
    """Steps switched on of every capacitor bank."""
    last_solvable: LastSolvable | None = None
    """Where it collapsed: how far it is solvable, which is also where its values are."""

    @cached_property
    def vm_pu(self) -> pd.Series[float]:
        """Voltage magnitude by bus or phase, zero where de-energized. [pu]"""
        return self._series(self.node_vm_pu, "vm_pu", ~self.node_is_neutral)

    @cached_property
    def neutral_vm_pu(self) -> pd.Series[float]:
        """Voltage of neutrals to ground, by node (`bus.4`); empty where the feeder's file has none. [pu]"""
        return self._series(self.node_vm_pu, "vm_pu", self.node_is_neutral)

    @cached_property
    def va_degree(self) -> pd.Series[float]:
        """Voltage angle by bus or phase. [degree]"""
        return self._series(self.node_va_degree, "va_degree", ~self.node_is_neutral)

    def _series(self, values: Floats, name: str, chosen: Bools) -> pd.Series[float]:
        import pandas as pd

        places = np.flatnonzero(chosen).tolist()
        return pd.Series(values[places], index=pd.Index([self.node_names[k] for k in places], name="bus"), name=name)


@dataclass(frozen=True)
class Feeder:
    """A distribution feeder as it stands in its file: balanced from pandapower, unbalanced from OpenDSS."""

    name: str
    network: Network

    @property
    def bus_names(self) -> tuple[str, ...]:
        """Bus ids: the name where it is unique, else the index."""
        return tuple(self.network.bus_name.tolist())

    @property
    def node_names(self) -> tuple[str, ...]:
        """Node ids: buses where balanced, else `bus.phase`."""
        return tuple(self.network.node_name.tolist())

    @property
    def line_names(self) -> tuple[str, ...]:
        """Line ids."""
        return tuple(self.network.el_name[self.network.el_kind == LINE].tolist())

    @property
    def trafo_names(self) -> tuple[str, ...]:
        """Two-winding transformers, then three-winding ones."""
        names = [self.network.el_name[self.network.el_kind == kind] for kind in (TRAFO, TRAFO3W_HV)]
        return tuple(np.concatenate(names).tolist())

    @property
    def switch_names(self) -> tuple[str, ...]:
        """Switch ids; `line:NAME` for whole lines is taken besides."""
        return tuple(self.network.switch_name.tolist())

    @property
    def load_names(self) -> tuple[str, ...]:
        """Load ids."""
        return tuple(self.network.inj_name[self.network.inj_kind == LOAD].tolist())

    def compile(
        self,
        ports: Sequence[str] = (),
        config: FeederConfig | None = None,
        source: SourceConfig | None = None,
    ) -> CompiledFeeder:
        """Arrays for the kernels, with a data center at each of the given buses.

        Raises
        ------
        InputError
            If the feeder lacks a bus; names the nearest ones.
        """
        from cosim.feeder.compile import CompiledFeeder

        return CompiledFeeder(self.network, ports, config, source)

    def solve(self, loads: Mapping[str, tuple[float, float]] | None = None, controls: bool = False) -> Solution:
        """One power flow with further loads, constant power at any voltage.

        Parameters
        ----------
        loads : mapping of bus id to (p_mw, q_mvar)
            Consumption positive. [MW, Mvar]
        controls : bool
            False: taps and capacitors as they stand in the file. True: where regulators and capacitor controls come
            to rest from there, as a static solution has it.

        Raises
        ------
        InputError
            If the feeder lacks a bus, a load is not two finite numbers, or there are no controls to run.
        PhysicsError
            If controls do not come to rest. Where the power flow has no solution, with or without them, the status
            says so, with taps and banks as they stood then.
        """
        loads = checked_loads({} if loads is None else loads)
        compiled = self.compile(list(loads), FeederConfig(model=self.name, vmin_pu=0.0))
        for k, power in enumerate(loads.values()):
            compiled.arrays.port_p_mw[k], compiled.arrays.port_q_mvar[k] = power
        if controls:
            self.settle_controls(compiled)
        return solution_of(compiled)

    def settle_controls(
        self, compiled: CompiledFeeder, controls: ControlSet | None = None, time_of_day_s: float = 0.0
    ) -> bool:
        """Let controls act on a feeder compiled from this one until none wants to.

        Parameters
        ----------
        compiled : CompiledFeeder
        controls : ControlSet, optional
            Those of a scenario; without them those of the file.
        time_of_day_s : float
            For controls by the clock. [s]

        Returns
        -------
        bool
            False where a state on the way has no solution; the feeder is left in it.

        Raises
        ------
        InputError
            The file has no controls, or one that cannot be carried.
        PhysicsError
            They do not come to rest.
        """
        from cosim.feeder.arrays import COLLAPSED
        from cosim.feeder.compile import solve_totals
        from cosim.feeder.controls.arrays import sensor_rows
        from cosim.feeder.controls.desk import fitted, positions
        from cosim.feeder.controls.settle import settle
        from cosim.feeder.controls.specs import ControlSet

        found = ControlSet.from_json(self.network.controls) if controls is None else controls
        found.check_all_carried()
        if found == ControlSet():
            raise InputError(f"{self.name} has no controls to run: its taps stand as they do in its file")
        own = fitted(found, self.network)
        compiled.set_sensors(sensor_rows(own, self.network))
        low = dict(zip(compiled.device_names, self.network.dev_low.tolist(), strict=True))

        def measure(states: Mapping[str, int], powers: Mapping[str, float]) -> Complexes:
            for name, state in states.items():
                compiled.set_device(name, state - low[name])
            for name, q_mvar in powers.items():
                compiled.set_injection_q(name, -q_mvar)
            status, _ = solve_totals(compiled)
            if status == COLLAPSED:
                raise _Collapsed
            sensor = compiled.arrays.sensor
            return sensor[:, 0] + 1j * sensor[:, 1]

        try:
            settled = settle(own, measure, positions(own, self.network), t_s=time_of_day_s)
            if not settled.is_settled:
                raise PhysicsError(f"{self.name}: controls do not come to rest: {', '.join(settled.hunting)}")
            measure(settled.states, settled.powers)
        except _Collapsed:
            return False
        return True


def solution_of(compiled: CompiledFeeder) -> Solution:
    """Solve a compiled feeder as it stands."""
    from cosim.feeder import arrays as ix
    from cosim.feeder.compile import solve_totals
    from cosim.feeder.kernel_flows import observe

    status, totals = solve_totals(compiled)
    f = compiled.arrays
    vm = np.where(f.node_row >= 0, np.sqrt(f.vm2[np.maximum(f.node_row, 0)]), 0.0)
    va = np.zeros(vm.size)
    nothing = np.zeros(0)
    observe(f, f.v, f.node_row, va, nothing, nothing, nothing)
    return Solution(
        status={ix.OK: "ok", ix.COLLAPSED: "collapsed", ix.DEAD: "dead"}[status],
        node_names=compiled.node_names,
        node_vm_pu=vm,
        node_va_degree=va,
        node_is_neutral=compiled.network.is_neutral,
        p_source_mw=float(totals[ix.P_SOURCE]),
        q_source_mvar=float(totals[ix.Q_SOURCE]),
        p_load_mw=float(totals[ix.P_LOAD] + f.port_p_solved_mw.sum()),
        p_gen_mw=float(totals[ix.P_GEN]),
        p_loss_mw=float(totals[ix.P_LOSS]),
        taps=_device_states(compiled, TAP),
        steps_on=_device_states(compiled, STEP),
        last_solvable=_last_solvable(f) if status == ix.COLLAPSED else None,
    )


def _last_solvable(f: FeederArrays) -> LastSolvable:
    from cosim.feeder.arrays import LS_FRACTION, LS_OWN, LS_P_MW

    fraction, p_mw, own = f.last_solvable[[LS_FRACTION, LS_P_MW, LS_OWN]].tolist()
    return LastSolvable(fraction, p_mw, own)


def _device_states(compiled: CompiledFeeder, kind: int) -> dict[str, int]:
    values = compiled.device_values().astype(int).tolist()
    kinds = compiled.network.dev_kind.tolist()
    return {name: v for name, v, k in zip(compiled.device_names, values, kinds, strict=True) if k == kind}


def load_feeder(name_or_path: str | Path, dss_root: str | Path | None = None) -> Feeder:
    """A feeder by name (shipped, pandapower, SimBench), or a pandapower .json or OpenDSS .dss file.

    The first load of a feeder imports what reads it (pandapower: seconds) and keeps the arrays in the
    cache; later ones read those. A .dss file is scanned before it runs, each time.

    Parameters
    ----------
    name_or_path : str or Path
    dss_root : str or Path, optional
        Folder that a .dss file may read in; default the folder above its own.

    Raises
    ------
    InputError
        If nothing has that name, the file is not a network, it has no source, or an element in
        service is not supported; of a .dss file also what it must not do, by file and line.
    PhysicsError
        If the feeder as it stands has no power flow solution.
    """
    name = str(name_or_path)
    check_name(name)
    master = Path(name) if is_dss(name) else shipped_feeder(name)
    label = Path(name).stem if is_path(name) else name
    if master is not None:
        from cosim.feeder.dss.scan import scan

        found = scan(master, None if dss_root is None else Path(dss_root))
        return Feeder(label, cached(name, lambda: _read_dss(found), found))
    return Feeder(label, cached(name, lambda: _read(name)))


def from_pandapower(net: Any, name: str = "pandapower") -> Feeder:
    """A feeder from a pandapower network in memory; raises as `load_feeder` does."""
    from cosim.feeder.extract import extract

    return Feeder(name, _checked(extract(net), net))


def _read_dss(found: Scan) -> Network:
    from cosim.feeder.controls.from_dss import read_controls
    from cosim.feeder.dss import read_dss
    from cosim.feeder.dss.stage import runnable

    with runnable(found) as master:
        return read_dss(master, lambda dss: read_controls(dss).to_json(), found.defined)


def _read(name: str) -> Network:
    from cosim.feeder.extract import extract

    net = make_net(name)
    return _checked(extract(net), net)


def _checked(network: Network, net: Any) -> Network:
    """Hold the compiled feeder to pandapower's solution of it: never silently wrong."""
    from cosim.feeder.arrays import COLLAPSED
    from cosim.feeder.compile import CompiledFeeder, solve_totals
    from cosim.feeder.extract import voltages_at_draw

    compiled = CompiledFeeder(network, [], FeederConfig(model="check", vmin_pu=0.0))
    status, _ = solve_totals(compiled)
    row = compiled.arrays.node_row
    v = compiled.arrays.v[0::2] + 1j * compiled.arrays.v[1::2]
    found = np.where(row >= 0, v[np.maximum(row, 0)], 0)
    by_law = bool(np.any(network.leg_shape[:, [P_1, P_2, Q_1, Q_2]] != 0))
    expected = voltages_at_draw(net, np.abs(found)) if by_law else network.node_v
    deviation = np.abs(found - expected[: network.n_node])
    worst = int(np.argmax(deviation))
    if status == COLLAPSED or not deviation[worst] <= MAX_DEVIATION_PU:
        raise InputError(
            f"the compiled feeder differs from pandapower's solution by {deviation[worst]:.1e} pu at bus "
            f"{network.node_name[worst]} (allowed {MAX_DEVIATION_PU:.0e}): it holds something that is not "
            "modelled here as there"
        )
    return network
