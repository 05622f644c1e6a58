"""pandapower: `runpp` with its best options, `run_timeseries`, and the reference of balanced works."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from power_flow_tools.tool import Tool, fastest
from power_flow_tools.works import Job, SkipTool, bus_index, node_names, pandapower_net, without_switches

VARIANTS: dict[str, dict[str, Any]] = {
    "init=auto": {"init": "auto"},
    "init=results": {"init": "results"},
    "init=results, recycle": {"init": "results", "recycle": {"bus_pq": True, "trafo": False, "gen": False}},
    "init=results, lightsim2grid": {"init": "results", "lightsim2grid": True},
}
TOLERANCE_MVA = 1e-8
TIGHTEST_MVA = 1e-10


def with_datacenters(job: Job) -> tuple[Any, list[int], tuple[str, ...]]:
    """Network without switches, the loads of its data centers, and the names of all nodes of the original."""
    warnings.simplefilter("ignore")
    if not job.work.is_balanced:
        raise SkipTool("balanced networks only")
    import pandapower as pp

    original = pandapower_net(job.work)
    net = without_switches(original)
    buses = [bus_index(original, bus) for bus in job.buses]
    loads = [int(pp.create_load(net, bus, job.p_mw[0, k], job.q_mvar[0, k])) for k, bus in enumerate(buses)]
    return net, loads, node_names(original)


def columns_in(net: Any, nodes: tuple[str, ...], logged: np.ndarray) -> np.ndarray:
    """Position of the logged nodes in `net.bus`, -1 where the flattened network has none."""
    position = {str(index): k for k, index in enumerate(net.bus.index)}
    return np.array([position.get(nodes[k], -1) for k in logged])


def pick(vm_pu: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Columns of a log, NaN where there is none."""
    return np.where(columns >= 0, vm_pu[:, np.maximum(columns, 0)], np.nan)


class RunPp(Tool):
    """One `runpp` a step, with whichever init and recycle option is fastest here."""

    least_steps = 40
    tolerance_mva = TOLERANCE_MVA

    def prepare(self, job: Job) -> None:
        """Try the options on the first steps and keep the fastest."""
        self.job = job
        self.net, self.loads, self.nodes = with_datacenters(job)
        self.rows = [self.net.load.index.get_loc(load) for load in self.loads]
        self.at = [self.net.load.columns.get_loc(column) for column in ("p_mw", "q_mvar")]
        self.columns = columns_in(self.net, job.nodes, job.columns) if job.nodes else np.arange(len(self.net.bus))
        self.log = np.zeros((min(len(job.p_mw), 400), self.columns.size))
        self._solve(0, {"init": "auto"})
        tried = {name: functools.partial(self._loop, options=options) for name, options in VARIANTS.items()}
        self.note = fastest(tried, 10)
        self.options = VARIANTS[self.note]

    def _solve(self, step: int, options: dict[str, Any]) -> np.ndarray:
        import pandapower as pp

        for k, row in enumerate(self.rows):
            self.net.load.iat[row, self.at[0]] = self.job.p_mw[step, k]
            self.net.load.iat[row, self.at[1]] = self.job.q_mvar[step, k]
        pp.runpp(self.net, tolerance_mva=self.tolerance_mva, numba=True, **options)
        found: np.ndarray = self.net.res_bus.vm_pu.to_numpy()
        return found

    def _loop(self, n: int, options: dict[str, Any]) -> None:
        for step in range(n):
            self.log[step % len(self.log)] = self._solve(step, options)[self.columns]

    def run(self, n: int) -> None:
        """Solve step after step."""
        self._loop(n, self.options)

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """Solve these steps with the same options."""
        return pick(np.array([self._solve(step, self.options) for step in steps]), self.columns)


class Reference(RunPp):
    """`runpp` from a cold start at each checked step, as tight as round-off allows; the network has its switches."""

    def prepare(self, job: Job) -> None:
        """Names all nodes."""
        warnings.simplefilter("ignore")
        import pandapower as pp

        self.job = job
        self.net = pandapower_net(job.work)
        self.nodes = node_names(self.net)
        buses = [bus_index(self.net, bus) for bus in job.buses]
        self.loads = [int(pp.create_load(self.net, bus, 0.0, 0.0)) for bus in buses]
        self.rows = [self.net.load.index.get_loc(load) for load in self.loads]
        self.at = [self.net.load.columns.get_loc(column) for column in ("p_mw", "q_mvar")]

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """Voltages of all nodes, and in the note the tolerance reached."""
        import pandapower as pp

        found, loosest = [], TIGHTEST_MVA
        for step in steps:
            self.tolerance_mva = TIGHTEST_MVA
            while True:
                try:
                    found.append(np.nan_to_num(self._solve(step, {"init": "auto", "max_iteration": 30})))
                    break
                except pp.LoadflowNotConverged:
                    if self.tolerance_mva > 1e-7:
                        raise
                    self.tolerance_mva *= 10
            loosest = max(loosest, self.tolerance_mva)
        self.note = f"runpp at {loosest:.0e} MVA"
        return np.array(found)


class RunTimeseries(Tool):
    """`run_timeseries` with one controller for P and one for Q; it recycles by itself."""

    least_steps = 500

    def prepare(self, job: Job) -> None:
        """Solve two steps, which also compiles."""
        import pandapower as pp

        self.job = job
        self.net, self.loads, _ = with_datacenters(job)
        pp.runpp(self.net)  # else its writer takes sizes from tables solved before the switches went
        self.columns = columns_in(self.net, job.nodes, job.columns)
        self._series(np.array([0, 1]))

    def _series(self, steps: np.ndarray) -> np.ndarray:
        import pandas as pd
        from pandapower.control import ConstControl
        from pandapower.timeseries import DFData, OutputWriter, run_timeseries

        for table in ("controller", "output_writer"):
            if table in self.net and len(self.net[table]):
                self.net[table] = self.net[table].iloc[:0]
        for column, power in (("p_mw", self.job.p_mw), ("q_mvar", self.job.q_mvar)):
            frame = pd.DataFrame(power[steps], columns=[f"dc{k}" for k in range(len(self.loads))])
            ConstControl(
                self.net, "load", column, self.loads, profile_name=list(frame.columns), data_source=DFData(frame)
            )
        # Always all buses: a selection takes it off its batch path, at four times the time.
        writer = OutputWriter(self.net, range(len(steps)), output_path=None, log_variables=[("res_bus", "vm_pu")])
        run_timeseries(self.net, range(len(steps)), verbose=False, tolerance_mva=TOLERANCE_MVA, numba=True)
        found: np.ndarray = writer.output["res_bus.vm_pu"].to_numpy()
        return found

    def run(self, n: int) -> None:
        """The first n steps."""
        self._series(np.arange(n))

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """These steps as a series of their own; values are read by position, their labels do not follow the index."""
        return pick(self._series(np.asarray(steps)), self.columns)
