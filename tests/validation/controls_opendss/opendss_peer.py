"""OpenDSS as the power flow behind cosim's controls, and OpenDSS's own controls beside it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import opendssdirect

from cosim.feeder.controls import kernel
from cosim.feeder.controls.arrays import build_records
from cosim.feeder.controls.dss_terminals import KIND_OF_CLASS
from cosim.feeder.controls.from_dss import read_controls
from cosim.feeder.controls.specs import ControlSet

CLASS_OF_KIND = {kind: name for name, kind in KIND_OF_CLASS.items()}


MASTERS = {
    "ieee13": ("ieee13", "13Bus/IEEE13Nodeckt.dss"),
    "ieee34": ("ieee34", "34Bus/ieee34Mod1.dss"),
    "ieee34_mod2": ("ieee34", "34Bus/ieee34Mod2.dss"),
    "ieee37": ("ieee37", "37Bus/ieee37.dss"),
    "ieee123": ("ieee123", "123Bus/IEEE123Master.dss"),
    "ieee8500": ("ieee8500", "8500-Node/Master-unbal.dss"),
}
"""Archive and master file of each feeder."""


def unzip_all(shared: Path, folder: Path) -> None:
    """Unpack the IEEE feeders, each into a folder of its name."""
    for name, _ in MASTERS.values():
        with zipfile.ZipFile(shared / "data" / "feeders" / "dss" / f"{name}.zip") as archive:
            archive.extractall(folder / name)


def open_feeder(folder: Path, name: str) -> OpenDss:
    """A feeder out of `unzip_all`, ready to solve."""
    archive, master = MASTERS[name]
    meter = ["new energymeter.m1 line.ln5815900-1 1"] if name == "ieee8500" else []
    return OpenDss(f'compile "{folder / archive / master}"', *meter)


class OpenDss:
    """One circuit in an engine of its own."""

    def __init__(self, *commands: str):
        self.dss = opendssdirect.dss.NewContext()
        self.dss.Basic.AllowForms(False)
        self.dss.Basic.AllowChangeDir(False)
        self.run(*commands)
        self.run("set tolerance=1e-9 maxiterations=200 maxcontroliter=100", "set controlmode=off", "solve")
        self.controls = read_controls(self.dss)

    def run(self, *commands: str) -> str:
        result = ""
        for command in commands:
            self.dss.Text.Command(command)
            result = self.dss.Text.Result()
        return result

    # devices

    def _winding(self, spec):
        self.dss.RegControls.Name(spec.name)
        tapped = self.dss.RegControls.TapWinding()
        self.dss.Transformers.Name(spec.device)
        self.dss.Transformers.Wdg(tapped)

    def states(self) -> dict[str, int]:
        """Taps and steps as they stand."""
        found = {}
        for spec in self.controls.regulators:
            self._winding(spec)
            ratio = self.dss.Transformers.Tap()
            found[spec.device] = round((ratio - spec.ratio_neutral) / spec.ratio_per_tap)
        for spec in self.controls.capacitors:
            self.dss.Capacitors.Name(spec.device)
            self.dss.Circuit.SetActiveElement(f"Capacitor.{spec.device}")
            on = 0 if self.dss.CktElement.IsOpen(1, 0) else sum(self.dss.Capacitors.States())
            found[spec.device] = on
        return found

    def set_states(self, states: dict[str, int]) -> None:
        for spec in self.controls.regulators:
            self._winding(spec)
            self.dss.Transformers.Tap(spec.ratio_neutral + states[spec.device] * spec.ratio_per_tap)
        for spec in self.controls.capacitors:
            n = states[spec.device]
            self.dss.Capacitors.Name(spec.device)
            self.dss.Capacitors.States([1] * n + [0] * (spec.n_steps - n))
            self.dss.Circuit.SetActiveElement(f"Capacitor.{spec.device}")
            if n:
                self.dss.CktElement.Close(1, 0)
            else:
                self.dss.CktElement.Open(1, 0)

    # sensors

    def read(self, controls: ControlSet | None = None) -> np.ndarray:
        """Values of all sensors at the present solution."""
        controls = controls or self.controls
        order = [str(name).lower() for name in self.dss.Circuit.YNodeOrder()]
        v = np.asarray(self.dss.Circuit.YNodeVArray()).view(complex)
        volts = dict(zip(order, v, strict=True))
        amperes: dict[tuple[str, str], np.ndarray] = {}
        values = []
        for sensor in controls.sensors:
            value = sum((complex(a, b) * volts[node] for node, a, b in sensor.nodes), 0j)
            for kind, name, conductor, a, b in sensor.currents:
                if (kind, name) not in amperes:
                    self.dss.Circuit.SetActiveElement(f"{CLASS_OF_KIND[kind]}.{name}")
                    amperes[kind, name] = np.asarray(self.dss.CktElement.Currents()).view(complex)
                value += complex(a, b) * amperes[kind, name][conductor]
            values.append(value)
        return np.array(values, complex)

    def measure(self, states: dict[str, int], powers=None) -> np.ndarray:
        """Solve with the devices in these states and no control alive."""
        self.set_states(states)
        self.run("set controlmode=off", "solve")
        assert self.dss.Solution.Converged()
        return self.read()

    def settle(self, states: dict[str, int], hour: int = 0) -> dict[str, int]:
        """OpenDSS's own control loop from the same start."""
        self.run("set controlmode=static", "set mode=snapshot", f"set hour={hour}")
        self.set_states(states)
        self.run("solve")
        return self.states()


Moves = list[tuple[int, str, int]]
"""(time [us], device, new tap or number of steps on)"""


def moves_of_opendss(peer: OpenDss, states: dict[str, int], loadmults: np.ndarray, step_us: int, mode="duty") -> Moves:
    """OpenDSS's own controls in its mode TIME, one step after another; the load of step n is loadmults[n]."""
    peer.run("new loadshape.flat npts=1 interval=1 mult=(1)", "batchedit load..* duty=flat")
    peer.run("set controlmode=time", f"set mode={mode} stepsize={step_us / 1e6}s number=1", "set hour=0 sec=0")
    peer.set_states(states)  # behind `set mode`, which resets capacitors
    moves, before = [], dict(states)
    for n, loadmult in enumerate(loadmults, start=1):
        peer.run(f"set loadmult={loadmult}", "solve")
        assert peer.dss.Solution.Converged()
        after = peer.states()
        moves += [(n * step_us, device, after[device]) for device in after if after[device] != before[device]]
        before = after
    return moves


def moves_of_kernel(peer: OpenDss, states: dict[str, int], loadmults: np.ndarray, step_us: int) -> Moves:
    """cosim's kernel with OpenDSS as a mere power flow behind it."""
    desk = BareDesk(peer, states)
    moves = []
    for n, loadmult in enumerate(loadmults, start=1):
        peer.run(f"set loadmult={loadmult}")
        moves += desk.at(n * step_us)
    return moves


def moves_at_own_instants(peer: OpenDss, states: dict[str, int], changes: list[tuple[int, float]]) -> Moves:
    """The same on loads that change at (time [us], loadmult), with instants only there and where a timer runs out."""
    desk = BareDesk(peer, states)
    moves, ends = [], [t_us for t_us, _ in changes[1:]] + [2**62]
    for (t_us, loadmult), end_us in zip(changes, ends, strict=True):
        peer.run(f"set loadmult={loadmult}")
        now_us = t_us
        while now_us < end_us:
            moves += desk.at(now_us)
            now_us = int(kernel.next_due_us(desk.ctl, -1))
    return moves


class BareDesk:
    """The kernel and nothing else."""

    def __init__(self, peer: OpenDss, states: dict[str, int]):
        self.peer, self.now = peer, dict(states)
        self.ctl = build_records(peer.controls, self.now)
        self.values = np.zeros((len(peer.controls.sensors), 2))

    def at(self, t_us: int) -> Moves:
        """What happens at one instant."""
        before = dict(self.now)
        for _ in range(100):
            z = self.peer.measure(self.now)
            self.values[:, 0], self.values[:, 1] = z.real, z.imag
            if not kernel.watch(self.ctl, self.values, t_us):
                break
            for k, spec in enumerate(self.peer.controls.all):
                if self.ctl[k]["due"]:
                    kernel.acted(self.ctl, k, t_us)
                    self.now[spec.device] = int(self.ctl[k]["position"])
                if self.ctl[k]["turns"]:
                    kernel.turned(self.ctl, k)
        else:
            raise AssertionError("controls hunt within one instant")
        assert kernel.next_due_us(self.ctl, -1) > t_us
        return [(t_us, device, self.now[device]) for device in self.now if self.now[device] != before[device]]


def moves_of_twin(peer: OpenDss, twin, loadmults: np.ndarray, step_us: int) -> Moves:
    """The readable twin with OpenDSS as a mere power flow behind it."""
    moves = []
    for n, loadmult in enumerate(loadmults, start=1):
        peer.run(f"set loadmult={loadmult}")
        before, t_us = (
            {spec.device: mine.position for spec, mine in zip(twin.specs, twin.memory, strict=True)},
            n * step_us,
        )
        while True:
            now = {spec.device: mine.position for spec, mine in zip(twin.specs, twin.memory, strict=True)}
            twin.at(peer.measure(now), t_us)
            if not twin.acted:
                break
        moves += [(t_us, device, now[device]) for device in now if now[device] != before[device]]
    return moves
