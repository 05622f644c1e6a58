"""Kernels compiled on a second core: `python -m cosim.engine.ahead`, while a first run compiles what needs them.

The loop around all kernels takes two thirds of the time, and the kernels of the load that it calls a fifth: the load's
do not wait for the feeder's here. Whoever comes to a kernel that the other is at waits for it (`cosim.jit`).
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_started: list[subprocess.Popen[bytes]] = []
"""Held so that nobody is warned of a process that outlives the name of it."""


def compile_ahead() -> bool:
    """Start it, if kernels are to be compiled and there is a core for it; nobody needs to wait for it."""
    from cosim.cores import n_core
    from cosim.jit import is_warm

    if is_warm() or n_core() < 2 or "NUMBA_DISABLE_JIT" in os.environ:
        return False
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-m", "cosim.engine.ahead"]
    _started.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
    return True


def _of_load(load: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    from cosim.load import kernel, kernel_power

    yield kernel.step_load, (load, 0)
    of_power = (kernel_power.lose_power, kernel_power.regain_power, kernel_power.shed_job, kernel_power.restore_job)
    for other in (kernel.start, kernel.stop, kernel.fail, *of_power):
        yield other, (load, 0, 0)


def _of_feeder(simulation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    from cosim.feeder.controls.kernel import watch
    from cosim.feeder.kernel_flows import change_bound
    from cosim.feeder.kernel_surface import evaluate_surface
    from cosim.feeder.kernel_surface_check import learn

    f, surfaces = simulation.compiled.arrays, simulation.compiled.surfaces.arrays
    yield change_bound, (f,)
    yield learn, (surfaces, f, simulation.compiled.watch_row)
    yield evaluate_surface, (surfaces, f)
    yield watch, (simulation._ctl, f.sensor, 0)


def kernels() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Kernels of the loop, each with arguments of the types that the loop gives it."""
    from cosim.engine.simulation import Simulation
    from cosim.engine.warmup import SCENARIO
    from cosim.feeder.feeder import load_feeder
    from cosim.load.build import LoadBuilder
    from cosim.scenario import load_scenario

    scenario = load_scenario(SCENARIO)
    loads = {name: dc.load for name, dc in scenario.datacenters.items()}
    yield from _of_load(LoadBuilder(loads, step_us=10_000, seed=1, folder=Path()).build()[0])
    yield from _of_feeder(Simulation(scenario, load_feeder(scenario.feeder.model), Path()))


def compile_for(kernel: Any, arguments: tuple[Any, ...]) -> None:
    """Compile a kernel for the types of these arguments, or read it from the cache."""
    kernel.compile(tuple(kernel.typeof_pyval(one) for one in arguments))


if __name__ == "__main__":
    gc.set_threshold(100_000)
    from cosim.jit import without_blas

    without_blas()
    for asked in kernels():
        compile_for(*asked)
