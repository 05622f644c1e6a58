"""The works: a feeder, the buses of its data centers, and how these move from step to step.

Every tool gets the same feeder, the same powers at every step, and logs the same nodes. Balanced feeders are
pandapower networks (nodes are buses, in the order of `net.bus`); unbalanced ones are OpenDSS masters (nodes are
`bus.phase`), with taps and capacitor banks as OpenDSS's own controls leave them before the first step.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHARED_DSS = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeders" / "dss"
STEP_S = 0.1
N_CHECK = 12
"""Steps whose answers are checked."""


class SkipTool(Exception):
    """This tool cannot do this work; the text says why."""


@dataclass(frozen=True)
class Work:
    """One feeder with its data centers; the power is that of all of them together."""

    name: str
    is_balanced: bool
    is_radial: bool
    buses: tuple[str, str, str]
    """Buses of one data center (the first) or three."""
    p_mw: tuple[float, float]
    """Least and greatest power. [MW]"""
    master: tuple[str, str] = ("", "")
    """Zip of the OpenDSS files and the master within."""


@dataclass(frozen=True)
class Job:
    """What a tool is asked to do: solve every step of `p`, `q` and log the voltage of some nodes."""

    work: Work
    n_dc: int
    p_mw: np.ndarray
    """[steps, n_dc] consumption positive. [MW]"""
    q_mvar: np.ndarray
    nodes: tuple[str, ...] = ()
    """All nodes, in the order in which voltages are compared."""
    logged: tuple[int, ...] | None = None
    """Positions in `nodes` to log; None for all."""
    check: tuple[int, ...] = ()
    """Steps whose answers are compared."""

    @property
    def buses(self) -> tuple[str, ...]:
        """Buses of the data centers."""
        return self.work.buses[: self.n_dc]

    @property
    def columns(self) -> np.ndarray:
        """Positions in `nodes` that are logged."""
        return np.arange(len(self.nodes)) if self.logged is None else np.asarray(self.logged)


WORKS = {
    work.name: work
    for work in (
        Work("case33bw", True, True, ("5", "21", "24"), (0.5, 3.0)),
        Work("cigre_mv", True, True, ("Bus 5", "Bus 9", "Bus 13"), (0.5, 3.0)),
        Work("mv_oberrhein", True, True, ("Bus 89", "Bus 117", "Bus 159"), (0.5, 3.0)),
        Work("radial_1000", True, True, ("500", "250", "900"), (0.5, 3.0)),
        Work("case33bw_meshed", True, False, ("5", "21", "24"), (0.5, 3.0)),
        Work("ieee13", False, True, ("671", "675", "680"), (0.2, 1.5), ("ieee13", "13Bus/IEEE13Nodeckt.dss")),
        Work("ieee34", False, True, ("834", "844", "828"), (0.05, 0.3), ("ieee34", "34Bus/ieee34Mod1.dss")),
        Work("ieee123", False, True, ("67", "76", "47"), (0.2, 1.0), ("ieee123", "123Bus/IEEE123Master.dss")),
        Work(
            "ieee8500",
            False,
            True,
            ("d5861005-2_int", "l2730163", "m1047303"),
            (0.5, 2.0),
            ("ieee8500", "8500-Node/Master.dss"),
        ),
        Work(
            "europeanLV",
            False,
            True,
            ("639", "337", "898"),
            (0.005, 0.05),
            ("ieee_europeanLV", "LVTestCase/Master.dss"),
        ),
    )
}


def powers(work: Work, n_dc: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Power of every data center at every step: reflected random walk, 30 s square wave, reactive ripple.

    Returns
    -------
    tuple of array [steps, n_dc]
        Active and reactive power, consumption positive. [MW, Mvar]
    """
    low, high = (limit / n_dc for limit in work.p_mw)
    span = 0.6 * (high - low)
    t = np.arange(steps)[:, None] * STEP_S + 4.0 * np.arange(n_dc)
    drawn = [np.random.default_rng(7 + k).normal(0.0, 0.01 * span, steps) for k in range(n_dc)]
    walk = np.abs((np.cumsum(drawn, axis=1).T + 0.5 * span) % (2 * span) - span)
    p = low + walk + 0.4 * (high - low) * (t // 15 % 2)
    return p, 0.2 * p + 0.02 * high * np.abs(np.sin(t / 7))


def make_job(work: Work, n_dc: int, steps: int) -> Job:
    """The job before its nodes are known: all nodes logged."""
    p, q = powers(work, n_dc, steps)
    check = np.unique(np.linspace(0, steps - 1, N_CHECK).astype(int))
    return Job(work, n_dc, p, q, check=tuple(check.tolist()))


def five_of(nodes: tuple[str, ...]) -> tuple[int, ...]:
    """Five nodes spread over all."""
    return tuple(np.linspace(0, len(nodes) - 1, 5).astype(int).tolist())


def pandapower_net(work: Work) -> Any:
    """The pandapower network of a balanced work, without its data centers."""
    import pandapower.networks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if work.name.startswith("case33bw"):
            net = pandapower.networks.case33bw()
            if work.name.endswith("meshed"):
                net.line["in_service"] = True
            return net
        if work.name == "cigre_mv":
            return pandapower.networks.create_cigre_network_mv()
        if work.name == "mv_oberrhein":
            net = pandapower.networks.mv_oberrhein()
            return net[0] if isinstance(net, tuple) else net
    return radial_net(1000)


def radial_net(n_bus: int) -> Any:
    """A 20 kV tree drawn from a fixed seed: 45 % of its buses carry load, 12 MW together."""
    import pandapower as pp

    rng = np.random.default_rng(20)
    reach = int(n_bus**0.5)
    parent = [int(rng.integers(max(0, k - reach), k)) for k in range(1, n_bus)]
    net = pp.create_empty_network()
    pp.create_buses(net, n_bus, vn_kv=20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    pp.create_lines_from_parameters(
        net,
        parent,
        np.arange(1, n_bus),
        length_km=rng.uniform(0.1, 0.4, n_bus - 1),
        r_ohm_per_km=rng.choice([0.16, 0.32, 0.64], n_bus - 1),
        x_ohm_per_km=0.12,
        c_nf_per_km=10.0,
        max_i_ka=0.4,
    )
    at = np.sort(rng.choice(np.arange(1, n_bus), int(0.45 * n_bus), replace=False))
    p = rng.uniform(0.2, 1.0, at.size)
    p *= 12.0 / p.sum()
    pp.create_loads(net, at, p_mw=p, q_mvar=0.3 * p)
    return net


def bus_index(net: Any, bus: str) -> int:
    """Index of a bus by its unique name, else by its index."""
    named = net.bus.index[net.bus.name.astype(str) == bus]
    return int(named[0]) if len(named) == 1 else int(bus)


def without_switches(net: Any) -> Any:
    """The same network as buses, lines and transformers only, with one ideal source.

    An open line end becomes a bus of its own, equal sources become one, and what nothing feeds goes. Some tools
    read switches otherwise than pandapower or take one source only; fewer elements are in every tool's favour.
    """
    import pandapower as pp
    import pandapower.toolbox
    import pandapower.topology

    net = copy.deepcopy(net)
    for switch in net.switch[~net.switch.closed].itertuples():
        if switch.et == "l":
            side = "from_bus" if net.line.from_bus[switch.element] == switch.bus else "to_bus"
            net.line.loc[switch.element, side] = pp.create_bus(net, net.bus.vn_kv[switch.bus])
        elif switch.et == "t":
            net.trafo.loc[switch.element, "in_service"] = False
    if (net.switch.et == "b").any():
        raise ValueError("bus-bus switches are not flattened")
    net.switch = net.switch.iloc[:0]
    first, *others = net.ext_grid.bus
    for table, column in (("trafo", "hv_bus"), ("line", "from_bus"), ("line", "to_bus")):
        net[table].loc[net[table][column].isin(others), column] = first
    net.ext_grid = net.ext_grid.iloc[:1]
    pandapower.toolbox.drop_buses(net, pandapower.topology.unsupplied_buses(net))
    pandapower.toolbox.drop_inactive_elements(net)
    return net


def node_names(net: Any) -> tuple[str, ...]:
    """Buses of a pandapower network by index, the order and names in which balanced voltages are compared."""
    return tuple(str(index) for index in net.bus.index)


def opendss_master(work: Work, folder: Path) -> Path:
    """Unzip an unbalanced work and write a master that also lets its controls settle.

    Raises
    ------
    SkipTool
        Where the OpenDSS files are absent.
    """
    archive, master = work.master
    path = SHARED_DSS / f"{archive}.zip"
    if not path.is_file():
        raise SkipTool(f"{path.name} is not in {SHARED_DSS.parent.name}/dss beside the checkout")
    with zipfile.ZipFile(path) as files:
        files.extractall(folder)
    settled = (folder / master).with_name("settled.dss")
    settled.write_text(
        f'redirect "{Path(master).name}"\nset mode=snapshot\nset maxcontroliter=100\nset maxiterations=1000\nsolve\n'
    )
    return settled


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Where a tool unzips its feeder."""
    return tempfile.TemporaryDirectory(prefix="power_flow_")
