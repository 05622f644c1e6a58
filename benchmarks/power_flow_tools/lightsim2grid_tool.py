"""lightsim2grid: its C++ time series with the KLU solver, one thread."""

from __future__ import annotations

import functools

import numpy as np

from power_flow_tools.pandapower_tool import columns_in, pick, with_datacenters
from power_flow_tools.tool import Tool, fastest
from power_flow_tools.works import Job

TOLERANCE_PU = 1e-9
ALGORITHMS = ("NR_KLU", "NRSing_KLU")


class TimeSeries(Tool):
    """All steps in one call, each started from the last solution; the faster of the two KLU Newtons."""

    def prepare(self, job: Job) -> None:
        """Convert the network and solve the first step."""
        import pandapower as pp
        from lightsim2grid.network import init_from_pandapower
        from lightsim2grid.timeSerie import TimeSeriesCPP

        self.job = job
        self.net, loads, _ = with_datacenters(job)
        pp.runpp(self.net)
        self.grid = init_from_pandapower(self.net)
        angle = np.radians(self.net.res_bus.va_degree.to_numpy())
        self.start = np.ones(self.grid.total_bus(), complex)
        self.start[: angle.size] = self.net.res_bus.vm_pu.to_numpy() * np.exp(1j * angle)
        if len(self.grid.ac_pf(self.start, 30, TOLERANCE_PU)) == 0:
            raise RuntimeError("lightsim2grid does not solve the first step")
        self.columns = columns_in(self.net, job.nodes, job.columns)
        self.rows = [self.net.load.index.get_loc(load) for load in loads]
        self.tools = {name: TimeSeriesCPP(self.grid) for name in ALGORITHMS}
        self.powers: dict[tuple[int, ...] | int, tuple[np.ndarray, ...]] = {}
        self.log = np.zeros((0, self.columns.size))
        tried = {name: functools.partial(self._first, name=name) for name in ALGORITHMS}
        self.note = fastest(tried, 200)

    def _powers(self, steps: np.ndarray) -> tuple[np.ndarray, ...]:
        load, sgen = self.net.load, (self.net.sgen.p_mw * self.net.sgen.scaling).to_numpy()
        p, q = (np.tile(load[column] * load.scaling, (steps.size, 1)) for column in ("p_mw", "q_mvar"))
        p[:, self.rows], q[:, self.rows] = self.job.p_mw[steps], self.job.q_mvar[steps]
        return np.zeros((steps.size, len(self.grid.get_generators()))), np.tile(sgen, (steps.size, 1)), p, q

    def _solve(self, name: str, key: tuple[int, ...] | int) -> np.ndarray:
        if key not in self.powers:
            self.powers.clear()
            self.powers[key] = self._powers(np.arange(key) if isinstance(key, int) else np.asarray(key))
        from lightsim2grid.algorithm import AlgorithmType

        tool = self.tools[name]
        tool.clear()  # the number of rows is fixed until then
        tool.change_algorithm(getattr(AlgorithmType, name))
        if tool.compute_Vs(*self.powers[key], self.start, 30, TOLERANCE_PU) != 1:
            raise RuntimeError("lightsim2grid does not solve every step")
        voltages: np.ndarray = tool.get_voltages()
        return voltages

    def _first(self, n: int, name: str) -> None:
        voltages = self._solve(name, n)
        if self.job.logged is not None:
            voltages = voltages[:, np.maximum(self.columns, 0)]
        if self.log.shape != voltages.shape:
            self.log = np.empty(voltages.shape)
        np.abs(voltages, out=self.log)

    def run(self, n: int) -> None:
        """The first n steps, magnitudes of the logged nodes included."""
        self._first(n, self.note)

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """These steps as a series of their own."""
        return pick(np.abs(self._solve(self.note, steps)), self.columns)
