"""cosim, in two classes. Everything that depends on its interface stands in this module.

`any`: every step is an exact solve that takes whatever injections stand in the arrays (here the data centers move).
`surface`: only the data centers move between two events, and a kernel answers blocks of steps for chosen nodes.
Both write |V| into one block buffer that is used again and again.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from power_flow_tools.tool import Tool
from power_flow_tools.works import Job, SkipTool, bus_index, opendss_master, pandapower_net, scratch_folder

BLOCK_STEPS = 512
"""Rows of the block buffer, fewer where they would be more than BLOCK_BYTES."""
SURFACE_BLOCK_STEPS = 4_096
BLOCK_BYTES = 4_000_000
LEARNING_STEPS = 4_000
"""Steps of the whole job that are shown to the surfaces before it starts."""
MOST_PASSES = 20


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


def logged_nodes(feeder: Any, job: Job) -> np.ndarray:
    """Position of each logged node among cosim's nodes."""
    if job.work.is_balanced:  # named nodes stand in the order of net.bus
        return job.columns.astype(np.int64)
    position = {str(name).lower(): k for k, name in enumerate(feeder.network.node_name)}
    return np.array([position[job.nodes[k]] for k in job.columns], np.int64)


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
        self.nodes = logged_nodes(self.feeder, job)
        self.rows = np.asarray(self.compiled.arrays.node_row)[self.nodes]
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


def learning_kernel() -> Any:
    """Compiled loop that solves requests and shows them to the surfaces, as the run's own loop does behind each solve.

    Returns the number of requests used up: fewer than there are where a surface wants to be built.
    """
    from cosim.feeder.kernel import solve
    from cosim.feeder.kernel_surface import WANTED
    from cosim.feeder.kernel_surface_check import learn
    from cosim.jit import njit

    @njit
    def run_learning(s, f, watch_row, p_mw, q_mvar):
        for t in range(p_mw.shape[0]):
            for c in range(p_mw.shape[1]):
                f.port_p_mw[c] = p_mw[t, c]
                f.port_q_mvar[c] = q_mvar[t, c]
            if solve(f) == 0:
                learn(s, f, watch_row)
            if s.info[WANTED] >= 0:
                return t + 1
        return p_mw.shape[0]

    return run_learning


class CosimSurface(CosimAny):
    """Blocks of steps by the response surfaces, which serve while only data centers move.

    What no surface holds for is solved in full, and so are the steps with which a surface is due to be held to a full
    solve, by the rule of the run's own loop; it must agree. Learning and building happen once, before the clock runs:
    they count as setting up.
    """

    least_steps = 2 * SURFACE_BLOCK_STEPS

    def prepare(self, job: Job) -> None:
        """Read, compile, show requests from the whole job to the surfaces until they answer it."""
        try:
            from cosim.feeder.kernel_surface_check import bring_along, learn
        except ImportError as why:
            raise SkipTool("this version of cosim has no kernel for moving data centers only") from why
        super().prepare(job)
        self.bring_along, self.learn = bring_along, learn
        rows = min(SURFACE_BLOCK_STEPS, max(16, BLOCK_BYTES // (8 * self.rows.size)))
        self.block = np.zeros((rows, self.rows.size))
        self.compiled.watch(self.nodes)
        run_learning, surfaces = learning_kernel(), self.compiled.surfaces
        run_learning(surfaces.arrays, self.compiled.arrays, self.compiled.watch_row, job.p_mw[:0], job.q_mvar[:0])
        started = time.process_time()
        self._learn(run_learning)
        self.learning_s = time.process_time() - started
        self.blocks = [self._block_of(first) for first in range(0, len(job.p_mw), len(self.block))]
        self.one = np.zeros((1, self.rows.size)), np.zeros(0, np.int64), np.zeros((0, self.rows.size))
        self.n_full, self.n_done = 0, 0
        self.is_ready = True
        self.run(min(len(job.p_mw), 2 * len(self.block)))
        self.n_full, self.n_done = 0, 0

    def _learn(self, run_learning: Any) -> None:
        from cosim.feeder.kernel_surface import N_CELL, SLOT, UNBUILT

        sample = np.linspace(0, len(self.job.p_mw) - 1, LEARNING_STEPS).astype(int)
        extremes = [
            pick(power[:, k])
            for power in (self.job.p_mw, self.job.q_mvar)
            for k in range(power.shape[1])
            for pick in (np.argmin, np.argmax)
        ]
        sample = np.r_[extremes, sample]
        p, q = self.job.p_mw[sample], self.job.q_mvar[sample]
        for _ in range(MOST_PASSES):
            first = 0
            while first < len(p):
                surfaces = self.compiled.surfaces
                first += run_learning(
                    surfaces.arrays, self.compiled.arrays, self.compiled.watch_row, p[first:], q[first:]
                )
                if surfaces.is_wanted:
                    self.compiled.build_surface()
            arrays = self.compiled.surfaces.arrays
            if not np.any(arrays.cell[: arrays.info[N_CELL], SLOT] == UNBUILT):
                return

    def _block_of(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Powers of a whole block, by data center; behind the last step it repeats that."""
        steps = np.minimum(np.arange(first, first + len(self.block)), len(self.job.p_mw) - 1)
        return np.ascontiguousarray(self.job.p_mw[steps].T), np.ascontiguousarray(self.job.q_mvar[steps].T)

    def run(self, n: int) -> None:
        """Answer block after block into the same buffer, the last one to its end."""
        if not hasattr(self, "is_ready"):
            super().run(n)
            return
        surfaces, size = self.compiled.surfaces, len(self.block)
        for k, first in enumerate(range(0, n, size)):
            p, q = self.blocks[k]
            block = self.block
            block[:, 0] = np.nan  # rows without an answer are left alone: they keep this mark
            if surfaces.follow(p, q, block) < size:
                for t in np.flatnonzero(np.isnan(block[:, 0])).tolist():
                    block[t] = self._full(min(first + t, len(self.job.p_mw) - 1))
                    self.n_full += 1
                if surfaces.n_refused:
                    raise RuntimeError(f"a surface is off by {surfaces.worst_check_pu:.1e} pu")
            inside = np.flatnonzero((self.keep >= first) & (self.keep < first + size))
            self.kept[inside] = block[self.keep[inside] - first]
        self.n_done += size * len(range(0, n, size))
        full, worst = 100 * self.n_full / self.n_done, surfaces.worst_check_pu
        self.note = f"learnt in {self.learning_s:.3g} s; {full:.2g} % by full solve; checks within {worst:.0e} pu"

    def _full(self, step: int) -> np.ndarray:
        """Voltages of one step by the exact solve, as the run's own loop makes it behind surfaces. [pu]"""
        row, none, nothing = self.one
        f, s = self.compiled.arrays, self.compiled.surfaces.arrays
        f.port_p_mw[:], f.port_q_mvar[:] = self.job.p_mw[step], self.job.q_mvar[step]
        self.bring_along(s, f)
        if self.kernel(f, self.rows, f.port_p_mw[None], f.port_q_mvar[None], row, none, nothing):
            raise RuntimeError(f"step {step} has no solution")
        self.learn(s, f, self.compiled.watch_row)
        return row[0]
