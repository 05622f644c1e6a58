"""Where tasks run: this process, processes on this machine, a running Dask cluster, jobs of SLURM."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from cosim.errors import EnvironmentFailure, InputError

if TYPE_CHECKING:
    from cosim.study.schema import SlurmConfig

N_TRY = 3
"""Workers that may die under a task before it is set aside."""
CONNECT_S = 20.0
"""How long a scheduler may take to answer. [s]"""


SELDOM = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.worker.memory.monitor-interval": "1s",
}
"""How often Dask looks after itself, in this process and in workers that it starts: by default some hundred times a
second, which takes a twentieth of a core from the runs."""


@dataclass(frozen=True)
class Place:
    """Where the tasks of a study run; the first one given of these counts."""

    scheduler: str | None = None
    """Address of a running Dask scheduler."""
    slurm: SlurmConfig | None = None
    n_worker: int = 1
    """Processes on this machine; 0: this process itself."""
    logs: str | None = None
    """Folder for what jobs of SLURM print."""

    @property
    def is_local(self) -> bool:
        """Whether tasks run in processes that this one starts on this machine."""
        return self.scheduler is None and self.slurm is None and self.n_worker > 0

    @property
    def is_here(self) -> bool:
        """Whether tasks run in this process itself."""
        return self.scheduler is None and self.slurm is None and self.n_worker == 0


def check_place(place: Place) -> None:
    """Hold a place to what it needs, before anything is compiled or runs.

    Raises
    ------
    EnvironmentFailure
        Dask or sbatch is missing, SLURM refuses such jobs, or no scheduler with workers answers.
    """
    if place.is_here:
        return
    _dask()
    if place.scheduler is not None:
        with connected(place):
            pass
    elif place.slurm is not None:
        from cosim.study.slurm import check_slurm

        check_slurm(place.slurm)


def _dask() -> None:
    try:
        import dask
        import distributed
    except ImportError as missing:
        raise EnvironmentFailure("studies need Dask; install it with: pip install 'cosim-feeder[study]'") from missing
    logging.getLogger(distributed.__name__).setLevel(logging.CRITICAL)
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": N_TRY - 1,
            "distributed.comm.timeouts.connect": CONNECT_S,
            "distributed.admin.low-level-log-length": 0,
            "distributed.admin.log-length": 100,
            **SELDOM,
        }
    )


@contextlib.contextmanager
def connected(place: Place) -> Iterator[Any]:
    """A client of the place's cluster, which is started where the place has none running.

    Raises
    ------
    EnvironmentFailure
        There is none, or it has no workers.
    """
    _dask()
    from distributed import Client

    with _cluster(place) as address:
        try:
            client = Client(address, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise EnvironmentFailure(f"{address}: no Dask scheduler answers there ({error})") from error
        with client:
            if place.scheduler is not None and not client.ncores():
                raise EnvironmentFailure(f"{address}: this scheduler has no workers; start some with: dask worker ...")
            yield client


WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
}
"""Workers keep what they have freed: each run needs the same arrays again, and glibc would give them back to the
system and fetch them page by page; Dask's own setting, a trim at 64 kB, makes that worse. One arena, since a task
runs in a thread, and arenas of threads are given back whatever the trim is."""


def start_nursery() -> None:
    """Start the process that workers of this machine are forks of, so that it loads while this one goes on."""
    import dask
    from distributed.utils import get_mp_context

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}), _environment():
        get_mp_context().set_forkserver_preload(["distributed", "cosim.study.preload"])
        forkserver.ensure_running()


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """The workers' environment, which a process takes over as it starts."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _cluster(place: Place) -> Iterator[Any]:
    if place.scheduler is not None:
        yield place.scheduler
        return
    if place.slurm is not None:
        from cosim.study.slurm import slurm_jobs

        with slurm_jobs(place.slurm, place.logs) as cluster:
            yield cluster
        return
    import dask

    start_nursery()
    with (
        dask.config.set(
            {
                "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
                "distributed.worker.multiprocessing-method": "forkserver",
                "distributed.worker.profile.enabled": False,
            }
        ),
        _started(place.n_worker) as cluster,
    ):
        yield cluster


def _started(n_worker: int) -> Any:
    """Workers on this machine; one that dies while it starts takes Dask's start with it, so it is tried again."""
    from distributed import LocalCluster

    why: RuntimeError | None = None
    for _ in range(N_TRY):
        try:
            return LocalCluster(
                n_workers=n_worker, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit="auto"
            )
        except RuntimeError as error:
            why = error
    raise EnvironmentFailure(f"workers do not start: {why}; the same command goes on")


def refuse_both(scheduler: str | None, slurm: bool) -> None:
    """Two places at once are a mistake."""
    if scheduler is not None and slurm:
        raise InputError("--scheduler and --slurm: give one of them")
