"""Tasks on workers: Dask's, on this machine, on a running cluster, or in jobs of SLURM."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosim.errors import EnvironmentFailure, InputError
from cosim.study.execute import Order, execute

if TYPE_CHECKING:
    from cosim.study.schema import SlurmConfig

WINDOW = 8
"""Tasks under way for each worker: enough that none waits, few enough that the scheduler holds a short list."""
N_TRY = 3
"""Workers that may die under a task before it counts as failed."""
CONNECT_S = 20.0
"""How long a scheduler may take to answer. [s]"""

Done = Callable[[Order, dict[str, Any]], None]
"""Called with each task and its row as it ends."""


@dataclass(frozen=True)
class Place:
    """Where the tasks of a study run; the first one given of these counts."""

    scheduler: str | None = None
    """Address of a running Dask scheduler."""
    slurm: SlurmConfig | None = None
    n_worker: int = 1
    """Processes on this machine; 0: this process itself."""


def run_all(orders: Iterable[Order], place: Place, done: Done) -> None:
    """Run tasks and tell of each that ends; a task whose workers died tells a row that failed.

    Raises
    ------
    EnvironmentFailure
        No cluster, or the machine failed; tasks that ended are kept.
    """
    if place.scheduler is None and place.slurm is None and place.n_worker == 0:
        for order in orders:
            done(order, execute(order))
        return
    with _client(place) as client:
        _drive(client, orders, done)


def _drive(client: Any, orders: Iterable[Order], done: Done) -> None:
    from distributed import as_completed

    waiting, under_way = iter(orders), {}
    pool = as_completed()

    def submit_next() -> bool:
        order = next(waiting, None)
        if order is None:
            return False
        future = client.submit(execute, order, key=f"{order.run}-{order.task.index}", pure=False)
        under_way[future.key] = order
        pool.add(future)
        return True

    while len(under_way) < WINDOW * max(_n_worker(client), 1) and submit_next():
        pass
    for future in pool:
        order = under_way.pop(future.key)
        done(order, _row_of(order, future))
        future.release()
        submit_next()
        while len(under_way) < WINDOW * _n_worker(client) and submit_next():
            pass


def _n_worker(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _row_of(order: Order, future: Any) -> dict[str, Any]:
    """What a task found; whatever the machine did to it is raised where it would meet the next one as well."""
    error = future.exception()
    if error is None:
        row: dict[str, Any] = future.result()
        return row
    if isinstance(error, EnvironmentFailure):
        raise error
    if isinstance(error, OSError):
        raise EnvironmentFailure(f"a worker could not go on: {error}")
    return {"run": order.run, "status": "failed", "error": f"{type(error).__name__}: {error}", "metrics": {}}


@contextlib.contextmanager
def _client(place: Place) -> Iterator[Any]:
    try:
        import dask
        from distributed import Client
    except ImportError as missing:
        raise EnvironmentFailure("studies need Dask; install it with: pip install 'cosim-feeder[study]'") from missing
    import logging

    logging.getLogger("distributed").setLevel(logging.ERROR)
    dask.config.set(
        {"distributed.scheduler.allowed-failures": N_TRY - 1, "distributed.comm.timeouts.connect": CONNECT_S}
    )
    with _cluster(place) as address:
        try:
            client = Client(address, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise EnvironmentFailure(f"{address}: no Dask scheduler answers there ({error})") from error
        with client:
            if place.scheduler is not None and _n_worker(client) == 0:
                raise EnvironmentFailure(f"{address}: this scheduler has no workers; start some with: dask worker ...")
            yield client


@contextlib.contextmanager
def _cluster(place: Place) -> Iterator[Any]:
    if place.scheduler is not None:
        yield place.scheduler
        return
    if place.slurm is not None:
        with _slurm(place.slurm) as cluster:
            yield cluster
        return
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=place.n_worker, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit="auto"
    ) as cluster:
        yield cluster


@contextlib.contextmanager
def _slurm(config: SlurmConfig) -> Iterator[Any]:
    if shutil.which("sbatch") is None:
        raise EnvironmentFailure("--slurm: there is no sbatch here; start this on a node that submits jobs")
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as missing:
        raise EnvironmentFailure("--slurm needs dask-jobqueue; pip install 'cosim-feeder[study]'") from missing
    with SLURMCluster(**slurm_arguments(config)) as cluster:
        cluster.scale(jobs=config.n_jobs)
        yield cluster


def slurm_arguments(config: SlurmConfig) -> dict[str, Any]:
    """What dask-jobqueue takes for the jobs of a study: one thread a process, one process a core."""
    return {
        "queue": config.partition,
        "account": config.account,
        "walltime": config.walltime,
        "memory": f"{config.memory_gb:g}GB",
        "cores": config.cores,
        "processes": config.cores,
        "interface": config.interface,
    }


def warm_up(feeders: Iterable[tuple[str, str | None]]) -> float:
    """Compile kernels and feeders, so that no worker has to; how long it took. [s]"""
    from cosim.engine.warmup import warm_up as compile_kernels
    from cosim.feeder.feeder import load_feeder

    started = time.perf_counter()
    compile_kernels()
    for name, root in dict.fromkeys(feeders):
        load_feeder(name, root)
    return time.perf_counter() - started


def refuse_both(scheduler: str | None, slurm: bool) -> None:
    """Two places at once are a mistake."""
    if scheduler is not None and slurm:
        raise InputError("--scheduler and --slurm: give one of them")
