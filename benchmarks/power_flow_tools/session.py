"""Measuring processes, one a tool, and the rounds in which they take turns."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from power_flow_tools.tool import REFERENCES, TOOLS, serve
from power_flow_tools.works import Job, five_of

PATIENCE_S = 900.0
"""Longest wait for one reply."""
PROBE_S = 0.03
"""A trial run this long tells the time per step well enough to choose the number of steps."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Row = dict[str, Any]


class Refused(Exception):
    """A tool skipped or failed; `kind` says which."""

    def __init__(self, kind: str, why: str) -> None:
        self.kind = kind
        super().__init__(why)


class Worker:
    """A process that holds one tool; started at its first request, anew after it died."""

    def __init__(self, module: str, name: str) -> None:
        self.place = (module, name)
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None

    def ask(self, method: str, *arguments: Any) -> Any:
        """One request and its reply.

        Raises
        ------
        Refused
            Where the tool skips, fails, dies or does not answer.
        """
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=serve, args=(theirs, *self.place), daemon=True)
            self.process.start()
            theirs.close()
        assert self.pipe is not None
        try:
            self.pipe.send((method, arguments))
            if not self.pipe.poll(PATIENCE_S):
                raise Refused("failed", f"no answer within {PATIENCE_S:.0f} s")
            kind, value = self.pipe.recv()
        except (EOFError, OSError) as wrong:
            self.stop()
            raise Refused("failed", "its process died") from wrong
        except Refused:
            self.stop()
            raise
        if kind != "ok":
            raise Refused(kind, value)
        return value

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
        self.process = self.pipe = None


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure."""

    box_s: float
    """Time aimed at for one run of one tool. [s]"""
    repeat: int
    clock: str
    """`wall`, or `cpu` for the time on the process's own cores, which busy neighbours lengthen less."""


def one_thread() -> None:
    """Every process started from here on computes with one thread."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))


@dataclasses.dataclass
class Setting:
    """One job, and what its tools have done of it so far."""

    job: Job
    expected: np.ndarray
    """Voltages of the logged nodes at the checked steps. [pu]"""
    how: str
    """How they were found."""
    rows: dict[str, Row]
    ready: list[str]
    """Tools that have not skipped or failed."""
    spent: dict[str, list[tuple[float, float]]]
    """Wall and CPU time of each tool's runs. [s]"""

    @property
    def title(self) -> str:
        """In a few words."""
        row = next(iter(self.rows.values()))
        return f"{row['work']}, {row['n_dc']} dc, {row['log']}"


class Session:
    """Workers of all chosen tools, and what one job costs each of them."""

    def __init__(self, tools: list[str], options: Options, tell: Callable[[str], None]) -> None:
        self.tools = {name: Worker(*TOOLS[name]) for name in tools}
        self.references = {balanced: Worker(*place) for balanced, place in REFERENCES.items()}
        self.options, self.tell = options, tell

    def measure(self, job: Job, log: str) -> list[Row]:
        """One row a tool: its time per step, or why there is none.

        Raises
        ------
        Refused
            Where the reference has no answer.
        """
        setting = self.ready(job, log)
        for k in range(self.options.repeat):
            for name in list(setting.ready):
                self.tell(f"{setting.title}: round {k + 1} of {self.options.repeat}, {name}")
                self.run(setting, name)
        return self.judged(setting)

    def ready(self, job: Job, log: str) -> Setting:
        """Prepare all tools for a job.

        Raises
        ------
        Refused
            Where the reference has no answer.
        """
        job, expected, how = self._reference(job)
        tools = list(self.tools)
        if log == "five":
            job = dataclasses.replace(job, logged=five_of(job.nodes))
        elif log == "terminal":
            job = dataclasses.replace(job, logged=_terminal(job))
            tools = [name for name in tools if name.startswith("cosim")]  # peers gain nothing over five nodes
        columns = job.columns
        base = {"work": job.work.name, "n_dc": job.n_dc, "log": log, "n_node": len(job.nodes), "n_logged": columns.size}
        rows = {name: base | {"tool": name} for name in tools}
        ready = [name for name in tools if self._prepare(name, job, rows[name])]
        return Setting(job, expected[:, columns], how, rows, ready, {name: [] for name in ready})

    def run(self, setting: Setting, name: str) -> float:
        """One run of a tool: time per step by the chosen clock; NaN where it fails, and it is left out then. [us]"""
        row = setting.rows[name]
        took = self._try(name, row, "run", row["steps"])
        if took is None:
            setting.ready.remove(name)
            return math.nan
        setting.spent[name].append(took)
        return self._us(took, row["steps"])

    def judged(self, setting: Setting) -> list[Row]:
        """A row for each tool: the times of its runs, and how far its answers are from the reference's."""
        for name in setting.ready:
            row = setting.rows[name]
            row |= self._times(setting.spent[name], row["steps"])
            self._check(name, setting, row)
        return list(setting.rows.values())

    def _us(self, took: tuple[float, float], n: int) -> float:
        wall, cpu = took
        return (wall if self.options.clock == "wall" else cpu) / n * 1e6

    def _times(self, spent: list[tuple[float, float]], n: int) -> Row:
        us = [self._us(took, n) for took in spent]
        return {
            "us_per_step": statistics.median(us),
            "us_least": min(us),
            "us_most": max(us),
            "clock": self.options.clock,
            "cores": statistics.median(cpu / wall for wall, cpu in spent),
        }

    def _reference(self, job: Job) -> tuple[Job, np.ndarray, str]:
        worker = self.references[job.work.is_balanced]
        self.tell(f"{job.work.name}, {job.n_dc} dc: reference")
        nodes = tuple(worker.ask("prepare", dataclasses.replace(job, nodes=(), logged=None))["nodes"])
        answer = worker.ask("answers", job.check)
        return dataclasses.replace(job, nodes=nodes), answer["vm_pu"], answer["note"]

    def _prepare(self, name: str, job: Job, row: Row) -> bool:
        """Ready a tool and choose its number of steps; whether it is."""
        self.tell(f"{job.work.name}, {job.n_dc} dc: prepare {name}")
        found = self._try(name, row, "prepare", job)
        if found is None:
            return False
        most = len(job.p_mw)
        n = least = min(found["least_steps"], most)
        while True:
            took = self._try(name, row, "run", n)
            if took is None:
                return False
            if took[0] > PROBE_S or n == most:
                break
            n = min(most, 4 * n)
        steps = int(np.clip(self.options.box_s / took[0] * n, least, most))
        row |= {"setup_s": found["setup_s"], "steps": steps}
        return True

    def _check(self, name: str, setting: Setting, row: Row) -> None:
        job, expected, how = setting.job, setting.expected, setting.how
        answer = self._try(name, row, "answers", job.check)
        if answer is None:
            return
        if answer["q_mvar"] is not None:  # it chose its own reactive power: so does its reference
            _, expected, how = self._reference(dataclasses.replace(job, q_mvar=answer["q_mvar"]))
        difference = np.abs(answer["vm_pu"] - expected)
        row |= {
            "max_dvm_pu": float(np.nanmax(difference)),
            "n_not_carried": int(np.isnan(difference).any(axis=0).sum()),
            "note": answer["note"],
            "reference": how,
        }

    def _try(self, name: str, row: Row, method: str, *arguments: Any) -> Any:
        try:
            return self.tools[name].ask(method, *arguments)
        except Refused as why:
            row[why.kind] = str(why)
            return None

    def close(self) -> None:
        """End all processes."""
        for worker in (*self.tools.values(), *self.references.values()):
            worker.stop()


def _terminal(job: Job) -> tuple[int, ...]:
    """Nodes of the first data center's bus."""
    if job.work.is_balanced:
        from power_flow_tools.works import bus_index, pandapower_net

        net = pandapower_net(job.work)
        return (net.bus.index.get_loc(bus_index(net, job.buses[0])),)
    return tuple(k for k, name in enumerate(job.nodes) if name.rsplit(".", 1)[0] == job.buses[0].lower())
