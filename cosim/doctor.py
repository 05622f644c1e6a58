"""`cosim doctor`: is this installation whole, where does it cache, and does its disk do what a log needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from cosim.cores import n_core
from cosim.errors import EnvironmentFailure

OPTIONAL = {
    "simbench": "SimBench feeders: pip install 'cosim-feeder[simbench]'",
    "hdf5plugin": "faster log filters: pip install 'cosim-feeder[filters]'",
}
"""What cosim uses where it is there, and what for."""
ENOUGH_BYTES = 2_000_000_000
"""Free space under which a warning is due; a day of 33 buses takes some hundred MB. [byte]"""
TOO_FEW_BYTES = 100_000_000
"""Free space under which no run should start. [byte]"""
NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs")
"""Filesystems on which a log cannot be read safely while it is written."""

_READER = """
import sys, h5py
with h5py.File(sys.argv[1], "r", swmr=True) as file:
    assert file["x"][:].tolist() == [0.0, 1.0, 2.0, 3.0], file["x"][:]
"""


@dataclass(frozen=True)
class Finding:
    """One line of the answer."""

    level: Literal["ok", "WARN", "FAIL"]
    subject: str
    text: str
    advice: str = ""


def run_doctor(console: Console) -> int:
    """Check the installation, print a line for each finding.

    Parameters
    ----------
    console : rich.console.Console

    Returns
    -------
    int
        Exit code: 0, or 4 where something failed.
    """
    failed = False
    for finding in findings():
        console.print(_line(finding), soft_wrap=True)
        failed = failed or finding.level == "FAIL"
    return EnvironmentFailure.exit_code if failed else 0


def findings() -> Iterator[Finding]:
    """Everything that is checked, one after the other."""
    yield _python()
    yield from _packages()
    yield from _cpu()
    yield from _caches()
    here = Path.cwd()
    yield _disk(here)
    yield _filesystem(here)
    yield _swmr(here, "log in the current folder")
    yield _swmr(_cache_dir(), "log in the cache folder")


def _line(finding: Finding) -> Text:
    style = {"ok": "green", "WARN": "yellow", "FAIL": "bold red"}[finding.level]
    line = Text.assemble((f"{finding.level:<5}", style), f"{finding.subject}: {finding.text}")
    return line.append(f"; {finding.advice}") if finding.advice else line


def _python() -> Finding:
    return Finding("ok", "Python", f"{sys.version.split()[0]} at {sys.executable}")


def _packages() -> Iterator[Finding]:
    """Versions against the lower bounds that cosim's own metadata names; nothing heavy is imported."""
    try:
        own, needed = version("cosim-feeder"), requires("cosim-feeder") or []
    except PackageNotFoundError:
        yield Finding("FAIL", "cosim", "is not installed", "pip install the checkout, or run quickstart.sh")
        return
    yield Finding("ok", "cosim", f"{own} at {Path(__file__).parent}")
    for requirement in needed:
        match = re.match(r"([A-Za-z0-9_.-]+)(?:>=([0-9.]+))?", requirement)
        if match and "extra ==" not in requirement:
            yield _package(match[1], match[2] or "0")
    for name, use in OPTIONAL.items():
        yield _optional(name, use)


def _package(name: str, at_least: str) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding("FAIL", name, "is missing", f"pip install '{name}>={at_least}'")
    if _numbers(found) < _numbers(at_least):
        return Finding("FAIL", name, f"{found} is too old", f"pip install '{name}>={at_least}'")
    return Finding("ok", name, found)


def _optional(name: str, use: str) -> Finding:
    try:
        return Finding("ok", name, f"{version(name)} (optional)")
    except PackageNotFoundError:
        return Finding("ok", name, "not installed (optional)", use)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0])[:3])


def _cpu() -> Iterator[Finding]:
    cores = n_core()
    try:
        from llvmlite.binding import get_host_cpu_name
    except ImportError as error:
        yield Finding("FAIL", "CPU", f"llvmlite cannot be imported: {error}", "pip install --force-reinstall numba")
        return
    text = f"{get_host_cpu_name()}, {cores} usable cores; results are the same to the bit on CPUs of this type"
    yield Finding("ok", "CPU", text)


def _caches() -> Iterator[Finding]:
    """The folders that hold compiled kernels and feeders: where, how large, writable."""
    try:
        from cosim.cache_folder import cache_dir, kernel_cache_dir
        from cosim.jit import is_warm
    except (ImportError, OSError) as error:
        yield Finding("FAIL", "kernel cache", f"cannot be set up: {error}", "set COSIM_CACHE_DIR to a writable folder")
        return
    folder, kernels = cache_dir(), Path(os.environ["NUMBA_CACHE_DIR"])
    if kernels == kernel_cache_dir():
        yield Finding("ok", "cache", f"{folder}, {_size_mb(folder):.0f} MB, writable")
    else:
        advice = "set COSIM_CACHE_DIR to a folder that is, or kernels are compiled again after every clean-up"
        yield Finding("WARN", "cache", f"{folder} is not writable, {kernels} is used instead", advice)
    state = "compiled" if is_warm() else "not compiled yet; the first run does it, under a minute"
    yield Finding("ok", "kernels", f"{state}, in {kernels}")
    old = [path for path in kernels.parent.iterdir() if path != kernels] if kernels.parent.is_dir() else []
    if old:
        size_mb = sum(_size_mb(path) for path in old)
        advice = f"delete the others in {kernels.parent} at will"
        yield Finding("ok", "kernels of other versions", f"{len(old)} folders, {size_mb:.0f} MB", advice)


def _cache_dir() -> Path:
    """The cache folder where it can be used, else the temporary one that stands in for it."""
    kernels = os.environ.get("NUMBA_CACHE_DIR")
    return Path(kernels) if kernels else Path(tempfile.gettempdir())


def _size_mb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # gone meanwhile, another run may be writing
            continue
    return total / 1e6


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < TOO_FEW_BYTES:
        return Finding("FAIL", "disk", text, "free some, or write the log elsewhere with -o")
    if free < ENOUGH_BYTES:
        return Finding("WARN", "disk", text, "long runs log some hundred MB a day")
    return Finding("ok", "disk", text)


def _filesystem(folder: Path) -> Finding:
    kind = _filesystem_kind(folder)
    if kind.startswith(NETWORK_FILESYSTEMS):
        advice = "write logs on a local disk; here they are safe to read only once the run has ended"
        return Finding("WARN", "filesystem", f"{kind} at {folder}", advice)
    return Finding("ok", "filesystem", f"{kind or 'of unknown kind'} at {folder}")


def _filesystem_kind(folder: Path) -> str:
    """Kind of the filesystem a folder is on, empty where the system does not say."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    resolved = folder.resolve()
    holding = [(point, kind) for point, kind in mounts if resolved.is_relative_to(point.replace("\\040", " "))]
    return max(holding, key=lambda pair: len(pair[0]))[1] if holding else ""


def _swmr(folder: Path, subject: str) -> Finding:
    """Write a small HDF5 file and read it from another process while it is open, as a live log is."""
    try:
        import h5py

        with tempfile.TemporaryDirectory(prefix="cosim-doctor-", dir=folder) as scratch:
            path = Path(scratch) / "test.h5"
            with h5py.File(path, "w", libver="v110") as file:
                data = file.create_dataset("x", (0,), "f8", maxshape=(None,), chunks=(4,), compression="gzip")
                file.swmr_mode = True
                data.resize((4,))
                data[:] = range(4)
                data.flush()
                _read_elsewhere(path)
    except ImportError as error:
        return Finding("FAIL", subject, f"h5py cannot be imported: {error}", "pip install --force-reinstall h5py")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())[:200]
        return Finding("FAIL", subject, f"{folder}: {reason}", "write logs to a local, writable disk with -o")
    text = f"HDF5 {h5py.version.hdf5_version} writes, and another process reads meanwhile, in {folder}"
    return Finding("ok", subject, text)


def _read_elsewhere(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _READER, str(path)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise OSError(f"a second process cannot read it: {lines[-1] if lines else 'no reason given'}")
