"""Time one moving data center on a feeder: cosim's kernel beside pandapower and lightsim2grid.

    python benchmarks/feeder_peers.py [--steps 36000] [--json]

All tools solve the same steps in one process and log |V| of every bus at every step; slow ones do fewer
of them. Ratios are of medians of five runs. |dV| is the largest difference to `runpp` (1e-10 MVA) over
twelve of the steps. lightsim2grid gets a network without switches (an open line end is a bus of its own,
equal ideal sources are one), because it reads open line switches otherwise than pandapower.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
import warnings

import numpy as np

from cosim.feeder import FeederConfig, from_pandapower, solve
from cosim.feeder.names import make_net
from cosim.jit import njit

warnings.simplefilter("ignore")
WORKS = {"case33bw": "5", "cigre_mv": "Bus 5", "mv_oberrhein": "Bus 89"}
RUNS = 5
STEP_S = 0.1


def series(n, seed=7):
    """Power of a data center: reflected random walk and a 30 s square wave, 0.5 to 3 MW. [MW, Mvar]"""
    walk = np.cumsum(np.random.default_rng(seed).normal(0.0, 0.015, n))
    walk = np.abs((walk + 0.75) % 3.0 - 1.5)
    square = np.arange(n) * STEP_S // 15 % 2
    p = 0.5 + walk + square
    return p, 0.2 * p + 0.05 * np.abs(np.sin(np.arange(n) * STEP_S / 7))


@njit
def run_cosim(f, p, q, log):
    """Solve every step and log every bus; returns the number of steps without a solution."""
    bad = 0
    for t in range(p.size):
        f.port_p_mw[0], f.port_q_mvar[0] = p[t], q[t]
        bad += solve(f) != 0
        for k in range(f.bus_node.size):
            log[t, k] = np.sqrt(f.vm2[f.bus_node[k]]) if f.bus_node[k] >= 0 else 0.0
    return bad


def median_us(run, n):
    """Median time per step of `run(n)` over several runs, after one more. [us]"""
    run(min(n, 10))
    spent = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run(n)
        spent.append((time.perf_counter() - start) / n * 1e6)
    return statistics.median(spent)


def cosim_peer(net, bus, p, q, check):
    feeder = from_pandapower(net)
    compiled = feeder.compile([bus], FeederConfig(model="bench", vmin_pu=0.0))
    log = np.zeros((p.size, len(feeder.bus_names)))

    def run(n):
        assert run_cosim(compiled.arrays, p[:n], q[:n], log) == 0

    us = median_us(run, p.size)
    return us, p.size, log[check]


def pandapower_peer(net, bus, p, q, check, recycle=None, tolerance_mva=1e-8):
    import pandapower as pp

    net = copy.deepcopy(net)
    at = from_pandapower(net).bus_names.index(bus)
    load = pp.create_load(net, net.bus.index[at], 0.0, 0.0)
    row = net.load.index.get_loc(load)
    columns = [net.load.columns.get_loc(c) for c in ("p_mw", "q_mvar")]
    pp.runpp(net)

    def step(t):
        net.load.iloc[row, columns] = p[t], q[t]
        init = "auto" if recycle is None else "results"
        pp.runpp(net, tolerance_mva=tolerance_mva, init=init, recycle=recycle)
        return np.nan_to_num(net.res_bus.vm_pu.to_numpy())

    def run(n):
        for t in range(n):
            step(t)

    n = 40
    us = median_us(run, n) if tolerance_mva >= 1e-8 else 0.0
    return us, n, np.array([step(t) for t in check])


def recycled_peer(*work):
    return pandapower_peer(*work, recycle={"bus_pq": True, "trafo": False, "gen": False})


def without_switches(net):
    """The same network as buses, lines and transformers only, with one ideal source."""
    import pandapower as pp
    import pandapower.topology

    net = copy.deepcopy(net)
    for switch in net.switch[~net.switch.closed].itertuples():
        if switch.et == "l":
            side = "from_bus" if net.line.from_bus[switch.element] == switch.bus else "to_bus"
            net.line.loc[switch.element, side] = pp.create_bus(net, net.bus.vn_kv[switch.bus])
        elif switch.et == "t":
            net.trafo.loc[switch.element, "in_service"] = False
    net.switch = net.switch.iloc[:0]
    first, *others = net.ext_grid.bus
    for table, column in (("trafo", "hv_bus"), ("line", "from_bus"), ("line", "to_bus")):
        net[table].loc[net[table][column].isin(others), column] = first
    net.ext_grid = net.ext_grid.iloc[:1]
    pp.toolbox.drop_buses(net, pp.topology.unsupplied_buses(net))
    pp.toolbox.drop_inactive_elements(net)
    return net


def lightsim2grid_peer(net, bus, p, q, check):
    import pandapower as pp
    from lightsim2grid.algorithm import AlgorithmType
    from lightsim2grid.network import init_from_pandapower
    from lightsim2grid.timeSerie import TimeSeriesCPP

    name = net.bus.index[from_pandapower(net).bus_names.index(bus)]
    flat = without_switches(net)
    load = pp.create_load(flat, name, p[0], q[0])
    row = flat.load.index.get_loc(load)
    pp.runpp(flat)
    grid = init_from_pandapower(flat)
    start = np.ones(grid.total_bus(), complex)
    start[: len(flat.bus)] = flat.res_bus.vm_pu * np.exp(1j * np.radians(flat.res_bus.va_degree))
    assert len(grid.ac_pf(start, 30, 1e-9)), "lightsim2grid does not solve the first step"
    tool = TimeSeriesCPP(grid)
    tool.change_algorithm(AlgorithmType.NR_KLU)
    load, sgen = flat.load, (flat.sgen.p_mw * flat.sgen.scaling).to_numpy()

    def powers(steps):
        lp, lq = (np.tile(load[c] * load.scaling, (len(steps), 1)) for c in ("p_mw", "q_mvar"))
        lp[:, row], lq[:, row] = p[steps], q[steps]
        return np.zeros((len(steps), len(grid.get_generators()))), np.tile(sgen, (len(steps), 1)), lp, lq

    prepared = {}

    def run(n, steps=None):
        if n not in prepared:
            prepared.clear()
            prepared[n] = powers(np.arange(n) if steps is None else steps)
            tool.clear()
        assert tool.compute_Vs(*prepared[n], start, 30, 1e-9) == 1
        return np.abs(tool.get_voltages())

    n = min(p.size, 5000)
    us = median_us(run, n)
    found = run(0, np.asarray(check))
    vm = np.full((len(check), len(net.bus)), np.nan)
    for k, index in enumerate(flat.bus.index):
        if index in net.bus.index:
            vm[:, net.bus.index.get_loc(index)] = found[:, k]
    return us, n, vm


PEERS = {
    "cosim": cosim_peer,
    "lightsim2grid time series (KLU)": lightsim2grid_peer,
    "pandapower runpp": pandapower_peer,
    "pandapower runpp, recycled": recycled_peer,
}


def measure(work, steps):
    """One row per tool: name, time per step, ratio to cosim, largest |dV|."""
    net, bus = make_net(work), WORKS[work]
    p, q = series(steps)
    check = np.linspace(0, steps - 1, 12).astype(int)
    _, _, reference = pandapower_peer(net, bus, p, q, check, tolerance_mva=1e-10)
    rows = []
    for name, peer in PEERS.items():
        try:
            us, n, vm = peer(net, bus, p, q, check)
        except (ImportError, RuntimeError, AssertionError) as wrong:
            rows.append({"work": work, "tool": name, "failed": f"{type(wrong).__name__}: {wrong}"})
            continue
        dv = float(np.nanmax(np.abs(vm - reference)))
        ratio = us / rows[0]["us_per_step"] if rows else 1.0
        rows.append({"work": work, "tool": name, "us_per_step": us, "ratio": ratio, "steps": n, "max_dvm_pu": dv})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=36_000)
    parser.add_argument("--json", action="store_true", help="one line per measurement")
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"{'feeder':<14}{'tool':<34}{'us/step':>10}{'ratio':>9}{'max |dV| pu':>13}")
    for work in WORKS:
        for row in measure(work, arguments.steps):
            if arguments.json:
                print(json.dumps(row))
            elif "failed" in row:
                print(f"{work:<14}{row['tool']:<34}{row['failed']}")
            else:
                print(
                    f"{work:<14}{row['tool']:<34}{row['us_per_step']:>10.2f}{row['ratio']:>9.1f}{row['max_dvm_pu']:>13.1e}"
                )


if __name__ == "__main__":
    main()
