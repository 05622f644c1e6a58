"""Compiled feeders kept between runs, so that a warm start reads no pandapower."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from cosim.feeder.network import SCHEMA, Network
from cosim.jit import cache_dir


def content_key(name: str) -> str:
    """Hash of what a feeder is made from: file bytes or name, and the versions that read it."""
    digest = hashlib.sha256()
    digest.update(Path(name).read_bytes() if name.endswith(".json") else name.encode())
    versions = [f"schema {SCHEMA}", f"pandapower {_version('pandapower')}"]
    if not name.endswith(".json"):
        versions.append(f"simbench {_version('simbench')}")
    digest.update("\0".join(versions).encode())
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def cached(name: str, build: Callable[[], Network]) -> Network:
    """The network of that name or path, from the cache where it is there and whole.

    A cache that cannot be read is rebuilt, one that cannot be written is done without.
    """
    path = cache_dir() / "feeders" / f"{content_key(name)}.npz"
    unreadable = (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile)
    with contextlib.suppress(*unreadable), path.open("rb") as file:
        return Network.load(file)
    network = build()
    with contextlib.suppress(OSError):
        _write(path, network)
    return network


def _write(path: Path, network: Network) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            network.save(file)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
