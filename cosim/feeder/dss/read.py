"""An OpenDSS master file as a `Network`: the order of reading, and the proof of what was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.devices import device_arrays
from cosim.feeder.dss.devices import network_devices, read_devices
from cosim.feeder.dss.elements import (
    Element,
    Source,
    element_arrays,
    read_elements,
    read_sources,
    refuse_unknown_classes,
    switch_arrays,
    touched,
)
from cosim.feeder.dss.engine import Engine
from cosim.feeder.dss.injections import Injection, injection_arrays, read_injections
from cosim.feeder.dss.nodes import Nodes, complete_base_voltages, read_nodes, renumbered
from cosim.feeder.dss.profiles import profile_arrays
from cosim.feeder.network import Bools, Complexes, Ints, Network

SAME_BALANCE: Final = 1e-6
"""Largest current left over at a node, relative to the sum of the magnitudes of the currents that meet there."""

DEAD_PU: Final = 1e-6
"""Voltage below which a node hangs on round-off alone: behind a breaker that the master's own Solve opened. [pu]"""

ReadControls = Callable[[Any], str]
"""From an open engine context, solved and as the master left it, to `Network.controls`."""


def read_dss(
    master: Path,
    read_controls: ReadControls | None = None,
    defined: Mapping[str, tuple[str, int]] | None = None,
) -> Network:
    """Read an OpenDSS circuit as it stands after its master file ran.

    Taps, capacitor steps and open terminals are those the master left, its own Solve included; a master
    that does not solve is solved as a snapshot, its controls frozen. Loads stand at their snapshot power
    (kW times load multiplier and growth); `node_v` is the engine's solution of that with controls frozen.

    Parameters
    ----------
    master : Path
        A `.dss` file. It is a program: scan what it does first where it is not trusted.
    read_controls : callable, optional
        Reads what moves the devices from the open engine; `Network.controls` is empty without it.
    defined : mapping of str to (file, line), optional
        Where elements are defined, by `class.name` in lower case: `Scan.defined`.

    Raises
    ------
    InputError
        If the file does not run, or holds an element that cannot be carried: with its name, and file and
        line where they are known.
    PhysicsError
        If the engine finds no solution.
    """
    engine = Engine(Path(master), defined)
    engine.settle()
    refuse_unknown_classes(engine)
    nodes = read_nodes(engine, complete_base_voltages(engine))
    engine.solve_tightly()
    volts = engine.node_volts()
    controls = read_controls(engine.dss) if read_controls is not None else ""
    injections = read_injections(engine, nodes, volts)
    sources_el, sources = read_sources(engine, nodes)
    elements = [*read_elements(engine, nodes), *sources_el]
    devices = read_devices(engine, elements)

    used = touched(elements, len(nodes.name)) | _fed(injections, len(nodes.name))
    position = _positions(used, len(sources))
    _check_balance(engine, elements, injections, volts, sources, nodes)
    return Network(
        is_balanced=False,
        f_hz=float(engine.dss.Solution.Frequency()),
        **_node_arrays(nodes, used, volts, sources),
        **element_arrays(elements, position),
        **switch_arrays(elements),
        **injection_arrays(injections, position),
        **profile_arrays(engine, injections),
        **_source_arrays(sources, position, nodes),
        **device_arrays(network_devices(devices, elements)),
        gen_node=np.zeros(0, np.int64),
        gen_p_mw=np.zeros(0),
        gen_vm_pu=np.zeros(0),
        controls=controls,
        notes=np.array(engine.notes, np.str_),
    )


def _fed(injections: Sequence[Injection], n_node: int) -> Bools:
    used = np.zeros(n_node, bool)
    for injection in injections:
        used[injection.leg[injection.leg >= 0]] = True
    return used


def _positions(used: Bools, n_source: int) -> Ints:
    """New number of every node of the engine and every emf, -1 last for ground."""
    return renumbered(np.concatenate([used, np.ones(n_source, bool)]))


def _node_arrays(nodes: Nodes, used: Bools, volts: Complexes, sources: Sequence[Source]) -> dict[str, Any]:
    """The `bus_*` and `node_*` arrays; buses that no live element touches fall away."""
    kept_bus = np.unique(nodes.bus[used])
    new_bus = np.full(len(nodes.bus_name), -1, np.int64)
    new_bus[kept_bus] = np.arange(kept_bus.size)
    emf_kv = nodes.kv[[s.terminal for s in sources]]
    vn_kv = np.concatenate([nodes.kv[used], emf_kv])
    v = np.concatenate([volts[used], [s.v for s in sources]])
    return {
        "bus_name": np.array([nodes.bus_name[k] for k in kept_bus], np.str_),
        "bus_xy": nodes.bus_xy[kept_bus],
        "node_name": np.array(nodes.name, np.str_)[used],
        "node_bus": new_bus[nodes.bus[used]],
        "node_phase": nodes.phase[used],
        "node_vn_kv": vn_kv,
        "node_in_service": np.ones(vn_kv.size, bool),
        "node_y_shunt": np.zeros(vn_kv.size, np.complex128),
        "node_v": v / (1e3 * vn_kv),
    }


def _source_arrays(sources: Sequence[Source], position: Ints, nodes: Nodes) -> dict[str, Any]:
    terminal = np.array([s.terminal for s in sources], np.int64)
    return {
        "source_name": np.array([s.name for s in sources], np.str_),
        "source_node": position[[s.emf for s in sources]],
        "source_terminal": position[terminal],
        "source_v": np.array([s.v for s in sources]) / (1e3 * nodes.kv[terminal]),
    }


def _check_balance(
    engine: Engine,
    elements: Sequence[Element],
    injections: Sequence[Injection],
    volts: Complexes,
    sources: Sequence[Source],
    nodes: Nodes,
) -> None:
    """Hold what was read to Kirchhoff's current law at the engine's own solution.

    Raises
    ------
    InputError
        If the currents at a node do not cancel: something there was not carried.
    """
    n = volts.size
    v = np.concatenate([volts, [s.v for s in sources], [0]])
    left, sum_of = np.zeros(v.size, np.complex128), np.zeros(v.size)
    for e in elements:
        if e.open_terminals:
            continue
        flows = e.y * v[e.node]
        np.add.at(left, e.node, flows.sum(axis=1))
        np.add.at(sum_of, e.node, np.abs(flows).sum(axis=1))
    opened = [e.node for e in elements if e.open_terminals]
    for i in injections:
        drawn = i.leg_currents(volts)
        for column, sign in ((0, 1), (1, -1)):
            np.add.at(left, i.leg[:, column], sign * drawn)
            np.add.at(sum_of, i.leg[:, column], np.abs(drawn))
    unknown = np.zeros(v.size, bool)
    unknown[[k for node in opened for k in node]] = True
    unknown[:n] |= np.abs(volts) < DEAD_PU * 1e3 * nodes.kv
    wrong = np.flatnonzero(~(np.abs(left[:n]) <= SAME_BALANCE * sum_of[:n]) & ~unknown[:n])
    if wrong.size:
        worst = wrong[np.argmax(np.abs(left[wrong]) / np.maximum(sum_of[wrong], 1e-30))]
        raise InputError(
            Problem(
                f"node {nodes.name[worst]}: what was read there leaves {abs(left[worst]):.3g} A over at OpenDSS's own "
                "solution, so an element there cannot be carried",
                file=str(engine.master),
            )
        )
