"""What a tool must offer, and the process it lives in."""

from __future__ import annotations

import importlib
import statistics
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from power_flow_tools.works import Job, SkipTool

TOOLS = {
    "cosim any": ("cosim_tool", "CosimAny"),
    "cosim surface": ("cosim_tool", "CosimSurface"),
    "lightsim2grid time series": ("lightsim2grid_tool", "TimeSeries"),
    "power-grid-model newton_raphson": ("power_grid_model_tool", "NewtonRaphson"),
    "power-grid-model iterative_current": ("power_grid_model_tool", "IterativeCurrent"),
    "OpenDSS loop": ("opendss_tool", "Loop"),
    "OpenDSS duty mode": ("opendss_tool", "Duty"),
    "OpenG2G grid step": ("openg2g_tool", "GridStep"),
    "pandapower run_timeseries": ("pandapower_tool", "RunTimeseries"),
    "pandapower runpp": ("pandapower_tool", "RunPp"),
}
"""Name of each tool: the module and the class."""
REFERENCES = {True: ("pandapower_tool", "Reference"), False: ("opendss_tool", "Reference")}
"""Who says what the voltages are: balanced, unbalanced."""


class Tool:
    """One way to solve a job. `prepare` may raise SkipTool with the reason."""

    note = ""
    least_steps = 4
    """Fewer would time what one call costs before its first step."""

    def prepare(self, job: Job) -> None:
        """Everything that is done once: read, convert, solve the first step."""
        raise NotImplementedError

    def run(self, n: int) -> None:
        """Solve the first n steps and log their voltages in memory."""
        raise NotImplementedError

    def answers(self, steps: tuple[int, ...]) -> np.ndarray:
        """|V| of the logged nodes at some steps, NaN for nodes the tool does not carry. [pu]"""
        raise NotImplementedError

    def q_used(self) -> np.ndarray | None:
        """Reactive power where it is not the job's. [Mvar]"""
        return None

    def close(self) -> None:
        """Give back what `prepare` took."""


def fastest(variants: dict[str, Callable[[int], None]], n: int) -> str:
    """Name of the variant that needs least time for n steps, the median of three runs after one more."""
    cost = {}
    for name, run in variants.items():
        run(n)
        cost[name] = statistics.median(_seconds(run, n) for _ in range(3))
    return min(cost, key=lambda name: cost[name])


def _seconds(run: Callable[[int], None], n: int) -> float:
    started = time.perf_counter()
    run(n)
    return time.perf_counter() - started


def load_tool(module: str, name: str) -> Tool:
    """An instance of a tool; what it imports it imports here."""
    made: Tool = getattr(importlib.import_module(f"power_flow_tools.{module}"), name)()
    return made


class Server:
    """Answers the requests of one measuring process, one at a time."""

    def __init__(self, module: str, name: str) -> None:
        self.place = (module, name)
        self.tool: Tool | None = None

    def prepare(self, job: Job) -> dict[str, Any]:
        """Ready the tool for a job; return its nodes where it is the reference."""
        self.close()
        started = time.perf_counter()
        self.tool = load_tool(*self.place)
        self.tool.prepare(job)
        return {
            "setup_s": time.perf_counter() - started,
            "nodes": getattr(self.tool, "nodes", ()),
            "least_steps": self.tool.least_steps,
        }

    def run(self, n: int) -> tuple[float, float]:
        """Time for n steps, on the wall and on this process's cores. [s]"""
        assert self.tool is not None
        started = time.process_time()
        wall = _seconds(self.tool.run, n)
        return wall, time.process_time() - started

    def answers(self, steps: tuple[int, ...]) -> dict[str, Any]:
        """Voltages at some steps, and the reactive power they belong to where it is not the job's."""
        assert self.tool is not None
        return {"vm_pu": self.tool.answers(steps), "note": self.tool.note, "q_mvar": self.tool.q_used()}

    def close(self) -> None:
        """Drop the present tool."""
        if self.tool is not None:
            self.tool.close()
        self.tool = None


def serve(connection: Connection, module: str, name: str) -> None:
    """Run in a process of its own: requests are (method, arguments), replies (outcome, value)."""
    server = Server(module, name)
    while True:
        method, arguments = connection.recv()
        if method == "stop":
            server.close()
            return
        try:
            connection.send(("ok", getattr(server, method)(*arguments)))
        except (SkipTool, ImportError) as why:
            connection.send(("skip", str(why)))
        except Exception as wrong:  # a peer may fail in any way; the table says how
            connection.send(("failed", f"{type(wrong).__name__}: {wrong} [{_place(wrong)}]"))


def _place(wrong: BaseException) -> str:
    last = traceback.extract_tb(wrong.__traceback__)[-1]
    return f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
