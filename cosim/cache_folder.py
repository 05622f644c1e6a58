"""Where cosim keeps what is made once: compiled kernels and feeders, each under a hash of what made it."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from importlib.metadata import version
from pathlib import Path

_ROOMS = ("area", "converter", "load", "datacenter", "ups", "feeder", "engine")
_FILES = ("jit.py", "bundle.py", "libraries.py", "pipeline.py", "events.py", "ring.py", "record/kernel.py")


def cache_dir() -> Path:
    """Folder of everything cosim caches: `COSIM_CACHE_DIR`, else the user's cache folder."""
    named = os.environ.get("COSIM_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cosim"


@functools.cache
def kernel_hash() -> str:
    """Hash of numba's version and of every source of the rooms: kernels freeze the constants they import, too."""
    digest = hashlib.sha256(version("numba").encode())
    here = Path(__file__).parent
    sources = [here / name for name in _FILES]
    for room in _ROOMS:
        sources += sorted((here / room).rglob("*.py"))
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def kernel_cache_dir() -> Path:
    """Folder of the compiled kernels of exactly these sources."""
    return cache_dir() / "kernels" / kernel_hash()


class Claim:
    """A file that one process of all holds at a time, e.g. while it makes what the others would make, too.

    A claim ends with its process, however that ends. Where files cannot be locked everybody goes on at once.

    Parameters
    ----------
    path : Path
        The file; made where it is not there.
    patience_s : float
        Longest wait for another process. [s]
    """

    def __init__(self, path: Path, patience_s: float = 180.0) -> None:
        self._path, self._patience_s = path, patience_s
        self._handle: int | None = None

    def take(self) -> None:
        """Wait until nobody else holds it."""
        if self._handle is not None:
            return
        try:
            import fcntl

            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except (ImportError, OSError):
            return
        end_s = time.monotonic() + self._patience_s
        while time.monotonic() < end_s:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                return
            else:
                return

    def release(self) -> None:
        """Let the others."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
