"""OpenDSS: a loop over its fastest calls, its native duty mode, and the reference of unbalanced works.

A balanced network is written as a circuit of one phase, a third of the work of three. A data center is one load of
constant power at any voltage; the feeder's own loads keep the limits of their file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from power_flow_tools.pandapower_tool import with_datacenters
from power_flow_tools.positive_sequence import PiNetwork, pi_network
from power_flow_tools.tool import Tool
from power_flow_tools.works import STEP_S, Job, opendss_master, scratch_folder

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "validation" / "feeder_opendss"))
from own_equations import OwnEquations

TOLERANCE = 1e-9
TIGHTEST = 1e-12
ANY_VOLTAGE = "model=1 vminpu=0.01 vlowpu=0.005 vmaxpu=10"


def new_context() -> Any:
    """An OpenDSS engine of its own."""
    from opendssdirect.OpenDSSDirect import OpenDSSDirect

    return OpenDSSDirect(prefer_lists=False).NewContext()


def circuit_of(net: PiNetwork, frequency_hz: float) -> list[str]:
    """OpenDSS commands for one phase of a balanced network; transformers keep their ratio, not their shift."""
    kv = (net.vn_kv / np.sqrt(3)).tolist()
    lines = [
        "clear",
        f"set defaultbasefrequency={frequency_hz}",
        f"new circuit.c bus1=b{net.source} phases=1 basekv={kv[net.source]} pu={net.vm_source_pu} "
        "r1=0 x1=1e-7 r0=0 x0=1e-7",
    ]
    for k, plain in enumerate(net.is_plain):
        lines += _line(net, k, frequency_hz) if plain else _transformer(net, k)
    for bus, s in enumerate(net.s_mva.tolist()):
        if s != 0:
            power = f"kw={s.real * 1e3 / 3} kvar={s.imag * 1e3 / 3}"
            lines.append(f"new load.l{bus} bus1=b{bus} phases=1 kv={kv[bus]} {power} {ANY_VOLTAGE}")
    return lines


def _line(net: PiNetwork, k: int, frequency_hz: float) -> list[str]:
    a, b = net.ends[k].tolist()
    ohm = float(net.vn_kv[b]) ** 2
    y, z = complex(net.y_pu[k]) / ohm, complex(net.z_pu[k]) * ohm
    if y.real != 0.0:
        raise ValueError("a line with a shunt conductance")
    c = y.imag / (2 * np.pi * frequency_hz) * 1e9
    values = " ".join(f"r{s}={z.real} x{s}={z.imag} c{s}={c}" for s in "10")
    return [f"new line.l{k} bus1=b{a} bus2=b{b} phases=1 length=1 {values}"]


def _transformer(net: PiNetwork, k: int) -> list[str]:
    """An unloaded transformer, and half of its shunt on either side as reactors."""
    a, b = net.ends[k].tolist()
    ratio, z, y = float(net.ratio[k]), complex(net.z_pu[k]), complex(net.y_pu[k])
    kv = [float(net.vn_kv[a]) * ratio / 3**0.5, float(net.vn_kv[b]) / 3**0.5]
    lines = [
        f"new transformer.t{k} phases=1 windings=2 buses=[b{a} b{b}] kvs={kv} kvas=[{1e3 / 3} {1e3 / 3}] "
        f"xhl={100 * z.imag} %rs=[{50 * z.real} {50 * z.real}] ppm_antifloat=0"
    ]
    for bus, base in ((a, (float(net.vn_kv[a]) * ratio) ** 2), (b, float(net.vn_kv[b]) ** 2)):
        if y.real != 0.0:
            lines.append(f"new reactor.r{k}_{bus} bus1=b{bus} phases=1 r={2 * base / y.real} x=0")
        if y.imag != 0.0:
            lines.append(f"new reactor.x{k}_{bus} bus1=b{bus} phases=1 r=0 x={-2 * base / y.imag}")
    return lines


class _OpenDss(Tool):
    """A circuit with its data centers, ready to solve."""

    tolerance = TOLERANCE

    def prepare(self, job: Job) -> None:
        """Build the circuit, add the data centers and solve once with the controls off."""
        self.job = job
        self.folder, self.home = scratch_folder(), Path.cwd()
        self.dss = new_context()
        (self._prepare_balanced if job.work.is_balanced else self._prepare_unbalanced)()
        self._command(f"set controlmode=off maxiterations=1000 tolerance={self.tolerance}")
        self.ids = []
        for k in range(job.n_dc):
            self.dss.Loads.Name(f"datacenter{k}")
            self.ids.append(self.dss.Loads.Idx())
        self._command("solve")
        self._must_converge()
        self.log = np.zeros((max(1, 2_000_000 // self.columns.size), self.columns.size))

    def _command(self, text: str) -> None:
        self.dss.Text.Command(text)

    def _prepare_balanced(self) -> None:
        net, loads, original = with_datacenters(self.job)
        buses = [net.bus.index.get_loc(net.load.bus.at[load]) for load in loads]
        net.load.loc[loads, ["p_mw", "q_mvar"]] = 0.0
        pi = pi_network(net)
        for line in circuit_of(pi, float(net.f_hz)):
            self._command(line)
        kv = pi.vn_kv / np.sqrt(3)
        for k, bus in enumerate(buses):
            self._command(f"new load.datacenter{k} bus1=b{bus} phases=1 kv={kv[bus]} kw=0 kvar=0 {ANY_VOLTAGE}")
        self._command("solve")
        self.kw_per_mw = 1e3 / 3
        at = {name.split(".")[0]: k for k, name in enumerate(self.dss.Circuit.AllNodeNames())}
        position = {str(index): at[f"b{k}"] for k, index in enumerate(pi.bus)}
        base = {str(index): kv[k] * 1e3 for k, index in enumerate(pi.bus)}
        self.nodes = original
        wanted = [self.job.nodes[k] for k in self.job.columns] if self.job.nodes else list(original)
        self.columns = np.array([position.get(name, -1) for name in wanted])
        self.volt = np.array([base.get(name, np.nan) for name in wanted])

    def _prepare_unbalanced(self) -> None:
        master = opendss_master(self.job.work, Path(self.folder.name))
        self._command(f'compile "{master}"')
        for k, bus in enumerate(self.job.buses):
            self.dss.Circuit.SetActiveBus(bus)
            kv = self.dss.Bus.kVBase() * np.sqrt(3)
            self._command(
                f"new load.datacenter{k} bus1={bus}.1.2.3 phases=3 conn=wye kv={float(kv)!r} kw=0 kvar=0 {ANY_VOLTAGE}"
            )
        self._command("solve")
        self.kw_per_mw = 1e3
        self.nodes = tuple(name.lower() for name in self.dss.Circuit.AllNodeNames())
        position = {name: k for k, name in enumerate(self.nodes)}
        wanted = [self.job.nodes[k] for k in self.job.columns] if self.job.nodes else list(self.nodes)
        self.columns = np.array([position[name] for name in wanted])
        volt, pu = self.dss.Circuit.AllBusVMag(), self.dss.Circuit.AllBusMagPu()
        self.volt = (volt / pu)[self.columns]

    def _must_converge(self) -> None:
        if not self.dss.Solution.Converged():
            raise RuntimeError("OpenDSS does not converge")

    def _solve(self, step: int) -> None:
        loads = self.dss.Loads
        for k, index in enumerate(self.ids):
            if len(self.ids) > 1:
                loads.Idx(index)
            loads.kW(self.job.p_mw[step, k] * self.kw_per_mw)
            loads.kvar(self.job.q_mvar[step, k] * self.kw_per_mw)
        self.dss.Solution.SolveNoControl()

    def _activate(self) -> None:
        self.dss.Loads.Idx(self.ids[0])

    def _vm_pu(self) -> np.ndarray:
        found: np.ndarray = self.dss.Circuit.AllBusVMag()[self.columns] / self.volt
        return np.where(self.columns >= 0, found, np.nan)

    def close(self) -> None:
        """Clear the engine, leave the folder that it went to, and remove it."""
        self._command("clearall")
        os.chdir(self.home)
        self.folder.cleanup()


class Loop(_OpenDss):
    """`Solution.SolveNoControl` step after step, voltages by `Circuit.AllBusVMag`."""

    def run(self, n: int) -> None:
        """Solve step after step."""
        self._activate()
        circuit, columns, log, size = self.dss.Circuit, self.columns, self.log, len(self.log)
        for step in range(n):
            self._solve(step)
            log[step % size] = circuit.AllBusVMag()[columns]
        self._must_converge()

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """Solve these steps."""
        self._activate()
        found, iterations = [], []
        for step in steps:
            self._solve(step)
            self._must_converge()
            found.append(self._vm_pu())
            iterations.append(self.dss.Solution.Iterations())
        self.note = f"tolerance {self.tolerance:.0e}, {np.mean(iterations):.0f} iterations"
        return np.array(found)


class Reference(Loop):
    """The loop at 1e-12, with as many iterations as it takes, then OpenDSS's equations beyond its digits."""

    tolerance = TIGHTEST

    def _vm_pu(self) -> np.ndarray:
        before, solved = super()._vm_pu(), OwnEquations(self.dss).solved()
        refined: np.ndarray = np.abs([solved[self.nodes[k]] for k in self.columns]) / self.volt
        self.refined_pu = max(self.refined_pu, float(np.max(np.abs(refined - before))))
        return refined

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """Solve these steps."""
        self.refined_pu = 0.0
        found = super().answers(steps)
        self.note += f", refined by {self.refined_pu:.1e} pu"
        return found

    def prepare(self, job: Job) -> None:
        """Allow many iterations."""
        super().prepare(job)
        self._command("set maxiterations=100000")


class Duty(_OpenDss):
    """One native `solve` in duty mode over a load shape; monitors log the voltages."""

    def prepare(self, job: Job) -> None:
        """Load shapes for the data centers, fixed powers for the others, monitors on what reaches the nodes."""
        super().prepare(job)
        names = [name for name in self.dss.Loads.AllNames() if not name.startswith("datacenter")]
        for name in names:
            self._command(f"load.{name}.status=fixed")
        for name in self.dss.Monitors.AllNames():
            self._command(f"monitor.{name}.enabled=no")
        self.n_monitor = self._monitor_nodes()
        self._shape("steps", job.p_mw, job.q_mvar)
        self._duty("steps", 1)

    def _monitor_nodes(self) -> int:
        """Monitors of magnitudes on as few terminals as reach all logged nodes, widest first."""
        names = self.dss.Circuit.AllNodeNames()
        missing = {names[k].lower() for k in self.columns if k >= 0}
        terminals = sorted(self._terminals(), key=lambda t: -len(t[2]))
        count = 0
        for element, terminal, reached in terminals:
            if missing & reached:
                missing -= reached
                self._command(f"new monitor.log{count} element={element} terminal={terminal} mode=32")
                count += 1
        if missing:
            raise RuntimeError(f"no element ends at {sorted(missing)[:3]}")
        return count

    def _terminals(self) -> list[tuple[str, int, set[str]]]:
        found = []
        for element in self.dss.Circuit.AllElementNames():
            kind = element.split(".")[0].lower()
            if kind not in ("line", "transformer", "vsource", "capacitor", "reactor"):
                continue
            self.dss.Circuit.SetActiveElement(element)
            if not self.dss.CktElement.Enabled():
                continue
            order = np.asarray(self.dss.CktElement.NodeOrder()).reshape(self.dss.CktElement.NumTerminals(), -1)
            for k, bus in enumerate(self.dss.CktElement.BusNames()):
                reached = {f"{bus.split('.')[0].lower()}.{node}" for node in order[k] if node > 0}
                found.append((element, k + 1, reached))
        return found

    def _shape(self, name: str, p_mw: np.ndarray, q_mvar: np.ndarray) -> None:
        shape = self.dss.LoadShape
        for k in range(self.job.n_dc):
            self._command(f"new loadshape.{name}{k} npts={len(p_mw)} sinterval={STEP_S} mult=[1 1]")
            shape.Name(f"{name}{k}")
            shape.Npts(len(p_mw))
            shape.UseActual(True)
            shape.PMult(np.ascontiguousarray(p_mw[:, k]) * self.kw_per_mw)
            shape.QMult(np.ascontiguousarray(q_mvar[:, k]) * self.kw_per_mw)

    def _duty(self, name: str, n: int) -> None:
        for k in range(self.job.n_dc):
            self._command(f"load.datacenter{k}.duty={name}{k}")
        self._command("reset monitors")
        self._command(f"set mode=duty stepsize={STEP_S}s hour=0 sec=0 number={n} controlmode=off")
        self._command("solve")
        self._must_converge()

    def run(self, n: int) -> None:
        """One call."""
        self._duty("steps", n)

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """A shape of these steps, solved one at a time: monitors keep single precision only."""
        self._shape("check", self.job.p_mw[list(steps)], self.job.q_mvar[list(steps)])
        found = []
        for k in range(len(steps)):
            if k == 0:
                self._duty("check", 1)
            else:
                self._command("solve")
            found.append(self._vm_pu())
        self.note = f"tolerance {self.tolerance:.0e}, {self.n_monitor} monitors"
        return np.array(found)
