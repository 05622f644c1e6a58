"""Where cosim keeps what is made once: compiled kernels and feeders, each under a hash of what made it."""

from __future__ import annotations

import functools
import hashlib
import os
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
