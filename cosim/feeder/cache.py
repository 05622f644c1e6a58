"""Compiled feeders kept between runs, so that a warm start reads neither pandapower nor OpenDSS."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cosim.cache_folder import cache_dir, kernel_hash
from cosim.feeder.names import is_json
from cosim.feeder.network import Network

if TYPE_CHECKING:
    from cosim.feeder.dss.scan import Scan


def content_key(name: str, dss: Scan | None = None) -> str:
    """Hash of what a feeder is made from: file bytes or name, and what reads it, versions and cosim's own sources.

    Of an OpenDSS feeder that is every file its scan found, each under its place relative to the master.
    """
    if dss is not None:
        return _dss_key(dss)
    digest = hashlib.sha256()
    digest.update(Path(name).read_bytes() if is_json(name) else name.encode())
    versions = [f"reader {kernel_hash()}", f"pandapower {_version('pandapower')}"]
    if not is_json(name):
        versions.append(f"simbench {_version('simbench')}")
    digest.update("\0".join(versions).encode())
    return digest.hexdigest()[:32]


def _dss_key(dss: Scan) -> str:
    digest = hashlib.sha256()
    for file in dss.files:
        place = os.path.relpath(file, dss.master.parent)
        digest.update(f"{place}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        digest.update(file.read_bytes())
    packages = ("opendssdirect.py", "dss-python", "dss-python-backend")
    versions = [f"reader {kernel_hash()}", *(f"{package} {_version(package)}" for package in packages)]
    digest.update("\0".join(versions).encode())
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def cached(name: str, build: Callable[[], Network], dss: Scan | None = None) -> Network:
    """The network of that name or path (`dss`: its scan), from the cache where it is there and whole.

    A cache that cannot be read is rebuilt, one that cannot be written is done without.
    """
    path = cache_dir() / "feeders" / f"{content_key(name, dss)}.npz"
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
