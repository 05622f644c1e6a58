"""A SLURM of one node on this machine, as root, with its own munge, ports and folders: for tests of `--slurm`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
N_CPU = 2
START_S = 60.0

CONF = """\
ClusterName=cosim
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={munge_socket}
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=0
KillWait=5
SchedulerParameters=sched_interval=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={n_cpu} RealMemory={memory_mb} State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing_tools() -> list[str]:
    """What of SLURM and munge this machine lacks."""
    return [tool for tool in TOOLS if shutil.which(tool, path=_path()) is None]


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@contextmanager
def slurm_cluster() -> Iterator[dict[str, str]]:
    """The cluster while the block runs; the environment in which sbatch finds it.

    Raises
    ------
    RuntimeError
        It does not start; with the end of its logs.
    """
    # Not pytest's tmp_path: that is root's alone, and munged runs as its own user.
    folder = Path(tempfile.mkdtemp(prefix="cosim-slurm-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        munge_socket = _start_munge(folder, stack)
        env = os.environ | {"PATH": _path(), "SLURM_CONF": str(_configure(folder, munge_socket))}
        _start(["slurmctld", "-D"], folder, env, stack)
        _start(["slurmd", "-D"], folder, env, stack)
        _wait_for(lambda: _state(env) == "idle", "its node is not idle", folder)
        try:
            yield env
        finally:
            subprocess.run(["scancel", "-u", "root"], env=env, timeout=30, check=False)
            _wait_for(lambda: not job_ids(env, "RUNNING,PENDING,COMPLETING"), "its jobs do not end", folder)


def _start_munge(folder: Path, stack: ExitStack) -> Path:
    home = folder / "munge"
    home.mkdir(mode=0o755)
    (home / "key").write_bytes(os.urandom(1024))
    (home / "key").chmod(0o400)
    for path in (home, home / "key"):
        shutil.chown(path, "munge", "munge")
    files = [f"--{name}-file={home / name}" for name in ("key", "pid", "log", "seed")]
    command = ["munged", "--foreground", f"--socket={home / 'socket'}", *files]
    _start(["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", *command], folder, os.environ, stack)
    _wait_for((home / "socket").exists, "munged does not start", folder)
    return home / "socket"


def _configure(folder: Path, munge_socket: Path) -> Path:
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    path = folder / "slurm.conf"
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 * 9 // 10
    path.write_text(
        CONF.format(
            folder=folder,
            host=socket.gethostname().split(".")[0],
            ctld_port=_free_port(),
            slurmd_port=_free_port(),
            munge_socket=munge_socket,
            memory_mb=memory_mb,
            n_cpu=N_CPU,
        )
    )
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(command: list[str], folder: Path, env: dict[str, str] | os._Environ[str], stack: ExitStack) -> None:
    name = command[0] if command[0] != "setpriv" else "munged"
    with (folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(command, env={**env, "PATH": _path()}, stdout=out, stderr=subprocess.STDOUT)
    stack.callback(_stop, process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _state(env: dict[str, str]) -> str:
    said = subprocess.run(["sinfo", "-h", "-o", "%t"], env=env, capture_output=True, text=True, timeout=30)
    return said.stdout.strip()


def _wait_for(is_so, failure: str, folder: Path) -> None:
    until = time.monotonic() + START_S
    while not is_so():
        if time.monotonic() > until:
            logs = sorted({*folder.glob("*.log"), *folder.glob("*.out"), *folder.glob("munge/log")})
            ends = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in logs)
            raise RuntimeError(f"SLURM does not start: {failure}\n{ends}")
        time.sleep(0.2)


def job_ids(env: dict[str, str], state: str = "RUNNING") -> list[str]:
    """Jobs in a state."""
    command = ["squeue", "-h", "-t", state, "-o", "%i"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=30).stdout.split()
