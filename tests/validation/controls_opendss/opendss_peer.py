"""OpenDSS as the power flow behind cosim's controls, and OpenDSS's own controls beside it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import opendssdirect

from cosim.feeder.controls.from_dss import KIND_OF_CLASS, read_controls
from cosim.feeder.controls.specs import ControlSet

CLASS_OF_KIND = {kind: name for name, kind in KIND_OF_CLASS.items()}


def unzip_feeder(shared: Path, name: str, folder: Path) -> Path:
    """Unpack a feeder and the line codes that it redirects to."""
    archives = shared / "data" / "feeders" / "dss"
    with zipfile.ZipFile(next(archives.glob(f"{name}*.zip"))) as archive:
        archive.extractall(folder)
    return folder


class OpenDss:
    """One circuit in an engine of its own."""

    def __init__(self, *commands: str):
        self.dss = opendssdirect.dss.NewContext()
        self.dss.Basic.AllowForms(False)
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

    def measure(self, states: dict[str, int]) -> np.ndarray:
        """Solve with the devices in these states and no control alive."""
        self.set_states(states)
        self.run("set controlmode=off", "solve")
        assert self.dss.Solution.Converged()
        return self.read()

    def settle(self, states: dict[str, int]) -> dict[str, int]:
        """OpenDSS's own control loop from the same start."""
        self.set_states(states)
        self.run("set controlmode=static", "set mode=snapshot", "solve")
        return self.states()
