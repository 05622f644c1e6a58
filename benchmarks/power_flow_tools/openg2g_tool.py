"""OpenG2G: the grid step of its co-simulation, OpenDSS underneath."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from power_flow_tools.tool import Tool
from power_flow_tools.works import Job, SkipTool, opendss_master, scratch_folder

POWER_FACTOR = 0.95
TOLERANCE = 1e-9


class GridStep(Tool):
    """`OpenDSSGrid.step`, which builds its own record of all voltages; reactive power follows a fixed power factor."""

    def prepare(self, job: Job) -> None:
        """Compile, attach the data centers and solve once."""
        if job.work.is_balanced:
            raise SkipTool("takes three-phase OpenDSS masters only")
        if job.logged is not None:
            raise SkipTool("always records all nodes")
        from openg2g.clock import SimulationClock
        from openg2g.grid import opendss as engine

        self.job = job
        self.folder, self.home = scratch_folder(), Path.cwd()
        master = opendss_master(job.work, Path(self.folder.name))
        self.datacenters = [_datacenter(f"dc{k}") for k in range(job.n_dc)]
        self.grid = engine.OpenDSSGrid(dss_case_dir=master.parent, dss_master_file=master.name, dt_s=Fraction(1, 10))
        for datacenter, bus in zip(self.datacenters, job.buses, strict=True):
            self.grid.attach_dc(datacenter, bus=bus, power_factor=POWER_FACTOR)
        self.grid.start()
        self.dss = engine.dss
        self.dss.Text.Command(f"set tolerance={TOLERANCE} maxiterations=1000")
        for name in self.dss.Loads.AllNames():
            if name.lower().startswith(("datacenter", "dc_dc")):
                self.dss.Text.Command(f"load.{name}.vminpu=0.01 vlowpu=0.005 vmaxpu=10")
        self.clock = SimulationClock(Fraction(1, 10))
        self.note = f"tolerance {TOLERANCE:.0e}"
        self._step(0)

    def _step(self, step: int) -> Any:
        from openg2g.common import ThreePhase

        samples = {}
        for k, datacenter in enumerate(self.datacenters):
            phase_w = self.job.p_mw[step, k] * 1e6 / 3
            samples[datacenter] = [ThreePhase(phase_w, phase_w, phase_w)]
        return self.grid.step(self.clock, samples, None)

    def run(self, n: int) -> None:
        """Keep the state of every step, as its own loop does."""
        kept = []
        for step in range(n):
            kept.append(self._step(step))
            if len(kept) == 100:
                kept.clear()

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """Voltages of these steps, from the engine it drives."""
        found = []
        for step in steps:
            self._step(step)
            names = [name.lower() for name in self.dss.Circuit.AllNodeNames()]
            vm = dict(zip(names, self.dss.Circuit.AllBusMagPu(), strict=True))
            found.append([vm[name] for name in self.job.nodes])
        return np.array(found)

    def q_used(self) -> np.ndarray | None:
        """Reactive power at its power factor. [Mvar]"""
        return self.job.p_mw * np.tan(np.arccos(POWER_FACTOR))

    def close(self) -> None:
        """Remove the files."""
        if hasattr(self, "folder"):
            os.chdir(self.home)
            self.folder.cleanup()


def _datacenter(name: str) -> Any:
    """A data center whose power the benchmark hands to the grid itself."""
    from openg2g.datacenter.base import DatacenterBackend

    class Given(DatacenterBackend):
        dt_s = Fraction(1, 10)

        def step(self, clock: Any, events: Any) -> Any:
            raise NotImplementedError

        def apply_control(self, command: Any, events: Any) -> None:
            pass

        def reset(self) -> None:
            pass

    return Given(name=name)
