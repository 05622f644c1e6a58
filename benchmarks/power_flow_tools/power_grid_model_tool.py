"""power-grid-model: batch power flow with its exact methods, one thread, on pandapower's own branches."""

from __future__ import annotations

import numpy as np

from power_flow_tools.pandapower_tool import columns_in, pick, with_datacenters
from power_flow_tools.positive_sequence import PiNetwork, pi_network
from power_flow_tools.tool import Tool
from power_flow_tools.works import Job

TOLERANCE_PU = 1e-9
IDEAL_SK_VA = 1e25
"""Short-circuit power of a source that is as good as ideal."""
STEPS_PER_CALL = 2_000_000
"""Steps times nodes of one batch; larger ones only spend memory."""


def input_data(net: PiNetwork, datacenters: list[int]) -> dict[str, np.ndarray]:
    """Nodes, branches, loads and the source as power-grid-model's arrays; data centers are the last loads."""
    from power_grid_model import LoadGenType, initialize_array

    n_bus, n_branch = net.bus.size, len(net.ends)
    node = initialize_array("input", "node", n_bus)
    node["id"], node["u_rated"] = np.arange(n_bus), net.vn_kv * 1e3
    branch = initialize_array("input", "generic_branch", n_branch)
    ohm = net.vn_kv[net.ends[:, 1]] ** 2  # on 1 MVA and the second bus
    branch["id"] = n_bus + np.arange(n_branch)
    branch["from_node"], branch["to_node"] = net.ends.T
    branch["from_status"] = branch["to_status"] = 1
    branch["r1"], branch["x1"] = net.z_pu.real * ohm, net.z_pu.imag * ohm
    branch["g1"], branch["b1"] = net.y_pu.real / ohm, net.y_pu.imag / ohm
    branch["k"], branch["theta"], branch["sn"] = net.ratio, net.shift_rad, 1e6
    loaded = np.flatnonzero(net.s_mva)
    load = initialize_array("input", "sym_load", loaded.size + len(datacenters))
    load["id"] = n_bus + n_branch + np.arange(load.size)
    load["node"] = np.r_[loaded, datacenters]
    load["status"], load["type"] = 1, LoadGenType.const_power
    load["p_specified"] = np.r_[net.s_mva[loaded].real * 1e6, np.zeros(len(datacenters))]
    load["q_specified"] = np.r_[net.s_mva[loaded].imag * 1e6, np.zeros(len(datacenters))]
    source = initialize_array("input", "source", 1)
    source["id"], source["node"], source["status"] = load["id"][-1] + 1, net.source, 1
    source["u_ref"], source["sk"], source["rx_ratio"] = net.vm_source_pu, IDEAL_SK_VA, 0.1
    return {"node": node, "generic_branch": branch, "sym_load": load, "source": source}


class Batch(Tool):
    """One batch of load updates."""

    method = ""

    def prepare(self, job: Job) -> None:
        """Build the model and solve the first step."""
        from power_grid_model import CalculationMethod, PowerGridModel

        self.job = job
        net, loads, _ = with_datacenters(job)
        buses = [net.bus.index.get_loc(net.load.bus.at[load]) for load in loads]
        net.load.loc[loads, ["p_mw", "q_mvar"]] = 0.0
        self.columns = columns_in(net, job.nodes, job.columns)
        data = input_data(pi_network(net), buses)
        self.ids = data["sym_load"]["id"][-len(loads) :]
        self.model = PowerGridModel(data, system_frequency=50.0)
        self.how = getattr(CalculationMethod, self.method)
        self.log = np.zeros((max(1, STEPS_PER_CALL // len(net.bus)), self.columns.size))
        self._solve(np.arange(1))

    def _solve(self, steps: np.ndarray) -> np.ndarray:
        from power_grid_model import ComponentType, initialize_array

        update = initialize_array("update", "sym_load", (steps.size, self.ids.size))
        update["id"] = self.ids
        update["p_specified"], update["q_specified"] = self.job.p_mw[steps] * 1e6, self.job.q_mvar[steps] * 1e6
        found = self.model.calculate_power_flow(
            symmetric=True,
            error_tolerance=TOLERANCE_PU,
            max_iterations=100,
            update_data={"sym_load": update},
            calculation_method=self.how,
            threading=-1,
            output_component_types={ComponentType.node: ["u_pu"]},
        )
        voltages: np.ndarray = found["node"]["u_pu"]
        return voltages

    def run(self, n: int) -> None:
        """Batches of steps, the logged nodes kept in memory."""
        for first in range(0, n, len(self.log)):
            found = self._solve(np.arange(first, min(n, first + len(self.log))))
            if self.job.logged is not None:
                self.log[: len(found)] = found[:, self.columns]

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """These steps as a batch of their own."""
        return pick(self._solve(np.asarray(steps)), self.columns)


class NewtonRaphson(Batch):
    """Newton with a fresh Jacobian every iteration."""

    method = "newton_raphson"


class IterativeCurrent(Batch):
    """Fixed point on the injected currents, one factorization for all."""

    method = "iterative_current"
