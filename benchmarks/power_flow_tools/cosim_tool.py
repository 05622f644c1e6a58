"""cosim, in two classes. Everything that depends on its interface stands in this module.

`any`: every step is an exact solve that takes whatever injections stand in the arrays (here the data centers move).
`surface`: only the data centers move between two events, and a kernel answers blocks of steps for chosen nodes.
Both write |V| into one block buffer that is used again and again.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from power_flow_tools.tool import Tool
from power_flow_tools.works import Job, SkipTool, bus_index, opendss_master, pandapower_net, scratch_folder

BLOCK_STEPS = 512
"""Rows of the block buffer, fewer where they would be more than BLOCK_BYTES."""
BLOCK_BYTES = 4_000_000


def load(job: Job, folder: Path) -> Any:
    """The feeder of a job as cosim reads it."""
    import cosim
    from cosim.feeder import from_pandapower

    if job.work.is_balanced:
        return from_pandapower(pandapower_net(job.work))
    return cosim.load_feeder(str(opendss_master(job.work, folder)))


def compiled_for(feeder: Any, job: Job) -> Any:
    """The feeder with a data center of constant power at any voltage at each bus of the job."""
    buses = list(job.buses)
    if job.work.is_balanced:
        net, names = pandapower_net(job.work), feeder.network.node_name
        buses = [str(names[net.bus.index.get_loc(bus_index(net, bus))]) for bus in buses]
    compiled = feeder.compile(buses)
    compiled.arrays.port_v_min_pu[:] = 0.0
    return compiled


def logged_rows(feeder: Any, compiled: Any, job: Job) -> np.ndarray:
    """Row of each logged node in `vm2`, -1 where de-energized."""
    row = np.asarray(compiled.arrays.node_row)
    if job.work.is_balanced:  # named nodes stand in the order of net.bus
        return row[job.columns]
    position = {str(name).lower(): k for k, name in enumerate(feeder.network.node_name)}
    return row[[position[job.nodes[k]] for k in job.columns]]


def any_kernel() -> Any:
    """Compiled loop over the exact solve; returns the number of steps without a solution."""
    from cosim.feeder.kernel import solve
    from cosim.jit import njit

    @njit
    def run_any(f, rows, p_mw, q_mvar, block, keep, kept):
        bad = 0
        k = 0
        for t in range(p_mw.shape[0]):
            for c in range(p_mw.shape[1]):
                f.port_p_mw[c] = p_mw[t, c]
                f.port_q_mvar[c] = q_mvar[t, c]
            bad += solve(f) != 0
            r = t % block.shape[0]
            for j in range(rows.size):
                block[r, j] = math.sqrt(f.vm2[rows[j]]) if rows[j] >= 0 else 0.0
            if k < keep.size and keep[k] == t:
                for j in range(rows.size):
                    kept[k, j] = block[r, j]
                k += 1
        return bad

    return run_any


class CosimAny(Tool):
    """One exact solve a step."""

    def prepare(self, job: Job) -> None:
        """Read, compile and solve the first step, which compiles the kernels too."""
        self.job = job
        self.folder = scratch_folder()
        self.feeder = load(job, Path(self.folder.name))
        self.compiled = compiled_for(self.feeder, job)
        self.rows = logged_rows(self.feeder, self.compiled, job)
        rows = min(BLOCK_STEPS, max(16, BLOCK_BYTES // (8 * self.rows.size)))
        self.block = np.zeros((rows, self.rows.size))
        self.keep = np.asarray(job.check)
        self.kept = np.full((self.keep.size, self.rows.size), np.nan)
        self.kernel = any_kernel()
        self.run(1)

    def run(self, n: int) -> None:
        """Solve step after step; the checked steps' rows are kept on the way."""
        p, q = self.job.p_mw[:n], self.job.q_mvar[:n]
        bad = self.kernel(self.compiled.arrays, self.rows, p, q, self.block, self.keep, self.kept)
        if bad:
            raise RuntimeError(f"{bad} of {n} steps without a solution")

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """What the timed runs logged at these steps; those they did not reach are solved now."""
        if np.isnan(self.kept).any():
            self.run(max(steps) + 1)
        return self.kept

    def close(self) -> None:
        """Remove the files."""
        if hasattr(self, "folder"):
            self.folder.cleanup()


class CosimSurface(CosimAny):
    """Blocks of steps by the kernel that serves while only data centers move."""

    def prepare(self, job: Job) -> None:
        """Read, compile, and build the surface for the powers of the job."""
        try:
            from cosim.feeder.surface import build_surface, run_block  # the interface this benchmark expects
        except ImportError as why:
            raise SkipTool("this version of cosim has no kernel for moving data centers only") from why
        super().prepare(job)
        limits = [(self.job.p_mw.min(), self.job.p_mw.max()), (self.job.q_mvar.min(), self.job.q_mvar.max())]
        self.surface = build_surface(self.compiled, self.rows, limits)
        self.run_block = run_block
        self.is_ready = True

    def run(self, n: int) -> None:
        """Answer block after block into the same buffer."""
        if not hasattr(self, "is_ready"):
            super().run(n)
            return
        for first in range(0, n, len(self.block)):
            last = min(n, first + len(self.block))
            self.run_block(self.surface, self.job.p_mw[first:last], self.job.q_mvar[first:last], self.block)
            inside = np.flatnonzero((self.keep >= first) & (self.keep < last))
            self.kept[inside] = self.block[self.keep[inside] - first]
