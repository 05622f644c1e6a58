"""Workers in jobs of SLURM, through dask-jobqueue; a job that ends before the study is asked for anew."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cosim.errors import EnvironmentFailure
from cosim.study.places import WORKER_ENVIRONMENT

if TYPE_CHECKING:
    from cosim.study.schema import SlurmConfig

LOOK_EVERY_S = 5.0
"""Between two looks at which jobs are gone. [s]"""
MARGIN = 0.1
"""Share of a job's time at its end in which its workers take no more tasks, at most `MAX_MARGIN_S`."""
MAX_MARGIN_S = 120.0


def check_slurm(config: SlurmConfig) -> None:
    """Ask SLURM whether it would take the jobs of a study, without submitting any.

    Raises
    ------
    EnvironmentFailure
        There is no sbatch or no dask-jobqueue, or SLURM refuses, with its words.
    """
    if shutil.which("sbatch") is None:
        raise EnvironmentFailure("--slurm: there is no sbatch here; start this on a node that submits jobs")
    try:
        import dask_jobqueue
    except ImportError as missing:
        raise EnvironmentFailure("--slurm needs dask-jobqueue; pip install 'cosim-feeder[study]'") from missing
    job = dask_jobqueue.slurm.SLURMJob("tcp://none:0", name="test", **slurm_arguments(config))
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
        script.write(job.job_script())
        script.flush()
        asked = subprocess.run(["sbatch", "--test-only", script.name], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        words = " ".join(asked.stderr.split()) or f"exit code {asked.returncode}"
        raise EnvironmentFailure(f"--slurm: SLURM refuses such a job: {words}")


@contextlib.contextmanager
def slurm_jobs(config: SlurmConfig, logs: str | None = None) -> Iterator[Any]:
    """A Dask cluster whose workers are jobs of SLURM while the block runs.

    Parameters
    ----------
    config : SlurmConfig
    logs : str, optional
        Folder for what the jobs print; default the current one.
    """
    from dask_jobqueue import SLURMCluster
    from tornado.ioloop import PeriodicCallback

    arguments = slurm_arguments(config) | ({"log_directory": logs} if logs is not None else {})
    with SLURMCluster(**arguments, scheduler_options={"dashboard_address": ":0"}) as cluster:
        keeper = _Keeper(cluster, config.n_jobs)
        cluster.scale(jobs=config.n_jobs)
        look = PeriodicCallback(keeper.look, LOOK_EVERY_S * 1000)
        cluster.loop.add_callback(look.start)
        try:
            yield cluster
        finally:
            cluster.loop.add_callback(look.stop)


class _Keeper:
    """Asks for a new job in place of one whose workers came and went (cancelled, killed, at its time limit).

    Dask's own replacement knows jobs of one worker only.
    """

    def __init__(self, cluster: Any, n_jobs: int) -> None:
        self._cluster, self._n_jobs = cluster, n_jobs
        self._seen: set[Any] = set()

    def look(self) -> None:
        """Called in Dask's event loop."""
        alive = {worker["name"] for worker in self._cluster.scheduler_info["workers"].values()}
        for name in list(self._cluster.workers):
            members = {name, *(f"{name}{end}" for end in self._cluster.worker_spec.get(name, {}).get("group", ()))}
            if members & alive:
                self._seen.add(name)
            elif name in self._seen:
                self._seen.discard(name)
                self._cluster.workers.pop(name)
        self._cluster.scale(jobs=self._n_jobs)


def slurm_arguments(config: SlurmConfig) -> dict[str, Any]:
    """What dask-jobqueue takes for the jobs of a study: one thread a process, one process a core."""
    walltime_s = _seconds(config.walltime)
    lifetime_s = walltime_s - min(MARGIN * walltime_s, MAX_MARGIN_S)
    return {
        "queue": config.partition,
        "account": config.account,
        "walltime": config.walltime,
        "memory": f"{config.memory_gb:g}GB",
        "cores": config.cores,
        "processes": config.cores,
        "interface": config.interface,
        "job_script_prologue": [f"export {name}={value}" for name, value in WORKER_ENVIRONMENT.items()],
        "worker_extra_args": ["--lifetime", f"{lifetime_s:.0f}s"],
    }


def _seconds(walltime: str) -> float:
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60.0 + seconds
